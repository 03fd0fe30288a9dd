"""How people say how they live: where, from what, on what diet, and what they must not eat or touch."""

from __future__ import annotations

import re
from collections.abc import Iterator

from telic.memory.extractors.lexicon import (
    ALLERGENS,
    BUSINESSES,
    DIETS,
    FOODS,
    OCCUPATION,
    ORGANISATIONS,
    REACTIONS,
    VEHICLES,
    WORK_NOUNS,
    WORK_VERBS,
)
from telic.memory.extractors.statement_pattern import ADV, AM, HAVE, PHRASE, SHORT, STARTS, WE_ARE, StatementPattern

__all__ = ["living_patterns"]

_WE = r"\b(?:i|we|(?:me|my \w+) and (?:me|i|my \w+|the \w+))"
_HERE = r"(?:in|near|outside|just outside|on the edge of)"


def living_patterns() -> Iterator[StatementPattern]:
    """Yield how people say how they live."""
    yield from _homes()
    yield from _jobs()
    yield from _diets()
    yield from _allergies()


def _homes() -> Iterator[StatementPattern]:
    for one in (
        rf"{_WE} (?:no longer|don't|do not) live in {PHRASE}",
        rf"\b(?:gave up|given up|sold|selling|leaving|left|out of) (?:[\w ]+ and )?(?:my|our|the) (?:[\w-]+ )?(?:place|flat|house|home|apartment|cottage) in {PHRASE}",
        rf"{_WE}?(?:'ve| have)? ?{ADV}(?:left|moved (?:out of|away from|from)) (?!the\b|my\b|our\b|a\b){PHRASE}(?=.*\b(?:for good|to|now|behind|home)\b)",
    ):
        yield StatementPattern("home", re.compile(one), -1, update=True, form="name")
    cue = (
        r"(?:live|lives|lived|living|my place|our place|studio|apartment|duplex|condo|bungalow|terrace|rent|rents|renting|landlord|lease|mortgage|neighbou?rs?|neighbou?rhood|our street|our road|my street|my road|my block|"
        r"bathroom|toddlers|backyard|my yard|my garden|commute|school run|bin day|council tax|been here|here now|never left|(?:my|our) (?:back|front) door|(?:my|our) kitchen|years now|yrs now|winters? in|home now|moved|settled)"
    )
    travel = r"(?:hotel|hostel|airbnb|flights?|fly|flying|trip|visit\w*|vacation|holiday|weekend|tour|book|booking|honeymoon|conference|itinerary|layover|used to|cruise|stay in|staying|could live|would live|want to live|like to live|live music)"
    place = rf"(?:in|near|outside) {PHRASE}"
    us = r"\b(?:i|i'm|i've|im|we|we're|we've|my|our|me|us)\b"
    near = rf"^(?=.*{us})(?=.*\b{cue}\b)(?!.*\b{travel}\b).*?\b{place}"
    yield StatementPattern("home", re.compile(near), form="name", lone=True, weight=0.9)
    yield StatementPattern(
        "home",
        re.compile(rf"^(?=.*{us}).*?\b(?P<v>[^\W\d_][\w'-]+(?: [^\W\d_][\w'-]+)?) is home(?: now)?\b"),
        form="name",
        lone=True,
        update=True,
    )
    yield StatementPattern(
        "home",
        re.compile(
            r"\bi(?:'m| am|m)? ?(?:guess )?(?:i'm |im |i am )?(?:now )?an? (?P<v>[a-z]+) (?:girl|boy|guy|man|woman|person|local|resident)(?:,)? now\b"
        ),
        form="place",
        update=True,
    )
    yield StatementPattern(
        "home",
        re.compile(rf"\bi came (?:up |over |down )*to {PHRASE}(?=.*\b(?:never left|stayed|years|still here)\b)"),
        form="name",
    )
    yield StatementPattern(
        "home",
        re.compile(
            r"(?s)\bi live on (?:a|the) (?:boat|houseboat|narrowboat|farm|island)\b.*?, (?P<v>[^\W\d_][\w'-]+)(?=\.)"
        ),
        form="name",
        message=True,
    )
    rooms = (
        r"(?:street|road|lane|house|flat|place|home|apartment|back door|front door|doorstep|garden|end|part|corner|side|village|town|neck of the woods|kitchen|local|parish|estate|"
        r"neighbou?rhood|block|building|terrace|balcony|allotment|bungalow|cottage|landing|loft|basement|roof|council|borough|postcode|area|spare room|house-share|family)"
    )
    for one in (
        rf"{_WE} {ADV}(?:live|reside|dwell|are based|am based) {ADV}(?:in|near|at|outside|out of|on the edge of) {PHRASE}",
        rf"{WE_ARE}{ADV}(?:living|residing|based|settled|at home|holed up|renting|housed) {ADV}(?:in|near|outside|of) {PHRASE}",
        rf"\b(?:i|we)(?:'ve| have|ve) {ADV}(?:lived|been (?:living|based)) {ADV}(?:in|near|outside) {PHRASE}(?=.*(?:\bfor\b|\bsince\b|years|months|all my life|whole life|decades|\bnow\b|always|ages|this long))",
        rf"^(?:\W*(?:oh|and|also|so|well)\b)*\W*(?:living|based) in {PHRASE}",
        rf"\bmy (?:current |own )?home(?:town| town| city)? is (?:now )?(?:in )?{PHRASE}",
        rf"\bhome (?:for me )?is (?:now )?(?:in )?{PHRASE}",
        rf"\b(?:i|we|i've|i'm|we're|that i)\b[^,;:.!?]{{0,20}}\b(?:live|living|settled|reside|based|at home) {ADV}in (?:is )?{PHRASE}",
        rf"\bthe (?:town|city|village|place|country) (?:that )?(?:i|we) live in is {PHRASE}",
        rf"\b(?:my|our)(?: own)? {rooms}(?: is| lives?| are)? (?:now |here |over |down |up |out |back )*{_HERE} {PHRASE}",
        rf"\b(?:in|from) {SHORT}, my home ?town\b",
        rf"{AM}in {SHORT}, (?:that is|that's|thats|which is) (?:my )?home\b",
        rf"{STARTS}{SHORT}, (?:which is |that is |that's )?where i live\b",
        rf"\bwhere (?:i|we) live(?:, |: | is )(?:in )?{PHRASE}",
        rf"\bwhere i live\? {PHRASE}",
        rf"{_WE} (?:have|own|rent|bought|got|'ve got) an? (?:[\w-]+ ){{0,2}}(?:flat|house|apartment|place|room|home|studio|bungalow|cottage) in {PHRASE}",
        rf"\breach me in {PHRASE}",
        rf"\bi (?:stay|am|'m) in {PHRASE}(?= all year)",
    ):
        yield StatementPattern("home", re.compile(one), form="place")
    capital = (
        rf"{WE_ARE}(?:over |up |down |out |here |stuck |all |way |both |only |just )*(?:in|near|outside) {PHRASE}(?!.*\b(?:at the moment|right now|currently|for now|this week|visiting|for work)\b)",
        rf"\b(?:i'm|we're|my|our)\b[^.!?]{{0,30}}\b(?<!right )here in {PHRASE}",
        rf"^(?:down|up|over|out|round)? ?here in {PHRASE}(?=.*\b(?:we|i|our|my)\b)",
        rf"\b(?:down|up|on|round|along) (?:our|my) (?:street|road|way|lane|end)(?: is)? in {PHRASE}",
        r"\b(?P<v>[^\W\d_][\w'-]+(?: [^\W\d_][\w'-]+)?)[- ]based (?:here|\w+ here)?",
        rf"\b(?:i|we) {ADV}call {SHORT} home\b",
        rf"{STARTS}{SHORT} (?:is|has been) (?:my|our|where i call) home\b",
        rf"\b(?:delivery|shipping|send it|post it|deliver(?:ed)?)\b[^.!?]{{0,20}} to (?:me|my (?:house|flat|place|home|address)) (?:at|in) {PHRASE}",
        rf"\b(?:our|my) (?:b&b|shop|pub|caf[eé]|school|farm|surgery|practice)\b[^.!?]{{0,20}}? (?:at|in) {PHRASE}",
    )
    yield from (StatementPattern("home", re.compile(one), form="name") for one in capital)
    for one in (
        rf"{_WE}(?:'ve| have|ve|'m| am|m|'re| are)? {ADV}(?:moved|moving|relocated|relocating|upped sticks|shifted|settled) (?!in\b)(?:(?!to\b|in\b|from\b)[\w']+ ){{0,3}}?(?:(?:from|out of) [\w' -]{{2,25}}? )?(?:to|in|into) {PHRASE}",
        rf"{_WE}(?:'ve| have|ve|'m| am|m|'re| are)? {ADV}mov(?:ed|ing|e) (?:back )?in with (?:my|our|a|the|some) (?:[\w-]+ )?(?:and (?:my )?\w+ )?(?:(?:over|up|down|out) )?in {PHRASE}",
        rf"\bmy new (?:home|address|city|place|flat|house) is (?:now )?(?:in )?{PHRASE}",
        rf"\bmy (?:home|address) is now in {PHRASE}",
        rf"\b(?:we|i)(?:'ve| have)? (?:just )?(?:bought|got|found|rented|renting|taken)\b[^.!?]{{0,40}}\b(?:flat|house|wreck|place|cottage|bungalow|apartment|home)\b {_HERE} {PHRASE}",
        rf"\b(?:sold|left)\b[^.!?]{{0,60}}\b(?:bought|moved|for)\b[^.!?]{{0,30}}\b(?:flat|house|wreck|place|cottage|bungalow|apartment|home)\b {_HERE} {PHRASE}",
    ):
        yield StatementPattern("home", re.compile(one), form="place", update=True)
    yield StatementPattern("home", re.compile(rf"{AM}in (?P<v>[^\W\d_][\w'-]+) now\b"), update=True, form="name")


def _jobs() -> Iterator[StatementPattern]:
    job = rf"(?P<v>{OCCUPATION})\b(?! (?:of|person|fan|in (?:law|a|the (?:game|story))|friend|at heart|who)\b)(?!'s)"
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
        rf"^(?:\w+,? ){{0,2}}?(?:being|as|speaking as|coming from) (?:an? |the )?{job},?(?= )(?=.*\b(?:i|i'm|im|i've|my|we|me|our)\b)",
        rf"{not_other}\bas an? {job},? (?:i|i'm|im|i've|my|we)\b",
        rf"\b(?:i|i've|i'm|me)\b[^.!?]{{0,30}}\b(?:to be|became|become|job, as|do shifts as|get paid as|post as|role as|career as|living as|shifts as) (?:an? |the )?{job}",
        rf"\b(?:i|i've|i'm|i am)\b[^.!?]{{0,20}}\b(?:training|studying|qualifying|apprenticed) (?:to be|to become|as) an? {job}",
        rf"{AM}{ADV}(?:an? |the |only an? |actually an? )+{job}",
        rf"\bi(?:'ve| have|ve) {ADV}been an? {job}(?=.*\b(?:for|since|years|yrs|all my life|now)\b)",
        rf"\bi(?:'m| am)? [^.!?]{{0,20}}\band (?:i )?work {ADV}in (?!the\b|my\b|our\b|an?\b|peace\b){PHRASE}",
        rf"\b(?:we're|we are) {ADV}(?P<v>(?:[a-z-]+ )?(?:{OCCUPATION}))(?=\s*(?:[,.;!?]|$|and |so |not ))",
        r"\b(?:here i am|i am|i'm) (?P<v>(?:secretary|treasurer|chair|head|manager|captain) of [^,;:.!?()\n]+)",
        rf"{AM}{ADV}(?:not long |newly )?(?P<v>retired(?: (?!and\b|now\b|so\b|but\b|since\b|these\b)(?:from )?[^,;:.!?()\n]{{2,40}})?)",
        r"\bi(?:'ve| have)? (?:just )?(?P<v>retired from [^,;:.!?()\n]{2,40})",
        rf"{_WE} {ADV}(?P<v>(?:teach|tutor|lecture in|lecture|coach|farm|keep the books|do the (?:books|accounts)|nurse on|dive for|sing with|fly for|sail with|sub-?edit|curate)\b(?! (?:my|him|her|them|myself|me|you|it|that|this|at home|in my spare)\b)(?: [^,;:.!?()\n]+)?)",
        rf"{_WE}(?: (?:both|still|now|also|co-))? (?P<v>(?:run|own|manage|head(?: up)?|co-own|look after) (?:an? |the |my own |our own |my |our |two |three |this )(?:[\w'-]+ ){{0,3}}?(?:{BUSINESSES})(?![\w-])[^,;:.!?()\n]{{0,20}})",
        rf"{_WE} {ADV}(?P<v>drive (?:an? |the |my )?(?:{VEHICLES})(?![\w'-])[^,;:.!?()\n]{{0,20}})",
        rf"{_WE} {ADV}(?P<v>{WORK_VERBS} [^,;:.!?()\n]{{2,40}}?),? (?:for a living|for a job|at work all day|for work|professionally|as a day job|all day long|all day)\b",
        rf"{_WE} {ADV}(?P<v>(?!(?:said|say|think|know|guess|do (?:this|that|it|for))\b)[a-z]+ [^,;:.!?()\n]{{2,40}}?) for a living\b",
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
    for one in (
        rf"\bi(?:'ve| have)? {ADV}(?:quit|left|retrained|switched|gave up)\b[^.!?]{{0,50}}\b(?:and|now|so)\b[^.!?]{{0,15}}\bi(?:'m| am)? (?:now )?(?P<v>(?:teach|drive|run|bake|cook|farm|sell|make|clean|paint|fix|write|manage) [^,;:.!?()\n]+)",
        rf"\b(?:and|but|so) i (?P<v>drive (?:an? |the )?(?:{VEHICLES})) (?:now|these days|instead)",
    ):
        yield StatementPattern("job", re.compile(one), update=True)
    verbs = (
        r"(?:do|run|write|drive|handle|manage|sell|build|make|fix|mend|clean|cook|bake|serve|stock|load|pack|paint|design|edit|answer|process|teach|coach|umpire|referee|groom|mind|install|fit|lay|weld|service|repair|test|code|"
        r"program|file|audit|inspect|guard|deliver|fly|dig|farm|milk|breed|grow|cater|tend|mix|film|produce|direct|sing|dance|translate|interpret|research|analyse|analyze|trade|recruit|train|counsel|nurse|care|treat|operate|"
        r"scrub in|stitch|sew|cut|style|tattoo|preach|patrol|restore|maintain|look after|keep|work|assess|review|collect|sort|sweep|wash|supervise|lead)"
    )
    org = rf"(?:an? |the |my |our |two |three )(?:[\w'-]+ ){{0,4}}?(?:{ORGANISATIONS})\b"
    for one in (
        rf"{_WE} {ADV}(?P<v>{verbs} [^,;:.!?()\n]{{2,40}}? (?:for|at|in) {org})(?<!home)",
        rf"{_WE} {ADV}(?P<v>(?:do|run|handle|manage|work) (?:{WORK_NOUNS})\b(?! as\b)(?:(?: (?:at|for|in) (?:an? |the )?)[^,;:.!?()&\n]{{2,30}})?)(?!-)",
        rf"\bi(?:'m| am)? {ADV}(?:now |currently |finally )+(?P<v>(?:doing|running|driving|teaching|selling|managing|making|building|fixing|cooking|baking|working|training|nursing|handling|writing) [^,;:.!?()\n]{{2,30}}? (?:at|for|in|with) {org})",
        rf"\bi(?:'m| am)? {ADV}(?:now |currently |finally )*(?P<v>(?:doing|handling|running) (?:{WORK_NOUNS})\b(?: (?:at|for|in) [^,;:.!?()\n]{{2,30}})?)",
        rf"{_WE} {ADV}(?P<v>(?:drive|fly|write|code|cook) for (?!(?:everything|unless|what|food|money|someone|my|myself|fun|the|a|an|hours|free|years|him|her|them|me|us|years|\w+ (?:hours|years|days|months|people))\b)[^\W\d_][\w'&-]+(?: [^\W\d_][\w'&-]+)?)",
        rf"\b(?:as |i'm |i am )(?:someone|somebody|the (?:guy|girl|one|woman|man|person|lad|bloke|idiot|poor soul|fella|lady)|one of the \w+) who (?P<v>{verbs}(?:s|es)? [^,;:.!?()\n]{{3,45}})",
    ):
        yield StatementPattern("job", re.compile(one), lone="who (?P<v>" not in one)
    for one in (
        rf"\bi(?:'m| am) no longer an? {job}",
        rf"\bi(?:'m| am) not an? {job} (?:any ?more|any longer)",
        rf"^(?:so )?no more (?P<v>{OCCUPATION}|[\w ]{{3,25}}?) for me\b(?=.*\bnow\b)",
        rf"\bi(?:'ve| have)? {ADV}(?:left|quit|packed in|given up|gave up) (?:the (?=(?:\w+ ){{0,2}}(?:{ORGANISATIONS})\b.*\b(?:now|job|instead|work)\b)|my job (?:at|in|as an?) )(?P<v>[\w ]{{3,30}}?)(?= (?:in|last|after|for|to|and|this|with) |\s*[,.;!?]|$)",
    ):
        yield StatementPattern("job", re.compile(one), -1, update=True)


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
    food = rf"(?:{FOODS})\b"
    for one in (
        rf"\b(?:i|we) {ADV}(?P<v>(?:do not|don't|dont|never|can't|cannot|cant|won't|no longer|am not allowed to|'m not allowed to|can't really) (?:really |actually )?(?:eat|have|do|touch|drink|digest|tolerate) {food})",
        rf"\b(?:i|we)(?:'m| am|'re| are|'ve| have)? {ADV}(?:been )?(?P<v>(?:off|cut(?:ting)? out|given up|giving up|avoiding|avoid|stopped eating|stopped drinking|quit) {food})",
        rf"(?:^|\b(?:so|and|but|there's) )(?P<v>no {food}) (?:for (?:me|us)\b|in (?:my|our) (?:house|kitchen)|please,? (?:i'm|religious|doctor))",
        rf"^(?P<v>(?:{FOODS})(?:'s| is| are|'re) (?:off the menu|off limits|out|not allowed|a no-go|a no|forbidden))\b(?=.*\b(?:for me|for us|i|i'm|my|we|our)\b)",
        rf"{AM}{ADV}(?P<v>type (?:1|2|one|two))\b",
        rf"\b(?P<v>(?:i|we) only eat {food})",
    ):
        yield StatementPattern("diet", re.compile(one), form="as is")
    us = r"(?=.*\b(?:i|me|my|we|us|our|i'm|i've)\b)"
    for one in (
        rf"^{us}(?:honestly |tbh |so |oh |and )*(?P<v>(?:{FOODS})) (?:wrecks me|and (?:i|me) (?:broke up|don't get on|don't agree|are (?:done|over|finished|not friends)|parted \w+)|(?:doesn't|does not|don't|never) (?:agree|sit well|get on|get along) with me|upsets? my|destroys? (?:me|my)|kills my stomach|"
        rf"repeats? on me|hates me|is the enemy|is off the table|makes? me (?:ill|sick|bloated))",
        rf"\b(?:i|we) (?P<v>(?:haven't|have not|havent|hadn't) (?:had|eaten|touched|cooked|bought) {food}(?: in the house)?)(?=.*\b(?:since|in|for)\b)",
        rf"\b(?:i was|i've been|i got|been|just|was) (?:\w+ )?diagnosed (?:with |as )(?P<v>(?:{DIETS}|diabetes|type (?:1|2|one|two)(?: diabetes)?|coeliac disease|celiac disease|ibs|crohn's))\b",
        r"\b(?:i have|i've got|with my|i've|because of my) (?P<v>(?:coeliac|celiac)(?: disease)?|(?:type (?:1|2|one|two) )?diabetes)\b",
        rf"\b(?:i'm|i am|been|i've been|im) {ADV}(?P<v>(?:sober from|clean of|off|weaned off|free of) {food})",
        r"(?:^|\b(?:i'm|im|i've been|as a|being) (?:an? )?)(?P<v>type (?:1|2|one|two)(?: diabetic)?)(?= (?:since|for|diabetic|these|here|and)\b|[,.])",
        r"\bi (?P<v>(?:count|watch|track) (?:every |my |all my )?(?:carbs?|calories|salt|macros|sugars?|sodium))\b",
        rf"\bi(?:'m| am|'ll be|'m going to be| will be) {ADV}(?P<v>fasting)\b(?=.*\b(?:ramadan|lent|as (?:ever|always|usual)|every)\b)",
        rf"\bramadan\b.*\bi(?:'m| am|'ll be| will be) {ADV}(?P<v>fasting)\b",
    ):
        yield StatementPattern("diet", re.compile(one), form="as is", lone=True)
    yield StatementPattern(
        "diet",
        re.compile(
            rf"\b(?:i|we)(?:'m| am|'re| are|'ve| have|ve)? {ADV}(?:gone |went |going |started |switched |been )?back (?:to|on)(?: eating| having)? (?P<v>(?:eating )?{food})"
        ),
        update=True,
        form="as is",
    )
    back = rf"\b(?:back to eating|back on the|eating|started eating) (?P<v>{food})(?: again| after)\b"
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
