"""The products of large linear layers, computed by the faster library."""

from __future__ import annotations

from types import MethodType

import torch

__all__ = ["speed_up_products"]

FEW_ROWS = 128
"""Up to this many rows oneDNN is faster than the default product, by up to two times; beyond, both are as fast."""
LARGE = 1 << 20
"""From this many weights on."""


def speed_up_products(model: torch.nn.Module) -> None:
    """Let oneDNN compute large float32 layers on the CPU where there are few rows; gradients go the usual way."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for layer in model.modules():
        if type(layer) is torch.nn.Linear and _is_large(layer.weight):
            layer.forward = MethodType(_forward, layer)  # type: ignore[method-assign]


def _is_large(weight: torch.Tensor) -> bool:
    return weight.dtype == torch.float32 and weight.device.type == "cpu" and weight.numel() >= LARGE


def _forward(self: torch.nn.Linear, x: torch.Tensor) -> torch.Tensor:
    if torch.is_grad_enabled() or x.numel() // x.shape[-1] > FEW_ROWS:
        return torch.nn.functional.linear(x, self.weight, self.bias)
    return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")  # type: ignore[no-any-return]
