"""What the memory takes from single messages of strangers: facts that are right, wrong and missed.

    python -m benchmarks.memory_facts --data benchmarks/data        # every facts*.jsonl of a folder, or one file
    python -m benchmarks.memory_facts --data DIR --show             # and what was wrong or missed

A line of a file is a message with the facts that its author says it holds: {"id", "text", "facts": [{"slot", "value",
"polarity", "lasting"}], "kind"}. A fact that the memory would keep is right if the message holds a lasting fact of the
same slot and polarity whose value has mostly the same words. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.shares import share_of
from telic.errors import DataError
from telic.memory import Claim, MemoryConfig, MemoryEvent
from telic.memory.config import DOUBT, MOOD
from telic.memory.extractors.base import Extractor, build_extractors, extract_claims
from telic.memory.words import content_stems, key_of

__all__ = ["FactMessage", "GoldFact", "evaluate", "read_messages"]

SLOTS = ("budget",)
SAME = 0.5
"""Overlap of words (F1) above which values are the same: "maths" and "teach maths", not "Leipzig last spring"."""
UNCOUNTED = frozenset({DOUBT, MOOD, "note", "reply style"})
"""Slots that the messages' authors did not note."""


@dataclass(frozen=True)
class GoldFact:
    """A fact that an author says a message holds."""

    slot: str
    value: str
    polarity: int
    lasting: bool


@dataclass(frozen=True)
class FactMessage:
    """A message, and the facts in it."""

    id: str
    text: str
    kind: str
    facts: tuple[GoldFact, ...]


@dataclass
class Counts:
    """Hits of a total."""

    hits: int = 0
    total: int = 0

    def add(self, hit: bool) -> None:
        self.hits += hit
        self.total += 1

    def as_dict(self) -> dict[str, Any]:
        """Return the share with its Wilson interval."""
        return {**share_of(self.hits, self.total), "hits": self.hits}


@dataclass
class Report:
    """What came of some messages."""

    precision: Counts = field(default_factory=Counts)
    recall: Counts = field(default_factory=Counts)
    silent: Counts = field(default_factory=Counts)
    """Messages without a lasting fact from which nothing is kept."""
    precision_by_slot: dict[str, Counts] = field(default_factory=dict)
    recall_by_slot: dict[str, Counts] = field(default_factory=dict)
    recall_by_kind: dict[str, Counts] = field(default_factory=dict)
    wrong_by_kind: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON types."""
        tables = {
            name: {key: counts.as_dict() for key, counts in sorted(getattr(self, name).items())}
            for name in ("precision_by_slot", "recall_by_slot", "recall_by_kind")
        }
        return {
            "precision": self.precision.as_dict(), "recall": self.recall.as_dict(), "silent": self.silent.as_dict(),
            **tables, "wrong_by_kind": dict(sorted(self.wrong_by_kind.items())),
        }  # fmt: skip


def read_messages(path: Path) -> list[FactMessage]:
    """Read a file of messages, or every `facts*.jsonl` of a folder.

    Raises:
        DataError: there is none, or a line is no such message; the error names it.
    """
    files = sorted(path.glob("facts*.jsonl")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise DataError(f"no messages at {str(path)!r}; expected a JSONL file, or a folder with facts*.jsonl")
    return [
        _message(line, f"{file}:{number}")
        for file in files
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if line.strip()
    ]


def _message(line: str, where: str) -> FactMessage:
    try:
        read = json.loads(line)
        facts = tuple(
            GoldFact(_slot(one["slot"]), one["value"], int(one["polarity"]), bool(one["lasting"]))
            for one in read["facts"]
        )
        return FactMessage(read["id"], read["text"], read["kind"], facts)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{where}: no message with its facts: {type(error).__name__}: {error}") from None


def _slot(slot: str) -> str:
    """Return a slot as it is counted: a favourite is a taste, and what kind of creature has a name does not matter."""
    slot = slot.casefold().strip()
    if slot.startswith(("favourite ", "favorite ", "preferred ", "usual ")):
        return "taste"
    return "pet name" if slot.endswith(" name") else slot


def evaluate(messages: Iterable[FactMessage], extractors: Sequence[Extractor]) -> Report:
    """Compare what the memory would keep of messages with what their authors say they hold."""
    report = Report()
    for message in messages:
        event = MemoryEvent(message.id, 1e9, "message", message.id, "user", message.text)
        claims, failures = extract_claims(extractors, event)
        if failures:
            raise DataError(f"message {message.id}: {failures[0].extractor} failed: {failures[0].reason}")
        kept = [one for one in claims if one.scope.kind != "once" and one.slot not in UNCOUNTED]
        _compare(message, kept, report)
    return report


def _compare(message: FactMessage, kept: Sequence[Claim], report: Report) -> None:
    gold = [fact for fact in message.facts if fact.lasting]
    found: set[int] = set()
    for claim in {(_slot(one.slot), one.value, one.polarity): one for one in kept}.values():
        hit = next((i for i, fact in enumerate(gold) if _same(claim, fact)), None)
        found |= set() if hit is None else {hit}
        report.precision.add(hit is not None)
        report.precision_by_slot.setdefault(_slot(claim.slot), Counts()).add(hit is not None)
        if hit is None:
            report.wrong_by_kind[message.kind] = report.wrong_by_kind.get(message.kind, 0) + 1
            report.wrong.append(
                f"{message.id} {message.kind}: {claim.slot} = {claim.value!r} ({claim.polarity}) | {message.text}"
            )
    for index, fact in enumerate(gold):
        for table, key in ((report.recall_by_slot, fact.slot), (report.recall_by_kind, message.kind)):
            table.setdefault(key, Counts()).add(index in found)
        report.recall.add(index in found)
        if index not in found:
            report.missed.append(
                f"{message.id} {message.kind}: {fact.slot} = {fact.value!r} ({fact.polarity}) | {message.text}"
            )
    if not gold:
        report.silent.add(not kept)


def _same(claim: Claim, fact: GoldFact) -> bool:
    if (_slot(claim.slot), claim.polarity) != (fact.slot, fact.polarity):
        return False
    if key_of(claim.value) == key_of(fact.value):
        return True
    said, true = set(content_stems(claim.value)), set(content_stems(fact.value))
    shared = len(said & true)
    return bool(shared) and 2 * shared / (len(said) + len(true)) > SAME


def _speed(messages: Sequence[FactMessage], extractors: Sequence[Extractor]) -> float:
    """Return the processor time that a message takes, in microseconds."""
    events = [MemoryEvent(f"{one.id}/again", 1e9, "message", one.id, "user", one.text) for one in messages]
    begun = time.process_time()
    for event in events:
        extract_claims(extractors, event)
    return 1e6 * (time.process_time() - begun) / max(1, len(events))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Facts that the memory takes from strangers' messages.")
    parser.add_argument("--data", type=Path, default=Path(__file__).parent / "data")
    parser.add_argument("--show", action="store_true", help="print what was wrong or missed")
    chosen = parser.parse_args(arguments)
    messages, extractors = read_messages(chosen.data), build_extractors(MemoryConfig.of(slots=SLOTS))
    report = evaluate(messages, extractors)
    if chosen.show:
        for title, lines in (("wrong", report.wrong), ("missed", report.missed)):
            sys.stdout.write("".join(f"{title}: {' '.join(line.split())}\n" for line in lines))
    result: dict[str, Any] = {"messages": len(messages), **report.as_dict()}
    result["cpu_us_per_message"] = round(_speed(messages, extractors), 1)
    for name, value in result.items():
        if isinstance(value, dict) and all(isinstance(one, dict) for one in value.values()):
            sys.stdout.write("".join(f"{name}: {key}: {one}\n" for key, one in value.items()))
        else:
            sys.stdout.write(f"{name}: {value}\n")
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
