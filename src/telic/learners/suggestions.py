"""Rules that users' complaints and corrections suggest, for a person to accept.

What users say after a reply is grouped by what they mean: a *theme* gathers many ways to say one thing (`data/
themes.toml`), with a rule that Telic's authors wrote. Complaints that fit no theme are grouped by what they are about,
without a rule: the person reads them and writes one. So no word of a user becomes an instruction by itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from telic.episodes import Episode, assistant_role
from telic.errors import ConfigError
from telic.feedback.clusters import cluster_moments
from telic.feedback.summaries import Moment, conclude
from telic.purpose import Purpose
from telic.registry import suggest

__all__ = ["Quote", "RuleSuggestion", "find_suggestion", "suggest_from"]

LEAST_USERS = 2
"""Different users from which something is suggested: one user's wish is no rule for all."""
QUOTED = 5
LONGEST_QUOTE = 200
LONGEST_SEARCHED = 2000
"""Characters of a message that are searched; a longer one is hardly typed by the user."""
OPEN = "group"


@dataclass(frozen=True, slots=True)
class Quote:
    """What a user said. It is data, and never becomes an instruction."""

    text: str
    user: str
    conversation: str
    turn: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class RuleSuggestion:
    """A rule that several users' complaints suggest, with the evidence for it."""

    name: str
    """Stays the same while conversations come in, where its place in the list does not."""
    about: str
    """What users complain of."""
    rule: str | None
    """None where a person has to write it."""
    probe: Mapping[str, Any] | None
    """A question with a judge that tests the rule, as in a purpose file."""
    users: int
    messages: int
    quotes: tuple[Quote, ...]
    """Some of the messages, each of another user."""
    known: bool = False
    """Whether the purpose has the rule already."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {**values, "quotes": [one.as_dict() for one in self.quotes]}


@dataclass(frozen=True, slots=True)
class _Theme:
    name: str
    about: str
    rule: str
    pattern: re.Pattern[str]
    probe: Mapping[str, Any] | None


@cache
def _themes() -> tuple[_Theme, ...]:
    text = (resources.files("telic.learners") / "data" / "themes.toml").read_text(encoding="utf-8")
    return tuple(
        _Theme(one["name"], one["about"], one["rule"], re.compile("|".join(one["phrases"])), one.get("probe"))
        for one in tomllib.loads(text)["themes"]
    )


def suggest_from(labelled: Iterable[Episode], purpose: Purpose, least_users: int = LEAST_USERS) -> list[RuleSuggestion]:
    """Return what users' complaints and corrections suggest, that of the most users first.

    Args:
        labelled: labelled episodes.
        purpose: the rules that there are already.
        least_users: different users from which something is suggested.
    """
    by_theme: dict[str, list[Quote]] = {}
    others: list[tuple[Moment, str]] = []
    for episode in labelled:
        user = str(episode.metadata.get("user") or episode.id)
        said: dict[int, set[str]] = {}
        for theme, quote in _quotes(episode, user):
            by_theme.setdefault(theme, []).append(quote)
            said.setdefault(quote.turn, set()).add(theme)
        conclusion = conclude(episode)
        for moment in conclusion.moments if conclusion else ():
            if moment.reward < 0 and moment.answer and moment.turn + 1 not in said:
                others.append((moment, user))
    found = [_of_theme(theme, by_theme[theme.name], purpose) for theme in _themes() if theme.name in by_theme]
    found += _open_groups(others)
    wanted = [one for one in found if one.users >= least_users]
    return sorted(wanted, key=lambda one: (-one.users, -one.messages, one.name))


def find_suggestion(suggestions: Sequence[RuleSuggestion], which: str) -> RuleSuggestion:
    """Return the suggestion with a name, or with a number from 1 on.

    Raises:
        ConfigError: there is none.
    """
    if not suggestions:
        raise ConfigError("there is nothing to accept: users' messages suggest no rule")
    if which.isdecimal() and 1 <= int(which) <= len(suggestions):
        return suggestions[int(which) - 1]
    named = {one.name: one for one in suggestions}
    if which not in named:
        raise ConfigError(f"no suggestion {which!r}; there are 1 to {len(suggestions)}{suggest(which, list(named))}")
    return named[which]


def _quotes(episode: Episode, user: str) -> Iterator[tuple[str, Quote]]:
    """Yield what the user said after a reply, by theme."""
    role = assistant_role(episode)
    replied = False
    for index, turn in enumerate(episode.turns):
        if turn.role == role:
            replied = True
        elif replied:
            text = _searchable(turn.text)
            for theme in _themes():
                if theme.pattern.search(text):
                    yield theme.name, Quote(_shortened(turn.text), user, episode.id, index)


def _searchable(text: str) -> str:
    """Return the user's own words: without code and quotations, which may be anybody's."""
    own = re.sub(
        r"```.*?(?:```|\Z)|\"[^\"\n]{2,200}\"|“[^”\n]{2,200}”|^>.*$", " ", text, flags=re.DOTALL | re.MULTILINE
    )
    return " ".join(own[:LONGEST_SEARCHED].lower().replace("’", "'").split())


def _shortened(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST_QUOTE else f"{words[: LONGEST_QUOTE - 1]}…"


def _of_theme(theme: _Theme, quotes: Sequence[Quote], purpose: Purpose) -> RuleSuggestion:
    return RuleSuggestion(
        theme.name,
        theme.about,
        theme.rule,
        theme.probe,
        len({one.user for one in quotes}),
        len(quotes),
        _one_each(quotes),
        theme.rule in purpose.rules,
    )


def _open_groups(moments: Sequence[tuple[Moment, str]]) -> Iterator[RuleSuggestion]:
    """Group complaints that fit no theme by what they are about."""
    users = {moment.conversation: user for moment, user in moments}
    for cluster in cluster_moments([moment for moment, _ in moments]):
        quotes = [
            Quote(one.answer, users[one.conversation], one.conversation, one.turn + 1) for one in cluster.examples
        ]
        yield RuleSuggestion(
            "-".join((OPEN, *cluster.words)),
            f"complaints about: {', '.join(cluster.words)}",
            None,
            None,
            len({users[one] for one in cluster.members}),
            cluster.size,
            _one_each(quotes),
        )


def _one_each(quotes: Sequence[Quote]) -> tuple[Quote, ...]:
    """Return some quotes, one of each user."""
    return tuple({one.user: one for one in reversed(quotes)}.values())[::-1][:QUOTED]
