"""Putting a function that a model wrote into its file."""

from __future__ import annotations

import pytest

from telic.assistants.pairing.sources import definition_text, read_source, replace_definition, source_files
from telic.errors import WorkspaceError
from telic.workspaces import Workspace
from tests.assistants.pairing.conftest import PRICES, RIGHT

FILE = "shop/prices.py"


def test_a_function_is_replaced_and_nothing_else(workspace: Workspace) -> None:
    replace_definition(workspace, FILE, "round_price", f"Here it is:\n{RIGHT}\nDone.")
    assert read_source(workspace, FILE) == PRICES.replace("int(amount * 100) / 100", "round(amount, 2)")


def test_a_docstring_that_the_model_writes_replaces_the_old_one(workspace: Workspace) -> None:
    written = '```python\ndef round_price(amount):\n    """Round."""\n    return round(amount, 2)\n```'
    replace_definition(workspace, FILE, "round_price", written)
    assert '"""Round."""' in read_source(workspace, FILE)
    assert "Round an amount" not in read_source(workspace, FILE)


def test_a_definition_on_one_line_stays_on_it(workspace: Workspace) -> None:
    written = "```python\ndef round_price(amount): return round(amount, 2)\n```"
    replace_definition(workspace, FILE, "round_price", written)
    assert "\ndef round_price(amount): return round(amount, 2)\n" in read_source(workspace, FILE)


METHOD = '"""What a customer buys."""\n\n    def total(self, prices):\n        """Add prices up."""\n        return 1\n'


def test_a_method_gets_the_indentation_of_its_class(workspace: Workspace) -> None:
    replace_definition(workspace, FILE, "Cart.total", "```python\ndef total(self, prices):\n    return 1\n```")
    assert METHOD in read_source(workspace, FILE)


def test_a_method_may_come_with_its_class(workspace: Workspace) -> None:
    written = "```python\nclass Cart:\n    def total(self, prices):\n        return 1\n```"
    replace_definition(workspace, FILE, "Cart.total", written)
    assert METHOD in read_source(workspace, FILE)


def test_an_import_that_is_missing_is_added_after_the_docstring(workspace: Workspace) -> None:
    body = "def round_price(amount):\n    return float(Decimal(amount))\n"
    replace_definition(workspace, FILE, "round_price", f"```python\nfrom decimal import Decimal\n\n{body}```")
    assert read_source(workspace, FILE).startswith('"""Prices."""\n\nfrom decimal import Decimal\n')
    replace_definition(workspace, FILE, "round_price", f"from decimal import Decimal\n{body.replace('amount', 'a')}")
    assert read_source(workspace, FILE).count("import") == 1


def test_a_block_that_is_cut_off_still_counts_if_it_is_code(workspace: Workspace) -> None:
    replace_definition(workspace, FILE, "round_price", "```python\ndef round_price(amount):\n    return 1\n")
    assert "return 1" in read_source(workspace, FILE)


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ("I would change the rounding.", "no code block that defines 'round_price'"),
        ("```python\ndef other():\n    pass\n```", "no code block that defines 'round_price'"),
        ("```python\ndef round_price(amount):\n    return (amount\n```", "not Python"),
        ("```python\ndef round_price(amount):\n    return '\\d\\0' + 'a\0b'\n```", "not Python"),
        ("```python\ndef round_price(amount):\n    return " + "(" * 5000 + ")" * 5000 + "\n```", "not Python"),
        (f"```python\n{definition_text(FILE, PRICES, 'round_price')}```", "the same as before"),
    ],
)
def test_what_is_no_version_of_the_function_is_refused(workspace: Workspace, reply: str, message: str) -> None:
    with pytest.raises(WorkspaceError, match=message):
        replace_definition(workspace, FILE, "round_price", reply)
    assert workspace.tree.diff() == ""


def test_files_with_secrets_are_no_sources(workspace: Workspace) -> None:
    (workspace.tree.root / "credentials.json.py").write_text("KEY = 1\n")
    (workspace.tree.root / "large.py").write_text("#" * 300_000)
    assert source_files(workspace) == ["shop/__init__.py", "shop/prices.py", "tests/test_prices.py"]
