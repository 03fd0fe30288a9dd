"""ELIZA, with a script that plays a counsellor (Weizenbaum 1966, "ELIZA: a computer program ...", CACM 9(1)).

It takes the keyword with the highest rank. A decomposition rule of that keyword splits the input into parts, and a
reassembly rule builds the reply from the parts; the reassembly rules of a decomposition are used in turn. Input about
the user's own things is remembered, and used again when no keyword is found. Program and script are separate: the
script is `data/eliza.toml`, or a custom file in the same format.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.agents.classics.base import Classic
from telic.agents.classics.patterns import Pattern, clauses, load_script
from telic.errors import ConfigError
from telic.toml_source import TomlSource, decode, parse

__all__ = ["Eliza"]

MEMORIES = 12
"""Maximum number of memories; the oldest is dropped first."""
HOPS = 10
"""Maximum number of references between keywords in one reply; a script may contain a cycle."""


class DecompositionRule(BaseModel):
    """A decomposition rule with its reassembly rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: str
    """Pattern of the input."""
    say: tuple[str, ...] = Field(min_length=1)
    """Replies; `{1}` is the first part. `= word` continues with that keyword, `newkey` with the next one found."""


class Keyword(BaseModel):
    """A keyword with its rules."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    words: tuple[str, ...] = Field(min_length=1)
    rank: int = 0
    rules: tuple[DecompositionRule, ...] = Field(min_length=1)


class Script(BaseModel):
    """A script file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    farewell_words: tuple[str, ...] = ()
    farewell: tuple[str, ...] = ("Goodbye.",)
    none: tuple[str, ...] = Field(min_length=1)
    """Replies without a keyword and without a memory."""
    every: int = Field(default=4, ge=1)
    """Number of utterances between two uses of a memory: the counter of the original."""
    pre: dict[str, str] = {}
    """Replacements of words in the input."""
    post: dict[str, str] = {}
    """Replacements of one or two words in the parts of a reply: the change of perspective."""
    prepositions: tuple[str, ...] = ()
    """Words after which `you` becomes `me` instead of `I`; so it does at the end of a part."""
    groups: dict[str, tuple[str, ...]] = {}
    keywords: tuple[Keyword, ...] = Field(min_length=1)
    memory: tuple[Keyword, ...] = ()
    """Rules for memories, used when one of their words is the keyword of the reply."""


class Eliza(Classic):
    """A counsellor that turns statements into questions; see the module.

    Args:
        seed: determines the first reassembly of each rule, and the wording of memories.
        script: a script file; None for the counsellor.

    Raises:
        ConfigError: the script is unreadable or wrong; the message names the line.
    """

    name: ClassVar[str] = "eliza"

    def __init__(self, seed: int = 0, script: str | Path | None = None) -> None:
        source = "eliza.toml" if script is None else str(script)
        try:
            places = TomlSource(source)
            if script is None:
                table = load_script("eliza")
            else:
                table, places = parse(decode(Path(script).read_bytes(), source), source)
            self.script = Script.model_validate(table)
            groups = self.script.groups
            self._keywords = {word: keyword for keyword in self.script.keywords for word in keyword.words}
            self._memories = {word: keyword for keyword in self.script.memory for word in keyword.words}
            rules = [rule for keyword in (*self.script.keywords, *self.script.memory) for rule in keyword.rules]
            self._patterns = {rule.match: Pattern(rule.match, groups) for rule in rules}
        except OSError as error:
            raise ConfigError(f"{source}: cannot read the file: {error.strerror or error}") from error
        except ValidationError as error:
            raise places.error((e["loc"], e["msg"]) for e in error.errors()) from None
        except KeyError as error:
            raise ConfigError(f"{source}: a rule names the unknown group {error}") from error
        for rule in rules:
            for part in _PART.findall(" ".join(rule.say)):
                if int(part) > self._patterns[rule.match].parts:
                    raise ConfigError(f"{source}: rule {rule.match!r}: a reply names part {part}, which does not exist")
            for answer in rule.say:
                if answer.startswith("= ") and answer[2:] not in self._keywords:
                    raise ConfigError(f"{source}: rule {rule.match!r}: unknown keyword {answer[2:]!r}")
        super().__init__(seed)

    def _reset(self) -> None:
        self._remembered: list[str] = []

    def _state(self) -> dict[str, Any]:
        return {"memory": list(self._remembered)}

    def _reply(self, text: str) -> str:
        said = clauses(text, self.script.pre)
        if len(said) == 1 and " ".join(said[0]).lower() in self.script.farewell_words:
            return self._next_of("farewell", self.script.farewell)
        # The reply answers the first clause with a keyword.
        for clause in said:
            found = self._scan(clause)
            if found:
                self._remember(found[0], clause)
                answer = self._answer(found, clause)
                if answer:
                    return answer
                break
        if self._remembered and self.turns % self.script.every == 0:
            return self._remembered.pop(0)
        return self._next_of("none", self.script.none)

    def _scan(self, clause: list[str]) -> list[str]:
        """Return the keywords of a clause; one with a higher rank than all before it comes first."""
        found: list[str] = []
        for word in dict.fromkeys(word.lower() for word in clause):
            if word not in self._keywords:
                continue
            if found and self._keywords[word].rank > self._keywords[found[0]].rank:
                found.insert(0, word)
            else:
                found.append(word)
        return found

    def _answer(self, found: list[str], clause: list[str]) -> str | None:
        stack = list(found)
        for _ in range(HOPS):
            if not stack:
                return None
            word = stack.pop(0)
            for rule in self._keywords[word].rules:
                parts = self._parts(rule, clause)
                if parts is None:
                    continue
                say = self._next_of(f"{word}: {rule.match}", rule.say)
                if say.startswith("= "):
                    stack.insert(0, say[2:])
                elif say != "newkey":
                    return self._assemble(say, parts)
                break
        return None

    def _remember(self, word: str, clause: list[str]) -> None:
        if word not in self._memories:
            return
        for rule in self._memories[word].rules:
            parts = self._parts(rule, clause)
            if parts is not None:
                choice = random.Random(f"memory {self.seed} {self.turns}").choice(rule.say)
                self._remembered = [*self._remembered, self._assemble(choice, parts)][-MEMORIES:]
                return

    def _parts(self, rule: DecompositionRule, clause: list[str]) -> list[list[str]] | None:
        """Return the parts of a clause; None if the rule does not match, or if a reply needs an empty part."""
        parts = self._patterns[rule.match].match(clause)
        if parts is None or not all(parts[int(part) - 1] for part in _PART.findall(" ".join(rule.say))):
            return None
        return parts

    def _assemble(self, say: str, parts: list[list[str]]) -> str:
        return _fill(say, [" ".join(self._turned(part)) for part in parts])

    def _turned(self, words: list[str]) -> list[str]:
        """Return words from the other's point of view: `my` becomes `your`."""
        post, turned, at = self.script.post, [], 0
        while at < len(words):
            pair, word = " ".join(words[at : at + 2]).lower(), words[at].lower()
            if at + 1 < len(words) and pair in post:
                turned.append(post[pair])
                at += 2
                continue
            last = at + 1 == len(words)
            if word == "you" and (last or (at and words[at - 1].lower() in self.script.prepositions)):
                turned.append("me")
            else:
                turned.append(post.get(word, words[at]))
            at += 1
        return turned


def _fill(say: str, parts: list[str]) -> str:
    return _PART.sub(lambda found: parts[int(found[1]) - 1], say)


_PART = re.compile(r"\{([1-9])\}")
