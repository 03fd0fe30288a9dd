"""Parts of the dashboard that need no browser."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("nicegui")
pytest.importorskip("fastapi")

from starlette.requests import Request
from starlette.responses import Response

from telic.models import FakeModel
from telic.run_summary import summarise_runs
from telic.runs import RunFolder
from telic.server import Keys, ServeConfig, Service
from telic.server.dashboard.login import LoginMiddleware, key_holder
from telic.server.dashboard.runs_page import POLICY, find_report
from telic.server.dashboard.turn_view import defence_labels
from telic.server.records import StoredTurn
from tests.server.conftest import PURPOSE


def test_a_report_is_a_file_of_its_run_and_not_a_link(tmp_path: Path) -> None:
    secret = tmp_path / "secret.html"
    secret.write_text("nobody's business")
    names = []
    for name in ("good", "linked", "without"):
        with RunFolder.create(tmp_path / "runs", "measure", name, {}) as run:
            names.append(run.path.name)
    good, linked, without = names
    (tmp_path / "runs" / good / "report.html").write_text("<h1>Report</h1>")
    (tmp_path / "runs" / linked / "report.html").symlink_to(secret)
    assert find_report(tmp_path / "runs", good) == tmp_path / "runs" / good / "report.html"
    for name in (linked, without, "nothing", "..", ".", "", f"../runs/{good}"):
        assert find_report(tmp_path / "runs", name) is None
    assert {run.path.name: run.has_report for run in summarise_runs(tmp_path / "runs")} == {
        good: True,
        linked: False,
        without: False,
    }


def test_a_report_can_run_and_submit_nothing() -> None:
    rules = dict(rule.strip().partition(" ")[::2] for rule in POLICY.split(";"))
    assert rules["default-src"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert rules["sandbox"] == "allow-same-origin", "and no scripts"
    assert "script-src" not in rules


def test_the_login_finds_its_cookie_among_those_of_other_servers(tmp_path: Path) -> None:
    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await Response(key_holder(Request(scope)))(scope, receive, send)

    service = Service(FakeModel(), PURPOSE, ServeConfig.of(store=str(tmp_path / "telic.db")))
    login = LoginMiddleware(behind, service, Keys({"ann": hashlib.sha256(b"the key of ann").digest()}), "/dashboard")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(login), base_url="http://localhost") as http:
            await http.post("/dashboard/login", data={"key": "the key of ann"})
            own = f"telic_dashboard={http.cookies['telic_dashboard']}"
            http.cookies.clear()
            for cookies in (own, f'other={{"a": 1}}; {own}', f"a=b=c; =; ;;{own}; other=(1)"):
                assert (await http.get("/dashboard/", headers={"Cookie": cookies})).text == "ann"
            for cookies in ("", "telic_dashboard=", "telic_dashboard=guessed", 'other={"a": 1}'):
                assert (await http.get("/dashboard/", headers={"Cookie": cookies})).status_code == 303

    asyncio.run(run())


def test_a_websocket_passes_through_if_there_are_no_keys(tmp_path: Path) -> None:
    seen = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["path"])

    service = Service(FakeModel(), PURPOSE, ServeConfig.of(store=str(tmp_path / "telic.db")))
    login = LoginMiddleware(behind, service, Keys(), "/dashboard")

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nothing is said to it")

    asyncio.run(login({"type": "websocket", "path": "/dashboard/login", "headers": []}, nothing, nothing))
    assert seen == ["/dashboard/login"]


def test_a_turn_says_what_the_defences_did() -> None:
    def acted(*records: dict[str, Any]) -> list[str]:
        return defence_labels(StoredTurn(1, "assistant", "No.", "stop", 0.0, {}, {}, {}, records))

    assert acted() == []
    watched = {"defence": "monitor", "action": "pass", "readings": {"probability": 0.123}}
    again = {"defence": "output_guard", "action": "regenerate", "readings": {}}
    assert acted(watched, again, again) == ["output_guard: regenerate", "attack: 12%"]
    assert acted({"defence": "", "action": "end", "readings": {}}) == ["conversation: end"]
