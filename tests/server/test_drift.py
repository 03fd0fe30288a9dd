"""Live probes: asked aside on a share of the replies, counted, never seen by the conversation."""

from __future__ import annotations

from typing import Any

import pytest

from telic.errors import ConfigError
from telic.models import FakeModel, ScriptedModel
from telic.models.fair_queue import BACKGROUND, FairQueue
from telic.purpose import Purpose
from telic.server import ServeConfig, Service
from telic.server.drift import range_of
from tests.server.conftest import Served, Start, wait_for
from tests.server.test_defences import metric, say

PURPOSE = Purpose.model_validate(
    {
        "name": "shoes",
        "system": "You are Mia.",
        "probes": [
            {"name": "name", "ask": "What is your name?", "judge": {"contains": "Mia"}},
            {"name": "vague", "ask": "Are you sure?", "judge": {"language": "en"}},
        ],
        "limits": [{"name": "says velvet", "judge": {"contains": "velvet"}}],
    }
)
ANSWERS = {"What is your name?": "I am Mia.", "Are you sure?": "", "Hi": "Boots?", "More": "It is velvet."}


def asked(served: Served, outcome: str = "asked") -> float:
    try:
        return metric(served, f'telic_drift_turns_total{{outcome="{outcome}"}}')
    except IndexError:
        return 0.0


def test_probes_are_asked_aside_and_counted_by_round(start: Start) -> None:
    model = ScriptedModel(ANSWERS)
    served = start(model, purpose=PURPOSE, probe_share=1.0)
    messages: Any = [{"role": "user", "content": "Hi"}]
    with served.client() as client:
        client.chat.completions.create(model="m", messages=messages)
        wait_for(lambda: asked(served) == 1)
        messages += [{"role": "assistant", "content": "Boots?"}, {"role": "user", "content": "More"}]
        client.chat.completions.create(model="m", messages=messages)
        wait_for(lambda: asked(served) == 2)
    assert metric(served, 'telic_stability_sum{probe="name",replies="1"}') == 1
    assert metric(served, 'telic_stability_count{probe="name",replies="2-3"}') == 1
    assert metric(served, 'telic_unscored_answers_total{probe="vague"}') == 2
    assert metric(served, 'telic_limit_verdicts_total{limit="says velvet",verdict="held"}') == 1
    assert metric(served, 'telic_limit_verdicts_total{limit="says velvet",verdict="broken"}') == 1
    talked = [messages for messages in model.seen if messages[-1].content in ("Hi", "More")]
    assert [[one.content for one in seen] for seen in talked][1] == ["You are Mia.", "Hi", "Boots?", "More"]
    with served.http() as http:
        assert '"branches":[]' in http.get("/telic/conversations").text, "nothing is stored"


def test_a_share_of_none_asks_nothing_and_a_share_of_some_asks_some(start: Start) -> None:
    model = ScriptedModel(ANSWERS)
    served = start(model, purpose=PURPOSE)
    say(served, "Hi")
    assert len(model.seen) == 1
    half = start(ScriptedModel(ANSWERS), purpose=PURPOSE, probe_share=0.5, store=str(start.folder / "half.db"))
    for _ in range(20):
        say(half, "Hi")
    wait_for(lambda: asked(half) >= 1)
    assert 1 <= asked(half) + asked(half, "skipped") < 20


def test_a_failing_probe_disturbs_no_conversation(start: Start) -> None:
    served = start(ScriptedModel({"Hi": "Boots?"}), purpose=PURPOSE, probe_share=1.0)
    assert say(served, "Hi") == ["Boots?"]
    wait_for(lambda: asked(served) == 1)
    assert metric(served, 'telic_unscored_answers_total{probe="name"}') == 1
    assert say(served, "Hi") == ["Boots?"]


def test_probes_wait_for_all_others() -> None:
    queue: FairQueue[int] = FairQueue()
    for client, item in ((BACKGROUND, 1), ("a", 2), ("b", 3), ("a", 4)):
        queue.append(client, item)
    assert queue.first == 2
    assert [queue.popleft() for _ in range(len(queue))] == [2, 3, 4, 1]


def test_a_purpose_without_probes_is_refused(start: Start) -> None:
    bare = Purpose(name="x", system="s")
    with pytest.raises(ConfigError, match=r"it has no \[\[probes\]\]"):
        Service(FakeModel(), bare, ServeConfig.of(store=str(start.folder / "x.db"), probe_share=0.1))


def test_ranges_of_replies() -> None:
    assert [range_of(count) for count in (1, 2, 3, 4, 15, 16, 90)] == [
        "1", "2-3", "2-3", "4-7", "8-15", "16 and more", "16 and more",
    ]  # fmt: skip
