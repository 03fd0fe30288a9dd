"""What an elicitation game is about: the slots that a customer has wishes for, and how it talks. One TOML file each.

A file of your own has the keys `name`, `agent` (the agent's task, in two or three sentences), `customer` (who the
customer is), `openers`, perhaps `small_talk`, a `[[slots]]` table for every slot and perhaps `[[rules]]` of the role.
`telic/games/data/elicitation_travel.toml` is one to start from.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from telic.errors import ConfigError, JudgeError
from telic.games.elicitation_questions import Reader, compile_cue
from telic.judges import Judge, build_judge
from telic.judges.rules import normalise
from telic.registry import suggest
from telic.toml_source import KeyPath, TomlSource, decode, parse

__all__ = ["Domain", "Lines", "Rule", "Slot", "load_domain", "shipped_domains"]

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]

HELD_OUT = 4
"""Of so many phrasings one is kept for the test split; where there are fewer, both splits share them all."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Slot(_Part):
    """One thing that the customer knows and the agent does not."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_ -]*$")]
    """As it is written in a proposal."""
    label: Text
    """As the customer calls it: "I do not mind about {label}."."""
    values: Annotated[tuple[Text, ...], Field(min_length=2)]
    """What a customer may wish."""
    cues: Texts
    """Phrases that show that a question asks for it; see `telic.games.elicitation_questions`."""
    questions: Texts
    """Questions that ask for it and for nothing else. They are checked against the cues, and the oracle asks them."""
    answers: Texts
    """How a customer words its wish; each has `{value}` in it."""

    @field_validator("values")
    @classmethod
    def _values_are_distinct(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        plain = [normalise(value) for value in values]
        for value in values:
            if plain.count(normalise(value)) > 1:
                raise ValueError(f"{value!r} is there twice")
            if ";" in value or "\n" in value or "{" in value:
                raise ValueError(f"{value!r} has a semicolon, a brace or a line break, which a proposal cannot hold")
        return values

    @field_validator("answers")
    @classmethod
    def _answers_have_a_place(cls, answers: tuple[str, ...]) -> tuple[str, ...]:
        for answer in answers:
            if answer.count("{") != 1 or "{value}" not in answer:
                raise ValueError(f"{answer!r} has to have {{value}} in it, once, and no other brace")
        return answers

    @field_validator("cues")
    @classmethod
    def _cues_compile(cls, cues: tuple[str, ...]) -> tuple[str, ...]:
        for cue in cues:
            try:
                compile_cue(cue)
            except ValueError as error:
                raise ValueError(f"the cue {cue!r} cannot be read: {error}") from None
        return cues


class Rule(_Part):
    """What the agent's role forbids."""

    id: Text
    text: Text
    """The rule, as the agent is told it."""
    breach: dict[str, Any]
    """A judge that gives more than 0.5 to an utterance that breaks the rule."""
    effect: Literal["forfeit", "end"] = "forfeit"
    """The customer objects and answers nothing this round; or it leaves."""
    objection: Text
    """What the customer says to it."""

    @cached_property
    def judge(self) -> Judge:
        """The judge of a breach."""
        return build_judge(self.breach)

    def broken_by(self, utterance: str) -> bool:
        """Whether an utterance breaks the rule. A judge that cannot decide has not found a breach."""
        value = self.judge.judge(utterance).value
        return value is not None and value > 0.5


class Lines(_Part):
    """What any customer says besides its answers; a domain may have its own."""

    again: Texts
    """To a question that was answered before; `{value}` is the answer."""
    one_at_a_time: Texts
    """After the answers, where more was asked than it answers at once."""
    questionnaire: Texts
    """To a list of questions, which it does not answer."""
    indifferent: Texts
    """To a question about a slot without a wish; `{label}` is the slot."""
    not_understood: Texts
    """To a question that is about none of the slots."""
    told_enough: Texts
    """To open questions, once they bring nothing more."""
    to_suggestion: Texts
    """To an offer or a suggestion."""
    to_statement: Texts
    """To what asks nothing."""


class Domain(_Part):
    """A domain of the elicitation game."""

    name: Text
    agent: Text
    """The agent's task, in plain sentences, as for the system prompt of a small model."""
    customer: Text
    """Who the customer is, for a player who plays it."""
    openers: Texts
    """What the customer says first; it gives no wish away."""
    small_talk: tuple[Text, ...] = ()
    """What a talkative customer adds; it gives no wish away either."""
    open_cues: tuple[Text, ...] = ()
    """Further cues of open questions."""
    slots: Annotated[tuple[Slot, ...], Field(min_length=1)]
    rules: tuple[Rule, ...] = ()
    lines: Lines

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Domain:
        for kind, names in (("slots", [s.name for s in self.slots]), ("rules", [rule.id for rule in self.rules])):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"two {kind} are called {twice[0]!r}")
        return self

    @cached_property
    def reader(self) -> Reader:
        """Reads the agent's utterances."""
        return Reader({slot.name: slot.cues for slot in self.slots}, self.open_cues)

    @cached_property
    def by_name(self) -> dict[str, Slot]:
        """The slots by name."""
        return {slot.name: slot for slot in self.slots}

    @property
    def task(self) -> str:
        """The agent's task and the rules of its role."""
        return "\n".join([self.agent, *(rule.text for rule in self.rules)])


def phrasings(texts: tuple[str, ...], split: str) -> tuple[str, ...]:
    """Those of the texts that belong to a split: the last quarter to `test`, the others to `train`."""
    held_out = len(texts) // HELD_OUT
    if split == "all" or not held_out:
        return texts
    return texts[-held_out:] if split == "test" else texts[:-held_out]


def shipped_domains() -> tuple[str, ...]:
    """Names of the domains that ship with Telic."""
    names = (item.name for item in _data().iterdir())
    found = (name for name in names if name.startswith("elicitation_") and name.endswith(".toml"))
    return tuple(sorted(name[12:-5] for name in found if name != "elicitation_lines.toml"))


def load_domain(domain: str | Path) -> Domain:
    """Load a domain: one that ships with Telic by its name, your own by the path of its `.toml` file.

    Raises:
        ConfigError: there is none of this name, or the file is wrong; the message names the file and the line.
    """
    text = str(domain)
    if text.endswith(".toml") or "/" in text:
        path = Path(text)
        try:
            return _read(path.read_bytes(), text)
        except OSError as error:
            raise ConfigError(f"domain {text!r} cannot be read: {error.strerror or error}") from error
    return _shipped(text)


@lru_cache
def _shipped(name: str) -> Domain:
    if name not in shipped_domains():
        hint = suggest(name, list(shipped_domains()))
        raise ConfigError(f"unknown domain {name!r}{hint}; a file of your own is given by its path, ending in .toml")
    file = _data() / f"elicitation_{name}.toml"
    return _read(file.read_bytes(), file.name)


@lru_cache
def _read(data: bytes, name: str) -> Domain:
    values, source = parse(decode(data, name), name)
    lines = values.get("lines", {})
    if isinstance(lines, dict):
        common, _ = parse((_data() / "elicitation_lines.toml").read_text(encoding="utf-8"), "elicitation_lines.toml")
        values["lines"] = common | lines
    try:
        domain = Domain.model_validate(values)
    except ValidationError as error:
        raise source.error((tuple(e["loc"]), _explain(dict(e))) for e in error.errors()) from None
    _check(domain, source)
    return domain


def _explain(error: dict[str, Any]) -> str:
    if error["type"] == "missing":
        return "missing"
    if error["type"] == "extra_forbidden":
        return "unknown key"
    return str(error["msg"]).removeprefix("Value error, ")


def _check(domain: Domain, source: TomlSource) -> None:
    """Find what only shows when the file is used: judges that cannot be built, cues that miss their own questions."""
    problems: list[tuple[KeyPath, str]] = []
    for i, rule in enumerate(domain.rules):
        try:
            _ = rule.judge
        except (ConfigError, JudgeError) as error:
            problems.append((("rules", i, "breach"), str(error)))
    for i, slot in enumerate(domain.slots):
        for j, question in enumerate(slot.questions):
            heard = domain.reader.read(question).slots
            if heard != (slot.name,):
                what = " and ".join(heard) or "nothing"
                problems.append((("slots", i, "questions", j), f"{question!r} is understood to ask for {what}"))
    for key, names in (("again", "{value}"), ("indifferent", "{label}")):
        for j, line in enumerate(getattr(domain.lines, key)):
            if line.replace(names, "").count("{"):
                problems.append((("lines", key, j), f"{line!r} has a brace other than {names}"))
    if problems:
        raise source.error(problems)


def _data() -> Traversable:
    return resources.files("telic.games") / "data"
