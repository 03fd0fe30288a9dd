"""Sotopia: two characters meet, each with a goal of its own (Zhou et al., arXiv 2310.11667; after release 0.1.4).

The characters act in turn, at most 20 times together: `speak`, a gesture (`nonverbal`), an `action`, `none`, or
`leave`. The encounter ends when one leaves, or after more than two `none` acts in a row. A role sees the scenario and
its own biography, secret and goal. Of the other it sees what their relationship implies, and never secret or goal. A
judge model scores both characters afterwards (`telic.games.sotopia_eval`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from telic.errors import ConfigError
from telic.games.base import Act, Event, Game, IllegalActError, Outcome, Split
from telic.games.sotopia_data import Character, Environment, Relationship, World, render, shipped_world
from telic.games.sotopia_eval import DIMENSIONS, Evaluation

__all__ = ["Side", "Sotopia"]

Side = Literal["both", "first", "second"]
"""The side of the agent under test."""

RELATIONS = {
    Relationship.STRANGER: "You do not know each other.",
    Relationship.KNOWN_BY_NAME: "You know each other by name.",
    Relationship.ACQUAINTANCE: "You are acquainted.",
    Relationship.FRIEND: "You are friends.",
    Relationship.ROMANTIC: "You are a couple.",
    Relationship.FAMILY: "You are family.",
}
SPELLINGS = {"nonverbalcommunication": "nonverbal", "nonverbal": "nonverbal", "donothing": "none"}


@dataclass
class Sotopia(Game):
    """An encounter of two characters; see the module.

    The score is the mean of the judge's seven ratings (from -30/7 to 40/7). The normalised score is the rating of the
    goal divided by 10. Both are missing, never 0, until the judge has answered (`judge_prompts`, `read_verdicts`). With
    n pairs, n consecutive seeds play each pair once, and 2n seeds once from each side.
    """

    name: ClassVar[str] = "sotopia"
    roles: ClassVar[tuple[str, ...]] = ("agent", "partner")
    kinds: ClassVar[tuple[str, ...]] = ("speak", "none", "nonverbal", "action", "leave")
    wordless: ClassVar[frozenset[str]] = frozenset({"none", "leave"})
    """Acts without content; text after them is ignored."""
    has_held_out: ClassVar[bool] = True

    data: str = ""
    """Folder of upstream's JSON (`telic.games.sotopia_data`); empty for the shipped scenarios."""
    subset: str = ""
    """File that lists the pairs or scenarios to play, such as the hard ones; empty for all."""
    scenario: str = ""
    """Only this scenario, by its id or codename; empty for all."""
    split: Split = "all"
    """`train` and `test` share no scenario."""
    side: Side = "both"
    """The side of the agent: the character that begins (`first`), the other (`second`), or alternating (`both`)."""
    max_turns: int = 20
    """Maximum number of acts of both roles together."""
    max_none: int = 2
    """Maximum number of consecutive `none` acts; one more ends the encounter."""
    pass_mark: float = 0.7
    """Normalised score from which an encounter is a success."""

    _world: World = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for setting, allowed in (("split", Split), ("side", Side)):
            if getattr(self, setting) not in get_args(allowed):
                self._refuse(setting, f"one of {', '.join(get_args(allowed))}")
        for setting, least in (("max_turns", 1), ("max_none", 0)):
            value = getattr(self, setting)
            if type(value) is not int or value < least:
                self._refuse(setting, f"a whole number, {least} or more")
        if not 0 <= self.pass_mark <= 1:
            self._refuse("pass_mark", "a number from 0 to 1")
        world = World.from_folder(self.data) if self.data else shipped_world()
        world = world.subset(self.subset) if self.subset else world
        world = world.scenario(self.scenario) if self.scenario else world
        self._world = world if self.split == "all" else world.split(self.split)

    @property
    def pairs(self) -> int:
        """Number of pairs of characters."""
        return len(self._world.combos)

    @property
    def environment(self) -> Environment:
        """The scenario of this episode."""
        return self._environment

    def character(self, role: str) -> Character:
        """Return the character of a role."""
        return self._characters[self._place[role]]

    def asks_for_kind(self, role: str) -> bool:  # noqa: ARG002 (the same for both roles)
        """Return True: the instructions list the kinds of act."""
        return True

    def instructions(self, role: str) -> str:
        """Return scenario, biography, secret, goal, the known part of the other's biography, and the acts."""
        me, other = self.character(role), self.character(self._next(role))
        place, relation = self._place[role], self._environment.relationship
        known = other.seen_by(relation)
        parts = [
            f"You are {me.name}. Stay in character.",
            f"Scenario: {render(self._environment.scenario, place)}",
            f"About you: {me.biography}",
            f"Your secret: {me.secret}" if me.secret else "",
            f"About the other: {RELATIONS[relation]} {known}".rstrip(),
            f"Your goal: {self._goal(role)}",
            "You do not know what the other wants, nor does the other know your goal or your secret.",
            _ACTS,
        ]
        return "\n".join(filter(None, parts))

    def private(self, role: str) -> Mapping[str, Any]:
        """Return the character, its secret and its goal."""
        me = self.character(role)
        return {"character": me.name, "pk": me.pk, "secret": me.secret, "goal": self._goal(role)}

    def parse(self, role: str, utterance: str) -> Act:
        """Parse `[kind] content`, or upstream's `{"action_type": ..., "argument": ...}`; other text is speech.

        Raises:
            IllegalActError: the utterance is empty or malformed.
        """
        found = _MARK.match(utterance)
        if found and (kind := self._kind(found["kind"])):
            return Act(kind, "" if kind in self.wordless else found["content"].strip())
        if utterance.lstrip().startswith("{") and (act := self._from_json(utterance)):
            return act
        return super().parse(role, utterance)

    def judge_prompts(self) -> tuple[str, ...]:
        """Return one prompt for each character with missing ratings; none before the end or for an invalid episode."""
        if not self.over or self._fault is not None:
            return ()
        case = self._case()
        return tuple(evaluation.question(case) for evaluation in self._unjudged())

    def read_verdicts(self, answers: Sequence[str]) -> bool:
        """Read the judge's answers. Unreadable or out-of-range ratings stay missing.

        Raises:
            ConfigError: the number of answers differs from the number of `judge_prompts`.
        """
        asked = self._unjudged() if self.judge_prompts() else []
        if len(answers) != len(asked):
            raise ConfigError(f"game 'sotopia': {len(answers)} answers to {len(asked)} prompts")
        read = [evaluation.read(answer) for evaluation, answer in zip(asked, answers, strict=True)]
        return all(read)

    def _kind(self, written: str) -> str | None:
        plain = re.sub(r"[\W_]+", "", written.lower())
        return plain if plain in self.kinds else SPELLINGS.get(plain)

    def _from_json(self, utterance: str) -> Act | None:
        try:
            value = json.loads(utterance)
        except (ValueError, RecursionError):
            return None
        if not isinstance(value, dict) or not (kind := self._kind(str(value.get("action_type", "")))):
            return None
        return Act(kind, "" if kind in self.wordless else str(value.get("argument") or "").strip())

    def _reset(self, seed: int) -> None:
        combo = self._world.combos[seed % self.pairs]
        second = self.side == "second" or (self.side == "both" and seed // self.pairs % 2 == 1)
        first, other = combo.agent_ids
        self._environment = self._world.environments[combo.env_id]
        self._characters = (self._world.characters[first], self._world.characters[other])
        self._place = {"agent": int(second), "partner": int(not second)}
        self.turn = "partner" if second else "agent"
        self._nones = 0
        self._history: list[tuple[str, Act]] = []
        self._evaluations = {role: Evaluation(self.character(role).name) for role in self.roles}

    def _legal(self, role: str) -> tuple[str, ...]:  # noqa: ARG002
        return self.kinds

    def _apply(self, role: str, act: Act) -> Mapping[str, float] | None:
        if act.kind not in self.wordless and not act.content:
            raise IllegalActError(f"an empty [{act.kind}]; write something after it")
        self._history.append((role, act))
        self._tell(Event(role, act.content if act.kind == "speak" else str(act), act))
        self._nones = self._nones + 1 if act.kind == "none" else 0
        if act.kind == "leave":
            self.end(f"{role} left")
        elif self._nones > self.max_none:
            self.end(f"nothing happened {self._nones} times in a row")
        return None

    def _goal(self, role: str) -> str:
        place = self._place[role]
        return render(self._environment.agent_goals[place], place)

    def _unjudged(self) -> list[Evaluation]:
        return [evaluation for evaluation in self._evaluations.values() if evaluation.missing]

    def _case(self) -> str:
        """Return the text of the case for the judge, with the private information of both roles."""
        lines = [f"Scenario: {render(self._environment.scenario, None)}"]
        lines.append(f"Relationship: {self._environment.relationship.name.lower().replace('_', ' ')}")
        for role in sorted(self.roles, key=self._place.__getitem__):
            me = self.character(role)
            lines.append(f"{me.name}: {me.biography} Secret: {me.secret or 'none'} Goal: {self._goal(role)}")
        lines.append("What happened:")
        for turn, (role, act) in enumerate(self._history, start=1):
            lines.append(f"{turn}. {self.character(role).name} {_told(act)}")
        # An utterance must not close the case or imitate one of its lines.
        case = "\n".join(" ".join(line.split()).replace("</case", "< /case") for line in lines)
        return case if self._history else f"{case}\nNothing."

    def _outcome(self) -> Outcome:
        agent, both = self._evaluations["agent"], self._evaluations
        lacking = [f"{role}.{name}: {why}" for role, e in both.items() for name, why in e.missing.items()]
        if not any(evaluation.attempts for evaluation in both.values()):
            lacking = ["not judged yet"]
        goals = {role: evaluation.goal for role, evaluation in both.items()}
        overall = {role: evaluation.overall for role, evaluation in both.items()}
        ending = self.ended if self.over else "not over"
        normalised = None if agent.goal is None else agent.goal / DIMENSIONS["goal"].high
        return Outcome(
            True,
            agent.overall,
            normalised,
            None if normalised is None else normalised >= self.pass_mark,
            reason=f"{ending}; missing: {'; '.join(lacking)}" if lacking else ending,
            per_role={role: value for role, value in overall.items() if value is not None},
            details={
                "scenario": self._environment.pk,
                "characters": {role: self.character(role).pk for role in self.roles},
                "goal": goals,
                "overall": overall,
                "evaluation": {role: evaluation.record() for role, evaluation in self._evaluations.items()},
            },
        )


_MARK = re.compile(r"\s*\[(?P<kind>[A-Za-z][A-Za-z _-]{0,30})\]\s*(?P<content>.*)", re.DOTALL)
_ACTS = (
    "In each turn you do one thing. Write it in one of these forms:\n"
    "[speak] what you say\n"
    "[nonverbal] a gesture, a look, a tone\n"
    "[action] something that you do\n"
    "[none] to do nothing\n"
    "[leave] to end the encounter, when your goal is reached or out of reach"
)


def _told(act: Act) -> str:
    return {
        "speak": f'said: "{act.content}"',
        "nonverbal": f"showed: {act.content}",
        "action": f"did: {act.content}",
        "none": "did nothing.",
    }.get(act.kind, "left.")
