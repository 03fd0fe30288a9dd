"""`telic attack`: multi-round red-teaming of a purpose's limits, and the defence that stops it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from pydantic import Field

from telic.cli.adapter_options import AdapterOptions
from telic.cli.attack_monitor import print_monitor_figures
from telic.cli.output import load_model, print_json, print_line, print_shortfall, print_table
from telic.cli.resuming import resume_hint
from telic.cli.usage import CheckedOptions, Interrupted, UsageError
from telic.errors import ConfigError, RunError
from telic.progress import ProgressDisplay
from telic.redteam.config import AttackConfig

if TYPE_CHECKING:
    from telic.models import Model
    from telic.purpose import Purpose
    from telic.redteam.results import AttackCell, AttackRun
    from telic.rollouts.workers import Workers

__all__ = ["Attack"]


class AttackSettings(CheckedOptions, AttackConfig):
    """Settings of attacks."""

    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = Field(default=AttackConfig.model_fields["n"].default, ge=1)
    """Number of dialogues of each attacker with each defence, spread evenly over the limits."""


@dataclass
class Attack(AdapterOptions):
    """Try to make a chatbot break the limits of its purpose, and find the defence that stops it.

    Several attackers try over many rounds, first without a defence and then against each one. Benign users take part as
    well, so that a defence that refuses everything does not win. The best defence is written into the purpose file,
    and every attack that worked is kept as a test.

    Examples:
        telic attack travel.toml
        telic attack travel.toml --attackers direct crescendo --defences hardened_prompt output_guard -n 40
        telic attack travel.toml --attacker-model http://localhost:8000/v1#qwen --minutes 30
        telic attack travel.toml --replay attacks
        telic attack --train-monitor runs/attack-travel-agent-20260101-120000 --held-out crescendo
        telic attack --resume runs/attack-travel-agent-20260101-120000
    """

    purpose: tyro.conf.Positional[str] = "demo"
    """A purpose file with [[limits]]."""
    attackers: tuple[str, ...] = ()
    """Attackers, each `NAME` or `NAME:KEY=VALUE`. By default every attacker that needs no model."""
    defences: tuple[str, ...] = ()
    """Defences, each `NAME` or `NAME:KEY=VALUE`, several joined by `+`, or `purpose` for the purpose's own. By default
    the purpose's own, or else all that can protect it. Attacks without a defence are always played."""
    attacker_model: str | None = None
    """Model that writes the attackers' messages. Without one, they use templates."""
    model: str | None = None
    """Model to attack instead of the one that the purpose names."""
    replay: Path | None = None
    """Try the kept attacks in this folder again, behind the purpose's own defences. Exit with status 1 if one works."""
    tries: int = 3
    """Number of tries of each kept attack."""
    attacks: Path = Path("attacks")
    """Folder in which attacks that worked are kept."""
    train_monitor: Path | None = None
    """Train a monitor for the defence `monitor` on the attacks and benign users of this run folder. Attack nothing."""
    held_out: tuple[str, ...] = ()
    """Attackers that the monitor is tested on but not trained on."""
    rivals: bool = True
    """Compare the monitor with its rivals: a word classifier, and the model as a judge of every turn."""
    ray: str | None = None
    """Play on a Ray cluster: its address, `auto`, or `local` to start one on this machine."""
    workers: int | None = None
    """Number of workers on Ray. By default one per node; with a model on vLLM, as many as the GPUs allow."""
    runs: Path = Path("runs")
    """Folder in which the run folder is created."""
    resume: Path | None = None
    """Run folder of an interrupted run to continue. Its options come from the folder and need not be repeated."""
    write: bool = True
    """Write the best defence into the purpose file, and keep the attacks that worked."""
    trust: bool = False
    """Trust the purpose file: its judges may call functions in the Python files beside it."""
    json: bool = False
    """Print the result as JSON."""
    quiet: bool = False
    """Show no progress and no notices on standard error."""
    settings: tyro.conf.OmitArgPrefixes[AttackSettings] = field(default_factory=AttackSettings)

    def run(self) -> None:
        """Attack, report, write, print."""
        from telic.purpose import Purpose

        if self.train_monitor is not None:
            self._train_monitor(self.train_monitor)
            return
        purpose = Purpose.load(self.purpose, trust=self.trust)
        if not purpose.limits:
            raise ConfigError(
                f"{self.purpose}: the purpose has no limits to attack; add [[limits]] with a name and a judge, such as "
                "name = \"quotes a price\" and judge = { regex = '[$€] ?\\d' }"
            )
        if self.replay is not None:
            self._replay(purpose, self.replay)
            return
        workers = self._workers(purpose)
        model = load_model(self.model or purpose, self.adapter)
        self._attack(model, purpose, workers)

    def _attack(self, model: Model, purpose: Purpose, workers: Workers | None) -> None:
        from telic.redteam.attack import attack
        from telic.redteam.report import write_attack_report

        same = self.attacker_model == (self.model or purpose.model)
        mind = None if self.attacker_model is None else model if same else load_model(self.attacker_model)
        display = ProgressDisplay(quiet=self.quiet)
        try:
            with display:
                run = attack(
                    model,
                    purpose,
                    attackers=self.attackers or None,
                    defences=self.defences or None,
                    mind=mind,
                    folder=self.runs,
                    resume=self.resume,
                    workers=workers,
                    progress=display,
                    config=self.settings,
                )
        except KeyboardInterrupt:
            raise Interrupted(resume_hint(display.folder or self.resume)) from None
        assert run.folder is not None
        report = write_attack_report(run.folder, run.results, run.episodes, run.document, run.left_out)
        written, kept = self._write(run, purpose)
        if self.json:
            print_json(
                {
                    "folder": str(run.folder),
                    "report": str(report),
                    "written": written,
                    "kept": [str(path) for path in kept],
                    "left_out": run.left_out,
                    "shortfall": run.shortfall.as_dict() if run.shortfall else None,
                    **run.results.model_dump(mode="json"),
                }
            )
        else:
            _print(run)
            print_shortfall(run.shortfall, run.folder)
            print_line(f"Report: {report}")
            if kept:
                print_line(f"{len(kept)} attacks that worked are kept in {self.attacks}. Try them again with --replay.")
            if written:
                print_line(f"Written to {self.purpose}: {run.results.recommended}")
        _require_verdicts(run)

    def _write(self, run: AttackRun, purpose: Purpose) -> tuple[bool, list[Path]]:
        """Keep the attacks that worked, and write the recommended defence; return whether, and the kept attacks."""
        from telic.purpose import update_file
        from telic.redteam.kept import keep_attacks

        if not self.write:
            return False, []
        kept = keep_attacks(run.episodes, purpose, self.attacks)
        if run.recommended is None or not Path(self.purpose).is_file():
            return False, kept
        update_file(self.purpose, {"defences": [dict(spec) for spec in run.recommended]})
        return True, kept

    def _replay(self, purpose: Purpose, folder: Path) -> None:
        from telic.redteam.kept import read_attacks, replay_attacks

        if self.tries < 1:
            raise UsageError(f"--tries is {self.tries}; expected 1 or more")
        kept = read_attacks(folder)
        model = load_model(self.model or purpose, self.adapter)
        replayed = replay_attacks(model, purpose, kept, tries=self.tries, concurrency=self.settings.concurrency)
        working = [one for one in replayed if one.broken]
        if self.json:
            print_json({"replayed": [one.as_dict() for one in replayed], "working": len(working)})
        else:
            rows = [(str(one.path), one.attack.limit, f"{one.broken} of {one.tries}", one.fault) for one in replayed]
            print_table(("attack", "limit", "works", "without a verdict"), rows)
        if working:
            raise RunError(f"{len(working)} of {len(replayed)} kept attacks work again")
        failed = [one for one in replayed if not one.tries]
        if failed:
            raise RunError(f"{len(failed)} of {len(replayed)} kept attacks have no verdict: {failed[0].fault}")

    def _train_monitor(self, folder: Path) -> None:
        from telic.redteam.monitor.training import train_monitor

        model = load_model(self.model) if self.model else None
        path = train_monitor(folder, model=model, held_out=self.held_out, rivals=self.rivals, seed=self.settings.seed)
        figures = json.loads((path / "config.json").read_text(encoding="utf-8")).get("figures", {})
        if self.json:
            print_json({"monitor": str(path), "figures": figures})
            return
        print_monitor_figures(figures)
        print_line(f'Monitor: {path}. Use it with: [[defences]] name = "monitor", path = "{path}"')

    def _workers(self, purpose: Purpose) -> Workers | None:
        if self.ray is not None and self.adapter is not None:
            raise UsageError(
                "--adapter cannot be combined with --ray, whose workers load the model that the purpose names; write "
                f"adapter = {self.adapter!r} into the purpose file instead"
            )
        if self.ray is None:
            if self.workers is not None:
                raise UsageError(
                    f"--workers is {self.workers}, but --ray is not set; add --ray local, or omit --workers"
                )
            return None
        from telic.models.vllm.settings import replica_gpus
        from telic.rollouts.ray_workers import RayWorkers

        target = purpose if self.model in (None, purpose.model) else str(self.model)
        mind = self.attacker_model
        own = (target,) if mind in (None, self.model or purpose.model) else (target, str(mind))
        return RayWorkers(self.ray, self.workers, replica_gpus=replica_gpus(own))


def _print(run: AttackRun) -> None:
    results = run.results
    cells = {(cell.attacker, cell.defence): cell for cell in results.cells}
    rows = []
    for attacker in results.attackers:
        found = [cells.get((attacker, defence)) for defence in results.defences]
        rates = ("" if cell is None else f"{cell.success} {cell.broken}/{cell.broken + cell.held}" for cell in found)
        rows.append((attacker, *rates))
    rows.append(("all attackers", *(str(results.mean_success[name]) for name in results.defences)))
    print_table(("success", *results.defences), rows)
    print_line()
    costs = [
        (
            one.defence,
            str(one.refused),
            "" if one.over_refusal is None else str(one.over_refusal),
            str(one.probes),
            str(one.game_score),
            "" if one.game_loss is None else str(one.game_loss),
        )
        for one in results.benign
    ]
    header = ("benign users", "refused", "over-refusal", "probes", "game's score", "score lost")
    print_table(header, costs)
    print_line()
    steered = [_over_talk(cell) for cell in results.cells if cell.over_talk is not None]
    for remark in [*steered, *results.warnings, *(f"left out: {reason}" for reason in run.left_out), results.headline]:
        print_line(f"{remark[:1].upper()}{remark[1:]}.")


def _over_talk(cell: AttackCell) -> str:
    """Say how much more often a planner succeeds than the same model without it."""
    gain = cell.over_talk
    if gain is None or gain.value is None:
        return f"no attack of both {cell.attacker} and talk has a verdict, defence {cell.defence}"
    bounds = "" if gain.low is None else f" [{gain.low:+.2f}, {gain.high:+.2f}]"
    p = "" if cell.over_talk_p is None else f", p = {cell.over_talk_p:.3g}"
    return (
        f"{cell.attacker} against talk, the same model without the planner: success {gain.value:+.2f}{bounds}, defence "
        f"{cell.defence}, paired, n = {gain.n}{p}"
    )


def _require_verdicts(run: AttackRun) -> None:
    """Raise an error if no attack has a verdict, so that a shell script stops."""
    if all(cell.success.value is None for cell in run.results.cells):
        failures: list[Any] = [episode.failure.reason for episode in run.episodes if episode.failure]
        raise RunError(f"no attack has a verdict: {failures[0] if failures else 'the judges could not decide'}")
