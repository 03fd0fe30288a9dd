"""Settings of a comparison of controls."""

from __future__ import annotations

from pydantic import Field

from telic.stability.config import MeasureConfig

__all__ = ["DEMO_CONTROL", "DEMO_SEED", "ComparisonConfig", "DemoConfig"]

DEMO_SEED = 1
"""The seed of a demo. The purpose, its probes and the control were chosen on the seeds from 900 on."""
DEMO_CONTROL = {"name": "refresh"}
"""The control of the second arm."""


class ComparisonConfig(MeasureConfig):
    """Settings of a comparison of controls."""

    dialogues: int = Field(default=24, ge=2)
    """Number of dialogues on which the chosen strengths are compared. More dialogues make the intervals narrower."""
    tuning_dialogues: int = Field(default=12, ge=1)
    """Number of further dialogues, on which the strengths are chosen."""
    bank_dialogues: int = Field(default=12, ge=0)
    """Number of dialogues in which the winner is compared with the baseline once more, under a bank's instructions, to
    see whether its gain transfers. Unused if the comparison itself is on a bank."""
    samples: int = Field(default=1, ge=1)
    """Answers sampled per probe."""
    utterance_tokens: int | None = Field(default=60, ge=1)
    """Maximum number of new tokens of an utterance."""
    answer_tokens: int = Field(default=30, ge=1)
    """Maximum number of new tokens of an answer to a probe."""
    budget: float = Field(default=0.03, ge=0, le=1)
    """Largest share of the general multiple-choice questions, and of the questions about the dialogue, that a control
    may lose."""
    questions: int = Field(default=160, ge=2, le=225)
    """Number of multiple-choice questions that measure the cost: half for tuning, half for the reported cost."""
    controls: tuple[str, ...] = ()
    """Controls to compare. By default `prompt`, `reminder`, `guidance` and `refresh`, or those of them that the model
    supports; `all` adds the controls that have shown no gain so far. `refresh` is tried at several strengths,
    `refresh:strength=2` only at strength 2. A control with a single strength plays no tuning dialogues."""


class DemoConfig(MeasureConfig):
    """Settings of a demo: small enough for a few minutes on two cores."""

    rounds: int = Field(default=3, ge=1)
    """Rounds per dialogue; one round is one utterance of each side."""
    probe_every: int = Field(default=1, ge=1)
    """Ask the probes in round 0, then every this many rounds, and in the last round."""
    dialogues: int = Field(default=8, ge=2)
    """Number of dialogues, each played under both arms; the intervals are over them."""
    samples: int = Field(default=1, ge=1)
    """Answers sampled per probe."""
    utterance_tokens: int | None = Field(default=30, ge=1)
    """Maximum number of new tokens of an utterance."""
    answer_tokens: int = Field(default=20, ge=1)
    """Maximum number of new tokens of an answer to a probe."""
    seed: int = DEMO_SEED
    """Seed of the openers and all replies."""
    attention: bool = False
    """Read attention to the system prompt, if the model gives it."""
    concurrency: int = Field(default=6, ge=1)
    """Dialogues that are played at once; both arms count. A small batch needs little memory."""
