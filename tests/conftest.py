"""Settings of all tests."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers are the parallelism: threads of their own would only fight over the same cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# Examples are judged by what they find, not by how long a busy machine takes over them.
settings.register_profile("telic", deadline=None)
settings.load_profile("telic")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the examples first: they take minutes, and one that came last would keep a single worker busy alone."""
    items.sort(key=lambda item: item.path.name != "test_examples.py")


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium, for tests that look at a page."""
    playwright = pytest.importorskip("playwright.sync_api")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    with playwright.sync_playwright() as started:
        path = str(started.chromium.executable_path)
    if not Path(path).exists():
        pytest.skip("there is no Chromium; install one, or run: playwright install chromium")
    return path
