"""The report of a run of games: one page with results and transcripts, private information included."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from telic.episodes import Episode, Turn
from telic.reports import Html, details, element, figure_svg, section, table, tiles, write_report
from telic.reports.parts import config_section, interval, intervals_figure
from telic.reports.steps import tool_steps
from telic.rollouts.results import GameResult, ReferenceScores
from telic.runs import RunFolder
from telic.statistics import Interval

__all__ = ["references_of", "write_play_report"]

SHOWN = 12
"""Number of transcripts per game; `episodes.jsonl` has all."""
LONGEST = 1500
"""Maximum number of characters of a private value."""


def write_play_report(
    folder: Path, results: Sequence[GameResult], episodes: Iterable[Episode], config: Mapping[str, Any]
) -> Path:
    """Write `report.html`.

    Args:
        folder: the run folder; it must exist.
        results: the results from `analyse_games`.
        episodes: the episodes behind the results; the page shows some of each game.
        config: the run's `config.toml`.

    Returns:
        The path of the page.
    """
    by_game: dict[str, list[Episode]] = {}
    for episode in episodes:
        by_game.setdefault(str(episode.metadata.get("game", episode.kind)), []).append(episode)
    parts = [part for result in results for part in _game(result, by_game.get(result.game, []))]
    parts.append(config_section(config))
    title = f"Games: {config['name']}" if "name" in config else "Games"
    return write_report(folder, title, " ".join(result.headline for result in results), *parts)


def references_of(run: RunFolder) -> dict[str, ReferenceScores]:
    """Return the reference scores in a run folder, by game."""
    found: dict[str, ReferenceScores] = {}
    for record in run.read_metrics():
        references = record.get("references", {}).items()
        found.update({game: ReferenceScores.model_validate(scores) for game, scores in references})
    return found


def _game(result: GameResult, episodes: Sequence[Episode]) -> list[Html]:
    items = [
        ("success", interval(result.success)),
        ("normalised score", interval(result.normalised)),
        ("score", interval(result.score)),
        ("valid episodes", f"{result.valid} of {result.episodes}"),
        ("acts of the agent", _number(result.rounds, 1)),
        ("tokens per episode", _number(result.tokens, 0)),
    ]
    parts: list[str] = [tiles(items)]
    if result.normalised.value is not None:
        alt = f"{result.game}: normalised score against its references"
        svg = figure_svg(_scale(result), alt, "Means with 95 % bootstrap intervals over tasks.")
        parts.append(element("div", svg, _reference_table(result), class_="columns"))
    if result.pass_hat:
        row = (
            "probability that k trials of a task all succeed",
            *(f"{value:.2f}" for value in result.pass_hat.values()),
        )
        parts.append(table(("pass^k", *(f"k = {k}" for k in result.pass_hat)), [row]))
    missing = [(f"invalid, caused by the {who}", str(count)) for who, count in result.faults.items()]
    missing += [(f"failed: {reason}", str(count)) for reason, count in result.errors.items()]
    missing += [(f"not judged: {reason}", str(count)) for reason, count in result.unjudged.items()]
    missing += [(f"agent's model: {what}", str(count)) for what, count in result.notes.items()]
    if missing:
        parts.append(table(("excluded episodes and replaced replies", "count"), missing))
    shown = [details(_summary(episode), _transcript(episode)) for episode in _picked(episodes)]
    return [section(result.game, *parts), section(f"{result.game}: transcripts", *shown)]


def _scale(result: GameResult) -> Figure:
    """Plot the score between its references, with intervals."""
    scores = [("random", result.references.random), ("oracle", result.references.oracle)]
    rows = [(name, found.normalised) for name, found in scores if found and found.normalised.value is not None]
    if result.human is not None:
        rows.append(("people", Interval(result.human, None, None, 0)))
    rows.append((result.agent, result.normalised))
    drawn = intervals_figure(rows, len(rows) - 1, "normalised score", 4.8)
    drawn.axes[0].set_xlim(-0.02, 1.02)
    return drawn


def _reference_table(result: GameResult) -> Html:
    rows = [("this agent", interval(result.normalised), interval(result.success))]
    for name, found in (("random play", result.references.random), ("perfect play", result.references.oracle)):
        if found is not None:
            rows.append((name, interval(found.normalised), interval(found.success)))
    if result.human is not None:
        rows.append(("people (published)", f"{result.human:.3f}", "–"))
    return element("div", table(("", "normalised, 95 % interval", "success"), rows), class_="numbers")


def _picked(episodes: Sequence[Episode]) -> list[Episode]:
    """Return failed and invalid episodes, then episodes from the whole range of scores."""
    wrong = [e for e in episodes if e.failure or not e.outcome.get("valid")][: SHOWN // 2]
    fine = sorted(
        (e for e in episodes if not e.failure and e.outcome.get("valid")),
        key=lambda e: (e.outcome.get("score") is None, e.outcome.get("score"), e.id),
    )
    room = SHOWN - len(wrong)
    if len(fine) > room:
        fine = [fine[i * (len(fine) - 1) // (room - 1)] for i in range(room)]
    return [*wrong, *fine]


def _summary(episode: Episode) -> str:
    if episode.failure:
        return f"{episode.id}: {episode.failure.reason}"
    outcome = episode.outcome
    if not outcome.get("valid"):
        return f"{episode.id}: invalid, caused by the {outcome.get('fault')}: {outcome.get('reason')}"
    score = "no score" if outcome.get("score") is None else f"score {outcome['score']:.2f}"
    normalised = outcome.get("normalised")
    if normalised is not None and normalised != outcome.get("score"):
        score += f" (normalised {normalised:.2f})"
    return f"{episode.id}: {score}, {outcome.get('reason')}".replace("score -", "score −")


def _transcript(episode: Episode) -> Html:
    """Show the private information of each role, then the acts with their rewards and witnesses."""
    private = [
        element(
            "div",
            element("h3", f"{role}: {who.get('name', '')}"),
            *(element("p", f"{key}: {_plain(value)}", class_="text") for key, value in who["private"].items()),
            details("Instructions", element("p", str(who.get("instructions") or "none"), class_="text")),
        )
        for role, who in episode.roles.items()
        if "private" in who
    ]
    rows = [_row(turn) for turn in episode.turns]
    acts = table(("round", "who", "act", "reward", "seen by"), rows)
    parts = [
        element("h3", "Private information"),
        element("div", *private, class_="columns"),
        element("h3", "Acts"),
        acts,
    ]
    refused = [
        (str(r["turn"]), str(r["role"]), str(r["text"]), str(r["error"])) for r in episode.metadata.get("refused", [])
    ]
    if refused:
        parts.append(table(("after act", "who", "refused", "why"), refused))
    if episode.outcome:
        outcome = [(key, _plain(value)) for key, value in episode.outcome.items() if value not in (None, {}, "")]
        parts.append(details("Outcome", table(("", ""), outcome)))
    return element("div", *parts)


def _row(turn: Turn) -> tuple[str, ...]:
    mark = f"[{turn.act}] " if turn.act not in ("", "message", "speak") else ""
    earned = ", ".join(f"{role} {value:+.2f}" for role, value in turn.reward.items() if value)
    said = element("div", tool_steps(turn.steps), element("span", f"{mark}{turn.text}", class_="text"))
    return (str(turn.round), turn.role, said, earned.replace("-", "−"), ", ".join(turn.seen_by) or "all")


def _plain(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ... ({len(text)} characters)"


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
