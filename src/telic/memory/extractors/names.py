"""Names of people, creatures and places: where a name ends, and which words are not names."""

from __future__ import annotations

import re

__all__ = ["trim_name"]

_WORD = re.compile(r"[^\W\d_][\w'’.-]*\w|[^\W\d_]|\d+(?= )")
_PARTICLES_TEXT = "of the de la le da di del van von der den upon on al el bin in-the under by st o' y"
_PARTICLES = frozenset(_PARTICLES_TEXT.split())
_BEFORE_NAMES_TEXT = (
    "the a an now near in just sunny rural good old beautiful rainy downtown central west east north south upstate "
    "inner"
)
_BEFORE_NAMES = frozenset(_BEFORE_NAMES_TEXT.split())
_TITLES = frozenset(["prof", "dr", "mr", "mrs", "ms", "miss", "rev", "fr", "st", "sir", "dame", "lady", "lord"])
_NO_NAMES_TEXT = (
    "it that this a an the my your our his her their not in on at for to and or but so if is are was be been just "
    "here there now still only really also very me you we they he she who what where when how why with from by as "
    "of than then no yes please thanks sorry ok okay i i'm im i've i'd i'll fine good late early sick ill tired "
    "happy sad home work bed back off up down out over pain charge case english french german spanish italian love "
    "fact general short trouble monday tuesday wednesday thursday friday saturday sunday january february march "
    "april may june july august same ditto likewise right live nothing everyone new first raining cold hot great "
    "all look both yep yeah nope agreed almost someone somebody nobody mine ours dad mum mom absolutely exactly "
    "hello hi hey well teacher nurse vegan vegetarian student parent beginner action american british european "
    "african asian everyone september october november december spring summer autumn winter christmas easter it's "
    "its hr pr pe uk-style don't can't call called looking going trying getting having being doing"
)
_NO_NAMES = frozenset(_NO_NAMES_TEXT.split())
"""Words that no name of a person, creature or place begins with, as far as this reads them."""
_STOPS = re.compile(
    r"(?:and|or|but|so|in|on|at|for|to|of|with|who|which|that|since|now|because|by|btw|is|was|has|are|these|this|last|next|every|please|pls|thanks|too|atm|rn|lol|tho|though|if|when|as|till|until|near|not|i|im|we|what|any|can|how|where|where's|whats)$"
)


def trim_name(original: str, start: int, end: int, *, capitals: bool, most: int = 2) -> tuple[int, int] | None:
    """Cut a name out of `original[start:end]`: the words with capital letters that it begins with.

    Args:
        original: the sentence as the user wrote it.
        start: where the name begins.
        end: where it ends at the latest.
        capitals: whether a name without a capital letter counts as none.
        most: words of a name that is written without capitals.
    """
    words = list(_WORD.finditer(original, start, end))
    first = words[0][0].lower() if words else ""
    while words and words[0][0] in _BEFORE_NAMES:
        words = words[1:]
    if not words or (words[0].start() > start and not words[0][0][0].isupper() and first in {"the", "a", "an"}):
        return None
    if words[0][0][0].isdigit() or words[0][0].lower().rstrip(".") in _NO_NAMES:
        return None
    taken = [words[0]]
    upper = words[0][0][0].isupper()
    shouted = original.isupper() or (original[:start].split() or ["i"])[-1].strip(" ,").isupper()
    if capitals and (not upper or (shouted and taken[0][0].isupper() and original[:start].split()[-1:] != ["I"])):
        return None
    for word in words[1:]:
        gap = original[taken[-1].end() : word.start()]
        if gap.strip() and not (gap.strip() == "." and taken[-1][0].lower() in _TITLES):
            break
        low = word[0].lower()
        if upper and not word[0][0].isupper() and low not in _PARTICLES:
            break
        if (not upper or word[0][0].isupper()) and low in _NO_NAMES:
            break
        if not upper and (len(taken) >= most or len(low) < 3 or _STOPS.match(low)):
            break
        taken.append(word)
    while len(taken) > 1 and upper and not taken[-1][0][0].isupper():
        taken.pop()
    last = taken[-1].end()
    if original[last - 2 : last].lower() == "'s" or original[last - 2 : last] == "’s":
        last -= 2
    return (taken[0].start(), last) if last > taken[0].start() else None
