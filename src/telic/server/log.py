"""The server's log: a line for every request, and one for every failure with its cause.

A line is a word and fields, `request method=POST path=/v1/chat/completions status=200 ...`. It never contains what was
said, nor a key. The fields are also in the attribute `telic` of the log record, for handlers that write another form.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from uuid import uuid4

__all__ = [
    "RequestRecord",
    "configure_logging",
    "current_record",
    "log_event",
    "log_failure",
    "recording",
]

LOGGER = logging.getLogger("telic.server")

_PLAIN = re.compile(r"[\w./:@%+,-]+", re.ASCII)


@dataclass(slots=True)
class RequestRecord:
    """What the log says of a request, besides its path and how it ended."""

    id: str = field(default_factory=lambda: uuid4().hex)
    key: str | None = None
    """Name of the key's holder."""
    tokens: int | None = None
    """Tokens that were computed for it."""
    conversation: str | None = None


_current: ContextVar[RequestRecord | None] = ContextVar("telic_request", default=None)


@contextmanager
def recording(record: RequestRecord) -> Iterator[None]:
    """Make a record that of the request which this code answers."""
    token = _current.set(record)
    try:
        yield
    finally:
        _current.reset(token)


def current_record() -> RequestRecord:
    """Return the record of the request that this code answers; a new one outside of requests."""
    return _current.get() or RequestRecord()


def log_event(level: int, event: str, **fields: object) -> None:
    """Write a line; fields that are None are left out."""
    known = {name: value for name, value in fields.items() if value is not None}
    line = " ".join([event, *(f"{name}={_quoted(value)}" for name, value in known.items())])
    LOGGER.log(level, "%s", line, extra={"telic": {"event": event, **known}})


def log_failure(event: str, cause: object, **fields: object) -> str:
    """Write a line about a failure; returns the id of the request, under which the line is found."""
    record = current_record()
    log_event(logging.ERROR, event, id=record.id, cause=str(cause), **fields)
    return record.id


def configure_logging() -> None:
    """Write the log to standard error, from the level INFO on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def _quoted(value: object) -> str:
    """Write a value so that it stays one field of one line, whatever a client put into it."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)
