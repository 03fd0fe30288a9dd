"""Weights laid out once for the processor's matrix kernels.

For the few rows of a decoding step, a float32 product on a CPU spends much of its time rearranging the weights. oneDNN
can keep them rearranged. The packed copy is used for inference only; gradients go through the original weights.
"""

from __future__ import annotations

from types import MethodType

import torch

__all__ = ["pack_linears"]

FEW_ROWS = 128
"""Up to this many rows the packed product is faster; beyond, the plain one is as fast."""


def pack_linears(model: torch.nn.Module, budget: int) -> int:
    """Give float32 linear layers on the CPU a packed copy, the largest first, within `budget` bytes.

    Returns:
        Bytes used.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return 0
    layers = [m for m in model.modules() if type(m) is torch.nn.Linear]
    used = 0
    for layer in sorted(layers, key=lambda layer: -layer.weight.numel()):
        weight = layer.weight
        if weight.dtype != torch.float32 or weight.device.type != "cpu" or used + weight.nbytes > budget:
            continue
        packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), 32)
        layer.forward = MethodType(_forward(packed), layer)  # type: ignore[method-assign]
        used += weight.nbytes
    return used


def _forward(packed: torch.Tensor):  # type: ignore[no-untyped-def]
    def forward(self: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled() or x.numel() // x.shape[-1] > FEW_ROWS:
            return torch.nn.functional.linear(x, self.weight, self.bias)
        return torch.ops.mkldnn._linear_pointwise(x, packed, self.bias, "none", [], "")  # type: ignore[no-any-return]

    return forward
