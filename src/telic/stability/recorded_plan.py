"""Plans of measurements on recorded dialogues: which trunks are read, and where their probes are asked."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import islice

from telic.dialogue import Message
from telic.errors import ConfigError, DataError
from telic.models import Control, Model
from telic.models.capabilities import HasTemplate
from telic.purpose import Purpose
from telic.stability.bank import Bank
from telic.stability.config import TranscriptConfig
from telic.stability.plan import DialoguePlan, Side, purpose_side, require_probes, triplet_side
from telic.stability.trunks import NamedDialogue, Trunk, TrunkReader

__all__ = ["plan_recorded", "read_trunks"]


def read_trunks(
    model: Model, purpose: Purpose | Bank, dialogues: Iterable[NamedDialogue], config: TranscriptConfig
) -> tuple[list[Trunk], TrunkReader]:
    """Draw recorded dialogues by the seed, and make trunks of them.

    Returns:
        The trunks, as many as the settings ask for or as there are; and the reader, with what became of the dialogues.

    Raises:
        ConfigError: the purpose has no probes, or the settings contradict each other.
        DataError: no dialogue makes a trunk.
    """
    if config.join is not None and config.max_tokens is not None and config.max_tokens < config.join:
        raise ConfigError(
            f"dialogues are joined to {config.join} tokens, but max_tokens is {config.max_tokens}; expected at least "
            "as many"
        )
    sides = _sides(purpose, config, None)
    reserved = _reserved(model, sides, config.answer_tokens)
    reader = TrunkReader(model, config.side, reserved, config.max_tokens, config.join)
    known = list(dialogues)
    random.Random(config.seed).shuffle(known)
    trunks = list(islice(reader.read(known), config.dialogues))
    if not trunks:
        reasons = "; ".join(reader.counts.sentences()) or "there are none"
        raise DataError(f"none of {len(known)} recorded dialogues can be used: {reasons}")
    if config.rounds:
        trunks = [trunk.cut(trunk.lengths[min(config.rounds, len(trunk.rounds))]) for trunk in trunks]
    return trunks, reader


def plan_recorded(
    purpose: Purpose | Bank,
    trunks: Sequence[Trunk],
    config: TranscriptConfig,
    controls: Sequence[Control] | None = None,
) -> list[DialoguePlan]:
    """Plan a dialogue for each trunk. With a bank, each trunk gets one of its instructions."""
    draw = random.Random(config.seed)
    sides = _sides(purpose, config, controls)
    if isinstance(purpose, Bank):
        sides = [side for _ in range(-(-len(trunks) // len(sides))) for side in draw.sample(sides, len(sides))]
    else:
        sides *= len(trunks)
    other = Side(f"recorded {'user' if config.side == 'assistant' else 'assistant'}", "", family="recorded")
    return [
        DialoguePlan(
            f"{number:04d}", draw.getrandbits(48), other, side, "", trunk=trunk,
            probed=trunk.probed(config.probe_every, config.tokens_apart),
        )
        for number, (trunk, side) in enumerate(zip(trunks, sides, strict=False))
    ]  # fmt: skip


def _sides(purpose: Purpose | Bank, config: TranscriptConfig, controls: Sequence[Control] | None) -> list[Side]:
    if isinstance(purpose, Bank):
        return [triplet_side(triplet, config, controls or ()) for triplet in purpose]
    require_probes(purpose)
    return [purpose_side(purpose, config, controls)]


def _reserved(model: Model, sides: Sequence[Side], answer_tokens: int) -> int:
    """Count the tokens that a probe takes besides the trunk: system prompt, question and answer, at their longest."""
    if not isinstance(model, HasTemplate):
        return 0
    asked = [
        (Message(role="system", content=side.system), Message(role="user", content=probe.ask))
        for side in sides
        for probe in side.probes
    ]
    return max(len(model.render(messages).token_ids) for messages in asked) + answer_tokens
