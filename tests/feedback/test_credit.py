"""Topics and credit: what is earned, by which reply, and what never is."""

from __future__ import annotations

import pytest

from telic.feedback.credit import assign_credit
from telic.feedback.similarity import cosine, edit_similarity, is_rephrased, profile_of
from telic.feedback.topics import topic_numbers
from tests.feedback.dialogues import talk

BUS, POEM = "Which bus goes to the harbour?", "Now write a poem about spring rain"


def test_a_new_request_in_other_words_opens_a_topic() -> None:
    assert topic_numbers(talk(BUS, "Line 7.", "When does the harbour bus leave?", "At ten.")) == (0, 0)
    assert topic_numbers(talk(BUS, "Line 7.", POEM, "Rain, rain.")) == (0, 1)
    assert topic_numbers(talk(BUS, "Line 7.", "Tomorrow at noon with grandmother", "Good.")) == (0, 0), "no request"
    assert topic_numbers(talk(BUS, "Line 7.", "Thanks a lot!", "Welcome.", "Is the harbour bus late?", "No.")) == (
        0,
        0,
        0,
    )


def test_earlier_replies_share_in_a_later_reward_of_the_topic() -> None:
    harbour = talk(
        BUS, "Line 7.", "When does the harbour bus leave?", "At ten.", "And the last harbour bus?", "At six."
    )
    credit = assign_credit(harbour, [None, None, 1.0], discount=0.5)
    assert [one.reward for one in credit] == [0.0, 0.0, 1.0]
    assert [one.return_to_go for one in credit] == [0.25, 0.5, 1.0]


def test_nothing_crosses_a_change_of_topic() -> None:
    credit = assign_credit(talk(BUS, "Line 7.", POEM, "Rain."), [None, 1.0])
    assert (credit[0].return_to_go, credit[0].label) == (0.0, None)
    assert credit[1].label == 1.0


def test_a_neutral_reply_inherits_praise_within_two_replies_of_the_topic() -> None:
    said = (BUS, "The harbour bus is line 7.", "When does the harbour bus leave?", "At ten.")
    near = talk(*said, "And the last harbour bus?", "At six.")
    assert [one.label for one in assign_credit(near, [None, None, 1.0], 0.5)] == [0.25, 0.5, 1.0]
    far = talk(*said, "And back?", "At two.", "And the last harbour bus?", "At six.")
    assert assign_credit(far, [None, None, None, 1.0], 0.5)[0].label is None


def test_blame_is_not_inherited() -> None:
    near = talk(BUS, "The harbour bus is line 7.", "When does the harbour bus leave?", "At ten.")
    first, second = assign_credit(near, [None, -1.0])
    assert (first.label, second.label) == (None, -1.0)
    assert first.return_to_go < 0


def test_turns_without_evidence_earn_nothing() -> None:
    short = assign_credit(talk(BUS, "Line 7."), [0.5])
    long = assign_credit(talk(BUS, "Line 7.", "Ok", "Yes.", "Ok", "Yes."), [0.5, None, None])
    assert [one.return_to_go for one in long] == [short[0].return_to_go, 0.0, 0.0]


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("Book two tickets for the opera", "Tickets for the opera, please book two", True),
        ("I am looking for cheap hotels", "I said a cheap hotel", True),
        ("Book two tickets for the opera", "Book a hotel", False),
        ("Thanks", "Thanks", False),
    ],
)
def test_rephrased_requests_are_recognised(a: str, b: str, same: bool) -> None:
    assert is_rephrased(profile_of(a), profile_of(b)) is same


def test_similarities_are_in_bounds() -> None:
    assert cosine(profile_of("red fox"), profile_of("foxes, red")) == pytest.approx(1.0)
    assert cosine(profile_of("red fox"), profile_of("")) == 0.0
    assert edit_similarity("", "") == edit_similarity("Hi  there", "hi there") == 1.0
    assert edit_similarity("abc", "xyz") == 0.0
