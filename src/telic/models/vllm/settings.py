"""How vLLM has to be started, so that Telic's controls act in it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from telic.errors import ConfigError, MissingExtraError, ModelError
from telic.registry import suggest
from telic.settings import Settings

if TYPE_CHECKING:
    from telic.purpose import Purpose

__all__ = [
    "TESTED",
    "VllmSettings",
    "check_options",
    "engine_options",
    "prepare_environment",
    "replica_gpus",
    "require_vllm",
]

TESTED = ("0.32",)
"""Versions of vLLM that the plug-in is tested with: it overrides methods of the scheduler that are not public."""

_PLUGIN = "telic.models.vllm.plugin"


class VllmSettings(Settings):
    """How vLLM runs a model: the table `[vllm]` of a purpose. The names are vLLM's own."""

    tensor_parallel_size: Annotated[int, Field(ge=1)] = 1
    """GPUs that share the model: each holds a part of every layer."""
    quantization: Annotated[str, Field(min_length=1)] | None = None
    """How the weights are quantized, such as `fp8`; by default as the checkpoint says."""
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of each GPU's memory that vLLM takes, for weights and cache; by default vLLM's own."""
    max_model_len: Annotated[int, Field(ge=1)] | None = None
    """Maximum length of a dialogue in tokens; by default the model's own."""
    max_num_seqs: Annotated[int, Field(ge=1)] | None = None
    """Rows of the batch: sequences computed together; by default 64. A reply under `refresh` takes three."""
    dtype: Annotated[str, Field(min_length=1)] | None = None
    """Precision of the weights, such as `float32`; by default bfloat16 where the hardware supports it."""
    residual: bool = True
    """Whether controls can change the residual stream. Without it vLLM may compile the model, which is faster."""

    def options(self) -> dict[str, Any]:
        """The options of `VllmModel` that were set."""
        renamed = {"max_model_len": "context_length", "max_num_seqs": "max_batch"}
        return {renamed.get(name, name): value for name, value in self.model_dump(exclude_none=True).items()}


def replica_gpus(sources: Iterable[str | Purpose]) -> int:
    """Count the GPUs that a process needs for its models on vLLM; 0 if it has none.

    Raises:
        ConfigError: a purpose's table `[vllm]` is wrong.
    """
    count = 0
    for source in sources:
        name = source if isinstance(source, str) else source.model
        if name.startswith("vllm:"):
            settings = None if isinstance(source, str) else source.settings_of("vllm", VllmSettings)
            count += (settings or VllmSettings()).tensor_parallel_size
    return count


def check_options(options: Iterable[str], known: Iterable[str]) -> None:
    """Refuse options that vLLM does not have.

    Raises:
        ConfigError: the name of one is unknown.
    """
    names = list(known)
    for name in options:
        if name not in names:
            near = suggest(name, names)
            hint = near if near.startswith("; did") else "; the options are those of vLLM's EngineArgs"
            raise ConfigError(f"unknown option {name!r} of a model on vLLM{hint}")


def require_vllm() -> None:
    """Check that a tested version of vLLM is installed.

    Raises:
        MissingExtraError: vLLM is not installed.
        ModelError: it is another version.
    """
    if importlib.util.find_spec("vllm") is None:
        raise MissingExtraError("a model on vLLM", "vllm")
    import vllm

    if ".".join(vllm.__version__.split(".")[:2]) not in TESTED:
        raise ModelError(
            f"vLLM {vllm.__version__} is installed, and Telic's plug-in is tested with {', '.join(TESTED)}; install "
            f"that with: pip install 'vllm=={TESTED[-1]}.*'"
        )


def prepare_environment(*, in_process: bool) -> dict[str, str]:
    """The environment variables that vLLM reads: what Telic needs, and defaults where the user has set nothing.

    Args:
        in_process: whether the engine is to run in this process.
    """
    needed = {
        "VLLM_USE_V2_MODEL_RUNNER": "0",  # the processor works with the V1 runner
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0" if in_process else "1",
    }
    defaults = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "2",  # GiB
    }
    return {**{name: value for name, value in defaults.items() if name not in os.environ}, **needed}


def engine_options(
    model: str, *, max_batch: int, context_length: int | None, dtype: str, residual: bool, **options: Any
) -> dict[str, Any]:
    """The arguments of vLLM's engine, for its `EngineArgs` and, as flags, for its server.

    Args:
        model: a folder or a Hub id.
        max_batch: sequences computed together.
        context_length: longest sequence; None for what the model declares.
        dtype: of the weights and the cache.
        residual: whether controls can change the residual stream; without it vLLM may compile the model.
        **options: further arguments, which replace those.
    """
    import torch

    chosen: dict[str, Any] = {
        "model": model,
        "dtype": dtype,
        "max_num_seqs": max_batch,
        "enforce_eager": residual,
        "enable_prompt_embeds": True,
        "enable_prefix_caching": True,
        "async_scheduling": False,
        "scheduler_cls": f"{_PLUGIN}.scheduler.GroupScheduler",
        "logits_processors": [f"{_PLUGIN}.processor:GroupProcessor"],
        "worker_extension_cls": f"{_PLUGIN}.worker.WorkerExtension",
    }
    if int(options.get("tensor_parallel_size", 1)) > 1:
        chosen["distributed_executor_backend"] = "mp"  # its GPUs are in one node, also in a worker of Ray
    if context_length is not None:
        chosen["max_model_len"] = context_length
    if not torch.cuda.is_available():
        chosen["block_size"] = 32  # of which vLLM's attention on a CPU needs a multiple
    return {**chosen, **options}
