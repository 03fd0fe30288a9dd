"""How fast a store of conversations becomes labelled episodes, and with how much memory.

    python -m benchmarks.learn [--conversations 100000] [--processes 2] [--postgres]

The conversations are written by the server's own store: three exchanges each, in which users thank, complain, rephrase
and go on, with a thumb or an event in every fifth. Reading, labelling and analysing them is timed (`telic.feedback.
learn`). The memory is the largest resident set of all processes together. The last line is JSON, with
`conversations_per_second`.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import psutil
from sqlalchemy import event

from benchmarks.serving_load import Postgres
from telic.dialogue import Message
from telic.feedback import learn
from telic.server import ConversationStore
from telic.server.annotations import Annotations
from telic.server.history import History
from telic.server.records import NewTurns, ReplySetup, TurnRecord
from telic.server.reported_events import EventReport, ReportedEvents
from telic.server.stored_episodes import StoredEpisodes

OPENINGS = (
    "I need a hotel in the centre for two nights.", "Can you write a function that adds two lists?",
    "Which films are like Alien?", "My parcel has not arrived.", "How do I change my password?",
)  # fmt: skip
REPLIES = (
    "I suggest the Alexander in Bridge Street, 92 pounds a night.", "Sorry, I cannot find that.",
    "You could open the settings and choose Security.", "What do you like best?",
    "Here is a list with three options that fit what you asked for.",
)  # fmt: skip
ANSWERS = (
    "Great, thank you!", "No, that is not what I asked for.", "Something cheaper, please.", "Sounds good, book it.",
    "I don't understand.", "Yes please.", "That's wrong, I said two nights.", "Also, when does the museum open?",
    "This is useless, let me talk to a person.", "I'll check it out.",
)  # fmt: skip
SETUP = ReplySetup("a" * 64, {"purpose": "travel", "model": "fake", "system": "You are Mia.", "controls": []})
EXCHANGES = 3


def fill(store: ConversationStore, count: int) -> None:
    """Write conversations as the server does, without waiting for the disk after each."""
    if store.is_sqlite:
        event.listen(store.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
        store.engine.dispose()
    notes, reported, draw = Annotations(store.engine), ReportedEvents(store.engine), random.Random(0)
    for number in range(count):
        name, user = f"c{number}", f"local/u{number % 997}"
        store.add(conversation(name, user, 1.79e9 + 60.0 * number, draw))
        if number % 10 == 0:
            notes.add_feedback(user, name, 1, "thumb", draw.choice((1, -1)))
        if number % 10 == 1:
            body = {"id": name, "conversation": name, "kind": "purchase", "value": 30.0}
            reported.add("local", EventReport.parse(json.dumps(body).encode()))


def conversation(name: str, user: str, start: float, draw: random.Random) -> NewTurns:
    """Make a conversation."""
    said = [Message(role="user", content=draw.choice(OPENINGS))]
    for _ in range(EXCHANGES):
        said.append(Message(role="assistant", content=draw.choice(REPLIES)))
        said.append(Message(role="user", content=draw.choice(ANSWERS)))
    turns = [
        TurnRecord(
            message.role, message.content, digest, start + 20.0 * place, "given" if message.role == "user" else "stop",
            setup=SETUP.digest if message.role == "assistant" else None, tokens=12, logprob=-9.0,
        )
        for place, (message, digest) in enumerate(zip(said, History.from_messages(user, said).digests, strict=True))
    ]  # fmt: skip
    return NewTurns(name, user, tuple(turns), setup=SETUP)


@contextmanager
def largest_memory() -> Iterator[list[float]]:
    """Watch the resident memory of this process and its children, in megabytes."""
    found, done, me = [0.0], threading.Event(), psutil.Process()

    def watch() -> None:
        while not done.wait(0.2):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    total += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            found[0] = max(found[0], total / 2**20)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        done.set()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--postgres", action="store_true", help="store in a real Postgres")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, location = Path(name), str(Path(name) / "telic.db")
        if options.postgres:
            postgres = Postgres(folder / "postgres")
            stack.callback(postgres.close)
            location = postgres.address
        with closing(ConversationStore(location)) as store:
            fill(store, options.conversations)
        with largest_memory() as megabytes:
            start = time.perf_counter()
            run = learn(StoredEpisodes(location), processes=options.processes)
            seconds = time.perf_counter() - start
    summary = {
        "conversations_per_second": round(options.conversations / seconds, 1),
        "megabytes_largest": round(megabytes[0]),
        "conversations": run.analysis.conversations,
        "replies": run.analysis.replies,
        "processes": options.processes,
        "store": "postgres" if options.postgres else "sqlite",
    }
    for key, value in summary.items():
        print(f"{key:26} {value}")
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
