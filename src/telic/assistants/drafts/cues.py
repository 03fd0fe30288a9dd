"""Cues of asking: what in a sentence, beside it and in its mail says that its reader is asked for something, or is not.

A cue is a speech act in words: a question and its kind, a wish, a reminder, a wait, an order; or what speaks against a
request: courtesy, advertising, a tale, somebody else's words, the sender's own answer. `telic.assistants.drafts.linear`
weighs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from telic.assistants.drafts.plain_requests import is_courtesy, is_plain_request

__all__ = ["clause_cues", "mail_cues"]

VERBS = (
    "acknowledge|add|advise|answer|approve|arrange|assign|authori[sz]e|bring|call|cancel|change|check|choose|clarify|collect|come|complete|"
    "confirm|consider|coordinate|copy|correct|decide|deliver|do|drop|e-?mail|ensure|escalate|explain|fetch|fill|finali[sz]e|find|fix|forward|"
    "get|give|grab|have|help|hold|identify|inform|investigate|join|keep|leave|lend|list|look|mail|make|meet|message|move|notify|outline|pack|pass|"
    "pay|phone|pick|ping|point|pop|prepare|prep|print|prioriti[sz]e|proofread|provide|put|read|remind|remit|remove|renew|reply|report|rerun|"
    "resend|respond|return|revert|review|ring|rsvp|save|scan|schedule|send|set|share|ship|shout|sign|sort|specify|speak|spare|stop|submit|"
    "summari[sz]e|swap|switch|sync|take|talk|tell|text|throw|triage|try|turn|update|upload|use|validate|verify|wait|weigh|whatsapp|write"
)
_TRADE = (
    "shop|click|discover|explore|enjoy|unsubscribe|browse|download|visit|follow|upgrade|subscribe|register|claim|redeem|learn more|read more|"
    "see more|find out|sign up|log ?in|join (?:us|now|thousands|over|\\d)|track|manage|save up|don['’]t miss|hurry|tap|watch|treat yourself|"
    "start your|get (?:yours|started|ready|\\d)|book (?:now|your|a)|view|order now|buy|swipe|scroll"
)
LONGEST = 600
"""Characters of a clause that are read."""
_START = r"^\W*"
_LEAD = re.compile(
    r"\W*(?:(?:(?:hi|hello|hey|hiya|dear|morning|good (?:morning|afternoon|evening|day)|gd \w+)\b[^,.!?\n]{0,25}[,!:–—-]+\s*)|"
    r"(?:and|but|so|also|oh|ok(?:ay)?|well|then|hey|btw|ps|p\.s\.|just|now|anyway|in the meantime|meanwhile|lastly|finally|first|second|otherwise|right|sorry|"
    r"quick(?:ly)?|either way|if so|failing that|that said|in that case|one more thing|also)\b[\s,:–—-]*|[\w.'’-]+(?: [\w.'’-]+)?,\s+){0,4}",
    re.IGNORECASE,
)
"""What stands before the words of a clause: a greeting, a name, a connective."""

_CUES: dict[str, str] = {
    # questions and their kinds
    "question": r"\?[\s\"'”’)*_:;😊🙂😉🙏]*$",
    "question inside": r"\?\s*\S",
    "opens with an auxiliary": _START + r"(?:can|could|would|will|do|does|did|have|has|are|is|was|were|may|shall|should|am|any|mind|ready|fancy|wanna|up for|ok if|okay if|cool if)\b",
    "opens with a question word": _START + r"(?:what|when|which|who|whom|whose|where|how|why|wot|wat)\b",
    "asks you to or whether": r"\b(?:can|could|would|will|cd|wd|wld|cld|may|might) (?:you|u|ya|y['’]all|one of you|someone|somebody|anyone|your \w+)\b",
    "asks about you": r"\b(?:do|did|have|are|were|had|should|r) (?:you|u|ya|y['’]all|your)\b",
    "asks about us": r"\b(?:can|could|shall|should|may|might|do|are|did|would|will) (?:we|i|us)\b",
    "would it": r"\b(?:would|will|does|is|was|could) (?:it|that|this|there|mon|tues|wednes|thurs|fri|satur|sun|next|the|\d)\w*\b",
    "any": r"\bany (?:chance|luck|joy|news|updates?|ideas?|idea|thoughts?|word|way|possibility|progress|preference|objections?|views?|takers|plans|interest|room|advice|tips|suggestions|feedback|clue|concerns about|spare)\b",
    "alternative": r"\b\w+,? or (?:\w+\W+){0,7}?\w*\?|\b(?:either|whichever|prefer|preference|rather)\b",
    "short question": r"^\W*(?:\S+\s+){0,4}\S*\?\W*$",
    "tag": r",\s*(?:right|yes|no|ok|okay|yeah|eh|innit|correct|(?:is|are|was|do|did|does|have|has|can|could|will|would|should)(?:n['’]?t)? (?:it|you|he|she|they|we|i))\s*\?",
    "with or for you": r"\b(?:suits?|works?|ok|okay|fine|good|convenient|possible|alright|acceptable|easier|best|cool) (?:for|with|by) (?:you|u)\b|\bsuits? (?:you|u)\b|\bsound (?:ok|good|right|fair|fine)\b",
    # orders and wishes
    "please": r"\b(?:please|pls|plz|plse|kindly|be so kind|if you would|pretty please|do the needful)\b",
    "please and a verb": rf"\b(?:please|pls|plz|kindly)(?:,? (?:also|kindly|do|can you|could you|just))*,? (?:don['’]t )?(?:{VERBS})\b|\b(?:{VERBS})\b[^.!?\n]{{0,60}},? (?:please|pls|plz)\b",
    "opens with a verb": rf"{_START}(?:please |pls |plz |kindly |do |quickly |maybe |perhaps |simply )?(?:{VERBS})\b(?! (?:you|is|was)\b)",
    "opens with do not forget": rf"{_START}(?:please )?(?:do not|don['’]?t|never) (?:forget|be late|worry about|lose|leave|hesitate to (?:tell|call))\b|\b(?:remember|be sure|make sure|see that you|try)(?: to\b| that\b| and\b| you\b)",
    "need": r"\b(?:i|we|they|he|she|finance|hr|legal|the \w+)(?:['’]d| would| do| will| really| still| also| urgently| just|['’]ll)* (?:need|require|want|lack|could do with|could use|am missing|are missing|am after|are after|am short|are short|haven['’]t got|don['’]t have|do not have)\b|^\W*(?:still |just |also )?(?:need|missing|require[sd]?|wanted)\b",
    "need from you": r"\bneed(?:s|ed)? (?:you|your|u|ur|from you|to know|to hear|an answer|a decision|it|them|those|the|that|this)\b|\b(?:from|off) (?:you|u|your (?:side|end|team))\b|\byour (?:reply|response|answer|confirmation|approval|sign-?off|signature|input|feedback|thoughts|view|opinion|advice|decision|ok|okay|blessing|steer|permission|verdict|comments|consent|address|number|availability|help)\b",
    "would like": r"\b(?:i|we)(?:['’]d| would|['’]ll)? (?:really |also |very much )?(?:like|love|appreciate|welcome|value|be (?:so |very |really |most |ever so |extremely )?(?:grateful|glad|keen|happy|thankful|obliged|pleased|delighted|curious))\b",
    "would be good": r"\b(?:would|['’]d|might|could) (?:really |also |just )?(?:be|help|mean|suit) (?:\w+ ){0,2}(?:great|good|nice|lovely|ace|helpful|handy|useful|brilliant|wonderful|ideal|perfect|awesome|amazing|appreciated|a (?:big |great |huge )?help|the world|if|to (?:have|get|know|see|hear))\b|\b(?:much|greatly|really|highly) appreciated\b",
    "hoping": r"\b(?:hoping|wondering|hoped|wondered|wonder|curious|keen|trying to (?:work out|figure out|find out)|not (?:sure|clear|certain)|unsure|unclear|no idea|can['’]?t (?:work out|find|tell)|looking for|love to know|like to know|dying to know|interested to)\b",
    "hoping of you": r"\b(?:hoping|wondering|hoped|wondered|wonder|curious)\b[^.!?\n]{0,30}\b(?:you|u|if|whether|to|we|your|when|what|how|who|which)\b",
    "grateful": r"\b(?:grateful|appreciate|appreciated|obliged|owe you|thank you in advance|thanks in advance|thx in advance|tia)\b",
    "waiting": r"\b(?:await(?:ing)?|waiting (?:for|on|to)|(?:have|has|['’]ve)(?:n['’]t| not| yet to| still not| never)(?: yet| actually| really)? (?:heard|received|seen|had|got|been sent|hear|receive)|still (?:missing|need|waiting|no|outstanding|pending|owe|don['’]t|haven['’]t|nothing)|outstanding|overdue|pending|hanging on|in limbo|radio silence|crickets|held up|stuck (?:until|till|without)|blocked|can['’]?t (?:start|proceed|move|go ahead|finish|order|book|close)|looking forward to (?:your|hearing|a reply|a response|receiving))\b",
    "nudging": r"\b(?:nudge|nudging|chasing|chase|follow(?:ing)?[- ]up|bump(?:ing)?|circl(?:e|ing) back|check(?:ing)? in|reminder|reminding|prod|poke|touching base|just checking|ping(?:ing)?|second time|third time|asking again|last (?:mail|email|message))\b",
    "let me know": r"\b(?:let (?:me|us) know|lmk|lemme know|give (?:me|us) a (?:shout|ring|call|bell|buzz|heads|steer|hand|ding)|drop (?:me|us|by)|shout\b|get back to (?:me|us)|(?:tell|ring|call|text|phone|ping|message|email|whatsapp) (?:me|us)|say (?:the word|yes|so|if|when)|holler|speak up|come back to (?:me|us)|revert|rsvp|write back|reply|respond|send word|confirm|advise|yes or no|y/n|shoot me|put me|hit me up|hmu)\b",
    "if you": r"\b(?:if|unless|in case|whenever|when) (?:you|u|ya|your|anyone|somebody|someone)\b|\bif (?:possible|poss|not|so|only)\b",
    "when you can": r"\b(?:when|whenever|once|as soon as|if) (?:you|u) (?:can|get|have|find|are|could|land|feel)\b|\b(?:got|have|get|spare|find) (?:a|five|ten|two|\d+) (?:sec\w*|min\w*|moment|chance|tick)\b|\b(?:asap|at your (?:earliest )?convenience|soonest|no rush|no hurry|in your own time|when convenient|urgent(?:ly)?|by return|at the latest|time permitting)\b",
    "you must": r"\b(?:you|u) (?:(?:will |just |also |still |really |both )*(?:must|need to|have to|should|ought|are (?:to|required|due|expected|supposed)|got to|gotta|owe|better)|['’]d better)\b|\b(?:is|are) (?:mandatory|required|due|compulsory)\b",
    "you promised": r"\b(?:you|u)(?:['’]d| had| have|['’]ve)? (?:promised|said|mentioned|offered|were going to|agreed|told|took|owe)\b",
    "your turn": r"\b(?:up to you|your (?:call|turn|move|choice|decision|pick|shout)|over to you|in your (?:court|hands)|what say you|what do you (?:think|reckon|say|make)|thoughts\b|opinions\b|ideas\b|you (?:tell|choose|pick|decide)|depends on you|the floor is yours|waiting on you|come (?:and|along|over|round)|are you (?:in|free|game|around|up))",
    "propose": r"\b(?:how about|what about|why don['’]t (?:we|you)|shall we|should we|let['’]?s|suggest|propose|perhaps we (?:could|can)|maybe we (?:could|can)|we (?:could|should|might)|fancy|want to|wanna|care to|up for|in for|thinking of|was thinking)\b",
    "favour": r"\b(?:favou?r|pick your brain|(?:bend|have) your ear|a hand|help me|help us|do me|quick (?:one|question|q)|one (?:thing|question|more)|question for you|cheeky|big ask|small ask|be a (?:star|love|dear|pal|legend|sport)|spare)\b",
    "volunteers": r"\b(?:volunteers?|anyone|anybody|someone|somebody|who can|who wants|who['’]s (?:in|up|free|bringing)|any takers|one of you)\b",
    "offers": r"\b(?:i|we) (?:can|could|would|will) (?:also )?(?:do|make|offer|meet|come|call|pop|swing)\b.{0,40}\b(?:if|or|whichever|otherwise|instead)\b",
    "a deadline bites": r"\b(?:or|otherwise|else|unless|until|till|before|without it)\b.{0,60}\b(?:lapses?|close[sd]?|listed|cut|rolls?|release[sd]?|print|press|locks?|hold|shuts?|cancelled|late|give (?:it|them) away)\b|\b(?:portals?|printer|cards?|board|sheet|list|page|panel|nominations?|finance|coach firm|solicitor|legal|kitchen|landlord|office|caterer|embassy|they|we) (?:closes?|shuts?|locks?|wants?|needs?|goes|sits|meets?|would rather|release)\b",
    "something is lacking": r"\b(?:short (?:of|one|two|three)|shy of|missing|blank|empty|unsigned|unpaid|outstanding|open at|still sitting|still (?:blank|open|out)|left blank|no one|nobody (?:seems|has)|have not (?:replied|answered)|not (?:paid|signed|got)|lacks?|locked out|can['’]t (?:get in|do it|put|merge)|not comfortable)\b",
    "whoever": r"\b(?:whoever|you know who you are|somebody|anybody|someone|anyone|the rest of you|those of you|if it['’]s yours|if yours|one of you|y['’]all|all of you)\b",
    "speak up": r"\b(?:speak (?:now|up)|holler|votes?\b|yes or no|yay or nay|say (?:yes|no)|hands up|show of hands|choose|pick (?:one|a)|shoot|true\?|deal\?|thoughts|ideas on)\b",
    "thing to give back": r"\b(?:my|our) (?:\w+ ){0,2}(?:deposit|money|keys?|ladder|book|drill|charger|stand|pan|dish|bike|\$\S+)\b|\b(?:you(?:['’]ve)? (?:still )?(?:got|have) my|back (?:in the|to me|at mine|please))\b",
    "times to choose": r"\b(?:\d{1,2}[:.]\d\d|mon|tue|wed|thu|fri|sat|sun|morning|afternoon)\w*(?: \S+)? or (?:mon|tue|wed|thu|fri|sat|sun|\d|the|after)|\bgot (?:room|space|a slot|mon|tue|wed|thu|fri)\w*",
    "something in return": r"\b(?:(?:i['’]d|i['’]ll|i will|let me) (?:buy|owe|take your|make you|pay|bring|even)|on me\b|i owe you|half an hour|of your (?:time|wisdom)|in return)\b",
    "thought of you": r"\b(?:thought of you|your name (?:on|was|came)|you(?:['’]d| would) (?:be (?:ideal|perfect|great)|know)|you(?:['’]re| are) the (?:one|only|person|expert|geographer)|put you down|you own|you used to|you had)\b",
    # against
    "acted tale": r"\b(?:goes|went|was like|i['’]m like|he['’]s like|says to me|tells me)\b,? *[\"“'‘]|\b(?:anyway|turns out|spoiler|lol so|long story|would you know)\b",
    "settled": r"\b(?:all (?:good|set|sorted|done)|done and dusted|sorted|resolved|fixed|closed|confirms?|confirmed|received|in the end|off the hook|handled|as (?:agreed|promised|you (?:said|wished))|got (?:it|them|em)\b|found (?:it|the)|already|accepted|posted|went fine|has been)\b",
    "well wishing": r"\b(?:have a (?:good|great|lovely|nice|restful|healthy)|enjoy|good luck|break a leg|take care|see (?:you|everybody|everyone)|miss you|proud of you|get some sleep|love,|stay (?:dry|safe|warm)|happy \w+)\b",
    "asks oneself": r"\b(?:i (?:keep )?ask(?:ing|ed)? myself|in it i ask|we ask(?:ed)? ourselves|the question (?:is|nobody)|answer the question)\b",
    "courtesy": r"\b(?:let (?:me|us) know|contact|call|reach out|get in touch|(?:feel free|don['’]t hesitate|do not hesitate) to)\b.{0,25}\b(?:any (?:other |further )?(?:questions?|issues?|problems?|concerns?|queries)|anything (?:else|i can|comes up|changes|further)|questions|need any|further (?:info|help|assistance))\b|\bif (?:you(?:['’]ve)? (?:have|need|got) (?:any|questions|anything|further|more)|there(?:['’]s| is| are) any|anything)\b|\bany (?:questions|queries|problems),? (?:just|please|contact|call|ask|you know|give|drop)\b",
    "how are you": r"\b(?:how (?:are|r) (?:you|u|things|ya)|how(?:['’]s| is) (?:it going|everything|life|things|the family|work|your (?:day|week))|how have you been|how(?:['’]s| is) tricks|hope (?:you|u|this|all|your|that|everything|the)|you (?:well|alright|ok)\?|trust (?:you|this)|all (?:well|good) (?:with|here|on|your))\b",
    "no need": r"\b(?:no (?:need|action|reply|response|rsvp|answer)(?: is| to| for| at)?(?: needed| required| necessary)?|(?:don['’]t|do not|dont) (?:have to|need to|worry|bother|reply|respond|rush)|not (?:asking|urgent)|nothing (?:to do|for you|needed|required|further)|needn['’]t|ignore|disregard|nvm|never ?mind|all sorted|already (?:sorted|done|fixed|dealt)|for your (?:information|records|visibility)|fyi|f\.y\.i|just (?:so you know|letting you know|to let you know|wanted to (?:say|share|tell|let|pass|thank)|an? (?:fyi|update)|sharing|thinking|passing)|heads[- ]?up|keep you posted|thinking (?:out loud|aloud))\b",
    "sender promises": r"\b(?:i|we)(?:['’]ll| will|['’]m going to| am going to| are going to|['’]re going to| shall| promise|['’]ve already)\b",
    "sender did": r"\b(?:i|we) (?:have |['’]ve |just |already |finally )*(?:sent|went|did|got|had|made|saw|found|booked|paid|told|asked|fixed|finished|uploaded|moved|bought|took|met|spoke|called|loved|said|thought|decided|signed|put|came|left|enjoyed|missed)\b",
    "thanks": r"\b(?:thanks?|thank you|thx|cheers|ta|congrat\w*|well done|good luck|happy birthday|welcome|glad|sorry|apolog\w+)\b",
    "told by others": r"\b(?:he|she|they|who|kim|mum|dad|boss|teacher|client|customer|someone|everyone|people|nobody) (?:just |then |also |kept |keeps |always )?(?:asked|asks|asking|said|says|wonder\w*|wanted|told|goes|was like|replied|wrote|shouted|yelled)\b|\b(?:asked|said|told|wondering|ask|asks) (?:me|him|her|us|them|himself|herself|myself)\b|\bi (?:asked|said|told|was like|thought|go|went)\b",
    "quotes": r"[\"“”«»].{3,}[\"“”«»]|(?:^|\s)['‘].{6,}['’](?:\s|$|[.,!?])",
    "third person": r"\b(?:he|she|they|him|her|them)\b",
    "advertising": rf"{_START}(?:{_TRADE})\b|\b(?:\d+ ?% off|unsubscribe|free (?:shipping|delivery|trial|gift|entry)|limited[- ]time|while stocks last|offers?|deals?|sale|discount|subscri\w+|newsletter|our (?:blog|site|website|app|store|shop|range|team|latest)|exclusive|click|tap|log ?in|terms apply|in your browser|this (?:e-?mail|message) (?:was|is)|you(?:['’]re| are) receiving|members?|customers?)\b",
    "sells by questions": r"^\W*(?:tired of|looking for|ready (?:to|for)|want (?:to|more)|need (?:a|some|help with)|dreaming|struggling|bored|hungry|thinking (?:about|of)|did you know|have you (?:ever|heard|tried|noticed)|ever (?:wondered|thought|wished|tried)|know (?:someone|anyone)|questions|why (?:not|wait|choose)|what (?:are you waiting|if you))\b",
    "automatic": r"\b(?:automatic\w*|automated|system|do[- ]not[- ]reply|no-?reply|your (?:order|parcel|package|booking|account|statement|subscription|payment|password|receipt|delivery|appointment|ticket|refund|reservation|invoice)|reference(?: number)?|ref\b|transaction|has been|have been|(?:is|are) now|scheduled maintenance|out of office|notification|alert)\b",
    "rhetorical": r"\b(?:who (?:wouldn|doesn|knew|needs|would have|['’]?d have|says|cares|am i)|isn['’]t (?:it|that|she|he|life)|wasn['’]t (?:it|that)|aren['’]t (?:they|we)|can you (?:believe|imagine)|could you (?:believe|imagine)|would you believe|guess (?:what|who)|you know what|remember (?:when|that|how)|how (?:cool|great|lovely|nice|funny|weird|crazy|sweet|hard|mad|good) (?:is|was|are|would|could)|why (?:is it|do (?:we|people|i|they|these|all)|does (?:it|nobody|everyone|every)|are (?:we|people))|what (?:a|an|could possibly|was i|were they|are the odds|['’]s not|can i say|did i|is it (?:with|about)|else is new|could go wrong)|what(?:['’]s| is) (?:the world|wrong with|not to)|where (?:did|does) (?:the )?(?:time|year|summer|day)|do i look|am i (?:the only|getting|right|losing)|is there anything (?:better|worse|more)|how (?:on earth|did (?:we|i|they|it|that)|do (?:they|people|i)|could (?:i|they|anyone)|hard can)|does it get|when did (?:we|i|that|it)|did i (?:mention|tell|say)|have i)\b",
    "the question": r"\b(?:the question|questions|question (?:is|was|of)|asked (?:whether|if|why|how|what)|whether|wonder why|people (?:ask|keep asking)|they asked|q:|a:)\b",
    "past": r"\b(?:yesterday|last (?:night|week|month|year|weekend)|ago|was|were|had|went|turned out|ended up|back then|used to|when i was)\b",
    "signing": r"^\W*(?:(?:many |kind |best |warm |warmest |kindest )?(?:thanks|regards|wishes)|best|cheers|sincerely|yours\b.*|love|xx?x?|ta|br|rgds|take care|all the best|thank you|thx)\W*(?:\w+\W*){0,3}$",
    "greeting": r"^\W*(?:hi|hello|hey|hiya|dear|good (?:morning|afternoon|evening|day)|morning|evening|greetings|yo)\b[^.?!\n]{0,30}[,!.:–-]*\W*$",
    "you": r"\b(?:you|u|ya|your|ur|yours|y['’]all)\b",
    "i or we": r"\b(?:i|we|me|us|my|our|i['’]\w+|we['’]\w+)\b",
    "exclamation": r"!",
    "link": r"https?://|www\.|\.(?:com|org|example)\b",
    "smile": r"[:;]-?[)D(P]|[😀-🙏🤞🤷🤣]",
    "until": r"\b(?:by|before|until|till|no later than|latest|deadline|due|within)\b",
    "time": r"\b(?:today|tonight|tomorrow|tmrw|tmw|eod|cob|(?:mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|tues|wed|thu|thurs|fri|sat|sun|next week|this week|weekend|noon|o['’]clock|\d{1,2} ?(?:am|pm)|\d{1,2}:\d\d|the \d{1,2}(?:st|nd|rd|th))\b",
}  # fmt: skip
CUES = {name: re.compile(pattern, re.IGNORECASE) for name, pattern in _CUES.items()}

_ANSWERS = re.compile(
    r"^\W*(?:yes|yep|yeah|no\b(?! worries| rush| pressure| hurry| problem)|nope|nah|none|never|nobody|me(?: neither| too)?\b\W*$|because|cos|cause|simple|easy|turns out|apparently|well|the answer|it turns|"
    r"not (?:me|us|any more|at all|really)|exactly|probably|maybe|i (?:think|guess|suppose|know|don['’]t know|have no)|it(?:['’]s| is| was)|that(?:['’]s| is) (?:what|why|how|because)|they|here(?:['’]s| is)|we (?:did|do|have|are))\b",
    re.IGNORECASE,
)
_MAIL: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "mail is calm": r"\b(?:no (?:reply|response|answer|action|rsvp|need to (?:reply|respond|answer|write|do|come back))|(?:don['’]t|do not|needn['’]t) (?:need to |have to |bother to )?(?:reply|respond|answer|write back)|nothing (?:for you|to do|needed|required)|for (?:your )?(?:information|visibility|records)|fyi|just (?:wanted to (?:say|share|tell|let)|letting you know|sharing|so you know|to let you know)|thinking (?:out loud|aloud))\b",
        "mail sells": r"\b(?:unsubscribe|\d+ ?% off|shop now|free (?:shipping|delivery)|view (?:this|it)? ?in (?:your |a )?browser|subscri\w+|newsletter|don['’]t miss|limited[- ]time|click here|terms (?:apply|and conditions)|our (?:new|latest|biggest)|manage (?:your )?preferences|book now|early bird)\b",
        "mail is automatic": r"\b(?:automat\w+|do[- ]not[- ]reply|no-?reply|this (?:is an|mailbox)|your (?:order|parcel|package|statement|password|booking|subscription|payment|appointment)\b.{0,40}\b(?:is|was|has|will)|tracking|reference|out of (?:the )?office|on leave)\b",
        "mail forwards": r"\b(?:fwd?|forward(?:ed|ing)?|from:|wrote:|original message|passing (?:this )?(?:on|along)|cc['’]?d|in copy)\b",
        "mail speaks of itself": r"\b(?:i|we|me|us|my|our|i['’]\w+|we['’]\w+)\b",
        "mail speaks of you": r"\b(?:you|u|your|ur)\b",
    }.items()
}  # fmt: skip


_SUBJECT = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "subject answers": r"^\s*(?:re|aw|sv)\b\s*:",
        "subject forwards": r"^\s*(?:fwd?|wg)\b\s*:",
        "subject asks": r"\?|\b(?:question|query|quer|favou?r|request|help|need(?:ed)?|reminder|quick|urgent|availab|quote|invitation|rsvp|dates?|numbers|when|who|action|overdue|chas)",
        "subject tells": r"\b(?:thank|congrat|update|news|newsletter|confirm|confirmation|order|delivery|receipt|payment|statement|alert|notice|maintenance|out of office|automatic|minutes|fyi|sorted|fixed|results?|done|welcome|reminder|appointment)",
    }.items()
}  # fmt: skip


def mail_cues(text: str, subject: str = "") -> list[str]:
    """Return the names of the cues that hold for a whole mail."""
    whole = f"{subject}\n{text}"
    found = [name for name, pattern in _MAIL.items() if pattern.search(whole)]
    found += [name for name, pattern in _SUBJECT.items() if pattern.search(subject)]
    questions, marks = text.count("?"), len(re.findall(r"(?<![.!?\n])[.!?\n]+(?:\s|$)", text))
    if questions:
        found.append("mail has one question" if questions == 1 else "mail has several questions")
    found += [f"mail has {name}" for name, least in (("four sentences", 4), ("eight sentences", 8)) if marks >= least]
    return found


def clause_cues(clauses: Sequence[str], index: int, of_mail: Sequence[str]) -> dict[str, float]:
    """Return the cues of a clause, each with its strength (1 unless it is a measure).

    Args:
        clauses: the sentences and items of the mail, in order.
        index: the place of the clause that is judged.
        of_mail: what `mail_cues` found.
    """
    clause = clauses[index][:LONGEST]
    core = clause[_LEAD.match(clause).end() :] or clause  # type: ignore[union-attr]
    here = [name for name, pattern in CUES.items() if pattern.search(core if name.startswith("opens") else clause)]
    if is_plain_request(clause):
        here.append("a plain request")
    elif is_courtesy(clause):
        here.append("a set phrase")
    found = dict.fromkeys(here, 1.0)
    found |= dict.fromkeys(of_mail, 1.0)
    question = "question" in found
    for name in here:
        if question and name != "question":
            found[f"question, {name}"] = 1.0
    if "question" not in found and "you" in found:
        found |= {f"you, {name}": 1.0 for name in here if name in _WITH_YOU}
    found |= dict.fromkeys(_beside(clauses, index, question), 1.0)
    words = len(clause.split())
    found["words"] = min(words, 40) / 20
    found["one or two words"] = float(words <= 2)
    return {name: value for name, value in found.items() if value}


_NEIGHBOUR = (
    "you",
    "i or we",
    "third person",
    "greeting",
    "signing",
    "please",
    "advertising",
    "past",
    "time",
    "question",
    "need",
    "automatic",
)
"""Cues of the next clause that say how this one is meant."""
_WITH_YOU = frozenset(
    {"hoping", "would like", "would be good", "need", "if you", "waiting", "time", "until", "past", "sender promises"}
)


def _beside(clauses: Sequence[str], index: int, question: bool) -> Iterator[str]:
    if index + 1 < len(clauses):
        following = clauses[index + 1][:LONGEST]
        mark = "question, then" if question else "then"
        yield from (f"{mark}: {name}" for name in _NEIGHBOUR if CUES[name].search(following))
        if question and _ANSWERS.search(following) and not following.rstrip().endswith("?"):
            yield "its sender answers it"
        if following.rstrip().endswith("?"):
            yield "a question follows"
        if CUES["let me know"].search(following):
            yield "let me know follows"
    else:
        yield "last"
    if index:
        before = clauses[index - 1][:LONGEST]
        if before.rstrip().endswith("?"):
            yield "after a question"
        if CUES["told by others"].search(before) or CUES["quotes"].search(before):
            yield "after a tale"
        if CUES["advertising"].search(before):
            yield "after advertising"
    else:
        yield "first"
