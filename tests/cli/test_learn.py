"""`telic learn`: from logs and from a store to a report and data sets."""

from __future__ import annotations

import io
import json
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from telic.models import load
from telic.purpose import Purpose, update_file
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
    assert "the store 'telic.db' does not exist" in nothing.error
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
        (("--logs", "chats.jsonl", "--store", "telic.db"), "--logs cannot be combined with --store"),
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


SUGGESTING = ("That's too long.", "get to the point", "shorter please")


@pytest.fixture
def complaints(tmp_path: Path) -> Path:
    path = tmp_path / "complaints.jsonl"
    said = [
        messages("Where is it?", "Well, it is a long story.", text, user=f"u{n}") for n, text in enumerate(SUGGESTING)
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in said))
    return path


@pytest.mark.usefixtures("complaints")
def test_suggestions_are_listed_with_their_evidence_and_one_is_accepted(run: Run, travel: Path) -> None:
    before = travel.read_text()
    listed = run("learn", str(travel), "--logs", "complaints.jsonl", "--suggest")
    assert (listed.status, listed.error) == (0, "")
    assert "1. shorter: replies are too long; 3 users, 3 messages" in listed.out
    assert all(repr(text) in listed.out for text in SUGGESTING)
    assert travel.read_text() == before, "listing changed the purpose file"
    [found] = json.loads(run("learn", str(travel), "--logs", "complaints.jsonl", "--suggest", "--json").out)
    assert (found["name"], found["users"], len(found["quotes"])) == ("shorter", 3, 3)
    accepted = run("learn", str(travel), "--logs", "complaints.jsonl", "--accept", "1")
    assert accepted.status == 0
    document = tomllib.loads(travel.read_text())
    assert document["rules"] == [found["rule"]]
    assert document["probes"][-1]["ask"] == found["probe"]["ask"]
    assert (travel.parent / "travel.toml.bak").read_text() == before
    again = run("learn", str(travel), "--logs", "complaints.jsonl", "--accept", "shorter")
    assert again.status == 1
    assert "has the rule" in again.error
    own = run(
        "learn", str(travel), "--logs", "complaints.jsonl", "--accept", "shorter", "--rule", "Be brief.", "--json"
    )
    assert json.loads(own.out)["probe"] is None
    assert tomllib.loads(travel.read_text())["rules"][-1] == "Be brief."


@pytest.mark.usefixtures("complaints", "chats")
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--suggest",), 2, "--suggest needs a purpose file"),
        (("travel.toml", "--suggest", "--method", "kto"), 2, "--method and --suggest cannot be combined"),
        (("travel.toml", "--rule", "Be brief."), 2, "--rule requires --accept"),
        (("travel.toml", "--minutes", "5"), 2, "--minutes requires --method kto or dpo or sft"),
        (("travel.toml", "--accept", "9"), 1, "no suggestion '9'; there are 1 to 1"),
        (("travel.toml", "--accept", "shorter", "--rule", "One.\nTwo."), 2, "expected one line of text"),
        (("demo", "--accept", "shorter"), 1, "'demo' is not a file that can be changed"),
        (("travel.toml", "--method", "kto"), 1, "model 'fake' does not run in this process"),
        (("travel.toml", "--method", "reward_head"), 1, "10 or more clearly good replies"),
        (
            ("travel.toml", "--method", "reward_head", "--minutes", "2"),
            2,
            "--minutes requires --method kto or dpo or sft",
        ),
        (("travel.toml", "--method", "ppo"), 2, "ppo"),
    ],
)
def test_wrong_options_of_learners_are_explained(
    run: Run, travel: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    before = travel.read_text()
    outcome = run("learn", *arguments, "--logs", "complaints.jsonl")
    assert (outcome.status, message in outcome.error) == (status, True), outcome.error
    assert "Traceback" not in outcome.error
    assert travel.read_text() == before


def test_a_model_is_tuned_and_served_from_the_command_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("torch", "trl", "peft", "datasets"):
        pytest.importorskip(package, reason="the extra 'train' is not installed")
    from tests.learners.conversations import BAD, GOOD, save_tiny

    model = save_tiny(tmp_path / "model")
    purpose = tmp_path / "travel.toml"
    purpose.write_text(f'name = "travel"\nmodel = "{model}"\nsystem = "You are Mia."\n')
    with (tmp_path / "chats.jsonl").open("w") as file:
        for number in range(40):
            good = number % 2
            said = (
                "I want to get away.",
                GOOD if good else BAD,
                "Great, thank you!" if good else "That's wrong, useless.",
            )
            file.write(json.dumps(messages(*said, user=f"u{number % 10}")) + "\n")
    command = ("learn", "travel.toml", "--logs", "chats.jsonl", "--quiet")
    tuned = run(*command, "--method", "sft")
    assert (tuned.status, tuned.error) == (0, "")
    assert "To use it, write into travel.toml: adapter = 'learned/sft-" in tuned.out
    again = json.loads(run(*command, "--method", "sft", "--json").out)
    assert again["loss_after"] < again["loss_before"]
    update_file(purpose, again["purpose_changes"])
    served = load(Purpose.load(purpose))
    assert served.name == model
    base = load(model)
    request = base.session("You are Mia.").user("I want to get away.").request(max_new_tokens=1, seed=0, logprobs=True)
    assert served.generate([request])[0].logprobs != base.generate([request])[0].logprobs
    head = json.loads(run(*command, "--method", "reward_head", "--json").out)
    assert head["auc"]["value"] == 1.0
    update_file(purpose, head["purpose_changes"])
    assert Purpose.load(purpose).best_of == 4
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello!\n"))
    chat = run("chat", "travel.toml", "--seed", "1", "--no-keep")
    assert chat.status == 0, chat.error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "planner", "--logs", "chats.jsonl"), "--method needs a purpose file: telic learn PURPOSE"),
        (("travel.toml", "--logs", "chats.jsonl", "--set", "beta=1"), "--set requires --method planner"),
        (
            ("travel.toml", "--method", "planner", "--export", "kto", "x.jsonl"),
            "--method and --export cannot be combined",
        ),
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
    from telic.cli import learn_planner
    from telic.purpose import update_file
    from tests.learners.logged import conversations, purpose_with, uniform_planner
    from tests.models import tiny

    model = tiny.local("llama")
    monkeypatch.setattr(learn_planner, "load_model", lambda *_: model)
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
