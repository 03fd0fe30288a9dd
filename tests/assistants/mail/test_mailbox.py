"""Reading mailboxes of every kind, without changing them."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest
from imap_tools import MailBoxUnencrypted

from telic.assistants.mail import MailLimits, read_mailbox
from telic.errors import ConfigError, DataError


def message(number: int, text: str = "Hello") -> bytes:
    mail = EmailMessage()
    mail["From"], mail["To"] = "Ann <ann@example.org>", "me@example.org"
    mail["Subject"], mail["Message-ID"] = f"Number {number}", f"<{number}@example.org>"
    mail["Date"] = f"Mon, 05 Jan 2026 09:{number:02d}:00 +0000"
    mail.set_content(text)
    return mail.as_bytes()


def mbox(path: Path, *messages: bytes) -> Path:
    path.write_bytes(b"".join(b"From x Mon Jan  5 09:00:00 2026\n" + one + b"\n" for one in messages))
    return path


def test_an_mbox_is_read_oldest_first_and_stays_as_it_is(tmp_path: Path) -> None:
    path = mbox(tmp_path / "in.mbox", message(2), message(1), message(2))
    before = path.read_bytes()
    box = read_mailbox(path)
    assert [one.subject for one in box.messages] == ["Number 1", "Number 2"]
    assert box.duplicates == 1
    assert path.read_bytes() == before


def test_a_line_that_begins_with_from_is_no_new_message(tmp_path: Path) -> None:
    path = mbox(
        tmp_path / "in.mbox", message(1, "Hi\n\nFrom today on we meet at ten.\n>From habit, I wait."), message(2)
    )
    box = read_mailbox(path)
    assert len(box.messages) == 2
    assert "From today on we meet at ten." in box.messages[0].text
    assert "From habit, I wait." in box.messages[0].text


def test_a_maildir_is_read_and_its_messages_stay_new(tmp_path: Path) -> None:
    for name in ("cur", "new", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "new" / "1.host").write_bytes(message(1))
    (tmp_path / "cur" / "2.host:2,S").write_bytes(message(2))
    assert len(read_mailbox(tmp_path).messages) == 2
    assert (tmp_path / "new" / "1.host").exists()


def test_a_folder_of_files_and_a_single_file(tmp_path: Path) -> None:
    (tmp_path / "a.eml").write_bytes(message(1))
    assert read_mailbox(tmp_path).messages == read_mailbox(tmp_path).messages
    assert [one.subject for one in read_mailbox(tmp_path / "a.eml").messages] == ["Number 1"]


def test_limits_keep_the_latest_and_count_the_others(tmp_path: Path) -> None:
    path = mbox(tmp_path / "in.mbox", *map(message, range(1, 6)))
    box = read_mailbox(path, MailLimits(messages=2))
    assert [one.subject for one in box.messages] == ["Number 4", "Number 5"]
    assert box.left_out == 3


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_mbox_has_no_messages(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.mbox").write_bytes(content)
    assert read_mailbox(tmp_path / "in.mbox").messages == ()


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n123", b"Once upon a time.\n", b"\x00" * 50])
def test_what_is_no_mailbox_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.mbox").write_bytes(content)
    with pytest.raises(DataError, match=r"in\.mbox' is not a mailbox"):
        read_mailbox(tmp_path / "in.mbox")


def test_a_missing_mailbox_and_a_folder_of_other_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_mailbox(tmp_path / "none.mbox")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="neither"):
        read_mailbox(tmp_path)


def test_a_folder_on_a_server_is_read_without_a_trace(imap_server: str) -> None:
    def flags() -> list[tuple[str, ...]]:
        with MailBoxUnencrypted("127.0.0.1", port).login("demouser", "demopass") as client:
            return [one.flags for one in client.fetch(mark_seen=False)]

    port = int(imap_server.rpartition(":")[2])
    before = [set(one) - {"\\Recent"} for one in flags()]
    box = read_mailbox(f"{imap_server}/INBOX", MailLimits(messages=3))
    assert len(box.messages) == 3
    assert box.left_out == 1
    assert all(one.sender.email and one.subject for one in box.messages)
    assert [set(one) - {"\\Recent"} for one in flags()] == before


def test_a_servers_refusals_are_errors_with_its_name(imap_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="Nowhere"):
        read_mailbox(f"{imap_server}/Nowhere")
    for password in ("wrong", "pässwörd"):
        monkeypatch.setenv("TELIC_IMAP_PASSWORD", password)
        with pytest.raises(DataError, match="demouser@127"):
            read_mailbox(imap_server)
    monkeypatch.delenv("TELIC_IMAP_PASSWORD")
    with pytest.raises(ConfigError, match="TELIC_IMAP_PASSWORD"):
        read_mailbox(imap_server)


def test_addresses_of_servers_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELIC_IMAP_PASSWORD", "secret")
    with pytest.raises(ConfigError, match="holds a password"):
        read_mailbox("imaps://ann:secret@example.org/INBOX")
    with pytest.raises(ConfigError, match="USER@HOST"):
        read_mailbox("imaps://example.org")
    with pytest.raises(DataError, match="127"):
        read_mailbox("imap://ann@127.0.0.1:1/INBOX")
