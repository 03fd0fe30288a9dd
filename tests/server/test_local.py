"""A local model behind the server: one batch for all clients, and caches between turns that change no reply."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

pytest.importorskip("torch")

from telic.dialogue import Message
from telic.models import LocalModel, Reply, Request, Sampling
from telic.models.control import build_control
from telic.server.local_worker import LocalWorker
from telic.server.submission import ReplyDelta, ReplyEvent
from tests.models import tiny
from tests.server.conftest import PURPOSE, Served, Start, wait_for

GREEDY: dict[str, Any] = {"temperature": 0, "max_tokens": 8}


@pytest.fixture
def model() -> LocalModel:
    return tiny.local("llama")


def requests(count: int, **options: Any) -> list[Request]:
    drawn = {"max_new_tokens": 12, "temperature": 1.0, "logprobs": True, **options}
    return [
        Request((Message(role="user", content=f"Question {n}. " * (n + 1)),), Sampling(**drawn, seed=n))
        for n in range(count)
    ]


async def collect(worker: LocalWorker, asked: list[Request]) -> list[list[ReplyEvent]]:
    heard: list[list[ReplyEvent]] = [[] for _ in asked]
    done = [asyncio.Event() for _ in asked]

    def on_event(index: int, event: ReplyEvent) -> None:
        heard[index].append(event)
        if isinstance(event, Reply):
            done[index].set()

    for index, request in enumerate(asked):
        worker.submit([request], lambda _, event, index=index: on_event(index, event))  # type: ignore[misc]
        await asyncio.sleep(0.002)  # they come one after the other, while the first are under way
    for one in done:
        await one.wait()
    return heard


def test_requests_that_join_a_running_batch_get_the_same_replies(model: LocalModel) -> None:
    asked = requests(6, stop=("zz", "e a"))
    expected = model.generate(asked)

    async def run() -> list[list[ReplyEvent]]:
        worker = LocalWorker(model)
        try:
            return await collect(worker, asked)
        finally:
            worker.close()

    for events, reply in zip(asyncio.run(run()), expected, strict=True):
        deltas = [event for event in events if isinstance(event, ReplyDelta)]
        last = events[-1]
        assert isinstance(last, Reply)
        assert (last.text, last.token_ids) == (reply.text, reply.token_ids)
        assert "".join(delta.text for delta in deltas) == reply.text
        ids = [token for delta in deltas for token in delta.token_ids]
        assert tuple(ids) == reply.token_ids[: len(ids)]
        told = [value for delta in deltas for value in delta.logprobs]
        assert told == pytest.approx(list(reply.logprobs or ())[: len(told)], abs=1e-4)


def test_a_cancelled_request_leaves_the_batch_and_the_others_go_on(model: LocalModel) -> None:
    async def run() -> tuple[list[ReplyEvent], list[list[ReplyEvent]]]:
        worker = LocalWorker(model)
        heard: list[ReplyEvent] = []
        [endless] = requests(1, max_new_tokens=900, ignore_eos=True)
        [submission] = worker.submit([endless], lambda _, event: heard.append(event))
        while not heard:
            await asyncio.sleep(0.001)
        worker.cancel(submission)
        count = len(heard)
        others = await collect(worker, requests(2))
        assert len(heard) == count, "no further events are delivered"
        worker.close()
        return heard, others

    heard, others = asyncio.run(run())
    assert not any(isinstance(event, Reply) for event in heard)
    assert [type(events[-1]) for events in others] == [Reply, Reply]
    assert model.engine.idle


def test_a_failed_pass_fails_the_active_requests_only(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> tuple[ReplyEvent, ReplyEvent]:
        worker = LocalWorker(model)
        with monkeypatch.context() as patched:
            patched.setattr(model.engine.runner, "run", lambda chunks: 1 / 0)
            [[*_, failed]] = await collect(worker, requests(1))
        [[*_, good]] = await collect(worker, requests(1))
        assert worker.alive
        worker.close()
        return failed, good

    failed, good = asyncio.run(run())
    assert isinstance(failed, Reply)
    assert isinstance(good, Reply)
    assert (failed.finish, str(failed.failure)) == ("error", "model: division by zero")
    assert good.finish != "error"


class Talk:
    """A conversation over the API, which sends its whole history each time."""

    def __init__(self, served: Served, name: str) -> None:
        self.served, self.name = served, name
        self.messages: list[Any] = []
        self.cached: list[int] = []

    def say(self, text: str, **options: Any) -> str:
        self.messages.append({"role": "user", "content": text})
        with self.served.client() as client:
            answer = client.chat.completions.create(
                model="m", messages=self.messages, user=self.name, **{**GREEDY, **options}
            )
        assert answer.usage is not None
        assert answer.usage.prompt_tokens_details is not None
        self.cached.append(answer.usage.prompt_tokens_details.cached_tokens or 0)
        content = answer.choices[0].message.content or ""
        self.messages.append({"role": "assistant", "content": content})
        return content


TURNS = ("Hello there, I want to travel.", "To where would you go?", "And what of the price?", "Good.")


def held(served: Served, count: int = 3) -> list[list[str]]:
    """Run several conversations at once."""
    talks = [Talk(served, f"user{n}") for n in range(count)]

    def hold(talk: Talk) -> None:
        for text in TURNS:
            talk.say(f"{text} I am {talk.name}.")

    threads = [threading.Thread(target=hold, args=(talk,)) for talk in talks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [[message["content"] for message in talk.messages] for talk in talks]


@pytest.mark.parametrize(
    "controls", [(), ("attention_hold",), ("guidance",)], ids=lambda names: "+".join(names) or "none"
)
def test_replies_are_the_same_with_the_cache_without_it_and_after_it_was_dropped(
    start: Start, controls: tuple[str, ...]
) -> None:
    made = tuple(build_control({"name": name}) for name in controls)
    with_cache = start(tiny.local("llama"), controls=made)
    kept = held(with_cache)
    without = start(tiny.local("llama"), controls=made, store=str(start.folder / "b.db"), max_conversations=0)
    assert held(without) == kept
    small = start(tiny.local("llama", cache_bytes=1), controls=made, store=str(start.folder / "c.db"))
    assert held(small) == kept


def test_a_second_turn_computes_only_its_own_tokens(start: Start, model: LocalModel) -> None:
    served = start(model)
    talk = Talk(served, "ann")
    for text in TURNS:
        talk.say(text)
    episode = next(iter(served.service.store.episodes()))
    assert len(episode.turns) == 2 * len(TURNS)
    for before, turn in zip(episode.turns[1:-2:2], episode.turns[3::2], strict=True):
        # And the reply's, as far as its text gives the same tokens again: that of a random model is broken characters.
        assert turn.origin["cached_tokens"] >= before.prompt_tokens
    stranger = Talk(served, "bob")
    stranger.say(TURNS[0])
    system = model.render([Message(role="system", content=PURPOSE.system)], reply=False)
    assert 0 < stranger.cached[0] <= len(system.token_ids) + 4, "the purpose's system prompt, and no user's words"


def test_the_memory_of_caches_is_bounded_and_the_least_recently_used_is_dropped_first(start: Start) -> None:
    model = tiny.local("llama")
    served = start(model)
    talks = [Talk(served, f"user{n}") for n in range(6)]
    for talk in talks:
        talk.say(TURNS[0])
    model.engine.pool.budget = model.cache_bytes  # no room for more than there is
    for _ in range(3):
        talks[5].say("Again?")
        assert model.cache_bytes <= model.engine.pool.budget
    talks[0].say("Still there?")
    assert talks[0].cached[-1] < talks[5].cached[-1], "that of the first conversation made room"
    with served.http() as http:
        figures = http.get("/metrics").text
    assert f"telic_cache_bytes {float(model.cache_bytes)}" in figures
    assert "telic_conversations_in_memory 6.0" in figures


def test_log_probabilities_in_openais_form(start: Start, model: LocalModel) -> None:
    served = start(model)
    said: Any = [{"role": "user", "content": "Hello"}]
    with served.client() as client:
        options = {"model": "m", "messages": said, "logprobs": True, **GREEDY}
        [choice] = client.chat.completions.create(**options).choices
        streamed: list[Any] = []
        for chunk in client.chat.completions.create(**options, stream=True):
            if chunk.choices[0].logprobs:
                streamed += chunk.choices[0].logprobs.content or []
    assert choice.logprobs is not None
    content = choice.logprobs.content or []
    assert len(content) == 8
    assert all(token.logprob <= 0 for token in content)
    assert [token.logprob for token in streamed] == pytest.approx([token.logprob for token in content], abs=1e-4)
    whole = "".join(token.token for token in content)
    assert whole == choice.message.content or "\ufffd" in whole
    [episode, _] = served.service.store.episodes()
    assert episode.turns[1].origin["logprob"] == pytest.approx(sum(token.logprob for token in content), rel=1e-4)


def test_readings_are_stored_with_every_turn(start: Start, model: LocalModel) -> None:
    served = start(model, readings=("attention", "state"))
    Talk(served, "ann").say("Hello")
    [episode] = served.service.store.episodes()
    readings = episode.turns[1].readings
    assert len(readings["attention"]) == model.layers
    assert all(0 < mass < 1 for mass in readings["attention"])
    assert len(readings["state"]) == model.hidden_size


def test_a_conversation_too_long_for_the_context_is_refused_before_the_stream_begins(
    start: Start, model: LocalModel
) -> None:
    import openai

    served = start(model, max_context=64)
    assert model.context_length == 64
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="exceeds the model's context") as refused:
            Talk(served, "ann").say("Word " * 100, stream=stream)
        assert refused.value.code == "context_length_exceeded"
    assert list(served.service.store.episodes()) == []
    assert Talk(served, "ann").say("Hello") is not None


def test_a_client_that_disconnects_frees_its_sequence(start: Start, model: LocalModel) -> None:
    served = start(model)
    said: Any = [{"role": "user", "content": "Hello"}]
    with served.client() as client:
        stream = client.chat.completions.create(
            model="m", messages=said, stream=True, max_tokens=900, extra_body={"ignore_eos": True}
        )
        next(iter(stream))
        stream.close()
        wait_for(lambda: model.engine.idle)
        wait_for(lambda: served.service.limits.active_count == 0 and not served.service.sessions.busy)
        [episode] = served.service.store.episodes()
    assert episode.turns[-1].finish in ("left", "given")
    assert sum(turn.tokens for turn in episode.turns) < 900


def test_the_system_prompt_is_read_before_the_first_request(start: Start, model: LocalModel) -> None:
    sessions = start(model).service.sessions
    assert sessions.shared_prefix is not None
    assert sessions.shared_prefix.cache.key_values.tokens
    assert len(sessions) == 0
