"""The user's own functions as judges.

A file that somebody sent is data, and must not run code. So a function counts only if an installed package declares it
as a judge, or if it lies in the folder of a file that the user trusts.
"""

from __future__ import annotations

import sys
from importlib.metadata import entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from telic.errors import JudgeError
from telic.judges.base import FunctionJudge, Judge, registry, trusted_folder
from telic.registry import ENTRY_POINT_GROUP

__all__ = ["callable_judge"]


@registry.register("callable")
def callable_judge(argument: str, **options: Any) -> Judge:
    """The user's own function: `{ callable = "module:function" }`.

    The function takes the answer (and the question, if its second parameter is called `question`) and returns true,
    false or a number in [0, 1]. With options, or if it is a class, it is a factory: called with the options, it
    returns a `Judge` or such a function.

    Raises:
        JudgeError: no installed package declares the function as a judge, and the file is not trusted; or there is no
            such function.
    """
    module, _, path = argument.partition(":") if isinstance(argument, str) else ("", "", "")
    if not all(part.isidentifier() for part in (*module.split("."), *path.split("."))):
        raise JudgeError(f"argument is {argument!r}; expected 'module:function'")
    try:
        found = _installed(argument) or _in_folder(argument, module, path)
    except JudgeError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise JudgeError(f"{argument!r} cannot be imported: {error}") from error
    made = found(**options) if options or isinstance(found, type) else found
    if isinstance(made, Judge):
        return made
    if not callable(made):
        raise JudgeError(f"{argument!r} is {made!r}; expected a function of the answer or a Judge")
    return FunctionJudge(made, argument)


def _installed(target: str) -> Any:
    """Return the function if an installed package declares it as a judge, else None."""
    declared = (point for point in entry_points(group=ENTRY_POINT_GROUP) if point.name.startswith("judge:"))
    return next((point.load() for point in declared if point.value == target), None)


def _in_folder(target: str, module: str, path: str) -> Any:
    """Return the function from the folder of the trusted file."""
    folder = trusted_folder()
    if folder is None:
        raise JudgeError(
            f"{target!r} is code, and no installed package declares it as a judge. If you trust the file and the code "
            "beside it, add --trust (in Python: trust=True): then functions in the file's folder may be called"
        )
    place = folder.joinpath(*module.split("."))
    source = next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)
    if source is None:
        raise JudgeError(
            f"{target!r}: there is no {module.replace('.', '/')}.py in {str(folder)!r}; only functions in the folder "
            "of the trusted file may be called, and those that installed packages declare as judges"
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
