"""The remote model against a real server: llama.cpp on the bundled model, on loopback."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from telic.dialogue import Message
from telic.models.remote import RemoteModel
from telic.models.request import Reply, Request, Sampling

pytestmark = pytest.mark.model


def ask(text: str = "Hello there", **options: Any) -> Request:
    return Request((Message(role="user", content=text),), Sampling(**{"max_new_tokens": 8, **options}))


def test_talks(llamacpp_url: str) -> None:
    model = RemoteModel("smollm2", llamacpp_url)
    session = model.session("You are Mia.").user("Hello, who are you?")
    first = session.reply(max_new_tokens=6, seed=1)
    second = session.user("What can you do for me?").reply(max_new_tokens=6, seed=1)
    assert first.text
    assert (first.finish, first.new_tokens) == ("length", 6)
    assert second.prompt_tokens > first.prompt_tokens > 10
    assert second.cached_tokens > 0
    assert model.usage.new_tokens == first.new_tokens + second.new_tokens


def test_same_seed_same_reply(llamacpp_url: str) -> None:
    model = RemoteModel("smollm2", llamacpp_url, concurrency=1, extra_body={"top_k": 0, "min_p": 0})
    # The first request fills the prompt cache; those after it then compute the very same thing.
    _, *replies = model.generate([ask(seed=seed, max_new_tokens=12) for seed in (0, 1, 2, 3, 1)])
    assert replies[0].text == replies[3].text
    assert len({reply.text for reply in replies}) == 3


def test_stop_and_end(llamacpp_url: str) -> None:
    model = RemoteModel("smollm2", llamacpp_url)
    plain, stopped = model.generate(
        [ask("Count to five.", temperature=0, max_new_tokens=20, stop=stop) for stop in ((), (" ",))]
    )
    assert " " in plain.text
    assert stopped.text == plain.text.split(" ")[0]
    assert stopped.finish == "stop"


def test_logprobs(llamacpp_url: str) -> None:
    model = RemoteModel("smollm2", llamacpp_url)
    asked, unasked = model.generate([ask(logprobs=True, temperature=0), ask()])
    assert len(asked.logprobs or ()) == asked.new_tokens == 8
    assert all(value <= 0 for value in asked.logprobs or ())
    assert unasked.logprobs is None


def test_streams_what_it_generates(llamacpp_url: str) -> None:
    model = RemoteModel("smollm2", llamacpp_url)
    request = ask(temperature=0, logprobs=True)
    model.generate([request])  # fills the prompt cache
    *pieces, reply = model.stream(request)
    (whole,) = model.generate([request])
    assert isinstance(reply, Reply)
    assert len(pieces) > 3
    assert "".join(str(piece) for piece in pieces) == reply.text == whole.text
    assert (reply.finish, reply.new_tokens) == (whole.finish, whole.new_tokens)
    assert reply.logprobs == pytest.approx(whole.logprobs, abs=0.05)


def test_the_context_is_full(llamacpp_url: str) -> None:
    model = RemoteModel("smollm2", llamacpp_url)
    before, during = model.generate(
        [ask("word " * 300), ask("word " * 190, max_new_tokens=200, ignore_eos=True, seed=1)]
    )
    assert (before.finish, before.text) == ("context", "")
    assert before.failure is not None
    assert before.failure.kind == "context_full"
    assert (during.finish, during.prompt_tokens + during.new_tokens) == ("context", 256)


def test_a_killed_server_fails_only_what_was_not_done(
    start_llamacpp: Callable[..., AbstractContextManager[Any]],
) -> None:
    with start_llamacpp("--slots", "2", "--context", "256") as server:
        model = RemoteModel("smollm2", server.base_url, concurrency=2, retries=1)

        def kill_after_three(index: int, reply: Reply) -> None:
            if model.usage.requests == 3:
                server.kill()

        lengths = (4, 4, 4, 200, 200, 200)
        replies = model.generate([ask(max_new_tokens=length, ignore_eos=True) for length in lengths], kill_after_three)
    assert [reply.finish for reply in replies] == ["length"] * 3 + ["error"] * 3
    assert all(reply.text for reply in replies[:3])
    assert all("is the server running" in str(reply.failure) for reply in replies[3:])
    assert (model.usage.requests, model.usage.errors) == (6, 3)
