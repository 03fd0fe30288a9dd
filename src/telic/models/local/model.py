"""A model that runs in this process: any causal model of `transformers`, with access to its internals."""

from __future__ import annotations

from typing import Any, get_args

from telic.models.control import ControlPoint
from telic.models.engine_model import EngineModel
from telic.models.grammars import GrammarCache
from telic.models.local.cache_pool import CachePool
from telic.models.local.checkpoints import context_length, stop_ids
from telic.models.local.constraint import grammar_tokenizer
from telic.models.local.engine import Engine
from telic.models.local.forward import Runner
from telic.models.local.memory import device_memory, release_free_memory
from telic.models.local.products import speed_up_products
from telic.models.local.thread_governor import ThreadGovernor
from telic.models.request import READINGS
from telic.models.response_format import ResponseFormat
from telic.rendering import Template

__all__ = ["LocalModel"]


class LocalModel(EngineModel):
    """A causal language model in this process.

    Args:
        model: a loaded model of `transformers`.
        tokenizer: its fast tokenizer.
        name: what reports call it.
        max_batch: sequences computed together.
        cache_bytes: memory for the sessions' caches; by default a third of this machine's, or of what the weights leave
            free on a GPU.
        batch_bytes: memory for the keys and values of what is computed together, which takes fewer sequences where they
            are long; by default a quarter of that memory.
        paged: whether these are kept in blocks, so that their memory is what is used and not that of the longest
            sequence for each; by default on a GPU.
        thread_governor: adapts the number of processor threads before a pass; by default it stays as it is.

    Raises:
        ModelError: the engine does not support this kind of model; the message says why.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        name: str,
        *,
        max_batch: int = 64,
        cache_bytes: int | None = None,
        batch_bytes: int | None = None,
        paged: bool | None = None,
        thread_governor: ThreadGovernor | None = None,
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        template = Template(tokenizer)
        self.runner = Runner(self.model, thread_governor, paged=paged)
        vocabulary = self.model.get_output_embeddings()
        speed_up_products(self.model)
        ends = stop_ids(model, template)
        release_free_memory()  # of loading the weights
        memory = device_memory(self.runner.device)
        self.engine = Engine(
            self.runner,
            template,
            GrammarCache(lambda: grammar_tokenizer(tokenizer, vocabulary.weight.shape[0], ends)),
            max_batch=max_batch,
            context_length=context_length(model, tokenizer),
            stop_ids=ends,
            pool=CachePool(memory // 3 if cache_bytes is None else cache_bytes),
            batch_bytes=memory // 4 if batch_bytes is None else batch_bytes,
        )
        super().__init__(name, template, self.engine, frozenset(get_args(ControlPoint)), READINGS)

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.runner.hidden_size

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        return self.runner.layers

    @property
    def cache_bytes(self) -> int:
        """Memory that the sessions' caches hold; waits for the current pass."""
        with self._lock:
            return self.engine.pool.nbytes

    def spare_core(self) -> None:
        """Leave a core to other threads of this process, unless the number of threads is fixed."""
        if self.runner.thread_governor is not None:
            self.runner.thread_governor.spared = 1

    def check_format(self, response_format: ResponseFormat) -> None:
        """Compile a response format, so that no reply waits for it.

        Raises:
            ConfigError: it is wrong, or exceeds a limit; the message says where.
            MissingExtraError: llguidance is not installed.
        """
        self.engine.grammars.check(response_format)

    @property
    def max_batch(self) -> int:
        """Sequences computed together, at most."""
        return self.engine.max_batch

    @max_batch.setter
    def max_batch(self, value: int) -> None:
        with self._lock:
            self.engine.max_batch = value

    def limit(self, *, max_batch: int, context_length: int, cache_bytes: int | None = None) -> None:
        """Lower the engine's limits, as a server does; a limit that is lower already stays.

        Args:
            max_batch: sequences computed together.
            context_length: longest sequence, in tokens.
            cache_bytes: memory for the sessions' caches; None leaves it as it is.
        """
        with self._lock:
            self.engine.max_batch = min(self.engine.max_batch, max_batch)
            self.engine.context_length = min(self.engine.context_length, context_length)
            if cache_bytes is not None:
                self.engine.pool.budget = cache_bytes
