"""Loaders of issues, on small files of their formats."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from telic.errors import ConfigError, DataError, TelicError
from telic.issues import (
    Issue,
    IssueJudge,
    environment_of,
    load_ambig_swe,
    load_folder,
    load_human_eval_comm,
    load_quixbugs,
)
from telic.issues.checkout import IssueCheckout
from telic.issues.environments import known_recipes
from telic.workspaces import Recipe, RunLimits, Workspace
from tests.issues.repositories import (
    CALC,
    FIXED,
    PLAIN,
    SMALL,
    TESTS,
    calc_issue,
    git,
    make_repository,
    needs_sandbox,
    patch_of,
    write,
)


@pytest.fixture
def ambig_swe(tmp_path: Path) -> Path:
    """A file of one issue in the form of Ambig-SWE, with its archive."""
    files = {"calc.py": CALC, "tests/test_calc.py": TESTS.partition("\n\n\ndef test_double")[0] + "\n"}
    write(tmp_path / "tree", files)
    (tmp_path / "repos").mkdir()
    with tarfile.open(tmp_path / "repos" / "me__calc-1.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "tree", ".")
    row = {
        "id": "me__calc-1",
        "repo": "me/calc",
        "version": "1.0",
        "full_issue": "add subtracts\nIt should add.",
        "hidden_issue": "add is wrong",
        "patch": patch_of({"calc.py": CALC}, {"calc.py": FIXED}),
        "test_patch": patch_of({"tests/test_calc.py": files["tests/test_calc.py"]}, {"tests/test_calc.py": TESTS}),
        "fail_to_pass": ["tests/test_calc.py::test_add"],
        "pass_to_pass": ["tests/test_calc.py::test_double", "[100%]", "test_other.py::test_x"],
    }
    (tmp_path / "ambig_swe.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    return tmp_path


def test_ambig_swe(ambig_swe: Path) -> None:
    [issue] = load_ambig_swe(ambig_swe)
    assert (issue.title, issue.hidden_text, issue.environment) == ("add subtracts", "add is wrong", "calc-1.0")
    assert issue.must_stay_green == ("tests/test_calc.py::test_double",), "pieces of a log are not tests"
    assert issue.test_files == ("tests/test_calc.py",)


@needs_sandbox
def test_an_archive_is_judged(ambig_swe: Path) -> None:
    [issue] = load_ambig_swe(ambig_swe)
    judge = IssueJudge(issue, PLAIN, SMALL)
    assert judge.judge(issue.gold_patch).resolved
    wrong = judge.judge(patch_of({"calc.py": CALC}, {"calc.py": CALC.replace("a - b", "b - a")}))
    assert (wrong.resolved, wrong.still_red) == (False, ("tests/test_calc.py::test_add",))
    assert "1 of 1 tests" in wrong.reason
    assert judge.judge("\n").reason == "the patch is empty"


@needs_sandbox
def test_an_issue_whose_tests_pass_already_cannot_be_judged(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository", {"calc.py": FIXED, "tests/test_calc.py": TESTS})
    verdict = IssueJudge(calc_issue(repository), PLAIN, SMALL).judge(
        patch_of({"calc.py": FIXED}, {"calc.py": "\n" + FIXED})
    )
    assert not verdict.resolved
    assert "cannot be judged" in verdict.reason


@needs_sandbox
def test_a_test_that_needs_the_internet_does_not_count(ambig_swe: Path) -> None:
    [issue] = load_ambig_swe(ambig_swe)
    recipe = Recipe(name="r", network_tests=("tests/test_calc.py::test_add",), variables=PLAIN.recipe.variables)
    verdict = IssueJudge(issue, type(PLAIN)(recipe=recipe), SMALL).judge(issue.gold_patch)
    assert not verdict.resolved, "no test is left that could tell"
    assert "tests/test_calc.py::test_add" in verdict.not_run


@pytest.mark.parametrize("line", ["nonsense", "[]", "{}", '{"id": "a"}'])
def test_a_line_that_is_no_issue(tmp_path: Path, line: str) -> None:
    write(tmp_path, {"ambig_swe.jsonl": line})
    with pytest.raises(DataError, match="line 1"):
        load_ambig_swe(tmp_path)
    with pytest.raises(DataError, match="line 1"):
        load_human_eval_comm(tmp_path / "ambig_swe.jsonl", tmp_path)


def test_missing_files(tmp_path: Path) -> None:
    for load in (load_ambig_swe, load_quixbugs, load_folder, lambda path: load_human_eval_comm(path / "x", path)):
        with pytest.raises(DataError):
            load(tmp_path)
    with pytest.raises(DataError, match="does not exist"):
        IssueJudge(calc_issue(tmp_path / "nowhere"), PLAIN, SMALL).before()


@needs_sandbox
def test_quixbugs(tmp_path: Path) -> None:
    test = "from python_programs.double import double\n\n\ndef test_double():\n    assert double(4) == 8\n"
    doc = '\n\n"""\nDouble a number.\n"""\n'
    files = {
        "conftest.py": "",
        "python_programs/double.py": f"def double(a):\n    return a + 1{doc}",
        "correct_python_programs/double.py": f"def double(a):\n    return a + a{doc}",
        "correct_python_programs/untested.py": "x = 1\n",
        "python_testcases/test_double.py": test,
    }
    write(tmp_path, files)
    [issue] = load_quixbugs(tmp_path)
    assert "Double a number." in issue.full_text
    assert "Double a number." not in issue.hidden_text
    judge = IssueJudge(issue, PLAIN, SMALL)
    assert judge.judge(issue.gold_patch).resolved
    looks = "from correct_python_programs.double import double\n"
    program = "python_programs/double.py"
    assert not judge.judge(patch_of({program: files[program]}, {program: looks})).resolved, "the solution is not there"


def test_the_git_folder_of_an_archive_is_left_out(tmp_path: Path) -> None:
    mine = make_repository(tmp_path / "mine")
    head = git(mine, "rev-parse", "HEAD")
    write(tmp_path / "tree", {"calc.py": CALC, ".git": f"gitdir: {mine / '.git'}\n"})
    with tarfile.open(tmp_path / "issue.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "tree", ".")
    with IssueCheckout(calc_issue(tmp_path / "issue.tar.gz")) as checkout:
        assert (checkout.path / ".git").is_dir()
        assert git(checkout.path, "ls-files") == "calc.py\n"
    assert git(mine, "rev-parse", "HEAD") == head


def test_names_and_texts_of_a_file_of_problems_are_data(tmp_path: Path) -> None:
    row = {"task_id": "HumanEval/7", "entry_point": "f", "prompt": "full", "prompt1a": "one\u2028two", "test": ""}
    text = json.dumps({**row, "prompt/../../escaped": "x"}, ensure_ascii=False)
    write(tmp_path, {"problems.jsonl": f"{text}\n\n"})
    [issue] = load_human_eval_comm(tmp_path / "problems.jsonl", tmp_path / "repositories")
    assert issue.hidden_text == "one\u2028two"
    assert {path.name for path in tmp_path.iterdir()} == {"problems.jsonl", "repositories"}


@needs_sandbox
def test_human_eval_comm(tmp_path: Path) -> None:
    prompt = 'def largest(numbers):\n    """ Return the largest number.\n    """\n'
    vague = 'def largest(numbers):\n    """ Return a certain number.\n    """\n'
    row = {
        "task_id": "HumanEval/7",
        "entry_point": "largest",
        "prompt": prompt,
        "prompt1a": vague,
        "prompt1p": None,
        "canonical_solution": "    return max(numbers)\n",
        "test_case": [
            {"input": "[1, 3, 2]", "output": "3", "relation": "=="},
            {"input": "[1]", "output": "7", "relation": "$demo$ != $input$"},
        ],
    }
    write(tmp_path, {"problems.jsonl": json.dumps(row)})
    [issue] = load_human_eval_comm(tmp_path / "problems.jsonl", tmp_path / "repositories")
    assert (issue.id, issue.full_text, issue.hidden_text) == ("HumanEval-7-prompt1a", prompt, vague)
    judge = IssueJudge(issue, PLAIN, SMALL)
    assert judge.judge(issue.gold_patch).resolved
    wrong = issue.gold_patch.replace("max", "min")
    assert not judge.judge(wrong).resolved


MARKDOWN = """\
+++
title = "add is wrong"
repository = "../repository"
must_turn_green = ["tests/test_calc.py::test_add"]
+++
`add` is wrong for some numbers.

## Hidden: what should happen

It should add.

## How to see it

Call it.
"""


def test_a_folder_of_issues(tmp_path: Path) -> None:
    write(tmp_path / "issues", {"1-add.md": MARKDOWN, "README.md": "Not an issue."})
    write(tmp_path / "issues", {"2-other.toml": 'title = "t"\ntext = "told"\nhidden = "kept"\n'})
    first, second = load_folder(tmp_path / "issues")
    assert first.hidden_text == "`add` is wrong for some numbers.\n\n## How to see it\n\nCall it."
    assert first.full_text == f"{first.hidden_text}\n\nIt should add."
    assert first.repository == tmp_path / "repository"
    assert (second.id, second.hidden_text, second.full_text) == ("2-other", "told", "told\n\nkept")
    with pytest.raises(DataError, match="names no test"):
        IssueJudge(second)


@needs_sandbox
def test_an_issue_of_a_checkout_is_judged(tmp_path: Path) -> None:
    make_repository(tmp_path / "repository")
    write(tmp_path / "issues", {"1-add.md": MARKDOWN})
    [issue] = load_folder(tmp_path / "issues")
    assert IssueJudge(issue, PLAIN, SMALL).judge(patch_of({"calc.py": CALC}, {"calc.py": FIXED})).resolved


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.md", "No head.", "expected a head"),
        ("a.md", "+++\ntitle = 3\n+++\n", "title"),
        ("a.toml", 'title = "t"\ntests = []\n', "tests"),
        ("a.toml", "title = ", "not valid TOML"),
        ("a.toml", 'title = "t"\ntest_patch = "x.patch"\n', "cannot read test_patch"),
    ],
)
def test_a_file_that_is_no_issue(tmp_path: Path, name: str, text: str, message: str) -> None:
    write(tmp_path, {name: text})
    with pytest.raises(TelicError, match=message):
        load_folder(tmp_path)


def test_the_recipes_of_telic_are_found(tmp_path: Path) -> None:
    issue = Issue("i", "t", "f", "h", tmp_path, environment="requests-2.28")
    with pytest.raises(ConfigError, match=r"did you mean 'requests-2\.2"):
        environment_of(issue)
    assert {"requests-2.27", "flask-2.3", "pytest-6.2"} <= {
        f"{recipe.repository.rpartition('/')[2]}-{version}" for recipe in known_recipes() for version in recipe.versions
    }


@needs_sandbox
def test_an_environment_is_built_once_and_seen_by_the_tests(tmp_path: Path) -> None:
    recipe = Recipe(name="bare", requirements=(), site="import builtins\nbuiltins.MARK = 42\n")
    issue = Issue("i", "t", "f", "h", make_repository(tmp_path / "repository"), environment="bare")
    first = environment_of(issue, [recipe], tmp_path / "environments")
    built = first.python.stat().st_mtime_ns
    assert environment_of(issue, [recipe], tmp_path / "environments").python.stat().st_mtime_ns == built
    with Workspace(issue.repository, environment=first, limits=RunLimits(seconds=20)) as workspace:
        assert workspace.run("python -c 'import sys; print(MARK, sys.prefix)'").startswith(
            f"42 {first.python.parents[1]}"
        )


def test_a_version_of_python_that_is_not_installed(tmp_path: Path) -> None:
    issue = Issue("i", "t", "f", "h", tmp_path, environment="old")
    with pytest.raises(ConfigError, match=r"Python 3\.1 was not found"):
        environment_of(issue, [Recipe(name="old", python="3.1")], tmp_path)
