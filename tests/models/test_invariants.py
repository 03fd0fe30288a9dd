"""What must never change an answer: the batch, the cache, forks, chunks, the size of the arena."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from telic.errors import ModelError
from telic.models.local import scheduling
from telic.models.request import Continuation, Reply, Request
from telic.models.session import Session
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM, Case, ask

TURNS = (SHORT, MIDDLE, "With whom?", "In May.")


def same(one: Reply, other: Reply, tolerance: float = 1e-4) -> None:
    """Two replies agree in what was said, why it ended, and how likely it was."""
    assert (one.token_ids, one.text, one.finish) == (other.token_ids, other.text, other.finish)
    assert (one.prompt_tokens, one.new_tokens) == (other.prompt_tokens, other.new_tokens)
    assert (one.logprobs is None) == (other.logprobs is None)
    if one.logprobs is not None and other.logprobs is not None:
        assert one.logprobs == pytest.approx(other.logprobs, abs=tolerance)


def mixed() -> list[Request]:
    """More requests than rows: long and short, greedy and sampled, some with the same prompt, ending at odd times."""
    options: dict[str, Any] = {"logprobs": True, "ignore_eos": True}
    return [
        ask(SHORT, max_new_tokens=3, **options),
        ask(LONG, max_new_tokens=9, **options),
        ask(LONG, max_new_tokens=5, temperature=1.0, seed=1, **options),
        ask(LONG, max_new_tokens=12, temperature=1.0, seed=2, **options),
        ask(MIDDLE, None, max_new_tokens=1, **options),
        ask(MIDDLE, temperature=0.8, top_p=0.9, seed=3, **options),
        ask(MIDDLE, max_new_tokens=7, temperature=1.5, top_k=20, seed=4, **options),
        ask(SHORT, None, max_new_tokens=2, temperature=1.0, seed=5, **options),
        ask(LONG + SHORT, max_new_tokens=6, **options),
        ask(LONG, max_new_tokens=2, temperature=1.0, seed=6, **options),
        ask(SHORT, max_new_tokens=10, temperature=0.5, seed=7, **options),
    ]


def fresh(session: Session, **options: Any) -> Request:
    """The session's next request without its cache."""
    return replace(session.request(**options), cache=None)


@pytest.mark.parametrize(("user", "system"), [(SHORT, SYSTEM), (LONG, SYSTEM), (MIDDLE, None)])
def test_replies_are_those_of_transformers(case: Case, user: str, system: str | None) -> None:
    request = ask(user, system, logprobs=True)
    reply = case.one(request)
    assert reply.prompt_tokens == len(case.prompt(request))
    expected = case.reference.greedy(case.prompt(request), 12, case.model.engine.stop_ids)
    assert list(reply.token_ids) == expected
    assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)


def test_the_tiny_models_say_something(case: Case) -> None:
    # Models that repeat one token would let every other test here pass.
    texts = {case.one(ask(user, ignore_eos=True)).token_ids for user in (SHORT, MIDDLE, LONG)}
    assert len(texts) == 3
    assert all(len(set(tokens)) >= 5 for tokens in texts)


@pytest.mark.parametrize("rows", [4, 16])
def test_the_batch_changes_no_reply(case: Case, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = [case.one(request) for request in mixed()]
    monkeypatch.setattr(case.model.engine, "max_batch", rows)
    monkeypatch.setattr(scheduling, "PROMPT_CHUNK", 40)
    for one, other in zip(case.model.generate(mixed()), alone, strict=True):
        same(one, other, case.tolerance)


def test_log_probabilities_of_a_batch_are_those_of_transformers(
    any_case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = any_case
    monkeypatch.setattr(case.model.engine, "max_batch", 4)
    requests = mixed()[:7]
    for request, reply in zip(requests, case.model.generate(requests), strict=True):
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)


def test_a_session_answers_as_if_it_read_everything_again(any_case: Case) -> None:
    case = any_case
    session = case.model.session(SYSTEM)
    read = 0
    for seed, user in enumerate(TURNS):
        session.user(user)
        # A nucleus: in the tail of a large vocabulary a rounding error of 1e-6 is enough to draw the next token.
        drawn = {"temperature": float(seed % 2), "top_p": 0.9, "seed": seed}
        options: dict[str, Any] = {"max_new_tokens": 8, "logprobs": True, **drawn}
        again = case.one(fresh(session, **options))
        reply = session.reply(**options)
        same(reply, again, case.tolerance)
        assert again.cached_tokens == 0
        assert reply.cached_tokens >= read
        read = reply.prompt_tokens - 1
    assert read > 0


def test_only_new_tokens_are_read(case: Case) -> None:
    session = case.model.session(SYSTEM).user(LONG)
    session.reply(max_new_tokens=4, temperature=0.0, ignore_eos=True)
    request = session.user(SHORT).request(max_new_tokens=1)
    with case.counting() as counts:
        reply = case.one(request)
    assert sum(counts) == reply.prompt_tokens - reply.cached_tokens < 40


def test_a_replaced_system_prompt_is_read(case: Case) -> None:
    session = case.model.session(SYSTEM).user(MIDDLE)
    session.reply(max_new_tokens=4, temperature=0.0)
    session.system("You sell books.").user(SHORT)
    options: dict[str, Any] = {"max_new_tokens": 8, "temperature": 0.0, "logprobs": True}
    again = case.one(fresh(session, **options))
    same(session.reply(**options), again, case.tolerance)


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2"])
def test_a_template_that_rewrites_history_stays_right(architecture: str) -> None:
    case = tiny.case(architecture, template=tiny.THINKING)
    session = case.model.session(SYSTEM)
    options: dict[str, Any] = {"max_new_tokens": 6, "temperature": 0.0, "logprobs": True}
    for thought in ("May? With whom?", "A price. " * 8, "Never."):
        session.user(MIDDLE)
        session.reply(**options)
        # What was said is replaced by a reply that thought first: the template drops the thought from history.
        session.dialogue = session.dialogue[:-1]
        session.assistant(f"<think>{thought}</think>\n\nIn May.")
        session.user(SHORT)
        again = case.one(fresh(session, **options))
        reply = session.reply(**options)
        same(reply, again)
        assert thought not in case.model.render(tuple(session)[:-1]).text
        assert reply.logprobs == pytest.approx(case.logprobs(Request(tuple(session)[:-1]), reply), abs=case.tolerance)


def test_a_fork_answers_as_a_fresh_session_and_leaves_its_parent_alone(any_case: Case) -> None:
    case = any_case
    session = case.model.session(SYSTEM).user(LONG)
    options: dict[str, Any] = {"max_new_tokens": 8, "temperature": 0.0, "logprobs": True}
    session.reply(**options)
    forks = [session.fork().user(text) for text in ("What is your name?", "What is your name?", SHORT)]
    session.user(MIDDLE)
    expected = [case.one(fresh(s, seed=3, temperature=1.0, max_new_tokens=5)) for s in forks]
    parent = case.one(fresh(session, **options))
    before = tuple(session)
    requests = [fork.request(seed=3, temperature=1.0, max_new_tokens=5, keep=fork is not forks[1]) for fork in forks]
    replies = case.model.generate([*requests, session.request(**options)])
    for reply, other in zip(replies, [*expected, parent], strict=True):
        assert reply.cached_tokens > 0
        same(reply, other, case.tolerance)
    assert tuple(session) == before
    # A fork goes on by itself, however far, and the parent's next reply is the same as ever.
    forks[0].assistant(replies[0].text).user(LONG)
    forks[0].reply(max_new_tokens=5, seed=1)
    session.assistant(replies[-1].text).user("With whom?")
    again = case.one(fresh(session, **options))
    same(session.reply(**options), again, case.tolerance)


def test_a_branch_that_is_thrown_away_leaves_the_cache(case: Case) -> None:
    session = case.model.session(SYSTEM).user(LONG)
    session.reply(max_new_tokens=4, temperature=0.0)
    kept = session.cache.key_values
    case.one(session.fork().user(SHORT).request(keep=False, max_new_tokens=2))
    case.one(session.user(SHORT).request(keep=False, max_new_tokens=2))
    assert session.cache.key_values is kept


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_a_prompt_in_chunks_is_the_same_prompt(case: Case, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = [ask(LONG, logprobs=True), ask(MIDDLE, logprobs=True), ask(LONG, None, logprobs=True)]
    whole = [case.one(request) for request in requests]
    monkeypatch.setattr(scheduling, "PROMPT_CHUNK", chunk)
    monkeypatch.setattr(case.model.engine, "pass_tokens", 2 * chunk)
    for one, other in zip(case.model.generate(requests), whole, strict=True):
        same(one, other, case.tolerance)


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_the_arena_grows_in_the_middle_of_a_batch(architecture: str) -> None:
    case = tiny.case(architecture, max_batch=20)
    longest = ask(LONG * 8, max_new_tokens=3, logprobs=True)
    assert len(case.prompt(longest)) > 512
    sizes = [ask(f"{SHORT} {n}", max_new_tokens=3 + n % 5, logprobs=True) for n in range(18)]
    requests = [*sizes[:3], longest, *sizes[3:]]
    replies = case.model.generate(requests)
    for request, reply in zip(requests, replies, strict=True):
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)
        assert list(reply.token_ids) == case.reference.greedy(
            case.prompt(request), request.sampling.max_new_tokens, case.model.engine.stop_ids
        )


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2"])
def test_a_tiny_budget_for_caches_changes_no_answer(architecture: str) -> None:
    case, poor = tiny.case(architecture), tiny.case(architecture, cache_bytes=1)
    replies: list[list[Reply]] = []
    for model in (case.model, poor.model):
        sessions = [model.session(SYSTEM).user(text) for text in (SHORT, MIDDLE, LONG)]
        replies.append([])
        for turn in range(3):
            requests = [s.request(max_new_tokens=5, seed=turn, logprobs=True) for s in sessions]
            answers = model.generate(requests)
            replies[-1] += answers
            for session, answer in zip(sessions, answers, strict=True):
                session.assistant(answer.text).user(SHORT)
        if model is poor.model:
            kept = [
                session
                for session in sessions
                if session.cache.key_values is not None and session.cache.key_values.segments
            ]
            assert len(kept) == 1  # the most recently used one always stays
    for one, other in zip(*replies, strict=True):
        same(one, other)
    assert sum(r.cached_tokens for r in replies[1]) < sum(r.cached_tokens for r in replies[0])


def test_memory_that_caches_share_is_counted_once() -> None:
    model = tiny.local("llama")
    session = model.session(SYSTEM).user(LONG)
    session.reply(max_new_tokens=4, temperature=0.0)
    held = model.engine.pool.nbytes
    assert held > 0
    forks = [session.fork() for _ in range(3)]
    for n, fork in enumerate(forks):  # each takes over the first part of what was read, and reads on from there
        fork.dialogue = fork.dialogue[:1].add("user", f"{LONG[:40]}{n}")
        model.generate([fork.request(max_new_tokens=1)])
    assert held < model.engine.pool.nbytes < 2 * held


def test_several_samples_of_one_prompt_read_it_once(case: Case) -> None:
    requests = [ask(LONG, max_new_tokens=2, temperature=1.0, seed=seed, ignore_eos=True) for seed in range(6)]
    with case.counting() as counts:
        replies = case.model.generate(requests)
    length = replies[0].prompt_tokens
    assert sorted(reply.cached_tokens for reply in replies) == [0] + [length - 1] * 5
    # The prompt once; its last token for the five others; and one token more for each of the six replies.
    assert sum(counts) == length + 5 + 6


@pytest.mark.parametrize("architecture", ["llama", "mistral"])
def test_who_waits_for_a_prompt_may_move_to_another_row(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # More rows wait for one prompt than the arena has; a short request ends first, so that the last of them moves up.
    monkeypatch.setattr(scheduling, "PROMPT_CHUNK", 20)
    case = tiny.case(architecture, max_batch=16)
    requests = [ask(SHORT, None, max_new_tokens=1)]
    requests += [ask(LONG, temperature=1.0, seed=seed, max_new_tokens=4, logprobs=True) for seed in range(15)]
    for request, reply in zip(requests[1:], case.model.generate(requests)[1:], strict=True):
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gpt2"])
def test_rows_that_fail_do_not_poison_their_place(architecture: str) -> None:
    # Keys and values that are not numbers stay in the row's place of the arena: what comes next must not see them.
    case = tiny.case(architecture)
    layer = next(m for m in case.model.model.base_model.modules() if isinstance(m, torch.nn.ModuleList))[0]
    handle = layer.register_forward_hook(lambda module, inputs, output: _spoiled(output))
    case.model.generate([ask(LONG, max_new_tokens=2), ask(LONG + LONG, max_new_tokens=2)])
    handle.remove()
    requests = [ask(SHORT, logprobs=True), ask(LONG, logprobs=True)]
    for request, reply in zip(requests, case.model.generate(requests), strict=True):
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)


def test_a_reply_that_is_scored_fails_alone_where_the_model_returns_nan() -> None:
    case = tiny.case("llama")
    layer = next(m for m in case.model.model.base_model.modules() if isinstance(m, torch.nn.ModuleList))[0]
    handle = layer.register_forward_hook(lambda module, inputs, output: _spoiled(output))
    with pytest.raises(ModelError, match="NaN logits") as raised:
        case.model.score([Continuation(ask(LONG).messages, "In May.")])
    choice = replace(ask(LONG, temperature=1.0), choices=("In May.", "Never."))
    [failed] = case.model.generate([choice])
    handle.remove()
    assert raised.value.kind == "nan_logits"
    assert failed.failure is not None
    assert failed.failure.kind == "nan_logits"
    request = ask(SHORT, logprobs=True)  # it gets the same place in the arena
    reply = case.model.generate([request])[0]
    assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)


def _spoiled(output: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor | tuple[torch.Tensor, ...]:
    if isinstance(output, torch.Tensor):
        return output * float("nan")
    return (output[0] * float("nan"), *output[1:])


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_outside_of_the_engine_the_model_is_itself(architecture: str) -> None:
    case = tiny.case(architecture)
    prompt = case.prompt(ask())
    case.one(ask())
    with torch.no_grad():
        logits = case.model.model(torch.tensor([prompt])).logits
    assert torch.allclose(logits, case.reference.forward(prompt).logits, atol=1e-4)
