"""Factories by name: what is found, what is suggested, and plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints

import pytest

import telic.registry
from telic.errors import ConfigError
from telic.registry import Registry, suggest


@pytest.fixture
def registry() -> Registry[Callable[[], str]]:
    found: Registry[Callable[[], str]] = Registry("animal")
    found.register("cat")(lambda: "meow")
    found.register("crow")(lambda: "caw")
    return found


def test_what_is_registered_is_found(registry: Registry[Callable[[], str]]) -> None:
    assert registry.get("cat")() == "meow"
    assert registry.names() == ["cat", "crow"]
    assert "cat" in registry
    assert "cow" not in registry


def test_an_unknown_name_gets_the_nearest_one(registry: Registry[Callable[[], str]]) -> None:
    with pytest.raises(ConfigError, match=r"^unknown animal 'cta'; did you mean 'cat'\?$"):
        registry.get("cta")
    with pytest.raises(ConfigError, match=r"^unknown animal 'elephant'; known: cat, crow$"):
        registry.get("elephant")
    with pytest.raises(ConfigError, match=r"^unknown stone 'a'; known: none$"):
        Registry("stone").get("a")


def test_a_name_is_given_once(registry: Registry[Callable[[], str]]) -> None:
    with pytest.raises(ConfigError, match="'cat' is registered twice"):
        registry.register("cat")(lambda: "purr")
    assert registry.get("cat")() == "meow"


def test_register_returns_the_factory_itself(registry: Registry[Callable[[], str]]) -> None:
    def dog() -> str:
        return "woof"

    assert registry.register("dog")(dog) is dog


def test_plugins_are_found_by_their_kind_and_never_replace(
    registry: Registry[Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [
        EntryPoint("animal:owl", "os:getcwd", "telic"),
        EntryPoint("animal:cat", "os:getcwd", "telic"),
        EntryPoint("mineral:gold", "no.such.module:gold", "telic"),
    ]
    asked: list[str] = []

    def entry_points(group: str) -> EntryPoints:
        asked.append(group)
        return EntryPoints(points)

    monkeypatch.setattr(telic.registry, "entry_points", entry_points)
    assert registry.get("cat")() == "meow"
    assert asked == [], "a built-in name needs no look at what is installed"
    assert registry.names() == ["cat", "crow", "owl"]
    assert isinstance(registry.get("owl")(), str)
    assert registry.get("cat")() == "meow"
    assert asked == ["telic"]


def test_suggest_takes_any_iterator() -> None:
    assert suggest("contians", iter(["regex", "contains"])) == "; did you mean 'contains'?"


def test_a_broken_plugin_hides_no_other_one(
    registry: Registry[Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = [EntryPoint(f"animal:{name}", target, "telic") for name, target in
              (("bat", "no.such.module:bat"), ("owl", "os:getcwd"), ("yak", "os:no_such_name"))]  # fmt: skip
    monkeypatch.setattr(telic.registry, "entry_points", lambda group: EntryPoints(points))
    assert registry.names() == ["cat", "crow", "owl"]
    assert isinstance(registry.get("owl")(), str)
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"^animal 'bat' of no.such.module:bat cannot be loaded: ModuleNotFound"):
            registry.get("bat")
    with pytest.raises(ConfigError, match=r"^unknown animal 'owk'; did you mean 'owl'\?; animal 'bat' of .*'yak' of"):
        registry.get("owk")
    assert "bat" not in registry
