"""The pages of issues: a session is answered and decided there, by its own user only, and nothing in it acts."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright")
pytest.importorskip("tree_sitter")

from playwright.sync_api import Page, expect

from telic.assistants.pairing.page_person import PagePerson
from telic.assistants.pairing.programmer import PairProgrammer
from telic.assistants.pairing.record import SessionRecord
from telic.assistants.pairing.session import PairSession
from telic.issues.live import LIVE_FILE, LiveBoard, LiveSession
from telic.runs import RunFolder
from telic.workspaces import Workspace
from tests.assistants.pairing.conftest import ISSUE, PRICES, quick_tests, repository, scripted
from tests.server.dashboard.conftest import Dashboard, Open, connected
from tests.server.dashboard.server import KEYS, MARKUP
from tests.server.dashboard.test_looks import PALE, WIDE

__all__ = ["quick_tests", "repository"]

HOSTILE = f"{ISSUE}\n\n{MARKUP}\n\n</script><script>alert(2)</script>"
QUESTION = f"How should ties {MARKUP} be rounded?\n1. to <b>even</b>\n2. away from zero"


class Running:
    """A session in a thread of its own; `finished` waits for its end."""

    def __init__(self, dashboard: Dashboard, repository: Path, programmer: PairProgrammer, user: str) -> None:
        self.repository = repository
        self.run = RunFolder.create(dashboard.folder / "runs", "pair", "issue", {})
        self.url = f"{dashboard.url}/dashboard/issues/{self.run.path.name}"
        self.failure: BaseException | None = None
        self._programmer, self._user = programmer, user
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go, daemon=True)
        self._thread.start()
        end = time.monotonic() + 60
        while not (self.run.path / LIVE_FILE).exists():  # a page shows what is there when it is opened
            assert time.monotonic() < end, self.failure
            time.sleep(0.05)

    def _go(self) -> None:
        shown = LiveSession(user=self._user, on_page=True, title=f"Prices {MARKUP}", repository=str(self.repository))
        board = Stoppable(self.run.path, shown, self._stopped)
        try:
            with self.run, Workspace(self.repository) as workspace:
                PairSession(
                    self._programmer, workspace, HOSTILE, PagePerson(board), self.run, board=board
                ).run()  # fmt: skip
        except StoppedError:
            pass
        except BaseException as error:
            self.failure = error

    @property
    def record(self) -> SessionRecord:
        found = SessionRecord.read(self.run.path)
        assert found is not None
        return found

    @property
    def prices(self) -> str:
        return (self.repository / "shop/prices.py").read_text()

    def finished(self) -> SessionRecord:
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self.failure is None
        return self.record

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(60)


class StoppedError(Exception):
    """The test is over."""


class Stoppable(LiveBoard):
    """A board whose waiting a test can end."""

    def __init__(self, folder: Path, session: LiveSession, stopped: threading.Event) -> None:
        super().__init__(folder, session)
        self._stopped = stopped

    def _take(self) -> Any:
        if self._stopped.is_set():
            raise StoppedError
        return super()._take()


Start = Callable[..., Running]


@pytest.fixture
def start(repository: Path, quick_tests: None) -> Iterator[Start]:
    begun: list[Running] = []

    def begin(dashboard: Dashboard, programmer: PairProgrammer | None = None, user: str = "local") -> Running:
        asks = scripted(lambda text: QUESTION if "Ask the author" in text else "")
        begun.append(Running(dashboard, repository, programmer or asks, user))
        return begun[-1]

    yield begin
    for one in begun:
        one.stop()


def shots(tmp_path: Path) -> Path:
    return Path(os.environ.get("TELIC_SCREENSHOTS", tmp_path))


def log_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Enter").click()
    page.get_by_role("link", name="Issues").wait_for()


def test_an_issue_is_answered_and_its_patch_accepted(
    remembering: Dashboard, opened: Open, start: Start, tmp_path: Path
) -> None:
    session = start(remembering)
    page = opened(f"{remembering.url}/dashboard/")
    page.get_by_role("link", name="Issues").click()
    page.get_by_role("link", name="Prices").first.click()
    connected(page)
    expect(page.locator(".question .words")).to_contain_text(MARKUP)
    expect(page.locator(".found")).to_contain_text("1 of 2 tests in tests/test_prices.py fail")
    page.screenshot(path=shots(tmp_path) / "issue-question.png")
    page.get_by_role("button", name="to <b>even</b>").click()
    expect(page.locator(".diff .added").first).to_have_text("+    return round(amount, 2)")
    expect(page.locator(".diff .removed").first).to_have_text("-    return int(amount * 100) / 100")
    expect(page.get_by_role("status")).to_have_text("waits for you")
    page.screenshot(path=shots(tmp_path) / "issue-patch.png", full_page=True)
    assert session.prices == PRICES, "the checkout is as it was until the patch is accepted"
    page.get_by_role("button", name="Accept").click()
    record = session.finished()
    assert "return round(amount, 2)" in session.prices
    expect(page.get_by_role("status")).to_have_text("accepted")
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)
    assert [one.source for one in record.episode.feedback] == ["tests_passed", "suggestion_accepted"]
    [answer] = [turn.text for turn in record.episode.turns if turn.act == "answer"]
    assert answer == "to <b>even</b>"
    assert page.locator("#content img").count() == page.locator("#content b").count() == 0, "a text is no markup"


def test_a_patch_is_sent_back_edited_and_thrown_away(
    remembering: Dashboard, opened: Open, start: Start, tmp_path: Path
) -> None:
    session = start(remembering)
    page = opened(session.url)
    connected(page)
    page.get_by_label("Your own words").fill("as people do")
    page.get_by_role("button", name="Answer", exact=True).click()
    page.get_by_role("button", name="Send back").click()
    page.get_by_role("button", name="Send back").nth(1).click()
    expect(page.get_by_role("alert")).to_have_text("Nothing is written yet.")
    page.get_by_label("What should be changed?").fill(f"Say why. {MARKUP}")
    page.get_by_role("button", name="Send back").nth(1).click()
    expect(page.locator(".dialogue")).to_contain_text("Say why.")
    page.get_by_role("button", name="Edit").click()
    field = page.get_by_label("The patch", exact=True)
    field.fill("nonsense")
    page.get_by_role("button", name="Test the edited patch").click()
    expect(page.get_by_role("alert")).to_contain_text("patch")
    second = "+    return int(amount * 100 + 0.05) / 100"  # the script's answer to the comment
    expect(page.locator(".diff .added").first).to_have_text(second)
    page.get_by_role("button", name="Edit").click()
    assert second in field.input_value()
    field.fill(field.input_value().replace("int(amount * 100 + 0.05) / 100", "round(amount, 3)"))
    page.screenshot(path=shots(tmp_path) / "issue-edit.png", full_page=True)
    page.get_by_role("button", name="Test the edited patch").click()
    expect(page.locator(".decision > .diff .added")).to_have_text("+    return round(amount, 3)")
    expect(page.locator(".tests.failed")).to_contain_text("still red: 1")
    page.get_by_role("button", name="Discard").click()
    page.get_by_role("button", name="Discard for good").click()
    record = session.finished()
    assert session.prices == PRICES
    sources = [one.source for one in record.episode.feedback]
    assert sources == ["tests_passed", "suggestion_rejected", "tests_failed", "edit", "suggestion_rejected"]
    assert record.episode.feedback[1].value == f"Say why. {MARKUP}"
    assert "round(amount, 3)" in record.episode.feedback[3].value


def test_only_its_own_user_sees_a_session(scripted: Dashboard, opened: Open, start: Start) -> None:
    session = start(scripted, user="ann")
    stranger = opened(session.url)
    stranger.get_by_label("API key").wait_for()  # without a key it is not shown
    log_in(stranger, KEYS["bob"])
    stranger.goto(session.url)
    expect(stranger.locator("#content")).to_contain_text("This session was not found")
    stranger.goto(f"{scripted.url}/dashboard/issues")
    expect(stranger.locator("#content")).to_contain_text("No sessions in")
    own = opened(session.url)
    log_in(own, KEYS["ann"])
    own.goto(session.url)
    connected(own)
    own.get_by_role("button", name="I do not know").click()
    own.get_by_role("button", name="Accept").click()
    assert session.finished().decision == "accept"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone(
    remembering: Dashboard, opened: Open, start: Start, scheme: str, tmp_path: Path
) -> None:
    session = start(remembering)
    page = opened(session.url, width=390, height=844, scheme=scheme)
    connected(page)
    for step in ("question", "patch"):
        page.get_by_role("button", name="I do not know" if step == "question" else "Accept").wait_for()
        assert page.evaluate(PALE) == []
        assert page.evaluate(WIDE) == []
        page.screenshot(path=shots(tmp_path) / f"issue-{step}-phone-{scheme}.png", full_page=True)
        if step == "question":
            page.get_by_role("button", name="I do not know").click()
    session.stop()
    expect(page.locator("#content")).to_contain_text("telic pair --resume")
    expect(page.get_by_role("button", name="Accept")).to_have_count(0)
