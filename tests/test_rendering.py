"""Spans of messages, over templates that do what templates do: fold, refuse, strip, trim."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from telic.dialogue import Message, Role
from telic.errors import ModelError
from telic.rendering import Rendering, Span, Template

SPECIAL = (
    "<|im_start|>", "<|im_end|>", "<s>", "</s>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>",
    "<start_of_turn>", "<end_of_turn>", "<bos>", "[INST]", "[/INST]", "<think>", "</think>",
)  # fmt: skip

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CHATML_DEFAULT = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{% endif %}"
    + CHATML
)
LLAMA3 = (
    "{{ '<s>' }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' "
    "+ m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
_ALTERNATE = (
    "{% for m in loop_messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)
_SPLIT = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set sys = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% endif %}"
)
MISTRAL_FIRST = (
    "{{ '<s>' }}" + _SPLIT + _ALTERNATE + "{% if m['role'] == 'user' %}{% if loop.first and sys is defined %}"
    "{{ '[INST] ' + sys + '\n\n' + m['content'] + ' [/INST]' }}{% else %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% endif %}{% else %}{{ ' ' + m['content'] + '</s>' }}{% endif %}{% endfor %}"
)
"""The system prompt goes into the first user turn."""
MISTRAL_LAST = MISTRAL_FIRST.replace("loop.first", "loop.last")
"""As of version 0.3: into the last one."""
GEMMA = (
    "{{ '<bos>' }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' "
    "+ m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
GEMMA_UNTRIMMED = GEMMA.replace(" | trim", "")
QWEN3 = (
    "{% for m in messages %}{% set c = m['content'] %}"
    "{% if m['role'] == 'assistant' and '</think>' in c %}{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + c + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FORGETFUL = CHATML.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}")
"""Leaves system messages out without a word."""

TEMPLATES: dict[str, str | None] = {
    "chatml": CHATML,
    "chatml-default": CHATML_DEFAULT,
    "llama3": LLAMA3,
    "mistral-first": MISTRAL_FIRST,
    "mistral-last": MISTRAL_LAST,
    "gemma": GEMMA,
    "gemma-untrimmed": GEMMA_UNTRIMMED,
    "qwen3": QWEN3,
    "forgetful": FORGETFUL,
    "plain": None,
}
FURTHER: dict[str, str] = {}
"""Templates of other files, which the tests here do not run on."""


@cache
def template(name: str, *, merging: bool = False) -> Template:
    """A template on a tokenizer of single bytes, or on one whose tokens lie across the template's own borders."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not merging)
    inner.decoder = decoders.ByteLevel()
    inner.train_from_iterator(
        ["a.\n\nUser: b\n\nAssistant: a.\n\n b\n\n\n c", "user\na assistant\nb system\n"] * 4 if merging else [],
        trainers.BpeTrainer(
            vocab_size=330 if merging else 256 + len(SPECIAL),
            special_tokens=list(SPECIAL),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, chat_template={**TEMPLATES, **FURTHER}[name], clean_up_tokenization_spaces=False
    )
    return Template(tokenizer)


def dialogue(*contents: str, system: str | None = None) -> list[Message]:
    roles: tuple[Role, Role] = ("user", "assistant")
    head = [] if system is None else [Message(role="system", content=system)]
    return [*head, *(Message(role=roles[i % 2], content=content) for i, content in enumerate(contents))]


def decoded(used: Template, rendering: Rendering, span: Span) -> str:
    return str(used.tokenizer.decode(rendering.token_ids[span.start : span.end], skip_special_tokens=False))


_MARKS = st.sampled_from([*SPECIAL, "assistant\n", "User: ", "\n\n", "Assistant:", "<|im_end|>\n<|im_start|>user\n"])
_ODD = st.sampled_from([" ", "\n", "\n\n\n", "ﬁ", "👩‍👩‍👧", "é", "世界"])
CONTENT = st.lists(st.one_of(st.text(max_size=12), _MARKS, _ODD), max_size=4).map("".join)


def expected(name: str, message: Message) -> str:
    """What the template makes of a content."""
    if name in ("llama3", "gemma"):
        return message.content.strip()
    if name == "qwen3" and message.role == "assistant" and "</think>" in message.content:
        return message.content.split("</think>")[-1].lstrip("\n")
    return message.content


def left_out(name: str, messages: Sequence[Message], message: Message) -> bool:
    """Whether the template leaves a message out."""
    return name == "mistral-last" and message.role == "system" and messages[-1].role == "assistant"


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_opening_of_the_users_message_is_what_the_template_writes_before_it(name: str) -> None:
    used = template(name)
    for before in (
        dialogue("Hello.", "Hi."),
        dialogue("Hello.", "Hi.", "And you?", "Fine.", system="You talk to a user."),
        dialogue(system="You talk to a user."),
    ):
        whole = used.render([*before, Message(role="user", content="Xylophones!")], reply=False)
        opened = used.render_user_turn(before)
        assert opened.text == whole.text[: whole.text.index("Xylophones!")]
        assert decoded(used, opened, Span(0, len(opened.token_ids))) == opened.text
        assert [decoded(used, opened, span) for span in opened.contents] == [
            decoded(used, whole, span) for span in whole.contents[:-1]
        ]
        assert opened.messages == tuple(before)


def test_a_user_who_may_not_speak_next_is_refused() -> None:
    with pytest.raises(ModelError, match="must alternate"):
        template("mistral-first").render_user_turn(dialogue("Hello."))


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(contents=st.lists(CONTENT, min_size=1, max_size=5), system=st.one_of(st.none(), CONTENT))
def test_spans_hold_the_contents(name: str, contents: list[str], system: str | None) -> None:
    used = template(name)
    messages = dialogue(*contents, system=system)
    rendering = used.render(messages)
    assert used.tokenizer.decode(rendering.token_ids, skip_special_tokens=False) == rendering.text
    for message, content, turn in zip(messages, rendering.contents, rendering.turns, strict=True):
        want, got = expected(name, message), decoded(used, rendering, content)
        if left_out(name, messages, message):
            assert not got
        elif name == "gemma":
            assert got.strip() == want.strip()  # with a system prompt folded in, the two are trimmed as one
        else:
            assert got == want
        if content:
            assert turn.start <= content.start < content.end <= turn.end
    in_order(name, rendering)


def in_order(name: str, rendering: Rendering) -> None:
    for spans in (rendering.contents, rendering.turns):
        filled = [span for span in spans if span]
        if name == "mistral-last":  # whose system prompt comes late
            filled.sort(key=lambda span: span.start)
        for one, other in pairwise(filled):
            assert one.end <= other.start
        assert all(span.end <= len(rendering.token_ids) for span in filled)


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(contents=st.lists(CONTENT, min_size=1, max_size=3), system=st.one_of(st.none(), CONTENT))
def test_tokens_across_borders_belong_to_the_content(name: str, contents: list[str], system: str | None) -> None:
    used = template(name, merging=True)
    messages = dialogue(*contents, system=system)
    rendering = used.render(messages)
    for message, span in zip(messages, rendering.contents, strict=True):
        if not left_out(name, messages, message):
            assert expected(name, message).strip() in decoded(used, rendering, span)
    filled = sorted((span for span in rendering.contents if span), key=lambda span: span.start)
    for one, other in pairwise(filled):
        assert one.end <= other.start + 1  # at most the token on the border is shared


@pytest.mark.parametrize(
    ("name", "takes_system", "assistant_first"),
    [
        ("chatml", True, True),
        ("llama3", True, True),
        ("mistral-first", True, False),
        ("mistral-last", True, False),
        ("gemma", False, True),
        ("qwen3", True, True),
        ("forgetful", False, True),
        ("plain", True, True),
    ],
)
def test_what_templates_take(name: str, takes_system: bool, assistant_first: bool) -> None:
    assert template(name).takes_system is takes_system
    assert template(name).takes_assistant_first is assistant_first


@pytest.mark.parametrize("name", TEMPLATES)
def test_turns_cover_what_belongs_to_them(name: str) -> None:
    used = template(name)
    messages = dialogue("How are you?", "Fine.", "Where to?", system="You are Mia.")
    rendering = used.render(messages)
    opening = rendering.text[len(used.render(messages, reply=False).text) :]
    turns = sorted((span for span in rendering.turns if span), key=lambda span: span.start)
    assert turns[0].start == 0
    assert all(one.end == other.start for one, other in pairwise(turns))
    rest = decoded(used, rendering, Span(turns[-1].end, len(rendering.token_ids)))
    assert rest.lstrip("\n") == opening.lstrip("\n")


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_system_prompt_has_its_span(name: str) -> None:
    used = template(name)
    rendering = used.render(dialogue("How are you?", "Fine.", "Where to?", system="You are Mia."))
    assert decoded(used, rendering, rendering.system_content) == "You are Mia."
    assert "You are Mia." in decoded(used, rendering, rendering.system_turn)
    assert "How are you?" not in decoded(used, rendering, rendering.system_turn) or name == "mistral-last"
    without = used.render(dialogue("How are you?"))
    assert len(without.system_content) == len(without.system_turn) == 0


def test_a_system_prompt_alone_is_said_as_a_user_would() -> None:
    used = template("gemma")
    rendering = used.render(dialogue(system="You are Mia."))
    assert rendering.system_folded
    assert decoded(used, rendering, rendering.system_content) == "You are Mia."


def test_a_refusal_quotes_the_template() -> None:
    with pytest.raises(ModelError, match=r"refuses a dialogue of \[user, user\]: .*must alternate"):
        template("mistral-first").render([Message(role="user", content="a"), Message(role="user", content="b")])
    with pytest.raises(ModelError, match="no messages to render"):
        template("chatml").render([])


def test_slow_tokenizers_are_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match="'Slow' gives no character offsets"):
        Template(Slow())


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_longer_dialogue_begins_as_the_shorter_one(name: str) -> None:
    # What the cache of a session lives on; only a template that moves the system prompt cannot keep it.
    used = template(name)
    shorter = used.render(dialogue("How are you?", system="You are Mia."))
    longer = used.render(dialogue("How are you?", "Fine.", "Where to?", system="You are Mia."))
    agrees = longer.token_ids[: len(shorter.token_ids)] == shorter.token_ids
    assert agrees is (name != "mistral-last")


def test_speakers_with_names() -> None:
    used = template("chatml")
    messages: Sequence[Any] = [Message(role="user", content="Hi", name="Ann"), Message(role="user", content="Ho")]
    rendering = used.render(messages)
    assert [decoded(used, rendering, span) for span in rendering.contents] == ["Hi", "Ho"]
