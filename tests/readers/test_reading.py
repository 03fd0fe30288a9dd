"""Readings are taken on forks, in one batch, and are what transformers' own forward pass gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from telic.dialogue import Dialogue
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models import FakeModel, LocalModel
from telic.readers import Reader, ReaderSet, Reading, read_beliefs, read_turns
from telic.readers.linear_probe import LinearProbe
from telic.readers.recording import ActivationCache, example_key, record_activations
from telic.steering.saving import Origin
from telic.steering.vector import Vector
from tests.models import tiny
from tests.models.tiny import HIDDEN, LONG, MIDDLE, SHORT, SYSTEM, draws

QUICK: dict[str, Any] = {"temperature": 0.0, "max_new_tokens": 6, "logprobs": True, "ignore_eos": True}


def reader(attribute: str, subject: Any, layer: int, classes: int = 2, seed: int = 0) -> Reader:
    rng = np.random.default_rng(seed)
    linear_probe = LinearProbe(0.02 * rng.standard_normal((classes + 1, 2 * HIDDEN)), rng.standard_normal(classes + 1))
    names = tuple(f"class {i}" for i in range(classes))
    suffix = f"I think the {attribute} of {subject} is"
    return Reader(attribute, subject, names, suffix, (0, layer), linear_probe, 2.0, 0.3, back=layer - 1)


def readers(model: LocalModel) -> ReaderSet:
    own = (reader("age", "user", 1, 4), reader("age", "self", 2, 4, 1), reader("gender", "user", 1, 2, 2))
    return ReaderSet(own, Origin.of(model), {"readers": {"user_age": {"accuracy": 0.5}}})


@pytest.fixture(scope="module", params=["llama", "gemma3", "gpt2"])
def case(request: pytest.FixtureRequest) -> tiny.Case:
    return tiny.case(request.param)


@torch.inference_mode()
def own_states(case: tiny.Case, dialogue: Dialogue, prefix: str, back: int = 0) -> torch.Tensor:
    """[layers, hidden]: what transformers computes at the end of the prompt and the prefix, after each block."""
    model = case.model
    tokens = list(model.render(dialogue).token_ids) + model.tokenizer(prefix, add_special_tokens=False)["input_ids"]
    found: list[torch.Tensor] = []
    blocks = next(m for m in case.reference.model.base_model.modules() if isinstance(m, torch.nn.ModuleList))
    handles = [
        block.register_forward_hook(
            lambda _m, _i, out: found.append((out[0] if isinstance(out, tuple) else out)[0, -1 - back])
        )
        for block in blocks
    ]
    case.reference.forward(tokens)
    for handle in handles:
        handle.remove()
    return torch.stack(found)


def test_the_states_are_those_of_transformers(case: tiny.Case) -> None:
    model = case.model
    dialogues = [Dialogue().with_system(SYSTEM).add("user", MIDDLE), Dialogue().add("user", LONG * 12)]
    prefixes, backs = ("", "I think", "My own name is", "My own name is"), (0, 0, 3, 0)
    layers = range(model.layers)
    sessions = []
    for dialogue in dialogues:
        session = model.session()
        session.dialogue = dialogue
        sessions.append(session)
    found = record_activations(sessions, prefixes, layers, backs=backs)
    assert found.shape == (2, 4, model.layers, HIDDEN)
    for row, dialogue in zip(found, dialogues, strict=True):
        for states, prefix, back in zip(row, prefixes, backs, strict=True):
            np.testing.assert_allclose(states, own_states(case, dialogue, prefix, back).numpy(), atol=1e-3, rtol=1e-3)
    assert [session.dialogue for session in sessions] == dialogues


def test_a_reading_is_the_probe_of_its_own_words_and_layers(case: tiny.Case) -> None:
    model, dialogue = case.model, Dialogue().with_system(SYSTEM).add("user", MIDDLE)
    [beliefs] = read_beliefs(model, [dialogue], readers(model))
    for one in readers(model):
        state = own_states(case, dialogue, one.suffix, one.back)[list(one.layers)].flatten().numpy()
        logits = (one.linear_probe.weight_C_D @ state + one.linear_probe.bias_C) / one.temperature
        expected = np.exp(logits - logits.max())
        found = list(beliefs[one.name].probabilities.values())
        assert found == pytest.approx((expected / expected.sum())[:-1], abs=2e-3)  # the last is unknown


def test_a_chat_does_not_notice_and_is_not_read_again(case: tiny.Case) -> None:
    model = case.model
    read_at, plain = model.session(SYSTEM), model.session(SYSTEM)
    for text in (SHORT, LONG, MIDDLE):
        read_at.user(text)
        plain.user(text)
        before = (read_at.dialogue, read_at.cache.key_values, dict(read_at.cache.control_state))
        [beliefs] = read_beliefs(model, [read_at], readers(model))
        assert (read_at.dialogue, read_at.cache.key_values, read_at.cache.control_state) == before
        assert read_at.reply(**QUICK).logprobs == plain.reply(**QUICK).logprobs
        with case.counting() as counts:
            again = read_beliefs(model, [read_at], readers(model))[0]
        # The reply is left out, and so what is computed are the words put into its mouth, and the reply's opening.
        assert sum(counts) < 80
        assert again["user_age"].probabilities == pytest.approx(beliefs["user_age"].probabilities, abs=1e-3)


def test_many_dialogues_are_read_as_each_alone(case: tiny.Case) -> None:
    model, own = case.model, readers(case.model)
    dialogues = [Dialogue().add("user", text) for text in (SHORT, LONG, MIDDLE, SHORT)]
    for dialogue, beliefs in zip(dialogues, read_beliefs(model, dialogues, own), strict=True):
        alone = read_beliefs(model, [dialogue], own)[0]
        for name, reading in beliefs.items():
            assert reading.probabilities == pytest.approx(alone[name].probabilities, abs=1e-3)


def test_every_turn_is_read_as_it_was_then(case: tiny.Case) -> None:
    model, own = case.model, readers(case.model)
    dialogue = Dialogue().add("user", SHORT).add("assistant", MIDDLE).add("user", LONG).add("assistant", "Yes.")
    turns = read_turns(model, dialogue, own)
    assert [index for index, _ in turns] == [0, 2]
    for index, beliefs in turns:
        alone = read_beliefs(model, [dialogue[: index + 1]], own)[0]
        for name, reading in beliefs.items():
            assert reading.probabilities == pytest.approx(alone[name].probabilities, abs=1e-3)


def test_a_steered_model_is_read_under_its_controls_and_from_its_own_cache(case: tiny.Case) -> None:
    model, own = case.model, readers(case.model)
    pin = Vector({0: draws(1, 3.0)[0]}, positions="all")
    session = model.session(SYSTEM).user(LONG)
    session.reply(controls=[pin], **QUICK)
    session.user(SHORT)
    with case.counting() as counts:
        steered = read_beliefs(model, [session], own, [pin])[0]["user_age"].probabilities
    assert sum(counts) < 80
    fresh = read_beliefs(model, [tuple(session.dialogue)], own, [pin])[0]["user_age"].probabilities
    plain = read_beliefs(model, [tuple(session.dialogue)], own)[0]["user_age"].probabilities
    assert steered == pytest.approx(fresh, abs=1e-3)
    assert steered != pytest.approx(plain, abs=1e-2)


def test_what_cannot_be_read_is_refused(case: tiny.Case) -> None:
    model, own = case.model, readers(case.model)
    with pytest.raises(UnsupportedControlError, match="model 'fake' gives no access to its hidden states"):
        read_beliefs(FakeModel(), [Dialogue().add("user", SHORT)], own)
    with pytest.raises(ConfigError, match="only the assistant speaks"):
        read_beliefs(model, [Dialogue().add("assistant", SHORT)], own)
    with pytest.raises(ModelError, match="leaves no room for a reply in the model's context") as caught:
        read_beliefs(model, [Dialogue().add("user", LONG * 60)], own)
    assert caught.value.kind == "context_full"
    with pytest.raises(ConfigError, match="was made for model"):
        read_beliefs(model, [Dialogue().add("user", SHORT)], ReaderSet(own.readers, Origin("other", 64, 3)))
    other = tiny.local("llama")
    with pytest.raises(ConfigError, match="cannot be read with model"):
        read_beliefs(model, [other.session().user(SHORT)], own)
    assert read_beliefs(model, [], own) == []


def test_a_set_is_saved_as_it_is(case: tiny.Case, tmp_path: Path) -> None:
    model, own = case.model, readers(case.model)
    loaded = ReaderSet.load(own.save(tmp_path / "set"))
    assert loaded.card == own.card
    assert loaded.origin == own.origin
    assert [one.name for one in loaded] == ["user_age", "self_age", "user_gender"]
    dialogue = Dialogue().add("user", MIDDLE)
    [one] = read_beliefs(model, [dialogue], own)
    [other] = read_beliefs(model, [dialogue], loaded.only(["user_age", "self_age"]))
    assert set(other) == {"user_age", "self_age"}
    assert other["self_age"].probabilities == pytest.approx(one["self_age"].probabilities, abs=1e-4)
    with pytest.raises(ConfigError, match="did you mean 'user_age'"):
        loaded.only(["user_agee"])


def test_a_damaged_set_is_named(tmp_path: Path, case: tiny.Case) -> None:
    with pytest.raises(ConfigError, match="there are no readers 'nowhere'"):
        ReaderSet.load("nowhere")
    folder = readers(case.model).save(tmp_path)
    (folder / "readers.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="holds no readers that can be loaded"):
        ReaderSet.load(folder)
    text = (folder / "readers.json").read_text()
    (folder / "readers.json").write_text(text.replace('"format": 2', '"format": 9'))
    with pytest.raises(ConfigError, match="install a newer one"):
        ReaderSet.load(folder)


def test_a_reading_below_its_threshold_is_unknown() -> None:
    sure = Reading("user_age", {"child": 0.7, "adult": 0.3}, 0.6)
    unsure = Reading("user_age", {"child": 0.55, "adult": 0.45}, 0.6)
    assert (sure.answer, str(sure)) == ("child", "child (child 70%)")
    assert (unsure.answer, unsure.likeliest, str(unsure)) == (None, "child", "unknown (child 55%)")


def test_what_was_recorded_is_found_again(tmp_path: Path) -> None:
    batches = [{f"{i}{k}": np.full((2, 3), i + k / 10, dtype=np.float32) for k in range(3)} for i in range(2)]
    cache = ActivationCache(tmp_path)
    for batch in batches:
        cache.add(batch)
    (tmp_path / ".cut.safetensors.123").write_bytes(b"half")
    again = ActivationCache(tmp_path)
    assert "02" in again
    assert "03" not in again
    for found in (cache, again):
        np.testing.assert_allclose(found.load(["12", "00"])[:, 0, 0], [1.2, 0.0], atol=1e-3)
    one = Dialogue().add("user", SHORT)
    assert example_key("a", one, ["x"]) != example_key("a", one, ["y"])
    assert example_key("a", one, ["x"]) != example_key("b", one, ["x"])
