"""A run at a glance: what was run on what, how far it came, and its finding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from telic.episodes import BASELINE
from telic.errors import DataError, TelicError
from telic.progress import Shortfall
from telic.runs import RunFolder

__all__ = ["REPORT", "RunStatus", "RunSummary", "read_shortfall", "summarise_run", "summarise_runs"]

RunStatus = Literal["finished", "running", "interrupted", "failed", "damaged"]
"""`interrupted`: the run was stopped or killed, and can be resumed; `damaged`: its folder cannot be read."""
REPORT = "report.html"
_ID = re.compile(rb'"id":\s*("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a list of runs shows of one."""

    path: Path
    verb: str = "?"
    name: str = "?"
    """What was run: normally the purpose's name."""
    model: str = ""
    """The models, joined by commas; empty where no model took part."""
    started: datetime | None = None
    episodes: int | None = None
    """Episodes so far; None if the run is damaged."""
    status: RunStatus = "damaged"
    headline: str = ""
    """The finding; of a failed run, why it failed. Empty if there is none yet."""
    shortfall: Shortfall | None = None
    """What a time limit left undone; None if the finding rests on all that was planned."""
    has_report: bool = False
    curves: Mapping[str, list[dict[str, float]]] = field(default_factory=dict)
    """Stability curves by name, as points with `round` and `stability`, and where known `low`, `high` and `n`."""

    def matches(self, words: str) -> bool:
        """Return whether each of the words occurs in the run: in its folder, model, status or finding."""
        text = " ".join((self.path.name, self.name, self.model, self.status, self.headline)).casefold()
        return all(word in text for word in words.casefold().split())


def summarise_runs(root: str | Path, limit: int | None = None) -> list[RunSummary]:
    """Summarise the runs in a folder, latest first, damaged ones included; at most `limit` of them."""
    return [summarise_run(run) for run in list(reversed(RunFolder.list(root)))[:limit]]


def summarise_run(run: RunFolder) -> RunSummary:
    """Summarise a run. A damaged run gives a summary that says so, with what could be read."""
    report = run.path / REPORT
    has_report = report.is_file() and not report.is_symlink()  # a link may point to any file
    try:
        document = run.document
        episodes, last = _count_episodes(run.path), _last_records(run.path)
    except (TelicError, ValueError, OSError):
        return RunSummary(run.path, has_report=has_report)
    started = document.get("started")
    finding, failure = last.get("headline", {}), last.get("failed", {})
    curves: dict[str, list[dict[str, float]]] = {}
    with suppress(KeyError, TypeError, ValueError, AttributeError):  # the file was edited
        curves = _curves(finding)
    return RunSummary(
        path=run.path,
        verb=str(document.get("verb", "?")),
        name=str(document.get("name", "?")),
        model=", ".join(_models(document.get("config", {}))),
        started=started if isinstance(started, datetime) else None,
        episodes=episodes,
        status="running" if run.is_locked else "finished" if finding else "failed" if failure else "interrupted",
        headline=_sentence(str(finding.get("headline") or failure.get("failed") or "")),
        shortfall=_shortfall(finding),
        has_report=has_report,
        curves=curves,
    )


def read_shortfall(folder: Path) -> Shortfall | None:
    """Read what a time limit left undone in a run; None if that is nothing, or the run has no finding yet."""
    try:
        return _shortfall(_last_records(folder).get("headline", {}))
    except (ValueError, OSError):  # damaged
        return None


def _shortfall(finding: Mapping[str, Any]) -> Shortfall | None:
    with suppress(KeyError, TypeError, ValueError, AttributeError):  # the file was edited
        return Shortfall.from_dict(finding["shortfall"])
    return None


def _last_records(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the last records of the metrics that have a finding or a failure; a finding replaces earlier failures."""
    found: dict[str, dict[str, Any]] = {}
    for line in _lines(folder / "metrics.jsonl"):
        if b'"headline"' in line or b'"failed"' in line:
            record = json.loads(line)
            for kind in ("headline", "failed"):
                if isinstance(record, dict) and kind in record:
                    found[kind] = record
    return found


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if not text or text.endswith(".") else ".")


def _models(config: Mapping[str, Any]) -> list[str]:
    """Name the models of a run: its own, or those of its players."""
    if isinstance(model := config.get("model"), str):
        return [model]
    players = config.get("players", {})
    specs = players.values() if isinstance(players, Mapping) else ()
    names = [spec.get("model") for spec in specs if isinstance(spec, Mapping)]
    return list(dict.fromkeys(name for name in names if isinstance(name, str)))


def _curves(record: Mapping[str, Any]) -> dict[str, list[dict[str, float]]]:
    """Return the curves of a measurement, of a demo, or of the first two arms of a comparison."""
    if "stability" in record:
        return {"stability": _points(record["stability"]["curve"])}
    if "held" in record:
        return {BASELINE: _points(record["baseline"]["curve"]), "held": _points(record["held"]["curve"])}
    if "transcripts" in record:
        return {arm["name"]: _points(arm["by_tokens"]["curve"]) for arm in record["arms"][:2]}
    return {arm["name"]: _points(arm["stability"]["curve"]) for arm in record.get("compared", [])[:2]}


def _points(curve: list[dict[str, Any]]) -> list[dict[str, float]]:
    """Convert a curve to numbers, without the rounds that have no score."""
    points = []
    for point in curve:
        if point["stability"] is not None:
            known = {key: point.get(key) for key in ("low", "high", "n")}
            points.append(
                {"round": int(point["round"]), "stability": float(point["stability"])}
                | {key: float(value) for key, value in known.items() if value is not None}
            )
    return points


def _count_episodes(folder: Path) -> int:
    """Count the episodes of a run, and of the stages of a training, without parsing them: there may be thousands.

    Raises:
        DataError: a line is not an episode, and not the last one, which a kill may have damaged.
    """
    return sum(map(_count_in, [folder / "episodes.jsonl", *folder.glob("episodes/*/*/episodes.jsonl")]))


def _count_in(file: Path) -> int:
    ids: set[bytes] = set()
    bad = None
    for line in _lines(file):
        if bad is not None:
            raise DataError(f"{file}: not an episode: {bad[:80]!r}")
        if found := _ID.search(line):  # the first one: only the version stands before it
            ids.add(found[1])  # one that was played again after a failure has the same id
        else:
            bad = line
    return len(ids)


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, without a last one that was cut short; nothing if there is no file."""
    if path.is_file():
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line
