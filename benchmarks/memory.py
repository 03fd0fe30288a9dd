"""The memory: how fast it is, how it follows preferences that drift, and what it recalls of long dialogues.

    python -m benchmarks.memory scale      # 100,000 events of one user, 1,000 users in a store
    python -m benchmarks.memory pahf       # shoppers whose preferences drift (data: PAHF)
    python -m benchmarks.memory dialogues [--embeddings MODEL]  # 20 users, 60 conversations each

The last line of each is JSON. No part of it asks a model.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import memory_sentences as sentences
from benchmarks.memory_dialogues import DAY, START, Planted, UserHistory, make_history
from benchmarks.memory_shoppers import run_shoppers
from telic.memory import Memory, MemoryConfig, MemoryEvent, MemoryFile
from telic.memory.index import GrowingIndex
from telic.memory.words import content_stems, estimated_tokens

SLOTS = ("budget", "pet", "home airport")
LONG = MemoryConfig.of(slots=SLOTS, budget=3000, quotes=20)


def scale(events: int = 100_000, users: int = 1000, each: int = 200) -> dict[str, Any]:
    """Measure one long log, and a store with many users."""
    draw = random.Random(0)
    log = _long_log(draw, events)
    memory, begun = Memory(MemoryConfig.of(slots=SLOTS)), time.process_time()
    for event in log:
        memory.add(event)
    fold = time.process_time() - begun
    wall, work, tail = [], [], []
    for number in range(200):
        question = draw.choice([*sentences.QUESTIONS["tune"].values(), *sentences.FILLERS])
        start, cpu = time.perf_counter(), time.process_time()
        notes = memory.notes(question, source="now")
        wall.append(1000 * (time.perf_counter() - start))
        work.append(1000 * (time.process_time() - cpu))
        assert notes.tokens <= memory.config.budget
        start = time.perf_counter()
        memory.add(MemoryEvent(f"new{number}", START + 301 * DAY, "message", "now", "user", "I love marzipan."))
        tail.append(1000 * (time.perf_counter() - start))
    result: dict[str, Any] = {
        "events": events, "facts": sum(1 for _ in memory.profile.facts()), "fold_cpu_us_per_event": 1e6 * fold / events,
        "prompt_ms": float(np.percentile(wall, 95)), "prompt_ms_median": float(np.median(wall)),
        "prompt_cpu_ms_95": float(np.percentile(work, 95)), "prompt_n": len(wall),
        "add_ms_95": float(np.percentile(tail, 95)),
    }  # fmt: skip
    return {**result, **_store(draw, users, each)}


def _long_log(draw: random.Random, count: int) -> list[MemoryEvent]:
    """Make the log of a user who talks for years: a statement in every fifth message of theirs."""
    log = []
    values = [
        f"{one} {word}"
        for one in ("old", "new", "red", "quiet", "cheap", "Italian")
        for word in sentences.FILLERS[3].split()
    ]
    for number in range(count):
        user = number % 2 == 0
        text = draw.choice(sentences.FILLERS if user else sentences.REPLIES) + f" Item {draw.randrange(5000)}."
        if user and draw.random() < 0.2:
            topic = draw.choice(list(sentences.STATED["tune"]))
            value = draw.choice([*sentences.VALUES[topic], *(values if topic in ("like", "dislike") else [])])
            text = f"{text} {draw.choice(sentences.STATED['tune'][topic]).replace('{v}', value)}"
        when = START + 200.0 * number
        log.append(
            MemoryEvent(f"e{number}", when, "message", f"c{number // 40}", "user" if user else "assistant", text)
        )
    return log


def _store(draw: random.Random, users: int, each: int) -> dict[str, Any]:
    from telic.server.memory_log import MemoryLogs
    from telic.server.store import ConversationStore

    log = _long_log(draw, each)
    with tempfile.TemporaryDirectory() as folder, closing(ConversationStore(f"{folder}/telic.db")) as store:
        logs, begun = MemoryLogs(store.engine), time.perf_counter()
        for user in range(users):
            logs.append(f"shop/user{user}", "travel", log)
        written = time.perf_counter() - begun
        opened = []
        for user in draw.sample(range(users), 50):
            begun = time.perf_counter()
            notes = Memory(LONG, logs.read(f"shop/user{user}", "travel").events).notes("Where do I live?")
            opened.append(1000 * (time.perf_counter() - begun))
            assert notes.text
        size = Path(f"{folder}/telic.db").stat().st_size / 2**20
    return {"users": users, "events_each": each, "append_ms_per_user": 1000 * written / users,
            "cold_prompt_ms_95": float(np.percentile(opened, 95)), "store_mib": size}  # fmt: skip


def dialogues(style: str = "report", users: int = 20, embeddings: str = "") -> dict[str, Any]:
    """Measure what is recalled of long dialogues, what is believed wrongly, and whether `why` and forgetting hold."""
    histories = [make_history(seed, style) for seed in range(users)]
    rows = [_one_user(history, style, embeddings) for history in histories]
    names = {name for row in rows for name in row}
    result: dict[str, Any] = {"style": style, "users": users}
    for name in sorted(names):
        parts = [row[name] for row in rows]
        hits, total = sum(sum(part) for part in parts), sum(len(part) for part in parts)
        result[name] = {"value": hits / total, "n": total, "interval": _interval(parts)}
    return result


def _interval(parts: Sequence[Sequence[float]]) -> list[float]:
    """Return a 95 % bootstrap interval of a share, over users."""
    sums, counts = np.array([sum(part) for part in parts]), np.array([len(part) for part in parts])
    draws = np.random.default_rng(0).integers(len(parts), size=(2000, len(parts)))
    shares = sums[draws].sum(1) / np.maximum(counts[draws].sum(1), 1)
    return [round(float(one), 4) for one in np.percentile(shares, (2.5, 97.5))]


def _one_user(history: UserHistory, style: str, embeddings: str = "") -> dict[str, list[float]]:
    memory = Memory(LONG.model_copy(update={"embeddings": embeddings}), history.events)
    assert not memory.failures
    found: dict[str, list[float]] = {
        name: [] for name in ("recall", "recall of BM25 alone", "recall of the latest 3,000 tokens")
    }
    others: dict[str, Callable[[str], set[str]]] = {
        "recall of BM25 alone": _bm25(history.events),
        "recall of the latest 3,000 tokens": lambda _: _latest(history.events)
    }  # fmt: skip
    for planted in history.of("current", "context"):
        question = sentences.QUESTIONS[style][planted.topic]
        question += f" It is about {planted.situation}." if planted.situation else ""
        notes = memory.notes(question)
        assert notes.tokens <= 3000
        seen = {turn.id for passage in notes.passages for turn in passage.turns}
        seen |= {claim.evidence.event for fact in notes.facts for claim in fact.evidence}
        found["recall"].append(float(planted.event in seen))
        for name, search in others.items():
            found[name].append(float(planted.event in search(question)))
    found["stale or wrongly scoped"] = _wrong_facts(memory, history, style)
    found["contradictions asked about"] = [
        float(any(question.known.casefold() == one.value.casefold() for question in memory.profile.questions.values()))
        for one in history.of("contested") if one.session >= 30
    ]  # fmt: skip
    found["why names the evidence"] = _why(memory, history)
    found["forget leaves no byte"] = _forget(history)
    return found


def _wrong_facts(memory: Memory, history: UserHistory, style: str) -> list[float]:
    """Say of each fact in the notes of each question whether it is stale, another's, or not general."""
    by_event = {one.event: one for one in history.planted}
    wrong = []
    for question in sentences.QUESTIONS[style].values():
        for fact in memory.notes(question).facts:
            said: Planted | None = by_event.get(fact.evidence[-1].evidence.event)
            right = said is not None and said.status == "current" and said.value.casefold() in fact.value.casefold()
            wrong.append(float(not right))
    return wrong


def _why(memory: Memory, history: UserHistory) -> list[float]:
    """Say of each planted fact that is believed whether `why` names the message in which it was said first."""
    named = []
    for planted in history.of("current"):
        reasons = [
            one
            for one in memory.why(planted.value)
            if one.holds and planted.value.casefold() in one.fact.value.casefold()
        ]
        if reasons:
            named.append(
                float(any(one.event.id == planted.event and planted.value in one.event.text for one in reasons))
            )
    return named


def _forget(history: UserHistory) -> list[float]:
    """Forget three values in a file, and search its folder byte by byte."""
    gone = []
    chosen = [one for one in history.of("current") if one.topic in ("like", "dislike", "allergy")][:3]
    with tempfile.TemporaryDirectory() as folder:
        file = MemoryFile(Path(folder) / "memory.jsonl")
        file.append(history.events)
        for planted in chosen:
            memory = Memory(LONG, file.read())
            plan = memory.plan_forgetting(planted.value)
            file.forget(plan, memory.forget(plan))
            texts = b"".join(path.read_bytes() for path in Path(folder).iterdir()).lower()
            gone.append(
                float(
                    planted.value.lower().encode() not in texts
                    and planted.value not in memory.notes(planted.value).text
                )
            )
    return gone


def _bm25(events: Sequence[MemoryEvent], budget: int = 3000) -> Callable[[str], set[str]]:
    """Make a search over windows of three turns, without the facts as keys."""
    index, windows = GrowingIndex(), [events[max(0, i - 1) : i + 2] for i in range(0, len(events), 2)]
    for window in windows:
        index.add([stem for event in window for stem in content_stems(event.text)])

    def search(question: str) -> set[str]:
        seen: set[str] = set()
        room = budget
        for number, _ in index.search(content_stems(question), 60):
            room -= sum(estimated_tokens(event.text) for event in windows[number])
            if room < 0:
                break
            seen |= {event.id for event in windows[number]}
        return seen

    return search


def _latest(events: Sequence[MemoryEvent], budget: int = 3000) -> set[str]:
    seen: set[str] = set()
    for event in reversed(events):
        budget -= estimated_tokens(event.text)
        if budget < 0:
            break
        seen.add(event.id)
    return seen


def main(arguments: Sequence[str]) -> None:
    """Run one part, or all."""
    names, _, embeddings = " ".join(arguments).partition("--embeddings ")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "scale": scale, "pahf": run_shoppers, "dialogues": lambda: dialogues(embeddings=embeddings),
        "tune": lambda: dialogues("tune"),
        "second": lambda: dialogues("second"), "third": lambda: dialogues("third", embeddings=embeddings),
    }  # fmt: skip
    result: dict[str, Any] = {}
    for name in names.split() or ["scale", "pahf", "dialogues"]:
        found = parts[name]()
        for key, value in found.items():
            sys.stdout.write(f"{name}: {key}: {value}\n")
        result |= found
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
