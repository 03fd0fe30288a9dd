"""`telic learn --suggest` and `--accept`: rules from what users complain of, for a person to decide on."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from telic.cli.output import print_json, print_line
from telic.cli.usage import UsageError
from telic.errors import ConfigError

if TYPE_CHECKING:
    from telic.episodes import Episode
    from telic.learners.suggestions import RuleSuggestion
    from telic.purpose import Purpose

__all__ = ["suggest_rules"]


def suggest_rules(
    labelled: Iterable[Episode], purpose: Purpose, file: str, *, accept: str | None, rule: str | None, as_json: bool
) -> None:
    """List what users' complaints suggest, or write one suggestion into the purpose file.

    Raises:
        ConfigError: there is no such suggestion, or it cannot be written.
    """
    from telic.learners.suggestions import find_suggestion, suggest_from

    suggestions = suggest_from(labelled, purpose)
    if accept is not None:
        chosen = find_suggestion(suggestions, accept)
        written = _accept(chosen, purpose, Path(file), rule)
        if as_json:
            print_json({"accepted": chosen.name, **written})
        else:
            print_line(f"Written to {file}: rule {written['rule']!r}")
            print_line(f"The file as it was: {written['backup']}")
        return
    if as_json:
        print_json([one.as_dict() for one in suggestions])
        return
    _print(suggestions, file)


def _print(suggestions: Sequence[RuleSuggestion], file: str) -> None:
    if not suggestions:
        print_line("Nothing to suggest: no complaint or wish came from two users or more.")
        return
    for number, one in enumerate(suggestions, start=1):
        note = " (a rule already)" if one.known else ""
        print_line(f"{number}. {one.name}: {one.about}; {one.users} users, {one.messages} messages{note}", style="bold")
        print_line(
            f"   Rule: {one.rule}" if one.rule else "   No rule: read what users said, and write one with --rule."
        )
        if one.probe:
            print_line(f"   Probe: {one.probe['ask']}")
        for quote in one.quotes:
            print_line(f"     {quote.text!r} ({quote.user})")
    print_line()
    print_line(f"To accept one: telic learn {file} --accept NAME, with --rule TEXT for your own words.")


def _accept(chosen: RuleSuggestion, purpose: Purpose, file: Path, words: str | None) -> dict[str, object]:
    """Write a rule, and the probe of an unchanged one, into the purpose file; the file as it was is kept beside it."""
    from telic.purpose import update_file

    rule = chosen.rule if words is None else words.strip()
    if rule is None:
        raise UsageError(
            f"suggestion {chosen.name!r} has no rule of its own; read what users said (--suggest), and give the rule "
            "with --rule TEXT"
        )
    if not rule or any(not letter.isprintable() for letter in rule):
        raise UsageError(f"--rule is {words!r}; expected one line of text")
    if rule in purpose.rules:
        raise ConfigError(f"{str(file)!r} has the rule {rule!r} already")
    if not file.is_file():
        raise ConfigError(f"{str(file)!r} is not a file that can be changed; write one with: telic new {file}.toml")
    asked = {probe.name for probe in purpose.probes}
    probe = chosen.probe if words is None and chosen.probe and chosen.probe["ask"] not in asked else None
    backup = file.with_name(f"{file.name}.bak")
    try:
        shutil.copy2(file, backup)
    except OSError as error:
        raise ConfigError(f"cannot write {str(backup)!r}: {error.strerror}") from None
    update_file(file, {"rules": [*purpose.rules, rule]}, {"probes": probe} if probe else None)
    return {"rule": rule, "probe": dict(probe) if probe else None, "backup": str(backup)}
