"""Functions that a file names as `module:function`.

A file that somebody sent is data, and must not run code. So a function counts only if an installed package declares it,
or if it lies in the folder of a file that the user trusts.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from telic.errors import ConfigError
from telic.registry import ENTRY_POINT_GROUP

__all__ = ["load_function"]


def load_function(target: object, kind: str, folder: Path | None) -> Any:
    """Return what `module:function` names.

    Args:
        target: the name.
        kind: what an installed package declares it as, such as `judge`.
        folder: folder of the trusted file; None if it is not trusted.

    Raises:
        ConfigError: no installed package declares it, and the file is not trusted; or it cannot be imported.
    """
    module, _, path = target.partition(":") if isinstance(target, str) else ("", "", "")
    if not all(part.isidentifier() for part in (*module.split("."), *path.split("."))):
        raise ConfigError(f"found {target!r}; expected 'module:function'")
    try:
        return _installed(str(target), kind) or _in_folder(str(target), kind, module, path, folder)
    except ConfigError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise ConfigError(f"{target!r} cannot be imported: {error}") from error


def _installed(target: str, kind: str) -> Any:
    """Return the function if an installed package declares it, else None."""
    declared = (point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name.startswith(f"{kind}:"))
    return next((point.load() for point in declared if point.value == target), None)


def _in_folder(target: str, kind: str, module: str, path: str, folder: Path | None) -> Any:
    """Return the function from the folder of the trusted file."""
    if folder is None:
        raise ConfigError(
            f"{target!r} is code, and no installed package declares it as a {kind}. If you trust the file and the code "
            "beside it, add --trust (in Python: trust=True): then functions in the file's folder may be called"
        )
    place = folder.joinpath(*module.split("."))
    source = next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)
    if source is None:
        raise ConfigError(
            f"{target!r}: there is no {module.replace('.', '/')}.py in {str(folder)!r}; only functions in the folder "
            f"of the trusted file may be called, and those that installed packages declare as {kind}s"
        )
    found: Any = _run(source, folder)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _run(source: Path, folder: Path) -> ModuleType:
    """Run a file as a module, once; it may import its neighbours."""
    name = str(source)  # no import statement can name it, so it hides no other module
    if name in sys.modules:
        return sys.modules[name]
    spec = spec_from_file_location(name, source)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(str(folder))
    return module
