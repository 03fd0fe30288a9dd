"""The classics answer anything, and do what their published descriptions say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.agents.classics import CLASSICS, Classic, Eliza, Parry, Restaurant
from telic.agents.classics.patterns import MAX_REPLY, Pattern
from telic.errors import ConfigError

VOCABULARY = """
    i you my your mother remember dream if are not am always computer because why what like crazy hurt sorry help dog
    police bookmaker bet name trust went restaurant ordered a the soup ate paid left without burnt who did she waiter
    Ann menu and then ? . , ! [ ] { } {1} {2} = newkey * @family
"""
WORDS = st.sampled_from([*VOCABULARY.split(), "\n"])
TEXTS = st.one_of(st.text(), st.lists(WORDS, max_size=25).map(" ".join))
KINDS = st.sampled_from(list(CLASSICS.values()))


# Any of them


@given(KINDS, st.integers(), st.lists(TEXTS, max_size=6))
def test_anything_gets_a_bounded_answer_and_leaves_a_state(kind: type[Classic], seed: int, texts: list[str]) -> None:
    one, again = kind(seed), kind(0)
    again.reply("Something from before")
    again.reset(seed)
    for text in texts:
        answer = one.reply(text)
        assert answer.strip()
        assert len(answer) <= MAX_REPLY
        assert again.reply(text) == answer
    assert json.loads(json.dumps(one.state())) == again.state()


@pytest.mark.parametrize("text", ["word " * 5000, "a." * 5000, "x" * 50_000, "my " * 400 + "dog", "?" * 9000])
@pytest.mark.parametrize("kind", CLASSICS.values())
def test_a_very_long_text_is_answered(kind: type[Classic], text: str) -> None:
    assert 0 < len(kind().reply(text)) <= MAX_REPLY


def test_seeds_differ() -> None:
    for kind in CLASSICS.values():
        assert len({kind(seed).reply("Hello") for seed in range(20)}) > 1


def test_patterns_take_the_earliest_and_shortest() -> None:
    assert Pattern("* my *").match(["my", "dog", "likes", "my", "cat"]) == [[], ["dog", "likes", "my", "cat"]]
    wants = Pattern("* i @want *", {"want": ["need"]})
    assert wants.match(["Now", "I", "Need", "help"]) == [["Now"], ["Need"], ["help"]]
    assert Pattern("* a/b c *").match(["x", "b", "c"]) == [["x"], []]
    assert Pattern("i *").match(["you"]) is None


# ELIZA

SCRIPT = """
none = ["nothing"]
every = 2
[pre]
dont = "do not"
[post]
my = "your"
i = "you"
"i am" = "you are"
[[keywords]]
words = ["low"]
rank = 1
[[keywords.rules]]
match = "* low *"
say = ["low one", "low two", "low three"]
[[keywords]]
words = ["high"]
rank = 5
[[keywords.rules]]
match = "* do not * high *"
say = ["not {2} high"]
[[keywords.rules]]
match = "* exactly high"
say = ["newkey"]
[[keywords.rules]]
match = "* high *"
say = ["high {2}"]
[[keywords]]
words = ["alias"]
rank = 9
[[keywords.rules]]
match = "*"
say = ["= high"]
[[keywords]]
words = ["my"]
rank = 2
[[keywords.rules]]
match = "* my *"
say = ["about your {2}"]
[[memory]]
words = ["my"]
[[memory.rules]]
match = "* my *"
say = ["earlier: {2}"]
"""


@pytest.fixture
def eliza(tmp_path: Path) -> Eliza:
    path = tmp_path / "script.toml"
    path.write_text(SCRIPT, encoding="utf-8")
    return Eliza(0, path)


def test_the_keyword_of_the_highest_rank_is_answered(eliza: Eliza) -> None:
    assert eliza.reply("low and high mountains") == "High mountains"
    assert eliza.reply("high and low").startswith("High")


def test_a_keyword_may_pass_on_to_another_or_to_the_next_found(eliza: Eliza) -> None:
    assert eliza.reply("alias of a high tree") == "High tree"
    assert eliza.reply("low but exactly high").startswith("Low")
    assert eliza.reply("exactly high") == "Nothing"


def test_the_first_clause_with_a_keyword_counts(eliza: Eliza) -> None:
    assert eliza.reply("well, so low, very high").startswith("Low")


def test_words_are_substituted_before_and_after(eliza: Eliza) -> None:
    assert eliza.reply("I dont want high heels") == "Not want high"
    assert eliza.reply("high above where I am with my cat") == "High above where you are with your cat"


def test_reassemblies_are_used_in_turn(eliza: Eliza) -> None:
    answers = [eliza.reply("low") for _ in range(4)]
    assert len(set(answers[:3])) == 3
    assert answers[3] == answers[0]


def test_what_was_said_comes_back_when_nothing_is_found(eliza: Eliza) -> None:
    assert eliza.reply("it was my first day") == "About your first day"
    assert eliza.reply("hmm") == "Earlier: first day"  # the second utterance, and every = 2
    assert eliza.reply("hmm") == "Nothing"
    eliza.reply("my old car")
    assert eliza.reply("hmm") == "Nothing"  # the fifth: not yet its time
    assert eliza.reply("hmm") == "Earlier: old car"
    assert eliza.state()["memory"] == []


def test_the_shipped_script_turns_the_words_round() -> None:
    eliza = Eliza(0)
    answers = [eliza.reply("I want to be with you") for _ in range(4)]
    assert all("to be with me" in answer for answer in answers)
    answers = [eliza.reply("My mother is a teacher") for _ in range(4)]
    assert any("your mother" in answer for answer in answers)
    assert "machine" in " ".join(eliza.reply("My mother dreams of computers") for _ in range(4))  # the higher rank
    assert eliza.reply("bye") in eliza.script.farewell


def test_a_circle_of_keywords_ends(tmp_path: Path) -> None:
    path = tmp_path / "circle.toml"
    rule = '[[keywords]]\nwords = ["{}"]\n[[keywords.rules]]\nmatch = "*"\nsay = ["= {}"]\n'
    path.write_text('none = ["nothing"]\n' + rule.format("a", "b") + rule.format("b", "a"), encoding="utf-8")
    assert Eliza(0, path).reply("a b") == "Nothing"


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('none = ["nothing"]', "none = []", "line 2: none"),
        ('none = ["nothing"]', "none = [", "line .*: not valid TOML"),
        ('say = ["= high"]', 'say = ["= nowhere"]', "unknown keyword 'nowhere'"),
        ('say = ["high {2}"]', 'say = ["high {3}"]', "part 3"),
        ('match = "* low *"', 'match = "* @low *"', "group 'low'"),
        ('match = "* low *"', 'mach = "* low *"', r"line \d+: keywords\[\d\].rules\[\d\].match: Field required"),
    ],
)
def test_a_broken_script_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(SCRIPT.replace(old, new), encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint):
        Eliza(0, path)
    with pytest.raises(ConfigError, match="cannot read the file"):
        Eliza(0, tmp_path / "absent.toml")


# PARRY


def test_insults_and_threats_raise_the_affects() -> None:
    parry = Parry()
    before = parry.affects
    parry.reply("You are crazy")
    insulted = parry.affects
    assert insulted["anger"] > before["anger"]
    assert insulted["mistrust"] > before["mistrust"]
    parry.reply("They are going to kill you")
    assert parry.affects["fear"] > insulted["fear"] + 5


def test_friendliness_and_time_lower_them() -> None:
    parry = Parry()
    for text in ("You are crazy", "I will hurt you", "You are a liar"):
        parry.reply(text)
    upset = parry.affects
    parry.reply("I am sorry, I did not mean that.")
    soothed = parry.affects
    assert all(soothed[name] < upset[name] for name in upset)
    parry.reply("Nice weather")
    faded = {name: soothed[name] - value for name, value in parry.affects.items()}
    assert faded["anger"] > faded["fear"] > faded["mistrust"] > 0


def test_a_denied_threat_is_a_reassurance() -> None:
    parry = Parry()
    parry.reply("I will hurt you")
    before = parry.affects
    parry.reply("I will not hurt you")
    assert parry.affects["fear"] < before["fear"]


@given(st.lists(TEXTS, max_size=12))
def test_affects_stay_in_their_ranges(texts: list[str]) -> None:
    parry = Parry()
    for text in texts:
        parry.reply(text)
        assert all(0 <= parry.affects[name] <= top for name, top in (("fear", 20), ("anger", 20), ("mistrust", 15)))


def test_the_mood_changes_the_answer() -> None:
    def asked(*before: str) -> tuple[str, str]:
        parry = Parry()
        for text in before:
            parry.reply(text)
        return parry.mood, parry.reply("How are you?")

    heard = [
        asked(),
        asked("You are crazy", "You are a liar", "You are a fool"),
        asked("They want to kill you", "I will hurt you", "We are going to get you"),
    ]
    assert [mood for mood, _ in heard] == ["calm", "hostile", "afraid"]
    assert len({answer for _, answer in heard}) == 3


def test_praise_is_suspect_to_one_who_mistrusts() -> None:
    calm = {Parry(seed).reply("You are very smart") for seed in range(9)}
    wary = set()
    for seed in range(9):
        parry = Parry(seed)
        for text in ("Are you from the police?", "Are you an informer?", "Is that true?"):
            parry.reply(text)
        assert parry.mood == "guarded"
        wary.add(parry.reply("You are very smart"))
    assert not calm & wary


def test_topics_lead_to_the_story_which_is_told_piece_by_piece() -> None:
    parry = Parry()
    assert "ogs" in parry.reply("Do you like animals?") or parry.state()["flare"] == 1
    parry.reply("Do you bet on a race?")
    assert parry.state()["flare"] == 3
    pieces = [parry.reply(text) for text in ("Tell me more", "Go on", "What happened?", "And then?", "Why?")]
    assert parry.state()["story"] == 5
    assert len(set(pieces)) == 5
    assert "Copper Penny" in pieces[0]


def test_a_repetition_annoys() -> None:
    parry = Parry()
    parry.reply("What is your age?")
    before = parry.affects["anger"]
    assert parry.reply("what is your AGE") not in {Parry(seed).reply("What is your age?") for seed in range(9)}
    assert parry.affects["anger"] > before


def test_panic_ends_the_talk_until_a_reset() -> None:
    parry = Parry()
    for text in ("I will kill you", "They will shoot you", "We will get you", "They will hurt you", "I will beat you"):
        parry.reply(text)
    assert parry.state()["left"]
    frozen = parry.affects
    assert parry.reply("You are safe here, I want to help you") in {
        "I have to get out of here.",
        "I am not saying another word.",
        "This talk is over.",
    }
    assert parry.affects == frozen
    parry.reset()
    assert parry.mood == "calm"


# The restaurant

ANN = "Ann went to a diner. She ordered a hamburger and a salad. She left a big tip and went home."


def told(*texts: str) -> Restaurant:
    restaurant = Restaurant()
    for text in texts:
        restaurant.reply(text)
    return restaurant


def test_what_is_unsaid_is_filled_in_and_told_apart() -> None:
    restaurant = Restaurant()
    heard = restaurant.reply(ANN)
    assert "Ann ate the hamburger and the salad" in heard
    state = restaurant.state()
    assert state["track"] == "coffee shop"
    assert state["told"] == ["enter", "order", "tip", "leave"]
    assert state["inferred"] == ["sit", "menu", "cook", "bring", "eat", "bill", "pay"]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What did she eat?", "Ann ate the hamburger and the salad."),
        ("what did Ann order", "Ann ordered a hamburger and a salad."),
        ("Who served her?", "The waitress."),
        ("Who cooked the hamburger?", "The cook."),
        ("Who ate it?", "Ann."),
        ("Did she pay?", "Yes, I suppose that Ann paid the bill. You did not say so, but that is how it goes."),
        ("Did she leave a tip?", "Yes, Ann left a tip."),
        ("And did she leave?", "Yes, Ann left the coffee shop."),
        ("Did she eat a steak?", "You told me of the hamburger and the salad, not of a steak."),
        ("Why did she go there?", "Because Ann was hungry."),
        ("Where was she?", "In the coffee shop, as far as I can tell."),
        ("Did she stand in line?", "That is not done in the coffee shop, as a rule, and you did not say so."),
        ("Who is Ann?", "Ann: the customer in this story."),
        ("What happened next?", "Nothing more. That is how a visit to the coffee shop ends."),
    ],
)
def test_questions_are_answered(question: str, answer: str) -> None:
    assert told(ANN).reply(question) == answer


def test_what_was_not_told_is_not_invented() -> None:
    restaurant = told("Ann went to a diner.")
    assert restaurant.reply("Did she pay?") == "Not yet, as far as you have told me."
    assert restaurant.reply("What did she eat?") == "Not yet, as far as you have told me."
    assert "menu" in told("Ann went to a diner and paid.").reply("What did she eat?")
    assert told(ANN).reply("How much did she pay?") in {
        "You did not tell me that.",
        "That I do not know. It was not in the story.",
    }


def test_it_says_what_comes_next_one_thing_after_the_other() -> None:
    restaurant = told("Tom entered a café and sat down.")
    expected = [restaurant.reply(text) for text in ("What happens next?", "And then?", "and then")]
    assert [word in answer for word, answer in zip(("menu", "ordered", "prepared"), expected, strict=True)] == [
        True
    ] * 3
    restaurant.reply("Tom ordered a cake.")
    assert "prepared the cake" in restaurant.reply("What happens next?")


@pytest.mark.parametrize(
    ("story", "track", "paid_before_eating", "tip"),
    [
        ("I drove to McDonald's and ordered fries.", "fast food", True, "That is not done"),
        ("Eve went to an elegant restaurant.", "fancy restaurant", False, "Not yet"),
        ("Eve went to a diner.", "coffee shop", False, "Not yet"),
    ],
)
def test_tracks_differ(story: str, track: str, paid_before_eating: bool, tip: str) -> None:
    restaurant = told(story)
    assert restaurant.story.track == track
    order = [event["id"] for event in restaurant.story.events]
    assert (order.index("pay") < order.index("eat")) == paid_before_eating
    assert restaurant.reply("Was there a tip?").startswith(tip)


def test_the_one_who_tells_may_be_the_customer() -> None:
    assert told("I went to a pizzeria and ate a pizza.").reply("What did I eat?") == "You ate the pizza."


def test_who_plays_which_part_is_learnt() -> None:
    restaurant = told("Maria entered an elegant restaurant. The waiter Paul brought a soup.")
    assert restaurant.reply("Who served her?") == "Paul, the waiter."
    assert restaurant.reply("Who is Paul?") == "Paul was the waiter."
    assert "host greeted Maria" in restaurant.reply("What happened?")


def test_denials_and_troubles_are_not_filled_in() -> None:
    restaurant = told("John went to a restaurant. He ordered a lobster. The lobster was burnt. He left without paying.")
    assert restaurant.story.status("bring") == "inferred"
    assert restaurant.reply("Did he pay?") == "No, you told me that it was not so."
    assert restaurant.reply("Did he eat the lobster?").startswith("I doubt it")
    assert restaurant.reply("Why did he leave?") == "I suppose because the food was not as it should be."
    story = restaurant.reply("Tell me the story.")
    assert "paid" not in story
    assert "ate" not in story.replace("waiter", "")
    waited = told("Tom went to a café. He waited too long and left.")
    assert waited.story.happened() == ["enter", "leave"]


def test_small_talk_is_led_back_to_the_story() -> None:
    restaurant = Restaurant()
    assert "restaurant" in restaurant.reply("Nice weather today.")
    assert "restaurant" in restaurant.reply("Did she pay?")
