"""How people say what diet they keep, and what they must not eat or touch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.memory.extractors.lexicon import ALLERGENS, DIETS, FOODS, REACTIONS
from telic.memory.extractors.statement_pattern import ADV, AM, HAVE, PHRASE, SHORT, STARTS, WE_ARE, StatementPattern

__all__ = ["diet_patterns"]

_FOOD = rf"(?:{FOODS})\b"


def diet_patterns() -> Iterator[StatementPattern]:
    """Yield how people say what diet they keep, and what they must not eat or touch."""
    yield from _diets()
    yield from _foods_left_out()
    yield from _changed_diets()
    yield from _allergies()


def _diets() -> Iterator[StatementPattern]:
    end = (
        r"(?=\s*(?:[,.;:!?)—–-]|$|\n|and |but |so |since |for |because |too\b|now\b|these |again\b|by |with |here\b|at |on |in |myself\b|who |or |if |as |this |after |before |until |"
        r"(?:house(?:hold)?|home|family|eater|diet|only|food|stuff|kitchen|cook|person|myself|ourselves|lot|years|btw|tbh|lol|thanks|thx|please|pls|through|when|though|all|can|what|where|how|every|most|except|not|is|i|my|im|it|that|rn|always)\b))"
        r"(?! (?:food|stuff) (?:is|was|tastes)| options?| in the)"
    )
    diet = rf"(?P<v>(?:strict(?:ly)? |mostly |type (?:1|2|one|two) )?(?:{DIETS})){end}"
    eats = (
        r"(?:eat |eating |follow |following |keep |keeping |keep to |went |turned |became |become |gone |going |on |switched to |observe |been |a |an |my |the |being |having to be |cook |cooking |"
        r"stay |staying |remain |keep it |do |doing |live on |living on |strict )*"
    )
    us = r"(?:i'm|im|i am|i've|ive|i have|i|we're|we are|we've|we have|we|us|(?:me|my \w+) and (?:me|i|my \w+) are)"
    for one in (
        rf"\b{us} {ADV}{eats}{ADV}(?:an? )?{diet}",
        rf"\b(?:me|myself)(?:,| being|:| -)? (?:i'm )?{eats}{diet}",
        rf"^(?:\W*(?:as|being|also|and|oh|btw|hi|hey|hello|so|well|fyi)\b)*\W*(?:an? )?(?:strict |lifelong |newly |fellow )?{diet}(?:,? here|[,:]| since\b| for (?:me|us|life|\w+ years|years)\b| btw\b| by the way\b| tbh\b| now\b| these days\b|$)",
        rf"\b(?:as|being) an? (?:strict |lifelong |newly |fellow )?{diet}(?=.*\b(?:i|my|me|i'm|im|we)\b)",
        rf"^\W*only {diet}[^.!?]*\b(?:me|please|thx|thanks)\b",
        rf"\b(?:everything|all) (?:that )?(?:i|we) eat (?:has to|must|needs to) be {diet}",
        rf"\bmy (?:doctor|gp|dietician|dietitian|cardiologist|nurse)(?: has|'s)? (?:\w+ )?put me on an? {diet}",
        rf"\bgoing {diet} (?:was|has been) the best",
        rf"\b(?:i|we) eat (?:an? )?{diet}",
    ):
        yield StatementPattern("diet", re.compile(one), form="as is")
    yield StatementPattern(
        "diet",
        re.compile(rf"{HAVE}{ADV}(?:switched|changed|moved|gone over) to (?:an? )?(?P<v>{DIETS})"),
        update=True,
        form="as is",
    )
    yield StatementPattern(
        "diet", re.compile(rf"\b(?:my|our|i changed my) diet (?:is|to) {ADV}(?P<v>{DIETS})\b"), form="as is"
    )


def _foods_left_out() -> Iterator[StatementPattern]:
    for one in (
        rf"\b(?:i|we) {ADV}(?P<v>(?:do not|don't|dont|never|can't|cannot|cant|won't|no longer|am not allowed to|'m not allowed to|can't really) (?:really |actually )?(?:eat|have|do|touch|drink|digest|tolerate) {_FOOD})",
        rf"\b(?:i|we)(?:'m| am|'re| are|'ve| have)? {ADV}(?:been )?(?P<v>(?:off|cut(?:ting)? out|given up|giving up|avoiding|avoid|stopped eating|stopped drinking|quit) {_FOOD})",
        rf"(?:^|\b(?:so|and|but|there's) )(?P<v>no {_FOOD}) (?:for (?:me|us)\b|in (?:my|our) (?:house|kitchen)|please,? (?:i'm|religious|doctor))",
        rf"^(?P<v>(?:{FOODS})(?:'s| is| are|'re) (?:off the menu|off limits|out|not allowed|a no-go|a no|forbidden))\b(?=.*\b(?:for me|for us|i|i'm|my|we|our)\b)",
        rf"{AM}{ADV}(?P<v>type (?:1|2|one|two))\b",
        rf"\b(?P<v>(?:i|we) only eat {_FOOD})",
    ):
        yield StatementPattern("diet", re.compile(one), form="as is")
    us = r"(?=.*\b(?:i|me|my|we|us|our|i'm|i've)\b)"
    for one in (
        rf"^{us}(?:honestly |tbh |so |oh |and )*(?P<v>(?:{FOODS})) (?:wrecks me|and (?:i|me) (?:broke up|don't get on|don't agree|are (?:done|over|finished|not friends)|parted \w+)|(?:doesn't|does not|don't|never) (?:agree|sit well|get on|get along) with me|upsets? my|destroys? (?:me|my)|kills my stomach|"
        rf"repeats? on me|hates me|is the enemy|is off the table|makes? me (?:ill|sick|bloated))",
        rf"\b(?:i|we) (?P<v>(?:haven't|have not|havent|hadn't) (?:had|eaten|touched|cooked|bought) {_FOOD}(?: in the house)?)(?=.*\b(?:since|in|for)\b)",
        rf"\b(?:i was|i've been|i got|been|just|was) (?:\w+ )?diagnosed (?:with |as )(?P<v>(?:{DIETS}|diabetes|type (?:1|2|one|two)(?: diabetes)?|coeliac disease|celiac disease|ibs|crohn's))\b",
        r"\b(?:i have|i've got|with my|i've|because of my) (?P<v>(?:coeliac|celiac)(?: disease)?|(?:type (?:1|2|one|two) )?diabetes)\b",
        rf"\b(?:i'm|i am|been|i've been|im) {ADV}(?P<v>(?:sober from|clean of|off|weaned off|free of) {_FOOD})",
        r"(?:^|\b(?:i'm|im|i've been|as a|being) (?:an? )?)(?P<v>type (?:1|2|one|two)(?: diabetic)?)(?= (?:since|for|diabetic|these|here|and)\b|[,.])",
        r"\bi (?P<v>(?:count|watch|track) (?:every |my |all my )?(?:carbs?|calories|salt|macros|sugars?|sodium))\b",
        rf"\bi(?:'m| am|'ll be|'m going to be| will be) {ADV}(?P<v>fasting)\b(?=.*\b(?:ramadan|lent|as (?:ever|always|usual)|every)\b)",
        rf"\bramadan\b.*\bi(?:'m| am|'ll be| will be) {ADV}(?P<v>fasting)\b",
    ):
        yield StatementPattern("diet", re.compile(one), form="as is", lone=True)


def _changed_diets() -> Iterator[StatementPattern]:
    yield StatementPattern(
        "diet",
        re.compile(
            rf"\b(?:i|we)(?:'m| am|'re| are|'ve| have|ve)? {ADV}(?:gone |went |going |started |switched |been )?back (?:to|on)(?: eating| having)? (?P<v>(?:eating )?{_FOOD})"
        ),
        update=True,
        form="as is",
    )
    back = rf"\b(?:back to eating|back on the|eating|started eating) (?P<v>{_FOOD})(?: again| after)\b"
    yield StatementPattern("diet", re.compile(back), update=True, form="as is")
    thing = r"(?: (?:thing|diet|lifestyle|lark|experiment|business|phase))?"
    for one in (
        rf"{AM}(?:not|no longer) {ADV}(?:an? )?(?P<v>{DIETS})\b",
        rf"\b(?:i|we|iv|i've|we've|ive|you can|can)\b[^.!?;]{{0,20}}\b(?:packed in|gave up|given up|dropped|drop|ditched|quit|stopped|jacked in|scrap|forget|abandoned|done with|off)\b (?:being )?(?:the |an? |my )?(?P<v>{DIETS}|no (?:{FOODS})){thing}\b",
        rf"\b(?P<v>{DIETS}) no (?:more|longer)\b",
        rf"^(?:\W*(?:so|and|btw|oh|ok|well|im|i'm)\b)*\W*(?:not|no longer) (?:an? )?(?P<v>{DIETS}) any ?more\b",
        rf"\bi(?:'m| am)? used to be (?:an? )?(?P<v>{DIETS})\b",
    ):
        yield StatementPattern("diet", re.compile(one), -1, update=True, form="as is")
    fasting = r"\bi(?:'m| am|'ll be| will be)? (?:be )?(?:(?:observing|keeping) )?(?P<v>(?:fast for|fasting for|fasting during|observe|keep) (?:ramadan|lent|yom kippur))\b"
    yield StatementPattern("diet", re.compile(fasting), form="as is")


def _allergies() -> Iterator[StatementPattern]:
    swell = (
        r"(?:(?:gives?|gave|give) me (?:a rash|hives|anaphylaxis|asthma|a reaction|welts|itchy \w+)|(?:brings?|brought|break|breaks|broke|comes|bring) me out in [^.!?]+|(?:makes?|made) me (?:swell|itch|wheeze|come (?:up|out)|break out|"
        r"sneeze|puff up|blow up)|closes? (?:up )?my (?:throat|airway)|(?:swells?|puffs?) (?:up )?my (?:face|lips|throat|tongue)|(?:send|sends|sent|put|puts) me (?:to|in) (?:a&e|hospital|the er|casualty|anaphyla\w+)|(?:could|would|will|can|might|may) (?:literally )?kill me)"
    )
    for one in (
        rf"(?:{WE_ARE}|\bi've been |\bi was born |\bi happen to be |\bi turn(?:ed)? out to be |\bbeing ){ADV}(?:\w+ )?allergic to {PHRASE}",
        rf"^(?:\W*(?:oh|and|also|btw)\b)*\W*(?:\w+ly )?allergic to {PHRASE}",
        rf"\b(?:i|my|me|i've|i'm|our|we|suffer from)\b[^.!?]{{0,30}}\b(?:allergy|intolerance|sensitivity|reaction) to {PHRASE}",
        rf"^(?:\w+, )?{SHORT},? {swell}",
        rf"\b(?:can't|cannot|cant|must not|mustn't|may not) (?:have|eat|touch|take|go near) {SHORT}[,:]? (?:an? |because |as |since |due to |my |i'm |i am )*allerg",
        rf"(?:{HAVE}|\bwith my |\bmy )(?:an? )?(?:severe |bad |mild |strong |lifelong |nasty |serious )?(?!an? |that |this |the |any )(?P<v>[a-z-]+(?: [a-z-]+)?) (?:allergy|intolerance)\b(?! to)",
        rf"\bi (?:must not|may not|can't|cannot|cant|should not|shouldn't) (?:have|eat|touch|take) {PHRASE}[:,] (?:because |as |since )?i(?:'m| am) allergic",
        rf"\bi {ADV}react {ADV}(?:badly |strongly |allergically )?to {PHRASE}",
        rf"\bmy (?:main |only |big |worst )?allerg(?:y is|ies are|ies:|y:) (?:to )?{PHRASE}",
        rf"^{SHORT} and (?:me|i|my (?:body|stomach|throat|skin)) (?:do not|don't|dont|never) (?:mix|agree|get on|get along)\b",
        rf"\b(?:get|come out in|came out in|break out in|come up in|got) (?:an? )?(?:rash|hives|welts|lumps) (?:from|off|with|whenever i (?:eat|touch)|if i (?:eat|touch)) {PHRASE}",
        rf"\bone (?:sniff|bite|whiff|taste|touch|look|mouthful|crumb|nibble) (?:of|at) (?:an? )?{SHORT} and (?:i|my)\b[^.!?]*(?:swell|balloon|hospital|a&e|throat|puff|itch|epipen|ambulance|hives|rash)",
        rf"^(?:right then\W+)?{SHORT}: i carry (?:the|a|an) (?:pen|epi\w*)",
        rf"\bi (?:carry|keep|have) an? (?:epi-?pen|pen|adrenaline \w+) (?:for|because of|in case of) {PHRASE}",
        rf"\ballergy (?:warning|alert|note|info)?: {PHRASE}",
        rf"{AM}{ADV}(?:(?P<v>(?:lactose|gluten|fructose|histamine)) intolerant)\b",
        rf"\b(?:no|without) {SHORT},? (?:please,? )?(?:because |as |since |- )?i(?:'m| am|m) (?:\w+ )?allergic\b",
        rf"{STARTS}{SHORT} allergy here\b",
    ):
        yield StatementPattern("allergy", re.compile(one), plain=True)
    me = r"\b(?:i|me|my|i'm|i've|mine)\b"
    allergen = rf"\b(?P<v>{ALLERGENS})(?! (?:allergy|intoleran\w+|bread|butter|free))\b"
    for one in (
        rf"^(?=.*{me})[^.!?]*?{allergen}[^.!?]{{0,70}}\b(?:{REACTIONS})\b",
        rf"^(?=.*{me})[^.!?]*?\b(?:allergic|allergy|epi-?pen|hives|ambulance|antihistamines?)\b[^.!?]{{0,25}}\b(?:to|from|for|because of|after|off) (?:\w+ )?{allergen}",
    ):
        yield StatementPattern("allergy", re.compile(one), form="as is", lone=True)
    sentences = rf"(?s)\b(?P<v>{ALLERGENS}) (?:is|are) (?:a hard no|in everything|off limits|on my [\w-]+ list)\b.{{0,80}}\b(?:{REACTIONS})\b.{{0,40}}{me}"
    yield StatementPattern("allergy", re.compile(sentences), form="as is", lone=True, message=True)
    yield StatementPattern("allergy", re.compile(rf"{AM}(?:not|no longer) {ADV}allergic to {PHRASE}"), -1, update=True)
