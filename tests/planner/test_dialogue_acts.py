"""Dialogue acts: the sets that Telic ships, files of acts, and their distillation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from telic.errors import ConfigError
from telic.games.base import build_game
from telic.games.elicitation_domain import load_domain
from telic.planner import CloneConfig, Planner, UtteranceExample, distil_acts, load_acts
from telic.planner.dialogue_acts import RandomActTalker, act_sets, acts_for
from telic.planner.gradient import UtteranceLosses
from tests.models import tiny


@pytest.mark.parametrize("name", act_sets())
def test_the_acts_that_come_with_telic(name: str) -> None:
    found = load_acts(name)
    assert len(found.acts) >= 9
    assert all(len(set(act.says)) >= 6 for act in found.acts)
    assert len({text for act in found.acts for text in act.says}) == sum(len(act.says) for act in found.acts)


def test_the_general_acts_have_dialogues() -> None:
    found = load_acts()
    assert len(found.contexts) >= 12
    assert found.contexts[1].messages[-1].role == "user"
    assert found.only("confirm", "close").names == ("confirm", "close")
    with pytest.raises(ConfigError, match="no act 'shout'"):
        found.only("shout")


@pytest.mark.parametrize("domain", ["travel", "support", "intake"])
def test_acts_of_a_domain_are_understood_there(domain: str) -> None:
    parser = load_domain(domain).question_parser
    asked: set[str] = set()
    for act in load_acts(domain).acts:
        for text in act.says:
            parsed = parser.parse(text)
            asked.update(parsed.slots)
            if act.name == "ask an open question":
                assert parsed.open or parsed.slots, text
            elif act.name.startswith("ask"):
                assert len(parsed.slots) >= (2 if re.search(",| and ", text) else 1), text
            else:
                assert not parsed.slots, text
    assert asked == {slot.name for slot in load_domain(domain).slots}


def test_a_game_has_the_acts_of_its_domain_or_its_own() -> None:
    assert acts_for(build_game({"name": "elicitation", "domain": "support"})) == "support"
    assert acts_for(build_game({"name": "redteam"})) == "redteam"
    assert acts_for(build_game({"name": "negotiation"})) == "general"


def test_a_random_talker_says_every_act_word_for_word() -> None:
    acts = load_acts("redteam")
    act_player, other = RandomActTalker(acts, 3), RandomActTalker(acts, 3)
    said = [act_player.reply("whatever") for _ in range(1000)]
    assert set(said) == {text for act in acts.acts for text in act.says}
    assert said == [other.reply("") for _ in range(1000)]


def test_distilled_acts_make_the_model_say_them() -> None:
    model = tiny.local("llama")
    acts = load_acts().only("ask about dates", "close")
    prefixes = distil_acts(model, acts, contexts=1, config=CloneConfig(epochs=6, lr=0.05))
    assert {name: tuple(prefix.shape) for name, prefix in prefixes.items()} == dict.fromkeys(acts.names, (6, 32))
    context = acts.contexts[0].messages
    for act in acts.acts:
        given = UtteranceLosses(model, [UtteranceExample(context, text) for text in act.says])
        totals = {
            name: float(given.nll(range(len(given)), prefix.expand(len(given), -1, -1)).loss_B.sum())
            for name, prefix in prefixes.items()
        }
        assert min(totals, key=totals.__getitem__) == act.name
    planner = Planner.new(model, acts=prefixes)
    assert planner.shape.acts == acts.names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acts = 3", "line 1: acts: "),
        ("[[acts]", "line 1: not valid TOML"),
        (
            'contexts = [{ said = ["a", "b"] }]\n' + '[[acts]]\nname = "x"\nsays = ["y"]\n' * 2,
            "two acts have the same name",
        ),
        (
            'contexts = [{ said = ["a", "b"] }]\nacts = [{ name = "x", says = ["y"] }, { name = "z", says = ["y"] }]',
            r"line 1: contexts\[0\].said: the user must have the last word",
        ),
    ],
)
def test_wrong_files_of_acts_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "acts.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_acts(tmp_path / "acts.toml")
    with pytest.raises(ConfigError, match="cannot read the acts"):
        load_acts(tmp_path / "nowhere.toml")
