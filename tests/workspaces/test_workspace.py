"""The operations of a workspace."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from telic.errors import SandboxError, WorkspaceError
from telic.workspaces import Workspace, sandbox_problem
from telic.workspaces.locked_folder import PREFIX, LockedFolder, is_stale
from tests.issues.repositories import (
    CALC,
    FIXED,
    PLAIN,
    SMALL,
    TESTS,
    git,
    make_repository,
    needs_sandbox,
    patch_of,
    write,
)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "repository")


@pytest.fixture
def workspace(repository: Path) -> Iterator[Workspace]:
    with Workspace(repository, environment=PLAIN, limits=SMALL) as opened:
        yield opened


def test_the_checkout_is_not_touched_and_the_tree_is_removed(repository: Path) -> None:
    write(repository, {"notes.txt": "untracked"})
    with Workspace(repository) as workspace:
        workspace.edit("calc.py", "a - b", "a + b")
        workspace.create("docs/new.md", "new\n")
        assert git(repository, "status", "--porcelain") == "?? notes.txt\n"
        assert "notes.txt" not in workspace.list_files()
        root = workspace.tree.root
    assert not root.exists()
    assert len(git(repository, "worktree", "list").splitlines()) == 1
    assert git(repository, "status", "--porcelain") == "?? notes.txt\n"


def test_hooks_of_the_repository_do_not_run(repository: Path, tmp_path: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n", encoding="utf-8")
    hook.chmod(0o755)
    with Workspace(repository) as workspace:
        workspace.edit("calc.py", "a - b", "a + b")
        workspace.revert()
    assert not (tmp_path / "ran").exists()


def test_filters_of_the_repository_do_not_run(repository: Path, tmp_path: Path) -> None:
    write(repository, {".gitattributes": "*.py filter=evil\n"})
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-m", "attributes")
    for name in ("clean", "smudge"):
        git(repository, "config", f"filter.evil.{name}", f"touch {tmp_path / 'ran'}; cat")
    git(repository, "config", "filter.evil.required", "true")
    (repository / "calc.py").write_text(CALC, encoding="utf-8")
    with Workspace(repository) as workspace:
        workspace.edit("calc.py", "a - b", "a + b")
        assert workspace.tree.base_tree.exists()
        assert workspace.accept() == ["calc.py"]
        workspace.revert()
    assert not (tmp_path / "ran").exists()


def test_records_of_the_users_own_working_trees_stay(repository: Path, tmp_path: Path) -> None:
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "mine"))
    (tmp_path / "mine").rename(tmp_path / "unmounted")
    with Workspace(repository) as workspace:
        assert workspace.tree.base_tree.exists()
    assert [path.name for path in (repository / ".git" / "worktrees").iterdir()] == ["mine"]


def test_the_folder_of_another_user_is_no_concern(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(path: Path, **_: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    folder = LockedFolder()
    monkeypatch.setattr(Path, "stat", refuse)
    assert not is_stale(folder.path)
    assert not is_stale(tmp_path)
    monkeypatch.undo()
    folder.close()


def test_a_killed_process_leaves_nothing_after_the_next_opens(repository: Path) -> None:
    script = (
        "import sys, time\nfrom telic.workspaces import Workspace\n"
        "w = Workspace(sys.argv[1])\nw.tree.base_tree\nprint(w.tree.root, flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(repository)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        assert left.exists()
        with Workspace(repository):
            assert left.exists(), "the tree of a living process was removed"
        process.send_signal(signal.SIGKILL)
    assert left.exists()
    with Workspace(repository):
        assert not left.parent.exists()
        assert len(git(repository, "worktree", "list").splitlines()) == 2


def test_a_folder_without_git_is_copied(tmp_path: Path) -> None:
    write(tmp_path / "plain", {"calc.py": CALC, "node_modules/x.js": "", "tests/test_calc.py": TESTS})
    with Workspace(tmp_path / "plain") as workspace:
        assert workspace.list_files() == "calc.py\ntests/test_calc.py"
        workspace.edit("calc.py", "a - b", "a + b")
        assert (tmp_path / "plain" / "calc.py").read_text(encoding="utf-8") == CALC
        assert workspace.accept() == ["calc.py"]
    assert (tmp_path / "plain" / "calc.py").read_text(encoding="utf-8") == FIXED
    assert not (tmp_path / "plain" / ".git").exists()


def test_a_folder_inside_of_another_repository(repository: Path) -> None:
    with Workspace(repository / "tests") as workspace:
        assert workspace.tree.source == repository


@pytest.mark.parametrize(
    ("source", "base", "message"),
    [
        ("missing", "HEAD", "not a folder"),
        ("repository", "nonsense", "no commit 'nonsense'"),
        ("repository", "--x", "no commit"),
    ],
)
def test_what_cannot_be_opened(repository: Path, source: str, base: str, message: str) -> None:
    with pytest.raises(WorkspaceError, match=message):
        Workspace(repository.parent / source, base)
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_an_older_commit(repository: Path) -> None:
    first = git(repository, "rev-parse", "HEAD").strip()
    write(repository, {"calc.py": FIXED})
    git(repository, "commit", "--quiet", "--all", "-m", "second")
    with Workspace(repository, first) as workspace:
        assert "a - b" in workspace.read("calc.py")


def test_read(workspace: Workspace) -> None:
    assert workspace.read("calc.py", 1, 2) == "    1  def add(a, b):\n    2      return a - b\n(lines 1 to 2 of 6)"
    assert workspace.read("calc.py").count("\n") == 5
    for arguments, message in [((7,), "1 to 6"), ((0,), "start is 0"), ((3, 2), "at least start")]:
        with pytest.raises(WorkspaceError, match=message):
            workspace.read("calc.py", *arguments)
    with pytest.raises(WorkspaceError, match=r"did you mean 'tests/test_calc.py'"):
        workspace.read("test_calc.py")


@pytest.mark.parametrize("ripgrep", [True, False])
def test_search(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, ripgrep: bool) -> None:
    if ripgrep and not shutil.which("rg"):
        pytest.skip("ripgrep is not installed")
    if not ripgrep:
        monkeypatch.setattr("telic.workspaces.search.shutil.which", lambda name: None)
    workspace.create("blob.bin", "def add\0")
    assert workspace.search(r"def \w+\(a", "*.py") == "calc.py:1: def add(a, b):\ncalc.py:5: def double(a):"
    assert workspace.search("add", "tests") == (
        "tests/test_calc.py:1: from calc import add, double\n"
        "tests/test_calc.py:4: def test_add():\ntests/test_calc.py:5:     assert add(2, 3) == 5"
    )
    assert workspace.search("nowhere") == "Nothing matches."
    with pytest.raises(WorkspaceError, match="not a regular expression"):
        workspace.search("(")


def test_symbols(workspace: Workspace) -> None:
    workspace.create("box.py", "class Box:\n    def add(self, item):\n        def inner(): pass\n\n\nSIZE = 3\n")
    assert workspace.outline("box.py").splitlines() == [
        "box.py:1-3: class Box: class Box:",
        "box.py:2-3: function Box.add: def add(self, item):",
        "box.py:3-3: function Box.add.inner: def inner(): pass",
        "box.py:6-6: constant SIZE: SIZE = 3",
    ]
    assert workspace.find_symbol("add").splitlines() == [
        "box.py:2-3: function Box.add: def add(self, item):",
        "calc.py:1-2: function add: def add(a, b):",
    ]
    assert workspace.find_symbol("Box.add").startswith("box.py:2-3")
    assert workspace.find_symbol("subtract") == "Nothing called 'subtract' is defined here."
    workspace.create("notes.txt", "x")
    with pytest.raises(WorkspaceError, match="no grammar"):
        workspace.outline("notes.txt")


def test_an_edit_replaces_one_place(workspace: Workspace) -> None:
    assert "+    return a + b" in workspace.edit("calc.py", "a - b", "a + b")
    with pytest.raises(WorkspaceError, match=r"occurs 2 times in 'calc.py' \(lines 1, 5\)"):
        workspace.edit("calc.py", "def ", "async def ")
    with pytest.raises(WorkspaceError, match=r"nearest lines are:\n +2 +return a \+ b"):
        workspace.edit("calc.py", "    return a+b", "x")
    with pytest.raises(WorkspaceError, match="same"):
        workspace.edit("calc.py", "a + b", "a + b")
    with pytest.raises(WorkspaceError, match="empty"):
        workspace.edit("calc.py", "", "x")
    with pytest.raises(WorkspaceError, match="exists already"):
        workspace.create("calc.py", "x")


def test_an_edit_keeps_the_ends_of_lines(tmp_path: Path) -> None:
    write(tmp_path, {"a.txt": "x"})
    (tmp_path / "a.txt").write_bytes(b"one\r\ntwo\r\nthree\r\n")
    with Workspace(tmp_path) as workspace:
        workspace.edit("a.txt", "one\ntwo", "1\n2")
        assert (workspace.tree.root / "a.txt").read_bytes() == b"1\r\n2\r\nthree\r\n"
        assert workspace.accept() == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"1\r\n2\r\nthree\r\n"


def test_the_users_settings_of_differences_do_not_matter(repository: Path) -> None:
    for name in ("diff.noprefix", "diff.relative", "diff.mnemonicPrefix"):
        git(repository, "config", name, "true")
    with Workspace(repository) as workspace:
        workspace.edit("calc.py", "a - b", "a + b")
        assert workspace.accept() == ["calc.py"]
    assert (repository / "calc.py").read_text(encoding="utf-8") == FIXED


def test_accept_merges_changes_elsewhere_and_refuses_those_at_the_same_place(repository: Path) -> None:
    with Workspace(repository) as workspace:
        workspace.edit("calc.py", "a - b", "a + b")
        workspace.create("new.py", "x = 1\n")
        write(repository, {"calc.py": CALC.replace("2 * a", "a * 2"), "tests/test_calc.py": TESTS + "# mine\n"})
        assert workspace.accept() == ["calc.py", "new.py"]
    assert (repository / "calc.py").read_text(encoding="utf-8") == FIXED.replace("2 * a", "a * 2")
    write(repository, {"calc.py": CALC})
    with Workspace(repository) as workspace:
        workspace.edit("calc.py", "a - b", "a + b")
        workspace.create("other.py", "x = 1\n")
        write(repository, {"calc.py": CALC.replace("a - b", "b - a")})
        with pytest.raises(WorkspaceError, match=r"at the same places: 'calc.py'.*Nothing was applied"):
            workspace.accept()
    assert not (repository / "other.py").exists()
    assert "b - a" in (repository / "calc.py").read_text(encoding="utf-8")


def test_accept_without_changes(workspace: Workspace) -> None:
    assert workspace.accept() == []
    assert workspace.diff() == "Nothing was changed."


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../outside.txt", r"'\.\.'"),
        ("/etc/passwd", "relative"),
        ("~/x", "relative"),
        ("C:/x", "relative"),
        ("a\\b", "relative"),
        ("", "not a path"),
        ("a\0b", "not a path"),
        (".git/config", "belongs to git"),
        (".GIT/config", "belongs to git"),
        ("x/.git\u200b/config", "belongs to git"),
        ("git~1/config", "belongs to git"),
        ("link/secret.txt", "outside of the workspace"),
        (".env", "secrets"),
        ("deploy/id_rsa", "secrets"),
        (".aws/config", "secrets"),
        ("certs/server.key", "secrets"),
    ],
)
def test_paths_that_lead_elsewhere_are_refused(tmp_path: Path, path: str, message: str) -> None:
    write(tmp_path, {"outside/secret.txt": "s", "repository/x.txt": "x", "repository/.env": "A=b"})
    (tmp_path / "repository" / "link").symlink_to(tmp_path / "outside")
    with Workspace(tmp_path / "repository") as workspace:
        for act in (
            workspace.read,
            lambda path: workspace.create(path, "x"),
            lambda path: workspace.edit(path, "x", "y"),
        ):
            with pytest.raises(WorkspaceError, match=message):
                act(path)
        assert "link/secret" not in workspace.search("s")


def test_a_link_inside_is_read_and_not_written(tmp_path: Path) -> None:
    write(tmp_path, {"x.txt": "one\n"})
    (tmp_path / "link.txt").symlink_to("x.txt")
    with Workspace(tmp_path) as workspace:
        assert "one" in workspace.read("link.txt")
        with pytest.raises(WorkspaceError, match="symbolic link"):
            workspace.edit("link.txt", "one", "two")


def test_submodules_are_left_alone(repository: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other", {"x.txt": "x"})
    git(repository, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "vendor/other")
    git(repository, "commit", "--quiet", "-m", "submodule")
    with Workspace(repository) as workspace, pytest.raises(WorkspaceError, match="submodule 'vendor/other'"):
        workspace.create("vendor/other/y.txt", "x")


def test_secrets_are_masked(tmp_path: Path) -> None:
    key = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7"
    random = "q7Zk2Lw9Xv4Rt8Yb3Nc6Md1Fg5Hj0PsA"
    write(
        tmp_path,
        {".env": "DATABASE=postgres-hunter2\n", "a.py": f"K = '{key}'\nR = '{random}'\nD = 'postgres-hunter2'\n"},
    )
    with Workspace(tmp_path) as workspace:
        for text in (workspace.read("a.py"), workspace.search("'")):
            assert text.count("<SECRET>") == 3
            assert not any(secret in text for secret in (key, random, "hunter2"))


def test_the_error_of_an_edit_masks_secrets(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": 'API_KEY = "q8Zk2Lw93nPx7Vb1Tt5R"\n'})
    with Workspace(tmp_path) as workspace, pytest.raises(WorkspaceError, match="nearest lines") as caught:
        workspace.edit("a.py", 'API_KEY = "other"', "x")
    assert "q8Zk" not in str(caught.value)
    assert "<SECRET>" in str(caught.value)


@needs_sandbox
def test_a_secret_that_git_ignores_is_hidden_and_masked(tmp_path: Path) -> None:
    write(
        tmp_path,
        {".gitignore": ".env\n", ".env": "DATABASE=postgres-hunter2\n", "a.py": "D = 'postgres-hunter2'\n"},
    )
    with Workspace(tmp_path, environment=PLAIN, limits=SMALL) as workspace:
        assert "No such file" in workspace.run("cat .env")
        assert "hunter2" not in workspace.read("a.py")


def test_a_folder_that_cannot_be_copied(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(WorkspaceError, match=r"pipe' cannot be copied: .*named pipe"):
        Workspace(tmp_path)


@needs_sandbox
def test_tests_run_before_and_after(workspace: Workspace) -> None:
    assert "1 passed, 1 failed" in workspace.run_tests()
    workspace.edit("calc.py", "a - b", "a + b")
    text = workspace.run_tests()
    assert "Now: 2 passed" in text
    assert "tests/test_calc.py::test_add: failed -> passed" in text
    assert "test_double" not in text
    assert workspace.suite(["tests/test_calc.py::test_add"]).succeeded
    with pytest.raises(WorkspaceError, match="is an option"):
        workspace.run_tests("--pdb")


@needs_sandbox
def test_a_command_changes_nothing(workspace: Workspace) -> None:
    assert workspace.run("python -c 'import calc; print(calc.add(5, 3))'; touch left; exit 3") == "2\nExit status 3."
    assert "left" not in workspace.list_files()
    assert workspace.run("ls -a").split()[:2] == [".", ".."]
    assert ".git" not in workspace.run("ls -a").split()


def test_without_a_sandbox_code_runs_only_if_told_to(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(shutil.which("git") or "").parent / "nowhere"))
    sandbox_problem.cache_clear()
    try:
        problem = sandbox_problem()
        assert problem is not None
        assert "bubblewrap" in problem
        assert "--unsafe" in problem
    finally:
        monkeypatch.undo()
        sandbox_problem.cache_clear()
    monkeypatch.setattr("telic.workspaces.sandbox.sandbox_problem", lambda: "there is none")
    with Workspace(repository, environment=PLAIN) as workspace, pytest.raises(SandboxError, match="there is none"):
        workspace.run("true")
    with Workspace(repository, environment=PLAIN, unsafe=True) as workspace:
        assert workspace.run("python -c 'import calc; print(calc.add(5, 3))'; touch left") == "2\nExit status 0."
        assert "1 passed, 1 failed" in workspace.run_tests()
        assert "left" not in workspace.list_files()


def test_a_patch_is_applied_as_a_whole(workspace: Workspace) -> None:
    with pytest.raises(WorkspaceError, match="does not fit"):
        workspace.tree.apply(patch_of({"calc.py": "other\n"}, {"calc.py": "x\n", "new.py": "x\n"}))
    assert workspace.diff() == "Nothing was changed."
    assert not list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*/new.py"))
