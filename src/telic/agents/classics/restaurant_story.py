"""The restaurant program's representation of a story: mentioned, denied and inferred events."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from telic.agents.classics.patterns import Pattern, clauses, load_script

__all__ = ["Status", "Story", "knowledge", "words_of"]

Status = Literal["told", "denied", "inferred", "doubtful", "open", "optional", "foreign"]
"""Status of an event: mentioned; denied; implied by later events; uncertain because something went wrong; not reached
yet; optional and not mentioned; not part of this track."""

PRONOUNS = {"he": "he", "she": "she", "they": "they", "i": "you", "we": "you"}


@dataclass
class Story:
    """A story so far."""

    track: str | None = None
    """The track of the story; None until a cue shows it."""
    customer: str | None = None
    server: str | None = None
    """The story's word for the person who serves."""
    server_name: str | None = None
    host: str | None = None
    foods: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    denied: list[str] = field(default_factory=list)
    trouble: str | None = None
    doubt: int = 0
    """Index of the first event that is uncertain after the trouble."""
    listing: bool = False
    """Whether the last clause listed a dish, so that the next may add another one."""

    def hear(self, sentence: str) -> bool:
        """Parse a sentence.

        Returns:
            Whether any part of it belongs to a visit to a restaurant.
        """
        understood = self.listing = False
        for clause in clauses(sentence):
            self._find_track(clause)
            for part in _split(clause):
                understood = self._hear_part(part) or understood
        return understood

    @property
    def events(self) -> list[Mapping[str, Any]]:
        """The events of this track, in order."""
        tracks = knowledge()["tracks"]
        return list(next((track for track in tracks if track["name"] == self.track), tracks[0])["events"])

    def status(self, event: str) -> Status:
        """Return the status of an event."""
        order = [entry["id"] for entry in self.events]
        if event in self.told:
            return "told"
        if event in self.denied:
            return "denied"
        if event not in order:
            return "foreign"
        at = order.index(event)
        if self.trouble and at >= self.doubt:
            return "doubtful"
        if at > self.last:
            return "open"
        return "optional" if self.events[at].get("optional") else "inferred"

    @property
    def last(self) -> int:
        """Index of the furthest mentioned event; -1 before any."""
        order = [entry["id"] for entry in self.events]
        # A denied event also shows how far the story has come.
        reached = [order.index(event) for event in (*self.told, *self.denied) if event in order]
        if self.trouble:
            reached.append(self.doubt - 1)
        return max(reached, default=-1)

    def happened(self) -> list[str]:
        """Return the mentioned and inferred events, in order."""
        return [entry["id"] for entry in self.events if self.status(entry["id"]) in ("told", "inferred")]

    def upcoming(self) -> list[str]:
        """Return the events expected next."""
        return [
            entry["id"]
            for index, entry in enumerate(self.events)
            if index > self.last and not entry.get("optional") and self.status(entry["id"]) not in ("told", "denied")
        ]

    def say(self, event: str) -> str:
        """Return an event as text."""
        return self.fill(str(next(entry for entry in self.events if entry["id"] == event)["say"]))

    def actor(self, event: str) -> str:
        """Return the actor of an event."""
        actor = next(entry for entry in self.events if entry["id"] == event)["actor"]
        return self.fill("{" + str(actor) + "}")

    def fill(self, text: str) -> str:
        """Fill the persons and things of this story into a text."""
        return _SLOT.sub(lambda found: self.slots()[found[1]], text)

    def slots(self) -> dict[str, str]:
        """Return the fillers of all slots."""
        tracks = knowledge()["tracks"]
        track = next((track for track in tracks if track["name"] == self.track), tracks[0])
        server = self.server or str(track["server"])
        if self.server_name:
            server = f"{self.server_name}, {server},"
        definite = [re.sub(r"^(?:an?|some) ", "the ", food) for food in self.foods]
        return {
            "c": self.customer or "the customer",
            "server": server,
            "cook": str(track["cook"]),
            "host": self.host or str(track.get("host", server)),
            "place": str(track["place"]) if self.track else "the restaurant",
            "food": " and ".join(definite) or "the meal",
            "a_food": " and ".join(self.foods) or "something from the menu",
            "trouble": (self.trouble or "").replace("{c}", self.customer or "the customer"),
        }

    def _find_track(self, words: Sequence[str]) -> None:
        lower = {word.lower() for word in words}
        for track in knowledge()["tracks"]:
            if lower & set(track["cues"]) and self.track is None:
                self.track = track["name"]
        for word in knowledge()["groups"]["server"]:
            if word in lower:
                self.server = f"the {word}"
        for word in ("host", "hostess"):
            if word in lower:
                self.host = f"the {word}"

    def _hear_part(self, words: Sequence[str]) -> bool:
        if not words:
            return False
        if "without" in (lower := [word.lower() for word in words]):
            at = lower.index("without")
            # "without paying" and "without a word" alike: what is no event in it says nothing.
            heard = self._hear_part(words[:at])
            missing = recognise(["without", *words[at + 1 :]])
            if missing is not None:
                self._note(str(missing[0]["id"]), denied=True)
            return heard or missing is not None
        trouble = self._find_trouble(words)
        found = recognise(words)
        if found is None:
            return self._more_food(words) or trouble
        event, before, after = found
        denied = bool(set(lower) & set(knowledge()["groups"]["deny"]))
        if trouble and (denied or event["id"] in ("pay", "eat")):
            return True  # "nobody came to take the order" is a trouble, and no order
        self._name(before, str(event["id"]))
        self.listing = bool(event.get("object")) and not denied and self._add_food(after, event["id"] == "order")
        self._note(str(event["id"]), denied)
        return True

    def _note(self, event: str, denied: bool = False) -> None:
        here, there = (self.denied, self.told) if denied else (self.told, self.denied)
        if event in there:
            there.remove(event)
        if event not in here:
            here.append(event)

    def _find_trouble(self, words: Sequence[str]) -> bool:
        for trouble in knowledge()["troubles"]:
            for pattern in trouble["patterns"]:
                parts = pattern.match(words)
                if parts is None:
                    continue
                order = [entry["id"] for entry in self.events]
                after = order.index(trouble["after"]) if trouble.get("after") in order else -1
                self.doubt = max(self.last, after) + 1
                self.trouble = str(trouble["say"])
                if trouble.get("after") == "bring":
                    self._add_food(parts[0])
                return True
        return False

    def _name(self, subject: Sequence[str], event: str) -> None:
        """Learn the name of a person from the words before a verb."""
        lower = [word.lower() for word in subject]
        names = [word for word in subject if word[:1].isupper() and word.lower() not in words_of("no_names")]
        groups = knowledge()["groups"]
        if set(lower) & {*groups["server"], *groups["host"]}:
            if names and set(lower) & set(groups["server"]):
                self.server_name = names[-1][:40]
            return
        if self.actor_kind(event) not in ("c", "host"):
            if names and event == "bring":
                self.server_name = names[0][:40]
            return
        pronoun = next((PRONOUNS[word] for word in lower if word in PRONOUNS), None)
        if names and self.customer in (None, *PRONOUNS.values()):
            self.customer = names[0][:40]
        elif pronoun is not None and self.customer is None:
            self.customer = pronoun

    def actor_kind(self, event: str) -> str:
        """Return the role of the actor of an event, on any track."""
        for track in (self.events, *(track["events"] for track in knowledge()["tracks"])):
            for entry in track:
                if entry["id"] == event:
                    return str(entry["actor"])
        return "c"

    def _more_food(self, words: Sequence[str]) -> bool:
        """Parse another dish, such as `and a salad`."""
        starts = words[0].lower() in words_of("articles", "numbers") or len(words) < 4
        return self.listing and starts and self._add_food(words)

    def _add_food(self, words: Sequence[str], anew: bool = False) -> bool:
        food = _phrase(words)
        if food is None:
            return False
        heads = {known.split()[-1] for known in self.foods}
        if food.split()[-1] not in heads:
            self.foods = [*([] if anew else self.foods)[-5:], food]
        return True


def recognise(words: Sequence[str]) -> tuple[Mapping[str, Any], list[str], list[str]] | None:
    """Return the event that some words mention, the words before it, and the words after it."""
    for event in knowledge()["events"]:
        for pattern in event["patterns"]:
            parts = pattern.match(words)
            if parts is None:
                continue
            after = parts[-1]
            if event["id"] == "eat" and "had" in pattern.text:
                # The article belongs to both the pattern and the phrase.
                after = list(words[len(words) - len(after) - 1 :])
                if _phrase(after) is None:
                    continue
            return event, parts[0], after
    return None


@cache
def knowledge() -> Mapping[str, Any]:
    """Load the script with its tracks."""
    table = load_script("restaurant")
    for entry in (*table["events"], *table["troubles"]):
        entry["patterns"] = [Pattern(text, table["groups"]) for text in entry["told"]]
    return table


@cache
def words_of(*kinds: str) -> frozenset[str]:
    """Return the words of some kinds in the script."""
    return frozenset(word for kind in kinds for word in knowledge()["words"][kind])


def _split(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word.lower() in ("and", "but", "then"):
            parts.append([])
        else:
            parts[-1].append(word)
    return [part for part in parts if part]


def _phrase(words: Sequence[str]) -> str | None:
    """Return the food at the start of some words, such as `a bowl of soup`; None if there is none."""
    lower = [word.lower() for word in words]
    while lower and lower[0] in ("for", "him", "her", "them", "me", "us", "up"):
        lower = lower[1:]
    taken: list[str] = []
    for index, word in enumerate(lower[:8]):
        portion = word == "of" and index + 1 < len(lower) and taken
        if word in words_of("ends") and not portion:
            break
        taken.append(word[:30])
    if not taken or taken[-1] in words_of("no_food", "articles", "numbers"):
        return None
    return " ".join(taken)


_SLOT = re.compile(r"\{(c|server|cook|host|place|food|a_food|trouble)\}")
