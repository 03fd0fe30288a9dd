from __future__ import annotations

import time
from collections import defaultdict
from typing import ClassVar

import pytest

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models.base import Model
from telic.models.control import Control, ControlPoint
from telic.models.request import Reply, Request, Sampling
from telic.models.scripted import FakeModel, ScriptedModel

SYSTEM = "You are Mia, a travel agent."


def ask(text: str = "Hello there", system: str | None = None, **options: object) -> Request:
    dialogue = Dialogue().with_system(system).add("user", text)
    return Request(tuple(dialogue), Sampling(**options))  # type: ignore[arg-type]


class Remind(Control):
    name = "remind"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return (*messages, messages[0])


class Shout(Control):
    name = "shout"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        return tuple(message.model_copy(update={"content": message.content.upper()}) for message in messages)


class Hold(Control):
    name = "hold"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages", "attention"})


@pytest.mark.parametrize("model", [ScriptedModel(["Hi."]), FakeModel()], ids=["scripted", "fake"])
class TestBoth:
    def test_is_a_model(self, model: Model) -> None:
        assert isinstance(model, Model)
        assert model.session(SYSTEM).dialogue.system == SYSTEM
        assert len(model.session().dialogue) == 0

    def test_refuses_what_needs_a_white_box(self, model: ScriptedModel | FakeModel) -> None:
        good, bad = ask(), ask()
        bad.controls = (Remind(), Hold())
        with pytest.raises(UnsupportedControlError, match=r"'hold' acts on attention, messages.*model '\w+'"):
            model.generate([good, bad])
        with pytest.raises(UnsupportedControlError, match="reading attention"):
            model.stream(Request(ask().messages, readings=frozenset({"attention"})))
        assert model.seen == []


def test_a_list_is_said_in_order_and_then_ends() -> None:
    model = ScriptedModel(["One.", "Two."])
    told: list[tuple[int, str]] = []
    replies = model.generate([ask(), ask(), ask()], lambda index, reply: told.append((index, reply.finish)))
    assert [reply.text for reply in replies] == ["One.", "Two.", ""]
    assert told == [(0, "stop"), (1, "stop"), (2, "error")]
    assert "2 replies" in str(replies[2].failure)


def test_a_reply_may_lead_to_further_requests() -> None:
    model = ScriptedModel(lambda messages: messages[-1].content.upper())
    replies = model.generate(
        [ask("one"), ask("two")], lambda index, reply: [ask(f"and {reply.text}")] if index < 2 else None
    )
    assert [reply.text for reply in replies] == ["ONE", "TWO", "AND ONE", "AND TWO"]


def test_a_mapping_answers_what_was_said_last() -> None:
    model = ScriptedModel({"What is your name?": "Mia"})
    known, unknown = model.generate([ask("What is your name?", SYSTEM), ask("Why?")])
    assert known.text == "Mia"
    assert unknown.finish == "error"
    assert "no reply to 'Why?'" in str(unknown.failure)
    assert ScriptedModel(defaultdict(lambda: "Pardon?")).generate([ask("Why?")])[0].text == "Pardon?"


def test_a_function_answers_all_messages_and_may_fail() -> None:
    def script(messages: tuple[Message, ...]) -> str:
        if len(messages) > 3:
            raise ModelError("out of order")
        return f"{len(messages)} messages"

    session = ScriptedModel(script).session(SYSTEM)
    assert session.user("Hi").reply().text == "2 messages"
    with pytest.raises(ModelError, match="'scripted' failed to reply: out of order"):
        session.user("And now?").reply()
    assert session.dialogue[-1].role == "user"


def test_controls_act_in_their_order() -> None:
    model = ScriptedModel(["Hi."] * 2)
    request = ask("hello", "be kind")
    request.controls = (Shout(), Remind())
    model.generate([request])
    request.controls = (Remind(), Shout())
    model.generate([request])
    assert [[message.content for message in said] for said in model.seen] == [["BE KIND", "HELLO", "BE KIND"]] * 2
    assert [message.content for message in request.messages] == ["be kind", "hello"]


def test_stop_and_limit_cut_the_script() -> None:
    model = ScriptedModel(["One two three. Four five."] * 3)
    limited, stopped, whole = model.generate([ask(max_new_tokens=2), ask(stop=("Five", ".")), ask(max_new_tokens=5)])
    assert (limited.text, limited.finish, limited.new_tokens) == ("One two", "length", 2)
    assert (stopped.text, stopped.finish, stopped.new_tokens) == ("One two three", "stop", 3)
    assert (whole.text, whole.finish, whole.new_tokens) == ("One two three. Four five.", "stop", 5)


def test_a_stream_adds_up_to_its_reply() -> None:
    *pieces, reply = FakeModel().stream(ask())
    assert isinstance(reply, Reply)
    assert len(pieces) == reply.new_tokens > 1
    assert "".join(str(piece) for piece in pieces) == reply.text
    assert FakeModel().generate([ask()]) == [reply]


def test_the_fake_depends_on_messages_and_seed_alone() -> None:
    requests = [ask(text, seed=seed) for text in ("Hello", "Goodbye") for seed in (1, 2)]
    replies = FakeModel().generate(requests)
    assert len({reply.text for reply in replies}) == 4
    assert FakeModel().generate(requests[::-1])[::-1] == replies
    assert FakeModel(seed=1).generate(requests) != replies
    greedy = FakeModel().generate([ask(seed=seed, temperature=0.0) for seed in (1, 2)])
    assert greedy[0].text == greedy[1].text


def test_the_fake_counts_words_and_keeps_limits() -> None:
    short, long = FakeModel().generate(
        [ask("two words", SYSTEM, max_new_tokens=3, logprobs=True), ask(max_new_tokens=100, ignore_eos=True)]
    )
    assert (short.finish, short.new_tokens, short.prompt_tokens) == ("length", 3, 8)
    assert len(short.text.split()) == len(short.logprobs or ()) == 3
    assert (long.finish, long.new_tokens) == ("length", 100)


def test_the_fake_forgets_at_its_drift() -> None:
    def stability(round_: int, *controls: Control) -> float:
        turns = Dialogue().with_system(SYSTEM).add("user", "Hi")
        for _ in range(round_):
            turns = turns.add("assistant", "Hm").add("user", "Go on")
        requests = [Request(tuple(turns), Sampling(seed=seed), controls) for seed in range(300)]
        replies = FakeModel(drift=0.2).generate(requests)
        return sum("Mia" in reply.text for reply in replies) / len(replies)

    assert stability(0) == 1
    assert stability(4) == pytest.approx(0.8**4, abs=0.08)
    assert stability(4, Remind()) == 1
    assert "Mia" not in FakeModel().generate([ask(system=SYSTEM)])[0].text


def test_the_fake_fails_and_waits_as_told() -> None:
    model = FakeModel(fail_every=3, delay=0.01)
    start = time.perf_counter()
    replies = model.generate([ask(seed=seed) for seed in range(7)])
    assert time.perf_counter() - start >= 0.07
    assert [index for index, reply in enumerate(replies) if reply.finish == "error"] == [2, 5]
    assert "fail_every=3" in str(replies[2].failure)


def test_the_fake_refuses_nonsense() -> None:
    with pytest.raises(ConfigError, match=r"drift is 1\.5"):
        FakeModel(drift=1.5)
    with pytest.raises(ConfigError, match="delay is -1; expected 0 or more seconds"):
        FakeModel(delay=-1)
    with pytest.raises(ConfigError, match="fail_every is -1; expected 0 or more"):
        FakeModel(fail_every=-1)
