"""Folders on an IMAP server: read without a trace, and drafts put into one. Nothing is ever sent or deleted."""

from __future__ import annotations

import imaplib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from imap_tools import BaseMailBox, MailBox, MailBoxStartTls, MailBoxUnencrypted
from imap_tools.errors import ImapToolsError

from telic.errors import ConfigError, DataError

__all__ = ["PASSWORD_VARIABLE", "ImapAddress", "fetch_messages", "opened_folder"]

PASSWORD_VARIABLE = "TELIC_IMAP_PASSWORD"
SECONDS = 30.0
"""Longest wait for a server."""


@dataclass(frozen=True, slots=True)
class ImapAddress:
    """A folder on an IMAP server."""

    user: str
    host: str
    port: int | None
    folder: str
    encrypted: bool
    """Whether the connection begins encrypted (`imaps://`); otherwise STARTTLS follows, except on this machine."""

    @staticmethod
    def matches(text: str) -> bool:
        """Whether a text is meant as the address of a folder on a server."""
        return text.lower().startswith(("imap://", "imaps://"))

    @classmethod
    def parse(cls, text: str) -> ImapAddress:
        """Read `imaps://USER@HOST[:PORT][/FOLDER]`; the folder is INBOX if none is named.

        Raises:
            ConfigError: it has no user or no host, a wrong port, or a password in it.
        """
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{text!r} is not the address of a mailbox: {error}") from None
        if parts.password:
            raise ConfigError(f"the address of a mailbox holds a password; put it into {PASSWORD_VARIABLE} instead")
        if not parts.username or not parts.hostname:
            raise ConfigError(f"{text!r} is not the address of a mailbox; expected imaps://USER@HOST/FOLDER")
        folder = unquote(parts.path.strip("/")) or "INBOX"
        return cls(unquote(parts.username), parts.hostname, port, folder, parts.scheme.lower() == "imaps")

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"{'imaps' if self.encrypted else 'imap'}://{self.user}@{self.host}{port}/{self.folder}"


def fetch_messages(address: ImapAddress, most: int, message_bytes: int) -> tuple[list[bytes], int]:
    """Fetch the latest messages of a folder without marking them as read.

    Returns:
        The messages as they were sent, and the number of older ones that were left out.

    Raises:
        ConfigError: no password is given.
        DataError: the server does not answer, or refuses.
    """
    with opened_folder(address, readonly=True) as box:
        uids = box.uids()
        wanted = uids[-most:] if most else []
        found = []
        for uid in wanted:
            # A part of the message only: a sender does not decide how much is read.
            status, data = box.client.uid("fetch", uid, f"(BODY.PEEK[]<0.{message_bytes}>)")
            found += [part[1] for part in data if isinstance(part, tuple)] if status == "OK" else []
        return found, len(uids) - len(wanted)


@contextmanager
def opened_folder(address: ImapAddress, *, readonly: bool) -> Iterator[BaseMailBox]:
    """Open a folder.

    Raises:
        ConfigError: no password is given.
        DataError: the server does not answer, or refuses.
    """
    password = os.environ.get(PASSWORD_VARIABLE)
    if not password:
        raise ConfigError(f"{address} needs a password; set the environment variable {PASSWORD_VARIABLE}")
    try:
        box = _connected(address)
        try:
            login = box.login if f"{address.user}{password}".isascii() else box.login_utf8
            login(address.user, password, initial_folder=None)
            box.folder.set(address.folder, readonly=readonly)
            yield box
        finally:
            with suppress(OSError, ImapToolsError, imaplib.IMAP4.error):
                box.logout()
            with suppress(OSError):
                box.client.shutdown()
    except (OSError, ImapToolsError, imaplib.IMAP4.error) as error:
        raise DataError(f"{address}: {_reason(error)}") from None


def _connected(address: ImapAddress) -> BaseMailBox:
    if address.encrypted:
        return MailBox(address.host, address.port or 993, timeout=SECONDS)
    if address.is_local:
        return MailBoxUnencrypted(address.host, address.port or 143, timeout=SECONDS)
    return MailBoxStartTls(address.host, address.port or 143, timeout=SECONDS)


def _reason(error: Exception) -> str:
    """Return an error's text on one line; a server's answer comes as a list of bytes."""
    return " ".join(str(getattr(error, "strerror", None) or error).replace("b'", "'").split())[:300]
