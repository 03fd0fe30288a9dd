"""Replies in a given form: what may be said, in which company, and what is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import pytest
import torch
from pydantic import BaseModel, Field
from tokenizers import AddedToken

from telic.errors import ConfigError, UnsupportedControlError
from telic.models import FakeModel, Request, ResponseFormat, ScriptedModel
from telic.models.control import Control, ControlContext, ControlPoint
from telic.models.grammars import LIMITS, GrammarCache, matches
from telic.models.local import LocalModel
from telic.models.local.constraint import grammar_tokenizer
from telic.steering import Refresh
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, Case, ask


class Trip(BaseModel):
    """What a travel agent wants to know."""

    city: Literal["Rome", "Łódź", "東京"]
    nights: int = Field(ge=1, le=30)
    children: bool


class Odd(BaseModel):
    """No JSON can be this."""

    call: Callable[[int], int]


SCHEMA = {
    "type": "object",
    "properties": {
        "mood": {"type": "string", "maxLength": 6},
        "rooms": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
    },
    "required": ["mood", "rooms"],
    "additionalProperties": False,
}
FORMATS = {
    "schema": ResponseFormat.json_schema(SCHEMA),
    "pydantic": ResponseFormat.json_schema({**Trip.model_json_schema(), "additionalProperties": False}),
    "regex": ResponseFormat.regex(r"[A-Z][a-z]{1,8}, \d{4}\n"),
    "choice": ResponseFormat.choice(["Yes 😀", 'No, "never"', "Может быть"]),
    "lark": ResponseFormat.lark('start: "(" start ")" | /[a-z]/'),
    "emoji": ResponseFormat.regex(r"[\u{1F600}-\u{1F64F}]{3}é?"),
}


def constrained(form: ResponseFormat, text: str = MIDDLE, **options: Any) -> Request:
    controls = options.pop("controls", ())
    request = ask(text, controls=controls, **{"max_new_tokens": 200, "temperature": 1.0, "seed": 3, **options})
    return replace(request, response_format=form)


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama", max_batch=8)


# ---- what is said


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_replies_have_the_form(case: Case, form: ResponseFormat) -> None:
    requests = [
        constrained(form, seed=seed, temperature=temperature) for seed, temperature in enumerate((1.0, 0.0, 2.0))
    ]
    for reply in case.model.generate(requests):
        if form.kind == "lark" and reply.finish == "length":  # nothing bounds its brackets
            continue
        assert (reply.finish, reply.failure) == ("stop", None)
        assert matches(form, reply.text), reply.text


def test_the_parts_of_a_character_are_allowed_one_by_one(model: LocalModel) -> None:
    reply = model.generate([constrained(FORMATS["emoji"])])[0]
    assert reply.new_tokens > len(reply.text), "the tokenizer has no token for an emoji"
    assert re.fullmatch("[\U0001f600-\U0001f64f]{3}é?", reply.text)


def test_any_unicode_string_is_valid_text(model: LocalModel) -> None:
    form = ResponseFormat.json_schema({"type": "string", "minLength": 20, "maxLength": 20})
    for reply in model.generate([constrained(form, seed=seed, temperature=3.0) for seed in range(6)]):
        assert reply.finish == "stop"
        assert len(json.loads(reply.text)) == 20
        assert "\ufffd" not in reply.text


def test_the_end_comes_where_the_grammar_is_complete_and_nowhere_else(model: LocalModel) -> None:
    """A model that always wants to end may do so as soon as the form allows it; one that never wants to has to."""
    form = ResponseFormat.regex("a{5,9}")
    eager, unwilling = Boost(tiny.EOS), Boost(tiny.EOS, -1e4)
    soon, late = model.generate([constrained(form, controls=(one,), temperature=0.0) for one in (eager, unwilling)])
    assert (soon.text, soon.finish, soon.token_ids[-1]) == ("a" * 5, "stop", tiny.EOS)
    assert (late.text, late.finish) == ("a" * 9, "stop")


def test_a_reply_that_is_cut_off_has_the_beginning_of_the_form(model: LocalModel) -> None:
    whole = model.generate([constrained(FORMATS["schema"])])[0]
    cut = model.generate([constrained(FORMATS["schema"], max_new_tokens=5)])[0]
    assert (cut.finish, cut.token_ids) == ("length", whole.token_ids[:5])
    exact = model.generate([constrained(FORMATS["schema"], max_new_tokens=whole.new_tokens)])[0]
    assert (exact.finish, exact.text) == ("stop", whole.text), "complete with the last token that it was given"


def test_what_follows_a_trigger_has_the_form_and_the_rest_is_free(model: LocalModel) -> None:
    call = 'start: " " /[0-9]{3}/ ";"'
    form = ResponseFormat.lark(call, trigger="May")
    free = model.generate([constrained(form, max_new_tokens=30)])[0]
    assert "May" not in free.text
    assert not re.search(r"\d{3};", free.text)
    begun = model.generate([constrained(form, max_new_tokens=30, controls=(Begin("so May"),))])[0]
    assert re.match(r"so May \d{3};", begun.text), begun.text


# ---- log-probabilities and controls


def test_log_probabilities_are_those_among_what_is_possible(case: Case) -> None:
    request = constrained(ResponseFormat.choice(["a", "b", "c"]), logprobs=True, seed=5)
    reply = case.one(request)
    assert reply.logprobs is not None
    ids = [case.model.tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "abc"]
    plain = case.reference.log_probabilities(case.prompt(request))[-1][ids]
    expected = torch.log_softmax(plain, dim=-1)[ids.index(reply.token_ids[0])]
    assert reply.logprobs[0] == pytest.approx(float(expected), abs=case.tolerance * 10)
    assert sum(reply.logprobs[1:]) == pytest.approx(0.0, abs=1e-6)


class Boost(Control):
    """Adds to the logit of one token."""

    name: ClassVar[str] = "boost"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __init__(self, token: int, by: float = 1e4) -> None:
        self.token, self.by = token, by

    def logits(self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        changed = logits_R_V.clone()
        changed[:, self.token] += self.by
        return changed


class Begin(Control):
    """Lets every reply begin with a text."""

    name: ClassVar[str] = "begin"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __init__(self, text: str) -> None:
        self.tokens = tiny.tokenizer().encode(text, add_special_tokens=False)

    def logits(self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        changed = logits_R_V.clone()
        for row, context in enumerate(contexts):
            if len(context.generated) < len(self.tokens):
                changed[row, self.tokens[len(context.generated)]] += 1e4
        return changed


def test_controls_decide_among_what_is_possible(model: LocalModel) -> None:
    form = ResponseFormat.choice(["a", "b", "c"])
    for letter in "abc":
        token = model.tokenizer.encode(letter, add_special_tokens=False)[0]
        assert model.generate([constrained(form, controls=(Boost(token),))])[0].text == letter
    outside = model.tokenizer.encode("x", add_special_tokens=False)[0]
    assert model.generate([constrained(form, controls=(Boost(outside),))])[0].text in "abc"


def test_contrast_prompts_go_with_it(model: LocalModel) -> None:
    """`refresh` compares with a second prompt; both get the same constrained reply, and it still acts."""
    controls = (Refresh(strength=3.0, keep=0),)
    form = ResponseFormat.regex("[a-z ]{30}")
    held = model.generate([constrained(form, controls=controls, temperature=0.0), constrained(form, temperature=0.0)])
    assert all(re.fullmatch("[a-z ]{30}", reply.text) for reply in held)
    assert model.generate([constrained(form, controls=controls, temperature=0.0)])[0].text == held[0].text


# ---- company


def test_rows_with_and_without_a_form_do_not_touch_each_other(model: LocalModel) -> None:
    mixed = [
        constrained(FORMATS["schema"], LONG, logprobs=True),
        ask(SHORT, temperature=1.0, seed=1),
        constrained(FORMATS["regex"], SHORT),
        ask(MIDDLE),
        constrained(FORMATS["choice"], SHORT, seed=9),
        constrained(FORMATS["schema"], LONG, seed=4),
    ]
    together = model.generate(mixed)
    alone = [model.generate([request])[0] for request in mixed]
    assert [reply.token_ids for reply in together] == [reply.token_ids for reply in alone]


def test_seeds_repeat_and_vary(model: LocalModel) -> None:
    texts = [model.generate([constrained(FORMATS["schema"], seed=seed)])[0].text for seed in (1, 2, 3, 1)]
    assert texts[0] == texts[3]
    assert len(set(texts)) > 1


def test_a_session_and_its_fork(model: LocalModel) -> None:
    session = model.session("You are Mia.").user(MIDDLE)
    form = FORMATS["schema"]
    fork = session.fork()
    first = session.reply(response_format=form, max_new_tokens=200, seed=1)
    branched = fork.reply(response_format=form, max_new_tokens=200, seed=1)
    assert first.text == branched.text
    assert matches(form, first.text)
    after = session.user(SHORT).reply(max_new_tokens=8, temperature=0.0)
    anew = model.session("You are Mia.").user(MIDDLE).assistant(first.text).user(SHORT)
    assert after.text == anew.reply(max_new_tokens=8, temperature=0.0).text
    assert after.cached_tokens > first.prompt_tokens


def test_a_cancelled_row_leaves_the_others_alone(model: LocalModel) -> None:
    expected = model.generate([constrained(FORMATS["schema"])])[0].text
    gone, stays = model.submit(constrained(FORMATS["regex"])), model.submit(constrained(FORMATS["schema"]))
    model.step(stays)
    model.step(stays)
    model.cancel(gone)
    while stays.reply is None:
        model.step(stays)
    assert stays.reply.text == expected
    assert gone.reply is None
    assert model.engine.idle


def test_a_stream_adds_up(model: LocalModel) -> None:
    *pieces, reply = model.stream(constrained(FORMATS["emoji"]))
    assert "".join(map(str, pieces)) == getattr(reply, "text", None)
    assert len(pieces) > 1


# ---- what is refused


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (ResponseFormat.json_schema({"type": "strin"}), "json_schema: Invalid type: strin"),
        (
            ResponseFormat.json_schema(
                {"properties": {"a": {"type": "string"}, "b": {"items": [{"anyOf": [{}, {"minimum": "x"}]}]}}}
            ),
            "at /properties/b/items/0/anyOf/1: Expected f64 for 'minimum'",
        ),
        (
            ResponseFormat.json_schema(
                {"$defs": {"D": {"type": "string"}}, "properties": {"a": {"$ref": "#/$defs/E"}}}
            ),
            r"at /properties/a: Pointer '/\$defs/E' does not exist",
        ),
        (
            ResponseFormat.json_schema({"properties": {"when": {"type": "string", "pattern": "(a"}}}),
            "at /properties/when: .*unclosed group",
        ),
        (ResponseFormat.json_schema({"type": "array", "uniqueItems": True}), "uniqueItems"),
        (ResponseFormat.json_schema({"type": "integer", "minimum": 5, "maximum": 1}), "minimum .5. is greater"),
        (ResponseFormat.regex("(?=a)b"), "regex: .*look-around"),
        (ResponseFormat.lark("start: nothing"), "lark: .*nothing"),
        (ResponseFormat.lark("start: nothing", trigger="<call>"), "lark: .*nothing"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else value.kind,
)
def test_a_wrong_format_is_refused_before_any_work(model: LocalModel, form: ResponseFormat, told: str) -> None:
    passes = model.engine.passes
    for _ in range(2):  # the second time from the cache
        with pytest.raises(ConfigError, match=told) as raised:
            model.generate([ask(), constrained(form)])
        assert "\n" not in str(raised.value)
    with pytest.raises(ConfigError, match=told):
        next(model.stream(constrained(form)))
    assert model.engine.passes == passes


def nested(depth: int, **part: Any) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"], **part}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        nested(200),
        {"properties": {f"p{number}": {} for number in range(6000)}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}, {"type": "object"}]}}},
        {
            "allOf": [
                {"anyOf": [{"properties": {f"x{i}_{j}": {"type": "integer", "minimum": j}}} for j in range(3)]}
                for i in range(12)
            ]
        },
    ],
    ids=["deep", "wide", "loop", "loop in allOf", "product"],
)
def test_a_hostile_schema_is_refused(model: LocalModel, schema: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="response format: json_schema"):
        model.check_format(ResponseFormat.json_schema(schema))


def test_a_hostile_pattern_fails_alone(model: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose states explode only while it is followed."""
    monkeypatch.setitem(LIMITS, "max_lexer_states", 100)  # with a small vocabulary, it takes a while to explode
    form = ResponseFormat.regex("(.*a.{200}){20}")
    bad, good = model.generate([constrained(form, max_new_tokens=400), constrained(FORMATS["schema"])])
    assert bad.failure is not None
    assert bad.failure.kind == "response_format"
    assert "cannot go on in its response format" in bad.failure.detail
    assert "Tokens" not in bad.failure.detail
    assert matches(FORMATS["schema"], good.text)


def test_a_wrong_format_of_a_later_request_fails_alone(model: LocalModel) -> None:
    def further(index: int, _reply: object) -> list[Request]:
        return [constrained(ResponseFormat.regex("(")), constrained(FORMATS["regex"])] if index == 0 else []

    _, bad, good = model.generate([ask()], further)
    assert bad.failure is not None
    assert (bad.failure.kind, good.failure) == ("response_format", None)


def test_what_is_no_format() -> None:
    with pytest.raises(ConfigError, match="expected a list of texts"):
        ResponseFormat.choice("yes")
    with pytest.raises(ConfigError, match="expected a list of texts"):
        ResponseFormat.choice(["yes", ""])
    with pytest.raises(ConfigError, match="expected a JSON schema or a pydantic model"):
        ResponseFormat.of([1])  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"response format: Odd: .*Callable"):
        ResponseFormat.of(Odd)
    with pytest.raises(ConfigError, match="not a pydantic model"):
        ResponseFormat.json_schema(dict)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="not JSON"):
        ResponseFormat.json_schema({"const": object()})
    with pytest.raises(ConfigError, match="not JSON"):
        ResponseFormat.choice(["\ud800"])
    with pytest.raises(ConfigError, match="at most"):
        ResponseFormat.regex("a" * 100_001)
    with pytest.raises(ConfigError, match="json_schema is 5; expected a name and a schema"):
        ResponseFormat.of({"type": "json_schema", "json_schema": 5})


def test_what_it_does_not_go_with() -> None:
    form = FORMATS["choice"]
    with pytest.raises(ConfigError, match="cannot be combined with choices"):
        replace(ask(), response_format=form, choices=("a", "b"))
    with pytest.raises(ConfigError, match="cannot be combined with ignore_eos"):
        replace(ask(ignore_eos=True), response_format=form)


def test_models_without_it_refuse() -> None:
    with pytest.raises(UnsupportedControlError, match="'fake' does not support a response format"):
        FakeModel().generate([constrained(FORMATS["regex"])])


def test_a_script_is_held_to_the_format() -> None:
    good = '{"mood":"calm",\n "rooms":[1, 2]}'
    model = ScriptedModel([good, good[:-1], '{"mood": 5, "rooms": []}', "May"])
    replies = model.generate([constrained(FORMATS["schema"])] * 3 + [constrained(ResponseFormat.choice(["May"]))])
    assert [reply.failure and reply.failure.kind for reply in replies] == [None, *["response_format"] * 2, None]
    with pytest.raises(ConfigError, match="Invalid type"):
        model.generate([constrained(ResponseFormat.json_schema({"type": "strin"}))])


# ---- values and tokenizers


def test_formats_from_what_people_have() -> None:
    trip = ResponseFormat.of(Trip)
    assert trip is not None
    assert trip.schema["required"] == ["city", "nights", "children"]
    assert trip.schema["additionalProperties"] is False
    assert trip.name == "Trip"
    openai = trip.as_openai()
    assert openai["json_schema"]["strict"] is True
    assert ResponseFormat.of(openai) == trip
    assert ResponseFormat.of({"type": "json_object"}) == ResponseFormat.json_object()
    assert ResponseFormat.json_object().as_openai() == {"type": "json_object"}
    assert ResponseFormat.of({"type": "text"}) is None
    assert ResponseFormat.of(None) is None
    assert ResponseFormat.of(SCHEMA) == FORMATS["schema"]


def test_a_format_is_compiled_once_for_each_tokenizer() -> None:
    made: list[int] = []

    def make() -> Any:
        made.append(1)
        return grammar_tokenizer(tiny.tokenizer(), len(tiny.tokenizer()), [tiny.EOS])

    cache = GrammarCache(make)
    first, again = (
        cache.matcher(FORMATS["choice"]),
        cache.matcher(ResponseFormat.choice(["Yes 😀", 'No, "never"', "Может быть"])),
    )
    assert made == [1]
    assert len(cache._compiled) == 1
    assert first.consume_token(tiny.tokenizer().encode("Y", add_special_tokens=False)[0])
    assert first.compute_bitmask() != again.compute_bitmask(), "each reply has its own"


def test_an_added_token_that_is_not_special_is_text() -> None:
    """Models for tools have a token for `<tool_call>`; llguidance takes it for one that no text matches."""
    words = tiny.tokenizer.__wrapped__()
    words.add_tokens([AddedToken("<tool_call>", special=False)])
    [call] = words.encode("<tool_call>", add_special_tokens=False)
    made = grammar_tokenizer(words, len(words) + 20, [tiny.EOS])  # the embedding is padded
    assert not made.is_special_token(call)
    cache = GrammarCache(lambda: made)
    form = ResponseFormat.lark('start: "<tool_call>" /[0-9]/')
    assert cache.matcher(form).consume_tokens([call, *words.encode("7", add_special_tokens=False)])
    spelled = [token for letter in "<tool_call>7" for token in words.encode(letter, add_special_tokens=False)]
    assert cache.matcher(form).consume_tokens(spelled)
    triggered = cache.matcher(ResponseFormat.lark('start: " " /[0-9]/', trigger="<tool_call>"))
    assert triggered.consume_tokens([*words.encode("so ", add_special_tokens=False), call])
    assert triggered.validate_tokens(words.encode("x", add_special_tokens=False)) == 0


def test_special_tokens_are_never_possible(model: LocalModel) -> None:
    """A user who asks for a schema cannot let the model open a turn."""
    matcher = model.engine.grammars.matcher(ResponseFormat.regex("(.|\n)*"))
    assert matcher.validate_tokens([0]) == 0
    assert matcher.validate_tokens([model.tokenizer.encode("<", add_special_tokens=False)[0]]) == 1


def test_the_chance_of_a_choice_is_its_share_of_the_possible(model: LocalModel) -> None:
    form = ResponseFormat.choice(["a", "b"])
    replies = model.generate([constrained(form, seed=seed, logprobs=True) for seed in range(200)])
    chance = {reply.text: math.exp(reply.logprobs[0]) for reply in replies if reply.logprobs}
    share = sum(reply.text == "a" for reply in replies) / len(replies)
    assert share == pytest.approx(chance.get("a", 0.0), abs=0.12)
