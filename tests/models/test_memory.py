"""How much memory a batch takes, and that bounding it changes no reply."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from telic.models.local import LocalModel, arena, memory
from telic.models.local.arena import SHORT_REST
from telic.models.local.storage import GROWTH
from telic.models.request import Reply, Request
from telic.models.session_cache import SessionCache
from telic.steering.attention_hold import AttentionHold
from tests.models import tiny
from tests.models.tiny import LONG, SHORT, SYSTEM, ask


def peak(model: LocalModel, requests: list[Request]) -> tuple[int, int, list[str]]:
    """The most sequences and bytes in the batch of any pass, and the replies."""
    states = [model.submit(request) for request in requests]
    sequences = held = 0
    while any(state.reply is None for state in states):
        model.step()
        sequences = max(sequences, sum(len(state.sequences) for state in model.engine.active))
        held = max(held, sum(layer.nbytes for layer in model.runner.arena.layers))
    return sequences, held, [state.reply.text for state in states if state.reply is not None]


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2"])
def test_branches_share_what_their_session_has_read(architecture: str) -> None:
    case = tiny.case(architecture)
    session = case.model.session(SYSTEM).user(LONG * 3)
    session.reply(max_new_tokens=4, temperature=0.0)
    branches = [session.fork().user(f"{SHORT} {number}") for number in range(12)]
    requests = [branch.request(max_new_tokens=4, temperature=0.0, logprobs=True) for branch in branches]
    read = case.model.cache_bytes
    _, held, _ = peak(case.model, requests)
    assert held < 4 * read  # twelve copies before
    for request, reply in zip(requests, case.model.generate(requests), strict=True):
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_long_and_short_prompts_take_no_padding(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arena, "LONG_PROMPT", 100)
    model = tiny.local("llama", dtype=dtype)
    short = [ask(SHORT, max_new_tokens=8, ignore_eos=True, seed=seed, temperature=1.0) for seed in range(8)]
    _, alone, _ = peak(model, short)
    _, together, _ = peak(model, [*short, ask(LONG * 4, max_new_tokens=8, ignore_eos=True)])
    assert together < 2 * alone


def test_long_prompts_in_half_precision_are_read_and_shared_as_if_they_were_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found: dict[int, list[Reply]] = {}
    for shared_from in (80, sys.maxsize):
        monkeypatch.setattr(arena, "LONG_PROMPT", shared_from)
        model = tiny.local("llama", dtype=torch.bfloat16)
        model.engine.pass_tokens = 96
        session = model.session(SYSTEM).user(LONG * 4)
        first = session.request(max_new_tokens=4, temperature=0.0, logprobs=True)
        replies = model.generate([first, ask(SHORT, max_new_tokens=4, temperature=0.0, logprobs=True)])
        session.assistant("Yes.")
        branches = [session.fork().user(f"{SHORT} {number}") for number in range(3)]
        again = model.generate([one.request(max_new_tokens=4, temperature=0.0, logprobs=True) for one in branches])
        assert all(reply.cached_tokens > replies[0].prompt_tokens // 2 for reply in again)
        found[shared_from] = [*replies, *again]
    for shared, copied in zip(*found.values(), strict=True):
        assert shared.logprobs is not None
        assert copied.logprobs is not None
        assert shared.token_ids[0] == copied.token_ids[0]
        assert shared.logprobs[0] == pytest.approx(copied.logprobs[0], abs=0.1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_batch_takes_fewer_sequences_where_its_memory_is_bounded(dtype: torch.dtype) -> None:
    requests = [ask(f"{number} {LONG}", max_new_tokens=8, ignore_eos=True) for number in range(8)]
    free, held, replies = peak(tiny.local("llama", dtype=dtype), requests)
    bounded = tiny.local("llama", dtype=dtype, batch_bytes=held // 2)
    few, less, same = peak(bounded, requests)
    assert free == 8
    assert 1 <= few < free
    assert less <= held
    assert len(same) == 8
    if dtype == torch.float32:
        assert same == replies
    assert peak(tiny.local("llama", dtype=dtype, batch_bytes=1), requests)[0] == 1  # one alone always fits


def test_a_session_that_went_on_in_a_fork_keeps_its_own_dialogue() -> None:
    case = tiny.case("llama")
    session = case.model.session(SYSTEM).user(LONG)
    session.reply(max_new_tokens=4, temperature=0.0)
    fork = session.fork().user("What else?")
    fork.reply(max_new_tokens=4, temperature=0.0)
    for each in (session.user(SHORT), fork.user(SHORT), session.user("And then?")):
        request = each.request(max_new_tokens=6, temperature=0.0, logprobs=True)
        reply = case.model.generate([request])[0]
        assert reply.cached_tokens > 40
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)


def test_a_container_has_the_memory_that_it_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit, unlimited = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    unlimited.write_text("max\n")
    monkeypatch.setattr(memory, "CGROUP_LIMITS", (limit, unlimited))
    whole = memory.machine_memory()
    limit.write_text(f"{whole // 4}\n")
    assert memory.machine_memory() == whole // 4
    limit.write_text(f"{whole * 4}\n")
    assert memory.machine_memory() == whole


@pytest.fixture
def fast_switches() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("fast_switches")
def test_one_thread_may_fork_while_replies_end_in_another_one() -> None:
    model = tiny.local("llama")
    source = model.session(SYSTEM).user(SHORT)
    source.reply(max_new_tokens=2, temperature=0.0)
    forks = [source.fork() for _ in range(2000)]
    ended = threading.Event()

    def fork() -> None:
        while not ended.is_set():
            forks.append(source.fork())

    thread = threading.Thread(target=fork)
    thread.start()
    try:
        for one in forks[:20]:
            for text in (SHORT, "And then?"):
                assert one.user(text).reply(max_new_tokens=2, temperature=0.0).finish != "error"
    finally:
        ended.set()
        thread.join()


def test_keys_and_values_are_shared_while_two_hold_them() -> None:
    source = SessionCache(key_values=object())
    assert not source.shares_key_values
    first, second = source.fork(), source.fork()
    first.store(object())
    assert (source.shares_key_values, first.shares_key_values, second.shares_key_values) == (True, False, True)
    third = first.fork()
    del second
    assert (source.shares_key_values, first.shares_key_values, third.shares_key_values) == (False, True, True)


@pytest.mark.parametrize("pass_tokens", [96, 30, 3])
def test_prompts_of_two_clients_do_not_lengthen_all_slots(pass_tokens: int) -> None:
    model = tiny.local("llama")
    model.engine.pass_tokens = pass_tokens
    requests = [
        replace(ask(f"{number} {LONG * length}", max_new_tokens=4, ignore_eos=True), client=client)
        for number, (client, length) in enumerate(zip("abab", (6, 4, 3, 6), strict=True))
    ]
    assert all(len(model.render(request.messages).token_ids) > 2 * GROWTH for request in requests)
    states = [model.submit(request) for request in requests]
    positions = segments = 0
    while any(state.reply is None for state in states):
        model.step()
        arena = model.runner.arena
        positions = max(positions, arena.layers[0].shape[3])
        segments = max(segments, *(len(arena.prefix(slot)) for slot in range(4)))
    assert positions <= SHORT_REST + 2 * GROWTH
    assert segments <= 9  # a prompt in many small chunks has few segments
    fresh = tiny.local("llama").generate([replace(request, client="") for request in requests])
    assert [state.reply.text for state in states if state.reply] == [reply.text for reply in fresh]


def test_a_cache_that_cannot_be_reused_saves_no_memory() -> None:
    model = tiny.local("llama")
    session = model.session(SYSTEM).user(LONG * 3)
    session.reply(max_new_tokens=4, temperature=0.0)
    branches = [session.fork().user(f"{SHORT} {number}") for number in range(6)]
    plain = [branch.request(max_new_tokens=4) for branch in branches]
    held = [branch.request(max_new_tokens=4, controls=[AttentionHold(0.5)]) for branch in branches]
    prompt = len(model.render(held[0].messages).token_ids)
    model.engine.batch_bytes = model.runner.arena.bytes_for([(prompt, 0, 4)] * 2) - 1
    assert peak(model, plain)[0] == 6
    assert peak(model, held)[0] == 1


def test_sessions_that_go_on_share_the_system_prompt_still() -> None:
    case = tiny.case("llama")
    shared = case.model.session(LONG * 4).user(SHORT)
    shared.reply(max_new_tokens=1, temperature=0.0)
    sessions = [shared.fork() for _ in range(6)]
    read = case.model.cache_bytes
    for text in (SHORT, "And then?", "What else?"):
        for session in sessions:
            session.user(text)
            request = session.request(max_new_tokens=4, temperature=0.0, logprobs=True)
            reply = case.model.generate([request])[0]
            session.assistant(reply.text)
            assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)
    assert case.model.cache_bytes < 3 * read  # six copies before
    for session in sessions:
        assert len(session.cache.key_values.segments) == 2


def test_a_sequence_that_moved_leaves_nothing_in_its_old_slot() -> None:
    model = tiny.local("llama")
    sessions = [model.session(SYSTEM).user(f"{number} {LONG}") for number in range(3)]
    for session in sessions:
        session.reply(max_new_tokens=2, temperature=0.0)
    lengths = (2, 2, 8)
    states = [
        model.submit(session.user(SHORT).request(max_new_tokens=length, ignore_eos=True))
        for session, length in zip(sessions, lengths, strict=True)
    ]
    while any(state.reply is None for state in states):
        model.step()
    assert [model.runner.arena.prefix(slot) for slot in range(3)] == [()] * 3
    sessions.clear()
    del session, states
    assert model.cache_bytes == 0


def test_a_reset_lets_go_of_all_prefixes() -> None:
    model = tiny.local("llama")
    session = model.session(SYSTEM).user(LONG)
    session.reply(max_new_tokens=2, temperature=0.0)
    model.submit(session.user(SHORT).request(max_new_tokens=4))
    model.step()
    arena = model.runner.arena
    arena.load(3, session.cache.key_values.segments, 8, 9)  # an interrupted admission
    model.engine.reset()
    assert [arena.prefix(slot) for slot in range(4)] == [()] * 4
