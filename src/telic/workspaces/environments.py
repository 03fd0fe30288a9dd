"""Environments in which the tests of a repository run, built once from recipes.

A recipe names a version of Python and pinned packages. `build_environment` makes a virtual environment from it, with
network and outside of the sandbox, in the user's cache; the sandbox shows it read-only. The code of the repository
itself is never installed: it comes from the working tree, by `paths`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from telic.errors import ConfigError, SandboxError
from telic.files import atomic_draft
from telic.run_lock import wait_for_lock
from telic.settings import Settings
from telic.toml_source import decode, parse
from telic.workspaces.processes import RunLimits, run_within_limits

__all__ = ["PythonEnvironment", "Recipe", "build_environment", "read_recipes"]

BUILD_SECONDS = 1200.0
READY = ".telic-ready"


class Recipe(Settings):
    """How to run the tests of some versions of a repository."""

    name: str
    repository: str = ""
    """`owner/name` of the repository."""
    versions: tuple[str, ...] = ()
    """Versions of the repository that it is for."""
    python: str = ""
    """Version of Python, such as `3.9`; by default the one that runs Telic."""
    requirements: tuple[str, ...] = Field(default=("pytest>=8",))
    """What pip installs."""
    paths: tuple[str, ...] = (".",)
    """Folders of the working tree that Python imports from."""
    pytest_arguments: tuple[str, ...] = ()
    """Further arguments of pytest."""
    pytest_from_tree: bool = False
    """Whether the working tree holds pytest itself."""
    variables: Mapping[str, str] = Field(default_factory=dict)
    """Environment variables of the tests."""
    files: Mapping[str, str] = Field(default_factory=dict)
    """Files that a build would have made, by path in the working tree."""
    site: str = ""
    """Python that the environment runs at each start, such as names that old code expects in the standard library."""
    network_tests: tuple[str, ...] = ()
    """Tests that need the internet. They fail in the sandbox whatever the code does, and so do not count."""
    service: str = ""
    """Python that runs beside the tests in the sandbox, such as a local server."""
    port: int = 0
    """Port on which the service listens, once it is ready."""


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """An interpreter with the packages of a recipe."""

    python: Path = field(default_factory=lambda: Path(sys.executable))
    """The interpreter; by default the one that runs Telic."""
    recipe: Recipe = field(default_factory=lambda: Recipe(name="default"))

    @property
    def readable(self) -> tuple[Path, ...]:
        """The folders that the sandbox has to show so that the interpreter runs."""
        return _prefixes(self.python)


def read_recipes(path: Path) -> list[Recipe]:
    """Read a file of recipes: one table `[[environment]]` for each.

    Raises:
        ConfigError: the file cannot be read, or holds something else.
    """
    try:
        text = decode(path.read_bytes(), str(path))
    except OSError as error:
        raise ConfigError(f"cannot read {str(path)!r}: {error.strerror}") from None
    values, source = parse(text, str(path))
    try:
        recipes = [Recipe(**table) for table in values["environment"]]
    except (KeyError, TypeError):
        raise ConfigError(f"{path}: expected [[environment]] tables") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{source.name}: {where} is {first['input']!r}: {first['msg']}") from None
    return recipes


def build_environment(recipe: Recipe, cache_folder: Path | None = None) -> PythonEnvironment:
    """Return the environment of a recipe; build it if that was not done before.

    Args:
        recipe: the recipe.
        cache_folder: where environments are kept; by default `telic/environments` in the user's cache.

    Raises:
        ConfigError: its version of Python is not installed.
        SandboxError: pip failed; the message has the end of its output.
    """
    folder = cache_folder or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "telic" / "environments"
    folder.mkdir(parents=True, exist_ok=True)
    interpreter = find_python(recipe.python)
    parts = [str(interpreter), list(recipe.requirements), recipe.site]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
    home = folder.resolve() / f"{recipe.name}-{key}"
    lock = wait_for_lock(folder / f".{home.name}.lock", BUILD_SECONDS)
    try:
        if not (home / READY).exists():
            shutil.rmtree(home, ignore_errors=True)
            _make(home, interpreter, recipe)
    finally:
        os.close(lock)
    return PythonEnvironment(home / "bin" / "python", recipe)


def _make(home: Path, interpreter: Path, recipe: Recipe) -> None:
    _run([str(interpreter), "-m", "venv", str(home)], recipe)
    python = str(home / "bin" / "python")
    if recipe.requirements:
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *recipe.requirements], recipe)
    if recipe.site:
        [packages] = (home / "lib").glob("python*/site-packages")
        (packages / "telic_site.py").write_text(recipe.site, encoding="utf-8")
        (packages / "telic_site.pth").write_text("import telic_site\n", encoding="utf-8")
    _run([python, "-m", "compileall", "-q", str(home / "lib")], recipe, check=False)  # it is read-only in the sandbox
    with atomic_draft(home / READY) as draft:
        draft.write_text("", encoding="utf-8")


def _run(command: Sequence[str], recipe: Recipe, check: bool = True) -> None:
    limits = RunLimits(seconds=BUILD_SECONDS, memory_bytes=8 << 30)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    result = run_within_limits(command, limits, environment=environment)
    if check and not result.succeeded:
        end = (result.output or result.report.decode(errors="replace")).strip()[-2000:]
        raise SandboxError(f"environment {recipe.name!r}: {' '.join(command[1:4])} failed: {end or result.stopped!r}")


def find_python(version: str) -> Path:
    """Return the interpreter of a version of Python.

    Raises:
        ConfigError: there is none on the path, nor in pyenv's or uv's folders.
    """
    if not version or sys.version.startswith(f"{version}."):
        return Path(sys.executable).resolve()
    if found := shutil.which(f"python{version}"):
        real = subprocess.run(
            [found, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=False
        )
        if not real.returncode:
            return Path(real.stdout.strip()).resolve()
    for pattern in (f".pyenv/versions/{version}.*", f".local/share/uv/python/cpython-{version}.*"):
        for home in sorted(Path.home().glob(pattern), reverse=True):
            if (home / "bin" / "python3").exists():
                return (home / "bin" / "python3").resolve()
    raise ConfigError(f"Python {version} was not found. Install it, for example with: uv python install {version}")


@cache
def _prefixes(python: Path) -> tuple[Path, ...]:
    """The folders that an interpreter needs besides `/usr`."""
    script = (
        "import json, sys, sysconfig; print(json.dumps([sys.prefix, sys.base_prefix, sysconfig.get_path('stdlib')]))"
    )
    result = subprocess.run([python, "-I", "-S", "-c", script], capture_output=True, text=True, check=False)
    if result.returncode:
        raise SandboxError(f"{str(python)!r} does not run: {result.stderr.strip()[-500:]}")
    named: Any = json.loads(result.stdout)
    venv = python.parent.parent if (python.parent.parent / "pyvenv.cfg").exists() else None
    found = {Path(path).resolve() for path in named} | ({venv} if venv else set())
    outside = {path for path in found if Path("/usr") not in (path, *path.parents)}
    return tuple(sorted(path for path in outside if not outside & set(path.parents)))
