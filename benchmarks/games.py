"""Speed of the games, and the score of random decisions.

    python -m benchmarks.games [--games assignment itinerary] [--resets 200] [--random 2000]

For every registered game: milliseconds per reset (mean over seeds 0, 1, ...), steps per second, and whole scripted
episodes per second (reset, instructions and observations included). With `--random`, also the mean normalised score of
uniformly random decisions with its standard error. No model runs. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import pkgutil
import time
from importlib import import_module
from typing import Any

import numpy as np

import telic.games
from telic.agents.scripted.decisions import DECISION_SCRIPTS
from telic.agents.scripted.players import Script
from telic.games.base import Game, build_game, registry
from telic.games.decisions import DecisionGame


def first_options(game: Game, role: str) -> str:
    """A script for any game: the last legal kind of act, its form filled with the first options."""
    kind = game.observe(role).legal[-1]
    chosen: list[str] = []
    while options := game.options(role, kind, chosen):
        chosen.append(options[0])
    return f"[{kind}] {game.fill(role, kind, chosen) if chosen else 'I see.'}"


def reset_ms(game: Game, resets: int) -> float:
    """Mean time of a reset."""
    game.reset(0)
    start = time.perf_counter()
    for seed in range(resets):
        game.reset(seed)
    return 1e3 * (time.perf_counter() - start) / resets


def speeds(game: Game, script: Script, seconds: float) -> dict[str, float]:
    """Steps and whole episodes per second; a step includes the observation, not the script."""
    episodes = steps = 0
    stepping = 0.0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        game.reset(episodes)
        while game.turn is not None:
            role = game.turn
            utterance = script(game, role)
            before = time.perf_counter()
            game.observe(role)
            game.step(role, utterance)
            stepping += time.perf_counter() - before
            steps += 1
        episodes += 1
    passed = time.perf_counter() - start
    return {"steps_per_second": steps / stepping, "episodes_per_second": episodes / passed}


def random_play(game: DecisionGame, episodes: int) -> dict[str, float]:
    """Mean normalised score of uniformly random decisions."""
    scores = []
    for seed in range(episodes):
        game.reset(seed)
        script = DECISION_SCRIPTS["random"](seed)
        while game.turn is not None:
            game.step(game.turn, script(game, game.turn))
        scores.append(game.outcome().normalised)
    values = np.array([score for score in scores if score is not None])
    return {
        "random_mean": float(values.mean()),
        "random_error": float(values.std() / np.sqrt(len(values))),
        "random_n": len(values),
    }


def main() -> None:
    for module in pkgutil.iter_modules(telic.games.__path__):
        import_module(f"telic.games.{module.name}")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--games", nargs="+", default=registry.names(), choices=registry.names())
    parser.add_argument("--resets", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=2.0, help="how long to play each game")
    parser.add_argument("--random", type=int, default=0, help="random episodes of the decision-oriented games")
    options = parser.parse_args()
    summary: dict[str, Any] = {}
    for name in options.games:
        game = build_game({"name": name})
        found = {"reset_ms": reset_ms(game, options.resets)}
        script = DECISION_SCRIPTS["oracle"](0) if isinstance(game, DecisionGame) else first_options
        found |= speeds(game, script, options.seconds)
        if options.random and isinstance(game, DecisionGame):
            found |= random_play(game, options.random)
        summary |= {f"{name}.{key}": round(value, 4) for key, value in found.items()}
        print(name, json.dumps({key: round(value, 4) for key, value in found.items()}), flush=True)
    summary |= {"resets": options.resets, "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1)}
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
