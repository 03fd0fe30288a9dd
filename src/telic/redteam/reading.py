"""Reading a run of attacks from its folder."""

from __future__ import annotations

from pathlib import Path

from telic.redteam.analysis import analyse_attacks
from telic.redteam.attack import games_in
from telic.redteam.config import AttackConfig
from telic.redteam.report import write_attack_report
from telic.runs import RunFolder

__all__ = ["write_report_again"]


def write_report_again(run: RunFolder) -> Path:
    """Analyse the episodes of a run anew, and write its report.

    Raises:
        RunError: it has no episodes.
    """
    document = run.document
    work, metrics = document["config"], list(run.read_metrics())
    config = AttackConfig.of(**{**work["attack"], **document.get("settings", {})})
    limits = [limit["name"] for limit in work["purpose"]["limits"]]
    episodes = run.episodes.latest()
    results = analyse_attacks(episodes, games_in(metrics), limits, list(work["defences"]), config)
    left_out: list[str] = next((one["left_out"] for one in reversed(metrics) if "left_out" in one), [])
    return write_attack_report(run.path, results, episodes, document, left_out)
