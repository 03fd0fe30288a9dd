"""The pages of sessions on issues: the list, and one session, in which the person answers and decides."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

from nicegui import ui
from starlette.requests import Request

from telic.server.dashboard.elements import box, text
from telic.server.dashboard.frame import frame
from telic.server.dashboard.issue_view import IssueView
from telic.server.dashboard.login import key_holder, page_service
from telic.server.dashboard.paths import PATH
from telic.server.live_issues import ShownIssue, find_issue, list_issues

__all__ = ["register_issue_pages"]

RESPONSE_TIMEOUT = 30
"""Longest time to read the run folders, in seconds."""
MOST = 100
"""Sessions in the list, latest first."""
REFRESH_SECONDS = 1.0
MISSING = "This session was not found: its folder was deleted, or it belongs to another user."


def register_issue_pages() -> None:
    """Register the pages with NiceGUI."""

    @ui.page("/issues", response_timeout=RESPONSE_TIMEOUT)
    async def issues(request: Request) -> None:
        root, holder = page_service(request).config.runs, key_holder(request)
        found = await asyncio.to_thread(list_issues, root, holder, MOST)
        with frame(request, "issues"), box("div", "runs-page"):
            text("Issues", "h2")
            if not found:
                text(f"No sessions in {root}. Start one with: telic pair issue.md --page", "p", "hint")
            with box("ul", "run-list"):
                for one in found:
                    _show_entry(one)

    @ui.page("/issues/{name}", response_timeout=RESPONSE_TIMEOUT)
    async def issue(request: Request, name: str) -> None:
        root, holder = page_service(request).config.runs, key_holder(request)
        found = await asyncio.to_thread(find_issue, root, name, holder)
        with frame(request, "issues"), box("div", "runs-page issue-page"):
            if found is None:
                text(MISSING, "p", "alert")
                return
            view = IssueView(found)

        async def refresh() -> None:
            now = await asyncio.to_thread(find_issue, root, name, holder)
            if now is None:
                timer.deactivate()
                view.end(MISSING)
            else:
                view.show(now)

        timer = ui.timer(REFRESH_SECONDS, refresh)


def _show_entry(one: ShownIssue) -> None:
    with box("li"):
        with box("h3"):
            text(one.session.title or one.folder.name, "a", href=f"{PATH}/issues/{quote(one.folder.name)}")
            text(one.status, "span", f"tag {'waiting' if one.is_answerable else 'act'}")
        text(" · ".join(filter(None, (one.session.repository, one.folder.name))), "p", "hint")
