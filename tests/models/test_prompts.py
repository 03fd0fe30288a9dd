"""Prompts are rendered before the engine takes a request, and one that is far too long is not even tokenized."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("torch")

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from telic.dialogue import Message
from telic.errors import ModelError
from telic.models.local.prompts import COUNTED, TokenBound
from telic.models.request import Continuation, Request
from telic.rendering import Rendering
from telic.steering.guidance import Guidance
from tests.models import tiny

HUGE = "Where would you like to go? " * 40_000


def changed(change: Any) -> Any:
    """The tiny tokenizer with a part replaced."""
    inner = Tokenizer.from_str(tiny.tokenizer().backend_tokenizer.to_str())
    change(inner)
    return PreTrainedTokenizerFast(tokenizer_object=inner, clean_up_tokenization_spaces=False)


def without(*symbols: str) -> Any:
    """The tiny tokenizer without some symbols, which it then leaves out of a text."""
    data = json.loads(tiny.tokenizer().backend_tokenizer.to_str())
    kept = [token for token in data["model"]["vocab"] if not any(symbol in token for symbol in symbols)]
    data["model"]["vocab"] = {token: number for number, token in enumerate(kept)}
    merges = [pair if isinstance(pair, list) else pair.split(" ") for pair in data["model"]["merges"]]
    data["model"]["merges"] = [pair for pair in merges if {*pair, "".join(pair)} <= set(kept)]
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(data)))


def test_a_text_never_has_fewer_tokens_than_the_bound() -> None:
    def normalize(inner: Any) -> None:
        inner.normalizer = normalizers.Sequence([normalizers.Strip(), normalizers.StripAccents()])

    draw = random.Random(0)
    for tokenizer in (tiny.tokenizer(), changed(normalize), without("a", "Ġ", "ð")):
        bound = TokenBound(tokenizer)
        for _ in range(300):
            alphabet = draw.choice(["ab ", "aaaaab", "Where would you", " \n", "é\u0301\u0301", "東🙂", "<|im_end|>"])
            text = "".join(draw.choice(alphabet) for _ in range(draw.randint(0, 400)))
            assert bound.fewest_tokens(text) <= len(tokenizer(text, add_special_tokens=False)["input_ids"]), text
        assert bound.fewest_tokens(HUGE) > 10_000
    assert len(without("a")("aaaa")["input_ids"]) == 0, "it leaves them out indeed"


def test_a_tokenizer_that_may_lose_text_has_no_bound() -> None:
    def drop_spaces(inner: Any) -> None:
        inner.pre_tokenizer = pre_tokenizers.Whitespace()

    for tokenizer in (changed(drop_spaces), changed(lambda inner: setattr(inner, "pre_tokenizer", None))):
        assert TokenBound(tokenizer).fewest_tokens(HUGE) == 0


def test_spaces_that_a_special_token_takes_up_do_not_count() -> None:
    data = json.loads(tiny.tokenizer().backend_tokenizer.to_str())
    for token in data["added_tokens"]:
        token["lstrip"] = token["rstrip"] = True
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(data)))
    text = "<|im_start|>" + " " * 100_000 + "<|im_end|>"
    count = len(tokenizer(text, add_special_tokens=False)["input_ids"])
    assert TokenBound(tokenizer).fewest_tokens(text) <= count < 10


def test_a_prompt_that_is_far_too_long_is_refused_without_tokenizing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.local("llama")
    monkeypatch.setattr(model.template, "render", lambda *_, **__: pytest.fail("it was tokenized"))
    [reply] = model.generate([tiny.ask(HUGE, seed=3)])
    assert (reply.finish, reply.text, reply.seed) == ("context", "", 3)
    assert reply.failure is not None
    assert reply.failure.kind == "context_full"
    assert "at least" in reply.failure.detail
    with pytest.raises(ModelError, match="exceed the context") as refused:
        model.score([Continuation((Message(role="user", content=HUGE),), "Yes")])
    assert "0 tokens" not in str(refused.value)


def test_a_prompt_of_moderate_length_is_refused_with_its_length() -> None:
    model = tiny.local("llama", context=64)
    text = HUGE[: COUNTED // 4 - 200]
    [reply] = model.generate([tiny.ask(text)])
    assert reply.prompt_tokens == len(model.render(tiny.ask(text).messages).token_ids)


def test_what_the_template_leaves_out_does_not_count() -> None:
    model = tiny.local("llama", template=tiny.THINKING)
    thought = Message(role="assistant", content=f"<think>{HUGE}</think>Yes.")
    user = Message(role="user", content="Hello!")
    [reply] = model.generate([Request((user, thought, user), tiny.ask(max_new_tokens=2).sampling)])
    assert reply.failure is None


def test_equal_prompts_of_a_request_are_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.local("llama")
    rendered: list[Sequence[Message]] = []
    render = model.template.render

    def count(messages: Sequence[Message], **options: Any) -> Rendering:
        rendered.append(messages)
        return render(messages, **options)

    monkeypatch.setattr(model.template, "render", count)
    request = tiny.ask(seed=1, controls=[Guidance(gamma=1.5), Guidance(gamma=2.0)])
    prompts = model.render_prompts(request)
    assert [place for place, _ in prompts.renderings] == [None, 0, 1]
    assert len(rendered) == 2, "the prompt, and that without its system prompt"
    state = model.submit(request, prompts)
    while state.reply is None:
        model.step()
    assert len(rendered) == 2
    assert state.reply == model.generate([request])[0]


@pytest.mark.model
def test_the_bundled_model_refuses_a_huge_prompt_without_tokenizing_it() -> None:
    bound = TokenBound(tiny.bundled().model.tokenizer)
    assert bound.fewest_tokens(HUGE) > 8192
    assert bound.fewest_tokens("\x04" * 1000) == len(bound._tokenizer("\x04" * 1000)["input_ids"]) == 0
