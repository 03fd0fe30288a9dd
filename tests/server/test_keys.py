"""Files of API keys that change while a server runs, and logins that end with their key."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import httpx
import pytest

from telic.errors import ConfigError
from telic.models import FakeModel
from telic.server import Keys, ServeConfig, Service
from telic.server.dashboard.login import LoginMiddleware
from telic.server.keys import ENVIRONMENT, add_key, key_names, revoke_key
from tests.server.conftest import PURPOSE, Start, events


@pytest.fixture(autouse=True)
def no_key_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)


def test_a_key_is_appended_to_a_file_without_a_final_newline(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    ann = add_key(path, "ann")
    path.write_text(f"# ours\n{path.read_text().strip()}")
    bob = add_key(path, "bob")
    loaded = Keys.load(path)
    assert (loaded.holder(ann), loaded.holder(bob)) == ("ann", "bob")
    assert path.read_text().startswith("# ours\nann sha256:")
    assert path.read_text().endswith("\n")


def test_keys_are_listed_and_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys.txt"
    ann, bob = add_key(path, "ann"), add_key(path, "bob")
    path.write_text(f"# ours\n{path.read_text()}")
    assert key_names(path) == ["ann", "bob"]
    revoke_key(path, "ann")
    assert key_names(path) == ["bob"]
    assert path.read_text().startswith("# ours\n"), "comments stay"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    loaded = Keys.load(path)
    assert (loaded.holder(ann), loaded.holder(bob)) == (None, "bob")
    with pytest.raises(ConfigError, match=r"has no key named 'ann'; it has: bob"):
        revoke_key(path, "ann")
    with pytest.raises(ConfigError, match="cannot read the key file"):
        revoke_key(tmp_path / "none.txt", "ann")
    for name in ("list", "revoke"):
        with pytest.raises(ConfigError, match="invalid key name"):
            add_key(path, name)


def test_the_key_of_the_environment_and_a_key_of_its_name_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.txt"
    key = add_key(path, "default")
    assert Keys.load(path).holder(key) == "default"
    monkeypatch.setenv(ENVIRONMENT, "long enough a key")
    with pytest.raises(
        ConfigError,
        match=r"has a key named 'default', which is also the name of .* TELIC_API_KEY; remove one",
    ):
        Keys.load(path)
    revoke_key(path, "default")
    ann = add_key(path, "ann")
    loaded = Keys.load(path)
    assert (loaded.holder("long enough a key"), loaded.holder(ann)) == ("default", "ann")


def test_a_running_server_notices_new_and_revoked_keys(
    start: Start, tmp_path: Path, log: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys.txt"
    ann = add_key(path, "ann")
    with start(keys=Keys.load(path)).http() as http:

        def status(key: str) -> int:
            return http.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code

        assert status(ann) == 200
        bob = add_key(path, "bob")
        assert (status(ann), status(bob)) == (200, 200)
        revoke_key(path, "ann")
        assert (status(ann), status(bob)) == (401, 200)
        good = path.read_text()
        path.write_text(f"{good}bob sk-written-down\n")
        assert status(bob) == 200, "a damaged file changes nothing"
        [failed] = events(log, "keys_failed")
        assert "line 2: expected `name sha256:...`" in failed["cause"]
        assert "sk-written-down" not in log.text
        path.write_text(good)
        revoke_key(path, "bob")
        assert (status(ann), status(bob)) == (401, 401)
        assert http.get("/v1/models").status_code == 401, "without keys left, the server is not open to everyone"
    assert events(log, "keys_loaded")[0]["names"] == "ann,bob"
    assert all(record.levelno < logging.ERROR for record in log.records if "keys_loaded" in record.getMessage())


def test_a_login_ends_when_its_key_is_revoked(tmp_path: Path) -> None:
    import asyncio
    from typing import Any

    from starlette.responses import Response

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await Response("inside")(scope, receive, send)

    path = tmp_path / "keys.txt"
    ann = add_key(path, "ann")
    service = Service(FakeModel(), PURPOSE, ServeConfig.of(store=str(tmp_path / "telic.db")))
    login = LoginMiddleware(behind, service, Keys.load(path), "/dashboard")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(login), base_url="http://localhost") as browser:
            await browser.post("/dashboard/login", data={"key": ann})
            assert (await browser.get("/dashboard/")).text == "inside"
            add_key(path, "bob")
            assert (await browser.get("/dashboard/")).text == "inside"
            revoke_key(path, "ann")
            assert (await browser.get("/dashboard/")).status_code == 303
            add_key(path, "ann")
            assert (await browser.get("/dashboard/")).status_code == 303, "a new key of the same name is another key"

    asyncio.run(run())


def test_an_open_page_is_cut_off_when_its_key_is_revoked(tmp_path: Path) -> None:
    import asyncio
    from typing import Any

    heard: list[str] = []

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        while "websocket.disconnect" not in heard and len(heard) < 10:
            heard.append((await receive())["type"])
            if len(heard) == 2:
                revoke_key(path, "ann")

    path = tmp_path / "keys.txt"
    ann = add_key(path, "ann")
    service = Service(FakeModel(), PURPOSE, ServeConfig.of(store=str(tmp_path / "telic.db")))
    login = LoginMiddleware(behind, service, Keys.load(path), "/dashboard")

    async def click() -> Any:
        return {"type": "websocket.receive", "text": "click"}

    async def send(_message: Any) -> None:
        raise AssertionError("the page says nothing")

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(login), base_url="http://localhost") as browser:
            await browser.post("/dashboard/login", data={"key": ann})
            cookie = f"telic_dashboard={browser.cookies['telic_dashboard']}".encode()
        scope = {"type": "websocket", "path": "/dashboard/_nicegui_ws/", "headers": [(b"cookie", cookie)]}
        await login(scope, click, send)

    asyncio.run(run())
    assert heard == ["websocket.receive", "websocket.receive", "websocket.disconnect"]
