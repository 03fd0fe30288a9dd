"""The words that move a reading are found by leaving them out; nothing else is changed."""

from __future__ import annotations

import numpy as np
import pytest

from telic.dialogue import Dialogue
from telic.errors import ConfigError
from telic.models import LocalModel, Request
from telic.readers import Reader, ReaderSet, read_beliefs
from telic.readers.evidence import NOTHING, Evidence, TextSpan, find_evidence
from telic.readers.recording import record_dialogues
from telic.readers.token_probe import TokenProbe
from telic.steering.saving import Origin
from tests.models import tiny
from tests.models.tiny import SYSTEM

ASKED = "I want to get away in May, please."


def talk(*words: str) -> Dialogue:
    dialogue = Dialogue().with_system(SYSTEM)
    for number, own in enumerate(words):
        dialogue = dialogue.add("user" if number % 2 == 0 else "assistant", own)
    return dialogue


def reader_of_a_word(model: LocalModel, given: Dialogue, without: Dialogue) -> ReaderSet:
    """Make readers whose first class is likely in one dialogue, and unlikely in another."""
    sessions = [model.session(), model.session()]
    for session, dialogue in zip(sessions, (given, without), strict=True):
        session.dialogue = dialogue
    means = [one.features_T_F.mean(0) for one in record_dialogues(sessions, [1])]
    with_F, without_F = means
    weight_F = (with_F - without_F) * 6 / ((with_F - without_F) ** 2).sum()
    weight_C_F = np.stack([weight_F, -weight_F, np.zeros_like(weight_F)]) / 2
    never = np.array([0, 0, -1000], dtype=np.float32)  # unknown
    evenly = np.zeros((1, len(weight_F)), np.float32)
    probe = TokenProbe(evenly, weight_C_F[None], never - weight_C_F @ (with_F + without_F) / 2)
    own = Reader("age", "user", ("child", "adult"), (1,), probe, 1.0, 0.5)
    other = Reader("gender", "user", ("male", "female"), (2,), TokenProbe(evenly, weight_C_F[None], never))
    return ReaderSet((other, own), Origin.of(model))


def test_the_word_that_a_reading_rests_on_is_found() -> None:
    model, given = tiny.local("llama"), talk(ASKED)
    readers = reader_of_a_word(model, given, talk("I want to get away in please."))
    found = find_evidence(model, given, readers, "user_age")
    assert found.label == "child"
    assert found.probability == pytest.approx(0.953, abs=0.01)
    assert [span.text for span in found.spans] == ASKED.split()
    assert all(ASKED[span.start : span.end] == span.text and span.message == 1 for span in found.spans)
    first = found.moved()[0]
    assert first.text == "May,"
    assert first.without == pytest.approx(1 - found.probability, abs=0.01)
    for span in found.spans:  # each is what reading the shorter dialogue gives
        shorter = talk(" ".join(word for word in ASKED.split() if word != span.text))
        [beliefs] = read_beliefs(model, [shorter], readers)
        assert span.without == pytest.approx(beliefs["user_age"].probabilities["child"], abs=1e-4)
    [nothing] = read_beliefs(model, [talk(NOTHING)], readers)
    assert found.without_all == pytest.approx(nothing["user_age"].probabilities["child"], abs=1e-4)


def test_a_session_stays_as_it_is_and_its_tokens_are_not_read_again() -> None:
    model, given = tiny.local("llama"), talk(ASKED, "Where would you like to go?", "Away.")
    readers = reader_of_a_word(model, given, talk(ASKED, "Where would you like to go?", "Never."))
    session = model.session()
    session.dialogue = given
    model.generate([session.request(max_new_tokens=1)])
    asked: list[Request] = []
    answer = model.generate

    counted = 0

    def generate(requests: list[Request], on_reply: object = None) -> object:
        nonlocal counted
        asked.extend(requests)
        replies = answer(requests)
        counted += sum(reply.prompt_tokens - reply.cached_tokens for reply in replies)
        return replies

    model.generate = generate  # type: ignore[method-assign, assignment]
    try:
        find_evidence(model, session, readers, "user_age")
    finally:
        del model.generate
    assert session.dialogue == given
    assert len(asked) == len(ASKED.split()) + 1 + 2, "one prompt for each variant"
    assert counted < 0.9 * sum(len(model.render(request.messages).token_ids) for request in asked)


@pytest.mark.parametrize(
    ("messages", "most", "expected"),
    [
        (["a b", "x", "c"], 24, ["a", "b", "c"]),
        (["a b c. d e f g h i"], 4, ["a b c.", "d e f", "g h i"]),
        (["a b c d", "x", "e f"], 3, ["a b c d", "e", "f"]),
        (["a", "x", "b", "x", "c"], 2, ["b", "c"]),
        (["a b c d e f"], 1, ["a b c d e f"]),
    ],
)
def test_long_messages_are_cut_into_phrases(messages: list[str], most: int, expected: list[str]) -> None:
    model, given = tiny.local("llama"), talk(*messages)
    readers = reader_of_a_word(model, given, talk("else"))
    found = find_evidence(model, given, readers, "user_age", most=most)
    assert [span.text for span in found.spans] == expected


def test_only_words_that_matter_are_evidence_the_most_important_first() -> None:
    shares = {"a": 0.8, "b": 0.3, "c": 0.88}
    spans = tuple(TextSpan(0, at, at + 1, text, share) for at, (text, share) in enumerate(shares.items()))
    assert [span.text for span in Evidence("child", 0.9, 0.2, spans).moved()] == ["b", "a"]
    assert Evidence("child", 0.9, 0.9, spans[2:]).moved() == ()


def test_a_dialogue_without_words_of_the_user_has_none() -> None:
    model = tiny.local("llama")
    readers = reader_of_a_word(model, talk("a"), talk("b"))
    with pytest.raises(ConfigError, match="the user says nothing"):
        find_evidence(model, talk(" "), readers, "user_age")
    with pytest.raises(ConfigError, match="most is 0"):
        find_evidence(model, talk("a"), readers, "user_age", most=0)
