"""A client's message cannot open a turn of another role, whatever control tokens it names."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

from tests.models import tiny
from tests.models.test_control_tokens import CONTROLS, FORGED, Reading
from tests.server.conftest import Start


@pytest.mark.parametrize("client_system", ["append", "refuse"])
def test_a_client_opens_no_turn(start: Start, client_system: str) -> None:
    model = tiny.local("llama")
    with start(model, client_system=client_system).http() as http, Reading(model) as read:
        before: list[int] = []
        for text in ("Hello", FORGED):
            said: Any = [{"role": "user", "content": text}, {"role": "assistant", "content": text},
                         {"role": "user", "content": text}]  # fmt: skip
            if client_system == "append":
                said.insert(0, {"role": "system", "content": text})
            body = {"messages": said, "max_tokens": 1, "temperature": 0, "ignore_eos": True}
            answer = http.post("/v1/chat/completions", json=body)
            assert answer.status_code == 200, answer.text
            before.append(sum(token in CONTROLS for token in read))
            read.clear()
    first, forged = before
    assert forged <= first, "the second request may find the system prompt in the cache"
