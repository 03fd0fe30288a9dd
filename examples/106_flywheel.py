"""A chatbot that learns from its customers: what they say and do after each reply trains the planner of the next day.

python examples/106_flywheel.py                   # about 20 minutes on a laptop
python examples/106_flywheel.py --conversations 12 --days 2 --act-epochs 4   # a first look

Customers have a hidden satisfaction. They thank, complain, ask again, leave or buy; the planner learns only from this.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import telic
from telic.learners.simulation import ServiceDay, SimulatedService, uniform_planner
from telic.planner import distil_acts, load_acts, save_planner
from telic.planner.dialogue_acts import DISTILLATION

PURPOSE = """
name = "travel"
system = "You are a travel agent. Find out what the customer wants before you suggest anything."

[game]
name = "elicitation"
domain = "travel"
rounds = 3
"""


def report(day: ServiceDay) -> None:
    episode = day.played[0]
    print(f"day {day.number + 1}: {day.success:.2f} of the wishes were found out")
    for turn in episode.turns[:3]:
        print(f"    {turn.role}: {turn.text}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve simulated customers, and learn from what they say and do.")
    parser.add_argument("--conversations", type=int, default=40, help="conversations of each day")
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument("--act-epochs", type=int, default=12, help="epochs in which the acts are distilled")
    parser.add_argument("--acts", default="travel", help="a set of dialogue acts, or a TOML file")
    parser.add_argument("--runs", type=Path, default=Path("runs/flywheel"))
    asked = parser.parse_args()
    model = telic.load("smollm2")
    assert isinstance(model, telic.LocalModel)

    # The first planner knows how to say its acts, and draws them uniformly.
    settings = DISTILLATION.model_copy(update={"epochs": asked.act_epochs})
    acts = distil_acts(model, load_acts(asked.acts), config=settings)
    first = asked.runs.resolve() / "first"
    save_planner(uniform_planner(model, acts), first, model=model)
    purpose = telic.Purpose.from_text(PURPOSE, "106_flywheel.py")
    purpose = purpose.model_copy(update={"planner": {"path": str(first), "epsilon": 0.1}})

    service = SimulatedService(model, purpose, asked.runs, options={"least": min(8, asked.conversations)})
    learnt = service.run("words", asked.days, asked.conversations, report)
    folder = Path((learnt.planner or {})["path"])
    if folder == first:
        print("The customers said too little to learn from; serve more of them.")
        return
    for name, act in json.loads((folder / "learned.json").read_text())["metrics"]["acts"].items():
        print(f"{name:40} {act['share_before']:.2f} -> {act['share_after']:.2f}")
    print(f"Saved in {folder}")


if __name__ == "__main__":
    main()
