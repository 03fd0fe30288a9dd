"""The public names: few, sorted, importable, and loaded only when they are used."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import telic

HEAVY = ("torch", "transformers", "scipy", "numpy", "matplotlib", "openai")


def loaded(code: str) -> set[str]:
    """Which of the heavy packages are in memory after some code, in a fresh interpreter."""
    program = f"import json, sys\n{code}\nprint(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_names_are_sorted_and_few() -> None:
    assert telic.__all__ == sorted(telic.__all__)
    assert len(telic.__all__) <= 30
    assert len(set(telic.__all__)) == len(telic.__all__)


def test_the_names_are_what_is_exported() -> None:
    assert set(telic.__all__) == set(telic._HOMES)
    assert {name for name in dir(telic) if not name.startswith("_")} == set(telic.__all__)


@pytest.mark.parametrize("name", [name for name in telic.__all__ if name != "LocalModel"])
def test_each_name_is_there_and_documented(name: str) -> None:
    found = getattr(telic, name)
    assert found.__name__ == name
    assert found.__doc__


def test_the_local_model_is_there_where_torch_is() -> None:
    pytest.importorskip("torch")
    assert telic.LocalModel.__name__ == "LocalModel"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'mesure'"):
        telic.mesure  # noqa: B018


def test_nothing_heavy_is_loaded_before_it_is_used() -> None:
    assert loaded("import telic") == set()
    assert loaded("import telic; telic.Purpose; telic.Dialogue; telic.FakeModel; telic.ScriptedModel") == set()
    assert not loaded("import telic; telic.measure; telic.Agent; telic.RemoteModel") & {"torch", "transformers"}


def test_the_library_is_silent() -> None:
    program = (
        "import logging, telic\n"
        "assert [type(h).__name__ for h in logging.getLogger('telic').handlers] == ['NullHandler']\n"
        "assert not logging.getLogger().handlers\n"
        "telic.measure(telic.FakeModel(), telic.Purpose.load('demo'), rounds=1, dialogues=2, resamples=100)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_name_means_the_same_in_whatever_order_it_is_used() -> None:
    assert loaded("import telic; telic.StabilityRun; assert callable(telic.measure); telic.measure.__name__")
