"""The purpose file: one TOML file that says what a chatbot is for. Every command takes it."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from telic.errors import ConfigError, TelicError
from telic.files import atomic_draft
from telic.registry import suggest
from telic.settings import expected_value
from telic.toml_edit import dump, edit
from telic.toml_source import KeyPath, TomlSource, decode, parse

__all__ = ["Probe", "Purpose", "SamplingDefaults", "purpose_problems", "update_file"]


def _not_blank(text: str) -> str:
    if not text.strip():
        raise PydanticCustomError("blank", "found an empty text, expected some words")
    return text


def _named(table: dict[str, Any]) -> dict[str, Any]:
    name = table.get("name")
    if not isinstance(name, str) or not name.strip():
        found = f"found name = {name!r}" if "name" in table else "found no name"
        raise PydanticCustomError("unnamed", '{found}, expected one such as name = "attention_hold"', {"found": found})
    return table


def _not_empty(table: dict[str, Any]) -> dict[str, Any]:
    if not table:
        raise PydanticCustomError("empty", "found an empty table, expected {expected}", {"expected": _JUDGE_FORM})
    return table


Text: TypeAlias = Annotated[str, AfterValidator(_not_blank)]
NamedTable: TypeAlias = Annotated[dict[str, Any], AfterValidator(_named)]
JudgeSpec: TypeAlias = Annotated[dict[str, Any], AfterValidator(_not_empty)]

_JUDGE_FORM = 'a judge such as { contains = "Mia" }'


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Probe(_Part):
    """A question, asked on a branch that the dialogue never sees, and the judge of its answer."""

    ask: Text
    """The question."""
    judge: JudgeSpec
    """How an answer is scored: a judge's name with its argument, then options: `{ contains = "Mia" }`."""
    name: Text = ""
    """The probe's name in reports; by default the question. No two probes share a name."""
    family: Text = "own"
    """The kind of instruction that the probe tests. Results are also given per family."""
    every_reply: bool = False
    """Whether the instruction binds every reply, so that the replies in the dialogue are judged too."""

    @model_validator(mode="before")
    @classmethod
    def _name_from_question(cls, value: Any) -> Any:
        ask = value.get("ask") if isinstance(value, dict) else None
        if isinstance(ask, str) and ask.strip():
            return {"name": ask, **value}
        return value


class SamplingDefaults(_Part):
    """How replies are sampled, unless a command says otherwise. For None, the command's default applies."""

    max_new_tokens: Annotated[int | None, Field(ge=1)] = None
    """Largest number of tokens of a reply."""
    temperature: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """0 always takes the most likely token."""
    top_p: Annotated[float | None, Field(gt=0, le=1)] = None
    """Sample from the smallest set of tokens with at least this probability mass."""
    top_k: Annotated[int | None, Field(ge=0)] = None
    """Sample from the k most likely tokens; 0 means all."""
    stop: list[Annotated[str, Field(min_length=1)]] | None = None
    """Texts that end a reply."""

    def options(self) -> dict[str, Any]:
        """Return the fields that are set, as keyword arguments for `Sampling`."""
        options = self.model_dump(exclude_none=True)
        return {**options, "stop": tuple(options["stop"])} if "stop" in options else options


class Purpose(_Part):
    """What a chatbot is for. `Purpose.from_file` reads one."""

    name: Text
    """Short name; run folders are named after it."""
    model: Text = "smollm2"
    """A catalog name, a Hub id, a local folder, a GGUF file, or an OpenAI-compatible endpoint's address."""
    system: Text
    """The system prompt."""
    rules: list[Text] = Field(default_factory=list)
    """Instructions that must always hold, one sentence each. They are appended to the system prompt."""
    users_want: Text | None = None
    """What users want of it, as in "I would like ...": `to plan a trip`. The user of a measurement wants this."""
    probes: list[Probe] = Field(default_factory=list)
    """Questions that test whether the purpose still holds."""
    openers: list[Text] = Field(default_factory=list)
    """First messages of the user, one for each dialogue of a measurement. Empty: made from `users_want`."""
    partner: Text | None = None
    """System prompt of the other side when the model talks to itself. None: users who want what the purpose offers."""
    sampling: SamplingDefaults = Field(default_factory=SamplingDefaults)
    """How replies are sampled."""
    game: NamedTable | None = None
    """The game that defines success: its `name`, and its settings."""
    controls: list[NamedTable] = Field(default_factory=list)
    """The controls that hold the model to its purpose: the `name` of each, and its settings."""
    planner: dict[str, Any] | None = None
    """The trained planner that pursues the goal: its `path`, relative to the folder of this file."""
    serve: dict[str, Any] = Field(default_factory=dict)
    """How the purpose is served: fields of `telic.server.ServeConfig`."""

    _source: TomlSource = PrivateAttr(default_factory=TomlSource)
    _trusted_folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _probes_are_distinct(self) -> Purpose:
        first: dict[str, int] = {}
        for index, probe in enumerate(self.probes):
            if first.setdefault(probe.name, index) != index:
                text = "{name} is also the name of probes[{first}]; give each probe its own"
                context = {"name": repr(probe.name), "first": first[probe.name], "index": index}
                raise PydanticCustomError("duplicate", text, context)
        return self

    @property
    def system_prompt(self) -> str:
        """The model's system prompt: `system`, then every rule on a line of its own."""
        return "\n".join([self.system, *self.rules])

    @property
    def trusted_folder(self) -> Path | None:
        """The file's folder, if the user trusts the code in it; see `from_file`."""
        return self._trusted_folder

    @classmethod
    def from_file(cls, path: str | Path, *, trust: bool = False) -> Purpose:
        """Read a purpose file.

        Args:
            path: the file.
            trust: whether its judges may call functions in the Python files beside it.

        Raises:
            ConfigError: the file cannot be read, is not TOML, or is not a purpose. The message lists all errors of the
                file, each with its line, the field, what was found and what was expected.
        """
        path = Path(path)
        purpose = cls.from_text(decode(_read(path), str(path)), str(path))
        purpose._trusted_folder = path.resolve().parent if trust else None
        return purpose

    @classmethod
    def from_text(cls, text: str, name: str = "purpose") -> Purpose:
        """Read a purpose from TOML. `name` is the text's name in errors. Raises what `from_file` raises."""
        values, source = parse(text, name)
        try:
            purpose = cls.model_validate(values)
        except ValidationError as error:
            raise source.error(_problems(error.errors(), values)) from None
        purpose._source = source
        return purpose

    @classmethod
    def load(cls, source: str | Path, *, trust: bool = False) -> Purpose:
        """Read a purpose file, or the bundled purpose `demo` if no file has that name; see `from_file`."""
        if str(source) == "demo" and not Path(source).is_file():
            return cls.from_text(_bundled("demo.toml"), "demo")
        return cls.from_file(source, trust=trust)

    def where(self, *path: str | int) -> str:
        """Return a place in the file for an error message: `travel.toml, line 9: probes[1].judge`."""
        return self._source.where(path)

    def resolve_path(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return a table with its `path` resolved against the file's folder, if it exists there."""
        path = table.get("path")
        if isinstance(path, str) and path and (found := Path(self._source.name).parent / path).exists():
            return {**table, "path": str(found)}
        return dict(table)

    def check(self, check_judge: Callable[[dict[str, Any]], object]) -> None:
        """Check the judge of every probe. This layer does not know the judges, so the caller passes a check.

        Args:
            check_judge: called with each `judge` table; raises `TelicError` for a wrong one.

        Raises:
            ConfigError: some judges are wrong; the message lists all of them, each with its line.
        """
        problems: list[tuple[KeyPath, str]] = []
        for index, probe in enumerate(self.probes):
            try:
                check_judge(dict(probe.judge))
            except TelicError as error:
                problems.append((("probes", index, "judge"), str(error)))
        if problems:
            raise self._source.error(problems)

    def to_toml(self) -> str:
        """Return the purpose as TOML, which `from_text` reads back. Fields with default values are left out."""
        values = self.model_dump(exclude_defaults=True)
        for probe in values.get("probes", []):
            if probe["name"] == probe["ask"]:
                del probe["name"]
        return dump(values)


def update_file(path: str | Path, changes: Mapping[str, Any]) -> Purpose:
    """Edit a purpose file in place. The comments and layout of everything else stay.

    Args:
        path: the file.
        changes: new values by top-level key; None or an empty list removes the key.

    Returns:
        The changed purpose.

    Raises:
        ConfigError: the file cannot be read or written, or would no longer be a purpose. The file is unchanged.
    """
    path = Path(path).resolve()  # so that a symbolic link stays one
    data = _read(path)
    before = decode(data, str(path))
    Purpose.from_text(before, str(path))
    after = edit(before, changes)
    purpose = Purpose.from_text(after, f"{path} with the changes")
    mark = data[: len(BOM_UTF8)] if data.startswith(BOM_UTF8) else b""
    _write(path, mark + after.encode())
    return purpose


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        files = [str(file) for file in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        near = get_close_matches(str(path), files, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f". Write one with: telic new {path}"
        raise ConfigError(f"purpose file {str(path)!r} does not exist{hint}") from None
    except OSError as error:
        raise ConfigError(f"cannot read the purpose file {str(path)!r}: {error.strerror}") from None


def _write(path: Path, data: bytes) -> None:
    try:
        with atomic_draft(path) as draft:
            draft.write_bytes(data)
            draft.chmod(path.stat().st_mode)
    except OSError as error:
        raise ConfigError(f"cannot write the purpose file {str(path)!r}: {error.strerror}") from None


def _bundled(file: str) -> str:
    return (resources.files("telic") / "data" / file).read_text(encoding="utf-8")


# Errors in the user's terms instead of pydantic's.

_EXPECTED = {
    "string_type": "a text in quotation marks",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "int_type": "a whole number",
    "float_type": "a number",
}
_FORMS = {
    "judge": _JUDGE_FORM,
    "probes": "a list of tables: [[probes]]",
    "controls": "a list of tables: [[controls]]",
}
_KINDS = (
    (bool, "a boolean"),
    (str, "a text"),
    (int, "a whole number"),
    (float, "a number"),
    (list, "a list"),
)


def purpose_problems(values: dict[str, Any]) -> list[tuple[KeyPath, str]]:
    """Return the mistakes in the values of a purpose file, each with its place; none for a purpose."""
    try:
        Purpose.model_validate(values)
    except ValidationError as error:
        return _problems(error.errors(), values)
    return []


def _problems(errors: list[ErrorDetails], values: dict[str, Any]) -> list[tuple[KeyPath, str]]:
    problems: list[tuple[KeyPath, str]] = []
    misspelt: set[KeyPath] = set()
    for error in errors:
        if error["type"] == "extra_forbidden":
            message, path = _unknown(error["loc"], values)
            problems.append((error["loc"], message))
            misspelt.add(path)
    for error in errors:
        path = error["loc"]
        if error["type"] == "extra_forbidden" or (error["type"] == "missing" and path in misspelt):
            continue  # a misspelt key is not reported a second time as a missing one
        if error["type"] == "duplicate":
            path = ("probes", error["ctx"]["index"], "name")
        problems.append((path, _describe(error)))
    return problems


def _unknown(path: KeyPath, values: dict[str, Any]) -> tuple[str, KeyPath]:
    """Return the message for an unknown key, and the path of the key that its author probably meant."""
    parts: dict[str | int, type[BaseModel]] = {"probes": Probe, "sampling": SamplingDefaults}
    part = parts.get(path[0], Purpose) if len(path) > 1 else Purpose
    known, key = list(part.model_fields), str(path[-1])
    if part is not Purpose and key in Purpose.model_fields and key not in values:
        return "unknown key here; it belongs to the whole file: write it before the first [table]", (key,)
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    return f"unknown key{suggest(key, known)}", (*path[:-1], *near)


def _describe(error: ErrorDetails) -> str:
    kind, found = error["type"], error["input"]
    field = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "")
    direct = bool(error["loc"]) and error["loc"][-1] == field
    form = _FORMS.get(field) if direct else None
    if kind == "missing":
        return f"missing; expected {form or 'a text in quotation marks'}"
    if kind in {"blank", "unnamed", "empty", "duplicate"}:
        return error["msg"]
    expected = form or _EXPECTED.get(kind) or expected_value(error)
    return f"found {_shown(found)}, expected {expected}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    kind = next((kind for type_, kind in _KINDS if isinstance(value, type_)), type(value).__name__)
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"
