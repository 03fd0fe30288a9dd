"""Files are written as a whole or not at all, and a damaged one is named."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from telic import files
from telic.errors import DataError, MissingExtraError, RunError


def test_an_error_while_writing_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with files.atomic_draft(path) as draft:
            draft.write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_whatever_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.atomic_draft(path) as draft:
        draft.write_text("new")
        draft.chmod(0o444)
    assert path.read_text() == "new"
    files.write_atomically(path, "é")
    assert path.read_bytes() == "é".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_json_documents(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    files.write_json(path, {"a": [1, "é"]})
    assert files.read_json(path) == {"a": [1, "é"]}
    for text, message in (("{", "cannot be read as JSON"), ("[1]", r"holds \[1\]; expected an object")):
        path.write_text(text)
        with pytest.raises(DataError, match=message):
            files.read_json(path)
    with pytest.raises(DataError, match=r"none\.json"):
        files.read_json(tmp_path / "none.json")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot write"):
        files.write_json(tmp_path / "file" / "a.json", {})


def test_values_become_json_types() -> None:
    value = {1: (np.float32(0.1), np.arange(2), torch.tensor([[1 / 3]])), "b": [float("nan"), True, None, Path("a")]}
    assert files.to_json_types(value, 3) == {"1": [0.1, [0, 1], [[0.333]]], "b": [None, True, None, "a"]}
    assert files.to_json_types(1 / 3) == 1 / 3


def test_tensors_and_arrays_are_the_same_files(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.safetensors"
    columns = torch.arange(6.0).view(2, 3).T  # not contiguous
    files.write_tensors(path, {"b": columns, "a": torch.ones(2, requires_grad=True)})
    assert torch.equal(files.read_tensors(path)["b"], columns)
    assert sorted(files.tensor_names(path)) == ["a", "b"]
    assert files.read_arrays(path)["b"].tolist() == columns.tolist()
    assert list(files.read_arrays(path, ["a"])) == ["a"]
    files.write_arrays(path, {"c": np.ones(3, dtype=np.float16)})
    assert files.read_tensors(path)["c"].dtype == torch.float16


def test_a_damaged_file_of_tensors_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"not tensors")
    for read in (files.read_tensors, files.read_arrays, files.tensor_names):
        with pytest.raises(DataError, match=r"a\.safetensors' cannot be read as safetensors"):
            read(path)
        with pytest.raises(DataError, match=r"none\.safetensors"):
            read(tmp_path / "none.safetensors")
    files.write_arrays(path, {"c": np.ones(3)})
    with pytest.raises(DataError, match="cannot be read"):
        files.read_arrays(path, ["d"])


def test_a_missing_extra_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'telic\[local\]'"):
        files.write_arrays(tmp_path / "a.safetensors", {"c": np.ones(3)})


def test_arrays_need_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import numpy as np; from telic import files; "
        f"path = Path({str(tmp_path / 'a.safetensors')!r}); files.write_arrays(path, {{'c': np.ones(3)}}); "
        "assert files.read_arrays(path)['c'].sum() == 3; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
