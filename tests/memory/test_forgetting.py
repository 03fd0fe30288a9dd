"""Forgetting: what goes, what stays, and that no byte of it is left in a file."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from telic.agents import Agent
from telic.dialogue import Message
from telic.errors import DataError, RunError
from telic.memory import LocalMemory, Memory, MemoryConfig, MemoryEvent, MemoryFile, new_event
from telic.models import ScriptedModel
from telic.purpose import Purpose

CONFIG = MemoryConfig.of(slots=("budget",))


def said(text: str, number: int = 0, speaker: str = "user") -> MemoryEvent:
    return MemoryEvent(f"e{number}", 1000.0 * number, "message", f"c{number}", speaker, text)  # type: ignore[arg-type]


def texts(memory: Memory) -> str:
    return (
        json.dumps([event.as_dict() for event in memory.events])
        + str(memory.describe())
        + memory.notes("marzipan").text
    )


def test_the_sentences_that_say_it_go_and_the_others_stay() -> None:
    memory = Memory(CONFIG, [
        said("I live in Leeds. I love marzipan! And I hate jazz.", 0),
        said("So you love Marzipan.", 1, "assistant"),
        said("Remember that the gate is locked.", 2),
    ])  # fmt: skip
    plan = memory.plan_forgetting("marzipan")
    assert (plan.events, set(plan.rewritten)) == (("e1",), {"e0"})
    memory.forget(plan)
    assert "marzipan" not in texts(memory).lower()
    assert {fact.value for fact in memory.profile.facts()} == {"Leeds", "jazz", "the gate is locked"}
    replayed = Memory(CONFIG, memory.events)
    assert replayed.describe(now=1e6) == memory.describe(now=1e6)
    assert memory.undo() is not None
    assert "marzipan" not in texts(memory).lower()


def test_what_stays_keeps_its_place_in_the_order() -> None:
    memory = Memory(CONFIG, [said("I live in Leeds. I love marzipan.", 0), said("I've moved to Porto.", 1)])
    memory.forget(memory.plan_forgetting("marzipan"))
    assert {fact.value for fact in memory.profile.facts()} == {"Porto"}


def test_a_slot_goes_with_its_history() -> None:
    memory = Memory(CONFIG, [said("I live in Leeds.", 0), said("I've moved to Porto.", 1), said("I love jazz.", 2)])
    memory.forget(memory.plan_forgetting("home"))
    assert not {"Leeds", "Porto"} & set(texts(memory).split('"'))
    assert {fact.value for fact in memory.profile.facts()} == {"jazz"}


def test_words_that_are_no_fact_are_searched_for() -> None:
    memory = Memory(CONFIG, [said("The umbrella stands behind the piano.", 0), said("Thanks.", 1)])
    plan = memory.plan_forgetting("behind the Piano")
    assert plan.events == ("e0",)
    assert not memory.plan_forgetting("cello")


def test_a_request_in_a_chat_takes_what_it_names_and_itself() -> None:
    memory = Memory(CONFIG, [said("I love quiet hotels.", 0), said("I love marzipan.", 1)])
    [request] = memory.add(said("Forget that I love marzipan.", 2))
    plan = memory.plan_forgetting(request.words, request.event)
    assert set(plan.events) == {"e1", "e2"}
    [careless] = memory.add(said("Forget about the hotels, let us camp.", 3))
    assert not memory.plan_forgetting(careless.words, careless.event)


def test_everything_is_everything() -> None:
    memory = Memory(CONFIG, [said("I live in Leeds.", 0), said("I love jazz.", 1)])
    assert set(memory.plan_forgetting("").events) == {"e0", "e1"}


def test_a_file_keeps_the_log_and_no_byte_of_what_was_forgotten(tmp_path: Path) -> None:
    file = MemoryFile.of_user(tmp_path / "memory", "travel", "ann")
    local = LocalMemory(file, CONFIG)
    local.observe("I love marzipan. I live in Leeds.", "Noted: marzipan.")
    local.observe("I hate karaoke.", "All right.")
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert {fact.value for fact in LocalMemory(file, CONFIG).memory.profile.facts()} == {"marzipan", "Leeds", "karaoke"}
    assert local.observe("Please forget that I love marzipan.", "Done, no marzipan.") == 4
    for path in (tmp_path / "memory").iterdir():
        assert b"marzipan" not in path.read_bytes().lower()
    assert {fact.value for fact in local.memory.profile.facts()} == {"Leeds", "karaoke"}
    assert local.forget("") > 0
    assert b"karaoke" not in file.path.read_bytes()
    assert list(local.memory.profile.everything()) == []


def test_another_process_may_forget_meanwhile(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "m.jsonl")
    one, other = LocalMemory(file, CONFIG), LocalMemory(file, CONFIG)
    one.observe("I love marzipan.", "Yes.")
    assert other.forget("marzipan") == 1
    one.observe("I hate karaoke.", "Yes.")
    assert {fact.value for fact in one.memory.profile.facts()} == {"karaoke"}
    assert b"marzipan" not in file.path.read_bytes()


def test_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "m.jsonl")

    def write(name: str) -> None:
        for number in range(20):
            file.append([MemoryEvent(f"{name}{number}", 1.0, "message", "c", "user", "x" * 500)])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(file.read()) == 60


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "m.jsonl")
    file.append([said("I love jazz.", 0)])
    with file.path.open("a") as handle:
        handle.write('{"id": "e1", "time": 3')
    assert [event.id for event in file.read()] == ["e0"]
    file.append([said("I hate karaoke.", 2)])
    assert [event.id for event in file.read()] == ["e0", "e2"]


def test_a_damaged_file_says_where(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "m.jsonl")
    file.append([said("I love jazz.", 0)])
    file.path.write_text(file.path.read_text() + "nonsense\n")
    with pytest.raises(DataError, match=r"m\.jsonl, line 2"):
        file.read()
    file.path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(DataError, match="not UTF-8"):
        file.read()
    with pytest.raises(RunError, match="cannot"):
        MemoryFile(tmp_path).read()


def test_users_have_files_of_their_own(tmp_path: Path) -> None:
    names = ["ann", "Ann", "ann/1", "../ann", "ann ", "änn", "x" * 300]
    paths = {MemoryFile.of_user(tmp_path, "travel", name).path for name in names}
    assert len(paths) == len(names)
    assert all(path.parent == tmp_path for path in paths)
    with pytest.raises(DataError, match="expected a name"):
        MemoryFile.of_user(tmp_path, "travel", " ")


def test_an_agent_remembers_across_conversations(tmp_path: Path) -> None:
    heard: list[str] = []

    def answer(messages: tuple[Message, ...]) -> str:
        heard.append(messages[-1].content)
        return "All right."

    model = ScriptedModel(answer)
    purpose = Purpose(name="travel", system="You are Mia.")

    def agent() -> Agent:
        return Agent(model, purpose, memory=LocalMemory(MemoryFile(tmp_path / "m.jsonl"), CONFIG))

    first = agent()
    first.reply("I live in Leeds.")
    first.reply("Where do I live?")
    assert heard[1].endswith('home: "Leeds"\n(End of the notes. The user\'s message follows.)\n\nWhere do I live?')
    assert first.session.dialogue[-2].content == "Where do I live?"  # the dialogue has no notes
    heard.clear()
    "".join(agent().stream("Where do I live?"))
    assert '- home: "Leeds"' in heard[0]


def test_events_of_one_id_are_logged_once(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "m.jsonl")
    file.append([said("I love jazz.", 0), said("I love jazz.", 0)])
    assert len(file.read()) == 1
    entry = new_event("undo", "", "here", events=["e0"])
    file.append([entry])
    assert list(Memory(CONFIG, file.read()).profile.everything()) == []


def test_what_contradicts_a_forgotten_name_goes_with_it() -> None:
    memory = Memory(CONFIG, [said("My name is Ann.", 0), said("My name is Bea.", 1)])
    memory.forget(memory.plan_forgetting("name"))
    assert not list(memory.profile.everything())
    assert "Bea" not in texts(memory)


def test_mentions_in_another_number_go_too() -> None:
    memory = Memory(CONFIG, [said("I am allergic to peanuts.", 0), said("Any peanut stuff in it?", 1)])
    memory.forget(memory.plan_forgetting("peanuts"))
    assert "peanut" not in texts(memory)


def test_more_evidence_than_a_fact_lists_is_forgotten() -> None:
    memory = Memory(CONFIG, [said("I love marzipan.", number) for number in range(70)])
    memory.forget(memory.plan_forgetting("marzipan"))
    assert not list(memory.profile.everything())


def test_forget_that_as_never_mind_forgets_nothing() -> None:
    memory = Memory(CONFIG, [said("I live in Graz.", 0)])
    assert memory.add(said("Forget that, I will take the train from Graz instead.", 1)) == []


def test_a_long_row_of_small_words_takes_no_time() -> None:
    assert Memory(CONFIG).add(said("hey " * 400 + "thanks for that")) == []  # it took hours
