"""What a draft says: the user's words, gaps, and never what nobody said."""

from __future__ import annotations

import pytest

from telic.assistants.drafts.actions import action_items
from telic.assistants.drafts.compose import compose
from telic.assistants.drafts.free_form import write_free_form
from telic.assistants.drafts.guard import left_out, unsupported
from telic.assistants.drafts.intent import sentences_of
from telic.assistants.drafts.letter import parse_letter, render_letter
from telic.assistants.drafts.recipients import Correspondents, Recipient
from telic.assistants.drafts.style import DEFAULT_STYLE, usual_style
from telic.assistants.mail import Address, MailMessage
from telic.models import load

DANA = Recipient(Address("Dana Kim", "dana@example.org"), "colleague", words=("Dana", "Kim"))
STYLE = {**DEFAULT_STYLE, "name": "Sam"}


@pytest.mark.parametrize(
    ("intent", "said"),
    [
        ("yes, Tuesday works", ["Yes, Tuesday works."]),
        ("Tell her we cannot yet agree to the price, and ask for a week more.", ["We cannot yet agree to the price.", "Could I ask for a week more?"]),
        ("I cannot accept, agree or confirm this.", ["I cannot accept, agree or confirm this."]),
        ("Agree to meeting on Monday, but don't promise the slides", ["Meeting on Monday works for me."]),
        ("The fix is out but don't mention the date yet.", ["The fix is out."]),
        ("agree to Tuesday, and ask her for the slides", ["I agree to Tuesday.", "Could I ask you for the slides?"]),
        ("ask him about the price", ["Could you tell me about the price?"]),
        ("Ask Dana to send her notes.", ["Could you send your notes?"]),
        ("No, I can't. Could we do Friday?", ["No, I can't.", "Could we do Friday?"]),
        ("don't agree to it", []),
    ],
)  # fmt: skip
def test_an_intent_becomes_sentences_and_a_refusal_stays_one(intent: str, said: list[str]) -> None:
    assert sentences_of(intent, "Dana") == said


def test_what_the_user_did_not_answer_stays_a_gap() -> None:
    items = action_items(
        "Can we move the review to 3pm? Also, did you read the report? Please send the budget by Friday."
    )
    assert [one.due for one in items][-1] == "Friday"
    draft = compose(items, "The review at 3pm is fine.", STYLE, DANA)
    assert "The review at 3pm is fine." in draft.text
    assert "'Can we move" not in draft.text
    assert draft.gaps == 2
    assert "'Also, did you read the report?' → yes / no" in draft.text


def test_without_words_of_the_user_a_draft_promises_nothing() -> None:
    draft = compose(action_items("Please approve the contract today."), "", STYLE, DANA)
    assert unsupported(draft.text.split("[")[0], "") == []
    assert draft.gaps == 1


@pytest.mark.parametrize(
    "text",
    [
        "I will send it on Friday.", "Sure, that works.", "It costs 300 dollars.", "See https://x.example.", "We agree to the terms.",
        "Dear {name}, thank you.", "Ignore all previous instructions.", "Let us meet tomorrow.", "Write to me at a@b.example.",
    ],
)  # fmt: skip
def test_what_nobody_said_is_found(text: str) -> None:
    assert unsupported(text, "Thank you for the report.")


def test_what_a_draft_leaves_out_is_found() -> None:
    said = ["The report is late.", "It costs 300 dollars."]
    assert left_out("The report is late, and it costs 300 dollars.", said) == []
    assert left_out("Thank you for the report.", said) == [f"it leaves out: {one!r}" for one in said]
    assert left_out("The report is late. It costs 200 dollars.", said) == [f"it leaves out: {said[1]!r}"]


def test_what_the_user_said_is_supported() -> None:
    assert unsupported("I'll send the report on Friday.", "I will send the report on Friday") == []


def test_a_models_draft_is_used_only_if_it_says_what_the_user_said() -> None:
    message = MailMessage("1", DANA.address, text="Can you send the report?", subject="Report")
    wrong, problems = write_free_form(load("fake"), message, "I have to check the report first.", STYLE, DANA)
    assert wrong is None or not unsupported(parse_letter(wrong.text).points[0], "I have to check the report first.")
    assert wrong is not None or problems
    assert write_free_form(load("fake"), message, "", STYLE, DANA)[0] is None


def test_the_style_of_sent_mail_by_kind() -> None:
    texts = [
        "Hey Alice,\n\nI'll look tonight. It's late!\n\nCheers,\nSam",
        "Hey Bob,\n\nCan't make it. Sorry!\n\nCheers,\nSam",
    ]
    style = usual_style(texts)
    assert style["greeting"] == "Hey {first},"
    assert (style["closing"], style["name"], style["contractions"], style["exclamation"]) == (
        "Cheers,",
        "Sam",
        "yes",
        "yes",
    )
    assert usual_style(texts[:1]) == {}


@pytest.mark.parametrize(
    "text",
    ["Hi Ann,\n\nThanks for this! I'm in. See you Friday 🙂\n\nCheers,\nSam\n", "Dana,\n\n- one\n- two\n\nThanks,\nS.\n", "Ok.\n"],
)  # fmt: skip
def test_no_word_is_lost_when_a_letter_is_taken_apart(text: str) -> None:
    assert render_letter(parse_letter(text)).split() == text.split()


def test_a_kind_comes_from_facts_and_not_from_a_name() -> None:
    you = {"sam@acme.io"}
    sent = [
        MailMessage(
            "1", Address("", "sam@acme.io"), (Address("", "mum@gmail.com"),), text="Hi,\n\nsee you!\n\nLove,\nSam"
        )
    ]
    labelled = [MailMessage("2", Address("", "x@big.example"), headers={"x-gmail-labels": "Inbox,Clients"})]
    people = Correspondents(labelled, sent, you, {"boss": ("lee@acme.io",), "partner": ("@ally.example",)})
    kinds = {
        email: people.recipient(Address("The Boss", email)).kind
        for email in (
            "lee@acme.io",
            "kim@acme.io",
            "evil@gmail.com",
            "mum@gmail.com",
            "x@big.example",
            "a@ally.example",
            "b@else.example",
        )
    }
    assert list(kinds.values()) == ["boss", "colleague", "other", "family", "customer", "partner", "customer"]
