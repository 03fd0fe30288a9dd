"""Opening the database of the live store: SQLite by default, Postgres by its address, both brought up to date."""

from __future__ import annotations

import importlib.util
import sqlite3
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from telic.errors import ConfigError, MissingExtraError

__all__ = ["open_database", "shown"]

BUSY_SECONDS = 30
"""How long one process waits for another that writes to the same SQLite file."""


def open_database(place: str, *, create: bool = True) -> Engine:
    """Open a database, and bring its tables up to date.

    Args:
        place: a file, or an address of SQLAlchemy's (`postgresql://user@host/name`).
        create: make the file if there is none.

    Raises:
        ConfigError: it cannot be reached or is not one of Telic's of this version or an older one. No password is
            in the message.
        MissingExtraError: it is a Postgres, and its driver is not installed.
    """
    url = _url(place)
    if not create and url.database and url.drivername.startswith("sqlite") and not Path(url.database).exists():
        raise ConfigError(f"there is no store {url.database!r}; name it with --store")
    engine = create_engine(url, pool_pre_ping=True)
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
        raise ConfigError(f"cannot open the store {shown(url)}: {reason}") from None
    except CommandError as error:
        engine.dispose()
        raise ConfigError(
            f"the store {shown(url)} was written by a newer Telic: {error}. Update Telic to use it"
        ) from None
    return engine


def shown(url: URL) -> str:
    """An address as anyone may see it; the password may also be one of its options."""
    return url.difference_update_query(["password"]).render_as_string(hide_password=True)


def _url(place: str) -> URL:
    if "://" not in place:
        return URL.create("sqlite", database=place)
    try:
        url = make_url(place)
    except ArgumentError:
        raise ConfigError(
            "the store's address cannot be read; expected a form such as postgresql://host/name"
        ) from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigError(f"the store is a {url.get_backend_name()!r}; expected a file (SQLite) or postgresql://...")
    if url.drivername == "postgresql+psycopg" and importlib.util.find_spec("psycopg") is None:
        raise MissingExtraError("a store in Postgres", "postgres")
    return url


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    for setting in (
        "journal_mode = WAL",
        "synchronous = FULL",  # what was acknowledged outlives a power cut, too
        "foreign_keys = ON",
        "secure_delete = ON",  # what is deleted is overwritten
        f"busy_timeout = {1000 * BUSY_SECONDS}",
    ):
        connection.execute(f"PRAGMA {setting}")
