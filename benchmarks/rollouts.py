"""Utilisation of the engine's batch over many episodes of elicitation, and two Ray workers against one process.

`full_batch_share` is the share of forward passes with a full batch. It counts only passes with enough work: at least as
many unfinished episodes as the batch has rows. `occupancy` covers all passes: decoded rows divided by passes times
rows. `engine_share` is the share of the time that the engine computes; games and players take the rest.

    python benchmarks/rollouts.py [--episodes 256] [--rounds 4] [--ray]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from telic.agents.model_player import ModelPlayer
from telic.agents.player import Player
from telic.episodes import Episode
from telic.models import LocalModel, load
from telic.rollouts import PlayerFactory, play


@dataclass
class Passes:
    """Counts of forward passes."""

    counted: int = 0
    full: int = 0
    seconds: float = 0.0


def make() -> Mapping[str, Player]:
    """Make the players of a worker."""
    return {"agent": ModelPlayer(load("smollm2"))}


def watch(model: LocalModel, passes: Passes, left: list[int]) -> None:
    """Record the batch of every forward pass."""
    engine = model.engine
    compute = engine._run_pass

    def watched() -> None:
        if left[0] >= engine.max_batch:
            passes.counted += 1
            passes.full += len(engine.active) == engine.max_batch
        start = time.perf_counter()
        compute()
        passes.seconds += time.perf_counter() - start

    engine._run_pass = watched  # type: ignore[method-assign]


def main() -> None:
    """Run the benchmark; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--tokens", type=int, default=40, help="maximum new tokens per utterance")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--ray", action="store_true", help="also play with two workers on Ray, one thread each")
    options = parser.parse_args()
    game = {"name": "elicitation", "rounds": options.rounds}
    model = load("smollm2", max_batch=options.batch)
    assert isinstance(model, LocalModel)
    passes, left, tokens = Passes(), [options.episodes], 0

    def ended(episode: Episode) -> None:
        nonlocal tokens
        left[0] -= 1
        tokens += sum(turn.tokens for turn in episode.turns)

    watch(model, passes, left)
    players = {"agent": ModelPlayer(model, max_new_tokens=options.tokens)}
    start = time.perf_counter()
    run = play(game, players, options.episodes, references=False, concurrency=options.concurrency, on_episode=ended)
    seconds = time.perf_counter() - start
    engine = model.engine
    summary: dict[str, Any] = {
        "full_batch_share": round(passes.full / max(passes.counted, 1), 4),
        "occupancy": round(engine.drawn_tokens / (engine.passes * engine.max_batch), 4),
        "engine_share": round(passes.seconds / seconds, 4),
        "passes": engine.passes,
        "seconds": round(seconds, 1),
        "tokens_per_second": round(tokens / seconds, 1),
        "episodes_per_minute": round(60 * options.episodes / seconds, 1),
        "valid": run.results[0].valid,
        "episodes": options.episodes,
        "batch": engine.max_batch,
        "threads": torch.get_num_threads(),
    }
    if options.ray:
        summary |= on_ray(game, options.episodes, options.concurrency)
    print(json.dumps(summary))


def on_ray(game: Mapping[str, Any], episodes: int, concurrency: int) -> dict[str, Any]:
    """Compare two workers of one thread each with one process of one thread, without the start-up time."""
    from telic.rollouts.ray_workers import RayWorkers

    torch.set_num_threads(1)
    players = make()
    start = time.perf_counter()
    alone = play(game, players, episodes, references=False, concurrency=concurrency)
    one = time.perf_counter() - start
    workers = RayWorkers("local", workers=2)
    start = time.perf_counter()
    play({**game, "rounds": 1}, PlayerFactory(make, {}), 2, references=False, workers=workers)
    startup = time.perf_counter() - start
    start = time.perf_counter()
    spread = play(game, PlayerFactory(make, {}), episodes, references=False, concurrency=concurrency, workers=workers)
    two = time.perf_counter() - start - startup
    same = [a.model_dump() == b.model_dump() for a, b in zip(alone.episodes, spread.episodes, strict=True)]
    return {
        "ray_speedup": round(one / two, 2),
        "one_process_seconds": round(one, 1),
        "two_workers_seconds": round(two, 1),
        "workers_startup_seconds": round(startup, 1),
        "same_episodes": sum(same),
    }


if __name__ == "__main__":
    main()
