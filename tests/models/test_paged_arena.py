"""Keys and values in blocks, as on a GPU: the same replies as from slots, in the memory that is used."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.models.control import Control
from telic.models.local import LocalModel
from telic.models.local.block_storage import BlockEntries, BlockStorage
from telic.models.local.cache import CacheShape, KeyValueCache, Segment, truncate_segments
from telic.models.local.storage import GROWTH
from telic.models.request import Reply, Request
from telic.steering import AttentionHold, Guidance, Refresh, SplitSoftmax
from telic.steering.vector import Vector
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM, Case, ask, draws
from tests.planner.planners import control_of


def storage(model: LocalModel) -> BlockStorage:
    found = model.runner.arena.storage
    assert isinstance(found, BlockStorage)
    return found


def nothing_is_left(model: LocalModel) -> None:
    """No slot has a block, and every block can be given out."""
    table = storage(model).table
    assert (table.used, table.free) == (0, table.size - 1)


def run(model: LocalModel, requests: Sequence[Request], each_pass: Callable[[], None] = lambda: None) -> list[Reply]:
    states = [model.submit(request) for request in requests]
    while any(state.reply is None for state in states):
        model.step()
        each_pass()
    return [state.reply for state in states if state.reply is not None]


def same(replies: Sequence[Reply], others: Sequence[Reply], tolerance: float = 1e-4) -> None:
    """They agree in tokens, log-probabilities and readings, up to the rounding of sums."""
    for one, other in zip(replies, others, strict=True):
        assert (one.token_ids, one.finish) == (other.token_ids, other.finish)
        assert (one.prompt_tokens, one.cached_tokens) == (other.prompt_tokens, other.cached_tokens)
        assert one.logprobs == pytest.approx(other.logprobs, abs=tolerance)
        for name in ("attention", "state", "reply_state"):
            reading, another = getattr(one, name), getattr(other, name)
            assert (reading is None) == (another is None)
            if reading is not None:
                assert reading == pytest.approx(another, abs=10 * tolerance)


# ---- the same replies as from slots


def mixed(model: LocalModel, options: dict[str, Any]) -> list[Request]:
    """Prompts of several lengths, some of them equal or with the same beginning, under controls at all points."""
    first, second = draws(2)
    controls: list[tuple[Control, ...]] = [
        (),
        (Guidance(2.0),),
        (Refresh(1.5),),
        (SplitSoftmax(0.8),),
        (Vector({0: first, 1: second}),),
        (AttentionHold(0.5), Guidance(1.4)),
        (control_of(model, placement="mid"),),
        (control_of(model, placement="end"),),
    ]
    texts = (SHORT, LONG, MIDDLE, LONG * 6, LONG, LONG * 2)
    return [
        ask(texts[n % 6], controls=controls[n % 8], max_new_tokens=2 + 7 * (n % 4), seed=n, **options)
        for n in range(24)
    ]


@pytest.mark.parametrize("architecture", ["llama", "mistral", "gemma3", "gpt2"])
@pytest.mark.parametrize("pass_tokens", [1024, 30])
def test_blocks_and_slots_give_the_same_replies(architecture: str, pass_tokens: int) -> None:
    readings = ("attention", "state", "reply_state")
    options: dict[str, Any] = {"logprobs": True, "ignore_eos": True, "temperature": 0.7, "top_p": 0.8}
    found = []
    for paged in (True, False):
        model = tiny.local(architecture, paged=paged, max_batch=7)
        model.engine.pass_tokens = pass_tokens
        found.append(run(model, mixed(model, {**options, "readings": readings})))
        if paged:
            nothing_is_left(model)
    same(found[0], found[1])


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_sessions_and_their_forks_go_on_from_blocks_as_from_slots(architecture: str) -> None:
    found = []
    for paged in (True, False):
        model = tiny.local(architecture, paged=paged, max_batch=6)
        options: dict[str, Any] = {"max_new_tokens": 9, "temperature": 0.0, "logprobs": True}
        sessions = [model.session(SYSTEM).user(text) for text in (LONG, MIDDLE)]
        replies: list[Reply] = []
        for text in (SHORT, LONG, MIDDLE):
            answers = run(model, [session.request(**options) for session in sessions])
            for session, answer in zip(sessions, answers, strict=True):
                session.assistant(answer.text)
            probes = [s.fork().user(probe) for s in sessions for probe in (SHORT, "In May?", MIDDLE)]
            replies += [*answers, *run(model, [probe.request(keep=False, **options) for probe in probes])]
            sessions.append(sessions[0].fork())
            for number, session in enumerate(sessions):
                session.user(f"{text} {number}")
        assert replies[-1].cached_tokens > GROWTH
        found.append(replies)
    same(found[0], found[1])


def test_half_precision_differs_by_its_rounding_only() -> None:
    found = []
    for paged in (True, False):
        model = tiny.local("llama", dtype=torch.bfloat16, paged=paged, max_batch=4)
        found.append(run(model, [ask(f"{n} {LONG * n}", logprobs=True, temperature=0.0) for n in range(1, 7)]))
    for one, other in zip(*found, strict=True):
        assert one.logprobs is not None
        assert other.logprobs is not None
        assert one.logprobs[0] == pytest.approx(other.logprobs[0], abs=0.1)


@pytest.mark.model
def test_the_bundled_model_replies_from_blocks_as_from_slots() -> None:
    slots = tiny.bundled()
    paged = Case(LocalModel(slots.model.model, slots.model.tokenizer, "smollm2", paged=True), slots.reference, 1e-3)
    options: dict[str, Any] = {"max_new_tokens": 6, "temperature": 0.0, "logprobs": True, "readings": ("attention",)}
    found = []
    for case in (paged, slots):
        model = case.model
        requests = [ask(SHORT, **options), ask(LONG, controls=(Refresh(1.5),), **options)]
        replies = run(model, [*requests, ask(LONG * 3, controls=(SplitSoftmax(0.8),), **options)])
        session = model.session(SYSTEM).user(LONG)
        session.reply(max_new_tokens=4, temperature=0.0)
        forks = [session.fork().user(text) for text in (SHORT, MIDDLE)]
        found.append([*replies, *run(model, [fork.request(max_new_tokens=4, temperature=0.0) for fork in forks])])
    same(found[0], found[1], tolerance=1e-3)
    for request, reply in zip([ask(SHORT, **options)], found[0], strict=False):
        assert reply.logprobs == pytest.approx(paged.logprobs(request, reply), abs=1e-3)


def test_a_request_that_is_cancelled_gives_its_blocks_back() -> None:
    model = tiny.local("llama", paged=True, max_batch=8)
    model.engine.pass_tokens = 40
    alone = model.generate([ask(MIDDLE, logprobs=True)])
    reading = model.submit(ask(LONG * 6))
    samples = [model.submit(ask(LONG, seed=n, temperature=1.0, max_new_tokens=30, ignore_eos=True)) for n in range(4)]
    while len(samples[3].generated) < 3:
        model.step()
    held = storage(model).table.used
    model.cancel(reading)
    assert storage(model).table.used < held - 3
    model.cancel(samples[0])  # it has read for the others
    same(run(model, [ask(MIDDLE, logprobs=True)]), alone)
    while any(sample.reply is None for sample in samples[1:]):
        model.step()
    nothing_is_left(model)
    fresh = model.generate([sample.request for sample in samples[1:]])
    assert [sample.reply.token_ids for sample in samples[1:] if sample.reply] == [reply.token_ids for reply in fresh]


def test_a_reset_gives_all_blocks_back() -> None:
    model = tiny.local("llama", paged=True)
    model.submit(ask(LONG))
    model.step()
    assert storage(model).table.used
    model.engine.reset()
    nothing_is_left(model)


class Spoiling(Control):
    """Returns NaN from some token of the reply on."""

    name = "spoiling"
    points = frozenset({"residual"})

    def residual(self, batch: Any, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        late = [len(batch.contexts[context].generated) >= 2 for context in batch.context_N.tolist()]
        return torch.where(torch.tensor(late)[:, None], float("nan"), hidden_N_D)


def test_a_reply_that_fails_leaves_no_nan_in_blocks_and_harms_nobody_who_shared_them() -> None:
    model = tiny.local("llama", paged=True, max_batch=8)
    session = model.session(SYSTEM).user(LONG)
    session.reply(max_new_tokens=4, temperature=0.0)
    options: dict[str, Any] = {"max_new_tokens": 8, "temperature": 0.0, "logprobs": True, "ignore_eos": True}
    forks = [session.fork().user(SHORT).request(keep=False, **options) for _ in range(3)]
    alone = [model.generate([replace(fork, cache=None)])[0] for fork in forks]
    spoilt = replace(ask(LONG, **options), controls=(Spoiling(),))
    samples = [ask(LONG, **options) for _ in range(2)]
    expected = [model.generate([sample])[0] for sample in samples]
    replies = run(model, [spoilt, *forks, *samples])
    assert replies[0].failure is not None
    assert replies[0].failure.kind == "nan_logits"
    for reply, other in zip(replies[1:], [*alone, *expected], strict=True):
        assert reply.token_ids == other.token_ids
        assert reply.logprobs == pytest.approx(other.logprobs, abs=1e-4)
    assert all(bool(layer.isfinite().all()) for layer in model.runner.arena.layers)
    nothing_is_left(model)


# ---- in the memory that is used


def test_memory_is_what_is_used_where_one_sequence_is_much_longer() -> None:
    model = tiny.local("llama", paged=True, max_batch=16)
    table = storage(model).table
    short = [ask(f"{MIDDLE} {n}", max_new_tokens=8 + n, ignore_eos=True) for n in range(15)]
    lengths = [len(model.render(request.messages).token_ids) for request in short]
    long = ask(MIDDLE * 30, max_new_tokens=8, ignore_eos=True)
    assert len(model.render(long.messages).token_ids) >= 10 * max(lengths)
    block = model.runner.arena.token_bytes * GROWTH
    most = 0

    def look() -> None:
        nonlocal most
        computed = {s.slot: s.computed for state in model.engine.active for s in state.sequences}
        most = max(most, sum(computed.values()) + GROWTH * len(computed))
        assert table.used * GROWTH <= sum(computed.values()) + GROWTH * len(computed), "a block for each slot, at most"
        assert sum(layer.nbytes for layer in model.runner.arena.layers) == table.size * block
        assert (table.size - 1) * GROWTH <= 1.125 * most, "and what it grows by"

    run(model, [*short, long], look)
    assert most < 0.25 * 16 * len(model.render(long.messages).token_ids), "of what slots would take"
    nothing_is_left(model)
    run(model, [ask(SHORT, max_new_tokens=1)])
    assert table.size <= 6, "it shrinks again"


def test_the_forecast_covers_what_is_used_and_little_more(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny.local("llama", paged=True, max_batch=16)
    arena, table = model.runner.arena, storage(model).table
    texts = (SHORT, LONG * 7, MIDDLE, LONG, LONG + SHORT)
    requests = [ask(f"{n} {text}", max_new_tokens=20, ignore_eos=True) for n, text in enumerate(texts)]
    forecast = arena.bytes_for([(len(model.render(r.messages).token_ids), 0, 20) for r in requests])
    blocks = padded = 0
    read = BlockEntries.read

    def note(self: BlockEntries, keys: torch.Tensor) -> torch.Tensor:
        nonlocal padded
        made = read(self, keys)
        padded = max(padded, made.nbytes)
        return made

    def look() -> None:
        nonlocal blocks
        blocks = max(blocks, table.used)

    monkeypatch.setattr(BlockEntries, "read", note)
    run(model, requests, look)
    block = arena.token_bytes * GROWTH
    used = block * (blocks + 1) + padded
    assert used <= forecast <= used + len(requests) * block


def test_branches_and_samples_share_blocks() -> None:
    model = tiny.local("llama", paged=True, max_batch=16)
    table = storage(model).table
    session = model.session(SYSTEM).user(LONG * 6)
    session.reply(max_new_tokens=4, temperature=0.0)
    read = len(session.cache.key_values.tokens)
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, table.used)

    branches = [session.fork().user(f"{SHORT} {n}") for n in range(12)]
    run(model, [branch.request(keep=False, max_new_tokens=8, ignore_eos=True) for branch in branches], look)
    assert read // GROWTH < most <= read // GROWTH + 12 * 3, "one copy of what the session has read, not twelve"
    most = 0
    run(model, [ask(LONG * 6, seed=n, temperature=1.0, max_new_tokens=8, ignore_eos=True) for n in range(12)], look)
    assert read // GROWTH < most <= read // GROWTH + 12 * 2
    del session, branches
    assert model.cache_bytes == 0, "nor are segments held for it afterwards"


# ---- whatever happens to slots: their contents, and whose the blocks are

SHAPE = CacheShape(layers=2, kv_heads=2, head_dim=2)
SLOTS = 5


def tensor_of(values: Sequence[float]) -> torch.Tensor:
    """Keys and values [layers, 2, kv_heads, tokens, head_dim] that are all different."""
    places = torch.arange(2 * 2 * 2 * 2).view(2, 2, 2, 1, 2)
    return 16 * torch.tensor(list(values), dtype=torch.float32)[:, None] + places


class Slots:
    """Blocks, beside plain lists of what should be in the slots."""

    def __init__(self) -> None:
        self.storage = BlockStorage(SHAPE, torch.float32, torch.device("cpu"))
        self.expected: dict[int, list[float]] = {}
        self.next = 1.0
        first = Segment(tensor_of(range(5000, 5090)))
        cut = truncate_segments([first], 77)
        self.chains = [
            ((first, Segment(tensor_of(range(6000, 6050)))), [*range(5000, 5090), *range(6000, 6050)]),
            ((*cut, Segment(tensor_of(range(7000, 7080)))), [*range(5000, 5077), *range(7000, 7080)]),
        ]
        self.cache = KeyValueCache((), tuple(chain[0] for chain, _ in self.chains), "")

    def length(self, slot: int) -> int:
        return len(self.expected.get(slot, ()))

    def write(self, spans: dict[int, tuple[int, int]]) -> None:
        self.storage.prepare(spans)
        for slot, (start, end) in spans.items():
            blocks = self.storage.table.blocks(slot)[start // GROWTH : -(-end // GROWTH)]
            others = {b for other in range(SLOTS) if other != slot for b in self.storage.table.blocks(other)}
            assert blocks
            assert not others & set(blocks), "what is written is one slot's alone"
        count = sum(end - start for start, end in spans.values())
        new = tensor_of([self.next + n for n in range(count)])
        entries = self.storage.entries([(slot, *span) for slot, span in spans.items()], write=True)
        for layer, made in zip(self.storage.layers, new, strict=True):
            for place in range(2):
                entries.write(layer[place], made[place])
        for slot, (start, end) in spans.items():
            values = [self.next + n for n in range(end - start)]
            self.expected[slot] = [*self.expected.get(slot, ())[:start], *values]
            self.next += end - start

    def apply(self, kind: str, slot: int, other: int, length: int) -> None:
        held = self.length(slot)
        if kind == "read":  # a part of a prompt, perhaps from further back, as where a prefix is inserted
            start = max(held - length % 50, 0) if length % 3 == 0 else held
            self.write({slot: (start, start + 1 + length)})
        elif kind == "decode" and self.expected:
            self.write({each: (len(values), len(values) + 1) for each, values in self.expected.items()})
        elif kind == "load":
            chain, values = self.chains[other % 2]
            self.storage.release(slot)
            self.storage.load(slot, truncate_segments(chain, length + 30))
            self.expected[slot] = [float(value) for value in values[: length + 30]]
        elif kind == "copy" and other != slot and held:
            self.storage.release(other)
            self.storage.copy(slot, other, 1 + length % held)
            self.expected[other] = self.expected[slot][: 1 + length % held]
        elif kind == "release":
            self.storage.release(slot)
            self.expected.pop(slot, None)
        elif kind == "shrink":
            self.storage.shrink({each: len(values) for each, values in self.expected.items()})
        elif kind == "fail" and held:
            start = held - 1
            self.storage.prepare({slot: (start, held + length)})
            entries = self.storage.entries([(slot, start, held + length)], write=True)
            for layer in self.storage.layers:
                for keys in layer:
                    entries.write(keys, torch.full((2, held + length - start, 2), float("nan")))
            self.storage.release(slot)
            del self.expected[slot]
            self.storage.scrub({each: len(values) for each, values in self.expected.items()})

    def check(self) -> None:
        table = self.storage.table
        held = [set(table.blocks(slot)) for slot in range(SLOTS)]
        for slot in range(SLOTS):
            assert len(held[slot]) == len(table.blocks(slot)), "no block is twice in a slot"
            assert len(held[slot]) >= -(-self.length(slot) // GROWTH)
        assert 0 not in set().union(*held)
        assert table.used == len(set().union(*held))
        assert table.used + table.free == table.size - 1
        assert {layer.shape[1] for layer in self.storage.layers} == {table.size}
        assert all(bool(layer.isfinite().all()) for layer in self.storage.layers)
        if not self.expected:
            return
        rows = [(slot, len(values) - 1, len(values)) for slot, values in self.expected.items()]
        entries = self.storage.entries(rows, write=False)
        for number, layer in enumerate(self.storage.layers):
            for place in range(2):
                read = entries.read(layer[place]).view(len(rows), 2, entries.length, 2)
                for row, values in zip(read, self.expected.values(), strict=True):
                    assert torch.equal(row[:, : len(values)], tensor_of(values)[number, place])
        slot, values = next(iter(self.expected.items()))
        start = len(values) // 3
        out = torch.empty(2, 2, 2, len(values) - start, 2)
        self.storage.copy_out(slot, start, out)
        assert torch.equal(out, tensor_of(values[start:]))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["read", "read", "decode", "load", "load", "copy", "copy", "release", "shrink", "fail"]),
            st.integers(0, SLOTS - 1),
            st.integers(0, SLOTS - 1),
            st.integers(0, 130),
        ),
        max_size=25,
    )
)
def test_slots_keep_their_contents_and_no_block_is_two_slots_unless_they_share_it(
    steps: list[tuple[str, int, int, int]],
) -> None:
    slots = Slots()
    for step in steps:
        slots.apply(*step)
        slots.check()
    slots.storage.release_all()
    slots.expected.clear()
    slots.check()
    assert slots.storage.table.used == 0
    slots.storage.shrink({})
    assert slots.storage.table.size <= 4


def test_a_block_that_was_written_to_is_no_copy_of_its_segment_any_more() -> None:
    slots = Slots()
    slots.apply("load", 0, 0, 40)
    slots.write({0: (10, 70)})  # in the first block, and on
    slots.apply("load", 1, 0, 40)
    slots.check()
    assert not set(slots.storage.table.blocks(0)) & set(slots.storage.table.blocks(1))
    slots.apply("load", 2, 1, 40)  # another chain with the same first 77 tokens
    slots.check()
    assert slots.storage.table.blocks(2)[:2] == slots.storage.table.blocks(1)[:2]
    assert slots.storage.table.used == 3 + 3 + 1


def test_a_segment_is_held_while_a_block_is_its_copy_so_that_no_other_one_gets_its_memory() -> None:
    storage = Slots().storage
    segment = Segment(tensor_of(range(40)))
    held = weakref.ref(segment)
    storage.load(0, [segment])
    storage.copy(0, 1, 40)
    storage.release(0)
    del segment
    gc.collect()
    assert held() is not None
    storage.release(1)
    gc.collect()
    assert held() is None


def test_what_one_slot_needs_of_a_shared_block_is_not_zeroed_for_another_one() -> None:
    slots = Slots()
    slots.write({0: (0, 60), 2: (0, 20)})
    slots.apply("copy", 0, 1, 39)  # its first 40 entries
    slots.apply("fail", 2, 0, 10)
    assert (slots.length(0), slots.length(1)) == (60, 40)
    slots.check()
