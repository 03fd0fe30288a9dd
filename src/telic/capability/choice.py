"""Multiple choice by likelihood: the most likely option is the model's answer."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from telic.capability.config import Form, Normalise
from telic.capability.item_files import LETTERS
from telic.capability.items import Item
from telic.capability.scoring import question_prompt, require_scorer
from telic.dialogue import Message
from telic.errors import ConfigError, Failure, ModelError
from telic.models.base import Model
from telic.models.capabilities import Scorer
from telic.models.control import Control
from telic.models.request import Continuation, ScoredContinuation
from telic.statistics import Interval, bootstrap_mean

__all__ = ["NEUTRAL_EXCHANGE", "ChoiceAccuracy", "ItemResult", "choice_accuracy"]

NEUTRAL_EXCHANGE = (
    Message(role="user", content="Hello!"),
    Message(role="assistant", content="Hello! How can I help you today?"),
)
"""Earlier turns without content. Closed-loop controls act from the second turn on, so without them they would cost
nothing."""

TEXT_QUESTION = "Question: {question}\nAnswer in a few words."
LETTER_QUESTION = "Question: {question}\n{options}\nAnswer with the letter of the right option only."
CHUNK = 32  # items scored in one go: enough for full batches, few enough to report progress

OnProgress = Callable[[int, int], None]
"""Called with the number of items done, and of all items."""


class ItemResult(BaseModel):
    """How one item was answered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    subject: str
    correct: int | None
    """1 right, 0 wrong, None if it could not be asked."""
    probability: float | None
    """Probability of the right option among the options: softmax over their normalised log-likelihoods times the mean
    length."""
    chosen: int | None
    """Index of the most likely option; None if it could not be asked, or no option has a finite likelihood."""
    reason: str | None = None
    """Why it could not be asked."""


@dataclass(frozen=True, slots=True)
class _ScoredOptions:
    """The scores of an item's options, or the reason why there are none."""

    scores: Sequence[ScoredContinuation] = ()
    failure: Failure | None = None


class ChoiceAccuracy(BaseModel):
    """Accuracy on a multiple-choice set. Intervals are 95 % bootstrap intervals over the items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accuracy: Interval
    subjects: dict[str, Interval]
    """Accuracy by subject."""
    items: list[ItemResult]

    @property
    def correct(self) -> list[float | None]:
        """1 or 0 for each item, None if it is missing."""
        return [None if item.correct is None else float(item.correct) for item in self.items]

    @property
    def probabilities(self) -> list[float | None]:
        """Of the right option for each item, None if it is missing."""
        return [item.probability for item in self.items]


def choice_accuracy(
    model: Model,
    items: Sequence[Item],
    controls: Sequence[Control] = (),
    system: str | None = None,
    history: Sequence[Message] = (),
    *,
    form: Form = "text",
    normalise: Normalise = "characters",
    resamples: int = 2000,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> ChoiceAccuracy:
    """Ask every item under a system prompt and controls, as a deployed model would be asked.

    The most likely option is the model's answer. An option with the likelihood NaN is never chosen, so a control that
    breaks the model gets everything wrong. Items that do not fit in the model's context are missing.

    Args:
        model: one that scores replies: a local model.
        items: the questions, each asked in a dialogue of its own.
        controls: act on the model.
        system: the system prompt, which attention controls act on.
        history: earlier turns, such as `NEUTRAL_EXCHANGE`; without any, closed-loop controls do not act yet.
        form: `text` scores the options' texts as replies to the bare question; `letter` lists the options in the
            question and scores their letters.
        normalise: divides the log-likelihood. On the items that ship with Telic the bundled model gets 60 % right by
            characters, 59 % by none, 55 % by tokens (n = 225); by none, short options win.
        resamples: bootstrap resamples.
        seed: of the resampling.
        on_progress: called with the number of items done, and of all items.

    Raises:
        ConfigError: there are no items, or the history does not consist of whole exchanges.
        UnsupportedControlError: the model does not score replies.
        ModelError: the model failed, other than by a full context or NaN logits.
    """
    scorer = require_scorer(model)
    if not items:
        raise ConfigError("there are no items to ask; give at least one")
    results: list[ItemResult] = []
    for start in range(0, len(items), CHUNK):
        chunk = items[start : start + CHUNK]
        asked = [_continuations(item, system, history, form) for item in chunk]
        for item, texts, scored in zip(chunk, asked, _score(scorer, asked, controls), strict=True):
            results.append(_result(item, texts, scored, normalise))
        if on_progress is not None:
            on_progress(len(results), len(items))
    return _accuracy(results, resamples, seed)


def _accuracy(results: list[ItemResult], resamples: int, seed: int) -> ChoiceAccuracy:
    by_subject: defaultdict[str, list[float | None]] = defaultdict(list)
    for result in results:
        by_subject[result.subject].append(result.correct)
    return ChoiceAccuracy(
        accuracy=bootstrap_mean([r.correct for r in results], resamples=resamples, seed=seed, bounds=(0, 1)),
        subjects={
            subject: bootstrap_mean(correct, resamples=resamples, seed=seed, bounds=(0, 1))
            for subject, correct in by_subject.items()
        },
        items=results,
    )


def _continuations(item: Item, system: str | None, history: Sequence[Message], form: Form) -> list[Continuation]:
    if form == "text":
        question, replies = TEXT_QUESTION.format(question=item.question), list(item.options)
    else:
        listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, item.options, strict=False))
        question = LETTER_QUESTION.format(question=item.question, options=listed)
        replies = list(LETTERS[: len(item.options)])
    messages = question_prompt(system, history, question)
    return [Continuation(messages, reply) for reply in replies]


def _score(model: Scorer, asked: Sequence[Sequence[Continuation]], controls: Sequence[Control]) -> list[_ScoredOptions]:
    """Score the options of each item. An item that does not fit in the context has a failure instead of scores."""
    try:
        scores = model.score([continuation for texts in asked for continuation in texts], controls)
    except ModelError as error:
        if error.kind not in ("context_full", "nan_logits"):
            raise
        if len(asked) == 1 and error.kind == "context_full":
            return [_ScoredOptions(failure=error.failure)]
        if len(asked) == 1:  # the control broke the model, which is a wrong answer rather than a missing one
            return [_ScoredOptions([ScoredContinuation(math.nan, 1, False)] * len(asked[0]))]
        # One continuation fails its whole batch: find out which it is.
        return [found for texts in asked for found in _score(model, [texts], controls)]
    starts = itertools.accumulate((len(texts) for texts in asked), initial=0)
    return [_ScoredOptions(scores[start : start + len(texts)]) for start, texts in zip(starts, asked, strict=False)]


def _result(item: Item, texts: Sequence[Continuation], scored: _ScoredOptions, normalise: Normalise) -> ItemResult:
    if scored.failure is not None:
        return ItemResult(
            id=item.id,
            subject=item.subject,
            correct=None,
            probability=None,
            chosen=None,
            reason=scored.failure.detail,
        )
    scores = scored.scores
    lengths = {
        "none": [1.0] * len(texts),
        "tokens": [float(score.tokens) for score in scores],
        "characters": [float(len(text.text)) for text in texts],
    }[normalise]
    values = [score.logprob / length for score, length in zip(scores, lengths, strict=True)]
    usable = [value if math.isfinite(value) else -math.inf for value in values]
    best = max(usable)
    chosen = usable.index(best) if best > -math.inf else None
    # The mean length brings the values back to the scale of log-likelihoods, where a softmax makes sense.
    scale = sum(lengths) / len(lengths)
    weights = [math.exp(scale * (value - best)) if value > -math.inf else 0.0 for value in usable]
    return ItemResult(
        id=item.id,
        subject=item.subject,
        correct=int(chosen == item.answer),
        probability=weights[item.answer] / sum(weights) if chosen is not None else 0.0,
        chosen=chosen,
    )
