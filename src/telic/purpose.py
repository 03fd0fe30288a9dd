"""The purpose file: one TOML file that says what a chatbot is for. Every command takes it."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from telic.errors import ConfigError, TelicError
from telic.files import atomic_draft
from telic.purpose_errors import describe_problems
from telic.purpose_parts import Limit, NamedTable, Part, Probe, SamplingDefaults, Text, ToolSpec
from telic.settings import Settings
from telic.toml_edit import append_table, dump, edit
from telic.toml_source import KeyPath, TomlSource, decode, dotted_path, parse

__all__ = ["Limit", "Probe", "Purpose", "SamplingDefaults", "purpose_problems", "update_file"]

S = TypeVar("S", bound=Settings)


class Purpose(Part):
    """What a chatbot is for. `Purpose.from_file` reads one."""

    name: Text
    """Short name; run folders are named after it."""
    model: Text = "smollm2"
    """A catalog name, a Hub id, a local folder, a GGUF file, or an OpenAI-compatible endpoint's address."""
    adapter: Text | None = None
    """A folder with an adapter (LoRA) for the model, as `telic learn --method kto` makes it, relative to the folder of
    this file. It is merged into the weights when the model is loaded."""
    system: Text
    """The system prompt."""
    rules: list[Text] = Field(default_factory=list)
    """Instructions that must always hold, one sentence each. They are appended to the system prompt."""
    users_want: Text | None = None
    """What users want of it, as in "I would like ...": `to plan a trip`. The user of a measurement wants this."""
    probes: list[Probe] = Field(default_factory=list)
    """Questions that test whether the purpose still holds."""
    limits: list[Limit] = Field(default_factory=list)
    """What it must never do. `telic attack` tries to make it do so; guards and monitors watch for it."""
    refusal: Text | None = None
    """What it says instead of a reply that a defence refuses. None: a sentence made from `users_want`."""
    openers: list[Text] = Field(default_factory=list)
    """First messages of the user, one for each dialogue of a measurement. Empty: made from `users_want`."""
    partner: Text | None = None
    """System prompt of the other side when the model talks to itself. None: users who want what the purpose offers."""
    sampling: SamplingDefaults = Field(default_factory=SamplingDefaults)
    """How replies are sampled."""
    best_of: Annotated[int, Field(ge=1, le=32)] = 1
    """Replies that are drawn for each turn; the user gets the one that `reward_head` expects to please most."""
    reward_head: Text | None = None
    """A folder that `telic learn --method reward_head` makes, relative to the folder of this file."""
    game: NamedTable | None = None
    """The game that defines success: its `name`, and its settings."""
    controls: list[NamedTable] = Field(default_factory=list)
    """The controls that hold the model to its purpose: the `name` of each, and its settings."""
    defences: list[NamedTable] = Field(default_factory=list)
    """What protects its limits: the `name` of each defence, and its settings."""
    tools: list[ToolSpec] = Field(default_factory=list)
    """What it may do besides talking; each table names a tool, a function of yours, or an MCP server."""
    tool_steps: Annotated[int, Field(ge=1, le=100)] = 8
    """Times that it may call tools before it must answer."""
    planner: dict[str, Any] | None = None
    """The trained planner that pursues the goal: its `path`, relative to the folder of this file."""
    memory: dict[str, Any] | None = None
    """What it remembers of its users: fields of `telic.memory.MemoryConfig`. None: nothing."""
    digest: dict[str, Any] | None = None
    """What the morning digest reads: fields of `telic.assistants.digest.DigestConfig`. None: there is none."""
    drafts: dict[str, Any] | None = None
    """Whose mail is answered, and where drafts go: fields of `telic.assistants.drafts.DraftsConfig`. None: no mail."""
    vllm: dict[str, Any] | None = None
    """How vLLM runs its model, `vllm:...`: fields of `telic.models.vllm.settings.VllmSettings`."""
    serve: dict[str, Any] = Field(default_factory=dict)
    """How the purpose is served: fields of `telic.server.ServeConfig`."""

    _source: TomlSource = PrivateAttr(default_factory=TomlSource)
    _trusted_folder: Path | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Purpose:
        named = {"probes": [one.name for one in self.probes], "limits": [one.name for one in self.limits]}
        for table, names in named.items():
            first: dict[str, int] = {}
            for index, name in enumerate(names):
                if first.setdefault(name, index) != index:
                    text = "{name} is also the name of {table}[{first}]; give each {what} its own name"
                    context = {"name": repr(name), "first": first[name], "index": index, "table": table}
                    raise PydanticCustomError("duplicate", text, {**context, "what": table.removesuffix("s")})
        return self

    @model_validator(mode="after")
    def _best_of_has_a_head(self) -> Purpose:
        if self.best_of > 1 and self.reward_head is None:
            text = "found best_of = {best_of} without a reward_head, which chooses the reply; make one with: {command}"
            context = {"best_of": self.best_of, "command": "telic learn PURPOSE --method reward_head"}
            raise PydanticCustomError("no_reward_head", text, context)
        return self

    @model_validator(mode="after")
    def _vllm_has_a_model(self) -> Purpose:
        if self.vllm is not None and not self.model.startswith("vllm:"):
            text = "found [vllm], but model = {model}; [vllm] says how vLLM runs a model in this process: {example}"
            context = {"model": repr(self.model), "example": f'model = "vllm:{self.model}"'}
            raise PydanticCustomError("no_vllm_model", text, context)
        return self

    @property
    def adapter_path(self) -> str | None:
        """The folder of the adapter, resolved against the file's folder if it exists there."""
        return self._resolved(self.adapter)

    @property
    def reward_head_path(self) -> str | None:
        """The folder of the reward head, resolved against the file's folder if it exists there."""
        return self._resolved(self.reward_head)

    def _resolved(self, path: str | None) -> str | None:
        return None if path is None else str(self.resolve_path({"path": path})["path"])

    @property
    def system_prompt(self) -> str:
        """The model's system prompt: `system`, then every rule on a line of its own, then those of the limits."""
        return "\n".join([self.system, *self.rules, *(limit.rule for limit in self.limits if limit.rule)])

    @property
    def refusal_text(self) -> str:
        """What it says instead of a refused reply: `refusal`, or a sentence made from `users_want`."""
        offer = f" I can help you {self.users_want}." if self.users_want else " What else can I do for you?"
        return self.refusal or f"I am sorry, I cannot help with that.{offer}"

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
            raise source.error(describe_problems(error.errors(), values, cls)) from None
        purpose._source = source
        return purpose

    @classmethod
    def load(cls, source: str | Path, *, trust: bool = False) -> Purpose:
        """Read a purpose file, or the bundled purpose `demo` if no file has that name; see `from_file`."""
        if str(source) == "demo" and not Path(source).is_file():
            return cls.from_text(_bundled("demo.toml"), "demo")
        return cls.from_file(source, trust=trust)

    def with_changes(self, changes: Mapping[str, Any]) -> Purpose:
        """Return the purpose with other values of some fields. It keeps its file, against which paths are resolved.

        Raises:
            ConfigError: it would no longer be a purpose.
        """
        values = {**self.model_dump(exclude_unset=True), **changes}
        try:
            changed = Purpose.model_validate(values)
        except ValidationError as error:
            problems = describe_problems(error.errors(), values, Purpose)
            raise ConfigError("; ".join(f"{dotted_path(path)}: {text}" for path, text in problems)) from None
        changed._source, changed._trusted_folder = self._source, self._trusted_folder
        return changed

    @property
    def file(self) -> Path | None:
        """The file that it was read from; None if there is none, as for the bundled purpose."""
        path = Path(self._source.name)
        return path if self._source.name and path.is_file() else None

    def where(self, *path: str | int) -> str:
        """Return a place in the file for an error message: `travel.toml, line 9: probes[1].judge`."""
        return self._source.where(path)

    def settings_of(self, table: Literal["memory", "digest", "drafts", "vllm"], kind: type[S]) -> S | None:
        """Read a table whose settings belong to a layer above; None if the file does not have it.

        Args:
            table: its name.
            kind: the class of its settings.

        Raises:
            ConfigError: a setting is invalid; the message names the table's line.
        """
        values: dict[str, Any] | None = getattr(self, table)
        if values is None:
            return None
        try:
            return kind.of(**values)
        except ConfigError as error:
            raise ConfigError(f"{self.where(table)}: {error}") from None

    def resolve_path(self, table: Mapping[str, Any]) -> dict[str, Any]:
        """Return a table with its `path` resolved against the file's folder, if it exists there."""
        path = table.get("path")
        if isinstance(path, str) and path and (found := Path(self._source.name).parent / path).exists():
            return {**table, "path": str(found)}
        return dict(table)

    def relative_path(self, path: str | Path) -> str:
        """Return a path as this file may name it: relative to the file's folder if it is in there, else absolute."""
        resolved, file = Path(path).resolve(), Path(self._source.name).resolve()
        inside = file.is_file() and resolved.is_relative_to(file.parent)
        return str(resolved.relative_to(file.parent) if inside else resolved)

    def check(self, check_judge: Callable[[dict[str, Any]], object]) -> None:
        """Check the judges of the probes and limits. This layer does not know the judges: the caller passes a check.

        Args:
            check_judge: called with each `judge` table; raises `TelicError` for a wrong one.

        Raises:
            ConfigError: some judges are wrong; the message lists all of them, each with its line.
        """
        problems: list[tuple[KeyPath, str]] = []
        judged = [(("probes", index), probe.judge) for index, probe in enumerate(self.probes)]
        judged += [(("limits", index), limit.judge) for index, limit in enumerate(self.limits)]
        for place, judge in judged:
            try:
                check_judge(dict(judge))
            except TelicError as error:
                problems.append(((*place, "judge"), str(error)))
        if problems:
            raise self._source.error(problems)

    def to_toml(self) -> str:
        """Return the purpose as TOML, which `from_text` reads back. Fields with default values are left out."""
        values = self.model_dump(exclude_defaults=True)
        for probe in values.get("probes", []):
            if probe["name"] == probe["ask"]:
                del probe["name"]
        for limit in values.get("limits", []):
            if limit["goal"] == Limit.default_goal(limit["name"], limit.get("rule")):
                del limit["goal"]
        return dump(values)


def update_file(
    path: str | Path, changes: Mapping[str, Any], added: Mapping[str, Mapping[str, Any]] | None = None
) -> Purpose:
    """Edit a purpose file in place. The comments and layout of everything else stay.

    Args:
        path: the file.
        changes: new values by top-level key; None or an empty list removes the key.
        added: tables to add to lists of tables, such as a probe: the tables that are there stay as they are written.

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
    for key, table in (added or {}).items():
        after = append_table(after, key, table)
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


def purpose_problems(values: dict[str, Any]) -> list[tuple[KeyPath, str]]:
    """Return the mistakes in the values of a purpose file, each with its place; none for a purpose."""
    try:
        Purpose.model_validate(values)
    except ValidationError as error:
        return describe_problems(error.errors(), values, Purpose)
    return []
