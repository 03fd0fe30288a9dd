"""Which conversation a request continues, and what is stored of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import openai
import pytest
from openai import OpenAI

from telic.episodes import Episode
from telic.models import FakeModel, ScriptedModel
from telic.server import ConversationStore, Keys
from telic.server.app import CONVERSATION
from tests.server.conftest import Served, SlowModel, Start, wait_for


class Chat:
    """A conversation in a client of OpenAI."""

    def __init__(self, client: OpenAI, **options: Any) -> None:
        self.client, self.options = client, options
        self.messages: list[Any] = []
        self.id = ""

    def say(self, text: str, **options: Any) -> str:
        self.messages.append({"role": "user", "content": text})
        raw = self.client.chat.completions.with_raw_response.create(
            model="m", messages=self.messages, **{**self.options, **options}
        )
        self.id = raw.headers[CONVERSATION]
        answer = raw.parse().choices[0].message.content or ""
        self.messages.append({"role": "assistant", "content": answer})
        return answer


def kept(served: Served) -> dict[str, list[str]]:
    return {episode.id: texts(episode) for episode in served.service.store.episodes()}


def texts(episode: Episode) -> list[str]:
    return [turn.text for turn in episode.turns]


def contents(messages: Sequence[Any]) -> list[str]:
    return [message["content"] for message in messages]


def test_turns_of_one_chat_are_one_conversation(start: Start) -> None:
    served = start(FakeModel())
    with served.client() as client:
        ann, bob = Chat(client), Chat(client)
        for text in ("Hello", "Why?", "And then?"):
            ann.say(text)
            bob.say(f"{text} (b)")
        assert ann.id != bob.id
        assert kept(served) == {ann.id: contents(ann.messages), bob.id: contents(bob.messages)}


def test_a_restarted_server_continues_conversations(start: Start) -> None:
    first = start(FakeModel())
    with first.client() as client:
        chat = Chat(client, seed=1)
        chat.say("Hello")
    first.stop()
    second = start(FakeModel())
    with second.client() as client:
        chat.client = client
        before = chat.id
        chat.say("Why?")
    assert chat.id == before
    assert kept(second) == {chat.id: contents(chat.messages)}


def test_changed_or_repeated_messages_branch_off(start: Start) -> None:
    served = start(FakeModel())
    with served.client() as client:
        chat = Chat(client)
        chat.say("Hello")
        chat.say("Why?")
        trunk = chat.id, contents(chat.messages)
        chat.messages = chat.messages[:2]
        chat.say("Why not?")
        episodes = {episode.id: episode for episode in served.service.store.episodes()}
    assert texts(episodes[trunk[0]]) == trunk[1], "what was said stays as it was"
    assert texts(episodes[chat.id]) == contents(chat.messages)
    assert episodes[chat.id].metadata["parent"] == trunk[0]


def test_any_of_several_choices_can_be_continued(start: Start) -> None:
    served = start(FakeModel())
    with served.client() as client:
        said: list[Any] = [{"role": "user", "content": "Hello"}]
        answer = client.chat.completions.create(model="m", messages=said, n=3, seed=1)
        chosen = answer.choices[2].message.content
        said += [{"role": "assistant", "content": chosen}, {"role": "user", "content": "Go on"}]
        client.chat.completions.create(model="m", messages=said)
        first, second = served.service.store.episodes()
    assert [a["text"] for a in first.turns[1].origin["alternatives"]][1] == chosen
    assert texts(second)[:3] == ["Hello", chosen, "Go on"]
    assert second.turns[1].finish == "given"


def test_only_its_own_user_can_name_a_conversation(start: Start) -> None:
    keys = {"ann": "a" * 20, "bob": "b" * 20}
    import hashlib

    served = start(FakeModel(), keys=Keys({name: hashlib.sha256(key.encode()).digest() for name, key in keys.items()}))
    with served.client(keys["ann"]) as ann, served.client(keys["bob"]) as bob:
        one, two = Chat(ann, seed=1), Chat(ann, seed=1)
        one.say("Hello")
        two.say("Hello")
        assert (one.id != two.id, one.messages) == (True, two.messages)
        for chat in (one, two):  # the same words twice, told apart by name
            before = chat.id
            chat.say("Why?", extra_headers={CONVERSATION: chat.id})
            assert chat.id == before
        one.say("And?", extra_body={"conversation": one.id})
        foreign = Chat(bob)
        foreign.messages = list(one.messages)
        with pytest.raises(openai.NotFoundError, match="this user has no such conversation"):
            foreign.say("Mine?", extra_headers={CONVERSATION: one.id})
        foreign.messages = list(one.messages)
        foreign.say("Mine?")
        assert foreign.id not in (one.id, two.id), "the same words of another user are another conversation"
        sub = Chat(ann, user="child")
        sub.say("Hello", seed=1)
        users = served.service.store.blocking.users()
    assert users == {"ann": 2, "ann/child": 1, "bob": 1}


def test_two_requests_for_one_conversation_at_once_do_not_mix(start: Start) -> None:
    served = start(SlowModel(words=30))
    with served.client() as client:
        chat = Chat(client)
        chat.say("Hello")
        chats = [Chat(client) for _ in range(4)]
        for number, other in enumerate(chats):
            other.messages = list(chat.messages)
            other.options = {"user": None}
            threading.Thread(target=other.say, args=(f"Number {number}",)).start()
        wait_for(lambda: all(len(other.messages) == 4 for other in chats))
        held = kept(served)
    assert len({other.id for other in chats}) == 4
    for other in chats:
        assert held[other.id] == contents(other.messages)


def test_the_text_before_a_disconnect_is_stored_and_the_model_stops(start: Start) -> None:
    model = SlowModel()
    served = start(model)
    with served.client() as client:
        said: Any = [{"role": "user", "content": "Tell me all"}]
        stream = client.chat.completions.create(model="m", messages=said, stream=True)
        heard = ""
        for chunk in stream:
            heard += chunk.choices[0].delta.content or ""
            if "word3" in heard:
                break
        stream.close()
        wait_for(lambda: model.broken_off == 1)
        wait_for(lambda: bool(kept(served)))
        [episode] = served.service.store.episodes()
        assert (episode.turns[0].text, episode.turns[1].finish) == ("Tell me all", "left")
        assert episode.turns[1].text.startswith(heard)
        assert len(episode.turns[1].text) < 2000, "far from all"
        wait_for(lambda: not served.service.sessions.busy)  # it is let go once what was told is kept


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_disconnects_before_the_first_word_can_ask_again(start: Start, stream: bool) -> None:
    import httpx

    model = SlowModel(words=3, seconds=0.5)
    served = start(model)
    body = {"messages": [{"role": "user", "content": "Hello"}], "stream": stream}
    with served.http() as http:
        with pytest.raises(httpx.TimeoutException):
            http.post("/v1/chat/completions", json=body, timeout=0.2)
        wait_for(lambda: bool(kept(served)) and not served.service.sessions.busy)
        assert list(kept(served).values()) in ([["Hello"]], [["Hello", "word0 "]])
        wait_for(lambda: model.active == 0)
        model.seconds = 0.0
        http.post("/v1/chat/completions", json=body)
    assert ["Hello", "word0 word1 word2 "] in kept(served).values()
    # a request counts until its last byte is out, which is after the client has read it
    wait_for(lambda: served.service.limits.active_count == 0)


def test_a_user_exports_and_deletes_conversations(start: Start) -> None:
    served = start(ScriptedModel(lambda messages: "Noted."))
    with served.client() as client, served.http() as http:
        for user in ("ann", "bob"):
            chat = Chat(client, user=user)
            chat.say(f"I am {user}.")
            chat.say("Goodbye.")
        lines = http.get("/telic/conversations", params={"user": "ann"}).text.splitlines()
        [episode] = [Episode.model_validate_json(line) for line in lines]
        assert texts(episode) == ["I am ann.", "Noted.", "Goodbye.", "Noted."]
        assert len(http.get("/telic/conversations").text.splitlines()) == 2
        assert http.delete("/telic/conversations", params={"user": "ann"}).json() == {"deleted": 1}
        assert http.delete("/telic/conversations", params={"user": "ann"}).json() == {"deleted": 0}
        assert len(served.service.sessions) == 1, "nothing of it stays in memory"
        [left] = served.service.store.episodes()
    assert left.metadata["user"] == "local/bob"


def test_deletion_during_a_reply_wins(start: Start) -> None:
    served = start(SlowModel(words=20))
    with served.client() as client, served.http() as http:
        chat = Chat(client)
        chat.say("Hello")
        failed: list[openai.APIError] = []

        def go_on() -> None:
            try:
                chat.say("More")
            except openai.ConflictError as error:
                failed.append(error)

        thread = threading.Thread(target=go_on)
        thread.start()
        wait_for(lambda: bool(served.service.sessions.busy))
        http.delete("/telic/conversations")
        thread.join()
        assert kept(served) == {}
    assert "was deleted" in str(failed[0])


def test_a_shutdown_lets_replies_complete(start: Start) -> None:
    served = start(SlowModel(words=30))
    with served.client() as client:
        chat = Chat(client)
        thread = threading.Thread(target=chat.say, args=("Hello",))
        thread.start()
        wait_for(lambda: bool(served.service.sessions.busy))
        served.stop()
        thread.join()
    assert chat.messages[-1]["content"].endswith("word29 ")
    store = ConversationStore(str(start.folder / "telic.db"))
    [episode] = store.episodes()
    store.close()
    assert texts(episode) == contents(chat.messages)


def test_a_shutdown_times_out_and_stores_the_text_so_far(start: Start) -> None:
    served = start(SlowModel(words=100_000), shutdown_seconds=0)
    with served.client() as client:
        said: Any = [{"role": "user", "content": "Hello"}]
        stream = client.chat.completions.create(model="m", messages=said, stream=True)
        for chunk in stream:
            if "word2" in (chunk.choices[0].delta.content or ""):
                break
        served.stop()
        stream.close()
    store = ConversationStore(str(start.folder / "telic.db"))
    [episode] = store.episodes()
    store.close()
    assert episode.turns[-1].finish == "left"
    assert "word1" in episode.turns[-1].text


def test_listeners_get_stored_turns_and_controls_change_from_the_next_turn(start: Start) -> None:
    from telic.models.control import build_control

    model = FakeModel()
    served = start(model)
    heard: list[str] = []
    served.service.store.listeners.append(lambda new: heard.append(new.turns[-1].role))
    with served.client() as client:
        chat, other = Chat(client), Chat(client)
        chat.say("Hello")
        served.service.controls.set([build_control({"name": "prompt", "text": "Be kind."})], chat.id)
        chat.say("Why?")
        assert "Be kind." in model.seen[-1][0].content
        other.say("Hello there")
        assert "Be kind." not in model.seen[-1][0].content
        [first, _] = served.service.store.episodes()
    setups = [
        first.metadata["setups"][turn.origin["setup"]]["controls"] for turn in first.turns if "setup" in turn.origin
    ]
    assert setups == [[], [{"name": "prompt", "text": "Be kind."}]]
    assert heard == ["assistant"] * 3
