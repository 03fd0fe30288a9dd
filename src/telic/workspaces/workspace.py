"""What an agent may do in a workspace. Each method is a plain function that can be offered to a model as a tool."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from telic.errors import WorkspaceError
from telic.workspaces.editing import number_lines, replace_once, split_lines
from telic.workspaces.environments import PythonEnvironment
from telic.workspaces.guards import guard_path, is_private, is_secret
from telic.workspaces.masking import SecretMask, secret_values
from telic.workspaces.processes import RunLimits
from telic.workspaces.sandbox import Sandbox
from telic.workspaces.search import in_glob, search_files
from telic.workspaces.suites import SuiteResult, run_command, run_pytest
from telic.workspaces.symbols import find_definitions, has_grammar
from telic.workspaces.working_tree import WorkingTree

__all__ = ["Workspace"]

MOST_MATCHES = 60
MOST_LINES = 400
MOST_CHARACTERS = 24_000
"""Length of an answer above which its middle is left out."""
LARGEST_FILE = 1 << 20
"""Bytes of a file above which it is neither read nor written."""


class Workspace:
    """A working tree of a repository, with the operations that an agent may carry out on it.

    Answers are texts for a model: secrets in them are masked, and long ones shortened. A refused operation raises
    `WorkspaceError`, whose message addresses the model.

    Args:
        source: a git checkout, or a folder without git. It is not changed before `accept`.
        base: the commit to start from; only for a git checkout.
        environment: the interpreter for tests and commands; by default the one that runs Telic.
        limits: what a run in the sandbox may use.
        unsafe: run tests and commands without a sandbox.
        base_suites: what `base_suite` remembers, for workspaces of the same commit, environment and limits to share.

    Raises:
        WorkspaceError: there is no such folder or commit.
    """

    def __init__(
        self,
        source: str | Path,
        base: str = "HEAD",
        *,
        environment: PythonEnvironment | None = None,
        limits: RunLimits | None = None,
        unsafe: bool = False,
        base_suites: dict[tuple[str, ...], SuiteResult] | None = None,
    ) -> None:
        self.environment = environment or PythonEnvironment()
        self._limits, self._unsafe = limits, unsafe
        self.tree = WorkingTree(source, base)
        """The working tree."""
        self._base_suites = base_suites if base_suites is not None else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete the working tree. What was not accepted is lost."""
        self.tree.close()

    @cached_property
    def sandbox(self) -> Sandbox:
        """Where tests and commands run.

        Raises:
            SandboxError: this machine cannot run a sandbox.
        """
        return Sandbox(self._limits, self._unsafe)

    def list_files(self, glob: str = "") -> str:
        """List the files of the repository.

        Args:
            glob: a pattern such as `*.py` or `src/*`, or a folder; by default all files.
        """
        paths = [path for path in self.tree.files() if in_glob(path, glob) and not is_secret(path)]
        return self._shortened("\n".join(paths) or "No file matches.")

    def read(self, path: str, start: int = 1, end: int | None = None) -> str:
        """Read a file, with line numbers.

        Args:
            path: the file, relative to the repository's folder.
            start: the first line, counted from 1.
            end: the last line; by default 400 lines after the first.
        """
        content = self._content(path)
        total = len(split_lines(content))
        if start < 1 or (total and start > total):
            raise WorkspaceError(f"start is {start}; {path!r} has the lines 1 to {total}")
        last = min(start + MOST_LINES - 1 if end is None else end, total, start + 5 * MOST_LINES)
        if last < start and total:
            raise WorkspaceError(f"end is {end}; expected at least start, which is {start}")
        more = f"\n(lines {start} to {last} of {total})" if (start, last) != (1, total) else ""
        return self._shortened((number_lines(content, start, last) or "(empty file)") + more)

    def search(self, pattern: str, glob: str = "") -> str:
        """Search the repository for lines that match a regular expression.

        Args:
            pattern: the regular expression.
            glob: which files to search, such as `*.py` or a folder; by default all.
        """
        paths = [path for path in self.tree.files() if in_glob(path, glob) and self._is_readable(path)]
        found = search_files(self.tree.root, paths, pattern, MOST_MATCHES + 1)
        more = (
            [f"(the first {MOST_MATCHES} matches; narrow the pattern or the glob)"] if len(found) > MOST_MATCHES else []
        )
        return self._shortened("\n".join([*map(str, found[:MOST_MATCHES]), *more]) or "Nothing matches.")

    def outline(self, path: str) -> str:
        """List the classes and functions that a file defines, with their lines.

        Args:
            path: the file, relative to the repository's folder.
        """
        content = self._content(path)
        if not has_grammar(path):
            raise WorkspaceError(f"there is no grammar for {path!r}; read or search it instead")
        symbols = find_definitions(path, content.encode())
        return self._shortened("\n".join(map(str, symbols)) or f"{path!r} defines nothing.")

    def find_symbol(self, name: str) -> str:
        """Find where a class, function or method is defined.

        Args:
            name: its name, such as `send`, or with the class around it: `Session.send`.
        """
        last = name.rpartition(".")[2]
        paths = [path for path in self.tree.files() if has_grammar(path) and self._is_readable(path)]
        files = sorted({match.path for match in search_files(self.tree.root, paths, rf"\b{_escaped(last)}\b", 2000)})
        found = [
            symbol
            for path in files
            for symbol in find_definitions(path, (self.tree.root / path).read_bytes())
            if symbol.name == name or symbol.name.endswith(f".{name}")
        ]
        return self._shortened("\n".join(map(str, found[:MOST_MATCHES])) or f"Nothing called {name!r} is defined here.")

    def edit(self, path: str, old: str, new: str) -> str:
        """Replace a text in a file. The old text must occur exactly once.

        Args:
            path: the file, relative to the repository's folder.
            old: the text to replace, exactly as it is in the file, without line numbers.
            new: the text to put in its place.
        """
        content = self._content(path)
        try:
            changed = replace_once(path, content, old, new)
        except WorkspaceError as error:  # it may quote the file
            raise WorkspaceError(self._mask(str(error))) from None
        self._write(self._place(path, writing=True), changed)
        return self._shortened(self.tree.diff([path]))

    def create(self, path: str, content: str) -> str:
        """Create a file that does not exist yet.

        Args:
            path: the file, relative to the repository's folder. Missing folders are made.
            content: its content.
        """
        place = self._place(path, writing=True)
        if place.exists():
            raise WorkspaceError(f"{path!r} exists already; edit it instead")
        self._write(place, content)
        return f"Created {path!r} with {len(split_lines(content))} lines."

    def diff(self) -> str:
        """Show all changes since the start as a patch."""
        return self._shortened(self.tree.diff() or "Nothing was changed.")

    def run(self, command: str) -> str:
        """Run a command line in the sandbox, on a copy of the repository: what it writes is lost.

        Args:
            command: the command line, such as `python -c "import requests"`. There is no network.
        """
        result = run_command(self.sandbox, self.environment, self.tree.root, command, hidden=self._hidden)
        ending = f"Killed at the limit of {result.stopped}." if result.stopped else f"Exit status {result.exit_code}."
        return self._shortened(f"{result.output.strip()}\n{ending}".strip())

    def run_tests(self, tests: str = "") -> str:
        """Run tests in the sandbox with pytest, on the repository as it is now and as it was at the start.

        Args:
            tests: files or tests as pytest names them, separated by blanks; by default all.
        """
        chosen = tests.split()
        before, after = self.base_suite(chosen), self.suite(chosen)
        names = sorted({*before.outcomes, *after.outcomes})
        changed = [
            f"{name}: {before.outcomes.get(name, 'absent')} -> {after.outcomes.get(name, 'absent')}"
            for name in names
            if before.outcomes.get(name) != after.outcomes.get(name)
        ]
        lines = [f"Now: {after.summary()}", "Changed since the start:", *(changed[:MOST_MATCHES] or ["nothing"])]
        return self._shortened("\n".join(lines))

    def suite(self, tests: Sequence[str] = ()) -> SuiteResult:
        """Run tests on the working tree as it is now.

        Raises:
            SandboxError: this machine cannot run a sandbox.
            WorkspaceError: a test's name is an option of pytest, or leads outside.
        """
        return self._suite(self.tree.root, tests)

    def base_suite(self, tests: Sequence[str] = ()) -> SuiteResult:
        """Run tests on the repository as it was at the start; once, then the result is remembered."""
        key = tuple(tests)
        if key not in self._base_suites:
            self._base_suites[key] = self._suite(self.tree.base_tree, tests)
        return self._base_suites[key]

    def masked(self, text: str) -> str:
        """Return a text with the secrets in it masked, as the answers of all operations are."""
        return self._mask(text)

    def accept(self) -> list[str]:
        """Apply the changes to the user's checkout, and return the paths that changed.

        Raises:
            WorkspaceError: the checkout was changed at the same places in the meantime. Nothing was applied.
        """
        return self.tree.accept()

    def revert(self) -> None:
        """Undo all changes in the workspace."""
        self.tree.revert()

    def _suite(self, folder: Path, tests: Sequence[str]) -> SuiteResult:
        for test in tests:
            if test.startswith("-"):
                raise WorkspaceError(
                    f"{test!r} is an option; expected a file or a test such as tests/test_x.py::test_y"
                )
            guard_path(self.tree.root, test.partition("::")[0])
        return run_pytest(self.sandbox, self.environment, folder, tests, hidden=self._hidden)

    @cached_property
    def _submodules(self) -> list[str]:
        return self.tree.submodules()

    @cached_property
    def _hidden(self) -> list[str]:
        return [path for path in self.tree.all_files() if is_private(path)]

    @cached_property
    def _mask(self) -> SecretMask:
        values: list[str] = []
        for path in filter(is_secret, self.tree.all_files()):
            place = self.tree.root / path
            if place.is_file() and not place.is_symlink() and place.stat().st_size < LARGEST_FILE:
                values += secret_values(place.read_text(encoding="utf-8", errors="replace"))
        return SecretMask(values)

    def _place(self, path: str, *, writing: bool = False) -> Path:
        return guard_path(self.tree.root, path, writing=writing, submodules=self._submodules)

    def _is_readable(self, path: str) -> bool:
        """Whether a file that git lists may be read: it is no secret, no link and no submodule."""
        place = self.tree.root / path
        return not is_secret(path) and place.is_file() and not place.is_symlink()

    def _content(self, path: str) -> str:
        place = self._place(path)
        if not place.is_file():
            near = [known for known in self.tree.files() if Path(known).name == Path(path).name][:3]
            hint = (
                f"; did you mean {', '.join(map(repr, near))}?" if near else "; see list_files for the files that exist"
            )
            raise WorkspaceError(f"there is no file {path!r}{hint}")
        if place.stat().st_size > LARGEST_FILE:
            raise WorkspaceError(f"{path!r} has more than {LARGEST_FILE >> 20} MiB; search it instead")
        try:
            return place.read_bytes().decode()
        except UnicodeDecodeError:
            raise WorkspaceError(f"{path!r} is not a text in UTF-8") from None

    def _write(self, place: Path, content: str) -> None:
        data = content.encode(errors="replace")
        if len(data) > LARGEST_FILE:
            raise WorkspaceError(f"the content has more than {LARGEST_FILE >> 20} MiB")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def _shortened(self, text: str) -> str:
        text = self._mask(text)
        if len(text) <= MOST_CHARACTERS:
            return text
        half = MOST_CHARACTERS // 2
        return f"{text[:half]}\n... ({len(text) - 2 * half} characters left out) ...\n{text[-half:]}"


def _escaped(name: str) -> str:
    """Quote a name for a regular expression that ripgrep and Python both read."""
    return "".join(character if character.isalnum() or character == "_" else f"\\{character}" for character in name)
