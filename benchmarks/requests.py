"""Mails of several authors: which ask for something, in which words, until when; which draft sentences are invented.

    python -m benchmarks.requests                    # the two sets that the models were tuned on: no estimate
    python -m benchmarks.requests --data DIR         # another set: DIR has mails.jsonl, drafts.jsonl or both

A line of `mails*.jsonl` has subject, body, asks (span, kind, due) and awaits_answer; one of `drafts*.jsonl` has
incoming, notes, sentence and invented. Intervals are Wilson's, 95 %. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.shares import share_of
from telic.assistants.drafts import action_items
from telic.assistants.drafts.guard import unsupported
from telic.assistants.drafts.invented import invention_in
from telic.assistants.drafts.linear import LinearModel
from telic.assistants.mail import Address, MailMessage
from telic.assistants.mail.nature import nature_of

BUNDLED = Path(__file__).parent / "data"
PERSON = Address("Kim Lee", "kim.lee@work.example")
HALF = 0.5
"""Share of the shorter of two spans that they have to have in common to be the same."""

Span = tuple[int, int]


def main() -> None:
    """Report on each file of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=BUNDLED, help="folder with mails*.jsonl and drafts*.jsonl")
    options = parser.parse_args()
    result: dict[str, Any] = {}
    kinds: Mapping[str, Callable[..., dict[str, Any]]] = {"mails": score_mails, "drafts": score_drafts}
    for kind, score in kinds.items():
        for path in sorted(options.data.glob(f"{kind}*.jsonl")):
            result[path.stem] = score(read_lines(path))
            print(path.stem, json.dumps(result[path.stem], indent=1))
    if not result:
        raise SystemExit(f"{options.data} has neither mails*.jsonl nor drafts*.jsonl; expected one of them")
    print(json.dumps(result))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file with a JSON object in each line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def labelled_spans(row: Mapping[str, Any]) -> list[Span]:
    """Return where the labelled words stand in the body."""
    starts = [(row["body"].index(one["span"]), len(one["span"])) for one in row["asks"]]
    return [(start, start + length) for start, length in starts]


def same(one: Span, other: Span) -> bool:
    """Whether two spans have half of the shorter in common."""
    common = min(one[1], other[1]) - max(one[0], other[0])
    return common >= HALF * min(one[1] - one[0], other[1] - other[0])


def score_mails(rows: Sequence[Mapping[str, Any]], model: LinearModel | None = None) -> dict[str, Any]:
    """Mails that ask, the words that do, their kind and until when, against the labels.

    Args:
        rows: labelled mails.
        model: another model than the shipped one.
    """
    count: Counter[str] = Counter()
    for row in rows:
        message = MailMessage("1", PERSON, subject=row["subject"], text=row["body"])
        reads = nature_of(message).nature in ("person", "machine")
        items = action_items(message.text, message.subject, model) if reads else []
        spans = labelled_spans(row)
        count["mail_asks"] += bool(spans)
        count["mail_found"] += bool(items)
        count["mail_hit"] += bool(spans and items)
        count["waits"] += row["awaits_answer"]
        count["waits_hit"] += bool(row["awaits_answer"] and items)
        count["found"] += len(items)
        count["span_hit"] += sum(any(same((item.start, item.end), span) for span in spans) for item in items)
        count["asks"] += len(spans)
        for label, span in zip(row["asks"], spans, strict=True):
            hits = [item for item in items if same((item.start, item.end), span)]
            count["asks_hit"] += bool(hits)
            if not hits:
                continue
            count["kind"] += hits[0].kind == label["kind"]
            count["due"] += bool(label["due"])
            count["due_found"] += bool(hits[0].due)
            count["due_hit"] += bool(hits[0].due and _words(hits[0].due) & _words(label["due"]))
    return {
        "mails": len(rows),
        "mail_precision": share_of(count["mail_hit"], count["mail_found"]),
        "mail_recall": share_of(count["mail_hit"], count["mail_asks"]),
        "mail_recall_of_those_that_await_an_answer": share_of(count["waits_hit"], count["waits"]),
        "span_precision": share_of(count["span_hit"], count["found"]),
        "span_recall": share_of(count["asks_hit"], count["asks"]),
        "kind_right": share_of(count["kind"], count["asks_hit"]),
        "due_precision": share_of(count["due_hit"], count["due_found"]),
        "due_recall": share_of(count["due_hit"], count["due"]),
    }


def score_drafts(rows: Sequence[Mapping[str, Any]], model: LinearModel | None = None) -> dict[str, Any]:
    """Sentences of drafts that are found to be invented, against the labels: by rules, by the model, by both.

    Args:
        rows: labelled sentences.
        model: another model than the shipped one.
    """
    checks: dict[str, list[bool]] = {
        "rules": [bool(unsupported(row["sentence"], row["notes"])) for row in rows],
        "model": [bool(invention_in(row["sentence"], row["incoming"], row["notes"], model)) for row in rows],
    }
    checks["both"] = [one or other for one, other in zip(*checks.values(), strict=True)]
    result: dict[str, Any] = {"sentences": len(rows)}
    for name, found in checks.items():
        invented = [one for one, row in zip(found, rows, strict=True) if row["invented"]]
        honest = [one for one, row in zip(found, rows, strict=True) if not row["invented"]]
        result[f"{name}: recall_of_invented"] = share_of(sum(invented), len(invented))
        result[f"{name}: false_alarms"] = share_of(sum(honest), len(honest))
    return result


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower())) - {"by", "before", "the", "on", "at", "of", "is"}


if __name__ == "__main__":
    main()
