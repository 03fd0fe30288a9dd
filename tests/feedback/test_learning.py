"""Logs to report: what is read, analysed, clustered, exported; in one process and in several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from telic.dialogue import Message, ToolCall
from telic.episodes import Episode, EpisodeStore, Turn
from telic.errors import DataError, RunError
from telic.feedback import LabelledEpisodes, LogFile, learn, write_export
from telic.feedback.clusters import cluster_moments
from telic.feedback.given import given_feedback
from telic.feedback.report import read_analysis, write_learn_report
from telic.feedback.summaries import Moment, conclude
from telic.runs import RunFolder
from tests.feedback.dialogues import START, dialogue

GOOD = ("Where is the station?", "Behind the market.", "Great, thank you!", "You are welcome.")
BAD = (
    "Cancel my train ticket",
    "Which hotel do you want?",
    "That's wrong, I said cancel the ticket.",
    "It is cancelled.",
)


def corpus(good: int = 6, bad: int = 4, **options: Any) -> list[Episode]:
    said = [GOOD] * good + [BAD] * bad
    return [dialogue(*one, name=f"c{n:02}", user=f"u{n % 5}", **options) for n, one in enumerate(said)]


def messages(*said: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(said)], **more}


def write(path: Path, *records: dict[str, Any]) -> LogFile:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return LogFile(path)


def test_anybodys_logs_become_episodes(tmp_path: Path) -> None:
    record = messages(*GOOD, id="a", user="ann", model="m-1", created=START)
    record["messages"].insert(0, {"role": "system", "content": "You are Mia."})
    record["messages"][2]["time"] = START + 5
    [episode] = write(tmp_path / "chats.jsonl", record)
    assert (episode.id, episode.metadata["user"], episode.metadata["created"]) == ("a", "ann", START)
    assert [turn.role for turn in episode.turns] == ["user", "assistant", "user", "assistant"]
    assert episode.turns[1].origin == {"setup": "m-1", "time": START + 5}
    assert episode.roles["assistant"]["system"] == "You are Mia."


def test_a_log_of_requests_counts_each_conversation_once(tmp_path: Path) -> None:
    log = write(
        tmp_path / "chats.jsonl", messages(*GOOD[:2]), messages(*BAD), messages(*GOOD), messages(*GOOD[:2], user="eve")
    )
    assert [len(episode.turns) for episode in log] == [4, 4, 2]


def test_telics_own_episodes_are_read(tmp_path: Path) -> None:
    store = EpisodeStore(tmp_path / "episodes.jsonl")
    for episode in corpus():
        store.append(episode)
    assert list(LogFile(store.path)) == corpus()


def test_a_file_that_is_no_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        list(LogFile(tmp_path / "none.jsonl"))
    (tmp_path / "x.jsonl").write_text("hello\n")
    with pytest.raises(DataError, match="line 1: not JSON"):
        list(LogFile(tmp_path / "x.jsonl"))


def test_the_analysis_counts_and_compares(tmp_path: Path) -> None:
    episodes = corpus()
    for number, episode in enumerate(episodes):
        version = "new" if number < 6 else "old"
        episode.metadata["setups"] = {version: {"model": version, "controls": []}}
        for turn in episode.turns:
            turn.origin["setup"] = version
            turn.origin["time"] += 86_400 * (number // 5)
    found = learn(episodes).analysis
    assert (found.conversations, found.replies, found.users, found.skipped) == (10, 20, 5, 0)
    assert found.satisfaction.low is not None
    assert found.satisfaction.value is not None
    assert found.satisfaction.low <= found.satisfaction.value
    new, old = found.by_version
    assert (new.name, new.conversations, old.name, old.conversations) == ("new", 6, "old", 4)
    assert (new.value or 0) > 0.6 > 0.5 > (old.value or 1)
    assert [one.conversations for one in found.by_time] == [5, 5]
    assert found.evidence["praise.thanks"] == 6
    assert "ticket" in found.blamed[0]["words"]
    assert found.blamed[0]["size"] == 4
    assert {one["conversation"] for one in found.read_first} == {"c06", "c07", "c08", "c09"}
    assert found.read_first[0]["reply"] == "Which hotel do you want?"


def test_conversations_without_a_reply_are_counted_and_nothing_at_all_is_refused() -> None:
    assert learn([dialogue("Hello?"), *corpus()]).analysis.skipped == 1
    with pytest.raises(DataError, match="nothing to learn from"):
        learn([dialogue("Hello?")])


def test_complaints_about_one_thing_in_different_words_fall_together() -> None:
    def blamed(number: int, request: str, answer: str) -> Moment:
        return Moment(f"c{number}", 1, -0.9, request, "…", answer, ())

    moments = [
        blamed(0, "Where is my parcel?", "No, the parcels are late!"),
        blamed(1, "I'm still waiting for a parcel", "That's wrong, it is late"),
        blamed(2, "Parcel late again", "Useless"),
        blamed(3, "Translate this poem", "Not French, but German"),
        blamed(4, "A poem in German, translated please", "Wrong"),
        blamed(5, "What is seven times six?", "No"),
    ]
    found = cluster_moments(moments)
    assert [one.size for one in found] == [3, 2]
    assert "parcel" in found[0].words
    assert {one.conversation for one in found[1].examples} == {"c3", "c4"}
    assert cluster_moments([]) == []


def test_the_report_shows_quotations_as_text(tmp_path: Path) -> None:
    evil = ("<script>alert(1)</script> cancel it", "Which <b>hotel</b>?", "That's wrong, <img src=x onerror=alert(2)>")
    run = learn([*corpus(), dialogue(*evil, name="evil")], name="travel", folder=tmp_path / "runs")
    assert run.folder is not None
    folder = RunFolder.open(run.folder)
    text = write_learn_report(run.folder, read_analysis(folder), folder.document).read_text()
    assert "<script>alert" not in text
    assert "<img" not in text
    assert "&lt;img src=x onerror=alert(2)&gt;" in text
    for title in ("What to read first", "What users complain about", "What users praise", "How good the estimates are"):
        assert title in text
    assert run.analysis.headline[1:] in text


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "learn", "travel", {}) as run, pytest.raises(RunError, match="start it again"):
        read_analysis(run)


def test_kto_takes_replies_that_are_clear(tmp_path: Path) -> None:
    path = tmp_path / "kto.jsonl"
    assert write_export("kto", LabelledEpisodes(corpus(1, 1)), path) == 2
    good, bad = [json.loads(line) for line in path.read_text().splitlines()]
    assert good["prompt"] == [{"role": "system", "content": "You are Mia."}, {"role": "user", "content": GOOD[0]}]
    assert (good["completion"], good["label"]) == ([{"role": "assistant", "content": GOOD[1]}], True)
    assert (bad["completion"][0]["content"], bad["label"]) == (BAD[1], False)


def test_dpo_takes_edits_and_choices(tmp_path: Path) -> None:
    edited, chosen, other = (
        dialogue("Hi", text, name=name) for name, text in (("e", "Yo."), ("k", "Hello!"), ("o", "Ho."))
    )
    edited.feedback.append(given_feedback("edit", "Good day.", 1, "Yo.", START))
    chosen.feedback.append(given_feedback("preferred", {"to": "o", "position": 1}, 1, "Hello!", START))
    path = tmp_path / "dpo.jsonl"
    assert write_export("dpo", LabelledEpisodes([edited, chosen, other]), path) == 2
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    pairs = [(row["chosen"][0]["content"], row["rejected"][0]["content"]) for row in rows]
    assert pairs == [("Good day.", "Yo."), ("Hello!", "Ho.")]
    assert rows[0]["prompt"][-1] == {"role": "user", "content": "Hi"}


def with_tools(*said: str, **options: Any) -> Episode:
    """A conversation whose first reply looks something up before it answers."""
    episode = dialogue(*said, **options)
    call = ToolCall(id="call00001", name="find", arguments='{"q": "station"}')
    episode.turns[1].steps = [
        Message(role="assistant", content="", tool_calls=(call,)),
        Message(role="tool", content="behind the market", tool_call_id="call00001"),
    ]
    return episode


def test_a_prompt_holds_the_calls_that_the_reply_rests_on(tmp_path: Path) -> None:
    path = tmp_path / "kto.jsonl"
    assert write_export("kto", LabelledEpisodes([with_tools(*GOOD)]), path) == 1
    prompt = [Message(**message) for message in json.loads(path.read_text())["prompt"]]
    assert [message.role for message in prompt] == ["system", "user", "assistant", "tool"]
    assert prompt[2:] == with_tools(*GOOD).turns[1].steps


def test_replies_in_a_response_format_or_with_calls_are_in_no_row(tmp_path: Path) -> None:
    formed, edited, plain = (dialogue(*GOOD, name=name) for name in "fep")
    formed.turns[1].origin["sampling"] = {"response_format": "json_schema"}
    edited.turns[1].tool_calls = (ToolCall(id="call00001", name="find"),)
    edited.feedback.append(given_feedback("edit", "Good day.", 1, GOOD[1], START))
    assert write_export("kto", LabelledEpisodes([formed, edited, plain]), tmp_path / "kto.jsonl") == 1
    with pytest.raises(DataError, match="no reply was edited"):
        write_export("dpo", LabelledEpisodes([formed, edited]), tmp_path / "dpo.jsonl")


def test_what_a_tool_returns_is_no_word_of_the_user() -> None:
    """The client carries out the call, so its result is a turn of its own."""
    plain = dialogue(GOOD[0], GOOD[1], GOOD[2], GOOD[3])
    called = plain.model_copy(deep=True)
    call = Turn(role="assistant", round=1, text="Let me see.", tool_calls=(ToolCall(id="c1", name="find"),))
    result = Turn(role="tool", round=1, text="That's wrong! I said no, this is useless.", tool_call_id="c1")
    called.turns[1:1] = [call, result]
    found, expected = (next(iter(LabelledEpisodes([one]))) for one in (called, plain))
    assert [turn.scores for turn in found.turns if turn not in (call, result)] == [
        turn.scores for turn in expected.turns
    ]
    assert not found.turns[1].scores
    conclusion = conclude(found)
    assert conclusion is not None
    moment = next(one for one in conclusion.moments if one.turn == 3)
    assert (moment.request, moment.reply, moment.answer) == GOOD[:3]


def test_an_export_without_rows_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no reply was edited"):
        write_export("dpo", LabelledEpisodes(corpus()), tmp_path / "dpo.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_exported_episodes_are_read_again_with_the_same_result(tmp_path: Path) -> None:
    path = tmp_path / "labelled.jsonl"
    first = learn(corpus())
    assert write_export("episodes", first.labelled, path) == 10
    again = learn(LogFile(path))
    assert again.analysis == first.analysis
    assert "satisfaction" in next(iter(LogFile(path))).turns[1].scores


class Parted:
    """Conversations that processes can share."""

    def __init__(self, episodes: Sequence[Episode]) -> None:
        self._episodes = episodes

    def __iter__(self) -> Any:
        return iter(self._episodes)

    def part(self, number: int, of: int) -> list[Episode]:
        return [one for one in self._episodes if int(one.metadata["user"][1:]) % of == number]


class Broken(Parted):
    def part(self, number: int, of: int) -> list[Episode]:
        raise DataError("the store is damaged")


def test_several_processes_find_the_same() -> None:
    episodes = corpus(metadata={"created": START})
    alone = learn(Parted(episodes))
    assert learn(Parted(episodes), processes=2).analysis == alone.analysis
    with pytest.raises(DataError, match="the store is damaged"):
        learn(Broken(episodes), processes=2)
