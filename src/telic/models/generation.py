"""A request under way: its row of the batch, its reply so far, and the logits from which the next token is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from telic.dialogue import Message
from telic.models.base import Reply, Request
from telic.models.cache import KeyValueCache
from telic.models.control import Insertion
from telic.models.forward import Track
from telic.models.sampling import Draws

__all__ = ["Generation", "controlled_logits"]


@dataclass(slots=True, eq=False)
class Generation:
    """A request under way."""

    request: Request
    done: Callable[[Reply], None] | None = None
    track: Track | None = None
    """Its row of the batch; None while it waits."""
    prompt_length: int = 0
    cached: int = 0
    seed: int = 0
    draws: Draws | None = None
    logprobs: list[float] = field(default_factory=list)
    text: str = ""
    """The reply so far."""
    reply: Reply | None = None
    """The reply, once done."""
    arrival: int = 0
    """Its number in the order of arrival."""
    forced: tuple[int, ...] = ()
    """Token ids of a given reply, which is scored instead of drawn."""
    greedy: bool = True
    """Whether each forced token was the most likely one."""
    leader: Generation | None = None
    """Another request with the same prompt, whose reading of it this one waits for."""
    companions: list[Generation] = field(default_factory=list)
    """Further streams, which read along."""
    owner: int | None = None
    """If this is a further stream, which says what the first one says: the place of the control that wants it."""
    said: tuple[Message, ...] | None = None
    """What a further stream is told."""
    pending: list[torch.Tensor] = field(default_factory=list)
    """Logits that wait for those of the other streams."""
    insertions: list[Sequence[Insertion]] = field(default_factory=list)
    """What each of its controls inserts into the prompt."""
    unsteered: bool = False
    """Whether some control waits for the prompt to be read, to decide on its prefix tokens."""
    kept: KeyValueCache | None = None
    """What the session keeps of a row that was steered: the prompt without the prefix tokens."""
    noted: dict[str, Any] | None = None
    """What the session remembers of a row whose prompt was read again, with a prefix in its midst."""

    @property
    def follows(self) -> bool:
        """Whether it is a further stream."""
        return self.owner is not None

    @property
    def streams(self) -> list[Generation]:
        """The request's rows of the batch."""
        return [self, *self.companions]

    @property
    def read(self) -> bool:
        """Whether all its tokens so far were computed."""
        return self.track is not None and self.track.computed == len(self.track.tokens)

    @property
    def generated(self) -> list[int]:
        """Token ids of the reply so far."""
        return [] if self.track is None else self.track.tokens[self.prompt_length :]


def controlled_logits(
    generations: Sequence[Generation], logits_R_V: torch.Tensor, companions: Sequence[Sequence[torch.Tensor]]
) -> torch.Tensor:
    """Let the controls of each row change its logits; `companions` has [V] of each of the row's further streams."""
    depth = max((len(g.request.controls) for g in generations), default=0)
    for level in range(depth):
        carriers: dict[tuple[int, int], list[int]] = {}
        streams: list[list[torch.Tensor]] = []
        for r, generation in enumerate(generations):
            controls = generation.request.controls
            found = zip(generation.companions, companions[r], strict=True)
            streams.append([logits_V for stream, logits_V in found if stream.owner == level])
            if level < len(controls) and "logits" in controls[level].points:
                carriers.setdefault((id(controls[level]), len(streams[r])), []).append(r)
        for (_, count), rows in carriers.items():
            control = generations[rows[0]].request.controls[level]
            tracks = [generations[r].track for r in rows]
            carried = [track.row for track in tracks if track is not None]
            if count:
                others_K_R_V = torch.stack([torch.stack([streams[r][k] for r in rows]) for k in range(count)])
                changed = control.contrast(carried, logits_R_V[rows], others_K_R_V)
            else:
                changed = control.logits(carried, logits_R_V[rows])
            logits_R_V = logits_R_V.index_copy(0, torch.tensor(rows, device=logits_R_V.device), changed)
    return logits_R_V
