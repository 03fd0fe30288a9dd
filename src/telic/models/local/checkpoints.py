"""Loading checkpoints: Hub ids, folders, GGUF files; a GGUF file is converted once and cached as safetensors."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from telic.dialogue import Message
from telic.errors import ModelError
from telic.rendering import Template

__all__ = [
    "cache_folder",
    "checkpoint_folder",
    "context_length",
    "load_checkpoint",
    "preferred_device",
    "preferred_dtype",
    "stop_ids",
]

logger = logging.getLogger("telic")


def cache_folder() -> Path:
    """The folder of converted weights: `$TELIC_CACHE`, else the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "telic"
    return Path(os.environ.get("TELIC_CACHE") or default)


def preferred_device() -> str:
    """Choose the GPU if there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def preferred_dtype(device: Any = None) -> Any:
    """Choose bfloat16 where the hardware multiplies it (AMX, AVX-512 BF16, a recent GPU), else float32.

    `DNNL_MAX_CPU_ISA` may forbid the instructions; products would then be emulated, ten times as slow as in float32.

    Args:
        device: the one that multiplies, or its name; by default `preferred_device()`.
    """
    import torch

    if torch.device(device or preferred_device()).type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    present = capability.get("amx_bf16") or capability.get("avx512_bf16")
    usable = present and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if usable else torch.float32


def load_checkpoint(source: str | Path, dtype: Any = None, device: str | None = None) -> tuple[Any, Any]:
    """Load a causal model and its tokenizer.

    Args:
        source: a Hub id, a folder in the format of `transformers`, or a GGUF file.
        dtype: of the weights; by default the device's `preferred_dtype`.
        device: by default `preferred_device()`.

    Raises:
        ModelError: it cannot be loaded; the message says why and what to do.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = device or preferred_device()
    dtype = dtype or preferred_dtype(device)
    folder = checkpoint_folder(source)
    if Path(folder).exists() and not (Path(folder) / "config.json").is_file():
        raise ModelError(
            f"{folder} is not a model folder: it has no config.json; expected a folder of transformers, or a .gguf file"
        )

    def read(**options: Any) -> tuple[Any, Any]:
        with _quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options).to(device), tokenizer

    if not Path(folder).exists():  # a Hub id
        with suppress(Exception):  # what was downloaded before needs no network
            return read(local_files_only=True)
    try:
        return read()
    except Exception as error:  # each format's reader raises its own
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"cannot load model {str(source)!r}: {first}. Give a name from `telic models`, a folder, a .gguf file, "
            "or a Hub id that this machine can reach"
        ) from error


def checkpoint_folder(source: str | Path) -> str | Path:
    """The folder of safetensors that a source stands for: a GGUF file is converted; a Hub id stays as it is.

    Raises:
        ModelError: a GGUF file cannot be read, or the converted weights cannot be written.
    """
    return _converted(Path(source)) if str(source).endswith(".gguf") else source


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the progress bars and warnings of transformers; errors are still raised."""
    from transformers.utils import logging as hf_logging

    verbosity, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
        if bars:
            hf_logging.enable_progress_bar()


def _converted(path: Path) -> Path:
    """Convert a GGUF file to a folder of safetensors, on first use."""
    if not path.is_file():
        raise ModelError(f"GGUF file {str(path)!r} does not exist; check the path")
    with path.open("rb") as file:
        magic = file.read(4)
    if magic != b"GGUF":
        raise ModelError(f"{str(path)!r} is not a GGUF file (it begins with {magic!r})")
    stat = path.stat()
    mark = hashlib.sha256(f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:12]
    target = cache_folder() / f"{path.stem}-{mark}"
    if (target / "config.json").is_file():
        return target
    logger.info("converting %s; this happens once", path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".converting-", dir=target.parent))
    except OSError as error:
        raise ModelError(
            f"cannot write converted weights to {target.parent}: {error}. Set TELIC_CACHE to another folder"
        ) from error
    try:
        _convert(path, work)
        work.rename(target)  # whole or not at all, also when two processes convert at once
    except OSError as error:
        if not (target / "config.json").is_file():
            raise ModelError(f"cannot convert {path}: {error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return target


def _convert(path: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        source = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        # Its bar does not heed the setting that the others do.
        with _quiet(), patch("transformers.modeling_gguf_pytorch_utils.tqdm", lambda tensors, **_: tensors):
            tokenizer = AutoTokenizer.from_pretrained(**source)
            model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, **_dequantised())
    except Exception as error:
        raise ModelError(f"cannot read {path} as a GGUF checkpoint: {type(error).__name__}: {error}") from error
    # The weights are plain tensors now; the marks of the quantised file would make saving refuse.
    model.hf_quantizer = None
    for holder in (model, model.config):
        if hasattr(holder, "quantization_config"):
            delattr(holder, "quantization_config")
    if hasattr(model, "is_quantized"):
        model.is_quantized = False
    with _quiet():
        tokenizer.save_pretrained(folder)
        # Half precision keeps three bits more of a dequantised weight than bfloat16; no weight comes near its range.
        model.to(torch.float16).save_pretrained(folder)


def _dequantised() -> dict[str, Any]:
    try:
        from transformers import GgufConfig
    except ImportError:  # older releases always dequantise
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)}


def context_length(model: Any, tokenizer: Any) -> int:
    """Find the longest dialogue in tokens that a model declares; 4096 if it declares none."""
    config = model.config.get_text_config()
    limits = [getattr(config, "max_position_embeddings", None), getattr(tokenizer, "model_max_length", None)]
    known = [int(limit) for limit in limits if limit and limit < 1 << 24]
    return min(known) if known else 4096


def stop_ids(model: Any, template: Template) -> frozenset[int]:
    """Find the tokens that end a reply: the declared ones, and the special token that ends a turn in the template."""
    ids: set[int] = set()
    for source in (getattr(model, "generation_config", None), model.config, template.tokenizer):
        value = getattr(source, "eos_token_id", None)
        ids.update([value] if isinstance(value, int) else value or [])
    turn = [Message(role="user", content="Hi"), Message(role="assistant", content="Hi")]
    rendering = template.render(turn, reply=False)
    closing = rendering.token_ids[rendering.contents[1].end :]
    if closing and closing[0] in template.tokenizer.all_special_ids:
        ids.add(closing[0])
    return frozenset(ids)
