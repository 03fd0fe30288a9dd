"""All mistakes of a purpose file at once: of its form, judges, controls, tools, game, [memory], [vllm] and [serve]."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from telic.errors import MissingExtraError, TelicError
from telic.purpose import purpose_problems
from telic.toml_source import KeyPath, decode, parse

__all__ = ["check_purpose_files"]

FIELDS = ("purpose", "partner", "game", "agent", "source")
"""Options of the commands that may name a purpose file."""

Problem = tuple[KeyPath, str]


def check_purpose_files(command: object) -> None:
    """Check the purpose files that a command's options name, before the command loads anything.

    Raises:
        ConfigError: a file has mistakes; the message lists all of them, each with its line.
    """
    for field in FIELDS:
        path = Path(str(getattr(command, field, None) or ""))
        if path.suffix == ".toml" and path.is_file():
            _check(path)


def _check(path: Path) -> None:
    values, source = parse(decode(path.read_bytes(), str(path)), str(path))
    problems = purpose_problems(values)
    wrong = {place[:2] for place, _ in problems}
    problems += [problem for problem in _parts(values, path.parent) if problem[0][:2] not in wrong]
    if problems:
        raise source.error(problems)


def _parts(values: Mapping[str, Any], folder: Path) -> Iterator[Problem]:
    """Yield the mistakes that show when the parts of a purpose are made."""
    from telic.agents.defence import build_defence
    from telic.games.base import build_game
    from telic.judges import build_judge

    for table in ("probes", "limits"):
        for index, part in enumerate(_tables(values.get(table))):
            judge = part.get("judge")
            if isinstance(judge, dict) and judge and "callable" not in judge:  # which code may run is checked elsewhere
                yield from _made((table, index, "judge"), build_judge, judge)
    for index, defence in enumerate(_tables(values.get("defences"))):
        if isinstance(defence.get("name"), str):
            yield from _made(("defences", index), build_defence, {**defence, **_found(defence, folder)})
    for index, control in enumerate(_tables(values.get("controls"))):
        if isinstance(control.get("name"), str):
            yield from _made(("controls", index), _build_control, {**control, **_found(control, folder)})
    game = values.get("game")
    if isinstance(game, dict) and isinstance(game.get("name"), str):
        yield from _made(("game",), build_game, game)
    for index, tool in enumerate(_tables(values.get("tools"))):
        if isinstance(tool.get("name"), str):
            yield from _made(("tools", index), _find_tool, tool)
    memory = values.get("memory")
    if isinstance(memory, dict):
        yield from _memory(memory)
    digest = values.get("digest")
    if isinstance(digest, dict):
        yield from _digest(digest)
    drafts = values.get("drafts")
    if isinstance(drafts, dict):
        yield from _drafts(drafts)
    vllm = values.get("vllm")
    if isinstance(vllm, dict):
        yield from _vllm(vllm)
    serve = values.get("serve")
    if isinstance(serve, dict):
        yield from _serve(serve)


def _memory(settings: Mapping[str, Any]) -> Iterator[Problem]:
    from telic.memory import MemoryConfig

    for key, value in settings.items():
        yield from _made(("memory", key), lambda setting: MemoryConfig.of(**setting), {key: value})


def _digest(settings: Mapping[str, Any]) -> Iterator[Problem]:
    from telic.assistants.digest.config import DigestConfig
    from telic.assistants.digest.sources.base import build_source

    for key, value in settings.items():
        others = {} if key == "sources" else {"sources": [{"kind": "feed"}]}
        yield from _made(("digest", key), lambda setting: DigestConfig.of(**setting), {**others, key: value})
    for index, source in enumerate(_tables(settings.get("sources"))):
        yield from _made(("digest", "sources", index), build_source, source)


def _drafts(settings: Mapping[str, Any]) -> Iterator[Problem]:
    from telic.assistants.drafts.config import DraftsConfig

    for key, value in settings.items():
        yield from _made(("drafts", key), lambda setting: DraftsConfig.of(**setting), {key: value})


def _vllm(settings: Mapping[str, Any]) -> Iterator[Problem]:
    from telic.models.vllm.settings import VllmSettings

    for key, value in settings.items():
        yield from _made(("vllm", key), lambda setting: VllmSettings.of(**setting), {key: value})


def _serve(settings: Mapping[str, Any]) -> Iterator[Problem]:
    from telic.server.config import ServeConfig

    for key, value in settings.items():
        yield from _made(("serve", key), lambda setting: ServeConfig.of(**setting), {key: value})


def _made(place: KeyPath, make: Callable[[dict[str, Any]], object], table: dict[str, Any]) -> Iterator[Problem]:
    try:
        make(table)
    except MissingExtraError:  # the command says so, if it needs the part
        return
    except TelicError as error:
        yield place, str(error)


def _find_tool(spec: dict[str, Any]) -> object:
    from telic.tools import tool_registry

    return tool_registry.get(spec["name"])


def _build_control(spec: dict[str, Any]) -> object:
    from telic.steering import build_control

    return build_control(spec)


def _found(control: Mapping[str, Any], folder: Path) -> dict[str, str]:
    path = control.get("path")
    return {"path": str(folder / path)} if isinstance(path, str) and path and (folder / path).exists() else {}


def _tables(value: object) -> list[dict[str, Any]]:
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []
