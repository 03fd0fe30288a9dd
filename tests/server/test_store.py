"""The conversation store, on SQLite and on a real Postgres."""

from __future__ import annotations

import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import make_url, text

from telic.cli.serve import Serve
from telic.dialogue import Message
from telic.episodes import EpisodeStore
from telic.errors import ConfigError
from telic.models import FakeModel
from telic.server import ServeConfig, Service
from telic.server.history import History
from telic.server.records import NewTurns, ReplySetup, TurnRecord
from telic.server.store import ConflictError, ConversationStore
from telic.server.tables import metadata
from tests.server.conftest import PURPOSE

SETUP = ReplySetup(
    "s" * 64, {"purpose": "travel", "system": "You are Mia.", "model": "fake", "controls": [{"name": "attention_hold"}]}
)


def history(user: str, *said: str, system: str = "") -> History:
    messages = [Message(role="system", content=system)] if system else []
    messages += [Message(role="user" if i % 2 == 0 else "assistant", content=word) for i, word in enumerate(said)]
    return History.from_messages(user, messages)


def new_turns(conversation: str, heard: History, reply: str, start: int = 0, **more: object) -> NewTurns:
    pairs = list(zip(heard.messages, heard.digests, strict=True))[start:]
    given = [TurnRecord(message.role, message.content, digest, 10.0 + start) for message, digest in pairs]
    said = Message(role="assistant", content=reply)
    answer = TurnRecord(
        "assistant", reply, heard.digest_with(said), 11.0 + start, "stop", 3, 9, 4, SETUP.digest, -1.5,
        {"action": [0.5], "logprob": -0.25}, {"attention": [0.1, 0.2]}, {"seed": 7},
    )  # fmt: skip
    made = NewTurns(conversation, heard.user, (*given, answer), start, new=start == 0, setup=SETUP)
    return replace(made, **more)  # type: ignore[arg-type]


def test_a_conversation_is_stored_found_and_exported_as_an_episode(place: str, tmp_path: Path) -> None:
    with closing(ConversationStore(place)) as store:
        first = history("ann", "Hello\0", system="Be brief.")
        store.add(new_turns("c1", first, "Hi!", system="Be brief."))
        second = history("ann", "Hello\0", " Hi! ", "Why?", system="Be brief.")
        [match] = store.find("ann", second.digests)
        assert (match.conversation, match.length, match.is_whole) == ("c1", 2, True)
        store.add(new_turns("c1", second, "So.", 2))
    with closing(ConversationStore(place)) as store:  # opened again: nothing was in memory only
        [episode] = store.episodes()
    assert [(t.role, t.round, t.text, t.finish) for t in episode.turns] == [
        ("user", 1, "Hello\ufffd", "given"),
        ("assistant", 1, "Hi!", "stop"),
        ("user", 2, "Why?", "given"),
        ("assistant", 2, "So.", "stop"),
    ]
    last = episode.turns[-1]
    assert (last.tokens, last.prompt_tokens, last.readings) == (3, 9, {"attention": [0.1, 0.2]})
    assert last.origin["planner"] == {"action": [0.5], "logprob": -0.25}
    assert (last.origin["logprob"], last.origin["sampling"], last.origin["cached_tokens"]) == (-1.5, {"seed": 7}, 4)
    assert episode.metadata["setups"][last.origin["setup"]]["controls"] == [{"name": "attention_hold"}]
    assert episode.roles["assistant"]["system"] == "You are Mia.\n\nBe brief."
    written = EpisodeStore(tmp_path / "episodes.jsonl")
    written.append(episode)
    assert list(written) == [episode], "the same form as all other episodes"


def test_a_history_is_found_by_its_longest_prefix_and_its_own_user_only(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        store.add(new_turns("c1", history("ann", "Hello", "Hi!", "Why?"), "So.", 2))
        store.add(new_turns("c2", history("ann", "Hello"), "Hi!"))

        def found(user: str, *said: str, system: str = "", only: str | None = None) -> list[tuple[str, int, bool]]:
            matches = store.find(user, history(user, *said, system=system).digests, only)
            return [(m.conversation, m.length, m.is_whole) for m in matches]

        assert found("ann", "Hello", "Hi!", "Why?", "So.", "And?")[0] == ("c1", 4, True)
        assert found("ann", "Hello", "Hi!", "Other?") == [("c2", 2, True), ("c1", 2, False)], "its own end goes first"
        assert found("ann", "Hello", "Hi!", "Other?", only="c1") == [("c1", 2, False)]
        assert found("ann", "Hello") == [], "a first message alone may open any number of conversations"
        assert found("bob", "Hello", "Hi!", "Other?") == []
        assert found("ann", "Hello", "Hi!", "Other?", system="Rhyme.") == []
        assert store.has("ann", "c1")
        assert not store.has("bob", "c1")


def test_a_branch_shares_the_earlier_turns_and_outlives_its_parent(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        store.add(new_turns("c1", history("ann", "Hello", "Hi!", "Why?"), "So.", 2))
        branch = new_turns("c2", history("ann", "Hello", "Hi!", "Why not?"), "Hm.", 2, new=True, parent="c1")
        store.add(branch)
        episodes = {episode.id: episode for episode in store.episodes()}
        assert [turn.text for turn in episodes["c2"].turns] == ["Hello", "Hi!", "Why not?", "Hm."]
        assert episodes["c2"].turns[1].origin == episodes["c1"].turns[1].origin
        assert episodes["c2"].metadata["parent"] == "c1"
        store.delete("ann")
        with pytest.raises(ConflictError, match="was deleted meanwhile"):
            store.add(replace(branch, conversation="c3"))
        assert list(store.episodes()) == [], "a branch of nothing leaves nothing behind"


def test_a_turn_is_stored_once_when_several_requests_continue_a_conversation(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        refused: list[Exception] = []

        def go_on(number: int) -> None:
            try:
                store.add(new_turns("c1", history("ann", "Hello", "Hi!", f"Say {number}"), f"{number}", 2))
            except ConflictError as error:
                refused.append(error)

        threads = [threading.Thread(target=go_on, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        [episode] = store.episodes()
        assert (len(refused), len(episode.turns)) == (7, 4)
        assert episode.turns[2].text == f"Say {episode.turns[3].text}"
        with pytest.raises(ConflictError, match="send the request again"):
            store.add(new_turns("c1", history("bob", "Hello", "Hi!", "Mine?"), "No.", 4, new=False))


def test_deletion_is_by_user_and_leaves_no_text_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "telic.db"
    with closing(ConversationStore(str(path))) as store:
        for number, user in enumerate(["ann", "ann/child", "annabel", "bob", "a%"]):
            store.add(new_turns(f"c{number}", history(user, f"My secret is {user}-xyzzy."), "Noted."))
        assert store.users() == {"a%": 1, "ann": 1, "ann/child": 1, "annabel": 1, "bob": 1}
        assert {episode.metadata["user"] for episode in store.episodes("ann")} == {"ann", "ann/child"}
        assert sorted(store.delete("ann")) == ["c0", "c1"]
        assert store.delete("a%") == ["c4"], "no wildcard"
        assert store.delete("ann") == []
        assert list(store.users()) == ["annabel", "bob"]
        held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"annabel-xyzzy" in held
    assert b"ann-xyzzy" not in held
    assert b"child-xyzzy" not in held


def test_users_with_a_common_prefix_are_separate(tmp_path: Path) -> None:
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        for number, user in enumerate(["ann/team", "ann/team/lea"]):
            store.add(new_turns(f"c{number}", history(user, "Hello"), "Hi!"))
        assert [episode.metadata["user"] for episode in store.episodes("ann/team")] == ["ann/team"]
        assert store.delete("ann/team") == ["c0"]
        assert store.delete("ann") == ["c1"]


def test_a_conversation_is_found_among_any_number_that_begin_alike(tmp_path: Path) -> None:
    """The work is counted in instructions of SQLite's virtual machine."""
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        long = history("ann", "Hello", "Hi!", "Why?", "So.", "And?")
        store.add(new_turns("long", long, "Yes."))
        work = []
        for count in (50, 500):
            for number in range(count):
                store.add(new_turns(f"{count}-{number}", history("ann", "Hello"), "Hi!"))
                store.add(new_turns(f"{count}-{number}-other", history("ann", f"Number {number}"), "Hi!"))
            steps = 0
            with store.engine.begin() as connection:
                connection.execute(text("update conversations set updated = rowid"))

            def step() -> None:
                nonlocal steps
                steps += 1

            with store.engine.connect() as connection:  # a pool of one connection for each thread
                raw = connection.connection.driver_connection
                assert raw is not None
                raw.set_progress_handler(step, 10)
            whole = history("ann", "Hello", "Hi!", "Why?", "So.", "And?", "Yes.", "Well?")
            [match] = store.find("ann", whole.digests)
            assert (match.conversation, match.length, match.is_whole) == ("long", 6, True)
            assert store.find("ann", history("ann", "Hello").digests) == []
            found = store.find("ann", history("ann", "Hello", "Hi!", "Other?").digests)
            assert found[0].is_whole
            assert len(store.recent("ann", 10)) == 10
            raw.set_progress_handler(None, 10)
            work.append(steps)
    assert work[1] < 1.5 * work[0], "ten times the conversations, the same work"


def test_names_with_nul_characters_match_no_user(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        assert store.find("ann", history("ann", "Hello").digests, "c1\0") == []
        assert not store.has("ann", "\0")
        for user in ("ann/\0", "\0"):
            assert (list(store.episodes(user)), store.delete(user)) == ([], [])


@pytest.mark.parametrize(
    "address", ["postgresql://me:hunter2@db.example/telic", "postgresql://db.example/telic?user=me&password=hunter2"]
)
def test_the_password_of_a_store_is_not_printed(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = SimpleNamespace(dialect=SimpleNamespace(name="postgresql"), url=make_url(address))
    monkeypatch.setattr("telic.server.store.open_database", lambda location, create: opened)
    service = Service(FakeModel(), PURPOSE, ServeConfig.of(store=address))
    for json in (True, False):
        Serve(json=json)._announce(service, 8000)
        said = "".join(capsys.readouterr())
        assert "db.example/telic" in said.replace("\n", "")
        assert "hunter2" not in said


def test_deletion_in_postgres(postgres: Callable[[str], str]) -> None:
    with closing(ConversationStore(postgres("telic_delete"))) as store:
        for number, user in enumerate(["ann", "ann/child", "annabel"]):
            store.add(new_turns(f"c{number}", history(user, "Hello"), "Hi!"))
        assert len(store.delete("ann")) == 2
        assert [episode.metadata["user"] for episode in store.episodes()] == ["annabel"]


def test_an_export_of_many_comes_in_pages_and_in_order(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telic.server.store.EXPORT_PAGE", 3)
    with closing(ConversationStore(place)) as store:
        for number in range(10):
            store.add(new_turns(f"c{number}", history("ann", f"Number {number}"), "Hi!"))
        assert [episode.id for episode in store.episodes()] == [f"c{number}" for number in range(10)]


def test_migrations_create_the_tables_of_the_code(place: str) -> None:
    with closing(ConversationStore(place)) as store, store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": "telic_version"})
        assert compare_metadata(context, metadata) == []
        assert connection.execute(text("select version_num from telic_version")).scalar_one() == "0008"


def test_stores_that_cannot_be_opened(tmp_path: Path, place: str) -> None:
    with closing(ConversationStore(place)) as store, store.engine.begin() as connection:
        connection.execute(text("update telic_version set version_num = '9999'"))
    with pytest.raises(ConfigError, match="was written by a newer Telic"):
        ConversationStore(place)
    (tmp_path / "notes.db").write_text("These are my notes, and no database at all. " * 40)
    with pytest.raises(ConfigError, match=r"cannot open the store .*notes.db: file is not a database"):
        ConversationStore(str(tmp_path / "notes.db"))
    with pytest.raises(ConfigError, match="unable to open database file"):
        ConversationStore(str(tmp_path / "none" / "telic.db"))
    with pytest.raises(ConfigError, match=r"the store .*x\.db. does not exist"):
        ConversationStore(str(tmp_path / "x.db"), create=False)
    with pytest.raises(ConfigError, match="unsupported store 'mysql'"):
        ConversationStore("mysql://me@host/db")
    with pytest.raises(ConfigError, match="invalid address of the store"):
        ConversationStore("://")
    with pytest.raises(ConfigError) as refused:
        ConversationStore("postgresql://me:hunter2@127.0.0.1:1/telic")
    assert "hunter2" not in str(refused.value)
    assert "127.0.0.1" in str(refused.value)


def test_sqlite_settings(tmp_path: Path) -> None:
    path = tmp_path / "telic.db"
    with closing(ConversationStore(str(path))) as store, store.engine.connect() as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("foreign_keys", "secure_delete")]
        assert settings == [1, 1]
    with closing(sqlite3.connect(path)) as connection_:
        assert connection_.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_only_the_owner_of_a_store_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "telic.db"

    def modes() -> dict[str, int]:
        return {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}

    with closing(ConversationStore(str(path))) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        assert modes() == {"telic.db": 0o600, "telic.db-wal": 0o600, "telic.db-shm": 0o600}
    path.chmod(0o644)  # as an earlier version left it
    with closing(ConversationStore(f"sqlite:///{path}")) as store:
        assert set(modes().values()) == {0o600}
        assert len(list(store.episodes())) == 1
