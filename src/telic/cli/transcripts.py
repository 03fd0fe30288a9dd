"""The option `--transcripts` of `telic measure`: recorded dialogues, from a file or a server's store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from telic.cli.output import print_json, print_line, print_shortfall, print_table
from telic.cli.usage import CheckedOptions, UsageError
from telic.stability.config import MeasureConfig, TranscriptConfig, TrunkSettings

if TYPE_CHECKING:
    from telic.comparison.results import ArmDifference
    from telic.comparison.transcript_results import TranscriptRun
    from telic.stability.curves import CurvePoint
    from telic.stability.trunks import NamedDialogue

__all__ = ["TrunkOptions", "print_transcripts", "read_transcripts_option", "transcript_config"]

SQLITE = b"SQLite format 3\0"
UNUSED = {
    "rounds": "use --max-tokens to cut recorded dialogues",
    "utterance_tokens": "recorded dialogues get no new utterances",
}
"""Settings of self-chats, and why they cannot be combined with `--transcripts`."""


class TrunkOptions(CheckedOptions, TrunkSettings):
    """How recorded dialogues are read and probed."""


def transcript_config(settings: MeasureConfig, trunk: TrunkSettings) -> TranscriptConfig:
    """Join the settings of the command line.

    Raises:
        UsageError: a setting does not go with `--transcripts`.
    """
    for name, why in UNUSED.items():
        if getattr(settings, name) != MeasureConfig.model_fields[name].default:
            raise UsageError(f"--{name.replace('_', '-')} cannot be combined with --transcripts: {why}")
    return TranscriptConfig(**settings.model_dump(exclude=set(UNUSED)), **trunk.model_dump())


def read_transcripts_option(source: str) -> str | list[NamedDialogue]:
    """Return the file, or the conversations of a server's store.

    Raises:
        ConfigError: the store cannot be opened.
        MissingExtraError: a store needs the extra `server`.
    """
    if not source.startswith("postgresql") and not _is_sqlite(Path(source)):
        return source
    from telic.cli.serve import require_server

    require_server()
    from telic.episodes import assistant_role
    from telic.formats import dialogue_seen_by
    from telic.server.stored_episodes import StoredEpisodes

    return [(episode.id, dialogue_seen_by(episode, assistant_role(episode))) for episode in StoredEpisodes(source)]


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(SQLITE)) == SQLITE
    except OSError:  # reading it as dialogues says what is wrong
        return False


def print_transcripts(run: TranscriptRun, report: Path, *, json: bool) -> None:
    """Print the result, for people or as JSON."""
    if json:
        print_json({"folder": str(run.folder), "report": str(report), **run.as_dict()})
        return
    print_line(_sentence(run.reading))
    for note in run.transcripts["notes"]:
        print_line(_sentence(note))
    print_line()
    for arm in run.arms:
        rows = [_row(point, arm.gains.get(point.round)) for point in arm.by_tokens.curve]
        columns = (
            "tokens",
            "stability",
            "95 % interval",
            "n",
            *(("difference from the baseline", "p") if arm.gains else ()),
        )
        print_table(columns, rows, arm.name)
        print_line()
    for arm in run.arms[1:]:
        print_line(f"{arm.name}: {arm.gain} over the baseline.")
    print_line(_sentence(run.headline))
    print_shortfall(run.shortfall, run.folder)
    print_line(f"Report: {report}")


def _row(point: CurvePoint, gain: ArmDifference | None) -> Sequence[str]:
    row = [str(point.round), _number(point.stability), "-", str(point.n)]
    if point.low is not None and point.high is not None:
        row[2] = f"[{point.low:.2f}, {point.high:.2f}]"
    if gain is not None:
        row += [str(gain.interval), _number(gain.p, 3)]
    return row


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
