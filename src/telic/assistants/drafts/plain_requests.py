"""The plain ways of asking, by rules: `Could you send`, `please confirm`, `let me know whether`; and courtesies."""

from __future__ import annotations

import re

__all__ = ["is_courtesy", "is_plain_request"]

_VERBS = (
    "add|advise|answer|approve|arrange|assign|authori[sz]e|bring|call|cancel|change|check|choose|clarify|complete|confirm|coordinate|"
    "decide|deliver|ensure|escalate|explain|fill|finali[sz]e|fix|forward|get|give|help|identify|investigate|join|list|look|make|move|"
    "notify|outline|pay|ping|pick|point|prepare|prioriti[sz]e|provide|prep|remit|renew|reply|report|rerun|respond|return|review|rsvp|"
    "schedule|send|share|sign|specify|submit|summari[sz]e|sync|take|tell|triage|update|upload|validate|verify|weigh|write"
)
_REQUEST = re.compile(
    rf"\bplease (?:also |kindly |do )?(?:{_VERBS})\b|\b(?:can|could|would|will) (?:you|we|one of you|your team)(?: please| also| kindly)?\b"
    rf"|\bwould you (?:mind|be (?:able|willing))\b|\b(?:i|we)(?:'d| would)? (?:need|require|want|appreciate|like) (?:you|your|immediate|a|an|the|to|it)\b"
    rf"|\byou (?:must|need to|have to|should|are required to)\b|\b(?:do|did|have) you\b|\bare you\b|\bneed your\b|\blet me know (?!if you have)\w+"
    rf"|^\W*(?:{_VERBS})\b|\b(?:is|are|was) (?:there|it|that|this|the)\b|\b(?:when|what|which|who|where|how|why)\b|\bmandatory\b|\bmust (?:be )?(?:{_VERBS})",
    re.IGNORECASE,
)  # fmt: skip
_STRONG = re.compile(
    rf"\bplease (?:also |kindly |do )?(?:{_VERBS})\b|\b(?:can|could|would|will) (?:you|we|one of you|your team)\b|\bneed(?:s)? (?:your|you to|immediate|from you)\b"
    rf"|\byou (?:must|need to|have to|are required to)\b|\b(?:i|we)(?:'d| would)? need\b|\blet (?:me|us) know (?:if|whether|when|what|which|how|your|by)\b"
    rf"|^\W*(?:{_VERBS})\b (?!(?:you|us|me)? ?(?:soon|later)\b)|\bis (?:a )?mandatory\b|\blet's (?:confirm|agree|decide|pick|schedule)\b"
    rf"|\bwondering (?:if|whether|when)\b|\b(?:i'd|i would|we'd|we would) (?:like|appreciate|love|welcome|be grateful)\b.{{0,30}}\b(?:to see|your|you|if)\b",
    re.IGNORECASE,
)  # fmt: skip
_COURTESY = re.compile(
    r"\b(?:please (?:do not hesitate|don't hesitate|note|find|feel free|be advised|see (?:the )?attached|disregard|ignore)|feel free|"
    r"let (?:me|us) know if (?:you(?:'d| would)? (?:have|need|want|prefer|like)|there(?:'s| is| are)|anything|i can|that helps)|"
    r"no (?:action|need|reply|response) (?:is )?(?:needed|required|necessary|to)|no need|"
    r"for your (?:information|records)|read (?:the full|more)|thanks? (?:you )?for|how are you|hope (?:you|this|all)|"
    r"(?:i|we)(?:'ll| will) (?:email|let|update|keep|send|notify|share)|if you (?:have|need) any|can you believe|happy to)\b",
    re.IGNORECASE,
)  # fmt: skip


def is_plain_request(clause: str) -> bool:
    """Whether a clause asks in one of the plain ways, and is no courtesy."""
    question = clause.rstrip(" \"')").endswith("?")
    asked = _STRONG.search(clause) is not None or (question and _REQUEST.search(clause) is not None)
    return asked and not is_courtesy(clause)


def is_courtesy(clause: str) -> bool:
    """Whether a clause is a set phrase that asks nothing: `Please do not hesitate`, `Thank you for`."""
    return _COURTESY.search(clause) is not None
