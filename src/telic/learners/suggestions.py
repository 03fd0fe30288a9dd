"""Rules that users' complaints and corrections suggest, for a person to accept.

What users say after a reply is grouped by what they mean: a *theme* gathers many ways to say one thing (`data/
themes.toml`), with a rule that Telic's authors wrote. Complaints that fit no theme are grouped by what they are about,
without a rule: the person reads them and writes one. So no word of a user becomes an instruction by itself.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from telic.episodes import Episode, assistant_role
from telic.errors import ConfigError
from telic.feedback.similarity import Profile, cosine, profile_of
from telic.feedback.summaries import conclude
from telic.purpose import Purpose
from telic.registry import suggest

__all__ = ["Quote", "RuleSuggestion", "find_suggestion", "suggest_from"]

LEAST_USERS = 2
"""Different users from which something is suggested: one user's wish is no rule for all."""
QUOTED = 5
LONGEST_QUOTE = 200
LONGEST_SEARCHED = 2000
"""Characters of a message that are searched; a longer one is hardly typed by the user."""
LONGEST_SENTENCE = 25
"""Words."""
OPEN, OPEN_GROUPS = "group", 5
"""Name of a group without a theme, and how many are listed."""
BLAMING = ("complaint", "correction", "thumb", "edit")
"""Sources of evidence that blame the reply, and not what it offers."""
NEAR = 0.4
"""Cosine with a group's words from which a complaint joins it."""
NAMED_BY = 2
"""Words that name a group."""


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
    """What users complain about."""
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
    others: list[Quote] = []
    for episode in labelled:
        user = str(episode.metadata.get("user") or episode.id)
        said: dict[int, set[str]] = {}
        for theme, quote in _quotes(episode, user):
            by_theme.setdefault(theme, []).append(quote)
            said.setdefault(quote.turn, set()).add(theme)
        conclusion = conclude(episode)
        for moment in conclusion.moments if conclusion else ():
            blamed = moment.reward < 0 and any(one.startswith(BLAMING) for one in moment.evidence)
            if blamed and moment.answer and moment.turn + 1 not in said:
                others.append(Quote(_shortened(moment.answer), user, moment.conversation, moment.turn + 1))
    found = [_of_theme(theme, by_theme[theme.name], purpose) for theme in _themes() if theme.name in by_theme]
    found += sorted(_open_groups(others), key=_rank)[:OPEN_GROUPS]
    return sorted((one for one in found if one.users >= least_users), key=_rank)


def _rank(one: RuleSuggestion) -> tuple[int, int, str]:
    return -one.users, -one.messages, one.name


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
            sentences = _sentences(turn.text)
            for theme in _themes():
                if any(map(theme.pattern.search, sentences)):
                    yield theme.name, Quote(_shortened(turn.text), user, episode.id, index)


def _sentences(text: str) -> list[str]:
    """Return the sentences of the user's own words: without code and quotations, which may be anybody's.

    In a long sentence, such phrases are seldom about the reply.
    """
    own = re.sub(
        r"```.*?(?:```|\Z)|\"[^\"\n]{2,200}\"|“[^”\n]{2,200}”|^>.*$", " ", text, flags=re.DOTALL | re.MULTILINE
    )
    sentences = re.split(r"(?<=[.!?])\s+|\n+", own[:LONGEST_SEARCHED].lower().replace("’", "'"))
    return [" ".join(one.split()) for one in sentences if 0 < len(one.split()) <= LONGEST_SENTENCE]


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


def _open_groups(quotes: Sequence[Quote]) -> Iterator[RuleSuggestion]:
    """Group complaints that fit no theme by their words, cut to stems: each joins the nearest group, or begins one."""
    groups: list[list[Quote]] = []
    profiles: list[Profile] = []
    for quote in quotes:
        own = profile_of(quote.text)
        near = max(range(len(groups)), key=lambda at: cosine(own, profiles[at]), default=None)
        if near is None or cosine(own, profiles[near]) < NEAR:
            groups.append([quote])
            profiles.append(own)
        else:
            groups[near].append(quote)
            profiles[near] = Profile.sum((profiles[near], own))
    for group in groups:
        words = _shared_words(group)
        if words:
            name, about = "-".join((OPEN, *words)), f"complaints about:  {', '.join(words)}"
            users = len({one.user for one in group})
            yield RuleSuggestion(name, about, None, None, users, len(group), _one_each(group))


def _shared_words(group: Sequence[Quote]) -> list[str]:
    """Return the words, as they are written, whose stems are in most messages of a group, and in two at least."""
    written: dict[str, Counter[str]] = {}
    for quote in group:
        for word in set(re.findall(r"[^\W\d_]+", quote.text.lower())):
            for stem in profile_of(word).counts:
                written.setdefault(stem, Counter())[word] += 1
    common = sorted(written.items(), key=lambda item: (-item[1].total(), item[0]))
    return [forms.most_common(1)[0][0] for _, forms in common[:NAMED_BY] if forms.total() > 1]


def _one_each(quotes: Sequence[Quote]) -> tuple[Quote, ...]:
    """Return some quotes, one of each user."""
    return tuple({one.user: one for one in reversed(quotes)}.values())[::-1][:QUOTED]
