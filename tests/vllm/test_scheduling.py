"""What happens to groups in vLLM: chunks, preemption, cancelled and missing members, the prefix cache, the limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from telic.dialogue import Dialogue
from telic.models.control import Control
from telic.models.request import Continuation, Reply, Request, Sampling
from telic.models.vllm.groups import GROUPS, ISSUED
from telic.steering import Anchor, Assume, Guidance, Refresh, Reminder
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM, ask
from tests.vllm import tiny_vllm

CONTROLS: list[tuple[Control, ...]] = [
    (),
    (Guidance(2.0),),
    (Refresh(1.5),),
    (Anchor(0.4),),
    (Assume("You are talking to a child of eight.", 1.5),),
    (Guidance(1.5), Refresh(1.5)),
    (Reminder(), Refresh(2.0)),
]


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    yield
    assert not GROUPS
    assert not ISSUED


def mixed(count: int, **options: Any) -> list[Request]:
    """Requests of several rounds, each with other controls than the one before, greedy and sampled in turn."""
    requests = []
    for number in range(count):
        dialogue = Dialogue().with_system(SYSTEM)
        for turn in range(number % 3):
            dialogue = dialogue.add("user", (SHORT, MIDDLE)[turn % 2]).add("assistant", f"Number {number}, yes.")
        dialogue = dialogue.add("user", (LONG, SHORT, MIDDLE)[number % 3])
        sampling = Sampling(
            **{"max_new_tokens": 8, "temperature": number % 2, "seed": number, "logprobs": True, **options}
        )
        requests.append(Request(tuple(dialogue), sampling, CONTROLS[number % len(CONTROLS)]))
    return requests


def agree(found: Sequence[Reply], expected: Sequence[Reply]) -> None:
    for one, other in zip(found, expected, strict=True):
        assert one.failure is None, one.failure
        assert one.token_ids == other.token_ids
        assert (one.text, one.finish, one.prompt_tokens) == (other.text, other.finish, other.prompt_tokens)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def scheduler_of(model: Any) -> Any:
    return model._vllm.engine_core.engine_core.scheduler


def test_prompts_read_in_chunks_give_the_same_replies() -> None:
    model = tiny_vllm.on_vllm(max_num_batched_tokens=24)
    requests = mixed(12)
    assert max(len(model.render(request.messages).token_ids) for request in requests) > 4 * 24
    agree(model.generate(requests), tiny_vllm.local().generate(requests))


def test_sixty_four_groups_at_once(tiny_on_vllm: Any) -> None:
    model = tiny_vllm.on_vllm(max_batch=160)
    requests = mixed(64, max_new_tokens=5)
    agree(model.generate(requests), tiny_vllm.local().generate(requests))


@pytest.fixture
def scheduler(tiny_on_vllm: Any) -> Any:
    from telic.models.vllm.plugin import scheduler as found  # imports vLLM, which warns

    return found


def test_groups_are_preempted_as_a_whole(scheduler: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_vllm.on_vllm(num_gpu_blocks_override=31, enable_prefix_caching=False)
    preempted: list[str] = []
    preempt = scheduler.GroupScheduler._preempt_request

    def spy(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        preempted.append(request.request_id.partition("/")[0])
        preempt(self, request, *args, **kwargs)

    monkeypatch.setattr(scheduler.GroupScheduler, "_preempt_request", spy)
    requests = [
        replace(
            request, controls=(Refresh(1.5),), sampling=replace(request.sampling, max_new_tokens=64, ignore_eos=True)
        )
        for request in mixed(9)
    ]
    agree(model.generate(requests), tiny_vllm.local().generate(requests))
    assert preempted, "the cache was large enough for all"
    assert {preempted.count(group) for group in preempted} & {2, 3}, "no group had several members"
    assert scheduler_of(model)._gangs == {} or all(gang.ended for gang in scheduler_of(model)._gangs.values())


def test_what_a_session_has_read_is_not_read_again(tiny_on_vllm: Any) -> None:
    session = tiny_on_vllm.session("Be brief. " * 12).user(MIDDLE)
    first = session.reply(max_new_tokens=4, temperature=0.0)
    fork = session.fork().user(SHORT)
    second = fork.reply(max_new_tokens=4, temperature=0.0, controls=(Refresh(1.5),))
    assert first.cached_tokens == 0
    assert second.cached_tokens >= first.prompt_tokens - 32, "vLLM caches whole blocks"


def test_the_cache_is_not_shared_between_salts(tiny_on_vllm: Any) -> None:
    request = ask("Something that nobody else asks. " * 4, "Nobody knows this system prompt.")
    tiny_on_vllm.generate([request])
    assert tiny_on_vllm.generate([request])[0].cached_tokens > 0
    assert tiny_on_vllm.generate([replace(request, cache_salt="another user")])[0].cached_tokens == 0


def test_a_prompt_whose_last_token_alone_is_left_to_read(tiny_on_vllm: Any) -> None:
    # Whole blocks and one token more: the prefix cache then leaves exactly the token that is held back.
    for words in range(1, 64):
        request = ask(f"{'a ' * words}", controls=(Guidance(2.0),), logprobs=True)
        if len(tiny_on_vllm.render(request.messages).token_ids) % 32 == 1:
            break
    else:
        pytest.fail("no such prompt was found")
    for _ in range(2):
        agree(tiny_on_vllm.generate([request]), tiny_vllm.local().generate([request]))


def test_a_stream_that_is_given_up_leaves_the_others_alone(tiny_on_vllm: Any) -> None:
    stream = tiny_on_vllm.stream(ask(LONG, controls=(Refresh(1.5),), max_new_tokens=200, ignore_eos=True))
    assert next(stream)
    stream.close()
    assert tiny_on_vllm._engine.idle
    requests = mixed(6)
    agree(tiny_on_vllm.generate(requests), tiny_vllm.local().generate(requests))


def test_a_cancelled_member_ends_its_group_and_no_other(tiny_on_vllm: Any) -> None:
    engine = tiny_on_vllm._engine
    lost = engine.submit(ask(LONG, controls=(Refresh(1.5),), max_new_tokens=100, ignore_eos=True))
    others = [engine.submit(request) for request in mixed(4)]
    engine.step()
    [playing] = [playing for playing in engine._active.values() if playing.state is lost]
    engine._engine.abort_request([playing.round.requests[1].id])
    while not engine.idle:
        engine.step()
    assert lost.reply.failure.kind == "interrupted"
    agree([state.reply for state in others], tiny_vllm.local().generate(mixed(4)))


def test_a_group_whose_members_never_come_is_ended(
    tiny_on_vllm: Any, scheduler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = tiny_on_vllm._engine
    add, left_out = engine._engine.add_request, []

    def lose(request_id: str, *args: Any, **kwargs: Any) -> None:
        if request_id.endswith("/1"):
            left_out.append(request_id)
        else:
            add(request_id, *args, **kwargs)

    monkeypatch.setattr(engine._engine, "add_request", lose)
    monkeypatch.setattr(scheduler, "MISSING_SECONDS", 0.0)
    [reply] = tiny_on_vllm.generate([ask(SHORT, controls=(Guidance(2.0),))])
    assert left_out
    assert reply.failure is not None
    assert "never arrived" in reply.failure.detail


def test_a_full_context_ends_the_reply_as_on_the_local_engine() -> None:
    model, local = tiny_vllm.on_vllm(context_length=64), tiny_vllm.local()
    texts = ("a " * 10, "a " * 22, "a " * 200)
    for controls in ((), (Guidance(2.0),)):
        requests = [ask(text, controls=controls, max_new_tokens=40, ignore_eos=True) for text in texts]
        before, local.engine.context_length = local.engine.context_length, 64
        try:
            expected = local.generate(requests)
        finally:
            local.engine.context_length = before
        found = model.generate(requests)
        assert [r.finish for r in found] == [r.finish for r in expected]
        assert {"context"} <= {r.finish for r in found}
        assert [r.token_ids for r in found] == [r.token_ids for r in expected]
        assert [r.failure for r in found] == [r.failure for r in expected]


def test_a_group_that_will_never_fit_is_refused() -> None:
    model = tiny_vllm.on_vllm(num_gpu_blocks_override=17, context_length=512)
    requests = [ask(LONG, controls=(Guidance(2.0),), max_new_tokens=200), ask(SHORT, max_new_tokens=4)]
    refused, good = model.generate(requests)
    assert refused.failure is not None
    assert refused.failure.kind == "batch_too_small"
    assert "ask for a shorter reply" in refused.failure.detail
    assert good.failure is None
    narrow = tiny_vllm.on_vllm(max_batch=2).generate([ask(LONG, controls=(Guidance(2.0), Anchor(0.5), Refresh(2.0)))])
    assert narrow[0].failure is not None
    assert "rows of the batch" in narrow[0].failure.detail


def test_a_dead_engine_answers_with_its_failure() -> None:
    model = tiny_vllm.on_vllm()
    runner = model._vllm.model_executor.driver_worker.worker.model_runner

    def break_down(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory")

    runner.model.forward = break_down
    replies = model.generate(mixed(3))
    assert [reply.finish for reply in replies] == ["error"] * 3
    assert "out of memory" in replies[0].failure.detail
    assert "load the model again" in model.generate([ask(SHORT)])[0].failure.detail


def test_nan_logits_fail_their_request_alone() -> None:
    class Broken(Control):
        name = "broken"
        points = frozenset({"residual"})

        def residual(self, batch: Any, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
            return hidden_N_D * torch.nan

    model = tiny_vllm.on_vllm()
    bad, good = model.generate([ask(MIDDLE, controls=(Broken(),)), ask(MIDDLE, logprobs=True)])
    assert bad.failure is not None
    assert bad.failure.kind == "nan_logits"
    agree([good], tiny_vllm.local().generate([ask(MIDDLE, logprobs=True)]))


def test_stop_strings_reply_prefixes_choices_and_scores_are_the_local_engines(tiny_on_vllm: Any) -> None:
    local = tiny_vllm.local()
    for controls in CONTROLS:
        request = replace(ask(MIDDLE, controls=controls, logprobs=True, max_new_tokens=24), reply_prefix="Hello")
        [long] = local.generate([request])
        stopped = replace(request, sampling=replace(request.sampling, stop=(long.text[6:9], "never")))
        agree(tiny_on_vllm.generate([request, stopped]), local.generate([request, stopped]))
        chosen = replace(ask(SHORT, controls=controls, temperature=1.0, seed=3), choices=("one", "two", "Where to go"))
        assert tiny_on_vllm.generate([chosen])[0].text == local.generate([chosen])[0].text
        texts = ("Never quote a price.", "I", "Where would you like to go?")
        continuations = [Continuation(request.messages, text) for text in texts]
        for found, expected in zip(
            tiny_on_vllm.score(continuations, controls), local.score(continuations, controls), strict=True
        ):
            assert found.logprob == pytest.approx(expected.logprob, abs=1e-3)
            assert (found.tokens, found.greedy) == (expected.tokens, expected.greedy)


def test_several_threads_share_the_batch(tiny_on_vllm: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    requests = mixed(6)
    with ThreadPoolExecutor(3) as threads:
        replies = list(threads.map(lambda request: list(tiny_on_vllm.stream(request))[-1], requests))
    agree(replies, tiny_vllm.local().generate(requests))


def test_nobody_else_can_join_a_group(tiny_on_vllm: Any) -> None:
    from vllm import SamplingParams

    for forged in ({"group": "another", "place": 0, "size": 1}, {"size": 1}, "telic", 7):
        params = SamplingParams(max_tokens=1, extra_args={"telic": forged})
        with pytest.raises(Exception, match="set by Telic's own endpoint only"):
            tiny_on_vllm._vllm.add_request("forged", {"prompt_token_ids": [5, 6]}, params)
