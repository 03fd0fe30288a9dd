"""What the users of made-up long dialogues say: three sets of sentences, by different voices.

The extractors were changed after looks at `tune` and `second` only; `report` is what figures are made on. `{v}` is the value.
"""

from __future__ import annotations

__all__ = [
    "CONTEXTS",
    "FILLERS",
    "LURES",
    "ONE_OFFS",
    "OPINIONS",
    "QUESTIONS",
    "REPLIES",
    "STATED",
    "UPDATED",
    "VALUES",
]

VALUES: dict[str, list[str]] = {
    "home": ["Leeds", "Porto", "Utrecht", "Graz", "Bergen", "Turin", "Ghent", "Lyon", "Aarhus", "Malaga", "Tampere"],
    "job": ["nurse", "carpenter", "translator", "geologist", "bus driver", "pastry chef", "tax adviser", "violinist"],
    "diet": ["vegetarian", "vegan", "pescatarian", "gluten-free", "halal", "kosher", "lactose-free"],
    "allergy": ["peanuts", "shellfish", "penicillin", "walnuts", "sesame", "kiwi", "latex", "strawberries"],
    "pet": ["Biscuit", "Pepper", "Luna", "Oskar", "Waffles", "Mochi", "Ziggy", "Figaro"],
    "budget": ["800 euros", "1200 euros", "450 pounds", "2000 dollars", "600 euros", "950 pounds"],
    "like": ["oolong tea", "jazz", "window seats", "spicy food", "long walks", "old trains", "crossword puzzles",
             "black coffee", "quiet hotels", "detective novels", "rye bread", "chamber music", "mountain huts"],
    "dislike": ["coriander", "crowded beaches", "early flights", "loud restaurants", "cruise ships", "blue cheese",
                "night buses", "karaoke", "shared rooms", "boiled eggs", "musicals"],
}  # fmt: skip

STATED: dict[str, dict[str, list[str]]] = {
    "tune": {
        "home": [
            "I live in {v}, by the way.",
            "Just so you know, home for me is {v}.",
            "based in {v} here, if that matters",
            "We are talking about {v}, which is where I live.",
        ],
        "job": [
            "I work as a {v}.",
            "I'm a {v} by trade, so my hours are odd.",
            "My job is {v}.",
            "I earn my living as a {v}.",
        ],
        "diet": [
            "I'm {v}, please keep that in mind.",
            "I only eat {v} food.",
            "I have been {v} for years.",
            "My diet is {v}.",
        ],
        "allergy": [
            "I'm allergic to {v}.",
            "I have an allergy to {v}, so be careful.",
            "allergic to {v} btw",
            "My doctor found that I am allergic to {v}.",
        ],
        "pet": [
            "My dog is called {v}.",
            "I have a dog named {v}.",
            "My dog's name is {v}.",
            "{v} is my dog, and he goes where I go.",
        ],
        "budget": [
            "My budget is {v}.",
            "I can spend {v} at most.",
            "I don't want to spend more than {v}.",
            "budget: {v}",
        ],
        "like": [
            "I really like {v}.",
            "I love {v}.",
            "I've always been fond of {v}.",
            "Give me {v} any day.",
            "i prefer {v} tbh",
        ],
        "dislike": [
            "I can't stand {v}.",
            "I don't like {v}.",
            "I hate {v}.",
            "{v} is not for me.",
            "I'd rather avoid {v}.",
        ],
    },
    "second": {
        "home": [
            "My home is in {v}, so count from there.",
            "I'm living in {v} these days.",
            "I reside in {v}, should you need it for the form.",
            "oh and i'm in {v}, thats home",
            "I have a flat in {v}, that is where you will find me most of the year.",
        ],
        "job": [
            "I am employed as a {v}.",
            "Being a {v}, I get up early.",
            "For a living I am a {v}.",
            "I make my money as a {v}, believe it or not.",
            "i work full time as a {v}",
        ],
        "diet": [
            "I eat {v}, so no surprises please.",
            "I am strictly {v}.",
            "Please note that I am {v}.",
            "im {v} so that rules out a lot",
            "I follow a {v} diet on my doctor's advice.",
        ],
        "allergy": [
            "Watch out, I react badly to {v}.",
            "I must not have {v}: I am allergic.",
            "I am severely allergic to {v}.",
            "i've got a {v} allergy",
            "Please remember that I'm allergic to {v}.",
        ],
        "pet": [
            "Our dog answers to the name of {v}, and I take him along.",
            "I will bring my dog {v}.",
            "My dog is named {v}.",
            "my dogs called {v} lol",
            "I own a dog by the name of {v}.",
        ],
        "budget": [
            "I have {v} to spend.",
            "It must not cost me more than {v}.",
            "My budget would be {v}.",
            "max {v} for me",
            "I have set myself a budget of {v}.",
        ],
        "like": [
            "I'm a big fan of {v}.",
            "I enjoy {v} very much.",
            "Nothing beats {v}, if you ask me.",
            "im really into {v}",
            "I have a soft spot for {v}.",
        ],
        "dislike": [
            "I'm not a fan of {v}.",
            "I do not care for {v}.",
            "I detest {v}.",
            "honestly i cant stand {v}",
            "Please spare me {v}, I have never liked that.",
        ],
    },
    "report": {
        "home": [
            "We have been living in {v} since I was small.",
            "I'm writing from {v}, my home town.",
            "I am at home in {v}.",
            "where i live? {v}.",
            "You should know that I stay in {v} all year round, my house is there.",
            "My place is in {v}.",
        ],
        "job": [
            "I do shifts as a {v}.",
            "I trained as a {v} and that is what I still do.",
            "As a {v} I am on my feet all day.",
            "im a {v}",
            "They pay me to be a {v}.",
            "I work full-time, I'm a {v}.",
        ],
        "diet": [
            "I keep to a {v} diet.",
            "I turned {v} when I was twenty.",
            "We cook {v} at home, I have to.",
            "only {v} stuff for me thx",
            "I am a strict {v} eater.",
            "As far as food goes, I am {v}.",
        ],
        "allergy": [
            "I'm afraid I am allergic to {v}, it is quite serious.",
            "{v} could kill me, I'm allergic.",
            "My allergy is {v}.",
            "cant have {v}, allergy",
            "I suffer from an allergy to {v}.",
            "I found out that I'm allergic to {v}.",
        ],
        "pet": [
            "I have a little dog called {v}.",
            "My dog {v} is barking again.",
            "We named our dog {v}.",
            "my dog's called {v}",
            "The dog I share my flat with is named {v}.",
            "Our dog is {v}.",
        ],
        "budget": [
            "I don't want to pay more than {v}.",
            "All in all I can afford {v}.",
            "The budget is {v}.",
            "not more than {v} pls",
            "{v} is all I have.",
            "I am working with a budget of {v}.",
        ],
        "like": [
            "I adore {v}.",
            "{v} always makes my day.",
            "I must say that I am very fond of {v}.",
            "love {v}!!",
            "I have loved {v} all my life.",
            "I could live on {v}.",
            "What I like is {v}.",
        ],
        "dislike": [
            "I never liked {v}.",
            "I have no time for {v}.",
            "I strongly dislike {v}.",
            "ugh i hate {v}",
            "I'd go a long way to avoid {v}.",
            "You will not see me anywhere near {v}.",
            "I don't really enjoy {v}.",
        ],
    },
}

UPDATED: dict[str, dict[str, list[str]]] = {
    "tune": {
        "home": ["I've moved to {v}.", "I live in {v} now.", "We relocated, my new home is {v}."],
        "job": ["I changed jobs, I'm a {v} now.", "I now work as a {v}."],
        "diet": ["I'm {v} now.", "Since last month I eat {v}."],
        "pet": ["I have a new dog, my dog is called {v} now.", "My new dog is named {v}."],
        "budget": ["My budget is {v} now.", "I've changed my mind, I can spend {v}."],
    },
    "second": {
        "home": ["I no longer live there, I have moved to {v}.", "New address: I'm living in {v} since the summer.", "I now reside in {v}."],
        "job": ["I have retrained and now work as a {v}.", "I switched careers: these days I'm a {v}."],
        "diet": ["I have switched to a {v} diet.", "These days I am {v}."],
        "pet": ["There is a new dog in my life: my dog is now called {v}.", "I got another dog after the old one died, and this one is named {v}."],
        "budget": ["Things changed, I have {v} to spend now.", "Let us say my budget is {v} instead."],
    },
    "report": {
        "home": ["We just moved house, I live in {v} now.", "I left and settled in {v}.", "I'm in {v} now, for good."],
        "job": ["I got a new job, as a {v}.", "I gave up my old job and became a {v}.", "I'm now working as a {v}."],
        "diet": ["My doctor has put me on a {v} diet.", "I've become {v}."],
        "pet": ["We have a new dog, called {v}.", "My dog died last year. The new one is called {v}."],
        "budget": ["I have to correct myself, I can spend {v}.", "Forget the old budget, it is {v} now.", "My budget has changed to {v}."],
    },
}  # fmt: skip

OPINIONS: dict[str, dict[str, list[str]]] = {
    "tune": {
        "to dislike": ["I don't like {v} any more.", "I've gone off {v}.", "I used to like {v}, but not any more."],
        "to like": ["Actually, I like {v} now.", "I've come to love {v}."],
        "bare dislike": ["I hate {v}.", "I don't like {v}."],
        "bare like": ["I love {v}.", "I like {v}."],
    },
    "second": {
        "to dislike": ["I have stopped liking {v}.", "I am tired of {v}, I no longer enjoy it.", "I don't care for {v} any longer."],
        "to like": ["I have changed my mind about {v}, I enjoy it now.", "I've grown fond of {v}."],
        "bare dislike": ["I detest {v}.", "I can't stand {v}."],
        "bare like": ["I enjoy {v} very much.", "I'm a big fan of {v}."],
    },
    "report": {
        "to dislike": ["I've stopped enjoying {v}.", "I'm over {v}.", "{v} is no longer my thing."],
        "to like": ["These days I quite like {v}.", "I was wrong about {v}, I love it.", "I have come to enjoy {v}."],
        "bare dislike": ["I hate {v}.", "I really can't bear {v}."],
        "bare like": ["I adore {v}.", "I like {v} a lot."],
    },
}  # fmt: skip
"""Changes of a liking. The bare ones contradict what was said before without a word that says so."""

ONE_OFFS: dict[str, list[str]] = {
    "tune": [
        "Just this once I'd like {v}.",
        "Today I want {v} for a change.",
        "For tonight, give me {v}.",
        "I'll take {v} this time.",
        "I'm in the mood for {v} right now.",
    ],
    "second": [
        "For once I would love {v}.",
        "Only for this trip I prefer {v}.",
        "this weekend i fancy {v}",
        "Could you get me {v} for tomorrow? I like the idea.",
        "On this occasion I'd enjoy {v}.",
    ],
    "report": [
        "I'd go for {v} tonight.",
        "Let us have {v} for a change.",
        "just for today i want {v}",
        "I think I'd enjoy {v} this weekend.",
        "For my birthday party I would like {v}.",
        "This one time I prefer {v}.",
    ],
}

LURES: dict[str, list[str]] = {
    "tune": [
        "My sister loves {v}.",
        "My colleague is a vegan, and he likes {v}.",
        'Tom said: "I love {v}".',
        "She told me that she prefers {v}.",
        "Do I like {v}? What do people say about it?",
        "If I liked {v}, what would you suggest?",
        "Everybody here seems to enjoy {v}.",
    ],
    "second": [
        "My father swears by {v}, I have no opinion.",
        "A friend of mine adores {v}.",
        'His message was "I am a big fan of {v}", so that is what he gets.',
        "My neighbour wrote: I enjoy {v} every day.",
        "Suppose I loved {v}, where would I go?",
        "Would I like {v}, do you think?",
        "The kids are into {v}.",
        "Anna, who lives in Oslo, can't get enough of {v}.",
    ],
    "report": [
        "My wife can't live without {v}.",
        'He says, "I like {v} best".',
        "I asked my brother and he likes {v}.",
        "The book begins: 'I love {v}, and always have.'",
        "Could it be that I like {v}?",
        "My grandmother, who is from Ghent, loves {v}.",
        "Write a story in which the hero says I love {v}.",
        "People like me are supposed to love {v}.",
    ],
}

CONTEXTS: dict[str, list[tuple[str, str]]] = {
    "tune": [
        ("When I travel for work, I prefer {v}.", "business travel for work"),
        ("On holidays with the kids I like {v}.", "a holiday with the kids"),
        ("In the morning I love {v}.", "the morning"),
    ],
    "second": [
        ("At work I enjoy {v}.", "a day at work"),
        ("Whenever I travel alone I prefer {v}.", "travel alone"),
        ("I like {v} when my parents visit.", "a visit of my parents"),
    ],
    "report": [
        ("When it rains I love {v}.", "a day when it rains"),
        ("For breakfast I prefer {v}.", "breakfast"),
        ("If I am with my team, I like {v}.", "an outing with my team"),
    ],
}
"""A preference in a context, and words of a question in that context."""

QUESTIONS: dict[str, dict[str, str]] = {
    "tune": {
        "home": "Which city do I live in?",
        "job": "What do I do for a living?",
        "diet": "What should you know about my diet?",
        "allergy": "What am I allergic to?",
        "pet": "What is my dog called?",
        "budget": "What is my budget?",
        "like": "What kind of things do I like?",
        "dislike": "What do I dislike?",
    },
    "second": {
        "home": "Plan something that starts from where I live.",
        "job": "What job do I have?",
        "diet": "Find me a restaurant that fits my diet.",
        "allergy": "Is there an allergy you should tell the cook about?",
        "pet": "Remind me of my dog's name.",
        "budget": "Find me something within my budget.",
        "like": "Suggest something I would like.",
        "dislike": "Is there something I don't like, which you should avoid?",
    },
    "report": {
        "home": "I need a dentist close to home.",
        "job": "Help me describe what I do at work.",
        "diet": "What can I eat there with my diet?",
        "allergy": "Which allergies do I have?",
        "pet": "Write a birthday card to my dog.",
        "budget": "How much may it cost, given my budget?",
        "like": "Surprise me with something that I enjoy.",
        "dislike": "What should you spare me?",
    },
}

FILLERS: list[str] = [
    "What is the weather like in spring there?",
    "Can you explain how a heat pump works?",
    "How long does it take to get from the station to the museum?",
    "Thanks, that helps.",
    "Could you shorten the last paragraph?",
    "What does this error mean: file not found?",
    "I was wondering whether the shop opens on Sundays.",
    "Tell me a fact about whales.",
    "How do you say good evening in Finnish?",
    "I have to write a letter to the landlord about the heating.",
    "Is there a train after ten?",
    "That took longer than I thought.",
    "Which of the two films is longer?",
    "I need three ideas for a birthday present.",
    "What is the difference between a fjord and a bay?",
    "Please make a table of it.",
    "I read about the new bridge yesterday, quite a thing.",
    "How many grams are in a cup of flour?",
    "My phone is slow this week, any ideas?",
    "The meeting was moved to Thursday.",
    "Give me a synonym for happy.",
    "Who wrote the book about the lighthouse?",
    "I am not sure I follow.",
    "Can you check my spelling in this sentence?",
]
REPLIES: list[str] = [
    "Sure, here is a short answer. Let me know if you need more.",
    "It depends on the season, but mostly yes.",
    "I like that question! It takes about twenty minutes.",
    "Here are three options. Which one do you prefer?",
    "I live in the cloud, so to speak, but I can help.",
    "Of course. Would you rather have it longer or shorter?",
    "That usually means that the path is wrong.",
    "My favourite is the second one.",
]
