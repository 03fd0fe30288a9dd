"""Authentication: whose API key a request has."""

from __future__ import annotations

from starlette.datastructures import Headers

from telic.server.errors import ApiError
from telic.server.keys import Keys
from telic.server.log import current_record

__all__ = ["LOCAL_USER", "authenticate"]

LOCAL_USER = "local"
"""The user of all requests to a server without keys."""


def authenticate(headers: Headers, keys: Keys) -> str:
    """Return the name of the holder of a request's API key.

    Raises:
        ApiError: the request has no key, or an unknown one.
    """
    if not keys:
        current_record().key = LOCAL_USER
        return LOCAL_USER
    scheme, _, key = headers.get("authorization", "").partition(" ")
    holder = keys.holder(key.strip()) if scheme.lower() == "bearer" else None
    if holder is None:
        raise ApiError(
            401,
            "missing or unknown API key; expected the header `Authorization: Bearer KEY`",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
    current_record().key = holder
    return holder
