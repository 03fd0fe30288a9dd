"""Losses of given utterances after prefix tokens, with their gradient through the frozen model.

The engine reads each context once, without gradient. Its keys and values and the last hidden state are kept. Only the
prefix tokens and the utterance run with gradient, on top of the fixed keys and values. This is the gradient of the
whole pass, because prefix tokens stand at the end of the prompt, where no context token attends to them. It costs a few
dozen tokens, where the whole pass costs hundreds.

Shapes: B batch, N examples, D hidden, L prefix tokens, U utterance tokens, C context tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from transformers import DynamicCache

from telic.dialogue import Message
from telic.errors import ConfigError, ModelError
from telic.models.local import LocalModel
from telic.models.local.cache import KeyValueCache
from telic.models.request import Request, Sampling
from telic.models.session_cache import SessionCache

__all__ = ["BatchLosses", "UtteranceExample", "UtteranceLosses", "cut_after_question"]

READ_ONCE = 64
"""Contexts that are read in one call, which bounds the memory of the engine."""
CACHE_BYTES = 2 << 30
"""Memory for the keys and values of contexts; those that do not fit are read again when they are needed."""


@dataclass(frozen=True, slots=True)
class UtteranceExample:
    """An utterance to learn, and the dialogue before it."""

    messages: tuple[Message, ...]
    """The dialogue up to the reply, as the model reads it."""
    text: str
    """The reply."""
    ends: bool = True
    """Whether the reply ends after the text, so that its end is learnt too; False for a reply that was cut short."""


class BatchLosses(NamedTuple):
    """Losses of a batch of utterances."""

    loss_B: torch.Tensor
    """Loss of each utterance, summed over its tokens, in nats; with gradient."""
    tokens_B: torch.Tensor
    """Number of tokens of each utterance."""


def cut_after_question(example: UtteranceExample) -> UtteranceExample | None:
    """Cut the text of an example after its last question mark; None if it has none."""
    end = example.text.rfind("?") + 1
    if not end:
        return None
    return example if end == len(example.text) else replace(example, text=example.text[:end], ends=False)


@dataclass(slots=True)
class _PromptContext:
    """A prompt, and what the engine read of it."""

    messages: tuple[Message, ...]
    state_D: torch.Tensor | None = None
    length: int = 0
    last: int = 0
    """The last token."""
    keys_values: torch.Tensor | None = field(default=None, repr=False)
    """[layers, 2, kv_heads, C, head_dim]."""


class UtteranceLosses:
    """Losses of examples under a frozen model, as functions of prefix tokens.

    Args:
        model: the frozen model, which runs in this process.
        examples: the utterances, N.
        cache_bytes: memory for the keys and values of the contexts.

    Raises:
        ConfigError: there are no examples, or a text is empty.
        ModelError: a dialogue or an utterance does not fit into the context of the model.
    """

    def __init__(self, model: LocalModel, examples: Sequence[UtteranceExample], cache_bytes: int = CACHE_BYTES) -> None:
        if not examples:
            raise ConfigError("examples is empty; pass at least one")
        self.model, self._free = model, cache_bytes
        self._end = _closing(model)
        known: dict[tuple[Message, ...], int] = {}
        self._place = [known.setdefault(example.messages, len(known)) for example in examples]
        self._contexts = [_PromptContext(messages) for messages in known]
        self._tokens = [self._tokens_of(index, example) for index, example in enumerate(examples)]
        for first in range(0, len(self._contexts), READ_ONCE):
            contexts = self._contexts[first : first + READ_ONCE]
            self._read(contexts)
            self._evict(contexts)
        for number, place in enumerate(self._place):
            if self._contexts[place].length + len(self._tokens[number]) >= model.context_length:
                raise ModelError(
                    f"example {number} does not fit into the context of model {model.name!r} "
                    f"({model.context_length} tokens)",
                    "context_full",
                )

    def __len__(self) -> int:
        return len(self._place)

    @property
    def tokens(self) -> list[int]:
        """Number of tokens of each utterance."""
        return [len(tokens) for tokens in self._tokens]

    @property
    def states(self) -> torch.Tensor:
        """The state of each example's context: float32 [N, D], on the CPU."""
        found = [self._contexts[place].state_D for place in self._place]
        return torch.stack([state_D for state_D in found if state_D is not None])

    def nll(self, index_B: Sequence[int], prefixes_B_L_D: torch.Tensor) -> BatchLosses:
        """Compute the negative log-likelihood of some of the utterances after prefix tokens.

        Args:
            index_B: indices of the examples.
            prefixes_B_L_D: the prefix tokens before each utterance, at least one.

        Raises:
            ConfigError: there is no prefix token.
        """
        found = self._with_prefix(index_B, prefixes_B_L_D)
        return found.summed(torch.nn.functional.cross_entropy(found.logits_M_V, found.tokens_M, reduction="none"))

    def divergence(self, index_B: Sequence[int], prefixes_B_L_D: torch.Tensor) -> BatchLosses:
        """Compute KL(without the prefix tokens || with them) along some of the utterances.

        The targets are soft (Hinton et al., arXiv 1503.02531): they hold the probability of every token, where the
        log-likelihood looks at the token that was said. Arguments and errors are those of `nll`.
        """
        found = self._with_prefix(index_B, prefixes_B_L_D)
        with torch.no_grad():
            lasts_B = torch.tensor([self._contexts[self._place[number]].last for number in index_B])
            last_B_1_D = self.model.model.get_input_embeddings()(lasts_B[:, None].to(found.logits_M_V.device))
            baseline_M_V = self._logits(index_B, last_B_1_D, drop_last=1).logits_M_V.log_softmax(-1)
        steered_M_V = found.logits_M_V.log_softmax(-1)
        apart_M_V = torch.nn.functional.kl_div(steered_M_V, baseline_M_V, reduction="none", log_target=True)
        return found.summed(apart_M_V.sum(-1))

    def _with_prefix(self, index_B: Sequence[int], prefixes_B_L_D: torch.Tensor) -> _Logits:
        if not prefixes_B_L_D.shape[1]:
            raise ConfigError(
                "the planner has no prefix tokens, and the model is frozen: nothing can be learnt; expected 1 token "
                "or more"
            )
        return self._logits(index_B, prefixes_B_L_D)

    def _logits(self, index_B: Sequence[int], before_B_L_D: torch.Tensor, drop_last: int = 0) -> _Logits:
        """Run `before` and the utterances on top of the contexts, the last `drop_last` tokens of which are left out."""
        network = self.model.model
        tokens = [self._tokens[number] for number in index_B]
        count, longest = before_B_L_D.shape[1], max(map(len, tokens))
        past = self._batch([self._contexts[self._place[number]] for number in index_B], drop_last)
        device = network.device
        padded_B_U = torch.tensor([[*own, *[0] * (longest - len(own))] for own in tokens], device=device)
        lengths_B = torch.tensor([len(own) for own in tokens], device=device)
        spoken_B_U = torch.arange(longest, device=device) < lengths_B[:, None]
        embedded = network.get_input_embeddings()(padded_B_U[:, :-1])
        inputs = torch.cat([before_B_L_D.to(embedded), embedded], dim=1)
        # The last token is only predicted, and every token before the utterance is attended to.
        seen = torch.cat([past.read_B_C, spoken_B_U.new_ones(len(tokens), count), spoken_B_U[:, : longest - 1]], dim=1)
        output = network(
            inputs_embeds=inputs,
            attention_mask=seen.long(),
            position_ids=past.read_B_C.sum(1, keepdim=True) + torch.arange(inputs.shape[1], device=device),
            past_key_values=DynamicCache(past.layers),
            logits_to_keep=0,  # all: to keep some of each row, torch would copy the output matrix for every row
        )
        # Token by token: contiguous along the vocabulary, and without the padding.
        logits_M_V = output.logits[:, count - 1 :][spoken_B_U].float()
        return _Logits(logits_M_V, padded_B_U[spoken_B_U], lengths_B)

    def _tokens_of(self, index: int, example: UtteranceExample) -> tuple[int, ...]:
        ids = self.model.template.encoder.encode(example.text)
        if not ids:
            raise ConfigError(f"examples[{index}] has the text {example.text!r}; expected an utterance")
        return (*ids, *self._end) if example.ends else tuple(ids)

    def _read(self, contexts: Sequence[_PromptContext]) -> None:
        """Read prompts with the engine in one batch, and keep their keys and values."""
        if not contexts:
            return
        caches = [SessionCache() for _ in contexts]
        sampling = Sampling(max_new_tokens=1, temperature=0.0, seed=0)
        replies = self.model.generate(
            [
                Request(context.messages, sampling, readings=frozenset({"state"}), cache=cache)
                for context, cache in zip(contexts, caches, strict=True)
            ]
        )
        for context, cache, reply in zip(contexts, caches, replies, strict=True):
            read = cache.key_values
            if not isinstance(read, KeyValueCache) or reply.state is None:
                failure = reply.failure
                raise ModelError(
                    f"the dialogue of an example ({reply.prompt_tokens} tokens) cannot be read: "
                    f"{failure.detail if failure else reply.finish}",
                    failure.kind if failure else "exception",
                )
            context.state_D, context.length = torch.from_numpy(reply.state), len(read.tokens)
            context.last = read.tokens[-1]
            context.keys_values = torch.cat([segment.keys_values for segment in read.segments], dim=3)
            self._free -= context.keys_values.nbytes

    def _batch(self, contexts: Sequence[_PromptContext], drop_last: int) -> _ContextBatch:
        """Batch the keys and values of contexts without their last `drop_last` tokens; read evicted ones again."""
        self._read(list({id(context): context for context in contexts if context.keys_values is None}.values()))
        known = [context.keys_values for context in contexts if context.keys_values is not None]
        past = _batched([found[:, :, :, : found.shape[3] - drop_last] for found in known])
        self._evict(contexts)
        return past

    def _evict(self, contexts: Sequence[_PromptContext]) -> None:
        """Drop keys and values until the rest fits into the memory."""
        for context in contexts:
            if self._free < 0 and context.keys_values is not None:
                self._free += context.keys_values.nbytes
                context.keys_values = None


def _closing(model: LocalModel) -> tuple[int, ...]:
    """Find the token with which the chat template closes a reply, if the model stops at it."""
    turn = [Message(role="user", content="Hi"), Message(role="assistant", content="Hi")]
    rendering = model.render(turn, reply=False)
    after = rendering.token_ids[rendering.contents[1].end :][:1]
    return after if set(after) <= model.engine.stop_ids else ()


class _Logits(NamedTuple):
    """The logits at each token of a batch of utterances, M tokens in all."""

    logits_M_V: torch.Tensor
    tokens_M: torch.Tensor
    """The tokens that were said."""
    lengths_B: torch.Tensor

    def summed(self, loss_M: torch.Tensor) -> BatchLosses:
        """Sum the losses of tokens [M] over each utterance."""
        row_M = torch.arange(len(self.lengths_B), device=loss_M.device).repeat_interleave(self.lengths_B)
        return BatchLosses(loss_M.new_zeros(len(self.lengths_B)).index_add(0, row_M, loss_M), self.lengths_B)


class _ContextBatch(NamedTuple):
    """Keys and values of several contexts as one batch."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    """Keys and values of each layer, [B, kv_heads, C, head_dim] each."""
    read_B_C: torch.Tensor
    """bool: which entries are tokens, not padding."""


def _batched(pasts: Sequence[torch.Tensor]) -> _ContextBatch:
    """Batch the keys and values of several contexts, padded on the left.

    Padding on the left keeps the distance of two tokens in entries equal to their distance in positions, which a
    sliding window counts.
    """
    layers, _, heads, _, dim = pasts[0].shape
    longest = max(past.shape[3] for past in pasts)
    batch = pasts[0].new_zeros(layers, 2, len(pasts), heads, longest, dim)
    read_B_C = torch.zeros(len(pasts), longest, dtype=torch.bool, device=batch.device)
    for b, past in enumerate(pasts):
        batch[:, :, b, :, longest - past.shape[3] :] = past
        read_B_C[b, longest - past.shape[3] :] = True
    return _ContextBatch([(layer[0], layer[1]) for layer in batch], read_B_C)
