"""Constrained decoding: which tokens keep a reply within its response format.

The mask acts on the logits after all controls and before a token is drawn. So controls decide what is likely, the
format what is possible, and log-probabilities are those of the constrained distribution.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from telic.errors import ConfigError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

__all__ = ["advance", "grammar_tokenizer", "mask_logits", "refusal_of"]

_VISIBLE = re.compile(r"[!-~]+")
"""Characters that every vocabulary writes as they are."""


def grammar_tokenizer(tokenizer: Any, vocabulary: int, stop_ids: Iterable[int]) -> LLTokenizer:
    """Make the tokenizer of grammars from a model's.

    Args:
        tokenizer: a fast tokenizer of `transformers`.
        vocabulary: number of logits.
        stop_ids: tokens that end a reply: they are possible where the grammar is complete.

    Raises:
        ConfigError: llguidance does not know this kind of tokenizer.
        ModuleNotFoundError: llguidance is not installed.
    """
    from llguidance import LLTokenizer

    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    parts["padding"] = parts["truncation"] = None
    words = parts["model"].get("vocab")
    if isinstance(words, dict):
        # llguidance takes every added token that looks like `<tool_call>` for a special one, which no text matches.
        plain = [
            token for token in parts["added_tokens"] if not token["special"] and _VISIBLE.fullmatch(token["content"])
        ]
        words.update({token["content"]: token["id"] for token in plain})
        parts["added_tokens"] = [token for token in parts["added_tokens"] if token not in plain]
    try:
        return LLTokenizer(
            json.dumps(parts), n_vocab=max(vocabulary, len(tokenizer)), eos_token=sorted(stop_ids) or None
        )
    except ValueError as error:
        raise ConfigError(f"response format: this model's tokenizer cannot be constrained: {error}") from None


def mask_logits(logits_R_V: torch.Tensor, matchers: Sequence[LLMatcher | None]) -> torch.Tensor:
    """Return the logits with those of impossible tokens at minus infinity.

    Args:
        logits_R_V: float32.
        matchers: one per row; None for a row without a format. `advance` tells whether one has failed.
    """
    rows = [r for r, matcher in enumerate(matchers) if matcher is not None]
    if not rows:
        return logits_R_V
    bits = b"".join(matcher.compute_bitmask() for matcher in matchers if matcher is not None)
    bits_R_B = np.frombuffer(bits, dtype=np.uint8).reshape(len(rows), -1)
    possible = np.unpackbits(bits_R_B, axis=1, count=logits_R_V.shape[1], bitorder="little").view(bool)
    possible_R_V = torch.from_numpy(possible).to(logits_R_V.device)
    index = torch.tensor(rows, device=logits_R_V.device)
    return logits_R_V.index_copy(0, index, logits_R_V[index].masked_fill(~possible_R_V, -torch.inf))


def advance(matcher: LLMatcher, token: int) -> str:
    """Tell a matcher the token that was drawn; return why the reply cannot go on, empty if it can."""
    # A matcher that failed when it computed the mask would take the token that ends the reply.
    if not matcher.is_error() and matcher.consume_token(token):
        return ""
    return refusal_of(matcher)


def refusal_of(matcher: LLMatcher) -> str:
    """Why a matcher takes no further token."""
    return f"the reply cannot go on in its response format: {matcher.get_error().partition(chr(10))[0][:300]}"
