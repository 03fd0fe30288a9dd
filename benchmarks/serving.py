"""Many chats at once through `telic serve`, and the same traffic through a llama.cpp server.

    python -m benchmarks.serving [--chats 16] [--turns 6] [--repeats 3]
    python -m benchmarks.serving --fairness [--chats 15] [--turns 3] [--repeats 2]

Every chat sends its next message as soon as the previous answer is complete, with its whole history, over HTTP, and
receives a stream of 60 tokens (stop tokens are ignored). Both servers have the same system prompt, the same number of
threads, a batch slot for every chat, and caches between turns; llama.cpp uses the GGUF file that Telic's weights are
converted from. The two servers alternate, `--repeats` times; a ratio is the median over the repeats.

Time to first token is from sending a request to the first text of its answer. `ttft_turn2_kept` and
`ttft_turn2_fresh` are those of the second turn, with the conversation's cache and on a server without caches. The last
line is JSON.

`--fairness` measures Telic alone: the gaps between two tokens of chats beside a key that sends the longest allowed
prompts (`benchmarks.serving_fairness`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.llamacpp import llamacpp
from benchmarks.served import SYSTEM, serve
from benchmarks.serving_fairness import measure_fairness

TOKENS = 60
CONTEXT = 2048
MESSAGES = (
    "Hello! I would like to get away in {month}, somewhere {kind}, for {days} days. Can you help me with that?",
    "We are {days} people, and two of us eat no meat. What else would you like to know before you suggest something?",
    "Our budget is small, and I would rather not fly. Does that leave much to choose from, or should I think again?",
    "That sounds good. My sister says that in {month} it is too crowded there, though. What do you make of that?",
    "All right. And how would we get around once we are there, if none of us likes to drive for {days} days?",
    "Then let us go on with that. Could you say once more, in short, what we have settled on so far, and what is open?",
)
MONTHS = ("January", "March", "May", "July", "September", "November")
KINDS = ("warm", "quiet", "by the sea", "in the mountains", "with good food")


@dataclass(frozen=True, slots=True)
class AnswerTiming:
    """The timing of one answer."""

    turn: int
    """Number of the turn, from 1."""
    first_text: float
    """Seconds to the first text."""
    tokens: int


def user_message(chat: int, turn: int) -> str:
    """Make a user's message, of the same length in all chats, but different in each."""
    month, kind = MONTHS[chat % len(MONTHS)], KINDS[chat % len(KINDS)]
    return MESSAGES[turn % len(MESSAGES)].format(month=month, kind=kind, days=3 + chat)


async def run_chat(client: httpx.AsyncClient, chat: int, turns: int, system: bool) -> list[AnswerTiming]:
    """Run one chat, from its first turn to its last."""
    messages = [{"role": "system", "content": SYSTEM}] if system else []
    answers = []
    for turn in range(turns):
        messages.append({"role": "user", "content": user_message(chat, turn)})
        body = {
            "model": "smollm2", "messages": messages, "stream": True, "stream_options": {"include_usage": True},
            "max_tokens": TOKENS, "ignore_eos": True, "temperature": 1.0, "top_p": 0.9, "top_k": 0, "min_p": 0,
            "seed": 1000 * chat + turn,
        }  # fmt: skip
        answer, text = await _ask(client, body, turn + 1)
        answers.append(answer)
        messages.append({"role": "assistant", "content": text})
    return answers


async def _ask(client: httpx.AsyncClient, body: dict[str, Any], turn: int) -> tuple[AnswerTiming, str]:
    text, first_text, tokens = "", 0.0, 0
    start = time.perf_counter()
    async with client.stream("POST", "chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line.removeprefix("data: "))
            piece = event["choices"][0]["delta"].get("content") if event.get("choices") else None
            if piece:
                first_text = first_text or time.perf_counter() - start
                text += piece
            if event.get("usage"):
                tokens = event["usage"]["completion_tokens"]
    if not tokens:
        raise RuntimeError(f"no complete answer in turn {turn}: status {response.status_code}, {text!r}")
    return AnswerTiming(turn, first_text, tokens), text


async def run_traffic(url: str, chats: int, turns: int, system: bool) -> dict[str, Any]:
    """Run all chats at once, and measure them."""
    # A new connection for each request: llama.cpp closes idle ones, sometimes while the next request is being sent.
    limits = httpx.Limits(max_connections=chats, max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=f"{url}/", timeout=600, limits=limits) as client:
        await run_chat(client, 999, 1, system)  # warm up: the server has read the system prompt
        start = time.perf_counter()
        chat_answers = await asyncio.gather(*(run_chat(client, chat, turns, system) for chat in range(chats)))
        seconds = time.perf_counter() - start
    answers = [answer for chat in chat_answers for answer in chat]
    by_turn = [statistics.median(a.first_text for a in answers if a.turn == turn + 1) for turn in range(turns)]
    late = [answer.first_text for answer in answers if answer.turn >= 3]
    return {
        "tokens_per_second": sum(answer.tokens for answer in answers) / seconds,
        "ttft": statistics.median(answer.first_text for answer in answers),
        "ttft_by_turn": by_turn,
        "ttft_turn3": statistics.median(late) if late else None,
    }


def measure_telic(chats: int, turns: int, keep: bool = True) -> dict[str, Any]:
    """Measure Telic; without `keep`, it has no caches between turns."""
    settings = {"max_batch": chats, "max_context": CONTEXT} | ({} if keep else {"max_conversations": 0})
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), "smollm2", settings) as server:
        return asyncio.run(run_traffic(server.url, chats, turns, system=False))


def measure_llamacpp(chats: int, turns: int, threads: int) -> dict[str, Any]:
    """Measure llama.cpp."""
    with llamacpp(chats, CONTEXT, threads) as address:
        return asyncio.run(run_traffic(address, chats, turns, system=True))


def median_ratio(a: Sequence[dict[str, Any]], b: Sequence[dict[str, Any]], key: str) -> float:
    """Compute the median over the repeats of the ratio of a figure."""
    return float(statistics.median(one[key] / other[key] for one, other in zip(a, b, strict=True)))


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chats", type=int)
    parser.add_argument("--turns", type=int)
    parser.add_argument("--repeats", type=int)
    parser.add_argument("--fairness", action="store_true")
    options = parser.parse_args()
    chats, turns, repeats = (15, 3, 2) if options.fairness else (16, 6, 3)
    chats, turns, repeats = options.chats or chats, options.turns or turns, options.repeats or repeats
    threads = torch.get_num_threads()
    if options.fairness:
        print(
            json.dumps(
                {**measure_fairness("smollm2", chats, turns, repeats, {"max_context": CONTEXT}), "threads": threads}
            )
        )
        return
    telic, llama, fresh = [], [], []
    for repeat in range(repeats):
        telic.append(measure_telic(chats, turns))
        llama.append(measure_llamacpp(chats, turns, threads))
        fresh.append(measure_telic(chats, 2, keep=False))
        print(json.dumps({"repeat": repeat, "telic": telic[-1], "llamacpp": llama[-1], "fresh": fresh[-1]}), flush=True)
    summary = {
        "ratio_throughput": round(median_ratio(telic, llama, "tokens_per_second"), 2),
        "ratio_ttft_turn3": round(median_ratio(telic, llama, "ttft_turn3"), 3) if turns > 2 else None,
        "tokens_per_second": round(statistics.median(run["tokens_per_second"] for run in telic), 1),
        "tokens_per_second_llamacpp": round(statistics.median(run["tokens_per_second"] for run in llama), 1),
        "ttft": round(statistics.median(run["ttft"] for run in telic), 3),
        "ttft_llamacpp": round(statistics.median(run["ttft"] for run in llama), 3),
        "ttft_turn2_kept": round(statistics.median(run["ttft_by_turn"][1] for run in telic), 3),
        "ttft_turn2_fresh": round(statistics.median(run["ttft_by_turn"][1] for run in fresh), 3),
        "chats": chats,
        "turns": turns,
        "repeats": repeats,
        "threads": threads,
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    main()
