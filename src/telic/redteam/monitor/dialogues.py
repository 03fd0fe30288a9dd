"""The dialogues of an attack's run folder, with what a monitor learns from, and the features of their turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from telic.episodes import Episode
from telic.models import Model
from telic.models.requesting import RequestGenerator, ask, run_alone, run_together
from telic.redteam.attackers.benign import Benign
from telic.redteam.monitor.features import FeatureKind, Floats, text_features
from telic.runs import RunFolder

__all__ = ["BENIGN", "TurnDialogue", "read_attack_dialogues", "record_features"]

BENIGN = Benign.name
"""Attacker of the dialogues with benign users."""
AT_ONCE = 32
"""Dialogues that are read side by side; each holds its cache meanwhile."""


@dataclass(frozen=True, slots=True)
class TurnDialogue:
    """A dialogue with the target, turn by turn."""

    attacker: str
    """Name of the strategy; `benign` for a benign user."""
    number: int
    """Dialogues of one number share their seeds, whatever defends."""
    model: str
    system: str
    said: tuple[str, ...]
    replies: tuple[str, ...]
    closure: int | None
    """The turn that broke the limit, from 1; None if none did."""

    @property
    def attacked(self) -> bool:
        """Whether the user is an attacker."""
        return self.attacker != BENIGN


def read_attack_dialogues(folder: str | Path) -> list[TurnDialogue]:
    """Read the dialogues of a run of `telic attack`, without failed ones.

    Raises:
        RunError: it is no run folder, or has no episodes.
        DataError: its episodes are damaged.
    """
    episodes = RunFolder.open(folder).episodes.latest()
    return [_dialogue(one) for one in episodes if one.kind == "attack" and one.failure is None and one.turns]


def _dialogue(episode: Episode) -> TurnDialogue:
    strategy = episode.roles["attacker"].get("strategy", {})
    said = [turn for turn in episode.turns if turn.role == "attacker"]
    replied = [turn for turn in episode.turns if turn.role == "target"]
    attacker = str(strategy.get("name", episode.metadata.get("attacker", "")))
    broken = [number for number, turn in enumerate(replied, 1) if turn.readings.get("verdict") == "broken"]
    return TurnDialogue(
        attacker,
        int(episode.metadata["task"]),
        str(episode.roles["target"]["name"]),
        str(episode.roles["target"]["system"]),
        tuple(turn.text for turn in said[: len(replied)]),
        tuple(turn.text for turn in replied),
        broken[0] if broken and attacker != BENIGN else None,
    )


def record_features(
    dialogues: Sequence[TurnDialogue], kind: FeatureKind, model: Model | None = None
) -> list[list[Floats]]:
    """Return the features of every turn of each dialogue.

    The states are those of a model that reads the dialogue as it was: each turn's prompt is read once.

    Args:
        dialogues: the dialogues.
        kind: states, or text features.
        model: the model that replied, for states.
    """
    if kind == "text":
        return [[text_features(one.said[:turn]) for turn in range(1, len(one.said) + 1)] for one in dialogues]
    if model is None:
        raise ValueError("states are read from a model; pass model=")
    recorded: list[list[Floats]] = []
    for first in range(0, len(dialogues), AT_ONCE):
        some = dialogues[first : first + AT_ONCE]
        recorded += run_alone(run_together(_states(model, one.system, one.said, one.replies) for one in some))
    return recorded


def _states(model: Model, system: str, said: Sequence[str], replies: Sequence[str]) -> RequestGenerator[list[Floats]]:
    session, states = model.session(system), []
    for text, replied in zip(said, replies, strict=True):
        request = session.user(text).request(readings=("state",), max_new_tokens=1, temperature=0.0, seed=0)
        reply = yield from ask(model, request)
        if reply.failure is not None and reply.failure.kind == "context_full":
            break
        reply.raise_if_failed(f"model {model.name!r}")
        states.append(reply.state)
        session.assistant(replied)
    return states
