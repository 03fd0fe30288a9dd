"""Masking of exports: what is found, what is left alone, and that users keep one name."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from telic.errors import ConfigError, MissingExtraError
from telic.feedback import LabelledEpisodes, LogFile, write_export
from telic.feedback.exports import ExportFormat
from telic.feedback.masking import PatternMasker, make_masker


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to ann.lee+x@mail.example.org, please.", "Write to <EMAIL>, please."),
        ("Call +44 20 7946 0958 or (030) 901820-15.", "Call <PHONE> or <PHONE>."),
        ("My number is 07700900123", "My number is <PHONE>"),
        ("Card 4111 1111 1111 1111, thanks", "Card <CARD>, thanks"),
        ("Pay to DE89 3704 0044 0532 0130 00 today", "Pay to <IBAN> today"),
        ("GB29NWBK60161331926819.", "<IBAN>."),
        ("from 192.168.17.4", "from <IP>"),
        ("see https://shop.example/order?id=7&mail=x", "see <URL>"),
    ],
)
def test_personal_data_is_found(text: str, masked: str) -> None:
    assert PatternMasker()(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "On 2026-11-28 it costs 1,250.50 for 2 adults.",
        "Flight 4711 leaves at 10:45 from gate 12.",
        "Order 4111111111111112 is no card.",  # wrong check digit, and too long for a phone
        "DE00ABCD37040044 is no account.",  # wrong check digits
        "Version 1.2.3 of the file 20261128.",
        "https://example.org/help",
        "5551234",
    ],
)
def test_other_numbers_are_left_alone(text: str) -> None:
    assert PatternMasker()(text) == text


def test_an_export_is_masked_and_users_keep_one_name(tmp_path: Path) -> None:
    logs = tmp_path / "logs.jsonl"
    said = ["My mail is ann@example.org", "Noted: ann@example.org.", "Great, thank you! Bye, ann@example.org"]
    roles = ("user", "assistant", "user")
    messages = [{"role": role, "content": text} for role, text in zip(roles, said, strict=True)]
    rows = [
        {"id": f"c{n}", "user": user, "messages": messages} for n, user in enumerate(("ann@example.org", "bob") * 2)
    ]
    logs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    labelled = LabelledEpisodes(LogFile(logs))
    forms: tuple[ExportFormat, ...] = ("kto", "episodes")
    for form in forms:
        out = tmp_path / f"{form}.jsonl"
        write_export(form, labelled, out, PatternMasker())
        assert "example.org" not in out.read_text()
        assert "<EMAIL>" in out.read_text()
    episodes = [json.loads(line) for line in (tmp_path / "episodes.jsonl").read_text().splitlines()]
    users = [one["metadata"]["user"] for one in episodes]
    assert users[0] == users[2] != users[1]
    assert "bob" not in users
    assert [one["id"] for one in episodes] == [one.id for one in labelled], "ids stay, so that deletion can reach them"


def test_a_masker_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'patterns'"):
        make_masker("pattern")
    if importlib.util.find_spec("presidio_analyzer") is None:
        with pytest.raises(MissingExtraError, match="the extra 'privacy'"):
            make_masker("presidio")
