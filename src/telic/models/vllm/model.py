"""A model that vLLM runs in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from pydantic import ValidationError

from telic.errors import ModelError
from telic.models.compatibility import refuse_unsupported
from telic.models.control import ControlPoint
from telic.models.engine_model import EngineModel
from telic.models.grammars import GrammarCache
from telic.models.local.checkpoints import checkpoint_folder, preferred_dtype, stop_ids
from telic.models.local.constraint import grammar_tokenizer
from telic.models.request import OnReply, Reply, Request
from telic.models.response_format import ResponseFormat
from telic.models.vllm.engine import VllmEngine
from telic.models.vllm.rounds import READ, RoundLimits, Rounds
from telic.models.vllm.settings import check_options, engine_options, prepare_environment, require_vllm
from telic.models.vllm.worker_processes import WorkerProcesses
from telic.rendering import Template

__all__ = ["VllmModel", "grammars_of", "limits_of", "stop_ids_of", "supported_points"]


class VllmModel(EngineModel):
    """A causal language model that vLLM runs in this process, under Telic's controls.

    What a session has read is in vLLM's prefix cache, which all sessions with the same `cache_salt` share. Controls on
    attention, and the reading `attention`, are refused: vLLM's attention cannot be observed. The model stays loaded
    until this process ends.

    Args:
        source: a folder, a GGUF file, or a Hub id.
        name: what reports call it.
        max_batch: sequences computed together.
        context_length: longest dialogue in tokens; by default what the model declares.
        dtype: of the weights, such as `float32`; by default bfloat16 where the hardware multiplies it.
        residual: whether controls can change the residual stream. Without it vLLM may compile the model.
        **options: further arguments of vLLM's `EngineArgs`, such as `gpu_memory_utilization`.

    Raises:
        MissingExtraError: vLLM is not installed.
        ConfigError: an option is not one of vLLM's.
        ModelError: vLLM is of another version, or cannot load the model.
    """

    def __init__(
        self,
        source: str,
        name: str,
        *,
        max_batch: int = 64,
        context_length: int | None = None,
        dtype: str | None = None,
        residual: bool = True,
        **options: Any,
    ) -> None:
        require_vllm()
        check_options(options, _known_options())
        folder = str(checkpoint_folder(source))
        chosen = engine_options(
            folder,
            max_batch=max_batch,
            context_length=context_length,
            dtype=dtype or str(preferred_dtype()).removeprefix("torch."),
            residual=residual,
            **options,
        )
        self._vllm = _start(source, chosen)
        config = self._vllm.vllm_config
        self.tokenizer = _tokenizer(folder)
        template = Template(self.tokenizer)
        limits = limits_of(config, self.tokenizer)
        self.hidden_size = limits.hidden_size
        """Width of the residual stream."""
        self.layers = int(config.model_config.get_total_num_hidden_layers())
        """Number of decoder layers."""
        hooks_act = all(self._vllm.collective_rpc("telic_install"))
        apart = config.parallel_config.world_size > 1
        self._workers = WorkerProcesses(self._vllm) if apart else None
        describe = None if self._workers is None else self._workers.describe
        rounds = Rounds(template, limits, stop_ids_of(config, template), grammars_of(config), describe)
        self.engine = VllmEngine(self._vllm, rounds, self._workers)
        super().__init__(name, template, self.engine, supported_points(hooks_act), READ)

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        """Answer requests in one batch, in their order; see `Model.generate`."""
        self._check_sendable(requests)
        return super().generate(requests, on_reply)

    def stream(self, request: Request) -> Iterator[str | Reply]:
        """Yield the reply piece by piece, then the whole `Reply`."""
        self._check_sendable([request])
        return super().stream(request)

    def _check_sendable(self, requests: Sequence[Request]) -> None:
        """Refuse controls that workers in other processes cannot build."""
        refuse_unsupported(self, requests)
        for request in requests:
            if self._workers is not None:
                self._workers.check(request.controls)

    def check_format(self, response_format: ResponseFormat) -> None:
        """Compile a response format, so that no reply waits for it.

        Raises:
            ConfigError: it is wrong, or exceeds a limit; the message says where.
            MissingExtraError: llguidance is not installed.
        """
        self.engine.grammars.check(response_format)

    @property
    def max_batch(self) -> int:
        """Sequences computed together, at most; what vLLM was started with is the most."""
        return self.engine.max_batch

    @max_batch.setter
    def max_batch(self, value: int) -> None:
        self.engine.max_batch = min(value, self.engine.most_rows)

    @property
    def concurrency(self) -> int:
        """Replies that a server asks for at once."""
        return self.max_batch


def supported_points(hooks_act: bool) -> frozenset[ControlPoint]:
    """Where controls can act in vLLM.

    Args:
        hooks_act: whether the model calls hooks on its layers.
    """
    points: frozenset[ControlPoint] = frozenset({"messages", "embeddings", "logits"})
    return points | {"residual"} if hooks_act else points


def limits_of(config: Any, tokenizer: Any) -> RoundLimits:
    """The limits in vLLM's configuration, once its engine has started."""
    declared = getattr(tokenizer, "model_max_length", None) or 1 << 24
    return RoundLimits(
        context_length=min(int(config.model_config.max_model_len), int(declared)),
        max_batch=int(config.scheduler_config.max_num_seqs),
        block_size=int(config.cache_config.block_size),
        blocks=int(config.cache_config.num_gpu_blocks) - 1,  # vLLM keeps one empty
        hidden_size=int(config.model_config.get_hidden_size()),
        dtype=config.model_config.dtype,
    )


def stop_ids_of(config: Any, template: Template) -> frozenset[int]:
    """The tokens that end a reply, found as for a local model."""
    declared = config.model_config.try_get_generation_config() or {}
    generation = SimpleNamespace(eos_token_id=declared.get("eos_token_id"))
    return stop_ids(SimpleNamespace(config=config.model_config.hf_config, generation_config=generation), template)


def grammars_of(config: Any) -> GrammarCache:
    """What compiles response formats for the model of vLLM's configuration; its tokenizer is read for the first."""

    def tokenizer() -> Any:
        words = _tokenizer(config.model_config.tokenizer)
        ends = stop_ids_of(config, Template(words))
        return grammar_tokenizer(words, int(config.model_config.get_vocab_size()), ends)

    return GrammarCache(tokenizer)


def _known_options() -> list[str]:
    from dataclasses import fields

    with patch.dict(os.environ, prepare_environment(in_process=True)):
        from vllm.engine.arg_utils import EngineArgs
    return [field.name for field in fields(EngineArgs)]


def _start(source: str, options: dict[str, Any]) -> Any:
    """Start vLLM's engine in this process."""
    with patch.dict(os.environ, prepare_environment(in_process=True)):
        from vllm.engine.arg_utils import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        try:
            _engines.append(LLMEngine.from_engine_args(EngineArgs(**options)))
        except ValidationError as error:  # of the settings: its first line says only how many are wrong
            wrong = "; ".join(": ".join([*map(str, found["loc"]), found["msg"]]) for found in error.errors())
            raise ModelError(f"vLLM cannot load model {source!r} with these settings: {wrong}") from error
        except Exception as error:  # whatever vLLM and the model's code raise
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"vLLM cannot load model {source!r}: {first}. Try a smaller context_length, more memory for its cache, "
                "or a model that vLLM supports"
            ) from error
    return _engines[-1]


_engines: list[Any] = []
"""All engines of this process. With one of them, vLLM would tear down what the others need as well."""


def _tokenizer(folder: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)
