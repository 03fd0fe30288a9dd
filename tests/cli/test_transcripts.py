"""`telic measure --transcripts`: what it reads, prints and refuses."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.comparison.test_transcripts import talk

CALL = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
MEASURE = ("measure", "travel.toml", "--transcripts", "logs.jsonl", "--resamples", "100", "--probe-tokens", "40")


@pytest.fixture
def _logs(travel: Path) -> None:
    """Requests as a server logs them: each has the whole history, so only the last of a dialogue is one."""
    said = talk(6)
    calls = [{"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool", "content": "{}"}]
    whole = [{"messages": [{"role": "system", "content": "Be curt."}, *calls, *said[:end]]} for end in (2, 6, 12)]
    travel.with_name("logs.jsonl").write_text("".join(json.dumps(one) + "\n" for one in whole))


@pytest.mark.usefixtures("_logs")
def test_the_result_is_printed_kept_and_shown_again(run: Run, tmp_path: Path) -> None:
    outcome = run(*MEASURE, "--controls", "reminder", "prompt")
    assert outcome.status == 0, outcome.error
    assert outcome.out.startswith("1 recorded dialogue, of about")
    for part in (
        "2 dialogues left out, because a longer one",
        "2 messages of tools left out",
        "difference from the baseline",
    ):
        assert part in outcome.out
    [folder] = (tmp_path / "runs").glob("measure-*")
    report = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    assert run("view", str(folder)).status == 0
    assert (folder / "report.html").read_text() == report
    listed = json.loads(run("view", "--json").out)
    assert listed[0]["verb"] == "measure"
    assert listed[0]["headline"].startswith("Baseline")


@pytest.mark.usefixtures("_logs")
def test_json_has_curves_and_paired_differences(run: Run) -> None:
    outcome = run(*MEASURE, "--controls", "reminder", "--json", "--quiet")
    document = json.loads(outcome.out)
    assert outcome.error == ""
    assert [arm["name"] for arm in document["arms"]] == ["baseline", "reminder"]
    assert [point["round"] for point in document["arms"][0]["by_tokens"]["curve"]] == [0, 40, 80, 120]
    assert set(document["arms"][1]["gains"]) == {"0", "40", "80", "120"}
    assert document["transcripts"]["dialogues"] == 1
    again = run("measure", "--resume", document["folder"], "--json", "--quiet")
    assert json.loads(again.out)["arms"] == document["arms"]


@pytest.mark.usefixtures("_logs")
def test_the_users_side_and_rounds(run: Run) -> None:
    arguments = (
        "measure",
        "travel.toml",
        "--transcripts",
        "logs.jsonl",
        "--side",
        "user",
        "--probe-every",
        "2",
        "--json",
    )
    [arm] = json.loads(run(*arguments).out)["arms"]
    assert arm["name"] == "purpose"
    assert [point["round"] for point in arm["by_round"]["curve"]] == [0, 2, 4, 5]


def test_a_servers_store_is_read(run: Run, travel: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from telic.server.store import ConversationStore
    from tests.server.test_store import history, new_turns

    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        store.add(new_turns("c1", history("ann", "Hello", "Hi!", "Thanks, great!"), "Welcome.", 2))
    outcome = run("measure", "travel.toml", "--transcripts", "telic.db", "--probe-tokens", "1", "--json")
    assert outcome.status == 0, outcome.error
    [arm] = json.loads(outcome.out)["arms"]
    assert [point["round"] for point in arm["by_round"]["curve"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            ("--rounds", "3"),
            "--rounds cannot be combined with --transcripts: use --max-tokens to cut recorded dialogues",
        ),
        (("--utterance-tokens", "9"), "--utterance-tokens cannot be combined with --transcripts"),
        (("--partner", "bank"), "--partner cannot be combined with --transcripts"),
        (("--join", "0"), "--join is 0"),
        (("--join", "90", "--max-tokens", "50"), "joined to 90 tokens, but max_tokens is 50"),
        (("--controls", "reminder", "reminder"), "control 'reminder' is given twice"),
        (("--controls", "remainder"), "did you mean 'reminder'"),
    ],
)
@pytest.mark.usefixtures("_logs")
def test_options_that_do_not_go_together(more: tuple[str, ...], says: str, run: Run, tmp_path: Path) -> None:
    outcome = run(*MEASURE, *more)
    assert outcome.status == 1 or outcome.status == 2
    assert says in outcome.error
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "logs.jsonl: found no dialogue, expected lines such as"),
        ('{"messages": [{"role": "user", "content": "a"}]}\nnonsense\n', "logs.jsonl, line 2: not JSON"),
        ('{"messages": [{"role": "usr", "content": "a"}]}\n', "logs.jsonl, line 1: messages[0].role: found 'usr'"),
        ('{"messages": [{"role": "user", "content": "a"}]}\n', "1 too short: no message with a reply: logs.jsonl:1"),
    ],
)
def test_bad_files_are_errors_that_name_the_line(text: str, says: str, run: Run, travel: Path) -> None:
    travel.with_name("logs.jsonl").write_text(text)
    outcome = run(*MEASURE)
    assert outcome.status == 1
    assert says in outcome.error
    assert "Traceback" not in outcome.error


def test_options_of_transcripts_need_transcripts(run: Run, travel: Path) -> None:
    outcome = run("measure", "travel.toml", "--join", "100")
    assert outcome.status == 1
    assert "--side, --probe-tokens, --max-tokens and --join require --transcripts" in outcome.error
