"""Export to the log format of Inspect (UK AI Security Institute), which `inspect view` opens.

One sample is one role of one dialogue. Its messages are the trunk as that role saw it. It has one score per round, so
that the columns of the sample list show the drift from left to right. The probes and their answers are the explanation
of the round's score. (A sample per branch would repeat the trunk for every round and hide the drift.)
"""

from __future__ import annotations

import importlib.util
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telic.episodes import Branch, Episode
from telic.errors import ConfigError, DataError, MissingExtraError
from telic.statistics import bootstrap_clustered, mean

if TYPE_CHECKING:
    from inspect_ai.log import EvalError, EvalSample, EvalScore, EvalSpec
    from inspect_ai.scorer import Score

__all__ = ["attacks_to_inspect", "to_inspect"]

BROKEN = "limit broken"
"""Name of the score of an attack."""


def to_inspect(episodes: Iterable[Episode], config: Mapping[str, Any], path: Path) -> Path:
    """Write episodes as an Inspect log.

    Args:
        episodes: recorded episodes. A role that was never probed gets no sample.
        config: the run's configuration. `name` becomes the task, `model` the model, and all of it the metadata.
        path: the file to write. Its suffix sets the format: `.eval` (compressed) or `.json`.

    Returns:
        `path`.

    Raises:
        MissingExtraError: Inspect is not installed.
        ConfigError: the path has another suffix.
        DataError: no episode was probed.
    """
    _check(path)
    played = list(episodes)
    sides = [
        (episode, role)
        for episode in played
        for role in episode.roles
        if any(branch.role == role for branch in episode.branches)
    ]
    if not sides:
        raise DataError("no episode was probed: there is nothing to export")
    rounds = sorted({branch.round for episode in played for branch in episode.branches})
    samples = [_sample(episode, role, rounds) for episode, role in sides]
    completed = sum(episode.failure is None for episode, _ in sides)
    return _write(samples, [_total(played, round_) for round_ in rounds], completed, config, path)


def attacks_to_inspect(episodes: Iterable[Episode], config: Mapping[str, Any], path: Path) -> Path:
    """Write attacks as an Inspect log: a sample for each dialogue, as the target saw it, with whether its limit broke.

    Args:
        episodes: those of a run of attacks, benign users included, which get no score.
        config: the run's configuration, as for `to_inspect`.
        path: the file to write: `.eval` or `.json`.

    Returns:
        `path`.

    Raises:
        MissingExtraError: Inspect is not installed.
        ConfigError: the path has another suffix.
        DataError: there are no episodes.
    """
    _check(path)
    played = list(episodes)
    if not played:
        raise DataError("no attack was played: there is nothing to export")
    samples = [_attack_sample(episode) for episode in played]
    completed = sum(episode.failure is None for episode in played)
    return _write(samples, [_broken(played)], completed, config, path)


def _check(path: Path) -> None:
    if importlib.util.find_spec("inspect_ai") is None:
        raise MissingExtraError("the export to Inspect", "inspect")
    if path.suffix not in {".eval", ".json"}:
        raise ConfigError(f"expected a file named *.eval or *.json for the Inspect log, got {path.name!r}")


def _write(
    samples: Sequence[EvalSample], scores: Sequence[EvalScore], completed: int, config: Mapping[str, Any], path: Path
) -> Path:
    from inspect_ai import log

    now = datetime.now(UTC).isoformat(timespec="seconds")
    written = log.EvalLog(
        status="success",
        eval=_eval_spec(config, samples, now),
        results=log.EvalResults(total_samples=len(samples), completed_samples=completed, scores=list(scores)),
        stats=log.EvalStats(started_at=now, completed_at=now),
        samples=list(samples),
    )
    log.write_eval_log(written, str(path))
    return path


def _attack_sample(episode: Episode) -> EvalSample:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import Score

    outcome = episode.outcome
    success = outcome.get("success")
    verdict = str(outcome.get("verdict", "failed"))
    told = f"in round {outcome['round']}" if outcome.get("round") else str(outcome.get("ended", ""))
    value = math.nan if success is None else float(success)
    said = [turn.text for turn in episode.turns if turn.role == "target"]
    return EvalSample(
        id=episode.id,
        epoch=1,
        input=str(episode.roles["attacker"].get("system") or "a benign user"),
        target="",
        messages=_messages(episode, "target"),
        output=ModelOutput.from_content("", said[-1] if said else ""),
        scores={BROKEN: Score(value=value, answer=said[-1] if said else "", explanation=f"{verdict} {told}".strip())},
        metadata={**episode.metadata, "seed": episode.seed, "outcome": outcome},
        error=_error(episode),
    )


def _broken(episodes: Sequence[Episode]) -> EvalScore:
    from inspect_ai.log import EvalMetric, EvalScore

    decided = [episode.outcome["success"] for episode in episodes if episode.outcome.get("success") is not None]
    parts = {"mean": sum(decided) / len(decided) if decided else math.nan, "attacks": len(decided)}
    metrics = {name: EvalMetric(name=name, value=value) for name, value in parts.items()}
    return EvalScore(name=BROKEN, scorer=BROKEN, metrics=metrics)


def _error(episode: Episode) -> EvalError | None:
    from inspect_ai.log import EvalError

    if episode.failure is None:
        return None
    return EvalError(message=str(episode.failure), traceback="", traceback_ansi="")


def _eval_spec(config: Mapping[str, Any], samples: Sequence[EvalSample], created: str) -> EvalSpec:
    """Describe the run as Inspect describes an evaluation."""
    from inspect_ai.log import EvalConfig, EvalDataset, EvalSpec

    name = str(config.get("name", "stability"))
    return EvalSpec(
        created=created,
        task=name,
        dataset=EvalDataset(name=name, samples=len(samples), sample_ids=[sample.id for sample in samples]),
        model=str(config.get("model", "unknown")),
        config=EvalConfig(),
        packages=_packages(),
        metadata=dict(config),
    )


def _sample(episode: Episode, role: str, rounds: Sequence[int]) -> EvalSample:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput

    branches: defaultdict[int, list[Branch]] = defaultdict(list)
    for branch in episode.branches:
        if branch.role == role:
            branches[branch.round].append(branch)
    who = episode.roles[role]
    spoken = [turn.text for turn in episode.turns if turn.role == role]
    return EvalSample(
        id=f"{episode.id}.{role}",
        epoch=1,
        input=str(who.get("system", "")),
        target="",
        messages=_messages(episode, role),
        output=ModelOutput.from_content("", spoken[-1] if spoken else ""),
        scores={_column(round_): _score(branches.get(round_, [])) for round_ in rounds},
        metadata={
            **episode.metadata,
            "episode": episode.id,
            "kind": episode.kind,
            "seed": episode.seed,
            "role": role,
            "families": sorted({branch.family for found in branches.values() for branch in found}),
            **{key: value for key, value in who.items() if key != "system"},
            "outcome": episode.outcome,
            "branches": [branch.model_dump(mode="json") for found in branches.values() for branch in found],
        },
        error=_error(episode),
    )


def _messages(episode: Episode, role: str) -> list[Any]:
    """Return the dialogue as `role` sees it."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    system = episode.roles[role].get("system")
    said = [
        (ChatMessageAssistant if turn.role == role else ChatMessageUser)(
            content=turn.text, metadata={"round": turn.round, "finish": turn.finish}
        )
        for turn in episode.turns
    ]
    return [*([ChatMessageSystem(content=str(system))] if system else []), *said]


def _column(round_: int) -> str:
    return f"round {round_}"


def _score(branches: Sequence[Branch]) -> Score:
    """Return a role's score at a round; a missing one is NaN, which Inspect shows as unscored."""
    from inspect_ai.scorer import Score

    value = mean(mean(answer.score for answer in branch.answers) for branch in branches)
    reasons = {answer.reason for branch in branches for answer in branch.answers if answer.score is None}
    missing = "; ".join(sorted(filter(None, reasons))) or "not probed after this round"
    return Score(
        value=math.nan if value is None else value,
        answer="\n".join(answer.text for branch in branches for answer in branch.answers),
        explanation="\n\n".join(_explain(branch) for branch in branches) or missing,
        reason=missing if value is None else None,
        metadata={"prompt_tokens": [branch.prompt_tokens for branch in branches]},
    )


def _explain(branch: Branch) -> str:
    lines = [f"{branch.probe} ({branch.family}): {branch.question}"]
    for answer in branch.answers:
        score = "no score" if answer.score is None else f"{answer.score:.2f}"
        reason = f" ({answer.reason})" if answer.reason else ""
        lines.append(f"- {score}{reason}: {answer.text}")
    return "\n".join(lines)


def _total(episodes: Sequence[Episode], round_: int) -> EvalScore:
    """Return the mean over dialogues at a round, with its interval."""
    from inspect_ai.log import EvalMetric, EvalScore

    found = bootstrap_clustered(
        (
            [mean(answer.score for answer in branch.answers) for branch in episode.branches if branch.round == round_]
            for episode in episodes
        ),
        bounds=(0, 1),
    )
    parts = {"mean": found.value, "low": found.low, "high": found.high, "dialogues": found.n}
    metrics = {name: EvalMetric(name=name, value=value) for name, value in parts.items() if value is not None}
    return EvalScore(name=_column(round_), scorer=_column(round_), metrics=metrics)


def _packages() -> dict[str, str]:
    found = {}
    for package in ("telic", "inspect_ai"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
