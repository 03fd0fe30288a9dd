"""The folder of drafts, an mbox, and a real IMAP server: nothing twice, nothing overwritten, nothing sent."""

from __future__ import annotations

import mailbox
from pathlib import Path

import pytest
from imap_tools import MailBoxUnencrypted

from telic.assistants.drafts import DraftDesk, DraftsConfig, Learner
from telic.errors import DataError
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
