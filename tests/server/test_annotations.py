"""Annotations of stored turns, on SQLite and on a real Postgres."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sqlalchemy")

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from telic.episodes import Answer, Branch
from telic.errors import DataError, RunError
from telic.server.annotations import Annotations
from telic.server.store import ConversationStore
from tests.server.test_store import history, new_turns


def branch(score: float) -> Branch:
    answer = Answer(text="Mia", finish="stop", score=score)
    return Branch(
        role="assistant", round=1, probe="name", family="own", question="Who?", prompt_tokens=9, answers=[answer]
    )


def test_annotations_are_returned_with_the_conversation_and_the_episode(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        notes = Annotations(store.engine)
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        notes.add_feedback("ann", "c1", 1, "thumb", 1)
        notes.add_feedback("ann", "c1", 1, "thumb", 0)
        notes.add_feedback("ann", "c1", 1, "edit", "Hi, I am Mia!")
        notes.add_probe_branches("ann", "c1", 1, [branch(1.0), branch(0.0)])
        notes.add_readings("ann", "c1", 1, {"beliefs": {"user_age": {}}})
        kept = store.conversation("ann", "c1")
        assert kept is not None
        assert [(one.source, one.value) for one in kept.turns[1].feedback] == [
            ("thumb", 1), ("thumb", 0), ("edit", "Hi, I am Mia!"),
        ]  # fmt: skip
        assert [one.answers[0].score for one in kept.turns[1].probe_branches] == [1.0, 0.0]
        assert kept.turns[1].readings == {"attention": [0.1, 0.2], "beliefs": {"user_age": {}}}
        assert kept.turns[1].setup["controls"] == [{"name": "attention_hold"}]
        assert (kept.turns[0].feedback, kept.turns[0].setup) == ((), {})
        [episode] = store.episodes()
        assert [(one.turn, one.value, one.reward > 0) for one in episode.feedback] == [
            (1, 1, True), (1, 0, False), (1, "Hi, I am Mia!", False),
        ]  # fmt: skip
        assert episode.branches == [branch(1.0), branch(0.0)]
        # The same words on a branch are thought of alike; they are given out once.
        longer = new_turns("c2", history("ann", "Hello", "Hi!", "Why?"), "So.", 2, new=True, parent="c1")
        store.add(longer)
        again = store.conversation("ann", "c2")
        assert again is not None
        assert len(again.turns[1].feedback) == 3
        assert not list(store.episodes())[1].feedback
        assert [one.conversation for one in store.recent("ann")] == ["c1", "c2"], "the edit was later"
        assert [one.opening for one in store.recent("ann", 1)] == ["Hello"]
        assert sorted(store.delete("ann")) == ["c1", "c2"]
        with store.engine.connect() as connection:
            for table in ("feedback", "branches"):
                assert connection.execute(text(f"select count(*) from {table}")).scalar_one() == 0


def test_a_list_tells_conversations_apart_and_finds_them_by_their_words(tmp_path: Path) -> None:
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        notes = Annotations(store.engine)
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        store.add(new_turns("c2", history("ann", "Hello"), "Good day, 100 % of it."))
        store.add(new_turns("c3", history("ann/child", "Hello"), "Hi!"))
        for value in (1, -1):  # the last one counts
            notes.add_feedback("ann", "c1", 1, "thumb", value)
        notes.add_feedback("ann", "c1", 1, "edit", "Hi there!")
        notes.add_feedback("ann", "c2", 1, "thumb", 1)
        notes.add_feedback("ann", "c2", 1, "thumb", 0)  # withdrawn
        told = {one.conversation: (one.opening, one.closing, one.feedback) for one in store.recent("ann")}
        assert told == {
            "c1": ("Hello", "Hi!", {"bad": 1, "edit": 1}),
            "c2": ("Hello", "Good day, 100 % of it.", {}),
        }
        assert [one.conversation for one in store.recent("ann", words="hello GOOD")] == ["c2"]
        assert [one.conversation for one in store.recent("ann", words="100 %")] == ["c2"]
        assert store.recent("ann", words="%x") == store.recent("ann", words="H_llo") == []
        assert {one.conversation for one in store.summaries("ann")} == {"c1", "c2", "c3"}
        assert [one.user for one in store.summaries("ann/child")] == ["ann/child"]
        assert len(store.summaries()) == 3
        assert len(store.summaries(limit=2)) == 2


def test_a_conversation_is_deleted_with_its_branches_and_no_other(tmp_path: Path) -> None:
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        store.add(new_turns("c2", history("ann", "Hello", "Hi!", "Why?"), "So.", 2, new=True, parent="c1"))
        store.add(new_turns("c3", history("ann", "Hello", "Hi!", "How?"), "Thus.", 2, new=True, parent="c2"))
        store.add(new_turns("other", history("ann", "Hello"), "Hi!"))
        store.add(new_turns("hers", history("bob", "Hello"), "Hi!"))
        assert store.delete_family("bob", "c2") == store.delete_family("ann", "hers") == []
        assert sorted(store.delete_family("ann", "c2")) == ["c1", "c2", "c3"]
        assert {one.conversation for one in store.summaries()} == {"other", "hers"}
        with store.engine.connect() as connection:
            assert connection.execute(text("select count(*) from turns")).scalar_one() == 4


def test_turns_of_another_user_cannot_be_annotated(tmp_path: Path) -> None:
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        notes = Annotations(store.engine)
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        for user, conversation, position in (("bob", "c1", 1), ("ann", "c2", 1), ("ann", "c1", 2)):
            with pytest.raises(RunError, match="there is no turn"):
                notes.add_feedback(user, conversation, position, "thumb", 1)
            with pytest.raises(RunError, match="there is no turn"):
                notes.add_probe_branches(user, conversation, position, [branch(1.0)])
            with pytest.raises(RunError, match="there is no turn"):
                notes.add_readings(user, conversation, position, {})
        assert store.conversation("bob", "c1") is None
        assert store.recent("bob") == []


@pytest.mark.parametrize(
    ("kind", "value"), [("thumb", 2), ("thumb", "up"), ("edit", " "), ("edit", 1), ("preferred", "c2"), ("star", 5)]
)
def test_invalid_feedback_is_refused(kind: Any, value: object, tmp_path: Path) -> None:
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        with pytest.raises(DataError, match="expected thumb: -1, 0 or 1"):
            Annotations(store.engine).add_feedback("ann", "c1", 1, kind, value)


def test_an_old_store_is_migrated_and_keeps_its_conversations(tmp_path: Path) -> None:
    path = tmp_path / "telic.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", "telic.server:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("insert into conversations values ('c1', 'ann', null, '', 1, 1.0, 1.0)"),
        )
        connection.execute(
            text(
                "insert into turns values ('c1', 0, 'd', 'user', 'Hello', 'given', 1.0, 0, 0, 0, null, null, "
                "'{}', '{}', '{}', '[]')"
            )
        )
    engine.dispose()
    with closing(ConversationStore(str(path))) as store:
        [episode] = store.episodes()
        assert (episode.turns[0].text, episode.branches) == ("Hello", [])
        [match] = store.find("ann", ["d"])
        assert (match.conversation, match.length, match.is_whole) == ("c1", 1, True)
        Annotations(store.engine).add_feedback("ann", "c1", 0, "thumb", -1)
