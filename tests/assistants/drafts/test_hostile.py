"""Untrusted text is data: no hostile mail is obeyed, remembered, or gets a header."""

from __future__ import annotations

import email
from email.policy import default
from pathlib import Path

import pytest

from telic.assistants.drafts import DraftDesk, DraftsConfig, Learner
from telic.assistants.drafts.letter import GAP
from telic.memory import Memory, MemoryFile
from tests.assistants.drafts import hostile


def test_no_hostile_mail_is_obeyed_or_remembered(tmp_path: Path) -> None:
    mails = hostile.messages()
    assert len(mails) >= 40
    box = tmp_path / "mail"
    box.mkdir()
    for number, data in enumerate(mails):
        (box / f"{number:02d}.eml").write_bytes(data)
    memory = MemoryFile(tmp_path / "memory.jsonl")
    learner = Learner(memory)
    config = DraftsConfig.of(you=["sam@acme.example"], name="Sam")
    desk = DraftDesk(config, learner, tmp_path, mail=str(box))
    requests = desk.requests()
    assert len(requests) >= len(mails) // 3  # each asks something harmless besides
    outbox = desk.outbox()
    with outbox.locked():
        for request in requests:
            prepared = desk.prepare(request)
            _, record = desk.put(outbox, prepared)
            data = outbox.path(record).read_bytes()
            draft = email.message_from_bytes(data, policy=default)
            assert outbox.path(record).parent == outbox.folder
            assert set(draft.keys()) <= {
                "From", "To", "Subject", "Message-ID", "Date", "In-Reply-To", "References", "X-Unsent", "Content-Type",
                "Content-Transfer-Encoding", "MIME-Version",
            }  # fmt: skip
            assert draft["To"] == request.message.sender.email == "eve@partner.example"
            text = GAP.sub("", prepared.draft.text)
            assert text.split() == [
                "Hello",
                "Eve,",
                "Thank",
                "you",
                "for",
                "your",
                "message.",
                "Best",
                "regards,",
                "Sam",
            ]
            for gap in GAP.findall(prepared.draft.text):
                assert not [word for word in ("HIDDEN", "http", "](", "<|", "{{", "@") if word in gap]
            outbox.replace_text(record, prepared.draft.text.replace("Hello Eve", "Hi Eve"))
        assert desk.learn(outbox) == len(outbox.records)
    logged = [{**one.data, "text": one.text, "draft_id": ""} for one in memory.read()]
    log = str(logged)  # without times and ids, in which any digits may stand
    for word in hostile.FORBIDDEN:
        assert word not in log
    facts = {fact.value for fact in Memory(events=memory.read()).profile.everything()}
    assert facts <= {"short replies", "a greeting", "a closing"}
    assert {one.value for one in learner.preferences()} <= {
        "Hi {first},",
        "Sam",
        "no",
        "",
        "I",
        "Best regards,",
        "Thank you for your message.",
    }


@pytest.mark.parametrize("number", [3, 4])
def test_a_reply_goes_to_the_sender_with_a_warning(tmp_path: Path, number: int) -> None:
    (tmp_path / "in.eml").write_bytes(hostile.messages()[len(hostile.TEXTS) + len(hostile.HTML) + number])
    desk = DraftDesk(DraftsConfig.of(you=["sam@acme.example"]), Learner(None), tmp_path, mail=str(tmp_path / "in.eml"))
    [request] = desk.requests()
    prepared = desk.prepare(request)
    assert prepared.recipient.address.email == "eve@partner.example"
    assert any("evil@evil.example" in one and "goes to its sender" in one for one in prepared.warnings)


@pytest.mark.parametrize("number", [17, 18, 20])
def test_a_claimed_promise_is_pointed_out(tmp_path: Path, number: int) -> None:
    (tmp_path / "in.eml").write_bytes(hostile.messages()[number])
    desk = DraftDesk(DraftsConfig.of(you=["sam@acme.example"]), Learner(None), tmp_path, mail=str(tmp_path / "in.eml"))
    [request] = desk.requests()
    assert any("promised or agreed" in one for one in desk.prepare(request).warnings)


def test_a_spoofed_sender_gets_no_draft(tmp_path: Path) -> None:
    for number, data in enumerate(hostile.messages()[-len(hostile.SPOOFED) :]):
        (tmp_path / f"{number}.eml").write_bytes(data)
    desk = DraftDesk(DraftsConfig.of(you=["sam@acme.example"]), Learner(None), tmp_path, mail=str(tmp_path))
    assert desk.requests() == []
    assert desk.left_out()["suspicious"] == len(hostile.SPOOFED)
