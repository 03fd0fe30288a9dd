"""A logits processor for vLLM that draws the tokens of groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from telic.models.vllm.groups import GROUPS, ISSUED, KEY, Member, member_of
from telic.models.vllm.plugin.drawing import DueGroup, draw_tokens, force_tokens
from telic.models.vllm.plugin.worker import tap_of
from telic.models.vllm.wire import group_from_wire

__all__ = ["GroupProcessor"]


@dataclass(frozen=True, slots=True)
class _Row:
    member: Member
    output: list[int]
    """The request's tokens so far; vLLM appends to it."""


class GroupProcessor(LogitsProcessor):  # type: ignore[misc]
    """Makes the logits of all members of a group those of the token that Telic draws; leaves other rows alone.

    It works with the V1 model runner, which calls `update_state` before each step and `apply` within it.
    """

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:  # noqa: ARG002
        self._config = vllm_config
        self._rows: dict[int, _Row] = {}

    @classmethod
    def validate_params(cls, params: Any) -> None:
        """Refuse members that no code of Telic in this process has made.

        Raises:
            ValueError: someone else made them.
        """
        if KEY in (params.extra_args or {}):
            try:
                known = (member := member_of(params)) is not None and member.group in ISSUED
            except (KeyError, TypeError, ValueError):
                known = False
            if not known:
                raise ValueError(f"extra_args[{KEY!r}] is set by Telic's own endpoint only; call /telic/v1/generate")

    def is_argmax_invariant(self) -> bool:
        """Return False: it decides the most likely token."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Keep track of which row is which member."""
        if batch_update is None:
            return
        for index in batch_update.removed:
            self._rows.pop(index, None)
        for index, params, _, output in batch_update.added:
            self._rows.pop(index, None)
            member = member_of(params)
            if member is not None:
                if member.group not in GROUPS and (wire := params.extra_args[KEY].get("wire")):
                    GROUPS[member.group] = group_from_wire(member.group, wire, tap_of(self._config).grammars)
                self._rows[index] = _Row(member, output)
        for one, other, direction in batch_update.moved:
            moved, swapped = self._rows.pop(one, None), self._rows.pop(other, None)
            if moved is not None:
                self._rows[other] = moved
            if swapped is not None and direction == MoveDirectionality.SWAP:
                self._rows[one] = swapped

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Draw the token of each group that is complete in this step."""
        if not self._rows:
            return logits
        tap = tap_of(self._config)
        found: dict[str, dict[int, int]] = {}
        for index, row in self._rows.items():
            if not tap.is_discarded(index):  # else its prompt goes on
                found.setdefault(row.member.group, {})[row.member.place] = index
        due: list[DueGroup] = []
        for name, places in found.items():
            group = GROUPS.get(name)
            if group is None:
                continue  # it was closed, and its members are about to be aborted
            if len(places) < group.size:
                group.failure = "interrupted"
                continue
            rows = [places[place] for place in range(group.size)]
            due.append(DueGroup(group, rows, self._rows[rows[0]].output))
        if due:
            force_tokens(due, draw_tokens(due, logits, tap.hidden_R_D), logits)
        return logits
