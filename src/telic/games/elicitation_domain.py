"""Domains of the elicitation game, one TOML file each: the customer's slots and phrasings, and the agent's rules.

A custom file has the keys `name`, `agent` (the agent's task, in two or three sentences), `customer` (who the
customer is), `openers`, perhaps `small_talk`, a `[[slots]]` table for every slot and perhaps `[[rules]]` of the role.
Start from `telic/games/data/elicitation_travel.toml`.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from telic.errors import ConfigError, JudgeError
from telic.games.elicitation_questions import QuestionParser, compile_cue
from telic.judges import Judge, build_judge
from telic.judges.rules import normalise
from telic.registry import suggest
from telic.toml_source import KeyPath, TomlSource, decode, parse

__all__ = ["Domain", "Lines", "RoleRule", "Slot", "load_domain", "shipped_domains"]

Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1)]

HELD_OUT = 4
"""One in four phrasings belongs to the test split. With fewer than four, both splits share all of them."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Slot(_Part):
    """One thing that the customer knows and the agent does not."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_ -]*$")]
    """Its name in a proposal."""
    label: Text
    """The customer's word for it: "I do not mind about {label}."."""
    values: Annotated[tuple[Text, ...], Field(min_length=2)]
    """Values that a customer may wish for."""
    cues: Texts
    """Phrases that mark a question as asking for this slot; see `telic.games.elicitation_questions`."""
    questions: Texts
    """Questions that ask for this slot only. Loading checks them against the cues, and the oracle asks them."""
    answers: Texts
    """Wordings of the wish; each contains `{value}`."""

    @field_validator("values")
    @classmethod
    def _values_are_distinct(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        plain = [normalise(value) for value in values]
        for value in values:
            if plain.count(normalise(value)) > 1:
                raise ValueError(f"duplicate value {value!r}")
            if ";" in value or "\n" in value or "{" in value:
                raise ValueError(f"{value!r} contains a semicolon, a brace or a line break; remove it")
        return values

    @field_validator("answers")
    @classmethod
    def _answers_have_a_place(cls, answers: tuple[str, ...]) -> tuple[str, ...]:
        for answer in answers:
            if answer.count("{") != 1 or "{value}" not in answer:
                raise ValueError(f"{answer!r} must contain {{value}} exactly once, and no other brace")
        return answers

    @field_validator("cues")
    @classmethod
    def _cues_compile(cls, cues: tuple[str, ...]) -> tuple[str, ...]:
        for cue in cues:
            try:
                compile_cue(cue)
            except ValueError as error:
                raise ValueError(f"malformed cue {cue!r}: {error}") from None
        return cues


class RoleRule(_Part):
    """A rule of the agent's role."""

    id: Text
    text: Text
    """The rule as the agent reads it."""
    breach: dict[str, Any]
    """A judge that scores an utterance above 0.5 if it breaks the rule."""
    effect: Literal["forfeit", "end"] = "forfeit"
    """`forfeit`: the customer objects and answers nothing this round. `end`: the customer leaves."""
    objection: Text
    """The customer's reply to a breach."""

    @cached_property
    def judge(self) -> Judge:
        """The judge that detects a breach."""
        return build_judge(self.breach)

    def broken_by(self, utterance: str) -> bool:
        """Return whether an utterance breaks the rule. A missing verdict counts as no breach."""
        value = self.judge.judge(utterance).value
        return value is not None and value > 0.5


class Lines(_Part):
    """The customer's lines besides its answers; a domain may override them."""

    again: Texts
    """Reply to a repeated question; `{value}` is the answer."""
    one_at_a_time: Texts
    """Added to the answers when a turn asked for more than the customer answers at once."""
    questionnaire: Texts
    """Reply to a list of questions, which the customer does not answer."""
    indifferent: Texts
    """Reply to a question about a slot without a wish; `{label}` is the slot."""
    not_understood: Texts
    """Reply to a question about no known slot."""
    told_enough: Texts
    """Reply to an open question once open questions elicit nothing more."""
    to_suggestion: Texts
    """Reply to an offer or a suggestion."""
    to_statement: Texts
    """Reply to an utterance that asks nothing."""


class Domain(_Part):
    """A domain of the elicitation game."""

    name: Text
    agent: Text
    """The agent's task, in plain sentences that a small model understands."""
    customer: Text
    """Who the customer is, for a player of that role."""
    openers: Texts
    """First utterances of the customer; they reveal no wish."""
    small_talk: tuple[Text, ...] = ()
    """Small talk that a talkative customer adds; it reveals no wish either."""
    open_cues: tuple[Text, ...] = ()
    """Additional cues of open questions."""
    slots: Annotated[tuple[Slot, ...], Field(min_length=1)]
    rules: tuple[RoleRule, ...] = ()
    lines: Lines

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Domain:
        for kind, names in (("slots", [s.name for s in self.slots]), ("rules", [rule.id for rule in self.rules])):
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"duplicate name {twice[0]!r} in {kind}")
        return self

    @cached_property
    def question_parser(self) -> QuestionParser:
        """The parser of the agent's utterances."""
        return QuestionParser({slot.name: slot.cues for slot in self.slots}, self.open_cues)

    @cached_property
    def by_name(self) -> dict[str, Slot]:
        """The slots by name."""
        return {slot.name: slot for slot in self.slots}

    @property
    def task(self) -> str:
        """The agent's task and the rules of its role."""
        return "\n".join([self.agent, *(rule.text for rule in self.rules)])


def phrasings(texts: tuple[str, ...], split: str) -> tuple[str, ...]:
    """Return the phrasings of a split: the last quarter is `test`, the rest is `train`."""
    held_out = len(texts) // HELD_OUT
    if split == "all" or not held_out:
        return texts
    return texts[-held_out:] if split == "test" else texts[:-held_out]


def shipped_domains() -> tuple[str, ...]:
    """Return the names of the domains that ship with Telic."""
    names = (item.name for item in _data().iterdir())
    found = (name for name in names if name.startswith("elicitation_") and name.endswith(".toml"))
    return tuple(sorted(name[12:-5] for name in found if name != "elicitation_lines.toml"))


def load_domain(domain: str | Path) -> Domain:
    """Load a domain by the name of a shipped one, or by the path of a `.toml` file.

    Raises:
        ConfigError: the name is unknown, or the file is wrong. The message names the file and the line.
    """
    text = str(domain)
    if text.endswith(".toml") or "/" in text:
        path = Path(text)
        try:
            return _read(path.read_bytes(), text)
        except OSError as error:
            raise ConfigError(f"cannot read domain {text!r}: {error.strerror or error}") from error
    return _shipped(text)


@lru_cache
def _shipped(name: str) -> Domain:
    if name not in shipped_domains():
        hint = suggest(name, list(shipped_domains()))
        raise ConfigError(f"unknown domain {name!r}{hint}; a custom domain is the path of a .toml file")
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
    """Check judges and cues: every judge builds, and every slot's questions ask for that slot alone."""
    problems: list[tuple[KeyPath, str]] = []
    for i, rule in enumerate(domain.rules):
        try:
            _ = rule.judge
        except (ConfigError, JudgeError) as error:
            problems.append((("rules", i, "breach"), str(error)))
    for i, slot in enumerate(domain.slots):
        for j, question in enumerate(slot.questions):
            heard = domain.question_parser.parse(question).slots
            if heard != (slot.name,):
                what = " and ".join(heard) or "nothing"
                problems.append(
                    (
                        ("slots", i, "questions", j),
                        f"{question!r} is parsed as asking for {what}; expected {slot.name} alone",
                    )
                )
    for key, names in (("again", "{value}"), ("indifferent", "{label}")):
        for j, line in enumerate(getattr(domain.lines, key)):
            if line.replace(names, "").count("{"):
                problems.append((("lines", key, j), f"{line!r} has a brace other than {names}"))
    if problems:
        raise source.error(problems)


def _data() -> Traversable:
    return resources.files("telic.games") / "data"
