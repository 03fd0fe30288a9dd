"""What Telic adds to a worker of vLLM: it keeps the hidden states, changes the residual stream, hands out results."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import torch

from telic.errors import ConfigError
from telic.models.control import Control
from telic.models.grammars import GrammarCache
from telic.models.local.chunks import AppliedResidual, Chunk, change_residual, residual_controls
from telic.models.local.forward import decoder_layers
from telic.models.response_format import ResponseFormat
from telic.models.vllm.control_wire import ControlFiles, build_sent
from telic.models.vllm.groups import GROUPS, member_of
from telic.models.vllm.model import grammars_of
from telic.models.vllm.wire import CONTROLS, MOST_CONTROLS, format_from_wire, results_to_wire

__all__ = ["Tap", "WorkerExtension", "tap_of"]


class Tap:
    """Observes a model runner.

    Args:
        runner: the worker's model runner (V1).
    """

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.hidden_R_D: torch.Tensor | None = None
        """Hidden states that this step's logits are computed from, row by row."""
        self.grammars = grammars_of(runner.vllm_config)
        """Compiles the response formats of groups that come from another process."""
        self._applied: list[AppliedResidual] = []
        model = runner.get_model()
        compute = model.compute_logits

        def compute_logits(hidden_R_D: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            self.hidden_R_D = hidden_R_D
            return compute(hidden_R_D, *args, **kwargs)

        # Outside of what is compiled, and in eager mode as well.
        model.compute_logits = compute_logits
        self.hooks_act = bool(runner.model_config.enforce_eager)
        """Whether residual controls act: a compiled model does not call hooks."""
        if self.hooks_act:
            layers = decoder_layers(model, runner.model_config.get_total_num_hidden_layers())
            layers[0].register_forward_pre_hook(self._begin)
            for layer, module in enumerate(layers):
                module.register_forward_hook(self._change(layer))

    def is_discarded(self, index: int) -> bool:
        """Whether a row's token is thrown away, since its prompt is not read to the end."""
        return bool(self._runner.discard_request_mask.np[index])

    def _begin(self, _module: Any, _inputs: Any) -> None:
        """Find out which tokens of the pass which residual controls act on."""
        batch = self._runner.input_batch
        count = batch.num_reqs
        starts = self._runner.query_start_loc.np[: count + 1].tolist()
        computed = batch.num_computed_tokens_cpu[:count].tolist()
        chunks, offsets = [], []
        for row, request_id in enumerate(batch.req_ids[:count]):
            request = self._runner.requests.get(request_id)
            member = member_of(request.sampling_params) if request is not None else None
            group = GROUPS.get(member.group) if member is not None else None
            if member is None or group is None or not any("residual" in c.points for c in group.sequences[0].controls):
                continue
            length = starts[row + 1] - starts[row]
            chunks.append(Chunk(group.sequences[member.place], computed[row], computed[row] + length))
            offsets.append(starts[row])
        self._applied = residual_controls(chunks, offsets, self._runner.device) if chunks else []

    def _change(self, layer: int) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> Any:
            if not self._applied:
                return None
            if not isinstance(output, tuple):
                return change_residual(self._applied, layer, output)
            # vLLM adds the two in the next layer's norm.
            hidden_N_D, residual_N_D = output
            whole_N_D = hidden_N_D + residual_N_D
            changed_N_D = change_residual(self._applied, layer, whole_N_D)
            return (changed_N_D - residual_N_D, residual_N_D)

        return hook


_taps: dict[int, Tap] = {}
"""By the identity of vLLM's configuration, which a worker shares with its logits processors."""


_compilers = ThreadPoolExecutor(1, "telic-formats")


def _compile(grammars: GrammarCache, form: ResponseFormat) -> None:
    with suppress(ConfigError):  # the server has compiled it before, and says what is wrong
        grammars.check(form)


def tap_of(vllm_config: Any) -> Tap:
    """The tap of the worker with this configuration."""
    return _taps[id(vllm_config)]


class WorkerExtension:
    """Methods that vLLM adds to its worker (`worker_extension_cls`); called by `collective_rpc`."""

    model_runner: Any
    vllm_config: Any

    def telic_install(self) -> bool:
        """Observe the model runner from now on; returns whether residual controls can act."""
        CONTROLS[""] = Control()  # acts nowhere: it stands for one that acted on the messages
        tap = _taps[id(self.vllm_config)] = Tap(self.model_runner)
        return tap.hooks_act

    def telic_add_control(self, config: str, tensors: bytes) -> None:
        """Build a control that groups will name by the key of its files."""
        files = ControlFiles(config, tensors)
        CONTROLS.pop(files.key, None)  # one that is sent again is forgotten last
        CONTROLS[files.key] = build_sent(files)
        while len(CONTROLS) > 2 * MOST_CONTROLS:  # whoever sent it has long forgotten it
            del CONTROLS[next(key for key in CONTROLS if key)]

    def telic_compile(self, wire: dict[str, str]) -> bool:
        """Compile a response format in a thread, so that no reply waits for it; returns whether that is done."""
        grammars, form = tap_of(self.vllm_config).grammars, format_from_wire(wire)
        if not grammars.is_known(form):
            _compilers.submit(_compile, grammars, form)
        return grammars.is_known(form)

    def telic_close(self, group: str, tokens: int) -> dict[str, Any] | None:
        """Close a group, and hand out what was found for so many tokens; None if it never reached the engine."""
        found = GROUPS.pop(group, None)
        if found is None:
            return None
        found.cut(tokens)
        return results_to_wire(found)
