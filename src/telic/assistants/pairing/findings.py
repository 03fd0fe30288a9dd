"""Looking at a repository before anything is asked or changed: what the issue names, and which tests fail.

No model is involved, and nothing is changed. Definitions are ranked by whether the issue names them or their file, and
by the words that they share with the issue; rare words count more.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from telic.assistants.pairing.sources import is_test, read_source, source_files
from telic.memory.words import content_stems
from telic.workspaces import SuiteResult, Workspace
from telic.workspaces.symbols import Symbol, find_definitions

__all__ = ["Findings", "Place", "investigate"]

MOST_PLACES = 6
MOST_FILES = 3000
"""Source files that are looked at."""
MOST_TEST_FILES = 3
LONGEST_PLACE = 150
"""Lines of a definition that a model may be asked to write anew."""
SHOWN_CHARACTERS = 4000
"""Length of the code, and of the tests' messages, that are shown to a model."""
_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_PATH = re.compile(r"[\w./-]*[\w-]\.\w+")
_QUOTED = re.compile(r"`([^`\n]+)`|```.*?```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """A definition that may have to change."""

    symbol: Symbol
    source: str
    """Its text in the file."""
    score: float
    """How well it fits the issue."""

    def __str__(self) -> str:
        return f"{self.symbol.path}:{self.symbol.line} {self.symbol.name}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found."""

    places: tuple[Place, ...] = ()
    """Where the issue may lie, the likeliest first."""
    tests: tuple[str, ...] = ()
    """The test files that are about these places."""
    base: SuiteResult | None = field(default=None, repr=False)
    """What these tests said; None if there are none."""

    @property
    def failing(self) -> dict[str, str]:
        """By test that fails now: what it says."""
        if self.base is None:
            return {}
        wrong = (name for name, outcome in self.base.outcomes.items() if outcome in ("failed", "error"))
        return {name: self.base.messages.get(name, "") for name in wrong}

    def summary(self) -> str:
        """Describe what was found in a few lines."""
        lines = [f"The issue is about {place}." for place in self.places[:2]]
        if self.base is None:
            lines.append("No test is about it.")
        elif self.base.stopped:
            lines.append(f"The tests in {', '.join(self.tests)} go beyond the limit of {self.base.stopped}.")
        else:
            failing = list(self.failing)
            more = f", such as {failing[0]}" if failing else ""
            lines.append(f"{len(failing)} of {len(self.base.outcomes)} tests in {', '.join(self.tests)} fail{more}.")
        return "\n".join(lines)


def investigate(workspace: Workspace, issue: str, tests: Sequence[str] = ()) -> Findings:
    """Look for what an issue is about, and run the tests that are about it.

    Args:
        workspace: the repository.
        issue: the text of the issue.
        tests: the tests to run; by default those that name the places that were found.

    Raises:
        SandboxError: this machine cannot run a sandbox.
        WorkspaceError: a test is not a path in the workspace.
    """
    texts = {path: read_source(workspace, path) for path in source_files(workspace)[:MOST_FILES]}
    places = rank_places({path: text for path, text in texts.items() if not is_test(path)}, issue)
    chosen = tuple(tests) or _tests_about(places, {path: text for path, text in texts.items() if is_test(path)})
    return Findings(places, chosen, workspace.base_suite(chosen) if chosen else None)


def rank_places(texts: dict[str, str], issue: str) -> tuple[Place, ...]:
    """Return the definitions that fit an issue best, by the texts of the files."""
    named = {part for name in _NAME.findall(issue) for part in (name, *name.split("."))}
    quoted = {part for match in _QUOTED.finditer(issue) for name in _NAME.findall(match[0]) for part in name.split(".")}
    paths = {PurePosixPath(path).name for path in _PATH.findall(issue)}
    wanted = set(content_stems(" ".join(re.split(r"[\W_]+", issue))))
    candidates: list[tuple[Symbol, str, set[str]]] = []
    for path, text in texts.items():
        lines = text.splitlines(keepends=True)
        for symbol in find_definitions(path, text.encode()):
            if symbol.kind in ("function", "method", "class") and symbol.end - symbol.line < LONGEST_PLACE:
                source = "".join(lines[symbol.line - 1 : symbol.end])
                candidates.append((symbol, source, set(content_stems(" ".join(re.split(r"[\W_]+", source))))))
    counts = Counter(stem for _, _, stems in candidates for stem in stems & wanted)
    places = []
    for symbol, source, stems in candidates:
        name = symbol.name.rpartition(".")[2]
        score = 3.0 * (name in quoted) + 1.5 * (name in named and (len(name) > 4 or "_" in name))
        score += 2.0 * (PurePosixPath(symbol.path).name in paths) + 1.0 * (PurePosixPath(symbol.path).stem in named)
        shared = sum(math.log(1 + len(candidates) / counts[stem]) for stem in stems & wanted)
        score += 2.0 * shared / (shared + 10.0) - 0.5 * (symbol.kind == "class")
        places.append(Place(symbol, source, round(score, 4)))
    places.sort(key=lambda place: (-place.score, place.symbol.path, place.symbol.line))
    return _without_nested(places)[:MOST_PLACES]


def _without_nested(places: list[Place]) -> tuple[Place, ...]:
    """Leave out definitions inside a function that ranks too: that is written anew as a whole."""
    functions = {(place.symbol.path, place.symbol.name) for place in places if place.symbol.kind != "class"}
    return tuple(
        place
        for place in places
        if not any((place.symbol.path, outer) in functions for outer in _outer_names(place.symbol.name))
    )


def _outer_names(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _tests_about(places: Sequence[Place], tests: dict[str, str]) -> tuple[str, ...]:
    """Return the test files that name the likeliest places or their modules."""
    scores: Counter[str] = Counter()
    for weight, place in zip((4, 2, 1), places, strict=False):
        name, module = place.symbol.name.rpartition(".")[2], PurePosixPath(place.symbol.path).stem
        for path, text in tests.items():
            if PurePosixPath(path).name in (f"test_{module}.py", f"{module}_test.py"):
                scores[path] += 2 * weight
            scores[path] += weight * bool(re.search(rf"\b{re.escape(name)}\b", text))
    found = [path for path, score in scores.most_common() if score and not path.endswith("conftest.py")]
    return tuple(found[:MOST_TEST_FILES])
