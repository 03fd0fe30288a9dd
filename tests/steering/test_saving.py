from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub
import pytest
import safetensors.torch
import torch

from telic import __version__
from telic.errors import ConfigError
from telic.models.control import Control, build_control, registry
from telic.models.local import LocalModel
from telic.models.request import Reply
from telic.models.scripted import ScriptedModel
from telic.purpose import Purpose
from telic.steering import AttentionHold, Reminder, from_pretrained, save_pretrained
from telic.steering.saving import Origin, SavedControl, TensorControl
from telic.steering.vector import Vector
from tests.models import tiny
from tests.models.tiny import LONG, SYSTEM, ask

SIZE = 32


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama")


def draws(count: int) -> list[torch.Tensor]:
    return list(torch.randn(count, SIZE, generator=torch.Generator().manual_seed(count)))


def vectors() -> list[Vector]:
    calm, warm = draws(2)
    return [
        Vector({0: calm, 2: warm}, strength=1.7, scale=0.3, positions="all"),
        Vector({"calm": {1: calm}, "warm/er": {1: warm, 2: calm}}, mode="ablate", strength={"calm": 0.3, "warm/er": 1}),
        Vector({1: calm, 2: warm}, mode="cap", floor={1: -0.1, 2: 0.2}, ceiling=0.5),
        Vector({SYSTEM: {1: calm}, 'Line\nbreak, é, "quotes"': {1: warm}}, by_system=True, mode="cap", ceiling="first"),
    ]


def said(model: LocalModel, control: Control) -> Reply:
    return model.generate([ask(LONG, logprobs=True, controls=(control,))])[0]


@pytest.mark.parametrize("which", range(4))
def test_a_vector_that_was_saved_and_loaded_acts_the_same_to_the_bit(
    tmp_path: Path, model: LocalModel, which: int
) -> None:
    vector = vectors()[which]
    folder = save_pretrained(vector, tmp_path / "vector", model=model)
    loaded = from_pretrained(folder, model=model)
    assert isinstance(loaded, Vector)
    assert loaded.key == vector.key
    assert loaded.origin == Origin("tiny-llama", SIZE, 3)
    for entry, direction_D in vector.tensors().items():
        assert torch.equal(loaded.tensors()[entry], direction_D)
    one, other = said(model, vector), said(model, loaded)
    assert (one.token_ids, one.logprobs) == (other.token_ids, other.logprobs)


def test_the_folder_is_what_the_hub_expects(tmp_path: Path, model: LocalModel) -> None:
    folder = save_pretrained(vectors()[0], tmp_path / "a" / "vector", model=model)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert json.loads((folder / "config.json").read_text()) == {
        "format": 1,
        "control": "vector",
        "options": {"strength": 1.7, "scale": 0.3, "positions": "all"},
        "telic": __version__,
        "model": {"name": "tiny-llama", "hidden_size": SIZE, "layers": 3},
        "tensors": ["direction/0", "direction/2"],
    }
    assert safetensors.torch.load_file(folder / "model.safetensors").keys() == {"direction/0", "direction/2"}
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: telic\n")
    assert "Made for `tiny-llama` (3 layers of 32)" in card
    assert "| strength | `1.7` |" in card


def test_a_card_that_was_written_by_hand_stays(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("Mine.")
    save_pretrained(vectors()[0], tmp_path)
    assert (tmp_path / "README.md").read_text() == "Mine."


def test_a_spec_builds_the_same_vector_again(tmp_path: Path) -> None:
    folder = save_pretrained(vectors()[2], tmp_path)
    for made in (
        from_pretrained(folder),
        from_pretrained(folder, strength=0.5, ceiling=0.7),
        from_pretrained(folder, mode="add", floor=float("-inf"), ceiling=float("inf")),
        from_pretrained(folder, layers=[2]),
    ):
        assert build_control(made.spec()).key == made.key
        # And so does the purpose file in which it was written down.
        purpose = Purpose(name="travel", system=SYSTEM, controls=[made.spec()])
        assert build_control(Purpose.from_text(purpose.to_toml()).controls[0]).key == made.key


def test_a_purpose_file_names_the_folder_and_what_differs(tmp_path: Path) -> None:
    save_pretrained(vectors()[0], tmp_path)
    spec = {"name": "vector", "path": str(tmp_path), "strength": 1, "layers": [2]}
    made = build_control(spec)
    assert isinstance(made, Vector)
    assert made.options() == {"scale": 0.3, "positions": "all"}
    assert made.layers == {2}
    assert torch.equal(made.tensors()["direction/2"], vectors()[0].tensors()["direction/2"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected path"),
        ({"path": "nowhere"}, "there is no folder 'nowhere'"),
        ({"path": ".", "strenght": 1}, "did you mean 'strength'"),
        ({"path": ".", "model": "smollm2"}, "unknown option 'model'"),
        ({"path": ".", "layers": [1]}, "no direction for layer 1"),
        ({"path": ".", "mode": "cap", "strength": 1.0}, "needs a floor or a ceiling"),
        ({"path": ".", "sha256": "0" * 12}, "sha256 is '000000000000'"),
    ],
)
def test_wrong_options_in_a_purpose_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], message: str
) -> None:
    save_pretrained(vectors()[0], tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message):
        build_control({"name": "vector", **options})


# Controls that are nothing but their fields.


@dataclass(frozen=True)
class Unknown(Control):
    much: float = 1.0
    name: ClassVar[str] = "unknown-to-all"


def test_a_control_without_tensors_is_saved_as_its_fields(tmp_path: Path, model: LocalModel) -> None:
    save_pretrained(vectors()[0], tmp_path)  # of which nothing may be left
    hold = AttentionHold(gain=2.0, per="head")
    folder = save_pretrained(hold, tmp_path, model=model)
    assert not (folder / "model.safetensors").exists()
    assert from_pretrained(folder, model=model) == hold
    assert from_pretrained(folder, gain=1.5) == replace(hold, gain=1.5)
    assert from_pretrained(save_pretrained(Reminder(), tmp_path / "other")) == Reminder()


def test_what_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no control of this name is registered"):
        save_pretrained(Unknown(), tmp_path / "new")
    with pytest.raises(ConfigError, match="it is not a dataclass"):
        save_pretrained(Control(), tmp_path / "new")
    with pytest.raises(ConfigError, match="not plain values"):
        save_pretrained(AttentionHold(gain=float("inf")), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot write control 'attention_hold'"):
        save_pretrained(AttentionHold(), tmp_path / "file")
    with pytest.raises(ConfigError, match="holds a control of kind 'attention_hold', not a vector"):
        build_control({"name": "vector", "path": str(save_pretrained(AttentionHold(), tmp_path / "attention_hold"))})


@dataclass(frozen=True, eq=False)
class Shift(TensorControl):
    """A control with a tensor, as a plug-in would define it."""

    shift: torch.Tensor
    much: float = 1.0
    name: ClassVar[str] = "shift"
    of_tensors: ClassVar[frozenset[str]] = frozenset({"shift"})

    @classmethod
    def from_saved(cls, saved: SavedControl, options: Mapping[str, Any]) -> Shift:
        return cls(saved.tensors["shift"], **options, origin=saved.origin, path=saved.source)

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"shift": self.shift}


def test_a_plug_in_s_control_is_saved_and_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._factories, "shift", Shift)
    control = Shift(torch.arange(3.0), 2.0)
    folder = save_pretrained(control, tmp_path)
    loaded = from_pretrained(folder)
    assert isinstance(loaded, Shift)
    assert (loaded.key, loaded.path) == (control.key, str(folder))
    assert from_pretrained(folder, much=3.0).spec()["much"] == 3.0
    with pytest.raises(ConfigError, match="were changed"):
        from_pretrained(folder, sha256="0" * 12)


# Other models.


def test_a_model_that_it_was_not_made_for_is_refused(tmp_path: Path, model: LocalModel) -> None:
    vector = Vector({1: torch.ones(SIZE)})
    folder = save_pretrained(vector, tmp_path / "named", model=model)
    other = tiny.local("qwen2")  # of the same shape
    with pytest.raises(ConfigError, match=r"made for model 'tiny-llama' .* not for 'tiny-qwen2'.* force=True"):
        from_pretrained(folder, model=other)
    forced = from_pretrained(folder, model=other, force=True)
    assert said(other, forced).logprobs == said(other, vector).logprobs
    assert isinstance(from_pretrained(folder), Vector)  # nobody said what for
    with pytest.raises(ConfigError, match="made for model 'tiny-llama'"):  # one without tensors too
        from_pretrained(save_pretrained(AttentionHold(), tmp_path / "attention_hold", model=model), model=other)
    with pytest.raises(ConfigError, match="gives no access to its hidden states"):
        from_pretrained(folder, model=ScriptedModel(["Hi"]))


def test_another_hidden_size_is_refused_by_force_too(tmp_path: Path, model: LocalModel) -> None:
    origin = Origin("tiny-llama", 8, 3)
    narrow = save_pretrained(Vector({1: torch.ones(8)}, origin=origin), tmp_path / "narrow")
    with pytest.raises(ConfigError, match=r"\(3 layers of 8\), not for 'tiny-llama' \(3 layers of 32\)"):
        from_pretrained(narrow, model=model)
    deep = save_pretrained(Vector({7: torch.ones(SIZE)}), tmp_path / "deep")
    for folder, reason in ((narrow, "8 numbers"), (deep, "up to layer 7")):
        with pytest.raises(ConfigError, match=reason):
            from_pretrained(folder, model=model, force=True)


# Damage.


def change(folder: Path, **entries: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **entries}))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"control": "vectr"}, "did you mean 'vector'"),
        ({"control": None}, "expected a key 'control'"),
        ({"format": 2}, "has format 2 .* install a newer one"),
        ({"model": {"name": "x"}}, "model is {'name': 'x'}"),
        ({"options": [1]}, "expected a table"),
    ],
)
def test_a_damaged_config_is_named(tmp_path: Path, entries: dict[str, Any], message: str) -> None:
    change(save_pretrained(vectors()[0], tmp_path), **entries)
    with pytest.raises(ConfigError, match=message):
        from_pretrained(tmp_path)


def test_a_config_cannot_send_the_reader_elsewhere(tmp_path: Path) -> None:
    folder = save_pretrained(vectors()[0], tmp_path)
    change(folder, options={"path": "/etc", "tensors": {}, "origin": "me"})
    loaded = from_pretrained(folder)
    assert isinstance(loaded, Vector)
    assert (loaded.path, loaded.origin, loaded.sha256) == (str(folder), None, vectors()[0].sha256)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        from_pretrained(tmp_path)
    save_pretrained(vectors()[0], tmp_path)
    weights = tmp_path / "model.safetensors"
    safetensors.torch.save_file({"direction": torch.ones(SIZE)}, weights)
    with pytest.raises(ConfigError, match=r"'direction' .* is not a direction"):
        from_pretrained(tmp_path)
    weights.write_bytes(b"not tensors")
    with pytest.raises(ConfigError, match="cannot be read as safetensors"):
        from_pretrained(tmp_path)
    weights.unlink()
    with pytest.raises(ConfigError, match="copy it there"):
        from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ConfigError, match="is not JSON"):
        from_pretrained(tmp_path)


# The Hub.


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Hub's client without a network; its cache, in which nothing is."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_vector_comes_from_the_hub(offline: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = offline / "models--mia--calm"
    save_pretrained(vectors()[1], repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    loaded = from_pretrained("mia/calm")
    assert isinstance(loaded, Vector)
    assert loaded.key == vectors()[1].key
    assert loaded.spec()["path"] == "mia/calm"


def test_offline_the_error_says_what_to_do(offline: Path) -> None:
    with pytest.raises(ConfigError, match="no folder 'mia/warm', and the download from the Hub failed") as caught:
        from_pretrained("mia/warm")
    assert "give the folder" in str(caught.value)
