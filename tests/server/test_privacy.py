"""Consent, retention, and deletion that reaches what was derived."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from telic.server.consents import Consents
from telic.server.deletions import deleted_ids
from telic.server.store import ConversationStore
from telic.server.stored_episodes import StoredEpisodes
from telic.server.tables import canary_observations
from tests.server.conftest import Start
from tests.server.releases import add_version, purpose_file, release_of
from tests.server.test_limits_and_keys import keys
from tests.server.test_store import history, new_turns


def test_consent_decides_what_is_learnt_from(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        for name in ("ann", "ann/child", "bob", "eve/one"):
            store.add(new_turns(f"c-{name.replace('/', '-')}", history(name, "Hello"), "Hi!"))
        consents = Consents(store.engine)
        consents.set("ann", True)
        consents.set("ann/child", False)
        consents.set("bob", False)
        consents.set("eve/one", True)
        consents.set("eve/one", None)

    def learnt(learn: str) -> set[str]:
        return {episode.metadata["user"] for episode in StoredEpisodes(place, learn=learn)}  # type: ignore[arg-type]

    assert learnt("all") == {"ann", "eve/one"}
    assert learnt("consented") == {"ann"}
    assert learnt("none") == set()


def test_a_user_consents_over_http(start: Start) -> None:
    served = start(keys=keys(ann="a" * 20, bob="b" * 20))
    with served.http(headers={"Authorization": f"Bearer {'a' * 20}"}) as client:
        assert client.get("/telic/consent").json() == {"learn": None, "rule": "all"}
        assert client.put("/telic/consent", json={"learn": False}).json() == {"learn": False, "rule": "all"}
        assert client.put("/telic/consent?user=child", json={"learn": True}).json()["learn"] is True
        assert client.get("/telic/consent").json()["learn"] is False
        for wrong in (b"", b"{}", b'{"learn": 1}', b'{"learn": "yes"}', b"[true]"):
            refused = client.put("/telic/consent", content=wrong)
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, "learn")
    with served.http(headers={"Authorization": f"Bearer {'b' * 20}"}) as client:
        assert client.get("/telic/consent").json()["learn"] is None, "nobody decides for others"
    with served.http() as client:
        assert client.put("/telic/consent", json={"learn": True}).status_code == 401


def test_deletion_leaves_ids_and_forgets_the_user(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        store.add(new_turns("c1", history("ann/child", "Hello"), "Hi!"))
        store.add(new_turns("c2", history("bob", "Hello"), "Hi!"))
        Consents(store.engine).set("ann", True)
        with store.engine.begin() as connection:
            for user in ("ann/child", "bob"):
                row = {"canary": "salt", "user": user, "version": "v1", "time": 1.0, "satisfaction": 0.5}
                connection.execute(canary_observations.insert().values(row))
        assert store.delete("ann") == ["c1"]
        assert store.delete("ann") == []
        assert deleted_ids(store.engine) == {"c1"}
        assert deleted_ids(store.engine, ["c1", "c2"]) == {"c1"}
        assert Consents(store.engine).get("ann") is None
        with store.engine.connect() as connection:
            users = sorted(
                connection.scalars(canary_observations.select().with_only_columns(canary_observations.c.user))
            )
    assert users[0] == "bob"
    assert users[1].startswith("deleted ")
    assert "ann" not in users[1]


def test_old_conversations_are_deleted(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        store.add(new_turns("old", history("ann", "Hello"), "Hi!"))  # seconds since 1970
        assert store.delete_before(0.0) == []
        assert store.delete_before(time.time() - 86_400) == ["old"]
        assert deleted_ids(store.engine) == {"old"}


@pytest.mark.parametrize("path", ["/telic/conversations", "retention"])
def test_a_server_marks_the_versions_that_were_trained_on_what_it_deletes(
    start: Start, tmp_path: Path, path: str
) -> None:
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        store.add(new_turns("c1", history("local", "Hello"), "Hi!"))
    file = purpose_file(tmp_path)
    add_version(file, sources=("c1", "c7"))
    add_version(file, sources=("c8",), system="Another.")
    keep: dict[str, Any] = {"keep_days": 1} if path == "retention" else {}
    served = start(release=release_of(file), **keep)
    with served.http() as client:
        if path == "retention":
            end = time.monotonic() + 30
            while client.get("/telic/conversations").text and time.monotonic() < end:
                time.sleep(0.02)
        else:
            assert client.delete(path).json() == {"deleted": 1}
    served.stop()
    assert [one.deleted_sources for one in release_of(file).versions.all()] == [1, 0]
