"""The structure of the source: no import cycles, short modules, one meaning for each public name."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src"
LONGEST_MODULE = 400

SHARED_NAMES: dict[str, str] = {
    "upgrade": "Alembic calls it in every migration",
    "downgrade": "Alembic calls it in every migration",
}
"""Public names that several modules define, and why."""

HASATTR_USES: dict[str, str] = {
    "telic.models.local.checkpoints": "attributes that depend on the versions of torch and transformers",
}
"""Modules that may call `hasattr`, and why. Elsewhere `isinstance` with a Protocol says what is expected."""

Graph = Mapping[str, set[str]]
"""By module: the modules that it imports."""


def files() -> dict[str, Path]:
    """Every module of Telic, by its dotted name."""
    found = {}
    for path in sorted((SOURCE / "telic").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def trees() -> dict[str, ast.Module]:
    return {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in files().items()}


def imported(tree: ast.Module, modules: Mapping[str, object]) -> Iterator[str]:
    """The modules that a module imports anywhere: at its top, in functions, under TYPE_CHECKING, or lazily."""
    lazily = False
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not counted; write absolute ones"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                yield submodule if submodule in modules else str(node.module)
            lazily = lazily or node.module == "telic.lazy"
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
    if lazily:  # the values of the mapping that `telic.lazy.imports` gets
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and node.value in modules:
                yield str(node.value)


def import_graph(sources: Mapping[str, ast.Module]) -> Graph:
    return {
        module: {name for name in imported(tree, sources) if name in sources} - {module}
        for module, tree in sources.items()
    }


def cycles(graph: Graph) -> list[list[str]]:
    """The groups of modules that import each other, directly or by way of others, each sorted."""
    found: list[list[str]] = []
    for module in graph:
        if any(module in group for group in found):
            continue
        group = [other for other in reachable(graph, module) if module in reachable(graph, other)]
        if group:
            found.append(sorted({module, *group}))
    return found


def reachable(graph: Graph, module: str) -> set[str]:
    """All modules that `module` imports, directly or by way of others."""
    reached: set[str] = set()
    pending = [module]
    while pending:
        for name in graph[pending.pop()] - reached:
            reached.add(name)
            pending.append(name)
    return reached


def public_definitions(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            yield node.name


def calls_hasattr(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hasattr"
        for node in ast.walk(tree)
    )


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ({"a": "import b", "b": "", "c": "import a, b"}, []),
        ({"a": "import b", "b": "import a"}, [["a", "b"]]),
        ({"a": "from b import x", "b": "def f():\n    import c", "c": "import a"}, [["a", "b", "c"]]),
        ({"a": "if TYPE_CHECKING:\n    from b import X", "b": "from a import f"}, [["a", "b"]]),
        ({"p": "from p.x import f", "p.x": "from p import y", "p.y": ""}, []),
        ({"p": "from p.x import f", "p.x": "from p import f"}, [["p", "p.x"]]),
        ({"p": "from telic.lazy import imports\nimports('p', {'f': 'p.x'})", "p.x": "from p import f"}, [["p", "p.x"]]),
        ({"p": "from telic.lazy import imports\nimports('p', {'f': 'p.x'})", "p.x": "'p'"}, []),
    ],
)  # fmt: skip
def test_cycles_are_found(sources: dict[str, str], expected: list[list[str]]) -> None:
    assert cycles(import_graph({module: ast.parse(text) for module, text in sources.items()})) == expected


def test_no_modules_import_each_other() -> None:
    graph = import_graph(trees())
    assert graph["telic.models.session"], "no imports were found"
    found = cycles(graph)
    assert not found, "import cycles:\n" + "\n".join(map(" <-> ".join, found))


def test_no_module_is_too_long() -> None:
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in files().items()}
    long = [f"{module}: {length} lines" for module, length in lengths.items() if length > LONGEST_MODULE]
    assert not long, f"more than {LONGEST_MODULE} lines:\n" + "\n".join(long)


def test_a_public_name_is_defined_once() -> None:
    places = defaultdict(list)
    for module, tree in trees().items():
        for name in public_definitions(tree):
            places[name].append(module)
    shared = {name: found for name, found in sorted(places.items()) if len(found) > 1}
    unexplained = [f"{name}: {', '.join(found)}" for name, found in shared.items() if name not in SHARED_NAMES]
    assert not unexplained, "defined more than once:\n" + "\n".join(unexplained)
    assert set(SHARED_NAMES) <= set(shared), "a name in SHARED_NAMES is defined only once now"


def test_capabilities_are_asked_for_by_type() -> None:
    found = {module for module, tree in trees().items() if calls_hasattr(tree)}
    assert found == set(HASATTR_USES)
