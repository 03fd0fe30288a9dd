"""What surrounds a statement: quotations, where it holds, what changed, and where its value ends."""

from __future__ import annotations

import re

from telic.memory.claims import GENERAL, ClaimScope

__all__ = ["context_of", "is_update", "masked", "scope_of", "trim_value"]

_QUOTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\"[^\"\n]*(?:\"|$)|“[^”\n]*(?:”|$)|«[^»\n]*(?:»|$)|(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w)){3,}'(?!\w)|^[ \t]*>[^\n]*$",
    re.DOTALL | re.MULTILINE,
)
_MAY_QUOTE = re.compile("[\"'`>“«]")
_ONCE = re.compile(
    r"\b(?:today|tonight|tomorrow|for once|just once|only once|right now|for now|for a change|this time|this once|"
    r"on this occasion|in the mood|for the moment|this (?:evening|morning|afternoon|weekend|week|month|trip|order|meal|one|visit|"
    r"occasion|party|journey|booking|flight|holiday)|next (?:time|week|weekend|month|trip|monday|tuesday|wednesday|thursday|friday|"
    r"saturday|sunday)|on (?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)|(?:just|only) (?:this|for (?:this|the))|(?:that|this|the) one(?: order)?|secret santa|raffle|whip-round|leaving (?:do|present)|for the table)\b"
)
_CONTEXT = re.compile(
    r"\b(?:when(?:ever)?|while|every time|each time|as long as) (?!you\b)[^,.;!?]+|\bif (?!(?:you|that|it|this|need be|possible|necessary|any)\b)[^,.;!?]+"
    r"|\b(?:on|for|during|in) (?:(?:my|the|our|all|most|long|short|business|work|family|summer|winter|ski|hot|cold|rainy|bad) )*"
    r"(?:business|work|holidays?|weekends?|weekdays?|vacations?|trips?|travels?|flights?|trains?|planes?|journeys?|hikes?|"
    r"breakfast|lunch|dinner|brunch|dessert|presentations?|meetings?|exams?|emails?|e-mails?|mails?|letters?|reports?|code|"
    r"mornings?|evenings?|afternoons?|nights?|summer|winter|spring|autumn|car|office|gym|hotels?|days|mondays|sundays|saturdays|"
    r"fridays|parties|birthdays|christmas)(?: (?:with|for) (?:the |my |our )?\w+)?"
    r"|\bat (?:work|home|night|parties|school|university|the (?:office|gym|beach|weekend|cinema|restaurant)|breakfast|lunch|dinner)"
    r"|\bwith (?:the |my |our )?(?:kids|children|family|parents|friends|colleagues|clients|guests|wife|husband|partner|team)"
    r"|\bas a (?:gift|present|starter|dessert|snack)"
)
_UPDATE = re.compile(
    r"\b(?:now|no longer|any ?more|any longer|these days|nowadays|lately|moved|relocated|changed|switched|switch|retrained|instead|"
    r"from now on|actually|since (?:last|the|this)|used to|stopped|gone off|grown|come to|new|another|became|become|turned|quit|"
    r"gave up|given up|tired of|fed up|correction|not .{1,30} but|other than i said)\b"
)
_CUT = re.compile(
    r"\s(?:but|because|since|so|although|though|however|if|when|whenever|while|which|who|where|whereas|unless|until|before|"
    r"after|as long as|as|to be honest|that is|that's|thats|and (?:i|i'm|my|we|he|she|they|it|that|please|so|also|then|now|"
    r"would|could|can|need|want|have|take|get|do|the)|i|i'm|im|i've|what|how|could you|can you|tell me|give me|is there|have (?:you|u)|do (?:you|u)|are (?:you|u)|unless|including|being|too much|that much|as much|thanks|than|over|rather than|more than|instead of)\b.*$"
)
_SPAN = (
    r"(?:today|tonight|tomorrow|yesterday|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|weeks?|weekends?|months?|years?|yrs|decades?|days?|hours?|mornings?|evenings?|afternoons?|nights?|spring|summer|autumn|winter|"
    r"christmas|easter|ramadan|diwali|new year|term|half-term|ages|january|february|march|april|june|july|august|september|october|november|december|(?:19|20)\d\d|once|the moment|the minute|the foreseeable)"
)
_TIME = re.compile(
    rf"\s(?:since|until|till|after|before|during|as of|come|this|last|next|every|each|these|those|past|(?:for|in|on|at|by|from|early|late) (?:the |this |last |next |every |early |late |a )?(?=(?:\w+ )?{_SPAN}\b))"
    rf"(?:\s?(?:this|last|next|the|a|coming|past|early|late|other|\w+))?? ?{_SPAN}\b.*$"
    r"|\s(?:today|tonight|tomorrow|yesterday|now|already|again|currently|lately|recently|anyway|forever|then|ago|so far)\b.*$"
    r"|\s(?:\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fifteen|twenty|thirty|forty|fifty|a couple of|a few|several|many|some)\+? (?:\w+ )?(?:days|weeks|months|years|yrs|decades)\b.*$"
)
"""Words for a time that end a value: they say since when, and are no part of what is so."""
_TAIL = re.compile(
    r"(?:\s|^)(?:please|thanks|thank you|btw|by the way|tbh|lol|haha|too|as well|also|very much|so much|a lot|a bit|a great deal|"
    r"any ?more|any longer|these days|nowadays|lately|now|at the moment|currently|instead|at most|max|maximum|for years|for ages|"
    r"all my life|my whole life|all day|pls|thx|most|best|better|myself|really|though|again|always|anyway|you know|i think|i guess|i suppose|if you ask me|believe it or not|"
    r"by trade|by profession|for a living|full time|part time|of course|actually|in general|generally|usually|mostly|especially|"
    r"any day|any time|anytime|here|right now|just|to be honest|tbf|imo|indeed|to spend|in total|per person|with (?:a|all my) (?:passion|vengeance|heart|fury)|from|of|in|with|including|like|such as|by|called|about|to|for|and|or|than|either|not|really|either|as well)$"
)
_HEAD = re.compile(
    r"^(?:the|a|an|some|any|to|my|all|really|very|quite|having|eating|drinking|taking|using|getting|every|all kinds of|"
    r"lots of|a lot of|(?:we are|we're|i am|i'm) talking about|that|it when|of|about|in|at|near|on|as|for|is|are|just|only|mostly|:)\s+"
)
_EMPTY = frozenset(
    (
        *"it that this them those these you him her us one ones both something anything nothing everything how what the idea to".split(),  # noqa: SIM905
        *"way lot there here so not your yours he she they me myself all fine good ok okay well sure same".split(),  # noqa: SIM905
        "the way", "the idea", "a lot", "your help", "your idea", "your answer", "your suggestion", "your suggestions",
        "this one", "that one", "the first one", "the second one", "the last one", "not sure", "that idea",
    )
)  # fmt: skip


def masked(text: str) -> str:
    """Return a text in lower case, of the same length, with blanks instead of quotations and code."""
    lowered = text.lower()
    if len(lowered) != len(text):  # some capitals have longer small letters
        lowered = "".join(low if len(low := char.lower()) == 1 else char for char in text)
    lowered = lowered.replace("’", "'")
    if not _MAY_QUOTE.search(lowered):
        return lowered
    return _QUOTED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), lowered)


def context_of(sentence: str) -> tuple[int, int] | None:
    """Return the place of the words that say in which situation a masked sentence holds; None if there are none."""
    match = _CONTEXT.search(sentence)
    return match.span() if match else None


def scope_of(original: str, sentence: str) -> ClaimScope:
    """Return where a statement in a sentence holds.

    Args:
        original: the sentence as the user wrote it.
        sentence: the same, masked.
    """
    if _ONCE.search(sentence):
        return ClaimScope("once")
    place = context_of(sentence)
    return GENERAL if place is None else ClaimScope("context", original[place[0] : place[1]].strip())


def is_update(sentence: str) -> bool:
    """Whether a masked sentence says that something changed."""
    return _UPDATE.search(sentence) is not None


_GAP = re.compile(r"\s{3,}")
"""What is left of a quotation (`masked`)."""


def trim_value(sentence: str, start: int, end: int) -> tuple[int, int] | None:
    """Cut what does not belong to a value off both ends of `sentence[start:end]`; None if nothing is left."""
    if sentence[start : start + 2].isspace():  # a quotation stands there
        return None
    if gap := _GAP.search(sentence, start, end):
        end = gap.start()
    context = context_of(sentence[start:end])
    if context is not None and context[0] > 0:
        end = start + context[0]
    for ending in (_CUT, _TIME):
        cut = ending.search(sentence[start:end])
        if cut is not None and cut.start() > 0:
            end = start + cut.start()
    changed = True
    while changed:
        changed = False
        while start < end and sentence[start] in " \t,:-–—('\"*_":
            start += 1
        while end > start and sentence[end - 1] in " \t,:;-–—.!?)('\"*_":
            end -= 1
        if head := _HEAD.match(sentence[start:end]):
            start, changed = start + head.end(), True
        if tail := _TAIL.search(sentence[start:end]):
            end, changed = start + tail.start(), True
    value = sentence[start:end]
    if not value.strip() or value in _EMPTY or len(value) > 80 or len(value.split()) > 8:
        return None
    return start, end
