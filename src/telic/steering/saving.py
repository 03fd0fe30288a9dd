"""Controls as folders: a `config.json`, tensors as safetensors, a card. The layout on the Hub is the same."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from telic.errors import ConfigError, MissingExtraError
from telic.models.capabilities import HasHiddenStates
from telic.models.control import Control, NamedModel, build, registry

if TYPE_CHECKING:
    import torch

__all__ = ["Origin", "Stored", "from_pretrained", "save_pretrained"]

CONFIG, TENSORS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")


@dataclass(frozen=True, slots=True)
class Origin:
    """The model that a control was made for."""

    name: str
    """What the model is called."""
    hidden_size: int
    """Width of its residual stream."""
    layers: int
    """Number of its decoder layers."""

    @classmethod
    def of(cls, model: NamedModel) -> Origin:
        """Describe a local model.

        Raises:
            ConfigError: the model is of a kind that shows no inside.
        """
        if not isinstance(model, HasHiddenStates):
            raise ConfigError(f"model {model.name!r} shows no hidden states; expected one that runs locally")
        return cls(model.name, model.hidden_size, model.layers)

    def check(self, model: NamedModel, what: str) -> None:
        """Refuse a model other than this one.

        Raises:
            ConfigError: it has another name, another hidden size, or another number of layers.
        """
        other = Origin.of(model)
        if other != self:
            raise ConfigError(
                f"{what} was made for model {self.name!r} ({self.layers} layers of {self.hidden_size}), not for "
                f"{other.name!r} ({other.layers} layers of {other.hidden_size}); make one for this model, or pass "
                "force=True if the two are the same in all but their names"
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class Stored(Control):
    """A control that has tensors besides its plain options: base of those that are saved with them.

    Subclasses are frozen dataclasses; their registered factory takes `tensors`, `origin`, `path` and the options.
    """

    origin: Origin | None = None
    """The model that it was made for."""
    path: str | None = None
    """Where it was loaded from: the folder or Hub id that a purpose file names."""

    of_tensors: ClassVar[frozenset[str]] = frozenset()
    """Fields that are no options, because `tensors()` holds what they say."""
    file: ClassVar[str] = TENSORS
    """What the file with the tensors is called."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Its tensors by name, on the CPU."""
        raise NotImplementedError

    @cached_property
    def sha256(self) -> str:
        """First 12 digits of the tensors' hash, their names included."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors().items()):
            digest.update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode() + tensor.numpy().tobytes())
        return digest.hexdigest()[:12]

    def options(self, *, all_of_them: bool = False) -> dict[str, Any]:
        """The options that differ from their defaults, as plain values; or all of them."""
        own = [f for f in fields(self) if f.init and f.name not in {"origin", "path", *self.of_tensors}]
        values = {f.name: (getattr(self, f.name), f.default) for f in own}
        return {name: _plain(value) for name, (value, default) in values.items() if all_of_them or value != default}

    def spec(self) -> dict[str, Any]:
        """Its table in a purpose file, from which it can be built if it was saved (if it has a `path`)."""
        if self.path is None:
            return {"name": self.name, **self.options(), "sha256": self.sha256}
        # In full: what is left out would be as it was saved.
        return {"name": self.name, "path": self.path, **self.options(all_of_them=True), "sha256": self.sha256}

    @property
    def key(self) -> str:
        """What it does, wherever it was loaded from."""
        return json.dumps({"name": self.name, **self.options(), "sha256": self.sha256})

    def check(self, model: NamedModel) -> None:
        """Refuse a model that it was not made for.

        Raises:
            ConfigError: it is another model.
        """
        if self.origin is not None:
            self.origin.check(model, f"control {self.name!r}")


def save_pretrained(control: Control, folder: str | Path, *, model: NamedModel | None = None) -> Path:
    """Write a control into a folder, which `from_pretrained` reads, and which can be uploaded to the Hub as it is.

    Args:
        control: one that consists of its fields, or that also has tensors (`Stored`).
        folder: made if it is not there. A card (README.md) that is there already is left as it is.
        model: the model that it was made for; by default what the control itself knows of that.

    Returns:
        The folder.

    Raises:
        ConfigError: the control cannot be written as plain values and tensors, or the folder cannot be written.
    """
    folder = Path(folder)
    tensors: dict[str, torch.Tensor] = {}
    file = TENSORS
    origin = Origin.of(model) if model is not None else getattr(control, "origin", None)
    if isinstance(control, Stored):
        options, tensors, file = control.options(), control.tensors(), control.file
    elif is_dataclass(control):
        options = {key: value for key, value in control.spec().items() if key != "name"}
    else:
        raise ConfigError(f"control {control.name!r} cannot be saved: it is no dataclass, so its options are not known")
    if control.name not in registry:
        raise ConfigError(f"control {control.name!r} cannot be saved: nothing of this name is registered to load it")
    config = {
        "format": FORMAT,
        "control": control.name,
        "options": options,
        "telic": version("telic"),
        "model": asdict(origin) if origin is not None else None,
        "tensors": sorted(tensors),
    } | ({"file": file} if file != TENSORS else {})
    try:
        text = json.dumps(config, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"control {control.name!r} cannot be saved: its options are not plain values: {error}"
        ) from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
        if tensors:
            _safetensors().save_file(tensors, folder / file, metadata={"format": "pt"})
        else:  # of a control that was there before
            (folder / file).unlink(missing_ok=True)
        if not (folder / CARD).exists():
            (folder / CARD).write_text(_card(control.name, options, origin), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot write control {control.name!r} to {str(folder)!r}: {error}") from error
    return folder


def from_pretrained(
    source: str | Path,
    *,
    model: NamedModel | None = None,
    force: bool = False,
    revision: str | None = None,
    sha256: str = "",
    **options: Any,
) -> Control:
    """Load a control from a folder or from the Hub.

    Args:
        source: a folder, or a Hub id (owner/name) where there is no such folder.
        model: what it is to act on, so that one made for another model is refused.
        force: take it all the same, as for a model that goes by another name; the tensors must still fit.
        revision: branch, tag or commit on the Hub.
        sha256: as in the control's `spec`: refuse tensors that are not those.
        **options: settings to use instead of those that it was saved with.

    Raises:
        ConfigError: there is no control, it is damaged, or it was made for another model.
    """
    folder = _folder(str(source), revision)
    config = _config(folder)
    try:
        origin = Origin(**config["model"]) if config.get("model") and not force else None
    except TypeError as error:
        raise ConfigError(f"{str(folder / CONFIG)!r}: model is {config['model']!r}: {error}") from None
    if origin is not None and model is not None:
        origin.check(model, f"the control in {str(source)!r}")
    spec = {**config.get("options", {}), **options, "name": config["control"]}
    if not config.get("tensors"):
        return build(spec)
    tensors = _tensors(folder / Path(str(config.get("file", TENSORS))).name)
    control = build({**spec, "tensors": tensors, "origin": origin, "path": str(source)})
    if isinstance(control, Stored):
        if sha256 and control.sha256 != sha256:
            raise ConfigError(
                f"the tensors in {str(source)!r} have the hash {control.sha256}, not {sha256}: they are not those "
                "that were meant. Restore them, or take sha256 out"
            )
        if model is not None:
            control.check(model)
    return control


def _folder(source: str, revision: str | None) -> Path:
    if Path(source).exists():
        return Path(source)
    if not _HUB_ID.fullmatch(source):
        raise ConfigError(f"there is no folder {source!r}; expected one with a saved control, or a Hub id (owner/name)")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise MissingExtraError("loading a control from the Hub", "local") from None
    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=[CONFIG, "*.safetensors", CARD]))
    except Exception as error:  # the network's, the server's and the file system's, each of its own kind
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"there is no folder {source!r}, and it could not be had from the Hub either: {first}. Check the name and "
            "the connection, or download it elsewhere and give the folder"
        ) from error


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ConfigError(f"{str(folder)!r} holds no control: it has no {CONFIG}") from None
    except ValueError as error:
        raise ConfigError(f"{str(path)!r} is not JSON: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("control"), str):
        raise ConfigError(f"{str(path)!r} describes no control; expected a key 'control' with a name")
    if not isinstance(config.get("options", {}), dict):
        raise ConfigError(f"{str(path)!r}: options is {config['options']!r}; expected a table")
    if config.get("format", FORMAT) != FORMAT:
        raise ConfigError(
            f"{str(path)!r} is of format {config['format']!r} (telic {config.get('telic')}), but this telic "
            f"{version('telic')} reads {FORMAT}: install a newer one"
        )
    return config


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    module = _safetensors()
    if not path.is_file():
        raise ConfigError(f"there is no {str(path)!r}, which the {CONFIG} beside it counts on; copy it there as well")
    try:
        tensors: dict[str, torch.Tensor] = module.load_file(path)
    except Exception as error:  # the reader's own
        raise ConfigError(f"{str(path)!r} cannot be read as safetensors: {error}") from None
    return tensors


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError:
        raise MissingExtraError("a control with tensors", "local") from None
    return safetensors.torch


def _plain(value: Any) -> Any:
    return {str(key): entry for key, entry in value.items()} if isinstance(value, Mapping) else value


def _card(name: str, options: Mapping[str, Any], origin: Origin | None) -> str:
    """The card that the Hub shows."""
    made = f"Made for `{origin.name}` ({origin.layers} layers of {origin.hidden_size}).\n\n" if origin else ""
    lines = [f"| {option} | `{json.dumps(value)}` |" for option, value in options.items()]
    table = "\n".join(["| option | value |", "|---|---|", *lines]) if lines else "All options are at their defaults."
    return _CARD.format(name=name, made=made, table=table)


_CARD = """---
library_name: telic
tags:
- telic
- {name}
---

# A control of kind `{name}`

{made}{table}

```python
from telic.steering.saving import from_pretrained

control = from_pretrained("this folder, or its Hub id")
```
"""
