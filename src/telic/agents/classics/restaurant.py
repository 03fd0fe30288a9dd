"""The restaurant script (Schank & Abelson 1977, "Scripts, Plans, Goals and Understanding", chapter 3).

From a story about a visit to a restaurant, the program recognises the track (coffee shop, fast food, fancy
restaurant), the roles, and the mentioned events of the script. It infers the events between two mentioned ones, unless
the story denies them or something went wrong. It can then retell the story, predict the next event and answer
questions; its answers distinguish mentioned from inferred events.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from telic.agents.classics.base import Classic
from telic.agents.classics.patterns import MAX_TEXT, clauses
from telic.agents.classics.restaurant_story import Story, knowledge, words_of

__all__ = ["Restaurant"]

NEXT = ("next", "then", "afterwards", "after that", "happens")
ONWARD = ("and", "then", "and then", "go on", "continue", "next", "what next", "and next")
RETELL = ("happened", "story", "summarise", "summary")


class Restaurant(Classic):
    """A program that understands stories about restaurants; see the module.

    Args:
        seed: determines the wording of its remarks.
    """

    name: ClassVar[str] = "restaurant"

    @property
    def story(self) -> Story:
        """The story understood so far."""
        return self._story

    def _reset(self) -> None:
        self._story = Story()
        self._expected = 0

    def _state(self) -> dict[str, Any]:
        happened = self._story.happened()
        inferred = [event for event in happened if event not in self._story.told]
        return {**asdict(self._story), "inferred": inferred, "expected": self._expected}

    def _reply(self, text: str) -> str:
        answers: list[str] = []
        before = set(self._story.happened())
        troubled, understood, told = self._story.trouble, False, False
        for sentence, mark in _sentences(text):
            words = [word.lower() for clause in clauses(sentence) for word in clause]
            if not words:
                continue
            if _asks(words, mark):
                answers.append(self._answer(words))
                continue
            told = True
            understood = self._story.hear(sentence) or understood
            self._expected = 0
        if answers:
            return " ".join(dict.fromkeys(answers[-3:]))
        if not told or not understood:
            return self._say("lost" if self._story.happened() else "start")
        if self._story.trouble and not troubled:
            return self._say("left" if self._story.status("leave") == "told" else "trouble")
        unsaid = [event for event in self._story.happened() if event not in before and event not in self._story.told]
        if unsaid:
            return f"{self._say('filled')} {_listed([self._story.say(event) for event in unsaid])}."
        return self._say("heard")

    def _say(self, kind: str) -> str:
        return self._story.fill(self._next_of(kind, knowledge()["say"][kind]))

    def _answer(self, words: Sequence[str]) -> str:
        if not self._story.happened():
            return self._say("start")
        if " ".join(words) in ONWARD:
            return self._what_next()
        while len(words) > 1 and words[0] in ("and", "but", "so", "then", "well"):
            words = words[1:]
        said, event = " ".join(words), _asked(words)
        if words[0] == "what" and _any(NEXT, said) and event is None:
            return self._what_next()
        if "hungry" in words or "satisfied" in words:
            return self._hungry()
        if event is None and (_any(RETELL, said) or said.endswith(" do")):
            return self._retell()
        kinds: dict[str, Callable[[str], str]] = {
            "who": self._who,
            "whom": self._who,
            "why": self._why,
            "what": self._what,
            "which": self._what,
        }
        if words[0] == "where":
            return self._story.fill("In {place}, as far as I can tell.")
        if words[0] in ("when", "how"):
            return self._say("unknown")
        if words[0] == "who" and words[1:2] and words[1] in ("was", "is"):
            return self._who_is(words)
        if event is None:
            return self._say("unknown")
        return kinds[words[0]](event) if words[0] in kinds else self._whether(event, words)

    def _what_next(self) -> str:
        """Return the next expected event; when asked again, the one after it."""
        upcoming = self._story.upcoming()
        if self._story.trouble and self._story.status("leave") != "told":
            return self._story.fill("That is hard to tell, since {trouble}. I suppose that {c} complained, or left.")
        if self._expected >= len(upcoming):
            return self._story.fill("Nothing more. That is how a visit to {place} ends.")
        self._expected += 1
        return f"Next, I expect, {self._story.say(upcoming[self._expected - 1])}."

    def _hungry(self) -> str:
        if self._story.status("eat") in ("told", "inferred"):
            return self._story.fill("Not any more: {c} ate {food}. But hunger will have been the reason to go there.")
        return self._story.fill("Yes, I suppose so. That will be why {c} went there.")

    def _retell(self) -> str:
        story = self._story
        sentences = [_capital(story.say(event)) for event in story.happened()]
        if story.trouble:
            at = sum(entry["id"] in story.happened() for entry in story.events[: story.doubt])
            sentences.insert(at, _capital(story.fill("{trouble}")))
        return " ".join(f"{sentence}." for sentence in sentences)

    def _who(self, event: str) -> str:
        if self._story.status(event) == "foreign":
            return self._foreign()
        if self._story.status(event) in ("denied", "open", "doubtful"):
            return self._whether(event, ())
        return f"{_capital(self._story.actor(event).strip(','))}."

    def _who_is(self, words: Sequence[str]) -> str:
        story = self._story
        if story.server_name and story.server_name.lower() in words:
            calling = story.server or str(story.slots()["server"]).strip(",").split(", ")[-1]
            return f"{_capital(story.server_name)} was {calling}."
        if "customer" in words or (story.customer and story.customer.lower() in words):
            return story.fill("{c}: the customer in this story.")
        event = _asked(words)
        if event is not None:
            return self._who(event)
        if set(words) & {*knowledge()["groups"]["server"], "served"}:
            return f"{_capital(story.slots()['server'].strip(','))}."
        return self._say("unknown")

    def _what(self, event: str) -> str:
        story = self._story
        if event in ("tip", "pay", "bill"):
            return self._say("unknown") if story.status(event) in ("told", "inferred") else self._whether(event, ())
        if event not in ("eat", "order", "bring", "cook"):
            return self._whether(event, ())
        if story.status(event) not in ("told", "inferred"):
            return self._whether(event, ())
        if not story.foods:
            return "You did not say what. Something from the menu, I suppose."
        return f"{_capital(story.say(event))}."

    def _why(self, event: str) -> str:
        story = self._story
        if story.status(event) in ("denied", "doubtful", "open", "foreign"):
            if story.trouble and story.status(event) != "foreign":
                return story.fill("I suppose because {trouble}.")
            return self._whether(event, ())
        if event == "leave" and story.trouble:
            return story.fill("I suppose because {trouble}.")
        why = next(entry["why"] for entry in knowledge()["events"] if entry["id"] == event)
        return f"{_capital(story.fill(str(why)))}."

    def _whether(self, event: str, words: Sequence[str]) -> str:
        """Answer yes or no, and whether the story mentions the event or implies it."""
        story, status = self._story, self._story.status(event)
        if status == "foreign":
            return self._foreign()
        other = self._other_food(event, words)
        if other is not None:
            return story.fill(f"You told me of {{food}}, not of {other}.")
        said = story.say(event)
        return {
            "told": f"Yes, {said}.",
            "denied": "No, you told me that it was not so.",
            "inferred": f"Yes, I suppose that {said}. You did not say so, but that is how it goes.",
            "doubtful": story.fill("I doubt it: {trouble}, and you did not say so."),
            "open": "Not yet, as far as you have told me.",
            "optional": "You did not say so, and it does not go without saying.",
        }[status]

    def _other_food(self, event: str, words: Sequence[str]) -> str | None:
        """Return the food that a question names, if it is not the food of the story."""
        known = {word for food in self._story.foods for word in food.split()}
        verbs = _verbs(event)
        at = next((index for index, word in enumerate(words) if word in verbs), None)
        if event not in ("eat", "order") or not known or at is None:
            return None
        named = [word for word in words[at + 1 :] if word not in words_of("articles")]
        if not named or set(named) & (known | words_of("vague")):
            return None
        return " ".join(words[at + 1 : at + 6])

    def _foreign(self) -> str:
        return self._story.fill("That is not done in {place}, as a rule, and you did not say so.")


def _sentences(text: str) -> list[tuple[str, str]]:
    """Split a text into sentences, each with its final mark."""
    parts = re.split(r"([.!?\n]+)", text[:MAX_TEXT])
    marks = [mark[:1] for mark in parts[1::2]] + [""]
    # A question mark anywhere in the run counts: "really?!"
    marks = ["?" if "?" in run else mark for run, mark in zip([*parts[1::2], ""], marks, strict=True)]
    return [(sentence, mark) for sentence, mark in zip(parts[0::2], marks, strict=True) if sentence.strip()]


def _asks(words: Sequence[str], mark: str) -> bool:
    """Return whether a sentence is a question or a request; a question may lack its mark."""
    if mark == "?" or words[0] in ("tell", "summarise") or " ".join(words) in ONWARD:
        return True
    return words[0] in words_of("asking") and mark != "."


def _asked(words: Sequence[str]) -> str | None:
    """Return the event that a question is about."""
    for event in knowledge()["events"]:
        if set(words) & set(event["asked"]):
            return str(event["id"])
    return None


def _verbs(event: str) -> set[str]:
    return {word for entry in knowledge()["events"] if entry["id"] == event for word in entry["asked"]}


def _any(phrases: Sequence[str], said: str) -> bool:
    return any(re.search(rf"\b{phrase}\b", said) for phrase in phrases)


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, and {parts[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
