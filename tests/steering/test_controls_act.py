"""What each control does, beyond the contract that all keep to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import torch

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError
from telic.models.control import Control, ControlPoint
from telic.models.local import LocalModel
from telic.models.request import Continuation
from telic.steering import (
    Anchor,
    Assume,
    AttentionHold,
    Guidance,
    Prompt,
    Refresh,
    Reminder,
    SplitSoftmax,
    build_control,
)
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM, ask


class Logits(Control):
    """Keeps the logits that it sees."""

    name: ClassVar[str] = "logits"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def logits(self, contexts: Sequence[Any], logits_R_V: torch.Tensor) -> torch.Tensor:
        self.seen.append(logits_R_V.clone())
        return logits_R_V


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama", max_batch=8)


def said(*pairs: tuple[str, str]) -> tuple[Message, ...]:
    return tuple(Message(role=role, content=content) for role, content in pairs)  # type: ignore[arg-type]


TALK = said(("system", "Be Mia."), ("user", "one"), ("assistant", "yes"), ("user", "two"))
CLOSE: dict[str, Any] = {"atol": 1e-4, "rtol": 1e-4}


def first_effect(model: LocalModel) -> torch.Tensor:
    """What the system prompt changes where the last message is all that was said."""
    given, taken = (logits(model, told).log_softmax(-1) for told in ((TALK[0], TALK[-1]), (TALK[-1],)))
    return given - taken


def logits(model: LocalModel, messages: tuple[Message, ...], *controls: Control) -> torch.Tensor:
    """Of the reply's first token."""
    seen = Logits()
    model.generate([replace(ask(SHORT, controls=(*controls, seen), max_new_tokens=1), messages=messages)])
    return seen.seen[0]


class TestGuidance:
    def test_it_extrapolates_from_the_answer_without_the_prompt(self, model: LocalModel) -> None:
        found = {}
        for name, system, controls in (("with", SYSTEM, ()), ("without", None, ()), ("both", SYSTEM, (Guidance(2.5),))):
            seen = Logits()
            model.generate([ask(LONG, system, controls=(*controls, seen), max_new_tokens=1)])
            found[name] = seen.seen[0]
        expected = found["without"] + 2.5 * (found["with"] - found["without"])
        torch.testing.assert_close(found["both"], expected, atol=1e-4, rtol=1e-4)

    def test_scoring_agrees_with_generating(self, model: LocalModel) -> None:
        request = ask(LONG, controls=(Guidance(2.0),), logprobs=True, ignore_eos=True, max_new_tokens=5)
        reply = model.generate([request])[0]
        text = tiny.tokenizer().decode(reply.token_ids)
        if tuple(tiny.tokenizer()(text, add_special_tokens=False)["input_ids"]) != reply.token_ids:
            pytest.skip("the drawn tokens are not those of their text")
        score = model.score([Continuation(request.messages, text)], (Guidance(2.0),))[0]
        assert reply.logprobs is not None
        assert score.logprob == pytest.approx(sum(reply.logprobs), abs=1e-3)
        assert score.greedy

    def test_scores_differ_from_those_without_it(self, model: LocalModel) -> None:
        given = [Continuation(ask(LONG).messages, text) for text in ("Hello", " I want", "May")]
        plain = [scored.logprob for scored in model.score(given)]
        guided = [scored.logprob for scored in model.score(given, (Guidance(2.0),))]
        assert all(abs(one - other) > 1e-3 for one, other in zip(plain, guided, strict=True))

    def test_each_prompt_keeps_its_cache(self, model: LocalModel) -> None:
        session = model.session(SYSTEM).user(LONG)
        session.reply(controls=(Guidance(2.0),), max_new_tokens=4, temperature=0.0)
        (contrast,) = session.cache.contrast
        assert 0 < len(contrast.key_values.tokens) < len(session.cache.key_values.tokens)
        assert session.fork().cache.contrast[0] is not contrast

    def test_a_batch_of_one_row_refuses(self) -> None:
        narrow = tiny.local("llama", max_batch=1)
        reply = narrow.generate([ask(SHORT, controls=(Guidance(2.0),))])[0]
        assert reply.finish == "error"
        assert "takes 2 rows" in (str(reply.failure))

    def test_two_of_them_act_one_after_the_other(self, model: LocalModel) -> None:
        plain, one = logits(model, TALK), logits(model, TALK, Guidance(3.0))
        without = plain + (plain - one) / 2
        two = logits(model, TALK, Guidance(3.0), Guidance(2.0))
        torch.testing.assert_close(two, without + 2 * (one - without), atol=1e-3, rtol=1e-3)

    def test_more_requests_than_rows(self) -> None:
        narrow, texts = tiny.local("llama", max_batch=5), [SHORT, MIDDLE, LONG] * 3
        both = (Guidance(2.0), Guidance(1.5))
        requests = [ask(text, controls=both[: 1 + i % 2], seed=i) for i, text in enumerate(texts)]
        for reply, request in zip(narrow.generate(requests), requests, strict=True):
            assert reply.token_ids
            assert reply.token_ids == narrow.generate([request])[0].token_ids

    def test_it_may_be_told_something_else(self) -> None:
        assert Guidance(2.0, against="Be rude.").contrast_prompts(TALK) == (
            said(("system", "Be rude."), *_pairs(TALK[1:])),
        )
        assert Guidance(1.0).contrast_prompts(TALK) == ()
        assert Guidance(2.0).contrast_prompts(TALK[1:]) == ()

    def test_a_companion_acts_after_those_before_it(self) -> None:
        from telic.models.compatibility import contrast_prompts

        ((place, told),) = contrast_prompts(ask(SHORT, controls=(Reminder(), Guidance(2.0))))
        assert place == 1
        assert SYSTEM in told[-1].content


class TestAnchor:
    def test_it_lies_between_the_whole_dialogue_and_its_end(self, model: LocalModel) -> None:
        whole, end = logits(model, TALK), logits(model, (TALK[0], TALK[-1]))
        assert (whole - end).abs().max() > 1e-2, "the dialogue makes no difference: nothing is tested"
        torch.testing.assert_close(logits(model, TALK, Anchor(0.3)), whole + 0.3 * (end - whole), atol=1e-4, rtol=1e-4)

    def test_the_first_turn_is_as_it_was(self, model: LocalModel) -> None:
        plain, controlled = (
            model.generate([ask(LONG, logprobs=True, controls=controls)])[0] for controls in ((), (Anchor(0.9),))
        )
        assert plain.logprobs == controlled.logprobs

    def test_the_contrast_prompt(self) -> None:
        long = said(*_pairs(TALK), ("assistant", "Four."), ("user", "Five?"))
        assert long[0].role == "system"
        assert Anchor().contrast_prompts(long) == ((long[0], long[-1]),)
        assert Anchor(keep=1).contrast_prompts(long) == ((long[0], *long[-3:]),)
        assert Anchor(keep=9).contrast_prompts(long) == ()
        assert Anchor(0.0).contrast_prompts(long) == ()
        assert Anchor().contrast_prompts(long[:2]) == ()
        assert Anchor().contrast_prompts(long[1:]) == ()


class TestAssume:
    TEXT: ClassVar[str] = "You are talking to a child of eight."

    def told(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        system, *rest = messages
        return (Message(role="system", content=f"{system.content} {self.TEXT}"), *rest)

    def test_a_statement_has_the_effect_that_it_has_in_a_first_turns_system_prompt(self, model: LocalModel) -> None:
        end = (TALK[0], TALK[-1])
        effect = logits(model, self.told(end)).log_softmax(-1) - logits(model, end).log_softmax(-1)
        found = logits(model, TALK, Assume(self.TEXT, 0.7, plausible=0.0))
        torch.testing.assert_close(found, logits(model, TALK) + 0.7 * effect, **CLOSE)

    def test_in_the_first_turn_a_strength_of_1_is_the_system_prompt_that_says_it(self, model: LocalModel) -> None:
        first = TALK[:2]
        found = logits(model, first, Assume(self.TEXT, 1.0, plausible=0.0)).log_softmax(-1)
        torch.testing.assert_close(found, logits(model, self.told(first)).log_softmax(-1), **CLOSE)

    def test_only_what_is_plausible_somewhere_is_changed(self, model: LocalModel) -> None:
        whole, found = logits(model, TALK), logits(model, TALK, Assume(self.TEXT, 2.0, plausible=0.9))
        changed = (whole - found).abs() > 1e-4
        assert 0 < int(changed.sum()) < changed.numel() // 2

    def test_the_contrast_prompts(self) -> None:
        end = (TALK[0], TALK[-1])
        assert Assume(self.TEXT).contrast_prompts(TALK) == (self.told(end), end)
        assert Assume(self.TEXT).contrast_prompts(TALK[:2]) == (self.told(TALK[:2]),)
        alone = said(("user", "Hello"))
        assert Assume(self.TEXT).contrast_prompts(alone) == ((Message(role="system", content=self.TEXT), *alone),)
        assert Assume(self.TEXT, 0.0).contrast_prompts(TALK) == Assume(" ").contrast_prompts(TALK) == ()

    def test_the_dialogue_goes_on_without_the_statement(self, model: LocalModel) -> None:
        session = model.session("Be brief.").user("Hello")
        session.reply(controls=(Assume(self.TEXT),), max_new_tokens=3, temperature=0.0)
        plain = model.session("Be brief.").user("Hello")
        plain.reply(max_new_tokens=3, temperature=0.0)
        assert session.cache.key_values.key == plain.cache.key_values.key == ""
        assert all("child" not in message.content for message in session)


class TestRefresh:
    def test_it_has_the_effect_that_the_system_prompt_has_in_a_first_turn(self, model: LocalModel) -> None:
        expected = logits(model, TALK).log_softmax(-1) + 0.7 * first_effect(model)
        found = logits(model, TALK, Refresh(0.7, plausible=0.0)).log_softmax(-1)
        torch.testing.assert_close(found, expected.log_softmax(-1), **CLOSE)

    @pytest.mark.parametrize("plausible", [0.5, 0.9])
    def test_only_what_is_plausible_somewhere_is_changed(self, model: LocalModel, plausible: float) -> None:
        whole, controlled = logits(model, TALK), logits(model, TALK, Refresh(0.7, plausible=plausible))
        prompts = TALK, (TALK[0], TALK[-1]), TALK[-1:]
        changed = torch.zeros_like(whole, dtype=torch.bool)
        for prompt in prompts:
            likely = logits(model, prompt).softmax(-1)
            own = likely >= plausible * likely.max()
            assert 0 < int(own.sum()) < own.numel(), "all tokens are alike: nothing is tested"
            changed |= own
        effect = first_effect(model)
        assert (effect[changed] > 0).any()
        assert (effect[changed] < 0).any()
        torch.testing.assert_close(whole[~changed], controlled[~changed], rtol=0, atol=1e-5)  # other rows, other sums
        torch.testing.assert_close(controlled[changed], (whole + 0.7 * effect)[changed], **CLOSE)

    @pytest.mark.parametrize("strength", [0.5, 1.0, 1.8])
    def test_the_first_turn_has_the_first_effect_already(self, model: LocalModel, strength: float) -> None:
        first = TALK[:2]
        whole, found = logits(model, first), logits(model, first, Refresh(strength, plausible=0.0))
        effect = whole.log_softmax(-1) - logits(model, first[1:]).log_softmax(-1)
        torch.testing.assert_close(found, whole + max(0.0, strength - 1) * effect, **CLOSE)

    def test_beside_another_control_with_a_contrast_prompt(self, model: LocalModel) -> None:
        expected = logits(model, TALK, Anchor(0.4)) + first_effect(model)
        found = logits(model, TALK, Anchor(0.4), Refresh(1.0, plausible=0.0))
        torch.testing.assert_close(found, expected, **CLOSE)

    def test_the_contrast_prompts(self) -> None:
        end = (TALK[0], TALK[-1])
        assert Refresh().contrast_prompts(TALK) == (end, end[1:])
        assert Refresh(against="Be rude.").contrast_prompts(TALK)[1] == said(("system", "Be rude."), *_pairs(end[1:]))
        assert Refresh(1.0).contrast_prompts(TALK[:2]) == ()
        assert Refresh(1.5).contrast_prompts(TALK[:2]) == (TALK[1:2],)
        assert Refresh(0.0).contrast_prompts(TALK) == Refresh().contrast_prompts(TALK[1:]) == ()


class TestHold:
    def talk(self, model: LocalModel, control: Control | None) -> Any:
        controls = (control,) if control else ()
        session = model.session(SYSTEM).user(SHORT)
        options: dict[str, Any] = {"temperature": 0.0, "max_new_tokens": 8, "ignore_eos": True, "controls": controls}
        first = session.reply(readings=("attention",), **options)
        # Of one token only: another reply would have another level.
        second = session.user(LONG * 2).reply(readings=("attention",), **{**options, "max_new_tokens": 1})
        return first, second

    def test_the_first_reply_is_as_it_was(self, model: LocalModel) -> None:
        assert self.talk(model, AttentionHold(3.0))[0].token_ids == self.talk(model, None)[0].token_ids

    def test_it_brings_the_attention_back(self, model: LocalModel) -> None:
        first, drifted = self.talk(model, None)
        assert drifted.attention.mean() < 0.8 * first.attention.mean(), "nothing has drifted, so nothing is tested"
        _, held = self.talk(model, AttentionHold(1.0, k_min=0.0))
        # To the geometric mean over the reply's tokens, which is below their mean.
        assert drifted.attention.mean() * 1.5 < held.attention.mean() < first.attention.mean() * 1.2

    def test_a_level_is_a_multiple_of_the_first_replys(self, model: LocalModel) -> None:
        held = [self.talk(model, AttentionHold(level=level, k_min=0.0))[1].attention[0] for level in (0.5, 1.0, 1.5)]
        # In the first layer, whose input is the same under all, where the mean over heads is what is held.
        assert held[1] / held[0] == pytest.approx(2.0, rel=0.15)
        assert held[2] / held[1] == pytest.approx(1.5, rel=0.15)

    def test_the_exponent_is_bounded(self, model: LocalModel) -> None:
        _, drifted = self.talk(model, None)
        _, free = self.talk(model, AttentionHold(1.0, k_min=0.0))
        _, bounded = self.talk(model, AttentionHold(1.0, k_min=0.95))
        # The first layer's input is the same under all three.
        assert drifted.attention[0] < bounded.attention[0] < free.attention[0]


def test_split_softmax_raises_the_mass_by_its_exponent(model: LocalModel) -> None:
    options: dict[str, Any] = {"max_new_tokens": 1, "readings": ("attention",)}
    plain = model.generate([ask(LONG, **options)])[0].attention
    controlled = model.generate([ask(LONG, controls=(SplitSoftmax(0.5),), **options)])[0].attention
    # The first layer's input is the same with and without; a mean of roots over heads is at most the root of the mean.
    assert plain[0] < controlled[0] <= plain[0] ** 0.5
    assert (controlled > plain).all()


def test_a_reminder_stands_before_what_the_user_says() -> None:
    told = Reminder().messages(TALK)
    assert [message.role for message in told] == [message.role for message in TALK]
    assert all("Be Mia." in message.content for message in told if message.role == "user")
    assert told[1].content.endswith("one")


def test_a_reminder_may_come_every_other_time() -> None:
    told = Reminder(every=2).messages(TALK)
    assert told[1].content == "one"
    assert "Be Mia." in told[3].content


def test_a_reminder_by_chance_stays_where_it_fell() -> None:
    many = (TALK[0], *(Message(role="user", content=str(i)) for i in range(200)))
    half = Reminder(probability=0.5)
    told = half.messages(many)
    assert told[:101] == half.messages(many[:101])
    assert 60 < sum("Be Mia." in message.content for message in told[1:]) < 140


def test_the_prompt_is_added_or_replaced() -> None:
    assert Prompt("Always.").messages(TALK)[0].content == "Be Mia.\nAlways."
    assert Prompt("", system="Be Max.").messages(TALK)[0].content == "Be Max."
    assert Prompt().messages(tuple(Dialogue().add("user", "one"))) == tuple(Dialogue().add("user", "one"))


@pytest.mark.parametrize(
    ("spec", "part"),
    [
        ({"name": "reminder", "every": -1}, "every"),
        ({"name": "reminder", "text": "again"}, "{system}"),
        ({"name": "guidance", "gamma": float("nan")}, "gamma"),
        ({"name": "anchor", "weight": 1.5}, "weight = 1.5"),
        ({"name": "anchor", "keep": -1}, "keep = -1"),
        ({"name": "assume", "strength": -1.0}, "strength = -1.0"),
        ({"name": "assume", "plausible": 2.0}, "plausible = 2.0"),
        ({"name": "refresh", "strength": -1.0}, "strength = -1.0"),
        ({"name": "refresh", "keep": -1}, "keep = -1"),
        ({"name": "refresh", "plausible": 1.5}, "plausible = 1.5"),
        ({"name": "split_softmax", "k": 1.5}, "k is 1.5"),
        ({"name": "split_softmax", "span": "all"}, "span"),
        ({"name": "attention_hold", "gain": -1}, "gain"),
        ({"name": "attention_hold", "per": "row"}, "per"),
        ({"name": "attention_hold", "strength": 1}, "strength"),
        ({"name": "atention_hold"}, "attention_hold"),
    ],
)
def test_wrong_settings_are_named(spec: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError, match=part.replace("{", r"\{").replace("}", r"\}")):
        build_control(spec)


@pytest.mark.parametrize(
    "control",
    [
        AttentionHold(2.0, per="head"),
        SplitSoftmax(0.5, span="turn"),
        Guidance(1.2),
        Anchor(0.2, 1),
        Refresh(3.0),
        Reminder(3),
    ],
)
def test_a_control_is_what_its_table_says(control: Control) -> None:
    assert build_control(control.spec()) == control
    assert build_control(control.spec()).key == control.key
    assert type(control)().key != control.key


def _pairs(messages: Sequence[Message]) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages]
