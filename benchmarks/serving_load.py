"""A server under load: hundreds of conversations, clients that leave, a kill in the middle.

    python -m benchmarks.serving_load [--conversations 500] [--turns 4] [--model fake]

Every conversation has a user of its own, sends whole histories, and goes on until it has all its turns. One turn in
ten is left midway and asked again. When half of the turns are acknowledged, the server is killed (SIGKILL) and started
again on the same store; clients try again until they are answered. At the end the store is compared with what the
clients heard. Failures are counted:

- `lost`: acknowledged turns that are not in their conversation;
- `strayed`: answers that are another conversation's. On `fake`, an answer is a function of its history, which is
  computed here once more and compared; on any model, no store holds what its client did not say or hear;
- `unanswered`: turns given up on.

Memory is that of the server's process, at the start, when it was largest, and at the end. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks.served import SYSTEM, ServerProcess, serve
from telic.dialogue import Message
from telic.models import Request, Sampling, load
from telic.server import ConversationStore

LEAVING = 0.1
"""Share of the turns that are left midway the first time."""
PATIENCE = 600.0
"""Seconds after which a client gives up on a turn."""
TOKENS = 40


@dataclass
class Talk:
    """What one client has said and heard."""

    number: int
    messages: list[dict[str, str]] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)
    """The conversation that each acknowledged answer was said to be of."""
    left: int = 0
    unanswered: int = 0

    @property
    def user(self) -> str:
        return f"user{self.number}"

    @property
    def answers(self) -> int:
        return len(self.conversations)


class Load:
    """The clients, and the server that is killed under them."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.talks = [Talk(number) for number in range(options.conversations)]
        self.draw = random.Random(0)
        self.stack = ExitStack()
        self.server = self.start(0)
        self.megabytes = [self.server.resident_megabytes]
        self.killed = False

    def start(self, port: int) -> ServerProcess:
        settings = {"max_requests": self.options.clients, "max_requests_per_key": self.options.clients}
        return self.stack.enter_context(serve(self.folder, self.options.model, settings, port))

    def kill(self) -> None:
        """Kill the server, and start it again at the same address."""
        self.killed = True
        self.server.kill()
        self.server = self.start(urlsplit(self.server.url).port or 0)

    async def run(self) -> None:
        """Hold all conversations, so many at a time."""
        places = asyncio.Semaphore(self.options.clients)
        limits = httpx.Limits(max_connections=self.options.clients)
        async with httpx.AsyncClient(timeout=300, limits=limits) as client:
            watch = asyncio.ensure_future(self.watch())
            await asyncio.gather(*(self.hold(client, talk, places) for talk in self.talks))
            watch.cancel()

    async def watch(self) -> None:
        """Note the server's memory; kill it when half of the work is done."""
        half = self.options.conversations * self.options.turns // 2
        while True:
            await asyncio.sleep(0.2)
            self.megabytes.append(self.server.resident_megabytes)
            if not self.killed and sum(talk.answers for talk in self.talks) >= half:
                await asyncio.to_thread(self.kill)

    async def hold(self, client: httpx.AsyncClient, talk: Talk, places: asyncio.Semaphore) -> None:
        for turn in range(self.options.turns):
            async with places:
                said = {"role": "user", "content": f"Conversation {talk.number}, turn {turn}: what now?"}
                leave = self.draw.random() < LEAVING
                deadline = time.monotonic() + PATIENCE
                while time.monotonic() < deadline:
                    try:
                        answer, name = await self.ask(client, talk, said, leave)
                    except (httpx.HTTPError, _NotYetError):
                        await asyncio.sleep(0.2)
                        continue
                    if leave:
                        talk.left, leave = talk.left + 1, False
                        continue
                    talk.messages += [said, {"role": "assistant", "content": answer}]
                    talk.conversations.append(name)
                    break
                else:
                    talk.unanswered += 1

    async def ask(self, client: httpx.AsyncClient, talk: Talk, said: dict[str, str], leave: bool) -> tuple[str, str]:
        """Ask, and hear the answer to its end, or leave when it has begun."""
        body = {
            "messages": [*talk.messages, said], "stream": True, "seed": talk.number, "max_tokens": TOKENS,
            "temperature": 1.0, "user": talk.user,
        }  # fmt: skip
        text, done = "", False
        async with client.stream("POST", f"{self.server.url}/chat/completions", json=body) as response:
            if response.status_code != 200:
                raise _NotYetError
            async for line in response.aiter_lines():
                done = done or line == "data: [DONE]"
                if line.startswith('data: {"id"'):
                    text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                if leave and text:
                    return text, ""
            if not done:
                raise _NotYetError
            return text, response.headers["X-Telic-Conversation"]


class _NotYetError(Exception):
    """No complete answer: the server is busy, or gone."""


def lost_and_strayed(talks: list[Talk], store: ConversationStore, model: str) -> tuple[int, int]:
    """Compare what the clients heard with what is kept."""
    kept = {episode.id: episode for episode in store.episodes()}
    fake: Any = load("fake") if model == "fake" else None
    lost = strayed = 0
    for talk in talks:
        for number, name in enumerate(talk.conversations):
            heard = [message["content"] for message in talk.messages[: 2 * number + 2]]
            episode = kept.get(name)
            texts = [turn.text for turn in episode.turns] if episode else []
            lost += texts[: len(heard)] != heard
            strayed += episode is not None and episode.metadata["user"] != f"local/{talk.user}"
            if fake:
                said = [Message(role="system", content=SYSTEM), *(Message.model_validate(m) for m in talk.messages)]
                drawn = Sampling(TOKENS, 1.0, seed=talk.number)
                strayed += fake.generate([Request(tuple(said[: 2 * number + 2]), drawn)])[0].text != heard[-1]
    for episode in kept.values():
        number = int(episode.metadata["user"].removeprefix("local/user"))
        own = f"Conversation {number}, "
        strayed += any(not turn.text.startswith(own) for turn in episode.turns if turn.role == "user")
    return lost, strayed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=500)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--clients", type=int, default=64, help="requests at once")
    parser.add_argument("--model", default="fake")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = Load(options, Path(name))
        start = time.perf_counter()
        with work.stack:
            asyncio.run(work.run())
            seconds = time.perf_counter() - start
            megabytes = [*work.megabytes, work.server.resident_megabytes]
        with closing(ConversationStore(str(Path(name) / "telic.db"))) as store:
            lost, strayed = lost_and_strayed(work.talks, store, options.model)
    acknowledged = sum(talk.answers for talk in work.talks)
    summary = {
        "lost": lost,
        "strayed": strayed,
        "unanswered": sum(talk.unanswered for talk in work.talks),
        "acknowledged": acknowledged,
        "left": sum(talk.left for talk in work.talks),
        "killed": work.killed,
        "turns_per_second": round(acknowledged / seconds, 1),
        "megabytes_start": round(megabytes[0]),
        "megabytes_largest": round(max(megabytes)),
        "megabytes_end": round(megabytes[-1]),
        "conversations": options.conversations,
        "model": options.model,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
