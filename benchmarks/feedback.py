"""How well satisfaction is read from what users say: the detectors, a lexicon and VADER, on human-labelled dialogues.

    TELIC_TEST_DATA=FOLDER python -m benchmarks.feedback [--write | --judge MODEL]

Weights are fitted on the tuning parts of AB-ReDial (satisfaction with a reply), CaSiNo (satisfaction with a dialogue)
and PersuasionForGood (whether the person donated), and on the task dialogues of one author; the calibration on that of
AB-ReDial. Reported are the other parts, task dialogues of another author, and RealHumanEval (whether the programmer
copied the code), which nothing was fitted on. AUC separates satisfied (mean
rating above the middle) from dissatisfied (below it). Intervals are 95 % bootstrap intervals over dialogues or people.
`--write` stores the weights with their card as the ones that Telic ships. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.feedback_corpora import (
    READ_BEFORE,
    Labelled,
    abredial,
    casino,
    data_folder,
    persuasion,
    realhumaneval,
    task_dialogues,
)
from telic.capability.scoring import require_scorer
from telic.dialogue import Message
from telic.feedback.combination import Combination
from telic.feedback.conversation import Conversation, DialogueExchange
from telic.feedback.detection import evidence_by_reply
from telic.feedback.detectors import default_detectors
from telic.feedback.fitting import RatedExample, fit_combination
from telic.feedback.quality import area_under_roc, calibration_error, grouped_interval
from telic.models import load
from telic.models.capabilities import Scorer
from telic.models.request import Continuation

WEIGHTS = Path("src/telic/feedback/data/weights.json")
GOOD = frozenset(["thanks", "thank", "great", "good", "perfect", "love", "awesome", "excellent", "nice", "helpful"])
BAD = frozenset(["no", "not", "wrong", "bad", "hate", "terrible", "useless", "dont", "never", "sorry"])
CONTEXT = 0.3
"""Share of the evidence about the replies before and after a rated one."""
OTHERS = 0.3
"""Weight of a rated dialogue in the fit, against 1 of a rated reply."""
DECAY = 0.8
"""Weight of each reply against the next one, where a whole dialogue is scored."""

ReplyScorer = Callable[[Conversation], list[float]]
"""Scores each reply of a conversation."""


@dataclass(frozen=True)
class Case:
    """A rated reply, or a rated dialogue."""

    score: float
    satisfaction: float
    group: str


def conversations(corpus: Sequence[Labelled], *, tuning: bool) -> Iterator[tuple[Labelled, Conversation]]:
    for one in corpus:
        if one.for_tuning == tuning:
            yield one, Conversation(one.episode)


def rated_examples(corpus: Sequence[Labelled], name: str, weight: float) -> Iterator[RatedExample]:
    """The evidence about the rated replies and dialogues of the tuning part."""
    detectors = default_detectors()
    for one, conversation in conversations(corpus, tuning=True):
        found = evidence_by_reply(conversation, detectors)
        groups = [found[exchange.reply] for exchange in conversation.exchanges]
        for index, exchange in enumerate(conversation.exchanges):
            if exchange.reply in one.labels:
                near = {index: 1.0, index - 1: CONTEXT, index + 1: CONTEXT}
                pieces = [(near[i], piece) for i, group in enumerate(groups) if i in near for piece in group]
                yield RatedExample(pieces, one.labels[exchange.reply], one.group, name, weight)
        if -1 in one.labels:
            shares = DECAY ** np.arange(len(groups))[::-1]
            pieces = [(float(share), piece) for share, group in zip(shares, groups, strict=True) for piece in group]
            yield RatedExample(pieces, one.labels[-1], one.group, name, weight)


def cases(corpus: Sequence[Labelled], scorer: ReplyScorer, *, tuning: bool) -> list[Case]:
    """Score the rated replies; a rated dialogue by all its replies, the later ones more."""
    found = []
    for one, conversation in conversations(corpus, tuning=tuning):
        scores = scorer(conversation)
        for exchange, score in zip(conversation.exchanges, scores, strict=True):
            if exchange.reply in one.labels:
                found.append(Case(score, one.labels[exchange.reply], one.group))
        if -1 in one.labels and scores:
            weights = DECAY ** np.arange(len(scores))[::-1]
            found.append(Case(float(np.dot(weights, scores)), one.labels[-1], one.group))
    return [case for case in found if case.satisfaction != 0.5]


def lexicon(conversation: Conversation) -> list[float]:
    """Ten good words less ten bad ones in what the user said to each reply."""
    return [
        float(sum((word in GOOD) - (word in BAD) for word in re.findall(r"\w+", text.lower())))
        for text in answers(conversation)
    ]


def vader(conversation: Conversation) -> list[float]:
    """VADER's compound value of what the user said to each reply."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyser = SentimentIntensityAnalyzer()
    return [float(analyser.polarity_scores(text)["compound"]) for text in answers(conversation)]


def asked_of(model: Scorer) -> ReplyScorer:
    """A model as judge: the log-odds of its answering yes to whether the user is satisfied."""

    def score(conversation: Conversation) -> list[float]:
        asked = [
            Continuation((Message(role="user", content=question(conversation, exchange)),), text)
            for exchange in conversation.exchanges
            for text in ("Yes", "No")
        ]
        found = model.score(asked)
        return [yes.logprob - no.logprob for yes, no in zip(found[::2], found[1::2], strict=True)]

    return score


def question(conversation: Conversation, exchange: DialogueExchange) -> str:
    """Show the judge the request, the reply and the user's answer."""
    said = [*exchange.before[-1:], exchange.reply, *exchange.after[:1]]
    lines = [
        f"{'Assistant' if index == exchange.reply else 'User'}: {conversation.turns[index].text}" for index in said
    ]
    return "\n".join(["Read this dialogue.", *lines, "Is the user satisfied with the assistant? Answer Yes or No."])


def answers(conversation: Conversation) -> list[str]:
    return [" ".join(conversation.turns[i].text for i in exchange.after) for exchange in conversation.exchanges]


def detectors_with(combination: Combination) -> ReplyScorer:
    """The detectors, as log-odds."""
    detectors, bias = default_detectors(), combination.bias

    def score(conversation: Conversation) -> list[float]:
        found = evidence_by_reply(conversation, detectors)
        evidence = [combination.evidence(found[exchange.reply]) for exchange in conversation.exchanges]
        return [float(np.log(p / (1 - p))) - bias for p in combination.satisfaction(evidence)]

    return score


def auc(found: Sequence[Case]) -> Any:
    outcomes = [float(case.satisfaction > 0.5) for case in found]
    return grouped_interval(area_under_roc, [case.score for case in found], outcomes, [case.group for case in found])


def gain(own: Sequence[Case], rival: Sequence[Case]) -> Any:
    """The difference of two scorers' AUC on the same cases."""

    def difference(scores_N_2: Any, outcomes_N: Any) -> float:
        first, second = (area_under_roc(scores_N_2[:, column], outcomes_N) for column in (0, 1))
        return first - second

    scores = [(a.score, b.score) for a, b in zip(own, rival, strict=True)]
    outcomes = [float(case.satisfaction > 0.5) for case in own]
    return grouped_interval(difference, scores, outcomes, [case.group for case in own])


def calibration(found: Sequence[Case], bias: float) -> Any:
    probabilities = [1 / (1 + np.exp(-case.score - bias)) for case in found]
    outcomes = [float(case.satisfaction > 0.5) for case in found]
    return grouped_interval(calibration_error, probabilities, outcomes, [case.group for case in found])


def evaluate(combination: Combination, folder: Path, judge: str | None = None) -> dict[str, Any]:
    """Score every corpus with every scorer."""
    observed = [name for name in combination.weights if name.startswith("content.")]
    scorers: dict[str, ReplyScorer] = {
        "detectors": detectors_with(combination),
        "detectors without the reply's text": detectors_with(
            replace(combination, weights={**combination.weights, **dict.fromkeys(observed, 0.0)})
        ),
        "detectors, not fitted": detectors_with(Combination({})),
        "lexicon": lexicon,
        "vader": vader,
    }
    if judge is not None:
        scorers = {judge: asked_of(require_scorer(load(judge)))}
    unread = [one for one in abredial(folder) if one.group not in READ_BEFORE]
    corpora = {
        "task dialogues": task_dialogues("report"), "abredial": abredial(folder), "abredial, unread": unread,
        "persuasion": persuasion(folder),
        "casino": casino(folder), "realhumaneval": realhumaneval(folder),
    }  # fmt: skip
    if judge is not None:
        corpora = {"abredial": corpora["abredial"]}
    found: dict[str, Any] = {}
    for name, corpus in corpora.items():
        parts = (False, True) if name == "realhumaneval" else (False,)
        by_scorer: dict[str, list[Case]] = {}
        for scorer_name, scorer in scorers.items():
            scored = [case for part in parts for case in cases(corpus, scorer, tuning=part)]
            by_scorer[scorer_name] = scored
            result = auc(scored)
            bad = sum(case.satisfaction < 0.5 for case in scored)
            found.setdefault(name, {})[scorer_name] = as_json(result)
            print(f"{name:17} {scorer_name:35} AUC {result} (n = {len(scored)}, {bad} bad, groups = {result.n})")
        for rival in ("lexicon", "vader") if judge is None else ():
            more = gain(by_scorer["detectors"], by_scorer[rival])
            found[name][f"gain over {rival}"] = as_json(more)
            print(f"{name:17} {f'detectors, gain over {rival}':35} {more}")
    if judge is not None:
        return found
    error = calibration(cases(abredial(folder), scorers["detectors"], tuning=False), combination.bias)
    print(f"abredial          calibration error {error}")
    found["abredial"]["calibration error"] = as_json(error)
    return found


def as_json(found: Any) -> dict[str, Any]:
    values = {"value": found.value, "low": found.low, "high": found.high}
    return {**{key: None if value is None else round(value, 3) for key, value in values.items()}, "n": found.n}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write {WEIGHTS}")
    parser.add_argument("--judge", metavar="MODEL", help="instead, ask a model, of AB-ReDial alone")
    options = parser.parse_args()
    folder = data_folder()
    if folder is None:
        sys.exit("set TELIC_TEST_DATA to the folder that has feedback/abredial_turns.jsonl")
    if options.judge:
        print(json.dumps(evaluate(Combination.bundled(), folder, options.judge)))
        return
    rated = [
        *rated_examples(abredial(folder), "abredial", 1.0),
        *rated_examples(casino(folder), "casino", OTHERS),
        *rated_examples(persuasion(folder), "persuasion", OTHERS),
        *rated_examples(task_dialogues("tuning"), "task dialogues", OTHERS),
    ]
    combination = fit_combination(rated, "abredial", CONTEXT)
    figures = evaluate(combination, folder)
    if options.write:
        card = {
            "fitted on": "the tuning parts of AB-ReDial (calibration too), CaSiNo, PersuasionForGood and task "
            "dialogues that were written for it: English",
            "reported on": "the other parts, task dialogues by another author, and RealHumanEval",
            "figures": "AUC with 95 % intervals over dialogues or people (n); `python -m benchmarks.feedback`",
            "results": figures,
        }
        WEIGHTS.write_text(replace(combination, card=card).to_json(), encoding="utf-8")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
