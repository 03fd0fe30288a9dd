"""How people say who they are: name, birthday, pronouns, origin, languages, and what is theirs by name."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.memory.extractors.lexicon import CREATURES, DATE, DEMONYMS, LANGUAGES, RELATIVES
from telic.memory.extractors.statement_pattern import ADV, AM, PHRASE, StatementPattern

__all__ = ["identity_patterns"]

_NAME = r"(?P<v>(?:(?:prof|dr|mr|mrs|ms|miss|rev|fr|st)\.? )?[^\W\d_][\w'.-]*(?: [^\W\d_][\w'-]*){0,3})"
_END = r"(?=\s*(?:[,.;!?()–—-]|$|\n|and |but |by |here|from |if |so |please |at |for |on |not |in |now |again ))"


def identity_patterns() -> Iterator[StatementPattern]:
    """Yield how people say who they are."""
    yield from _names()
    yield from _birthdays()
    yield from _pronouns()
    yield from _origins()
    yield from _languages()
    yield from _names_of_creatures()
    favourite = r"\bmy (?P<n>(?:favou?rite|preferred|usual) (?!(?:limit|budget|route|place|way|time|thing)\b)(?:[a-z-]+ ){0,2}[a-z-]+?)(?:'s| is| are| has always been) "
    yield StatementPattern("{n}", re.compile(favourite + PHRASE))


def _names() -> Iterator[StatementPattern]:
    certain = (
        rf"\bmy (?:full |first |real |given |actual |christian )?name(?:'s| is|s) {ADV}{_NAME}",
        rf"\b(?:please |just )?call me {_NAME}{_END}",
        rf"{AM}(?:called|named) {_NAME}",
        rf"\b(?:i|we) go by (?:the name (?:of )?)?{_NAME}{_END}",
    )
    for one in certain:
        yield StatementPattern("name", re.compile(one), form="place", asks="call me" in one)
    with_capitals = (
        rf"\bcalling me {_NAME}",
        rf"^(?:\W*(?:hi|hello|hey|hiya|morning|good (?:morning|evening|afternoon)|evening|oh|and|yes|no|ok|so|again)\b)*\W*(?:it's|its|this is|tis) {_NAME},? (?:here|speaking|by the way|again|btw)\b",
        rf"^(?:\W*(?:hi|hello|hey|hiya|morning|good (?:morning|evening|afternoon)|evening|dear (?:sir|team|all))\b)+\W*(?:it's|this is|i'm|i am|im) {_NAME}{_END}",
        rf"^(?:\W*(?:hi|hello|hey|and|oh|the|btw)\b)*\W*(?:name's|name is|names) {_NAME}{_END}",
        rf"^(?:\W*(?:hi|hello|hey|hiya|morning|ok|yo)\b)*\W*{_NAME} here(?=\s*(?:[,.;!?]|$|again|and |from ))",
        rf"^(?:\W*(?:hi|hello|hey|hiya|morning|ok|yo)\b)*\W*(?:i'm|i am|im) {_NAME}(?=\s*(?:,|[.!]?$|and ))",
        rf"\bit's (?:just )?{_NAME}(?= with an? )",
        rf"\b{_NAME} is my (?:full |first |real |actual )?name\b",
        rf"\b(?:everyone|everybody|people|friends|they|folks|most people)(?: at [\w ]{{2,15}}| just| all)? calls? me {_NAME}{_END}",
        rf"\b(?:i'm|i am) {_NAME} again\b",
        rf"\b(?:you can|do|it's) (?:call me|use) {_NAME}{_END}",
        rf"\bon the (?:form|badge|ticket|booking|passport|label|card|envelope) (?:it'd better be|it's|it should (?:be|say)|put|i'm) {_NAME}{_END}",
        rf"\bfor the (?:name badge|badge|form|booking|ticket|label|reservation|delivery)[:,]? (?:it's |i'm )?{_NAME}{_END}",
        rf"\b(?:book it|put it|it's|make it|reservation|booking|order) (?:under|in the name(?: of)?|under the name(?: of)?) {_NAME}{_END}",
        rf"\b(?:as|,) {_NAME} is me\b",
        rf"{AM}{_NAME}(?= (?:by the way|btw|in case|if you)\b|, (?:by the way|btw|not |and i |nice|pleased))",
    )
    yield from (
        StatementPattern("name", re.compile(one), form="name", asks="calling me" in one) for one in with_capitals
    )
    signed = r"(?:^|\n)\s*(?:thanks|thank you|cheers|regards|best|kind regards|many thanks|ta|love|yours|best wishes|warm regards)[,!.]?\s*\n?[-–— ]*(?P<v>[^\W\d_][\w'-]+(?: [^\W\d_][\w'-]+)?)\s*$"
    yield StatementPattern("name", re.compile(signed), form="name")


def _birthdays() -> Iterator[StatementPattern]:
    for one in (
        rf"\bmy (?:actual |real )?(?:birthday|bday)(?:'s| is| falls| lands)? (?:on |actually |the same day as [^.!?]*?, )*(?P<v>{DATE})",
        r"\bmy birthday(?:'s| is| falls) (?:on |in )?(?P<v>[^,;:.!?()\n]+)",
        rf"\b(?:i was|i'm|me,|being|a \w+) born (?:on |in )?(?P<v>{DATE})",
        rf"\bi (?:was born|arrived|came into the world) (?:on |in )?(?P<v>{DATE}|(?:19|20)\d\d)",
        rf"\bi(?:'ll)? (?:turn|turned|be|hit|am|'m) (?:the big )?(?:\d+|[a-z]+(?:ty|teen)(?:-[a-z]+)?|ten)(?: years old)? (?:on |this )(?P<v>{DATE})",
        rf"\b(?P<v>{DATE})(?:,)? (?:is|was|that's|being) (?:my (?:birthday|bday)|when i was born|the day i was born|me\b.*(?:birthday|bday))",
        rf"\b(?:my|i share an?|mine) (?:birthday|bday)\b[^.!?]{{0,40}}?[,:(] (?P<v>{DATE})",
        rf"\b(?:yes |and )?(?:my|the) (?:birthday|bday) (?:is |falls )?(?:actually |really |always )*(?:is )?(?:on )?(?P<v>{DATE})",
        rf"\b(?:dob|date of birth)(?: is|:)? (?P<v>{DATE})",
    ):
        yield StatementPattern("birthday", re.compile(one), form="phrase" if "[^,;" in one else "as is", past=True)


def _pronouns() -> Iterator[StatementPattern]:
    sets = r"(?P<v>(?:she|he|they|xe|ze|it|fae)(?: ?[/+] ?| and | or )(?:her|him|them|they|she|he|hers|his|theirs|xem|zir|hir)(?: ?/ ?\w+)?(?= for me| please| person|\s*(?:[,.;!?)]|$)| in | on | if | over | btw| pronouns| here| now)|(?:any|all) pronouns)\b"
    mine = r"(?:my|i|i'm|me|mine|use|please|for me|call me|refer to me)"
    for one in (
        r"\bmy pronouns are (?P<v>\w+(?:/\w+)+)",
        rf"\b{mine}\b[^.!?]{{0,40}}\b{sets}",
        rf"\b{sets}[^.!?]{{0,30}}\b(?:for me|please|if you don't mind|btw|by the way|over here|pronouns)\b",
        rf"^\W*{sets}\W*(?:,|$)",
        r"\bi (?:use|go by) (?P<v>they|she|he|xe|ze)\b(?=\s*(?:[,.;!?]|$|and ))",
        r"\bi(?:'m| am) (?:an? )?(?P<v>they|she|he)\b(?=,? not (?:an? )?(?:he|she|they)\b)",
        r"\bpronouns:? (?P<v>\w+/\w+)",
    ):
        yield StatementPattern("pronouns", re.compile(one), form="as is", asks=True, plain=True)


def _origins() -> Iterator[StatementPattern]:
    for one in (
        rf"\b(?:i|we) (?:come|hail) {ADV}from (?!time\b|an?\b|the (?:same|point|idea)\b|work\b|here\b){PHRASE}",
        rf"{AM}{ADV}(?:originally )?from (?!time\b|scratch\b|home\b|work\b|here\b){PHRASE}",
        rf"\boriginally (?:i'm |we're )?from {PHRASE}",
        rf"\b(?:i was|i'm|me|i|was) (?:born|raised|brought up)(?: and (?:\w+ )?(?:raised|bred|dragged up|brought up|reared))? (?:\w+ )?(?:in|near|outside) {PHRASE}",
        rf"^born(?: and (?:\w+ )?(?:raised|bred|dragged up|brought up|reared))? (?:up )?in {PHRASE}",
        rf"\bi (?:grew up|was raised|was brought up) (?:\w+ )?(?:in|on|near|outside) {PHRASE}",
        rf"\b(?:being|comes? of being) {ADV}from {PHRASE}",
        rf"\bi came (?:up |over |down |here )*(?:to [\w ]{{3,20}} )?from {PHRASE}",
        rf"\bwhere i(?: was|'m| am) (?:born|from)\W+it is {PHRASE}",
        rf"\bmy people(?: are| live)? in {PHRASE}",
        rf"\bback home in {PHRASE}",
        rf"\bmy (?:home ?town|birthplace|native (?:town|country|city|village)|home country|motherland) (?:is|was|of) {PHRASE}",
        rf"{AM}an? {PHRASE}(?= (?:girl|lad|lass|boy|man|woman|native|person) (?:by birth|born|at heart|through and through|originally|in exile))",
    ):
        yield StatementPattern("origin", re.compile(one), form="place", past=True)
    nation = rf"(?P<v>(?:half[- ])?(?:{DEMONYMS}))"
    yield StatementPattern(
        "origin",
        re.compile(
            rf"{AM}{ADV}(?:an? )?{nation}(?=\s*(?:[,.;!?]|$|and |but |so |by |originally|living |myself|man\b|woman\b|girl\b|lad\b|born\b|student\b|nurse\b))"
        ),
        form="as is",
    )
    yield StatementPattern(
        "origin",
        re.compile(rf"^(?:\w+,? )?(?:being|as) (?:an? )?{nation}(?:man|woman)?,? (?:i|i'm|my|myself)\b"),
        form="as is",
    )


def _languages() -> Iterator[StatementPattern]:
    language = rf"(?P<v>{LANGUAGES})\b"
    speak = rf"\b(?:please |always )*(?:reply|answer|speak|write|talk|respond|chat)(?: to me| me| with me| back)?(?: always| only)? in {language}"
    yield StatementPattern("language", re.compile(speak), form="as is", asks=True)
    for one in (
        rf"\bmy (?:own |native |first |second |mother's |best |strongest )*(?:language|mother tongue|tongue)(?:'s| is) {language}",
        rf"\b(?:i|we) {ADV}(?:speak|spoke at home|talk|dream in|think in|count in|swear in|pray in|grew up speaking|was raised (?:on|in|speaking)) {ADV}(?:\w+, ?|\w+ and )*{language}",
        rf"\b(?:i|we) {ADV}speak [^.!?;]{{0,25}}\band {ADV}{language}",
        rf"\bi {ADV}speak {language}",
        rf"{AM}{ADV}(?:fluent|bilingual|native|a native speaker|more comfortable|most comfortable|happiest|conversational|better) (?:in|of|with) {language}",
        rf"\b{language} (?:\w+ )?(?:is|'s|being) (?:nearly |almost |really )?(?:my (?:first|second|native|mother's|mother|own|strongest|best|main|home|third)|what (?:i|we) (?:speak|dream|think|grew up)|the language (?:i|we))\b",
        rf"\b(?:i'm|i am|im|as) an? (?:native )?{language}[- ]speaker",
        rf"^{language} at home\b",
        rf"\bat home (?:we|it's|it is|i) (?:\w+ )?{language}",
        rf"\bi(?:'d| would) (?:rather|prefer) (?:you |to )?(?:\w+ )*in {language}",
    ):
        yield StatementPattern("language", re.compile(one), form="as is", past="grew up" in one)


def _names_of_creatures() -> Iterator[StatementPattern]:
    called = r"(?P<v>[^\W\d_][\w'-]+(?: [^\W\d_][\w'-]+){0,2})"
    one_word = r"(?P<v>[^\W\d_][\w'-]+)"
    own = r"(?:my|our) (?!late\b|old\b|childhood\b|first\b|ex\b)(?:[a-z-]+ ){0,2}?"
    creature = rf"(?P<n>{CREATURES})"
    words = r"(?:called|named|by the name of|name of|goes by|who goes by|answers to|answering to|listens to)(?: the name(?: of)?)?"
    mine = r"\b(?:i|we|i've|we've|ive|i'm|we're|got)\b[^.!?;]{0,40}"
    patterns = (
        rf"\b{own}{creature}(?:'s|s| is| are|, who is| also)?,? (?:now )?{words} {called}",
        rf"{mine}\b(?:an? |the |this |another |two |three )(?:[a-z'-]+ ){{0,3}}?{creature}s?,? {words} {called}",
        rf"\b(?:my|our) (?:new |little |other )?{creature}(?:'s|s)? name(?:'s| is) {called}",
        rf"\bthe name of (?:my|our) (?:new )?{creature} is {called}",
        rf"\bthe {creature}(?:'s)? (?:(?:i|we) [^.!?]{{0,40}} )?(?:is )?(?:name is|answers to|is called|is named|named|called) {called}",
        rf"\b(?:we|i)(?:'ve| have)? (?:called|named|renamed|christened) (?:the|our|my) (?:new |little )?{creature} {called}",
        rf"\b(?:we|i)(?:'ve| have|'ve got| got)? (?:a |an )(?:[a-z-]+ ){{0,2}}{creature}\b[^.!?]{{0,30}}[,;] (?:and )?(?:his|her|its|their) name(?:'s| is) {called}",
    )
    other = rf"\b(?:my|our) (?:new |little )?(?P<n>(?!(?:{RELATIVES}|name|first|middle|last|other|friend\w*|character|hero|novel|book|song|story)\b)[a-z]{{3,}}) is (?:called|named) {called}"
    yield StatementPattern("{n} name", re.compile(other), form="name")
    for one in patterns:
        yield StatementPattern("{n} name", re.compile(one), form="place")
    apposed = (
        rf"\b(?:my|our) (?!late\b|old\b|childhood\b)(?:[a-z-]+ ){{0,2}}?{creature},? {one_word}(?=\s*(?:[.,;!?()]|$|'s |is |was |has |will |and |with |to |always |loves |does |who |needs |keeps |won't |eats |hates |just |got ))",
        rf"\b{one_word},? (?:who is |is |that's |that is |he's |she's )?(?:my|our) (?!late\b|childhood\b)(?:[a-z0-9-]+ ){{0,3}}?{creature}\b",
        rf"\b(?:my|our) (?:[a-z-]+ )?{creature} is {one_word}(?=\s*(?:[.,;!?()]|$))",
    )
    for one in apposed:
        yield StatementPattern("{n} name", re.compile(one), form="name")
    for one in (
        rf"(?s)\b(?:an?|the|our|my|this|old) (?:[a-z-]+ ){{0,3}}?{creature}\b(?!'s).*?\b(?:his|her|its|their|came with the) name(?:'s| is)? {called}",
        rf"(?s)\b(?:the|our|my|this) (?:new )?{creature} (?:finally )?(?:has|got|gets) a name\b.*?\b(?:landed on|settled on|went with|it's|going with|is|chose|picked) {called}",
        rf"(?s)^(?:hi |hey |oh )?{one_word} (?!and\b|or\b|is an?\b).*?(?:[.!?]|, )(?:yes,? )?(?:she|he|it)(?:'s| is) (?:an? |my |our )(?:[\w-]+ ){{0,3}}?{creature}\b",
        rf"(?s)^{one_word} \((?:an? |my |our |the )?(?:[\w-]+ ){{0,3}}?{creature}\b[^)]*\)",
        rf"(?s)\b(?:foster|have|keep|got|adopted|rescued|breed)\b[^.!?]*\b{creature}s?\b.*?\b(?:the one|this one|one of them|the last one)\b[^.!?]* is {called}",
    ):
        yield StatementPattern("{n} name", re.compile(one), form="name", lone=True, message=True)
    for one in (rf"\b(?:ours|mine) (?:is |are |was |has always been )?(?:called|named|goes by|answers to) {called}",
                rf"\b(?:we|i)(?:'ve| have)? (?:called|named|renamed|christened|made) (?:him|her|it|them) {called}"):  # fmt: skip
        yield StatementPattern("pet name", re.compile(one), form="name")
