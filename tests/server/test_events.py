"""Events that other systems report: stored once, about the key holder's own conversations, and kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("sqlalchemy")

from telic.errors import DataError, RunError
from telic.server.reported_events import EventConflictError, EventReport, ReportedEvents
from telic.server.store import ConversationStore
from telic.server.stored_episodes import StoredEpisodes
from tests.server.conftest import Start
from tests.server.test_limits_and_keys import keys
from tests.server.test_store import history, new_turns

HELLO: Any = [{"role": "user", "content": "Hello"}]


def report(**fields: Any) -> EventReport:
    return EventReport(**{"id": "e1", "conversation": "c1", "kind": "purchase", "time": 20.0, **fields})


def test_an_event_is_stored_once_and_exported_with_its_conversation(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        events = ReportedEvents(store.engine)
        store.add(new_turns("c1", history("ann/child", "Hello"), "Hi!"))
        store.add(new_turns("c1", history("ann/child", "Hello", "Hi!", "A coat"), "This one.", 2))
        assert events.add("ann", report(value=49.5)) == "stored"
        assert events.add("ann", report(value=49.5)) == "known"
        assert events.add("ann", report(id="e2", kind="code_kept", turn=1)) == "stored"
        assert events.add("ann", report(id="e3", kind="visit", reward=0.25, time=11.5)) == "stored"
        [episode] = store.episodes()
    found = {one.id: (one.source, one.turn, one.scope, one.reward, one.value) for one in episode.feedback}
    assert found == {
        "e1": ("purchase", 3, "conversation", 1.0, 49.5),
        "e2": ("code_kept", 1, "turn", 0.8, None),
        "e3": ("visit", 1, "conversation", 0.25, None),
    }


def test_values_of_every_kind_come_back_as_they_were(place: str) -> None:
    values = (True, 3.0, -0.5, "in two parts\0", None)
    with closing(ConversationStore(place)) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        for number, value in enumerate(values):
            one = report(id=f"e{number}", value=value)
            assert ReportedEvents(store.engine).add("ann", one) == "stored"
            assert ReportedEvents(store.engine).add("ann", one) == "known"
        [episode] = store.episodes()
    assert [one.value for one in episode.feedback] == [True, 3.0, -0.5, "in two parts\ufffd", None]


def test_an_id_names_one_event_of_one_holder(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        events = ReportedEvents(store.engine)
        for user, name in (("ann", "c1"), ("bob", "c2")):
            store.add(new_turns(name, history(user, "Hello"), "Hi!"))
        events.add("ann", report())
        for other in (report(value=1.0), report(kind="refund"), report(turn=1), report(time=21.0)):
            with pytest.raises(EventConflictError, match="'e1'"):
                events.add("ann", other)
        assert events.add("bob", report(conversation="c2")) == "stored"


def test_events_about_what_is_not_the_holders_are_refused(tmp_path: Path) -> None:
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        events = ReportedEvents(store.engine)
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        for owner, one in (("bob", report()), ("ann", report(conversation="c9")), ("an", report())):
            with pytest.raises(RunError, match="there is no reply in conversation"):
                events.add(owner, one)
        for turn in (0, 2):
            with pytest.raises(RunError, match=f"no reply with the index {turn}"):
                events.add("ann", report(turn=turn))


def test_events_are_deleted_with_their_conversation(place: str) -> None:
    with closing(ConversationStore(place)) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        ReportedEvents(store.engine).add("ann", report())
        store.delete("ann")
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        assert [episode.feedback for episode in store.episodes()] == [[]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "body: Invalid JSON"),
        (b'{"id": "a", "conversation": "c"}', "kind: Field required"),
        (b'{"id": "", "conversation": "c", "kind": "purchase"}', "id: "),
        (b'{"id": "a", "conversation": "c", "kind": "purchas"}', "did you mean 'purchase'"),
        (b'{"id": "a", "conversation": "c", "kind": "hug"}', "needs a reward"),
        (b'{"id": "a", "conversation": "c", "kind": "hug", "reward": 2}', "reward: "),
        (b'{"id": "a", "conversation": "c", "kind": "purchase", "turn": -1}', "turn: "),
        (b'{"id": "a", "conversation": "c", "kind": "purchase", "colour": "red"}', "colour: "),
        (b'{"id": "a", "conversation": "c", "kind": "purchase", "time": Infinity}', "time: "),
        (b'{"id": "a", "conversation": "c", "kind": "purchase", "value": NaN}', "value"),
        (b'{"id": "a", "conversation": "c", "kind": "purchase", "turn": 99999999999}', "turn: "),
    ],
)
def test_reports_that_are_none(body: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        EventReport.parse(body)


def test_events_over_http(start: Start) -> None:
    served = start(keys=keys(ann="a" * 20, bob="b" * 20))
    client = served.client("a" * 20)
    raw = client.chat.completions.with_raw_response.create(model="travel", messages=HELLO, user="child")
    body = {"id": "order-1", "conversation": raw.headers["X-Telic-Conversation"], "kind": "purchase", "value": 9.5}

    def post(key: str, json: Any) -> httpx.Response:
        with served.http(headers={"Authorization": f"Bearer {key}"}) as http:
            return http.post("/telic/events", json=json)

    first, again = post("a" * 20, body), post("a" * 20, body)
    assert (first.status_code, first.json()) == (201, {"id": "order-1", "status": "stored"})
    assert (again.status_code, again.json()) == (200, {"id": "order-1", "status": "known"})
    changed = post("a" * 20, {**body, "value": 10})
    assert (changed.status_code, changed.json()["error"]["code"]) == (409, "event_conflict")
    assert post("b" * 20, body).status_code == 404, "another holder's conversation"
    assert post("wrong", body).status_code == 401
    wrong = post("a" * 20, {**body, "kind": "hug"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "kind")
    with served.http(headers={"Authorization": f"Bearer {'a' * 20}"}) as http:
        exported = http.get("/telic/conversations").text
    assert '"order-1"' in exported


REPORTER = """
import sys
from telic.server.reported_events import EventReport, ReportedEvents
from telic.server.store import ConversationStore
store = ConversationStore(sys.argv[1])
events = ReportedEvents(store.engine)
for number in range(100_000):
    events.add("ann", EventReport(id=f"e{number}", conversation="c1", kind="purchase", time=20.0))
    print(number, flush=True)
"""


def test_no_acknowledged_event_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = str(tmp_path / "telic.db")
    with closing(ConversationStore(path)) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
    process = subprocess.Popen([sys.executable, "-c", REPORTER, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= 20:
            break
    os.kill(process.pid, signal.SIGKILL)
    acknowledged = [int(line), *(int(rest) for rest in process.stdout.read().split("\n")[:-1])]
    process.stdout.close()
    process.wait()
    with closing(ConversationStore(path)) as store:
        [episode] = store.episodes()
        stored = {one.id for one in episode.feedback}
        assert {f"e{number}" for number in range(max(acknowledged) + 1)} <= stored
        assert ReportedEvents(store.engine).add("ann", report(id="e0")) == "known"
        assert ReportedEvents(store.engine).add("ann", report(id="after")) == "stored"


def test_a_store_is_shared_by_users_and_filtered_by_purpose(tmp_path: Path) -> None:
    path = str(tmp_path / "telic.db")
    with closing(ConversationStore(path)) as store:
        for number in range(12):
            store.add(new_turns(f"c{number}", history(f"u{number % 4}", f"Number {number}"), "Hi!"))
    whole = [episode.id for episode in StoredEpisodes(path)]
    parts = [[episode.id for episode in StoredEpisodes(path).part(number, 3)] for number in range(3)]
    assert sorted(name for part in parts for name in part) == sorted(whole)
    assert len(whole) == 12
    assert len([*StoredEpisodes(path, "u1")]) == 3
    assert len([*StoredEpisodes(path, purpose="travel")]) == 12
    assert not [*StoredEpisodes(path, purpose="other")]
