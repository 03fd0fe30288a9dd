"""A rule-based parser of English questions and requests: it finds the slots that an utterance asks for.

The parser cuts an utterance into sentences and clauses. A clause counts only if it is a question or a request, such as
"please tell me ...", and asks the listener for something. The parser ignores offers, suggestions and questions about
the speaker's own business. Cues then map the remaining clauses to slots. Keywords outside a question ask for nothing.

A cue is a phrase: `a/b` is either word, `x~` a word that begins with x, `*` up to four words of any kind. "how much *
spend/pay" is found in "how much would you like to spend".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from telic.judges.rules import normalise

__all__ = ["ParsedQuestion", "QuestionParser", "compile_cue"]

LONGEST = 2000
"""Characters of an utterance that are parsed; it bounds the work."""
FRAGMENT = 6
"""Words of the longest question without a verb ("Any dietary needs?")."""


@dataclass(frozen=True, slots=True)
class ParsedQuestion:
    """The slots that an utterance asks for, and its kind."""

    slots: tuple[str, ...] = ()
    """The slots it asks for, in the order of mention."""
    open: bool = False
    """Whether it asks to hear more, without naming a slot."""
    question: bool = False
    """Whether it asks anything, known slot or not."""
    suggestion: bool = False
    """Whether it offers or suggests something."""


def _either(*patterns: str) -> str:
    return "(?:" + "|".join(patterns) + ")"


def _one_of(words: str) -> str:
    return _either(*words.split())


_WH = r"(?:what|which|when|where|who|whom|whose|how)(?:'s|'re|'d)?\b"
_AUX = _one_of("do does did are is was were will would have has can could should")
_LEAD = rf"(?:{_one_of('and so but also then now or well okay ok great sure first next hello hi')}\b[\s,!]*)*"
_YOU = _one_of("you your there this that the it any anyone anybody anything someone")

# A later clause may ask even if the first one does not ("I see, and what is ...").
_CLAUSE = re.compile(
    r"(?:\s*[,;:]\s*(?:and\s+|but\s+|so\s+|or\s+)?|\s+(?:and|but)\s+|\s+-+\s+)(?=(?:also\s+|then\s+)?"
    + _either(
        rf"(?:with\s+)?{_WH}",
        rf"{_AUX}(?:n't)?\s+(?:you|your|there|it|any)\b",
        r"(?:please|share)\b",
        r"tell\s+(?:me|us)",
        r"let\s+me\s+know",
    )
    + ")"
)
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]*_]*\s+|\n+")
_MARKER = re.compile(r"^[\s*_#>\"'(]*(?:\d+\s*[.)]|[-*•·])\s+|^[\s*_#>\"']+")
_LISTENER = re.compile(
    r"^\s*[*_]*(?:customer|client|user|travell?er|patient|guest|human|me)[*_]*\s*:", re.IGNORECASE | re.MULTILINE
)
_SPEAKER = re.compile(
    r"^\s*[*_]*(?:[a-z]+ )?(?:agent|assistant|therapist|advisor|counsell?or|support)[*_]*\s*:", re.IGNORECASE
)

_YES_NO = rf"{_AUX}(?:n't)?\s+{_YOU}\b"
_ASKED = re.compile(
    rf"^{_LEAD}(?:(?:in|at|on|for|with|by|about|from|to)\s+)?{_WH}"
    rf"(?:\s+(?!(?:i|you|we|they|there|it)\b)[\w'-]+){{0,5}}?(?:\s+{_AUX}\b|(?<='s)|(?<='re)|(?<='d))"
    rf"|^{_LEAD}{_YES_NO}"
)
"""A question by its word order, for models that were cut off before the question mark."""
_TURNED = re.compile(rf"^{_LEAD}{_WH}(?:\s+{_AUX}|(?<='s)|(?<='re))\s+(?:you|your|the|this|it)\b")
"""A question within a sentence; "when the hotels are cheap" is none."""
_MARKED = re.compile(rf"\b(?:{_WH}|{_YES_NO})")
"""Words that a sentence with a question mark needs to be a question."""
_FINITE = re.compile(rf"\b(?:{_AUX}|you|your|{_WH}(?:(?<='s)|(?<='re)|(?<='d)|\s+\w+(?:s|ed)))\b")
"""A verb or an address, which a question also needs: "what budget month hotel?" is none."""
_VERB = _either(
    _one_of("share describe specify provide indicate clarify mention confirm list state name explain say elaborate"),
    r"(?:give|send) (?:me|us)",
    "walk me through",
    "fill me in",
)
_REQUEST = re.compile(
    _either(
        r"\b(?:tell|inform|advise) (?:me|us)\b",
        r"\blet (?:me|us) know\b",
        rf"(?:^{_LEAD}|[,;:] |\b(?:please|kindly|could you|can you|would you|will you|you could|you to|and|just) )"
        rf"(?:please |kindly |also |just |briefly |perhaps )*{_VERB}\b",
        r"\b(?:i|we)(?:'d| would)? (?:just |also |really |still |first )*(?:like|love|need|want|have) to "
        r"(?:know|hear|learn|understand|find out|ask|get)\b",
        r"\b(?:i|we)(?:'ll)? (?:just |also |still |will )*need (?:your|some (?:more )?(?:details|information))\b",
        r"\b(?:may|can|could|might) (?:i|we) (?:please |also |just )*(?:ask|know|get|have)\b",
        r"\b(?:i|we)(?:'m| am|'re| are|'ve been| was| were) (?:just |also )?(?:wondering|curious)\b",
        r"\bi wonder\b",
        r"\bit (?:would|will|'d) (?:also |really )?(?:help|be (?:\w+ ){0,2}(?:helpful|useful|great|good|nice|handy))\b",
        r"\b(?:do|would) you mind (?:telling|sharing|letting|saying|describing|if i ask)",
    )
)
_ABOUT_YOU = (
    r"(?:please |also |just |best )*(?:ask|know|get (?!you\b)|have|call|reach|contact|notify|address|"
    r"do to (?:make|fix|put|settle)|make (?:it|this)|resolve|settle)\b"
)
_SALES = "see hear know proceed make continue learn book reserve start buy order"
_GOODS = "recommendation suggestion availability vacanc deal option advice room hotel flight package question"
# Asked, but not for what the listener has in mind: offers, help, permission, and the speaker in the wrong role.
_VOID = re.compile(
    r"\b"
    + _either(
        r"(?:how|what) about (?!your\b|the (?:budget|date|length|duration))",
        r"what do you (?:think|say|recommend|suggest)",
        r"why (?:not|don't)",
        rf"(?:shall|should|must|am|do|did|may|can|could|will|would) (?:i|we) (?!{_ABOUT_YOU})",
        rf"(?<!how )(?<!what )(?:would you like|do you want) (?:me|us|to {_one_of(_SALES)})\b",
        r"(?:can|could|would|will) you (?:please |kindly |also )?"
        + _one_of("help recommend suggest find book show assist offer arrange plan create make advise guide"),
        r"(?:can|could|would|will) you (?:please )?(?:give|provide) (?:me|us) (?:with )?(?:some|a few|any|a list) "
        r"(?:of |good )*(?:advice|tips|ideas?|options|recommendations|suggestions|hotels|places)",
        rf"(?:do|would) you (?:have|offer|know)(?: of)? (?:\w+ )?(?:other )?{_one_of(_GOODS)}",
        r"have you (?:considered|thought (?:about|of)|heard)",
        r"did you know",
        r"do you (?:need|require) (?:any |some |more |further )?(?:help|assistance)",
        r"interested in (?:booking|buying|hearing|learning|seeing|our|a|the|these|this)\b",
        r"how (?:much|expensive) (?:does|do|is|are|would|will) (?:it|the|this|that|a|an)\b",
        r"(?:what|when)(?:'s| is| are) the (?:best|ideal|cheapest|most)\b(?! way to (?:contact|reach))",
        r"let (?:me|us) know (?:if|whether|when) (?:there(?:'s| is) anything|i can|that|this)",
        r"let (?:me|us) know (?:if|whether|when) you(?:'re| are)? (?:need|want|ready|would|like)",
        r"let (?:me|us) know (?:if|whether|when) you have (?:any )?(?:other |further |more )?"
        r"(?:question|concern|request)",
        r"(?:don't|do not|needn't|not|no) (?:need |have )?to (?:tell|share|say|let|answer)",
        r"anything else (?:that )?(?:i|we)\b",
    )
)
_SUGGESTED = re.compile(
    r"\b"
    + _either(
        r"i (?:would |can |could |'d )?(?:suggest|recommend|propose|offer|advise)",
        r"i'd (?:suggest|recommend)",
        r"(?:how|what) about",
        r"why (?:not|don't)",
        r"you (?:should|could|might want to|may want to)",
        r"let's",
        r"shall we",
        r"would you like (?:me|to)",
        r"have you (?:considered|thought of|tried)",
    )
    + r"\b"
)
_TOPIC = re.compile(rf"^{_LEAD}(?:for|as for|in terms of|regarding|concerning|about|when it comes to|with regard to)\b")
"""Begins a sentence such as "As for the budget, what do you have in mind?"."""
_FURTHER = re.compile(rf"(?:with )?{_WH}")
# The reason for asking is not part of the question.
_REASON = re.compile(
    r"[,\s]+(?:because|so (?:that )?(?:i|we)\b|in order to|as (?:this|that|it)\b|since (?:this|that|it|i|we)\b|"
    r"before (?:i|we)\b|to help (?:me|us|you)|that way|if you don't mind).*"
)
_AFTER = re.compile(r"\b(?:for|during|on|in|of|at|to|with)(?: (?:your|the|this|that|a|an|any))?\W*\Z")

_OPEN_CUES = (
    *(
        "tell/share/hear/know/say * more",
        "more/some/any details/information",
        "bit/little/something/all/everything about",
    ),
    *("tell me about", "what brings/brought you", "what * on your mind", "what * looking for", "what * have in mind"),
    *("what * hoping for", "anything else", "what else", "describe", "elaborate", "walk me through", "fill me in"),
    *("what * need/want/like/prefer~/wish~", "preferences/wishes/requirements", "what * important", "what * going on"),
    *("hear about", "know about", "explain", "what happened", "how * feel~", "how are things", "talk about"),
    *("what * hope/expect/expecting", "special requests/needs/wishes"),
)


# Word and gap characters are disjoint; otherwise a long run of them would cause exponential backtracking.
_GAP = r"[^\w'-]+"


@lru_cache(maxsize=4096)
def compile_cue(cue: str) -> str:
    """Compile a cue to a regular expression.

    Raises:
        ValueError: the cue is empty, begins or ends with `*`, or contains an unknown sign.
    """
    pattern, gap = "", ""
    for word in normalise(cue).split():
        if word == "*":
            gap = rf"(?:{_GAP}[\w'-]+){{0,4}}?"
            if not pattern:
                raise ValueError("it begins with *")
            continue
        if not re.fullmatch(r"[\w'-]+~?(?:/[\w'-]+~?)*", word):
            raise ValueError(f"{word!r} is not a word; expected words, a/b, x~ and *")
        either = "|".join(re.escape(w).replace("\\~", "~").replace("~", r"[\w'-]*") for w in word.split("/"))
        pattern += (gap + _GAP if pattern else "") + rf"(?:{either})(?:'\w+)?"
        gap = ""
    if not pattern or gap:
        raise ValueError("it ends with *" if gap else "it is empty")
    return rf"(?<![\w'-]){pattern}(?![\w])"


def _union(cues: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(compile_cue(cue) for cue in cues))


class QuestionParser:
    """The question parser of one domain.

    Args:
        cues: cues by slot.
        open_cues: additional cues of open questions.

    Raises:
        ValueError: a cue is malformed.
    """

    def __init__(self, cues: Mapping[str, Iterable[str]], open_cues: Iterable[str] = ()) -> None:
        self._slots = {slot: _union(phrases) for slot, phrases in cues.items()}
        self._open = _union((*_OPEN_CUES, *open_cues))

    def parse(self, utterance: str) -> ParsedQuestion:
        """Parse an utterance. Text that the rules do not recognise asks for nothing."""
        found: dict[str, None] = {}
        is_open = question = suggestion = False
        for sentence in _sentences(utterance):
            marked = sentence.rstrip("\"')*_ ").endswith("?")
            finite = bool(_FINITE.search(sentence))
            suggestion = suggestion or bool(_SUGGESTED.search(sentence))
            requested = False
            clauses = _CLAUSE.split(sentence)
            topic: list[str] = []
            for number, clause in enumerate(clauses):
                if _VOID.search(clause):
                    requested = False
                    continue
                asked = _MARKED.search if marked else _TURNED.match if number else _ASKED.match
                # A request continues in later clauses: "I would like to know where you go and when you leave".
                requested = bool(_REQUEST.search(clause) or (requested and _FURTHER.match(clause)))
                asks = requested or (finite and bool(asked(clause)))
                scope = re.sub(r"\([^)]*\)", " ", _REASON.sub("", clause))
                slots = self._mentioned(scope) or topic
                # "Any allergies?" is a question, "budget dates hotel?" is a list of keywords.
                fragment = marked and len(clauses) == len(slots) == 1 and len(scope.split()) <= FRAGMENT
                topic = self._mentioned(scope) if not asks and _TOPIC.match(clause) else []
                if not (asks or fragment):
                    continue
                question = True
                found |= dict.fromkeys(slots)
                is_open = is_open or (not slots and bool(self._open.search(scope)))
        return ParsedQuestion(tuple(found), is_open and not found, question, suggestion)

    def _mentioned(self, clause: str) -> list[str]:
        hits = sorted((hit.start(), slot) for slot, pattern in self._slots.items() if (hit := pattern.search(clause)))
        # "your budget for the hotel" asks for one slot: the noun after the preposition only qualifies it.
        return [slot for i, (start, slot) in enumerate(hits) if not i or not _behind(clause, start)]


def _behind(clause: str, start: int) -> bool:
    """Return whether the text at `start` follows a preposition and is no question itself ("and for how long")."""
    return bool(_AFTER.search(clause[:start])) and not re.match(_WH, clause[start:])


def _sentences(utterance: str) -> list[str]:
    """Split into sentences, up to where the speaker speaks for the listener; join a list to its first line."""
    text = utterance[:LONGEST]
    if invented := _LISTENER.search(text):
        text = text[: invented.start()]
    sentences: list[str] = []
    announced = False
    for line in text.splitlines():
        body = _MARKER.sub("", line)
        item = body != line and announced
        for number, part in enumerate(_SENTENCE.split(_SPEAKER.sub("", body))):
            sentence = normalise(part)
            if item and number == 0 and sentences and sentence:
                sentences[-1] += f" {sentence},"
            elif sentence:
                sentences.append(sentence)
                announced = sentence.endswith(":")
    return sentences
