"""How replies end, stream, are interrupted and lead to others; what is scored and read off them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import pytest
import torch

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, ModelError
from telic.models.local import LocalModel, scheduling
from telic.models.request import Continuation, Reply, Request
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM, Case, ask


def streamed(model: LocalModel, request: Request) -> tuple[list[str], Reply]:
    *pieces, reply = model.stream(request)
    assert isinstance(reply, Reply)
    return [str(piece) for piece in pieces], reply


def border_string(model: LocalModel, request: Request, skip: int = 2) -> tuple[str, str]:
    """A string of the greedy reply that lies across two of its tokens, and the reply up to its first occurrence."""
    reply = model.generate([request])[0]
    words = [model.tokenizer.decode([token]) for token in reply.token_ids]
    for left, right in list(pairwise(words))[skip:]:
        stop = left[-1:] + right[:1]
        if len(stop) == 2 and "\ufffd" not in left + right and reply.text.find(stop) > 0:
            return stop, reply.text[: reply.text.find(stop)]
    raise AssertionError(f"no two tokens of {words} stand side by side")


# Endings


def test_the_context_ends_a_reply(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = case.one(ask(max_new_tokens=12, ignore_eos=True))
    monkeypatch.setattr(case.model.engine, "context_length", whole.prompt_tokens + 5)
    cut, other = case.model.generate([ask(max_new_tokens=12, ignore_eos=True), ask(SHORT, max_new_tokens=2)])
    assert (cut.finish, cut.token_ids) == ("context", whole.token_ids[:5])
    assert cut.text
    assert other.new_tokens == 2
    fits = case.one(ask(max_new_tokens=5, ignore_eos=True))
    assert (fits.finish, fits.token_ids) == ("length", whole.token_ids[:5])


def test_a_prompt_that_does_not_fit_is_never_cut(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    request = ask(LONG)
    length = len(case.prompt(request))
    for context in (length, length - 1, 3):
        monkeypatch.setattr(case.model.engine, "context_length", context)
        with case.counting() as counts:
            reply = case.one(request)
        assert (reply.text, reply.finish, reply.new_tokens, reply.prompt_tokens) == ("", "context", 0, length)
        assert counts == []


def test_a_full_session_says_so_and_goes_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    case = tiny.case("llama", context=70)
    session = case.model.session(SYSTEM).user(MIDDLE)
    assert session.reply(temperature=0.0, max_new_tokens=8, ignore_eos=True).finish == "length"
    session.user(LONG)
    assert session.reply(temperature=0.0, max_new_tokens=8).finish == "context"
    assert session.dialogue.system == SYSTEM
    assert session.dialogue[-1] == Message(role="assistant", content="")


def test_a_reply_ends_at_the_token_that_ends_turns(case: Case) -> None:
    replies = case.model.generate([ask(MIDDLE, temperature=3.0, seed=s, max_new_tokens=60) for s in range(16)])
    ended = [reply for reply in replies if reply.finish == "stop"]
    for reply in ended:
        assert reply.token_ids[-1] in case.model.engine.stop_ids
        assert not set(reply.token_ids[:-1]) & case.model.engine.stop_ids
        assert reply.text == case.model.tokenizer.decode(reply.token_ids[:-1], skip_special_tokens=True)
    assert ended


def test_benchmarks_may_ignore_the_end(case: Case) -> None:
    request = ask(MIDDLE, temperature=3.0, seed=0, max_new_tokens=60, ignore_eos=True)
    reply = case.one(request)
    assert (reply.finish, reply.new_tokens) == ("length", 60)


@pytest.mark.parametrize("several", [False, True])
def test_stop_strings_across_tokens(case: Case, several: bool) -> None:
    request = ask(LONG, max_new_tokens=40, ignore_eos=True, logprobs=True)
    stop, expected = border_string(case.model, request)
    stops = (stop, "no such thing", stop + "?") if several else (stop,)
    stopped = replace(request, sampling=replace(request.sampling, stop=stops))
    reply = case.one(stopped)
    assert (reply.text, reply.finish) == (expected, "stop")
    assert reply.logprobs is not None
    assert len(reply.logprobs) == reply.new_tokens < 40
    pieces, last = streamed(case.model, stopped)
    assert "".join(pieces) == last.text == expected


def test_a_session_goes_on_after_a_stop_string(case: Case) -> None:
    session = case.model.session(SYSTEM).user(LONG)
    request = session.request(max_new_tokens=40, ignore_eos=True, temperature=0.0)
    stop, expected = border_string(case.model, replace(request, cache=None))
    assert session.reply(max_new_tokens=40, ignore_eos=True, temperature=0.0, stop=(stop,)).text == expected
    session.user(SHORT)
    options: dict[str, Any] = {"max_new_tokens": 6, "temperature": 0.0}
    again = case.one(replace(session.request(**options), cache=None))
    assert session.reply(**options).token_ids == again.token_ids


def test_seeds(case: Case) -> None:
    same, again, other, free = case.model.generate(
        [ask(temperature=2.0, seed=seed, ignore_eos=True) for seed in (5, 5, 6, None)]
    )
    assert same.token_ids == again.token_ids != other.token_ids
    assert (same.seed, other.seed) == (5, 6)
    assert case.one(ask(temperature=2.0, seed=free.seed, ignore_eos=True)).token_ids == free.token_ids


def test_negative_and_huge_seeds() -> None:
    case = tiny.case("llama")
    one, other = case.model.generate([ask(temperature=2.0, seed=-1), ask(temperature=2.0, seed=2**70)])
    assert (one.finish, other.finish) != ("error", "error")


@pytest.mark.parametrize("temperature", [1e-4, 1e-30, 1e-42])
def test_the_coldest_draw_is_greedy(temperature: float) -> None:
    case = tiny.case("llama")
    assert case.one(ask(temperature=temperature, seed=0)).token_ids == case.one(ask()).token_ids


def test_unknown_readings_are_refused() -> None:
    with pytest.raises(ConfigError, match="unknown reading 'mood'"):
        ask(readings=("mood",))


# Streams


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_pieces_make_up_the_reply(case: Case, temperature: float) -> None:
    request = ask(LONG, max_new_tokens=30, temperature=temperature, seed=1, logprobs=True)
    pieces, reply = streamed(case.model, request)
    assert "".join(pieces) == reply.text
    assert len(pieces) > 3
    assert all(pieces)
    whole = case.one(request)
    assert (reply.token_ids, reply.text, reply.finish) == (whole.token_ids, whole.text, whole.finish)


def test_half_characters_are_never_shown() -> None:
    case = tiny.case("qwen3")
    for seed in range(6):
        pieces, reply = streamed(case.model, ask(temperature=3.0, seed=seed, max_new_tokens=40))
        assert "".join(pieces) == reply.text


def test_a_stream_that_is_left_leaves_the_engine_usable(case: Case) -> None:
    expected = case.one(ask(LONG)).token_ids
    stream = case.model.stream(ask(MIDDLE, max_new_tokens=50, ignore_eos=True))
    next(stream)
    assert isinstance(stream, Iterator)
    stream.close()  # type: ignore[attr-defined]
    assert case.model.engine.idle
    assert case.one(ask(LONG)).token_ids == expected


def test_other_work_in_the_middle_of_a_stream(case: Case) -> None:
    request = ask(MIDDLE, max_new_tokens=20, ignore_eos=True)
    expected, other = case.one(request), case.one(ask(LONG))
    stream = case.model.stream(request)
    pieces = [next(stream)]
    assert case.one(ask(LONG)).token_ids == other.token_ids
    pieces += list(stream)
    assert "".join(str(piece) for piece in pieces[:-1]) == expected.text
    last = pieces[-1]
    assert isinstance(last, Reply)
    assert last.token_ids == expected.token_ids


def test_a_stream_that_waits_keeps_no_one_from_working() -> None:
    from threading import Thread

    case = tiny.case("llama")
    stream = case.model.stream(ask(MIDDLE, max_new_tokens=20, ignore_eos=True))
    pieces = [next(stream)]
    done: list[Reply] = []
    thread = Thread(target=lambda: done.extend(case.model.generate([ask(LONG)])), daemon=True)
    thread.start()
    thread.join(10)
    assert len(done) == 1
    pieces += list(stream)
    assert "".join(str(piece) for piece in pieces[:-1]) == case.one(ask(max_new_tokens=20, ignore_eos=True)).text


def test_a_session_streams_into_its_dialogue(case: Case) -> None:
    session = case.model.session(SYSTEM).user(MIDDLE)
    text = "".join(session.stream(max_new_tokens=8, temperature=0.0))
    assert session.dialogue[-1] == Message(role="assistant", content=text)
    assert session.cache.key_values is not None


# Interruptions and further requests


def test_replies_lead_to_requests(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(case.model.engine, "max_batch", 2)
    told: list[tuple[int, tuple[int, ...]]] = []

    def on_reply(index: int, reply: Reply) -> list[Request] | None:
        told.append((index, reply.token_ids))
        return [ask(SHORT, max_new_tokens=2), ask(LONG, max_new_tokens=2)] if index == 1 else None

    first = [ask(LONG, max_new_tokens=9), ask(MIDDLE, max_new_tokens=1), ask(SHORT, max_new_tokens=4)]
    replies = case.model.generate(first, on_reply)
    assert len(replies) == 5
    assert sorted(told) == [(index, reply.token_ids) for index, reply in enumerate(replies)]
    assert told[0][0] == 1
    assert replies[3].token_ids == case.one(ask(SHORT, max_new_tokens=2)).token_ids


def test_whole_dialogues_side_by_side(case: Case) -> None:
    sessions = [case.model.session(f"{SYSTEM} {n}").user(SHORT) for n in range(3)]
    turns: list[tuple[int, Request, Reply]] = []
    owners = {0: 0, 1: 1, 2: 2}

    def on_reply(index: int, reply: Reply) -> list[Request] | None:
        n = owners[index]
        session = sessions[n]
        turns.append((n, session.request(max_new_tokens=2 + n, seed=len(session.dialogue)), reply))
        session.assistant(reply.text).user(MIDDLE)
        if len(session.dialogue) > 8:
            return None
        owners[len(owners)] = n
        return [session.request(max_new_tokens=2 + n, seed=len(session.dialogue))]

    case.model.generate([s.request(max_new_tokens=2 + n, seed=2) for n, s in enumerate(sessions)], on_reply)
    assert len(turns) == 12
    for _, request, reply in turns:
        assert case.one(replace(request, cache=None)).token_ids == reply.token_ids


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_interruption_leaves_the_engine_usable(case: Case, error: type[BaseException]) -> None:
    expected = case.one(ask(LONG)).token_ids

    def on_reply(index: int, reply: Reply) -> None:
        raise error("stop it")

    with pytest.raises(error, match="stop it"):
        case.model.generate([ask(SHORT, max_new_tokens=1), ask(LONG), ask(MIDDLE)], on_reply)
    assert case.model.engine.idle
    assert case.one(ask(LONG)).token_ids == expected


def test_waiting_for_a_reply_while_being_told_of_another(case: Case) -> None:
    nested: list[Reply] = []

    def on_reply(index: int, reply: Reply) -> None:
        nested.extend(case.model.generate([ask(LONG, max_new_tokens=3)]))

    case.model.generate([ask(SHORT, max_new_tokens=1), ask(MIDDLE, max_new_tokens=3)], on_reply)
    assert len(nested) == 2
    assert nested[0].token_ids == nested[1].token_ids == case.one(ask(LONG, max_new_tokens=3)).token_ids


def test_work_that_an_inner_interruption_took_along_is_not_waited_for() -> None:
    case = tiny.case("llama")

    def broken(index: int, reply: Reply) -> None:
        raise ValueError("broken")

    def on_reply(index: int, reply: Reply) -> None:
        with pytest.raises(ValueError, match="broken"):
            case.model.generate([ask(SHORT, max_new_tokens=1)], broken)

    with pytest.raises(ModelError, match="interrupted"):
        case.model.generate([ask(SHORT, max_new_tokens=1), ask(MIDDLE, max_new_tokens=9, ignore_eos=True)], on_reply)


def test_one_bad_request_does_not_take_the_others_with_it(case: Case) -> None:
    good = case.one(ask())
    bad, reply = case.model.generate([Request(()), ask()])
    assert bad.finish == "error"
    assert "no messages" in str(bad.failure)
    assert reply.token_ids == good.token_ids


# Scores


def continuation(text: str, user: str = MIDDLE, system: str | None = SYSTEM) -> Continuation:
    return Continuation(tuple(Dialogue().with_system(system).add("user", user)), text)


def test_scores_are_those_of_transformers(any_case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case = any_case
    monkeypatch.setattr(scheduling, "PROMPT_CHUNK", 40)
    monkeypatch.setattr(case.model.engine, "max_batch", 3)
    asked = [
        continuation(text, user)
        for text in ("May", "Hello! I want to get away in May.", LONG)
        for user in (SHORT, LONG)
    ]
    for given, scored in zip(asked, case.model.score(asked), strict=True):
        forced = case.model.tokenizer(given.text, add_special_tokens=False)["input_ids"]
        prompt = case.model.render(given.messages).token_ids
        table = case.reference.log_probabilities([*prompt, *forced])[len(prompt) - 1 : -1]
        expected = float(table[range(len(forced)), forced].sum())
        assert scored.tokens == len(forced)
        assert scored.logprob == pytest.approx(expected, abs=case.tolerance * len(forced))
        assert scored.greedy == (table.argmax(-1).tolist() == forced)


def test_a_prompt_that_scores_share_is_read_once(case: Case) -> None:
    texts = ["In May.", "With whom?", "Hello!"]
    with case.counting() as counts:
        scored = case.model.score([continuation(text, LONG) for text in texts])
    prompt = len(case.model.render(continuation("", LONG).messages).token_ids)
    # The others read the prompt's last token again, for its logits; the last token of all needs no reading.
    assert sum(counts) <= prompt + sum(s.tokens for s in scored) + len(texts) - 1


def test_the_greedy_reply_scores_as_greedy(case: Case) -> None:
    reply = case.one(ask(logprobs=True, ignore_eos=True, max_new_tokens=30))
    words = [case.model.tokenizer.decode([t]) for t in reply.token_ids]
    text = ""
    for length in range(1, len(words) + 1):  # as far as its text gives the same tokens again
        joined = case.model.tokenizer.decode(reply.token_ids[:length])
        if case.model.tokenizer(joined, add_special_tokens=False)["input_ids"] == list(reply.token_ids[:length]):
            text = joined
    if not text:
        pytest.skip("the greedy reply is not what its text would be tokenised to")
    assert case.model.score([continuation(text)])[0].greedy


@pytest.mark.parametrize("place", [0, 1])
def test_an_empty_continuation_is_refused_and_leaves_nothing_behind(place: int) -> None:
    case = tiny.case("llama")
    asked = [continuation("In May.")]
    asked.insert(place, continuation(""))
    with pytest.raises(ModelError, match="empty continuation"):
        case.model.score(asked)
    assert case.model.engine.idle


def test_a_continuation_that_does_not_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    case = tiny.case("llama")
    prompt = len(case.model.render(continuation("").messages).token_ids)
    tokens = case.model.score([continuation("In May.")])[0].tokens
    monkeypatch.setattr(case.model.engine, "context_length", prompt + tokens - 1)
    with pytest.raises(ModelError, match="exceed the context"):
        case.model.score([continuation("In May.")])


def test_a_continuation_may_fill_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    case = tiny.case("llama")
    prompt = len(case.model.render(continuation("").messages).token_ids)
    tokens = case.model.score([continuation("In May.")])[0].tokens
    monkeypatch.setattr(case.model.engine, "context_length", prompt + tokens)
    assert case.model.score([continuation("In May.")])[0].tokens == tokens


# Readings


def attention_masses(case: Case, request: Request, reply: Reply) -> torch.Tensor:
    """[layers]: attention on the system prompt's content, mean over heads and the reply's tokens."""
    rendering = case.model.render(request.messages)
    span, start = rendering.system_content, len(rendering.token_ids) - 1
    tokens = [*rendering.token_ids, *reply.token_ids][:-1]
    weights = case.reference.forward(tokens, output_attentions=True).attentions
    return torch.stack([w[0, :, start:, span.start : span.end].sum(-1).mean() for w in weights])


@pytest.mark.parametrize("user", [SHORT, LONG])
def test_readings_are_those_of_transformers(any_case: Case, user: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = any_case
    monkeypatch.setattr(scheduling, "PROMPT_CHUNK", 30)
    request = ask(user, readings=("state", "attention"), max_new_tokens=6)
    plain = ask(MIDDLE, max_new_tokens=3)
    reply, _, other = case.model.generate([request, plain, request])
    for read in (reply, other):
        hidden = case.reference.forward(case.prompt(request), output_hidden_states=True).hidden_states[-1][0, -1]
        assert torch.from_numpy(read.state) == pytest.approx(hidden, abs=10 * case.tolerance)
        expected = attention_masses(case, request, read)
        assert torch.from_numpy(read.attention) == pytest.approx(expected, abs=case.tolerance)
        assert read.attention.shape == (case.model.layers,)
        assert read.state.shape == (case.model.hidden_size,)


def test_readings_change_no_reply(case: Case) -> None:
    read, plain = case.one(ask(readings=("state", "attention"))), case.one(ask())
    assert read.token_ids == plain.token_ids
    assert (plain.state, plain.attention) == (None, None)


@pytest.mark.parametrize("reading", ["state", "attention"])
def test_readings_in_a_session(case: Case, reading: Literal["state", "attention"]) -> None:
    session = case.model.session(SYSTEM).user(LONG)
    session.reply(max_new_tokens=3, temperature=0.0)
    request = session.user(SHORT).request(max_new_tokens=3, temperature=0.0, readings=(reading,))
    again: Any = getattr(case.one(replace(request, cache=None)), reading)
    assert getattr(case.one(request), reading) == pytest.approx(again, abs=10 * case.tolerance)


def test_without_a_system_prompt_its_mass_is_nothing(case: Case) -> None:
    request = ask(system=None, readings=("attention",), max_new_tokens=2)
    if case.model.render(request.messages).system_content:
        pytest.skip("the template has a system prompt of its own")
    assert case.one(request).attention.tolist() == [0.0] * case.model.layers
