"""PARRY, a simulated paranoid patient (Colby, Weber & Hilf 1971, "Artificial Paranoia", AI 2(1)).

The input changes three affects: fear and anger from 0 to 20, mistrust from 0 to 15. Distressing input adds a share of
the distance to the maximum, friendly input removes a share of the affect. After each exchange the affects decay towards
their base: anger fast, fear slowly, mistrust hardly. They determine his mood, and the mood determines the reply; in
panic he ends the conversation. Some topics (flares) lead to heavier ones and then to his story, which he tells piece by
piece unless he is too suspicious.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar, TypedDict

from telic.agents.classics.base import Classic
from telic.agents.classics.patterns import Pattern, clauses, load_script, normalise_words

__all__ = ["Parry"]

HEARD = 50
"""Number of recent inputs among which repetitions are detected."""


class _Heard(TypedDict):
    kind: str | None
    flare: Mapping[str, Any] | None


class Parry(Classic):
    """Victor Halloran, who is afraid of a betting syndicate; see the module.

    Args:
        seed: determines the order of the replies of one kind and mood.
    """

    name: ClassVar[str] = "parry"

    def __init__(self, seed: int = 0) -> None:
        self._script = _script()
        super().__init__(seed)

    @property
    def affects(self) -> dict[str, float]:
        """Current fear, anger and mistrust."""
        return dict(self._affects)

    @property
    def mood(self) -> str:
        """Calm, guarded, hostile, afraid or panic, by the dominant affect."""
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
        said = normalise_words(text)
        repeated = bool(said) and said in self._heard
        self._heard = [*self._heard, said][-HEARD:]
        if repeated:
            self._move({"anger": 0.1}, {})
        answer = self._answer(heard, repeated)
        for name, affect in self._script["affects"].items():
            # Decay towards the base from both sides: friendly input lowers an affect below its base for a while.
            value, base, step = self._affects[name], affect["base"], affect["fades"]
            self._affects[name] = max(base, value - step) if value > base else min(base, value + step)
        return answer

    def _hear(self, text: str) -> _Heard:
        """Update the affects, and return the most important kind of input and flare."""
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
        """Return the most important kind of input of a clause."""
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
        # Emotional input takes precedence over a topic, and a topic over small talk.
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
        """Reply to a topic. A topic no heavier than the last one starts the story."""
        if flare["weight"] <= self._flare:
            return self._tell()
        self._flare = int(flare["weight"])
        return self._next_of(f"flare.{flare['name']}", flare["say"])

    def _tell(self) -> str:
        """Return the next piece of the story, which raises his fear."""
        story = self._script["story"]
        if self._told >= len(story["pieces"]):
            return self._next_of("story.told", story["told"])
        self._move({"fear": story["fear"]}, {})
        self._told += 1
        return str(story["pieces"][self._told - 1])

    def _by_mood(self, key: str, answers: Mapping[str, Sequence[str]], mood: str) -> str:
        """Return a reply in this mood; if the topic has none, a general one."""
        fitting = answers.get(mood) or self._script["moods_say"][mood]
        return self._next_of(f"{key}.{mood}", fitting)


@cache
def _script() -> Mapping[str, Any]:
    script = load_script("parry")
    for entry in script["inputs"]:
        entry["patterns"] = [Pattern(text, script["groups"]) for text in entry["match"]]
    return script
