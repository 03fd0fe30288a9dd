"""`telic measure`: does a chatbot hold to its purpose?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from telic.cli.output import load_model, print_json, print_table, progress, say
from telic.errors import ConfigError
from telic.stability.config import MeasureConfig

if TYPE_CHECKING:
    from telic.purpose import Purpose
    from telic.stability import Bank, StabilityRun

__all__ = ["Measure"]


@dataclass
class Measure:
    """Measure how well a chatbot holds to its purpose over many rounds.

    Plays self-chats, asks probes on branches after every round, and writes a report with the stability curve.
    """

    purpose: tyro.conf.Positional[str] = "demo"
    """A purpose file, `demo`, or `bank`: all the triplets that ship with Telic, or those of --bank."""
    partner: str | None = None
    """Purpose file of the other side, which is probed too; by default the purpose's own partner, or the bank's."""
    model: str | None = None
    """Model to use instead of the purpose's."""
    bank: str | None = None
    """A bank of your own (TOML) instead of the one that ships with Telic."""
    families: tuple[str, ...] = ()
    """Only these families of the bank."""
    runs: Path = Path("runs")
    """Where run folders are made."""
    resume: Path | None = None
    """A run folder to go on with; give the same settings."""
    json: bool = False
    """Print the result as JSON, and no progress."""
    settings: tyro.conf.OmitArgPrefixes[MeasureConfig] = field(default_factory=MeasureConfig)

    def run(self) -> None:
        """Measure, report, print."""
        from telic.stability.measure import measure, plan_dialogues, replies_to_come
        from telic.stability.report import write_report

        purpose, partner, name = self._what()
        total = replies_to_come(plan_dialogues(purpose, partner, self.settings), self.settings)
        model = load_model(self.model or name)
        with progress(total, quiet=self.json) as ticker:
            run = measure(
                model,
                purpose,
                partner=partner,
                folder=self.runs,
                resume=self.resume,
                on_reply=ticker,
                on_folder=self._announce,
                config=self.settings,
            )
        assert run.folder is not None
        report = write_report(run.folder, run.stability, run.episodes, run.document)
        if self.json:
            print_json({"folder": str(run.folder), "report": str(report), **run.stability.model_dump(mode="json")})
        else:
            print_run(run, report)

    def _announce(self, folder: Path, notes: list[str]) -> None:
        if not self.json:
            say(f"Run folder {folder} (after an interruption, go on with --resume {folder})", style="dim")
            for note in notes:
                say(note, style="dim")

    def _what(self) -> tuple[Purpose | Bank, Purpose | None, str]:
        from telic.purpose import Purpose
        from telic.stability.bank import Bank

        if self.purpose == "bank":
            if self.partner:
                raise ConfigError("--partner goes with a purpose; the bank draws both sides itself")
            bank = Bank.from_file(self.bank) if self.bank else Bank.load()
            return bank.of(*self.families) if self.families else bank, None, "smollm2"
        if self.bank or self.families:
            raise ConfigError("--bank and --families go with `telic measure bank`")
        purpose = Purpose.load(self.purpose)
        return purpose, Purpose.load(self.partner) if self.partner else None, purpose.model


def print_run(run: StabilityRun, report: Path) -> None:
    """Print a measurement for people."""
    stability = run.stability
    rows: list[tuple[str, ...]] = []
    for point in stability.curve:
        rows.append(
            (str(point.round), _number(point.stability), f"[{_number(point.low)}, {_number(point.high)}]",
             str(point.n), str(point.answers), f"{point.tokens:.0f}" if point.tokens is not None else "-")
        )  # fmt: skip
    print_table(("round", "stability", "95 % interval", "dialogues", "answers", "tokens seen"), rows)
    say()
    say(stability.headline)
    if stability.area.value is not None:
        area = stability.area
        say(f"Area under the curve {_number(area.value)} [{_number(area.low)}, {_number(area.high)}], n = {area.n}")
    say(f"Report: {report}")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
