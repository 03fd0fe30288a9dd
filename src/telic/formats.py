"""Reading and writing dialogues in the formats of other tools, and episodes as dialogues.

It reads OpenAI messages (`{"messages": [...]}` per line), ShareGPT (`{"conversations": [{"from", "value"}]}`, per line
or in one JSON list), pairs of prompt and completion, and Telic's own episodes, as the assistant saw them. It writes
OpenAI messages, which is also TRL's conversational format, and TRL's conversational prompt and completion.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError

from telic.dialogue import Dialogue, Message, Role
from telic.episodes import Episode, assistant_role
from telic.errors import DataError
from telic.files import atomic_draft
from telic.registry import suggest
from telic.tool_formats import RecordError, calls_of_turns, read_calls
from telic.tool_syntax import TEXT_SYNTAX

__all__ = [
    "DialogueFormat",
    "dialogue_before",
    "dialogue_seen_by",
    "read_dialogues",
    "read_records",
    "read_whole_records",
    "write_dialogues",
]

DialogueFormat = Literal["messages", "prompt-completion"]
"""`messages`: `{"messages": [...]}`, OpenAI's and TRL's. `prompt-completion`: TRL's, with the last message apart."""

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function_call": "assistant",
}
_EXPECTED = "expected 'messages', 'conversations', or 'prompt' and 'completion'"


def read_dialogues(path: str | Path) -> list[Dialogue]:
    """Read a file of dialogues. Its content determines its format.

    Raises:
        DataError: the file cannot be read, holds no dialogue, or holds a record that is no dialogue. The message
            names the line, what was found and what was expected.
    """
    return [dialogue for _, dialogue in read_records(path)]


def read_records(path: str | Path) -> Iterator[tuple[dict[str, Any], Dialogue]]:
    """Yield each dialogue of a file with its record, which may say more: who, when, with which model.

    Raises:
        DataError: see `read_dialogues`.
    """
    path, found = Path(path), False
    for line, record in _records(_text(path), path):
        try:
            dialogue = _dialogue(record)
        except RecordError as error:
            raise DataError(f"{path}, line {line}: {error}") from None
        found = True
        yield record, dialogue
    if not found:
        raise DataError(f'{path}: found no dialogue, expected lines such as {{"messages": [...]}}')


def read_whole_records(path: str | Path) -> tuple[list[tuple[int, dict[str, Any], Dialogue]], int]:
    """Read a file's dialogues, without those that are the beginning of another one.

    Where each record has the whole history so far, as a log of requests does, only the longest of them counts; other
    users' dialogues are not compared.

    Returns:
        The number (from 1), the record and the dialogue of each whole one; and how many beginnings were left out.

    Raises:
        DataError: see `read_dialogues`.
    """
    records = list(read_records(path))
    digests = [_digests(record, dialogue) for record, dialogue in records]
    beginnings = {digest for found in digests for digest in found[:-1]}
    whole = [
        (number, record, dialogue)
        for number, ((record, dialogue), found) in enumerate(zip(records, digests, strict=True), start=1)
        if found[-1] not in beginnings
    ]
    return whole, len(records) - len(whole)


def write_dialogues(path: str | Path, dialogues: Iterable[Dialogue], form: DialogueFormat = "messages") -> int:
    """Write each dialogue as a line of JSON. The file appears complete or not at all.

    Returns:
        The number of dialogues written.

    Raises:
        DataError: the file cannot be written, or a dialogue does not fit the format.
    """
    if form not in get_args(DialogueFormat):
        raise DataError(f"unknown format {form!r}{suggest(form, list(get_args(DialogueFormat)))}")
    path = Path(path)
    number = 0
    try:
        with atomic_draft(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
            for number, dialogue in enumerate(dialogues, start=1):
                file.write(json.dumps(_record(dialogue, form, number), ensure_ascii=False) + "\n")
    except OSError as error:
        raise DataError(f"cannot write {str(path)!r}: {error.strerror}") from None
    except UnicodeEncodeError:
        raise DataError(f"dialogue {number} holds half of a surrogate pair, which UTF-8 cannot encode") from None
    return number


def dialogue_seen_by(episode: Episode, role: str) -> Dialogue:
    """Return an episode as one role saw it: its own utterances as the assistant's, all others as the user's.

    The role's system prompt comes first. Before an own utterance come the calls of tools in its turn. Failed
    utterances, and those that the role did not see, are left out. With more than two roles, each message of the others
    carries the speaker's name.

    Raises:
        DataError: the episode has no such role.
    """
    if role not in episode.roles:
        known = suggest(role, list(episode.roles))
        raise DataError(f"episode {episode.id!r} has no role {role!r}{known}")
    several = len(episode.roles.keys() - {"tool"}) > 2
    messages = []
    for turn in episode.turns:
        if turn.finish == "error" or (turn.seen_by and role not in turn.seen_by):
            continue
        if turn.role == role:
            messages += [*turn.steps, Message(role="assistant", content=turn.text, tool_calls=turn.tool_calls)]
        elif turn.tool_call_id is not None:
            messages.append(Message(role="tool", content=turn.text, tool_call_id=turn.tool_call_id))
        else:
            messages.append(Message(role="user", content=turn.text, name=turn.role if several else None))
    return Dialogue(messages).with_system(episode.roles[role].get("system"))


def dialogue_before(episode: Episode, index: int) -> Dialogue:
    """Return what the assistant had seen when it wrote a turn: the dialogue, and its own calls of tools in the turn."""
    before = episode.model_copy(update={"turns": episode.turns[:index]})
    return dialogue_seen_by(before, assistant_role(episode)).append(*episode.turns[index].steps)


def _digests(record: Mapping[str, Any], dialogue: Dialogue) -> list[str]:
    """Return a digest of each beginning of a user's dialogue, the whole one last."""
    digests, running = [], hashlib.sha256(str(record.get("user") or "").encode())
    for message in dialogue:
        calls = [call.as_dict() for call in message.tool_calls]
        running.update(json.dumps([message.role, message.content, *calls]).encode())
        digests.append(running.hexdigest())
    return digests


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        found = f"found the byte 0x{data[error.start]:02x}, expected UTF-8"
        raise DataError(f"{path}, line {line}: {found}") from None


def _records(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    """Yield each record with its line: of a JSON list, of JSON lines, or of one JSON object over several lines."""
    if text.lstrip().startswith("["):
        elements = list(_elements(text, path))
        if elements and all(isinstance(item, dict) and {"role", "from"} & item.keys() for _, item in elements):
            elements = [(elements[0][0], {"messages": [item for _, item in elements]})]
        yield from elements
        return
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if len(lines) > 1 and lines[0][1].strip() == "{":
        lines = [(lines[0][0], text)]
    for number, line in lines:
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise _not_json(path, number + error.lineno - 1, error) from None


def _elements(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    decoder = json.JSONDecoder()
    at = counted = text.index("[") + 1
    line = text.count("\n", 0, at) + 1
    while True:
        at = _skip(text, at)
        if text.startswith("]", at):
            break
        line += text.count("\n", counted, at)
        counted = at
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise _not_json(path, error.lineno, error) from None
        yield line, value
        at = _skip(text, at)
        if text.startswith(",", at):
            at += 1
        elif not text.startswith("]", at):
            raise _unexpected(path, text, at, "expecting ',' or ']'")
    rest = _skip(text, at + 1)
    if rest < len(text):
        raise _unexpected(path, text, rest, "expecting the end of the file")


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\t", "\r", "\n"}:
        at += 1
    return at


def _unexpected(path: Path, text: str, at: int, expected: str) -> DataError:
    error = json.JSONDecodeError(expected, text, at)
    return _not_json(path, error.lineno, error)


def _not_json(path: Path, line: int, error: json.JSONDecodeError) -> DataError:
    found = error.doc[error.pos : error.pos + 30].partition("\n")[0]
    what = f"found {found!r}" if found else "the text ends"
    return DataError(f"{path}, line {line}: not JSON: {error.msg.lower()} at column {error.colno}; {what}")


def _dialogue(record: Any) -> Dialogue:
    if not isinstance(record, dict):
        raise RecordError(f"found {_kind(record)}, expected an object with 'messages' or 'conversations'")
    if {"roles", "turns"} <= record.keys():
        return _episode_dialogue(record)
    for key in ("messages", "conversations", "conversation"):
        if key in record:
            messages = calls_of_turns(_messages(record[key], key)) if key != "messages" else _messages(record[key], key)
            break
    else:
        if not {"prompt", "completion"} <= record.keys():
            raise RecordError(f"found the keys {', '.join(map(repr, record)) or 'none'}, {_EXPECTED}")
        messages = [
            *_messages(_as_messages("user", record["prompt"]), "prompt"),
            *_messages(_as_messages("assistant", record["completion"]), "completion"),
        ]
    dialogue = Dialogue(messages)
    system = record.get("system")  # some ShareGPT files have it beside the conversation
    if isinstance(system, str) and system.strip() and dialogue.system is None:
        dialogue = dialogue.with_system(system)
    return dialogue


def _episode_dialogue(record: dict[str, Any]) -> Dialogue:
    """Return an episode as its assistant saw it: of a served conversation, the model; of a game, the agent."""
    try:
        episode = Episode.model_validate(record)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RecordError(f"found an episode that this Telic cannot read: {where}: {first['msg']}") from None
    if not episode.roles:
        raise RecordError(f"found episode {episode.id!r} without roles")
    dialogue = dialogue_seen_by(episode, assistant_role(episode))
    if not dialogue:
        raise RecordError(f"found episode {episode.id!r} without messages")
    return dialogue


def _as_messages(role: str, value: Any) -> Any:
    return [{"role": role, "content": value}] if isinstance(value, str) else value


def _messages(value: Any, key: str) -> list[Message]:
    if not isinstance(value, list) or not value:
        found = "an empty list" if value == [] else _kind(value)
        raise RecordError(f"{key}: found {found}, expected a list of messages")
    return [_message(item, f"{key}[{index}]") for index, item in enumerate(value)]


def _message(item: Any, where: str) -> Message:
    if not isinstance(item, dict):
        raise RecordError(f"{where}: found {_kind(item)}, expected an object with a role and a content")
    who = "role" if "role" in item else "from"
    what = "content" if "content" in item else "value"
    if item.get("tool_calls"):
        item = {what: None, **item}  # OpenAI leaves the content out where there is none
    for key, form in ((who, "role' or 'from"), (what, "content' or 'value")):
        if key not in item:
            found = ", ".join(map(repr, item)) or "none"
            raise RecordError(f"{where}: found the keys {found}, expected '{form}'")
    role = item[who]
    if not isinstance(role, str) or role.lower() not in _ROLES:
        raise RecordError(f"{where}.{who}: found {role!r}, expected one of {', '.join(_ROLES)}")
    calls = read_calls(item.get("tool_calls"), f"{where}.tool_calls")
    content = "" if calls and item[what] is None else _content(item[what], f"{where}.{what}")
    if role.lower() == "function_call":  # LLaMA-Factory's turn with the JSON of a call
        content = f"{TEXT_SYNTAX.opening}{content}{TEXT_SYNTAX.closing}"
    name, call_id = (value if isinstance(value := item.get(key), str) else None for key in ("name", "tool_call_id"))
    return Message(role=_ROLES[role.lower()], content=content, name=name, tool_calls=calls, tool_call_id=call_id)


def _content(value: Any, where: str) -> str:
    """Return the text of a message. OpenAI also allows a list of parts."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise RecordError(f"{where}: found {value[error.start]!r}, half of a surrogate pair") from None
        return value
    if isinstance(value, list) and value:
        texts = []
        for part in value:
            text = part.get("text") if isinstance(part, dict) else None
            if not isinstance(text, str):
                kind = part.get("type") if isinstance(part, dict) else None
                raise RecordError(f"{where}: found a part that is {kind or _kind(part)}, expected text alone")
            texts.append(text)
        return "".join(texts)
    hint = " (a tool call has none)" if value is None else ""
    raise RecordError(f"{where}: found {_kind(value)}, expected a text{hint}")


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", type(None): "nothing"}
    return kinds.get(type(value), f"the number {value!r}")


def _record(dialogue: Dialogue, form: DialogueFormat, number: int) -> dict[str, Any]:
    messages = [message.as_dict() for message in dialogue]
    if not messages:
        raise DataError(f"dialogue {number} is empty; expected at least one message")
    if form == "messages":
        return {"messages": messages}
    if len(messages) < 2 or messages[-1]["role"] != "assistant":
        found = f"a last message of {messages[-1]['role']!r}" if len(messages) > 1 else "a single message"
        raise DataError(f"dialogue {number}: found {found}, expected a prompt and then the assistant's reply")
    return {"prompt": messages[:-1], "completion": messages[-1:]}
