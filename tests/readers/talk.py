"""Small conversations in TalkTuner's format, of which a tiny model can learn something."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path


def line(number: int, label: str, *turns: str) -> str:
    """One conversation; the user speaks first."""
    speakers = ("Human", "Assistant")
    text = "\n\n".join(f"### {speakers[i % 2]}: {turn}" for i, turn in enumerate(turns))
    return json.dumps({"id": number, "label": label, "text": text})


def chatter(word: str, seed: int) -> str:
    """A word over and over, with letters between, so that no two texts are alike."""
    rng = random.Random(seed)
    return " ".join(f"{word} {rng.choice(string.ascii_lowercase)}" for _ in range(6))


def write_gender(folder: Path, count: int = 30) -> Path:
    """`gender.jsonl`, in which a word tells the gender."""
    lines = []
    for label, word in (("female", "travel"), ("male", "price")):
        for number in range(count):
            turns = (chatter(word, number), "I", chatter(word, count + number), "I")
            lines.append(line(number, label, *turns))
    path = folder / "gender.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
