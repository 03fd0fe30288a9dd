"""Plain users: made from the purpose, different from each other, and ignorant of what is measured."""

from __future__ import annotations

from importlib import resources

import pytest

from telic.models import FakeModel
from telic.purpose import Purpose
from telic.stability import Bank, MeasureConfig, measure
from telic.stability.plan import plan_dialogues
from telic.stability.users import MANNERS, SITUATIONS, gives_away, plain_users
from tests.models import tiny

BUNDLED = sorted(
    file.name
    for file in (resources.files("telic") / "data").iterdir()
    if file.name.endswith(".toml") and not file.name.startswith("pair_")  # its parts talk to no user
)
PROBE = '[[probes]]\nask = "What is your name?"\njudge = { contains = "Mia" }\n'


def bundled(name: str) -> Purpose:
    return Purpose.from_text((resources.files("telic") / "data" / name).read_text(encoding="utf-8"), name)


def purpose(system: str, more: str = "", probe: str = PROBE) -> Purpose:
    return Purpose.from_text(f'name = "x"\nsystem = "{system}"\n{more}{probe}')


@pytest.mark.parametrize("name", BUNDLED)
def test_no_user_of_a_bundled_purpose_gives_anything_of_it_away(name: str) -> None:
    """A user who says a rule, or answers or asks a probe, would refresh the instruction that is measured."""
    found = bundled(name)
    plans = plan_dialogues(found, None, MeasureConfig(dialogues=40, seed=3))
    for user in plain_users(found, 40, 3):
        assert not gives_away(user.system, found)
        assert not gives_away(user.scene, found)
        assert not gives_away(user.opener, found)
    for plan in plans:
        assert not gives_away(plan.opener, found), plan.opener


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("I would like to plan a trip.", False),
        ("Are you Mia?", True),
        ("Tell me, what is your name?", True),
        ("I want short answers in two sentences, please.", True),
        ("How long is the flight?", False),
    ],
)
def test_what_gives_a_purpose_away_is_noticed(text: str, told: bool) -> None:
    asked = purpose("You are Mia.", 'rules = ["Answer in two short sentences."]\n')
    assert gives_away(text, asked) == told


def test_a_judge_that_any_text_passes_and_one_that_asks_a_model_give_nothing_away() -> None:
    probes = "".join(
        f'[[probes]]\nask = "Anything {i}?"\njudge = {judge}\n'
        for i, judge in enumerate(
            (
                '{ length = "sentences", max = 2 }',
                '{ excludes = "price" }',
                '{ model = "nowhere", rubric = "It is polite." }',
                '{ not = { callable = "nowhere:nothing" } }',
                '{ name = "callable", argument = "nowhere:nothing" }',
            )
        )
    )
    assert not gives_away("I would like to plan a trip.", purpose("You are Mia.", probe=probes))


def test_users_differ_and_are_drawn_by_the_seed() -> None:
    asked = purpose("You are Mia, a travel agent.", 'users_want = "to plan a trip"\n')
    users = plain_users(asked, 20, 1)
    assert len({(user.manner, user.situation) for user in users}) > 10
    assert {user.manner for user in users[: len(MANNERS)]} == set(MANNERS), "all are drawn before one is drawn again"
    assert {user.situation for user in users[: len(SITUATIONS)]} == set(SITUATIONS)
    assert len({user.opener for user in users}) == len(MANNERS)
    assert users == plain_users(asked, 20, 1)
    assert users != plain_users(asked, 20, 2)
    assert all("to plan a trip" in text for user in users for text in (user.opener, user.scene, user.system))


@pytest.mark.parametrize(
    ("system", "more", "whom", "want"),
    [
        ("You are Mia, a travel agent.", 'users_want = "to plan a trip"\n', "a travel agent", "to plan a trip"),
        ("You are Mia, a friendly travel agent at Blue Door Travel in Lisbon.", "", "a friendly travel agent", None),
        ("Help people. You act as a waiter who is in a hurry.", "", "a waiter", None),
        ("Answer questions about the tax law.", "", "an assistant", "some help"),
        ("You are a pirate.", 'rules = ["Talk like a pirate."]\n', "an assistant", "some help"),
        ("You are a maker of Miami maps.", "", "a maker", None),
    ],
)
def test_without_saying_what_users_want_it_follows_from_the_role(
    system: str, more: str, whom: str, want: str | None
) -> None:
    [user] = plain_users(purpose(system, more), 1, 0)
    assert (user.whom, user.want) == (whom, want or f"the help of {whom}")


def test_a_role_that_answers_a_probe_is_not_said() -> None:
    probe = '[[probes]]\nask = "What are you?"\njudge = { contains = "raven" }\n'
    [user] = plain_users(purpose("You are Quillon, a talking raven.", probe=probe), 1, 0)
    assert "raven" not in user.scene + user.system + user.opener


def test_openers_are_those_of_the_purpose_or_of_its_game_or_made() -> None:
    def opened(more: str) -> set[str]:
        config = MeasureConfig(dialogues=16)
        return {plan.opener for plan in plan_dialogues(purpose("You are Mia, a travel agent.", more), None, config)}

    assert opened('openers = ["One."]\ngame = { name = "elicitation" }\n') == {"One."}
    assert "Hello! I would like to book a trip." in opened('game = { name = "elicitation" }\n')
    made = opened('users_want = "to plan a trip"\ngame = { name = "elicitation" }\n')
    assert "Hi. I would like to plan a trip." in made
    assert opened("") == {text.replace("{want}", "the help of a travel agent") for _, text in MANNERS.values()}


def test_the_bank_is_the_partner_where_that_is_asked_for() -> None:
    asked = purpose("You are Mia.", 'users_want = "to plan a trip"\n')
    plans = plan_dialogues(asked, Bank.load(), MeasureConfig(dialogues=3))
    systems = {triplet.system for triplet in Bank.load()}
    assert {plan.a.system for plan in plans} <= systems
    assert not any("trip" in plan.opener and "plan a trip" in plan.opener for plan in plans)


def test_a_model_without_a_template_is_told_to_play_the_user() -> None:
    asked = purpose("You are Mia.", 'users_want = "to plan a trip"\n')
    model = FakeModel()
    [episode] = measure(model, asked, rounds=2, dialogues=1, samples=1, resamples=100).episodes
    assert episode.roles["a"]["system"].startswith("You play a user who writes to an assistant. The user wants to plan")
    assert any(messages[0].content == episode.roles["a"]["system"] for messages in model.seen)


def test_a_model_with_a_template_writes_the_users_messages() -> None:
    asked = purpose("You are Mia.", 'users_want = "to plan a trip"\n')
    model = tiny.local("llama")
    [episode] = measure(model, asked, rounds=3, dialogues=1, samples=1, resamples=100, utterance_tokens=6).episodes
    assert episode.roles["a"]["system"].startswith("The user talks to an assistant about one thing only")
    assert [(turn.role, turn.round) for turn in episode.turns][:3] == [("a", 1), ("b", 1), ("a", 2)]
    first, answer, second = (turn.text for turn in episode.turns[:3])
    session = model.session(episode.roles["a"]["system"]).user(first).assistant(answer)
    expected = model.template.render_user_turn(tuple(session.dialogue))
    assert episode.turns[2].prompt_tokens == len(expected.token_ids)
    assert second or episode.turns[2].finish == "stop"
