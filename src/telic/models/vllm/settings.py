"""How vLLM has to be started, so that Telic's controls act in it."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from telic.errors import MissingExtraError, ModelError

__all__ = ["TESTED", "engine_options", "prepare_environment", "require_vllm"]

TESTED = ("0.32",)
"""Versions of vLLM that the plug-in is tested with: it overrides methods of the scheduler that are not public."""

_PLUGIN = "telic.models.vllm.plugin"


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
    if context_length is not None:
        chosen["max_model_len"] = context_length
    if not torch.cuda.is_available():
        chosen["block_size"] = 32  # of which vLLM's attention on a CPU needs a multiple
    return {**chosen, **options}
