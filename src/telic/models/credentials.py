"""Which key an endpoint gets, and what an address may look like.

An address can come from a file that somebody else wrote. So no file names a key: OpenAI's goes to OpenAI and to the
address in `OPENAI_BASE_URL`. Any other address has an environment variable of its own, which the user sets.
"""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from telic.errors import ConfigError

__all__ = ["NO_KEY", "OPENAI_URL", "check_address", "check_model_name", "is_openai", "key_for", "key_variable"]

OPENAI_URL = "https://api.openai.com/v1"
NO_KEY = "no-key-needed"
"""Sent where no key is known, because the client insists on one."""
_PORTS = {"http": 80, "https": 443}
_SIGNS = {".": "_", "-": "__"}


def check_address(address: str, what: str = "base_url") -> None:
    """Refuse what is no address, and an address with a password or key in it, which reports and messages would show.

    Args:
        address: where an endpoint is.
        what: what the error calls it.

    Raises:
        ConfigError: it is not http:// or https:// with a host, or has a user name, a password or a query. The error
            shows none of these.
    """
    shown = re.sub(r"\?.*", "?***", re.sub("//.*@", "//***@", address))
    if shown != address:
        raise ConfigError(
            f"{what} is {shown!r}, with a user name, a password or a query; write the address without them, and put "
            f"the key into the environment variable {key_variable(shown)}"
        )
    scheme, host, _ = _origin(address)
    if not host or scheme not in _PORTS:
        raise ConfigError(f"{what} is {address!r}; expected http://... or https://...")


def check_model_name(name: str | None, what: str = "model") -> None:
    """Refuse a model's name that is an address with a password in it; see `check_address`."""
    if name and "://" in name:
        check_address(name.partition("#")[0], what)


def key_for(address: str) -> str | None:
    """Return the key in the environment that an address may get; None if there is none."""
    return os.environ.get(key_variable(address)) or None


def key_variable(address: str) -> str:
    """Name the environment variable with the key of an address: `TELIC_KEY_` and the host, or OpenAI's own."""
    scheme, host, port = origin = _origin(address)
    own = os.environ.get("OPENAI_BASE_URL")
    if (is_openai(address) and scheme == "https") or (own and origin == _origin(own)):
        return "OPENAI_API_KEY"
    # Different hosts have different variables, so that no address gets the key of another.
    name = re.sub("[^a-z0-9]", lambda sign: _SIGNS.get(sign[0], f"____{ord(sign[0]):X}"), host).upper()
    return f"TELIC_KEY_{name}" + (f"_{port}" if port != _PORTS.get(scheme) else "")


def is_openai(address: str) -> bool:
    """Whether an address is OpenAI's own."""
    host = _origin(address)[1]
    return host == "openai.com" or host.endswith(".openai.com")


def _origin(address: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port; an empty host for what is no address."""
    try:
        parts = urlsplit(address)
        return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return "", "", None
