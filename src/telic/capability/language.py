"""Language health: what is left of the model's way of speaking when a control bends it, on neutral prompts."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from telic.capability.change import Change
from telic.capability.config import CostConfig
from telic.capability.scoring import Scorer, prompt
from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import Control
from telic.models.request import Continuation, Reply, Request, Sampling
from telic.statistics import Interval, bootstrap_mean

if TYPE_CHECKING:
    import torch

__all__ = [
    "LanguageHealth",
    "Spoken",
    "UncontrolledLanguage",
    "distinct",
    "language_baseline",
    "language_health",
    "neutral_prompts",
]

MAX_BYTES = 2**28
"""Of all distributions that are kept to compare with: 256 MiB hold 27 tokens of each of 24 replies where the
vocabulary has 100,000."""

OnProgress = Callable[[int, int], None]
"""Told how many prompts are done, and of how many."""


class LanguageHealth(BaseModel):
    """How a model speaks under controls. Intervals are 95 % bootstrap intervals over the prompts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kl: Interval
    """KL(uncontrolled || controlled) of the next token, nats a token, along the uncontrolled replies."""
    perplexity: Interval
    """Of the controlled replies under the uncontrolled model: geometric mean over the prompts."""
    perplexity_ratio: Interval
    """The same over that of the uncontrolled replies, paired by prompt. Above 1: the model would not have said it.
    Below 1 is no virtue: a model that repeats itself is easy to predict."""
    distinct1: Change
    """Share of a reply's words that are different ones."""
    distinct2: Change
    """Share of a reply's pairs of neighbouring words that are different ones."""
    length: Change
    """Tokens of a reply."""


@dataclass(frozen=True)
class Spoken:
    """The replies to the prompts, and what is measured on each; None where it cannot be."""

    replies: tuple[Reply, ...]
    surprise: list[float | None]
    """Negative log-likelihood a token under the uncontrolled model, in nats."""

    @property
    def lengths(self) -> list[float | None]:
        """Tokens."""
        return [None if reply.finish == "error" else float(reply.new_tokens) for reply in self.replies]

    def distinct(self, n: int) -> list[float | None]:
        """Distinct-n of each reply."""
        return [None if reply.finish == "error" else distinct(reply.text, n) for reply in self.replies]


@dataclass(frozen=True)
class UncontrolledLanguage:
    """How the model speaks without controls: computed once, compared with many times."""

    prompts: tuple[tuple[Message, ...], ...]
    spoken: Spoken
    distributions: list[torch.Tensor | None]
    """Along each reply, float32 [T, V] log-probabilities; None for an empty reply."""


def neutral_prompts() -> list[str]:
    """Return the 24 short user prompts that ship with Telic."""
    text = (resources.files("telic.capability") / "data" / "prompts.toml").read_text(encoding="utf-8")
    return [str(one) for one in tomllib.loads(text)["prompts"]]


def language_baseline(
    model: Scorer,
    prompts: Sequence[str],
    system: str | None,
    history: Sequence[Message],
    config: CostConfig,
    on_progress: OnProgress | None = None,
) -> UncontrolledLanguage:
    """Let the model speak without controls, and keep its next-token distributions.

    Raises:
        ConfigError: there are no prompts.
    """
    from telic.capability.divergence import record

    if not prompts:
        raise ConfigError("there are no prompts to speak on; give at least one")
    asked = tuple(prompt(system, history, question) for question in prompts)
    spoken = _speak(model, asked, (), config)
    distributions: list[torch.Tensor | None] = []
    for messages, reply in zip(asked, spoken.replies, strict=True):
        share = MAX_BYTES // len(asked)
        distributions.append(
            record(model, messages, reply.text, limit=config.kl_tokens, max_bytes=share) if reply.text else None
        )
        _tell(on_progress, distributions, asked)
    return UncontrolledLanguage(asked, spoken, distributions)


def language_health(
    model: Scorer,
    unbent: UncontrolledLanguage,
    controls: Sequence[Control],
    config: CostConfig,
    on_progress: OnProgress | None = None,
) -> LanguageHealth:
    """Let the model speak under controls, and compare. Without controls the baseline is compared with itself."""
    from telic.capability.divergence import divergence

    spoken = _speak(model, unbent.prompts, controls, config) if controls else unbent.spoken
    kl: list[float | None] = []
    for messages, reply, reference in zip(unbent.prompts, unbent.spoken.replies, unbent.distributions, strict=True):
        if reference is None or not controls:
            kl.append(None if reference is None else 0.0)
        else:
            kl.append(divergence(model, messages, reply.text, controls, reference))
        _tell(on_progress, kl, unbent.prompts)
    how: dict[str, Any] = {"resamples": config.resamples, "seed": config.seed}
    surprise = Change.of(spoken.surprise, unbent.spoken.surprise, **how)
    return LanguageHealth(
        kl=bootstrap_mean(kl, **how),
        perplexity=_exponential(surprise.controlled),
        perplexity_ratio=_exponential(surprise.difference),
        distinct1=Change.of(spoken.distinct(1), unbent.spoken.distinct(1), **how),
        distinct2=Change.of(spoken.distinct(2), unbent.spoken.distinct(2), **how),
        length=Change.of(spoken.lengths, unbent.spoken.lengths, **how),
    )


def distinct(text: str, n: int) -> float | None:
    """Different n-grams of words over all n-grams (Li et al. 2016, arXiv 1510.03055); None where there are none.

    It falls with the length of a text, so that it compares texts of about the same length only.
    """
    words = re.findall(r"\w+", text.lower())
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def _speak(
    model: Scorer, asked: Sequence[tuple[Message, ...]], controls: Sequence[Control], config: CostConfig
) -> Spoken:
    requests = [
        Request(
            messages,
            Sampling(
                max_new_tokens=config.reply_tokens,
                temperature=config.temperature,
                top_p=config.top_p,
                # The same random numbers with and without controls: what differs is what the controls do.
                seed=config.seed * len(asked) + index,
            ),
            tuple(controls),
        )
        for index, messages in enumerate(asked)
    ]
    replies = tuple(model.generate(requests))
    said = [index for index, reply in enumerate(replies) if reply.text and reply.finish != "error"]
    scores = model.score([Continuation(asked[index], replies[index].text) for index in said])
    surprise: list[float | None] = [None] * len(replies)
    for index, score in zip(said, scores, strict=True):
        surprise[index] = -score.logprob / score.tokens
    return Spoken(replies, surprise)


def _exponential(interval: Interval) -> Interval:
    """From log-likelihood to perplexity; the interval goes along, since the exponential keeps the order."""
    value, low, high = (None if x is None else math.exp(x) for x in (interval.value, interval.low, interval.high))
    return Interval(value, low, high, interval.n, interval.missing)


def _tell(on_progress: OnProgress | None, done: Sequence[object], whole: Sequence[object]) -> None:
    if on_progress is not None:
        on_progress(len(done), len(whole))
