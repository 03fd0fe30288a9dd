"""A reply that must be one of a few given texts."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace

from telic.models.request import Reply, Request, Sampling

__all__ = ["as_question", "draw_by_likelihood", "read_choice"]


def draw_by_likelihood(request: Request, scored: Sequence[Reply], seed: int) -> Reply:
    """Draw one of a request's choices by their likelihoods; at temperature 0 take the most likely one."""
    failed = next((reply for reply in scored if reply.logprobs is None), None)
    if failed is not None:
        return replace(failed, text="", token_ids=(), new_tokens=0)
    logprobs = [math.fsum(reply.logprobs or ()) for reply in scored]
    best = max(logprobs)
    chosen, temperature = logprobs.index(best), request.sampling.temperature
    if temperature > 0:
        weights = [math.exp(max((logprob - best) / temperature, -700.0)) for logprob in logprobs]
        [chosen] = random.Random(seed).choices(range(len(scored)), weights)
    return replace(scored[chosen], text=request.choices[chosen], finish="stop", seed=seed)


def as_question(request: Request) -> Request:
    """Turn a request with choices into a question, for a model that gives no likelihoods."""
    last = request.messages[-1]
    listed = "\n".join(f"- {choice}" for choice in request.choices)
    asked = f"{last.content}\n\nAnswer with exactly one of these, and nothing else:\n{listed}"
    longest = max(len(choice.encode()) for choice in request.choices)
    drawn: Sampling = replace(request.sampling, max_new_tokens=longest + 8)  # a byte is a token at most
    messages = (*request.messages[:-1], last.model_copy(update={"content": asked}))
    return replace(request, messages=messages, choices=(), sampling=drawn)


def read_choice(request: Request, reply: Reply) -> Reply:
    """Find the choice that a reply to `as_question` names: the first one, the longest of several at one place."""
    if reply.failure is not None:
        return reply
    text = reply.text.casefold()
    found = [(text.find(c.casefold()), -len(c), c) for c in request.choices if c.casefold() in text]
    if not found:
        return reply.failed(
            "unreadable_choice", f"none of the choices {list(request.choices)} is in the answer {reply.text!r}"
        )
    return replace(reply, text=min(found)[2], finish="stop")
