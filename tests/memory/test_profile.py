"""The profile: a fold that is the same however it is made; what ends, decays, conflicts and is asked."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.errors import DataError
from telic.memory import Memory, MemoryConfig, MemoryEvent, new_event, parse_event

DAY = 86400.0
CONFIG = MemoryConfig.of(slots=("budget", "home airport"), half_life_days=10)
SAID = [
    "My name is Ann.", "My name is Eve.", "I live in Leeds.", "I've moved to Porto.", "I love jazz.", "I hate jazz.",
    "I don't like jazz any more.", "I like jazz when I work.", "My budget is 800 euros.", "My budget is 900 euros now.",
    "I'm allergic to kiwi.", "Tonight I want jazz.", "Hello there.", "Remember that the gate is locked.",
    "I got another job.", "We live elsewhere these days.",
]  # fmt: skip


def log(*texts: str, days: float = 1.0) -> list[MemoryEvent]:
    return [MemoryEvent(f"e{i}", i * days * DAY, "message", f"c{i}", "user", text) for i, text in enumerate(texts)]


def believed(memory: Memory) -> set[tuple[str, str, int]]:
    return {(fact.slot, fact.value, fact.polarity) for fact in memory.profile.facts()}


def state(memory: Memory) -> object:
    described = memory.describe(now=1e6)
    return sorted(map(str, described["facts"])), described["questions"], sorted(map(str, described["ended"]))


@settings(max_examples=40)
@given(st.lists(st.sampled_from(SAID), max_size=12), st.data())
def test_event_by_event_or_all_at_once_is_the_same(said: list[str], data: st.DataObject) -> None:
    events = log(*said)
    extra: list[MemoryEvent] = []
    grown = Memory(CONFIG)
    for event in events:
        grown.add(event)
        extra.append(event)
        if data.draw(st.booleans()) and (entry := grown.undo(now=event.time)) is not None:
            extra.append(entry)
    replayed = Memory(CONFIG, extra)
    assert state(grown) == state(replayed)
    again = Memory(CONFIG, [parse_event(event.as_dict()) for event in grown.events])
    assert state(again) == state(replayed)
    assert grown.notes("jazz").text == replayed.notes("jazz").text


def test_a_single_valued_slot_closes_the_old_claim() -> None:
    memory = Memory(
        CONFIG, log("I live in Leeds.", "My budget is 800 euros.", "I've moved to Porto.", "My budget is 900 euros.")
    )
    assert believed(memory) == {("home", "Porto", 1), ("budget", "900 euros", 1)}
    [leeds] = [fact for fact in memory.profile.closed if fact.value == "Leeds"]
    assert (leeds.valid_from, leeds.valid_to) == (0.0, 2 * DAY)
    assert "Leeds" not in memory.notes("Where do I live?").text


def test_a_strong_conflict_becomes_a_question_and_the_answer_resolves_it() -> None:
    memory = Memory(CONFIG, log("I love jazz.", "I hate jazz."))
    assert believed(memory) == set()
    [question] = memory.profile.questions.values()
    assert (question.known, question.known_polarity, question.said_polarity) == ("jazz", 1, -1)
    assert 'ask which is right: earlier likes "jazz"' in memory.notes("music").text
    assert "ask" not in Memory(CONFIG.model_copy(update={"ask": False}), memory.events).notes("music").text
    answered = Memory(CONFIG, [*memory.events, *log("", "", "I hate jazz.")[2:]])
    assert (believed(answered), answered.profile.questions) == ({("taste", "jazz", -1)}, {})
    taken_back = Memory(CONFIG, [*memory.events, *log("", "", "I love jazz.")[2:]])
    assert (believed(taken_back), taken_back.profile.questions) == ({("taste", "jazz", 1)}, {})
    corrected = Memory(CONFIG, memory.events)
    corrected.add(new_event("correction", "jazz", "dashboard", time=3 * DAY, slot="taste", polarity=-1))
    assert (believed(corrected), corrected.profile.questions) == ({("taste", "jazz", -1)}, {})


def test_a_change_that_the_user_tells_is_no_question() -> None:
    memory = Memory(CONFIG, log("I love jazz.", "I don't like jazz any more."))
    assert (believed(memory), memory.profile.questions) == ({("taste", "jazz", -1)}, {})


def test_a_change_in_other_words_is_asked_about() -> None:
    memory = Memory(CONFIG, log("Our dog is called Figaro.", "I got another dog after the old one died."))
    [question] = memory.profile.questions.values()
    assert (question.known, question.said_polarity) == ("Figaro", 0)
    assert believed(memory) == set()
    assert 'dog name was "Figaro"' in memory.notes("my dog").text


def test_another_name_is_a_question_and_the_known_one_is_not_replaced() -> None:
    memory = Memory(CONFIG, log("My name is Ann.", "My name is Eve."))
    [question] = memory.profile.questions.values()
    assert (question.known, question.said) == ("Ann", "Eve")
    told = Memory(CONFIG, log("My name is Ann.", "My name is Eve now."))
    assert believed(told) == {("name", "Eve", 1)}


def test_decay_lowers_the_rank_and_deletes_nothing() -> None:
    old_and_often = log("I love jazz.", "I love jazz.", days=1)
    recent = [MemoryEvent("late", 100 * DAY, "message", "c9", "user", "I love opera.")]
    memory = Memory(CONFIG, [*old_and_often, *recent])
    assert [fact.value for fact in memory.profile.ranked(9)] == ["opera", "jazz"]
    jazz = next(fact for fact in memory.profile.facts() if fact.value == "jazz")
    assert jazz.probability_at(DAY) > jazz.probability_at(60 * DAY) > 0.5
    assert "jazz" in memory.notes("music").text


def test_identity_does_not_decay() -> None:
    memory = Memory(CONFIG, log("My name is Ann.", *["I love jazz."] * 5))
    name = next(fact for fact in memory.profile.facts() if fact.slot == "name")
    assert name.probability_at(0) == name.probability_at(1e6 * DAY)
    assert memory.profile.ranked(1) == [name]


def test_choices_are_weak_and_add_up() -> None:
    def choice(number: int, *, taken: bool) -> MemoryEvent:
        data = {"slot": "taste", "taken": taken}
        return MemoryEvent(f"x{number}", number * DAY, "choice", "c1", "user", "window seat", data)

    taken = [choice(number, taken=True) for number in range(4)]
    memory = Memory(CONFIG, taken)
    [fact] = memory.profile.facts()
    assert 0.6 < fact.probability_at(4 * DAY) < 0.75
    memory.extend([choice(number, taken=False) for number in range(4, 12)])
    [fact] = memory.profile.facts()
    assert (fact.polarity, memory.profile.questions) == (-1, {})


def test_why_names_the_evidence() -> None:
    memory = Memory(CONFIG, log("Hi. I live in Leeds, by the way.", "I've moved to Porto.", "I love jazz."))
    reasons = memory.why("home")
    assert [(one.event.id, one.quote, one.holds) for one in reasons] == [("e1", "Porto", True), ("e0", "Leeds", False)]
    assert [one.event.id for one in memory.why("where I live")] == ["e1", "e0"]
    assert [one.event.id for one in memory.why("jazz")] == ["e2"]
    assert memory.why("chess") == []
    assert len(memory.why()) == 3


def test_undo_takes_back_the_latest_claim() -> None:
    memory = Memory(CONFIG, log("I live in Leeds.", "I've moved to Porto.", "Hello."))
    assert memory.undo() is not None
    assert believed(memory) == {("home", "Leeds", 1)}
    assert memory.undo() is not None
    assert (believed(memory), memory.undo()) == (set(), None)


def test_a_purpose_chooses_which_slots_have_one_value() -> None:
    many = MemoryConfig.of(slots=("home airport",), single_valued=())
    memory = Memory(many, log("My home airport is Graz.", "My home airport is Vienna."))
    assert believed(memory) == {("home airport", "Graz", 1), ("home airport", "Vienna", 1)}


def test_two_events_of_one_id_are_refused() -> None:
    memory = Memory(CONFIG, log("I love jazz."))
    memory.add(log("I love jazz.")[0])
    with pytest.raises(DataError, match="another event with the id 'e0'"):
        memory.add(log("I love opera.")[0])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": ""}, "id"), ({"id": 3}, "id"), ({"id": "x" * 201}, "id"), ({"time": "now"}, "time"),
        ({"time": True}, "time"), ({"time": float("nan")}, "time"), ({"kind": "guess"}, "kind"),
        ({"speaker": "machine"}, "speaker"),
        ({"text": None}, "text"), ({"data": []}, "data"), ({"source": None}, "source"),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(change: dict[str, object], named: str) -> None:
    with pytest.raises(DataError, match=f"line 3: {named} is"):
        parse_event({**log("Hello")[0].as_dict(), **change}, "line 3")


def test_what_is_no_json_is_refused() -> None:
    for line in ("{", "[1]", "null"):
        with pytest.raises(DataError):
            parse_event(line)
