"""Hostile repetition: the time that a message takes grows with its length, not with its square."""

from __future__ import annotations

import time

import pytest

from telic.assistants.drafts.actions import action_items
from telic.assistants.drafts.letter import parse_letter
from telic.assistants.mail import Address, MailMessage
from telic.assistants.mail.nature import nature_of


@pytest.mark.parametrize(
    "unit",
    ["please ", "by Friday ", "[→", "→", "Hi ", "a. ", " . x", "1) ", "!", "\n", "- a\n", "you ", "two things ", "http://x ", "Thanks\n", "Best "],
)  # fmt: skip
def test_hostile_repetition_takes_no_time(unit: str) -> None:
    text = unit * (30_000 // len(unit))
    begun = time.process_time()
    action_items(text)
    parse_letter(text)
    nature_of(MailMessage("1", Address(unit, "a@b.example"), subject=text[:400], text=text))
    assert time.process_time() - begun < 20  # minutes, if a pattern backtracks
