"""A pair programmer on an issue of which its author tells only a part: without questions, and with them.

    python examples/109_pair.py

Needs Linux, git and bubblewrap, but no model: a script stands in for one that can write code. It writes the right patch
only if it has been told what a senseless discount should do. `--model` takes a real one.
"""

from __future__ import annotations

import argparse

import telic
from telic.assistants.pairing import PairConfig, PairPlayer, PairProgrammer
from telic.dialogue import Message
from telic.models import Model, ScriptedModel
from telic.rollouts import play

PATCHED = """```python
def apply_discount(price, percent):
    if not 0 <= percent <= 100:
        {refuse}
    return round_price(price * (100 - percent) / 100)
```"""


def script(messages: tuple[Message, ...]) -> str:
    """Answer as a model would."""
    text = messages[-1].content
    knows = "should raise a `ValueError`" in text
    if "Is something missing" in text:
        return "no" if knows else "yes"
    if "Ask the author" in text:
        return "What should a discount above 100 percent do?\n1. raise an error\n2. count as 100 percent"
    if "Which of these has to change" in text:
        return next(line for line in text.splitlines() if "apply_discount:" in line).split(": ")[0]
    return PATCHED.format(refuse="raise ValueError(percent)" if knows else "percent = 0")


def main() -> None:
    """Play one issue in two settings, and print the dialogues."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model that can write code; by default a script")
    name = parser.parse_args().model
    model: Model = telic.load(name) if name else ScriptedModel(script)
    config = PairConfig.of() if name else PairConfig.of(mode="functions", samples=1, repairs=0)
    for setting in ("hidden", "interactive"):
        game = {"name": "issue", "only": ["2-discount"], "setting": setting}
        run = play(game, {"agent": PairPlayer(PairProgrammer(model, config))}, n=1)
        [episode] = run.episodes
        print(f"--- {setting}")
        for turn in episode.turns:
            print(f"{turn.role}: {turn.text.strip()}")
        print(f"=> {episode.outcome['reason'] if episode.outcome else episode.failure}\n")


if __name__ == "__main__":
    main()
