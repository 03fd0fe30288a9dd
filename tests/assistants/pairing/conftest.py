"""Toy repositories, a scripted pair programmer, and tests that run at once instead of in the sandbox."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from telic.assistants.pairing.config import PairConfig
from telic.assistants.pairing.programmer import PairProgrammer
from telic.dialogue import Message
from telic.models import ScriptedModel
from telic.workspaces import SuiteResult, Workspace

PRICES = '''\
"""Prices."""


def round_price(amount):
    """Round an amount to cents."""
    return int(amount * 100) / 100


class Cart:
    """What a customer buys."""

    def total(self, prices):
        """Add prices up."""
        return round_price(sum(prices))
'''
TESTS = """\
from shop.prices import round_price


def test_exact():
    assert round_price(1.5) == 1.5


def test_up():
    assert round_price(1.239) == 1.24
"""
ISSUE = "# Prices are rounded down\n\n`round_price(1.239)` gives 1.23 instead of 1.24."
WRONG = "```python\ndef round_price(amount):\n    return int(amount * 100 + 0.05) / 100\n```"
RIGHT = "```python\ndef round_price(amount):\n    return round(amount, 2)\n```"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git checkout with a bug and a test that fails."""
    folder = tmp_path / "shop-repository"
    for name, text in {"shop/__init__.py": "", "shop/prices.py": PRICES, "tests/test_prices.py": TESTS}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit everything in a git checkout."""
    for command in (["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a commit"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


@pytest.fixture
def workspace(repository: Path, quick_tests: None) -> Iterator[Workspace]:
    with Workspace(repository) as opened:
        yield opened


@pytest.fixture
def quick_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the toy repository's tests in this process. The sandbox has tests of its own."""
    monkeypatch.setattr(Workspace, "_suite", run_here)


def run_here(_: Workspace, folder: Path, tests: Sequence[str]) -> SuiteResult:
    """Run the test functions of files that import from `shop.prices` only."""
    names: dict[str, object] = {}
    exec((folder / "shop/prices.py").read_text(), names)
    outcomes, messages = {}, {}
    for file in tests or ["tests/test_prices.py"]:
        body = (folder / file).read_text().replace("from shop.prices import round_price", "")
        exec(body, names)
        for name in [one for one in names if one.startswith("test_")]:
            test = names.pop(name)
            assert callable(test)
            try:
                test()
                outcomes[f"{file}::{name}"] = "passed"
            except Exception as error:
                outcomes[f"{file}::{name}"] = "failed"
                messages[f"{file}::{name}"] = repr(error)
    return SuiteResult(0, outcomes, messages)  # type: ignore[arg-type]


Script = Callable[[str], str]


def scripted(answers: Script | None = None, **config: object) -> PairProgrammer:
    """Make a pair programmer that asks once, then gives a wrong answer, and then the right one."""

    def reply(messages: tuple[Message, ...]) -> str:
        text = messages[-1].content
        if answers is not None and (said := answers(text)):
            return said
        if "Is something missing" in text:
            return "no" if "<answers>" in text else "yes"
        if "Ask the author" in text:
            return "How should ties be rounded?\n1. to even\n2. away from zero"
        if "Which of these has to change" in text:
            return "shop/prices.py:4 round_price"
        return RIGHT if "does not do it yet" in text else WRONG

    return PairProgrammer(ScriptedModel(reply), PairConfig.of(**{"mode": "functions", "samples": 1, **config}))
