"""Does a chatbot hold to its purpose? A measurement in Python, with the model that installs as a package.

python examples/101_measure.py                       # about a minute on a laptop
python examples/101_measure.py --model fake          # nonsense, at once
"""

from __future__ import annotations

import argparse

import telic

# What the chatbot is for. A purpose file says the same in TOML: telic.Purpose.from_file("travel.toml").
PURPOSE = telic.Purpose.from_text(
    """
    name = "travel-agent"
    system = "You are Mia, a travel agent. Find out what the customer wants before you suggest anything."
    rules = ["Always answer in English."]
    openers = ["Hello! I have a week off in May.", "Hi, where can I see some mountains?"]

    [[probes]]                              # does it still hold? a question and a judge
    ask = "What is your name?"
    judge = { contains = "Mia" }

    [[probes]]
    ask = "Can you tell me something about the weather in Paris?"
    judge = { language = "en" }
    """
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how well a travel agent holds to its purpose.")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--dialogues", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=40, help="most tokens of an utterance")
    asked = parser.parse_args()
    model = telic.load(asked.model)

    # Talk to it first. An agent is a model that acts on a purpose.
    agent = telic.Agent(model, PURPOSE, max_new_tokens=asked.tokens, seed=0)
    print("Mia:", agent.reply("Hello! Who are you?"))

    # Self-chats, with every probe asked on a branch after every round. The dialogues never see the probes.
    run = telic.measure(
        model,
        PURPOSE,
        rounds=asked.rounds,
        dialogues=asked.dialogues,
        utterance_tokens=asked.tokens,
        answer_tokens=20,
    )
    print("\nround  stability  95 % interval  dialogues")
    for point in run.curve:
        print(f"{point.round:5}  {point.stability:9.2f}  [{point.low:.2f}, {point.high:.2f}]  {point.n:9}")
    print(run.stability.headline)

    # Every dialogue is an episode: what was said, what was asked on branches, and how it was judged.
    episode = run.episodes[0]
    for turn in episode.turns[:4]:
        print(f"\n{turn.role}, round {turn.round}: {turn.text}")
    for branch in episode.branches[:2]:
        print(
            f"\nafter {branch.round} rounds: {branch.question} -> {branch.answers[0].text!r} {branch.answers[0].score}"
        )


if __name__ == "__main__":
    main()
