"""Controls as folders: a `config.json`, tensors as safetensors, a card. The layout on the Hub is the same.

`telic.steering.loading` reads them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from telic.errors import ConfigError, RunError
from telic.files import write_atomically, write_tensors
from telic.models.capabilities import HasHiddenStates
from telic.models.catalog import weights_name
from telic.models.control import Control, NamedModel, registry

if TYPE_CHECKING:
    import torch

__all__ = ["Origin", "SavedControl", "TensorControl", "save_pretrained"]

CONFIG, TENSORS, CARD = "config.json", "model.safetensors", "README.md"
FORMAT = 1


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
            ConfigError: the model gives no access to its hidden states.
        """
        if not isinstance(model, HasHiddenStates):
            raise ConfigError(
                f"model {model.name!r} gives no access to its hidden states; expected a model that runs locally"
            )
        return cls(model.name, model.hidden_size, model.layers)

    def check(self, model: NamedModel, what: str) -> None:
        """Refuse a model other than this one.

        Args:
            model: the model that the artefact is to be used with.
            what: the artefact, for the error.

        Raises:
            ConfigError: the model has another name, another hidden size, or another number of layers.
        """
        other = Origin.of(model)
        if replace(other, name=weights_name(other.name)) != replace(self, name=weights_name(self.name)):
            raise ConfigError(
                f"{what} was made for model {self.name!r} ({self.layers} layers of {self.hidden_size}), not for "
                f"{other.name!r} ({other.layers} layers of {other.hidden_size}); make one for this model, or pass "
                "force=True if the two are the same in all but their names"
            )


@dataclass(frozen=True, slots=True)
class SavedControl:
    """A saved control as it was read, before it is built."""

    source: str
    """The folder or Hub id that it was read from."""
    name: str
    """Which control it is."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The saved options."""
    tensors: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """Its tensors by name; empty for a control that consists of its options."""
    origin: Origin | None = None
    """The model that it was made for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TensorControl(Control):
    """A control that has tensors besides its plain options: base of those that are saved with them.

    Subclasses are frozen dataclasses, each with a `name` of its own, under which a factory is registered too.
    """

    origin: Origin | None = None
    """The model that it was made for."""
    path: str | None = None
    """Where it was loaded from: the folder or Hub id that a purpose file names."""

    of_tensors: ClassVar[frozenset[str]] = frozenset()
    """Fields that are not options, because `tensors()` holds their values."""
    file: ClassVar[str] = TENSORS
    """Name of the file with the tensors."""
    kinds: ClassVar[dict[str, type[TensorControl]]] = {}
    """All subclasses that were imported, by control name."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        TensorControl.kinds[cls.name] = cls

    @classmethod
    def from_saved(cls, saved: SavedControl, options: Mapping[str, Any]) -> Self:
        """Build the control from what was read.

        Args:
            saved: the tensors and the origin; its options are ignored.
            options: the options to use.

        Raises:
            ConfigError: an option is wrong, or the tensors are not those of such a control.
        """
        raise NotImplementedError

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
        """List the options that differ from their defaults, as plain values; or all of them."""
        own = [f for f in fields(self) if f.init and f.name not in {"origin", "path", *self.of_tensors}]
        values = {f.name: (getattr(self, f.name), f.default) for f in own}
        return {name: _plain(value) for name, (value, default) in values.items() if all_of_them or value != default}

    def spec(self) -> dict[str, Any]:
        """Its table in a purpose file, from which it can be built if it was saved (if it has a `path`)."""
        if self.path is None:
            return {"name": self.name, **self.options(), "sha256": self.sha256}
        # All options: one that is left out would have the value that was saved.
        return {"name": self.name, "path": self.path, **self.options(all_of_them=True), "sha256": self.sha256}

    @property
    def key(self) -> str:
        """What it does, wherever it was loaded from."""
        return json.dumps({"name": self.name, **self.options(), "sha256": self.sha256})

    def check(self, model: NamedModel) -> None:
        """Refuse a model that it was not made for.

        Raises:
            ConfigError: it was made for another model.
        """
        if self.origin is not None:
            self.origin.check(model, f"control {self.name!r}")


def save_pretrained(control: Control, folder: str | Path, *, model: NamedModel | None = None) -> Path:
    """Write a control into a folder that `from_pretrained` reads, and that can be uploaded to the Hub as it is.

    Args:
        control: one that consists of its fields, or that also has tensors (`TensorControl`).
        folder: made if it is missing. An existing card (README.md) is kept.
        model: the model that the control was made for; by default the control's own `origin`.

    Returns:
        The folder.

    Raises:
        ConfigError: the control cannot be written as plain values and tensors, or the folder cannot be written.
    """
    folder = Path(folder)
    options, tensors, file, origin = _contents(control)
    if model is not None:
        origin = Origin.of(model)
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
        write_atomically(folder / CONFIG, text + "\n")
        if tensors:
            write_tensors(folder / file, tensors, {"format": "pt"})
        else:  # those of another control that was saved here before
            (folder / file).unlink(missing_ok=True)
        if not (folder / CARD).exists():
            write_atomically(folder / CARD, _card(control.name, options, origin))
    except (OSError, RunError) as error:
        raise ConfigError(f"cannot write control {control.name!r} to {str(folder)!r}: {error}") from error
    return folder


def _contents(control: Control) -> tuple[dict[str, Any], dict[str, torch.Tensor], str, Origin | None]:
    """A control's options, tensors, file of tensors, and origin."""
    if not is_dataclass(control):
        raise ConfigError(
            f"control {control.name!r} cannot be saved: it is not a dataclass, so its options are unknown; make it one"
        )
    if control.name not in registry:
        raise ConfigError(
            f"control {control.name!r} cannot be saved: no control of this name is registered, so it could not be "
            "loaded; register its factory first"
        )
    if isinstance(control, TensorControl):
        return control.options(), control.tensors(), control.file, control.origin
    return {key: value for key, value in control.spec().items() if key != "name"}, {}, TENSORS, None


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
from telic.steering import from_pretrained

control = from_pretrained("this folder, or its Hub id")
```
"""
