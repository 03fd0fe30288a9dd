"""A tiny random Llama on vLLM, and the same weights on Telic's own engine."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from telic.models.local import LocalModel
from tests.models import tiny

CONTEXT = 768


@cache
def weights(*, two_heads: bool = False, context: int = CONTEXT) -> Any:
    """A Llama whose heads are of the smallest size that vLLM's attention on a CPU knows."""
    heads = 2 if two_heads else 1
    with torch.random.fork_rng():
        torch.manual_seed(5)
        shape = tiny._shape(
            num_attention_heads=heads, num_key_value_heads=heads, head_dim=32, max_position_embeddings=context
        )
        model = LlamaForCausalLM(LlamaConfig(**shape))
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=1.0 if "embed" in name else 0.3)
    return model.eval()


@cache
def folder(*, two_heads: bool = False, context: int = CONTEXT) -> Path:
    """Where the weights are saved; it stays until this process ends."""
    made = tempfile.TemporaryDirectory(prefix="tiny-vllm-")
    _folders.append(made)
    weights(two_heads=two_heads, context=context).save_pretrained(made.name)
    tiny.tokenizer().save_pretrained(made.name)
    return Path(made.name)


_folders: list[tempfile.TemporaryDirectory[str]] = []


def on_vllm(*, two_heads: bool = False, **options: Any) -> Any:
    """Start vLLM on the weights; `options` are those of `VllmModel`, and vLLM's own."""
    from telic.models.vllm import VllmModel

    chosen: dict[str, Any] = {"max_batch": 16, "dtype": "float32", "num_gpu_blocks_override": 2048, **options}
    return VllmModel(str(folder(two_heads=two_heads)), "tiny-llama", **chosen)


@cache
def local(*, two_heads: bool = False) -> LocalModel:
    """The weights on Telic's own engine."""
    return LocalModel(weights(two_heads=two_heads), tiny.tokenizer(), "tiny-llama", max_batch=256)
