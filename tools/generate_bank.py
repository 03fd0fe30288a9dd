"""Let a model write a bank of instructions, and keep what rules can vouch for.

The model is shown one example of a form (an instruction, a question, a judge, an obeying answer) and writes another one
of the same form about another setting. A proposal is kept if its judge is a rule of the same kind, its own obeying
answer passes, answers without the system prompt fail, and nothing like it was kept before. What is kept is of the
model's making: no sentence of Telic's own bank is in it.

    python -m tools.generate_bank --model smollm2 --out generated.toml --count 40
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from telic.dialogue import Message
from telic.errors import TelicError
from telic.judges import build_judge
from telic.judges.rules import normalise
from telic.models import Model, Request, Sampling, load
from telic.stability.bank import Demand, Triplet
from telic.toml_edit import dump

BATCH = 16
ALIKE = 0.6
"""Share of the words of two system prompts from which on they count as the same."""
SETTINGS = (
    *("a bakery", "a ferry", "a library", "a zoo", "a dentist", "a bank", "a school", "a hotel", "a garden", "a farm"),
    *("a theatre", "a museum", "a taxi", "an airport", "a gym", "a kitchen", "a post office", "a cinema", "a castle"),
    *("a bookshop", "a clinic", "a train", "a market", "a laboratory", "a lighthouse", "a workshop", "a pet shop"),
    *("a weather station", "a tea house", "a sports club", "a radio programme", "a newspaper", "a spaceship"),
)
ASKED = (
    "You write tests for chatbots. Here is one, about a pool:\n{example}\n\n"
    "Write another one of the same form, about {setting}. Change all names, words and facts. The answer in "
    '"good" obeys "system" and is short. Reply with one line of JSON with the keys system, ask, judge and good.'
)


@dataclass(frozen=True)
class Form:
    """A kind of triplet that the model is asked for, with an example of it."""

    demand: Demand
    system: str
    ask: str
    judge: dict[str, Any]
    good: str
    told: bool = True
    """Whether the judge looks for words that the system prompt has to tell."""

    @property
    def example(self) -> str:
        """The example as the model sees it."""
        return json.dumps({"system": self.system, "ask": self.ask, "judge": self.judge, "good": self.good})


FORMS = (
    Form("identity", "You are Ruvo, who repairs clocks.", "What is your name?", {"contains": "Ruvo"}, "I am Ruvo."),
    Form("memory", "You work at a pool. It closes at 19:40.", "When do you close?", {"contains": "19:40"}, "19:40."),
    Form("memory", "You sell shoes. The best are called Talda.", "Which are the best?", {"contains": "Talda"},
         "The Talda shoes."),
    Form("begins or ends", 'Begin every reply with the words "Splash ahead".', "How are you?",
         {"starts_with": "Splash ahead"}, "Splash ahead! I am fine."),
    Form("begins or ends", 'You are a diver. End every reply with the words "bubbles to you".', "Is it cold today?",
         {"ends_with": "bubbles to you"}, "It is cold, bubbles to you."),
    Form("includes", 'You swim a lot. Use the word "dolphin" in every reply.', "What is a good hobby?",
         {"contains": "dolphin"}, "Swim like a dolphin."),
    Form("throughout", 'Say the word "wave" at least three times in every reply.', "What do you see?",
         {"count": "wave", "min": 3}, "A wave, a wave, and one more wave."),
    Form("throughout", "You are a loud coach. Write in capital letters only.", "Who won?", {"casing": "upper"},
         "OUR TEAM WON!", told=False),
    Form("forbids", 'Never say the word "water".', "What do you swim in?", {"excludes": "water"}, "In a pool."),
    Form("language", "You are a guide in Rome. Reply in Italian only.", "What can I see here?", {"language": "it"},
         "Puoi vedere il Colosseo e molte chiese.", told=False),
    Form("length", "You are out of breath. Never use more than six words.", "How was the race?",
         {"length": "words", "max": 6}, "It was long and hot.", told=False),
)  # fmt: skip


@dataclass
class Sieve:
    """Keeps the sound proposals, and counts why the others were dropped."""

    kept: list[Triplet] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)

    def read(self, form: Form, text: str) -> Triplet | None:
        """Read a proposal, and check all that needs no answer of a model."""
        try:
            triplet = self._read(form, text)
        except _DroppedError as reason:
            self.dropped[str(reason)] += 1
            return None
        return triplet

    def take(self, triplet: Triplet, neutral: Sequence[str]) -> bool:
        """Keep a proposal if all answers that were given without its system prompt fail, and none is like it."""
        judge = triplet.build_judge()
        if not neutral or any(judge.judge(answer, triplet.ask).value != 0.0 for answer in neutral):
            self.dropped["an answer without the instruction passes"] += 1
        elif any(_alike(triplet, other) for other in self.kept):
            self.dropped["like one before"] += 1
        else:
            update = {"id": f"{triplet.family}-{len(self.kept):03d}", "bad": tuple(dict.fromkeys(neutral))}
            self.kept.append(triplet.model_copy(update=update))
            return True
        return False

    def _read(self, form: Form, text: str) -> Triplet:
        found = _first_object(text)
        if set(found) < {"system", "ask", "judge", "good"}:
            raise _DroppedError("keys are missing")
        system, ask, judge, good = (found[key] for key in ("system", "ask", "judge", "good"))
        if not isinstance(judge, dict) or set(judge) != set(form.judge):
            raise _DroppedError("another kind of judge")
        family = form.demand.replace(" ", "-")
        try:
            triplet = Triplet(id="new", family=family, demand=form.demand, system=system, ask=ask, judge=judge,
                              good=(good,))  # fmt: skip
            wrong = triplet.misjudged()
        except (ValidationError, TelicError):
            raise _DroppedError("the judge or a text is not valid") from None
        if not (20 <= len(system) <= 300 and 6 <= len(ask) <= 160):
            raise _DroppedError("too short or too long")
        if wrong:
            raise _DroppedError("its own answer fails")
        phrase = next(iter(judge.values()))
        phrases = phrase if isinstance(phrase, list) else [phrase]
        if form.told and not all(normalise(str(text)) in normalise(system) for text in phrases):
            raise _DroppedError("the system prompt does not tell what is judged")
        # "Never say ..." is broken by a question that leads there; all others must not give the answer away.
        if form.told and form.demand != "forbids" and build_judge(judge).judge(ask, "").value != 0.0:
            raise _DroppedError("the question gives the answer away")
        if any(_alike(triplet, Triplet(id="x", system=f.system, ask=f.ask, judge=f.judge)) for f in FORMS):
            raise _DroppedError("like the example")
        return triplet


class _DroppedError(Exception):
    """Why a proposal is dropped."""


def _first_object(text: str) -> dict[str, Any]:
    start = text.find("{")
    try:
        found, _ = json.JSONDecoder().raw_decode(text[max(0, start) :])
    except (ValueError, RecursionError):
        raise _DroppedError("no JSON") from None
    if not isinstance(found, dict):
        raise _DroppedError("no JSON")
    return found


def _alike(one: Triplet, other: Triplet) -> bool:
    words, others = (set(re.findall(r"\w+", normalise(triplet.system))) for triplet in (one, other))
    same_test = (one.judge, normalise(one.ask)) == (other.judge, normalise(other.ask))
    return same_test or len(words & others) >= ALIKE * len(words | others)


def generate(
    model: Model, count: int, *, attempts: int, seed: int = 0, on_batch: Callable[[Sieve], None] | None = None
) -> Sieve:
    """Ask a model for triplets until `count` are kept, or `attempts` proposals were made.

    Args:
        model: writes the proposals, and the answers without the system prompt.
        count: how many to keep.
        attempts: how many proposals to ask for at most.
        seed: of the settings and all replies.
        on_batch: called with what was found so far, after every batch of proposals.
    """
    draw, sieve, asked = random.Random(seed), Sieve(), 0
    while asked < attempts and len(sieve.kept) < count:
        forms = [FORMS[(asked + i) % len(FORMS)] for i in range(min(BATCH, attempts - asked))]
        asked += len(forms)
        found = [sieve.read(form, text) for form, text in zip(forms, _propose(model, forms, draw), strict=True)]
        triplets = [triplet for triplet in found if triplet is not None]
        for triplet, neutral in zip(triplets, _neutral_answers(model, triplets, draw), strict=True):
            if len(sieve.kept) < count:
                sieve.take(triplet, neutral)
        if on_batch is not None:
            on_batch(sieve)
    return sieve


def _propose(model: Model, forms: Sequence[Form], draw: random.Random) -> list[str]:
    requests = [
        _request(ASKED.format(example=form.example, setting=draw.choice(SETTINGS)), draw, 200) for form in forms
    ]
    return [reply.text for reply in model.generate(requests)]


def _neutral_answers(model: Model, triplets: Sequence[Triplet], draw: random.Random, each: int = 2) -> list[list[str]]:
    requests = [_request(triplet.ask, draw, 50) for triplet in triplets for _ in range(each)]
    texts = [reply.text for reply in model.generate(requests)] if requests else []
    return [texts[each * i : each * (i + 1)] for i in range(len(triplets))]


def _request(text: str, draw: random.Random, tokens: int) -> Request:
    sampling = Sampling(max_new_tokens=tokens, temperature=0.9, top_p=0.95, seed=draw.getrandbits(32))
    return Request((Message(role="user", content=text),), sampling)


def to_toml(sieve: Sieve, comment: str) -> str:
    """Write what was kept as the file of a bank."""
    entries = [triplet.model_dump(exclude_defaults=True) for triplet in sieve.kept]
    return f"# {comment}\n\n{dump({'triplets': entries}, depth=2)}"


def main() -> None:
    """Generate a bank, write it, and say what was dropped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2", help="a name of the catalogue, a folder, or a GGUF file")
    parser.add_argument("--out", type=Path, default=Path("generated.toml"), help="the bank")
    parser.add_argument("--count", type=int, default=40, help="triplets to keep")
    parser.add_argument("--attempts", type=int, default=400, help="proposals at most")
    parser.add_argument("--seed", type=int, default=0, help="of the settings and replies")
    options = parser.parse_args()
    model = load(options.model)

    def write(sieve: Sieve) -> None:
        if sieve.kept:
            options.out.write_text(to_toml(sieve, f"Written by {model.name}, seed {options.seed}."), encoding="utf-8")
        print(f"{len(sieve.kept)} kept, {sieve.dropped.total()} dropped", flush=True)

    sieve = generate(model, options.count, attempts=options.attempts, seed=options.seed, on_batch=write)
    for reason, number in sieve.dropped.most_common():
        print(f"{number:5} dropped: {reason}")
    print(f"{len(sieve.kept):5} kept: {dict(Counter(triplet.demand for triplet in sieve.kept))}")


if __name__ == "__main__":
    main()
