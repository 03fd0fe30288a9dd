"""Compiled response formats: what may come next in a reply, token by token (llguidance).

A grammar is compiled once for a tokenizer. Every reply gets a copy of the compiled one, a *matcher*, and tells it each
token that was drawn. llguidance bounds the work of compiling and of every step, so a hostile format costs its own
request, not the engine.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from telic.errors import ConfigError, MissingExtraError
from telic.models.response_format import ResponseFormat

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

__all__ = ["JSON_STYLE", "GrammarCache", "matches"]

JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""How JSON is written: on one line, as `json.dumps` does. A model that may choose its white space may go on with it for
ever."""
LIMITS: dict[str, Any] = {
    "max_grammar_size": 20_000,
    "max_items_in_row": 1000,
    "step_max_items": 10_000,
    "max_lexer_states": 50_000,
    "verbose_errors": False,
}
"""llguidance's limits, where they differ from its own. They bound a compilation to about a second, a step to a tenth of
one, and a reply's matcher to some 30 MB."""
CACHED = 32
"""Formats that stay compiled; a large one takes some 15 MB."""
LOCATE_SECONDS = 1.0
"""Time to find the part of a bad schema that is at fault."""

_MAPS = ("properties", "patternProperties", "$defs", "definitions")
"""Keywords whose values are schemas by name."""


class GrammarCache:
    """Compiles response formats for one tokenizer, each once.

    Args:
        make_tokenizer: makes llguidance's tokenizer; called when the first format is compiled.
    """

    def __init__(self, make_tokenizer: Callable[[], LLTokenizer]) -> None:
        self._make_tokenizer = make_tokenizer
        self._tokenizer: LLTokenizer | None = None
        self._compiled: OrderedDict[ResponseFormat, LLMatcher | str] = OrderedDict()
        """Matchers at their start, or the reason why there is none; the most recently used last."""
        self._lock = threading.Lock()
        """Held where `_compiled` is used; never while a format is compiled."""
        self._compiling = threading.Lock()

    def matcher(self, response_format: ResponseFormat) -> LLMatcher:
        """Return a matcher for one reply.

        Raises:
            ConfigError: the format is wrong, or exceeds a limit. The message says where.
            MissingExtraError: llguidance is not installed.
        """
        return self._compiled_matcher(response_format).deep_copy()

    def check(self, response_format: ResponseFormat) -> None:
        """Compile a format, so that no reply waits for it. Raises what `matcher` raises."""
        self._compiled_matcher(response_format)

    def is_known(self, response_format: ResponseFormat) -> bool:
        """Whether a format is compiled, or found to be wrong, already."""
        return self._known(response_format) is not None

    def _compiled_matcher(self, response_format: ResponseFormat) -> LLMatcher:
        compiled = self._known(response_format)
        if compiled is None:
            with self._compiling:
                compiled = self._known(response_format) or self._compile(response_format)
            with self._lock:
                self._compiled[response_format] = compiled
                if len(self._compiled) > CACHED:
                    self._compiled.popitem(last=False)
        if isinstance(compiled, str):
            raise ConfigError(compiled)
        return compiled

    def _known(self, response_format: ResponseFormat) -> LLMatcher | str | None:
        with self._lock:
            if response_format in self._compiled:
                self._compiled.move_to_end(response_format)
            return self._compiled.get(response_format)

    def _compile(self, response_format: ResponseFormat) -> LLMatcher | str:
        try:
            self._tokenizer = self._tokenizer or self._make_tokenizer()
        except ModuleNotFoundError:
            raise MissingExtraError("a response format", "local") from None
        try:
            matcher = _start(self._tokenizer, _grammar(response_format, self._tokenizer))
        except ValueError as error:
            problem, place = str(error), ""
            if response_format.kind == "json_schema":
                place = _locate(self._tokenizer, response_format.schema)
            return f"response format: {response_format.kind}{place and f', at {place}'}: {problem}"
        return matcher


def matches(response_format: ResponseFormat, text: str) -> bool:
    """Whether a whole text has a format, its JSON written in any way.

    Raises:
        ConfigError: the format is wrong.
        MissingExtraError: llguidance is not installed.
    """
    matcher = _bytes_cache().matcher(response_format)
    if response_format.is_json:
        try:  # in the style of constrained replies, whatever white space it has
            text = json.dumps(json.loads(text), ensure_ascii=False)
        except (ValueError, RecursionError):
            return False
    tokens = list(text.encode("utf-8", "surrogatepass"))
    return matcher.validate_tokens(tokens) == len(tokens) and matcher.consume_tokens(tokens) and matcher.is_accepting()


@cache
def _bytes_cache() -> GrammarCache:
    """Grammars whose tokens are bytes."""

    def make() -> LLTokenizer:
        from llguidance import LLTokenizer

        return LLTokenizer("byte")

    return GrammarCache(make)


def _grammar(response_format: ResponseFormat, tokenizer: LLTokenizer) -> str:
    """Translate a format into llguidance's grammars."""
    from llguidance import LLMatcher, StructTag

    text, trigger = response_format.text, response_format.trigger
    match response_format.kind:
        case "json_object" | "json_schema":
            return LLMatcher.grammar_from_json_schema(text, overrides=JSON_STYLE)  # type: ignore[arg-type]
        case "regex":
            return LLMatcher.grammar_from_regex(text)
        case "choice":
            options = " | ".join(json.dumps(option, ensure_ascii=False) for option in json.loads(text))
            return LLMatcher.grammar_from_lark(f"start: {options}")
        case "lark" if trigger:
            tag = StructTag(trigger=trigger, begin=trigger, grammar=text, end="")
            tokens = tokenizer.tokenize_str(trigger, parse_special=True)
            special = len(tokens) == 1 and tokenizer.is_special_token(tokens[0])
            return StructTag.to_grammar([tag], assume_special=special)
        case _:
            return LLMatcher.grammar_from_lark(text)


def _start(tokenizer: LLTokenizer, grammar: str) -> LLMatcher:
    """Make a matcher that is ready for the first token.

    Raises:
        ValueError: the grammar is wrong, exceeds a limit, or no text matches it.
    """
    from llguidance import LLMatcher, LLParserLimits

    matcher = LLMatcher(tokenizer, grammar, log_level=0, limits=LLParserLimits(**LIMITS))
    if not matcher.is_error():
        matcher.compute_bitmask()  # its first mask takes the longest, and a copy keeps what it has learnt
    if matcher.is_error():
        raise ValueError(_first_lines(matcher.get_error()))
    return matcher


def _first_lines(error: str) -> str:
    """What a message of llguidance says, without its state and its backtrace."""
    if error.startswith("NoExtensionBias"):
        return "no text matches it"
    told = error.partition("\n<")[0].removeprefix("panic: ")
    return " ".join(told.split())[:300]


def _locate(tokenizer: LLTokenizer, schema: dict[str, Any]) -> str:
    """Find the innermost part of a bad schema that is bad by itself; return its JSON pointer, empty for the whole."""
    shared = {name: schema[name] for name in ("$defs", "definitions") if name in schema}
    deadline = time.monotonic() + LOCATE_SECONDS

    def bad(part: dict[str, Any]) -> bool:
        if time.monotonic() > deadline:
            return False
        try:
            text = json.dumps({**shared, **part})
            _start(tokenizer, _grammar(ResponseFormat("json_schema", text), tokenizer))
        except ValueError:
            return True
        return False

    place, part = "", schema
    while found := next((one for one in _parts(part) if bad(one[1])), None):
        place, part = f"{place}/{found[0]}", found[1]
    return place


def _parts(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the schemas directly within a schema, with their place in it."""
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            yield from ((f"{key}/{name}", part) for name, part in value.items() if isinstance(part, dict))
        elif isinstance(value, list):
            yield from ((f"{key}/{index}", part) for index, part in enumerate(value) if isinstance(part, dict))
        elif isinstance(value, dict):
            yield key, value
