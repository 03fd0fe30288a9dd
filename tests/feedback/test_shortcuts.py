"""What makes labelling fast changes no label: each shortcut against the plain way."""

from __future__ import annotations

import gc
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.feedback_corpora import task_dialogues
from telic.episodes import Episode, Turn
from telic.feedback import Labeller
from telic.feedback.conversation import LONGEST, Conversation
from telic.feedback.cues import cues_among, cues_of
from telic.feedback.parallel import seldom_collecting
from telic.feedback.similarity import profile_of
from tests.feedback.dialogues import talk

SOURCES = ("praise", "acceptance", "rejection", "complaint", "correction", "clarification", "content")
WORDS = (
    "Thanks", "don't", "don’t", "rock'n'roll", "'tis", "“quoted booking”", '"a film"', "```code blocks```", "`", "ß",
    "wrong", "useless", "BOOKED", "booking", "bookings", "the", "a", "x_y", "naïve", "42", "ok.", "I", "no", "sorry",
    "what do you mean", "that's not what I asked", "great", "\n", "İstanbul", "it''s", "?",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join) | st.text(max_size=40)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_the_words_of_a_text_are_read_once_for_everything(text: str) -> None:
    found = talk(text, "Yes.").profiles[0]
    plain = profile_of(text[:LONGEST])
    assert list(found.counts.items()) == list(plain.counts.items())
    assert found.norm == plain.norm


def test_words_of_long_texts_are_cut_off_alike() -> None:
    text = "booking " * 400
    assert talk(text, "Yes.").profiles[0] == profile_of(text[:LONGEST])


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_no_cue_is_missed_by_looking_for_its_words_first(text: str) -> None:
    conversation = talk("Hello", "Hello!", text)
    for source in SOURCES:
        plain = [cue.name for cue in cues_of(source) if cue.find(conversation, 2)]
        found = [cue.name for cue in cues_among(source, conversation.words[2]) if cue.find(conversation, 2)]
        assert found == plain


def test_every_cue_can_be_found_by_each_of_its_words() -> None:
    for source in SOURCES:
        for number, cue in enumerate(cues_of(source)):
            assert all(cue in cues_among(source, frozenset({word})) for word in cue.words), (source, number)
    assert cues_among("praise", frozenset({"zebra"})) == []


def test_labelled_episodes_are_valid_and_the_originals_untouched() -> None:
    for one in task_dialogues("tuning")[:20]:
        before = one.episode.model_dump_json()
        labelled = Labeller(now=2e9).label(one.episode)
        checked = Episode.model_validate_json(labelled.model_dump_json())
        assert checked == Episode.model_validate(labelled.model_dump())
        assert checked.model_dump() == labelled.model_dump()
        assert one.episode.model_dump_json() == before
        for turn in labelled.turns:
            assert Turn.model_validate(turn.model_dump()) == turn


def test_counts_are_those_of_a_counter() -> None:
    found = Conversation(talk("Book a booking, books and cheap books", "Yes.").episode).profiles[0].counts
    assert found == Counter({"book": 4, "cheap": 1})


def test_the_garbage_collector_is_set_back() -> None:
    usual = gc.get_threshold()
    inside = []

    def fail() -> None:
        with seldom_collecting():
            inside.append(gc.get_threshold())
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fail()
    assert inside[0][0] >= 100_000
    assert gc.get_threshold() == usual
