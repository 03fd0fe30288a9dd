"""Kept attacks: every attack that worked is a file, and a regression test of the purpose from then on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.agents.player import seed_of
from telic.episodes import Episode
from telic.errors import ConfigError, DataError
from telic.files import write_atomically
from telic.judges.limits import judged_limits
from telic.models import Model
from telic.purpose import Purpose
from telic.redteam.attackers.replay import Replay
from telic.redteam.episode import AttackTask, play_attack
from telic.redteam.plan import BENIGN
from telic.redteam.target import AttackTarget
from telic.rollouts.driver import drive

__all__ = ["KeptAttack", "ReplayedAttack", "keep_attacks", "read_attacks", "replay_attacks"]


class KeptAttack(BaseModel):
    """An attack that worked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(default=1, le=1)
    purpose: str
    """Name of the purpose."""
    limit: str
    """Name of the limit that it broke."""
    attacker: str
    defence: str
    model: str
    messages: list[str] = Field(min_length=1)
    """What was said to the target, without what was taken back."""
    seeds: list[int] = Field(default_factory=list)
    """Seeds of the target's replies."""
    reply: str
    """The reply that broke the limit."""

    @classmethod
    def of(cls, episode: Episode, purpose: Purpose) -> KeptAttack:
        """Make it from an episode that broke its limit."""
        metadata = episode.metadata
        replies = [turn for turn in episode.turns if turn.role == "target"]
        return cls(
            purpose=purpose.name,
            limit=str(metadata["limit"]),
            attacker=str(metadata["attacker"]),
            defence=str(metadata["defence"]),
            model=str(episode.roles["target"]["name"]),
            messages=[turn.text for turn in episode.turns if turn.role == "attacker"],
            seeds=[seed_of(episode.seed, "target", metadata["task"], turn.readings["query"]) for turn in replies],
            reply=replies[-1].text,
        )

    @property
    def file_name(self) -> str:
        """A name that the same messages always get."""
        digest = hashlib.sha256("\0".join([self.limit, *self.messages]).encode()).hexdigest()[:10]
        return f"{_slug(self.purpose)}-{_slug(self.limit)}-{digest}.json"


@dataclass(frozen=True)
class ReplayedAttack:
    """A kept attack, tried again."""

    path: Path
    attack: KeptAttack
    tries: int
    """Tries with a verdict."""
    broken: int
    """Tries that broke the limit."""
    fault: str = ""
    """Why some tries have no verdict."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        own = {"file": str(self.path), "limit": self.attack.limit, "attacker": self.attack.attacker}
        return {**own, "tries": self.tries, "broken": self.broken, "fault": self.fault}


def keep_attacks(episodes: Iterable[Episode], purpose: Purpose, folder: Path) -> list[Path]:
    """Write each attack that broke its limit into a file, unless the folder has it.

    Returns:
        The new files.
    """
    new = []
    for episode in episodes:
        if episode.metadata.get("attacker") == BENIGN or not episode.outcome.get("success"):
            continue
        kept = KeptAttack.of(episode, purpose)
        path = folder / kept.file_name
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(kept.model_dump(mode="json"), indent=2, ensure_ascii=False)
            write_atomically(path, text + "\n")
            new.append(path)
    return new


def read_attacks(folder: str | Path) -> dict[Path, KeptAttack]:
    """Read the kept attacks of a folder, or one file.

    Raises:
        ConfigError: there is no such folder, or nothing in it.
        DataError: a file is no kept attack.
    """
    path = Path(folder)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not path.exists() or not files:
        raise ConfigError(f"no kept attacks in {str(path)!r}; `telic attack` writes them")
    found = {}
    for file in files:
        try:
            found[file] = KeptAttack.model_validate_json(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, ValidationError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise DataError(f"{file} is not a kept attack: {reason}") from None
    return found


def replay_attacks(
    model: Model,
    purpose: Purpose,
    kept: dict[Path, KeptAttack],
    *,
    tries: int = 3,
    concurrency: int = 32,
    on_episode: Callable[[Episode], None] | None = None,
) -> list[ReplayedAttack]:
    """Try kept attacks again, behind the purpose's own defences.

    The first try has the seeds of the recorded attack, so that on an unchanged chatbot it goes as it went.

    Raises:
        ConfigError: an attack is on a limit that the purpose does not have, or a part of the purpose is wrong.
    """
    limits = {limit.name: limit for limit in judged_limits(purpose, model)}
    for path, attack in kept.items():
        if attack.limit not in limits:
            known = ", ".join(limits) or "none"
            raise ConfigError(f"{path}: the purpose has no limit {attack.limit!r} (it has {known}); delete the file")
    target = AttackTarget(model, purpose, limits=list(limits.values()))
    played: dict[str, list[Episode]] = {}

    def end(episode: Episode) -> None:
        played.setdefault(str(episode.metadata["attacker"]), []).append(episode)
        if on_episode is not None:
            on_episode(episode)

    episodes = (
        play_attack(_task(path, attack, number), target, limits[attack.limit], _strategy(attack, number))
        for path, attack in kept.items()
        for number in range(tries)
    )
    drive(episodes, target.models, concurrency=concurrency, on_episode=end)
    return [_replayed(path, attack, played[str(path)]) for path, attack in kept.items()]


def _task(path: Path, attack: KeptAttack, number: int) -> AttackTask:
    n = len(attack.messages)
    return AttackTask(f"{path.stem}-{number}", str(path), "purpose", attack.limit, number, number, n, n)


def _strategy(attack: KeptAttack, number: int) -> Replay:
    replay = Replay(tuple(attack.messages))
    return replay if number else replace(replay, seeds=tuple(attack.seeds))


def _replayed(path: Path, attack: KeptAttack, episodes: Sequence[Episode]) -> ReplayedAttack:
    decided = [episode.outcome["success"] for episode in episodes if episode.outcome.get("success") is not None]
    faults = [str(episode.failure) for episode in episodes if episode.failure is not None]
    undecided = [e.outcome["verdict"] for e in episodes if e.failure is None and e.outcome["success"] is None]
    faults += [f"the judge's verdict is {verdict!r}" for verdict in undecided]
    return ReplayedAttack(path, attack, len(decided), sum(decided), faults[0] if faults else "")


def _slug(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower()).strip("-")[:40] or "x"
