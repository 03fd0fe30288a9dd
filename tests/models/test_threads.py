"""Threads are those that were asked for, or as many as there are idle cores."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from telic.errors import ConfigError
from telic.models import load, threads

pytest.importorskip("torch")

SHOW = "import json, os, torch; print(json.dumps(torch.get_num_threads()))"


def run(code: str, **environment: str) -> int:
    """The threads of torch in a fresh process: this one has imported torch already."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    done = subprocess.run(
        [sys.executable, "-c", code + SHOW], env=clean | environment, capture_output=True, text=True, check=True
    )
    shown = json.loads(done.stdout)
    assert isinstance(shown, int)
    return shown


PREPARE = "from telic.models.threads import prepare_threads; "


def test_threads_that_are_asked_for_are_those_that_torch_has() -> None:
    assert run(PREPARE + "prepare_threads(1); ") == 1
    assert run(PREPARE + "import torch; prepare_threads(3); ") == 3


def test_the_environment_of_openmp_comes_before_the_default() -> None:
    assert run(PREPARE + "prepare_threads(); ", OMP_NUM_THREADS="1") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which cores a process may use")
def test_a_process_that_is_bound_to_a_core_has_one_available() -> None:
    first = min(os.sched_getaffinity(0))
    pin = f"import os; os.sched_setaffinity(0, {{{first}}}); from telic.models.threads import available_cores; "
    assert run(pin + PREPARE + "prepare_threads(available_cores()); ") == 1


def test_a_model_takes_no_core_that_other_programs_use(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from telic.models.local.thread_governor import EVERY, FIRST, ThreadGovernor

    chosen = [0]
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: chosen[-1])
    now, machine, own = 0.0, 0.0, 0.0
    governor = ThreadGovernor(4, 4, lambda: (machine, own), lambda: now)

    def after(seconds: float, *, others: float, mine: float) -> int:
        nonlocal now, machine, own
        now += seconds
        own += mine * seconds
        machine += (others + mine) * seconds
        governor.adapt()
        return chosen[-1]

    assert after(FIRST / 2, others=4, mine=1) == 0
    assert after(FIRST / 2, others=4, mine=1) == 1, "one thread is left even where all cores are in use"
    assert after(EVERY / 2, others=1, mine=3) == 1, "it does not look more often than every few seconds"
    assert after(EVERY / 2, others=1, mine=3) == 3
    assert after(EVERY, others=0.2, mine=3) == 4, "a program that takes little costs no thread"
    assert after(EVERY, others=0, mine=4) == 4, "its own time is no other program's"
    governor.spared = 1
    assert after(EVERY, others=0, mine=4) == 3, "a server leaves a core to its event loop"
    assert after(EVERY, others=4, mine=1) == 1

    governor = ThreadGovernor(4, 64, lambda: (machine, own), lambda: now)
    assert after(EVERY, others=40, mine=4) == 4, "the cores of others are not those of its own share"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which cores a process may use")
def test_a_container_gets_no_more_threads_than_its_share_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cores = {number: f"{number // 2 * 2}-{number // 2 * 2 + 1}" for number in range(8)}  # two threads each
    for number, siblings in cores.items():
        folder = tmp_path / f"cpu{number}/topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(siblings)
    monkeypatch.setattr(threads, "CPUS", tmp_path)
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(cores))
    assert threads.available_cores() == 4
    for text, expected in (("250000 100000", 2), ("50000 100000", 1), ("max 100000", 4), ("900000 100000", 4)):
        (tmp_path / "cpu.max").write_text(text)
        assert threads.available_cores() == expected


def test_less_than_one_thread_is_refused() -> None:
    with pytest.raises(ConfigError, match="threads is 0; expected 1 or more"):
        threads.prepare_threads(0)


def test_a_model_that_is_not_local_ignores_threads() -> None:
    assert load("fake", threads=2).name == "fake"
