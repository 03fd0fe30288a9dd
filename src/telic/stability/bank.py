"""The bank of triplets: a system prompt, a probe question that shows whether it is followed, and a judge."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, get_args, overload

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from telic.errors import ConfigError, DataError, JudgeError
from telic.judges import Judge, build_judge
from telic.registry import suggest
from telic.toml_source import KeyPath, TomlSource, decode, parse

__all__ = ["BANKS", "DEMANDS", "FAMILIES", "Bank", "Demand", "Triplet", "openers"]

FAMILIES = ("format", "choice", "persona", "memory", "language")
"""The families of Telic's own bank, one file each."""
BANKS = ("own", "ifeval", "retail")
"""The banks that ship with Telic: its own; the kinds of instruction of IFEval (arXiv 2311.07911); the policy of the
retail agent of tau2-bench (arXiv 2506.07982)."""

Demand = Literal["throughout", "begins or ends", "includes", "forbids", "identity", "memory", "language", "length"]
"""What an instruction demands of a reply: a pattern throughout; how it begins or ends; what it includes somewhere; what
it must not contain; who speaks; what only the system prompt tells; its language; its length, or number of parts."""
DEMANDS: tuple[Demand, ...] = get_args(Demand)
"""All demands, in the order of reports."""


class Triplet(BaseModel):
    """An instruction, the question that shows whether it still holds, and the judge of the answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """Unique within its bank."""
    family: str = Field(default="custom", min_length=1)
    """The kind of instruction; results are reported by family too."""
    demand: Demand | None = None
    """What the instruction demands of a reply; results are reported by demand too."""
    system: str = Field(min_length=1)
    """The system prompt."""
    ask: str = Field(min_length=1)
    """The probe question, put on a branch that the dialogue never sees."""
    judge: dict[str, Any]
    """The judge of the answer, in the form of a purpose file."""
    every_reply: bool = False
    """Whether the instruction binds every reply, so that the utterances of the dialogue are judged as well."""
    good: tuple[str, ...] = ()
    """Answers that the judge has to pass."""
    bad: tuple[str, ...] = ()
    """Answers that it has to fail, such as those of a model that forgot its instruction."""
    _trusted_folder: Path | None = PrivateAttr(default=None)

    def build_judge(self) -> Judge:
        """Make the judge.

        Raises:
            ConfigError: no judge has this name.
            JudgeError: the judge does not take these arguments, or calls a function in a file that is not trusted.
        """
        return build_judge(self.judge, trusted=self._trusted_folder)

    def misjudged(self) -> list[str]:
        """Return the example answers that the judge scores wrongly; none if the triplet is sound."""
        judge = self.build_judge()
        wanted = [*((answer, 1.0) for answer in self.good), *((answer, 0.0) for answer in self.bad)]
        return [answer for answer, value in wanted if judge.judge(answer, self.ask).value != value]


class Bank(Sequence[Triplet]):
    """An immutable collection of triplets.

    Args:
        triplets: the triplets.
        source: where they come from, for error messages.

    Raises:
        DataError: there are no triplets, or two have the same id.
    """

    def __init__(self, triplets: Iterable[Triplet], source: str = "bank") -> None:
        self._triplets = tuple(triplets)
        self.source = source
        if not self._triplets:
            raise DataError(f"{source}: no triplets; expected at least one [[triplets]] table")
        seen: set[str] = set()
        for triplet in self._triplets:
            if triplet.id in seen:
                raise DataError(f"{source}: two triplets have the id {triplet.id!r}")
            seen.add(triplet.id)

    @classmethod
    def load(cls, families: Sequence[str] | None = None) -> Bank:
        """Load the bank that ships with Telic, all of it or only some families.

        Raises:
            ConfigError: there is no such family.
        """
        for family in families or ():
            if family not in FAMILIES:
                raise ConfigError(f"unknown family {family!r}{suggest(family, list(FAMILIES))}")
        folder = _data()
        triplets = [t for family in families or FAMILIES for t in _read(folder / f"{family}.toml", family)]
        return cls(triplets, "the bank that ships with Telic")

    @classmethod
    def from_file(cls, path: str | Path, *, trust: bool = False) -> Bank:
        """Load the user's own bank.

        The file has a `[[triplets]]` table for each triplet, with the keys `id`, `system`, `ask` and `judge`, and
        optionally `family`, `demand`, `every_reply`, `good` and `bad`. A `family`, `demand` or `every_reply` at the top
        of the file is the default of all triplets.

        Args:
            path: the file.
            trust: whether its judges may call functions in the Python files beside it.

        Raises:
            DataError: the file cannot be read, or an entry is wrong; the message names the file and the line.
        """
        return cls(_read(Path(path), "custom", Path(path).resolve().parent if trust else None), str(path))

    @classmethod
    def find(cls, name: str, *, trust: bool = False) -> Bank:
        """Load a bank that ships with Telic, by its name, or else the user's own, by its path.

        Args:
            name: the name or the path.
            trust: see `from_file`.

        Raises:
            ConfigError: no bank has this name, and there is no such file.
            DataError: the file cannot be read, or an entry is wrong.
        """
        if name == "own":
            return cls.load()
        if name in BANKS:
            return cls(_read(_data() / f"{name}.toml", name), f"the bank {name!r} that ships with Telic")
        if not Path(name).exists() and not Path(name).suffix:
            raise ConfigError(f"unknown bank {name!r}{suggest(name, list(BANKS))}, or the path of a TOML file")
        return cls.from_file(name, trust=trust)

    @property
    def families(self) -> tuple[str, ...]:
        """The families, in the order of their first triplets."""
        return tuple(dict.fromkeys(triplet.family for triplet in self))

    def of(self, *families: str) -> Bank:
        """Select the triplets of these families.

        Raises:
            ConfigError: the bank has no such family.
        """
        for family in families:
            if family not in self.families:
                raise ConfigError(f"{self.source} has no family {family!r}{suggest(family, list(self.families))}")
        return Bank((triplet for triplet in self if triplet.family in families), self.source)

    def sample(self, n: int, seed: int, families: Sequence[str] | None = None) -> Bank:
        """Draw `n` different triplets, as evenly over the families as their sizes allow.

        Raises:
            ConfigError: `n` is less than 1 or more than there are, or there is no such family.
        """
        pool = self if families is None else self.of(*families)
        if not 1 <= n <= len(pool):
            raise ConfigError(f"cannot draw triplets from {self.source}: n is {n!r}; expected 1 to {len(pool)}")
        remaining = pool._shuffled_families(random.Random(seed))
        drawn: list[Triplet] = []
        while len(drawn) < n:
            drawn += [family.pop() for family in remaining]
            remaining = [family for family in remaining if family]
        return Bank(drawn[:n], self.source)

    def pairs(self, n: int, seed: int) -> list[tuple[Triplet, Triplet]]:
        """Draw `n` pairs of different triplets: the two sides of `n` dialogues.

        All triplets are drawn before one is drawn again, so that their numbers of uses differ by one at most.

        Raises:
            ConfigError: `n` is negative, or the bank has a single triplet.
        """
        if n < 0:
            raise ConfigError(f"cannot draw pairs from {self.source}: n is {n!r}; expected 0 or more")
        if len(self) < 2:
            raise ConfigError(f"cannot draw pairs from {self.source}: it has 1 triplet; expected 2 or more")
        rng = random.Random(seed)
        drawn: list[Triplet] = []
        while len(drawn) < 2 * n:
            shuffled = rng.sample(self._triplets, len(self))
            if len(drawn) % 2 and drawn[-1] is shuffled[0]:  # they would make a pair
                shuffled[0], shuffled[1] = shuffled[1], shuffled[0]
            drawn += shuffled
        return [(drawn[2 * i], drawn[2 * i + 1]) for i in range(n)]

    def split(self, fraction: float, seed: int) -> tuple[Bank, Bank]:
        """Split into a tuning part and a held-out part, with the same families but no system prompt in both.

        Args:
            fraction: share of each family's system prompts that goes into the tuning part, rounded to whole ones.
            seed: of the shuffle within each family.

        Raises:
            ConfigError: `fraction` is not between 0 and 1, or leaves a family without a triplet in one part.
        """
        tuning: list[Triplet] = []
        held_out: list[Triplet] = []
        for family in self._shuffled_families(random.Random(seed)):
            by_system: dict[str, list[Triplet]] = {}
            for triplet in family:
                by_system.setdefault(triplet.system, []).append(triplet)
            systems = list(by_system.values())
            size = round(fraction * len(systems)) if 0 < fraction < 1 else 0
            if not 0 < size < len(systems):
                raise ConfigError(
                    f"cannot split a share of {fraction!r} off family {family[0].family!r} of {self.source}, which has "
                    f"{len(systems)} system prompts; expected at least one in each part"
                )
            tuning += [triplet for same in systems[:size] for triplet in same]
            held_out += [triplet for same in systems[size:] for triplet in same]
        return Bank(tuning, f"{self.source} (tuning)"), Bank(held_out, f"{self.source} (held out)")

    def _shuffled_families(self, rng: random.Random) -> list[list[Triplet]]:
        """Shuffle the triplets of each family, and the families, so that a small sample favours none."""
        shuffled = []
        for family in rng.sample(self.families, len(self.families)):
            triplets = [triplet for triplet in self if triplet.family == family]
            shuffled.append(rng.sample(triplets, len(triplets)))
        return shuffled

    @overload
    def __getitem__(self, index: int) -> Triplet: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Triplet]: ...
    def __getitem__(self, index: int | slice) -> Triplet | Sequence[Triplet]:
        return self._triplets[index]

    def __len__(self) -> int:
        return len(self._triplets)

    def __iter__(self) -> Iterator[Triplet]:
        return iter(self._triplets)

    def __repr__(self) -> str:
        return f"Bank({len(self)} triplets of {', '.join(self.families)})"


def openers() -> list[str]:
    """Return the topic openers: what the first side of a dialogue says first."""
    table, _ = _parse(_data() / "openers.toml")
    return [str(text) for text in table["openers"]]


def _data() -> Traversable:
    return resources.files("telic.stability") / "data"


def _parse(path: Traversable | Path) -> tuple[dict[str, Any], TomlSource]:
    try:
        return parse(decode(path.read_bytes(), str(path)), str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ConfigError as error:
        raise DataError(str(error)) from None


def _read(path: Traversable | Path, family: str, trusted: Path | None = None) -> list[Triplet]:
    """Read a bank file. Every judge is built once, so that a wrong one is found before anything is played."""
    table, source = _parse(path)
    shared = {"family": family} | {key: table.pop(key) for key in ("family", "demand", "every_reply") if key in table}
    entries = table.pop("triplets", [])
    problems: list[tuple[KeyPath, str]] = [
        ((key,), "unknown key; expected family, demand, every_reply and [[triplets]] tables") for key in table
    ]
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        problems.append((("triplets",), f"found {entries!r}, expected [[triplets]] tables"))
        entries = []
    triplets = []
    for index, entry in enumerate(entries):
        place: KeyPath = ("triplets", index)
        try:
            triplet = Triplet.model_validate({**shared, **entry})
            triplet._trusted_folder = trusted
            triplet.build_judge()
        except ValidationError as error:
            problems += [((*place, *found["loc"]), found["msg"]) for found in error.errors()]
        except (JudgeError, ConfigError) as error:
            problems.append(((*place, "judge"), str(error)))
        else:
            triplets.append(triplet)
    if problems:
        raise DataError(str(source.error(problems)))
    return triplets
