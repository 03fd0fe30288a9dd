"""How much memory a batch takes, and that bounding it changes no reply."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from telic.models.local import LocalModel, memory
from telic.models.request import Request
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


def test_long_and_short_prompts_take_no_padding() -> None:
    model = tiny.local("llama")
    short = [ask(SHORT, max_new_tokens=8, ignore_eos=True, seed=seed, temperature=1.0) for seed in range(8)]
    _, alone, _ = peak(model, short)
    _, together, _ = peak(model, [*short, ask(LONG * 4, max_new_tokens=8, ignore_eos=True)])
    assert together < 2 * alone


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
