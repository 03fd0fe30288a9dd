"""All patterns of what people say about themselves in English, and what tells quickly that none of a slot can match."""

from __future__ import annotations

import re
from functools import cache

from telic.memory.extractors.diets import diet_patterns
from telic.memory.extractors.homes import home_patterns
from telic.memory.extractors.identity import identity_patterns
from telic.memory.extractors.jobs import job_patterns
from telic.memory.extractors.lexicon import CREATURES, DIETS, FOODS, LANGUAGES, MONEY
from telic.memory.extractors.statement_pattern import HAVE, PHRASE, SHORT, STARTS, StatementPattern
from telic.memory.extractors.tastes import taste_patterns

__all__ = ["gate_of", "slot_patterns", "statement_patterns"]

_GATES = {
    "name": r"name|call|go by|\bhere\b|speaking|this is|it's|\bhi\b|hello|hey|morning|evening|\bus(?:e|ing)\b|again|by the way|btw|form|badge|book|ticket|order|put it|thank|cheers|regards|love|best|is me|make it",
    "birthday": r"birth|bday|born|\bturn|\bhit\b|\bdob\b|arrived|world|\bbe\b",
    "pronouns": r"pronouns|\b(?:she|he|they|xe|ze|it|fae|use)\b",
    "home": r"liv|resid|dwell|home|house|flat|apartment|place|room|mov|relocat|based|settled|address|city|town|family|\bnow\b|\bin [^\W\d_]|near|outside|to me|street|road|bought|sold|left",
    "origin": r"from|born|raised|grew|brought|people|folks|native|birth|home|\bi'?m |\bi am |^(?:\w+,? )?(?:being|as)",
    "job": r"work|serv|earn|living|money|employed|job|profession|occupation|trade|train|\ban? |becom|became|retired|teach|tutor|lectur|coach|farm|nurs|drive|driving|run|own|manag|"
    r"we're|we are|pupils|patients|apprentices|parishioners|shift|stud|signing|books|secretary|treasurer|\bas\b|the \w|quit|left|no more|professionally|all day|i read|degree|phd|dive|fly|sail|curate|edit|congregation|pay me|head|look after|who \w|\bdo\b|\bi'm [a-z-]+|\bi [a-z]+ ",
    "diet": rf"\b(?:{DIETS}|{FOODS})|fast|ramadan|lent|type (?:1|2|one|two)|calories|macros|sodium",
    "allergy": r"allerg|intoleran|react|poison|ambulance|balloon|blow|\ber\b|list|hard no|kill|rash|hives|swell|mix|agree|get on|get along|anaphy|epi|\bpen\b|adrenaline|throat|bring|brought|break|sneeze|itch|wheeze|sensitiv|hospital|a&e|puff|came out|come out|makes? me|made me|me to|me in|face|lips",
    "language": rf"\bin \w|language|tongue|\b(?:{LANGUAGES})",
    "{n} name": rf"\b(?:{CREATURES})",
    "pet name": r"\bours|\bmine|call|nam|made|christen",
    "{n}": r"favou?rite|preferred|usual",
}


@cache
def gate_of(slot: str) -> re.Pattern[str] | None:
    """Return what occurs in every sentence that a pattern of a slot matches, so that others need not be searched for."""
    return re.compile(_GATES[slot]) if slot in _GATES else None


@cache
def statement_patterns() -> tuple[StatementPattern, ...]:
    """Return all patterns that do not depend on the purpose's slots."""
    return (*identity_patterns(), *home_patterns(), *job_patterns(), *diet_patterns(), *taste_patterns())


@cache
def slot_patterns(slot: str) -> tuple[StatementPattern, ...]:
    """Return how people fill a slot of the purpose: by its name, and a budget or a seat also in other words."""
    name = r"[\s-]+".join(re.escape(word) + r"(?:s|es)?" for word in slot.split())
    found = [
        rf"\b(?:my|our) (?:\w+ )?{name} (?:is|are|will be|would be|has to be|should be|must be|stays|remains|changed to) {PHRASE}",
        rf"^\W*(?:my )?{name}\s*[:=]\s*{PHRASE}",
        rf"{STARTS}{SHORT} (?:is|are) (?:my|our) {name}\b",
        rf"{HAVE}(?:set myself )?an? {name} of {PHRASE}",
    ]
    if "airport" in slot:
        found.append(
            r"\b(?:i|we) (?:always |usually |normally )?(?:fly|depart|leave|travel) (?:from|out of) (?P<v>[^,;:.!?()\n]+)"
        )
    if "budget" in slot:  # a sum, not "tight"
        return tuple(StatementPattern(slot, re.compile(one), form="as is") for one in _budgets())
    return tuple(StatementPattern(slot, re.compile(one)) for one in found)


def _budgets() -> list[str]:
    money = rf"(?P<v>{MONEY})(?![\w/:-])(?! (?:people|persons?|guests|minutes|hours|days|words|km|miles|kg|g\b|ml|years|degrees|inches|cm|metres|of us|adults|kids))"
    more = r"(?:more than|over|above|past|beyond|north of|higher than|in excess of)"
    marked = rf"(?P<v>(?:[$€£₹₦]|rs\.? ?){MONEY}|{MONEY}(?:(?<=euros)|(?<=pounds)|(?<=dollars)|(?<=quid)|(?<=bucks)|(?<=[€$£₹₦])|(?<=rupees)|(?<=a night)|(?<=a month)|(?<=a head)|(?<=a week)|(?<=tenner)|(?<=each)|(?<=grand)|(?<=per month)))"
    spend = r"(?:spend|pay|afford|stretch|part with|shell out|fork out|splash out)"
    us = r"\b(?:i|we|i'm|we're|i've|we've|i'd|we'd|me|us|my|our)\b"
    return [
        rf"\b(?:i|we) {{0,1}}(?:can|could|want to|have to|can only|can just about) (?:only |at most |just about |just )*{spend} (?:to )?(?:only )?(?:up to |at most |about |around |maybe )?{money}",
        rf"\b(?:i|we)(?:'d| would|'ll)? ?(?:do not|don't|cannot|can't|won't|dont|cant|not|rather not|prefer not to|like not to|never|hate to|refuse to|wouldn't)(?: really)? (?:want to |wish to |like to |plan to |have to )?{spend} (?:any )?(?:much )?{more} {money}",
        rf"{us}[^.!?]{{0,60}}\b(?:can't|cannot|cant|mustn't|must not|shouldn't|won't|not) (?:be|cost|come to|go|exceed|run to|set (?:me|us) back)(?: us| me)? ?(?:any )?(?:{more})? {money}",
        rf"\b(?:can't|cannot|cant|mustn't|must not) (?:be|cost|come to|go|exceed|run to|set (?:me|us) back)(?: us| me)? ?(?:any )?(?:{more})? {money}(?=.*{us})",
        rf"\b(?:i|we)(?:'ve got| have|'ve|'ve set aside| have set aside|'ve saved|'ve put by) (?:about |around |only |just |got )*{money}(?: (?:or so))? (?:to (?:spend|play with|blow|last)|for it|for this|for everything|for the (?:whole|lot|trip)|available|set aside|saved|put by|max|at most|all in|total|tops)",
        rf"{us}[^.!?]{{0,40}}\b(?:max(?:imum)?|at most|no more than|not more than|tops is|up to|stay (?:within|under|below)|keep (?:it|this|things) (?:to|under|below))\.? {marked}",
        rf"^\W*(?:max(?:imum)?|at most|no more than|not more than|absolute (?:max|limit|ceiling))\.? {money}",
        rf"\b{money} (?:max|tops|at most|maximum)\b(?=.*{us})",
        rf"\b(?:my|our|the|a|working with a|is)? ?(?:budget|limit|ceiling|upper limit|cap|top whack)\b(?!')[^.!?\d]{{0,40}}?\b(?:is|of|at|to|:|around|are|about|=) ?{money}",
        rf"\b(?:my|our|usual) (?:\w+ )?(?:limit|ceiling|max|maximum|budget|cap|top)\b[^.!?]{{0,40}}? (?:is|'s|being|stays at|sits at) {money}",
        rf"^\W*budget[:=]? ?{money}",
        rf"\b{money} is (?:all|the most|everything|about what|my limit|our limit|as much as|the limit|the ceiling|as high as) ?(?:that )?(?:i|we)?",
        rf"\b(?:cost|spend|pay)(?: me| us)? (?:no |not )?{more} {money}",
        rf"\b(?:we're|i'm|i am|we are) (?:now )?(?:at|down to|working with|capped at|limited to|on a budget of) {money}",
        rf"\bbudget\b[^.!?\d]{{0,30}}{money}",
        rf"^(?=.*{us})[^.!?]*?{money}(?: (?:a|per) \w+)?,? (?:is|'s|being) (?:really |about |honestly |pretty much )*(?:the|our|my) (?:most|max|ceiling|limit|cap|top|absolute \w+)\b",
        rf"\b(?:i've|i have|we've|we have|i|we)(?: got)? {money}(?= (?:for|to|on|in)\b[^.!?]*\b(?:total|max|tops|the rule|all in|and no more|no more|per month|a month)\b)",
        rf"{us}[^.!?]{{0,40}}\bnothing (?:over|above|beyond|more than) {money}",
        rf"(?=.*{us})\b(?:stay|keep(?: it| things| this)?) (?:under|below|within) {money}",
    ]
