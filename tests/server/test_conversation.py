"""Conversations as the dashboard uses them, without a page: say, branch, edit, pin, read, probe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

from telic.errors import ConfigError
from telic.models import Control, FakeModel, Model, ScriptedModel, Session
from telic.purpose import Probe, Purpose
from telic.server import ConversationStore, ServeConfig, Service
from telic.server.attention import attention_relative_to_first
from telic.server.chat_request import ChatMessage, ChatRequest
from telic.server.conversation import DashboardConversation
from telic.server.conversation_list import list_conversations
from telic.server.errors import ApiError
from telic.server.exchange import ExchangeStatus
from telic.server.pins import Pins
from telic.server.records import StoredTurn
from telic.server.sessions import Sessions
from tests.server.conftest import PURPOSE, SlowModel

Use = Callable[[Service], Awaitable[None]]


def with_service(
    folder: Path,
    use: Use,
    model: Model | None = None,
    purpose: Purpose = PURPOSE,
    controls: tuple[Control, ...] = (),
    **settings: Any,
) -> None:
    async def run() -> None:
        config = ServeConfig.of(**{"store": str(folder / "telic.db"), **settings})
        service = Service(FakeModel() if model is None else model, purpose, config, controls)
        await service.start()
        try:
            await use(service)
        finally:
            await service.close()

    asyncio.run(run())


async def heard(pieces: AsyncIterator[str]) -> str:
    return "".join([piece async for piece in pieces])


def test_a_conversation_continues_branches_and_is_listed_once(tmp_path: Path) -> None:
    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        first = await heard(this.say("Hello"))
        second = await heard(this.say("And you?"))
        assert [turn.text for turn in this.turns] == ["Hello", first, "And you?", second]
        again = await DashboardConversation.open(service, "ann", this.id or "")
        assert again.turns == this.turns
        asked = this.user_turn_before(3)
        assert asked is not None
        other = this.branch(asked.position)
        await heard(other.say("Or else?"))
        assert (other.id != this.id, other.turns[:2]) == (True, this.turns[:2])
        await this.reload()
        assert [turn.text for turn in this.turns][2:] == ["And you?", second], "it stays as it was"
        [listed] = await list_conversations(service, "ann")
        assert listed.conversation == other.id
        await this.give_feedback(3, "preferred", {"to": other.id, "position": 3})
        [listed] = await list_conversations(service, "ann")
        assert listed.conversation == this.id, "what was chosen leads"
        assert await list_conversations(service, "bob") == []
        for user, name in (("bob", this.id or ""), ("ann", "nothing")):
            with pytest.raises(ApiError, match="no such conversation"):
                await DashboardConversation.open(service, user, name)

    with_service(tmp_path, use)


def test_an_edit_of_the_first_reply_and_of_a_later_one(tmp_path: Path) -> None:
    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        for words in ("Hello", "More"):
            await heard(this.say(words))
        for position in (1, 3):
            edited = await this.edit_reply(position, "In other words")
            assert [turn.text for turn in edited.turns] == [
                *(turn.text for turn in this.turns[:position]), "In other words",
            ]  # fmt: skip
            await heard(edited.say("Go on"))
            assert len(edited.turns) == position + 3
            assert edited.id != this.id
        with pytest.raises(ApiError, match="the message is empty"):
            await this.edit_reply(1, "  ")

    with_service(tmp_path, use)


def test_messages_beyond_the_limits_are_refused_and_not_stored(tmp_path: Path) -> None:
    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        for words, wrong in (("", "the message is empty"), ("x" * 200, "longer than 100 bytes")):
            with pytest.raises(ApiError, match=wrong):
                await heard(this.say(words))
        await heard(this.say("Hello"))
        with pytest.raises(ApiError, match="3 messages; expected at most 2"):
            await heard(this.say("More"))
        assert len(this.turns) == 2
        assert not service.sessions.busy

    with_service(tmp_path, use, max_body_bytes=100, max_messages=2)


def test_requests_beyond_the_limit_of_a_key_are_refused(tmp_path: Path) -> None:
    async def use(service: Service) -> None:
        one, other, kept = (DashboardConversation(service, "ann") for _ in range(3))
        await heard(kept.say("Before that"))
        async with aclosing(one.say("Hello")) as pieces:
            await anext(pieces)
            with pytest.raises(ApiError, match="this key has 1 active requests"):
                await heard(other.say("Me too"))
            with pytest.raises(ApiError, match="this key has 1 active requests"):
                await kept.ask_probes(1)
        assert (other.id, other.turns) == (None, [])
        assert [turn.finish for turn in one.turns] == ["given", "left"]
        await heard(one.say("Go on"))
        assert len(one.turns) == 4

    with_service(tmp_path, use, SlowModel(20), max_requests_per_key=1)


def test_a_model_without_hidden_states_has_no_readings_and_no_pins(tmp_path: Path) -> None:
    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        await heard(this.say("Hello"))
        assert service.beliefs.readers is None
        with pytest.raises(ApiError, match="does not show"):
            await this.read_beliefs(1)
        with pytest.raises(ApiError, match="no \\[\\[probes\\]\\]"):
            await this.ask_probes(1)
        with pytest.raises(ApiError, match="does not support pins"):
            this.set_pins(Pins({"user_age": "child"}))
        assert not this.pins
        assert attention_relative_to_first(this.turns) == {}

    with_service(tmp_path, use)


def test_probes_are_judged_and_failed_answers_are_missing_with_a_reason(tmp_path: Path) -> None:
    def reply(messages: tuple[Any, ...]) -> str:
        if messages[-1].content == "Fail?":
            raise RuntimeError("no words")
        return "My name is Mia."

    probes = [
        Probe(ask="Who?", judge={"contains": "Mia"}, name="name"),
        Probe(ask="Fail?", judge={"contains": "Mia"}, name="failing"),
    ]

    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        await heard(this.say("Hello"))
        await this.ask_probes(1)
        name, failing = this.turns[1].probe_branches
        assert ([answer.score for answer in name.answers], name.round) == ([1.0] * 4, 1)
        assert {(answer.score, answer.reason) for answer in failing.answers} == {(None, "model: exception")}
        assert len(this.turns) == 2

    with_service(tmp_path, use, ScriptedModel(reply), PURPOSE.model_copy(update={"probes": probes}))


def test_readers_come_from_the_settings_or_are_bundled(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from telic.models.local import LocalModel
    from tests.models import tiny
    from tests.server.dashboard.server import PURPOSE as SHORT
    from tests.server.dashboard.server import Talkative, tiny_with_readers

    model = tiny_with_readers(tmp_path / "mine")
    assert isinstance(model, LocalModel)
    assert Service(model, PURPOSE, ServeConfig.of(store=":memory:")).beliefs.unavailable_reason.startswith(
        "There are no readers for tiny-llama."
    )
    namesake = LocalModel(model.model, model.tokenizer, "int8:smollm2")  # weights of eight bits have the same readers
    assert Service(namesake, PURPOSE, ServeConfig.of(store=":memory:")).beliefs.unavailable_reason.startswith(
        "The bundled readers belong to another model named int8:smollm2."
    )
    with pytest.raises(ConfigError, match="there are no readers 'none'"):
        Service(model, PURPOSE, ServeConfig.of(store=":memory:", readers="none")).beliefs.load()
    with pytest.raises(ConfigError, match="hidden states, which model 'fake' does not show"):
        Service(FakeModel(), PURPOSE, ServeConfig.of(store=":memory:", readers="smollm2")).beliefs.load()
    config = ServeConfig.of(store=":memory:", readers=str(tmp_path / "mine"))
    with pytest.raises(ConfigError, match="this set of readers was made for model"):
        Service(tiny.local("gpt2"), PURPOSE, config).beliefs.load()

    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        this.set_pins(Pins({"user_age": "child"}, {"self_gender": "male"}, 3.0))
        for words in ("Hello there", "What now?", "And then?"):
            await heard(this.say(words))
        levels = attention_relative_to_first(this.turns)
        assert list(levels) == [1, 3, 5]
        assert levels[1] == 1.0
        await this.read_beliefs(5)
        late = this.turns[5].readings["beliefs"]
        await this.read_beliefs(1)  # an earlier turn, from what was said up to there
        assert this.turns[1].readings["beliefs"] != late
        before = list(service.sessions._sessions)
        await this.read_beliefs(5)
        assert this.turns[5].readings["beliefs"] == late, "reading changes nothing"
        assert list(service.sessions._sessions) == before
        service.controls.pins_by_conversation.clear()  # as after a restart: what the last reply was given under
        again = await DashboardConversation.open(service, "ann", this.id or "")
        assert again.pins == this.pins
        with pytest.raises(ApiError, match="user_age has no class 'toddler'"):
            again.set_pins(Pins({"user_age": "toddler"}))
        again.set_pins(Pins())
        assert (await DashboardConversation.open(service, "ann", this.id or "")).pins == again.pins

    with_service(tmp_path, use, model, SHORT, (Talkative(),), readers=str(tmp_path / "mine"))


def test_a_reading_that_does_not_follow_its_pin_is_told() -> None:
    pins = Pins({"user_age": "child"}, {"user_gender": "male", "user_age": "adult"})
    assert pins.not_followed("user_age", "adult") == "Pinned as child, which did not hold: most likely is adult."
    assert pins.not_followed("user_gender", "male") == "Pinned as not male, which did not hold."
    followed = {"user_age": "child", "user_gender": "female", "self_age": "adult"}
    assert [pins.not_followed(*one) for one in followed.items()] == ["", "", ""]


def test_the_evidence_of_a_reading_is_found_and_nothing_is_stored(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.server.dashboard.server import PURPOSE as SHORT
    from tests.server.dashboard.server import Talkative, tiny_with_readers

    model, spent = tiny_with_readers(tmp_path / "mine"), 0

    def spend(user: str, tokens: int) -> None:
        nonlocal spent
        spent += tokens if user == "ann" else 0

    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        this.set_pins(Pins({"user_gender": "male"}))
        for words in ("Hello there", "I am eight."):
            await heard(this.say(words))
        await this.read_beliefs(3)
        before, turns = list(service.sessions._sessions), list(this.turns)
        service.limits.spend = spend  # type: ignore[method-assign, assignment]
        found = await this.find_evidence(3, "user_age")
        reading = this.turns[3].readings["beliefs"]["user_age"]["probabilities"]
        assert found.probability == pytest.approx(reading[found.label], abs=1e-3), "under the pins of the reply"
        told = [(span.message, this.turns[span.message].text[span.start : span.end]) for span in found.spans]
        assert told == [(0, "Hello"), (0, "there"), (2, "I"), (2, "am"), (2, "eight.")]
        early = await this.find_evidence(1, "user_age")
        assert [span.text for span in early.spans] == ["Hello", "there"]
        assert spent > 0, "the key pays for it"
        await this.reload()
        assert (this.turns, list(service.sessions._sessions)) == (turns, before)

    with_service(tmp_path, use, model, SHORT, (Talkative(),), readers=str(tmp_path / "mine"))


@pytest.mark.parametrize("unsupported", [False, True])
def test_readings_of_itself_that_the_card_does_not_support_are_off(tmp_path: Path, unsupported: bool) -> None:
    pytest.importorskip("torch")
    from tests.server.dashboard.server import tiny_with_readers

    model, own = tiny_with_readers(tmp_path / "mine"), "self_education"

    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        await heard(this.say("Hello there"))
        await this.read_beliefs(1)
        read = set(this.turns[1].readings["beliefs"])
        assert read == {reader.name for reader in service.beliefs.readers or ()} - (set() if unsupported else {own})
        assert bool(service.beliefs.reason_off(own)) is not unsupported
        assert service.beliefs.reason_off("user_education") == ""

    folder = str(tmp_path / "mine")
    with_service(tmp_path, use, model, readers=folder, max_new_tokens=8, unsupported_readings=unsupported)


def test_pins_act_beside_the_controls_of_the_conversation_or_of_all_conversations(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from telic.models.control import build_control
    from tests.server.dashboard.server import PURPOSE as SHORT
    from tests.server.dashboard.server import Talkative, tiny_with_readers

    model = tiny_with_readers(tmp_path / "mine")
    reminder, hold = build_control({"name": "reminder"}), build_control({"name": "attention_hold"})
    assert reminder is not None
    assert hold is not None

    def acting(turn: StoredTurn) -> list[str]:
        return [control["name"] for control in turn.setup["controls"]]

    async def use(service: Service) -> None:
        pins = Pins({"user_age": "child"})
        one, other = DashboardConversation(service, "ann"), DashboardConversation(service, "ann")
        for this, words in ((one, "Hello there"), (other, "Good day")):
            await heard(this.say(words))
            this.set_pins(pins)
        service.controls.set([Talkative(), reminder], one.id)
        service.controls.set([Talkative(), hold])
        for this, expected in ((one, "reminder"), (other, "attention_hold")):
            await heard(this.say("What now?"))
            assert acting(this.turns[3]) == ["talkative", expected, "belief"]
            assert (this.pins, this.pins_of(this.turns[3])) == (pins, pins)
            body = [ChatMessage(role="user", content=turn.text) for turn in this.turns[:1]]
            body += [ChatMessage(role="assistant", content=this.turns[1].text)]
            body += [ChatMessage(role="user", content=this.turns[2].text)]
            body += [ChatMessage(role="assistant", content=this.turns[3].text)]
            body += [ChatMessage(role="user", content="And by the API?")]
            exchange = await service.chat.begin("ann", ChatRequest(messages=body), this.id)
            async for _ in exchange.events():
                pass
            await exchange.save()
            await this.reload()
            assert acting(this.turns[5]) == ["talkative", expected, "belief"]
            this.set_pins(Pins())
            await heard(this.say("Without pins"))
            assert acting(this.turns[7]) == ["talkative", expected], "what is not pinned goes on acting"
        await service.delete_user("ann")
        assert (
            service.controls.pins_by_conversation,
            service.controls.controls_by_conversation,
            service.chat.active_exchanges,
        ) == ({}, {}, set())

    with_service(tmp_path, use, model, SHORT, (Talkative(),), readers=str(tmp_path / "mine"))


def test_the_text_so_far_is_stored_when_the_server_closes(tmp_path: Path) -> None:
    async def run() -> None:
        service = Service(SlowModel(), PURPOSE, ServeConfig.of(store=str(tmp_path / "telic.db")))
        await service.start()
        async with aclosing(DashboardConversation(service, "ann").say("Hello")) as pieces:
            await anext(pieces)
            await service.close()

    asyncio.run(run())
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        [episode] = store.episodes()
    assert [turn.finish for turn in episode.turns] == ["given", "left"]


def test_unsupported_pins_are_refused_and_the_conversation_is_not_left_busy(tmp_path: Path) -> None:
    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        reply = await heard(this.say("Hello"))
        service.controls.pins_by_conversation[this.id or ""] = Pins({"user_age": "child"})
        body = ChatRequest(
            messages=[
                ChatMessage(role="user", content="Hello"),
                ChatMessage(role="assistant", content=reply),
                ChatMessage(role="user", content="More"),
            ]
        )
        with pytest.raises(ApiError, match="does not support pins"):
            await service.chat.begin("ann", body)
        assert not service.sessions.busy

    with_service(tmp_path, use)


def test_a_reply_with_a_nul_character_does_not_make_the_conversation_branch(tmp_path: Path) -> None:
    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        assert await heard(this.say("Hello")) == "One\0two"
        first = this.id
        for told in ("One\0two", this.turns[1].text):  # as it was told to a client, and as a page has it
            body = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": told}]
            messages = [ChatMessage.model_validate(one) for one in (*body, {"role": "user", "content": "More"})]
            exchange = await service.chat.begin("ann", ChatRequest(messages=messages))
            assert exchange.conversation == first
            exchange._status = ExchangeStatus.FAILED
            exchange.close()
        await heard(this.say("More"))
        assert (this.id, len(this.turns)) == (first, 4)

    with_service(tmp_path, use, ScriptedModel(lambda messages: "One\0two"))


def test_half_a_surrogate_pair_is_refused_and_not_stored(tmp_path: Path) -> None:
    async def use(service: Service) -> None:
        this = DashboardConversation(service, "ann")
        with pytest.raises(ApiError, match="an invalid character"):
            await heard(this.say("Hello \ud83d"))
        await heard(this.say("Hello"))
        with pytest.raises(ApiError, match="an invalid character"):
            await this.edit_reply(1, "\ud83d")
        await this.reload()
        assert this.turns[1].feedback == ()

    with_service(tmp_path, use)


def test_a_fork_has_no_control_state_of_the_shared_prefix() -> None:
    model = FakeModel()
    sessions = Sessions(model, limit=1)
    sessions.shared_prefix, kept = Session(model), Session(model)
    sessions.shared_prefix.cache.control_state = {"attention_hold": "of the shared prefix"}
    kept.cache.control_state = {"attention_hold": "of the conversation"}
    sessions.keep("one", kept)
    assert sessions.fork_for_reading("one", latest=True).cache.control_state == kept.cache.control_state
    for conversation, latest in (("one", False), ("other", True), ("other", False), (None, True)):
        assert sessions.fork_for_reading(conversation, latest=latest).cache.control_state == {}
    sessions.busy.add("one")
    assert sessions.fork_for_reading("one", latest=True).cache.control_state == {}


def test_pins_are_added_and_removed() -> None:
    pins = Pins().toggled("user_age", "child", "towards").toggled("user_age", "adult", "away")
    assert pins.triples() == [("user_age", "child", "towards"), ("user_age", "adult", "away")]
    assert pins.toggled("user_age", "adult", "towards").triples() == [("user_age", "adult", "towards")]
    assert pins.toggled("user_age", "older adult", "towards").direction("user_age", "child") is None
    assert not pins.toggled("user_age", "child", "towards").toggled("user_age", "adult", "away")
    own = {"name": "belief", "towards": {"self_age": "adult"}, "strength": 1.0}
    set_up = {"controls": [own, {"name": "belief", "towards": {"user_age": "child"}, "away": None, "strength": 3.0}]}
    assert Pins.from_setup(set_up, [own]) == Pins({"user_age": "child"}, {}, 3.0)
    assert Pins.from_setup({"controls": [own]}, [own]) == Pins.from_setup({}) == Pins()
