"""A judge of patches that runs no tests."""

from __future__ import annotations

from typing import Any

from telic.errors import SandboxError
from telic.issues import Verdict

__all__ = ["FakeJudge"]


class FakeJudge:
    """Resolves what contains `good`, and breaks a test with what contains `bad`."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def judge(self, patch: str) -> Verdict:
        if "sandbox" in patch:
            raise SandboxError("no sandbox here")
        broken = ("test_a",) if "bad" in patch else ()
        return Verdict("good" in patch and not broken, "" if "good" in patch else "not resolved", regressions=broken)
