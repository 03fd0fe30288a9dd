"""Sentences that a model invented: claims and promises that neither the message nor its user made.

A sentence that thanks, apologises, asks or repeats needs little support. One that claims or promises needs its words,
names, numbers and times in what the user said, or at least in the message. `telic.assistants.drafts.linear` weighs it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache

from telic.assistants.drafts.linear import LinearModel
from telic.memory.words import content_stems, stem

__all__ = ["invention_in", "signs_of"]

_UNIT_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_UNITS = {word: str(number) for number, word in enumerate(_UNIT_WORDS.split())}
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * number for number, word in enumerate(_TEN_WORDS.split(), start=2)}
_ORDINALS = {"first": "1", "second": "2", "third": "3", "fourth": "4", "fifth": "5", "sixth": "6", "seventh": "7"}
_SMALL = frozenset({"0", "1", "2"})
"""Numbers that words such as `one of` and `both` mean by the way."""
_DAYS = {"mon": "monday", "tue": "tuesday", "tues": "tuesday", "wed": "wednesday", "weds": "wednesday", "thu": "thursday", "thur": "thursday", "thurs": "thursday",
         "fri": "friday", "sat": "saturday", "sun": "sunday", "tmrw": "tomorrow", "tmw": "tomorrow", "wk": "week", "mins": "minute", "min": "minute", "cant": "cannot"}  # fmt: skip
_TIME_WORDS = (
    "monday tuesday wednesday thursday friday saturday sunday january february march april june july august september october november december "
    "today tonight tomorrow yesterday morning afternoon evening noon midnight week weekend month year fortnight lunchtime soon shortly"
)
_TIMES = frozenset(_TIME_WORDS.split())
_LIGHT_WORDS = (
    "glad happy pleased delighted fine grand lovely good great best kind well sure certainly course indeed "
    "perhaps maybe afraid sorry apologise apology apologies thank grateful appreciate understand note see know "
    "hear hope wish look forward help matter message mail email letter reply answer question ask let tell "
    "write back come bring able manage possible available work suit option choice right yes day time bit lot "
    "little way point thing kindly dear hello hi regards trouble mind welcome sound nicely fair enough "
    "straight simply think feel find keep hold mean seem sort care interest interested much many still already "
    "yet too both all each four"
)
_LIGHT = frozenset(map(stem, _LIGHT_WORDS.split()))
"""Stems of words that claim little."""
_SIGNS: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "asks": r"\?\W*$|^\W*(?:could|would|can|may|might|do|did|is|are|shall|when|what|which|where|who|how)\b|\b(?:please (?:let|send|tell|confirm|give)|let me know|may i ask|could you|would you|i['’]d (?:like|love) to (?:know|ask)|wondering)\b",
        "thanks": r"^\W*(?:many |so much |ok,? |oh,? |ah,? )?(?:thanks?|thank you|cheers|i appreciate|much appreciated|it was (?:a pleasure|good|lovely|great)|congratulations)\b|\b(?:thanks|thank you) for\b",
        "apologises": r"\b(?:sorry|apolog\w+|forgive|regret)\b",
        "acknowledges": r"\b(?:i|we) (?:(?:can|do|quite|fully|completely|totally) )*(?:understand|see|note|noted|hear|take (?:it|your)|gather|appreciate|know|realise|realize|get)\b|\b(?:noted|understood|got it|i hear you|point taken|makes sense|sounds like|as you say|you(?:['’]re| are) right|i can imagine|that must)\b",
        "hedges": r"\b(?:i(?:['’]m| am) (?:not sure|afraid)|not yet|can['’]t say|cannot say|don['’]t know|no idea|would (?:need|want|have) to|if (?:you|that|it))\b",
        "wishes well": r"\b(?:hope|good luck|best wishes|enjoy|looking forward|look forward|take care|safe (?:travels|journey)|get well|fingers crossed)\b",
        "claims a deed": r"\b(?:i|we)(?:['’]ve| have| had|['’]d)(?: just| already| also| now| since| finally| never| always)* \w+(?:ed|en|ne|nt|t|d|wn|un|ad|de)\b|\b(?:i|we) (?:just |already |also |finally )?(?:sent|paid|asked|told|spoke|called|rang|checked|looked|went|did|got|made|put|saw|found|booked|finished|talked|posted|emailed|uploaded|fixed|signed|met|read|wrote|moved|was|were|had|used|tried|raised|passed|set|ran|gave|left|ordered|filed|opened|shared)\b",
        "claims a state": r"\b(?:has|have|had|was|were|is|are|['’]s) (?:been|being|already|now|just|currently|always|\w+ed|sent|done|gone|out|off|on|down|up|in|over|running|going|coming|waiting|sitting|ready|full)\b|\b(?:hasn['’]t|haven['’]t|wasn['’]t|isn['’]t)\b",
        "promises": r"\b(?:i|we|you|they|he|she|it|that|\w+)(?:['’]ll| will| shall|['’]m going to| am going to| are going to|['’]re going to|['’]m planning| plan to| promise| can have| should (?:be|have|get))\b",
        "agrees": r"\b(?:yes|sure|of course|absolutely|works for (?:me|us)|suits?|happy to|glad to|count me in|i['’]m in|no problem|deal|consider it done|i['’]d (?:love|be (?:glad|happy|delighted))|i can|we can|agreed?|accept|confirm)\b",
        "refuses": r"\b(?:can['’]t|cannot|won['’]t|unable|unfortunately|have to (?:say no|pass|decline)|decline|no need|not able)\b",
        "gives a reason": r"\b(?:because|since|due to|owing to|so that|on account of|which is why|the reason|thanks to|after|while|as (?:i|we|my|our|the|it|there|he|she|they))\b",
        "names a person": r"\b(?:my|our|the|his|her|a) (?:\w+ )?(?:husband|wife|partner|mother|father|mum|mom|dad|son|daughter|brother|sister|neighbou?r|friend|colleague|boss|manager|team|assistant|secretary|accountant|lawyer|solicitor|doctor|bookkeeper|committee|supplier|client|cousin|aunt|uncle|nan|grandmother|roommate|landlord|advisor|contractor|coach|director|department|lab|crew|guys)\b",
        "attaches": r"\b(?:attach\w*|enclos\w+|herewith|find below|see below|linked|here (?:is|are) (?:the|a|my|our))\b",
        "always": r"\b(?:always|usually|generally|typically|normally|every (?:year|week|time|day)|for years|ever since|years?|ago|last (?:week|month|year|night|time)|these days|recently|lately|so far)\b",
        "speaks of itself": r"\b(?:i|we|my|our|me|us|i['’]\w+|we['’]\w+)\b",
        "adds a clause": r",? (?:and|but|so|as|which|who|with|though|while|when)\b",
    }.items()
}  # fmt: skip
_NAME = re.compile(r"(?<=[a-z,;:] )[A-Z][\w'’]+|\b[A-Z]{2,}\b")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


@cache
def _model() -> LinearModel:
    return LinearModel.shipped("inventions")


def invention_in(sentence: str, incoming: str, notes: str, model: LinearModel | None = None) -> list[str]:
    """Return why a sentence of a draft seems to be invented, the strongest sign first; empty if it does not.

    Args:
        sentence: of a draft that a model wrote.
        incoming: the message that it answers.
        notes: what the user wants to say.
        model: weighs the signs; by default the one that is shipped.
    """
    model = model or _model()
    signs = signs_of(sentence, incoming, notes)
    if model.probability(signs) < model.threshold:
        return []
    return model.reasons(signs) or ["nobody said it"]


def signs_of(sentence: str, incoming: str, notes: str) -> dict[str, float]:
    """Return the signs of a sentence, each with its strength."""
    found = {name: 1.0 for name, pattern in _SIGNS.items() if pattern.search(sentence)}
    known, own = _stems(f"{incoming} {notes}"), _stems(notes)
    stems = [one for one in _stems(sentence) if one not in _LIGHT and not one.isdigit()]
    new = [one for one in stems if not _is_in(one, known)]
    unsaid = [one for one in stems if not _is_in(one, own)]
    found["new words"] = min(len(new), 6) / 3
    found["share of new words"] = len(new) / len(stems) if stems else 0.0
    found["words that its user did not say"] = min(len(unsaid), 6) / 3
    found["share of them"] = len(unsaid) / len(stems) if stems else 0.0
    found["repeats its user"] = len(own & set(_stems(sentence))) / len(own) if own else 0.0
    found["no new word"] = float(not new)
    numbers = _numbers(sentence)
    found["a new number"] = float(bool(numbers - _numbers(f"{incoming} {notes}") - _SMALL))
    found["a number of the message"] = float(bool((numbers - _numbers(notes)) & _numbers(incoming)))
    times = _times(sentence)
    found["a new time"] = float(bool(times - _times(f"{incoming} {notes}")))
    found["a time of the message"] = float(bool((times - _times(notes)) & _times(incoming)))
    names = {match[0].casefold().removesuffix("'s").removesuffix("’s") for match in _NAME.finditer(sentence)}
    said = f"{incoming} {notes}".casefold()
    found["a new name"] = float(
        any(
            name not in said and name not in _TIMES and name not in ("i", "i'm", "i'll", "i've", "i'd")
            for name in names
        )
    )
    found["nothing was to be said"] = float(not notes.strip())
    plain = "asks" not in found and "thanks" not in found and "apologises" not in found and "acknowledges" not in found
    found["states"] = float(plain)
    if plain and not notes.strip():
        found["states, nothing was to be said"] = 1.0
    for name in (
        "claims a deed",
        "claims a state",
        "promises",
        "agrees",
        "gives a reason",
        "names a person",
        "speaks of itself",
        "refuses",
        "adds a clause",
    ):
        if name in found and new:
            found[f"{name}, in new words"] = min(len(new), 4) / 2
        if name in found and not notes.strip():
            found[f"{name}, nothing was to be said"] = 1.0
    found["words"] = min(len(sentence.split()), 30) / 15
    return {name: value for name, value in found.items() if value}


def _stems(text: str) -> set[str]:
    words = [_DAYS.get(word.casefold(), word) for word in re.split(r"[^\w'’]+", text) if word]
    return set(content_stems(" ".join(words)))


def _is_in(one: str, known: Collection[str]) -> bool:
    return one in known or (len(one) >= 5 and any(one[:5] == other[:5] for other in known if len(other) >= 4))


def _times(text: str) -> set[str]:
    words = {_DAYS.get(word.casefold(), word.casefold()) for word in _WORD.findall(text)}
    return {
        word.removesuffix("'s").removesuffix("’s").removesuffix("s") if word not in _TIMES else word for word in words
    } & _TIMES


def _numbers(text: str) -> set[str]:
    """Return the numbers of a text, in digits, whether it writes them so or in words."""
    found = {
        part.lstrip("0") or "0"
        for match in re.findall(r"\d[\d.,:]*", text)
        for part in re.split(r"[.:]", match.replace(",", "").rstrip(".:"))
        if part
    }
    words = re.findall(r"[a-z]+", text.lower())
    for index, word in enumerate(words):
        if word in _TENS:
            unit = _UNITS.get(words[index + 1], "") if index + 1 < len(words) else ""
            found.add(str(_TENS[word] + int(unit or 0) if unit and int(unit) < 10 else _TENS[word]))
        elif word in _UNITS and not (index and words[index - 1] in _TENS):
            found.add(_UNITS[word])
        elif word in _ORDINALS:
            found.add(_ORDINALS[word])
        elif word in ("quarter", "half") and index + 1 < len(words) and words[index + 1] in ("past", "to"):
            found.add("15" if word == "quarter" else "30")
    return found
