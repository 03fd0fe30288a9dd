"""A web server on this machine whose pages a test writes, and a digest of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest

pytest.importorskip("feedparser")
pytest.importorskip("nh3")
pytest.importorskip("rapidfuzz")

from telic.assistants.digest import Desk, DigestConfig
from telic.memory import MemoryConfig, MemoryFile

NOW = 1_795_000_000.0
"""A morning in November 2026."""
HOUR = 3600.0


@dataclass
class Answer:
    """What the server says to one request."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Callable[[], Iterator[bytes]] | None = None
    """The body in pieces, for one that comes slowly."""


@dataclass
class Site:
    """A web server; `pages` may be changed while it runs."""

    address: str
    pages: dict[str, Answer | Callable[[Mapping[str, str]], Answer]]
    asked: list[tuple[str, dict[str, str]]]
    """The path and the headers of each request."""

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]


@pytest.fixture
def site() -> Iterator[Site]:
    """Start the server on a free port."""
    found = Site("", {}, [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            page = found.pages.get(self.path.partition("?")[0], Answer(b"not here", 404))
            answer = page(found.asked[-1][1]) if callable(page) else page
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.pieces is None:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            try:
                for piece in answer.pieces() if answer.pieces else [answer.body]:
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                return  # the client has had enough

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.address = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()


def rss(*entries: Mapping[str, Any]) -> bytes:
    """A feed; an entry has title, html, link and hours (its age)."""
    items = []
    for number, entry in enumerate(entries):
        moment = datetime.fromtimestamp(NOW - HOUR * entry.get("hours", number + 1), UTC)
        link = entry.get("link", f"https://town.example/{number}")
        items.append(
            f"<item><title>{escape(entry['title'])}</title><link>{escape(link)}</link>"
            f"<description>{escape(entry.get('html', ''))}</description>"
            f"<pubDate>{format_datetime(moment)}</pubDate></item>"
        )
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>{"".join(items)}</channel></rss>'.encode()


MakeDesk = Callable[..., Desk]


@pytest.fixture
def make_desk(tmp_path: Path) -> MakeDesk:
    """Make the desk of one user; all that a test makes share their memory."""

    def make(*sources: Mapping[str, Any], **settings: Any) -> Desk:
        config = DigestConfig.of(sources=[dict(one) for one in sources], **settings)
        log = MemoryFile.of_user(tmp_path / "memory", "news", "me")
        return Desk(config, log, MemoryConfig(), folder=tmp_path, state=tmp_path / "digest")

    return make
