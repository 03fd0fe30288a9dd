"""The patterns of what people say about themselves in English. They match masked text (`cues.masked`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

__all__ = ["DIETS", "StatementPattern", "gate_of", "slot_patterns", "statement_patterns"]


@dataclass(frozen=True, slots=True)
class StatementPattern:
    """One way to say something about oneself."""

    slot: str
    """What it is about. `{n}` stands for the group `n`."""
    regex: re.Pattern[str]
    """With a group `v`, the value."""
    polarity: int = 1
    once: bool = False
    """Whether it is a request, which holds in its conversation only."""
    update: bool = False
    """Whether it says that something changed."""
    weight: float = 1.0
    keep: bool = False
    """Whether the value is taken as it is, not trimmed."""
    proper: bool = False
    """Whether the value is a name, which begins with a capital letter."""


DIETS = (
    r"vegetarian|vegan|pesc[ae]tarian|flexitarian|halal|kosher|gluten[- ]free|lactose[- ](?:free|intolerant)|dairy[- ]free|"
    r"sugar[- ]free|low[- ]carb|low[- ]sodium|keto|paleo|coeliac|celiac|diabetic|plant[- ]based|fruitarian|carnivore|fodmap|"
    r"meat[- ]free|nut[- ]free|alcohol[- ]free|teetotal"
)
_ADV = (
    r"(?:(?:\w{2,}ly|also|still|just|always|often|quite|rather|now|already|much|so|very|do|even|both|full[- ]time|part[- ]time|"
    r"long|since|of course|kind of|sort of|too|ever) )*"
)
_AM = r"\bi(?:'m| am|m) "
_HAVE = r"\bi(?:'ve(?: got)?| have(?: got)?|ve(?: got)?|'ve always| have always) "
_V = r"(?P<v>[^,;:.!?()\n]+(?:[.,]\d+[^,;:.!?()\n]*)*)"
_VS = r"(?P<v>[^,;:!?()\n]{1,60}?)"
_JOB = (
    r"(?P<v>(?:[a-z-]+ ){0,2}(?:[a-z]{2,}(?:er|or|ist|ian|ant|eer|man|woman)|nurse|chef|cook|clerk|coach|pilot|judge|vet|guide|"
    r"surgeon|student|agent|assistant|plumber|architect|dentist|priest|midwife|athlete|analyst))"
)
_NOT_JOBS = (
    r"(?!(?:[a-z-]+ )*(?:vegetarian|pescatarian|flexitarian|customer|user|member|person|beginner|lover|owner|sufferer|foreigner|"
    r"stranger|traveller|traveler|eater|drinker|sleeper|riser|walker|reader|listener|number|little|bother|father|mother|"
    r"brother|sister|daughter|other|newcomer|fruitarian|italian|canadian|australian|christian|norwegian|hungarian|fan|german|"
    r"winner|loser|smoker|non-smoker|planner|worrier|perfectionist|pessimist|optimist|minor|senior|bit older|former|"
    r"late starter|early bird)\b)"
)


def _taste() -> Iterator[StatementPattern]:
    """Yield how people say what they like and dislike."""
    like = r"(?:like|love|prefer|enjoy|adore|appreciate|favou?r|cherish|dig|treasure)"
    adoring = (
        r"(?:fond of|keen on|into|(?:an? )?(?:\w+ )?(?:fan|lover|admirer|friend) of|crazy about|mad about|partial to|"
        r"obsessed with|passionate about|hooked on|addicted to|happiest with)"
    )
    verbs = r"(?:take|choose|order|book|go for|opt for|pick|have|drink|eat|buy|get|use|listen to|read|watch|play)"
    yes = (
        rf"\bi {_ADV}{like} {_V}",
        rf"{_AM}{_ADV}{adoring} {_V}",
        rf"{_HAVE}{_ADV}(?:been (?:fond of|into|keen on)|loved|liked|enjoyed|preferred|adored|grown fond of|come to {like}|"
        rf"grown to {like}|got into|learned to {like}|learnt to {like}|an? (?:soft spot|weakness|thing|passion|preference) for) {_V}",
        rf"\bwhat i {_ADV}{like}(?: most| best)? is {_V}",
        rf"\b{_VS} (?:always |just |simply )?(?:makes? my day|makes? me happy|is wonderful to me)\b",
        rf"\bi could live on {_V}",
        rf"\bnothing beats {_V}",
        rf"\bgive me {_V} any (?:day|time)\b",
        rf"\b{_VS} (?:is|are) my (?:absolute |all-time |personal )?(?:favou?rites?|thing|passion|cup of tea)\b",
        rf"\bmy (?:preference|taste|passion|weakness) is {_V}",
    )
    no = (
        rf"\bi {_ADV}(?:do not|don't|dont|never) {_ADV}(?:like|love|enjoy|care (?:much )?for|appreciate|eat|drink|touch|prefer) {_V}",
        rf"\bi {_ADV}(?:can't|cannot|can not|cant|couldn't) {_ADV}(?:stand|bear|abide|tolerate|stomach|eat|drink) {_V}",
        rf"\bi {_ADV}(?:hate|dislike|detest|loathe|despise|avoid|abhor|mind) {_V}",
        rf"{_AM}{_ADV}(?:not|no|never) {_ADV}{adoring} {_V}",
        rf"\bi(?:'d| would) (?:rather|prefer to|sooner|much rather) (?:avoid|not have|skip|go without) {_V}",
        rf"\bi\b[^,;:.!?]{{0,40}} to avoid {_V}",
        rf"{_HAVE}(?:no|little) (?:time|patience|love|use|taste) for {_V}",
        rf"\bnot (?:see|find|catch|get) me (?:anywhere )?(?:near|in|on|at|with|eating) {_V}",
        rf"\bi (?:could|can) (?:happily |easily |well )?(?:do|live) without {_V}",
        rf"\b(?:please )?(?:spare me|keep me away from|leave out|no more) {_V}",
        rf"\b{_VS} (?:is not|isn't|are not|aren't|isnt|arent|was never|is never|is just not|have never been) "
        r"(?:really |quite |exactly |at all )?(?:for me|my thing|my cup of tea|my favou?rites?|to my taste)\b",
        rf"\bi(?:'ve| have|ve)? never (?:really )?(?:liked|enjoyed|loved|cared for|been into|been fond of) {_V}",
    )
    changed = (
        rf"{_HAVE}{_ADV}(?:gone off|stopped (?:liking|enjoying|eating|drinking)|had enough of|lost my taste for) {_V}",
        rf"{_AM}{_ADV}(?:over|done with|through with) {_V}",
        rf"\b{_VS} (?:is|are) no longer (?:for me|my thing|my cup of tea|my favou?rites?|to my taste)\b",
        rf"{_AM}{_ADV}(?:sick|tired|fed up|bored) (?:of|with) {_V}",
        rf"\bi {_ADV}no longer (?:like|love|enjoy|care for|eat|drink|prefer|want) {_V}",
        rf"\bi used to (?:like|love|enjoy|prefer|eat|drink) {_V}",
    )
    yield from (StatementPattern("taste", re.compile(one)) for one in yes)
    yield from (StatementPattern("taste", re.compile(one), -1) for one in no)
    yield from (StatementPattern("taste", re.compile(one), -1, update=True) for one in changed)
    mind = rf"\b(?:changed my mind|wrong|mistaken) (?:about|on) {_V}, (?:and |but |so |because )?(?:now )?i (?:now |do |really |quite )*"
    it = "(?:it|them|that|those)"
    yield StatementPattern("taste", re.compile(rf"{mind}{like} {it}\b"), update=True)
    yield StatementPattern(
        "taste", re.compile(rf"{mind}(?:(?:don't|do not|no longer) {like}|hate|dislike) {it}\b"), -1, update=True
    )
    habit = rf"\bi (?:always|usually|normally|mostly|generally|typically|tend to) {verbs} {_V}"
    yield StatementPattern("taste", re.compile(habit), weight=0.7)
    person = rf"{_AM}{_ADV}(?:more of )?an? {_VS} person\b"
    yield StatementPattern("taste", re.compile(person), weight=0.7)
    for request in (
        rf"\bi(?:'d| would) (?:really |rather |quite )?(?:like|love|prefer|enjoy|fancy|have) {_V}",
        rf"\bi {_ADV}(?:fancy|want|need|crave) {_V}",
        rf"\b(?:i'll|i will|let me) (?:have|take|try|go for|get) {_V}",
        rf"\bin the mood for {_V}",
        rf"\b(?:give|get|bring|find|book|order) me {_V}",
    ):
        yield StatementPattern("taste", re.compile(request), once=True)


def _facts() -> Iterator[StatementPattern]:
    """Yield how people say who they are and how they live."""
    name = r"(?P<v>[a-zà-ÿ][\w'-]+(?: [a-zà-ÿ][\w'-]+){0,2})(?=\s*(?:[,.;!?()]|$| and | but | by ))"
    for one in (rf"\bmy (?:full |first )?name(?:'s| is) {name}", rf"\b(?:please |just )?call me {name}", rf"{_AM}called {name}",
                rf"\bi go by (?:the name (?:of )?)?{name}"):  # fmt: skip
        yield StatementPattern("name", re.compile(one))
    yield StatementPattern("birthday", re.compile(rf"\b(?:my birthday (?:is|falls) |i was born )(?:on |in )?{_V}"))
    yield StatementPattern("pronouns", re.compile(r"\bmy pronouns are (?P<v>\w+(?:/\w+)+)"))
    homes = (
        rf"\b(?:i|we) {_ADV}(?:live|reside|dwell) {_ADV}(?:in|near|at) {_V}",
        rf"(?:{_AM}|\bwe are |\bwe're ){_ADV}(?:living|residing|based|settled|at home) {_ADV}in {_V}",
        rf"^(?:\W*(?:oh|and|also|so|well)\b)*\W*(?:living|based) in {_V}",
        rf"\bmy (?:current |own )?home(?:town| town| city)? is (?:in )?{_V}",
        rf"\bhome (?:for me )?is (?:in )?{_V}",
        rf"\b(?:i|we|i've|i'm|we're)\b[^,;:.!?]{{0,30}}\b(?:live|living|settled|reside|based|at home) {_ADV}in {_V}",
        rf"\bmy (?:place|house|flat|home|apartment|family) (?:is|lives) (?:now )?in {_V}",
        rf"\b(?:in|from) {_VS}, my home ?town\b",
        rf"{_AM}in {_VS}, (?:that is|that's|thats|which is) (?:my )?home\b",
        rf"\b{_VS}, (?:which is |that is |that's )?where i live\b",
        rf"\b(?:i|we) (?:have|own|rent|bought) an? (?:\w+ )?(?:flat|house|apartment|place|room|home) in {_V}",
    )
    yield from (StatementPattern("home", re.compile(one)) for one in homes)
    moved = (
        rf"\b(?:i|we)(?:'ve| have|ve)? {_ADV}(?:moved|relocated) (?:\w+ )?to {_V}",
        rf"\bmy new (?:home|address|city) is (?:in )?{_V}",
    )
    yield from (StatementPattern("home", re.compile(one), update=True) for one in moved)
    here = rf"{_AM}in (?P<v>[^\W\d_][\w'-]+) now\b"
    yield StatementPattern("home", re.compile(here), update=True, keep=True, proper=True)
    left = rf"\bi (?:no longer|don't|do not) live in {_V}"
    yield StatementPattern("home", re.compile(left), -1, update=True)
    yield StatementPattern("origin", re.compile(rf"\b(?:i come|{_AM[2:]}(?:originally )?) ?from {_V}"))
    jobs = (
        rf"\bi {_ADV}(?:work|serve|earn my living|make (?:my money|a living)|earn my money) {_ADV}as (?:an? )?{_V}",
        rf"{_AM}{_ADV}(?:employed|working) {_ADV}as (?:an? )?{_V}",
        rf"\bi (?:have |'ve )?[\w ]{{1,30}} and now work as (?:an? )?{_V}",
        rf"\bmy (?:job|profession|occupation|trade) is (?:that of )?(?:an? )?{_V}",
        rf"(?:{_AM}|\bi became |\bi trained as ){_ADV}(?:an? )?(?P<v>[a-z -]{{3,40}}?) (?:by (?:trade|profession|training)|for a living)\b",
        rf"\bfor a living,? i(?:'m| am) an? {_V}",
        rf"^(?:\w+,? )?(?:being|as) an? {_NOT_JOBS}{_JOB},? (?:i|i'm|my)\b",
        rf"\b(?:i|i've|i'm|me)\b[^.!?]{{0,30}}\b(?:as|to be|became|become|job, as) an? {_NOT_JOBS}{_JOB}\b(?! (?:of|person|fan|in))",
        rf"{_AM}{_ADV}an? {_NOT_JOBS}{_JOB}\b(?! (?:of|person|fan|in))",
    )
    yield from (StatementPattern("job", re.compile(one)) for one in jobs)
    yes, no = rf"(?:{_AM}|{_HAVE}{_ADV}been |\bi ){_ADV}", rf"{_AM}(?:not|no longer) {_ADV}"
    eats = rf"(?:eat |follow |keep |keep to |went |turned |became |become |gone |on |switched to |observe )?{_ADV}(?:an? )?"
    diet = rf"(?P<v>{DIETS})\b(?! (?:restaurants?|places?|caf[eé]s?|food (?:is|was|tastes)|dish|option|recipe|bread|menu|cookbook|week))"
    yield StatementPattern("diet", re.compile(rf"{yes}{eats}{diet}"), keep=True)
    wish = r"like|want|looking|find|need|book|know|not|never|no|longer|recommend|tried|ate|had|there|for an?|for the|if|would|could|"
    wish += "he|she|who|they|friends?|colleagues?|boss|wife|husband|partner|sister|brother|mother|father|son|daughter|kids?|guests?"
    gap = rf"(?:(?!\b(?:{wish})\b)[^.!?]){{0,45}}?"
    yield StatementPattern("diet", re.compile(rf"\b(?:i|i'm|im|i've|ive|me|we)\b{gap}\b{diet}"), keep=True)
    yield StatementPattern("diet", re.compile(rf"^\W*only {diet}[^.!?]*\b(?:me|please|thx|thanks)\b"), keep=True)
    yield StatementPattern(
        "diet", re.compile(rf"{_HAVE}{_ADV}(?:switched|changed|moved) to (?:an? )?{diet}"), update=True, keep=True
    )
    yield StatementPattern("diet", re.compile(rf"\bmy diet is {_ADV}(?P<v>{DIETS})\b"), keep=True)
    yield StatementPattern("diet", re.compile(rf"{no}(?:an? )?(?P<v>{DIETS})\b"), -1, update=True, keep=True)
    allergies = (
        rf"{_AM}{_ADV}allergic to {_V}",
        rf"^(?:\W*(?:oh|and|also|btw)\b)*\W*allergic to {_V}",
        rf"\b(?:i|my|me|i've|i'm)\b[^.!?]{{0,30}}\b(?:allergy|intolerance) to {_V}",
        rf"^(?:\w+,? )?{_VS} (?:could|would|can|might|may) kill me\b",
        rf"\b(?:can't|cannot|cant|must not|mustn't|may not) (?:have|eat|touch|take) {_VS}[,:]? (?:an? |because |as |since |due to |my |i'm |i am )*allerg",
        rf"{_HAVE}(?:an? )?(?:severe |bad |mild |strong )?(?!an? )(?P<v>[a-z-]+(?: [a-z-]+)?) allergy\b(?! to)",
        rf"\bi (?:must not|may not|can't|cannot|cant|should not|shouldn't) (?:have|eat|touch|take) {_V}[:,] (?:because |as |since )?i(?:'m| am) allergic",
        rf"\bi {_ADV}react {_ADV}(?:badly |strongly |allergically )?to {_V}",
        rf"\bmy allerg(?:y is|ies are) (?:to )?{_V}",
    )
    yield from (StatementPattern("allergy", re.compile(one)) for one in allergies)
    yield StatementPattern("allergy", re.compile(rf"{no}allergic to {_V}"), -1, update=True)
    language = r"(?P<v>english|german|french|spanish|italian|portuguese|dutch|polish|turkish|arabic|russian|ukrainian|chinese|mandarin|japanese|korean|hindi|swedish|danish|norwegian|finnish|greek|czech)\b"
    speak = rf"\b(?:please |always )*(?:reply|answer|speak|write|talk|respond)(?: to me| me)?(?: always| only)? in {language}"
    yield StatementPattern("language", re.compile(speak), keep=True)
    yield StatementPattern(
        "language", re.compile(rf"\bmy (?:native |first )?(?:language|mother tongue) is {language}"), keep=True
    )
    called = r"(?P<v>[a-zà-ÿ][\w'-]+)"
    creature = r"(?P<n>dog|cat|pet|horse|rabbit|hamster|parrot|bird|puppy|kitten|turtle|tortoise|guinea pig|boat|car|company|band|school|street|firm)"
    anyhow = rf"\b(?:my|our|i|we|i've|we've)\b[^.!?]{{0,40}}\b{creature}\b[^.!?]{{0,30}}?\b(?:called|named|by the name of) {called}"
    for one in (anyhow, rf"\b{creature} (?:that )?i [^.!?]{{0,40}}\b(?:called|named) {called}",
                rf"\b(?:my|our) (?:new |old )?{creature}(?:'s name|s name|'s|s)? (?:is |are |was )?(?:now )?(?:called|named|is) (?!a\b|the\b|an\b|not\b|my\b|ill|sick|tired|here|old|young){called}",
                rf"\b(?:my|our) (?:new |old )?{creature}(?:'s|s) name is {called}",
                rf"\b(?:i|we)(?:'ve got| have| own|'ve| got) an? (?:\w+ )?{creature} (?:called|named|by the name of) {called}"):  # fmt: skip
        yield StatementPattern("{n} name", re.compile(one), keep=True)
    apposed = r"(?P<v>[a-zà-ÿ][\w'-]+)(?=\s*(?:[.,;!?()]|$|is |was |has |will |and |with |to |always |loves |does ))"
    answers = rf"\b(?:my|our) {creature} (?:answers|listens) to (?:the name (?:of )?)?{called}"
    yield StatementPattern("{n} name", re.compile(answers), keep=True, proper=True)
    yield StatementPattern("{n} name", re.compile(rf"\b(?:my|our) {creature},? {apposed}"), keep=True, proper=True)
    yield StatementPattern("{n} name", re.compile(rf"^(?:\w+ )?{called} is (?:my|our) {creature}\b"), keep=True)
    favourite = r"\bmy (?P<n>(?:favou?rite|preferred|usual) (?:[a-z-]+ ){0,2}[a-z-]+?)(?:'s| is| are) "
    yield StatementPattern("{n}", re.compile(favourite + _V))


_GATES = {
    "name": r"name|call|go by",
    "birthday": r"birthday|born",
    "pronouns": r"pronouns",
    "home": r"liv|resid|dwell|home|house|flat|apartment|place|room|moved|relocated|based|settled|address|city|family|\bnow\b",
    "origin": r"from",
    "job": r"work|serve|earn|living|money|employed|job|profession|occupation|trade|train|\ban? |becom|became",
    "diet": DIETS,
    "allergy": r"allerg|intoleran|react|kill",
    "language": r"\bin \w|language|tongue",
    "{n} name": r"dog|cat|pet|horse|rabbit|hamster|parrot|bird|puppy|kitten|turtle|tortoise|guinea|boat|car|company|band|school|"
    r"street|firm",
    "{n}": r"favou?rite|preferred|usual",
}


@cache
def gate_of(slot: str) -> re.Pattern[str] | None:
    """Return what occurs in every sentence that a pattern of a slot matches, so that others need not be searched for."""
    return re.compile(_GATES[slot]) if slot in _GATES else None


@cache
def statement_patterns() -> tuple[StatementPattern, ...]:
    """Return all patterns that do not depend on the purpose's slots."""
    return (*_facts(), *_taste())


@cache
def slot_patterns(slot: str) -> tuple[StatementPattern, ...]:
    """Return how people fill a slot of the purpose: by its name, and a budget or a seat also in other words."""
    name = r"[\s-]+".join(re.escape(word) + r"(?:s|es)?" for word in slot.split())
    found = [
        rf"\b(?:my|our) (?:\w+ )?{name} (?:is|are|will be|would be|has to be|should be|must be|stays|remains|changed to) {_V}",
        rf"^\W*(?:my )?{name}\s*[:=]\s*{_V}",
        rf"\b{_VS} (?:is|are) (?:my|our) {name}\b",
        rf"{_HAVE}(?:set myself )?an? {name} of {_V}",
    ]
    if "budget" in slot:
        money = r"(?P<v>(?:about |around )?[$€£]? ?\d[\d.,]*(?: ?k)?(?: (?:euros?|pounds?|dollars?|eur|usd|gbp|francs?|kronor|zloty|yen|quid|bucks|per \w+|a \w+)|[€$£])*)"
        found += [
            rf"\b(?:i|we) (?:can|could|may|want to|would|will|have to) (?:only |at most )?(?:spend|pay|afford) (?:up to |at most |about )?{money}",
            rf"\b(?:i|we) (?:do not|don't|cannot|can't|won't|dont|cant) (?:want to |wish to )?(?:spend|pay|afford) (?:any )?(?:more|over) (?:than )?{money}",
            rf"\b(?:i|we)(?:'ve got| have|'ve) {money} (?:to spend|for it|for this|for everything|available)",
            rf"\b(?:max(?:imum)?|at most|no more than|not more than|up to)\.? {money}",
            rf"\bbudget\b[^.!?\d]{{0,30}}{money}",
            rf"\b{money} is (?:all|the most|everything) (?:that )?(?:i|we) (?:have|can)",
            rf"\b(?:cost|spend|pay)(?: me| us)? (?:no |not )?more than {money}",
        ]
    if "airport" in slot:
        found.append(
            r"\b(?:i|we) (?:always |usually |normally )?(?:fly|depart|leave|travel) (?:from|out of) (?P<v>[^,;:.!?()\n]+)"
        )
    return tuple(StatementPattern(slot, re.compile(one), keep="(?P<v>(?:about" in one) for one in found)
