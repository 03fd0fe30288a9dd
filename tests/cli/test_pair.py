"""`telic pair` in a terminal and in scripts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telic.games import issue as issue_game
from telic.issues.live import ANSWERS, AnswerKind, LiveSession, give_answer, read_live_session
from telic.runs import RunFolder
from telic.workspaces import SuiteResult, Workspace
from tests.assistants.pairing.conftest import ISSUE, PRICES, quick_tests, repository
from tests.assistants.pairing.scripted_endpoint import Endpoint, call, scripted_endpoint
from tests.cli.conftest import Run
from tests.cli.terminal import CTRL_D, Terminal
from tests.games.fake_judge import FakeJudge

__all__ = ["quick_tests", "repository"]

ROOT = Path(__file__).parent.parent.parent
BEFORE = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
import telic.cli.pair as pair
from telic.workspaces import Workspace
from tests.assistants.pairing.conftest import run_here, scripted
Workspace._suite = run_here
pair.load_model = lambda name: scripted(HOSTILE).model
"""
HOSTILE = r"""
def HOSTILE(text):
    if "Ask the author" in text:
        return "How should ties be \x1b]0;owned\x07rounded?\n1. to even\n2. \x1b[2Jaway from zero"
    return ""
"""


@pytest.fixture
def issue(tmp_path: Path, repository: Path) -> Path:
    path = tmp_path / "issue.md"
    path.write_text(ISSUE)
    return path


@pytest.fixture
def terminals(tmp_path: Path, issue: Path) -> Iterator[list[Terminal]]:
    started: list[Terminal] = []
    yield started
    for terminal in started:
        terminal.kill()


def start(terminals: list[Terminal], folder: Path, *arguments: str, before: str = "") -> Terminal:
    given = arguments or ("pair", "issue.md", "--repo", "shop-repository", "--mode", "functions")
    terminal = Terminal(folder, *given, before=HOSTILE + BEFORE + before)
    terminals.append(terminal)
    return terminal


def saved(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "session.json").read_text())
    return found


def test_a_session_from_the_question_to_the_checkout(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = start(terminals, tmp_path)
    terminal.expect("1 of 2 tests in tests/test_prices.py fail")
    terminal.expect("1. to even")
    terminal.expect("1 to 2, or your own words")
    terminal.type("2\n")
    terminal.expect("+    return round(amount, 2)")
    terminal.expect("turned green: 1")
    terminal.type("x\n")
    terminal.expect("Type a, e, r, c or q.")
    terminal.type("a\n")
    terminal.expect("The patch is applied to your checkout")
    assert terminal.wait() == 0
    assert "return round(amount, 2)" in (tmp_path / "shop-repository/shop/prices.py").read_text()
    [folder] = (tmp_path / "runs").iterdir()
    [answer] = [turn for turn in saved(folder)["episode"]["turns"] if turn["act"] == "answer"]
    assert answer["text"] == "\x1b[2Jaway from zero"


def answer_on_page(folder: Path, kind: AnswerKind, text: str = "") -> LiveSession:
    """Answer as the dashboard's page does, once the session waits for it; return what it showed."""
    end = time.monotonic() + 60
    while (shown := read_live_session(folder)) is None or kind not in ANSWERS[shown.waits_for]:
        assert time.monotonic() < end, shown
        time.sleep(0.05)
    give_answer(folder, kind, text, shown.step)
    while (now := read_live_session(folder)) is not None and now.step == shown.step:
        assert time.monotonic() < end, now
        time.sleep(0.05)
    return shown


def test_a_session_waits_for_answers_on_a_page(terminals: list[Terminal], tmp_path: Path, run: Run) -> None:
    options = ("--repo", "shop-repository", "--mode", "functions", "--page", "--user", "ann")
    terminal = start(terminals, tmp_path, "pair", "issue.md", *options)
    terminal.expect("Shown by: telic serve, at /dashboard/issues/pair-issue-")
    [folder] = (tmp_path / "runs").iterdir()
    asked = answer_on_page(folder, "answer", "to even")
    assert (asked.user, asked.on_page, asked.title) == ("ann", True, "Prices are rounded down")
    assert asked.options[0] == "to even"
    answer_on_page(folder, "comment", "  ")
    refused = answer_on_page(folder, "accept")
    assert refused.problem == "The comment is empty; write what should be changed."
    terminal.expect("The patch is applied to your checkout")
    assert terminal.wait() == 0
    assert "return round(amount, 2)" in (tmp_path / "shop-repository/shop/prices.py").read_text()
    assert not (folder / "report.html").exists(), "reports are seen by every holder of a key"
    [row] = json.loads(run("view", "--runs", str(tmp_path / "runs"), "--json").out)
    assert (row["status"], row["headline"]) == (
        "finished", "The patch was accepted; the tests pass; 1 question asked.",
    )  # fmt: skip
    done = run("view", str(folder))
    assert done.status == 0, done.error
    page = (folder / "report.html").read_text()
    for part in ("suggestion_accepted", 'class="added"', "← Tests turned green: 1", "to even"):
        assert part in page


def test_a_session_that_never_began_has_no_report(run: Run, tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "pair", "issue", {}) as made:
        pass
    done = run("view", str(made.path))
    assert done.status == 1
    assert "has not begun" in done.error


def test_what_others_write_moves_no_cursor(terminals: list[Terminal], tmp_path: Path) -> None:
    prices = tmp_path / "shop-repository/shop/prices.py"
    prices.write_text(PRICES.replace("Round an amount to cents.", "Round an \x1b[2Jamount\x1b]0;owned\x07."))
    subprocess.run(
        ["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qam", "b"], cwd=prices.parent, check=True
    )
    terminal = start(terminals, tmp_path)
    terminal.expect("1 to 2, or your own words")
    terminal.type("\n")
    terminal.expect("[q]uit> ")
    terminal.type(CTRL_D)
    terminal.expect("To continue: telic pair --resume runs/")
    assert terminal.wait() == 0
    assert "\x1b[2J" not in terminal._raw
    assert "\x1b]0;" not in terminal._raw
    assert "␛]0;owned␇" in terminal.shown


def test_an_interrupted_session_is_resumed_from_its_folder_alone(terminals: list[Terminal], tmp_path: Path) -> None:
    terminal = start(terminals, tmp_path)
    terminal.expect("1 to 2, or your own words")
    terminal.type("1\n")
    terminal.expect("[q]uit> ")
    terminal.interrupt()
    terminal.expect("interrupted: the session is saved. To continue: telic pair --resume runs/")
    assert terminal.wait() == 130
    [folder] = (tmp_path / "runs").iterdir()
    again = start(terminals, tmp_path, "pair", "--resume", f"runs/{folder.name}")
    again.expect("+    return round(amount, 2)")
    again.type("r\n")
    again.expect("The patch is discarded")
    assert again.wait() == 0
    assert "Ask the author" not in again.shown
    assert (tmp_path / "shop-repository/shop/prices.py").read_text() == PRICES


def test_the_patch_is_edited_in_the_editor(terminals: list[Terminal], tmp_path: Path) -> None:
    editor = tmp_path / "editor.py"
    editor.write_text(
        "import pathlib, sys\n"
        "patch = pathlib.Path(sys.argv[1])\n"
        "patch.write_text(patch.read_text().replace('amount, 2', 'amount, 3 - 1'))\n"
    )
    environment = f"import os\nos.environ['VISUAL'] = {f'{sys.executable} {editor}'!r}\n"
    terminal = start(terminals, tmp_path, before=environment)
    terminal.expect("own words")
    terminal.type("\n")
    terminal.expect("[q]uit> ")
    terminal.type("e\n")
    terminal.expect("+    return round(amount, 3 - 1)")
    terminal.expect("[q]uit> ")
    terminal.type("a\n")
    assert terminal.wait() == 0
    assert "amount, 3 - 1" in (tmp_path / "shop-repository/shop/prices.py").read_text()


def test_without_a_terminal_the_patch_is_printed_for_git_apply(
    run: Run, issue: Path, repository: Path, quick_tests: None, endpoint: Endpoint
) -> None:
    done = run("pair", "issue.md", "--repo", str(repository), "--model", f"{endpoint.address}#scripted", "--quiet")
    assert (done.status, done.error) == (0, "")
    subprocess.run(["git", "apply", "-"], input=done.out, text=True, cwd=repository, check=True)
    assert "return round(amount, 2)" in (repository / "shop/prices.py").read_text()
    asked = [body["messages"][1]["content"] for body in endpoint.bodies]
    assert not any("Ask the author" in text for text in asked)


def test_the_result_as_json(run: Run, issue: Path, repository: Path, quick_tests: None, endpoint: Endpoint) -> None:
    done = run("pair", "issue.md", "--repo", str(repository), "--model", f"{endpoint.address}#scripted", "--json")
    result = json.loads(done.out)
    assert (done.status, result["passed"], result["decision"]) == (0, True, "leave")
    assert result["turned_green"] == ["tests/test_prices.py::test_up"]
    assert result["patch"].startswith("diff --git")


def test_it_says_that_it_does_not_see_what_is_not_committed(
    run: Run, issue: Path, repository: Path, quick_tests: None, endpoint: Endpoint
) -> None:
    arguments = ("pair", "issue.md", "--repo", str(repository), "--model", f"{endpoint.address}#scripted")
    assert "Uncommitted changes" not in run(*arguments).error
    (repository / "tests/test_prices.py").write_text("")
    done = run(*arguments)
    assert f"Uncommitted changes in {repository} are not used." in done.error
    assert "1 of 2 tests" in done.error


def test_no_patch_is_a_failure(run: Run, issue: Path, repository: Path, quick_tests: None) -> None:
    with scripted_endpoint(lambda _: "I cannot do it.") as endpoint:
        arguments = ("--model", f"{endpoint.address}#scripted", "--quiet", "--repairs", "0")
        done = run("pair", "issue.md", "--repo", str(repository), *arguments)
    assert (done.status, done.out) == (1, "")
    assert "no patch passes the tests: Nothing was changed." in done.error


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("missing.md",), 1, "cannot read the issue 'missing.md'"),
        (("issue.md", "--repo", "nowhere"), 1, "is not a folder"),
        (("issue.md", "--base", "no-such-commit"), 1, "has no commit 'no-such-commit'"),
        (("issue.md", "--samples", "0"), 2, "--samples is 0"),
        (("issue.md", "--minutes", "-1"), 2, "--minutes is -1"),
        (("issue.md", "--test-seconds", "0"), 2, "--test-seconds is 0"),
        (("issue.md", "--python", "nowhere"), 2, "--python is 'nowhere'"),
        (("issue.md", "--model", "no-such-model"), 1, "no-such-model"),
        (("issue.md", "--work", "missing.toml"), 1, "missing.toml"),
        (("issue.md", "--tests=--pdb"), 1, "is an option"),
        (("--resume", "runs/none"), 1, "does not exist"),
    ],
)
def test_bad_input_is_told_without_a_traceback(
    run: Run, issue: Path, repository: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    repo = () if "--repo" in arguments or "--resume" in arguments else ("--repo", str(repository))
    done = run("pair", *arguments, *repo)
    assert done.status == status
    assert message in done.error.replace("\n", " ")
    assert "Traceback" not in done.error


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """A model that edits the file, and says so."""
    edit = call("edit", path="shop/prices.py", old="return int(amount * 100) / 100", new="return round(amount, 2)")
    with scripted_endpoint(lambda messages: edit if len(messages) == 2 else "Done.") as served:
        yield served


def test_a_pair_programmer_plays_the_game_of_issues(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(issue_game, "_judge_of", FakeJudge)
    monkeypatch.setattr(Workspace, "_suite", lambda *_: SuiteResult(0, {"tests/test_shop.py::test_prices": "passed"}))
    create = call("create", path="good.py", content="")
    with scripted_endpoint(lambda messages: create if len(messages) == 2 else "Done.") as endpoint:
        options = ("--agent", "pair", "--model", f"{endpoint.address}#scripted", "-n", "2", "--set", "setting=hidden")
        done = run("play", "issue", *options, "--json", "--quiet")
    [result] = json.loads(done.out)["results"]
    assert (done.status, result["valid"], result["success"]["value"]) == (0, 2, 1.0), done.error
