"""Long dialogues of made-up users, with planted facts, updates, contradictions, one-off requests and lures."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from benchmarks import memory_sentences as sentences
from telic.memory import MemoryEvent

__all__ = ["Planted", "UserHistory", "make_history"]

DAY = 86400.0
START = 1_760_000_000.0
SINGLE = ("home", "job", "diet", "pet", "budget")


@dataclass
class Planted:
    """Something that a user said about themselves."""

    topic: str
    value: str
    event: str
    """Id of the message."""
    session: int
    status: str = "current"
    """`current`; `stale`: it changed; `contested`: it was contradicted without a word that says so; `once`; `lure`:
    somebody else's; `context`: it holds in `situation` only."""
    situation: str = ""


@dataclass
class UserHistory:
    """One user's log and what is true at its end."""

    events: list[MemoryEvent] = field(default_factory=list)
    planted: list[Planted] = field(default_factory=list)

    def of(self, *statuses: str) -> list[Planted]:
        """What has one of these statuses."""
        return [one for one in self.planted if one.status in statuses]


def make_history(seed: int, style: str, sessions: int = 60, turns: int = 6) -> UserHistory:
    """Make the history of one user.

    Args:
        seed: of all draws.
        style: the set of sentences, `tune` or `report`.
        sessions: conversations, three days apart.
        turns: messages of the user in each.
    """
    draw = random.Random(f"{style}/{seed}")
    plan = _plan(draw, style, sessions)
    history = UserHistory()
    for session in range(sessions):
        planned = [item for item in plan if item[0] == session]
        places = dict(zip(draw.sample(range(turns), min(len(planned), turns)), planned, strict=False))
        for turn in range(turns):
            time = START + session * 3 * DAY + 60.0 * turn
            name = f"s{session}:{2 * turn}"
            text = draw.choice(sentences.FILLERS)
            if turn in places:
                _, text, planted = places[turn]
                if planted is not None:
                    planted.event, planted.session = name, session
                    history.planted.append(planted)
                if draw.random() < 0.4:
                    text = (
                        f"{draw.choice(sentences.FILLERS)} {text}"
                        if draw.random() < 0.5
                        else f"{text} {draw.choice(sentences.FILLERS)}"
                    )
            history.events.append(MemoryEvent(name, time, "message", f"s{session}", "user", text))
            reply = draw.choice(sentences.REPLIES)
            history.events.append(
                MemoryEvent(f"s{session}:{2 * turn + 1}", time + 20, "message", f"s{session}", "assistant", reply)
            )
    return history


def _plan(draw: random.Random, style: str, sessions: int) -> list[tuple[int, str, Planted | None]]:
    """Draw what is said in which session."""
    values = {topic: draw.sample(known, len(known)) for topic, known in sentences.VALUES.items()}
    plan: list[tuple[int, str, Planted | None]] = []

    def say(session: int, text: str, value: str, topic: str, status: str, situation: str = "") -> Planted:
        planted = Planted(topic, value, "", session, status, situation)
        plan.append((session, text.replace("{v}", value), planted))
        return planted

    used: set[int] = set()

    def some_session(first: int, last: int) -> int:
        free = [one for one in range(first, last) if one not in used] or list(range(first, last))
        chosen = draw.choice(free)
        used.add(chosen)
        return chosen

    half = sessions // 2
    for topic in SINGLE:
        old = say(
            some_session(0, half), draw.choice(sentences.STATED[style][topic]), values[topic].pop(), topic, "current"
        )
        if draw.random() < 0.5:
            old.status = "stale"
            say(
                some_session(half, sessions - 2),
                draw.choice(sentences.UPDATED[style][topic]),
                values[topic].pop(),
                topic,
                "current",
            )
    for _ in range(2):
        say(
            some_session(0, sessions - 2),
            draw.choice(sentences.STATED[style]["allergy"]),
            values["allergy"].pop(),
            "allergy",
            "current",
        )
    for topic, other in (("like", "dislike"), ("dislike", "like")):
        for number in range(4):
            value = values[topic].pop()
            said = say(some_session(0, half), draw.choice(sentences.STATED[style][topic]), value, topic, "current")
            if number == 0:
                said.status = "stale"
                say(
                    some_session(half, sessions - 2),
                    draw.choice(sentences.OPINIONS[style][f"to {other}"]),
                    value,
                    other,
                    "current",
                )
            elif number == 1:
                said.status = "contested"
                say(
                    some_session(half, sessions - 2),
                    draw.choice(sentences.OPINIONS[style][f"bare {other}"]),
                    value,
                    other,
                    "contested",
                )
    say(some_session(0, sessions - 2), draw.choice(sentences.ONE_OFFS[style]), values["like"].pop(), "like", "once")
    say(some_session(0, sessions - 2), draw.choice(sentences.ONE_OFFS[style]), values["like"].pop(), "like", "once")
    for _ in range(3):
        say(some_session(0, sessions - 2), draw.choice(sentences.LURES[style]), values["like"].pop(), "like", "lure")
    template, situation = draw.choice(sentences.CONTEXTS[style])
    say(some_session(0, sessions - 2), template, values["like"].pop(), "like", "context", situation)
    return plan
