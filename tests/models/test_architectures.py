"""Architectures that the engine computes rightly or refuses; none may be answered with something else."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf

from telic.errors import ModelError
from telic.models.local import LocalModel
from tests.models import tiny
from tests.models.tiny import MIDDLE, SHORT, Case, Reference, ask

SHAPE = {"vocab_size": len(tiny.tokenizer()), "hidden_size": 32, "eos_token_id": 1, "bos_token_id": 0}
LAYERS = {**SHAPE, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "pad_token_id": 0}
SHORT_NAMES = {"vocab_size": len(tiny.tokenizer()), "eos_token_id": 1, "bos_token_id": 0}

COMPUTED: dict[str, Callable[[], Any]] = {
    "opt": lambda: hf.OPTForCausalLM(
        hf.OPTConfig(**SHAPE, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64, word_embed_proj_dim=32)
    ),
    "gpt-neox": lambda: hf.GPTNeoXForCausalLM(hf.GPTNeoXConfig(**LAYERS)),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**LAYERS)),
    "mixtral": lambda: hf.MixtralForCausalLM(hf.MixtralConfig(**LAYERS, num_key_value_heads=2)),
    "olmo2": lambda: hf.Olmo2ForCausalLM(hf.Olmo2Config(**LAYERS)),
    "granite": lambda: hf.GraniteForCausalLM(hf.GraniteConfig(**LAYERS)),
    "cohere": lambda: hf.CohereForCausalLM(hf.CohereConfig(**LAYERS)),
}
REFUSED: dict[str, Callable[[], Any]] = {
    "mamba": lambda: hf.MambaForCausalLM(hf.MambaConfig(**SHAPE, num_hidden_layers=2)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**LAYERS, num_key_value_heads=2, head_dim=8)),
}
WRONG: dict[str, Callable[[], Any]] = {
    "bloom": lambda: hf.BloomForCausalLM(hf.BloomConfig(**SHAPE, n_layer=2, n_head=4)),
    "falcon": lambda: hf.FalconForCausalLM(
        hf.FalconConfig(**SHAPE, num_hidden_layers=2, num_attention_heads=4, alibi=True)
    ),
    "gpt-j": lambda: hf.GPTJForCausalLM(
        hf.GPTJConfig(**SHORT_NAMES, n_embd=32, n_layer=2, n_head=4, rotary_dim=4, n_positions=256)
    ),
    "gpt-neo": lambda: hf.GPTNeoForCausalLM(
        hf.GPTNeoConfig(**SHAPE, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=8)
    ),
    "gpt-oss": lambda: hf.GptOssForCausalLM(
        hf.GptOssConfig(
            **LAYERS,
            num_key_value_heads=2,
            head_dim=8,
            num_local_experts=2,
            num_experts_per_tok=1,
            sliding_window=8,
            max_position_embeddings=131072,
        )
    ),
}
"""Their attention does not go through the interface, or adds sinks, which the engine leaves out."""


def build(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = make().eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("make", COMPUTED.values(), ids=COMPUTED.keys())
def test_answers_are_those_of_transformers(make: Callable[[], Any]) -> None:
    model = build(make)
    case = Case(LocalModel(copy.deepcopy(model), tiny.tokenizer(), "tiny"), Reference(model))
    requests = [ask(user, logprobs=True, max_new_tokens=4) for user in (SHORT, MIDDLE)]
    for request, reply in zip(requests, case.model.generate(requests), strict=True):
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=1e-4)


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in (REFUSED | WRONG).items()])
def test_what_cannot_be_computed_is_refused(make: Callable[[], Any]) -> None:
    with pytest.raises(ModelError, match="engine"):
        LocalModel(build(make), tiny.tokenizer(), "tiny").generate([ask(max_new_tokens=1)])
