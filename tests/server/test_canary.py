"""A canary on a real server: users keep their side, harm is rolled back, nothing is promoted unasked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models import ScriptedModel
from telic.promotion import Versions
from telic.promotion.canary import Canary
from tests.server.conftest import Served, Start
from tests.server.releases import add_version, purpose_file, release_of

OPENER = "When does the train to Lisbon leave?"
RUDE, KIND = "I do not know.", "It leaves at nine from platform two."
SERVED_SECONDS = 30
"""Longest time that a test waits for the server to notice something."""


@pytest.fixture(autouse=True)
def _same_users_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telic.promotion.canary.secrets.token_hex", lambda _: "salt")


def reply(messages: tuple[Message, ...]) -> str:
    return RUDE if "RUDE" in messages[0].content else KIND


def chat(client: httpx.Client, user: str, messages: Sequence[dict[str, str]]) -> str:
    response = client.post("/v1/chat/completions", json={"messages": messages, "user": user})
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])


def converse(client: httpx.Client, user: str) -> str:
    """Play a user who says what the reply is worth; return the reply."""
    messages = [{"role": "user", "content": OPENER}]
    said = chat(client, user, messages)
    answer = "That is wrong and useless, terrible." if said == RUDE else "Great, thank you! That helps a lot."
    chat(client, user, [*messages, {"role": "assistant", "content": said}, {"role": "user", "content": answer}])
    return said


def wait_for(client: httpx.Client, status: str) -> dict[str, Any]:
    end = time.monotonic() + SERVED_SECONDS
    while time.monotonic() < end:
        found: dict[str, Any] = client.get("/telic/canary").json()["canary"]
        if found["status"] == status:
            return found
        time.sleep(0.05)
    raise AssertionError(f"the canary is still {found}")


def start_canary(start: Start, path: Path, **options: Any) -> Served:
    settings = {"canary": 0.5, "canary_idle_minutes": 0.01, **options}
    return start(ScriptedModel(reply), release=release_of(path), **settings)


def test_a_worse_candidate_is_rolled_back(start: Start, tmp_path: Path) -> None:
    path = purpose_file(tmp_path)
    add_version(path, system="RUDE")
    served = start_canary(start, path)
    with served.http() as client:
        said = {f"user-{number}": converse(client, f"user-{number}") for number in range(44)}
        canary = Canary.read(tmp_path / "versions")
        assert canary is not None
        sides = {user: canary.arm_of(f"local/{user}") for user in said}
        assert all(sides[user] == "v1" for user, one in said.items() if one == RUDE)
        assert all((sides[user] == "v1") == (said[user] == RUDE) for user in list(said)[:8]), "it ran at least so long"
        found = wait_for(client, "rolled back")
        known = found["comparison"]
        assert (found["candidate"], found["served"], known["verdict"]) == ("v1", "base", "worse")
        assert known["candidate"]["value"] < known["served"]["value"]
        assert known["evidence_worse"] >= known["threshold"] == 20
        assert "salt" not in found
        assert "user-" not in str(found)
        assert {converse(client, user) for user in list(said)[:6]} == {KIND}, "everybody gets the served version again"
        metrics = client.get("/metrics").text
        assert "telic_canary_share 0.0" in metrics
        assert 'telic_canary_users{arm="candidate"}' in metrics
        episodes = [line for line in client.get("/telic/conversations").text.splitlines() if '"version":"v1"' in line]
    assert episodes, "served turns record the version"
    versions = Versions(tmp_path / "versions", "travel")
    assert versions.status(versions.get("v1")) == "rejected"
    assert "worse" in versions.get("v1").rejected
    served.stop()
    again = start_canary(start, path)
    assert again.service.canary is None, "a rejected version is no candidate"


def test_promotion_is_never_automatic_unless_it_is_asked_for(start: Start, tmp_path: Path) -> None:
    path = purpose_file(tmp_path)
    add_version(path, system="You are Mia. Be kind.")
    served = start_canary(start, path, canary_no_worse=0.9, canary_alpha=0.2)
    with served.http() as client:
        for number in range(14):
            converse(client, f"user-{number}")
        wait_for(client, "no worse")
    served.stop()
    assert release_of(path).version == "base"
    served = start_canary(start, path, canary_no_worse=0.9, canary_alpha=0.2, canary_promote=True)
    with served.http() as client:
        assert client.get("/telic/canary").json()["canary"]["status"] == "no worse", "it goes on after a restart"
    assert release_of(path).version == "base"


def test_it_promotes_when_it_is_asked_to(start: Start, tmp_path: Path) -> None:
    path = purpose_file(tmp_path)
    add_version(path, system="You are Mia. Be kind.")
    served = start_canary(start, path, canary_no_worse=0.9, canary_alpha=0.2, canary_promote=True)
    with served.http() as client:
        for number in range(14):
            converse(client, f"user-{number}")
        wait_for(client, "promoted")
        assert "telic_canary_share 1.0" in client.get("/metrics").text
    assert release_of(path).version == "v1"
    assert "no worse" in release_of(path).versions.promotion.log[-1].reason


def test_which_version_is_the_candidate(start: Start, tmp_path: Path) -> None:
    path = purpose_file(tmp_path)
    add_version(path, passed=False)
    assert start_canary(start, path).service.canary is None, "none has passed its gate"
    add_version(path)
    add_version(path, passed=None)
    newest = start_canary(start, path).service.canary
    assert newest is not None
    assert newest.candidate.version == "v2"
    named = start_canary(start, path, canary_version="v3").service.canary
    assert named is not None
    assert named.candidate.version == "v3"
    with pytest.raises(ConfigError, match="no version 'v9'"):
        start_canary(start, path, canary_version="v9")


def test_users_who_object_are_not_observed(start: Start, tmp_path: Path) -> None:
    path = purpose_file(tmp_path)
    add_version(path, system="RUDE")
    served = start_canary(start, path, learn="consented")
    with served.http() as client:
        for number in range(8):
            converse(client, f"user-{number}")
        assert client.put("/telic/consent", params={"user": "late"}, json={"learn": True}).status_code == 200
        converse(client, "late")
        end = time.monotonic() + SERVED_SECONDS
        while time.monotonic() < end:
            found = client.get("/telic/canary").json()["canary"]["comparison"]
            if found["candidate"]["n"] + found["served"]["n"]:
                break
            time.sleep(0.05)
        assert found["candidate"]["n"] + found["served"]["n"] == 1


def test_a_server_without_a_canary_says_so(start: Start) -> None:
    with start().http() as client:
        assert client.get("/telic/canary").json() == {"version": "base", "canary": None}
