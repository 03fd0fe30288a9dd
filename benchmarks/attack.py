"""Attacked dialogues per minute: Telic's batch against one dialogue at a time with full prefill.

    python -m benchmarks.attack [--dialogues 48] [--rounds 8] [--sample 3] [--attackers crescendo scripted]

The attackers use their templates against the bundled model on a travel agent's limits, whose judges never fire here, so
that every dialogue has the same number of messages. `ratio_sequential` compares with how most tools attack a local
model: one dialogue after the other, `generate` with the whole history for each message. That way is measured on a
sample of the dialogues, with the same histories and reply lengths, and scaled by tokens. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stability_speed import generate_whole, plain_model
from telic.dialogue import Dialogue
from telic.episodes import Episode
from telic.models import LocalModel, load
from telic.purpose import Purpose
from telic.redteam.config import AttackConfig
from telic.redteam.plan import DefenceArm, plan_attacks, strategies_of
from telic.redteam.playing import AttackPlayer

PURPOSE = Path(__file__).parent / "purposes" / "travel.toml"


def exchanges(episode: Episode) -> list[tuple[Dialogue, int]]:
    """What the target read before each of its replies, dropped ones included, and how many tokens the reply had."""
    found: dict[int, tuple[int | None, str, str, int]] = {}
    for one in episode.metadata["dropped"]:
        found[one["query"]] = one["after"], one["said"], one["reply"], one["tokens"]
    before: int | None = None
    for said, replied in zip(episode.turns[::2], episode.turns[1::2], strict=True):
        number = int(replied.readings["query"])
        found[number], before = (before, said.text, replied.text, replied.tokens), number

    def dialogue(number: int | None) -> Dialogue:
        if number is None:
            return Dialogue().with_system(episode.roles["target"]["system"])
        after, said, reply, _ = found[number]
        return dialogue(after).add("user", said).add("assistant", reply)

    return [(dialogue(after).add("user", said), tokens) for _, (after, said, _, tokens) in sorted(found.items())]


def batched(dialogues: int, rounds: int, attackers: Sequence[str]) -> tuple[float, list[Episode], str]:
    """Play all attacks at once; return the seconds, the episodes and the type of the weights."""
    purpose = Purpose.from_file(PURPOSE)
    limits = [limit.model_copy(update={"judge": {"contains": "\x00"}}) for limit in purpose.limits]
    purpose = purpose.model_copy(update={"limits": limits})
    model = load("smollm2")
    assert isinstance(model, LocalModel)
    arms = [DefenceArm("none")]
    player = AttackPlayer(model, purpose, arms, strategies_of(attackers, None))
    config = AttackConfig(n=-(-dialogues // len(attackers)), rounds=rounds, queries=rounds, benign=1)
    tasks = [t for t in plan_attacks(list(player.limits.values()), attackers, arms, config) if t.limit][:dialogues]
    episodes: list[Episode] = []
    start = time.perf_counter()
    player.play(tasks, len(tasks), episodes.append)
    return time.perf_counter() - start, episodes, str(model.model.dtype).removeprefix("torch.")


def main() -> None:
    """Run the benchmark; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--sample", type=int, default=3, help="dialogues that are played one at a time")
    parser.add_argument("--attackers", nargs="+", default=["crescendo", "scripted"])
    options = parser.parse_args()
    seconds, episodes, dtype = batched(options.dialogues, options.rounds, options.attackers)
    tokens = sum(exchange[1] for episode in episodes for exchange in exchanges(episode))
    plain, sampled = plain_model(dtype), 0
    stride = max(1, len(episodes) // options.sample)
    sample = sorted(episodes, key=lambda episode: episode.id)[::stride][: options.sample]
    calls = [call for episode in sample for call in exchanges(episode) if call[1]]
    generate_whole(plain, [calls[0][0]], 1)  # the first call is slower
    start = time.perf_counter()
    for dialogue, new_tokens in calls:
        generate_whole(plain, [dialogue], new_tokens)
        sampled += new_tokens
    alone = (time.perf_counter() - start) * tokens / sampled
    print(
        json.dumps(
            {
                "ratio_sequential": round(alone / seconds, 2),
                "dialogues_per_minute": round(60 * len(episodes) / seconds, 2),
                "sequential_dialogues_per_minute": round(60 * len(episodes) / alone, 2),
                "seconds": round(seconds, 1),
                "sequential_seconds": round(alone, 1),
                "dialogues": len(episodes),
                "sample": len(sample),
                "messages": sum(len(exchanges(episode)) for episode in episodes),
                "tokens": tokens,
                "dtype": dtype,
            }
        )
    )


if __name__ == "__main__":
    main()
