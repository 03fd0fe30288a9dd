"""The page of a conversation shows calls of tools and their results: as text, long ones folded."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from telic.dialogue import Message, ToolCall
from telic.server import ConversationStore
from telic.server.history import History
from telic.server.records import NewTurns, ReplySetup, ToolRecord, TurnRecord
from tests.server.dashboard.conftest import Dashboard, Open, connected
from tests.server.dashboard.server import MARKUP
from tests.server.dashboard.test_looks import PALE, WIDE

CONVERSATION = "70015" + "0" * 27
LONG = f"{MARKUP}\n" * 40


def store(path: Path) -> None:
    """Store a conversation with calls of the purpose's own tools, and of one of the client's."""
    own = ToolCall(id="1", name="find_order", arguments=f'{{"item": "{MARKUP}"}}')
    steps = (
        Message(role="assistant", content="", tool_calls=(own,)),
        Message(role="tool", content=LONG, tool_call_id="1"),
    )
    clients = ToolCall(id="2", name="open_door", arguments="{}")
    said: list[tuple[Message, ToolRecord]] = [
        (Message(role="user", content="Where is my lamp?"), ToolRecord()),
        (Message(role="assistant", content="On its way.", tool_calls=(clients,)),
         ToolRecord(calls=(clients,), steps=steps)),
        (Message(role="tool", content=LONG, tool_call_id="2"), ToolRecord(call_id="2")),
        (Message(role="assistant", content="It is at the door."), ToolRecord()),
    ]  # fmt: skip
    setup = ReplySetup("7" * 64, {"purpose": "travel", "model": "scripted", "system": "", "controls": []})
    digests = History.from_messages("local", [message for message, _ in said]).digests
    turns = [
        TurnRecord(
            message.role, message.content, digest, 1_790_000_000.0 + number,
            setup=setup.digest if message.role == "assistant" else None, tools=tools,
        )
        for number, ((message, tools), digest) in enumerate(zip(said, digests, strict=True))
    ]  # fmt: skip
    with closing(ConversationStore(str(path))) as opened:
        opened.add(NewTurns(CONVERSATION, "local", tuple(turns), setup=setup))


def test_calls_and_results_are_shown_and_do_nothing(remembering: Dashboard, opened: Open, tmp_path: Path) -> None:
    store(remembering.folder / "telic.db")
    page = opened(f"{remembering.url}/dashboard/c/{CONVERSATION}")
    connected(page)
    reply = page.locator(".turn.bot").first
    expect(reply.locator(".step").first).to_have_text(f'→ find_order {{"item": "{MARKUP}"}}')
    expect(reply.locator(".step").last).to_have_text("→ open_door {}")
    folded = reply.locator("details.step")
    expect(folded.locator("p")).to_be_hidden()
    folded.locator("summary").click()
    expect(folded.locator("p")).to_contain_text(MARKUP)
    result = page.locator(".turn.bot").nth(1)
    expect(result.locator("h3")).to_have_text("tool")
    expect(result.locator("details.step summary")).to_contain_text("characters)")
    assert page.locator(".log img").count() == 0
    page.screenshot(path=Path(os.environ.get("TELIC_SCREENSHOTS", tmp_path)) / "tool-steps.png")
    phone = opened(f"{remembering.url}/dashboard/c/{CONVERSATION}", width=390, height=844, scheme="dark")
    connected(phone)
    phone.locator(".step").first.wait_for()
    assert phone.evaluate(PALE) == []
    assert phone.evaluate(WIDE) == []
