"""The engine on a device that is not the CPU, as far as that shows without one.

PyTorch's device `meta` has shapes and no contents. A product of its tensors with those of the CPU fails, and so does
every look at a number, which on a GPU would wait for it. So passes on it show that all tensors are made on the model's
device, and that no layer waits. What is read of the logits, once a pass, is replaced here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from telic.errors import ModelError
from telic.models.control import Control, ControlContext
from telic.models.local import LocalModel, block_storage, decoding, memory
from telic.models.local.arena import Arena
from telic.models.local.block_storage import BlockStorage
from telic.models.local.cache import CacheShape, Segment
from telic.models.local.sampling import RandomStream, invert_on_device, sample_tokens
from telic.models.local.slot_storage import SlotStorage
from telic.models.local.storage import Storage
from telic.models.request import Request, Sampling
from telic.steering import Guidance, Refresh, SplitSoftmax
from telic.steering.vector import Vector
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, ask, draws

ELSEWHERE = torch.device("meta")


def elsewhere(architecture: str, **options: Any) -> LocalModel:
    weights = copy.deepcopy(tiny.weights(architecture)).to(ELSEWHERE)
    return LocalModel(weights, tiny.tokenizer(), f"tiny-{architecture}", **options)


@pytest.fixture(autouse=True)
def _nobody_looks_at_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = decoding.next_tokens

    def nan_rows(states: Sequence[Any], logits_R_V: torch.Tensor) -> torch.Tensor:
        assert logits_R_V.device.type == "meta"
        return torch.zeros(len(states), dtype=torch.bool)

    def next_tokens(states: Sequence[Any], logits_R_V: torch.Tensor) -> list[int]:
        with pytest.raises((RuntimeError, NotImplementedError), match=r"(?i)meta"):  # where the tokens are read
            drawn(list(states), logits_R_V)
        return [7] * len(states)

    monkeypatch.setattr("telic.models.local.engine.nan_rows", nan_rows)
    monkeypatch.setattr("telic.models.local.engine.next_tokens", next_tokens)


def requests() -> list[Request]:
    """Prompts of several lengths, branches, and controls at all points."""
    first, second = draws(2)
    controls: list[tuple[Control, ...]] = [
        (),
        (Guidance(2.0),),
        (Refresh(1.5),),
        (SplitSoftmax(0.8),),
        (Vector({0: first, 2: second}),),
        (Vector({1: first}, mode="cap", floor=1.0), SplitSoftmax(0.8), Guidance(2.0)),
    ]
    texts = (SHORT, LONG, MIDDLE, LONG * 3)
    return [ask(texts[n % 4], controls=controls[n % 6], max_new_tokens=4, ignore_eos=True) for n in range(12)]


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_every_tensor_of_a_pass_is_made_on_the_models_device(architecture: str) -> None:
    model = elsewhere(architecture, max_batch=6)
    for reply in model.generate(requests()):
        assert (reply.failure, reply.token_ids) == (None, (7,) * 4)
    session = model.session(tiny.SYSTEM).user(LONG)
    session.reply(max_new_tokens=3)
    branches = [session.fork().user(SHORT).request(max_new_tokens=3, ignore_eos=True) for _ in range(3)]
    assert [reply.new_tokens for reply in model.generate(branches)] == [3] * 3
    assert all(layer.device == ELSEWHERE for layer in model.runner.arena.layers)


class Careless(Control):
    """Forgets where the model is, or waits for a number of it."""

    name = "careless"
    points = frozenset({"residual"})

    def __init__(self, mistake: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self.mistake = mistake

    def residual(self, batch: Any, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        return self.mistake(hidden_N_D)


@pytest.mark.parametrize(
    "mistake",
    [lambda hidden: hidden + torch.ones(hidden.shape), lambda hidden: hidden * float(hidden.amax())],
    ids=["another device", "waits"],
)
def test_the_test_finds_a_tensor_elsewhere_and_a_look_at_a_number(mistake: Any) -> None:
    with pytest.raises((RuntimeError, NotImplementedError), match=r"(?i)meta|device"):
        elsewhere("llama").generate([ask(SHORT, controls=(Careless(mistake),))])


def test_the_attention_on_the_system_prompt_is_read_without_waiting() -> None:
    model = elsewhere("llama")
    state = model.submit(replace(ask(LONG, max_new_tokens=3, ignore_eos=True), readings=frozenset({"attention"})))
    while len(state.generated) < 2:
        model.step(state)
    assert state.primary.mass_L is not None
    assert state.primary.mass_L.device == ELSEWHERE
    model.cancel(state)


def test_a_model_over_several_devices_is_refused() -> None:
    weights = copy.deepcopy(tiny.weights("llama"))
    weights.model.layers[2].to(ELSEWHERE)
    with pytest.raises(ModelError, match=r"spread over cpu, meta \(device_map\).*one device; .*tensor_parallel_size"):
        LocalModel(weights, tiny.tokenizer(), "tiny")


def test_keys_and_values_are_given_a_share_of_what_is_free_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (12 << 30, 80 << 30))
    assert memory.device_memory(torch.device("cuda", 0)) == 12 << 30
    assert memory.device_memory(torch.device("cpu")) == memory.machine_memory()


def test_freed_memory_of_a_gpu_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[str] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: given.append("cuda"))
    memory.release_free_memory(torch.device("cpu"))
    memory.release_free_memory()
    assert given == []
    memory.release_free_memory(torch.device("cuda", 0))
    assert given == ["cuda"]


def test_blocks_give_back_the_memory_that_they_outgrow(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[torch.device] = []
    monkeypatch.setattr(block_storage, "release_free_memory", given.append)
    storage = BlockStorage(CacheShape(layers=2, kv_heads=2, head_dim=8), torch.bfloat16, ELSEWHERE)
    storage.prepare({0: (0, 600)})
    storage.prepare({0: (600, 601)})  # there is room in its block
    assert given == [ELSEWHERE]
    storage.release(0)
    storage.shrink({})
    assert given == [ELSEWHERE] * 2


def test_drawing_on_a_gpu_finds_the_tokens_that_the_cpu_finds() -> None:
    generator = torch.Generator().manual_seed(0)
    logits_R_V = torch.randn(300, 997, generator=generator) * 3
    logits_R_V[:, 500:] = -torch.inf  # as under a response format
    settings = [Sampling(temperature=(0.3, 1.0, 2.0)[row % 3]) for row in range(300)]
    tokens = sample_tokens(logits_R_V, settings, [RandomStream(row) for row in range(300)])
    scale = torch.tensor([setting.temperature for setting in settings])[:, None]
    uniforms = [RandomStream(row).next() for row in range(300)]
    assert invert_on_device(torch.softmax(logits_R_V / scale, -1), uniforms) == tokens
    assert len(set(tokens)) > 50
    assert max(tokens) < 500
    assert invert_on_device(torch.tensor([[0.5, 0.5, 0.0]]), [1 - 1e-12]) == [1]


# ---- what a batch takes: its length, in blocks on a GPU; without them, there, the longest for each


def test_on_a_gpu_a_batch_takes_its_blocks_and_the_forecast_says_so() -> None:
    shape, lengths = CacheShape(layers=30, kv_heads=3, head_dim=64), [(2000, 0, 64)] + [(40, 0, 64)] * 15
    token = 2 * 30 * 3 * 64 * 4
    on_cpu, on_gpu = (Arena(shape, torch.float32, device) for device in (torch.device("cpu"), ELSEWHERE))
    slots = Arena(shape, torch.float32, ELSEWHERE, paged=False)
    padded = 16 * 2080 * token // 60  # the keys, or the values, of one layer, with each row as long as the longest
    assert on_gpu.bytes_for(lengths) == (2080 + 15 * 128 + 32) * token + padded  # blocks of 32, of which one stays zero
    assert slots.bytes_for(lengths) == 16 * 2080 * token  # 2064, in steps of 32
    assert on_cpu.bytes_for(lengths) == (16 * 128 + 2000) * token
    assert on_gpu.bytes_for(lengths) < 1.2 * on_cpu.bytes_for(lengths)
    assert slots.bytes_for(lengths) > 7 * on_gpu.bytes_for(lengths)


@pytest.mark.parametrize("paged", [True, False])
def test_a_batch_takes_as_many_rows_as_fit(paged: bool) -> None:
    model = elsewhere("llama", batch_bytes=0, max_batch=16, paged=paged)
    arena = model.runner.arena
    model.engine.batch_bytes = 6 * 1024 * arena.token_bytes
    states = [model.submit(ask(LONG * 8, max_new_tokens=4, ignore_eos=True))]
    states += [model.submit(ask(f"{SHORT} {n}", max_new_tokens=4, ignore_eos=True)) for n in range(12)]
    most = held = 0
    while any(state.reply is None for state in states):
        model.step()
        most = max(most, len(model.engine.active))
        held = max(held, sum(layer.nbytes for layer in arena.layers))
    assert held <= 1.25 * model.engine.batch_bytes, "it grows by a quarter, so there may be more room than rows"
    assert most == 13 if paged else 6 <= most < 13
    assert {reply.failure for state in states if (reply := state.reply)} == {None}


@pytest.mark.parametrize(("name", "kind"), [("cuda", BlockStorage), ("cpu", SlotStorage)])
def test_a_gpu_has_blocks_and_the_cpu_has_slots(name: str, kind: type[Storage]) -> None:
    shape = CacheShape(layers=2, kv_heads=2, head_dim=8)
    with FakeTensorMode():  # a GPU that only pretends to be there
        arena = Arena(shape, torch.bfloat16, torch.device(name))
        assert {layer.device.type for layer in arena.layers} == {name}
    assert type(arena.storage) is kind
    assert type(Arena(shape, torch.bfloat16, torch.device("cpu"), paged=True).storage) is BlockStorage
    assert type(Arena(shape, torch.bfloat16, ELSEWHERE, paged=False).storage) is SlotStorage


@pytest.mark.parametrize("paged", [True, False])
def test_what_is_in_an_arena_is_moved_without_a_look_at_it(paged: bool) -> None:
    arena = Arena(CacheShape(layers=2, kv_heads=2, head_dim=8), torch.bfloat16, ELSEWHERE, paged=paged)
    segment = Segment(torch.zeros(2, 2, 2, 90, 8, dtype=torch.bfloat16, device=ELSEWHERE))
    for slot in range(3):
        arena.load(slot, (segment,), 70 + slot, 80)
    arena.copy(0, 3, 50)
    arena.prepare([(0, 70, 71, 80), (3, 50, 80, 80)])
    entries = arena.storage.entries([(0, 70, 71), (3, 50, 80)], write=True)
    for layer in arena.layers:
        for keys in layer:
            entries.write(keys, torch.zeros(2, 31, 8, dtype=torch.bfloat16, device=ELSEWHERE))
            read = entries.read(keys)
            assert (read.shape, read.device) == ((entries.count * 2, entries.length, 8), ELSEWHERE)
    assert arena.store(3, (), 75)[0].keys_values.device == ELSEWHERE
    arena.scrub({0: 71, 3: 80})
    arena.release_all()
    arena.shrink({})
    assert all(layer.device == ELSEWHERE for layer in arena.layers)


def test_contexts_are_not_asked_for_numbers_of_the_logits() -> None:
    """A control on logits gets those of the model's device."""
    seen: list[torch.device] = []

    class Looking(Control):
        name = "looking"
        points = frozenset({"logits"})

        def logits(self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
            seen.append(logits_R_V.device)
            return logits_R_V

    elsewhere("llama").generate([ask(SHORT, controls=(Looking(),), max_new_tokens=2, ignore_eos=True)])
    assert seen == [ELSEWHERE] * 2
