"""Replies in the form that a client asks for, with OpenAI's own client over a real socket."""

from __future__ import annotations

import json
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel, Field

pytest.importorskip("torch")

from telic.models import LocalModel, RemoteModel, ScriptedModel
from telic.models.grammars import matches
from telic.models.response_format import ResponseFormat
from telic.purpose import Purpose
from tests.models import tiny
from tests.server.conftest import Served, Start

ASKED: Any = [{"role": "user", "content": "Where to?"}]


class Trip(BaseModel):
    """What a travel agent wants to know."""

    city: Literal["Rome", "Łódź", "東京 🗼"]
    nights: int = Field(ge=1, le=30)


SCHEMA = {
    "type": "object",
    "properties": {"city": {"enum": ["Rome", "Łódź"]}, "code": {"type": "string", "pattern": "^[A-Z]{3}$"}},
    "required": ["city", "code"],
    "additionalProperties": False,
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "trip", "schema": SCHEMA, "strict": True}}


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama")


def test_a_pydantic_class_comes_back_parsed(start: Start, model: LocalModel) -> None:
    with start(model).client() as client:
        for seed in range(3):
            answer = client.chat.completions.parse(
                model="m", messages=ASKED, response_format=Trip, seed=seed, max_tokens=200
            )
            assert isinstance(answer.choices[0].message.parsed, Trip)
            assert answer.choices[0].finish_reason == "stop"
        with client.chat.completions.stream(
            model="m", messages=ASKED, response_format=Trip, seed=1, max_tokens=200
        ) as stream:
            pieces = [event.delta for event in stream if event.type == "content.delta"]
            final = stream.get_final_completion().choices[0].message
        assert isinstance(final.parsed, Trip)
        assert len(pieces) > 2
        assert "".join(pieces) == final.content
        with pytest.raises(openai.LengthFinishReasonError):
            client.chat.completions.parse(model="m", messages=ASKED, response_format=Trip, seed=1, max_tokens=3)


def test_choices_logprobs_and_the_next_turn(start: Start, model: LocalModel) -> None:
    served = start(model)
    with served.client() as client:
        answer = client.chat.completions.create(
            model="m", messages=ASKED, response_format=FORMAT, seed=1, n=3, logprobs=True, max_tokens=100
        )
        texts = [choice.message.content or "" for choice in answer.choices]
        assert all(matches(ResponseFormat.json_schema(SCHEMA), text) for text in texts)
        tokens = answer.choices[0].logprobs
        assert tokens is not None
        logprobs = [token.logprob for token in tokens.content or []]
        assert max(logprobs) == 0, "where only one token is possible, it is certain"
        assert min(logprobs) < 0
        said = [*ASKED, {"role": "assistant", "content": texts[0]}, {"role": "user", "content": "And then?"}]
        plain = client.chat.completions.create(model="m", messages=said, seed=1, max_tokens=8)
        assert plain.usage is not None
        assert plain.usage.prompt_tokens_details is not None
        assert (plain.usage.prompt_tokens_details.cached_tokens or 0) > len(logprobs)
        free = client.chat.completions.create(
            model="m", messages=ASKED, response_format={"type": "text"}, seed=1, max_tokens=8
        )
        assert free.choices[0].message.content is not None
    with served.http() as http:
        [turns, *_] = [json.loads(line)["turns"] for line in http.get("/telic/conversations").text.splitlines()]
    stored = [turn["origin"]["sampling"].get("response_format") for turn in turns if turn["role"] == "assistant"]
    assert stored == ["json_schema", None]


def test_any_object(start: Start) -> None:
    model = ScriptedModel(['{"a":\n 1}', "Rome"])
    with start(model).client() as client:
        said = client.chat.completions.create(model="m", messages=ASKED, response_format={"type": "json_object"})
        assert said.choices[0].message.content == '{"a":\n 1}'
        with pytest.raises(openai.BadRequestError, match="does not have the response format"):
            client.chat.completions.create(model="m", messages=ASKED, response_format={"type": "json_object"})


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"type": "strin"}, "json_schema: Invalid type: strin"),
    ({"properties": {"a": {"items": {"type": "strin"}}}}, "at /properties/a/items: Invalid type: strin"),
    ({"properties": {f"p{number}": {} for number in range(6000)}}, "grammar size"),
    ({"const": "x" * 200_000}, "expected at most 100000"),
    ({"$ref": "https://example.com/x.json"}, "example.com"),
    ({"type": "string", "pattern": "(?<=a)b"}, "look-around"),
    ({"const": "\ud800"}, "body"),
]


@pytest.mark.parametrize("stream", [False, True])
def test_a_bad_schema_is_the_clients_mistake_and_stops_nobody(start: Start, model: LocalModel, stream: bool) -> None:
    served = start(model)
    with served.client() as client, served.http() as http:
        for schema, told in WRONG:
            form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            body = {"model": "m", "messages": ASKED, "response_format": form, "stream": stream}
            answer = http.post("/v1/chat/completions", content=json.dumps(body))
            error = answer.json()["error"]
            assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
            assert told in error["message"]
            assert error["param"] == (None if told == "body" else "response_format")
        refused = http.post(
            "/v1/chat/completions", json={"messages": ASKED, "response_format": FORMAT, "ignore_eos": True}
        )
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "ignore_eos")
        assert client.chat.completions.parse(model="m", messages=ASKED, response_format=Trip, max_tokens=200)
        assert http.get("/healthz").status_code == 200
        assert http.get("/telic/conversations").text.count("\n") == 1, "nothing of the refused requests is stored"


def test_a_remote_model_is_asked_for_the_form(start: Start, model: LocalModel) -> None:
    behind = start(model)
    remote = RemoteModel("m", f"{behind.url}/v1", "any key", retries=0)
    reply = (
        remote.session()
        .user("Where to?")
        .reply(response_format=ResponseFormat.json_schema(Trip), max_new_tokens=200, seed=2)
    )
    assert Trip.model_validate_json(reply.text)
    front = start(remote, store=str(start.folder / "front.db"))
    with front.client() as client:
        answer = client.chat.completions.parse(model="m", messages=ASKED, response_format=Trip, max_tokens=200, seed=2)
        assert isinstance(answer.choices[0].message.parsed, Trip)


# ---- with the purpose's own parts


def guarded(**guard: Any) -> Purpose:
    limits = [{"name": "says velvet", "judge": {"contains": "velvet"}}]
    defences = [{"name": "output_guard", **guard}]
    return Purpose.model_validate(
        {"name": "shoes", "system": "You sell shoes.", "limits": limits, "defences": defences}
    )


def parse(served: Served, stream: bool, messages: Any = ASKED) -> Any:
    class Shoe(BaseModel):
        material: str

    with served.client() as client:
        if not stream:
            return client.chat.completions.parse(model="m", messages=messages, response_format=Shoe).choices[0].message
        with client.chat.completions.stream(model="m", messages=messages, response_format=Shoe) as streamed:
            return streamed.get_final_completion().choices[0].message


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_is_told_apart_and_no_reply_is_trimmed(start: Start, stream: bool) -> None:
    model = ScriptedModel(
        ['{"material": "I like it. velvet"}', '{"material": "suede"}', '{"material": "velvet. Ok."}'] * 2
    )
    served = start(model, purpose=guarded(regenerate=1))
    assert parse(served, stream).parsed.material == "suede", "the second draft has the form, too"
    served.stop()
    served = start(model, purpose=guarded(regenerate=0), store=str(start.folder / "other.db"))
    refused = parse(served, stream)
    assert (refused.content or None, refused.parsed, refused.refusal) == (None, None, guarded().refusal_text)
    again = [*ASKED, {"role": "assistant", "content": None, "refusal": refused.refusal}, *ASKED]
    model.replies = ['{"material": "suede"}'] * 9
    assert parse(served, stream, again).parsed.material == "suede"
    with served.http() as http:
        [line] = http.get("/telic/conversations").text.splitlines()
    turns = json.loads(line)["turns"]
    assert len(turns) == 4, "the refusal was recognised as part of the conversation"
    [record] = turns[1]["origin"]["defences"]
    assert record["action"] == "refuse"
    assert "does not have its response format" in record["reason"]


def test_the_purposes_stop_strings_are_not_for_it(start: Start, model: LocalModel) -> None:
    purpose = Purpose.model_validate({"name": "p", "system": "Hi.", "sampling": {"stop": ["e", ":"]}})
    with start(model, purpose=purpose).client() as client:
        answer = client.chat.completions.parse(model="m", messages=ASKED, response_format=Trip, max_tokens=200)
        assert isinstance(answer.choices[0].message.parsed, Trip)
        cut = client.chat.completions.create(
            model="m", messages=ASKED, response_format=FORMAT, stop=":", max_tokens=200
        )
        assert cut.choices[0].message.content == '{"city"'


def test_controls_act_on_what_is_possible(start: Start, model: LocalModel) -> None:
    purpose = Purpose.model_validate({"name": "p", "system": "Hi.", "controls": [{"name": "refresh", "strength": 2.0}]})
    with start(model, purpose=purpose).client() as client:
        messages: Any = [*ASKED, {"role": "assistant", "content": "Rome"}, *ASKED]
        answer = client.chat.completions.parse(model="m", messages=messages, response_format=Trip, max_tokens=200)
        assert isinstance(answer.choices[0].message.parsed, Trip)
