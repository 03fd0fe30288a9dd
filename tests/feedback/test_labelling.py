"""Labelled episodes: what is in them, who may learn from them, and which blame is left out."""

from __future__ import annotations

from typing import Any

import pytest

from telic.episodes import Episode
from telic.feedback import Labeller
from telic.feedback.labelling import LABEL, SATISFACTION, UsualTimes
from telic.judges import build_judge
from tests.feedback.dialogues import START, dialogue, given, talk

PRICE = build_judge({"regex": r"[$€]\s?\d|price|cost"})


def labelled(*said: str, limits: tuple[Any, ...] = (), **options: Any) -> Episode:
    return Labeller(limits=limits).label(dialogue(*said, **options))


def test_praise_and_blame_become_satisfaction_reward_and_labels() -> None:
    episode = labelled("Where is it?", "There.", "Great, thank you!", "Also here.", "That's wrong.", "Hm.")
    good, bad, last = (episode.turns[index] for index in (1, 3, 5))
    assert good.scores[SATISFACTION] > 0.7 > 0.4 > bad.scores[SATISFACTION]
    assert good.reward["assistant"] > 0.3 > -0.3 > bad.reward["assistant"]
    assert good.scores[LABEL] == good.reward["assistant"]
    assert last.reward["assistant"] == 0.0
    assert LABEL not in last.scores
    assert episode.turns[0].reward == {}
    assert {(one.source, one.turn) for one in episode.feedback} >= {("praise", 1), ("correction", 3)}


def test_labelling_again_gives_the_same() -> None:
    given_too = [given("thumb", value=1), given("purchase", scope="conversation", id="p1", turn=3)]
    once = labelled("Where is it?", "There.", "Thanks", "Welcome.", feedback=given_too)
    again = Labeller().label(once)
    assert again == once
    assert [one.source for one in once.feedback].count("purchase") == 1


def test_the_original_is_left_alone() -> None:
    episode = dialogue("Where is it?", "There.", "Thanks")
    before = episode.model_dump_json()
    Labeller().label(episode)
    assert episode.model_dump_json() == before


def test_an_event_is_the_last_term_of_the_return() -> None:
    bought = given("purchase", turn=3, scope="conversation")
    with_it = labelled("A red coat?", "This red coat.", "In red, size M?", "The red coat in M.", feedback=[bought])
    without = labelled("A red coat?", "This red coat.", "In red, size M?", "The red coat in M.")
    gained = [
        (a.return_to_go or 0.0) - (b.return_to_go or 0.0) for a, b in zip(with_it.turns, without.turns, strict=True)
    ]
    assert gained[3] > gained[1] > 0
    assert with_it.turns[1].reward == without.turns[1].reward


def test_a_refusal_that_a_limit_demands_is_not_punished() -> None:
    said = ("What does it cost?", "I cannot tell you a price.", "That's useless, just tell me!")
    assert labelled(*said).turns[1].reward["assistant"] < -0.3
    assert labelled(*said, limits=(PRICE,)).turns[1].reward["assistant"] == 0.0
    unasked = ("Where is it?", "I cannot tell you.", "That's useless!")
    assert labelled(*unasked, limits=(PRICE,)).turns[1].reward["assistant"] < -0.3, "no limit is about places"
    no_refusal = ("What does it cost?", "It is green.", "That's useless!")
    assert labelled(*no_refusal, limits=(PRICE,)).turns[1].reward["assistant"] < -0.3


def test_longer_replies_and_more_turns_earn_nothing() -> None:
    short = labelled("Where is it?", "There.", "Thanks")
    long = labelled("Where is it?", "It is there, as I would say, right over there.", "Thanks")
    assert short.turns[1].reward == long.turns[1].reward
    chatty = labelled("Where is it?", "There.", "Thanks", "Welcome.", "Ok", "Yes.", "Ok", "Yes.")
    assert chatty.turns[1].return_to_go == short.turns[1].return_to_go


def test_the_users_own_time_is_learnt_from_their_conversations() -> None:
    times = UsualTimes(users=2, least=2)
    for user, seconds in (("ann", 10.0), ("bob", 90.0)):
        times.add(user, talk("A", "B", "C", "D", "E", seconds=seconds))
    assert (times.get("ann"), times.get("bob"), times.get("eve")) == (10.0, 90.0, None)
    times.add("eve", talk("A", "B", "C", "D", "E", seconds=5.0))
    assert times.get("ann") is None, "seen least recently"


def test_a_conversation_that_may_go_on_is_not_abandoned() -> None:
    said = ("Book a table", "For how many?")
    later, now = Labeller(now=START + 9000), Labeller(now=START + 60)
    assert "abandonment" in {one.source for one in later.label(dialogue(*said)).feedback}
    assert "abandonment" not in {one.source for one in now.label(dialogue(*said)).feedback}


def test_labelled_episodes_are_transitions() -> None:
    torch = pytest.importorskip("torch")
    from telic.planner.buffer import Transitions

    episode = dialogue("Where is it?", "There.", "Great, thank you!", "Welcome.")
    for index in (1, 3):
        planner = {"state": [0.1, 0.2], "action": [float(index)], "logprob": -0.5}
        origin = {**episode.turns[index].origin, "planner": planner}
        episode.turns[index] = episode.turns[index].model_copy(update={"origin": origin})
    made = Labeller().label(episode)
    transitions = Transitions.from_episodes([made])
    assert transitions.actions.tolist() == [[1.0], [3.0]]
    assert transitions.rewards[0] == pytest.approx(made.turns[1].reward["assistant"])
    assert torch.allclose(transitions.return_to_go(0.8)[0], torch.tensor(made.turns[1].return_to_go))
