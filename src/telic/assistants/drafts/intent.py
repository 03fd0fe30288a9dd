"""What the user wants to say, in the user's own words, as sentences of a letter. Nothing is added to it."""

from __future__ import annotations

import re

__all__ = ["sentences_of"]

_SPEECH = (
    r"say|tell|ask|mention|note|state|flag|point out|explain|add|let (?:him|her|them) know|apologi[sz]e|inform|thank"
)
_STANCE = r"agree|accept|confirm|decline|refuse|recommend|suggest|propose|offer"
_NOT = r"don't|do not|never|avoid"
_INSTRUCTION = re.compile(rf"(?:please )?(?:politely )?(?:{_SPEECH}|{_STANCE}|{_NOT})\b", re.IGNORECASE)
_WHOM = r"(?:him|her|them)"
_JOINT = r"(?:\s*[,;]\s+|\s+[—–-]{1,2}\s+)(?:and |but |then )?(?:also )?|\s+(?:and|but|then) (?:also )?"
_SPLIT = re.compile(
    rf"(?:{_JOINT})(?=(?:{_SPEECH}|{_STANCE}|{_NOT})\b)|,? (?:and|but) (?=that\b)|\s+[—–]\s+|\s--?\s+|;\s+",
    re.IGNORECASE,
)
_NEGATION = re.compile(r"\b(?:not|cannot|never|nor|neither|unable|without)\b|n['’]t\b", re.IGNORECASE)
_STANCE_NEXT = re.compile(rf"(?:{_STANCE})\b", re.IGNORECASE)
_NOT_SAID = re.compile(
    rf"(?:{_NOT})\s+(?:\w+ing|commit|promise|mention|say|tell|give|reveal|offer|agree|accept|name|quote|share|discuss)\b",
    re.IGNORECASE,
)
_UNSAID_TAIL = re.compile(
    r",?\s+(?:and|but)\s+(?:don't|do not)\s+(?:commit|promise|mention|say|reveal)\b.*", re.IGNORECASE | re.DOTALL
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), said)
    for pattern, said in (
        (rf"(?:say|mention|note|state|add|flag|point out|explain)(?: to {_WHOM})?,?(?: that)? (.+)", "{0}"),
        (rf"(?:tell|inform) {_WHOM},?(?: that)? (.+)", "{0}"),
        (rf"let {_WHOM} know,?(?: that)? (.+)", "{0}"),
        (r"agree to (\w+ing\b.+)", "{0} works for me"),
        (
            r"agree to (?:do|write|join|come|attend|give|help|meet|send|review|take|call|speak|talk|make|host)\b.*",
            "{verb}",
        ),
        (r"agree (?:to|on|with) (.+)", "I agree to {0}"),
        (r"agree that (.+)", "I agree that {0}"),
        (r"agree", "I agree"),
        (r"accept (.+)", "I am happy to accept {0}"),
        (r"confirm(?: that)? (.+)", "I can confirm that {0}"),
        (r"(?:decline|refuse)(?: politely| kindly| for now)*", "I am afraid I have to decline for now"),
        (r"(?:decline|refuse)(?: politely| kindly)? (.+)", "I am afraid I have to decline {0}"),
        (r"ask for (.+)", "Could I ask for {0}?"),
        (rf"ask (?:{_WHOM} )?to (.+)", "Could you {you}?"),
        (rf"ask {_WHOM} for (.+)", "Could I ask you for {you}?"),
        (rf"ask (?:{_WHOM} )?about (.+)", "Could you tell me about {you}?"),
        (rf"ask (?:{_WHOM} )?((?:if|whether|when|what|which|who|where|why|how)\b.+)", "Could you tell me {you}?"),
        (r"recommend (.+)", "I recommend {0}"),
        (r"(?:suggest|propose) (.+)", "I suggest {0}"),
        (rf"thank {_WHOM} for (.+)", "Thank you for {you}"),
        (rf"thank {_WHOM}", "Thank you"),
        (r"apologi[sz]e for (.+)", "I am sorry for {0}"),
        (r"apologi[sz]e", "I am sorry"),
        (r"offer to (.+)", "I could {0}"),
        (r"that (.+)", "{0}"),
    )
)
_YOURS = {"his": "your", "her": "your", "their": "your", "him": "you", "them": "you", "himself": "yourself"}


def sentences_of(intent: str, name: str = "") -> list[str]:
    """Return what the user wants to say as sentences: `Tell him I am late` becomes `I am late`.

    A sentence that begins with an instruction (`say`, `ask them`, `agree to`) is rewritten; any other one stays as it is:
    `yes, Tuesday works` becomes `Yes, Tuesday works.` What the user says not to say (`don't promise a date`) is left out.

    Args:
        intent: the user's words.
        name: the first name of who gets the letter, whom an instruction may name instead of `him` or `her`.
    """
    found = []
    if name:
        intent = re.sub(rf"(?i:\b(tell|ask|thank|inform|let)) {re.escape(name)}\b", r"\1 them", intent)
    for sentence in re.split(r"(?<=[.!?])\s+|\n+", intent.strip()):
        body = sentence.strip().removesuffix(".")
        if _INSTRUCTION.match(body):
            clauses = [
                _rewritten(clause, index) for index, clause in enumerate(_clauses(body)) if not _NOT_SAID.match(clause)
            ]
        else:
            clauses = [_UNSAID_TAIL.sub("", body)]
        found += [_sentence(clause) for clause in clauses if re.search(r"\w", clause)]
    return found


def _clauses(text: str) -> list[str]:
    """Split an instruction into its clauses. After a negation, `agree` and its like belong to what is negated."""
    clauses: list[str] = []
    start = 0
    for match in _SPLIT.finditer(text):
        if _NEGATION.search(text[start : match.start()]) and _STANCE_NEXT.match(text, match.end()):
            continue
        clauses.append(text[start : match.start()])
        start = match.end()
    return [clause.strip(" ,;") for clause in [*clauses, text[start:]] if clause.strip(" ,;")]


def _rewritten(clause: str, index: int) -> str:
    clause = re.sub(r"(?:please |politely )+", "", clause, count=1, flags=re.IGNORECASE) if index == 0 else clause
    if index and (match := re.fullmatch(r"no (.+)", clause, re.IGNORECASE | re.DOTALL)):
        return f"There is no {match[1]}"
    for pattern, said in _RULES:
        match = pattern.fullmatch(clause)
        if match is None:
            continue
        groups = match.groups()
        rest = groups[0] if groups else ""
        if said == "{verb}":
            return f"I would be glad to {clause[len('agree to ') :]}"
        you = re.sub(r"\b(?:his|her|their|him|them|himself)\b", lambda word: _YOURS[word[0].lower()], rest, flags=re.I)
        return said.replace("{0}", rest).replace("{you}", you)
    return clause


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?…" else f"{text}."
