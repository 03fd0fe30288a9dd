"""Headless Chromium, and servers with dashboards; every page is checked for errors and requests to other hosts."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("nicegui")
pytest.importorskip("playwright")

from telic.episodes import Episode
from telic.server import ConversationStore

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[3]
PATIENCE = 60_000
"""Milliseconds; a machine may be busy."""


@dataclass
class Dashboard:
    """A server with a dashboard."""

    url: str
    folder: Path

    def episodes(self) -> list[Episode]:
        """Read all stored conversations."""
        store = ConversationStore(str(self.folder / "telic.db"))
        try:
            return list(store.episodes())
        finally:
            store.close()


@contextmanager
def running(*command: str, folder: Path, **options: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a process; yields it with the first line that it prints."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    log = folder / "errors.txt"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=errors, text=True, env=environment, **options
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line, log.read_text()
        yield process, line
        assert [line for line in log.read_text().splitlines() if " INFO telic.server " not in line] == []
    finally:
        process.kill()
        process.communicate()


def _served(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    folder = tmp_path_factory.mktemp(kind)
    with running("-m", "tests.server.dashboard.server", kind, str(folder), folder=folder, cwd=ROOT) as (_, url):
        yield Dashboard(url, folder)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A tiny model with readers, pins, and a probe; no keys."""
    pytest.importorskip("torch")
    yield from _served("tiny", tmp_path_factory)


@pytest.fixture(scope="session")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A model without readings, on a server with keys."""
    yield from _served("scripted", tmp_path_factory)


@pytest.fixture(scope="session")
def learning(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """Conversations with praise and blame, three versions, a canary; no keys."""
    yield from _served("learning", tmp_path_factory)


@pytest.fixture(scope="session")
def remembering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A server whose purpose remembers its users; no keys."""
    yield from _served("memory", tmp_path_factory)


@pytest.fixture(scope="module")  # while one is open, its event loop runs in this thread, in the way of other tests
def browser() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        found = found or playwright.chromium.executable_path
        if not Path(found).exists():
            pytest.skip("there is no Chromium; install one, or run: playwright install chromium")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"], headless=True)
        yield browser
        browser.close()


@dataclass
class Opened:
    """Opens pages, and records errors and requests to other hosts."""

    browser: Browser
    contexts: list[Any] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __call__(self, url: str, *, width: int = 1400, height: int = 900, scheme: Any = "light") -> Page:
        context = self.browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        context.set_default_timeout(PATIENCE)
        self.contexts.append(context)
        page = context.new_page()
        host = urlsplit(url).netloc

        def look(address: str) -> None:
            parts = urlsplit(address)
            if parts.scheme not in ("data", "blob") and parts.netloc != host:
                self.wrong.append(f"asked another host: {address}")

        page.on("request", lambda request: look(request.url))
        page.on("websocket", lambda socket: look(socket.url))
        page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        page.on("dialog", lambda dialog: self.wrong.append(f"dialog: {dialog.message}"))
        page.on("console", lambda line: self.wrong.append(line.text) if line.type in ("error", "warning") else None)
        page.goto(url)
        return page


Open = Callable[..., "Page"]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    opener = Opened(browser)
    yield opener
    for context in opener.contexts:
        context.close()
    assert opener.wrong == []


def say(page: Page, words: str, number: int) -> None:
    """Send a message, and wait for its reply, the readings, and the address of the conversation."""
    from playwright.sync_api import expect

    connected(page)
    field = page.get_by_label("Your message")
    field.fill(words)
    field.press("Enter")
    page.get_by_role("button", name=f"Regenerate reply {number}, and compare").wait_for()
    at_rest(page)
    expect(page).to_have_url(re.compile(r"/dashboard/c/\w+$"))


def connected(page: Page) -> None:
    """Wait until the page has its connection: what is typed before is lost, and a slow page is loaded anew."""
    page.wait_for_function("window.did_handshake === true")


def at_rest(page: Page) -> None:
    """Wait until no action is running."""
    page.wait_for_selector(".chat-page[aria-busy=false]")
