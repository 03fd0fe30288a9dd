"""A scheduler for vLLM that keeps the members of a group in step.

The members' prompts differ in length and in what the prefix cache holds of them, so vLLM would finish reading them in
different steps, and draw a token for each. This scheduler stops each member one token short of the end of what it has
to read. Once all members of a group are there, it releases them together: the step computes that one token of each, so
the logits processor has the logits of all prompts at once. Afterwards each token of the reply is such a step.

Groups are admitted, preempted and ended as a whole, in the order in which they came. Admitted groups never need more
blocks of the cache than there are, so vLLM never has to preempt one of their members itself. Requests that have nothing
to do with Telic are groups of one.

It overrides methods that vLLM does not declare public, so it goes with certain versions (`telic.models.vllm.settings`).
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request, RequestStatus

from telic.models.vllm.groups import Member, member_of

__all__ = ["MISSING_SECONDS", "GroupScheduler"]

logger = logging.getLogger("telic")

MISSING_SECONDS = 20.0
"""Time for which a group waits for its other members; after that it is ended."""
NEVER = 1 << 60
"""A step that never comes."""


@dataclass(slots=True, eq=False)
class _Gang:
    """The requests of a group in the scheduler."""

    size: int
    arrived: float
    """When its first member came, in seconds of the monotonic clock."""
    members: dict[int, Request] = field(default_factory=dict)
    admitted: bool = False
    misaligned: bool = False
    """Whether some of its members were computed without the others."""

    @property
    def whole(self) -> bool:
        return len(self.members) == self.size

    @property
    def ended(self) -> bool:
        return all(request.is_finished() for request in self.members.values())

    @property
    def broken(self) -> bool:
        """Whether it can never draw a token."""
        missing = not self.whole and time.monotonic() - self.arrived > MISSING_SECONDS
        # A prompt of one token cannot stop one token short of its end.
        too_short = self.size > 1 and any(request.num_tokens < 2 for request in self.members.values())
        return missing or too_short or self.misaligned or any(r.is_finished() for r in self.members.values())


class GroupScheduler(Scheduler):  # type: ignore[misc]
    """vLLM's scheduler, for groups.

    Raises:
        ValueError: vLLM is configured in a way in which groups cannot be kept in step.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._refuse_unsupported()
        self._block_size = int(self.block_size)
        self._gangs: dict[str, _Gang] = {}
        """By group, in the order of arrival."""
        self._group_of: dict[str, str] = {}
        """By request."""
        self._released: set[str] = set()
        """Groups whose next token is drawn in this step."""

    def _refuse_unsupported(self) -> None:
        wrong = {
            "async_scheduling": self.scheduler_config.async_scheduling,
            "speculative decoding": self.vllm_config.speculative_config is not None,
            "a scheduling policy other than fcfs": self.scheduler_config.policy != "fcfs",
            "pipeline parallelism": self.parallel_config.pipeline_parallel_size > 1,
            "data parallelism": self.parallel_config.data_parallel_size > 1,
            "a KV connector": self.connector is not None,
        }
        if found := [name for name, is_wrong in wrong.items() if is_wrong]:
            raise ValueError(f"Telic's scheduler does not support {', '.join(found)}; start vLLM without it")

    def add_request(self, request: Request) -> None:
        """Take a request in, as a member of its group."""
        if request.request_id not in self.requests:
            member = member_of(request.sampling_params) or Member(request.request_id, 0, 1)
            gang = self._gangs.setdefault(member.group, _Gang(member.size, time.monotonic()))
            gang.misaligned |= member.place in gang.members or member.size != gang.size
            gang.members[member.place] = request
            self._group_of[request.request_id] = member.group
        super().add_request(request)

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        """Choose what the next step computes."""
        self._end_groups()
        self._preempt_groups()
        self._admit_groups()
        self._release_groups()
        output = super().schedule(*args, **kwargs)
        for group in self._released:
            gang = self._gangs[group]
            computed = sum(r.request_id in output.num_scheduled_tokens for r in gang.members.values())
            if computed not in (0, gang.size):
                gang.misaligned = True
                logger.error("group %s: %d of its %d members were scheduled", group, computed, gang.size)
        return output

    def _end_groups(self) -> None:
        """Forget the groups that have ended, and end those that never will by themselves."""
        for group, gang in list(self._gangs.items()):
            if gang.broken:
                left = [r.request_id for r in gang.members.values() if not r.is_finished()]
                # vLLM ends these with an error after the step, and tells whoever waits for them. Until then they are
                # kept out of it.
                self.grammar_compile_error_reqs.update(left)
                self._hold(gang)
                gang.admitted = False
            if gang.ended:
                for request in gang.members.values():
                    self._group_of.pop(request.request_id, None)
                del self._gangs[group]

    def _preempt_groups(self) -> None:
        """Preempt the groups that came last until the others' next tokens fit into the cache."""
        admitted = [gang for gang in self._gangs.values() if gang.admitted]
        demand = sum(map(self._blocks, admitted))
        while demand > self._capacity and len(admitted) > 1:
            gang = admitted.pop()
            demand -= self._blocks(gang)
            gang.admitted = False
            for request in gang.members.values():
                if request.status == RequestStatus.RUNNING:
                    self.running.remove(request)
                    self._preempt_request(request, time.monotonic())

    def _admit_groups(self) -> None:
        """Admit groups in the order of arrival, as long as all of them fit into the cache and the batch."""
        admitted = [gang for gang in self._gangs.values() if gang.admitted]
        demand, rows = sum(map(self._blocks, admitted)), sum(gang.size for gang in admitted)
        for gang in self._gangs.values():
            if gang.admitted or gang.broken or not gang.whole:
                continue
            demand, rows = demand + self._blocks(gang), rows + gang.size
            if rows > self.max_num_active_reqs or demand > self._capacity:
                # Alone it would never fit either; its sender should have known.
                gang.misaligned = not admitted
                return
            gang.admitted = True
            admitted.append(gang)

    def _release_groups(self) -> None:
        """Hold the members that have one token left, except where all members of their group have."""
        self._released = set()
        first: list[Request] = []
        for group, gang in self._gangs.items():
            if not gang.admitted or gang.size == 1:
                continue
            self._hold(gang)
            if all(r.status == RequestStatus.RUNNING and _left(r) <= 1 for r in gang.members.values()):
                self._released.add(group)
                first += gang.members.values()
        for request in first:
            request.next_decode_eligible_step = 0
        if first:  # before all others, so that the step's budget of tokens divides no group
            chosen = {request.request_id for request in first}
            self.running[:] = first + [request for request in self.running if request.request_id not in chosen]

    @staticmethod
    def _hold(gang: _Gang) -> None:
        for request in gang.members.values():
            request.next_decode_eligible_step = NEVER if gang.broken or _left(request) <= 1 else 0

    @property
    def _capacity(self) -> int:
        """Blocks of the cache, without the empty one that vLLM keeps."""
        return int(self.kv_cache_manager.block_pool.num_gpu_blocks) - 1 - int(self.kv_cache_manager.watermark_blocks)

    def _blocks(self, gang: _Gang) -> int:
        """Blocks that a group needs, at most, for its next token and one more."""
        kinds = len(self.kv_cache_config.kv_cache_groups)
        return kinds * sum(-(-(int(request.num_tokens) + 2) // self._block_size) for request in gang.members.values())

    def _gang_of(self, request: Request) -> _Gang | None:
        return self._gangs.get(self._group_of.get(request.request_id, ""))

    # What vLLM asks about a single request.

    def _handle_blocked_waiting_request(self, request: Request) -> bool:
        gang = self._gang_of(request)
        return (gang is None or gang.admitted) and bool(super()._handle_blocked_waiting_request(request))

    def _get_local_prefix_cache_hit(self, request: Request) -> Any:
        blocks, count, *rest = super()._get_local_prefix_cache_hit(request)
        gang = self._gang_of(request)
        if gang is not None and gang.size > 1 and count == request.num_tokens - 1:
            # Nothing would be left to read but the token that is held. So it reads the last block again.
            count = (count - 1) // self.block_size * self.block_size
            blocks = self.kv_cache_manager.truncate_computed_blocks(blocks, count)
        return blocks, count, *rest

    def _reserve_prefill_lookahead(self, request: Request, num_computed_tokens: int, num_new_tokens: int) -> int:
        count = int(super()._reserve_prefill_lookahead(request, num_computed_tokens, num_new_tokens))
        group = self._group_of.get(request.request_id, "")
        gang = self._gangs.get(group)
        if gang is not None and gang.size > 1 and group not in self._released:
            count = min(count, request.num_tokens - num_computed_tokens - 1)
        return count


def _left(request: Request) -> int:
    """Tokens that a request has to compute before its next one is drawn."""
    return int(request.num_tokens - request.num_computed_tokens)
