"""Characters, scenarios and pairs of the game `sotopia`, shipped or from upstream's public JSON.

Upstream's data (Zhou et al., arXiv 2310.11667) is a folder with three files. Each is a JSON list of objects, an object
that maps each `pk` to its entry, or JSON lines (`.jsonl`). Other fields are ignored.

- `agent_profiles.json`: `pk`, `first_name`, and optionally `last_name`, `age`, `occupation`, `gender`,
  `gender_pronoun`, `public_info`, `big_five`, `moral_values`, `schwartz_personal_values`, `personality_and_values`,
  `decision_making_style`, `secret`
- `environment_profiles.json`: `pk`, `scenario`, `agent_goals` (two), `relationship` (0 to 5), and optionally `codename`
- `env_agent_combos.json`: `env_id`, `agent_ids` (two)

A subset, such as the hard one (14 scenarios, 5 pairs each), is another file: a list of combos, as in upstream's
`benchmark_agents.json`, or a list of the `pk`s or codenames of its scenarios.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from telic.errors import DataError
from telic.registry import suggest

__all__ = ["Character", "Combo", "Environment", "Relationship", "SotopiaEntry", "World", "render", "shipped_world"]

FILES = ("agent_profiles", "environment_profiles", "env_agent_combos")


class Relationship(IntEnum):
    """How well two characters know each other."""

    STRANGER = 0
    KNOWN_BY_NAME = 1
    ACQUAINTANCE = 2
    FRIEND = 3
    ROMANTIC = 4
    FAMILY = 5


class SotopiaEntry(BaseModel):
    """The base class of the entries of the three files."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        """Drop nulls, which upstream writes for missing values."""
        return {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value


class Character(SotopiaEntry):
    """A character."""

    pk: str = Field(min_length=1)
    """Its id."""
    first_name: str = Field(min_length=1)
    last_name: str = ""
    age: int = 0
    """0 if unknown."""
    occupation: str = ""
    gender: str = ""
    gender_pronoun: str = ""
    public_info: str = ""
    """Information that an acquaintance knows."""
    big_five: str = ""
    moral_values: tuple[str, ...] = ()
    schwartz_personal_values: tuple[str, ...] = ()
    personality_and_values: str = ""
    decision_making_style: str = ""
    secret: str = ""
    """Information that only the character knows."""

    @property
    def name(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def public(self) -> str:
        """The part of the biography that an acquaintance knows."""
        traits = [str(self.age) if self.age else "", self.gender.lower(), self.occupation.lower(), self.gender_pronoun]
        head = ", ".join(filter(None, [self.name, *traits]))
        return " ".join(filter(None, [f"{head}.", self.public_info]))

    @property
    def biography(self) -> str:
        """Everything but the secret."""
        labelled = {
            "Personality": self.personality_and_values,
            "Big five": self.big_five,
            "Moral values": ", ".join(self.moral_values),
            "Personal values": ", ".join(self.schwartz_personal_values),
            "Way of deciding": self.decision_making_style,
        }
        parts = [f"{label}: {text.strip().rstrip('.')}." for label, text in labelled.items() if text.strip()]
        return " ".join([self.public, *parts])

    def seen_by(self, relationship: Relationship) -> str:
        """Return the part of the biography that somebody in this relationship knows."""
        if relationship == Relationship.STRANGER:
            return ""
        if relationship == Relationship.KNOWN_BY_NAME:
            return self.name
        return self.public if relationship == Relationship.ACQUAINTANCE else self.biography


class Environment(SotopiaEntry):
    """A scenario, with the goals of the two characters."""

    pk: str = Field(min_length=1)
    codename: str = ""
    scenario: str = Field(min_length=1)
    agent_goals: tuple[str, ...] = Field(min_length=2)
    """Goals of the character that begins and of the other; further goals are ignored."""
    relationship: Relationship = Relationship.STRANGER

    @model_validator(mode="after")
    def _no_broken_tags(self) -> Environment:
        # A malformed tag would reveal one character's text to the other.
        for text in (self.scenario, *self.agent_goals):
            if re.search(r"viewer\s*=", render(text, None)):
                raise ValueError(f"malformed viewer tags in {text[:60]!r}")
        return self


class Combo(SotopiaEntry):
    """Two characters who meet in an environment."""

    env_id: str
    agent_ids: tuple[str, str]


@dataclass(frozen=True, slots=True)
class World:
    """Characters, scenarios, and the pairs to play.

    Raises:
        DataError: an id occurs twice, a combo names an unknown id, or there are no combos.
    """

    characters: Mapping[str, Character]
    environments: Mapping[str, Environment]
    combos: tuple[Combo, ...]
    source: str

    @classmethod
    def make(
        cls, characters: Iterable[Character], environments: Iterable[Environment], combos: Iterable[Combo], source: str
    ) -> World:
        """Build a world and check the ids of its combos."""
        people, places = _by_pk(characters, source), _by_pk(environments, source)
        world = cls(people, places, tuple(combos), source)
        world._check(world.combos, source)
        return world

    @classmethod
    def from_folder(cls, folder: str | Path) -> World:
        """Read upstream's three files; see the module for their fields.

        Raises:
            DataError: a file is unreadable, or an entry is wrong. The message names the file and the entry.
        """
        paths = [_find(Path(folder), name) for name in FILES]
        characters, environments = _entries(paths[0], Character), _entries(paths[1], Environment)
        return cls.make(characters, environments, _entries(paths[2], Combo), str(folder))

    def subset(self, path: str | Path) -> World:
        """Return the world with only the combos or scenarios that a file lists.

        Raises:
            DataError: the file is unreadable or lists an unknown id.
        """
        path = Path(path)
        listed = _load(path)
        if isinstance(listed, list) and listed and all(isinstance(item, str) for item in listed):
            ids = {self._environment(name, str(path)).pk for name in listed}
            combos = tuple(combo for combo in self.combos if combo.env_id in ids)
        else:
            combos = tuple(_entries(path, Combo))
        self._check(combos, str(path))
        return replace(self, combos=combos, source=f"{self.source} ({path})")

    def scenario(self, name: str) -> World:
        """Return the world with only the combos of one scenario, by its `pk` or codename.

        Raises:
            DataError: the scenario is unknown.
        """
        pk = self._environment(name, self.source).pk
        combos = tuple(combo for combo in self.combos if combo.env_id == pk)
        self._check(combos, f"{self.source}: scenario {name!r}")
        return replace(self, combos=combos)

    def split(self, part: str) -> World:
        """Return the world with only the combos of one split; every fourth scenario belongs to `test`."""
        kept = {pk for index, pk in enumerate(self.environments) if (index % 4 == 3) == (part == "test")}
        combos = tuple(combo for combo in self.combos if combo.env_id in kept)
        self._check(combos, f"{self.source}: split {part!r}")
        return replace(self, combos=combos)

    def _environment(self, name: str, source: str) -> Environment:
        for environment in self.environments.values():
            if name in (environment.pk, environment.codename):
                return environment
        raise DataError(f"{source}: unknown scenario {name!r}{suggest(name, list(self.environments))}")

    def _check(self, combos: tuple[Combo, ...], source: str) -> None:
        if not combos:
            raise DataError(f"{source}: no pair of characters to play")
        for number, combo in enumerate(combos, start=1):
            for kind, known, pk in (
                ("environment", self.environments, combo.env_id),
                *(("character", self.characters, pk) for pk in combo.agent_ids),
            ):
                if pk not in known:
                    raise DataError(f"{source}: combo {number} names the {kind} {pk!r}, which is not in the data")


@cache
def shipped_world() -> World:
    """Return the world that ships with Telic: 12 characters, 12 scenarios, 24 pairs."""
    folder = resources.files("telic.games") / "data"
    characters = tomllib.loads((folder / "sotopia_characters.toml").read_text(encoding="utf-8"))["characters"]
    scenarios = tomllib.loads((folder / "sotopia_scenarios.toml").read_text(encoding="utf-8"))["scenarios"]
    combos = [Combo(env_id=entry["pk"], agent_ids=pair) for entry in scenarios for pair in entry["pairs"]]
    return World.make(
        map(Character.model_validate, characters),
        map(Environment.model_validate, scenarios),
        combos,
        "the scenarios that ship with Telic",
    )


def render(text: str, viewer: int | None) -> str:
    """Render a text for one of the two characters (0 or 1), or for the judge (None).

    Only the first character sees the content of `<tag viewer='agent_0'>...</tag>`. Other tags, such as
    `<strategy_hint>`, are removed and their content is kept.
    """

    def shown(found: re.Match[str]) -> str:
        meant = _VIEWER.search(found["attributes"])
        return found["content"] if viewer is None or not meant or meant[1] == f"agent_{viewer}" else ""

    while True:
        text, replaced = _TAG.subn(shown, text)
        if not replaced:
            return re.sub(r"[ \t]{2,}", " ", text).strip()


_TAG = re.compile(r"<(?P<tag>\w+)(?P<attributes>(?:\s[^<>]*)?)>(?P<content>[^<>]*)</(?P=tag)>")
_VIEWER = re.compile(r"viewer\s*=\s*['\"](\w+)['\"]")

E = TypeVar("E", Character, Environment)
M = TypeVar("M", bound=SotopiaEntry)


def _by_pk(entries: Iterable[E], source: str) -> dict[str, E]:
    found: dict[str, E] = {}
    for entry in entries:
        if found.setdefault(entry.pk, entry) is not entry:
            raise DataError(f"{source}: duplicate pk {entry.pk!r}")
    return found


def _find(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.json", folder / f"{name}.jsonl"):
        if path.is_file():
            return path
    raise DataError(f"{folder}: missing file {name}.json (or .jsonl); expected {', '.join(FILES)}")


def _load(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot read the file: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8: {error}") from error
    try:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from error


def _entries(path: Path, model: type[M]) -> list[M]:
    data = _load(path)
    if isinstance(data, dict):
        data = [{"pk": pk, **entry} if isinstance(entry, dict) else entry for pk, entry in data.items()]
    if not isinstance(data, list):
        raise DataError(f"{path}: expected a list of objects, found {type(data).__name__}")
    entries = []
    for number, entry in enumerate(data, start=1):
        name = repr(entry["pk"]) if isinstance(entry, dict) and "pk" in entry else "without a pk"
        try:
            entries.append(model.model_validate(entry))
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "entry"
            raise DataError(f"{path}: entry {number} ({name}): {place}: {first['msg']}") from error
    return entries
