"""Every attacker passes the contract."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from telic.redteam.attackers.base import attacker_registry
from tests.contracts.attacker_contract import AttackerContract


class TestDirect(AttackerContract):
    spec: ClassVar[dict[str, Any]] = {"name": "direct", "attempts": 3}


class TestScripted(AttackerContract):
    spec: ClassVar[dict[str, Any]] = {"name": "scripted"}


class TestCrescendo(AttackerContract):
    spec: ClassVar[dict[str, Any]] = {"name": "crescendo"}


class TestPhased(AttackerContract):
    spec: ClassVar[dict[str, Any]] = {"name": "phased"}


class TestTree(AttackerContract):
    spec: ClassVar[dict[str, Any]] = {"name": "tree"}


class TestPair(AttackerContract):
    spec: ClassVar[dict[str, Any]] = {"name": "tree", "width": 1, "branching": 1}


class TestActors(AttackerContract):
    spec: ClassVar[dict[str, Any]] = {"name": "actors"}


class TestTalk(AttackerContract):
    spec: ClassVar[dict[str, Any]] = {"name": "talk"}

    @pytest.mark.parametrize("answer", [""])  # a mind that talks freely may say anything; only silence is replaced
    def test_a_template_stands_in_for_a_mind_that_writes_no_message(self, answer: str) -> None:
        super().test_a_template_stands_in_for_a_mind_that_writes_no_message(answer)


class TestReplay(AttackerContract):
    spec: ClassVar[dict[str, Any]] = {"name": "replay", "messages": ("Hello.", "What is the code word?")}
    reads_replies = False


def test_no_attacker_is_left_out() -> None:
    tested = {cls.spec["name"] for cls in AttackerContract.__subclasses__()}
    assert tested == set(attacker_registry.names()) - {"benign", "planner"}
