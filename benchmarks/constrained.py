"""Constrained decoding: what it costs, and what it gives.

    python -m benchmarks.constrained [--model smollm2] [--seeds 10] [--tokens 64] [--repeats 5]

Cost: processor seconds per generated token (other work on the machine does not count), plain and constrained to an
endless JSON array of strings, in turns, at several batch sizes; the ratio with a 95 % interval over the repeats. Gain: the share of replies that are valid by pydantic, over
twenty schemas, in three arms: plain; constrained; constrained with free white space. All arms get the same message with
the schema in it, and a fence around the JSON is taken off. Intervals are over schemas: replies to one schema resemble
each other. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date
from statistics import median
from typing import Any, Literal
from unittest.mock import patch

from pydantic import BaseModel, Field, ValidationError, create_model

from telic.dialogue import Message
from telic.models import LocalModel, Request, ResponseFormat, Sampling, load
from telic.models.grammars import JSON_STYLE
from telic.statistics import bootstrap_clustered, bootstrap_ratio

Short = Field(max_length=40)
Few = Field(max_length=4)
BATCHES = (1, 8, 32)
ENDLESS = ResponseFormat.json_schema({"type": "array", "items": {"type": "string"}, "minItems": 10_000})
FREE_SPACE = {"whitespace_flexible": True}
FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)


def schema(title: str, /, **fields: Any) -> type[BaseModel]:
    """Make a schema whose fields are all required."""
    required = {name: field if isinstance(field, tuple) else (field, ...) for name, field in fields.items()}
    made: type[BaseModel] = create_model(title, **required)  # type: ignore[call-overload]
    return made


class Step(BaseModel):
    """A part of other schemas."""

    text: str = Short
    minutes: int = Field(ge=0, le=600)


class Item(BaseModel):
    """A part of an order."""

    name: str = Short
    count: int = Field(ge=1, le=99)


class Tree(BaseModel):
    """A schema that contains itself."""

    label: str = Short
    children: list[Tree] = Few


SCHEMAS: dict[str, tuple[type[BaseModel], str]] = {
    "trip": (schema("Trip", city=(str, Short), nights=int, children=bool), "A family of four wants to see Rome for a week."),
    "ticket": (schema("Ticket", subject=(str, Short), urgent=bool, product=Literal["app", "web", "shop"]), "The app crashes when I pay, and I need it today!"),
    "mood": (schema("Mood", mood=Literal["happy", "sad", "angry", "neutral"], confidence=(float, Field(ge=0, le=1))), "I have been waiting for three weeks now."),
    "recipe": (schema("Recipe", name=(str, Short), steps=(list[Step], Few)), "How do I cook an egg?"),
    "address": (schema("Address", street=(str, Short), number=int, code=(str, Field(pattern="^[0-9]{5}$"))), "I live at 12 Station Road, 80331 Munich."),
    "day": (schema("Day", day=date), "The meeting is on the third of May 2027."),
    "yes": (schema("Yes", yes=bool, why=(str, Short)), "Is water wet?"),
    "rooms": (schema("Rooms", rooms=(list[int], Few)), "Book rooms 12, 14 and 20."),
    "person": (schema("Person", name=(str, Short), age=(int | None, ...)), "My name is Ada."),
    "colour": (schema("Colour", hex=(str, Field(pattern="^#[0-9a-f]{6}$"))), "Paint it dark blue."),
    "money": (schema("Money", amount=float, currency=Literal["EUR", "USD", "GBP"]), "It cost me twenty pounds."),
    "order": (schema("Order", items=(list[Item], Few)), "Two coffees and a croissant, please."),
    "route": (schema("Route", start=(str, Short), end=(str, Short), by=Literal["train", "car", "plane"]), "I take the train from Paris to Lyon."),
    "tree": (Tree, "What are the parts of a bicycle?"),
    "review": (schema("Review", stars=(int, Field(ge=1, le=5)), good=(list[str], Few), bad=(list[str], Few)), "The room was clean, but breakfast was cold."),
    "event": (schema("Event", title=(str, Short), hour=(int, Field(ge=0, le=23)), online=bool), "Let us call at nine in the morning about the budget."),
    "pet": (schema("Pet", kind=Literal["cat", "dog", "bird"], name=(str, Short)), "Meet my cat, Luna."),
    "sums": (schema("Sums", a=int, b=int, total=int), "What is 17 plus 25?"),
    "contact": (schema("Contact", name=(str, Short), email=(str, Field(pattern="^[a-z.]+@[a-z]+[.][a-z]{2,3}$", max_length=40))), "Write to Bob at bob@example.com."),
    "words": (schema("Words", german=(str, Short), japanese=(str, Short)), "How do you say thank you in German and in Japanese?"),
}  # fmt: skip


def ask(said: str, form: ResponseFormat, seed: int, limit: int, *, constrained: bool) -> Request:
    """Ask for JSON of a schema."""
    told = f"{said}\n\nReply with JSON only, that matches this JSON schema:\n{form.text}"
    sampling = Sampling(max_new_tokens=limit, temperature=0.7, top_p=0.9, seed=seed)
    return Request((Message(role="user", content=told),), sampling, response_format=form if constrained else None)


def is_valid(kind: type[BaseModel], text: str) -> bool:
    """Whether a reply is valid JSON of its schema, by a judge that has nothing to do with the grammar."""
    fenced = FENCE.search(text)
    try:
        kind.model_validate_json(fenced[1] if fenced else text)
    except ValidationError:
        return False
    return True


def gain(model: LocalModel, seeds: int, limit: int) -> dict[str, Any]:
    """Measure the share of valid replies in each arm."""
    arms: dict[str, Any] = {}
    for arm in ("plain", "constrained", "free white space"):
        forms = {name: ResponseFormat.json_schema(kind) for name, (kind, _) in SCHEMAS.items()}
        forms = {name: replace(form, name=arm) for name, form in forms.items()}  # compiled anew in each arm
        asked = [(name, seed) for name in SCHEMAS for seed in range(seeds)]
        style = FREE_SPACE if arm == "free white space" else JSON_STYLE
        with patch("telic.models.grammars.JSON_STYLE", style):
            replies = model.generate(
                [ask(SCHEMAS[name][1], forms[name], seed, limit, constrained=arm != "plain") for name, seed in asked]
            )
        valid: dict[str, list[float]] = {name: [] for name in SCHEMAS}
        for (name, _), reply in zip(asked, replies, strict=True):
            valid[name].append(float(is_valid(SCHEMAS[name][0], reply.text)))
        arms[arm] = {
            "valid": asdict(bootstrap_clustered(valid.values(), bounds=(0, 1))),
            "replies": len(replies),
            "cut_off": sum(reply.finish == "length" for reply in replies),
            "mean_tokens": sum(reply.new_tokens for reply in replies) / len(replies),
            "not_always_valid": {name: sum(each) for name, each in valid.items() if sum(each) < seeds},
        }
        print(arm, arms[arm], flush=True)
    return arms


def cost(model: LocalModel, batch: int, tokens: int, repeats: int) -> dict[str, Any]:
    """Measure the processor seconds of a batch, plain and constrained, in turns."""
    model.check_format(ENDLESS)

    def seconds(form: ResponseFormat | None, repeat: int) -> float:
        made = [ask("Name things.", ENDLESS, 1000 * repeat + row, tokens, constrained=False) for row in range(batch)]
        made = [replace(one, sampling=replace(one.sampling, ignore_eos=not form), response_format=form) for one in made]
        start = time.process_time()
        replies = model.generate(made)
        assert all(reply.new_tokens == tokens for reply in replies)
        return time.process_time() - start

    seconds(None, 0), seconds(ENDLESS, 0)
    plain, held = [], []
    for repeat in range(1, repeats + 1):
        plain.append(seconds(None, repeat))
        held.append(seconds(ENDLESS, repeat))
    row = {
        "batch": batch,
        "ratio": asdict(bootstrap_ratio(held, plain)),
        "plain_ms_per_pass": 1000 * median(plain) / tokens,
        "added_ms_per_pass": 1000 * (median(held) - median(plain)) / tokens,
    }
    print(row, flush=True)
    return row


def mask_milliseconds(model: LocalModel) -> dict[str, float]:
    """Time compiling, and the masks along valid replies, by themselves."""
    compile_ms, mask_ms, asked = [], [], []
    for kind, said in SCHEMAS.values():
        form = replace(ResponseFormat.json_schema(kind), name="timed")
        start = time.process_time()
        model.check_format(form)
        compile_ms.append(1000 * (time.process_time() - start))
        asked.append(ask(said, form, 0, 60, constrained=True))
    for request, reply in zip(asked, model.generate(asked), strict=True):
        assert request.response_format is not None
        matcher = model.engine.grammars.matcher(request.response_format)
        for token in reply.token_ids:
            start = time.process_time()
            matcher.compute_bitmask()
            mask_ms.append(1000 * (time.process_time() - start))
            matcher.consume_token(token)
    mask_ms.sort()
    return {
        "compile_ms_median": median(compile_ms),
        "compile_ms_max": max(compile_ms),
        "mask_ms_median": median(mask_ms),
        "mask_ms_99th": mask_ms[len(mask_ms) * 99 // 100],
        "masks": len(mask_ms),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--seeds", type=int, default=10, help="replies for each schema and arm")
    parser.add_argument("--limit", type=int, default=200, help="tokens of these replies, at most")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of the replies that are timed")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES, help="batch sizes that are timed")
    options = parser.parse_args(arguments)
    model = load(options.model)
    assert isinstance(model, LocalModel)
    start = time.process_time()
    model.check_format(ResponseFormat.regex("a"))
    result: dict[str, Any] = {"model": options.model, "first_format_seconds": time.process_time() - start}
    result["masks"] = mask_milliseconds(model)
    result["cost"] = [cost(model, batch, options.tokens, options.repeats) for batch in options.batches]
    result["gain"] = gain(model, options.seeds, options.limit)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
