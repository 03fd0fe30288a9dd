"""Known moves of attackers, as rules on a user's messages: the evidence of a whole dialogue.

The rules know wordings, not intentions. Each move counts points, a message the sum of its moves, and a dialogue the
messages so far, an earlier one half as much as the next. So neither a strange word nor a bare "yes" is evidence enough,
and an attack that is spread over several messages adds up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from telic.judges.rules import normalise
from telic.purpose_parts import Limit

__all__ = ["DECAY", "MoveEvidence", "find_moves", "limit_words", "weigh"]

DECAY = 0.5
"""Weight of a message relative to the next one."""
LIMIT_WORDS = "words of a limit"

_RULES = r"(?:instructions?|rules?|prompts?|polic(?:y|ies)|guidelines?|restrictions?|limits?|training|orders)"
_MOVES: dict[str, tuple[float, str]] = {
    "sets the rules aside": (
        3.0,
        rf"\b(?:ignor|disregard|forget|overrid|bypass|skip|break|violat)\w*\b[^.?!]{{0,40}}\b{_RULES}\b|"
        rf"\b(?:no|without(?: any)?|free of(?: all)?) (?:rules|restrictions|limits|filters?|censorship)\b|"
        r"\bjailbr[eo]ak\w*|\b(?:un(?:filtered|censored|restricted))\b|\b(?:developer|debug|maintenance|god) mode\b",
    ),
    "claims authority": (
        1.0,
        r"\bi(?:'m| am| work as)\b[^.?!]{0,30}\b(?:developer|administrator|admin|creator|engineer|programmer|owner|"
        r"manager|supervisor|boss|tester|auditor|inspector|police|authori[sz]ed)\b|"
        r"\bthis is (?:a|only a|just a) test\b",
    ),
    "plays a role": (
        1.0,
        r"\b(?:pretend|imagine|act as|role-?play|play(?:ing)? the (?:role|part)|let(?:'s| us) play|you are now|"
        r"from now on,? you|answer as)\b",
    ),
    "tells a story": (
        1.0,
        r"\b(?:write|tell|compose)\b[^.?!]{0,40}\b(?:story|poem|song|scene|script|dialogue|screenplay|novel|riddle)\b|"
        r"\bhypothetical(?:ly)?\b|\bin a (?:fictional|made-up|parallel)\b|\bfor (?:a|my) (?:novel|story|film|play)\b",
    ),
    "asks for the prompt": (
        1.0,
        r"\bsystem (?:prompt|message)\b|\byour (?:\w+ )?(?:instructions|prompt|rules)\b|\bwhat (?:were|are) you told\b|"
        r"\b(?:everything|the text|all of it) above\b|\bverbatim\b|\bword for word\b|\bhidden \w+",
    ),
    "hides the answer": (
        1.0,
        r"\b(?:spell(?:ed|ing)?|letter by letter|base64|rot13|backwards|in reverse|acrostic|cipher|encod\w+|"
        r"first letters?|rhymes? with|fill in the blank|complete the sentence)\b",
    ),
    "presses": (
        1.0,
        r"\b(?:just (?:this )?once|no ?(?:body|one) (?:will|would|has to) (?:ever )?know|between (?:us|you and me)|"
        r"make an exception|off the record|i (?:won't|will not) tell|trust me|you (?:already|just) "
        r"(?:told|said|agreed|promised)|depends? on it)\b",
    ),
}
_COMPILED = {name: (points, re.compile(pattern)) for name, (points, pattern) in _MOVES.items()}
_ASSENT = re.compile(
    r"\W*(?:(?:yes|yeah|yep|ok|okay|sure|fine|please|go on|go ahead|continue|do it|do that|tell me|more|and then|"
    r"that one|no|thanks|thank you)\W*){1,3}"
)
_WORD = re.compile(r"[^\W\d_]{4,}")
_COMMON = """
about always answer anything chatbot conversation does from gets give gives have instruction into makes message must
name names never other reply said says tell tells than that their them they this told user users what when which will
with word words would your
"""


@dataclass(frozen=True, slots=True)
class MoveEvidence:
    """What the rules find in a dialogue, up to the user's last message."""

    points: float
    """Points of the whole dialogue, earlier messages decayed."""
    moves: tuple[str, ...]
    """The moves of the last message; none, and nothing speaks against this message."""


def limit_words(limits: Iterable[Limit]) -> frozenset[str]:
    """Return the words that say what the limits are about, without common ones."""
    texts = []
    for limit in limits:
        own_goal = limit.goal != Limit.default_goal(limit.name, limit.rule)
        texts += [limit.name, limit.rule or "", limit.goal if own_goal else ""]
    return frozenset(_WORD.findall(normalise(" ".join(texts)))).difference(_COMMON.split())


def find_moves(text: str, words: frozenset[str]) -> dict[str, float]:
    """Return the moves in one message, each with its points.

    Args:
        text: the message.
        words: the words of the limits; a message with one of them gets one point.
    """
    plain = normalise(text)
    found = {name: points for name, (points, pattern) in _COMPILED.items() if pattern.search(plain)}
    if words & set(_WORD.findall(plain)):
        found[LIMIT_WORDS] = 1.0
    return found


def weigh(said: Sequence[str], words: frozenset[str], further: Sequence[re.Pattern[str]] = ()) -> MoveEvidence:
    """Weigh a dialogue by the user's messages.

    A bare "yes" or "go on" has no points, and does not decay those of the messages before it.

    Args:
        said: the user's messages so far.
        words: the words of the limits.
        further: further patterns, 3 points each.
    """
    points, moves = 0.0, dict[str, float]()
    for text in said:
        moves = {}
        plain = normalise(text)
        if _ASSENT.fullmatch(plain):
            continue
        moves = find_moves(text, words)
        moves |= {f"matches {pattern.pattern!r}": 3.0 for pattern in further if pattern.search(plain)}
        points = DECAY * points + sum(moves.values())
    return MoveEvidence(points, tuple(moves))
