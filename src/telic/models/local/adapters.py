"""Adapters (LoRA) of a local model: merged into its weights when it is loaded, so that they cost nothing afterwards."""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

from telic.errors import ConfigError, MissingExtraError
from telic.files import read_json, tensor_names, write_json

__all__ = ["merge_adapter", "require_training", "save_adapter"]

CONFIG, WEIGHTS, BASE = "adapter_config.json", "adapter_model.safetensors", "base.json"


def require_training(what: str) -> None:
    """Refuse what the extra `train` is needed for, where it is not installed.

    Raises:
        MissingExtraError: it is not.
    """
    if any(importlib.util.find_spec(package) is None for package in ("peft", "trl", "datasets")):
        raise MissingExtraError(what, "train")


def save_adapter(model: Any, folder: Path, base: str) -> None:
    """Write the adapter of a model of `peft`, and which model it is for.

    Args:
        model: the model with the adapter.
        folder: made if it is missing.
        base: name of the model without the adapter.
    """
    for config in model.peft_config.values():
        config.base_model_name_or_path = base
    # Else peft asks the Hub whether the base model has the same vocabulary.
    model.save_pretrained(str(folder), save_embedding_layers=False)
    write_json(folder / BASE, {"model": base, **_shape(model.get_base_model())})
    (folder / "README.md").unlink(missing_ok=True)  # a blank form


def merge_adapter(model: Any, folder: str | Path, name: str) -> Any:
    """Merge an adapter into the weights of a model, in their type.

    Args:
        model: a causal model of `transformers`; it is changed.
        folder: what `save_adapter` wrote, or any adapter of `peft` for such a model.
        name: name of the model.

    Returns:
        The model, without a trace of `peft`.

    Raises:
        ConfigError: there is no adapter, it cannot be read, or it was made for another model.
        MissingExtraError: `peft` is not installed.
    """
    folder = Path(folder)
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).is_file():
            raise ConfigError(
                f"there is no adapter in {str(folder)!r}: {file} is missing; make one with: telic learn PURPOSE "
                "--method kto"
            )
    if importlib.util.find_spec("peft") is None:
        raise MissingExtraError(f"the adapter {str(folder)!r}", "train")
    import peft

    _check_base(model, folder, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of one library's names that another one has renamed
            adapted = peft.PeftModel.from_pretrained(model, str(folder))
            wanted = set(peft.get_peft_model_state_dict(adapted, save_embedding_layers=False))
            found = set(tensor_names(folder / WEIGHTS))
            if wanted != found:  # peft only warns, or says nothing
                raise ValueError(f"its tensor {min(wanted ^ found)!r} has no counterpart")
            return adapted.merge_and_unload(safe_merge=True)
    except Exception as error:  # peft raises many kinds, and no state is worth keeping
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            f"the adapter {str(folder)!r} does not fit model {name!r}: {first}. Name the model that it was made for, "
            "or make one for this model"
        ) from error


def _check_base(model: Any, folder: Path, name: str) -> None:
    """Refuse an adapter that says itself that it is for another model."""
    if not (folder / BASE).is_file():
        return
    made = read_json(folder / BASE)
    own = {"model": name, **_shape(model)}
    if made != own:
        described = [
            f"{one.get('model')!r} ({one.get('layers')} layers of {one.get('hidden_size')})" for one in (made, own)
        ]
        raise ConfigError(
            f"the adapter {str(folder)!r} was made for model {described[0]}, not for {described[1]}; name that model "
            "in the purpose file, or make an adapter for this one"
        )


def _shape(model: Any) -> dict[str, int]:
    config = model.config.get_text_config()
    return {
        "hidden_size": int(config.hidden_size),
        "layers": int(config.num_hidden_layers),
        "vocabulary": int(config.vocab_size),
    }
