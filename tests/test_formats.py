"""Reading and writing other tools' files of dialogues."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from telic.dialogue import Dialogue, Message
from telic.episodes import Episode, Turn
from telic.errors import DataError
from telic.formats import (
    dialogue_seen_by,
    read_dialogues,
    read_whole_records,
    write_dialogues,
)

TALK = Dialogue().with_system("You are Mia.").add("user", "Hi!").add("assistant", "Hello.\nWhere to?")
OPENAI = {"messages": [message.as_dict() for message in TALK]}
SHAREGPT = {
    "id": "x",
    "conversations": [
        {"from": "system", "value": "You are Mia."},
        {"from": "human", "value": "Hi!"},
        {"from": "gpt", "value": "Hello.\nWhere to?"},
    ],
}


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "talk.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(OPENAI),
        "\n" + json.dumps(OPENAI) + "\r\n\n",
        "\ufeff" + json.dumps(OPENAI),
        json.dumps(OPENAI, indent=2),
        json.dumps([OPENAI]),
        json.dumps(OPENAI["messages"], indent=1),
        json.dumps({**OPENAI, "tools": [], "metadata": {"a": 1}}),
        json.dumps(SHAREGPT),
        json.dumps([SHAREGPT], indent=2),
        json.dumps(SHAREGPT["conversations"]),
        json.dumps(SHAREGPT).replace("human", "user").replace("gpt", "assistant"),
        json.dumps(SHAREGPT).replace('"from"', '"role"').replace('"value"', '"content"'),
        json.dumps({"system": "You are Mia.", "conversations": SHAREGPT["conversations"][1:]}),
        json.dumps({"messages": [{"role": "developer", "content": "You are Mia."}, *OPENAI["messages"][1:]]}),
        json.dumps({"prompt": OPENAI["messages"][:2], "completion": OPENAI["messages"][2:]}),
        json.dumps(OPENAI).replace('"Hi!"', '[{"type": "text", "text": "H"}, {"type": "text", "text": "i!"}]'),
    ],
)
def test_every_format_is_recognised(tmp_path: Path, text: str) -> None:
    assert read_dialogues(file(tmp_path, text)) == [TALK]


def test_a_plain_prompt_and_completion_is_a_round(tmp_path: Path) -> None:
    path = file(tmp_path, '{"prompt": "Hi!", "completion": "Hello."}')
    assert read_dialogues(path) == [Dialogue().add("user", "Hi!").add("assistant", "Hello.")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r": found no dialogue, expected lines such as"),
        ("[]", r": found no dialogue"),
        (
            json.dumps(OPENAI) + '\n\n{"messages": [{"role": "us',
            r", line 3: not JSON: unterminated string starting at at column 24; found '\"us'",
        ),
        (
            json.dumps(OPENAI) + "\nhello\n",
            r", line 2: not JSON: expecting value at column 1; found 'hello'",
        ),
        ("3", r", line 1: found the number 3, expected an object with 'messages' or 'conversations'"),
        ('{"text": "a"}', r", line 1: found the keys 'text', expected 'messages', 'conversations', or 'prompt' and"),
        ('{"messages": []}', r", line 1: messages: found an empty list, expected a list of messages"),
        ('{"messages": "hi"}', r", line 1: messages: found a text, expected a list of messages"),
        ('{"messages": ["hi"]}', r", line 1: messages\[0\]: found a text, expected an object with a role"),
        ('{"messages": [{"role": "user"}]}', r", line 1: messages\[0\]: found the keys 'role', expected 'content' or"),
        ('{"messages": [{"content": "a"}]}', r", line 1: messages\[0\]: found the keys 'content', expected 'role' or"),
        (
            '{"messages": [{"role": "narrator", "content": "a"}]}',
            r", line 1: messages\[0\]\.role: found 'narrator', expected one of system, developer, user",
        ),
        (
            '{"messages": [{"role": "assistant", "content": null, "tool_calls": []}]}',
            r", line 1: messages\[0\]\.content: found nothing, expected a text \(a tool call has none\)",
        ),
        (
            '{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
            r", line 1: messages\[0\]\.content: found a part that is image_url, expected text alone",
        ),
        (
            '{"messages": [{"role": "user", "content": "\\ud800"}]}',
            r", line 1: messages\[0\]\.content: found '.ud800', half of a",
        ),
        (
            json.dumps([SHAREGPT, {"conversations": [{"from": "human", "value": 3}]}], indent=1),
            r", line 19: conversations\[0\]\.value: found the number 3, expected a text",
        ),
        ("[\n{}\n{}]", r", line 3: not JSON: expecting ',' or '\]' at column 1; found '{}\]'"),
        ("[\n{},\n", r", line 3: not JSON: expecting value at column 1; the text ends"),
        ("[{}]\n[{}]", r", line 2: not JSON: expecting the end of the file at column 1"),
        (
            Episode(id="a", kind="k", seed=1, roles={}).model_dump_json(),
            r", line 1: found episode 'a' without roles",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(DataError, match=r"talk\.jsonl" + expected):
        read_dialogues(file(tmp_path, text))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        read_dialogues(tmp_path / "none.jsonl")
    path = tmp_path / "latin.jsonl"
    path.write_bytes(b'{"messages": []}\n"\xe4"')
    with pytest.raises(DataError, match="line 2: found the byte 0xe4, expected UTF-8"):
        read_dialogues(path)


contents = st.text(st.characters(codec="utf-8"))
messages = st.builds(Message, role=st.sampled_from(["user", "assistant", "system", "tool"]), content=contents)
dialogues = st.lists(st.lists(messages, min_size=1, max_size=4).map(Dialogue), min_size=1, max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(dialogues)
def test_what_is_written_is_read_back(tmp_path: Path, talks: list[Dialogue]) -> None:
    path = tmp_path / "talk.jsonl"
    assert write_dialogues(path, talks) == len(talks)
    assert read_dialogues(path) == talks
    replied = [talk.add("user", "so?").add("assistant", "so.") for talk in talks]
    write_dialogues(path, replied, "prompt-completion")
    assert read_dialogues(path) == replied


def test_prompt_and_completion_are_as_trl_expects(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write_dialogues(path, [TALK], "prompt-completion")
    assert json.loads(path.read_text()) == {"prompt": OPENAI["messages"][:2], "completion": OPENAI["messages"][2:]}


@pytest.mark.parametrize(
    ("talks", "form", "expected"),
    [
        ([TALK, Dialogue()], "messages", "dialogue 2 is empty"),
        ([TALK, TALK.add("user", "a")], "prompt-completion", "dialogue 2: found a last message of 'user'"),
        ([TALK], "message", "unknown format 'message'; did you mean 'messages'?"),
    ],
)
def test_what_does_not_fit_is_refused_and_the_old_file_stays(
    tmp_path: Path, talks: list[Dialogue], form: Any, expected: str
) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("old")
    with pytest.raises(DataError) as caught:
        write_dialogues(path, talks, form)
    assert expected in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "out.jsonl", tmp_path / "none" / "out.jsonl"):
        with pytest.raises(DataError, match="cannot write"):
            write_dialogues(path, [TALK])


def played(*roles: str) -> Episode:
    turns = [Turn(role=role, round=1, text=f"I am {role}") for role in roles]
    systems: dict[str, dict[str, Any]] = {role: {"system": f"You are {role}."} for role in roles}
    return Episode(id="e", kind="selfchat", seed=0, roles=systems, turns=turns)


def test_each_side_sees_itself_as_the_assistant() -> None:
    episode = played("agent", "customer")
    episode.turns.append(Turn(role="agent", round=2, text="half", finish="error"))
    expected = Dialogue().with_system("You are agent.").add("assistant", "I am agent").add("user", "I am customer")
    assert dialogue_seen_by(episode, "agent") == expected
    customer = dialogue_seen_by(episode, "customer")
    assert (customer.system, [message.role for message in customer.turns()]) == (
        "You are customer.",
        ["user", "assistant"],
    )


def test_with_more_than_two_sides_the_others_have_names() -> None:
    assert [message.name for message in dialogue_seen_by(played("a", "b", "c"), "b")] == [None, "a", None, "c"]


def test_a_self_chat_is_seen_by_the_side_under_test(tmp_path: Path) -> None:
    turns = [Turn(role="a", round=1, text="Hi!"), Turn(role="b", round=1, text="Yes?")]
    episode = Episode(id="1", kind="selfchat", seed=0, roles={"a": {}, "b": {"system": "You are B."}}, turns=turns)
    path = tmp_path / "episodes.jsonl"
    path.write_text(episode.model_dump_json() + "\n")
    [dialogue] = read_dialogues(path)
    assert [(one.role, one.content) for one in dialogue] == [
        ("system", "You are B."),
        ("user", "Hi!"),
        ("assistant", "Yes?"),
    ]


def test_of_a_log_of_requests_only_the_longest_counts(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    records = [{"messages": said[:1]}, {"messages": said}, {"user": "bob", "messages": said[:1]}]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    whole, beginnings = read_whole_records(path)
    assert ([number for number, _, _ in whole], beginnings) == ([2, 3], 1)


def test_a_role_that_nobody_had_is_refused() -> None:
    with pytest.raises(DataError, match="has no role 'agnet'; did you mean 'agent'"):
        dialogue_seen_by(played("agent", "customer"), "agnet")
    episode = played("agent", "customer")
    episode.roles["agent"] = {}
    assert dialogue_seen_by(episode, "agent").system is None


def test_a_side_does_not_see_what_was_not_for_it() -> None:
    turns = [
        Turn(role="a", round=1, text="I would take five.", seen_by=["a"]),
        Turn(role="a", round=1, text="I ask for nine."),
        Turn(role="b", round=1, text="Six?", seen_by=["a", "b"]),
    ]
    episode = Episode(id="0", kind="negotiation", seed=0, roles={"a": {}, "b": {}}, turns=turns)
    assert [message.content for message in dialogue_seen_by(episode, "b")] == ["I ask for nine.", "Six?"]
    assert len(dialogue_seen_by(episode, "a")) == 3
