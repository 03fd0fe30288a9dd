"""`telic play`: two agents, a purpose with a game, a person at a terminal; and the report."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from telic.cli.play import PlayersConfig
from telic.runs import RunFolder
from tests.cli.conftest import PURPOSE, Run, Start
from tests.cli.terminal import CTRL_C, CTRL_D, Terminal
from tests.models import tiny

GAME = '\n[game]\nname = "elicitation"\ndomain = "support"\nrounds = 2\n'


def test_the_batch_of_a_local_model_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.local("llama")
    monkeypatch.setattr("telic.cli.play.load_model", lambda *_: model)
    PlayersConfig("elicitation", "model", "model", "tiny", False, {}, batch=3).players()
    assert model.engine.max_batch == 3


def folder_of(tmp_path: Path) -> Path:
    [found] = [run.path for run in RunFolder.list(tmp_path / "runs")]
    return found


def test_two_scripts_play_and_the_table_has_the_references(run: Run, tmp_path: Path) -> None:
    outcome = run("play", "assignment", "--agent", "oracle", "--partner", "random", "-n", "4")
    assert outcome.status == 0
    header, row = outcome.out.splitlines()[:2]
    assert header.split()[:3] == ["game", "success", "score"]
    assert row.split()[0] == "assignment"
    assert "0.92" in row  # people
    assert "assignment: oracle with partner random, 4 tasks." in outcome.out
    assert (folder_of(tmp_path) / "report.html").is_file()


def test_a_purpose_plays_its_own_game(run: Run, travel: Path) -> None:
    travel.write_text(PURPOSE + GAME)
    outcome = run("play", "travel.toml", "-n", "5", "--trials", "2", "--json", "--quiet")
    document = json.loads(outcome.out)
    assert outcome.error == ""
    [result] = document["results"]
    assert (result["agent"], result["partners"]) == ("travel (fake)", {"customer": "the rules"})
    assert (result["episodes"], result["valid"], result["rounds"]) == (10, 10, 2.0)
    assert set(result["pass_hat"]) == {"1", "2"}
    folder = Path(document["folder"])
    config = (folder / "config.toml").read_text()
    assert 'domain = "support"' in config
    first = json.loads((folder / "episodes.jsonl").read_text().splitlines()[0])
    assert first["roles"]["agent"]["system"].startswith("You are Mia, a travel agent.")


def test_settings_of_the_game_are_given_as_pairs(run: Run) -> None:
    outcome = run(
        "play", "negotiation", "--model", "fake", "-n", "2", "--set", "variant=ultimatum", "rounds=3", "--json"
    )
    assert json.loads(outcome.out)["results"][0]["valid"] == 2


def test_controls_bend_the_agent_in_place_of_its_purposes_own(run: Run, travel: Path, tmp_path: Path) -> None:
    travel.write_text(PURPOSE + GAME + '[[controls]]\nname = "reminder"\n')
    plain = run("play", "travel.toml", "-n", "2", "--controls", "none", "--batch", "4", "--json")
    reminded = run("play", "travel.toml", "-n", "2", "--controls", "reminder:every=2", "prompt:text=Hurry!", "--json")
    documents = [json.loads(outcome.out) for outcome in (plain, reminded)]
    configs = [(Path(document["folder"]) / "config.toml").read_text() for document in documents]
    assert "every = " not in configs[0]
    assert "every = 2" in configs[1]
    assert "Hurry!" in configs[1]
    assert all(document["results"][0]["valid"] == 2 for document in documents)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("nonsense",), 1, "unknown game 'nonsense'"),
        (("redteam", "--agent", "oracle"), 1, "no scripted player 'oracle'; known: eliza"),
        (("elicitation", "--set", "rounds"), 2, "--set: expected KEY=VALUE, got 'rounds'"),
        (("elicitation", "--set", "rounds=-1"), 1, "rounds is -1"),
        (("elicitation", "--workers", "2"), 2, "--workers is 2, but --ray is not set"),
        (("elicitation", "--model", "fake", "--batch", "0"), 2, "--batch is 0; expected 1 or more"),
        (
            ("elicitation", "--model", "fake", "--controls", "attention_hold"),
            1,
            "control 'attention_hold' acts on attention",
        ),
        (("elicitation", "--model", "fake", "--controls", "remainder"), 2, "did you mean 'reminder'"),
        (("negotiation", "--agent", "human", "--ray", "local"), 2, "a person cannot play with --ray"),
        (("missing.toml",), 1, "purpose file 'missing.toml' does not exist"),
        (("elicitation", "--agent", "model:nothing"), 1, "unknown model 'nothing'"),
        (("elicitation", "--model", "fake", "-n", "0"), 1, "n is 0"),
    ],
)
def test_mistakes_are_explained(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    outcome = run("play", *arguments)
    assert outcome.status == status
    assert message in outcome.error
    assert "Traceback" not in outcome.error
    assert not (tmp_path / "runs").exists()


def test_a_purpose_without_a_game_says_what_to_add(run: Run, travel: Path) -> None:
    outcome = run("play", "travel.toml")
    assert outcome.status == 1
    assert "travel.toml has no [game]" in outcome.error


def test_view_lists_and_renders_games(run: Run, tmp_path: Path) -> None:
    run("play", "negotiation", "--agent", "eliza", "--partner", "concession", "-n", "3")
    folder = folder_of(tmp_path)
    (folder / "report.html").unlink()
    assert "play-negotiation" in run("view").out
    outcome = run("view", str(folder.relative_to(tmp_path)))
    assert outcome.out.splitlines()[0].split()[:2] == ["game", "success"]
    assert (folder / "report.html").is_file()
    again = json.loads(run("view", str(folder.relative_to(tmp_path)), "--json").out)
    assert again["results"][0]["references"]["random"]["normalised"]["n"] == 3


def test_an_interrupted_run_goes_on(start: Start, run: Run, tmp_path: Path) -> None:
    arguments = ("play", "elicitation", "--model", "fake", "-n", "30", "--concurrency", "2", "--no-references")
    process = start(*arguments, delay=0.03)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        files = list(tmp_path.glob("runs/*/episodes.jsonl"))
        if files and len(files[0].read_text().splitlines()) >= 3:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    folder = folder_of(tmp_path).relative_to(tmp_path)
    assert process.returncode == 130
    assert f"To continue: telic play --resume {folder}\n" in error
    outcome = run(*arguments, "--resume", str(folder), "--json")
    assert json.loads(outcome.out)["results"][0]["episodes"] == 30


HUMAN = ("play", "elicitation", "--agent", "human", "--set", "rounds=3")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def call(*arguments: str) -> Terminal:
        opened.append(Terminal(tmp_path, *arguments))
        return opened[-1]

    yield call
    for one in opened:
        one.kill()


def test_a_person_plays_at_a_terminal(terminal: Callable[..., Terminal]) -> None:
    play = terminal(*HUMAN)
    play.expect("you are the agent. Ctrl-D leaves")
    for typed in ("", "[propose] Rome", "Where would you like to go?", "When?", "Anything else?"):
        play.expect("agent> ")
        play.type(typed + "\n")
    assert play.wait() == 0, play.shown
    assert "Refused: an empty utterance" in play.shown
    assert "Refused: [propose] is not possible now; possible: [message]" in play.shown
    assert "1 of 1" in play.shown


@pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["Ctrl-C", "Ctrl-D"])
def test_a_person_who_interrupts_continues_the_dialogue(
    key: str, terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    play = terminal(*HUMAN)
    play.expect("agent> ")
    play.type("Where would you like to go?\n")
    play.expect("customer: ")
    answer = play.expect("agent> ")
    play.interrupt() if key == CTRL_C else play.type(key)
    assert play.wait() == (130 if key == CTRL_C else 1)
    folder = folder_of(tmp_path).relative_to(tmp_path)
    if key == CTRL_C:
        assert f"what you have said is saved. To continue: telic play --resume {folder}" in play.shown
    again = terminal("play", "--resume", str(folder))
    again.expect("agent> Where would you like to go?")
    assert answer in again.expect("agent> ")
    for typed in ("When?", "Anything else?"):
        again.type(typed + "\n")
    assert again.wait() == 0, again.shown
    [episode] = [json.loads(line) for line in (tmp_path / folder / "episodes.jsonl").read_text().splitlines()][-1:]
    assert [turn["text"] for turn in episode["turns"] if turn["role"] == "agent"] == [
        "Where would you like to go?",
        "When?",
        "Anything else?",
    ]


def test_a_person_who_leaves_gets_an_error_without_results(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "telic.cli.main", "play", "elicitation", "--agent", "human"],
        input="", capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no valid episode: player: the person who played 'agent' left" in done.stderr
