"""Labelled episodes: evidence, satisfaction, reward and return to go of every reply.

A labelled episode is an ordinary one with more in it, so buffers of transitions, exports and analyses all read it:

- `episode.feedback`: the evidence, calibrated;
- `turn.scores["satisfaction"]`: the probability that the user was satisfied with the reply;
- `turn.scores["label"]`: what the reply counts as in preference data, in [-1, 1]; missing if nothing is known of it;
- `turn.reward[role]` and `turn.return_to_go`: for reinforcement learning (`telic.feedback.credit`).
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any

from telic.episodes import Episode, Feedback
from telic.feedback.combination import OBSERVED, Combination
from telic.feedback.conversation import Conversation
from telic.feedback.credit import assign_credit
from telic.feedback.detection import evidence_by_reply
from telic.feedback.detectors import Detector, default_detectors
from telic.feedback.limits import is_demanded_refusal
from telic.judges import Judge

__all__ = ["LABEL", "SATISFACTION", "Labeller", "UsualTimes"]

SATISFACTION, LABEL = "satisfaction", "label"
"""Names of a labelled reply's scores."""
IDLE_SECONDS = 1800.0
"""After so long without a message, a conversation counts as ended."""
_PLANNER_READINGS = ("state", "action", "clone", "act", "logprob")


class UsualTimes:
    """How long each user usually takes to answer: the median of the latest times, from all of the user's conversations.

    Args:
        users: users that are remembered; the one that was seen least recently is forgotten first.
        times: latest times of each user.
        least: times before which a user's usual time is not known.
    """

    def __init__(self, users: int = 10_000, times: int = 50, least: int = 3) -> None:
        self._users, self._times, self._least = users, times, least
        self._known: OrderedDict[str, deque[float]] = OrderedDict()

    def get(self, user: str) -> float | None:
        """Return a user's usual time in seconds; None if too few times are known."""
        known = self._known.get(user, ())
        return median(known) if len(known) >= self._least else None

    def add(self, user: str, conversation: Conversation) -> None:
        """Add the times of a conversation."""
        seconds = [conversation.seconds_to_answer(exchange) for exchange in conversation.exchanges]
        known = [one for one in seconds if one is not None]
        if not known:
            return
        self._known.setdefault(user, deque(maxlen=self._times)).extend(known)
        self._known.move_to_end(user)
        if len(self._known) > self._users:
            self._known.popitem(last=False)


class Labeller:
    """Labels episodes one by one, in the order of their time: it learns how fast each user answers as it goes.

    Args:
        combination: weights of the evidence; by default those that come with Telic.
        detectors: what looks for evidence; by default every detector.
        limits: judges of the purpose's limits. Blame for a refusal that one of them demands is left out.
        now: seconds since 1970, at which later conversations may still go on; by default the present.
    """

    def __init__(
        self,
        combination: Combination | None = None,
        detectors: Sequence[Detector] | None = None,
        limits: Sequence[Judge] = (),
        now: float | None = None,
    ) -> None:
        self.combination = Combination.bundled() if combination is None else combination
        self._detectors = default_detectors() if detectors is None else list(detectors)
        self._limits = tuple(limits)
        self._now = time.time() if now is None else now
        self._usual = UsualTimes()

    def label_all(self, episodes: Iterable[Episode]) -> Iterator[Episode]:
        """Label episodes as they come."""
        return map(self.label, episodes)

    def label(self, episode: Episode) -> Episode:
        """Return a labelled copy of an episode. Labels that it has already are replaced."""
        user = str(episode.metadata.get("user") or "")
        usual = self._usual.get(user) if user else None
        conversation = Conversation(episode, usual, self._is_open(episode))
        found = evidence_by_reply(conversation, self._detectors)
        if user:
            self._usual.add(user, conversation)
        for exchange in conversation.exchanges:
            blame = any(one.reward < 0 for one in found[exchange.reply])
            if blame and is_demanded_refusal(conversation, exchange, self._limits):
                found[exchange.reply] = [one for one in found[exchange.reply] if one.reward >= 0]
        return self._labelled(conversation, found)

    def _is_open(self, episode: Episode) -> bool:
        last = episode.turns[-1].origin.get("time") if episode.turns else None
        return isinstance(last, int | float) and self._now - last < IDLE_SECONDS

    def _labelled(self, conversation: Conversation, found: dict[int, list[Feedback]]) -> Episode:
        combination, episode = self.combination, conversation.episode
        groups = [found[exchange.reply] for exchange in conversation.exchanges]
        satisfaction = combination.satisfaction([combination.evidence(group) for group in groups])
        rewards = [
            combination.reward(group) if any(one.source not in OBSERVED for one in group) else None for group in groups
        ]
        earned = assign_credit(conversation, rewards)
        turns = list(episode.turns)
        for exchange, probability, credit in zip(conversation.exchanges, satisfaction, earned, strict=True):
            turn = turns[exchange.reply]
            scores = {key: value for key, value in turn.scores.items() if key != LABEL}
            scores[SATISFACTION] = probability
            if credit.label is not None:
                scores[LABEL] = credit.label
            changes: dict[str, Any] = {
                "scores": scores,
                "reward": {**turn.reward, conversation.assistant: credit.reward},
                "return_to_go": credit.return_to_go,
            }
            if planner := turn.origin.get("planner"):
                chosen = {name: planner[name] for name in _PLANNER_READINGS if name in planner}
                changes["readings"] = {**turn.readings, **chosen}
            turns[exchange.reply] = turn.model_copy(update=changes)
        feedback = [combination.calibrated(one) for group in groups for one in group]
        return episode.model_copy(update={"turns": turns, "feedback": feedback})
