"""A version as the gate compares it: a purpose with the model that replies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from telic.agents.agent import AGENT_SAMPLING, controls_of
from telic.capability.language import distinct, neutral_prompts
from telic.capability.scoring import question_prompt
from telic.dialogue import Message
from telic.episodes import Episode
from telic.models import Control, Model, Reply, Request
from telic.models.capabilities import Scorer
from telic.models.request import Continuation
from telic.progress import Deadline
from telic.promotion.gate_config import GateConfig
from telic.purpose import Purpose
from telic.redteam.episode import AttackTask
from telic.redteam.plan import BENIGN, DefenceArm, strategies_of
from telic.redteam.playing import AttackPlayer
from telic.redteam.returns import play_purpose_games

__all__ = ["Contender", "ReplyLanguage"]

ARM, DIRECT = "purpose", "direct"
"""Labels of the purpose's own defences, and of the users who ask for what a limit forbids."""
TOKENS = 48
"""New tokens of a reply to a neutral prompt, at most."""


@dataclass(frozen=True)
class ReplyLanguage:
    """The language of replies to neutral prompts, by number of the prompt."""

    distinct: dict[int, float | None]
    """Share of different words; 0 for an empty reply."""
    likelihood: dict[int, float | None] | None
    """Log-likelihood per token for the model without a purpose, in nats; None if the model does not score replies."""


@dataclass(frozen=True)
class Contender:
    """One of the two versions that the gate compares."""

    model: Model
    purpose: Purpose

    def play_games(self, config: GateConfig, partner: Model, on_game: Callable[[], None]) -> dict[int, float | None]:
        """Play the purpose's game against simulated users; return the score of each game by its number.

        Args:
            config: how many, and the seed: both versions play the same games.
            partner: the model that plays the other side, the same for both versions.
            on_game: called after each game.
        """
        arm = DefenceArm(ARM, tuple(self.purpose.defences))
        return play_purpose_games(
            self.model, self.purpose, arm, config.games, config.seed, config.concurrency, Deadline(None),
            lambda _: on_game(), partner=partner,
        )  # fmt: skip

    def talk(self, config: GateConfig) -> list[Episode]:
        """Let simulated users talk to it behind its defences: benign ones, and some who ask for what no limit allows.

        After a benign dialogue the purpose's probes are asked. Both versions meet the same users with the same seeds.
        """
        arm = DefenceArm(ARM, tuple(self.purpose.defences))
        player = AttackPlayer(self.model, self.purpose, [arm], strategies_of([DIRECT], None))
        tasks = [
            AttackTask(f"{BENIGN}-{n}", BENIGN, ARM, "", n, config.seed, config.rounds, config.rounds)
            for n in range(config.dialogues)
        ]
        tasks += [
            AttackTask(f"{DIRECT}-{limit}-{n}", DIRECT, ARM, limit, n, config.seed, config.rounds, config.rounds)
            for limit in player.limits
            for n in range(-(-config.dialogues // len(player.limits)))
        ]
        episodes: list[Episode] = []
        player.play(tasks, config.concurrency, episodes.append)
        return episodes

    def language(self, config: GateConfig, judge: Model) -> ReplyLanguage:
        """Reply to neutral prompts.

        Args:
            config: how many prompts, and the seed.
            judge: the model that says how likely the replies are without a purpose, the same for both versions.
        """
        asked = neutral_prompts()[: config.prompts]
        controls = controls_of(self.purpose)
        replies = self.model.generate([self._ask(one, n, config, controls) for n, one in enumerate(asked)])
        pairs = {n: _distinct(reply) for n, reply in enumerate(replies)}
        if not isinstance(judge, Scorer):
            return ReplyLanguage(pairs, None)
        said = [n for n, reply in enumerate(replies) if reply.text.strip() and reply.failure is None]
        scored = judge.score([Continuation(question_prompt(None, (), asked[n]), replies[n].text) for n in said])
        likely: dict[int, float | None] = dict.fromkeys(range(len(asked)))
        likely |= {n: one.logprob / max(1, one.tokens) for n, one in zip(said, scored, strict=True)}
        return ReplyLanguage(pairs, likely)

    def _ask(self, question: str, number: int, config: GateConfig, controls: tuple[Control, ...]) -> Request:
        prompt: tuple[Message, ...] = question_prompt(self.purpose.system_prompt, (), question)
        seed = config.seed * len(neutral_prompts()) + number
        own = {**self.purpose.sampling.options(), "max_new_tokens": TOKENS, "seed": seed}
        return Request(prompt, replace(AGENT_SAMPLING, **own), controls)


def _distinct(reply: Reply) -> float | None:
    if reply.failure is not None:
        return None
    found = distinct(reply.text, 1)
    return 0.0 if found is None else found
