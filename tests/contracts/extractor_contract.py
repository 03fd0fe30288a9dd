"""Tests that every extractor passes: a test class inherits `ExtractorContract` and overrides its class variables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.memory import MemoryConfig, MemoryEvent
from telic.memory.events import EventKind, Speaker
from telic.memory.extractors.base import Extractor, extract_claims, registry

__all__ = ["ExtractorContract", "event"]


def event(text: str, kind: EventKind = "message", speaker: Speaker = "user", **data: Any) -> MemoryEvent:
    return MemoryEvent("e1", 1000.0, kind, "c1", speaker, text, data)


class ExtractorContract:
    """The tests."""

    name: ClassVar[str]
    """The extractor's name in the registry."""
    telling: ClassVar[MemoryEvent]
    """An event that it reads at least one claim off."""
    copies: ClassVar[bool] = True
    """Whether the values are copies of the event's text."""

    def make(self) -> Extractor:
        return registry.get(self.name)(MemoryConfig.of(slots=("budget", "home airport")))

    def test_it_reads_claims_with_their_evidence(self) -> None:
        extractor = self.make()
        claims = list(extractor.extract(self.telling))
        assert claims
        for claim in claims:
            assert claim.extractor == extractor.name
            assert claim.time == self.telling.time
            assert claim.value.strip()
            if self.copies:
                span = claim.evidence
                assert span.event == self.telling.id
                assert self.telling.text[span.start : span.end] == claim.value

    def test_it_is_a_function_of_the_event(self) -> None:
        assert list(self.make().extract(self.telling)) == list(self.make().extract(self.telling))

    @pytest.mark.parametrize("speaker", [one for one in get_args(Speaker) if one != "user"])
    def test_what_others_say_is_never_read(self, speaker: Speaker) -> None:
        claims, failures = extract_claims([self.make()], replace(self.telling, speaker=speaker))
        assert (claims, failures) == ([], [])

    def test_what_was_forgotten_is_not_read(self) -> None:
        assert extract_claims([self.make()], self.telling.without_text()) == ([], [])

    def test_other_kinds_of_events_say_nothing_to_it(self) -> None:
        for kind in set(get_args(EventKind)) - {self.telling.kind}:
            assert list(self.make().extract(replace(self.telling, kind=kind))) == []

    def test_it_takes_any_text(self) -> None:
        extractor = self.make()

        @settings(max_examples=30)
        @given(text=st.text(max_size=200))
        def check(text: str) -> None:
            claims, failures = extract_claims([extractor], replace(self.telling, text=text))
            assert failures == []
            if self.copies:
                assert all(text[claim.evidence.start : claim.evidence.end] == claim.value for claim in claims)

        check()
