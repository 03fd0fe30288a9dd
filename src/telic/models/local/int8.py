"""Weights of eight bits: the products of the decoder's layers in integers, for models too slow in float32."""

from __future__ import annotations

import warnings

import torch

from telic.errors import ModelError

__all__ = ["Int8Linear", "quantise"]

LEVELS = 64
"""The largest weight as an integer. A processor without VNNI adds pairs of products in 16 bits, and these fit:
2 x 255 x 64. With 127 such sums saturate, which costs more than the bit."""
TINY = torch.finfo(torch.float32).tiny
"""Instead of a scale of zero."""


class Int8Linear(torch.nn.Module):
    """A linear layer with int8 weights, one scale for each output, and int8 activations, one scale for each row.

    A row's result does not depend on the rows that it is computed with: every row is scaled to [-1, 1], and a row that
    spans this range is computed with them, so that the library quantises them all alike.

    Args:
        layer: the layer that it stands for, with float32 weights on the CPU.
    """

    def __init__(self, layer: torch.nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.bias = layer.bias
        weight_O_I = layer.weight.detach()
        scale_O = (weight_O_I.abs().amax(dim=1) / LEVELS).clamp_min(TINY).double()
        zero_O = torch.zeros(len(scale_O), dtype=torch.long)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a later torch makes these tensors in another way
            quantised = torch.quantize_per_channel(weight_O_I, scale_O, zero_O, 0, torch.qint8)
        self._packed = torch.ops.quantized.linear_prepack(quantised, None)
        self._span_1_I = torch.zeros(1, self.in_features)
        self._span_1_I[0, 0], self._span_1_I[0, -1] = 1.0, -1.0

    def weight(self) -> torch.Tensor:
        """The weights that the integers stand for: float32 [outputs, inputs]."""
        return torch.ops.quantized.linear_unpack(self._packed)[0].dequantize()  # type: ignore[no-any-return]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the layer; where a gradient is wanted, in float32 with the weights that the integers stand for."""
        if torch.is_grad_enabled() and x.requires_grad:
            return torch.nn.functional.linear(x, self.weight(), self.bias)
        x_N_I = x.reshape(-1, self.in_features)
        smallest_N_1, largest_N_1 = x_N_I.amin(dim=1, keepdim=True), x_N_I.amax(dim=1, keepdim=True)
        scale_N_1 = torch.maximum(largest_N_1, -smallest_N_1).clamp_min_(TINY)
        scaled_M_I = x_N_I.new_empty(len(x_N_I) + 1, self.in_features)
        torch.div(x_N_I, scale_N_1, out=scaled_M_I[:-1])
        scaled_M_I[-1:] = self._span_1_I
        if not scale_N_1.isfinite().all():  # NaN stays in the scale, so it comes out of its row and no other
            scaled_M_I.nan_to_num_(0.0, 0.0, 0.0)
        y_N_O: torch.Tensor = torch.ops.quantized.linear_dynamic(scaled_M_I, self._packed)[:-1].mul_(scale_N_1)
        if self.bias is not None:
            y_N_O += self.bias
        return y_N_O.reshape(*x.shape[:-1], self.out_features)


def quantise(model: torch.nn.Module, name: str) -> None:
    """Replace the linear layers of a model by `Int8Linear`, in place, all but the one that gives the logits.

    Args:
        model: a model of `transformers` in float32 on the CPU.
        name: what errors call it.

    Raises:
        ModelError: it lies on another device, or torch was built without integer products for this processor.
    """
    device = next(model.parameters()).device.type
    if device != "cpu":
        raise ModelError(f"model {name!r}: int8 weights run on the CPU only, and this model is on {device!r}")
    if torch.backends.quantized.engine in ("none", ""):
        raise ModelError(f"model {name!r}: this build of torch has no int8 products; leave 'int8:' out")
    output = model.get_output_embeddings()  # type: ignore[operator]
    for parent in list(model.modules()):
        for child, layer in list(parent.named_children()):
            if type(layer) is torch.nn.Linear and layer is not output:
                setattr(parent, child, Int8Linear(layer))
