"""`telic measure`: does a chatbot hold to its purpose?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from telic.cli.adapter_options import AdapterOptions
from telic.cli.controls import parse_controls
from telic.cli.output import load_model, print_json, print_line, print_shortfall, print_table
from telic.cli.resuming import resume_hint
from telic.cli.transcripts import TrunkOptions, print_transcripts, read_transcripts_option, transcript_config
from telic.cli.usage import CheckedOptions, Interrupted
from telic.errors import ConfigError, RunError
from telic.progress import ProgressDisplay
from telic.stability.config import MeasureConfig

if TYPE_CHECKING:
    from telic.purpose import Purpose
    from telic.stability import Bank, Stability, StabilityRun

__all__ = ["Measure", "MeasureSettings", "print_run"]


class MeasureSettings(CheckedOptions, MeasureConfig):
    """Settings of self-chats and their probes."""


@dataclass
class Measure(AdapterOptions):
    """Measure how well a chatbot holds to its purpose over many rounds.

    Lets the model talk to itself in many dialogues. After every round it asks the probes on a branch that the dialogue
    never sees, and scores the answers. Writes a report with the stability curve.

    With --transcripts, it uses recorded dialogues and generates only the answers to the probes.

    Examples:
        telic measure travel.toml
        telic measure travel.toml --rounds 12 --dialogues 64
        telic measure travel.toml --controls refresh:strength=2
        telic measure bank --families persona language
        telic measure bank --bank ifeval
        telic measure travel.toml --transcripts logs.jsonl --join 2500 --controls refresh guidance reminder
        telic measure --resume runs/measure-travel-agent-20260101-120000
    """

    purpose: tyro.conf.Positional[str] = "demo"
    """A purpose file, `demo`, or `bank`: the instructions and probes of --bank."""
    partner: str | None = None
    """Purpose file of the other side, which is probed too, or `bank` for the personas that come with Telic. By default
    the purpose's own partner, or else simulated users who want what the purpose offers."""
    model: str | None = None
    """Model to use instead of the one that the purpose names. It plays both sides."""
    bank: str | None = None
    """Which bank `bank` stands for: `own` (default), `ifeval` or `retail`, which come with Telic, or a TOML file."""
    families: tuple[str, ...] = ()
    """Use only these families of the bank, such as persona or language."""
    version: str | None = None
    """Version of the purpose to use: v1, v2, ..., `latest`, or `base` for the purpose file as written. By default the
    promoted version."""
    controls: tuple[str, ...] = ()
    """Controls to use instead of the purpose's own, such as `refresh` or `split_softmax:k=0.8`; `none` for none. With
    --transcripts, each is compared with the baseline on the same dialogues."""
    transcripts: str | None = None
    """Measure along recorded dialogues: lines of OpenAI's messages, ShareGPT, Telic's episodes, or a server's store (a
    file, or postgresql://...). The purpose's system prompt replaces the recorded one."""
    runs: Path = Path("runs")
    """Folder in which the run folder is created."""
    resume: Path | None = None
    """Run folder of an interrupted run to continue. Its options come from the folder and need not be repeated."""
    trust: bool = False
    """Trust the purpose file and the bank's file: their judges may call functions in the Python files beside them."""
    json: bool = False
    """Print the result as JSON."""
    quiet: bool = False
    """Show no progress and no notices on standard error."""
    settings: tyro.conf.OmitArgPrefixes[MeasureSettings] = field(default_factory=MeasureSettings)
    trunk: tyro.conf.OmitArgPrefixes[TrunkOptions] = field(default_factory=TrunkOptions)

    def run(self) -> None:
        """Measure, report, print."""
        if self.transcripts is not None:
            self._run_on_transcripts(self.transcripts)
            return
        if self.trunk != TrunkOptions():
            raise ConfigError("--side, --probe-tokens, --max-tokens and --join require --transcripts")
        from telic.stability.measurement import measure
        from telic.stability.plan import plan_dialogues
        from telic.stability.report import write_stability_report

        purpose, partner, source = self._load()
        controls = parse_controls(self.controls)
        plan_dialogues(purpose, partner, self.settings, controls)  # raises errors before a model is loaded
        model = load_model(source, self.adapter)
        display = ProgressDisplay(quiet=self.quiet)
        try:
            with display:
                run = measure(
                    model,
                    purpose,
                    partner=partner,
                    controls=controls,
                    folder=self.runs,
                    resume=self.resume,
                    progress=display,
                    config=self.settings,
                )
        except KeyboardInterrupt:
            raise Interrupted(resume_hint(display.folder or self.resume)) from None
        assert run.folder is not None
        report = write_stability_report(run.folder, run.stability, run.episodes, run.document)
        if self.json:
            spoken = run.spoken.model_dump(mode="json") if run.spoken else None
            limit = run.shortfall.as_dict() if run.shortfall else None
            found = {"headline": run.stability.headline, "never_followed": run.stability.never_followed}
            document = {"folder": str(run.folder), "report": str(report), **run.stability.model_dump(mode="json")}
            print_json({**found, **document, "spoken": spoken, "shortfall": limit})
        else:
            print_run(run, report)
        if not run.stability.counts.probed:
            raise RunError(f"no answer could be scored: {_why(run)}")

    def _run_on_transcripts(self, source: str) -> None:
        """Measure along recorded dialogues, report, print."""
        from telic.comparison.transcript_report import write_transcript_report
        from telic.comparison.transcripts import control_arms, measure_transcripts

        config = transcript_config(self.settings, self.trunk)
        if self.partner:
            raise ConfigError("--partner cannot be combined with --transcripts: the other side is recorded")
        purpose, _, named = self._load()
        controls = parse_controls(self.controls)
        control_arms(controls)  # raises errors before a model is loaded
        transcripts = read_transcripts_option(source)
        model = load_model(named, self.adapter)
        display = ProgressDisplay(quiet=self.quiet)
        try:
            with display:
                run = measure_transcripts(
                    model,
                    purpose,
                    transcripts,
                    controls=controls,
                    source=source,
                    folder=self.runs,
                    resume=self.resume,
                    progress=display,
                    config=config,
                )
        except KeyboardInterrupt:
            raise Interrupted(resume_hint(display.folder or self.resume)) from None
        assert run.folder is not None
        print_transcripts(run, write_transcript_report(run.folder, run), json=self.json)
        if not any(arm.by_tokens.counts.probed for arm in run.arms):
            counts = run.arms[0].by_tokens.counts
            raise RunError(f"no answer could be scored: {next(iter(counts.missing), 'no probe was asked')}")

    def _load(self) -> tuple[Purpose | Bank, Purpose | Bank | None, str | Purpose]:
        """Load the purpose and its partner, and say which model to load."""
        from telic.promotion import load_version
        from telic.purpose import Purpose
        from telic.stability.bank import Bank

        if self.purpose == "bank":
            if self.partner:
                raise ConfigError("--partner requires a purpose; a bank draws both sides itself")
            bank = Bank.find(self.bank or "own", trust=self.trust)
            return bank.of(*self.families) if self.families else bank, None, self.model or "smollm2"
        if self.bank or self.families:
            raise ConfigError("--bank and --families require the purpose `bank`: telic measure bank")
        purpose = load_version(self.purpose, self.version, trust=self.trust).purpose
        if self.partner == "bank":
            return purpose, Bank.load(), self.model or purpose
        partner = Purpose.load(self.partner, trust=self.trust) if self.partner else None
        if partner and not self.model and "model" in partner.model_fields_set and partner.model != purpose.model:
            raise ConfigError(
                f"{partner.where('model')}: {partner.model!r}, but {self.purpose} names {purpose.model!r}; one model "
                "plays both sides, so name it with --model"
            )
        return purpose, partner, self.model or purpose


def print_run(run: StabilityRun, report: Path) -> None:
    """Print a measurement for people."""
    stability = run.stability
    if stability.never_followed is not None:
        print_line(_sentence(stability.never_followed))
        print_line()
    rows: list[tuple[str, ...]] = []
    for point in stability.curve:
        rows.append(
            (str(point.round), _number(point.stability), _range(point.low, point.high), str(point.n),
             str(point.answers), f"{point.tokens:.0f}" if point.tokens is not None else "-")
        )  # fmt: skip
    print_table(("round", "stability", "95 % interval", "dialogues", "answers", "tokens seen"), rows)
    print_line()
    if stability.demands:
        _print_demands(stability)
    if stability.drift is not None:
        print_line(_sentence(stability.drift))
    if stability.area.value is not None:
        print_line(f"Area under the curve {stability.area}, n = {stability.area.n}.")
    if run.spoken is not None:
        print_line(f"In the dialogue itself: {run.spoken}.")
    if stability.counts.errors:
        failed = sum(stability.counts.errors.values())
        print_line(f"Ended early: {failed} of {stability.counts.episodes} dialogues ({_why(run)}).")
    print_shortfall(run.shortfall, run.folder)
    print_line(f"Report: {report}")


def _print_demands(stability: Stability) -> None:
    """Print stability at the first and the last round by what the instruction demands of a reply."""
    ends = [f"round {point.round}" for point in (stability.curve[0], stability.curve[-1])]
    rows = [
        (demand, _number(curve[0].stability), _number(curve[-1].stability), str(curve[-1].n))
        for demand, curve in stability.demands.items()
        if curve
    ]
    print_table(("demand", *ends, "dialogues"), rows)
    print_line()


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _why(run: StabilityRun) -> str:
    """Return the most frequent reason for a missing score."""
    counts = run.stability.counts
    return next(iter(counts.errors or counts.missing), "no probe was asked")


def _range(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"[{low:.2f}, {high:.2f}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
