"""Ambig-SWE: issues of SWE-bench Verified with vague versions of their texts (arXiv 2502.13069)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from telic.errors import DataError
from telic.issues.issue import Issue
from telic.toml_source import decode

__all__ = ["load_ambig_swe"]


def load_ambig_swe(folder: str | Path) -> list[Issue]:
    """Read `ambig_swe.jsonl`, and `repos/ID.tar.gz` beside it.

    Raises:
        DataError: a file is missing, or a line is not an issue.
        ConfigError: the file is not in UTF-8.
    """
    path = Path(folder) / "ambig_swe.jsonl"
    try:
        text = decode(path.read_bytes(), str(path))
    except OSError as error:
        raise DataError(f"cannot read {str(path)!r}: {error.strerror}") from None
    issues = []
    for number, line in enumerate(text.split("\n"), start=1):  # not splitlines: JSON texts may hold U+2028
        if not line.strip():
            continue
        try:
            issues.append(_issue(json.loads(line), path.parent))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}, line {number} is not an issue of Ambig-SWE: {error!r}") from None
    return issues


def _issue(row: dict[str, Any], folder: Path) -> Issue:
    title, _, _ = row["full_issue"].partition("\n")
    return Issue(
        id=row["id"],
        title=title.strip(),
        full_text=row["full_issue"],
        hidden_text=row["hidden_issue"],
        repository=folder / "repos" / f"{row['id']}.tar.gz",
        must_turn_green=_tests(row["fail_to_pass"], row["test_patch"]),
        must_stay_green=_tests(row["pass_to_pass"], row["test_patch"]),
        test_patch=row["test_patch"],
        gold_patch=row["patch"],
        environment=f"{row['repo'].partition('/')[2]}-{row['version']}",
    )


def _tests(names: list[str], test_patch: str) -> tuple[str, ...]:
    """The tests of the files that the test patch changes.

    The lists were read off logs. They hold tests that a test wrote, and pieces of a progress bar.
    """
    return tuple(name for name in names if f"+++ b/{name.partition('::')[0]}\n" in test_patch and "::" in name)
