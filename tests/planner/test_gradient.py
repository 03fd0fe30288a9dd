"""Losses through the frozen model and their gradient, against a whole pass of transformers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from telic.errors import ConfigError, ModelError
from telic.models.request import Request, Sampling
from telic.planner import UtteranceExample
from telic.planner.gradient import UtteranceLosses, cut_after_question
from tests.models import tiny
from tests.models.tiny import LONG, SHORT
from tests.planner.planners import control_of, examples, messages

Loss = Callable[[tiny.Case, UtteranceExample, torch.Tensor], torch.Tensor]


def plain(case: tiny.Case, example: UtteranceExample, prefix_L_D: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens of an utterance and their logits, by one full pass of transformers, context included."""
    network, model = case.reference.model, case.model
    ids = model.tokenizer(example.text, add_special_tokens=False)["input_ids"]
    target = torch.tensor([*ids, *([tiny.EOS] if example.ends else [])])
    prompt = torch.tensor(model.render(example.messages).token_ids)
    embed = network.get_input_embeddings()
    inputs = torch.cat([embed(prompt), prefix_L_D, embed(target[:-1])])
    return target, network(inputs_embeds=inputs[None], use_cache=False).logits[0, -len(target) :].float()


def plain_nll(case: tiny.Case, example: UtteranceExample, prefix_L_D: torch.Tensor) -> torch.Tensor:
    target, logits = plain(case, example, prefix_L_D)
    return torch.nn.functional.cross_entropy(logits, target, reduction="sum")


def plain_divergence(case: tiny.Case, example: UtteranceExample, prefix_L_D: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        without = plain(case, example, prefix_L_D[:0])[1].log_softmax(-1)
    steered = plain(case, example, prefix_L_D)[1].log_softmax(-1)
    return torch.nn.functional.kl_div(steered, without, reduction="sum", log_target=True)


@pytest.mark.parametrize(("loss", "plain_loss"), [("nll", plain_nll), ("divergence", plain_divergence)])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "mistral", "gemma3", "gpt2"])
def test_the_gradient_is_that_of_the_whole_pass(architecture: str, loss: str, plain_loss: Loss) -> None:
    case = tiny.case(architecture)
    given = examples()
    utterances = UtteranceLosses(case.model, given)
    drawn = torch.randn(len(given), 3, case.model.hidden_size, generator=torch.Generator().manual_seed(0))
    prefixes, twin = drawn.clone().requires_grad_(), drawn.clone().requires_grad_()
    order = [2, 0, 3, 1]
    loss_of = getattr(utterances, loss)
    found = loss_of(order, prefixes[order])
    expected = [plain_loss(case, given[n], twin[n]) for n in order]
    assert found.loss_B.tolist() == pytest.approx([float(loss.detach()) for loss in expected], rel=1e-4, abs=1e-3)
    assert found.tokens_B.tolist() == [utterances.tokens[n] for n in order]
    alone = [loss_of([n], prefixes[[n]]).loss_B.item() for n in order]
    assert alone == pytest.approx(found.loss_B.tolist(), rel=1e-4, abs=1e-3)
    weights = torch.tensor([0.5, 2.0, 1.0, 0.1])
    (found.loss_B * weights).sum().backward()
    (torch.stack(expected) * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert prefixes.grad is not None
    assert twin.grad is not None
    assert prefixes.grad == pytest.approx(twin.grad, rel=1e-3, abs=1e-3)
    assert all(parameter.grad is None for parameter in case.model.model.parameters())


def test_states_are_those_that_the_control_sees() -> None:
    model = tiny.local("llama")
    utterances = UtteranceLosses(model, examples())
    once = Sampling(max_new_tokens=1, temperature=0.0)
    for example, state_D in zip(examples(), utterances.states, strict=True):
        request = Request(example.messages, once, (control_of(model),))
        assert model.generate([request])[0].chosen["state"] == pytest.approx(state_D.numpy(), abs=1e-4)


def test_contexts_are_read_once_or_again_where_the_memory_is_short() -> None:
    case = tiny.case("llama")
    prefixes = torch.zeros(4, 2, 32)
    with case.counting() as counts:
        rich = UtteranceLosses(case.model, examples())
    # The long dialogue is that of two examples.
    assert sum(counts) == sum(len(case.model.render(e.messages).token_ids) for e in examples()[:3])
    poor = UtteranceLosses(case.model, examples(), cache_bytes=1)
    one, other = (made.nll(range(4), prefixes).loss_B.tolist() for made in (rich, poor))
    assert one == pytest.approx(other, abs=1e-4)
    with case.counting() as counts:
        rich.nll([1, 3], prefixes[:2])
    # Prefix and utterance only.
    assert sum(counts) == 2 * (2 + max(rich.tokens[1], rich.tokens[3]) - 1)


def test_an_utterance_is_cut_after_its_last_question() -> None:
    example = UtteranceExample((), "Where? And when? I see.")
    cut = cut_after_question(example)
    assert cut == UtteranceExample((), "Where? And when?", ends=False)
    assert cut_after_question(UtteranceExample((), "Where?")) == UtteranceExample((), "Where?")
    assert cut_after_question(UtteranceExample((), "I see.")) is None


def test_wrong_examples_are_refused() -> None:
    model = tiny.local("llama", context=60)
    with pytest.raises(ConfigError, match="examples is empty"):
        UtteranceLosses(model, [])
    with pytest.raises(ConfigError, match=r"examples\[1\] has the text ''"):
        UtteranceLosses(model, [UtteranceExample(messages(SHORT), text) for text in ("Hello!", "")])
    with pytest.raises(ModelError, match="cannot be read: the prompt of"):
        UtteranceLosses(model, [UtteranceExample(messages(LONG), "Hello!")])
    with pytest.raises(ModelError, match="example 0 does not fit"):
        UtteranceLosses(model, [UtteranceExample(messages(SHORT), LONG)])
    with pytest.raises(ConfigError, match="no prefix tokens"):
        UtteranceLosses(model, [UtteranceExample(messages(SHORT), "Hi")]).nll([0], torch.zeros(1, 0, 32))
