"""Training of a reward head: from the model's state at the end of a reply to whether its user was satisfied.

It is fitted on replies whose labels are clear, with the penalty that cross-validation over users prefers, and evaluated
on other users. A rival that sees only how long the reply is shows what the state adds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from telic.dialogue import Dialogue, Message
from telic.episodes import Episode
from telic.errors import ConfigError
from telic.feedback.exports import rows_by_user
from telic.feedback.quality import area_under_roc, grouped_interval
from telic.learners.result import Learned, NotedEpisodes
from telic.learners.splitting import split_by_user
from telic.models import Model, Request, Sampling, load
from telic.progress import Phase, ProgressCallback, ProgressTracker, track
from telic.purpose import Purpose
from telic.readers.linear_probe import fit_linear_probe
from telic.readers.recording import require_hidden_states
from telic.readers.reward_head import RewardHead, save_reward_head
from telic.settings import Settings
from telic.statistics import Interval
from telic.steering.saving import Origin

__all__ = ["RewardHeadConfig", "train_reward_head"]

PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
FOLDS = 5
LEAST = 10
"""Good replies, and bad ones, that a head needs."""
BEST_OF = 4
"""Candidates that the result proposes."""
Floats = npt.NDArray[np.float64]


class RewardHeadConfig(Settings):
    """Settings of the training of a reward head."""

    held_out: float = 0.3
    """Share of the users that are only evaluated on."""
    seed: int = 0
    """Seed of the split and of the folds."""
    resamples: int = 2000
    """Bootstrap resamples of each interval."""


@dataclass(frozen=True)
class _Labelled:
    """A reply with its label."""

    user: str
    good: bool
    dialogue: Dialogue
    reply: str


def train_reward_head(
    labelled: Iterable[Episode],
    purpose: Purpose,
    *,
    folder: str | Path,
    model: Model | None = None,
    progress: bool | ProgressCallback = False,
    **settings: Any,
) -> Learned:
    """Train a reward head on labelled conversations, and evaluate it on those of other users.

    Args:
        labelled: labelled episodes.
        purpose: names the model, its adapter, and the system prompt that the states are read with.
        folder: folder in which the result's folder is made.
        model: the purpose's model, if it is loaded already.
        progress: what gets reports of the progress; True for a display.
        **settings: fields of `RewardHeadConfig`.

    Returns:
        The result. `purpose_changes` is empty unless the AUC on held-out users is significantly above that of the
        reply's length alone.

    Raises:
        UnsupportedControlError: the model gives no access to its hidden states.
        ConfigError: there are too few clear labels of a kind, or too few users.
    """
    config = RewardHeadConfig.of(**settings)
    noted = NotedEpisodes(labelled)
    replies = [_reply(user, row, purpose.system_prompt) for user, row in rows_by_user("kto", noted)]
    _check(replies)
    split_by_user(replies, config.held_out, config.seed)  # a mistake is reported before the model is loaded
    model = load(purpose) if model is None else model
    require_hidden_states(model)
    with track(progress) as tracker:
        tracker.start(phases=[Phase("reading", "replies", len(replies))])
        replies, states_N_D = _states(model, replies, tracker)
    head, metrics = _fit(replies, states_N_D, Origin.of(model), config)
    identity = [purpose.model, purpose.adapter, config.model_dump(), [(one.user, one.reply) for one in replies]]
    own = Path(folder) / f"reward_head-{hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:8]}"
    save_reward_head(head, own)
    gain = metrics["gain_over_length"]["low"]  # else the best of several replies would be the longest, or the shortest
    useful = gain is not None and gain > 0
    changes = {"reward_head": purpose.relative_path(own), "best_of": BEST_OF} if useful else {}
    learned = Learned("reward_head", changes, own, metrics, noted.ids)
    learned.save()
    return learned


def _reply(user: str, row: dict[str, Any], system: str) -> _Labelled:
    dialogue = Dialogue(Message(**message) for message in row["prompt"]).with_system(system)
    return _Labelled(user, bool(row["label"]), dialogue, row["completion"][0]["content"])


def _check(replies: Sequence[_Labelled]) -> None:
    for good, what in ((True, "good"), (False, "bad")):
        count = sum(one.good is good for one in replies)
        if count < LEAST:
            raise ConfigError(
                f"a reward head needs {LEAST} or more clearly good replies and as many bad ones, but of "
                f"{len(replies)} only {count} are {what}; collect more conversations"
            )


def _states(
    model: Model, replies: Sequence[_Labelled], tracker: ProgressTracker
) -> tuple[list[_Labelled], npt.NDArray[np.float32]]:
    """Read the state at the end of each reply; those that do not fit in the context are left out."""
    tracker.begin("reading")
    sampling = Sampling(max_new_tokens=1, temperature=0.0, seed=0)
    requests = [
        Request(tuple(one.dialogue), sampling, readings=frozenset({"reply_state"}), reply_prefix=one.reply)
        for one in replies
    ]
    read = model.generate(requests, lambda *_: tracker.advance())
    found = [(one, reply.reply_state) for one, reply in zip(replies, read, strict=True) if reply.failure is None]
    kept = [one for one, _ in found]
    _check(kept)
    return kept, np.stack([state for _, state in found]).astype(np.float32)


def _fit(
    replies: Sequence[_Labelled], states_N_D: npt.NDArray[np.float32], origin: Origin, config: RewardHeadConfig
) -> tuple[RewardHead, dict[str, Any]]:
    place = {id(one): at for at, one in enumerate(replies)}
    train, held_out = split_by_user(replies, config.held_out, config.seed)
    own, other = [place[id(one)] for one in train], [place[id(one)] for one in held_out]
    labels_N = np.array([int(one.good) for one in replies])
    users = [one.user for one in replies]
    validation = {p: _validated(states_N_D[own], labels_N[own], [users[i] for i in own], p, config) for p in PENALTIES}
    penalty = max(PENALTIES, key=lambda one: validation[one])
    weight_D, bias = _weights(states_N_D[own], labels_N[own], penalty)
    scores_N = states_N_D[other] @ weight_D + bias
    lengths_N = np.array([float(len(one.reply)) for one in replies])
    sign = 1.0 if area_under_roc(lengths_N[own], labels_N[own].astype(float)) >= 0.5 else -1.0
    rival_N = sign * lengths_N[other]
    outcomes = labels_N[other].astype(float)
    known, groups = outcomes.tolist(), [users[i] for i in other]
    options = {"resamples": config.resamples, "seed": config.seed}
    both = np.stack([scores_N, rival_N], axis=1)
    gain = grouped_interval(_difference, both.tolist(), known, groups, **options)
    metrics = {
        "replies": len(replies),
        "train": len(own),
        "held_out": len(other),
        "held_out_good": int(outcomes.sum()),
        "held_out_users": len(set(groups)),
        "penalty": penalty,
        "validation_auc": round(validation[penalty], 4),
        "auc": _described(grouped_interval(area_under_roc, scores_N.tolist(), known, groups, **options)),
        "auc_of_length": _described(grouped_interval(area_under_roc, rival_N.tolist(), known, groups, **options)),
        "gain_over_length": _described(gain),
    }
    return RewardHead(weight_D.astype(np.float32), bias, origin, metrics), metrics


def _validated(
    states_N_D: npt.NDArray[np.float32],
    labels_N: npt.NDArray[np.int_],
    users: Sequence[str],
    penalty: float,
    config: RewardHeadConfig,
) -> float:
    """Return the AUC of predictions for users that were left out, each fold in turn."""
    names = sorted(set(users))
    order = np.random.default_rng(config.seed).permutation(len(names))
    fold = {names[at]: number % FOLDS for number, at in enumerate(order)}
    folds_N = np.array([fold[user] for user in users])
    scores_N = np.zeros(len(users))
    for number in range(FOLDS):
        inside, outside = folds_N != number, folds_N == number
        if not outside.any() or len(set(labels_N[inside].tolist())) < 2:
            continue
        weight_D, bias = _weights(states_N_D[inside], labels_N[inside], penalty)
        scores_N[outside] = states_N_D[outside] @ weight_D + bias
    found = area_under_roc(scores_N, labels_N.astype(float))
    return found if np.isfinite(found) else 0.0


def _weights(
    states_N_D: npt.NDArray[np.float32], labels_N: npt.NDArray[np.int_], penalty: float
) -> tuple[Floats, float]:
    probe = fit_linear_probe(states_N_D, labels_N, 2, penalty)
    weight_D: Floats = np.asarray(probe.weight_C_D[1] - probe.weight_C_D[0], dtype=float)
    return weight_D, float(probe.bias_C[1] - probe.bias_C[0])


def _difference(scores_N_2: Floats, outcomes_N: Floats) -> float:
    return area_under_roc(scores_N_2[:, 0], outcomes_N) - area_under_roc(scores_N_2[:, 1], outcomes_N)


def _described(found: Interval) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
