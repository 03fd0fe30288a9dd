"""Memory in a server: across conversations, by user, corrected, forgotten to the last byte; on SQLite and Postgres."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from telic.dialogue import Message, ToolCall
from telic.errors import ConfigError
from telic.memory import Memory, MemoryConfig, MemoryEvent, new_event
from telic.models import ScriptedModel
from telic.purpose import Purpose
from telic.server import ServeConfig, Service
from telic.server.annotations import Annotations
from telic.server.memory_log import MemoryLogs
from telic.server.records import ToolRecord
from telic.server.store import ConversationStore
from tests.server.conftest import Served, Start, events, wait_for
from tests.server.test_limits_and_keys import keys
from tests.server.test_store import history, new_turns

PURPOSE = Purpose(name="travel", system="You are Mia.", memory={"slots": ["home airport"]})
KEYS = {"ann": "the key of ann, and hers alone", "bob": "the key of bob, and his alone"}


class Heard:
    """A model that repeats what it hears, and keeps it."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self.model = ScriptedModel(self._say)

    def _say(self, messages: tuple[Any, ...]) -> str:
        self.prompts.append("\n".join(message.content for message in messages))
        return f"I heard {messages[-1].content!r}"


def ask(served: Served, method: str, path: str, key: str = "any key", **options: Any) -> httpx.Response:
    return httpx.request(
        method, f"{served.url}{path}", headers={"Authorization": f"Bearer {key}"}, timeout=60, **options
    )


def say(served: Served, *said: str, key: str = "any key", **options: Any) -> str:
    messages = [{"role": "user" if i % 2 == 0 else "assistant", "content": one} for i, one in enumerate(said)]
    answer = ask(served, "POST", "/v1/chat/completions", key, json={"messages": messages, **options})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def facts(served: Served, query: str = "", key: str = "any key") -> list[tuple[str, str]]:
    answer = ask(served, "GET", f"/telic/memory{query}", key)
    assert answer.status_code == 200, answer.text
    return [(fact["slot"], fact["value"]) for fact in answer.json()["facts"]]


def test_what_a_user_said_is_in_the_prompts_of_later_conversations(start: Start, place: str) -> None:
    heard = Heard()
    served = start(heard.model, purpose=PURPOSE, store=place)
    say(served, "Hi, my home airport is Graz.", user="ann")
    say(served, "Where do I fly from?", user="ann")
    assert '- home airport: "Graz"' in heard.prompts[-1]
    say(served, "Where do I fly from?", user="bob")
    assert heard.prompts[-1] == "You are Mia.\nWhere do I fly from?"
    served.stop()
    again = start(heard.model, purpose=PURPOSE, store=place)
    say(again, "Where do I fly from?", user="ann", stream=False)
    assert '- home airport: "Graz"' in heard.prompts[-1]
    with closing(ConversationStore(place)) as store:
        stored = "".join(episode.model_dump_json() for episode in store.episodes())
        with store.engine.connect() as connection:
            setups = str(connection.execute(text("SELECT content FROM setups")).all())
    assert "Graz" not in setups
    assert "Notes about this user" not in "".join(
        turn.text for episode in store_episodes(place) for turn in episode.turns if turn.role == "user"
    )
    assert stored


def store_episodes(place: str) -> list[Any]:
    with closing(ConversationStore(place)) as store:
        return list(store.episodes())


def test_copies_of_earlier_turns_are_no_evidence(start: Start) -> None:
    served = start(Heard().model, purpose=PURPOSE)
    say(served, "I love techno.", "You love opera.", "I hate karaoke.", user="ann")
    assert facts(served, "?user=ann") == [("taste", "karaoke")]


def test_users_see_and_change_their_own_memory_only(start: Start, tmp_path: Path) -> None:
    served = start(Heard().model, purpose=PURPOSE, keys=keys(**KEYS))
    say(served, "I love marzipan.", key=KEYS["ann"])
    say(served, "I love nougat.", key=KEYS["ann"], user="child")
    assert facts(served, key=KEYS["ann"]) == [("taste", "marzipan")]
    assert facts(served, "?user=child", key=KEYS["ann"]) == [("taste", "nougat")]
    for query in ("", "?user=ann", "?user=child", "?user=ann/child"):
        assert facts(served, query, key=KEYS["bob"]) == []
    bob = KEYS["bob"]
    assert ask(served, "DELETE", "/telic/memory?user=child", bob).json() == {"removed": 0}
    assert ask(served, "GET", "/telic/memory/why?user=child", bob).json()["reasons"] == []
    assert ask(served, "GET", "/telic/memory/export?user=child", bob).text == ""
    assert facts(served, "?user=child", key=KEYS["ann"]) == [("taste", "nougat")]
    for method, path in (
        ("GET", ""),
        ("GET", "/why"),
        ("GET", "/export"),
        ("POST", ""),
        ("POST", "/undo"),
        ("DELETE", ""),
    ):
        assert ask(served, method, f"/telic/memory{path}", "another key").status_code == 401


def test_why_corrections_choices_and_undo(start: Start) -> None:
    served = start(Heard().model, purpose=PURPOSE)
    say(served, "My home airport is Graz.")
    [reason] = ask(served, "GET", "/telic/memory/why?about=home airport").json()["reasons"]
    assert (reason["said"], reason["quote"], reason["believed"]) == ("My home airport is Graz.", "Graz", True)
    assert ask(served, "POST", "/telic/memory", json={"slot": "home airport", "value": "Vienna"}).status_code == 201
    assert facts(served) == [("home airport", "Vienna")]
    assert ask(served, "POST", "/telic/memory/undo").json() == {"undone": True}
    assert facts(served) == [("home airport", "Graz")]
    choice = {"kind": "choice", "slot": "seat", "value": "window", "scope": "on flights"}
    assert ask(served, "POST", "/telic/memory", json=choice).status_code == 201
    assert ("seat", "window") in facts(served)
    exported = [json.loads(line) for line in ask(served, "GET", "/telic/memory/export").text.splitlines()]
    assert {event["kind"] for event in exported} == {"message", "correction", "undo", "choice"}


def test_reported_purchases_are_choices(start: Start) -> None:
    served = start(Heard().model, purpose=PURPOSE, keys=keys(**KEYS))
    messages = [{"role": "user", "content": "Hello"}]
    body = {"messages": messages, "user": "child"}
    said = ask(served, "POST", "/v1/chat/completions", KEYS["ann"], json=body)
    report = {
        "conversation": said.headers["X-Telic-Conversation"],
        "kind": "suggestion_accepted",
        "value": "a night train",
    }
    for number in range(2):
        assert ask(served, "POST", "/telic/events", KEYS["ann"], json={**report, "id": f"o{number}"}).status_code == 201
    assert ask(served, "POST", "/telic/events", KEYS["ann"], json={**report, "id": "o1"}).status_code == 200
    assert ask(served, "POST", "/telic/events", KEYS["bob"], json={**report, "id": "o2"}).status_code == 404
    [fact] = ask(served, "GET", "/telic/memory?user=child", KEYS["ann"]).json()["facts"]
    assert (fact["value"], fact["polarity"], len(fact["evidence"])) == ("a night train", 1, 2)
    assert (facts(served, key=KEYS["ann"]), facts(served, key=KEYS["bob"])) == ([], [])


def test_wrong_notes_and_queries_are_refused(start: Start) -> None:
    served = start(Heard().model, purpose=PURPOSE)
    bodies = ["", "[]", "{}", '{"value": ""}', '{"value": " "}', '{"value": 3}', '{"value": "x", "polarity": 0}',
              '{"value": "x", "kind": "verdict"}', '{"value": "x", "user": "bob"}',
              json.dumps({"value": "x" * 501})]  # fmt: skip
    for body in bodies:
        answer = ask(served, "POST", "/telic/memory", content=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error"), body
    for query in ("?about=", "?about=a&about=b", "?user=", "?user=a&user=b"):
        assert ask(served, "DELETE", f"/telic/memory{query}").status_code == 400, query
    assert facts(served) == []


def test_a_purpose_without_memory_remembers_nothing(start: Start, tmp_path: Path) -> None:
    served = start(Heard().model)
    say(served, "I love marzipan.")
    answer = ask(served, "GET", "/telic/memory")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_memory")
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        assert MemoryLogs(store.engine).users("travel") == {}


def test_only_named_users_if_the_purpose_says_so(start: Start) -> None:
    served = start(Heard().model, purpose=PURPOSE.model_copy(update={"memory": {"named_users_only": True}}))
    say(served, "I love marzipan.")
    say(served, "I love nougat.", user="ann")
    assert (facts(served), facts(served, "?user=ann")) == ([], [("taste", "nougat")])
    refused = ask(served, "POST", "/telic/memory", json={"value": "Graz", "slot": "home airport"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_remembered")


def files_with(folder: Path, words: str) -> list[str]:
    return [path.name for path in folder.iterdir() if words.encode().lower() in path.read_bytes().lower()]


def test_forgetting_in_a_chat_leaves_no_byte(start: Start, tmp_path: Path, log: Any) -> None:
    heard = Heard()
    served = start(heard.model, purpose=PURPOSE)
    reply = say(served, "I love swordfish. My home airport is Graz.", user="ann")
    say(served, "I love swordfish. My home airport is Graz.", reply, "What do I like?", user="ann", n=2)
    say(served, "Is swordfish good?", user="bob")
    assert files_with(tmp_path, "swordfish")
    ask(served, "DELETE", "/telic/conversations?user=bob")
    say(served, "Forget that I love swordfish.", user="ann")
    wait_for(lambda: bool(events(log, "forgotten")))
    assert facts(served, "?user=ann") == [("home airport", "Graz")]
    assert files_with(tmp_path, "swordfish") == []
    assert "swordfish" not in ask(served, "GET", "/telic/memory/export?user=ann").text.lower()
    assert "swordfish" not in ask(served, "GET", "/telic/conversations?user=ann").text.lower()
    heard.prompts.clear()
    say(served, "What do I like?", user="ann")
    assert "swordfish" not in heard.prompts[-1].lower()


def test_the_notes_stay_where_a_client_carries_out_a_call(start: Start) -> None:
    heard = Heard()
    served = start(heard.model, purpose=PURPOSE)
    say(served, "I love swordfish.", user="ann")
    tool = {"type": "function", "function": {"name": "menu"}}
    call = {"id": "c1", "type": "function", "function": {"name": "menu", "arguments": "{}"}}
    asked = [
        {"role": "user", "content": "What do I like to eat?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "soup or fish", "tool_call_id": "c1"},
    ]
    for messages in (asked[:1], asked):
        body = {"messages": messages, "tools": [tool], "user": "ann"}
        assert ask(served, "POST", "/v1/chat/completions", json=body).status_code == 200
        assert "swordfish" in heard.prompts[-1]


@pytest.mark.parametrize("how", ["forget", "forget everything", "delete conversations"])
def test_deleted_words_are_in_no_file_and_no_answer(start: Start, tmp_path: Path, how: str) -> None:
    heard = Heard()
    served = start(heard.model, purpose=PURPOSE)
    first = say(served, "I love marzipan.", user="ann")
    say(served, "I love marzipan.", first, "More MARZIPAN please.", user="ann")
    ask(served, "POST", "/telic/memory?user=ann", json={"value": "marzipan cake", "slot": "note"})
    path = {
        "forget": "/telic/memory?user=ann&about=marzipan",
        "forget everything": "/telic/memory?user=ann",
        "delete conversations": "/telic/conversations?user=ann",
    }[how]
    assert ask(served, "DELETE", path).status_code == 200
    assert files_with(tmp_path, "marzipan") == []
    heard.prompts.clear()
    say(served, "What do I like?", user="ann")
    assert "marzipan" not in heard.prompts[-1].lower()
    assert facts(served, "?user=ann") == []
    served.stop()
    assert files_with(tmp_path, "marzipan") == []


def test_postgres_forgets_too(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        logs = MemoryLogs(store.engine)
        heard = history("ann", "I love marzipan. I live in Leeds.")
        store.add(new_turns("c1", heard, "Marzipan, really?", remembering="travel"))
        store.add(new_turns("c2", history("bob", "I love marzipan."), "Yes.", remembering="travel"))
        logged = logs.read("ann", "travel")
        assert [(event.speaker, event.text) for event in logged.events] == [
            ("user", "I love marzipan. I live in Leeds."), ("assistant", "Marzipan, really?")
        ]  # fmt: skip
        memory = Memory(MemoryConfig(), logged.events)
        plan = memory.plan_forgetting("marzipan")
        logs.forget("ann", "travel", plan, new_event("forget", "", "api", events=list(plan.events)))
        again = logs.read("ann", "travel", logged.revision, logged.last)
        assert again.revision != logged.revision
        assert [event.text for event in again.events] == ["[forgotten] I live in Leeds.", "", ""]
        assert [episode.turns[0].text for episode in store.episodes("ann")] == ["[forgotten] I live in Leeds."]
        assert [episode.turns[0].text for episode in store.episodes("bob")] == ["I love marzipan."]
        with store.engine.connect() as connection:
            rows = str(connection.execute(text("SELECT * FROM memory_events WHERE \"user\" = 'ann'")).all())
        assert "marzipan" not in rows.lower()
        store.delete("ann")
        assert logs.read("ann", "travel").events == []
        assert logs.users("travel") == {"bob": 2}


@pytest.mark.parametrize("about", ["José marzipan", "4711", ""])
def test_forgetting_takes_the_calls_of_tools_and_their_results(place: str, about: str) -> None:
    said = history("ann", "I love José marzipan, it is number 4711.", "", "found", "More?")
    call = ToolCall(id="c1", name="order", arguments='{"what": "Jos\\u00e9\\nmarzipan", "number": 4711}')
    result = Message(role="tool", content='{"bought": "Jos\\u00e9 marzipan", "number": 4711}', tool_call_id="c1")
    steps = (Message(role="assistant", content="José marzipan 4711", tool_calls=(call,)), result)
    with closing(ConversationStore(place)) as store:
        logs, new = MemoryLogs(store.engine), new_turns("c1", said, "Done.", remembering="travel")
        first, called, returned, more, reply = new.turns
        turns = (
            first,
            replace(called, tools=ToolRecord(calls=(call,))),
            replace(returned, role="tool", text=result.content, tools=ToolRecord(call_id="c1")),
            more,
            replace(reply, tools=ToolRecord(steps=steps)),
        )
        store.add(replace(new, turns=turns))
        phrase = "josé marzipan" if about.startswith("J") else about
        plan = replace(Memory(MemoryConfig(), logs.read("ann", "travel").events).plan_forgetting(about))
        plan = replace(plan, phrases=tuple({*plan.phrases, *filter(None, [phrase])}))
        logs.forget("ann", "travel", plan, new_event("forget", "", "api", events=list(plan.events)))
        [episode] = store.episodes("ann")
        stored = store.conversation("ann", "c1")
    left = episode.turns[1].tool_calls[0].arguments + episode.turns[2].text + str(episode.turns[4].steps)
    assert ("marzipan" in left.lower()) == (about == "4711")
    assert ("4711" in left) == about.startswith("J")
    assert episode.turns[1].tool_calls[0].name == "order"
    assert episode.turns[4].steps[1].tool_call_id == "c1"
    if about:
        assert isinstance(json.loads(episode.turns[2].text), dict)
        assert episode.turns[4].steps[0].tool_calls[0].parsed()
    assert stored is not None
    assert len(stored.turns) == 5


def test_a_log_is_read_from_where_it_was_read_before(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        logs = MemoryLogs(store.engine)
        one, other = (MemoryEvent(name, 1.0, "message", "c", "user", "Hello") for name in "ab")
        logs.append("ann", "travel", [one, one])
        first = logs.read("ann", "travel")
        logs.append("ann", "travel", [one, other])
        second = logs.read("ann", "travel", first.revision, first.last)
        assert ([event.id for event in first.events], [event.id for event in second.events]) == (["a"], ["b"])
        assert logs.read("ann", "other").events == []
        assert logs.read("an", "travel").events == []


def test_deleting_a_conversation_forgets_what_was_said_in_it(start: Start) -> None:
    served = start(Heard().model, purpose=PURPOSE)
    say(served, "I love marzipan.")
    say(served, "I hate karaoke.")
    with closing(ConversationStore(str(served.service.config.store))) as store:
        name = next(one.conversation for one in store.recent("local") if "marzipan" in one.opening)
        store.delete_family("local", name)  # as another process does
    assert facts(served) == [("taste", "karaoke")]


def test_wrong_settings_name_their_line(tmp_path: Path) -> None:
    purpose = Purpose.from_text('name = "a"\nsystem = "b"\n[memory]\nbudget = -3\n', "a.toml")
    with pytest.raises(ConfigError, match=r"a\.toml, line 3: memory: budget is -3"):
        Service(Heard().model, purpose, ServeConfig.of(store=str(tmp_path / "telic.db")))


def test_forgetting_everything_takes_the_users_edits_too(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        logs = MemoryLogs(store.engine)
        store.add(new_turns("c1", history("ann", "Write to Tom."), "Dear Tom,", remembering="travel"))
        Annotations(store.engine).add_feedback("ann", "c1", 1, "edit", "Hey, bring marzipan,")
        edited = new_turns("c2", history("ann", "Write to Tom."), "Hey, bring marzipan,")
        store.add(replace(edited, turns=(*edited.turns[:-1], replace(edited.turns[-1], finish="edited"))))
        memory = Memory(MemoryConfig(), logs.read("ann", "travel").events)
        logs.forget("ann", "travel", memory.plan_forgetting(""), new_event("forget", "", "api"))
        exported = "".join(episode.model_dump_json() for episode in store.episodes())
    assert "c1" in exported
    assert "marzipan" not in exported
