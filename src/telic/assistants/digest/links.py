"""Links of strangers: only the web, written so that the user sees where they lead."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlencode, urljoin, urlsplit, urlunsplit

__all__ = ["canonical_link", "host_of", "host_written_in", "link_warnings", "safe_link"]

LONGEST = 2000
"""Characters of a link."""
_TRACKING = re.compile(r"utm_\w+|fbclid|gclid|mc_[ce]id|ref|ref_src|source|cmp|at_\w+|ns_\w+|igshid|spm", re.IGNORECASE)
_ARXIV = re.compile(r"^/(?:abs|pdf|html)/([\w.\-/]+?)(?:v\d+)?(?:\.pdf)?$")
_HOST = re.compile(
    r"^\s*(?:https?://)?(?:[^\s/@]*@)?((?:[\w-]+\.)+[^\W\d_][\w-]+)(?::\d+)?(?:[/?#]\S*)?\s*$", re.IGNORECASE
)


def safe_link(link: str, base: str | None = None) -> str | None:
    """Return a link in plain ASCII with its real host (punycode), or None if it does not lead to the web.

    Args:
        link: what a stranger wrote.
        base: the address that a relative link belongs to.
    """
    text = "".join(char for char in link.strip() if char.isprintable())
    if len(text) > LONGEST:
        return None
    try:
        parts = urlsplit(urljoin(base, text) if base else text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    ascii_host = _ascii(host) if host else None
    if parts.scheme.lower() not in ("http", "https") or ascii_host is None:
        return None
    written = f"[{ascii_host}]" if ":" in ascii_host else ascii_host
    netloc = f"{written}:{port}" if port else written  # a name and a password before the host are left out
    path, query, fragment = (quote(part, safe="/%:=&?+,;@~!$'()*-._") for part in parts[2:])
    return urlunsplit((parts.scheme.lower(), netloc, path, query, fragment)).replace("'", "%27").replace(")", "%29")


def canonical_link(link: str) -> str:
    """Return what all links to one document have in common: no tracking, no fragment, no version of a paper."""
    parts = urlsplit(link)
    host = (parts.hostname or "").removeprefix("www.").removeprefix("m.")
    if host.endswith("arxiv.org") and (paper := _ARXIV.match(parts.path)):
        return f"arxiv.org/abs/{paper[1]}"
    kept = sorted((k, v) for k, v in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.fullmatch(k))
    port = f":{parts.port}" if parts.port else ""
    return f"{host}{port}{parts.path.rstrip('/')}{'?' + urlencode(kept) if kept else ''}"


def host_of(link: str) -> str | None:
    """Return the host of a link as `safe_link` writes it, without `www.`; None if it does not lead to the web."""
    safe = safe_link(link)
    return (urlsplit(safe).hostname or "").removeprefix("www.") if safe else None


def host_written_in(text: str) -> str | None:
    """Return the host if a text is an address such as `https://bank.example/login` or `bank.example`."""
    found = _HOST.match("".join(char for char in text if char.isprintable()))
    host = _ascii(found[1].casefold()) if found else None
    return host.removeprefix("www.") if host else None


def link_warnings(link: str) -> list[str]:
    """Return what a user should know of a link before they follow it."""
    warnings = []
    try:
        parts = urlsplit(link)
        host, name = parts.hostname or "", parts.username
    except ValueError:
        return []
    if name is not None:
        warnings.append("the link named a user before its host")
    ascii_host = _ascii(host)
    if ascii_host is not None and "xn--" in ascii_host:
        warnings.append(f"the link's host has letters that look like others: {ascii_host}")
    return warnings


def _ascii(host: str) -> str | None:
    if host.isascii():
        return host.lower() if re.fullmatch(r"[\w.:%-]+", host) else None
    try:
        return host.encode("idna").decode().lower()
    except UnicodeError:
        return None
