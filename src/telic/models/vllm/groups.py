"""Groups: what vLLM's engine has to know of a request to Telic.

A request to Telic is one request to vLLM for each of its prompts: the primary one, and the contrast prompts of its
controls. They are the *members* of a group. The scheduler keeps them in step, and the logits processor draws one token
for all of them.

vLLM passes a request's `extra_args` on to its scheduler and to its workers. There each member says which group it
belongs to; the group itself is in a table of the worker's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from telic.models.local.sampling import RandomStream
from telic.models.request import Sampling

if TYPE_CHECKING:
    import torch
    from llguidance import LLMatcher

    from telic.models.local.sequences import Sequence
    from telic.models.response_format import ResponseFormat

__all__ = ["GROUPS", "ISSUED", "KEY", "Member", "ReplayedStream", "SequenceGroup", "member_of"]

KEY = "telic"
"""Key of a member in the `extra_args` of vLLM's sampling parameters."""


@dataclass(frozen=True, slots=True)
class Member:
    """One of the requests to vLLM that answer a request to Telic."""

    group: str
    """Id of the group."""
    place: int
    """Its place: 0 is the primary prompt, the others are the contrast prompts in their order."""
    size: int
    """Number of members."""

    def as_args(self, wire: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Write it as `extra_args`, together with the group, if the worker runs in another process."""
        described = {"group": self.group, "place": self.place, "size": self.size}
        return {KEY: described if wire is None else {**described, "wire": wire}}


class ReplayedStream(RandomStream):
    """The uniform random numbers of one reply, by step: a step that is computed again gets the same number."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.seed = seed
        self.step = 0
        """Number of the token that is drawn next."""
        self._numbers: list[float] = []

    def next(self) -> float:
        """Return the step's number in [0, 1)."""
        while len(self._numbers) <= self.step:
            self._numbers.append(super().next())
        return self._numbers[self.step]


@dataclass(slots=True, eq=False)
class SequenceGroup:
    """A request to Telic as the worker sees it, and what it finds."""

    id: str
    sequences: list[Sequence]
    """The primary one, then those of the contrast prompts."""
    sampling: Sampling
    stream: ReplayedStream
    forced: tuple[int, ...] = ()
    """Tokens that are scored; none are drawn then."""
    readings: frozenset[str] = frozenset()
    stop_id: int = -1
    """A token that ends the reply; -1 if none does. A group that has failed draws it."""
    response_format: ResponseFormat | None = None
    """What the reply must keep to."""
    matcher: LLMatcher | None = None
    """How far the reply has come in that format."""
    matched: int = 0
    """Tokens of the reply that the matcher has been told."""

    logprobs: list[float] = field(default_factory=list)
    """Log-probability of each token, under the logits that the controls have changed."""
    greedy: bool = True
    """Whether every forced token was the most likely one."""
    state_D: torch.Tensor | None = None
    """float32: the last hidden state of the prompt's last token, if asked for."""
    reply_states: list[torch.Tensor] = field(default_factory=list)
    """float32, [D]: by token, the hidden state that it was drawn from, if asked for."""
    failure: str = ""
    """Why no token could be drawn: `nan_logits`, `response_format` or `interrupted`."""
    failure_detail: str = ""
    """What was wrong, where that is not always the same."""

    @property
    def size(self) -> int:
        """Number of members."""
        return len(self.sequences)

    def cut(self, tokens: int) -> None:
        """Forget what was found beyond the reply: a worker may draw more before it hears that the reply has ended."""
        del self.logprobs[tokens:], self.reply_states[tokens:]


GROUPS: dict[str, SequenceGroup] = {}
"""The groups of this process by id. Whoever opens one closes it."""

ISSUED: set[str] = set()
"""Groups that this process has sent to vLLM. Its own endpoints take anybody's `extra_args`; nobody else must be able to
join a group, or to make one that the engine fails on."""


def member_of(params: Any) -> Member | None:
    """Find out which group a request belongs to, by its sampling parameters; None if vLLM alone answers it."""
    found = (getattr(params, "extra_args", None) or {}).get(KEY)
    return None if found is None else Member(str(found["group"]), int(found["place"]), int(found["size"]))
