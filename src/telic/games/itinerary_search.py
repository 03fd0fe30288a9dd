"""The search tool of the itinerary game's agent: a small query language over sites.

The grammar (arguments are optional and in any order; case is ignored; names may have spaces or underscores)::

    query    = "Search" "(" [ argument { "," argument } ] ")"
    argument = "fields" "=" "[" name { "," name } "]"
             | "filters" "=" "[" name ("==" | ">=" | "<=") value { "," ... } "]"
             | "text_query" "=" value
             | "sort_by" "=" "[" key { "," key } "]"
             | "limit" "=" number
    key      = name | "distance_to" "(" value ")"
    value    = a quoted string, or words up to the next sign

The answer to any other query says what is wrong and where.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from telic.games.itinerary_world import Site, Value, city, miles
from telic.registry import suggest

__all__ = ["Filter", "Query", "QueryError", "answer_query", "parse_query", "site_fields"]

T = TypeVar("T")

LIMIT = 10
"""Default number of listed sites."""

_TOKEN = re.compile(
    r"""\s* (?: "(?P<double>[^"]*)" | '(?P<single>[^']*)'
             | (?P<sign> [=><]= | [=()\[\],<>"] )
             | (?P<word> [^\s=()\[\],<>"]+ ) )""",
    re.VERBOSE,
)


class QueryError(ValueError):
    """A malformed query. The message addresses its author."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A condition on a field. A site with an unknown value does not meet it."""

    field: str
    sign: str
    value: Value


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query."""

    fields: tuple[str, ...] = ()
    """Fields to list besides the name; all if empty."""
    filters: tuple[Filter, ...] = ()
    text_query: str = ""
    """Words of which a site must match at least one. Sites with more matches come first."""
    sort_by: tuple[tuple[str, str], ...] = ()
    """Sort keys, the most significant first: (field, "") ascending, or ("distance_to", name of a site)."""
    limit: int = LIMIT


def site_fields() -> tuple[str, ...]:
    """Return the names of all fields of a site."""
    return ("name", "type", "price", *city()["features"])


def answer_query(query: str, sites: Sequence[Site]) -> str:
    """Return the sites that match a query, or what is wrong with the query."""
    try:
        return _run(parse_query(query), sites)
    except QueryError as error:
        return f"The query failed: {error}"


def parse_query(text: str) -> Query:
    """Parse a query.

    Raises:
        QueryError: the query violates the grammar or names an unknown field.
    """
    return _Parser(text).query()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """`sign`, `word` or `string`; `end` after the last."""
    text: str


class _Parser:
    """A recursive-descent parser of one query."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0

    def query(self) -> Query:
        opening = self._take()
        if opening.text.lower() != "search" or not self._is("("):
            raise QueryError("a query is written Search(fields=[...], filters=[...], text_query=..., ...)")
        self._take()
        readers: Mapping[str, Callable[[], object]] = {
            "fields": lambda: self._list(self._field),
            "filters": lambda: self._list(self._filter),
            "text_query": lambda: self._words("the words to look for"),
            "sort_by": lambda: self._list(self._key),
            "limit": self._limit,
        }
        found: dict[str, object] = {}
        while not self._is(")"):
            name = self._words("an argument").lower().replace(" ", "_")
            if name not in readers:
                raise QueryError(f"there is no argument {name!r}; possible: {', '.join(readers)}")
            if name in found:
                raise QueryError(f"{name!r} is given twice")
            self._sign("=", f"after {name!r}")
            found[name] = readers[name]()
            if not self._is(")"):
                self._sign(",", f"or ')' after {name!r}")
        self._take()
        if self._peek.kind != "end":
            self._fail("the end of the query")
        return Query(**found)  # type: ignore[arg-type]  # each reader returns what its argument takes

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _fail(self, wanted: str) -> NoReturn:
        token = self._peek
        raise QueryError(f"expected {wanted}, found {repr(token.text) if token.kind != 'end' else 'the end'}")

    def _is(self, sign: str) -> bool:
        return self._peek == _Token("sign", sign)

    def _sign(self, sign: str, where: str) -> None:
        if not self._is(sign):
            self._fail(f"{sign!r} {where}")
        self._take()

    def _words(self, what: str) -> str:
        if self._peek.kind == "string":
            return self._take().text
        words = []
        while self._peek.kind == "word":
            words.append(self._take().text)
        if not words:
            self._fail(what)
        return " ".join(words)

    def _list(self, item: Callable[[], T]) -> tuple[T, ...]:
        """Parse `[a, b]`; a single item needs no brackets."""
        if not self._is("["):
            return (item(),)
        self._take()
        items: list[T] = []
        while not self._is("]"):
            items.append(item())
            if not self._is("]"):
                self._sign(",", "or ']' in the list")
        self._take()
        return tuple(items)

    def _field(self) -> str:
        return _known_field(self._words("a field"))

    def _filter(self) -> Filter:
        field = self._field()
        if not any(map(self._is, ("==", ">=", "<="))):
            self._fail(f"'==', '>=' or '<=' after {field!r}")
        sign = self._take().text
        return Filter(field, sign, _value(field, sign, self._words(f"a value for {field!r}")))

    def _key(self) -> tuple[str, str]:
        name = self._words("a field to sort by")
        if _plain(name) != "distance to":
            return _known_field(name), ""
        self._sign("(", "after 'distance_to'")
        place = self._words("the name of a site")
        self._sign(")", f"after {place!r}")
        return "distance_to", place

    def _limit(self) -> int:
        text = self._words("a number")
        if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) < 1:
            raise QueryError(f"limit = {text!r} is not a whole number from 1")
        return int(text)


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        assert found is not None  # every character is part of some token
        kind = found.lastgroup or ""
        if found[0].strip() == '"':
            raise QueryError("a quotation mark is never closed")
        tokens.append(_Token("string" if kind in ("double", "single") else kind, found[kind].strip()))
        at = found.end()
    return [*tokens, _Token("end", "")]


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())


def _known_field(name: str) -> str:
    plain = _plain(name)
    if plain not in site_fields():
        raise QueryError(f"there is no field {name!r}{suggest(plain, list(site_fields()))}")
    return plain


def _value(field: str, sign: str, text: str) -> Value:
    """Convert the value of a filter to the type of its field."""
    if field in ("price", "rating"):
        try:
            return float(text.removeprefix("$"))
        except ValueError:
            raise QueryError(f"{field!r} is a number, not {text!r}") from None
    if sign != "==":
        raise QueryError(f"{field!r} is not a number: only '==' compares it")
    if field in ("name", "type") or "values" in city()["features"][field]:
        return _plain(text)
    if text.lower() not in ("true", "false", "yes", "no"):
        raise QueryError(f"{field!r} is true or false, not {text!r}")
    return text.lower() in ("true", "yes")


def _get(site: Site, field: str) -> Value | None:
    if field in ("name", "type", "price"):
        own: dict[str, Value] = {"name": site.name, "type": site.kind, "price": site.price}
        return own[field]
    return site.features.get(field)


def _meets(site: Site, condition: Filter) -> bool:
    value = _get(site, condition.field)
    if value is None:
        return False
    if isinstance(value, str):
        return _plain(value) == condition.value
    if condition.sign == "==":
        return value == condition.value
    assert isinstance(condition.value, float)
    return value >= condition.value if condition.sign == ">=" else value <= condition.value


def _matches(site: Site, words: Sequence[str]) -> int:
    """Count the words that occur in a site's name, type and features."""
    known = [feature if value is True else str(value) for feature, value in site.features.items() if value is not False]
    text = _plain(" ".join([site.name, site.kind, *known])).split()
    return sum(word in text for word in words)


def _run(query: Query, sites: Sequence[Site]) -> str:
    found = [site for site in sites if all(_meets(site, condition) for condition in query.filters)]
    if query.text_query:
        words = _plain(query.text_query).split()
        matches = {site.name: _matches(site, words) for site in found}
        found = sorted((s for s in found if matches[s.name]), key=lambda s: -matches[s.name])
    distances = {place: _distances(place, sites) for field, place in query.sort_by if field == "distance_to"}

    def rank(site: Site) -> list[tuple[bool, float, str]]:
        keys = query.sort_by
        return [_order(distances[place][site.name] if place else _get(site, field)) for field, place in keys]

    found.sort(key=rank)
    if not found:
        return "No site was found."
    shown = found[: query.limit]
    lines = [_line(site, query.fields, distances) for site in shown]
    return "\n".join([f"{len(shown)} of {len(found)} sites found:", *lines])


def _distances(place: str, sites: Sequence[Site]) -> dict[str, float]:
    names = {_plain(site.name): site for site in sites}
    if _plain(place) not in names:
        raise QueryError(f"there is no site {place!r}{suggest(_plain(place), list(names))}")
    start = names[_plain(place)].place
    return {site.name: miles(start, site.place) for site in sites}


def _order(value: Value | None) -> tuple[bool, float, str]:
    """Return a sort key: ascending, unknown values last."""
    if isinstance(value, str):
        return False, 0.0, value
    return value is None, float(value or 0), ""


def _line(site: Site, wanted: Sequence[str], distances: Mapping[str, Mapping[str, float]]) -> str:
    listed = [field for field in wanted if field != "name"] or ["type", "price", *site.features]
    facts = [f"{field}: {_shown(_get(site, field))}" for field in listed]
    facts += [f"miles to {place}: {near[site.name]}" for place, near in distances.items()]
    return f"- {site.name}; {'; '.join(facts)}"


def _shown(value: Value | None) -> str:
    if value is None:
        return "unknown"
    return str(value).lower() if isinstance(value, bool) else str(value)
