"""Train a planner for a travel agent: it learns which dialogue act a frozen model should play when.

python examples/103_train.py                      # about 40 minutes on a laptop
python examples/103_train.py --episodes 64 --held-out 40 --act-epochs 6   # a rough one, in ten minutes
"""

from __future__ import annotations

import argparse
from pathlib import Path

import telic
from telic.planner import PlannerControl

PURPOSE = """
name = "travel"
system = "You are a travel agent. Find out what the customer wants before you suggest anything."

[game]
name = "elicitation"
domain = "travel"
rounds = 3
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a planner, and talk to the model that it steers.")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--episodes", type=int, default=256, help="episodes of each collection")
    parser.add_argument("--held-out", type=int, default=100, help="episodes of the evaluation")
    parser.add_argument("--act-epochs", type=int, default=12, help="epochs in which the acts are distilled")
    parser.add_argument("--acts", help="a TOML file of your own acts")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    asked = parser.parse_args()
    purpose = telic.Purpose.from_text(PURPOSE, "103_train.py")
    model = telic.load(asked.model)

    run = telic.train(
        model,
        purpose,
        folder=asked.runs,
        episodes=asked.episodes,
        validation=max(2, asked.held_out // 2),
        held_out=asked.held_out,
        act_epochs=asked.act_epochs,
        acts=asked.acts,
        rl_steps=0,
        baselines=False,
        on_stage=lambda stage: print(f"  {stage.name}: {stage.seconds:.0f} s"),
    )
    print(run.headline)

    # A planner acts as a control, wherever the model speaks.
    for name, controls in (("baseline", []), ("planner", [PlannerControl(planner=run.planner)])):
        agent = telic.Agent(model, purpose, controls=controls, temperature=0.0, max_new_tokens=40)
        print(f"{name}:", agent.reply("Hello! I would like to get away for a while."))
    print(f"Saved in {run.path}")


if __name__ == "__main__":
    main()
