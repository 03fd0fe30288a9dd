"""Vectors: the formulas, the closed loop, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError
from telic.models.control import Control, ControlBatch, ControlContext
from telic.models.local import LocalModel
from telic.steering.directions import mean_activations
from telic.steering.vector import Vector
from tests.models import tiny
from tests.models.tiny import HIDDEN, LONG, MIDDLE, SHORT, SYSTEM, Case, ask, draws


@pytest.fixture(scope="module", params=["llama", "mistral", "gemma3", "gpt2"])
def case(request: pytest.FixtureRequest) -> Case:
    return tiny.case(request.param)


# The formulas, against transformers' own forward pass with hooks.

FIRST, SECOND = "Hello, I am Mia. What do you want?", "In May? With whom do you want to go?"
TALK = tuple(
    Dialogue()
    .with_system(SYSTEM)
    .add("user", SHORT)
    .add("assistant", FIRST)
    .add("user", MIDDLE)
    .add("assistant", SECOND)
    .add("user", SHORT)
)

Change = Callable[[int, torch.Tensor], torch.Tensor]


@contextmanager
def hooked(case: Case, change: Change) -> Iterator[None]:
    """Within the block, the reference changes each layer's output [tokens, hidden] in this way."""

    def hook(layer: int) -> Any:
        def run(_module: Any, _inputs: Any, output: Any) -> Any:
            hidden = output[0] if isinstance(output, tuple) else output
            changed = change(layer, hidden[0])[None]
            return (changed, *output[1:]) if isinstance(output, tuple) else changed

        return run

    blocks = next(m for m in case.reference.model.base_model.modules() if isinstance(m, torch.nn.ModuleList))
    handles = [block.register_forward_hook(hook(layer)) for layer, block in enumerate(blocks)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check(case: Case, vector: Vector, change: Change, messages: tuple[Message, ...] = TALK) -> None:
    """The engine with the vector says what the reference says with the change, and not what it says without."""
    request = replace(ask(logprobs=True, max_new_tokens=6, controls=(vector,)), messages=messages)
    reply = case.one(request)
    assert reply.finish != "error", reply.failure
    assert reply.logprobs != pytest.approx(case.logprobs(request, reply), abs=1e-3)
    with hooked(case, change):
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=2e-4)
        assert list(reply.token_ids) == case.reference.greedy(case.prompt(request), 6, case.model.engine.stop_ids)


def replies(case: Case, messages: tuple[Message, ...] = TALK) -> list[range]:
    """Positions of the replies, each with the token before it; the last has no end."""
    rendering = case.model.render(messages)
    spans = [s for m, s in zip(rendering.messages, rendering.contents, strict=True) if m.role == "assistant"]
    return [*(range(s.start - 1, s.end) for s in spans), range(len(rendering.token_ids) - 1, 10_000)]


def within(ranges: Sequence[range], hidden_N_D: torch.Tensor) -> torch.Tensor:
    return torch.tensor([any(p in r for r in ranges) for p in range(len(hidden_N_D))])[:, None]


def unit(direction_D: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(direction_D, dim=0)


@pytest.mark.parametrize("positions", ["reply", "prompt", "all"])
def test_add_acts_on_the_positions_asked_for(case: Case, positions: Any) -> None:
    one, two = draws(2)
    # In three layers, the tiny Mistral's window reaches back over 24 tokens.
    talk = TALK[:2] if case.model.name == "tiny-mistral" else TALK
    spans = replies(case, talk)
    chosen = {"reply": spans, "prompt": [range(spans[0].start)], "all": [range(10_000)]}[positions]

    def change(layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        added_D = {0: 1.5 * one, 2: 1.5 * two}.get(layer, torch.zeros(HIDDEN))
        return hidden_N_D + within(chosen, hidden_N_D) * added_D

    check(case, Vector({0: one, 2: two}, strength=0.5, scale=3.0, positions=positions), change, talk)


def test_named_directions_have_a_strength_each(case: Case) -> None:
    calm, warm, dull = draws(3)

    def change(layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        return hidden_N_D + (layer == 1) * within(replies(case), hidden_N_D) * (2 * calm - 0.5 * warm)

    named = {"calm": {1: calm}, "warm": {1: warm}, "dull": {0: dull}}
    check(case, Vector(named, strength={"calm": 2, "warm": -0.5}), change)


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_ablate_takes_the_projection_out(case: Case, strength: float) -> None:
    direction_D = draws(1)[0]

    def change(layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        out_N_D = (hidden_N_D @ unit(direction_D))[:, None] * unit(direction_D)
        return hidden_N_D - (layer in (0, 2)) * strength * out_N_D

    check(case, Vector({0: direction_D, 2: direction_D}, mode="ablate", strength=strength, positions="all"), change)


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_cap_keeps_the_projection_within_its_bounds(case: Case, strength: float) -> None:
    direction_D = draws(1)[0]

    def change(layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        if layer not in (0, 1):
            return hidden_N_D
        projection_N = hidden_N_D @ unit(direction_D)
        capped_N = projection_N.clamp({0: -0.2, 1: 0.1}[layer], 0.3)
        return hidden_N_D + (strength * (capped_N - projection_N))[:, None] * unit(direction_D)

    both = {0: direction_D, 1: direction_D}
    options: dict[str, Any] = {"floor": {"0": -0.2, "1": 0.1}, "ceiling": 0.3, "positions": "all"}
    check(case, Vector(both, mode="cap", strength=strength, **options), change)


@pytest.mark.parametrize("side", ["floor", "ceiling"])
@pytest.mark.parametrize("positions", ["reply", "all"])
def test_the_closed_loop_holds_later_replies_at_the_level_of_the_first(case: Case, side: str, positions: Any) -> None:
    direction_D = draws(1, seed=3)[0]
    first, *later = replies(case)
    chosen = later if positions == "reply" else [range(first.stop, 10_000)]
    moved: list[int] = []

    def change(layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        projection_N = hidden_N_D @ unit(direction_D)
        level = projection_N[first.start : first.stop].mean()
        far_N = (level - projection_N).clamp(min=0) if side == "floor" else (level - projection_N).clamp(max=0)
        moved.append(int((far_N[:, None] * within(chosen, hidden_N_D)).count_nonzero()))
        return hidden_N_D + within(chosen, hidden_N_D) * far_N[:, None] * unit(direction_D)

    layers = range(case.model.layers)
    options: dict[str, Any] = {side: "first", "positions": positions}
    check(case, Vector(dict.fromkeys(layers, direction_D), mode="cap", **options), change)
    assert max(moved) > 2


def test_the_closed_loop_leaves_the_first_reply_alone() -> None:
    model = tiny.local("llama")
    vector = Vector(dict(enumerate(draws(3))), mode="cap", floor="first", positions="all")
    plain, held = model.generate([ask(LONG, logprobs=True, controls=controls) for controls in ((), (vector,))])
    assert held.token_ids == plain.token_ids
    assert held.logprobs == pytest.approx(plain.logprobs, abs=1e-5)


def held_session(model: LocalModel, vector: Vector, turns: int) -> Any:
    session = model.session(SYSTEM)
    for _ in range(turns):
        session.user(MIDDLE)
        session.reply(temperature=0.0, max_new_tokens=8, controls=(vector,))
    return session.user(LONG)


def test_the_first_level_is_the_same_measured_at_once_or_as_it_is_said() -> None:
    model = tiny.local("llama")
    vector = Vector(dict(enumerate(draws(3))), mode="cap", floor="first")
    session = held_session(model, vector, 2)
    request = session.request(temperature=0.0, max_new_tokens=8, logprobs=True, controls=(vector,), keep=False)
    said = model.generate([request])[0]
    assert said.cached_tokens > 20
    # Read as a given dialogue, without the session's control state, and by several sequences at once.
    fresh = replace(request, cache=None)
    for again in (*model.generate([fresh]), *model.generate([fresh, fresh, fresh])):
        assert again.token_ids == said.token_ids
        assert again.logprobs == pytest.approx(said.logprobs, abs=1e-4)


def test_what_the_closed_loop_remembers_does_not_grow_when_the_dialogue_is_read_again() -> None:
    model = tiny.local("llama")
    vector = Vector({1: draws(1)[0]}, mode="cap", floor="first")
    session = held_session(model, vector, 2)
    (before,) = deepcopy(list(session.cache.control_state.values()))
    session.cache.key_values = None
    session.reply(temperature=0.0, max_new_tokens=8, controls=(vector,))
    (after,) = session.cache.control_state.values()
    assert after.projections.keys() == before.projections.keys() == {(1, "direction")}
    for key, levels in after.projections.items():
        assert levels.keys() == before.projections[key].keys()
        assert levels == pytest.approx(before.projections[key], abs=1e-4)


def test_a_first_reply_that_is_taken_back_does_not_count() -> None:
    model = tiny.local("llama")
    vector = Vector(dict(enumerate(draws(3))), mode="cap", floor="first")
    session = held_session(model, vector, 1)
    session.dialogue = Dialogue(TALK)  # another one altogether, of which the beginning is the same
    request = session.request(temperature=0.0, max_new_tokens=8, logprobs=True, controls=(vector,))
    one, other = (model.generate([r])[0] for r in (replace(request, cache=None), request))
    assert other.cached_tokens > 0
    assert other.logprobs == pytest.approx(one.logprobs, abs=1e-4)


def test_a_first_reply_that_is_read_in_pieces_counts_as_a_whole() -> None:
    # It begins in one pass and ends in the next, while another sequence already asks for its own level.
    model = tiny.local("llama")
    vector = Vector(dict(enumerate(draws(3))), mode="cap", floor="first")
    talk = tuple(Dialogue().with_system(LONG * 4).add("user", SHORT).add("assistant", LONG * 4).add("user", SHORT))
    first = model.render(talk).contents[2]
    assert first.start < 512 < first.end
    options: dict[str, Any] = {"logprobs": True, "ignore_eos": True, "controls": (vector,)}
    requests = [replace(ask(max_new_tokens=6, **options), messages=messages) for messages in (TALK, talk)]
    requests += [replace(requests[0], messages=TALK[1:])]
    together = model.generate(requests)
    for request, reply in zip(requests, together, strict=True):
        alone = model.generate([request])[0]
        assert reply.token_ids == alone.token_ids
        assert reply.logprobs == pytest.approx(alone.logprobs, abs=1e-4)


# Composition.


def projections(model: LocalModel, controls: Sequence[Control], direction_D: torch.Tensor) -> float:
    hidden_D = mean_activations(model, [TALK], [1], "start", controls)[1][0]
    return float(hidden_D @ unit(direction_D))


def test_vectors_act_in_the_order_in_which_they_are_listed() -> None:
    model = tiny.local("llama")
    direction_D = draws(1)[0]
    add, out = Vector({1: direction_D}, strength=2.0), Vector({1: direction_D}, mode="ablate")
    assert projections(model, (add, out), direction_D) == pytest.approx(0, abs=1e-5)
    assert projections(model, (out, add), direction_D) == pytest.approx(2 * float(direction_D.norm()), abs=1e-5)


def test_ablating_two_directions_leaves_nothing_of_either() -> None:
    model = tiny.local("llama")
    calm, other = draws(2)
    warm = calm + 0.3 * other  # far from a right angle
    out = Vector({"calm": {1: calm}, "warm": {1: warm}, "again": {1: -2 * calm}}, mode="ablate")
    assert min(abs(projections(model, (), d)) for d in (calm, warm)) > 0.1
    for direction_D in (calm, warm):
        assert projections(model, (out,), direction_D) == pytest.approx(0, abs=1e-5)
    # What has nothing to do with them stays.
    basis = torch.linalg.qr(torch.stack([calm, other, *draws(1, seed=9)], dim=1))[0]
    assert projections(model, (out,), basis[:, 2]) == pytest.approx(projections(model, (), basis[:, 2]), abs=1e-5)


def test_two_vectors_do_what_one_with_both_directions_does() -> None:
    model = tiny.local("llama")
    calm, warm = draws(2)
    both = Vector({"calm": {0: calm}, "warm": {0: warm, 2: calm}}, strength={"calm": 0.5, "warm": 2})
    two = (Vector({0: calm}, strength=0.5), Vector({0: warm, 2: calm}, strength=2))
    one, other = model.generate([ask(LONG, logprobs=True, controls=controls) for controls in ((both,), two)])
    assert one.token_ids == other.token_ids
    assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_each_row_gets_the_direction_of_its_system_prompt() -> None:
    model = tiny.local("llama")
    calm, warm = draws(2)
    vector = Vector(
        {SYSTEM: {1: calm}, "You are Bob.": {1: warm}}, by_system=True, strength={SYSTEM: 3, "You are Bob.": 1}
    )
    single = {
        SYSTEM: (Vector({1: calm}, strength=3),),
        "You are Bob.": (Vector({1: warm}),),
        "You are Ann.": (),
        None: (),
    }
    options: dict[str, Any] = {"logprobs": True, "max_new_tokens": 4}
    mixed = model.generate([ask(LONG, system, controls=(vector,), **options) for system in single])
    alone = model.generate([ask(LONG, system, controls=controls, **options) for system, controls in single.items()])
    for one, other in zip(mixed, alone, strict=True):
        assert one.token_ids == other.token_ids
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert [r.logprobs for r in alone[:2]] != [
        r.logprobs for r in model.generate([ask(LONG, s, **options) for s in single][:2])
    ]


def test_a_reading_of_the_state_sees_the_steering_of_the_last_layer(case: Case) -> None:
    last, direction_D = case.model.layers - 1, 3 * draws(1)[0]
    request = ask(MIDDLE, readings=("state",), max_new_tokens=1, controls=(Vector({last: direction_D}),))
    reply = case.one(request)
    with hooked(case, lambda layer, hidden_N_D: hidden_N_D + (layer == last) * direction_D):
        hidden = case.reference.forward(case.prompt(request), output_hidden_states=True).hidden_states[-1][0, -1]
    assert torch.from_numpy(reply.state) == pytest.approx(hidden, abs=1e-3)
    assert abs(reply.state - case.one(replace(request, controls=())).state).max() > 0.01


def test_it_never_writes_into_what_it_is_given() -> None:
    model = tiny.local("llama")
    context = ControlContext(model.render(TALK), 60)
    made = ControlBatch([context], torch.zeros(4).long(), torch.arange(58, 62), torch.tensor([False, True, True, True]))
    for dtype in (torch.float32, torch.bfloat16):
        hidden_N_D = torch.stack(draws(4)).to(dtype)
        given = hidden_N_D.clone()
        changed = Vector({1: draws(1)[0]}).residual(made, 1, hidden_N_D)
        assert changed.dtype == dtype
        assert torch.equal(hidden_N_D, given)
        assert torch.equal(changed[0], given[0])
        assert not torch.isclose(changed[1:], given[1:]).all(-1).any()


# The random twin.


def test_a_random_twin_has_the_same_lengths_and_nothing_else_in_common() -> None:
    calm, warm = draws(2)
    vector = Vector({"calm": {0: calm, 2: 5 * warm}, "warm": {1: warm}}, strength=0.7, path="somewhere")
    twin = vector.random_twin(1)
    assert (twin.strength, twin.layers, twin.path) == (0.7, vector.layers, None)
    own, others = vector.tensors(), twin.tensors()
    assert own.keys() == others.keys()
    for entry in own:
        assert float(others[entry].norm()) == pytest.approx(float(own[entry].norm()), rel=1e-6)
        assert abs(float(unit(own[entry]) @ unit(others[entry]))) < 0.6
    assert twin.key == vector.random_twin(1).key != vector.random_twin(2).key
    # A layer less leaves the others as they are.
    assert torch.equal(vector.only([2]).random_twin(1).tensors()["calm/2"], others["calm/2"])


# What it is called.


def test_the_key_says_what_it_does() -> None:
    one, other = draws(2)
    vector = Vector({1: one})
    assert vector.key == Vector({1: one.clone()}, path="elsewhere").key
    others = [
        Vector({1: other}),
        Vector({2: one}),
        Vector({"calm": {1: one}}),
        Vector({1: one}, strength=2),
        Vector({1: one}, scale=2),
        Vector({1: one}, positions="all"),
        Vector({1: one}, mode="ablate"),
        Vector({1: one}, mode="cap", floor=1),
        Vector({1: one}, mode="cap", floor="first"),
        Vector({1: one}, mode="cap", ceiling={1: 1}),
        Vector({"calm": {1: one}}, by_system=True),
    ]
    assert len({vector.key, *(o.key for o in others)}) == 1 + len(others)
    assert Vector({1: one}, strength=1).key == vector.key == Vector({1: one}, strength=1.0).key
    assert json.loads(vector.key)["sha256"] == vector.sha256


def test_the_key_stays_true_when_the_tensor_is_used_on() -> None:
    direction_D = draws(1)[0]
    vector = Vector({1: direction_D})
    key = Vector({1: direction_D}).key
    direction_D += 1
    assert vector.key == key


def test_the_spec_without_a_path_names_what_differs() -> None:
    vector = Vector({1: draws(1)[0]}, mode="cap", floor={1: 2}, strength=0.5)
    assert vector.spec() == {
        "name": "vector", "mode": "cap", "strength": 0.5, "floor": {"1": 2.0}, "sha256": vector.sha256,
    }  # fmt: skip


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"mode": "ad"}, "did you mean 'add'"),
    ({"positions": "replies"}, "did you mean 'reply'"),
    ({"strength": "high"}, "strength is 'high'"),
    ({"strength": float("nan")}, "expected a number"),
    ({"strength": True}, "expected a number"),
    ({"strength": {"calm": 1}}, "strength names 'calm'"),
    ({"strength": 1.5, "mode": "ablate"}, "between 0 and 1"),
    ({"scale": "big"}, "scale is 'big'"),
    ({"mode": "cap"}, "needs a floor or a ceiling"),
    ({"floor": 1.0}, "the others take neither"),
    ({"mode": "cap", "floor": float("inf")}, "expected a number"),
    ({"mode": "cap", "floor": 2, "ceiling": 1}, "floor 2.0 is above ceiling 1.0"),
    ({"mode": "cap", "floor": {"2": 1}}, "no number for layer 1"),
    ({"mode": "cap", "floor": "last"}, "floor is 'last'"),
    ({"mode": "cap", "floor": "first", "positions": "prompt"}, "acts after the first reply"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Vector({1: draws(1)[0]}, **options)


@pytest.mark.parametrize(
    "directions",
    [
        {},
        {"calm": {}},
        {1: torch.zeros(HIDDEN)},
        {1: torch.full((HIDDEN,), torch.nan)},
        {1: torch.ones(2, HIDDEN)},
        {1: torch.ones(HIDDEN), 2: torch.ones(HIDDEN + 1)},
    ],
)
def test_what_are_no_directions_is_refused(directions: Any) -> None:
    with pytest.raises(ConfigError, match="control 'vector'"):
        Vector(directions)


def test_a_model_of_another_size_is_refused() -> None:
    model = tiny.local("llama")
    short = Vector({1: torch.ones(8)})
    for refuse in (lambda: model.generate([ask(controls=(short,))]), lambda: short.check(model)):
        with pytest.raises(ConfigError, match="layers 0 to 2 of 32"):
            refuse()
    with pytest.raises(ConfigError, match="up to layer 3"):
        Vector({3: torch.ones(HIDDEN)}).check(model)
    Vector({2: torch.ones(HIDDEN)}).check(model)
    assert model.generate([ask()])[0].finish != "error"  # the refusal left nothing behind
