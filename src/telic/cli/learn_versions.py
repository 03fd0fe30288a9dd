"""The part of `telic learn` that is about versions: registering, gating, promoting, rolling back, listing."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from telic.cli.output import load_model, print_json, print_line, print_notice, print_table
from telic.cli.usage import UsageError
from telic.errors import ConfigError, RunError
from telic.registry import parse_settings

if TYPE_CHECKING:
    from telic.episodes import Episode
    from telic.models import Model
    from telic.promotion import GateResult, PromotedPurpose, Version, Versions
    from telic.promotion.records import Promotion
    from telic.purpose import Purpose

__all__ = ["VersionActions"]

WORDS = 60
"""Characters of a note that a table shows."""


@dataclass
class VersionActions:
    """Options about versions. They are applied in the order in which they are listed here."""

    purpose: tyro.conf.Positional[str | None] = None
    """A purpose file. Its conversations are read from the store that its [serve] names."""
    candidate: Path | None = None
    """Register the result of a learner in this folder as a version of the purpose."""
    gate: str | None = None
    """Compare this version with the served one: v1, v2, ..., or `latest`. Exit with status 1 if it does not pass."""
    promote: str | None = None
    """Serve this version from now on. It must have passed its gate."""
    force: bool = False
    """With --promote: promote the version even if it has not passed its gate."""
    rollback: bool = False
    """Undo the last promotion: serve the version before it again."""
    versions: bool = False
    """List the versions."""
    versions_folder: Path | None = None
    """Folder of the versions. By default `versions` beside the purpose file, or as [serve] says."""
    attacks: Path = Path("attacks")
    """With --gate: folder of the kept attacks, which are tried again."""
    gate_settings: tuple[str, ...] = ()
    """With --gate: settings of the comparison and its margins, such as `games=32 game_margin=0.05`."""
    model: str | None = None
    """With --gate or --method planner: model to use instead of the one that the purpose names."""
    trust: bool = False
    """Trust the purpose file: its judges may call functions in the Python files beside it."""

    @property
    def is_about_versions(self) -> bool:
        """Whether an option asks for something about versions."""
        asked = (self.candidate, self.gate, self.promote)
        return any(one is not None for one in asked) or self.rollback or self.versions

    def run_versions(self, logs: Iterable[Episode], store: str | None, *, json: bool, quiet: bool) -> None:
        """Do what the options ask for.

        Args:
            logs: labelled conversations with the purpose, for the gate.
            store: where conversations are stored; None if there is no store.
            json: print the result as JSON.
            quiet: show no progress.
        """
        release = self._release()
        versions, document = release.versions, dict[str, Any]()
        if self.candidate is not None:
            version = self._register(release, document)
            if not json:
                print_line(f"Registered version {version.name} in {versions.path(version.name)}.")
        failed: GateResult | None = None
        if self.gate is not None:
            result = self._run_gate(release, logs, quiet=quiet)
            document["gate"] = result.model_dump(mode="json")
            if not json:
                print_gate(result)
            failed = None if result.passed else result
        if failed is None and self.promote is not None:
            self._promote(release, self.promote, document, json=json)
        if failed is None and self.rollback:
            changed = versions.rollback()
            document["promoted"] = changed.version
            if not json:
                print_line(f"{changed.version} is served from now on; running servers take it within seconds.")
        if self.versions:
            self._list(versions, store, document, json=json)
        if json:
            print_json(document)
        if failed is not None:
            raise RunError(failed.headline)

    def _release(self) -> PromotedPurpose:
        from dataclasses import replace

        from telic.promotion import Versions, load_version

        if self.purpose is None:
            raise UsageError("expected a purpose file: versions belong to a purpose")
        release = load_version(self.purpose, "base", trust=self.trust)
        if release.written.file is None:
            raise ConfigError(f"{self.purpose!r} is not a file; write one with: telic new travel.toml")
        if self.versions_folder is None:
            return release
        return replace(release, versions=Versions(self.versions_folder, release.written.name))

    def _register(self, release: PromotedPurpose, document: dict[str, Any]) -> Version:
        from telic.promotion.candidates import LearnedCandidate

        assert self.candidate is not None
        version, new = release.versions.register(LearnedCandidate.read(self.candidate), release.written)
        document["candidate"] = {**version.model_dump(mode="json"), "new": new}
        return version

    def _run_gate(self, release: PromotedPurpose, logs: Iterable[Episode], *, quiet: bool) -> GateResult:
        from telic.progress import ProgressDisplay
        from telic.promotion import run_gate
        from telic.promotion.gate_config import GateConfig
        from telic.promotion.gate_report import write_gate_report
        from telic.redteam.kept import read_attacks

        try:
            config = GateConfig.of(**parse_settings(self.gate_settings))
        except ConfigError as error:
            raise UsageError(f"--gate-settings: {error}") from None
        version = release.versions.get(self.gate or "")
        kept = read_attacks(self.attacks) if any(self.attacks.glob("*.json")) else {}
        own = {path: attack for path, attack in kept.items() if attack.purpose == release.written.name}
        with ProgressDisplay(quiet=quiet) as display:
            result = run_gate(
                release.versions, version, release.written, self._load, kept=own, logs=logs, config=config,
                progress=display,
            )  # fmt: skip
        write_gate_report(release.versions, result)
        return result

    def _load(self, purpose: Purpose) -> Model:
        return load_model(self.model, purpose.adapter_path) if self.model else load_model(purpose)

    def _promote(self, release: PromotedPurpose, name: str, document: dict[str, Any], *, json: bool) -> None:
        from telic.promotion.gate_results import why_not_promoted

        versions = release.versions
        version = versions.get(name)
        reason = why_not_promoted(versions, version, release.written)
        if reason and not self.force:
            raise RunError(f"{reason}. To promote it anyway, add --force")
        if version.rejected:
            versions.reject(version.name, "")
        changed = versions.promote(version.name, how="forced" if reason else "promoted", reason=reason)
        document["promoted"] = changed.version
        if not json:
            print_line(f"{changed.version} is served from now on; running servers take it within seconds.")

    def _list(self, versions: Versions, store: str | None, document: dict[str, Any], *, json: bool) -> None:
        if store is not None:
            mark_from_store(versions, store)
        found, promotion = versions.all(), versions.promotion
        if json:
            document["promoted"] = promotion.version
            document["versions"] = [_as_row(versions, one, promotion) for one in found]
            return
        if not found:
            print_notice(f"No versions of {versions.purpose} in {versions.folder}.")
            return
        print_table(
            ("version", "status", "parent", "method", "created", "trained on", "gate"),
            [_row(versions, one, promotion) for one in found],
        )
        print_line(f"Served: {promotion.version}")


def mark_from_store(versions: Versions, store: str) -> None:
    """Mark the versions that were trained on conversations which a store has deleted."""
    from telic.server.deletions import deleted_ids
    from telic.server.store import ConversationStore

    if "://" not in store and not Path(store).exists():
        return
    with closing(ConversationStore(store, create=False)) as opened:
        versions.mark_deleted(deleted_ids(opened.engine))


def print_gate(result: GateResult) -> None:
    """Print the checks of a gate."""
    rows = [
        (
            check.name, check.verdict, _interval(check.candidate), _interval(check.served), _interval(check.difference),
            "" if check.margin is None else f"{check.margin:g}",
            "" if check.difference is None else str(check.difference.n),
        )
        for check in result.checks
    ]  # fmt: skip
    print_table(("check", "", result.version, result.served, "difference", "margin", "n"), rows)
    for check in result.checks:
        if check.note:
            print_line(f"{check.name}: {check.note}.")
    print_line(f"{result.headline[:1].upper()}{result.headline[1:]}.")


def _interval(found: object) -> str:
    return "" if found is None else str(found)


def _row(versions: Versions, one: Version, promotion: Promotion) -> tuple[str, ...]:
    from telic.promotion import GateResult

    gate = GateResult.read(versions, one.name)
    trained = f"{one.sources} conversations" + (f", {one.deleted_sources} deleted" if one.deleted_sources else "")
    verdict = "not run" if gate is None else "passed" if gate.passed else "failed"
    when = f"{datetime.fromtimestamp(one.created):%Y-%m-%d %H:%M}"
    return one.name, versions.status(one, promotion), one.parent, one.method[:WORDS], when, trained, verdict


def _as_row(versions: Versions, one: Version, promotion: Promotion) -> dict[str, Any]:
    from telic.promotion import GateResult

    gate = GateResult.read(versions, one.name)
    about = {"status": versions.status(one, promotion), "gate": None if gate is None else gate.model_dump(mode="json")}
    return {**one.model_dump(mode="json"), **about}
