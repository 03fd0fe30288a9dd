"""The database of the conversation store: SQLite by default, or Postgres; opening it runs the migrations."""

from __future__ import annotations

import importlib.util
import json
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from telic.errors import ConfigError, MissingExtraError

__all__ = ["open_database", "redacted"]

BUSY_SECONDS = 30
"""How long a process waits for another one that writes to the same SQLite file."""


def open_database(location: str, *, create: bool = True) -> Engine:
    """Open a database and migrate its tables to this version.

    Args:
        location: a file, or an address (`postgresql://user@host/name`).
        create: whether to create a missing file.

    Raises:
        ConfigError: the database cannot be reached, is not Telic's, or was written by a newer version. The message
            contains no password.
        MissingExtraError: the driver for Postgres is not installed.
    """
    url = _url(location)
    if not create and url.database and url.drivername.startswith("sqlite") and not Path(url.database).exists():
        raise ConfigError(
            f"the store {url.database!r} does not exist. `telic serve` creates it; name another one with --store"
        )
    if create:
        _make_private(url)
    # Without hiding them, errors would quote what users said.
    engine = create_engine(url, pool_pre_ping=True, hide_parameters=True, json_deserializer=_from_json)
    if url.drivername.startswith("sqlite"):
        event.listen(engine, "connect", _prepare_sqlite)
    try:
        with engine.begin() as connection:
            config = Config()
            config.set_main_option("script_location", "telic.server:migrations")
            config.set_main_option("path_separator", "os")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        engine.dispose()
        reason = str(error.orig).strip().splitlines()[0]
        raise ConfigError(f"cannot open the store {redacted(url)}: {reason}") from None
    except CommandError as error:
        engine.dispose()
        raise ConfigError(
            f"the store {redacted(url)} was written by a newer Telic: {error}. Update Telic to use it"
        ) from None
    return engine


def _from_json(text: str) -> Any:
    """Read JSON. Most columns of a turn are empty, and are not parsed."""
    if text == "{}":
        return {}
    return [] if text == "[]" else json.loads(text)


def redacted(url: URL) -> str:
    """Format an address without its password, which may also be one of the options."""
    return url.difference_update_query(["password"]).render_as_string(hide_password=True)


def _url(location: str) -> URL:
    if "://" not in location:
        return URL.create("sqlite", database=location)
    try:
        url = make_url(location)
    except ArgumentError:
        # the address is not quoted: it may contain a password
        raise ConfigError("invalid address of the store; expected a form such as postgresql://host/name") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"unsupported store {url.get_backend_name()!r}; expected a file (SQLite) or postgresql://...")
    if url.drivername == "postgresql+psycopg" and importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError("a store in Postgres", "postgres")
    return url


def _make_private(url: URL) -> None:
    """Make the file of a store, and what SQLite keeps beside it, readable by their owner only."""
    name = url.database
    if url.get_backend_name() != "sqlite" or not name or name.startswith(("file:", ":memory:")):
        return
    with suppress(OSError):  # opening it says what is wrong; another user's file keeps its mode
        os.close(os.open(name, os.O_RDWR | os.O_CREAT, 0o600))
        for path in (name, f"{name}-wal", f"{name}-shm"):  # new ones take the mode of the database
            with suppress(FileNotFoundError):
                Path(path).chmod(0o600)


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    for setting in (
        "journal_mode = WAL",
        "synchronous = FULL",  # acknowledged turns survive a power cut
        "foreign_keys = ON",
        "secure_delete = ON",  # deleted data is overwritten in the file
        f"busy_timeout = {1000 * BUSY_SECONDS}",
    ):
        connection.execute(f"PRAGMA {setting}")
