"""What every model keeps to, whatever is behind it: a test class inherits `ModelContract` and provides a `model`.

class TestMine(ModelContract):
    @pytest.fixture
    def model(self):
        return MyModel()
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import pytest

from telic.dialogue import Dialogue, Message, ToolCall, ToolDefinition
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models.base import Model
from telic.models.capabilities import ConstrainsReplies, HasTemplate
from telic.models.control import Control, ControlPoint
from telic.models.grammars import matches
from telic.models.request import READINGS, Reply, Request, Sampling
from telic.models.response_format import ResponseFormat

__all__ = ["BROKEN", "FORM", "ModelContract", "ask"]

SYSTEM = "You are Mia, a travel agent."
TOOLS = (
    ToolDefinition(
        name="price_of",
        description="Look up a price.",
        parameters={
            "type": "object",
            "properties": {"item": {"enum": ["lamp", "chair"]}},
            "required": ["item"],
            "additionalProperties": False,
        },
    ),
)
BROKEN = "This message makes the model fail."
"""The user's words to which the model under test must fail."""
FORM = ResponseFormat.json_schema(
    {"type": "object", "properties": {"city": {"enum": ["Rome", "Łódź"]}}, "required": ["city"]}
    | {"additionalProperties": False}
)
"""The form that replies of the model under test are asked for."""


def ask(text: str = "Where would you like to go?", system: str | None = SYSTEM, **options: Any) -> Request:
    dialogue = Dialogue().with_system(system).add("user", text)
    return Request(tuple(dialogue), Sampling(**{"max_new_tokens": 8, "seed": 1, **options}))


class Everywhere(Control):
    """Acts at all points, so that only a model with all of them supports it."""

    name: ClassVar[str] = "everywhere"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages", "embeddings", "attention", "residual", "logits"})


class Capitals(Control):
    """Says everything in capitals."""

    name: ClassVar[str] = "capitals"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(message.model_copy(update={"content": message.content.upper()}) for message in messages)


class ModelContract:
    """The tests. `seeded` is whether a seed decides the reply."""

    seeded: ClassVar[bool] = True

    @pytest.fixture
    def model(self) -> Model:
        raise NotImplementedError

    def test_it_is_a_model(self, model: Model) -> None:
        assert isinstance(model, Model)
        assert model.name
        assert model.readings <= READINGS
        assert "messages" in model.points

    def test_replies_come_in_the_order_of_the_requests(self, model: Model) -> None:
        texts = ["One", "Two, with a few words more", "Three"]
        together = model.generate([ask(text) for text in texts])
        alone = [model.generate([ask(text)])[0] for text in texts]
        assert [reply.failure for reply in together] == [None] * 3
        assert [reply.text for reply in together] == [reply.text for reply in alone]
        assert model.generate([]) == []

    def test_a_dialogue_with_calls_of_tools_is_answered(self, model: Model) -> None:
        call = ToolCall(id="call00001", name="price_of", arguments='{"item": "lamp"}')
        messages = (
            Message(role="user", content="What does a lamp cost?"),
            Message(role="assistant", content="", tool_calls=(call,)),
            Message(role="tool", content="20 dollars", tool_call_id="call00001"),
        )
        [reply] = model.generate([Request(messages, Sampling(max_new_tokens=8, seed=1), tools=TOOLS)])
        assert reply.failure is None

    def test_a_model_that_constrains_its_own_replies_makes_a_valid_call_where_one_is_required(
        self, model: Model
    ) -> None:
        if not isinstance(model, ConstrainsReplies) or "logits" not in model.points:
            return
        sampling = Sampling(max_new_tokens=200, seed=1, temperature=1.0)
        asked = replace(ask("Buy a lamp!"), sampling=sampling, tools=TOOLS, tool_choice="required")
        for reply in (model.generate([asked])[0], list(model.stream(asked))[-1]):
            assert isinstance(reply, Reply)
            [call] = reply.tool_calls
            assert (call.name, call.parsed()["item"]) in [("price_of", "lamp"), ("price_of", "chair")]
            assert reply.text == ""
        assert [piece for piece in model.stream(asked) if isinstance(piece, str)] == []

    def test_the_users_message_is_written_where_the_template_is_known_and_refused_elsewhere(self, model: Model) -> None:
        dialogue = Dialogue().with_system(SYSTEM).add("user", "Hello.").add("assistant", "Where to?")
        request = Request(tuple(dialogue), Sampling(max_new_tokens=8, seed=1), speaker="user")
        if isinstance(model, HasTemplate):
            [reply] = model.generate([request])
            assert reply.failure is None
            assert reply.prompt_tokens == len(model.template.render_user_turn(request.messages).token_ids)
            session = model.session(SYSTEM).user("Hello.").assistant("Where to?")
            said = session.reply(speaker="user", max_new_tokens=8, seed=1).text
            assert (session.dialogue[-1].role, session.dialogue[-1].content) == ("user", said)
            assert said == reply.text
        else:
            with pytest.raises(UnsupportedControlError, match="writes the assistant's messages only"):
                model.generate([request])

    def test_a_reply_brings_further_requests_whose_replies_come_last(self, model: Model) -> None:
        heard: list[tuple[int, Reply]] = []

        def on_reply(index: int, reply: Reply) -> list[Request]:
            heard.append((index, reply))
            return [ask(f"And then, after number {index}?")] if index < 2 else []

        replies = model.generate([ask("One"), ask("Two")], on_reply)
        assert len(replies) == 4
        assert sorted(index for index, _ in heard) == [0, 1, 2, 3]
        assert all(replies[index] is reply for index, reply in heard)

    def test_a_request_that_fails_affects_no_other(self, model: Model) -> None:
        good, bad, last = model.generate([ask("One"), ask(BROKEN), ask("Two")])
        assert (good.failure, last.failure) == (None, None)
        assert bad.finish == "error"
        assert bad.failure is not None
        assert bad.failure.boundary == "model"
        assert bad.failure.detail
        assert good.text == model.generate([ask("One")])[0].text

    def test_a_session_is_unchanged_where_the_model_fails(self, model: Model) -> None:
        session = model.session(SYSTEM).user(BROKEN)
        with pytest.raises(ModelError, match="failed to reply") as raised:
            session.reply(max_new_tokens=4)
        assert raised.value.failure.boundary == "model"
        assert [message.role for message in session] == ["system", "user"]

    def test_a_session_adds_the_reply_to_its_dialogue(self, model: Model) -> None:
        session = model.session(SYSTEM).user("Hello!")
        reply = session.reply(max_new_tokens=4, seed=1)
        assert session.dialogue[-1] == Message(role="assistant", content=reply.text)
        fork = session.fork().user("What is your name?")
        fork.reply(max_new_tokens=4, seed=1)
        assert len(session.dialogue) == 3, "a fork reached the session"

    def test_the_pieces_of_a_stream_add_up_to_its_reply(self, model: Model) -> None:
        *pieces, reply = model.stream(ask(max_new_tokens=6))
        assert isinstance(reply, Reply)
        assert all(isinstance(piece, str) for piece in pieces)
        assert "".join(map(str, pieces)) == reply.text
        assert reply.text == model.generate([ask(max_new_tokens=6)])[0].text

    def test_a_stream_that_fails_ends_with_the_failure(self, model: Model) -> None:
        *_, reply = model.stream(ask(BROKEN))
        assert isinstance(reply, Reply)
        assert reply.finish == "error"
        assert reply.failure is not None

    def test_the_same_seed_gives_the_same_reply_whatever_else_is_asked(self, model: Model) -> None:
        request = ask(temperature=1.0, seed=7)
        beside = [ask(f"Something else, number {number}", temperature=1.0, seed=number) for number in range(3)]
        alone, again = model.generate([request])[0], model.generate([*beside, request])[-1]
        assert alone.text == again.text
        assert alone.seed == again.seed == 7
        if self.seeded:
            others = {model.generate([replace_seed(request, seed)])[0].text for seed in range(20, 26)}
            assert len(others) > 1

    def test_a_reply_is_no_longer_than_asked_for(self, model: Model) -> None:
        reply = model.generate([ask(max_new_tokens=2, ignore_eos=True)])[0]
        assert (reply.finish, reply.new_tokens) == ("length", 2)

    def test_a_choice_is_one_of_the_choices(self, model: Model) -> None:
        request = ask("Which one: [yes] or [no]?")
        request.choices = ("[yes]", "[no]")
        reply = model.generate([request])[0]
        if reply.failure is None:
            assert reply.text in request.choices
        else:
            assert reply.failure.kind == "unreadable_choice"

    def test_a_reply_has_the_form_that_was_asked_for_or_it_is_refused(self, model: Model) -> None:
        plain, formed = ask("Where to?"), ask("Where to?", max_new_tokens=64)
        formed.response_format = FORM
        wrong = ask("Where to?")
        wrong.response_format = ResponseFormat.lark("start: nothing")
        told: list[int] = []
        with pytest.raises((ConfigError, UnsupportedControlError), match=r"response format"):
            model.generate([plain, wrong], lambda index, _: told.append(index))
        if isinstance(model, ConstrainsReplies):
            reply, free = model.generate([formed, plain])
            assert (reply.failure and reply.failure.kind) in (None, "response_format")
            assert reply.failure is not None or matches(FORM, reply.text)
            assert free.text == model.generate([plain])[0].text
        else:
            with pytest.raises(UnsupportedControlError, match="does not support a response format"):
                model.generate([plain, formed], lambda index, _: told.append(index))
            with pytest.raises(UnsupportedControlError, match="does not support a response format"):
                next(iter(model.stream(formed)))
        assert told == []

    def test_what_it_does_not_support_is_refused_before_any_work(self, model: Model) -> None:
        told: list[int] = []
        requests = [ask("One"), ask("Two")]
        requests[1].controls = (Everywhere(),)
        if Everywhere.points <= model.points:
            assert model.generate(requests)[1].failure is None
        else:
            with pytest.raises(UnsupportedControlError, match=r"'everywhere' acts on .*supports"):
                model.generate(requests, lambda index, _: told.append(index))
            assert told == []
        requests[1].controls, requests[1].readings = (), READINGS
        if model.readings >= READINGS:
            read = model.generate(requests)[1]
            assert read.state is not None
            assert read.attention is not None
        else:
            with pytest.raises(UnsupportedControlError, match=r"does not support the reading"):
                model.generate(requests, lambda index, _: told.append(index))
            with pytest.raises(UnsupportedControlError, match=r"does not support the reading"):
                list(model.stream(requests[1]))
            assert told == []

    def test_a_control_on_messages_acts_and_leaves_the_dialogue_alone(self, model: Model) -> None:
        session = model.session(SYSTEM).user("Hello there, who are you?")
        controlled = model.generate([session.request(controls=(Capitals(),), max_new_tokens=8, temperature=0.0)])[0]
        capitals = model.session(SYSTEM.upper()).user("HELLO THERE, WHO ARE YOU?")
        said_so = model.generate([capitals.request(max_new_tokens=8, temperature=0.0)])[0]
        assert controlled.text == said_so.text
        assert session.dialogue[1].content == "Hello there, who are you?"


def replace_seed(request: Request, seed: int) -> Request:
    return replace(request, sampling=replace(request.sampling, seed=seed))
