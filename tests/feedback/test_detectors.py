"""The detectors: the contract of all, and what each tells apart."""

from __future__ import annotations

from typing import ClassVar

import pytest

from telic.feedback.conversation import Conversation
from telic.feedback.detection import evidence_by_reply
from telic.feedback.detectors import default_detectors, registry
from telic.feedback.given import given_feedback
from tests.contracts.detector_contract import DetectorContract
from tests.feedback.dialogues import dialogue, given, talk


class TestPraise(DetectorContract):
    name = "praise"
    shows = talk("Where is it?", "There.", "Great answer, thank you!")
    cues = ("thanks", "praise")
    sign = 1


class TestAcceptance(DetectorContract):
    name = "acceptance"
    shows = talk("A hotel, please.", "The Alexander?", "Sounds good, book it.")
    cues = ("takes_up",)
    sign = 1


class TestRejection(DetectorContract):
    name = "rejection"
    shows = talk("A film?", "Jaws.", "No, I don't like that one. Something else?")
    cues = ("declines", "dislikes", "asks_for_other")
    sign = -1


class TestComplaint(DetectorContract):
    name = "complaint"
    shows = talk("Where is my parcel?", "Here.", "This is useless. Let me talk to a human.")
    cues = ("complaint", "asks_for_person")
    sign = -1


class TestCorrection(DetectorContract):
    name = "correction"
    shows = talk("Two nights.", "Three nights, then.", "That's wrong, I said two.")
    cues = ("with_answer", "without_answer")
    sign = -1


class TestClarification(DetectorContract):
    name = "clarification"
    shows = talk("How?", "By the usual means.", "What do you mean?")
    cues = ("asks_meaning",)
    sign = -1


class TestSentiment(DetectorContract):
    name = "sentiment"
    shows = talk("How was it?", "As always.", "What a horrible, horrible disaster.")
    cues = ("very_negative",)
    sign = -1


class TestRepeat(DetectorContract):
    name = "repeat"
    shows = talk("Book two tickets for the opera", "Which hotel?", "The opera: please book me two tickets")
    cues = ("rephrases",)
    sign = -1


class TestAbandonment(DetectorContract):
    name = "abandonment"
    shows = talk(
        "Book two opera tickets", "Which hotel?", "Two opera tickets, book them", "Which hotel would you like?"
    )
    cues = ("gives_up",)
    sign = -1


class TestMovingOn(DetectorContract):
    name = "moving_on"
    shows = talk("Which bus goes to the harbour?", "Line 7.", "Now write a poem about spring rain", "Rain.", usual=30.0)
    cues = ("soon",)
    sign = 1


class TestContent(DetectorContract):
    name = "content"
    shows = talk("Where is my parcel?", "Sorry, I cannot find it.", "Look again")
    cues = ("admits_failure",)
    sign = -1


class TestThumbs(DetectorContract):
    name = "thumbs"
    shows: ClassVar[Conversation] = talk("Hi", "Hello!", feedback=[given_feedback("thumb", -1, 1, "Hello!", 9.0)])
    cues = ("down",)
    sign = -1


class TestEdits(DetectorContract):
    name = "edits"
    shows: ClassVar[Conversation] = talk(
        "Hi", "Hello!", feedback=[given_feedback("edit", "Good morning, I am Mia.", 1, "Hello!", 9.0)]
    )
    cues = ("rewritten",)
    sign = -1


class TestChoices(DetectorContract):
    name = "choices"
    shows: ClassVar[Conversation] = talk(
        "Hi", "Hello!", feedback=[given_feedback("preferred", {"to": "c0", "position": 1}, 1, "Hello!", 9.0)]
    )
    cues = ("chosen",)
    sign = 1


class TestEvents(DetectorContract):
    name = "events"
    shows: ClassVar[Conversation] = talk(
        "Hi", "Hello!", feedback=[given("purchase", id="p1"), given("purchase", id="p1")]
    )
    cues = ("",)
    sign = 1


def test_every_detector_is_under_the_contract() -> None:
    tested = {contract.name for contract in DetectorContract.__subclasses__()}
    assert tested == set(registry.names())


def cues_in(*said: str) -> set[str]:
    found = evidence_by_reply(talk(*said), default_detectors())
    return {f"{one.source}.{one.cue}" for group in found.values() for one in group if one.source != "sentiment"}


@pytest.mark.parametrize(
    ("answer", "cue", "there"),
    [
        ("Thanks a lot", "praise.thanks", True),
        ("No thanks to you", "praise.thanks", False),
        ("Thank you for nothing", "praise.thanks", False),
        ("Thank you for nothing", "complaint.complaint", True),
        ("ok thanks anyway", "praise.thanks", False),
        ("ok thanks anyway", "rejection.lets_go", True),
        ("no, regular. not pool", "correction.with_answer", True),
        ("7 not 8", "correction.with_answer", True),
        ("I am not sure", "correction.with_answer", False),
        ("maybe not today", "correction.with_answer", False),
        ("I JUST said I did that", "correction.without_answer", True),
        ("I just asked for fun", "correction.without_answer", False),
        ("what other alarms do i have", "rejection.asks_for_other", False),
        ("That's great!", "praise.praise", True),
        ("That's not great", "praise.praise", False),
        ("That's not great", "rejection.dislikes", True),
        ("I’ll check it out", "acceptance.takes_up", True),
        ("I won't check it out", "acceptance.takes_up", False),
        ("No, that's all, thank you", "rejection.declines", False),
        ("No. Another one?", "rejection.declines", True),
        ("No problem", "rejection.declines", False),
        ("No, I'm all set", "acceptance.has_all", True),
        ("That will be all", "acceptance.has_all", True),
        ("That is all wrong", "acceptance.has_all", False),
        ("Can I get their phone number?", "acceptance.asks_more", True),
        ("Are you sure?", "correction.without_answer", True),
        ("Is there another hotel?", "rejection.asks_for_other", True),
        ("It's about a terrible war", "complaint.complaint", False),
        ("This answer is terrible", "complaint.complaint", True),
        ("Not a table but a chair", "correction.with_answer", True),
        ("You forgot the second question", "correction.without_answer", True),
        ('I like "Perfect Strangers" and "Great Expectations"', "praise.praise", False),
        ("```raise ValueError('that is wrong')```", "correction.without_answer", False),
    ],
)
def test_phrases_are_told_apart(answer: str, cue: str, there: bool) -> None:
    assert (cue in cues_in("A question", "An answer about plants", answer)) is there


def test_likes_and_dislikes_that_were_asked_for_judge_nothing() -> None:
    asked = cues_in("Hi", "Which food can't you stand?", "Liver, I hate it. I like noodles.")
    assert asked.isdisjoint({"rejection.dislikes", "praise.liking"})
    assert "rejection.dislikes" in cues_in("A film?", "Jaws?", "I hate it.")


def test_a_cue_is_about_the_reply_before_it() -> None:
    found = evidence_by_reply(talk("A?", "Bees.", "Thanks", "Cows.", "Wrong!"), default_detectors())
    assert "praise" in {one.source for one in found[1]}
    assert "praise" not in {one.source for one in found[3]}
    assert "correction" in {one.source for one in found[3]}


def test_moving_on_needs_a_change_of_topic_and_the_users_own_time() -> None:
    detector = registry.get("moving_on")()
    ask, other = "Which bus goes to the harbour?", "Now write a poem about spring rain"

    def cues(*said: str, **options: float | None) -> list[str]:
        return [one.cue for one in detector.detect(talk(*said, "Yes.", **options))]  # type: ignore[arg-type]

    assert cues(ask, "Line 7.", other, usual=30.0, seconds=20.0) == ["soon"]
    assert cues(ask, "Line 7.", other, usual=10.0, seconds=15.0) == ["new_topic"]
    assert cues(ask, "Line 7.", other, usual=5.0, seconds=20.0) == [], "the user was away"
    assert cues(ask, "Line 7.", other, seconds=None) == ["new_topic"]
    assert cues(ask, "Line 7.", "When does the harbour bus leave?", usual=30.0, seconds=20.0) == []


def test_an_open_conversation_is_not_abandoned() -> None:
    detector = registry.get("abandonment")()
    said = ("Book a table", "For how many?")
    assert [one.cue for one in detector.detect(talk(*said))] == ["leaves_question"]
    assert list(detector.detect(talk(*said, is_open=True))) == []
    assert list(detector.detect(talk("Book a table", "Done."))) == [], "satisfied users leave too"


def test_a_reply_that_was_broken_off_is_evidence() -> None:
    episode = dialogue("Tell me all", "Once upon a")
    episode.turns[1] = episode.turns[1].model_copy(update={"finish": "left"})
    assert [one.cue for one in registry.get("abandonment")().detect(Conversation(episode, is_open=True))] == [
        "stops_reply"
    ]


def test_of_several_thumbs_the_last_counts_and_a_withdrawn_one_does_not() -> None:
    thumbs = [given_feedback("thumb", value, 1, "Hello!", 9.0) for value in (1, -1)]
    detector = registry.get("thumbs")()
    assert [one.reward for one in detector.detect(talk("Hi", "Hello!", feedback=thumbs))] == [-1.0]
    withdrawn = [*thumbs, given_feedback("thumb", 0, 1, "Hello!", 10.0)]
    assert list(detector.detect(talk("Hi", "Hello!", feedback=withdrawn))) == []


def test_the_more_an_edit_changes_the_worse_the_reply_was() -> None:
    reply = "The museum opens at ten and closes at six."
    edits = (reply.replace("ten", "nine"), "The museum opens at nine, says the guide.", "Ask at the desk.")
    rewards = [given_feedback("edit", text, 1, reply, 9.0).reward for text in edits]
    assert rewards[0] > 0 > rewards[1] > rewards[2] >= -1
