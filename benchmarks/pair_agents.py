"""Pair programmers on issues: settings x agents, with intervals over issues.

    python -m benchmarks.pair_agents --model smollm2 --data DIR --runs runs/pair-agents [--n 20] [--only ...]

DIR holds `quixbugs/` or `ambig_swe.jsonl`; without it the issues that ship with Telic are played. The agents are

- `ours`: asks when the answer would change the patch; draws versions, repairs them with what the tests say;
- `always_asks`: the same, but asks as often as it may;
- `never_asks`: the same, but asks nothing;
- `one_shot`: asks nothing, writes once.

Each setting and agent has a run folder in `--runs`; a run that was interrupted goes on from there. Figures: the share
of resolved issues, the gap that asking recovers, false and missed questions, words of the user, regressions, each with
a 95 % interval over issues. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telic.assistants.pairing.config import PairConfig
from telic.assistants.pairing.measures import measure_pairing, recovered_gap
from telic.assistants.pairing.player import PairPlayer
from telic.assistants.pairing.programmer import PairProgrammer
from telic.episodes import Episode
from telic.games.issue import IssueGame
from telic.models import Model, load
from telic.rollouts import play
from telic.runs import RunFolder

SETTINGS = ("full", "hidden", "interactive")
AGENTS: Mapping[str, Mapping[str, Any]] = {
    "ours": {},
    "always_asks": {"ask": "always"},
    "never_asks": {"ask": "never"},
    "one_shot": {"ask": "never", "samples": 1, "repairs": 0},
}


def main() -> None:
    options = read_options()
    model = load(options.model)
    source = ""
    if options.data is not None:
        source = f"quixbugs:{options.data / 'quixbugs'}" if options.set == "quixbugs" else f"ambig_swe:{options.data}"
    issues = IssueGame(issues=source, only=options.only, unsafe=options.unsafe)
    n = min(options.n or len(issues.pool), len(issues.pool))
    figures: dict[str, dict[str, Any]] = {}
    for agent in options.agents:
        episodes: dict[str, list[Episode]] = {}
        for setting in options.settings:
            spec = {"name": "issue", "issues": source, "setting": setting, "test_seconds": options.test_seconds}
            spec |= {"unsafe": True} if options.unsafe else {}
            spec |= {"only": list(options.only)} if options.only else {}
            episodes[setting] = run_arm(model, agent, setting, spec, n, options)
            measures = measure_pairing(episodes[setting])
            figures.setdefault(agent, {})[setting] = measures.as_dict()
            print(
                f"{agent:12} {setting:12} resolved {measures.resolved}, questions {measures.questions}, false "
                f"{measures.false_questions}, missed {measures.missed_questions}, words {measures.user_words}, "
                f"regressions {measures.regressions}, failed {measures.failed}",
                flush=True,
            )
        if set(SETTINGS) <= episodes.keys():
            gap = recovered_gap(*(episodes[setting] for setting in SETTINGS))
            figures[agent]["recovered_gap"] = {"value": gap.value, "low": gap.low, "high": gap.high, "n": gap.n}
            print(f"{agent:12} recovered gap {gap}", flush=True)
    print(json.dumps({"model": model.name, "issues": source or "shipped", "n": n, "seed": options.seed, **figures}))


def run_arm(
    model: Model, agent: str, setting: str, spec: Mapping[str, Any], n: int, options: argparse.Namespace
) -> list[Episode]:
    """Play one agent in one setting, or what is left of it."""
    config = {"mode": options.mode, "tokens": options.tokens, **AGENTS[agent]}
    config |= {"samples": options.samples} if "samples" not in AGENTS[agent] else {}
    player = PairPlayer(PairProgrammer(model, PairConfig.of(**config)), agent)
    root = options.runs / f"{agent}-{setting}"
    before = RunFolder.list(root)
    run = play(
        spec,
        {"agent": player},
        n,
        options.seed,
        trials=options.trials,
        name=f"{agent}-{setting}",
        folder=None if before else root,
        resume=before[-1].path if before else None,
        concurrency=options.concurrency,
        references=False,
        progress=not options.quiet,
    )
    return run.episodes


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--set", choices=("quixbugs", "ambig_swe"), default="quixbugs")
    parser.add_argument("--only", nargs="*", default=(), help="ids of issues, such as quixbugs-gcd")
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=SETTINGS)
    parser.add_argument("--agents", nargs="+", choices=tuple(AGENTS), default=tuple(AGENTS))
    parser.add_argument("-n", "--n", type=int, default=0, help="issues; by default all")
    parser.add_argument("--trials", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--mode", choices=("auto", "functions", "tools"), default="auto")
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=60_000)
    parser.add_argument("--test-seconds", type=float, default=30.0)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--runs", type=Path, default=Path("runs/pair-agents"))
    parser.add_argument("--unsafe", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
