"""What do users think of two versions? Evidence in what they say, a report, a data set, an off-policy estimate.

python examples/105_learn.py                      # a second, without a model
"""

from __future__ import annotations

import argparse
import math
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from telic.episodes import Episode, Turn
from telic.feedback import OffPolicyData, estimate_value, learn, write_export

REQUEST = "Find me a hotel in the centre for two nights."
REPLIES = {"asks": "Two nights: is 90 pounds a night too much?", "guesses": "The Grand, 240 pounds a night."}
"""What a version does: ask first, or guess."""
PLEASED = ("Great, thank you!", "That sounds good, book it.", "Perfect.")
DISPLEASED = ("That's too expensive. Something else?", "No, that's wrong, I said the centre.", "This is useless.")
HIDDEN = {"asks": 0.8, "guesses": 0.4}
"""How often each act pleases a user. Nothing below uses these numbers to learn."""
SHARES = {"careful": {"asks": 0.7, "guesses": 0.3}, "bold": {"asks": 0.3, "guesses": 0.7}}
"""How often each version does what."""


def conversations(count: int, seed: int) -> Iterator[Episode]:
    """Simulate users of the two versions."""
    draw = random.Random(seed)
    for number in range(count):
        version = draw.choice(list(SHARES))
        act = draw.choices(list(REPLIES), [SHARES[version][name] for name in REPLIES])[0]
        answer = draw.choice(PLEASED if draw.random() < HIDDEN[act] else DISPLEASED)
        said = (("user", REQUEST), ("assistant", REPLIES[act]), ("user", answer))
        turns = [
            Turn(role=role, round=1 + place // 2, text=text, act=act, origin={"time": 1.79e9 + 900 * number + place})
            for place, (role, text) in enumerate(said)
        ]
        turns[1].origin.update(setup=version, logprob=math.log(SHARES[version][act]))
        roles: dict[str, dict[str, str]] = {"assistant": {"system": "You are Mia, a travel agent."}, "user": {}}
        metadata = {"user": f"user {number % 200}", "setups": {name: {"model": name} for name in SHARES}}
        yield Episode(id=f"c{number}", kind="log", seed=0, roles=roles, turns=turns, metadata=metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learn from what users say.")
    parser.add_argument("--conversations", type=int, default=1000)
    asked = parser.parse_args()
    run = learn(list(conversations(asked.conversations, seed=0)), name="hotels")
    print(run.analysis.headline)
    for version in run.analysis.by_version:
        print(f"{version.name:10} {version.interval}  n = {version.conversations}")
    for cluster in run.analysis.blamed[:2]:
        print("complaints:", ", ".join(cluster["words"]), "|", cluster["examples"][0]["answer"])

    with tempfile.TemporaryDirectory() as folder:
        rows = write_export("kto", run.labelled, Path(folder) / "kto.jsonl")
        print(f"{rows} rows for KTO")

    # What would a version that always asks earn? Only the logged decisions that it shares tell.
    replies = [episode.turns[1] for episode in run.labelled]
    data = OffPolicyData(
        rewards=[reply.reward["assistant"] for reply in replies],
        behaviour_logprobs=[reply.origin["logprob"] for reply in replies],
        target_logprobs=[0.0 if reply.act == "asks" else -math.inf for reply in replies],
    )
    print("reward now:", round(sum(data.rewards) / len(replies), 2), "| if it always asked:", estimate_value(data))


if __name__ == "__main__":
    main()
