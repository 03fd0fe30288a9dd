"""What a planner learns from: utterances that were said in a game, with the dialogue before them and what they earned.

The record of an episode says what was done; the game, being a pure function of its seed and the acts, says again what
the speaker knew at each turn. So no prompt is ever stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from telic.agents.model_player import ModelPlayer
from telic.episodes import Episode
from telic.errors import DataError
from telic.games.base import Act, build_game
from telic.planner.buffer import Transitions
from telic.planner.cloning import advantage_weights
from telic.planner.gradient import Example, cut_after_question
from telic.rollouts.record import agent_role

__all__ = ["Experience", "utterances"]


@dataclass(frozen=True)
class Experience:
    """Played episodes, as cloning and TD3+BC take them. The examples are those of the transitions, in their order."""

    examples: tuple[Example, ...]
    transitions: Transitions

    @classmethod
    def of(cls, episodes: Sequence[Episode], spec: Mapping[str, Any], player: ModelPlayer) -> Experience:
        """Read the episodes of one game.

        Args:
            episodes: whose turns carry the planner's state and action.
            spec: the game's table, as they were played with.
            player: who played, for how it is told what it knows.

        Raises:
            DataError: no episode has such turns, or one does not follow from its game.
        """
        usable = [e for e in episodes if e.failure is None]
        examples = [example for episode in usable for example in utterances(episode, spec, player, steered=True)]
        return cls(tuple(examples), Transitions.from_episodes(usable))

    def weighed(self, gamma: float, beta: float, *, cut: bool = False) -> tuple[list[Example], torch.Tensor]:
        """The utterances that did better than is usual in their round, and their weights.

        Args:
            gamma: discount.
            beta: temperature; see `advantage_weights`.
            cut: cut after the last question mark; utterances without one are left out.
        """
        advantages_N = self.transitions.advantages(gamma)
        weights_N = advantage_weights(advantages_N, baseline=0.0, beta=beta)
        kept: list[Example] = []
        weights: list[float] = []
        for example, advantage, weight in zip(self.examples, advantages_N.tolist(), weights_N.tolist(), strict=True):
            shown = cut_after_question(example) if cut else example
            if advantage > 0 and shown is not None:
                kept.append(shown)
                weights.append(weight)
        return kept, torch.tensor(weights)


def utterances(
    episode: Episode, spec: Mapping[str, Any], player: ModelPlayer, *, steered: bool = False
) -> Iterable[Example]:
    """What the role under test said in an episode, and to what.

    Args:
        episode: as played.
        spec: the game's table.
        player: who played it.
        steered: only turns before which a planner has chosen.

    Raises:
        DataError: the episode does not follow from the game: it was played with other settings.
    """
    game = build_game(spec)
    game.reset(episode.seed)
    role = agent_role(game)
    participant = player.join(game, role, 0)
    for number, turn in enumerate(episode.turns):
        if turn.finish == "given":
            continue  # the game says it again by itself
        act = Act(turn.act, turn.text)
        if turn.role == role and (not steered or "action" in turn.readings):
            messages, text = participant.messages_before(game.observe(role), act)
            yield Example(messages, text, ends=turn.finish == "stop")
        if not game.step(turn.role, str(act)).accepted:
            raise DataError(f"episode {episode.id!r}, turn {number}: the game refuses it now; it was another game")
