"""`telic hold`: which control keeps a chatbot to its purpose best?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from telic.cli.adapter_options import AdapterOptions
from telic.cli.output import load_model, print_json, print_line, print_shortfall, print_table
from telic.cli.resuming import resume_hint
from telic.cli.usage import CheckedOptions, Interrupted
from telic.comparison.config import ComparisonConfig
from telic.errors import ConfigError
from telic.progress import ProgressDisplay

if TYPE_CHECKING:
    from telic.comparison.results import ComparisonRun
    from telic.purpose import Purpose
    from telic.stability import Bank

__all__ = ["Hold"]


class ComparisonSettings(CheckedOptions, ComparisonConfig):
    """Settings of a comparison of controls."""


@dataclass
class Hold(AdapterOptions):
    """Find the control that holds a chatbot to its purpose best, and write it into the purpose file.

    Tries every control at several strengths, and leaves out those that cost the model too much capability. Then
    compares the best strength of each control on dialogues that played no part in choosing it, and checks the winner
    under instructions from another source.

    Examples:
        telic hold travel.toml
        telic hold travel.toml --controls refresh reminder --no-write
        telic hold travel.toml --budget 0.05 --dialogues 40
        telic hold bank --bank ifeval
        telic hold --resume runs/hold-travel-agent-20260101-120000
    """

    purpose: tyro.conf.Positional[str] = "demo"
    """A purpose file, `demo`, or `bank`: the instructions and probes of --bank."""
    partner: str | None = None
    """Purpose file of the other side, or `bank` for the personas that come with Telic. By default the purpose's own
    partner, or else simulated users who want what the purpose offers."""
    model: str | None = None
    """Model to use instead of the one that the purpose names. It plays both sides."""
    bank: str | None = None
    """Which bank `bank` stands for (by default `own`), or which bank --bank-dialogues uses (by default the held-out
    half of `ifeval`): `own`, `ifeval` or `retail`, which come with Telic, or a TOML file."""
    runs: Path = Path("runs")
    """Folder in which the run folder is created."""
    resume: Path | None = None
    """Run folder of an interrupted run to continue. Its options come from the folder and need not be repeated."""
    write: bool = True
    """Write the best control into the purpose file."""
    trust: bool = False
    """Trust the purpose file and the bank's file: their judges may call functions in the Python files beside them."""
    json: bool = False
    """Print the result as JSON."""
    quiet: bool = False
    """Show no progress and no notices on standard error."""
    settings: tyro.conf.OmitArgPrefixes[ComparisonSettings] = field(default_factory=ComparisonSettings)

    def run(self) -> None:
        """Compare, report, write, print."""
        from telic.comparison.candidates import asked_strengths
        from telic.comparison.holding import hold
        from telic.comparison.report import write_comparison_report
        from telic.purpose import Purpose
        from telic.stability.bank import Bank

        bank = Bank.find(self.bank, trust=self.trust) if self.bank else None
        purpose: Purpose | Bank = (
            bank or Bank.load() if self.purpose == "bank" else Purpose.load(self.purpose, trust=self.trust)
        )
        if bank is not None and bank is not purpose and not self.settings.bank_dialogues:
            raise ConfigError("--bank needs --bank-dialogues of 1 or more, or `telic hold bank`")
        partner: Purpose | Bank | None = None
        if self.partner:
            partner = Bank.load() if self.partner == "bank" else Purpose.load(self.partner, trust=self.trust)
        asked_strengths(self.settings.controls)  # a misspelt control is refused before the model is loaded
        model = load_model(self.model or (purpose if isinstance(purpose, Purpose) else "smollm2"), self.adapter)
        display = ProgressDisplay(quiet=self.quiet)
        try:
            with display:
                run = hold(
                    model,
                    purpose,
                    partner=partner,
                    bank=None if bank is purpose else bank,
                    folder=self.runs,
                    resume=self.resume,
                    progress=display,
                    config=self.settings,
                )
        except KeyboardInterrupt:
            raise Interrupted(resume_hint(display.folder or self.resume)) from None
        assert run.folder is not None
        report = write_comparison_report(run.folder, run)
        written = self._write(run)
        if self.json:
            print_json({"folder": str(run.folder), "report": str(report), "written": written, **_as_dict(run)})
            return
        _print(run)
        print_shortfall(run.shortfall, run.folder)
        print_line(f"Report: {report}")
        if written:
            print_line(f"Written to {self.purpose}: {run.winner.name if run.winner else ''}")

    def _write(self, run: ComparisonRun) -> bool:
        """Replace the controls in the purpose file by the winner; return whether it was written."""
        from telic.purpose import update_file

        if not self.write or run.winner is None or not Path(self.purpose).is_file():
            return False
        update_file(self.purpose, {"controls": [run.winner.spec]})
        return True


def _as_dict(run: ComparisonRun) -> dict[str, Any]:
    return {
        "headline": run.headline,
        "never_followed": run.never_followed,
        "left_out": run.left_out,
        "transfer": run.transfer,
        "winner": run.winner.spec if run.winner else None,
        "shortfall": run.shortfall.as_dict() if run.shortfall else None,
        "compared": [arm.model_dump(mode="json", exclude={"stability", "bank"}) for arm in run.compared],
        "trials": [trial.model_dump(mode="json") for trial in run.trials],
    }


def _print(run: ComparisonRun) -> None:
    if run.never_followed is not None:
        print_line(_sentence(run.never_followed))
        print_line()
    followed = any(arm.followed_gain for arm in run.compared)
    rows = []
    for arm in run.compared:
        gain = "" if arm.gain is None else str(arm.gain)
        costs = ("" if cost is None else cost.summary for cost in (arm.cost, arm.recall))
        said = "" if arm.spoken is None else str(arm.spoken.kept)
        restricted = ["" if arm.followed_gain is None else str(arm.followed_gain)] if followed else []
        rows.append((arm.name, str(arm.stability.area), gain, *restricted, said, *costs))
    header = (
        "control",
        "area under the curve",
        "gain over the baseline",
        *(["gain without the probes never followed"] if followed else []),
        "utterances",
        "questions lost",
        "recall lost",
    )
    print_table(header, rows)
    if run.demands:
        gains = [
            (arm.name, *(str(arm.demand_gains.get(demand, "")) for demand in run.demands)) for arm in run.compared[1:]
        ]
        print_line()
        print_table(("gain by demand", *run.demands), gains)
    print_line()
    for sentence in run.left_out:
        print_line(_sentence(sentence))
    print_line(_sentence(run.finding))
    if run.transfer:
        print_line(_sentence(run.transfer))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
