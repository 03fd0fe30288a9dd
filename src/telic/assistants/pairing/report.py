"""The report of a session on an issue: the dialogue with what the model did in it, the patch, the decision."""

from __future__ import annotations

from pathlib import Path

from telic.assistants.pairing.record import SessionRecord
from telic.episodes import Feedback, Turn
from telic.errors import RunError
from telic.reports import Html, element, section, table, write_report
from telic.reports.diffs import shown_diff
from telic.reports.parts import config_section
from telic.reports.steps import tool_steps
from telic.runs import RunFolder

__all__ = ["write_pair_report"]

STAGES = {
    "ask": "The session was interrupted before a patch was written.",
    "write": "The session was interrupted while a patch was written.",
    "decide": "Nobody has decided about the patch.",
    "done": "The session is over.",
}


def write_pair_report(run: RunFolder) -> Path:
    """Write `report.html` into the run folder of a session.

    Raises:
        RunError: the session has not begun, or its file is damaged.
    """
    record = SessionRecord.read(run.path)
    if record is None:
        raise RunError(f"{run.path}: the session has not begun; continue it with: telic pair --resume {run.path}")
    document = run.document
    title = f"Issue: {document.get('name', 'issue')}"
    lead = next((one["headline"] for one in run.read_metrics() if "headline" in one), STAGES[record.stage])
    turns = [part for turn in record.episode.turns for part in _turn(turn)]
    parts = [section("Dialogue", *turns)]
    if record.episode.feedback:
        rows = [_row(one) for one in record.episode.feedback]
        parts.append(section("Feedback", table(("source", "turn", "reward", "value"), rows)))
    return write_report(run.path, title, lead, *parts, config_section(document))


def _turn(turn: Turn) -> list[Html]:
    """Return who speaks, what the model did before, and what is said."""
    said = shown_diff(turn.text) if turn.act == "patch" and turn.text else _text(turn.text or "(nothing)")
    return [element("h3", f"{turn.role}: {turn.act}"), tool_steps(turn.steps), said]


def _text(text: str) -> Html:
    return element("p", text, class_="text")


def _row(one: Feedback) -> tuple[str, ...]:
    value = "" if one.value is None else str(one.value)
    return one.source, str(one.turn), f"{one.reward:+.2f}".replace("-", "−"), element("span", value, class_="text")
