"""The worker for endpoints: clients take turns, and a reply that is cancelled is no longer waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from telic.dialogue import Message
from telic.models import Reply, Request
from telic.server.async_worker import AsyncWorker
from telic.server.submission import ReplyEvent


class Endpoint:
    """An endpoint that answers when it is told to; it fails on the message "fail"."""

    def __init__(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.asked: list[str] = []
        self.closed: list[str] = []
        self.answers = asyncio.Event()

    def open_streams(self) -> Endpoint:
        return self

    async def stream(self, request: Request) -> AsyncGenerator[str | Reply, None]:
        said = request.messages[-1].content
        self.asked.append(said)
        try:
            yield "Well"
            await self.answers.wait()
            if said == "fail":
                raise ConnectionError("reset")
            yield Reply("Well", "stop")
        finally:
            self.closed.append(said)

    async def aclose(self) -> None:
        self.closed.append("all")


def request(client: str, text: str) -> Request:
    return Request((Message(role="user", content=text),), client=client)


def test_clients_take_turns_and_a_failure_concerns_one_request() -> None:
    async def run() -> None:
        endpoint = Endpoint(concurrency=1)
        worker = AsyncWorker(endpoint)
        replies: dict[str, list[ReplyEvent]] = {}
        done = asyncio.Event()

        def submit(client: str, *texts: str) -> None:
            def on_event(index: int, event: ReplyEvent) -> None:
                replies.setdefault(texts[index], []).append(event)
                if sum(isinstance(one, Reply) for events in replies.values() for one in events) == 4:
                    done.set()

            worker.submit([request(client, text) for text in texts], on_event)

        submit("ann", "a1", "fail", "a3")
        submit("bob", "b1")
        endpoint.answers.set()
        await done.wait()
        assert endpoint.asked == ["a1", "fail", "b1", "a3"]
        [_, failed] = replies["fail"]
        assert isinstance(failed, Reply)
        assert failed.failure is not None
        assert failed.failure.detail == "reset"
        assert all(isinstance(replies[name][-1], Reply) for name in ("a1", "a3", "b1"))
        await asyncio.to_thread(worker.close)

    asyncio.run(run())


def test_a_cancelled_reply_is_closed_at_once_and_one_that_waits_is_never_sent() -> None:
    async def run() -> None:
        endpoint = Endpoint(concurrency=1)
        worker = AsyncWorker(endpoint)
        heard: list[ReplyEvent] = []
        began = asyncio.Event()

        def on_event(_index: int, event: ReplyEvent) -> None:
            heard.append(event)
            began.set()

        first, second, _third = worker.submit([request("ann", text) for text in ("a1", "a2", "a3")], on_event)
        await began.wait()
        worker.cancel(second)
        began.clear()
        worker.cancel(first)
        await began.wait()
        assert endpoint.asked == ["a1", "a3"]
        assert endpoint.closed == ["a1"]
        assert not any(isinstance(event, Reply) for event in heard)
        await asyncio.to_thread(worker.close)
        assert endpoint.closed == ["a1", "a3", "all"]

    asyncio.run(run())
