"""`telic learn`: what users say and do, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from telic.cli.learn_methods import MethodOptions, learn_by_method
from telic.cli.learn_planner import train_planner_version
from telic.cli.learn_versions import VersionActions
from telic.cli.output import print_json, print_line, print_notice, print_table
from telic.cli.serve import require_server
from telic.cli.suggestions import suggest_rules
from telic.cli.usage import UsageError
from telic.registry import suggest

if TYPE_CHECKING:
    from telic.episodes import Episode
    from telic.feedback import Estimate, LearnRun
    from telic.feedback.exports import ExportFormat
    from telic.judges import Judge
    from telic.purpose import Purpose

__all__ = ["Learn"]

SHOWN, QUOTED = 5, 100
"""Clusters that are printed, and characters of the message that is quoted of each."""


@dataclass
class Learn(MethodOptions, VersionActions):
    """Infer from what users say and do how good the replies were, and report what they praise and complain about.

    Reads the conversations that `telic serve` has stored, or logs from elsewhere. Needs a model only with --method,
    which trains on the conversations instead, and with --gate. Other options register, compare, promote or list
    versions of the purpose.

    Examples:
        telic learn travel.toml
        telic learn --logs chats.jsonl
        telic learn --store telic.db --export kto kto.jsonl
        telic learn travel.toml --export dpo pairs.jsonl episodes labelled.jsonl --mask
        telic learn travel.toml --suggest
        telic learn travel.toml --method kto --minutes 15
        telic learn travel.toml --method planner
        telic learn travel.toml --candidate learned --gate latest
        telic learn travel.toml --promote v2
        telic learn travel.toml --versions
    """

    logs: Path | None = None
    """File of conversations to read instead of a store: lines of OpenAI's messages, ShareGPT, or Telic's episodes."""
    store: str | None = None
    """Store to read: a file (SQLite), or postgresql://... By default the purpose's own."""
    user: str | None = None
    """With a store: only this user. NAME is the holder of an API key, with all users that its requests name; NAME/USER
    is one of them."""
    export: tuple[str, ...] = ()
    """Data sets to write, each as a format (kto, dpo or episodes) and a file."""
    mask: bool = False
    """Mask e-mail addresses, phone, card and account numbers, and the names of users in exports."""
    masker: Literal["patterns", "presidio"] = "patterns"
    """With --mask: what finds personal data in the text. `presidio` (the extra `privacy`) also finds names and
    places."""
    influence_cap: float | None = None
    """Largest share that one user may have in the satisfaction estimates; users above it get a smaller weight."""
    suggest: bool = False
    """List rules that users' complaints and corrections suggest, with quotes. Change nothing."""
    accept: str | None = None
    """Number or name of a suggestion to write into the purpose file: its rule, and its probe if it has one."""
    rule: str | None = None
    """With --accept: the rule in your own words."""
    resamples: int = 2000
    """Number of bootstrap resamples behind every interval."""
    processes: int = 1
    """Number of processes that read a store at once. The results do not depend on it."""
    runs: Path = Path("runs")
    """Folder in which the run folder is created."""
    json: bool = False
    """Print the result as JSON."""
    quiet: bool = False
    """Show no progress and no notices on standard error."""

    def run(self) -> None:
        """Learn, report, export, print."""
        from telic.feedback import learn, write_export
        from telic.feedback.masking import make_masker
        from telic.feedback.report import write_learn_report
        from telic.progress import ProgressDisplay
        from telic.promotion import Versions
        from telic.promotion.gate_report import gate_sections
        from telic.purpose import Purpose
        from telic.runs import RunFolder

        if self.is_about_versions:
            self._run_versions()
            return
        exports = self._exports()
        if self.processes < 1:
            raise UsageError(f"--processes is {self.processes}; expected 1 or more")
        self._check_extras()
        masker = make_masker(self.masker) if self.mask else None
        purpose = Purpose.load(self.purpose, trust=self.trust) if self.purpose else None
        name, source = self._source(purpose)
        if purpose is not None and (self.method or self.suggest or self.accept is not None):
            if self.method and purpose.file:  # what is learnt goes on from what is served
                served = Versions.of(purpose, self.versions_folder)
                purpose = served.apply(purpose, served.promotion.version)
            self._learn_more(purpose, source)
            return
        with ProgressDisplay(quiet=self.quiet) as display:
            run = learn(
                source,
                name=name,
                limits=_rules_of(purpose) if purpose else (),
                folder=self.runs,
                resamples=self.resamples,
                processes=self.processes,
                influence_cap=self.influence_cap,
                progress=display,
            )
        assert run.folder is not None
        gates = gate_sections(Versions.of(purpose, self.versions_folder)) if purpose and purpose.file else []
        report = write_learn_report(run.folder, run.analysis, RunFolder.open(run.folder).document, gates)
        written = {str(path): write_export(form, run.labelled, path, masker) for form, path in exports}
        if self.json:
            document = {"folder": str(run.folder), "report": str(report), "exported": written}
            print_json({**document, **run.analysis.model_dump(mode="json")})
            return
        print_learnt(run, report)
        if not self.quiet:
            for file, rows in written.items():
                print_notice(f"Wrote {rows} rows to {file}.")

    def _check_extras(self) -> None:
        """Refuse options that cannot be combined."""
        self.check_method()
        if self.rule is not None and self.accept is None:
            raise UsageError("--rule requires --accept: it replaces the rule of that suggestion")
        chosen = [name for name, given in _named(self).items() if given]
        if len(chosen) > 1:
            raise UsageError(f"{chosen[0]} and {chosen[1]} cannot be combined; give only one of them")
        if chosen and chosen != ["--export"] and not self.purpose:
            raise UsageError(f"{chosen[0]} needs a purpose file: telic learn PURPOSE {chosen[0]}")

    def _learn_more(self, purpose: Purpose, source: Iterable[Episode]) -> None:
        """Train on the conversations, or suggest rules from them."""
        from telic.feedback import LabelledEpisodes

        labelled = LabelledEpisodes(source, limits=_rules_of(purpose))
        if self.method is None:
            suggest_rules(labelled, purpose, str(self.purpose), accept=self.accept, rule=self.rule, as_json=self.json)
        elif self.method == "planner":
            train_planner_version(self, purpose, labelled)
        else:
            learn_by_method(self, labelled, purpose, Path(str(self.purpose)), as_json=self.json, quiet=self.quiet)

    def _exports(self) -> list[tuple[ExportFormat, Path]]:
        from telic.feedback.exports import ExportFormat

        known: dict[str, ExportFormat] = {form: form for form in get_args(ExportFormat)}
        pairs = list(zip(self.export[::2], self.export[1::2], strict=False))
        if len(self.export) % 2:
            raise UsageError(
                f"--export: {self.export[-1]!r} stands alone; expected a format and a file, such as: kto kto.jsonl"
            )
        for form, _ in pairs:
            if form not in known:
                raise UsageError(f"--export: unknown format {form!r}{suggest(form, list(known))}")
        return [(known[form], Path(file)) for form, file in pairs]

    def _source(self, purpose: Purpose | None) -> tuple[str, Iterable[Episode]]:
        """Return what the conversations belong to, and the conversations."""
        from telic.feedback import LogFile

        if self.logs is not None:
            if self.store or self.user:
                raise UsageError("--logs cannot be combined with --store or --user, which are for a server's store")
            return purpose.name if purpose else self.logs.stem, LogFile(self.logs)
        if purpose is None and self.store is None:
            raise UsageError("expected a purpose file, --logs FILE or --store FILE")
        require_server()
        from telic.server import ServeConfig
        from telic.server.stored_episodes import StoredEpisodes

        if purpose is None:
            return "conversations", StoredEpisodes(str(self.store), self.user)
        config = ServeConfig.of_purpose(purpose)
        return purpose.name, StoredEpisodes(self.store or config.store, self.user, purpose.name, config.learn)

    def _run_versions(self) -> None:
        """Do what an option about versions asks for."""
        from telic.feedback.learning import LabelledEpisodes
        from telic.purpose import Purpose

        self._check_extras()
        if others := [name for name, given in _named(self).items() if given]:
            raise UsageError(f"{others[0]} cannot be combined with options about versions; run two commands")
        if self.rollback and self.promote is not None:
            raise UsageError("--promote and --rollback cannot be combined; give only one of them")
        if self.force and self.promote is None:
            raise UsageError("--force requires --promote")
        purpose = Purpose.load(self.purpose, trust=self.trust) if self.purpose else None
        store = None if purpose is None else self._store_of(purpose)
        logs: Iterable[Episode] = ()
        if self.gate is not None and (self.logs is not None or store is not None):
            logs = LabelledEpisodes(self._source(purpose)[1], limits=_rules_of(purpose) if purpose else ())
        self.run_versions(logs, store, json=self.json, quiet=self.quiet)

    def _store_of(self, purpose: Purpose) -> str | None:
        """Return where the conversations of a purpose are stored; None if there is no store."""
        from importlib.util import find_spec

        if find_spec("sqlalchemy") is None:
            return None
        from telic.server import ServeConfig

        location = self.store or ServeConfig.of_purpose(purpose).store
        return location if "://" in location or Path(location).exists() else None


def _named(command: Learn) -> dict[str, bool]:
    return {
        "--method": command.method is not None,
        "--suggest": command.suggest,
        "--accept": command.accept is not None,
        "--export": bool(command.export),
    }


def _rules_of(purpose: Purpose) -> list[Judge]:
    """Return the judges of the limits that ask no model: this command needs none."""
    from telic.judges import model_judges
    from telic.judges.limits import judged_limits

    return [limit.judge for limit in judged_limits(purpose) if not model_judges(limit.judge)]


def print_learnt(run: LearnRun, report: Path) -> None:
    """Print an analysis for people."""
    analysis = run.analysis
    print_line(f"{analysis.headline[:1].upper()}{analysis.headline[1:]}.")
    print_line()
    for title, estimates in (("period", analysis.by_time), ("version", analysis.by_version)):
        if len(estimates) > 1:
            print_table((title, "satisfaction", "95 % interval", "conversations", "users"), map(_row, estimates))
            print_line()
    for title, clusters in (("Complaints", analysis.blamed), ("Praise", analysis.praised)):
        if clusters:
            print_line(title, style="bold")
        for one in clusters[:SHOWN]:
            quoted = next((moment["answer"] for moment in one["examples"] if moment["answer"]), "")
            print_line(f"  {one['size']:>5}  {', '.join(one['words'])}: {quoted[:QUOTED]!r}")
    for user in analysis.outlying[:SHOWN]:
        print_line(
            f"Outlying user {user.user!r} ({user.why}): {user.share:.0%} of the conversations, satisfaction "
            f"{user.satisfaction:.2f} against {user.others:.2f} for all others."
        )
    if analysis.skipped:
        print_line(f"Without a reply: {analysis.skipped} conversations.")
    print_line(f"Report: {report}")


def _row(one: Estimate) -> tuple[str, ...]:
    range_ = "-" if one.low is None or one.high is None else f"[{one.low:.2f}, {one.high:.2f}]"
    value = "-" if one.value is None else f"{one.value:.2f}"
    return one.name, value, range_, str(one.conversations), str(one.users)
