"""The decisions of planners in labelled conversations, as transitions with their logged log-probabilities.

A change of topic ends an episode here, because no credit crosses it: the transitions of a conversation's topics are
episodes of their own.

Shapes: N decisions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from telic.episodes import Episode, Turn, assistant_role
from telic.errors import DataError
from telic.feedback.conversation import Conversation
from telic.feedback.labelling import LABEL
from telic.feedback.topics import topic_numbers
from telic.planner.buffer import Transitions
from telic.planner.planner import Planner

__all__ = ["Decisions", "labelled_replies"]


@dataclass(frozen=True)
class Decisions:
    """Logged decisions of planners, with what they earned."""

    transitions: Transitions
    logprobs: torch.Tensor
    """float32 [N]: log-probability of each decision under the planner that took it; NaN where it was not logged."""
    rounds: torch.Tensor
    """int64 [N]: number of the planner's earlier decisions in the conversation."""
    versions: tuple[str, ...]
    """[N]: the setup that took each decision; empty where it is not known."""
    sources: tuple[str, ...]
    """Ids of the conversations."""
    skipped: dict[str, int]
    """Number of conversations that were left out, by reason."""

    @classmethod
    def of(cls, episodes: Iterable[Episode], planner: Planner) -> Decisions:
        """Collect the decisions that a planner can learn from.

        Args:
            episodes: labelled episodes.
            planner: decisions count that have its states and its actions, whoever took them.

        Raises:
            DataError: there is no such decision; the message says why.
        """
        pieces: list[Episode] = []
        turns: list[tuple[Turn, int]] = []
        sources: list[str] = []
        skipped: Counter[str] = Counter()
        for episode in episodes:
            own = _decided(episode)
            reason = _misfit(episode, own, planner)
            if reason is not None:
                skipped[reason] += 1
                continue
            sources.append(episode.id)
            pieces += _by_topic(episode)
            turns += [(turn, number) for number, turn in enumerate(own)]
        if not sources:
            reasons = "; ".join(f"{count} {reason}" for reason, count in skipped.items()) or "there is none"
            raise DataError(f"no conversation has decisions of this planner to learn from: {reasons}")
        logged = [turn.readings.get("logprob") for turn, _ in turns]
        return cls(
            Transitions.from_episodes(pieces),
            torch.tensor([float("nan") if value is None else float(value) for value in logged]),
            torch.tensor([number for _, number in turns]),
            tuple(str(turn.origin.get("setup") or "") for turn, _ in turns),
            tuple(sources),
            dict(skipped),
        )

    @property
    def conversations(self) -> tuple[str, ...]:
        """The id of the conversation of each decision, N in all."""
        return tuple(name.rpartition("#")[0] for name in self.transitions.episodes)


def labelled_replies(episode: Episode) -> list[float]:
    """Return the labels of the replies that have one."""
    role = assistant_role(episode)
    return [turn.scores[LABEL] for turn in episode.turns if turn.role == role and LABEL in turn.scores]


def _decided(episode: Episode) -> list[Turn]:
    role = assistant_role(episode)
    return [turn for turn in episode.turns if _is_decision(turn, role)]


def _is_decision(turn: Turn, role: str) -> bool:
    # A reply without a return to go is one that the labeller left out: it failed, or has no text.
    return turn.role == role and {"state", "action"} <= turn.readings.keys() and turn.return_to_go is not None


def _misfit(episode: Episode, decided: list[Turn], planner: Planner) -> str | None:
    """Say why a conversation cannot be learnt from; None if it can."""
    if episode.failure is not None:
        return "failed"
    if not decided:
        return "without a planner's decision"
    shape = planner.shape
    models = {episode.metadata.get("setups", {}).get(turn.origin.get("setup"), {}).get("model") for turn in decided}
    if planner.origin is not None and models - {None, planner.origin.name}:
        return f"with a different model than {planner.origin.name!r}"
    if any(len(turn.readings["state"]) != shape.state_size for turn in decided):
        return f"with a state size other than {shape.state_size}"
    if any(len(turn.readings["action"]) != shape.action_size for turn in decided):
        return f"with an action size other than {shape.action_size}"
    if shape.mapping == "acts" and any(turn.readings.get("act", shape.acts[0]) not in shape.acts for turn in decided):
        return "with acts that this planner does not have"
    return None


def _by_topic(episode: Episode) -> list[Episode]:
    """Cut a conversation into episodes of one topic each, with the planner's turns only."""
    role, conversation = assistant_role(episode), Conversation(episode)
    parts: dict[int, list[Turn]] = {}
    for exchange, topic in zip(conversation.exchanges, topic_numbers(conversation), strict=True):
        parts.setdefault(topic, []).append(episode.turns[exchange.reply])
    # Rewards of replies without a decision go to the decision before them, as in any buffer.
    return [
        episode.model_copy(update={"id": f"{episode.id}#{topic}", "turns": turns, "metadata": {"agent": role}})
        for topic, turns in parts.items()
        if any(_is_decision(turn, role) for turn in turns)
    ]
