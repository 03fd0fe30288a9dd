"""Tools in dialogues: a shop's desk with five tools, and whether a model's calls are valid.

    python -m benchmarks.tools [--model smollm2] [-n 24] [--policy policy.md] [--free] [--seed 0]

Plays the desk (`benchmarks/retail_desk.py`) with the purpose `benchmarks/purposes/retail_desk.toml`, or with the policy
in a file of yours instead of its system prompt, such as that of tau2-bench's retail domain. `--free` lets a local model
write its calls without the grammar of the tools. Rules judge the final database and the replies. The last line is JSON:
episodes, successes and their 95 % interval (Wilson), each check's share, calls, and how many of them were valid.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from scipy.stats import binomtest

from benchmarks.retail_desk import RetailDesk
from telic.agents.model_player import ModelPlayer
from telic.episodes import Episode
from telic.models import load
from telic.purpose import Purpose
from telic.rollouts.driver import drive
from telic.rollouts.record import Task, play_episode

PURPOSE = Path(__file__).parent / "purposes" / "retail_desk.toml"


def play(player: ModelPlayer, count: int, seed: int, on_episode: Callable[[Episode], None]) -> None:
    """Play episodes side by side."""
    tasks = [
        Task(f"{number:04d}", "retail-desk", {}, number, 0, seed + number, seed + number) for number in range(count)
    ]
    episodes = (play_episode(task, RetailDesk(), {"agent": player}, None) for task in tasks)
    drive(episodes, player.models, concurrency=16, on_episode=on_episode)


def share(good: int, of: int) -> dict[str, float | int]:
    """A share with its interval."""
    interval = binomtest(good, of).proportion_ci(method="wilson") if of else None
    low, high = (round(interval.low, 3), round(interval.high, 3)) if interval else (0.0, 1.0)
    return {"n": of, "share": round(good / of, 3) if of else 0.0, "low": low, "high": high}


def main() -> None:
    """Play and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="any model that a purpose file may name")
    parser.add_argument("-n", type=int, default=24, help="episodes; the six kinds of request take turns")
    parser.add_argument("--policy", type=Path, help="a file whose text is the system prompt")
    parser.add_argument("--free", action="store_true", help="without the grammar of the tools")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--out", type=Path, help="write the episodes to this file, a line of JSON each")
    options = parser.parse_args()
    purpose = Purpose.from_file(PURPOSE)
    if options.policy is not None:
        purpose = purpose.with_changes({"system": options.policy.read_text(encoding="utf-8")})
    player = ModelPlayer(
        load(options.model), purpose, one_line=False, temperature=options.temperature, max_new_tokens=160
    )
    episodes: list[Episode] = []
    begun = time.perf_counter()
    free = patch("telic.models.local.prompts.reply_matcher", lambda *_: None)
    if options.free:
        free.start()
    play(player, options.n, options.seed, episodes.append)
    if options.out is not None:
        options.out.write_text("".join(f"{one.model_dump_json()}\n" for one in episodes), encoding="utf-8")
    scored = [one.outcome for one in episodes if one.failure is None]
    checks = Counter(key for one in scored for key, value in one["details"].items() if value is True)
    results = [step.content for one in episodes for turn in one.turns for step in turn.steps if step.role == "tool"]
    invalid = [text for text in results if text.startswith(INVALID)]
    summary = {
        "model": options.model,
        "grammar": not options.free,
        "policy": options.policy.name if options.policy else "own",
        "failed": len(episodes) - len(scored),
        "success": share(sum(one["success"] for one in scored), len(scored)),
        "valid_calls": share(len(results) - len(invalid), len(results)),
        "calls_per_episode": round(len(results) / max(1, len(episodes)), 2),
        **{key: round(value / max(1, len(scored)), 3) for key, value in sorted(checks.items())},
        "seconds": round(time.perf_counter() - begun, 1),
    }
    print(json.dumps(summary))


INVALID = ("error: there is no tool", "error: wrong arguments", "error: the arguments are")
"""Results of calls that no tool could carry out: an unknown tool, arguments that are no JSON or do not fit."""

if __name__ == "__main__":
    main()
