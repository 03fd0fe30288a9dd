"""Files on disk: atomic writes, JSON documents, and tensors as safetensors; never pickle.

A file is written beside its place, flushed to disk and then renamed, so that a kill leaves whole files only. The
functions for tensors need safetensors (the extra `local`); those for arrays need it too, but no torch.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from telic.errors import DataError, MissingExtraError, RunError

if TYPE_CHECKING:
    import numpy as np
    import torch

__all__ = [
    "atomic_draft",
    "read_arrays",
    "read_json",
    "read_tensors",
    "tensor_names",
    "to_json_types",
    "write_arrays",
    "write_atomically",
    "write_json",
    "write_tensors",
]


@runtime_checkable
class _Array(Protocol):
    """An array of NumPy or torch."""

    def tolist(self) -> Any:
        """Convert it to nested lists of numbers."""
        ...


def to_json_types(value: Any, digits: int | None = None) -> Any:
    """Convert a value to one that JSON can represent.

    Args:
        value: mappings, lists and tuples are converted with their content, and arrays to lists. NaN and infinities
            become None, and objects of other types their text.
        digits: significant digits of floats; by default all.
    """
    if isinstance(value, Mapping):
        return {str(key): to_json_types(item, digits) for key, item in value.items()}
    if isinstance(value, _Array):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [to_json_types(item, digits) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(value) if digits is None else float(f"{value:.{digits}g}")
    return value if isinstance(value, (str, int)) or value is None else str(value)


@contextmanager
def atomic_draft(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to. At the end, rename it to `path`; after an error, delete it.

    Raises:
        OSError: the file cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield draft
        _flush_to_disk(draft)
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink()


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file as a whole; a text is encoded as UTF-8.

    Raises:
        OSError: the file cannot be written.
    """
    with atomic_draft(path) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def _flush_to_disk(path: Path) -> None:
    # The draft may have been made read-only, like the file that it replaces. Windows flushes only what it may write.
    descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        DataError: there is no such file, or it holds something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{str(path)!r} cannot be read as JSON: {error}") from None
    if not isinstance(document, dict):
        raise DataError(f"{str(path)!r} holds {document!r}; expected an object")
    return document


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON file, and its folder if that is missing.

    Raises:
        RunError: the file cannot be written.
    """
    _write(path, (json.dumps(document, indent=2) + "\n").encode())


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read all tensors of a safetensors file onto the CPU.

    Raises:
        DataError: there is no such file, or it is damaged.
        MissingExtraError: safetensors is not installed.
    """
    with _opened(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dictionary)


def read_arrays(path: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray[Any, Any]]:
    """Read tensors of a safetensors file as numpy arrays; all of them, or those of some names.

    Raises:
        DataError: there is no such file, it is damaged, or it lacks a name.
        MissingExtraError: safetensors is not installed.
    """
    with _opened(path, "numpy") as file:
        return {name: file.get_tensor(name) for name in (file.keys() if names is None else names)}


def tensor_names(path: Path) -> list[str]:
    """List the tensors of a safetensors file.

    Raises:
        DataError: there is no such file, or it is damaged.
        MissingExtraError: safetensors is not installed.
    """
    with _opened(path, "numpy") as file:
        return list(file.keys())


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, and the file's folder if that is missing.

    Raises:
        RunError: the file cannot be written.
        MissingExtraError: safetensors is not installed.
    """
    _require_safetensors()
    from safetensors.torch import save

    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _write(path, save(plain, dict(metadata or {})))


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Write numpy arrays as safetensors, and the file's folder if that is missing.

    Raises:
        RunError: the file cannot be written.
        MissingExtraError: safetensors is not installed.
    """
    _require_safetensors()
    from safetensors.numpy import save

    _write(path, save(dict(arrays)))


@contextmanager
def _opened(path: Path, framework: Literal["pt", "numpy"]) -> Iterator[Any]:
    _require_safetensors()
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework=framework) as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise DataError(f"{str(path)!r} cannot be read as safetensors: {error}") from None


def _require_safetensors() -> None:
    try:
        import safetensors  # noqa: F401
    except ImportError:
        raise MissingExtraError("a file of tensors", "local") from None


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
