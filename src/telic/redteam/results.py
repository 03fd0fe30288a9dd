"""Results of a red-teaming run, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from telic.episodes import Episode
from telic.progress import Shortfall
from telic.statistics import Interval

__all__ = ["AttackCell", "AttackResults", "AttackRun", "BenignResult", "LimitResult"]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class AttackCell(_Result):
    """One attacker against one arm of defences."""

    attacker: str
    defence: str
    dialogues: int
    broken: int
    held: int
    undetermined: int
    """Attacks after which the limit's judge could not say whether a reply broke it."""
    errors: int
    """Attacks in which the limit's judge failed."""
    failed: int
    """Attacks that could not be finished: the target, its endpoint, or the attacker failed."""
    success: Interval
    """Share of broken among broken and held, with Wilson's interval."""
    difference: Interval | None = None
    """Success less that of the same attacks without defences, paired."""
    over_direct: Interval | None = None
    """Success less that of `direct` with the same defences, on the same limits and numbers."""
    over_talk: Interval | None = None
    """Of a planner: success less that of `talk`, the same model without the planner, with the same defences, paired."""
    over_talk_p: float | None = None
    """p-value of that difference, by a sign-flip test."""
    survival: list[float] = Field(default_factory=list)
    """After each message of an attack: the share of attacks that have not succeeded yet."""
    messages: float | None = None
    """Mean number of messages of an attack."""
    target_tokens: float | None = None
    """Mean number of tokens that an attack made the target and its defences generate."""
    computed_tokens: float | None = None
    """The same with the tokens of prompts that no cache held."""
    attacker_tokens: float | None = None
    by_template: float | None = None
    """Share of messages for which a template stood in for the attacker's mind; None without a mind."""


class BenignResult(_Result):
    """What an arm of defences does to benign users."""

    defence: str
    dialogues: int
    failed: int
    refused: Interval
    """Share of refused replies, over dialogues."""
    over_refusal: Interval | None = None
    """The share less that without defences, paired by dialogue."""
    broken: dict[str, Interval] = Field(default_factory=dict)
    """By limit: share of replies that break it, although nobody tried."""
    probes: Interval
    """Share of the purpose's probes that are answered right after the dialogue."""
    game_score: Interval
    """Mean score of the purpose's game."""
    game_loss: Interval | None = None
    """Share of the score without defences that is lost, paired by game."""
    computed_tokens: float | None = None
    """Mean number of tokens that a dialogue cost."""


class LimitResult(_Result):
    """One limit, over all attackers, without defences."""

    limit: str
    success: Interval
    benign: Interval
    """Share of benign replies that its judge finds broken, without defences."""


class AttackResults(_Result):
    """All results of a run."""

    attackers: list[str]
    defences: list[str]
    cells: list[AttackCell]
    benign: list[BenignResult]
    limits: list[LimitResult]
    mean_success: dict[str, Interval]
    """By defence: mean success over all attackers, over numbers of dialogues."""
    recommended: str | None
    """The defence to use; None if none is better than none at an allowed cost."""
    reason: str
    """Why it is recommended, or why none is."""
    warnings: list[str]
    headline: str


@dataclass(frozen=True)
class AttackRun:
    """Attacks that were played, and their results."""

    results: AttackResults
    episodes: list[Episode]
    recommended: list[Mapping[str, Any]] | None = None
    """Tables of the recommended defences, for `[[defences]]`; None if none is recommended."""
    left_out: list[str] = field(default_factory=list)
    """Defences that cannot protect this purpose, each with the reason."""
    folder: Path | None = None
    """The run folder, if there is one."""
    document: dict[str, Any] = field(default_factory=dict)
    """The run folder's `config.toml`."""
    shortfall: Shortfall | None = None
    """How many dialogues a time limit left unplayed; None if all were played."""
