"""Plans of self-chats: who talks to whom about what, with which probes, seeds and sampling."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from telic.agents.agent import controls_of
from telic.agents.tool_turns import ToolTurns, tool_turns
from telic.errors import ConfigError
from telic.judges import Judge, build_judge, model_judges
from telic.models import Control, Model, Sampling
from telic.purpose import Purpose
from telic.stability.bank import Bank, Triplet, openers
from telic.stability.config import MeasureConfig
from telic.stability.trunks import Trunk
from telic.stability.users import plain_users, user_openers

__all__ = [
    "DialoguePlan",
    "JudgedProbe",
    "SelfChatProtocol",
    "Side",
    "plan_dialogues",
    "protocol_of",
    "purpose_side",
    "replies_of",
    "replies_to_come",
    "require_probes",
    "triplet_side",
]

DEFAULT_SAMPLING = {"temperature": 1.0, "top_p": 0.9, "max_new_tokens": 100}
"""How utterances are sampled unless the settings or the purpose say otherwise (as in the paper, but shorter)."""


@dataclass(frozen=True, slots=True)
class JudgedProbe:
    """A question asked on a branch, and the judge of its answer.

    Raises:
        ConfigError: every reply is to be judged, and the judge asks a model.
    """

    name: str
    family: str
    ask: str
    judge: Judge
    every_reply: bool = False
    """Whether the utterances of the dialogue are judged too."""

    def __post_init__(self) -> None:
        if self.every_reply and self.asks_model:
            raise ConfigError(
                f"probe {self.name!r}: every_reply needs a judge by rule, because each utterance is judged at once; "
                "this judge asks a model"
            )

    @property
    def asks_model(self) -> bool:
        """Whether the judge asks a model, so that answers are judged after the dialogues."""
        return bool(model_judges(self.judge))


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two sides of a dialogue."""

    name: str
    system: str
    probes: tuple[JudgedProbe, ...] = ()
    family: str = "own"
    controls: tuple[Control, ...] = ()
    utterance: Sampling | None = None
    """How its utterances are sampled, if not as in the protocol."""
    answer: Sampling | None = None
    """How its answers to probes are sampled, if not as in the protocol."""
    demand: str = ""
    """What its instruction demands of a reply, if it comes from a bank that says so."""
    scene: str | None = None
    """System prompt instead of `system` where the model can write the user's messages in the user's place."""
    tools: ToolTurns | None = None
    """Carries out its calls of tools; each dialogue begins them anew."""


@dataclass(frozen=True, slots=True)
class DialoguePlan:
    """One dialogue to be played."""

    id: str
    seed: int
    a: Side
    b: Side
    opener: str
    group: str = ""
    """Dialogues in a row with the same one are played as a whole, or not at all if time is short."""
    trunk: Trunk | None = None
    """What was said, if that is recorded; then only side b is probed."""
    probed: tuple[int, ...] = ()
    """Rounds of a recorded trunk after which the probes are asked."""


@dataclass(frozen=True, slots=True)
class SelfChatProtocol:
    """How dialogues are played and probed."""

    rounds: int
    samples: int
    """Answers to each probe."""
    utterance: Sampling
    answer: Sampling
    readings: frozenset[str] = frozenset()
    probe_every: int = 1
    """Ask the probes in round 0, then every this many rounds, and in the last round."""
    concurrency: int = 32
    """Dialogues that are played at once: enough to keep a batch full, few enough for their caches to fit in memory."""


USER_SAMPLING = DEFAULT_SAMPLING | {"temperature": 0.7, "max_new_tokens": 60}
"""How a plain user's messages are sampled unless the settings say otherwise: a small model strays at 1.0."""


def plan_dialogues(
    purpose: Purpose | Bank,
    partner: Purpose | Bank | None,
    config: MeasureConfig,
    controls: Sequence[Control] | None = None,
) -> list[DialoguePlan]:
    """Plan who talks to whom about what, with which seeds. The plans depend on the configuration only.

    Raises:
        ConfigError: the purpose has no probes, or a judge or a control is wrong.
    """
    draw = random.Random(config.seed)
    if isinstance(purpose, Bank):
        pairs = [
            (triplet_side(a, config, controls or ()), triplet_side(b, config, controls or ()))
            for a, b in purpose.pairs(config.dialogues, config.seed)
        ]
    else:
        require_probes(purpose)
        side = purpose_side(purpose, config, controls)
        pairs = [(other, side) for other in _partners(purpose, partner, config)]
    order = _openers(purpose, partner, config, draw)
    return [
        DialoguePlan(f"{number:04d}", draw.getrandbits(48), a, b, order[number]) for number, (a, b) in enumerate(pairs)
    ]


def _openers(
    purpose: Purpose | Bank, partner: Purpose | Bank | None, config: MeasureConfig, draw: random.Random
) -> list[str]:
    """Choose the first message of every dialogue: all openers are used before one is used again."""
    topics = openers()
    if isinstance(purpose, Purpose) and not isinstance(partner, Bank):
        topics = purpose.openers or user_openers(purpose)
    if not topics and isinstance(purpose, Purpose):
        return [user.opener for user in plain_users(purpose, config.dialogues, config.seed)]
    return [topic for _ in range(-(-config.dialogues // len(topics))) for topic in draw.sample(topics, len(topics))]


def replies_to_come(plans: Sequence[DialoguePlan], config: MeasureConfig) -> int:
    """Count the replies of a whole measurement in which no dialogue ends early."""
    return sum(replies_of(plan, config) for plan in plans)


def replies_of(plan: DialoguePlan, config: MeasureConfig | SelfChatProtocol) -> int:
    """Count the replies of a dialogue that does not end early: its utterances, and its answers to probes."""
    if plan.trunk is not None:
        return len(plan.b.probes) * len(plan.probed) * config.samples
    trunk = max(0, 2 * config.rounds - 1)
    probed = len({*range(0, config.rounds + 1, config.probe_every), config.rounds})
    return trunk + sum(len(side.probes) for side in (plan.a, plan.b)) * probed * config.samples


def protocol_of(model: Model, config: MeasureConfig) -> SelfChatProtocol:
    """Make the protocol that the settings describe, with the readings that the model gives."""
    utterance, answer = _sampling(config, None)
    return SelfChatProtocol(
        rounds=config.rounds,
        samples=config.samples,
        utterance=utterance,
        answer=answer,
        readings=frozenset({"attention"}) & model.readings if config.attention else frozenset(),
        probe_every=config.probe_every,
        concurrency=config.concurrency,
    )


def _sampling(
    config: MeasureConfig, purpose: Purpose | None, default: Mapping[str, Any] = DEFAULT_SAMPLING
) -> tuple[Sampling, Sampling]:
    """Return how a side's utterances and answers are sampled: by the settings, else its purpose, else by default."""
    chosen = {"temperature": config.temperature, "top_p": config.top_p, "max_new_tokens": config.utterance_tokens}
    own = purpose.sampling.options() if purpose else {}
    utterance = Sampling(**{**default, **own, **{name: value for name, value in chosen.items() if value is not None}})
    return utterance, replace(utterance, max_new_tokens=config.answer_tokens)


def triplet_side(
    triplet: Triplet, config: MeasureConfig, controls: Sequence[Control] = (), probed: bool = True
) -> Side:
    """Make a side of a bank's triplet."""
    probe = JudgedProbe(triplet.id, triplet.family, triplet.ask, triplet.build_judge(), triplet.every_reply)
    sampling = _sampling(config, None)
    probes, demand = (probe,) if probed else (), triplet.demand or ""
    return Side(triplet.id, triplet.system, probes, triplet.family, tuple(controls), *sampling, demand)


def require_probes(purpose: Purpose) -> None:
    """Check that a purpose can be measured.

    Raises:
        ConfigError: it has no probes.
    """
    if not purpose.probes:
        raise ConfigError(
            f"purpose {purpose.name!r} has no [[probes]], so there is nothing to measure. Add at least one "
            '(ask = "...", judge = { contains = "..." }), or measure the bank'
        )


def purpose_side(purpose: Purpose, config: MeasureConfig, controls: Sequence[Control] | None = None) -> Side:
    """Make the purpose's side, by default with its own controls. It may call the purpose's tools, as in a chat.

    Raises:
        ConfigError: a judge, a control or a tool is wrong.
    """
    make_judge = partial(build_judge, trusted=purpose.trusted_folder)
    purpose.check(make_judge)
    probes = tuple(
        JudgedProbe(probe.name, probe.family, probe.ask, make_judge(probe.judge), probe.every_reply)
        for probe in purpose.probes
    )
    used = controls_of(purpose) if controls is None else tuple(controls)
    utterance, answer = _sampling(config, purpose)
    tools = tool_turns(purpose, None)
    if tools is not None:
        utterance = tools.room_for_calls(utterance)
    return Side(purpose.name, purpose.system_prompt, probes, "own", used, utterance, answer, tools=tools)


def _partners(purpose: Purpose, partner: Purpose | Bank | None, config: MeasureConfig) -> list[Side]:
    if isinstance(partner, Bank):
        drawn = partner.pairs(config.dialogues, config.seed)
        return [triplet_side(triplet, config, probed=False) for triplet, _ in drawn]
    if partner is not None:
        return [purpose_side(partner, config)] * config.dialogues
    if purpose.partner:
        utterance, answer = _sampling(config, None)
        side = Side("partner", purpose.partner, family="partner", utterance=utterance, answer=answer)
        return [side] * config.dialogues
    utterance, answer = _sampling(config, None, USER_SAMPLING)
    return [
        Side(f"{user.manner} user", user.system, family="user", utterance=utterance, answer=answer, scene=user.scene)
        for user in plain_users(purpose, config.dialogues, config.seed)
    ]
