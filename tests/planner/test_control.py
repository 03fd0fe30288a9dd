"""The planner as a control: what it does to a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from telic.dialogue import Dialogue
from telic.errors import ConfigError
from telic.models.request import Continuation, Reply, Request
from telic.models.response_format import ResponseFormat
from telic.planner.control import PlannerControl
from telic.planner.planner import Planner
from telic.steering import AttentionHold, Guidance
from telic.steering.vector import Vector
from tests.models import tiny
from tests.models.test_controls import Bias, Prefix
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM, Case, ask
from tests.planner.planners import control_of, planner_of

GREEDY: dict[str, Any] = {"max_new_tokens": 6, "temperature": 0.0, "logprobs": True}


@pytest.fixture(scope="module", params=["llama", "qwen3", "mistral", "gemma3", "gpt2"])
def case(request: pytest.FixtureRequest) -> Case:
    return tiny.case(request.param)


@pytest.fixture(scope="module")
def llama() -> Case:
    return tiny.case("llama")


def state_of(case: Case, request: Request) -> torch.Tensor:
    """transformers' own last hidden state of a prompt."""
    hidden = case.reference.forward(case.prompt(request), output_hidden_states=True).hidden_states[-1]
    return torch.as_tensor(hidden[0, -1])


def spoken(case: Case, tokens: Sequence[int], at: int, prefix_L_D: torch.Tensor, reply: Reply) -> list[float]:
    """transformers' log-probabilities of a reply after a prompt with prefix embeddings at a place."""
    embed = case.reference.model.get_input_embeddings()
    ids = torch.tensor([*tokens])
    inputs = torch.cat([embed(ids[:at]), prefix_L_D, embed(ids[at:]), embed(torch.tensor(reply.token_ids))])
    with torch.inference_mode():
        logits = case.reference.model(inputs_embeds=inputs[None], use_cache=False).logits[0]
    table = torch.log_softmax(logits.float(), -1)[-reply.new_tokens - 1 : -1]
    return [float(table[i, token]) for i, token in enumerate(reply.token_ids)]


@pytest.mark.parametrize("placement", ["end", "mid", "start"])
def test_the_prefix_follows_from_the_state_of_the_plain_prompt(case: Case, placement: str) -> None:
    planner = planner_of(case.model, placement=placement)
    request = ask(MIDDLE, controls=(PlannerControl(planner=planner),), **GREEDY)
    reply = case.one(request)
    state_D = state_of(case, request)
    assert reply.chosen["state"] == pytest.approx(state_D.numpy(), abs=10 * case.tolerance)
    # The rounding of the state must not decide: the action that was taken is the one that is checked further.
    action_A = torch.from_numpy(reply.chosen["action"])
    assert action_A == pytest.approx(planner.act(state_D), abs=10 * case.tolerance)
    rendering = case.model.render(request.messages)
    at = {"end": len(rendering.token_ids), "mid": rendering.system_turn.end, "start": 0}[placement]
    expected = spoken(case, rendering.token_ids, at, planner.prefix(action_A), reply)
    assert reply.logprobs == pytest.approx(expected, abs=2 * case.tolerance)
    assert reply.prompt_tokens == len(rendering.token_ids) + planner.shape.tokens


def test_what_a_planner_says_is_what_its_vectors_say_as_a_plain_prefix(case: Case) -> None:
    planner = planner_of(case.model)
    steered = case.one(ask(LONG, controls=(PlannerControl(planner=planner),), **GREEDY))
    vectors = planner.prefix(torch.from_numpy(steered.chosen["action"]))
    plain = case.one(ask(LONG, controls=(Prefix(vectors, "end"),), **GREEDY))
    assert plain.token_ids == steered.token_ids
    assert plain.logprobs == pytest.approx(steered.logprobs, abs=case.tolerance)


def test_at_the_end_it_costs_its_own_tokens(llama: Case) -> None:
    model, control = llama.model, control_of(llama.model, tokens=3)
    with llama.counting() as plain:
        one = llama.one(ask(LONG, max_new_tokens=4, ignore_eos=True))
    with llama.counting() as steered:
        llama.one(ask(LONG, max_new_tokens=4, ignore_eos=True, controls=(control,)))
    assert sum(steered) == sum(plain) + 3
    # And in the next turn, the reply and the last token of what was before it are read again.
    session = model.session(SYSTEM).user(LONG)
    session.reply(max_new_tokens=4, temperature=0.0, ignore_eos=True, controls=(control,))
    session.user(SHORT)
    with llama.counting() as further:
        reply = session.reply(max_new_tokens=1, controls=(control,))
    assert reply.cached_tokens == one.prompt_tokens - 1
    assert sum(further) == reply.prompt_tokens - reply.cached_tokens


def test_the_sessions_cache_holds_the_prompt_alone_and_serves_everyone(llama: Case) -> None:
    session = llama.model.session(SYSTEM).user(LONG)
    control = control_of(llama.model)
    session.reply(controls=(control,), **GREEDY)
    prompt = llama.model.render(tuple(session)[:-1]).token_ids
    assert session.cache.key_values.tokens == prompt[:-1]
    # A branch without the planner takes over what was read with it, and the other way round.
    plain = session.fork().user(SHORT).request(**GREEDY)
    reply = llama.one(plain)
    assert reply.cached_tokens == len(prompt) - 1
    assert reply.logprobs == pytest.approx(llama.one(replace(plain, cache=None)).logprobs, abs=1e-4)


def test_several_samples_of_one_prompt_read_it_once(llama: Case) -> None:
    control = control_of(llama.model, sigma=0.3)
    options: dict[str, Any] = {"max_new_tokens": 2, "temperature": 1.0, "ignore_eos": True, "controls": (control,)}
    requests = [ask(LONG, seed=seed, **options) for seed in range(5)] + [ask(LONG, seed=0, max_new_tokens=2)]
    with llama.counting() as counts:
        replies = llama.model.generate(requests)
    length = replies[-1].prompt_tokens
    # The prompt once, its last token for the others, the prefixes, and one token more of each reply.
    assert sum(counts) <= length + 5 + 5 * 2 + 6
    for request, reply in zip(requests, replies, strict=True):
        assert reply.token_ids == llama.one(request).token_ids


def test_noise_follows_from_the_seed(llama: Case) -> None:
    planner = planner_of(llama.model)
    calm, one, again, other = llama.model.generate(
        [
            ask(SHORT, controls=(PlannerControl(planner=planner, sigma=sigma),), seed=seed)
            for sigma, seed in ((0.0, 1), (0.5, 1), (0.5, 1), (0.5, 2))
        ]
    )
    assert (one.chosen["action"] == again.chosen["action"]).all()
    assert (one.chosen["action"] != other.chosen["action"]).all()
    noise = torch.from_numpy(one.chosen["action"] - calm.chosen["action"])
    expected = 0.5 * torch.randn(4, generator=torch.Generator().manual_seed(1))
    assert noise == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("placement", ["end", "start"])
def test_a_given_beginning_comes_after_the_prefix(llama: Case, placement: str) -> None:
    planner = planner_of(llama.model, placement=placement)
    request = ask(MIDDLE, controls=(PlannerControl(planner=planner),), **GREEDY)
    request.reply_prefix = "In May"
    reply = llama.one(request)
    begun = llama.model.tokenizer("In May", add_special_tokens=False)["input_ids"]
    prompt = [*llama.prompt(request), *begun]
    at = len(prompt) - len(begun) if placement == "end" else 0
    prefix_L_D = planner.prefix(torch.from_numpy(reply.chosen["action"]))
    assert reply.chosen["state"] == pytest.approx(state_of(llama, request).numpy(), abs=1e-3)
    assert reply.logprobs == pytest.approx(spoken(llama, prompt, at, prefix_L_D, reply), abs=2e-4)


def test_choices_and_scores_are_under_the_planner(llama: Case) -> None:
    planner = planner_of(llama.model)
    control, text = PlannerControl(planner=planner), "In May, with whom?"
    messages = tuple(Dialogue().with_system(SYSTEM).add("user", MIDDLE))
    scored = llama.model.score([Continuation(messages, text)], controls=(control,))[0]
    ids = llama.model.tokenizer(text, add_special_tokens=False)["input_ids"]
    prompt = llama.model.render(messages).token_ids
    prefix_L_D = planner.prefix(planner.act(state_of(llama, Request(messages))))
    expected = spoken(
        llama, prompt, len(prompt), prefix_L_D, Reply(text, "stop", new_tokens=len(ids), token_ids=tuple(ids))
    )
    assert scored.logprob == pytest.approx(sum(expected), abs=1e-3)
    request = ask(MIDDLE, controls=(PlannerControl(planner=planner, sigma=1.0),), temperature=0.0)
    request.choices = ("In May.", "With whom?", "Never.")
    reply = llama.one(request)
    assert reply.text in request.choices
    assert {"state", "action"} <= reply.chosen.keys()


def test_a_stream_is_steered_as_well(llama: Case) -> None:
    request = ask(MIDDLE, controls=(control_of(llama.model),), **GREEDY)
    *pieces, last = llama.model.stream(request)
    reply = llama.one(request)
    assert "".join(map(str, pieces)) == reply.text
    assert isinstance(last, Reply)
    assert last.token_ids == reply.token_ids


# With other controls


def test_guidance_compares_two_streams_with_the_same_prefix(llama: Case) -> None:
    planner = planner_of(llama.model)
    for controls in (
        (PlannerControl(planner=planner), Guidance(1.5)),
        (Guidance(1.5), PlannerControl(planner=planner, sigma=0.4)),
    ):
        request = ask(MIDDLE, controls=controls, seed=3, **GREEDY)
        reply = llama.one(request)
        prefix_L_D = planner.prefix(torch.from_numpy(reply.chosen["action"]))
        tables = []
        for messages in (request.messages, request.messages[1:]):
            tokens = llama.model.render(messages).token_ids
            embed = llama.reference.model.get_input_embeddings()
            inputs = torch.cat([embed(torch.tensor(tokens)), prefix_L_D, embed(torch.tensor(reply.token_ids))])
            with torch.inference_mode():
                logits = llama.reference.model(inputs_embeds=inputs[None], use_cache=False).logits[0]
            tables.append(logits[-reply.new_tokens - 1 : -1])
        guided = torch.log_softmax(tables[1] + 1.5 * (tables[0] - tables[1]), -1)
        expected = [float(guided[i, token]) for i, token in enumerate(reply.token_ids)]
        assert reply.logprobs == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("placement", ["end", "mid", "start"])
def test_a_reply_in_a_form_is_steered_as_well(llama: Case, placement: str) -> None:
    """The planner chooses the same action, and moves the chances among what is possible."""
    form = ResponseFormat.regex("[a-z]{3} [a-z]{3}")
    planner = PlannerControl(planner=planner_of(llama.model, placement=placement))
    free = llama.one(ask(MIDDLE, controls=(planner, Guidance(1.5)), **GREEDY))
    asked = [
        replace(ask(MIDDLE, controls=controls, **(GREEDY | {"max_new_tokens": 20})), response_format=form)
        for controls in ((planner, Guidance(1.5)), (planner,), ())
    ]
    guided, steered, plain = llama.model.generate(asked)
    assert all(re.fullmatch("[a-z]{3} [a-z]{3}", reply.text) for reply in (guided, steered, plain))
    assert guided.chosen["action"] == pytest.approx(free.chosen["action"], abs=1e-5)
    assert len({reply.logprobs for reply in (guided, steered, plain)}) == 3


@pytest.mark.parametrize("placement", ["end", "mid", "start"])
def test_beside_controls_with_a_memory_a_session_answers_as_if_it_read_everything_again(placement: str) -> None:
    model = tiny.local("llama")
    direction = torch.randn(32, generator=torch.Generator().manual_seed(0))
    control = control_of(model, placement=placement)
    capped = Vector({1: direction}, mode="cap", floor="first")
    for others in (
        (AttentionHold(),),
        (Guidance(1.4), AttentionHold()),
        (capped,),
        (Bias([10, 11], 2.0), Prefix(0.1 * direction[None], "start")),
    ):
        session = model.session(SYSTEM)
        for text in (SHORT, LONG, MIDDLE):
            session.user(text)
            request = session.request(controls=(*others, control), readings=("state", "attention"), **GREEDY)
            fresh = replace(request, cache=None)
            again, reply = model.generate([fresh])[0], model.generate([request])[0]
            session.assistant(reply.text)
            assert reply.token_ids == again.token_ids
            assert reply.logprobs == pytest.approx(again.logprobs, abs=2e-4)
            assert reply.state == pytest.approx(again.state, abs=1e-3)
            assert reply.attention == pytest.approx(again.attention, abs=1e-4)


# What it refuses


def test_a_prefix_that_does_not_fit_is_never_cut(llama: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask(LONG, controls=(control_of(llama.model),), max_new_tokens=4, ignore_eos=True)
    length = len(llama.prompt(request))
    monkeypatch.setattr(llama.model.engine, "context_length", length + 2)
    full, other = llama.model.generate([request, ask(SHORT, max_new_tokens=2)])
    assert (full.finish, full.text, full.new_tokens) == ("context", "", 0)
    assert other.new_tokens == 2
    monkeypatch.setattr(llama.model.engine, "context_length", length + 5)
    assert llama.one(request).new_tokens == 3
    assert llama.model.engine.idle


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"placement": "middle"}, "placement is 'middle'; did you mean 'mid'"),
        ({"mapping": "pca"}, "mapping is 'pca'"),
        ({"token": 2}, "unknown option 'token'; did you mean 'tokens'"),
        ({"tokens": -1}, "tokens is -1"),
        ({"mapping": "principal", "action_size": 5}, "action_size is 5 with 2 prefix tokens"),
        ({"mapping": "principal", "act_norm": 0.0}, "act_norm is 0.0"),
        ({"mapping": "acts"}, "for 0 acts"),
    ],
)
def test_wrong_options_are_refused(llama: Case, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Planner.new(llama.model, **options)


@pytest.mark.parametrize("sigma", [-0.1, float("nan"), float("inf"), True, "loud"])
def test_noise_is_a_number_of_0_or_more(llama: Case, sigma: Any) -> None:
    with pytest.raises(ConfigError, match="sigma is"):
        control_of(llama.model, sigma=sigma)
