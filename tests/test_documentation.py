"""The documentation names what exists: links, modules, packages; and the glossary has each term once."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from pathlib import Path
from typing import TypeGuard

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and Zensical make them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link}: there is no such file"
        assert not anchor or anchor in anchors(target), f"{link}: there is no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_are_there(page: Path) -> None:
    for picture in re.findall(r'(?:src|srcset)="([^"]+)"', page.read_text(encoding="utf-8")):
        assert (page.parent / picture).is_file(), f"{picture}: there is no such picture"


def test_every_page_is_in_the_navigation_and_on_the_first_page() -> None:
    config = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    listed = [page for section in config["project"]["nav"] for pages in section.values() for page in pages_of(pages)]
    assert sorted(listed) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))
    for page, folder in ((ROOT / "docs" / "index.md", ""), (ROOT / "README.md", "docs/")):
        links = set(re.findall(r"\]\(([^)\s#]+)\)", prose(page)))
        assert {f"{folder}{name}" for name in listed} - links <= {f"{folder}index.md"}


def pages_of(pages: str | list[dict[str, str]]) -> list[str]:
    return [pages] if isinstance(pages, str) else [path for entry in pages for path in entry.values()]


def test_the_reference_lists_every_public_module() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    modules = re.findall(r"^::: ([\w.]+)$", text, re.MULTILINE)
    assert len(modules) == len(set(modules))
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []
    assert exported_modules() - set(modules) == set()


def exported_modules() -> set[str]:
    """The modules of which a package exports something, without those of the command line."""
    found = set()
    for path in (ROOT / "src" / "telic").rglob("__init__.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        exported = {name for node in tree.body if is_all(node) for name in ast.literal_eval(node.value)}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and exported & {item.asname or item.name for item in node.names}:
                found.add(node.module or "")
    return {name for name in found if name.startswith("telic.") and (ROOT / "src" / as_file(name)).is_file()}


def is_all(node: ast.stmt) -> TypeGuard[ast.Assign]:
    """Whether a statement assigns `__all__`."""
    return isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]


def as_file(module: str) -> str:
    return module.replace(".", "/") + ".py"


def test_every_package_and_module_of_the_root_has_a_line() -> None:
    root = ROOT / "src" / "telic"
    packages = {path.parent.name for path in root.glob("*/__init__.py")}
    modules = {path.stem for path in root.glob("*.py")} - {"__init__"}
    structures = re.findall(
        r"^\| `telic\.(\w+)` \|", (ROOT / "docs" / "structures.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(structures) == sorted(packages | modules)
    tree = re.findall(r"^  (\w+)(/|\.py) ", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for name, kind in tree if kind == "/"} == packages
    assert {name for name, kind in tree if kind == ".py"} == modules | {"__init__"}


def test_the_glossary_has_each_term_once_in_order() -> None:
    terms = re.findall(r"^\*\*(.+?)\*\*\.", (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(terms) > 50
    assert terms == sorted(set(terms), key=str.casefold)


def test_the_layers_name_every_package() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [layers] = [c["layers"] for c in config["tool"]["importlinter"]["contracts"] if c["type"] == "layers"]
    named = {name.strip().removeprefix("telic.") for layer in layers for name in layer.split("|")}
    root = ROOT / "src" / "telic"
    found = {path.parent.name for path in root.glob("*/__init__.py")} | {path.stem for path in root.glob("*.py")}
    assert named == found - {"__init__"}
