"""How people say what they work as, at or on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.memory.extractors.lexicon import BUSINESSES, OCCUPATION, ORGANISATIONS, VEHICLES, WORK_NOUNS, WORK_VERBS
from telic.memory.extractors.statement_pattern import ADV, AM, PHRASE, WE, WE_ARE, StatementPattern

__all__ = ["job_patterns"]

_JOB = rf"(?P<v>{OCCUPATION})\b(?! (?:of|person|fan|in (?:law|a|the (?:game|story))|friend|at heart|who)\b)(?!'s)"


def job_patterns() -> Iterator[StatementPattern]:
    """Yield how people say what they work as, at or on."""
    yield from _trades()
    yield from _work()
    yield from _new()
    yield from _tasks()
    yield from _former()


def _trades() -> Iterator[StatementPattern]:
    """Yield what they are: a nurse, retired, treasurer of a club."""
    not_other = r"(?<!like )(?<!than )"
    for one in (
        rf"\b(?:i|we) {ADV}(?:work|serve|earn my living|make (?:my money|a living)|earn my money) {ADV}(?:(?:nights|days|evenings|weekends|shifts) )?as (?:an? )?{PHRASE}",
        rf"{WE_ARE}{ADV}(?:employed|working) {ADV}as (?:an? )?{PHRASE}",
        rf"\bi(?:'ve| have|ve)? {ADV}(?:been (?:working|employed)|worked|started|signed on|qualified|retrained|found work|been hired|got a (?:new )?job|landed a job|got (?:a )?work|taken a job)(?: \w+)? as (?:an? )?{PHRASE}",
        rf"\bi (?:have |'ve )?[\w ]{{1,30}} and now work as (?:an? )?{PHRASE}",
        rf"\bmy (?:day )?(?:job|profession|occupation|trade|line of work)(?: is|:) (?:that of )?(?:being )?(?:an? )?(?!to\b|not\b|in\b|so\b|very\b|boring\b|at\b|driving me\b){PHRASE}",
        rf"(?:{AM}|\bi became |\bi trained as ){ADV}(?:an? )?(?P<v>[a-z -]{{3,40}}?) (?:by (?:trade|profession|training)|for a living)\b",
        rf"\bfor a living,? i(?:'m| am) an? {PHRASE}",
        rf"\bby (?:day|trade|profession|night),? i(?:'m| am) an? {PHRASE}",
        rf"^(?:\w+,? ){{0,2}}?(?:being|as|speaking as|coming from) (?:an? |the )?{_JOB},?(?= )(?=.*\b(?:i|i'm|im|i've|my|we|me|our)\b)",
        rf"{not_other}\bas an? {_JOB},? (?:i|i'm|im|i've|my|we)\b",
        rf"\b(?:i|i've|i'm|me)\b[^.!?]{{0,30}}\b(?:to be|became|become|job, as|do shifts as|get paid as|post as|role as|career as|living as|shifts as) (?:an? |the )?{_JOB}",
        rf"\b(?:i|i've|i'm|i am)\b[^.!?]{{0,20}}\b(?:training|studying|qualifying|apprenticed) (?:to be|to become|as) an? {_JOB}",
        rf"{AM}{ADV}(?:an? |the |only an? |actually an? )+{_JOB}",
        rf"\bi(?:'ve| have|ve) {ADV}been an? {_JOB}(?=.*\b(?:for|since|years|yrs|all my life|now)\b)",
        rf"\bi(?:'m| am)? [^.!?]{{0,20}}\band (?:i )?work {ADV}in (?!the\b|my\b|our\b|an?\b|peace\b){PHRASE}",
        rf"\b(?:we're|we are) {ADV}(?P<v>(?:[a-z-]+ )?(?:{OCCUPATION}))(?=\s*(?:[,.;!?]|$|and |so |not ))",
        r"\b(?:here i am|i am|i'm) (?P<v>(?:secretary|treasurer|chair|head|manager|captain) of [^,;:.!?()\n]+)",
        rf"{AM}{ADV}(?:not long |newly )?(?P<v>retired(?: (?!and\b|now\b|so\b|but\b|since\b|these\b)(?:from )?[^,;:.!?()\n]{{2,40}})?)",
        r"\bi(?:'ve| have)? (?:just )?(?P<v>retired from [^,;:.!?()\n]{2,40})",
    ):
        yield StatementPattern("job", re.compile(one))


def _work() -> Iterator[StatementPattern]:
    """Yield what they do for a living: teach, run a shop, work for somebody."""
    for one in (
        rf"{WE} {ADV}(?P<v>(?:teach|tutor|lecture in|lecture|coach|farm|keep the books|do the (?:books|accounts)|nurse on|dive for|sing with|fly for|sail with|sub-?edit|curate)\b(?! (?:my|him|her|them|myself|me|you|it|that|this|at home|in my spare)\b)(?: [^,;:.!?()\n]+)?)",
        rf"{WE}(?: (?:both|still|now|also|co-))? (?P<v>(?:run|own|manage|head(?: up)?|co-own|look after) (?:an? |the |my own |our own |my |our |two |three |this )(?:[\w'-]+ ){{0,3}}?(?:{BUSINESSES})(?![\w-])[^,;:.!?()\n]{{0,20}})",
        rf"{WE} {ADV}(?P<v>drive (?:an? |the |my )?(?:{VEHICLES})(?![\w'-])[^,;:.!?()\n]{{0,20}})",
        rf"{WE} {ADV}(?P<v>{WORK_VERBS} [^,;:.!?()\n]{{2,40}}?),? (?:for a living|for a job|at work all day|for work|professionally|as a day job|all day long|all day)\b",
        rf"{WE} {ADV}(?P<v>(?!(?:said|say|think|know|guess|do (?:this|that|it|for))\b)[a-z]+ [^,;:.!?()\n]{{2,40}}?) for a living\b",
        rf"\b(?:i've|i have|ive|we've|i'm|i am) {ADV}(?:been )?(?P<v>(?:teaching|nursing|tutoring|lecturing|signing for|farming|coaching|interpreting|translating|driving (?:an? |the )?(?:{VEHICLES})|working (?:at|for|in|with|on) (?:the |a )?)(?![\w-]*(?:home|it|this|that|my)\b)[^,;:.!?()\n]{{2,40}})",
        rf"\b(?:i|we) {ADV}work {ADV}(?:(?:at|for|with|on) (?=(?:an? |the |our local )?(?:[\w'-]+ ){{0,3}}(?:{ORGANISATIONS}|{WORK_NOUNS})\b)|in (?!the (?:same|morning|evening|garden|house|way|city|field)|an? (?:way|team|similar)))(?!(?:my|home|pairs|peace|silence|progress|it|this|that|weekends?|nights?|mondays?|shifts|front|bed|person|the (?:same|morning|evening|weekends?|garden|house)|least|most|all|night|sundays?|saturdays?|fridays?)\b){PHRASE}",
        rf"{AM}{ADV}(?:work|working|employed) {ADV}(?:at|for|in|by) (?!(?:my|home|it|this|that|the moment|peace|pairs)\b){PHRASE}",
        rf"\bi(?:'ve| have)? (?:just )?(?:taken|got|started|found|landed|accepted) (?:an? |my )(?:new |part-time )*(?:job|post|position|role|gig) (?:at|in|with|as an?|as) {PHRASE}",
        r"\bi (?:do|study|read|major in|am doing|'m doing|'m studying|am studying)(?: (?P<x>an?))? (?P<v>(?:phd|masters?|ma|msc|mba|degree|a-levels?|apprenticeship|nursing|medicine|law) (?:in|at|on) [^,;:.!?()\n]+)",
        r"\bmy (?P<v>(?:year \w+ |[a-z]+ )?(?:pupils|patients|parishioners|apprentices|tutees|congregation))\b",
        rf"\b(?:they|the \w+) pay me to (?:be (?:an? )?)?{PHRASE}",
        rf"\bmy shifts? (?:at|in|on) {PHRASE}",
    ):
        yield StatementPattern("job", re.compile(one))


def _new() -> Iterator[StatementPattern]:
    for one in (
        rf"\bi(?:'ve| have)? {ADV}(?:quit|left|retrained|switched|gave up)\b[^.!?]{{0,50}}\b(?:and|now|so)\b[^.!?]{{0,15}}\bi(?:'m| am)? (?:now )?(?P<v>(?:teach|drive|run|bake|cook|farm|sell|make|clean|paint|fix|write|manage) [^,;:.!?()\n]+)",
        rf"\b(?:and|but|so) i (?P<v>drive (?:an? |the )?(?:{VEHICLES})) (?:now|these days|instead)",
    ):
        yield StatementPattern("job", re.compile(one), update=True)


def _tasks() -> Iterator[StatementPattern]:
    """Yield deeds at an organisation, which only somebody who works there does."""
    verbs = (
        r"(?:do|run|write|drive|handle|manage|sell|build|make|fix|mend|clean|cook|bake|serve|stock|load|pack|paint|design|edit|answer|process|teach|coach|umpire|referee|groom|mind|install|fit|lay|weld|service|repair|test|code|"
        r"program|file|audit|inspect|guard|deliver|fly|dig|farm|milk|breed|grow|cater|tend|mix|film|produce|direct|sing|dance|translate|interpret|research|analyse|analyze|trade|recruit|train|counsel|nurse|care|treat|operate|"
        r"scrub in|stitch|sew|cut|style|tattoo|preach|patrol|restore|maintain|look after|keep|work|assess|review|collect|sort|sweep|wash|supervise|lead)"
    )
    org = rf"(?:an? |the |my |our |two |three )(?:[\w'-]+ ){{0,4}}?(?:{ORGANISATIONS})\b"
    for one in (
        rf"{WE} {ADV}(?P<v>{verbs} [^,;:.!?()\n]{{2,40}}? (?:for|at|in) {org})(?<!home)",
        rf"{WE} {ADV}(?P<v>(?:do|run|handle|manage|work) (?:{WORK_NOUNS})\b(?! as\b)(?:(?: (?:at|for|in) (?:an? |the )?)[^,;:.!?()&\n]{{2,30}})?)(?!-)",
        rf"\bi(?:'m| am)? {ADV}(?:now |currently |finally )+(?P<v>(?:doing|running|driving|teaching|selling|managing|making|building|fixing|cooking|baking|working|training|nursing|handling|writing) [^,;:.!?()\n]{{2,30}}? (?:at|for|in|with) {org})",
        rf"\bi(?:'m| am)? {ADV}(?:now |currently |finally )*(?P<v>(?:doing|handling|running) (?:{WORK_NOUNS})\b(?: (?:at|for|in) [^,;:.!?()\n]{{2,30}})?)",
        rf"{WE} {ADV}(?P<v>(?:drive|fly|write|code|cook) for (?!(?:everything|unless|what|food|money|someone|my|myself|fun|the|a|an|hours|free|years|him|her|them|me|us|years|\w+ (?:hours|years|days|months|people))\b)[^\W\d_][\w'&-]+(?: [^\W\d_][\w'&-]+)?)",
        rf"\b(?:as |i'm |i am )(?:someone|somebody|the (?:guy|girl|one|woman|man|person|lad|bloke|idiot|poor soul|fella|lady)|one of the \w+) who (?P<v>{verbs}(?:s|es)? [^,;:.!?()\n]{{3,45}})",
    ):
        yield StatementPattern("job", re.compile(one), lone="who (?P<v>" not in one)


def _former() -> Iterator[StatementPattern]:
    for one in (
        rf"\bi(?:'m| am) no longer an? {_JOB}",
        rf"\bi(?:'m| am) not an? {_JOB} (?:any ?more|any longer)",
        rf"^(?:so )?no more (?P<v>{OCCUPATION}|[\w ]{{3,25}}?) for me\b(?=.*\bnow\b)",
        rf"\bi(?:'ve| have)? {ADV}(?:left|quit|packed in|given up|gave up) (?:the (?=(?:\w+ ){{0,2}}(?:{ORGANISATIONS})\b.*\b(?:now|job|instead|work)\b)|my job (?:at|in|as an?) )(?P<v>[\w ]{{3,30}}?)(?= (?:in|last|after|for|to|and|this|with) |\s*[,.;!?]|$)",
    ):
        yield StatementPattern("job", re.compile(one), -1, update=True)
