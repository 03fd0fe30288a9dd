"""Tools over a real socket with OpenAI's client: the client's own, those of the purpose, and both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openai import BadRequestError

from telic.dialogue import Message, ToolCall
from telic.episodes import Episode
from telic.formats import dialogue_seen_by
from telic.models import RemoteModel, Reply, Request, ScriptedModel
from telic.purpose import Purpose
from tests.server.conftest import PURPOSE, Start

PRICE: Any = {
    "type": "function",
    "function": {
        "name": "price_of",
        "description": "Look up a price.",
        "parameters": {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]},
    },
}
HELLO: Any = [{"role": "user", "content": "What does a lamp cost?"}]


def calling(name: str, content: str = "", call: str = "c1", **arguments: Any) -> Message:
    made = ToolCall(id=call, name=name, arguments=json.dumps(arguments))
    return Message(role="assistant", content=content, tool_calls=(made,))


ASK = calling("price_of", item="lamp")


class Listening(ScriptedModel):
    """Keeps the requests."""

    def __init__(self, replies: Any) -> None:
        super().__init__(replies)
        self.asked: list[Request] = []

    def _reply(self, request: Request) -> Reply:
        self.asked.append(request)
        return super()._reply(request)


def said(messages: Any) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages]


def exported(start: Start, served: Any) -> list[Episode]:
    with served.http() as http:
        return [Episode.model_validate_json(line) for line in http.get("/telic/conversations").text.splitlines()]


def test_the_client_carries_out_the_calls_and_the_conversation_goes_on(start: Start) -> None:
    model = Listening([ASK, "It costs 20 dollars.", "Bye."])
    served = start(model)
    with served.client() as client:
        first = client.chat.completions.with_raw_response.create(model="x", messages=HELLO, tools=[PRICE])
        [choice] = first.parse().choices
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content is None
        [call] = choice.message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("price_of", {"item": "lamp"})
        result = {"role": "tool", "tool_call_id": call.id, "content": "20 dollars"}
        told: Any = [*HELLO, choice.message, result]
        second = client.chat.completions.with_raw_response.create(model="x", messages=told, tools=[PRICE])
        [choice] = second.parse().choices
        assert (choice.finish_reason, choice.message.content) == ("stop", "It costs 20 dollars.")
        told += [choice.message, {"role": "user", "content": "Thanks."}]
        third = client.chat.completions.with_raw_response.create(model="x", messages=told, tools=[PRICE])
        names = {one.headers["X-Telic-Conversation"] for one in (first, second, third)}
        assert len(names) == 1
    assert said(model.asked[1].messages)[1:] == [
        ("user", "What does a lamp cost?"), ("assistant", ""), ("tool", "20 dollars"),
    ]  # fmt: skip
    assert model.asked[0].tools[0].as_dict() == PRICE
    [episode] = exported(start, served)
    assert [(turn.role, turn.text, turn.round) for turn in episode.turns] == [
        ("user", "What does a lamp cost?", 1), ("assistant", "", 1), ("tool", "20 dollars", 1),
        ("assistant", "It costs 20 dollars.", 1), ("user", "Thanks.", 2), ("assistant", "Bye.", 2),
    ]  # fmt: skip
    assert dialogue_seen_by(episode, "assistant")[2:4] == (
        type(dialogue_seen_by(episode, "assistant"))(
            [ASK, Message(role="tool", content="20 dollars", tool_call_id="c1")]
        )
    )


def test_a_stream_has_the_calls_as_deltas(start: Start) -> None:
    served = start(ScriptedModel([calling("price_of", "One moment.", item="lamp")]))
    text, calls, finish = "", [], None
    with served.client() as client:
        for chunk in client.chat.completions.create(model="x", messages=HELLO, tools=[PRICE], stream=True):
            [choice] = chunk.choices
            text += choice.delta.content or ""
            calls += choice.delta.tool_calls or []
            finish = choice.finish_reason or finish
    assert (text, finish) == ("One moment.", "tool_calls")
    assert [(call.index, call.id, call.function and call.function.arguments) for call in calls] == [
        (0, "c1", '{"item": "lamp"}')
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("none", "none"), ("auto", "auto"), ("required", "required"),
     ({"type": "function", "function": {"name": "price_of"}}, "price_of")],
)  # fmt: skip
def test_the_choice_reaches_the_model(start: Start, choice: Any, expected: str) -> None:
    model = Listening(["Hi."])
    with start(model).client() as client:
        client.chat.completions.create(model="x", messages=HELLO, tools=[PRICE], tool_choice=choice)
    assert model.asked[0].tool_choice == expected


def test_a_result_that_belongs_to_no_call_is_refused(start: Start) -> None:
    messages: Any = [*HELLO, ASK.as_dict(), {"role": "tool", "tool_call_id": "other", "content": "x"}]
    with start().client() as client, pytest.raises(BadRequestError, match="expected the id of a call"):
        client.chat.completions.create(model="x", messages=messages)


def test_a_remote_model_gets_tools_and_its_calls_come_back_whole_and_streamed(start: Start, tmp_path: Path) -> None:
    behind = Listening([ASK, ASK, "20 dollars.", ASK])
    far = start(behind, store=str(tmp_path / "far.db"))
    model = RemoteModel("far", f"{far.url}/v1", "key")
    served = start(model)
    with served.client() as client:
        [choice] = client.chat.completions.create(
            model="x", messages=HELLO, tools=[PRICE], tool_choice="required"
        ).choices
        assert choice.message.tool_calls is not None
        assert behind.asked[0].tool_choice == "required"
    [reply] = model.generate([Request((Message(role="user", content="Hi"),), tools=behind.asked[0].tools)])
    assert (reply.text, reply.tool_calls) == ("", ASK.tool_calls)
    told = (Message(role="user", content="Hi"), reply.message, Message(role="tool", content="20", tool_call_id="c1"))
    [reply] = model.generate([Request(told, tools=behind.asked[0].tools)])
    assert reply.text == "20 dollars."
    *_, last = model.stream(Request((Message(role="user", content="Hi"),), tools=behind.asked[0].tools))
    assert isinstance(last, Reply)
    assert last.tool_calls == ASK.tool_calls


CODE = """
class Shop:
    def __init__(self) -> None:
        self._sold = 0

    def sell(self, item: str) -> str:
        self._sold += 1
        return f"{item} number {self._sold}"

    def refund(self) -> str:
        return "refunded"
"""


def shop(folder: Path) -> Purpose:
    (folder / "shop.py").write_text(CODE)
    table = '[[tools]]\npython = "shop:Shop"\nconfirm = ["refund"]\n'
    (folder / "shop.toml").write_text(f'name = "shop"\nsystem = "You sell."\n{table}')
    return Purpose.from_file(folder / "shop.toml", trust=True)


SELL = calling("sell", "One moment.", item="lamp")


@pytest.mark.parametrize("stream", [False, True])
def test_the_purposes_own_tools_run_on_the_server_and_are_known_at_the_next_turn(
    start: Start, tmp_path: Path, stream: bool
) -> None:
    model = Listening([SELL, "Sold.", SELL, "Sold again.", SELL, "Sold to you."])
    served = start(model, purpose=shop(tmp_path))
    with served.client() as client:

        def say(messages: Any, **options: Any) -> str:
            if not stream:
                [choice] = client.chat.completions.create(model="x", messages=messages, **options).choices
                assert (choice.finish_reason, choice.message.tool_calls) == ("stop", None)
                return choice.message.content or ""
            chunks = client.chat.completions.create(model="x", messages=messages, stream=True, **options)
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

        assert say(HELLO) == "Sold."
        told = [*HELLO, {"role": "assistant", "content": "Sold."}, {"role": "user", "content": "Another."}]
        assert say(told) == "Sold again."
        assert say([{"role": "user", "content": "Me too."}]) == "Sold to you."
    assert said(model.asked[2].messages) == [
        ("system", "You sell."), ("user", "What does a lamp cost?"), ("assistant", "One moment."),
        ("tool", "lamp number 1"), ("assistant", "Sold."), ("user", "Another."),
    ]  # fmt: skip
    assert said(model.asked[3].messages)[-1] == ("tool", "lamp number 2")
    assert said(model.asked[5].messages)[-1] == ("tool", "lamp number 1")  # another dialogue, another shop
    episode = next(one for one in exported(start, served) if len(one.turns) == 4)
    assert said(episode.turns[1].steps) == [("assistant", "One moment."), ("tool", "lamp number 1")]


def test_a_tool_that_needs_a_person_is_not_run_on_the_server(start: Start, tmp_path: Path) -> None:
    model = Listening([calling("refund"), "I cannot."])
    with start(model, purpose=shop(tmp_path)).client() as client:
        client.chat.completions.create(model="x", messages=HELLO)
    assert "needs the confirmation of a person" in model.asked[1].messages[-1].content


def test_tools_of_both_sides(start: Start, tmp_path: Path) -> None:
    model = Listening([SELL, ASK])
    with start(model, purpose=shop(tmp_path)).client() as client:
        [choice] = client.chat.completions.create(model="x", messages=HELLO, tools=[PRICE]).choices
        assert choice.finish_reason == "tool_calls"
        assert [call.id for call in choice.message.tool_calls or []] == ["c1"]
        sell: Any = {"type": "function", "function": {"name": "sell"}}
        with pytest.raises(BadRequestError, match="'sell' is a tool of this server's purpose"):
            client.chat.completions.create(model="x", messages=HELLO, tools=[sell])
        with pytest.raises(BadRequestError, match="n is 2; expected 1"):
            client.chat.completions.create(model="x", messages=HELLO, n=2)
    assert [tool.name for tool in model.asked[0].tools] == ["refund", "sell", "price_of"]
    assert said(model.asked[1].messages)[-1] == ("tool", "lamp number 1")


def test_the_store_of_an_older_version_is_read_and_continued(start: Start) -> None:
    served = start(ScriptedModel(["Hi.", ASK]))
    assert PURPOSE.tools == []
    with served.client() as client:
        client.chat.completions.create(model="x", messages=[{"role": "user", "content": "Hello"}])
        told: Any = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi."}, *HELLO]
        client.chat.completions.create(model="x", messages=told, tools=[PRICE])
    [episode] = exported(start, served)
    assert [bool(turn.tool_calls) for turn in episode.turns] == [False, False, False, True]
