"""What is found before anything is asked or changed."""

from __future__ import annotations

import pytest

from telic.assistants.pairing.findings import Findings, investigate, rank_places
from telic.assistants.pairing.sources import is_test
from telic.workspaces import Workspace
from tests.assistants.pairing.conftest import ISSUE


def test_what_the_issue_names_comes_first_and_its_failing_test_is_run(workspace: Workspace) -> None:
    found = investigate(workspace, ISSUE)
    assert str(found.places[0]) == "shop/prices.py:4 round_price"
    assert found.places[0].source.startswith("def round_price(amount):\n")
    assert found.tests == ("tests/test_prices.py",)
    assert list(found.failing) == ["tests/test_prices.py::test_up"]
    assert "1 of 2 tests in tests/test_prices.py fail" in found.summary()
    assert workspace.tree.diff() == ""


def test_a_method_is_found_by_the_words_of_its_code_alone(workspace: Workspace) -> None:
    found = investigate(workspace, "What a customer buys costs too much when prices are added up.")
    assert found.places[0].symbol.name in ("Cart.total", "Cart")


def test_the_tests_that_are_given_are_run(workspace: Workspace) -> None:
    found = investigate(workspace, "Something about nothing.", ["tests/test_prices.py"])
    assert found.tests == ("tests/test_prices.py",)


def test_without_tests_it_says_so() -> None:
    assert "No test is about it." in Findings().summary()


def test_rare_words_count_more_than_common_ones() -> None:
    common = "".join(f"def handle_{n}(request):\n    return request.text\n" for n in range(20))
    texts = {"a.py": common, "b.py": "def parse(request):\n    return request.charset\n"}
    [first, *_] = rank_places(texts, "The request has the wrong charset.")
    assert first.symbol.name == "parse"


def test_a_function_within_a_function_is_part_of_it() -> None:
    text = "def outer(items):\n    def binsearch(a):\n        return a\n    return binsearch(items)\n"
    assert [place.symbol.name for place in rank_places({"a.py": text}, "`binsearch` in `outer` is wrong")] == ["outer"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("tests/a.py", True), ("src/x/testing/a.py", True), ("test_a.py", True), ("a/b_test.py", True),
        ("python_testcases/load.py", True), ("conftest.py", True), ("src/latest/a.py", False), ("contest.py", False),
    ],
)  # fmt: skip
def test_files_of_tests_are_told_by_their_names(path: str, expected: bool) -> None:
    assert is_test(path) is expected
