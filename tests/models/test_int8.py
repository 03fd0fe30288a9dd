"""Weights of eight bits: near the float32 model, the same for a row whatever it is computed with."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from telic.errors import ConfigError, ModelError
from telic.models.catalog import load, locate
from telic.models.local import LocalModel
from telic.models.local.int8 import Int8Linear, quantise
from telic.steering.saving import Origin
from tests.models import tiny


def layer(inputs: int = 48, outputs: int = 24, bias: bool = True) -> torch.nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return torch.nn.Linear(inputs, outputs, bias=bias).requires_grad_(False)


def rows(count: int, inputs: int = 48) -> torch.Tensor:
    return torch.randn(count, inputs, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bias", [True, False])
def test_it_is_near_the_layer(bias: bool) -> None:
    whole = layer(bias=bias)
    x = rows(200) * torch.logspace(-3, 3, 200)[:, None]  # rows of very different size
    expected, found = whole(x), Int8Linear(whole)(x)
    error = (found - expected).norm(dim=1) / expected.norm(dim=1)
    assert error.max() < 0.03
    assert error.mean() > 0  # they are integers


@torch.inference_mode()
def test_a_row_does_not_depend_on_the_others() -> None:
    eight, x = Int8Linear(layer()), rows(17)
    x[3] *= 1000.0
    together = eight(x)
    for index in range(17):
        assert torch.equal(eight(x[index : index + 1])[0], together[index])
    assert torch.equal(eight(x.reshape(1, 17, 48))[0], together)


@torch.inference_mode()
def test_nan_and_infinity_stay_in_their_row() -> None:
    eight, x = Int8Linear(layer()), rows(4)
    expected = eight(x)
    x[1, 5], x[2, 7] = float("nan"), float("inf")
    found = eight(x)
    assert torch.equal(found[[0, 3]], expected[[0, 3]])
    assert not found[1].isfinite().any()
    assert not found[2].isfinite().all()


@torch.inference_mode()
def test_zeros() -> None:
    whole = layer()
    assert torch.allclose(Int8Linear(whole)(torch.zeros(2, 48)), whole.bias.expand(2, -1), atol=1e-6)
    whole.weight.zero_()
    assert torch.allclose(Int8Linear(whole)(rows(2)), whole.bias.expand(2, -1), atol=1e-6)


def test_the_gradient_is_that_of_the_weights() -> None:
    eight, x = Int8Linear(layer()), rows(3).requires_grad_()
    eight(x).sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, eight.weight().sum(dim=0).expand(3, -1), atol=1e-6)


def eight_bits(architecture: str) -> LocalModel:
    model = copy.deepcopy(tiny.weights(architecture))
    quantise(model, "int8:tiny")
    return LocalModel(model, tiny.tokenizer(), "int8:tiny")


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
def test_replies_do_not_depend_on_the_batch(architecture: str) -> None:
    model = eight_bits(architecture)
    kinds = [type(one) for one in model.model.modules()]
    assert kinds.count(Int8Linear) == 7 * 3
    assert type(model.model.get_output_embeddings()) is torch.nn.Linear
    requests = [tiny.ask(f"{text} {n}", temperature=0.8, seed=n) for n in range(4) for text in (tiny.SHORT, tiny.LONG)]
    together = model.generate(requests)
    assert [model.generate([one])[0].token_ids for one in requests] == [one.token_ids for one in together]
    whole = tiny.local(architecture).generate(requests)
    assert [one.token_ids for one in whole] != [one.token_ids for one in together]


def test_names() -> None:
    assert locate("int8:Qwen/Qwen3-0.6B") == ("hub", "Qwen/Qwen3-0.6B")
    assert locate("int8:some/model.gguf") == ("gguf", "some/model.gguf")
    for wrong in (
        "int8:fake",
        "int8:http://localhost:1/v1",
        "int8:vllm:smollm2",
        "vllm:int8:smollm2",
        "int8:int8:smollm2",
    ):
        with pytest.raises(ModelError, match="expected a name from `telic models` with weights"):
            locate(wrong)
    with pytest.raises(ModelError, match="unknown model 'smolm2'; did you mean 'smollm2'"):
        load("int8:smolm2")


def test_what_fits_the_weights_fits_both() -> None:
    model = eight_bits("llama")
    made = Origin("tiny", model.hidden_size, model.layers)
    made.check(model, "the planner")
    with pytest.raises(ConfigError, match="the planner was made for model 'other'"):
        Origin("other", model.hidden_size, model.layers).check(model, "the planner")


def test_another_device_is_refused() -> None:
    with pytest.raises(ModelError, match="int8 weights run on the CPU only, and this model is on 'meta'"):
        quantise(copy.deepcopy(tiny.weights("llama")).to("meta"), "int8:tiny")


@pytest.mark.parametrize("option", [{"device": "cuda"}, {"dtype": "bfloat16"}, {"dtype": torch.float16}])
def test_an_option_that_it_cannot_have_is_refused(option: dict[str, Any]) -> None:
    [name] = option
    with pytest.raises(ConfigError, match=f"'int8:smollm2': {name} is .*; int8 weights are made of float32 on the CPU"):
        load("int8:smollm2", **option)


def test_the_bundled_model() -> None:
    whole = tiny.bundled()
    model = load("int8:smollm2", threads=1)
    assert model.name == "int8:smollm2"
    request = tiny.ask("What is the capital of France?", system=None)
    assert "Paris" in model.generate([request])[0].text
    prompt = whole.prompt(request)
    with torch.inference_mode():
        found = torch.log_softmax(_logits(model, prompt), dim=-1)
    expected = whole.reference.log_probabilities(prompt)
    divergence = (expected.exp() * (expected - found)).sum(dim=-1)
    assert 0 < divergence.mean() < 0.2


def _logits(model: object, prompt: tuple[int, ...]) -> torch.Tensor:
    assert isinstance(model, LocalModel)
    twin = copy.copy(model.model)
    twin.set_attn_implementation("eager")
    return twin(torch.tensor([list(prompt)]), use_cache=False).logits[0].float()  # type: ignore[no-any-return]
