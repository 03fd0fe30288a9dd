"""What every detector does, whatever it looks for.

A test class inherits `DetectorContract` and names the detector; `shows` is a conversation in which it finds something.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import pytest

from telic.episodes import Episode, Turn
from telic.feedback.conversation import Conversation
from telic.feedback.detectors import Detector, registry
from tests.feedback.dialogues import dialogue, talk

__all__ = ["DetectorContract"]

STRANGE = (
    dialogue(),
    dialogue("Hello"),
    dialogue("", ""),
    dialogue("Hi", "Hello!", "\0\ud800 İİİ no that's \u202e wrong" * 50, "?", '``` "“'),
    dialogue("a" * 50_000, "b " * 50_000, "no " * 50_000),
    Episode(id="e", kind="served", seed=0, roles={}, turns=[Turn(role="tool", round=1, text="x")]),
    Episode(
        id="e", kind="log", seed=0, roles={"assistant": {}}, turns=[Turn(role="assistant", round=1, text="Hi?")] * 3
    ),
)
"""What users and logs may hold."""


class DetectorContract:
    """The tests. Subclasses set the name, and a conversation in which the detector finds something."""

    name: ClassVar[str]
    shows: ClassVar[Conversation]
    cues: ClassVar[Sequence[str]]
    """What it finds there."""
    sign: ClassVar[int]
    """Of the rewards there."""

    def detector(self) -> Detector:
        return registry.get(self.name)()

    def test_it_finds_its_evidence(self) -> None:
        found = list(self.detector().detect(self.shows))
        assert [one.cue for one in found] == list(self.cues)
        assert all(one.reward * self.sign > 0 for one in found)

    def test_evidence_is_about_a_reply_and_quotes_what_was_said(self) -> None:
        for one in self.detector().detect(self.shows):
            assert self.shows.is_reply(one.turn)
            assert 0.5 < one.confidence < 1
            if one.evidence is not None:
                said = self.shows.turns[one.evidence.turn].text
                assert said[one.evidence.start : one.evidence.end] == one.evidence.text != ""

    def test_it_changes_nothing_and_finds_the_same_again(self) -> None:
        before = self.shows.episode.model_dump_json()
        first = list(self.detector().detect(self.shows))
        assert first == list(self.detector().detect(self.shows))
        assert self.shows.episode.model_dump_json() == before

    def test_it_finds_nothing_in_a_plain_exchange(self) -> None:
        plain = talk("Where is the station?", "Behind the market.", "And the market, where would that be?")
        assert list(self.detector().detect(plain)) == []

    @pytest.mark.parametrize("episode", STRANGE, ids=range(len(STRANGE)))
    def test_it_takes_whatever_users_write(self, episode: Episode) -> None:
        for one in self.detector().detect(Conversation(episode)):
            assert one.turn < len(episode.turns)
