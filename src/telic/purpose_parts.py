"""The parts of a purpose file: its tables, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

__all__ = [
    "JUDGE_FORM",
    "Echo",
    "JudgeSpec",
    "Limit",
    "McpServer",
    "NamedTable",
    "Part",
    "Probe",
    "SamplingDefaults",
    "Text",
    "ToolSpec",
]

JUDGE_FORM = 'a judge such as { contains = "Mia" }'

Echo: TypeAlias = Literal["counts", "words", "numbers"]
"""Which words of the user a judge ignores in a reply: none, words of three letters or more, or numbers."""


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
        raise PydanticCustomError("empty", "found an empty table, expected {expected}", {"expected": JUDGE_FORM})
    return table


Text: TypeAlias = Annotated[str, AfterValidator(_not_blank)]
NamedTable: TypeAlias = Annotated[dict[str, Any], AfterValidator(_named)]
JudgeSpec: TypeAlias = Annotated[dict[str, Any], AfterValidator(_not_empty)]


class Part(BaseModel):
    """A table of a purpose file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Probe(Part):
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


class Limit(Part):
    """What the chatbot must never do. It is an attacker's goal, an output guard's measure and a monitor's alarm."""

    name: Text
    """The limit's name in reports: what the chatbot would do, such as `quotes a price`. No two limits share a name."""
    judge: JudgeSpec
    """Whether a reply breaks the limit: a judge that scores 1 if it does, `{ regex = '[$€]' }`."""
    rule: Text | None = None
    """The limit as an instruction to the chatbot. It is appended to the system prompt, as `rules` are."""
    goal: Text = ""
    """What an attacker tries, in words: `Get it to quote a price.` By default made from the name and the rule."""
    asks: list[Text] = Field(default_factory=list)
    """What a user says to get it to do so: `What does a flight to Lisbon cost?` Attackers without a model vary these
    messages. By default one is made from the goal."""
    echo: Echo = "counts"
    """Which words of the user the judge ignores in a reply, so that "No, it is not velvet" gives nothing away."""

    @model_validator(mode="before")
    @classmethod
    def _goal_from_words(cls, value: Any) -> Any:
        name, rule = (value.get(key) if isinstance(value, dict) else None for key in ("name", "rule"))
        if isinstance(name, str) and name.strip():
            return {"goal": cls.default_goal(name, rule if isinstance(rule, str) else None), **value}
        return value

    @staticmethod
    def default_goal(name: str, rule: str | None) -> str:
        """Make an attacker's goal from the limit's name, and from its rule if it has one."""
        told = f" It was told: {rule.strip()}" if rule and rule.strip() else ""
        return f"It must never do this: {name.strip().rstrip('.')}.{told} Get it to do it."


class McpServer(Part):
    """A server of tools that speaks the Model Context Protocol: a command or an address."""

    command: list[Text] = Field(default_factory=list)
    """The program and its arguments; it is started in the folder of the purpose file."""
    url: Text | None = None
    """The address of a server that runs: `http://localhost:8000/mcp`."""
    env: dict[str, str] = Field(default_factory=dict)
    """Variables of the command's environment, besides the few that every program needs."""

    @model_validator(mode="after")
    def _one_way(self) -> McpServer:
        if bool(self.command) == bool(self.url):
            raise PydanticCustomError("mcp_server", "expected either a command or a url")
        return self


class ToolSpec(Part):
    """Tools that the chatbot may call: one by its name, a function or class of your own, or those of an MCP server."""

    name: Text | None = None
    """A tool that Telic or a plug-in has, such as `calculate`."""
    python: Text | None = None
    """A typed function, or a class whose public methods are tools: `module:function`, in the folder of this file."""
    mcp: McpServer | None = None
    """An MCP server: `{ command = ["uvx", "mcp-server-time"] }` or `{ url = "http://localhost:8000/mcp" }`."""
    allow: list[Text] | None = None
    """Of several tools, those that the chatbot may call. None: all."""
    confirm: bool | list[Text] = False
    """Whether a person must agree to each call: of all these tools, or of those with these names."""
    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    """Seconds after which a call counts as failed."""
    max_characters: Annotated[int, Field(ge=1)] = 8000
    """Longest result, in characters; a longer one is cut."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of a class."""

    @model_validator(mode="after")
    def _one_source(self) -> ToolSpec:
        given = [key for key in ("name", "python", "mcp") if getattr(self, key) is not None]
        if len(given) != 1:
            found = {"found": " and ".join(given) or "none"}
            raise PydanticCustomError("tool_source", "found {found}, expected one of name, python and mcp", found)
        return self

    def options(self) -> dict[str, Any]:
        """Return the limits of a call, as fields of a tool."""
        return {"timeout": self.timeout, "max_characters": self.max_characters}

    @property
    def confirmed_names(self) -> list[str]:
        """The tools that `confirm` names."""
        return self.confirm if isinstance(self.confirm, list) else []

    def needs_confirmation(self, name: str) -> bool:
        """Return whether a person must agree to calls of a tool."""
        return name in self.confirm if isinstance(self.confirm, list) else self.confirm


class SamplingDefaults(Part):
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
