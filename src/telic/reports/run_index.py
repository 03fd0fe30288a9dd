"""The page that lists all runs of a folder, and the link from each report to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from importlib import resources
from pathlib import Path
from urllib.parse import quote

from telic.files import write_atomically
from telic.reports.html import Html, element, page
from telic.reports.theme import COLORS, MUTED
from telic.run_summary import REPORT, RunSummary, read_shortfall, summarise_runs

__all__ = ["INDEX", "run_status_note", "write_report", "write_run_index"]

INDEX = "index.html"
TRAINING = "conversations.json"
"""File in the run folder of a training from conversations, which can be continued."""
GENERATOR = '<meta name="generator" content="telic view">'
"""Marks a page that may be written again; a file of the same name without it is somebody else's."""
WIDTH, HEIGHT = 132, 44
"""Size of the small curves, in pixels."""


def write_report(folder: Path, title: str, lead: str, *sections: str) -> Path:
    """Write `report.html` into a folder.

    In a run folder, it says first what a time limit left undone. It has a link to the list of all runs, which is
    written too.

    Returns:
        The path of the report.
    """
    path = folder / REPORT
    listed = (folder / "config.toml").is_file() and _may_write(folder.parent / INDEX)
    back = [element("a", "All runs", href=f"../{INDEX}", class_="back")] if listed else []
    caveats = []
    if shortfall := read_shortfall(folder):
        caveats.append(element("p", f"{shortfall}. To play the rest, continue with --resume {folder}.", class_="note"))
    write_atomically(path, page(title, lead, *caveats, *sections, above=back))
    if listed:
        with suppress(OSError):  # a run does not fail because the list of runs cannot be written
            write_run_index(folder.parent)
    return path


def write_run_index(root: Path) -> Path | None:
    """Write the page that lists the runs of a folder.

    Returns:
        The path of the page; None if the folder has an `index.html` of another origin, which is left as it is.
    """
    path = root / INDEX
    if not _may_write(path):
        return None
    runs = summarise_runs(root)
    now = datetime.now().astimezone()
    body = [_filters(runs), element("ol", *map(_card, runs), class_="runs"), element("p", "", class_="note none")]
    text = page(
        f"Runs in {root.resolve().name}", _tally(runs), *body,
        element(
            "p", f"Written {now:%Y-%m-%d %H:%M}. To write it again: ", element("code", "telic view"), class_="note"
        ),
        element("script", Html(_resource("runs.js"))),
        head=(Html(GENERATOR), element("style", Html(_resource("runs.css")))),
    )  # fmt: skip
    write_atomically(path, text)
    return path


def run_status_note(run: RunSummary) -> str:
    """Say what can be done with a run that is not whole or has no report; empty if there is nothing to do."""
    if run.status in ("interrupted", "failed") and run.verb == "learn":
        if (run.path / TRAINING).is_file():
            return f"Continue with its command and --resume {run.path}"
        return "It cannot be continued; start it again."
    if run.status in ("interrupted", "failed"):
        return f"Continue with: telic {run.verb} --resume {run.path}"
    if run.status == "damaged":
        return "Its configuration or its episodes cannot be read."
    if run.status == "running":
        return ""
    if run.shortfall:
        return f"{run.shortfall.unfinished}; continue with: telic {run.verb} --resume {run.path}"
    if run.has_report:
        return ""
    return f"Write its report with: telic view {run.path}"


def _tally(runs: Sequence[RunSummary]) -> str:
    counts = Counter(run.status for run in runs)
    what = f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
    return f"{what}: {', '.join(f'{count} {status}' for status, count in counts.most_common())}" if runs else "No runs"


def _card(run: RunSummary) -> Html:
    name = run.name if run.status != "damaged" else run.path.name
    title: str = name
    if run.has_report:
        title = element("a", name, href=f"{quote(run.path.name)}/{REPORT}")
    facts = [
        run.model,
        "" if run.episodes is None else f"{run.episodes} episode{'' if run.episodes == 1 else 's'}",
        "" if run.started is None else f"{run.started:%Y-%m-%d %H:%M}",
    ]
    heading = element(
        "h2", title, " ", element("span", run.verb, class_="chip"), " ",
        element("span", run.status, class_=f"chip {run.status}"),
    )  # fmt: skip
    texts = [heading, element("p", " · ".join(filter(None, facts)), class_="note")]
    if run.headline:
        texts.append(element("p", run.headline))
    if note := run_status_note(run):
        texts.append(element("p", note, class_="note todo"))
    return element("li", element("div", *texts), _sketch(run), data_verb=run.verb, data_status=run.status)


def _sketch(run: RunSummary) -> Html:
    """Draw the stability curves of a run small, with their first and last values as text."""
    curves = {name: points for name, points in run.curves.items() if points}
    if not curves:
        return Html("")
    rounds = [point["round"] for points in curves.values() for point in points]
    first, span = min(rounds), max(max(rounds) - min(rounds), 1)
    lines, ends = "", []
    for number, (name, points) in enumerate(curves.items()):
        color = f"var(--c{(COLORS[0] if number == len(curves) - 1 else MUTED)[1:]})"
        places = [
            f"{4 + (point['round'] - first) / span * (WIDTH - 8):.1f},{4 + (1 - point['stability']) * (HEIGHT - 8):.1f}"
            for point in points
        ]
        x, _, y = places[-1].partition(",")
        lines += f'<polyline points="{" ".join(places)}" fill="none" stroke="{color}" stroke-width="2"/>'
        lines += f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>'
        label = "" if len(curves) == 1 else f"{name}: "
        values = f"{label}{points[0]['stability']:.2f} → {points[-1]['stability']:.2f}"
        ends.append(element("span", values, style=f"color: {color}"))
    frame = f'<path d="M0.5 4V{HEIGHT - 4}H{WIDTH}" class="axes"/>'
    svg = Html(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{frame}{lines}</svg>')
    return element("figure", svg, element("figcaption", "stability ", *ends))


def _filters(runs: Sequence[RunSummary]) -> Html:
    """Return the filter; the page's script shows it, since it does nothing without one."""
    return element(
        "form",
        element("label", "Find ", element("input", id="find", type="search", autocomplete="off")),
        _choice("verb", (run.verb for run in runs)),
        _choice("status", (run.status for run in runs)),
        element("output", "", id="shown"),
        class_="filters",
        hidden=True,
    )


def _choice(name: str, values: Iterable[str]) -> Html:
    options = [element("option", value) for value in sorted(set(values))]
    return element(
        "label", f"{name.capitalize()} ", element("select", element("option", "all", value=""), *options, id=name)
    )


def _may_write(path: Path) -> bool:
    try:
        return GENERATOR in path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return True
    except OSError:
        return False


def _resource(name: str) -> str:
    return (resources.files("telic.reports") / name).read_text(encoding="utf-8")
