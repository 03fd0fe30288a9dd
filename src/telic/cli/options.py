"""The options of the commands: what each is called, what its value is called, and how `--help` explains it.

Commands are dataclasses, and their settings pydantic models. Both have the docstring of a field under it. Here these
are read once: for tyro, which parses the command line, and for `telic.cli.help`, which explains it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro
from pydantic import BaseModel
from tyro.constructors import (
    ConstructorRegistry,
    PrimitiveConstructorSpec,
    StructConstructorSpec,
    StructFieldSpec,
    StructTypeInfo,
)

__all__ = ["REGISTRY", "Option", "actions_of", "options_of"]

METAVARS = {
    "adapter": "FOLDER",
    "ManageKeys.action": "NAME",
    "acts": "FILE",
    "agent": "PLAYER",
    "attacker_model": "MODEL",
    "attackers": "NAME[:KEY=VALUE...]",
    "attacks": "FOLDER",
    "api_key_file": "FILE",
    "bank": "FILE",
    "cache": "FOLDER",
    "candidate": "FOLDER",
    "controls": "NAME[:KEY=VALUE...]",
    "data": "FOLDER",
    "defences": "NAME[:KEY=VALUE...]",
    "every": "TIME",
    "game": "GAME",
    "gate": "VERSION",
    "gate_settings": "KEY=VALUE",
    "held_out": "NAME",
    "host": "ADDRESS",
    "judge": "MODEL",
    "logs": "FILE",
    "issue": "FILE",
    "minutes": "MINUTES",
    "model": "MODEL",
    "out": "FOLDER",
    "partner": "FILE",
    "port": "PORT",
    "promote": "VERSION",
    "purpose": "PURPOSE",
    "ray": "ADDRESS",
    "replay": "FOLDER",
    "resume": "FOLDER",
    "run_folder": "FOLDER",
    "runs": "FOLDER",
    "set": "KEY=VALUE",
    "source": "FILE",
    "vllm_flags": "FLAG",
    "store": "FILE",
    "train_monitor": "FOLDER",
    "transcripts": "FILE",
    "version": "VERSION",
    "versions_folder": "FOLDER",
    "writer": "MODEL",
    "Conversations.out": "FILE",
    "DraftMail.learn_from": "FOLDER",
    "DraftMail.mail": "ADDRESS",
    "DraftMail.only": "NUMBER",
    "DraftMail.sent": "ADDRESS",
    "Conversations.versions": "FOLDER",
    "Learn.export": "FORMAT FILE",
    "Learn.rule": "TEXT",
    "ManageMemory.about": "WORDS",
    "ManageMemory.out": "FILE",
    "New.kind": "{travel,support,intake,assistant}",
    "Pair.intent": "FILE",
    "Pair.base": "COMMIT",
    "Pair.repo": "FOLDER",
    "Pair.tests": "TEST",
    "Pair.work": "FILE",
    "Play.partner": "PLAYER",
}
"""Metavars by field, or by class and field where one name has two meanings. The others follow from the type."""

NEGATED = {
    "attention": "Do not read attention to the system prompt.",
    "baselines": "Do not evaluate the planner's rivals: the self-clone, a constant prefix, the better prompt, and acts "
    "recited at random.",
    "keep": "Do not save a chat in a terminal.",
    "dashboard": "Do not serve the dashboard.",
    "memory": "Do not remember what is said, even if the purpose has a [memory] table.",
    "natural": "Do not evaluate the readers on natural messages.",
    "references": "Do not compare with random and perfect play of the same tasks.",
    "rivals": "Do not compare the monitor with a word classifier and with the model as a judge of every turn.",
    "write": "Leave the purpose file as it is.",
    "residual": "Leave the residual stream alone: vLLM may then compile the model, and refuses `vector` and `belief`.",
}
"""Help of the flags `--no-NAME`, which switch off what the field's docstring describes."""


@dataclass(frozen=True)
class Option:
    """An option or an argument of a command."""

    name: str
    """Name of the field."""
    owner: str
    """Name of the class that declares it."""
    flags: tuple[str, ...]
    """How it is written; empty for an argument that goes by its position."""
    metavar: str
    """What its value is called; empty for a flag without a value."""
    help: str
    default: str
    """The default, as one would type it; empty if there is none worth showing."""
    required: bool


@dataclass(frozen=True)
class _Field:
    """A field of a command or of its settings, as the class declares it."""

    owner: type
    name: str
    hint: Any
    default: Any
    """`tyro.MISSING_NONPROP` if a value is required."""

    @property
    def kind(self) -> Any:
        """The type, without `Annotated` and without None."""
        hint = get_args(self.hint)[0] if get_origin(self.hint) is Annotated else self.hint
        if get_origin(hint) in (Union, UnionType):
            kinds = [kind for kind in get_args(hint) if kind is not NoneType]
            return kinds[0] if len(kinds) == 1 else hint
        return hint

    @property
    def notes(self) -> tuple[Any, ...]:
        """What `Annotated` adds to the type."""
        return tuple(get_args(self.hint)[1:]) if get_origin(self.hint) is Annotated else ()

    @property
    def metavar(self) -> str:
        item = get_args(self.kind)[0] if get_origin(self.kind) is tuple else self.kind
        if get_origin(item) is Literal:
            metavar = "{" + ",".join(get_args(item)) + "}"
        else:
            named = METAVARS.get(f"{self.owner.__name__}.{self.name}") or METAVARS.get(self.name)
            metavar = named if named and not (item is int and named != "PORT") else self._by_type(item)
        return f"{metavar} ..." if get_origin(self.kind) is tuple else metavar

    def _by_type(self, kind: Any) -> str:
        if kind is int:
            return "TOKENS" if self.name.endswith("tokens") else "N"
        if kind is float:
            return METAVARS.get(self.name, "NUMBER")
        return "FILE" if kind is Path else "NAME" if self.name in _NAMES else "TEXT"

    @property
    def help(self) -> str:
        text = NEGATED.get(self.name) if self.default is True else None
        return text or _docstrings(self.owner).get(self.name, "")

    @property
    def default_label(self) -> str:
        if self.default is tyro.MISSING_NONPROP or self.default is None or self.kind is bool:
            return ""
        return " ".join(map(str, self.default)) if isinstance(self.default, tuple) else str(self.default)

    def option(self) -> Option:
        required = self.default is tyro.MISSING_NONPROP
        aliases = tuple(alias for note in self.notes for alias in getattr(note, "aliases", None) or ())
        name = next((note.name for note in self.notes if getattr(note, "name", None)), self.name)
        flag = ("--no-" if self.default is True else "--") + name.replace("_", "-")
        flags = () if tyro.conf.Positional in self.notes else (*aliases, flag)
        metavar = "" if self.kind is bool else self.metavar
        return Option(self.name, self.owner.__name__, flags, metavar, self.help, self.default_label, required)

    def spec(self) -> StructFieldSpec:
        """The field as tyro sees it."""
        hint: Any = self.hint
        if self.kind in (int, float):
            hint = Annotated[hint, _number(self.kind, optional=self.kind is not self.hint)]
        if self.kind is not bool:
            label = f"(default: {self.default_label})" if self.default_label else ""
            hint = Annotated[hint, tyro.conf.arg(metavar=self.metavar, help_behavior_hint=label)]
        return StructFieldSpec(self.name, hint, self.default, self.help)


_NAMES = frozenset({"attributes", "families", "name", "only", "readers", "user"})
"""Fields whose texts are names."""


def options_of(command: type) -> Iterator[Option]:
    """Yield the options of a command, those of its settings included."""
    for field in _fields(command):
        if isinstance(field.kind, type) and issubclass(field.kind, BaseModel):
            yield from options_of(field.kind)
        elif not _is_action(field.kind):
            yield field.option()


def actions_of(command: type) -> dict[str, type]:
    """Return the actions of a command by name; none for most commands."""
    found = {}
    for field in _fields(command):
        if _is_action(field.kind):
            for action in get_args(field.kind):
                kind, *notes = get_args(action)
                found[next(note.name for note in notes)] = kind
    return found


REGISTRY = ConstructorRegistry()
"""What tyro gets to know about the commands."""


@REGISTRY.struct_rule
def _describe(info: StructTypeInfo) -> StructConstructorSpec | None:
    """Give tyro the fields of a command or of its settings, with metavars that a person would write."""
    kind: Any = info.type
    if not (isinstance(kind, type) and kind.__module__.startswith("telic.") and _has_fields(kind)):
        return None
    defaults = info.default if isinstance(info.default, kind) else None
    specs = []
    for field in _fields(kind):
        default = getattr(defaults, field.name, field.default)
        field = _Field(field.owner, field.name, field.hint, default)
        structured = _has_fields(field.kind) or _is_action(field.kind)
        specs.append(StructFieldSpec(field.name, field.hint, default) if structured else field.spec())
    return StructConstructorSpec(kind, tuple(specs))


def _has_fields(kind: Any) -> bool:
    return isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, BaseModel))


def _is_action(kind: Any) -> bool:
    return get_origin(kind) in (Union, UnionType) and all(get_origin(item) is Annotated for item in get_args(kind))


@cache
def _fields(kind: type) -> tuple[_Field, ...]:
    hints = get_type_hints(kind, include_extras=True)
    declared: dict[str, Any] = {}
    if issubclass(kind, BaseModel):
        declared = {
            name: tyro.MISSING_NONPROP if info.is_required() else info.get_default(call_default_factory=True)
            for name, info in kind.model_fields.items()
        }
    elif is_dataclass(kind):
        for field in fields(kind):
            declared[field.name] = tyro.MISSING_NONPROP if field.default is MISSING else field.default
            if field.default_factory is not MISSING:
                declared[field.name] = field.default_factory()
    return tuple(_Field(kind, name, hints[name], default) for name, default in declared.items())


@cache
def _docstrings(kind: type) -> dict[str, str]:
    """Return the docstring under each field of a class and of its bases."""
    found: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if not owner.__module__.startswith("telic."):
            continue
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def _number(kind: type[int] | type[float], *, optional: bool) -> PrimitiveConstructorSpec[Any]:
    """Read a number, with an error that says what was expected."""
    expected = ("a whole number" if kind is int else "a number") + (" or None" if optional else "")

    def read(texts: list[str]) -> Any:
        [text] = texts
        if optional and text == "None":
            return None
        try:
            return kind(text)
        except ValueError:
            raise ValueError(f"found {text!r}; expected {expected}") from None

    return PrimitiveConstructorSpec(
        nargs=1,
        metavar="N",
        instance_from_str=read,
        is_instance=lambda value: isinstance(value, kind) or (optional and value is None),
        str_from_instance=lambda value: [str(value)],
    )
