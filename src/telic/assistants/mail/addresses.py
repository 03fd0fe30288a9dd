"""Addresses in headers: who a message is from, and whether the name in front of an address lies about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import formataddr, getaddresses

from telic.assistants.mail.words import decoded_words, header_line

__all__ = ["Address", "parse_addresses"]

MOST = 200
"""Addresses that are read from one header."""
LONGEST = 254
"""Longest address, in characters (RFC 5321)."""

_ADDRESS = re.compile(r"[\w!#$%&'*+/=?^`{|}~.-]{1,64}@[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A person or a machine with an address."""

    name: str
    """The display name, on one line; often empty. Its sender chose it: it proves nothing."""
    email: str
    """The address in small letters; empty if the header has none that is valid."""

    @property
    def domain(self) -> str:
        """What follows the `@`."""
        return self.email.rpartition("@")[2]

    @property
    def is_spoofed(self) -> bool:
        """Whether the display name pretends to be another address."""
        named = _ADDRESS.search(self.name)
        return named is not None and named[0].lower() != self.email

    def header(self) -> str:
        """Return the address as a header may have it: quoted, encoded, and on one line."""
        return formataddr((self.name, self.email))

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>" if self.name else self.email


def parse_addresses(header: str) -> tuple[Address, ...]:
    """Read the addresses of a header as it was sent. Encoded words are decoded after the addresses were told apart."""
    found = []
    for name, email in getaddresses([header[:100_000]])[:MOST]:
        address = email.strip().lower()
        if len(address) > LONGEST or not _ADDRESS.fullmatch(address):
            address = ""
        if address or name.strip():
            found.append(Address(header_line(decoded_words(name), 200), address))
    return tuple(found)
