"""Growth of the judges' time with the length of an answer: none may be quadratic.

    python -m benchmarks.judges [--size 25000]

Every judge scores answers made to be hard: one piece repeated to the given size, and to four times that size. It prints
the judge, the piece, both times in milliseconds and their ratio, for the worst piece of each judge. A linear judge has
a ratio of about 4, a quadratic one of 16. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from telic.judges import Judge, build_judge

JUDGES: tuple[dict[str, Any], ...] = (
    {"contains": "Mia"},
    {"excludes": ["price", "$"]},
    {"starts_with": "Ahoy"},
    {"ends_with": "over and out"},
    {"equals": "yes"},
    {"regex": r"\b\d{4}\b"},
    {"regex": "(a+)+$"},
    {"length": "words", "max": 20},
    {"length": "sentences", "max": 20},
    {"length": "lines", "max": 20},
    {"casing": "upper"},
    {"casing": "title"},
    {"language": "fr"},
    {"sentiment": "positive"},
    {"json": True},
    {"numeric": 42},
    {"choice": "b"},
    {"choice": "b", "options": ["tea", "coffee", "a not"]},
)
PIECES = (
    *(" ", "\n", "a", "a ", "A. ", "...", ". ", "e\u0301\u0327", "\u0301\u0327", "```", "```\n", "{", "[1,", '"', "'"),
    *("1", "1,", "1,111", "-1 ", ".1", "1e9 ", "one ", "a hundred ", "one hundred and ", "not b ", "not ", "answer: "),
    *(
        "b) ",
        "(b ",
        "the answer is ",
        "not the tea ",
        "tea ",
        "b. ",
        "*",
        "over and out ",
        "price",
        "but good ",
        "GOOD ",
    ),
    *("good but bad ", ":) ", "👍", "é ", "ß", "ﬁ", "世", "1234", "12345 ", "#", "not the option "),
)


def seconds(judge: Judge, answer: str) -> float:
    """The processor's time for one answer."""
    started = time.process_time()
    judge.judge(answer)
    return time.process_time() - started


def main() -> None:
    """Measure every judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=25_000, help="characters of the shorter answer")
    size: int = parser.parse_args().size
    found = []
    for spec in JUDGES:
        judge = build_judge(spec)
        judge.judge("Bonjour, tout le monde.")  # some judges load something first
        rows = []
        for piece in PIECES:
            short, long = (f"a{piece * (length // len(piece))}x" for length in (size, 4 * size))
            rows.append((seconds(judge, long), seconds(judge, short), piece))
        after, before, piece = max(rows)
        ratio = after / max(before, 1e-6)
        print(f"{spec!s:60} {piece!r:20} {1000 * before:9.1f} {1000 * after:9.1f} {ratio:6.1f}", flush=True)
        found.append({"judge": spec, "piece": piece, "before": before, "after": after, "ratio": ratio})
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
