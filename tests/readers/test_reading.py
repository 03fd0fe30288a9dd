"""Readings are taken on forks, in one batch, and are what transformers' own forward pass gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from telic.dialogue import Dialogue
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models import FakeModel, LocalModel
from telic.readers import Reader, ReaderSet, Reading, read_beliefs, read_turns
from telic.readers.recording import ActivationCache, example_key, record_dialogues
from telic.steering.saving import Origin
from telic.steering.vector import Vector
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM, draws
from tests.readers.probes import random_probe

QUICK: dict[str, Any] = {"temperature": 0.0, "max_new_tokens": 6, "logprobs": True, "ignore_eos": True}


def reader(model: LocalModel, attribute: str, subject: Any, layer: int, classes: int = 2, seed: int = 0) -> Reader:
    names = tuple(f"class {i}" for i in range(classes))
    return Reader(attribute, subject, names, (0, layer), random_probe(model, 2, classes, seed), 2.0, 0.3)


def readers(model: LocalModel) -> ReaderSet:
    own = (
        reader(model, "age", "user", 1, 4),
        reader(model, "age", "self", 2, 4, 1),
        reader(model, "gender", "user", 1, 2, 2),
    )
    return ReaderSet(own, Origin.of(model), {"readers": {"user_age": {"accuracy": 0.5}}})


@pytest.fixture(scope="module", params=["llama", "gemma3", "gpt2"])
def case(request: pytest.FixtureRequest) -> tiny.Case:
    return tiny.case(request.param)


@torch.inference_mode()
def own_values(case: tiny.Case, dialogue: Dialogue, layers: Sequence[int]) -> np.ndarray:
    """[tokens, features]: what transformers caches of the messages' tokens; who said them, and how long ago."""
    rendering = case.model.render(dialogue)
    cached = DynamicCache()  # keeps all tokens, also those that a sliding window has left behind
    case.reference.model(torch.tensor([rendering.token_ids]), past_key_values=cached, use_cache=True)
    values = [cached.layers[layer].values[0].permute(1, 0, 2).flatten(1) for layer in layers]
    rows = []
    for ago, (message, turn) in enumerate(reversed(list(zip(rendering.messages, rendering.turns, strict=True)))):
        roles = [float(message.role == role) for role in ("system", "user", "assistant")]
        rows += [(token, [*roles, min(ago, 6) / 6]) for token in range(turn.start, turn.end)]
    context = torch.tensor([one for _, one in rows])
    return torch.hstack([torch.cat(values, 1)[[token for token, _ in rows]], context]).numpy()


@torch.inference_mode()
def own_states(case: tiny.Case, dialogue: Dialogue) -> torch.Tensor:
    """[layers, hidden]: what transformers computes at the end of the prompt, after each block."""
    found: list[torch.Tensor] = []
    blocks = next(m for m in case.reference.model.base_model.modules() if isinstance(m, torch.nn.ModuleList))
    handles = [
        block.register_forward_hook(
            lambda _m, _i, out: found.append((out[0] if isinstance(out, tuple) else out)[0, -1])
        )
        for block in blocks
    ]
    case.reference.forward(list(case.model.render(dialogue).token_ids))
    for handle in handles:
        handle.remove()
    return torch.stack(found)


def test_what_is_recorded_is_what_transformers_computes(case: tiny.Case) -> None:
    model = case.model
    talk = Dialogue().with_system(SYSTEM).add("user", MIDDLE).add("assistant", SHORT).add("user", SHORT)
    dialogues = [talk, Dialogue().add("user", LONG * 12)]
    layers = range(model.layers)
    sessions = []
    for dialogue in dialogues:
        session = model.session()
        session.dialogue = dialogue
        sessions.append(session)
    for one, dialogue in zip(record_dialogues(sessions, [0, 2], state_layers=layers), dialogues, strict=True):
        expected = own_values(case, dialogue, [0, 2])
        assert one.features_T_F.shape == expected.shape
        np.testing.assert_allclose(one.features_T_F, expected, atol=2e-3, rtol=2e-3)
        np.testing.assert_allclose(one.states_L_D, own_states(case, dialogue).numpy(), atol=1e-3, rtol=1e-3)
    assert [session.dialogue for session in sessions] == dialogues


def test_a_reading_is_the_probe_of_its_own_layers(case: tiny.Case) -> None:
    model, dialogue = case.model, Dialogue().with_system(SYSTEM).add("user", MIDDLE)
    [beliefs] = read_beliefs(model, [dialogue], readers(model))
    for one in readers(model):
        features = own_values(case, dialogue, one.layers)
        shares = np.exp(features @ one.probe.query_H_F.T)
        pooled = (shares / shares.sum(0)).T @ features
        logits = (one.probe.weight_H_C_F @ pooled[:, :, None]).sum((0, 2)) + one.probe.bias_C
        expected = np.exp((logits - logits.max()) / one.temperature)
        found = list(beliefs[one.name].probabilities.values())
        assert found == pytest.approx((expected / expected.sum())[:-1], abs=2e-3)  # the last is unknown


def test_little_memory_for_caches_changes_no_reading() -> None:
    scarce = tiny.local("llama", cache_bytes=0)
    plenty, dialogues = tiny.local("llama"), [Dialogue().add("user", text) for text in (LONG, MIDDLE, LONG + SHORT)]
    found = [read_beliefs(model, dialogues, readers(plenty)) for model in (scarce, plenty)]
    for one, other in zip(*found, strict=True):
        assert one["user_age"].probabilities == pytest.approx(other["user_age"].probabilities, abs=1e-3)


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
        # The reply is left out, and so what is computed are the reply's opening and one token of it.
        assert sum(counts) < 20
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
    (folder / "readers.json").write_text(text.replace('"format": 3', '"format": 9'))
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
        np.testing.assert_allclose([own[0, 0] for own in found.load(["12", "00"])], [1.2, 0.0], atol=1e-3)
    one = Dialogue().add("user", SHORT)
    assert example_key("a", one, ["x"]) != example_key("a", one, ["y"])
    assert example_key("a", one, ["x"]) != example_key("b", one, ["x"])
