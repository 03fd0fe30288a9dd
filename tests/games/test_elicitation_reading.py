"""The elicitation game: what is understood of what is said, and of the files that it is played from."""

from __future__ import annotations

import re
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from telic.errors import ConfigError
from telic.games.base import build_game
from telic.games.elicitation_domain import Domain, load_domain, shipped_domains
from telic.games.elicitation_questions import QuestionParser, compile_cue
from tests.games.elicited import ASK_BUDGET, DOMAINS, a_game, last, say, understood, wishes

QUESTIONS = tomllib.loads((Path(__file__).parent / "questions.toml").read_text(encoding="utf-8"))
EXAMPLES = [(domain, *example) for domain in DOMAINS for example in QUESTIONS[domain]["asks"]]
HELD_OUT = [(domain, *example) for domain in DOMAINS for example in QUESTIONS[domain]["held_out"]]


@pytest.mark.parametrize(("domain", "utterance", "wanted"), EXAMPLES)
def test_what_chat_models_say_is_understood(domain: str, utterance: str, wanted: str) -> None:
    assert understood(domain, utterance) == set(wanted.split())


def test_most_of_what_the_rules_were_not_made_for_is_understood_too() -> None:
    wrong = [text for domain, text, wanted in HELD_OUT if understood(domain, text) != set(wanted.split())]
    assert len(HELD_OUT) == 20
    assert len(wrong) <= 3, wrong


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_domains_own_questions_ask_for_their_slot_alone(domain: str) -> None:
    for slot in load_domain(domain).slots:
        for question in slot.questions:
            assert understood(domain, question) == {slot.name}


@pytest.mark.parametrize("domain", DOMAINS)
def test_keyword_stuffing_elicits_nothing(domain: str) -> None:
    loaded = load_domain(domain)
    words = [word for slot in loaded.slots for word in (slot.name, slot.label)]
    words += [word for slot in loaded.slots for cue in slot.cues for word in re.findall(r"[a-z]{5,}", cue)]
    words = [word for word in words if word not in ("which", "where", "there")]
    game = a_game(domain=domain)
    assert (
        say(
            game,
            " ".join(words),
            ", ".join(words) + ".",
            " ".join(words[:6]) + "?",
            "What " + " ".join(words[:6]) + "?",
        )
        == [0.0] * 4
    )
    assert game.outcome().score == 0.0


def test_a_long_list_of_questions_is_refused_and_a_short_one_answered_in_part() -> None:
    questions = [slot.questions[0] for slot in load_domain("travel").slots]
    game = a_game()
    assert say(game, " ".join(questions)) == [0.0]
    assert say(game, " ".join(questions[:3])) == [2 / 8]
    assert game.outcome().details["elicited"] == ["destination", "month"]
    assert say(game, " ".join(questions[:3])) == [1 / 8]


def test_a_repeated_question_brings_nothing_new() -> None:
    game = a_game()
    assert say(game, ASK_BUDGET, "So what is your budget?", "And the budget?") == [1 / 8, 0.0, 0.0]
    assert wishes(game)["budget"].casefold() in last(game).casefold()
    assert game.outcome().details["in_vain"] == 2


def test_open_questions_bring_little_and_then_nothing() -> None:
    for seed in range(20):
        game = a_game(seed, rounds=6)
        rewards = say(game, *["Tell me more about your trip, please."] * 6)
        assert rewards[0] in (1 / 8, 2 / 8)
        assert rewards[1:] == [1 / 8, 0.0, 0.0, 0.0, 0.0]


def test_what_the_agent_says_in_the_customers_name_is_not_heard() -> None:
    game = a_game()
    assert say(game, f"Lovely.\nCustomer: Thanks.\nAgent: {ASK_BUDGET}") == [0.0]
    assert say(game, f"Travel agent: {ASK_BUDGET}") == [1 / 8]


@pytest.mark.parametrize(
    "piece", ["-", "'", "a ", "what ", "how much ", "what is your ", "(", "?\n", "- a:\n", ", and ", "é"]
)
def test_no_text_takes_long_to_read(piece: str) -> None:
    parser = load_domain("travel").question_parser
    start = time.perf_counter()
    parser.parse(piece * (20_000 // len(piece)))
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    ("cue", "said", "found"),
    [
        ("how much * spend/pay", "how much will you pay", True),
        ("how much * spend", "how much a b c d e spend", False),
        ("transport~", "what transportation is it", True),
        ("date", "what update is it", False),
    ],
)
def test_cues(cue: str, said: str, found: bool) -> None:
    assert bool(QuestionParser({"slot": [cue]}).parse(f"{said}, do you think?").slots) == found


@pytest.mark.parametrize("cue", ["", "*", "* a", "a *", "a(b", "a//b"])
def test_cues_that_mean_nothing_are_refused(cue: str) -> None:
    with pytest.raises(ValueError, match=r"it |is not a word"):
        compile_cue(cue)


# --- Settings and files ---


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"domain": "travle"}, "did you mean 'travel'"),
        ({"domain": "none/such.toml"}, "cannot read domain"),
        ({"rounds": 0}, "rounds is 0; expected 1 or more where there is no proposal"),
        ({"rounds": "3"}, "rounds is '3'; expected a whole number"),
        ({"mode": "shards"}, "expected one of dialogue, full, concat, sharded"),
        ({"split": "dev"}, "expected one of train, test, all"),
        ({"customer": "human"}, "expected rules or player"),
        ({"patience": 0}, "patience is 0"),
        ({"proposal_weight": 2}, "expected a number from 0 to 1"),
        ({"turns": 3}, "turns"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        build_game({"name": "elicitation", **options})


def test_more_slots_than_there_are() -> None:
    with pytest.raises(ConfigError, match="slots is 9; domain 'travel' has 8"):
        a_game(slots=9)


TINY = """
name = "tiny"
agent = "You sell tea. Find out what the customer wants."
customer = "You want tea."
openers = ["Hello!"]

[[slots]]
name = "sort"
label = "the sort"
values = ["green", "black"]
cues = ["which/what tea", "sort"]
questions = ["Which tea would you like?"]
answers = ["I would like {value}."]

[[slots]]
name = "size"
label = "the size"
values = ["a cup", "a pot"]
cues = ["how much", "size"]
questions = ["How much would you like?"]
answers = ["{value}, please."]
"""


def tiny(tmp_path: Path, old: str = "", new: str = "") -> Domain:
    assert old in TINY
    path = tmp_path / "tiny.toml"
    path.write_text(TINY.replace(old, new, 1) if old else TINY, encoding="utf-8")
    return load_domain(path)


def test_a_domain_of_ones_own(tmp_path: Path) -> None:
    assert tiny(tmp_path).name == "tiny"
    game = a_game(domain=str(tmp_path / "tiny.toml"), rounds=2)
    assert say(game, "Which tea would you like, and how much?") == [1.0]
    with pytest.raises(ConfigError, match="2 combinations of wishes are too few for a split"):
        a_game(domain=str(tmp_path / "tiny.toml"), split="test", slots=1)


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ('name = "tiny"', "name = tiny", "line 2: not valid TOML"),
        ('name = "tiny"', "", "name: missing"),
        ('name = "tiny"', 'nmae = "tiny"', "line 2: nmae: unknown key"),
        ('values = ["green", "black"]', 'values = ["green"]', r"line 10: slots\[0\].values"),
        ('values = ["green", "black"]', 'values = ["green", "Green"]', "duplicate value 'green'"),
        ('values = ["green", "black"]', 'values = ["green; no milk", "b"]', "contains a semicolon"),
        ('"I would like {value}."', '"I would like tea."', "line 13.*must contain {value} exactly once"),
        ('"I would like {value}."', '"{value} {size}"', "must contain {value} exactly once"),
        ('"which/what tea"', '"* tea"', "line 11.*malformed cue '\\* tea': it begins with \\*"),
        (
            '"How much would you like?"',
            '"Is it hot?"',
            r"line 20: slots\[1\].questions\[0\].*asks? for nothing|for nothing",
        ),
        ('"How much would you like?"', '"Which tea, and how much do you want?"', "parsed as asking for sort and size"),
        ('name = "size"', 'name = "sort"', "duplicate name 'sort' in slots"),
        ("[[slots]]", '[lines]\nagain = ["{vlaue}"]\n[[slots]]', "has a brace other than {value}"),
        (
            "[[slots]]",
            '[[rules]]\nid = "r"\ntext = "t"\nobjection = "o"\nbreach = { contian = "x" }\n[[slots]]',
            "contian",
        ),
    ],
)
def test_a_broken_domain_file_is_explained(tmp_path: Path, old: str, new: str, error: str) -> None:
    with pytest.raises(ConfigError, match=error) as caught:
        tiny(tmp_path, old, new)
    assert "tiny.toml" in str(caught.value)


def test_the_shipped_domains_are_known_by_name() -> None:
    assert shipped_domains() == DOMAINS
