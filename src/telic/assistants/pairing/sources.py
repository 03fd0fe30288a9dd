"""The source files of a workspace, and putting a function that a model wrote anew into one of them."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from pathlib import PurePosixPath

from telic.errors import WorkspaceError
from telic.workspaces import Workspace
from telic.workspaces.guards import guard_path, is_secret
from telic.workspaces.symbols import find_definitions, has_grammar

__all__ = ["definition_text", "is_test", "read_source", "replace_definition", "source_files"]

LARGEST = 256 << 10
"""Bytes of a source file above which it is not looked at."""
_FENCED = re.compile(r"^[ \t]*```[^\n`]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE)
_TEST = re.compile(r"(?:test_.*|.*_test|conftest)\.\w+$")
_TEST_FOLDER = re.compile(r"(?:.*_)?(?:test|tests|testing|testcases)$")
_UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORT = re.compile(r"(?:import|from)\s+\w")


def source_files(workspace: Workspace) -> list[str]:
    """Return the files of a repository whose definitions can be found, sorted."""
    return [path for path in workspace.tree.files() if has_grammar(path) and _is_readable(workspace, path)]


def read_source(workspace: Workspace, path: str) -> str:
    """Read a source file as it is now."""
    return guard_path(workspace.tree.root, path).read_bytes().decode(errors="replace")


def is_test(path: str) -> bool:
    """Return whether a file belongs to the tests, by its name and folder."""
    *folders, name = PurePosixPath(path).parts
    return any(_TEST_FOLDER.match(folder) for folder in folders) or bool(_TEST.match(name))


def definition_text(path: str, content: str, name: str) -> str:
    """Return the whole lines of a definition; empty if there is none of this name.

    Args:
        path: the file, for its language.
        content: what is in it.
        name: the name, with those of the definitions around it: `Session.send`.
    """
    lines = content.splitlines(keepends=True)
    found = next((one for one in find_definitions(path, content.encode()) if one.name == name), None)
    return "".join(lines[found.line - 1 : found.end]) if found else ""


def replace_definition(workspace: Workspace, path: str, name: str, reply: str) -> None:
    """Replace a definition by the one of the same name in a reply.

    Imports that the reply begins with are added, and a docstring that it leaves out is kept.

    Args:
        workspace: where the file is changed.
        path: the file.
        name: the definition, as `definition_text`.
        reply: what a model wrote: all of the definition, in a block of code.

    Raises:
        WorkspaceError: the reply does not define it, is not code, or changes nothing. The message addresses the model.
    """
    content = read_source(workspace, path)
    old = definition_text(path, content, name)
    if not old or content.count(old) != 1:
        raise WorkspaceError(f"{name!r} is not defined exactly once in {path!r}")
    imports, written = _written(path, name, reply)
    is_python = path.endswith(".py")
    written = _with_docstring(written, textwrap.dedent(old)) if is_python else written
    indent = old[: len(old) - len(old.lstrip(" \t"))]
    new = textwrap.indent(written, indent) + old[len(old.rstrip()) :]
    if "\r\n" in content:
        new = new.replace("\r\n", "\n").replace("\n", "\r\n")
    if new == old:
        raise WorkspaceError(f"your {name!r} is the same as before; change it")
    changed = content.replace(old, new)
    if is_python:
        changed = _with_imports(changed, imports)
        _check_python(changed)
    guard_path(workspace.tree.root, path, writing=True).write_bytes(changed.encode(errors="replace"))


def _written(path: str, name: str, reply: str) -> tuple[list[str], str]:
    """Return the imports and the definition that a reply holds."""
    last = name.rpartition(".")[2]
    for block in _FENCED.findall(reply) or [reply]:
        block = textwrap.dedent(block)
        for one in find_definitions(path, block.encode()):
            if one.name.rpartition(".")[2] == last:
                lines = block.splitlines()
                imports = [line for line in lines[: one.line - 1] if _IMPORT.match(line)]
                return imports, textwrap.dedent("\n".join(lines[one.line - 1 : one.end])).rstrip()
    raise WorkspaceError(f"your answer has no code block that defines {last!r}; write all of it in one code block")


def _with_docstring(new: str, old: str) -> str:
    """Give a definition the docstring of its old version, if it has none."""
    parsed = [module.body[0] if (module := _parsed(text)) and module.body else None for text in (old, new)]
    before, after = parsed
    if not (isinstance(before, _DEFINITIONS) and isinstance(after, _DEFINITIONS)):
        return new
    on_one_line = after.body[0].lineno == after.lineno
    if on_one_line or ast.get_docstring(before) is None or ast.get_docstring(after) is not None:
        return new
    first, at = before.body[0], after.body[0].lineno - 1
    lines = new.splitlines()
    return "\n".join([*lines[:at], *old.splitlines()[first.lineno - 1 : first.end_lineno], *lines[at:]])


def _with_imports(content: str, imports: list[str]) -> str:
    """Add the imports that a module lacks, after its docstring and its imports from the future."""
    lines = content.splitlines(keepends=True)
    missing = [f"{line}\n" for line in imports if line not in map(str.rstrip, lines)]
    if not missing:
        return content
    module = _parsed(content)
    if module is None:
        return content  # the check that follows says what is wrong
    body = module.body
    first = [one for one in body if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)][:1]
    first = first if first and first[0] is body[0] else []
    future = [one for one in body if isinstance(one, ast.ImportFrom) and one.module == "__future__"]
    at = max((one.end_lineno or 0 for one in [*first, *future]), default=0)
    return "".join([*lines[:at], *(["\n"] if at else []), *missing, *lines[at:]])


def _check_python(content: str) -> None:
    try:
        _parse(content)
    except _UNPARSABLE as error:
        where = f" (line {error.lineno}: {(error.text or '').strip()})" if isinstance(error, SyntaxError) else ""
        raise WorkspaceError(f"your code is not Python: {error}{where}") from None


def _parsed(content: str) -> ast.Module | None:
    try:
        return _parse(content)
    except _UNPARSABLE:
        return None


def _parse(content: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python warns of strings in code that others wrote
        return ast.parse(content)


def _is_readable(workspace: Workspace, path: str) -> bool:
    try:
        place = guard_path(workspace.tree.root, path)
    except WorkspaceError:
        return False
    return not is_secret(path) and place.is_file() and place.stat().st_size <= LARGEST
