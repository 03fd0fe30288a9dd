"""The environment that the tests of an issue need."""

from __future__ import annotations

from pathlib import Path

from telic.errors import ConfigError
from telic.issues.issue import Issue
from telic.registry import suggest
from telic.workspaces.environments import PythonEnvironment, Recipe, build_environment, read_recipes

__all__ = ["environment_of", "known_recipes"]


def known_recipes() -> list[Recipe]:
    """Return the recipes that come with Telic."""
    return read_recipes(Path(__file__).with_name("environments.toml"))


def environment_of(
    issue: Issue, recipes: list[Recipe] | None = None, cache_folder: Path | None = None
) -> PythonEnvironment:
    """Return the environment of an issue; build it if that was not done before. Building needs the network.

    Args:
        issue: the issue; without the name of an environment it gets the one that runs Telic.
        recipes: recipes to look its environment up in; by default those that come with Telic.
        cache_folder: where environments are kept.

    Raises:
        ConfigError: no recipe is for its environment, or the recipe's version of Python is not installed.
        SandboxError: pip failed.
    """
    if not issue.environment:
        return PythonEnvironment()
    known: dict[str, Recipe] = {}
    for recipe in known_recipes() if recipes is None else recipes:
        repository = recipe.repository.rpartition("/")[2]
        known |= dict.fromkeys([recipe.name, *(f"{repository}-{version}" for version in recipe.versions)], recipe)
    if issue.environment not in known:
        hint = suggest(issue.environment, list(known))
        raise ConfigError(f"issue {issue.id!r}: unknown environment {issue.environment!r}{hint}")
    return build_environment(known[issue.environment], cache_folder)
