"""Remember users: what is believed, why, a contradiction, and forgetting.

    python examples/107_memory.py

Needs no model. A chatbot that only repeats its input shows the notes in its prompt.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from telic import Agent, Purpose, ScriptedModel
from telic.memory import LocalMemory, MemoryConfig, MemoryFile

CONVERSATIONS = [
    ["Hi! I live in Leeds, and I love jazz.", "My sister can't stand it."],
    ["When I travel for work, I prefer window seats.", "Tonight I want sushi."],
    ["I've moved to Porto.", "I hate jazz."],
]


def main() -> None:
    """Talk in three conversations, ask what is believed, and forget."""
    purpose = Purpose(name="travel", system="You are Mia, a travel agent.")
    config = MemoryConfig.of(slots=("budget",))
    model = ScriptedModel(lambda messages: f"I was told:\n{messages[-1].content}")
    with tempfile.TemporaryDirectory() as folder:
        memory = LocalMemory(MemoryFile.of_user(Path(folder), purpose.name, "ann"), config)
        for conversation in CONVERSATIONS:
            agent = Agent(model, purpose, memory=memory)
            memory.begin_conversation()
            for message in conversation:
                agent.reply(message)
        memory.begin_conversation()
        print(Agent(model, purpose, memory=memory).reply("I have to travel for work. Where do I start?").text)
        print("\nWhy?")
        for reason in memory.memory.why():
            fact, claim = reason.fact, reason.claim
            ended = "" if reason.holds else " (no longer)"
            print(f"  {fact.slot} {fact.value!r} {claim.polarity:+d}{ended}: {reason.event.text!r}")
        removed = memory.forget("jazz")
        left = b"jazz" in memory.file.path.read_bytes()
        print(f"\nForgotten: {removed} messages or parts of them; jazz is {'still' if left else 'not'} in the file")


if __name__ == "__main__":
    main()
