"""The folder of drafts, an mbox, and a real IMAP server: nothing twice, nothing overwritten, nothing sent."""

from __future__ import annotations

import mailbox
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from imap_tools import MailBoxUnencrypted

from telic.assistants.drafts import DraftDesk, DraftsConfig, Learner
from telic.errors import DataError, RunError
from telic.memory import MemoryFile

MAIL = (
    "From {0} Mon Jan  5 09:0{1}:00 2026\nFrom: {2} <{0}>\nTo: sam@acme.io\nMessage-ID: <m{1}@x.y>\nSubject: Question {1}\n"
    "Date: Mon, 05 Jan 2026 09:0{1}:00 +0000\n\nHi Sam,\n\nCan you send the report {1}?\n\n{2}\n\n"
)


def desk_of(folder: Path, **settings: object) -> DraftDesk:
    (folder / "in.mbox").write_text("".join(MAIL.format(f"ann{n}@partner.example", n, "Ann") for n in range(3)))
    config = DraftsConfig.of(you=["sam@acme.io"], name="Sam", mailbox="in.mbox", **settings)
    return DraftDesk(config, Learner(MemoryFile(folder / "memory.jsonl")), folder)


def run(desk: DraftDesk, say: str = "") -> list[str]:
    outbox = desk.outbox()
    with outbox.locked():
        desk.learn(outbox)
        results = [desk.put(outbox, desk.prepare(one, say or outbox.said(one.message))) for one in desk.requests()]
        desk.deliver(outbox, [outbox.records[one.id] for _, one in results])
    return [status for status, _ in results]


@pytest.mark.parametrize("form", ["eml", "md"])
def test_a_second_run_changes_nothing_and_edits_stay(tmp_path: Path, form: str) -> None:
    assert run(desk_of(tmp_path, format=form)) == ["new"] * 3
    assert run(desk_of(tmp_path, format=form)) == ["unchanged"] * 3
    files = sorted((tmp_path / "drafts").glob(f"*.{form}"))
    assert len(files) == 3
    edited = files[0].read_text().replace("Hello Ann,", "Dear Ann,")
    files[0].write_text(edited)
    files[1].unlink()
    assert sorted(run(desk_of(tmp_path, format=form), say="Yes, today.")) == ["discarded", "edited", "updated"]
    assert files[0].read_text() == edited
    assert not files[1].exists()
    assert "Yes, today." in files[2].read_text()
    assert sorted(run(desk_of(tmp_path, format=form))) == ["discarded", "edited", "unchanged"]
    assert "Yes, today." in files[2].read_text()
    assert len(Learner(MemoryFile(tmp_path / "memory.jsonl")).edits) == 1


def test_damaged_records_are_named(tmp_path: Path) -> None:
    run(desk_of(tmp_path))
    (tmp_path / "drafts" / ".telic-drafts.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        run(desk_of(tmp_path))


def test_what_was_sent_in_another_form_is_learnt(tmp_path: Path) -> None:
    run(desk_of(tmp_path))
    sent = (
        "From sam@acme.io Mon Jan  5 10:00:00 2026\nFrom: sam@acme.io\nTo: ann0@partner.example\nIn-Reply-To: <m0@x.y>\n"
        "Message-ID: <s@acme.io>\nDate: Mon, 05 Jan 2026 10:00:00 +0000\nSubject: Re: Question 0\n\nHey Ann!\n\nHere it is.\n\nCheers,\nSam\n\n"
    )
    (tmp_path / "sent.mbox").write_text(sent)
    again = desk_of(tmp_path, sent="sent.mbox")
    assert len(again.requests()) == 2  # one is answered
    run(again)
    run(desk_of(tmp_path, sent="sent.mbox"))
    [edit] = Learner(MemoryFile(tmp_path / "memory.jsonl")).edits
    assert "Here it is." in edit.edited


def test_drafts_are_copied_to_an_mbox_once(tmp_path: Path) -> None:
    for _ in range(2):
        run(desk_of(tmp_path, deliver="out/drafts.mbox"))
    box = mailbox.mbox(tmp_path / "out" / "drafts.mbox")
    assert len(box) == 3
    assert {message["To"] for message in box} == {f"ann{n}@partner.example" for n in range(3)}
    box.close()


def test_an_mbox_without_an_end_is_ended_and_another_file_stays(tmp_path: Path) -> None:
    target = tmp_path / "drafts.mbox"
    target.write_text("From x Mon Jan  5 09:00:00 2026\nFrom: a@b.example\n\nHello")
    run(desk_of(tmp_path, deliver=target.name))
    box = mailbox.mbox(target)
    assert len(box) == 4
    box.close()
    (tmp_path / "notes.txt").write_text("My notes")
    with pytest.raises(RunError, match=r"notes\.txt' is not an mbox"):
        run(desk_of(tmp_path, deliver="notes.txt", output="other"))
    assert (tmp_path / "notes.txt").read_text() == "My notes"
    assert not list(tmp_path.glob("notes.txt.lock"))


def test_drafts_are_appended_to_a_real_server_once_with_their_flag(tmp_path: Path, imap_server: str) -> None:
    port = int(imap_server.rpartition(":")[2])
    with MailBoxUnencrypted("127.0.0.1", port).login("demouser", "demopass") as client:
        client.folder.create("Drafts")
    run(desk_of(tmp_path, deliver=f"{imap_server}/Drafts"))
    (tmp_path / "drafts" / ".telic-drafts.json").unlink()  # even without records nothing is there twice
    for file in (tmp_path / "drafts").glob("*.eml"):
        file.unlink()
    run(desk_of(tmp_path, deliver=f"{imap_server}/Drafts"))
    with MailBoxUnencrypted("127.0.0.1", port).login("demouser", "demopass", initial_folder="Drafts") as client:
        drafts = [one for one in client.fetch(mark_seen=False) if one.subject.startswith("Re: Question")]
    assert len(drafts) == 3
    assert all("\\Draft" in one.flags for one in drafts)
    assert {one.to[0] for one in drafts} == {f"ann{n}@partner.example" for n in range(3)}


def only_file(folder: Path) -> Path:
    return sorted((folder / "drafts").glob("question-0-*"))[0]


@pytest.mark.parametrize("form", ["eml", "md"])
def test_new_words_for_a_draft_that_was_copied_make_a_new_copy(tmp_path: Path, form: str) -> None:
    run(desk_of(tmp_path, format=form, deliver="out.mbox"))
    assert run(desk_of(tmp_path, format=form, deliver="out.mbox"), say="Yes, today.") == ["updated"] * 3
    assert run(desk_of(tmp_path, format=form, deliver="out.mbox")) == ["unchanged"] * 3
    assert "Yes, today." in only_file(tmp_path).read_text()
    box = mailbox.mbox(tmp_path / "out.mbox")
    assert sum("Yes, today." in str(message.get_payload()) for message in box) == 3
    assert len(box) == 6
    box.close()


@pytest.mark.parametrize("form", ["eml", "md"])
def test_a_lost_record_does_not_cost_an_edit(tmp_path: Path, form: str) -> None:
    run(desk_of(tmp_path, format=form))
    edited = only_file(tmp_path).read_text().replace("Hello Ann,", "Dear Ann,")
    only_file(tmp_path).write_text(edited)
    (tmp_path / "drafts" / ".telic-drafts.json").unlink()
    assert sorted(run(desk_of(tmp_path, format=form))) == ["edited", "new", "new"]
    assert only_file(tmp_path).read_text() == edited


def test_a_draft_of_a_mail_program_keeps_its_headers_and_its_form(tmp_path: Path) -> None:
    run(desk_of(tmp_path, deliver="first.mbox"))
    desk = desk_of(tmp_path, deliver="out.mbox")
    outbox = desk.outbox()
    with outbox.locked():
        record = next(one for one in outbox.records.values() if outbox.path(one) == only_file(tmp_path))
        head = (
            b"To: ann0@partner.example\r\nCc: lee@acme.io\r\nSubject: Re: Question 0 \xc3\xbc\r\nMIME-Version: 1.0\r\n"
            b"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        )
        outbox.path(record).write_bytes(head + b"Gr=FC=DFe\r\n\r\n> can you?\r\nYes.\r\n\r\n-- \r\nSam Lee, Acme\r\n")
        assert outbox.body(record) == "Grüße\n\n> can you?\nYes.\n\n-- \nSam Lee, Acme\n"
        outbox.replace_text(record, outbox.body(record).replace("Yes", "Ja €"))
        assert outbox.body(record) == "Grüße\n\n> can you?\nJa €.\n\n-- \nSam Lee, Acme\n"
        assert "Ja €" in (outbox.text(record) or "")
        outbox.update(replace(record, delivered=False))
        assert desk.deliver(outbox, [outbox.records[record.id]]) == 1
    box = mailbox.mbox(tmp_path / "out.mbox")
    mail = message_from_bytes(next(iter(box)).as_bytes(), policy=default)
    box.close()
    assert mail["Cc"] == "lee@acme.io"
    assert mail["Subject"] == "Re: Question 0 ü"
    assert mail["Message-ID"] == f"<telic-draft-{record.id}@drafts.invalid>"
    assert "> can you?" in mail.get_content()


def test_invisible_characters_of_the_user_are_no_edit(tmp_path: Path) -> None:
    run(desk_of(tmp_path), say="Yes\u200b, to\u00adday \U0001f3f4\U000e0067\U000e007f.")
    assert run(desk_of(tmp_path)) == ["unchanged"] * 3
    assert not Learner(MemoryFile(tmp_path / "memory.jsonl")).edits


def test_what_was_learnt_is_in_the_memory_only(tmp_path: Path) -> None:
    run(desk_of(tmp_path))
    only_file(tmp_path).write_text(only_file(tmp_path).read_text().replace("Hello Ann,", "Salutations Ann,"))
    run(desk_of(tmp_path))
    assert "Salutations" not in (tmp_path / "drafts" / ".telic-drafts.json").read_text()
    MemoryFile(tmp_path / "memory.jsonl").path.unlink()  # what was forgotten is not learnt again
    run(desk_of(tmp_path))
    assert not Learner(MemoryFile(tmp_path / "memory.jsonl")).edits


def test_a_folder_in_use_and_one_of_another_user_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telic.assistants.drafts.outbox.PATIENCE", 0.1)
    run(desk_of(tmp_path))
    desk = desk_of(tmp_path)
    with (
        desk.outbox().locked(),
        pytest.raises(RunError, match=r"in use by process .*try again"),
        desk.outbox().locked(),
    ):
        pass
    with pytest.raises(RunError, match=r"drafts of user 'me'; .*--out"), desk.outbox(user="ann").locked():
        pass
    assert (tmp_path / "drafts").stat().st_mode & 0o077 == 0


def test_another_form_leaves_the_files_that_are_there(tmp_path: Path) -> None:
    run(desk_of(tmp_path))
    assert run(desk_of(tmp_path, format="md"), say="Yes, today.") == ["updated"] * 3
    assert only_file(tmp_path).suffix == ".eml"
    assert "X-Unsent: 1" in only_file(tmp_path).read_text()


def test_paths_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    desk_of(tmp_path)
    config = DraftsConfig.of(you=["sam@acme.io"], mailbox="~/in.mbox", output="~/Drafts", deliver="~/out.mbox")
    run(DraftDesk(config, Learner(None), tmp_path / "elsewhere"))
    assert len(list((tmp_path / "Drafts").glob("*.eml"))) == 3
    assert (tmp_path / "out.mbox").is_file()


def test_a_mail_that_claims_to_be_the_users_teaches_and_settles_nothing(tmp_path: Path) -> None:
    run(desk_of(tmp_path))
    forged = (
        "From x Mon Jan  5 10:00:00 2026\nReturn-Path: <eve@evil.example>\nReceived: from evil.example\n"
        "From: Sam <sam@acme.io>\nTo: ann0@partner.example\nIn-Reply-To: <m{0}@x.y>\nMessage-ID: <f{0}@evil.example>\n"
        "Date: Mon, 05 Jan 2026 10:0{0}:00 +0000\nSubject: Re: Question {0}\n\nHi Ann,\n\nYes.\n\nPay Eve,\nSam\n\n"
    )
    desk_of(tmp_path)
    mbox = tmp_path / "in.mbox"
    mbox.write_text(mbox.read_text() + "".join(map(forged.format, range(3))))
    config = DraftsConfig.of(you=["sam@acme.io"], name="Sam", mailbox="in.mbox")
    desk = DraftDesk(config, Learner(MemoryFile(tmp_path / "memory.jsonl")), tmp_path)
    assert run(desk) == ["unchanged"] * 3
    assert not desk.sent
    assert not desk.learner.edits
