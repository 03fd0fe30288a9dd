"""`--help`: every option is explained, its value has a name that a person would write, the examples are commands."""

from __future__ import annotations

import re
import shlex

import pytest

from telic.cli.main import VERBS, parse_command
from telic.cli.options import actions_of, options_of
from telic.errors import RunError
from tests.cli.conftest import Run

METAVARS = {
    "ADDRESS", "COMMIT", "FILE", "FOLDER", "FORMAT", "GAME", "KEY=VALUE", "MINUTES", "MODEL", "N", "NAME",
    "NAME[:KEY=VALUE...]", "NUMBER", "PLAYER", "PORT", "PURPOSE", "SECONDS", "TEST", "TEXT", "TIME", "TOKENS",
    "VERSION", "WORDS",
}  # fmt: skip
CHOICES = re.compile(r"\{[a-z_]+(,[a-z_]+)*\}")
MACHINE_TYPES = re.compile(r"\b(STR|INT|FLOAT|BOOL|PATH|None\}|default: None|default: \))")


def commands() -> list[tuple[str, type]]:
    """Every command and every action of one."""
    found = []
    for name, command in VERBS.items():
        found += [(name, command), *((f"{name} {action}", kind) for action, kind in actions_of(command).items())]
    return found


def help_of(run: Run, name: str) -> str:
    outcome = run(*name.split(), "--help")
    assert (outcome.status, outcome.error) == (0, "")
    return outcome.out


@pytest.mark.parametrize(("name", "command"), commands(), ids=dict(commands()))
def test_the_value_of_every_option_has_a_name_that_a_person_would_write(run: Run, name: str, command: type) -> None:
    shown = help_of(run, name)
    assert not MACHINE_TYPES.search(shown)
    named = re.findall(r"^  (?:-\w, )?--[a-z-]+(?: ([A-Z{]\S*))?", shown, re.MULTILINE)
    assert len(named) == 1 + sum(bool(option.flags) for option in options_of(command)), "one is --help"
    for metavar in filter(None, named):
        assert metavar in METAVARS or CHOICES.fullmatch(metavar), metavar


@pytest.mark.parametrize(("name", "command"), commands(), ids=dict(commands()))
def test_every_option_is_explained(run: Run, name: str, command: type) -> None:
    shown = " ".join(help_of(run, name).split())
    for option in options_of(command):
        assert option.help.endswith("."), option
        assert f" {' '.join((*option.flags[-1:], *option.metavar.split(), *option.help.split()))}" in shown, option


@pytest.mark.parametrize(("name", "command"), commands(), ids=dict(commands()))
def test_the_examples_are_commands(run: Run, name: str, command: type) -> None:
    _, _, examples = help_of(run, name).partition("\nExamples:\n")
    if name != "readers":
        assert examples
    for line in examples.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "telic"
        if "--resume" in arguments:
            with pytest.raises(RunError, match="does not exist"):
                parse_command(arguments)
        else:
            assert isinstance(parse_command(arguments), VERBS[name.split()[0]]), line


def test_flags_that_switch_off_say_what_they_leave_out() -> None:
    options = [option for _, command in commands() for option in options_of(command)]
    negated = [option for option in options if any(flag.startswith("--no-") for flag in option.flags)]
    assert {option.name for option in negated} >= {"write", "attention", "references", "baselines", "dashboard"}
    assert all(option.help.startswith(("Do not ", "Leave ")) for option in negated)


def test_defaults_are_shown_also_where_they_are_0(run: Run) -> None:
    shown = " ".join(help_of(run, "measure").split())
    assert "Seed of the pairs, the openers and all replies. (default: 0)" in shown
    assert "in round 0, then every this many rounds, and in the last round. (default: 1)" in shown


def test_the_options_are_grouped(run: Run) -> None:
    shown = help_of(run, "measure")
    headings = re.findall(r"^(\w[\w ]*):$", shown, re.MULTILINE)
    assert headings == ["Arguments", "Options", "Model", "Sampling", "Run and output", "Examples"]
    model, _, sampling = shown.partition("\nSampling:\n")
    assert "--model MODEL" in model.partition("\nModel:\n")[2]
    assert "--temperature NUMBER" in sampling.partition("\nRun and output:\n")[0]


@pytest.mark.parametrize("columns", ["40", "80", "250"])
def test_the_help_fits_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert max(map(len, help_of(run, "train").splitlines())) <= max(64, min(int(columns), 100))


def test_the_overview_has_one_sentence_per_command(run: Run) -> None:
    shown = " ".join(run("--help").out.split())
    assert all(f" {verb} " in shown for verb in VERBS)
    assert "API keys for `telic serve`. conversations List, export" in shown, "the first sentence only"
