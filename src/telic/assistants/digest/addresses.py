"""Which hosts a redirect may lead to: never this machine or its network, unless the user named the host."""

from __future__ import annotations

import ipaddress
import socket

from telic.errors import DataError

__all__ = ["is_public", "refuse_private_host"]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None)
    return found.is_global and not found.is_multicast and (mapped is None or mapped.is_global)


def refuse_private_host(host: str, port: int) -> None:
    """Check that a host is on the open internet.

    Raises:
        DataError: one of its addresses is of this machine or of a private network, or it has none.
    """
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError) as error:
        raise DataError(f"the host {host!r} is unknown: {error}") from None
    private = sorted(address for address in found if not is_public(address))
    if private:
        raise DataError(f"a redirect to {host!r} was refused: {private[0]} is an address of a private network")
