from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models import FakeModel, ScriptedModel
from telic.models.choices import as_question, read_choice
from telic.models.compatibility import refuse_unsupported
from telic.models.local import LocalModel
from telic.models.request import Continuation, Reply, Request
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, ask

CHOICES = ("Hello", " I want", "May", "who?")


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama", max_batch=8)


def choose(temperature: float = 0.0, seed: int = 0) -> Request:
    return replace(ask(LONG, temperature=temperature, seed=seed), choices=CHOICES)


def test_the_coldest_choice_is_the_most_likely_one(model: LocalModel) -> None:
    scores = model.score([Continuation(ask(LONG).messages, choice) for choice in CHOICES])
    best = max(zip(scores, CHOICES, strict=True), key=lambda pair: pair[0].logprob)[1]
    reply = model.generate([choose()])[0]
    assert (reply.text, reply.finish) == (best, "stop")


def test_choices_are_drawn_by_their_likelihood(model: LocalModel) -> None:
    scores = model.score([Continuation(ask(LONG).messages, choice) for choice in CHOICES])
    drawn = Counter(reply.text for reply in model.generate([choose(30.0, seed) for seed in range(120)]))
    assert set(drawn) == set(CHOICES), "at a high temperature all of them come up"
    order = sorted(range(len(CHOICES)), key=lambda i: scores[i].logprob)
    assert drawn[CHOICES[order[-1]]] > drawn[CHOICES[order[0]]] / 2
    again = [reply.text for reply in model.generate([choose(1.0, seed) for seed in range(8)])]
    assert again == [model.generate([choose(1.0, seed)])[0].text for seed in range(8)]


def test_a_choice_beside_other_requests(model: LocalModel) -> None:
    replies = model.generate([ask(MIDDLE), choose(), ask(LONG)])
    assert replies[1].text == model.generate([choose()])[0].text
    assert replies[0].token_ids == model.generate([ask(MIDDLE)])[0].token_ids


def test_a_reply_may_be_begun_for_the_model(model: LocalModel) -> None:
    plain = model.generate([ask(LONG, max_new_tokens=8, ignore_eos=True)])[0]
    start = tiny.tokenizer().decode(plain.token_ids[:3])
    if tiny.tokenizer()(start, add_special_tokens=False)["input_ids"] != list(plain.token_ids[:3]):
        start = "Hello"
        plain = replace(plain, token_ids=())
    begun = model.generate([replace(ask(LONG, max_new_tokens=5, ignore_eos=True), reply_prefix=start)])[0]
    assert len(begun.token_ids) == 5
    if plain.token_ids:
        assert begun.token_ids == plain.token_ids[3:]


def test_a_choice_that_cannot_be_encoded_leaves_nothing_in_the_engine(
    model: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = model.template.encoder.encode

    def refuse_last(content: str) -> list[int]:
        if content == CHOICES[-1]:
            raise ModelError("a control token cannot be encoded as text")
        return encode(content)

    monkeypatch.setattr(model.template.encoder, "encode", refuse_last)
    with pytest.raises(ModelError, match="control token"):
        model.generate([choose()])
    assert model.engine.idle


def test_wrong_choices_are_refused() -> None:
    for choices in (("a", "a"), ("a", "")):
        with pytest.raises(ConfigError, match="choices"):
            replace(ask(LONG), choices=choices)
    with pytest.raises(UnsupportedControlError, match="does not support a prefix"):
        refuse_unsupported(FakeModel(), [replace(ask(LONG), reply_prefix="So")])


def test_a_model_without_likelihoods_is_asked() -> None:
    asked = as_question(choose())
    assert all(choice in asked.messages[-1].content for choice in CHOICES)
    reply = ScriptedModel(["I take May, please"]).generate([choose()])[0]
    assert reply.text == "May"
    lost = ScriptedModel(["none of them"]).generate([choose()])[0]
    assert lost.finish == "error"
    assert read_choice(choose(), lost) is lost
    full = read_choice(choose(), Reply("", "context"))
    assert full.failure is not None
    assert full.failure.kind == "context_full"
    assert {FakeModel().generate([choose(1.0, seed)])[0].text for seed in range(40)} == set(CHOICES)


def test_a_choice_is_streamed_whole(model: LocalModel) -> None:
    text, reply = model.stream(choose())
    assert text == reply.text == model.generate([choose()])[0].text  # type: ignore[union-attr]
