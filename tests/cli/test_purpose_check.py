"""One pass reports all mistakes of a purpose file, each with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import PURPOSE, Run

BAD = """\
name = "travel"
model = "fake"
sytem = "You are Mia."

[[probes]]
ask = "What is your name?"
judge = { regex = "(" }

[[probes]]
ask = "Where?"
judge = { containz = "Rome" }

[[limits]]
name = "names a city"
judge = { contain = "Rome" }

[[defences]]
name = "hardend_prompt"

[game]
name = "elicitation"
rouds = 3

[[controls]]
name = "reminder"
every = "x"

[serve]
max_tokns = 3
shutdown_seconds = -1
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("chat", "bad.toml"),
        ("measure", "bad.toml"), ("hold", "bad.toml"), ("play", "bad.toml"), ("train", "bad.toml"),
        ("serve", "bad.toml"), ("format", "bad.toml"), ("measure", "travel.toml", "--partner", "bad.toml"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_all_mistakes_are_reported_at_once(arguments: tuple[str, ...], run: Run, travel: Path) -> None:
    (travel.parent / "bad.toml").write_text(BAD)
    outcome = run(*arguments)
    assert outcome.status == 1
    places = [line.removeprefix("telic: ").partition(": ") for line in outcome.error.splitlines()]
    assert [(place, what.partition(":")[0]) for place, _, what in places] == [
        ("bad.toml, line 3", "sytem"),
        ("bad.toml, line 7", "probes[0].judge"),
        ("bad.toml, line 11", "probes[1].judge"),
        ("bad.toml, line 15", "limits[0].judge"),
        ("bad.toml, line 17", "defences[0]"),
        ("bad.toml, line 20", "game"),
        ("bad.toml, line 24", "controls[0]"),
        ("bad.toml, line 29", "serve.max_tokns"),
        ("bad.toml, line 30", "serve.shutdown_seconds"),
    ]
    assert not (travel.parent / "runs").exists()


def test_a_part_with_a_mistake_of_form_is_reported_once(run: Run, travel: Path) -> None:
    travel.write_text(PURPOSE.replace('ask = "What is your name?"', "ask = 3") + "\n[game]\nrounds = 2\n")
    outcome = run("measure", "travel.toml")
    assert [line.partition(": ")[2].partition(":")[0] for line in outcome.error.splitlines()] == [
        "travel.toml, line 6",
        "game",
    ]


def test_a_path_in_the_file_is_relative_to_its_folder(run: Run, travel: Path) -> None:
    folder = travel.parent / "sub"
    (folder / "axis").mkdir(parents=True)
    (folder / "far.toml").write_text(PURPOSE + '\n[[controls]]\nname = "vector"\npath = "axis"\n')
    outcome = run("measure", "sub/far.toml")
    assert "sub/far.toml, line 9: controls[0]: " in outcome.error
    assert "sub/axis" in outcome.error
