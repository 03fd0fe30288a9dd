"""Messages to plain text: hidden text, quotations, broken MIME and hostile headers."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.assistants.mail import parse_message
from telic.assistants.mail.html_text import html_to_text
from telic.assistants.mail.quotes import split_quoted

HEAD = b"From: Ann <ann@example.org>\nTo: me@example.org\nSubject: Hi\n"


@pytest.mark.parametrize(
    "hiding",
    [
        '<div style="display: none">SECRET</div>',
        '<p style="font-size:0px">SECRET</p>',
        '<span style="color:#FFF; background: #ffffff">SECRET</span>',
        '<font color="white">SECRET</font>',
        "<div hidden><b>SECRET</b> <i>more</div>",
        "<style>.x, #y { visibility: hidden }</style><p class='a x'>SECRET</p>",
        '<div style="position:absolute;left:-9999px">SECRET</div>',
        '<div style="opacity:0">SECRET</div>',
        '<div style="max-height:0;overflow:hidden">SECRET</div>',
        "<!-- SECRET -->",
        "<script>SECRET</script>",
        "<title>SECRET</title>",
        '<table bgcolor="#000000"><tr><td><font color="#000000">SECRET</font></td></tr></table>',
    ],
)
def test_hidden_text_is_left_out_and_what_follows_stays(hiding: str) -> None:
    text, _ = html_to_text(f"<html><body><p>Before</p>{hiding}<p>After</p></body></html>")
    assert "SECRET" not in text
    assert text.split() == ["Before", "After"]


def test_html_keeps_lists_lines_and_visible_colours() -> None:
    text, hidden = html_to_text(
        '<p>One<br>two</p><ul><li>a<li>b</ul><p style="color:#333;opacity:0.8">See <a href="http://x">it</a></p>'
    )
    assert text == "One\ntwo\n- a\n- b\n\nSee it"
    assert hidden == 0


def test_invisible_characters_are_left_out_and_reported() -> None:
    data = HEAD + "Content-Type: text/plain; charset=utf-8\n\nPay\u200b me\u202e now\U000e0041\U000e0042".encode()
    message = parse_message(data)
    assert message.text == "Pay me now"
    assert message.problems == ("4 characters of hidden text were left out",)


def test_headers_stay_on_one_line_and_names_prove_nothing() -> None:
    data = (
        b'From: "boss@company.example" <thief@evil.example>\nReply-To: other@evil.example\n'
        b"Subject: =?utf-8?q?Hi=0aBcc:_x@y.example?=\n\nText"
    )
    message = parse_message(data)
    assert message.subject == "Hi Bcc: x@y.example" or "\n" not in message.subject
    assert message.sender.email == "thief@evil.example"
    assert message.sender.is_spoofed
    assert message.redirects_replies
    assert message.reply_address.email == "thief@evil.example"


def test_an_encoded_word_cannot_smuggle_an_address() -> None:
    message = parse_message(b"From: =?utf-8?q?Boss_=3Cboss=40company.example=3E?= <thief@evil.example>\n\nText")
    assert message.sender.email == "thief@evil.example"
    assert message.sender.is_spoofed


@pytest.mark.parametrize(
    ("text", "own", "quoted"),
    [
        ("Yes.\n\nOn Mon, 5 May 2026, Ann <a@b.c> wrote:\n> Coming?\n> Ann", "Yes.", "Coming?"),
        ("Yes.\n\nOn Mon, 5 May 2026 at 10:00, Ann\n<a@b.c> wrote:\n\n> Coming?", "Yes.", "Coming?"),
        ("Ja.\n\nAm 05.05.2026 um 10:00 schrieb Ann:\n> Kommst du?", "Ja.", "Kommst du?"),
        ("Yes.\n\nFrom: Ann <a@b.c>\nSent: Monday\nTo: Me\nSubject: Hi\n\nComing?", "Yes.", "Coming?"),
        ("FYI\n\n-----Original Message-----\nFrom: Ann\n\nComing?", "FYI", "Coming?"),
        ("On Mon, 5 May 2026, Ann wrote:\n> Coming?\nYes!\n> When?\nAt ten.", "Yes!\nAt ten.", "When?"),
        ("From: here to there.\nOn my way I wrote: x", "From: here to there.\nOn my way I wrote: x", ""),
        ("Thanks\n-- \nAnn, Head of It", "Thanks", ""),
    ],
)  # fmt: skip
def test_quotations_are_split_off(text: str, own: str, quoted: str) -> None:
    found = split_quoted(text)
    assert found[0] == own
    assert quoted in found[1]


@pytest.mark.parametrize("unit", ["On ", "\n", ">", " ", "From: a\n", "On x\nwrote:", "_", "-", "> > ", "wrote: "])
def test_hostile_repetition_takes_no_time(unit: str) -> None:
    text = unit * (100_000 // len(unit))
    start = time.process_time()
    split_quoted(text)
    html_to_text(text + f"<p style='{unit * 1000}'>" * 10)
    assert time.process_time() - start < 20  # minutes, if a pattern backtracks


def test_broken_mime_is_a_problem_of_the_message_only() -> None:
    for data in (
        b"", b"\n\n", b"\xff\xfe\x00", HEAD + b"Content-Type: multipart/mixed; boundary=x\n\n--x\n--x--",
        HEAD + b"Content-Type: text/plain; charset=nonsense-9\n\nCaf\xe9",
        HEAD + b"Content-Transfer-Encoding: base64\n\n!!!not base64",
        HEAD + b"Content-Type: message/rfc822\n\n" * 200 + b"x",
        b"From: =?utf-8?b?////?= <<>>\nDate: yesterday\nMessage-ID: none\n\nText",
        b"Date: Mon, 99 Foo 99999999 99:99:99 +9999\nFrom: ,,,,\n\nText",
    ):  # fmt: skip
        assert isinstance(parse_message(data).text, str)
    assert parse_message(HEAD + b"Content-Type: text/plain; charset=nonsense-9\n\nCaf\xe9").text.startswith("Caf")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_stop_the_reading(data: bytes) -> None:
    message = parse_message(HEAD + b"Content-Type: text/html\n" + data)
    assert "\n" not in message.subject


def test_plain_text_beside_html_is_preferred_and_attachments_are_named() -> None:
    data = HEAD + (
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: multipart/alternative; boundary=b\n\n"
        b"--b\nContent-Type: text/plain\n\nPlain\n--b\nContent-Type: text/html\n\n<p>Rich</p>\n--b--\n"
        b"--a\nContent-Type: application/pdf\nContent-Disposition: attachment; filename=plan.pdf\n\nx\n--a--\n"
    )
    message = parse_message(data)
    assert message.text == "Plain"
    assert message.attachments == ("plan.pdf",)


def test_only_labels_above_the_trace_of_the_delivery_are_the_users() -> None:
    trace, label = "Return-Path: <a@b.example>\nReceived: from b.example\n", "X-Gmail-Labels: boss\nX-Keywords: boss\n"
    forged = parse_message(f"{trace}From: a@b.example\n{label}\nHi".encode())
    assert not {"x-gmail-labels", "x-keywords"} & set(forged.headers)
    assert parse_message(f"{label}{trace}From: a@b.example\n\nHi".encode()).headers["x-gmail-labels"] == "boss"
    assert forged.was_delivered
    assert not parse_message(b"From: a@b.example\n\nHi").was_delivered
