"""How people say where they live."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.memory.extractors.statement_pattern import ADV, AM, PHRASE, SHORT, STARTS, WE, WE_ARE, StatementPattern

__all__ = ["home_patterns"]

_HERE = r"(?:in|near|outside|just outside|on the edge of)"


def home_patterns() -> Iterator[StatementPattern]:
    """Yield how people say where they live."""
    yield from _former()
    yield from _hinted()
    yield from _stated()
    yield from _stated_in_capitals()
    yield from _new()


def _former() -> Iterator[StatementPattern]:
    for one in (
        rf"{WE} (?:no longer|don't|do not) live in {PHRASE}",
        rf"\b(?:gave up|given up|sold|selling|leaving|left|out of) (?:[\w ]+ and )?(?:my|our|the) (?:[\w-]+ )?(?:place|flat|house|home|apartment|cottage) in {PHRASE}",
        rf"{WE}?(?:'ve| have)? ?{ADV}(?:left|moved (?:out of|away from|from)) (?!the\b|my\b|our\b|a\b){PHRASE}(?=.*\b(?:for good|to|now|behind|home)\b)",
    ):
        yield StatementPattern("home", re.compile(one), -1, update=True, form="name")


def _hinted() -> Iterator[StatementPattern]:
    """Yield places that stand beside words of a home, such as a landlord or a commute."""
    cue = (
        r"(?:live|lives|lived|living|my place|our place|studio|apartment|duplex|condo|bungalow|terrace|rent|rents|renting|landlord|lease|mortgage|neighbou?rs?|neighbou?rhood|our street|our road|my street|my road|my block|"
        r"bathroom|toddlers|backyard|my yard|my garden|commute|school run|bin day|council tax|been here|here now|never left|(?:my|our) (?:back|front) door|(?:my|our) kitchen|years now|yrs now|winters? in|home now|moved|settled)"
    )
    travel = r"(?:hotel|hostel|airbnb|flights?|fly|flying|trip|visit\w*|vacation|holiday|weekend|tour|book|booking|honeymoon|conference|itinerary|layover|used to|cruise|stay in|staying|could live|would live|want to live|like to live|live music)"
    place = rf"(?:in|near|outside) {PHRASE}"
    us = r"\b(?:i|i'm|i've|im|we|we're|we've|my|our|me|us)\b"
    near = rf"^(?=.*{us})(?=.*\b{cue}\b)(?!.*\b{travel}\b).*?\b{place}"
    yield StatementPattern("home", re.compile(near), form="name", lone=True, weight=0.9)
    yield StatementPattern(
        "home",
        re.compile(rf"^(?=.*{us}).*?\b(?P<v>[^\W\d_][\w'-]+(?: [^\W\d_][\w'-]+)?) is home(?: now)?\b"),
        form="name",
        lone=True,
        update=True,
    )
    yield StatementPattern(
        "home",
        re.compile(
            r"\bi(?:'m| am|m)? ?(?:guess )?(?:i'm |im |i am )?(?:now )?an? (?P<v>[a-z]+) (?:girl|boy|guy|man|woman|person|local|resident)(?:,)? now\b"
        ),
        form="place",
        update=True,
    )
    yield StatementPattern(
        "home",
        re.compile(rf"\bi came (?:up |over |down )*to {PHRASE}(?=.*\b(?:never left|stayed|years|still here)\b)"),
        form="name",
    )
    yield StatementPattern(
        "home",
        re.compile(
            r"(?s)\bi live on (?:a|the) (?:boat|houseboat|narrowboat|farm|island)\b.*?, (?P<v>[^\W\d_][\w'-]+)(?=\.)"
        ),
        form="name",
        message=True,
    )


def _stated() -> Iterator[StatementPattern]:
    rooms = (
        r"(?:street|road|lane|house|flat|place|home|apartment|back door|front door|doorstep|garden|end|part|corner|side|village|town|neck of the woods|kitchen|local|parish|estate|"
        r"neighbou?rhood|block|building|terrace|balcony|allotment|bungalow|cottage|landing|loft|basement|roof|council|borough|postcode|area|spare room|house-share|family)"
    )
    for one in (
        rf"{WE} {ADV}(?:live|reside|dwell|are based|am based) {ADV}(?:in|near|at|outside|out of|on the edge of) {PHRASE}",
        rf"{WE_ARE}{ADV}(?:living|residing|based|settled|at home|holed up|renting|housed) {ADV}(?:in|near|outside|of) {PHRASE}",
        rf"\b(?:i|we)(?:'ve| have|ve) {ADV}(?:lived|been (?:living|based)) {ADV}(?:in|near|outside) {PHRASE}(?=.*(?:\bfor\b|\bsince\b|years|months|all my life|whole life|decades|\bnow\b|always|ages|this long))",
        rf"^(?:\W*(?:oh|and|also|so|well)\b)*\W*(?:living|based) in {PHRASE}",
        rf"\bmy (?:current |own )?home(?:town| town| city)? is (?:now )?(?:in )?{PHRASE}",
        rf"\bhome (?:for me )?is (?:now )?(?:in )?{PHRASE}",
        rf"\b(?:i|we|i've|i'm|we're|that i)\b[^,;:.!?]{{0,20}}\b(?:live|living|settled|reside|based|at home) {ADV}in (?:is )?{PHRASE}",
        rf"\bthe (?:town|city|village|place|country) (?:that )?(?:i|we) live in is {PHRASE}",
        rf"\b(?:my|our)(?: own)? {rooms}(?: is| lives?| are)? (?:now |here |over |down |up |out |back )*{_HERE} {PHRASE}",
        rf"\b(?:in|from) {SHORT}, my home ?town\b",
        rf"{AM}in {SHORT}, (?:that is|that's|thats|which is) (?:my )?home\b",
        rf"{STARTS}{SHORT}, (?:which is |that is |that's )?where i live\b",
        rf"\bwhere (?:i|we) live(?:, |: | is )(?:in )?{PHRASE}",
        rf"\bwhere i live\? {PHRASE}",
        rf"{WE} (?:have|own|rent|bought|got|'ve got) an? (?:[\w-]+ ){{0,2}}(?:flat|house|apartment|place|room|home|studio|bungalow|cottage) in {PHRASE}",
        rf"\breach me in {PHRASE}",
        rf"\bi (?:stay|am|'m) in {PHRASE}(?= all year)",
    ):
        yield StatementPattern("home", re.compile(one), form="place")


def _stated_in_capitals() -> Iterator[StatementPattern]:
    """Yield what is a home only if the place is written as a name."""
    capital = (
        rf"{WE_ARE}(?:over |up |down |out |here |stuck |all |way |both |only |just )*(?:in|near|outside) {PHRASE}(?!.*\b(?:at the moment|right now|currently|for now|this week|visiting|for work)\b)",
        rf"\b(?:i'm|we're|my|our)\b[^.!?]{{0,30}}\b(?<!right )here in {PHRASE}",
        rf"^(?:down|up|over|out|round)? ?here in {PHRASE}(?=.*\b(?:we|i|our|my)\b)",
        rf"\b(?:down|up|on|round|along) (?:our|my) (?:street|road|way|lane|end)(?: is)? in {PHRASE}",
        r"\b(?P<v>[^\W\d_][\w'-]+(?: [^\W\d_][\w'-]+)?)[- ]based (?:here|\w+ here)?",
        rf"\b(?:i|we) {ADV}call {SHORT} home\b",
        rf"{STARTS}{SHORT} (?:is|has been) (?:my|our|where i call) home\b",
        rf"\b(?:delivery|shipping|send it|post it|deliver(?:ed)?)\b[^.!?]{{0,20}} to (?:me|my (?:house|flat|place|home|address)) (?:at|in) {PHRASE}",
        rf"\b(?:our|my) (?:b&b|shop|pub|caf[eé]|school|farm|surgery|practice)\b[^.!?]{{0,20}}? (?:at|in) {PHRASE}",
    )
    yield from (StatementPattern("home", re.compile(one), form="name") for one in capital)


def _new() -> Iterator[StatementPattern]:
    for one in (
        rf"{WE}(?:'ve| have|ve|'m| am|m|'re| are)? {ADV}(?:moved|moving|relocated|relocating|upped sticks|shifted|settled) (?!in\b)(?:(?!to\b|in\b|from\b)[\w']+ ){{0,3}}?(?:(?:from|out of) [\w' -]{{2,25}}? )?(?:to|in|into) {PHRASE}",
        rf"{WE}(?:'ve| have|ve|'m| am|m|'re| are)? {ADV}mov(?:ed|ing|e) (?:back )?in with (?:my|our|a|the|some) (?:[\w-]+ )?(?:and (?:my )?\w+ )?(?:(?:over|up|down|out) )?in {PHRASE}",
        rf"\bmy new (?:home|address|city|place|flat|house) is (?:now )?(?:in )?{PHRASE}",
        rf"\bmy (?:home|address) is now in {PHRASE}",
        rf"\b(?:we|i)(?:'ve| have)? (?:just )?(?:bought|got|found|rented|renting|taken)\b[^.!?]{{0,40}}\b(?:flat|house|wreck|place|cottage|bungalow|apartment|home)\b {_HERE} {PHRASE}",
        rf"\b(?:sold|left)\b[^.!?]{{0,60}}\b(?:bought|moved|for)\b[^.!?]{{0,30}}\b(?:flat|house|wreck|place|cottage|bungalow|apartment|home)\b {_HERE} {PHRASE}",
    ):
        yield StatementPattern("home", re.compile(one), form="place", update=True)
    yield StatementPattern("home", re.compile(rf"{AM}in (?P<v>[^\W\d_][\w'-]+) now\b"), update=True, form="name")
