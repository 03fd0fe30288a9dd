"""What tells that a message, or a part of it, is not meant of its author: fiction, drafts, questions, plans, the past.

Each function takes masked text (`cues.masked`) and says from where, or whether, nothing is taken.
"""

from __future__ import annotations

import re

from telic.memory.extractors.lexicon import LANGUAGES, RELATIVES

__all__ = [
    "is_code",
    "is_fiction",
    "is_past",
    "is_plan",
    "mentions_others",
    "question_start",
    "speaks_for_the_user",
    "text_to_work_on",
]

_GENRES = (
    r"(?:stor(?:y|ies)|novel|novella|poem|limerick|haiku|sketch|song|sonnet|script|scene|monologue|rap|lyrics|fan ?fic\w*|fanfiction|panto(?:mime)?|screenplay|comic|fairy ?tale|"
    r"bedtime story|villanelle|ballad|campaign|one-shot|short film|musical|play|murder mystery|radio (?:play|sketch)|blog post|advert|diary entry|fable|parody|skit|joke)"
)
_FICTION = re.compile(
    rf"\bmy (?:main |lead |game |d&d )?(?:character|protagonist|hero(?:ine)?|villain|narrator|rogue|paladin|wizard|bard|dwarf|elf|orc|ranger|cleric|druid|warlock|avatar|sim)\b|\bthe (?:hero(?:ine)?|protagonist|villain|antagonist|narrator|main character|lead character)\b"
    rf"|\bin (?:my|the|our|a|this) (?:\w+ )?(?:novel|story|play|panto\w*|film|script|campaign|sketch|musical|screenplay|comic|poem|scene|chapter|game|sims|book)\b"
    rf"|\b(?:write|draft|compose|give|tell|make|continue|finish|start|need|want)(?: me| us)? (?:an? |the |my |this |some )?(?:[\w-]+ ){{0,3}}{_GENRES}\b"
    rf"|(?:^|\n)[^\w\n]*(?:(?:short|scary|funny|silly|bedtime|love) )*{_GENRES}(?: idea| prompt)?(?:\b[^.!?\n]{{0,40}}\b(?:about|in which|where|in the voice|narrated|set|starring)\b|:)"
    r"|\bin the (?:voice|style|person) of\b|\bchapter (?:one|two|three|four|five|six|seven|\d+)\b|\brole-?play\b|\blet's (?:do|play|pretend|write|make up)\b|\bonce upon a time\b"
    r"|\b(?:d&d|dnd|npc|backstory|dungeon|opening line|first-person narrator|playing (?:the part of|as) |level \d+ \w+)\b|\bsaid the \w+|\bpretend(?:ing)?\b|\bplay(?:ing)? (?:the (?:role|part) of|widow|a (?:\w+ )?(?:villain|pirate|king|queen|witch|detective))\b"
    r"|\byou (?:be|play|are) the \w+|\b(?:your|its|his|her) (?:first |next |opening )?line (?:is|should)\b|\bspeaking as (?:the|a) (?!someone|person)\w+ (?:in|from|of)\b|\bin character\b|\b(?:imaginary|fictional|made-up|invented) (?:\w+ )?(?:person|character|friend|customer|user|name|place)\b"
    r"|\b(?:dating |character )?(?:profile|page|diary) (?:for|of) an? (?:\w+ )?(?:otter|cat|dog|robot|ghost|pirate|vampire|dragon|wizard)\b|\bin (?:stardew(?: valley)?|minecraft|animal crossing|the sims|skyrim|pok[eé]mon|zelda|elden ring|baldur's gate|fortnite|roblox|warcraft)\b|\bfictional\b|\broast me\b|\bassume (?:our|the) hero\b|\bmake-believe\b|\bdialogue between\b|\bmonologue\b|\blyrics?\b|\bverse (?:one|two|1|2)\b"
)
_WORK = re.compile(
    r"(?:^|[.!?\n][^\S\n]*|\b(?:please|can you|could you|kindly|help me|to|and)\s+)(?:please )?(?:draft|proof-?read|translate|rewrite|re-?word|re-?phrase|improve|edit|correct|polish|shorten|tidy(?: up)?|fix|spot the|check|put|turn|summari[sz]e|say|"
    rf"paraphrase|parse|caption|critique|make)\b[^.!?\n]{{0,120}}?(?::|\bthis\W*\n|-{{1,2}} )|\b(?:into|to|in) (?:{LANGUAGES})(?: please)?:|\b(?:translate|proof-?read|rephrase|reword|rewrite|paraphrase|how do (?:you|i) say)\b"
    r"|\b(?:sign|card|label|caption|notice|email|message|letter|poster|bio|profile|advert|ad|review|text|he|she|they|it|headline|slogan|t-?shirt|mug|sticker|subject line|tweet|status|line|lyric|example sentence|sentence|prompt|quote|caller|customer|reads|says|goes|wrote|texted)"
    r"(?: (?:says|reads|goes|saying|reading|is|was|to say|should (?:say|read)|wrote|back))?(?::|,? ?like:)"
)
_CODE = re.compile(
    r"\bdef \w+\s*\(|\bimport \w+(?: as|\s*$|\s+\w+ = |\s+from)|\bfrom [\w.]+ import\b|\bself\.\w+|;[ \t]*\n|\w\(\w*\)\s*[;:{]|[=!]==?[^=]*[=;{(]|\bclass \w+\s*[:({]|console\.log|\bprint\(|</\w+>|\bselect \S+ from\b",
    re.MULTILINE,
)
_PAST = re.compile(
    r"\bas an? (?:\w+ )?(?:boy|girl|child|kid|lad|teenager|teen|baby|toddler|young (?:man|woman))\b|\b(?:years|decades|ages|months|a year|a decade) (?:ago|back)\b|\bback (?:then|when|in (?:the (?:day|\w+ties|\d+s)|\d{4}|my|those|college|school|uni))\b"
    r"|\bin (?:my|our) (?:\w+ )?(?:days|youth|twenties|teens|thirties|childhood|twenties)\b|\bwhen (?:i|we) (?:was|were|lived|had|worked|used|first|still|studied|did|got married|met)\b|\b(?:i|we) once (?!again)\w+|\bonce (?:had|upon|lived|owned|worked)\b"
    r"|\bused to\b|\b(?:growing up|at university i was|at school i was|in those days|at the time|way back|long ago|formerly|in a (?:past|previous|former) life|in (?:19|20)\d\d|in the (?:\w+ties|\d+s)|during the war|for a (?:week|fortnight|month|while|bit|year|summer|term)\b|my first (?:job|dog|cat|car|flat|house)|my old (?:job|boss|flat|house|place|life))"
    r"|\bmy late\b|\bour late\b|\b(?:died|passed away|passed on|put (?:him|her|it|them) (?:down|to sleep)|put to sleep|over the rainbow|rest (?:his|her|in)|r\.?i\.?p|no longer with us|god rest)\b|\b(?:until|till) (?:the|i|we|it|she|he|they)\b[^.!?]*$|\bi(?:'d| had) (?:have )?been\b"
)
_SINCE = re.compile(r"\bsince\b.*$")
_PLAN = re.compile(
    r"\b(?:think(?:ing)? (?:of|about)|consider(?:ing)?|tempted|toy(?:ing)? with|dream(?:t|ing)? (?:of|about)|hop(?:e|ing) to|might|(?<!in )(?<!last )(?<!since )(?<!of )(?<!this )(?<!by )may|maybe|perhaps|possibly|one day|some ?day|one of these days|i'd (?:love|like|quite like)|would (?:love|like) to|wish|wanted? to|"
    r"wanting to|wondering|debating|planning (?:on|to)|plan to|unless|whether|almost|nearly|not sure (?:if|whether)|as good as|going to (?:be|become|try)|trying to|try being|aspiring|wannabe|pretend\w*|supposedly|apparently|imagine|as though|as if|like i'm|like i am|could be|would be|"
    r"in my head|feel like|felt like|sounds? like|you'd think|anyone would think|joking|kidding)\b"
)
_IF = re.compile(
    r"\b(?:if (?:i|we|only|my)|say (?:i|we)|were i|were we|had i|had we|suppos\w+|hypothetically|theoretically|what if|let's say|assum\w+|in theory|in another life|next life|ideally|imagine|unless)\b"
)
_HYPOTHETICAL = re.compile(
    r"\b(?:suppose|supposing|imagine|pretend|hypothetically|what if|let's say|assuming|as if|i wish|wish i|say (?:i|we) (?:was|were|had|won|did|went|lived)|were (?:i|we)|had (?:i|we)(?! \w+ed,?$)|i might|we might|i may|we may)\b"
    r"|\bif (?:only\b|(?:i|we)'d\b|(?:i|we) (?:could|had|were|was|did|would|ever|\w+ed)\b|you were\b|someone\b|somebody\b|a person\b)"
)
_REPORTED = re.compile(
    r"(?<!\bi )(?<!\bi've )(?<!\bi have )(?<!\bi was )(?<!\bbeen )(?<!\bi am )(?<!\bi'm )\b(?:said|says|saying|told|tells|wrote|writes|written|texted|messaged|claims?|claimed|thinks?|"
    r"thought|believes?|asks?|asked|replied|answered|insists?|insisted|quotes?|quoted|sings?|sang|singing|lyrics?|reads?|song goes|he goes|she goes|goes,|goes:|was like|message was|reckons?|swears? (?!by)|yells?|shouts?|"
    r"according to|character|novel|narrator|translate|translation)\b"
)
_EXPERT = re.compile(
    r"\b(?:doctors?|gp|dentist|nurse|consultant|specialist|dieti[ct]ian|tests?|results?|midwife|allergist|hospital|vet|blood ?work)\b[^.!?]{0,25}$|\bas i (?:said|told)|\bhas me\b"
)
_FIRST_PERSON = re.compile(r"(?:i|i'm|im|i've|ive|i'd|i'll|iv|we|we're|we've|my|our|me|ours|mine)\b")
_OTHER_SUBJECT = re.compile(
    rf"\b(?:he|she|they|who|everybody|everyone|people|someone|somebody|you|those|anyone)(?:'s|'re| also| really| always| both| is| are)? *$|\b(?:{RELATIVES})(?:'s| is| are|,)?(?: and)? *$"
)
_OTHERS = re.compile(
    rf"\b(?:he|she|him|his|hers?|{RELATIVES}|lady|guy|man|woman|someone|somebody|person|people)\b(?! (?:at|in) the door)"
)
_PRONOUNS = frozenset({"he", "she", "him", "his", "her", "hers"})
_QUESTION = re.compile(
    r"\b(?:can|could|do|does|did|should|would|will|am|is|are|was|were|have|has|shall|may|might|don't|doesn't|isn't|aren't|won't|can't) (?:i|we|you|they|it|there|he|she|this|that|these|those|someone|somebody|anyone|anybody|people|one|my \w+|the \w+|a \w+)\b"
    r"|\b(?:what|which|where|who|whose|how|why|wot|wots|whats|hows|any)\b(?!ever)|\bwhen (?:is|are|do|does|did|will|should|can|would)\b"
)
_CLAUSE = re.compile(r"[,;:(–—]| - |\bso\b|\band\b|\bbut\b")


def is_code(text: str) -> bool:
    """Whether a message holds source code, in which names and sentences are nobody's."""
    return _CODE.search(text) is not None


def is_fiction(text: str) -> bool:
    """Whether a message asks for, or is part of, a story, a game or the like."""
    return _FICTION.search(text) is not None


def text_to_work_on(text: str) -> int:
    """Return from where a message holds a text to translate, correct or write; its length if there is none."""
    match = _WORK.search(text)
    return match.end() if match else len(text)


def question_start(sentence: str) -> int:
    """Return where the question in a sentence begins; its length if it asks nothing."""
    asks = sentence.rstrip().endswith("?")
    for match in _QUESTION.finditer(sentence):
        before = sentence[: match.start()].rstrip()
        if not before:
            if asks or " " in match[0]:
                return 0
            continue
        if asks or before[-1] in ",;:–—-(" or before.endswith((" so", " but", " and")) or " " in match[0]:
            return match.start()
    if not asks:
        return len(sentence)
    cuts = [match.start() for match in _CLAUSE.finditer(sentence)]
    return cuts[-1] if cuts else 0


def is_past(sentence: str) -> bool:
    """Whether a sentence tells of what is over. What began in the past ("since I was nine") may last."""
    return _PAST.search(_SINCE.sub("", sentence)) is not None


def is_plan(sentence: str, start: int, value: int) -> bool:
    """Whether the words before a value make it a thought, a plan or a wish.

    Args:
        sentence: the masked sentence.
        start: where the statement begins.
        value: where its value begins.
    """
    clause = max(sentence.rfind(mark, 0, start) for mark in ",;:") + 1
    return _PLAN.search(sentence, clause, value) is not None or _IF.search(sentence, 0, value) is not None


def mentions_others(text: str, *, pronouns: bool = True) -> bool:
    """Whether a text mentions another person, of whom it may be true instead.

    Args:
        text: the masked text.
        pronouns: whether "he" and "she" count: they may be somebody's dog.
    """
    return any(pronouns or match[0] not in _PRONOUNS for match in _OTHERS.finditer(text))


def speaks_for_the_user(sentence: str, start: int) -> bool:
    """Whether a statement that begins at `start` of a masked sentence is the user's own, and no supposition."""
    before = sentence[:start].rstrip(" ,")
    if _HYPOTHETICAL.search(sentence):
        return False
    reported = _REPORTED.search(before)
    if reported is not None and not _EXPERT.search(before[: reported.start()]):
        return False
    return _FIRST_PERSON.match(sentence, start) is not None or not _OTHER_SUBJECT.search(before)
