"""Exports of Slack: a folder with `users.json`, `channels.json`, and a folder of days for each channel."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.sources.base import SourceContext
from telic.assistants.digest.text import plain
from telic.errors import DataError

__all__ = ["SlackSource"]

_MARKUP = re.compile(r"<([^<>|]*)(?:\|([^<>]*))?>")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}\.json")


@dataclass(frozen=True)
class SlackSource:
    """The threads of an export, each as one item. The folder is what Slack's own export unpacks to."""

    path: str
    """Relative to the purpose file."""
    channels: list[str] = field(default_factory=list)
    """Channels to read; empty for all."""
    label: str = "Slack"

    def read(self, context: SourceContext) -> Iterator[DigestItem]:
        """Yield the threads with a message since the oldest wanted time."""
        folder = context.fetcher.path(self.path)
        if not folder.is_dir():
            raise DataError(f"the folder {self.path!r} does not exist")
        names = _names(folder, context)
        known = sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
        missing = sorted(set(self.channels) - set(known))
        if missing:
            raise DataError(f"the export has no channel {missing[0]!r}; it has {', '.join(known) or 'none'}")
        for channel in self.channels or known:
            yield from _threads(folder / channel, names, context)


def _names(folder: Path, context: SourceContext) -> dict[str, str]:
    path = folder / "users.json"
    users = _json(path, context) if path.is_file() else []
    found = {}
    for user in users if isinstance(users, list) else []:
        if isinstance(user, dict) and isinstance(user.get("id"), str):
            profile = user.get("profile")
            real_name = profile.get("real_name") if isinstance(profile, dict) else None
            found[user["id"]] = str(real_name or user.get("name") or user["id"])
    return found


def _threads(channel: Path, names: dict[str, str], context: SourceContext) -> Iterator[DigestItem]:
    first_day = f"{datetime.fromtimestamp(max(context.since, 0.0), UTC):%Y-%m-%d}.json"
    threads: dict[str, list[tuple[float, str, str]]] = {}
    for day in sorted(one for one in channel.glob("*.json") if _DAY.fullmatch(one.name) and one.name >= first_day):
        messages = _json(day, context)
        for message in messages if isinstance(messages, list) else []:
            if isinstance(message, dict) and (said := _said(message, names)):
                threads.setdefault(str(message.get("thread_ts") or message.get("ts")), []).append(said)
    for thread, messages in threads.items():
        messages.sort()
        _, author, opening = messages[0]
        text = "\n".join(f"{who}: {said}" for _, who, said in messages)
        yield DigestItem(
            title=f"#{channel.name}: {plain(opening, 90)}", text=text, time=messages[-1][0], author=author,
            kind="chat", key=f"{channel.name}\0{thread}\0{len(messages)}",
        )  # fmt: skip


def _said(message: dict[str, Any], names: dict[str, str]) -> tuple[float, str, str] | None:
    """Return when a message was written, by whom, and what; None for what nobody wrote, such as `has joined`."""
    text = message.get("text")
    if message.get("type") != "message" or message.get("subtype") not in (None, "thread_broadcast", "bot_message"):
        return None
    try:
        moment = float(message["ts"])
    except (KeyError, TypeError, ValueError):
        return None
    if not isinstance(text, str) or not text.strip():
        return None
    user = str(message.get("user") or message.get("username") or "somebody")
    return moment, names.get(user, user), _plain_text(text, names)


def _plain_text(text: str, names: dict[str, str]) -> str:
    def shown(found: re.Match[str]) -> str:
        target, label = found[1], found[2] or ""
        if target.startswith("@"):
            return f"@{names.get(target[1:], label or target[1:])}"
        if target.startswith(("#", "!")):
            return f"{target[0] if target[0] == '#' else '@'}{label or target[1:]}"
        return target if not label or label == target else f"{label} ({target})"

    return html.unescape(_MARKUP.sub(shown, text))


def _json(path: Path, context: SourceContext) -> Any:
    try:
        return json.loads(context.fetcher.file(path).decode("utf-8", "replace"))
    except ValueError as error:
        raise DataError(f"{path.name} of {path.parent.name!r} is not JSON: {error}") from None
