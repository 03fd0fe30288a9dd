"""`telic vllm-serve`: a vLLM server in which Telic's controls act."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

import tyro

from telic.errors import ConfigError, MissingExtraError

__all__ = ["VllmServe"]


@dataclass
class VllmServe:
    """Start a vLLM server that can apply Telic's controls.

    A purpose then names it: model = "http://host:8000/v1#NAME". The server is vLLM's own, so its other clients work as
    before; flags of vLLM follow after `--`.

    Examples:
        telic vllm-serve smollm2
        telic vllm-serve meta-llama/Llama-3.3-70B-Instruct --port 9000 -- --tensor-parallel-size 8
    """

    model: tyro.conf.Positional[str] = "smollm2"
    """A name from `telic models` with weights, a Hub id, a folder, or a .gguf file."""
    host: str = "127.0.0.1"
    """Address to listen on. An address that other machines can reach requires an API key."""
    port: int = 8000
    """Port to listen on."""
    name: str | None = None
    """Model name that clients use in requests; by default MODEL as given."""
    max_batch: int = 64
    """Maximum number of sequences in a batch; a reply under `refresh` takes three."""
    context_length: int | None = None
    """Maximum length of a dialogue in tokens; by default the model's own."""
    dtype: str | None = None
    """Precision of the weights, such as `float32`; by default bfloat16 where the hardware supports it."""
    residual: bool = True
    """Let controls change the residual stream (`vector`, `belief`). Without it vLLM may compile the model, which is
    faster on a GPU."""
    vllm_flags: tyro.conf.Positional[tuple[str, ...]] = ()
    """Further flags of vLLM, after `--`."""

    def run(self) -> None:
        """Become the server: this process is replaced by vLLM's."""
        from telic.models.catalog import VLLM, locate

        self._check_address()
        _, place = locate(f"{VLLM}{self.model}")
        require_vllm_server()
        from telic.models.local.checkpoints import checkpoint_folder, preferred_dtype
        from telic.models.vllm.settings import engine_options, prepare_environment, require_vllm

        require_vllm()
        options = engine_options(
            str(checkpoint_folder(place)),
            max_batch=self.max_batch,
            context_length=self.context_length,
            dtype=self.dtype or str(preferred_dtype()).removeprefix("torch."),
            residual=self.residual,
            served_model_name=[self.name or self.model],
            host=self.host,
            port=self.port,
        )
        environment = {**os.environ, **prepare_environment(in_process=False), "VLLM_PLUGINS": "telic"}
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *as_flags(options), *self.vllm_flags]
        sys.stdout.flush()
        os.execve(sys.executable, command, environment)

    def _check_address(self) -> None:
        """Refuse an address that strangers can reach.

        Raises:
            ConfigError: it is one, and there is no key; or the address is among the flags of vLLM, which replace it.
        """
        if any(flag.partition("=")[0] == "--host" for flag in self.vllm_flags):
            raise ConfigError("--host comes after '--', where Telic does not check it; put it before '--'")
        if self.host not in ("127.0.0.1", "localhost", "::1") and not self._has_key():
            raise ConfigError(
                f"--host {self.host} can be reached from other machines, and there is no API key; set the environment "
                "variable VLLM_API_KEY, or add: -- --api-key KEY"
            )

    def _has_key(self) -> bool:
        return bool(os.environ.get("VLLM_API_KEY")) or any(flag.startswith("--api-key") for flag in self.vllm_flags)


def as_flags(options: dict[str, Any]) -> list[str]:
    """Write the arguments of vLLM's engine as flags of its server."""
    flags: list[str] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        if isinstance(value, bool):
            flags.append(flag if value else f"--no-{name.replace('_', '-')}")
        elif isinstance(value, list):
            flags += [flag, *map(str, value)]
        else:
            flags += [flag, json.dumps(value) if isinstance(value, dict) else str(value)]
    return flags


def require_vllm_server() -> None:
    """Check that vLLM and its server are installed.

    Raises:
        MissingExtraError: they are not.
    """
    from importlib.util import find_spec

    if find_spec("vllm") is None or find_spec("fastapi") is None:
        raise MissingExtraError("`telic vllm-serve`", "vllm")
