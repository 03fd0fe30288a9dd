"""Chats beside a key that sends the longest allowed prompts, for `python -m benchmarks.serving --fairness`.

The chats of one key stream replies of 60 tokens, one after the other. A gap is the time between two texts of one
reply. Gaps are measured with nobody else on the server, then beside a second key that keeps two requests active: each
has a new prompt that just fits into the server's context, and asks for 8 choices. The two phases alternate on one
server; the percentiles are over the gaps of all repeats.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx
import numpy as np

from benchmarks.served import SYSTEM, serve
from telic.dialogue import Message
from telic.models import load
from telic.server.keys import add_key

if TYPE_CHECKING:
    from telic.models import LocalModel

__all__ = ["measure_fairness"]

TOKENS = 60
CHOICES, CHOICE_TOKENS = 8, 32
LONG_REQUESTS = 2
QUESTIONS = (
    "Hello! I am customer {chat}, and I would like to get away in May. Can you help me with that?",
    "We are {chat} people, and two of us eat no meat. What else would you like to know before you suggest something?",
    "Our budget is small, and I would rather not fly. Does that leave much to choose from, or should I think again?",
)
SENTENCE = "Where would you like to go, and with whom? "


@dataclass
class Gaps:
    """What the chats of a phase have measured, in seconds."""

    between_texts: list[float] = field(default_factory=list)
    to_first_text: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        gaps = np.array(self.between_texts)
        figures = {"p50": np.quantile(gaps, 0.5), "p99": np.quantile(gaps, 0.99), "longest": gaps.max(),
                   "ttft_p50": np.quantile(self.to_first_text, 0.5)}  # fmt: skip
        return {"gaps": len(gaps), **{name: round(float(value), 4) for name, value in figures.items()}}


class LongPrompts:
    """Prompts that just fit into a context, each different from its beginning on.

    Args:
        model: name of the served model.
        context: the context, in tokens.
    """

    def __init__(self, model: str, context: int) -> None:
        self._numbers = itertools.count()
        self._sentences = 0
        loaded = cast("LocalModel", load(model))
        limit = min(context, loaded.context_length) - CHOICE_TOKENS
        self.tokens = self._length(loaded)
        self._sentences = 10
        self._sentences = 10 * (limit - self.tokens) // (self._length(loaded) - self.tokens) + 1
        while (length := self._length(loaded)) > limit:
            self._sentences -= 1
        self.tokens = length
        """Length of each prompt."""

    def next(self) -> str:
        """Make the next prompt."""
        return f"{next(self._numbers):06d}: {SENTENCE * self._sentences}"

    def _length(self, model: LocalModel) -> int:
        messages = Message(role="system", content=SYSTEM), Message(role="user", content=self.next())
        return len(model.render(messages).token_ids)


async def run_chat(client: httpx.AsyncClient, chat: int, replies: int, gaps: Gaps) -> None:
    """Hold a chat of so many replies."""
    messages: list[dict[str, str]] = []
    for turn in range(replies):
        messages.append({"role": "user", "content": QUESTIONS[turn % len(QUESTIONS)].format(chat=chat)})
        body = {"messages": messages, "stream": True, "max_tokens": TOKENS, "ignore_eos": True, "user": f"user{chat}",
                "seed": 1000 * chat + turn}  # fmt: skip
        text, last, sent = "", 0.0, time.perf_counter()
        async with client.stream("POST", "chat/completions", json=body) as response:
            response.raise_for_status()
            async for line in response.aiter_lines():
                piece = _text(line)
                if not piece:
                    continue
                now = time.perf_counter()
                if text:
                    gaps.between_texts.append(now - last)
                else:
                    gaps.to_first_text.append(now - sent)
                text, last = text + piece, now
        messages.append({"role": "assistant", "content": text})


def _text(line: str) -> str:
    if not line.startswith("data: {"):
        return ""
    event = json.loads(line.removeprefix("data: "))
    if "error" in event:
        raise RuntimeError(event["error"]["message"])
    return (event["choices"][0]["delta"].get("content") or "") if event["choices"] else ""


async def send_long_prompts(client: httpx.AsyncClient, prompts: LongPrompts, answered: list[int]) -> None:
    """Send one long prompt after the other, until this is cancelled."""
    while True:
        body = {"messages": [{"role": "user", "content": prompts.next()}], "n": CHOICES, "max_tokens": CHOICE_TOKENS}
        response = await client.post("chat/completions", json=body)
        response.raise_for_status()
        answered.append(response.json()["usage"]["prompt_tokens"])


async def _run_phase(url: str, keys: tuple[str, str], chats: int, replies: int, prompts: LongPrompts | None) -> Any:
    gaps, answered = Gaps(), list[int]()
    chat_client, other = (
        httpx.AsyncClient(base_url=f"{url}/", timeout=600, headers={"Authorization": f"Bearer {key}"}) for key in keys
    )
    async with chat_client, other:
        sending = [
            asyncio.create_task(send_long_prompts(other, long_prompts, answered))
            for long_prompts in LONG_REQUESTS * [prompts]
            if long_prompts is not None
        ]
        await asyncio.gather(*(run_chat(chat_client, chat, replies, gaps) for chat in range(chats)))
        for task in sending:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    return gaps, answered


def measure_fairness(model: str, chats: int, replies: int, repeats: int, settings: dict[str, Any]) -> dict[str, Any]:
    """Measure the gaps of chats without and with a key that sends long prompts."""
    prompts = LongPrompts(model, settings["max_context"])
    alone, beside, answered = Gaps(), Gaps(), list[int]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "keys.txt"
        keys = add_key(file, "chats"), add_key(file, "long")
        with serve(folder, model, settings, keys=file) as server:
            asyncio.run(_run_phase(server.url, keys, chats, 1, None))  # warm up
            for _ in range(repeats):
                for gaps, long_prompts in ((alone, None), (beside, prompts)):
                    found, replied = asyncio.run(_run_phase(server.url, keys, chats, replies, long_prompts))
                    gaps.between_texts += found.between_texts
                    gaps.to_first_text += found.to_first_text
                    answered += replied
    first, second = alone.summary(), beside.summary()
    return {
        "ratio_p99": round(second["p99"] / first["p99"], 2),
        "alone": first,
        "beside_long_prompts": second,
        "long_prompt_tokens": prompts.tokens,
        "long_replies": len(answered) * CHOICES,
        "chats": chats,
        "repeats": repeats,
    }
