from __future__ import annotations

from typing import Any

import pytest
import torch

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, ModelError
from telic.models.local import LocalModel
from telic.steering.directions import (
    directions_of_probe,
    mean_activations,
    mean_difference,
    principal_component,
    purpose_axis,
)
from telic.steering.saving import Origin
from telic.steering.vector import Vector
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM, Case

SIZE = 32
TALKS = [
    Dialogue().add("user", SHORT).add("assistant", "In May?"),
    Dialogue().add("user", MIDDLE).add("assistant", "Hello! Where would you like to go?").add("user", LONG),
    Dialogue().add("user", LONG * 8).add("assistant", "With whom?").add("user", SHORT).add("assistant", LONG),
]


@pytest.fixture(scope="module", params=["llama", "gemma3", "gpt2"])
def case(request: pytest.FixtureRequest) -> Case:
    return tiny.case(request.param)


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama")


def draws(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, SIZE, generator=torch.Generator().manual_seed(seed))


def cosine(one_D: torch.Tensor, other_D: torch.Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(one_D, other_D, dim=0))


def hidden(case: Case, messages: Dialogue, layer: int) -> torch.Tensor:
    """What transformers computes: [tokens, hidden] after a layer, of a dialogue with the opening of a reply."""
    tokens = case.model.render(messages).token_ids
    states = case.reference.forward(tokens, output_hidden_states=True).hidden_states
    return states[layer + 1][0]  # type: ignore[no-any-return]


def reply_mean(case: Case, messages: Dialogue, layer: int) -> torch.Tensor:
    rendering = case.model.render(messages)
    spans = zip(rendering.messages, rendering.contents, strict=True)
    at = [p for m, s in spans if m.role == "assistant" for p in range(s.start - 1, s.end)]
    return hidden(case, messages, layer)[at].mean(0)


def test_what_is_recorded_is_the_mean_over_all_replies(case: Case) -> None:
    means = mean_activations(case.model, TALKS, [1, 0])
    assert list(means) == [0, 1]
    for layer, mean_B_D in means.items():
        expected_B_D = torch.stack([reply_mean(case, talk, layer) for talk in TALKS])
        assert mean_B_D.dtype == torch.float32
        assert torch.allclose(mean_B_D, expected_B_D, atol=1e-4)


def test_or_the_token_from_which_the_next_reply_starts(case: Case) -> None:
    starts_B_D = mean_activations(case.model, TALKS, [1], "start")[1]
    assert torch.allclose(starts_B_D, torch.stack([hidden(case, talk, 1)[-1] for talk in TALKS]), atol=1e-4)


def test_dialogues_that_are_the_same_are_recorded_each(model: LocalModel) -> None:
    one_B_D, many_B_D = (
        mean_activations(model, TALKS[1:2], [1])[1],
        mean_activations(model, [TALKS[1]] * 3, [1])[1],
    )
    assert torch.allclose(many_B_D, one_B_D.expand(3, -1), atol=1e-5)


def test_recording_sees_what_the_controls_before_it_did(model: LocalModel) -> None:
    direction_D = draws(1)[0]
    plain, steered = (
        mean_activations(model, TALKS, [1], controls=c)[1] for c in ((), (Vector({1: direction_D}, strength=2),))
    )
    assert torch.allclose(steered - plain, 2 * direction_D.expand(3, -1), atol=1e-4)


def test_a_model_with_records_taken_goes_on_as_before(model: LocalModel) -> None:
    request = tiny.ask(logprobs=True)
    before = model.generate([request])[0]
    mean_activations(model, TALKS, [0, 1, 2])
    after = model.generate([request])[0]
    assert (after.token_ids, after.logprobs) == (before.token_ids, before.logprobs)


@pytest.mark.parametrize(
    ("dialogues", "layers", "at", "message"),
    [
        (TALKS, [3], "replies", "has layers 0 to 2"),
        (TALKS, [-1], "replies", "has layers 0 to 2"),
        (TALKS, [], "replies", "has layers 0 to 2"),
        ([], [1], "replies", "there are no dialogues"),
        ([TALKS[0], Dialogue().add("user", SHORT)], [1], "replies", "dialogue 1: the assistant says nothing"),
        (TALKS, [1], "reply", "expected 'replies' or 'start'"),
    ],
)
def test_what_cannot_be_recorded_is_refused(
    model: LocalModel, dialogues: Any, layers: list[int], at: Any, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        mean_activations(model, dialogues, layers, at)


def test_a_dialogue_that_is_too_long_is_named(model: LocalModel) -> None:
    talk = Dialogue().add("user", LONG * 100).add("assistant", SHORT)
    with pytest.raises(ModelError, match=r"dialogue 1: its .* exceed the context of 1024") as caught:
        mean_activations(model, [TALKS[0], talk], [1])
    assert caught.value.kind == "context_full"


# Directions.


def test_a_planted_direction_is_found_again(model: LocalModel) -> None:
    planted = {layer: 3 * draws(1, layer)[0] for layer in (0, 2)}
    positive = {
        layer: mean_activations(model, TALKS, [layer], controls=(Vector({layer: d}),))[layer]
        for layer, d in planted.items()
    }
    negative = mean_activations(model, TALKS, [0, 2])
    for find in (mean_difference, principal_component):
        found = find(positive, negative)
        assert found.keys() == planted.keys()
        for layer, direction_D in planted.items():
            assert torch.allclose(found[layer], direction_D, atol=1e-3)


def test_the_principal_component_finds_what_the_pairs_differ_in() -> None:
    planted_D, other_D = torch.linalg.qr(draws(2).T)[0].T
    noise_N_D, common_N_D = 0.2 * draws(200, 1), 10 * draws(200, 2)[:, :1] * other_D
    # The amounts vary, and one in ten differs the other way; what both of a pair share is far larger.
    amount_N = torch.where(torch.arange(200) % 10 == 0, -1.0, 1.0) * (
        1 + torch.rand(200, generator=torch.Generator().manual_seed(0))
    )
    positive_N_D = common_N_D + noise_N_D + amount_N[:, None] * planted_D
    found_D = principal_component({4: positive_N_D}, {4: common_N_D})[4]
    assert cosine(found_D, planted_D) > 0.99
    assert float(found_D.norm()) == pytest.approx(float(amount_N.square().mean().sqrt()), rel=0.05)
    swapped_D = principal_component({4: common_N_D}, {4: positive_N_D})[4]
    assert torch.allclose(swapped_D, -found_D, atol=1e-5)


def test_a_reader_steers_along_its_weights_as_far_as_activations_spread() -> None:
    weight_D = 0.01 * draws(1)[0]
    activations_N_D = 5 * draws(300, 1)
    assert torch.equal(directions_of_probe({2: weight_D.numpy()})[2], weight_D)
    found_D = directions_of_probe({2: weight_D}, {2: activations_N_D, 3: activations_N_D})[2]
    assert cosine(found_D, weight_D) == pytest.approx(1, abs=1e-5)
    assert float(found_D.norm()) == pytest.approx(5, rel=0.15)


def test_activations_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"layers \[1\], the negative ones at \[2\]"):
        mean_difference({1: draws(2)}, {2: draws(2)})
    with pytest.raises(ConfigError, match=r"pairs, but .* layer 1 are \[2, 32\] and \[3, 32\]"):
        principal_component({1: draws(2)}, {1: draws(3)})
    with pytest.raises(ConfigError, match="layer 1 has weights but no activations"):
        directions_of_probe({1: draws(1)[0]}, {2: draws(2)})


# The purpose axis.

BOB = "You are Bob. You never go anywhere."


def test_the_purpose_axis_is_what_the_system_prompt_adds(case: Case) -> None:
    axis = purpose_axis(case.model, [SYSTEM, BOB], TALKS, [0, 1])
    for system in (SYSTEM, BOB):
        for layer in (0, 1):
            parts = [reply_mean(case, t.with_system(system), layer) - reply_mean(case, t, layer) for t in TALKS]
            expected_D = torch.stack(parts).mean(0)
            assert torch.allclose(axis.tensors()[f"{system}/{layer}"], expected_D, atol=1e-4)
    assert axis.origin == Origin.of(case.model)
    assert axis.by_system


def test_a_system_prompt_of_the_dialogues_own_is_left_out(model: LocalModel) -> None:
    one = purpose_axis(model, [SYSTEM], TALKS, [1])
    other = purpose_axis(model, [SYSTEM, SYSTEM], [talk.with_system(BOB) for talk in TALKS], [1])
    assert other.tensors()[f"{SYSTEM}/1"] == pytest.approx(one.tensors()[f"{SYSTEM}/1"], abs=1e-5)


def test_adding_the_purpose_axis_moves_replies_towards_the_system_prompt(model: LocalModel) -> None:
    axis = purpose_axis(model, [SYSTEM], TALKS, [2])
    told, plain = ([talk.with_system(system) for talk in TALKS] for system in (SYSTEM, None))
    target_D = mean_activations(model, told, [2])[2].mean(0)
    everyone = Vector({2: axis.tensors()[f"{SYSTEM}/2"]})
    before, after = (mean_activations(model, plain, [2], controls=c)[2].mean(0) for c in ((), (everyone,)))
    assert (after - target_D).norm() < 1e-3 < (before - target_D).norm()


def test_the_purpose_axis_holds_its_own_rows_in_a_closed_loop(model: LocalModel) -> None:
    axis = purpose_axis(model, [SYSTEM, BOB], TALKS, [1], mode="cap", floor="first")
    talk = TALKS[2].turns()
    unit_D = torch.nn.functional.normalize(axis.tensors()[f"{BOB}/1"], dim=0)

    def levels(controls: tuple[Any, ...]) -> list[float]:
        """Of the first reply, and of the token from which the third starts."""
        first = Dialogue([Message(role="system", content=BOB), *talk[:2]])
        given = [
            mean_activations(model, [first], [1], controls=controls),
            mean_activations(model, [talk.with_system(BOB)], [1], "start", controls),
        ]
        return [float(means[1][0] @ unit_D) for means in given]

    (level, drifted), (same, held) = levels(()), levels((axis,))
    assert same == pytest.approx(level, abs=1e-4)
    assert drifted < level - 0.1
    assert held == pytest.approx(level, abs=1e-4)
    untold = mean_activations(model, [talk], [1], "start", (axis,))[1]
    assert torch.allclose(untold, mean_activations(model, [talk], [1], "start")[1], atol=1e-5)


def test_a_purpose_axis_needs_a_system_prompt(model: LocalModel) -> None:
    with pytest.raises(ConfigError, match="there are no system prompts"):
        purpose_axis(model, [], TALKS, [1])
