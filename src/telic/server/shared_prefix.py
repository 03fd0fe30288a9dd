"""The session that has read the system prompt, which new conversations fork."""

from __future__ import annotations

from collections.abc import Sequence

from telic.dialogue import Message, ToolDefinition
from telic.errors import ModelError
from telic.models import Control, Request, Sampling, Session
from telic.purpose import Purpose
from telic.server.history import system_message
from telic.server.runner import RequestRunner

__all__ = ["read_shared_prefix"]


async def read_shared_prefix(
    runner: RequestRunner, purpose: Purpose, controls: Sequence[Control], tools: Sequence[ToolDefinition] = ()
) -> Session:
    """Let a local model read the system prompt of a purpose.

    Raises:
        ModelError: the model cannot read it.
    """
    session = Session(runner.model)
    messages = (system_message(purpose, ""), Message(role="user", content="Hi"))
    sampling = Sampling(max_new_tokens=1, temperature=0)
    request = Request(messages, sampling, tuple(controls), cache=session.cache, tools=tuple(tools), tool_choice="none")
    [reply] = await runner.generate([request])
    if reply.failure is not None or reply.finish == "context":
        detail = reply.failure.detail if reply.failure else "it fills the context"
        raise ModelError(f"model {runner.model.name!r} cannot read the system prompt: {detail}")
    return session
