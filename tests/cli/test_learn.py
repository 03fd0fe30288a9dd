"""`telic learn`: from logs and from a store to a report and data sets."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.feedback.test_learning import BAD, GOOD, messages


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(json.dumps(messages(*said)) + "\n" for said in (GOOD, GOOD, BAD, BAD)))
    return path


@pytest.mark.usefixtures("chats")
def test_logs_become_a_report_and_data_sets(run: Run, tmp_path: Path) -> None:
    learnt = run("learn", "--logs", "chats.jsonl", "--export", "kto", "kto.jsonl", "episodes", "all.jsonl", "--quiet")
    assert (learnt.status, learnt.error) == (0, "")
    assert learnt.out.startswith("Users are satisfied with a reply with probability 0.")
    assert "ticket" in learnt.out
    assert len((tmp_path / "kto.jsonl").read_text().splitlines()) == 4
    assert len((tmp_path / "all.jsonl").read_text().splitlines()) == 4
    [folder] = (path for path in (tmp_path / "runs").iterdir() if path.is_dir())
    assert (folder / "report.html").is_file()
    (folder / "report.html").unlink()
    viewed = run("view", str(folder), "--json")
    assert json.loads(viewed.out)["conversations"] == 4
    assert (folder / "report.html").is_file()
    [listed] = json.loads(run("view", "--json").out)
    assert (listed["verb"], listed["status"]) == ("learn", "finished")
    assert "satisfied" in listed["headline"]


@pytest.mark.usefixtures("chats")
def test_json_has_everything(run: Run) -> None:
    found = json.loads(run("learn", "--logs", "chats.jsonl", "--json", "--quiet").out)
    assert (found["conversations"], found["exported"]) == (4, {})
    assert found["blamed"][0]["examples"][0]["answer"] == BAD[2]


def test_a_purpose_reads_its_own_conversations_in_its_store(run: Run, travel: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from telic.server.store import ConversationStore
    from tests.server.test_store import history, new_turns

    nothing = run("learn", str(travel))
    assert nothing.status == 1
    assert "there is no store 'telic.db'" in nothing.error
    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        store.add(new_turns("c1", history("ann", "Hello", "Hi!", "Thanks, great!"), "Welcome.", 2))
    learnt = run("learn", str(travel), "--json", "--quiet")
    assert json.loads(learnt.out)["evidence"]["praise.thanks"] == 1
    again = run("learn", str(travel), "--json", "--quiet", "--processes", "2")
    assert json.loads(again.out)["satisfaction"] == json.loads(learnt.out)["satisfaction"]
    other = run("learn", "--store", "telic.db", "--user", "bob", "--quiet")
    assert other.status == 1
    assert "nothing to learn from" in other.error


@pytest.mark.usefixtures("chats")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected a purpose file, --logs FILE or --store FILE"),
        (("--logs", "chats.jsonl", "--store", "telic.db"), "--logs goes without --store"),
        (("--logs", "chats.jsonl", "--export", "kto"), "expected a format and a file"),
        (("--logs", "chats.jsonl", "--export", "dop", "x.jsonl"), "did you mean 'dpo'"),
        (("--logs", "chats.jsonl", "--processes", "0"), "--processes is 0"),
    ],
)
def test_wrong_options_are_explained(run: Run, arguments: tuple[str, ...], message: str) -> None:
    outcome = run("learn", *arguments)
    assert outcome.status == 2
    assert message in outcome.error
    assert "Traceback" not in outcome.error


def test_a_refusal_that_a_limit_of_the_purpose_demands_is_not_blamed(run: Run, tmp_path: Path) -> None:
    said = ("What does the hotel cost, 90 euros?", "Sorry, I can't talk about prices.", "That's useless, terrible.")
    (tmp_path / "chats.jsonl").write_text(json.dumps(messages(*said)) + "\n")
    limit = '[[limits]]\nname = "talks about money"\njudge = { contains = "euros" }\n'
    for name, text in (("free.toml", ""), ("bound.toml", limit)):
        (tmp_path / name).write_text(f'name = "travel"\nsystem = "You are a travel agent."\n{text}')
    blamed = {}
    for name in ("free", "bound"):
        run("learn", f"{name}.toml", "--logs", "chats.jsonl", "--export", "episodes", f"{name}.jsonl", "--quiet")
        [_, refusal, _] = json.loads((tmp_path / f"{name}.jsonl").read_text())["turns"]
        blamed[name] = refusal["scores"].get("label", 0) < 0
    assert blamed == {"free": True, "bound": False}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "planner", "--logs", "chats.jsonl"), "--method needs a purpose file"),
        (("travel.toml", "--logs", "chats.jsonl", "--set", "beta=1"), "go with --method"),
        (("travel.toml", "--method", "planner", "--export", "kto", "x.jsonl"), "--export goes without --method"),
        (("travel.toml", "--method", "planner", "--logs", "chats.jsonl", "--set", "beta"), "--set: expected KEY=VALUE"),
    ],
)
@pytest.mark.usefixtures("chats", "travel")
def test_wrong_options_of_a_training_are_explained(run: Run, arguments: tuple[str, ...], message: str) -> None:
    outcome = run("learn", *arguments)
    assert outcome.status == 2
    assert message in outcome.error
    assert "Traceback" not in outcome.error


@pytest.mark.usefixtures("chats")
def test_a_model_elsewhere_cannot_be_trained(run: Run, travel: Path) -> None:
    outcome = run("learn", str(travel), "--method", "planner", "--logs", "chats.jsonl", "--model", "fake")
    assert outcome.status == 1
    assert "model 'fake' does not run in this process" in outcome.error


def test_a_planner_is_learnt_from_logs(run: Run, travel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from telic.cli import learn_version
    from telic.purpose import update_file
    from tests.learners.logged import conversations, purpose_with, uniform_planner
    from tests.models import tiny

    model = tiny.local("llama")
    monkeypatch.setattr(learn_version, "load_model", lambda _: model)
    purpose_with(uniform_planner(model), model, tmp_path / "served")
    update_file(travel, {"planner": {"path": "served"}})
    logs = tmp_path / "served.jsonl"
    logs.write_text("".join(one.model_dump_json() + "\n" for one in conversations(model.hidden_size, 40)))
    arguments = ("learn", str(travel), "--method", "planner", "--logs", str(logs), "--model", "smollm2", "--quiet")
    shown = run(*arguments)
    assert (shown.status, shown.error) == (0, "")
    assert "Learnt from 40 conversations" in shown.out
    assert "ask" in shown.out
    learnt = json.loads(run(*arguments, "--json", "--set", "beta=0.3", "rl_steps=2", "width=8").out)
    assert (Path(learnt["folder"]) / "learned.json").is_file()
    assert learnt["purpose_changes"] == {"planner": {"path": learnt["folder"]}}
    viewed = run("view", str(Path(learnt["folder"]).parent))
    assert viewed.status == 0
    assert "learned.json" in viewed.out
    few = run(*arguments, "--set", "least=41")
    assert few.status == 1
    assert "40 conversations have a labelled reply; expected at least 41" in few.error
    wrong = run(*arguments, "--set", "betta=1")
    assert wrong.status == 1
    assert "did you mean 'beta'" in wrong.error
