"""What holds a chatbot to its purpose? Controls on rows of one batch, what they cost, and a steering vector.

python examples/102_hold.py                       # about two minutes on a laptop
"""

from __future__ import annotations

import argparse
import tempfile

import telic
from telic.capability import choice_accuracy, load_items, sample_items
from telic.steering import AttentionHold, Guidance, Reminder, SplitSoftmax, from_pretrained, save_pretrained
from telic.steering.directions import purpose_axis

SYSTEM = "You are Mia, a travel agent. Answer in one short sentence."
CONTROLS: dict[str, tuple[telic.Control, ...]] = {
    "baseline": (),
    "reminder": (Reminder(),),
    "guidance": (Guidance(1.5),),
    "split_softmax": (SplitSoftmax(0.8),),
    "attention_hold": (AttentionHold(level=1.5),),
    "two at once": (Reminder(every=2), AttentionHold()),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Bend a model towards its system prompt in several ways.")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tokens", type=int, default=24, help="most tokens of a reply")
    parser.add_argument("--items", type=int, default=18, help="multiple-choice questions")
    asked = parser.parse_args()
    model = telic.load(asked.model)
    assert isinstance(model, telic.LocalModel)

    # Each request has its own controls, and all of them share a batch. A session keeps what its control has measured.
    sessions = {}
    for name, controls in CONTROLS.items():
        sessions[name] = model.session(SYSTEM).user("Hello!")
        sessions[name].reply(controls=controls, max_new_tokens=asked.tokens, seed=0)
        sessions[name].user("I had soup for lunch. By the way, who are you?")
    requests = [
        session.request(controls=CONTROLS[name], max_new_tokens=asked.tokens, seed=1, readings=("attention",))
        for name, session in sessions.items()
    ]
    for name, reply in zip(sessions, model.generate(requests), strict=True):
        print(f"{name:15} attention to the system prompt {reply.attention.mean():.3f}  {reply.text!r}")

    # What does it cost? Multiple choice by likelihood, under the same system prompt.
    items = sample_items(load_items(), asked.items)
    for name in ("baseline", "split_softmax"):
        print(f"{name:15} right answers {choice_accuracy(model, items, CONTROLS[name], SYSTEM).accuracy}")

    # The purpose axis: the mean activation with the system prompt minus that without, held at the first reply's level.
    said = [sessions["baseline"].dialogue.add("assistant", "I am Mia, and I find out where you want to go.")]
    axis = purpose_axis(model, [SYSTEM], said, layers=[model.layers // 2], mode="cap", floor="first")
    with tempfile.TemporaryDirectory() as folder:
        save_pretrained(axis, folder, model=model)
        session = model.session(SYSTEM).user("Hello!")
        held = from_pretrained(folder, model=model)
        print("capped:", session.reply(controls=(held,), max_new_tokens=asked.tokens, seed=0))


if __name__ == "__main__":
    main()
