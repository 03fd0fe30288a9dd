"""PARRY, a patient with a paranoid way of hearing things (Colby, Weber & Hilf 1971, "Artificial Paranoia", AI 2(1)).

Three affects move with what is said to him: fear and anger from 0 to 20, mistrust from 0 to 15. An input of a kind
that distresses adds to an affect a share of the way that is left to its top, a friendly one takes a share of it away,
and after each exchange the affects fade towards their base: anger fast, fear slowly, mistrust hardly. His mood, and so
the answer that he chooses, follows from them; in panic he breaks off the talk. Some topics flare up, each leading to
a heavier one, and so to his story, which he tells a piece at a time to whoever has not made him too wary to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, TypedDict

from telic.agents.classics.base import Classic
from telic.agents.classics.patterns import Pattern, clauses, load, plain

__all__ = ["Parry"]

HEARD = 50
"""Inputs that he recognises when they are repeated."""


class _Heard(TypedDict):
    kind: str | None
    flare: Mapping[str, Any] | None


class Parry(Classic):
    """Victor Halloran, who is afraid of a betting syndicate; see the module.

    Args:
        seed: of the order in which the answers of one kind and mood come.
    """

    name: ClassVar[str] = "parry"

    def __init__(self, seed: int = 0) -> None:
        self._script = _script()
        super().__init__(seed)

    @property
    def affects(self) -> dict[str, float]:
        """Fear, anger and mistrust."""
        return dict(self._affects)

    @property
    def mood(self) -> str:
        """Calm, guarded, hostile, afraid or panic: which of the affects has the upper hand."""
        for mood in self._script["moods"]:
            if self._affects[mood["affect"]] >= mood["least"]:
                return str(mood["name"])
        return "calm"

    def _reset(self) -> None:
        self._affects = {name: float(affect["base"]) for name, affect in self._script["affects"].items()}
        self._told = 0
        self._flare = 0
        self._left = False
        self._heard: list[str] = []

    def _state(self) -> dict[str, Any]:
        return {
            "affects": {name: round(value, 6) for name, value in self._affects.items()},
            "mood": self.mood,
            "story": self._told,
            "flare": self._flare,
            "left": self._left,
            "heard": list(self._heard),
        }

    def _reply(self, text: str) -> str:
        if self._left:
            return self._next_of("moods_say.panic", self._script["moods_say"]["panic"])
        heard = self._hear(text)
        said = plain(text)
        repeated = bool(said) and said in self._heard
        self._heard = [*self._heard, said][-HEARD:]
        if repeated:
            self._move({"anger": 0.1}, {})
        answer = self._answer(heard, repeated)
        for name, affect in self._script["affects"].items():
            # Towards the base from either side: a friendly talk leaves him, for a while, less wary than usual.
            value, base, step = self._affects[name], affect["base"], affect["fades"]
            self._affects[name] = max(base, value - step) if value > base else min(base, value + step)
        return answer

    def _hear(self, text: str) -> _Heard:
        """Let what is said move the affects; the most important of it is what he answers."""
        kinds: dict[str, Mapping[str, Any]] = {entry["name"]: entry for entry in self._script["inputs"]}
        found: list[str] = []
        flares: list[Mapping[str, Any]] = []
        for words in clauses(text.lower(), self._script["expand"]):
            kind = self._kind(words)
            if kind is not None and kind not in found:
                found.append(kind)
                self._move(kinds[kind].get("raises", {}), kinds[kind].get("lowers", {}))
            flares += [flare for flare in self._script["flares"] if set(words) & set(flare["words"])]
        flare = max(flares, key=lambda entry: int(entry["weight"]), default=None)
        if flare is not None:
            self._move({"fear": 0.03 * flare["weight"], "mistrust": 0.01 * flare["weight"]}, {})
        return {"kind": min(found, key=list(kinds).index, default=None), "flare": flare}

    def _kind(self, words: Sequence[str]) -> str | None:
        """The most important kind of input that a clause is."""
        for entry in self._script["inputs"]:
            if any(pattern.match(words) is not None for pattern in entry["patterns"]):
                negated = entry.get("negated")
                if negated and set(words) & set(self._script["groups"]["deny"]):
                    return str(negated)
                return str(entry["name"])
        return None

    def _move(self, raises: Mapping[str, float], lowers: Mapping[str, float]) -> None:
        for name, share in raises.items():
            self._affects[name] += share * (self._script["affects"][name]["top"] - self._affects[name])
        for name, share in lowers.items():
            self._affects[name] -= share * self._affects[name]

    def _answer(self, heard: _Heard, repeated: bool) -> str:
        mood, kind, flare = self.mood, heard["kind"], heard["flare"]
        if mood == "panic":
            self._left = True
            return self._next_of("moods_say.panic", self._script["moods_say"]["panic"])
        entry = next((entry for entry in self._script["inputs"] if entry["name"] == kind), None)
        # What touches him counts more than a topic; a topic more than small talk.
        touched = entry is not None and ("raises" in entry or "lowers" in entry)
        if repeated and not touched:
            return self._by_mood("repeat", self._script["repeat"], mood)
        if flare is not None and not touched and mood != "hostile":
            return self._flare_up(flare)
        if entry is not None:
            if entry.get("story") and mood != "hostile" and (self._told or self._flare or kind == "reason"):
                return self._tell()
            return self._by_mood(str(kind), entry["say"], mood)
        if self._flare and mood in ("calm", "guarded"):
            return self._tell()
        return self._by_mood("moods_say", self._script["moods_say"], mood)

    def _flare_up(self, flare: Mapping[str, Any]) -> str:
        """Answer a topic; one that he has been through already, or a heavier one, brings on the story."""
        if flare["weight"] <= self._flare:
            return self._tell()
        self._flare = int(flare["weight"])
        return self._next_of(f"flare.{flare['name']}", flare["say"])

    def _tell(self) -> str:
        """The next piece of the story, which frightens him himself."""
        story = self._script["story"]
        if self._told >= len(story["pieces"]):
            return self._next_of("story.told", story["told"])
        self._move({"fear": story["fear"]}, {})
        self._told += 1
        return str(story["pieces"][self._told - 1])

    def _by_mood(self, key: str, answers: Mapping[str, Sequence[str]], mood: str) -> str:
        """An answer of this mood; where there is none for it, what he says in that mood to anything."""
        fitting = answers.get(mood) or self._script["moods_say"][mood]
        return self._next_of(f"{key}.{mood}", fitting)


@cache
def _script() -> Mapping[str, Any]:
    script = load("parry")
    for entry in script["inputs"]:
        entry["patterns"] = [Pattern(text, script["groups"]) for text in entry["match"]]
    return script
