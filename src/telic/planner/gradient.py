"""How likely a frozen model says given utterances after prefix tokens, with the gradient in those.

The contexts are read once, without gradient, by the engine: what is kept of each is its keys and values, and the state
that it leaves the model in. Only the prefix tokens and the utterance run with gradient, against fixed keys and values.
That is the gradient of the whole pass, because prefix tokens stand at the prompt's end, where no context token sees
them; and it costs a few dozen tokens where the whole pass costs hundreds.

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

__all__ = ["Example", "Losses", "Utterances", "cut_after_question"]

READ_ONCE = 64
"""Contexts read in one call, which bounds what the engine holds of them."""
CACHE_BYTES = 2 << 30
"""Of the contexts' keys and values, so much is kept; the rest is read again when needed."""


@dataclass(frozen=True, slots=True)
class Example:
    """Something worth saying, and to what."""

    messages: tuple[Message, ...]
    """The dialogue up to the reply, as the model is told it."""
    text: str
    """The reply."""
    ends: bool = True
    """Whether the reply ends there, so that its end is learnt as well; not so for one that was cut short."""


class Losses(NamedTuple):
    """What came of a batch."""

    loss_B: torch.Tensor
    """Of each utterance, summed over its tokens, in nats; with gradient."""
    tokens_B: torch.Tensor
    """Number of tokens of each."""


def cut_after_question(example: Example) -> Example | None:
    """The example with its text cut after the last question mark; None if there is no question in it."""
    end = example.text.rfind("?") + 1
    if not end:
        return None
    return example if end == len(example.text) else replace(example, text=example.text[:end], ends=False)


@dataclass(slots=True)
class _Context:
    """A prompt, as far as it was read."""

    messages: tuple[Message, ...]
    state_D: torch.Tensor | None = None
    length: int = 0
    last: int = 0
    """Its last token."""
    keys_values: torch.Tensor | None = field(default=None, repr=False)
    """[layers, 2, kv_heads, C, head_dim]."""


class Utterances:
    """Examples, ready to be learnt from.

    Args:
        model: the frozen model, which runs in this process.
        examples: what is to be said.
        cache_bytes: memory for the contexts' keys and values.

    Raises:
        ConfigError: there are no examples, or a text is empty.
        ModelError: a context does not fit into the model's.
    """

    def __init__(self, model: LocalModel, examples: Sequence[Example], cache_bytes: int = CACHE_BYTES) -> None:
        if not examples:
            raise ConfigError("there are no examples to learn from")
        self.model, self._free = model, cache_bytes
        self._end = _closing(model)
        known: dict[tuple[Message, ...], int] = {}
        self._place = [known.setdefault(example.messages, len(known)) for example in examples]
        self._contexts = [_Context(messages) for messages in known]
        self._tokens = [self._tokens_of(example) for example in examples]
        for first in range(0, len(self._contexts), READ_ONCE):
            contexts = self._contexts[first : first + READ_ONCE]
            self._read(contexts)
            self._forget(contexts)
        for number, place in enumerate(self._place):
            if self._contexts[place].length + len(self._tokens[number]) >= model.context:
                raise ModelError(f"example {number} does not fit into the context of model {model.name!r}")

    def __len__(self) -> int:
        return len(self._place)

    @property
    def tokens(self) -> list[int]:
        """Number of tokens of each utterance."""
        return [len(tokens) for tokens in self._tokens]

    @property
    def states(self) -> torch.Tensor:
        """float32 [N, D]: the state of each example's context, on the CPU."""
        found = [self._contexts[place].state_D for place in self._place]
        return torch.stack([state_D for state_D in found if state_D is not None])

    def nll(self, index_B: Sequence[int], prefixes_B_L_D: torch.Tensor) -> Losses:
        """How unlikely some of the utterances are after prefix tokens: the negative log-likelihoods.

        Args:
            index_B: which examples.
            prefixes_B_L_D: what stands before each; at least one token.

        Raises:
            ConfigError: there is no prefix token.
        """
        found = self._steered(index_B, prefixes_B_L_D)
        return found.summed(torch.nn.functional.cross_entropy(found.logits_M_V, found.tokens_M, reduction="none"))

    def divergence(self, index_B: Sequence[int], prefixes_B_L_D: torch.Tensor) -> Losses:
        """How far prefix tokens move the model along some of the utterances: KL(without them || with them).

        Soft targets (Hinton et al., arXiv 1503.02531): each token tells of all others that might have been said, where
        its likelihood tells of itself. Arguments and errors as for `nll`.
        """
        found = self._steered(index_B, prefixes_B_L_D)
        with torch.no_grad():
            lasts_B = torch.tensor([self._contexts[self._place[number]].last for number in index_B])
            last_B_1_D = self.model.model.get_input_embeddings()(lasts_B[:, None].to(found.logits_M_V.device))
            unsteered_M_V = self._logits(index_B, last_B_1_D, less=1).logits_M_V.log_softmax(-1)
        steered_M_V = found.logits_M_V.log_softmax(-1)
        apart_M_V = torch.nn.functional.kl_div(steered_M_V, unsteered_M_V, reduction="none", log_target=True)
        return found.summed(apart_M_V.sum(-1))

    def _steered(self, index_B: Sequence[int], prefixes_B_L_D: torch.Tensor) -> _Logits:
        if not prefixes_B_L_D.shape[1]:
            raise ConfigError("without a prefix token there is nothing to learn: the model is frozen")
        return self._logits(index_B, prefixes_B_L_D)

    def _logits(self, index_B: Sequence[int], before_B_L_D: torch.Tensor, less: int = 0) -> _Logits:
        """Run utterances after `before`, which follows on the contexts without their last so many tokens."""
        network = self.model.model
        tokens = [self._tokens[number] for number in index_B]
        count, longest = before_B_L_D.shape[1], max(map(len, tokens))
        past = self._past([self._contexts[self._place[number]] for number in index_B], less)
        device = network.device
        padded_B_U = torch.tensor([[*own, *[0] * (longest - len(own))] for own in tokens], device=device)
        lengths_B = torch.tensor([len(own) for own in tokens], device=device)
        spoken_B_U = torch.arange(longest, device=device) < lengths_B[:, None]
        embedded = network.get_input_embeddings()(padded_B_U[:, :-1])
        inputs = torch.cat([before_B_L_D.to(embedded), embedded], dim=1)
        # The last token is predicted only, and all tokens before the utterance are seen.
        seen = torch.cat([past.read_B_C, spoken_B_U.new_ones(len(tokens), count), spoken_B_U[:, : longest - 1]], dim=1)
        output = network(
            inputs_embeds=inputs,
            attention_mask=seen.long(),
            position_ids=past.read_B_C.sum(1, keepdim=True) + torch.arange(inputs.shape[1], device=device),
            past_key_values=DynamicCache(past.layers),
            logits_to_keep=0,  # all: for some of each row, torch would copy the output matrix for every row
        )
        # Token by token: along the vocabulary, which is contiguous, and without what is padded.
        logits_M_V = output.logits[:, count - 1 :][spoken_B_U].float()
        return _Logits(logits_M_V, padded_B_U[spoken_B_U], lengths_B)

    def _tokens_of(self, example: Example) -> tuple[int, ...]:
        ids = self.model.tokenizer(example.text, add_special_tokens=False)["input_ids"]
        if not ids:
            raise ConfigError("an example has no text; expected what is to be said")
        return (*ids, *self._end) if example.ends else tuple(ids)

    def _read(self, contexts: Sequence[_Context]) -> None:
        """Let the engine read prompts, all in one batch; keep their keys and values."""
        if not contexts:
            return
        caches = [SessionCache() for _ in contexts]
        once = Sampling(max_new_tokens=1, temperature=0.0, seed=0)
        replies = self.model.generate(
            [
                Request(context.messages, once, readings=frozenset({"state"}), cache=cache)
                for context, cache in zip(contexts, caches, strict=True)
            ]
        )
        for context, cache, reply in zip(contexts, caches, replies, strict=True):
            read = cache.key_values
            if not isinstance(read, KeyValueCache) or reply.state is None:
                raise ModelError(
                    f"a context of {reply.prompt_tokens} tokens cannot be read: {reply.failure or reply.finish}"
                )
            context.state_D, context.length = torch.from_numpy(reply.state), len(read.tokens)
            context.last = read.tokens[-1]
            context.keys_values = torch.cat([segment.keys_values for segment in read.segments], dim=3)
            self._free -= context.keys_values.nbytes

    def _past(self, contexts: Sequence[_Context], less: int) -> _Past:
        """What contexts have left, without the last so many tokens; those that were forgotten are read again."""
        self._read(list({id(context): context for context in contexts if context.keys_values is None}.values()))
        known = [context.keys_values for context in contexts if context.keys_values is not None]
        past = _side_by_side([found[:, :, :, : found.shape[3] - less] for found in known])
        self._forget(contexts)
        return past

    def _forget(self, contexts: Sequence[_Context]) -> None:
        """Keep within the memory: what does not fit is read again when it is needed."""
        for context in contexts:
            if self._free < 0 and context.keys_values is not None:
                self._free += context.keys_values.nbytes
                context.keys_values = None


def _closing(model: LocalModel) -> tuple[int, ...]:
    """The token with which the chat template closes a reply, if that is one at which the model stops."""
    turn = [Message(role="user", content="Hi"), Message(role="assistant", content="Hi")]
    rendering = model.render(turn, reply=False)
    after = rendering.token_ids[rendering.contents[1].end :][:1]
    return after if set(after) <= model.engine.stop_ids else ()


class _Logits(NamedTuple):
    """What the model expects at each token of a batch's utterances, M in all."""

    logits_M_V: torch.Tensor
    tokens_M: torch.Tensor
    """What was said."""
    lengths_B: torch.Tensor

    def summed(self, loss_M: torch.Tensor) -> Losses:
        """Losses of the tokens, by utterance."""
        row_M = torch.arange(len(self.lengths_B), device=loss_M.device).repeat_interleave(self.lengths_B)
        return Losses(loss_M.new_zeros(len(self.lengths_B)).index_add(0, row_M, loss_M), self.lengths_B)


class _Past(NamedTuple):
    """What several contexts have left, side by side."""

    layers: list[tuple[torch.Tensor, torch.Tensor]]
    """Keys and values, [B, kv_heads, C, head_dim] each."""
    read_B_C: torch.Tensor
    """bool: which entries there are."""


def _side_by_side(pasts: Sequence[torch.Tensor]) -> _Past:
    """Keys and values of several contexts as one batch.

    They end together, so that a token is as many entries away from another as it is positions, which is what a
    sliding window counts.
    """
    layers, _, heads, _, dim = pasts[0].shape
    longest = max(past.shape[3] for past in pasts)
    batch = pasts[0].new_zeros(layers, 2, len(pasts), heads, longest, dim)
    read_B_C = torch.zeros(len(pasts), longest, dtype=torch.bool, device=batch.device)
    for b, past in enumerate(pasts):
        batch[:, :, b, :, longest - past.shape[3] :] = past
        read_B_C[b, longest - past.shape[3] :] = True
    return _Past([(layer[0], layer[1]) for layer in batch], read_B_C)
