"""Language health: how a control changes the language of a model's replies, on neutral prompts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from telic.capability.change import Change
from telic.capability.config import CostConfig
from telic.capability.scoring import question_prompt
from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.capabilities import Scorer
from telic.models.control import Control
from telic.models.request import Continuation, Reply, Request, Sampling
from telic.statistics import Interval, bootstrap_mean

if TYPE_CHECKING:
    import torch

__all__ = [
    "LanguageHealth",
    "MeasuredReplies",
    "UncontrolledLanguage",
    "distinct",
    "language_baseline",
    "language_health",
    "neutral_prompts",
]

MAX_BYTES = 2**28
"""Size of all kept distributions: with a vocabulary of 100,000, 256 MiB hold 27 tokens of each of 24 replies."""

OnProgress = Callable[[int, int], None]
"""Called with the number of prompts done, and of all prompts."""


class LanguageHealth(BaseModel):
    """The language of a model under controls. Intervals are 95 % bootstrap intervals over the prompts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kl: Interval
    """KL(uncontrolled || controlled) of the next token, in nats per token, along the uncontrolled replies."""
    perplexity: Interval
    """Of the controlled replies under the uncontrolled model: geometric mean over the prompts."""
    perplexity_ratio: Interval
    """Perplexity over that of the uncontrolled replies, paired by prompt. Above 1, the replies are unlikely for the
    model. Below 1 is not a merit: a model that repeats itself is easy to predict."""
    distinct1: Change
    """Share of different words among a reply's words."""
    distinct2: Change
    """Share of different pairs among a reply's pairs of neighbouring words."""
    length: Change
    """Tokens of a reply."""


@dataclass(frozen=True)
class MeasuredReplies:
    """The replies to the prompts, with a measurement of each; None if it cannot be measured."""

    replies: tuple[Reply, ...]
    surprise: list[float | None]
    """Negative log-likelihood per token under the uncontrolled model, in nats."""

    @property
    def lengths(self) -> list[float | None]:
        """Tokens."""
        return [None if reply.finish == "error" else float(reply.new_tokens) for reply in self.replies]

    def distinct(self, n: int) -> list[float | None]:
        """Distinct-n of each reply."""
        return [None if reply.finish == "error" else distinct(reply.text, n) for reply in self.replies]


@dataclass(frozen=True)
class UncontrolledLanguage:
    """The language of the model without controls: measured once, compared with many times."""

    prompts: tuple[tuple[Message, ...], ...]
    replies: MeasuredReplies
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
    """Generate replies without controls, and keep their next-token distributions.

    Raises:
        ConfigError: there are no prompts.
    """
    from telic.capability.divergence import record_distributions

    if not prompts:
        raise ConfigError("there are no prompts; give at least one")
    asked = tuple(question_prompt(system, history, question) for question in prompts)
    measured = _generate(model, asked, (), config)
    distributions: list[torch.Tensor | None] = []
    for messages, reply in zip(asked, measured.replies, strict=True):
        share = MAX_BYTES // len(asked)
        found = None
        if reply.text:
            found = record_distributions(model, messages, reply.text, limit=config.kl_tokens, max_bytes=share)
        distributions.append(found)
        _report(on_progress, distributions, asked)
    return UncontrolledLanguage(asked, measured, distributions)


def language_health(
    model: Scorer,
    baseline: UncontrolledLanguage,
    controls: Sequence[Control],
    config: CostConfig,
    on_progress: OnProgress | None = None,
) -> LanguageHealth:
    """Generate replies under controls, and compare. Without controls the baseline is compared with itself."""
    from telic.capability.divergence import kl_divergence

    uncontrolled = baseline.replies
    controlled = _generate(model, baseline.prompts, controls, config) if controls else uncontrolled
    kl: list[float | None] = []
    for messages, reply, reference in zip(baseline.prompts, uncontrolled.replies, baseline.distributions, strict=True):
        if reference is None or not controls:
            kl.append(None if reference is None else 0.0)
        else:
            kl.append(kl_divergence(model, messages, reply.text, controls, reference))
        _report(on_progress, kl, baseline.prompts)
    how: dict[str, Any] = {"resamples": config.resamples, "seed": config.seed}
    surprise = Change.of(controlled.surprise, uncontrolled.surprise, **how)
    return LanguageHealth(
        kl=bootstrap_mean(kl, **how),
        perplexity=surprise.controlled.exp(),
        perplexity_ratio=surprise.difference.exp(),
        distinct1=Change.of(controlled.distinct(1), uncontrolled.distinct(1), **how),
        distinct2=Change.of(controlled.distinct(2), uncontrolled.distinct(2), **how),
        length=Change.of(controlled.lengths, uncontrolled.lengths, **how),
    )


def distinct(text: str, n: int) -> float | None:
    """Compute different n-grams of words over all n-grams (Li et al. 2016, arXiv 1510.03055); None if there are none.

    It falls with the length of a text, so only texts of about the same length can be compared.
    """
    words = re.findall(r"\w+", text.lower())
    grams = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else None


def _generate(
    model: Scorer, asked: Sequence[tuple[Message, ...]], controls: Sequence[Control], config: CostConfig
) -> MeasuredReplies:
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
    return MeasuredReplies(replies, surprise)


def _report(on_progress: OnProgress | None, done: Sequence[object], whole: Sequence[object]) -> None:
    if on_progress is not None:
        on_progress(len(done), len(whole))
