"""Prompts in tokens, made before a request gets a place in the batch, in any thread.

Reading a prompt takes the model a while, but a prompt that does not fit is found out without the model, and one that is
far too long without the tokenizer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from tokenizers.models import BPE

from telic.dialogue import Message, ToolDefinition
from telic.errors import ConfigError, Failure, ModelError
from telic.models.compatibility import contrast_prompts, controlled_messages
from telic.models.grammars import GrammarCache
from telic.models.request import Reply, Request
from telic.models.response_format import ResponseFormat
from telic.models.tool_grammar import reply_format
from telic.rendering import Rendering, Template

if TYPE_CHECKING:
    from llguidance import LLMatcher

__all__ = ["Prompts", "TokenBound", "constrained", "refused_format", "render_messages", "render_prompts"]

COUNTED = 1 << 16
"""Prompts up to this number of bytes are tokenized in any case, so that a refusal names their length."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a request, and its compiled format. Requests that differ in their sampling only may share them."""

    renderings: tuple[tuple[int | None, Rendering], ...] = ()
    """The primary prompt, with None; then the contrast prompts, each with the place of its control in the request."""
    refusal: Reply | None = None
    """The reply, if the model cannot be asked."""
    response_format: ResponseFormat | None = None
    """What the reply must keep to: the request's format, or the calls of its tools."""
    matcher: LLMatcher | None = None
    """Of that format, at its start; each reply needs a copy."""


class TokenBound:
    """A lower bound on the number of tokens in a text, without tokenizing it.

    No token stands for more bytes than the longest one of the vocabulary, and the tokenizer leaves out only bytes that
    the vocabulary lacks. That holds for tokenizers that work on bytes, or fall back to them. Of others, the bound is 0.

    Args:
        tokenizer: a fast tokenizer of `transformers`.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def fewest_tokens(self, text: str) -> int:
        """Return a lower bound on the number of tokens in the text."""
        if not self.longest_token:
            return 0
        normalizer = self._tokenizer.backend_tokenizer.normalizer
        if normalizer is not None:
            text = normalizer.normalize_str(text)
        if self._takes_spaces:  # any number of them around a special token become part of it
            text = "".join(text.split())
        return -(-len(_utf8(text).translate(None, self._lacking)) // self.longest_token)

    @cached_property
    def longest_token(self) -> int:
        """Bytes of the longest token; 0 if the tokenizer may leave anything out."""
        if self._is_byte_level:
            lengths = [len(token) for token in self._vocabulary]
        elif self._falls_back_to_bytes:
            lengths = [len(_utf8(token)) for token in self._vocabulary]
        else:
            return 0
        added = self._tokenizer.added_tokens_decoder.values()
        return max(lengths + [len(_utf8(token.content)) for token in added])

    @cached_property
    def _vocabulary(self) -> dict[str, int]:
        vocabulary: dict[str, int] = self._tokenizer.backend_tokenizer.get_vocab(with_added_tokens=False)
        return vocabulary

    @cached_property
    def _is_byte_level(self) -> bool:
        """Whether it turns a text into a character for each byte, and leaves none out."""
        backend, sample = self._tokenizer.backend_tokenizer, "a é\n  1 "
        if not isinstance(backend.model, BPE) or backend.pre_tokenizer is None:
            return False
        pieces = backend.pre_tokenizer.pre_tokenize_str(sample)
        return "".join(piece for piece, _ in pieces) == "".join(_BYTE_CHARACTERS[byte] for byte in _utf8(sample))

    @cached_property
    def _falls_back_to_bytes(self) -> bool:
        model = self._tokenizer.backend_tokenizer.model
        every_byte = {f"<0x{byte:02X}>" for byte in range(256)}
        return isinstance(model, BPE) and model.byte_fallback and every_byte <= self._vocabulary.keys()

    @cached_property
    def _lacking(self) -> bytes:
        """The bytes that have no token."""
        characters = _BYTE_CHARACTERS if self._is_byte_level else []
        return bytes(byte for byte, character in enumerate(characters) if character not in self._vocabulary)

    @cached_property
    def _takes_spaces(self) -> bool:
        return any(token.lstrip or token.rstrip for token in self._tokenizer.added_tokens_decoder.values())


def _byte_characters() -> list[str]:
    """The characters that stand for bytes in a byte-level vocabulary (GPT-2): its own, if it is visible."""
    others = (chr(code) for code in range(256, 512))
    return [chr(b) if 33 <= b <= 126 or 161 <= b <= 172 or b >= 174 else next(others) for b in range(256)]


_BYTE_CHARACTERS = _byte_characters()


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def render_prompts(
    request: Request,
    template: Template,
    bound: TokenBound,
    grammars: GrammarCache,
    *,
    max_batch: int,
    context_length: int,
) -> Prompts:
    """Render a request's prompts and compile its response format, or find out that the model cannot be asked.

    Args:
        request: the request.
        template: renders dialogues.
        bound: tells which prompts are too long without tokenizing them.
        grammars: compiles response formats.
        max_batch: rows of the batch.
        context_length: longest sequence, in tokens.
    """
    try:
        form = reply_format(request, template.tool_syntax, grammars)
        contrast = contrast_prompts(request)
        _refuse_too_many_rows(request, contrast, max_batch)
        given = [(None, controlled_messages(request)), *contrast]
        user = request.speaker == "user"
        render = partial(template.render_user_turn if user else template.render, tools=request.tools)
        prompts = render_messages(
            given, template, bound, context_length=context_length, render=render, tools=request.tools
        )
        return constrained(prompts, form, grammars)
    except ModelError as error:
        return Prompts(refusal=Reply("", "error", failure=error.failure))
    except ConfigError as error:
        return refused_format(error)


def constrained(prompts: Prompts, form: ResponseFormat | None, grammars: GrammarCache) -> Prompts:
    """Give prompts the format that their reply must keep to."""
    return prompts if form is None else replace(prompts, response_format=form, matcher=grammars.matcher(form))


def refused_format(error: ConfigError) -> Prompts:
    """Refuse a request for its response format."""
    return Prompts(refusal=Reply("", "error", failure=Failure("model", "response_format", str(error))))


def render_messages(
    prompts: Sequence[tuple[int | None, tuple[Message, ...]]],
    template: Template,
    bound: TokenBound,
    *,
    context_length: int,
    render: Callable[[Sequence[Message]], Rendering],
    tools: Sequence[ToolDefinition] = (),
) -> Prompts:
    """Render prompts whose messages are known; equal ones once.

    Args:
        prompts: the primary one, with None, and the contrast prompts, with the places of their controls.
        template: renders dialogues.
        bound: tells which prompts are too long without tokenizing them.
        context_length: longest sequence, in tokens.
        render: the template's method that renders these prompts.
        tools: the tools that `render` puts into them.

    Raises:
        ModelError: the template refuses the messages.
    """
    renderings: list[tuple[int | None, Rendering]] = []
    rendered: dict[tuple[Message, ...], Rendering] = {}
    for place, messages in prompts:
        if messages not in rendered:
            if _is_long(messages, max(COUNTED, bound.longest_token * context_length)):
                least = bound.fewest_tokens(template.text(messages, tools))  # the template may leave out much of it
                if least >= context_length:
                    return _too_long(f"at least {least}", context_length)
            rendered[messages] = render(messages)
        count = len(rendered[messages].token_ids)
        if count >= context_length:
            return _too_long(str(count), context_length, count)
        renderings.append((place, rendered[messages]))
    return Prompts(tuple(renderings))


def _is_long(messages: Sequence[Message], length: int) -> bool:
    """Whether messages may have this many bytes; a character has up to 4."""
    return 4 * sum(len(message.content) for message in messages) >= length


def _too_long(count: str, context_length: int, prompt_tokens: int = 0) -> Prompts:
    detail = f"the prompt of {count} tokens leaves no room for a reply in the model's context of {context_length}"
    failure = Failure("model", "context_full", detail)
    return Prompts(refusal=Reply("", "context", prompt_tokens=prompt_tokens, failure=failure))


def _refuse_too_many_rows(request: Request, contrast: Sequence[tuple[int, object]], max_batch: int) -> None:
    """Refuse a request whose sequences will never fit into the batch together.

    Raises:
        ModelError: the request needs more rows than the batch has; names the controls.
    """
    if len(contrast) < max_batch:
        return
    names = " and ".join(dict.fromkeys(repr(request.controls[place].name) for place, _ in contrast))
    raise ModelError(
        f"{names}: a reply takes {len(contrast) + 1} rows of the batch, and this model's batch has {max_batch}; load "
        "the model with a larger max_batch",
        "batch_too_small",
    )
