"""The engine's batch is shared fairly: between clients, and between prompts that are read and replies that wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("torch")

from telic.dialogue import Dialogue
from telic.models.control import Control
from telic.models.local import LocalModel
from telic.models.local.admission import WORTH_WAITING
from telic.models.local.cache import Segment
from telic.models.local.sequences import RequestState
from telic.models.request import Request, Sampling
from telic.steering.attention_hold import AttentionHold
from telic.steering.guidance import Guidance
from telic.steering.refresh import Refresh
from telic.steering.reminder import Reminder
from tests.models import tiny
from tests.models.tiny import LONG, SHORT

LONGEST = LONG * 9


@pytest.fixture
def model() -> LocalModel:
    return tiny.local("llama")


def ask(text: str, client: str = "", **options: Any) -> Request:
    return replace(tiny.ask(text, **{"max_new_tokens": 4, "ignore_eos": True, **options}), client=client)


def run(model: LocalModel, states: Sequence[RequestState], each_pass: Callable[[], None] = lambda: None) -> list[int]:
    """Run until all have their reply; returns the passes that each has waited for its first token."""
    waited = [0] * len(states)
    while any(state.reply is None for state in states):
        model.step()
        each_pass()
        for index, state in enumerate(states):
            waited[index] += not state.generated
    return waited


def test_clients_take_turns_for_the_batch(model: LocalModel) -> None:
    model.engine.max_batch = 1
    done: list[str] = []
    for name in ("a0", "a1", "a2", "a3", "b0"):
        model.engine.submit(ask(f"{SHORT} {name}", name[0]), lambda _, name=name: done.append(name))  # type: ignore[misc]
    while not model.engine.idle:
        model.step()
    assert done == ["a0", "b0", "a1", "a2", "a3"]


def test_a_long_prompt_does_not_keep_another_clients_short_one_waiting(model: LocalModel) -> None:
    model.engine.pass_tokens = 96
    long = [model.submit(ask(f"{n} {LONGEST}", "a")) for n in range(3)]
    assert len(model.render(ask(LONGEST).messages).token_ids) > 6 * 96
    short = [model.submit(ask(f"{SHORT} {n}", client)) for n, client in enumerate("bcb")]
    sizes: list[int] = []
    computed = 0

    def count() -> None:
        nonlocal computed
        now = sum(sequence.computed for state in (*long, *short) for sequence in state.sequences)
        sizes.append(now - computed)
        computed = now

    states = [*short, *long]
    waited = []
    while any(state.reply is None for state in short):
        model.step()
        count()
    waited = [state.primary.computed for state in long]
    assert max(sizes) <= 96 + len(states), "the pass is bounded"
    assert len(sizes) <= 3 * 4 + 4
    assert sum(waited) > 0, "it is read meanwhile"


def test_a_client_with_many_prompts_gets_half_of_a_pass_while_another_waits(model: LocalModel) -> None:
    model.engine.pass_tokens = 40
    many = [model.submit(ask(f"{n} {LONG}", "a")) for n in range(6)]
    one = model.submit(ask(LONG, "b"))
    model.step()
    assert [state.primary.computed for state in (*many, one)] == [20, 0, 0, 0, 0, 0, 20]
    run(model, [one])
    assert sum(state.primary.computed for state in many) >= one.primary.prompt_length - 20


def test_a_client_gets_half_of_a_pass_while_another_ones_replies_are_decoded(model: LocalModel) -> None:
    model.engine.pass_tokens = 40
    chat = model.submit(ask(SHORT, "b", max_new_tokens=30))
    while not chat.generated:
        model.step()
    long = model.submit(ask(LONG, "a"))
    model.step()
    assert long.primary.computed == 20
    model.cancel(chat)
    model.step()
    assert long.primary.computed == 60


def test_every_client_is_served_in_turn_if_the_pass_is_too_small_for_all(model: LocalModel) -> None:
    model.engine.pass_tokens = 10
    states = [model.submit(ask(f"{client} {LONG}", client)) for client in "abcdefgh"]
    for _ in range(4):
        model.step()
    assert [state.primary.computed for state in states] == [5] * 8


def test_few_positions_are_copied_in_a_pass(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Choices of a long prompt copy what the first has read, but not all of them in one pass."""
    model.engine.pass_copies = 100
    copied: list[int] = []
    arena = model.runner.arena
    copy, load = arena.copy, arena.load

    def count_copy(source: int, target: int, length: int) -> None:
        copied.append(length)
        copy(source, target, length)

    def count_load(slot: int, segments: Sequence[Segment], length: int, tokens: int) -> None:
        copied.append(length)
        load(slot, segments, length, tokens)

    monkeypatch.setattr(arena, "copy", count_copy)
    monkeypatch.setattr(arena, "load", count_load)
    session = model.session(tiny.SYSTEM).user(LONGEST)
    requests = [replace(session.request(max_new_tokens=12, ignore_eos=True, seed=n), keep=n == 0) for n in range(5)]
    per_pass: list[int] = []

    def count() -> None:
        per_pass.append(sum(copied))
        copied.clear()

    states = [model.submit(request) for request in requests]
    run(model, states, count)
    length = states[0].primary.prompt_length
    assert max(per_pass) < 2 * length
    replies = [state.reply for state in states if state.reply]
    assert [reply.cached_tokens for reply in replies] == [0] + [length - 1] * 4, "the prompt was read once"
    count()
    forks = [session.fork().user(SHORT) for _ in range(4)]
    run(model, [model.submit(fork.request(max_new_tokens=12, ignore_eos=True)) for fork in forks], count)
    assert max(per_pass[-10:]) < 2 * length, "nor are caches of several sessions"
    monkeypatch.undo()
    whole = model.generate([replace(request, cache=None) for request in requests])
    assert [reply.text for reply in replies] == [reply.text for reply in whole]


def test_a_choice_that_comes_later_copies_the_prompt_of_one_that_replies_already(model: LocalModel) -> None:
    first = model.submit(ask(LONG, max_new_tokens=40, seed=1))
    while len(first.generated) < 3:
        model.step()
    second = model.submit(ask(LONG, max_new_tokens=6, seed=2, temperature=1.0))
    run(model, [second])
    assert first.reply is None
    assert second.reply is not None
    assert second.reply.cached_tokens == second.reply.prompt_tokens - 1
    [alone] = tiny.local("llama").generate([ask(LONG, max_new_tokens=6, seed=2, temperature=1.0)])
    assert second.reply.token_ids == alone.token_ids


def test_a_follower_goes_on_if_its_leader_ends_or_is_cancelled(model: LocalModel) -> None:
    model.engine.pass_copies = 1
    for tokens in (1, 9):
        states = [model.submit(ask(LONG, max_new_tokens=tokens, seed=n)) for n in range(4)]
        if tokens > 1:
            model.step()
            model.cancel(states.pop(0))
        run(model, states)
        [expected] = tiny.local("llama").generate([ask(LONG, max_new_tokens=tokens)])
        assert {state.reply.token_ids for state in states if state.reply} == {expected.token_ids}


@pytest.mark.parametrize("control", [None, "attention_hold"])
def test_users_share_nothing_of_equal_prompts(model: LocalModel, control: str | None) -> None:
    controls = () if control is None else (AttentionHold(),)
    requests = [replace(ask(LONG, controls=controls), cache_salt=salt) for salt in ("ann", "bob", "ann")]
    replies = model.generate(requests)
    assert [reply.cached_tokens for reply in replies] == [0, 0, replies[0].prompt_tokens - 1]
    assert len({reply.token_ids for reply in replies}) == 1


def branches(model: LocalModel, *, controls: Sequence[Control] = (), salt: str = "") -> list[Request]:
    """Several questions after one dialogue that nobody has read yet."""
    dialogue = Dialogue().with_system(tiny.SYSTEM).add("user", LONGEST).add("assistant", SHORT)
    questions = ("What is your name?", "In May?", LONG)
    options: dict[str, Any] = {"max_new_tokens": 6, "ignore_eos": True, "logprobs": True}
    return [
        Request(tuple(dialogue.add("user", ask)), Sampling(seed=n, **options), tuple(controls), cache_salt=salt)
        for n, ask in enumerate(questions)
    ]


@pytest.mark.parametrize("controls", [(), (Guidance(1.5),), (Refresh(1.5),), (Reminder(),)])
def test_questions_after_one_dialogue_read_it_once(model: LocalModel, controls: tuple[Control, ...]) -> None:
    requests = branches(model, controls=controls)
    replies = model.generate(requests)
    dialogue = model.render(requests[0].messages).turns[-1].start
    assert replies[0].cached_tokens == 0
    for reply in replies[1:]:
        assert dialogue - WORTH_WAITING < reply.cached_tokens < reply.prompt_tokens, "all of it but the last block"
    for request, reply in zip(requests, replies, strict=True):
        [alone] = tiny.local("llama").generate([request])
        assert reply.token_ids == alone.token_ids
        assert reply.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


def test_what_was_read_alike_is_shared_with_a_leader_that_replies_already(model: LocalModel) -> None:
    requests = branches(model, controls=(Refresh(1.5),))
    first = model.submit(replace(requests[0], sampling=replace(requests[0].sampling, max_new_tokens=40)))
    while len(first.generated) < 3:
        model.step()
    second = model.submit(requests[1])
    run(model, [second])
    assert second.reply is not None
    assert second.reply.cached_tokens > LONGEST.count(" ")
    [alone] = tiny.local("llama").generate([requests[1]])
    assert second.reply.token_ids == alone.token_ids


def test_prompts_that_begin_alike_are_read_apart_by_users_and_by_controls_that_record(model: LocalModel) -> None:
    ann, bob = (branches(model, salt=salt)[0] for salt in ("ann", "bob"))
    assert [reply.cached_tokens for reply in model.generate([ann, bob])] == [0, 0]
    recorded = branches(model, controls=(AttentionHold(),))
    assert [reply.cached_tokens for reply in model.generate(recorded)] == [0, 0, 0]
    mixed = [branches(model)[0], branches(model, controls=(AttentionHold(),))[1]]
    assert [reply.cached_tokens for reply in model.generate(mixed)] == [0, 0]


def test_branches_go_on_if_the_one_that_reads_for_them_is_cancelled(model: LocalModel) -> None:
    requests = branches(model)
    for passes in (1, 5):
        states = [model.submit(request) for request in requests]
        for _ in range(passes):
            model.step()
        model.cancel(states.pop(0))
        run(model, states)
        for request, state in zip(requests[1:], states, strict=True):
            [alone] = tiny.local("llama").generate([request])
            assert state.reply is not None
            assert state.reply.token_ids == alone.token_ids
