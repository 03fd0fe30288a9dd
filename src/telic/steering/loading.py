"""Loading of saved controls: read the folder into a `SavedControl`, find its class, build."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from telic.errors import ConfigError, DataError, MissingExtraError
from telic.files import read_tensors
from telic.models.control import Control, NamedModel, build_control, registry
from telic.steering.saving import CARD, CONFIG, FORMAT, TENSORS, Origin, SavedControl, TensorControl

if TYPE_CHECKING:
    import torch

__all__ = ["build_saved", "from_pretrained", "read_saved"]

_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_RESERVED = frozenset({"name", "path", "tensors", "origin", "sha256", "force"})
"""Keys of a purpose file and arguments that no saved option may replace."""

S = TypeVar("S", bound=TensorControl)


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
        source: a folder, or a Hub id (owner/name) if there is no such folder.
        model: the model to use it with: a control that was made for another one is refused.
        force: use it all the same, as for a model that goes by another name; the tensors must still fit.
        revision: branch, tag or commit on the Hub.
        sha256: as in the control's `spec`: refuse tensors with another hash.
        **options: settings that replace the saved ones.

    Raises:
        ConfigError: there is no control, it is damaged, or it was made for another model.
    """
    saved = read_saved(source, force=force, revision=revision)
    if saved.origin is not None and model is not None:
        saved.origin.check(model, f"the control in {str(source)!r}")
    registry.get(saved.name)  # imports the module that defines the control
    kind = TensorControl.kinds.get(saved.name)
    if kind is None:
        return build_control({**saved.options, **options, "name": saved.name})
    control = build_saved(saved, kind, sha256=sha256, **options)
    if model is not None:
        control.check(model)
    return control


def read_saved(source: str | Path, *, force: bool = False, revision: str | None = None) -> SavedControl:
    """Read a saved control: its configuration and its tensors.

    Args:
        source: a folder, or a Hub id (owner/name) if there is no such folder.
        force: forget the model that it was made for, so that any is accepted.
        revision: branch, tag or commit on the Hub.

    Raises:
        ConfigError: there is no control, or it is damaged.
    """
    folder = _folder(str(source), revision)
    config = _config(folder)
    try:
        origin = Origin(**config["model"]) if config.get("model") and not force else None
    except TypeError as error:
        raise ConfigError(f"{str(folder / CONFIG)!r}: model is {config['model']!r}: {error}") from None
    return SavedControl(
        source=str(source),
        name=config["control"],
        options={key: value for key, value in config.get("options", {}).items() if key not in _RESERVED},
        tensors=_tensors(folder / Path(str(config.get("file", TENSORS))).name) if config.get("tensors") else {},
        origin=origin,
    )


def build_saved(saved: SavedControl, kind: type[S], *, sha256: str = "", **options: Any) -> S:
    """Build a control with tensors.

    Args:
        saved: what was read.
        kind: the expected class.
        sha256: refuse tensors with another hash.
        **options: settings that replace the saved ones.

    Raises:
        ConfigError: it is a control of another kind, an option is wrong, or the tensors are not the expected ones.
    """
    if saved.name != kind.name:
        raise ConfigError(
            f"control {kind.name!r}: {saved.source!r} holds a control of kind {saved.name!r}, not a {kind.name}"
        )
    control = kind.from_saved(saved, {**saved.options, **options})
    if sha256 and control.sha256 != sha256:
        raise ConfigError(
            f"the tensors in {saved.source!r} have the hash {control.sha256}, but sha256 is {sha256!r}: they were "
            "changed. Restore them, or remove sha256"
        )
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
            f"there is no folder {source!r}, and the download from the Hub failed: {first}. Check the name and the "
            "connection, or download it elsewhere and give the folder"
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
            f"{str(path)!r} has format {config['format']!r} (telic {config.get('telic')}), but this telic "
            f"{version('telic')} reads {FORMAT}: install a newer one"
        )
    return config


def _tensors(path: Path) -> Mapping[str, torch.Tensor]:
    if not path.is_file():
        raise ConfigError(
            f"there is no {str(path)!r}, although the {CONFIG} beside it lists its tensors; copy it there"
        )
    try:
        return read_tensors(path)
    except DataError as error:
        raise ConfigError(str(error)) from None
