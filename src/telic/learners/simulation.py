"""A simulated service: customers talk to a chatbot, and only what they say and do is learnt from.

Customers are those of the elicitation game, with a voice (`telic.games.elicitation_mood`). What is kept of a day are
the words, the planner's decisions, purchases, and the thumbs of a few users. The game's own reward is what the
customers really got; it judges the service, and never reaches the learner unless an arm asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal, get_args

import torch

from telic.agents.model_player import ModelPlayer
from telic.episodes import Episode, Feedback, Turn
from telic.errors import ConfigError, DataError
from telic.feedback.detectors.given import thumbs
from telic.feedback.given import given_feedback
from telic.feedback.labelling import LABEL, Labeller
from telic.files import read_json
from telic.learners.planning import learn_planner
from telic.learners.result import LEARNED
from telic.models.local import LocalModel
from telic.planner.control import PlannerControl
from telic.planner.planner import Planner
from telic.planner.saving import load_planner
from telic.purpose import Purpose
from telic.registry import suggest
from telic.rollouts.play import play as play_game
from telic.statistics import mean

__all__ = [
    "Evidence",
    "ServiceDay",
    "SimulatedService",
    "label_conversations",
    "returns_of",
    "uniform_planner",
]

Evidence = Literal["none", "truth", "thumbs", "words"]
"""What is learnt from: nothing, the game's reward, the thumbs of a few users, or words and events."""
GIVING_THUMBS = 0.05
"""Share of the users who give thumbs."""
CONVERSATIONS_PER_USER, TROLL_ACCOUNTS = 3, 2
"""How often a user comes, on average; the trolls share a few accounts each day."""
FELT = 0.08
"""Least change of the satisfaction for which a thumb is given."""
EVALUATION, START = 1_000, 1.79e9
"""Number of the first evaluation, beyond all days; when the first day begins, in seconds since 1970."""
DISCOUNT = 0.8
WIDTH = 128
"""Width of the layers of the first planner."""


@dataclass(frozen=True)
class ServiceDay:
    """A day of the service."""

    number: int
    played: tuple[Episode, ...]
    """As they were played, with what customers hide."""

    @property
    def success(self) -> float:
        """Mean share of the wishes that the chatbot found out."""
        return mean(returns_of(self.played).values()) or 0.0


@dataclass(frozen=True)
class SimulatedService:
    """A chatbot with a planner, and its customers.

    Args:
        model: the frozen model.
        purpose: the purpose, with a game `elicitation` and a planner: the one that is served first.
        folder: where days and planners are kept. What is there is not played again.
        voice: the voice of the customers.
        trolls: share of conversations with trolls.
        seed: seed of the customers.
        epsilon: how often the served planner tries an act at random.
        share: cap on the influence of one user; see `cap_influence`.
        options: settings of `learn_planner`.
    """

    model: LocalModel
    purpose: Purpose
    folder: Path
    voice: str = "everyday"
    trolls: float = 0.0
    seed: int = 0
    epsilon: float = 0.1
    share: float = 0.05
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(
        self, evidence: Evidence, days: int, conversations: int, on_day: Callable[[ServiceDay], None] | None = None
    ) -> Purpose:
        """Serve for some days; after each, learn from all conversations so far.

        Days on which the first planner is served are the same, whatever is learnt from them.

        Args:
            evidence: what is learnt from.
            days: number of days.
            conversations: conversations of each day.
            on_day: called with every day.

        Returns:
            The purpose with the planner of the last day.
        """
        purpose, logged = self.purpose, list[Episode]()
        for number in range(days):
            name = "first" if purpose.planner == self.purpose.planner else evidence
            day = self._day(f"{name}-day", number, purpose, conversations)
            logged += [self._logged(episode, number) for episode in day.played if episode.failure is None]
            if on_day is not None:
                on_day(day)
            purpose = self.learn(evidence, number, purpose, logged)
        return purpose

    def evaluate(self, purpose: Purpose, name: str, n: int, voice: str | None = None) -> dict[int, float]:
        """Play customers of the test split, without exploration; returns what each got, by number."""
        spec = {**dict(purpose.game or {}), "split": "test", "voice": voice or self.voice}
        name = "first" if purpose.planner == self.purpose.planner else name
        return returns_of(self.play(f"evaluation-{name}-{spec['voice']}", EVALUATION, purpose, n, spec, 0.0))

    def _day(self, name: str, number: int, purpose: Purpose, n: int) -> ServiceDay:
        game = {**dict(purpose.game or {}), "split": "train", "voice": self.voice, "trolls": self.trolls}
        return ServiceDay(number, tuple(self.play(f"{name}-{number}", number, purpose, n, game, self.epsilon)))

    def play(
        self, name: str, number: int, purpose: Purpose, n: int, spec: Mapping[str, Any], epsilon: float
    ) -> list[Episode]:
        """Play conversations with the planner of a purpose, or load those that were played before.

        Args:
            name: of their folder.
            number: of the day, which decides who the customers are.
            purpose: what is served.
            n: number of conversations.
            spec: the game's table.
            epsilon: how often an act is tried at random.
        """
        folder = self.folder / name
        started = next(iter(sorted(folder.glob("play-*"))), None)
        where: dict[str, Any] = {"folder": folder} if started is None else {"resume": started}
        planner = load_planner(str((purpose.planner or {})["path"]), model=self.model)
        bare = purpose.model_copy(update={"planner": None})
        player = ModelPlayer(self.model, bare, [PlannerControl(planner=planner, epsilon=epsilon)], max_new_tokens=32)
        return play_game(dict(spec), {"agent": player}, n, self.play_seed(number), references=False, **where).episodes

    def play_seed(self, number: int) -> int:
        """Return the seed of a day's customers and of all other draws."""
        return self.seed * 2 * EVALUATION + number + 1

    def learn(self, evidence: Evidence, number: int, purpose: Purpose, logged: Sequence[Episode]) -> Purpose:
        """Learn from all conversations up to a day; returns the purpose with the new planner."""
        folder = self.folder / f"{evidence}-learnt-{number}"
        labelled = label_conversations(logged, evidence)
        if labelled is None:
            return purpose
        done = next(iter(sorted(folder.glob(f"learn-*/planner/{LEARNED}"))), None)
        if done is not None:
            return purpose.model_copy(update=read_json(done)["purpose_changes"])
        options = {"seed": self.seed, "share": self.share, **self.options}
        try:
            learned = learn_planner(self.model, purpose, labelled, folder=folder, **options)
        except DataError:  # too few labels so far: the planner stays
            return purpose
        return purpose.model_copy(update=learned.purpose_changes)

    def _logged(self, episode: Episode, day: int) -> Episode:
        """Make the record of a conversation that a server would have: nothing of what the customer hides."""
        felt, draw = episode.outcome["details"], Random(f"{self.seed}/{day}/{episode.id}")
        users = max(1, (day + 1) * 200 // CONVERSATIONS_PER_USER)
        user = f"user {'t' if felt['troll'] else 'u'}{draw.randrange(TROLL_ACCOUNTS if felt['troll'] else users)}"
        thumbs_up = felt["troll"] or Random(user).random() < GIVING_THUMBS
        replies = [index for index, turn in enumerate(episode.turns) if turn.role == "agent"]
        time = START + 86_400 * day + 60 * int(episode.metadata["task"])
        turns = [
            turn.model_copy(update={"reward": {}, "origin": {"time": time + index, "setup": f"day {day}"}})
            for index, turn in enumerate(episode.turns)
        ]
        feedback = _thumbs(felt, replies, turns) if thumbs_up else []
        if felt["bought"]:
            feedback.append(Feedback(source="purchase", turn=replies[-1], reward=1.0, confidence=0.8, id=episode.id))
        roles = {name: {"system": about["system"]} for name, about in episode.roles.items()}
        truth = {index: episode.turns[index].reward.get("agent", 0.0) for index in replies}
        return Episode(
            id=f"day {day} {episode.id}", kind="served", seed=0, roles=roles, turns=turns, feedback=feedback,
            outcome={"truth": {str(index): reward for index, reward in truth.items()}}, metadata={"user": user},
        )  # fmt: skip


def label_conversations(logged: Sequence[Episode], evidence: Evidence) -> list[Episode] | None:
    """Label logged conversations by one kind of evidence; None if nothing is learnt.

    Raises:
        ConfigError: there is no such kind.
    """
    if evidence not in get_args(Evidence):
        raise ConfigError(f"unknown evidence {evidence!r}{suggest(evidence, list(get_args(Evidence)))}")
    if evidence == "none":
        return None
    if evidence == "truth":
        return [_by_truth(episode) for episode in logged]
    seen = [episode.model_copy(update={"outcome": {}}) for episode in logged]
    if evidence == "thumbs":
        return list(Labeller(detectors=[thumbs()]).label_all(seen))
    given = [e.model_copy(update={"feedback": [one for one in e.feedback if one.source != "thumb"]}) for e in seen]
    return list(Labeller().label_all(given))


def uniform_planner(model: LocalModel, acts: Mapping[str, torch.Tensor]) -> Planner:
    """Make a planner that draws its acts uniformly: it has learnt nothing yet but how to say them.

    Args:
        model: the model that it steers.
        acts: the prefix [L, D] of each act by name; see `telic.planner.distil_acts`.
    """
    planner = Planner.new(model, acts=acts, plays="drawn", remembers=True, width=WIDTH)
    for parameter in list(planner.policy.clone.parameters())[-2:]:
        torch.nn.init.zeros_(parameter)
    return planner


def returns_of(episodes: Sequence[Episode]) -> dict[int, float]:
    """Return the score of each episode by its number. Failed episodes are left out."""
    return {int(one.metadata["task"]): float(one.outcome["score"]) for one in episodes if one.failure is None}


def _thumbs(felt: Mapping[str, Any], replies: Sequence[int], turns: Sequence[Turn]) -> list[Feedback]:
    sign = -1 if felt["troll"] else 1
    return [
        given_feedback("thumb", sign if changed > 0 else -sign, index, turns[index].text, None)
        for index, changed in zip(replies, felt["changes"], strict=True)
        if abs(changed) > FELT
    ]


def _by_truth(episode: Episode) -> Episode:
    """Label a conversation by the game's reward."""
    truth, turns, later = episode.outcome["truth"], list(episode.turns), 0.0
    for index in sorted(map(int, truth), reverse=True):
        reward = float(truth[str(index)])
        later = reward + DISCOUNT * later
        scores = {LABEL: 1.0 if reward > 0 else -1.0}
        changes = {"reward": {"agent": reward}, "return_to_go": later, "scores": scores}
        turns[index] = turns[index].model_copy(update=changes)
    return episode.model_copy(update={"turns": turns})
