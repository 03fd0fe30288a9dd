"""Workers of vLLM in processes of their own, as under tensor parallelism: what they are sent, what they have found."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from telic.models.compatibility import MESSAGES_ONLY
from telic.models.control import Control
from telic.models.vllm.control_wire import pack
from telic.models.vllm.groups import SequenceGroup
from telic.models.vllm.wire import MOST_CONTROLS, group_to_wire, take_results

__all__ = ["WorkerProcesses"]


class WorkerProcesses:
    """The workers of an engine whose core runs in this process.

    Args:
        engine: vLLM's `LLMEngine`.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._sent: OrderedDict[str, str] = OrderedDict()
        """By a control's key: the key of its files, under which workers know it; the one used last at the end."""

    def check(self, controls: Iterable[Control]) -> None:
        """Refuse controls that workers cannot build.

        Raises:
            UnsupportedControlError: they cannot build one, such as a control of your own.
        """
        for control in controls:
            if not control.points <= MESSAGES_ONLY and control.key not in self._sent:
                pack(control)

    def send(self, controls: Iterable[Control]) -> None:
        """Build those controls in the workers that they do not have."""
        for control in controls:
            if control.points <= MESSAGES_ONLY:
                continue
            if control.key not in self._sent:
                files = pack(control)
                self._engine.collective_rpc("telic_add_control", args=(files.config, files.tensors))
                self._sent[control.key] = files.key
            self._sent.move_to_end(control.key)
            if len(self._sent) > MOST_CONTROLS:
                self._sent.popitem(last=False)

    def describe(self, group: SequenceGroup) -> dict[str, Any]:
        """Describe a group to the workers."""
        self.send(group.sequences[0].controls)
        return group_to_wire(group, self._key_of)

    def close(self, group: SequenceGroup, tokens: int) -> None:
        """Let the workers forget a group, and take over what they have found for so many tokens."""
        found = self._engine.collective_rpc("telic_close", args=(group.id, tokens))
        if found[0] is not None:
            take_results(group, found[0])

    def _key_of(self, control: Control) -> str:
        return "" if control.points <= MESSAGES_ONLY else self._sent[control.key]
