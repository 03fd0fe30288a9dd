"""Training data from played episodes: utterances with the dialogue before them, and transitions with their rewards.

An episode records what was said. The game is a pure function of its seed and the acts, so replaying it gives what the
speaker knew at each turn, and no prompt needs to be stored.
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
from telic.planner.gradient import UtteranceExample, cut_after_question
from telic.rollouts.record import agent_role

__all__ = ["Experience", "utterance_examples"]


@dataclass(frozen=True)
class Experience:
    """Played episodes as examples and as transitions, one of each for every turn, in the same order."""

    examples: tuple[UtteranceExample, ...]
    transitions: Transitions

    @classmethod
    def of(cls, episodes: Sequence[Episode], spec: Mapping[str, Any], player: ModelPlayer) -> Experience:
        """Make the training data from the episodes of one game.

        Args:
            episodes: episodes whose turns carry the planner's state and action.
            spec: the table of the game that was played.
            player: the player, which knows how the game is described to the model.

        Raises:
            DataError: no episode has such turns, or the game refuses a turn of an episode.
        """
        usable = [e for e in episodes if e.failure is None]
        examples = [
            example for episode in usable for example in utterance_examples(episode, spec, player, with_action=True)
        ]
        return cls(tuple(examples), Transitions.from_episodes(usable))

    def advantage_weighted(
        self, gamma: float, beta: float, *, cut: bool = False
    ) -> tuple[list[UtteranceExample], torch.Tensor]:
        """Select the examples that earned more than is usual in their round, and compute their weights.

        Args:
            gamma: discount.
            beta: temperature; see `advantage_weights`.
            cut: cut utterances after the last question mark, and leave out those without one.
        """
        advantages_N = self.transitions.advantages(gamma)
        weights_N = advantage_weights(advantages_N, baseline=0.0, beta=beta)
        kept: list[UtteranceExample] = []
        weights: list[float] = []
        for example, advantage, weight in zip(self.examples, advantages_N.tolist(), weights_N.tolist(), strict=True):
            shown = cut_after_question(example) if cut else example
            if advantage > 0 and shown is not None:
                kept.append(shown)
                weights.append(weight)
        return kept, torch.tensor(weights)


def utterance_examples(
    episode: Episode, spec: Mapping[str, Any], player: ModelPlayer, *, with_action: bool = False
) -> Iterable[UtteranceExample]:
    """Replay an episode, and yield the utterances of the role under test with the dialogues before them.

    Args:
        episode: the episode.
        spec: the table of the game that was played.
        player: the player.
        with_action: only yield turns for which a planner chose an action.

    Raises:
        DataError: the game refuses a turn, because the episode was played with other settings.
    """
    game = build_game(spec)
    game.reset(episode.seed)
    role = agent_role(game)
    participant = player.join(game, role, 0)
    for number, turn in enumerate(episode.turns):
        if turn.finish == "given":
            continue  # the game produces it itself
        act = Act(turn.act, turn.text)
        if turn.role == role and (not with_action or "action" in turn.readings):
            messages, text = participant.messages_before(game.observe(role), act)
            yield UtteranceExample(messages, text, ends=turn.finish == "stop")
        if not game.step(turn.role, str(act)).accepted:
            raise DataError(
                f"episode {episode.id!r}, turn {number}: the game refuses this turn; it was played with other settings"
            )
