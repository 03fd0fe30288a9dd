"""Reading calls from what models write, well-formed or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.dialogue import ToolCall, ToolDefinition
from telic.tool_syntax import TEXT_SYNTAX, ToolSyntax

TOOLS = (ToolDefinition(name="find"), ToolDefinition(name="cancel"))
LLAMA = ToolSyntax("", "", "parameters")
MISTRAL = ToolSyntax("[TOOL_CALLS]", "", "arguments", listed=True)
SYNTAXES = [TEXT_SYNTAX, LLAMA, MISTRAL]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_what_is_written_is_read_back(syntax: ToolSyntax) -> None:
    calls = (
        ToolCall(id="call00001", name="find", arguments='{"q": "a </b> \\"c\\""}'),
        ToolCall(id="call00002", name="cancel", arguments="{}"),
    )
    assert syntax.read(syntax.write(calls), TOOLS) == ("", calls)


@pytest.mark.parametrize(
    ("text", "content", "calls"),
    [
        ("Hello.", "Hello.", []),
        ('One moment.\n<tool_call>\n{"name": "find", "arguments": {"q": 1}}\n</tool_call>', "One moment.",
         [("find", '{"q": 1}')]),
        ('<tool_call>{"name": "find", "arguments": {"q": 1}}', "", [("find", '{"q": 1}')]),
        ('<tool_call>{"name": "find", "arguments": {"q": </tool_call>', "",
         [("find", '{"name": "find", "arguments": {"q":')]),
        ("<tool_call>find(q=1)</tool_call>", "", [("", "find(q=1)")]),
        ("<tool_call>", "", [("", "")]),
        ('{"name": "find", "arguments": {"q": 1}}', "", [("find", '{"q": 1}')]),
        ('```json\n{"name": "find", "arguments": {"q": 1}}\n```', "", [("find", '{"q": 1}')]),
        ('{"name": "Mia", "age": 3}', '{"name": "Mia", "age": 3}', []),
        ('{"name": "find", "parameters": {"q": 1}}; {"name": "cancel"}', "", [("find", '{"q": 1}'), ("cancel", "{}")]),
        ('<tool_call>{"name": "nothing", "arguments": "x"}</tool_call>', "", [("nothing", "x")]),
        (r'<tool_call>{"name": "find", "arguments": {"q": "\ud83d"}}</tool_call>', "", [("find", r'{"q": "\ud83d"}')]),
    ],
)  # fmt: skip
def test_replies_are_split_into_what_they_say_and_their_calls(
    text: str, content: str, calls: list[tuple[str, str]]
) -> None:
    said, found = TEXT_SYNTAX.read(text, TOOLS)
    assert said == content
    assert [(call.name, call.arguments) for call in found] == calls


@given(st.text(max_size=40), st.sampled_from(SYNTAXES))
def test_any_text_is_read(text: str, syntax: ToolSyntax) -> None:
    for written in (text, syntax.opening + text, "<tool_call>" * 2 + text, "{" * 3000 + text, "[" * 100_000):
        content, calls = syntax.read(written, TOOLS)
        assert isinstance(content, str)
        assert len({call.id for call in calls}) == len(calls)


@given(
    st.lists(
        st.sampled_from(["Hi. ", "\n", "<", "<tool_call>", '{"name": "find"}', "</tool_call>", "[", "`"]), max_size=6
    ),
    st.sampled_from(SYNTAXES),
)  # fmt: skip
def test_what_is_shown_of_a_growing_reply_is_what_it_says_in_the_end(parts: list[str], syntax: ToolSyntax) -> None:
    text = "".join(parts)
    content, _ = syntax.read(text, TOOLS)
    for end in range(len(text) + 1):
        shown = text[: syntax.content_length(text[:end])]
        assert content.startswith(shown), (text, shown)


def test_ids_go_on_in_a_dialogue() -> None:
    _, [call] = TEXT_SYNTAX.read('<tool_call>{"name": "find"}</tool_call>', TOOLS, number=3)
    assert call.id == "call00004"
