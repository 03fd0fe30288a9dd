"""How people say what they like and dislike, for good or for once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.memory.extractors.lexicon import FOODS
from telic.memory.extractors.statement_pattern import ADV, AM, HAVE, PHRASE, SHORT, STARTS, StatementPattern

__all__ = ["taste_patterns"]

# "I love how ...", "I like to think ...", "I like that one" name nothing that somebody likes.
_NOT = (
    r"(?!(?:well|much|as|more|less|most|than|to (?:help|donate|give|participate|see|know|think|say|ask|eat|hear|get|have|make|take|go|do|talk|work|share|try|use|buy|find|put|start|tell|be|keep|check|make|believe|run|support)|like it|it|that|this|these|those|them|him|her|you|your|how|what|when|where|why|if|to (?:think|know|say|ask|see|believe|hear|be|keep|check|make sure)|the (?:idea|sound|look|way|fact|suggestions?|offer|thought|rest|reply|answer|question|information|website|story|first|second|last|others?|one)|"
    r"all (?:of )?(?:this|that|these|it)|so|any|anyone|people|both|one|ones|one of|being|having to|everything|anything|my|his|their|our)\b)"
)
_V = _NOT + PHRASE
_LIKE = r"(?:like|love|prefer|enjoy|adore|favou?r|cherish|dig|treasure|swear by)"
_ADORING = (
    r"(?:fond of|keen on|(?:well |really |massively )?into|(?:an? )?(?:(?!not\b|no\b|never\b|hardly\b|former\b|ex\b)\w+ ){0,2}(?:fan|lover|admirer|friend) of|crazy about|mad about|mad for|nuts about|partial to|"
    r"obsessed with|passionate about|hooked on|addicted to|happiest with|a sucker for|a martyr to)"
)


def taste_patterns() -> Iterator[StatementPattern]:
    """Yield how people say what they like and dislike."""
    yield from (StatementPattern("taste", re.compile(one)) for one in _liking())
    yield from (StatementPattern("taste", re.compile(one), -1) for one in _disliking())
    yield from (StatementPattern("taste", re.compile(one), -1, update=True) for one in _going_off())
    yield from (StatementPattern("taste", re.compile(one), update=True) for one in _coming_round())
    yield from _changes_of_mind()
    verbs = r"(?:take|choose|order|book|go for|opt for|pick|drink|eat|buy|listen to|read|watch|play)"
    habit = rf"\bi (?:always|usually|normally|mostly|generally|typically|tend to) {verbs} {_V}"
    yield StatementPattern("taste", re.compile(habit), weight=0.7)
    person = rf"{AM}{ADV}(?:more of )?an? (?!\w+/){SHORT} person\b(?! (?:who|that|with|of|in))"
    yield StatementPattern("taste", re.compile(person), weight=0.7)
    for request in (
        rf"\bi(?:'d| would) (?:really |rather |quite )?(?:like|love|prefer|enjoy|fancy|have) {PHRASE}",
        rf"\bi {ADV}(?:fancy|want|need|crave) {PHRASE}",
        rf"\b(?:i'll|i will|let me) (?:have|take|try|go for|get) {PHRASE}",
        rf"\bin the mood for {PHRASE}",
        rf"\b(?:give|get|bring|find|book|order) me {PHRASE}",
    ):
        yield StatementPattern("taste", re.compile(request), once=True)


def _liking() -> tuple[str, ...]:
    return (
        rf"\bi {ADV}(?<!would )(?<!i'd ){_LIKE} (?!to\b){_V}",
        rf"\bi {ADV}(?<!would )(?<!i'd )(?:love|adore) {_V}",
        rf"\b(?:i|we) (?:absolutely |really |just )?(?:can't|cannot|cant) (?:get enough of|live without|resist|go wrong with|say no to|start (?:the|my) day without) {_V}",
        rf"{AM}{ADV}{_ADORING} {_V}",
        rf"^(?:\W*(?:but|and|also|oh)\b)*\W*(?:big |huge |massive |great )+(?:fan|lover) of {_V}",
        rf"\bi(?:'d| would) (?:eat|drink|watch|read|listen to|have|play) {SHORT} (?:every day|all day|until the cows|for every meal|morning, noon|till i)\b",
        rf"{HAVE}{ADV}(?:been (?:fond of|into|keen on|mad about|hooked on|obsessed with)|loved|liked|enjoyed|preferred|adored|grown fond of|learned to {_LIKE}|"
        rf"learnt to {_LIKE}|an? (?:\w+ )?(?:soft spot|weakness|thing|passion|preference|sweet spot) for) {_V}",
        rf"\bwhat i {ADV}{_LIKE}(?: most| best)? is {PHRASE}",
        rf"{STARTS}{SHORT} (?:always |just |simply )?(?:makes? my day|makes? me happy|is wonderful to me)\b",
        rf"\bi(?:'m| am)? (?:could (?:happily )?live on|live for|living for) {_V}",
        rf"\b(?:nothing beats|nothing (?:\w+ )*i (?:like|love|enjoy) (?:better|more) than|can't beat|cannot beat|you can't beat) {_V}",
        rf"\b(?:give me|gimme) {SHORT} (?:over [^,.!?]+ )?(?:any ?(?:day|time)|every (?:time|day)|all day)\b",
        rf"^{SHORT} (?:is|are) my (?:absolute |all-time |personal |guilty )?(?:favou?rites?|thing|passion|cup of tea|pleasure|weakness|happy place|jam|go-to)\b",
        rf"\bmy (?:preference|passion|weakness|guilty pleasure|comfort food|go-to|idea of (?:heaven|bliss|a good time)) is {PHRASE}",
        rf"\bi(?:'m| am) (?:a )?(?!big|huge|great|massive|not){SHORT}[- ](?:lover|addict|obsessive|fanatic|junkie|nut|enthusiast|fan)\b(?! of)",
        rf"\bi like (?:my|our) {PHRASE}",
        rf"\bi (?:\w+ly )?(?:think|find|believe|consider) {SHORT} (?:is |are |to be )?(?:absolutely |really |just |quite |so )?(?:wonderful|great|amazing|brilliant|lovely|fantastic|delicious|the best|fab|gorgeous|unbeatable|relaxing|delightful)\b",
        rf"^any {SHORT} and i(?:'m| am) (?:happy|sold|yours|there)\b",
    )


def _disliking() -> tuple[str, ...]:
    return (
        rf"\bi {ADV}(?:do not|don't|dont|never) {ADV}(?:like|love|enjoy|care (?:much )?for|appreciate|prefer|get on with|get along with) {_V}",
        rf"\bi {ADV}(?:do not|don't|dont) do (?!(?:well|much|anything|that|this|it|so|any|the|a|an|my|what|enough|too|very|well|things?)\b){_V}",
        rf"\bi {ADV}(?:do not|don't|dont|never) {ADV}(?:eat|drink|touch) (?!(?:{FOODS})\b){_V}",
        rf"\bi {ADV}(?:can't|cannot|can not|cant|couldn't) {ADV}(?:stand|bear|abide|tolerate|stomach|be doing with|deal with) (?!to\b){_V}",
        rf"\bi {ADV}(?:can't|cannot|can not|cant) {ADV}(?:eat|drink) (?!(?:{FOODS})\b){_V}",
        rf"\bi {ADV}(?:hate|dislike|detest|loathe|despise|avoid|abhor|mind) (?!to (?:ask|bother|say|be|do|break|admit)\b){_V}",
        rf"\bi(?:'ll| will)? ?(?:won't|will not) (?:eat|drink|touch|wear|watch|have|go near|entertain|do) (?!to\b){_V}",
        rf"{AM}{ADV}(?:not|no|never) {ADV}{_ADORING} {_V}",
        rf"^(?:\W*(?:but|and|also|oh)\b)*\W*not (?:a |an |the )?(?:big |huge |massive |great |biggest )*fan of {_V}",
        rf"\bi(?:'d| would) (?:rather|prefer to|sooner|much rather) (?:avoid|not have|skip|go without) {_V}",
        rf"\bi\b[^,;:.!?]{{0,40}} to avoid {_V}",
        rf"{HAVE}(?:no|little) (?:time|patience|love|use|taste|stomach) for {_V}",
        rf"\bnot (?:see|find|catch|get) me (?:anywhere )?(?:near|in|on|at|with|eating) {_V}",
        rf"\bi (?:could|can) (?:happily |easily |well )?(?:do|live) without {_V}",
        rf"^(?:please )?(?:spare me|keep me away from|no more) {PHRASE}",
        rf"{STARTS}{SHORT} (?:is not|isn't|are not|aren't|isnt|arent|was never|is never|is just not|have never been|has never been) "
        r"(?:really |quite |exactly |at all )?(?:for me|my thing|my cup of tea|my favou?rites?|to my taste|my bag|my scene)\b",
        rf"\bi(?:'ve| have|ve)? never (?:really )?(?:liked|enjoyed|loved|cared for|been into|been fond of|got the point of|understood the appeal of|seen the point of) {_V}",
        rf"^{SHORT} (?:leaves? me cold|bores? me(?: \w+)*|makes? me (?:gag|heave|retch|cringe|want to (?:scream|leave|hide))|turns? my stomach|does nothing for me|do nothing for me|"
        r"gives? me the (?:ick|creeps|shivers)|drives? me (?:mad|up the wall|crazy|nuts|round the bend)|gets? on my nerves|sets? my teeth on edge)\b",
        rf"\bcan(?:'t|not) be doing with {_V}",
        rf"\bi (?:\w+ly )?(?:think|find|believe|consider) {SHORT} (?:is |are |to be )?(?:absolutely |really |just |quite |so )?(?:awful|horrible|disgusting|revolting|vile|gross|dreadful|unbearable|tedious|boring|overrated|the worst)\b",
        rf"\bi (?:just |really )?(?:can't|cannot|cant) do (?!(?:it|that|this|much|without|with|any|anything|everything|what|more|\w+days?|mornings?|evenings?|tomorrow|a|my|the)\b){_V}",
        rf"\byou can (?:have|keep) (?:my (?:share|half) of )?(?:the |your ){PHRASE}",
        rf"^{SHORT}\?+ (?:ugh|no|nope|yuck|hard pass|no thanks|never|god no)\b",
        rf"^(?:\w+ )?{SHORT} tastes? (?:like|of) (?:\w+ )*(?:soap|dirt|feet|cardboard|drywall|metal|chalk|bleach|socks|the inside of)\b",
        rf"^{SHORT} and i (?:parted (?:company|ways)|broke up|fell out|are not on speaking terms|aren't (?:friends|on speaking terms)|have (?:parted|fallen out)|don't (?:get on|get along|speak))\b",
    )


def _going_off() -> tuple[str, ...]:
    return (
        rf"{HAVE}{ADV}(?:gone (?:right |completely |totally )?off|went off|stopped (?:liking|enjoying)|had enough of|lost my taste for|fallen out of love with) {_V}",
        rf"^gone (?:right |completely |totally )?off {_V}",
        rf"{AM}{ADV}(?:over|done with|through with|(?:right |totally |completely )?off) (?:the )?{_V}",
        rf"{STARTS}{SHORT} (?:is|are) no longer (?:for me|my thing|my cup of tea|my favou?rites?|to my taste)\b",
        rf"{AM}{ADV}(?:sick|tired|fed up|bored) (?:of|with) {_V}",
        rf"\bi {ADV}no longer (?:like|love|enjoy|care for|prefer|want) {_V}",
        rf"\bi (?:no longer|don't) (?:eat|drink) (?!(?:{FOODS})\b){PHRASE}(?= any ?more)",
        rf"\bi used to (?:like|love|enjoy|prefer|adore|live on|swear by) {_V}",
    )


def _coming_round() -> tuple[str, ...]:
    return (
        rf"\bi(?:'ve| have|ve)? {ADV}(?:come|grown|started|begun|learned|learnt) to (?:like|love|enjoy|appreciate|prefer|adore) {_V}",
        rf"\bi(?:'ve| have|ve)? {ADV}(?:come (?:a)?round to|got into|gotten into|fallen (?:in love with|for)|become (?:fond of|a fan of|hooked on)|developed a (?:taste|thing) for|taken to|"
        rf"discovered (?:that i (?:like|love)|a love (?:of|for))|warmed to|been converted to) {_V}",
        rf"\bi(?:'ve| have) {ADV}started (?:liking|loving|enjoying|preferring) {_V}",
    )


def _changes_of_mind() -> Iterator[StatementPattern]:
    mind = rf"\b(?:changed my mind|wrong|mistaken) (?:about|on) {PHRASE}, (?:and |but |so |because )?(?:now )?i (?:now |do |really |quite )*"
    it = "(?:it|them|that|those)"
    yield StatementPattern("taste", re.compile(rf"{mind}{_LIKE} {it}\b"), update=True)
    yield StatementPattern(
        "taste", re.compile(rf"{mind}(?:(?:don't|do not|no longer) {_LIKE}|hate|dislike) {it}\b"), -1, update=True
    )
    used = rf"\bi used to (?:hate|dislike|loathe|avoid|detest|can't stand) {PHRASE}, (?:and |but )?(?:now )?i (?:now |do |really |quite )*"
    yield StatementPattern("taste", re.compile(rf"{used}{_LIKE} {it}\b"), update=True)
