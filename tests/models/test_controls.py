"""The five points at which controls act, each with a small control of its own, against plain computations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar, Literal

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from telic.dialogue import Dialogue, Message
from telic.models.control import Control, ControlBatch, ControlContext, ControlPoint, Insertion
from telic.models.local import LocalModel
from telic.models.request import Continuation
from telic.rendering import Span
from tests.contracts.control_contract import ControlContract
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM, Case, ask


class Remind(Control):
    """Says a reminder after the last message."""

    name: ClassVar[str] = "remind"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"messages"})

    def __init__(self, text: str) -> None:
        self.text = text

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        last = messages[-1]
        return (*messages[:-1], last.model_copy(update={"content": last.content + self.text}))


class Prefix(Control):
    """Inserts vectors at the prompt's start, in its middle, at its end."""

    name: ClassVar[str] = "prefix"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"embeddings"})

    def __init__(self, vectors: torch.Tensor, place: Literal["start", "middle", "end", "all"] = "start") -> None:
        self.vectors, self.place = vectors, place

    def indices(self, row: ControlContext) -> list[int]:
        """Before which tokens the vectors go."""
        length = len(row.rendering.token_ids)
        places = {"start": [0], "middle": [length // 3], "end": [length], "all": [0, length // 3, length]}
        return places[self.place]

    def embeddings(self, row: ControlContext) -> Sequence[Insertion]:
        return [Insertion(index, self.vectors) for index in self.indices(row)] if len(self.vectors) else []


class Power(Control):
    """Split-softmax (arXiv 2402.10962): the attention mass on the system prompt to the power k."""

    name: ClassVar[str] = "power"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"attention"})

    def __init__(self, k: float, span: Literal["turn", "content"] = "content") -> None:
        self.k, self._span = k, span

    @property
    def span(self) -> Literal["turn", "content"]:
        return self._span

    def attention(self, batch: ControlBatch, layer: int, log_mass_R_H_Q: torch.Tensor) -> torch.Tensor:
        assert log_mass_R_H_Q.shape[0] == len(batch.contexts)
        return self.k * log_mass_R_H_Q


class PlannerControl(Control):
    """Adds a vector to the residual stream after some layers."""

    name: ClassVar[str] = "steer"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual"})

    def __init__(self, vector: torch.Tensor, layers: frozenset[int] | None, *, reply_only: bool = False) -> None:
        self.vector, self._layers, self.reply_only = vector, layers, reply_only

    @property
    def layers(self) -> frozenset[int] | None:
        return self._layers

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        assert len(hidden_N_D) == len(batch.context_N) == len(batch.position_N) == len(batch.reply_N)
        added = self.vector.to(hidden_N_D).expand_as(hidden_N_D)
        return hidden_N_D + (added * batch.reply_N[:, None] if self.reply_only else added)


class Bias(Control):
    """Adds to the logits."""

    name: ClassVar[str] = "bias"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __init__(self, tokens: Sequence[int], amount: float) -> None:
        self.tokens, self.amount = list(tokens), amount

    def logits(self, rows: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        assert len(rows) == len(logits_R_V)
        changed = logits_R_V.clone()
        changed[:, self.tokens] += self.amount
        return changed


class Scale(Control):
    """Multiplies the logits: does not commute with `Bias`."""

    name: ClassVar[str] = "scale"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def logits(self, rows: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        return 0.5 * logits_R_V


class Notes(Control):
    """Keeps a list of what it saw in the session's memory."""

    name: ClassVar[str] = "notes"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def logits(self, rows: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        for row in rows:
            row.control_state.setdefault("notes", {}).setdefault("seen", []).append(len(row.generated))
        return logits_R_V


def vectors(model: LocalModel, count: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(count, model.hidden_size, generator=torch.Generator().manual_seed(count))


class TestRemind(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return Remind(" Remember: you are Mia.")

    def make_idle(self, model: LocalModel) -> Control:
        return Remind("")


class TestPrefix(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return Prefix(vectors(model, 3), "all")

    def make_idle(self, model: LocalModel) -> Control:
        return Prefix(vectors(model, 0))


class TestPower(ControlContract):
    architectures = ("llama", "mistral", "gemma3", "gpt2")

    def make(self, model: LocalModel) -> Control:
        return Power(0.3, "turn" if model.name == "tiny-gpt2" else "content")

    def make_idle(self, model: LocalModel) -> Control:
        return Power(1.0)


class TestSteer(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return PlannerControl(vectors(model, 1)[0], frozenset({1}))

    def make_idle(self, model: LocalModel) -> Control:
        return PlannerControl(torch.zeros(model.hidden_size), None)


class TestBias(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return Bias([10, 11, 12], 3.0)

    def make_idle(self, model: LocalModel) -> Control:
        return Bias([10], 0.0)


class TestAllAtOnce(ControlContract):
    """A control may act at several points."""

    class Everything(Control):
        name: ClassVar[str] = "everything"
        points: ClassVar[frozenset[ControlPoint]] = frozenset(
            {"messages", "embeddings", "attention", "residual", "logits"}
        )

        def __init__(self, parts: Sequence[Any]) -> None:
            self.parts = parts

        def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
            return self.parts[0].messages(messages)  # type: ignore[no-any-return]

        def embeddings(self, row: ControlContext) -> Sequence[Insertion]:
            return self.parts[1].embeddings(row)  # type: ignore[no-any-return]

        def attention(self, batch: ControlBatch, layer: int, log_mass_R_H_Q: torch.Tensor) -> torch.Tensor:
            return self.parts[2].attention(batch, layer, log_mass_R_H_Q)  # type: ignore[no-any-return]

        def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
            return self.parts[3].residual(batch, layer, hidden_N_D)  # type: ignore[no-any-return]

        def logits(self, rows: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
            return self.parts[4].logits(rows, logits_R_V)  # type: ignore[no-any-return]

    def make(self, model: LocalModel) -> Control:
        kinds: list[ControlContract] = [TestRemind(), TestPrefix(), TestPower(), TestSteer(), TestBias()]
        return self.Everything([kind.make(model) for kind in kinds])

    def make_idle(self, model: LocalModel) -> Control | None:
        kinds: list[ControlContract] = [TestRemind(), TestPrefix(), TestPower(), TestSteer(), TestBias()]
        return self.Everything([kind.make_idle(model) for kind in kinds])


# Against plain computations


_split: dict[str, Any] = {}


def _split_softmax(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: Any, scaling: float, **_: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eager attention with the published formula, weight by weight."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    alpha = torch.softmax((query @ key.transpose(2, 3) * scaling + mask).double(), dim=-1)
    span, k = _split["span"], _split["k"]
    pi = alpha[..., span.start : span.end].sum(-1, keepdim=True)
    inside = torch.zeros(alpha.shape[-1], dtype=torch.bool)
    inside[span.start : span.end] = True
    bent = torch.where(inside, alpha * pi**k / pi, alpha * (1 - pi**k) / (1 - pi))
    after = torch.arange(alpha.shape[2])[:, None] >= span.end
    alpha = torch.where(after & (pi > 0), bent, alpha)
    return (alpha.to(value.dtype) @ value).transpose(1, 2), alpha.float()


@contextmanager
def split_softmax(case: Case, span: Span, k: float) -> Iterator[None]:
    """The reference computes with split-softmax within the block."""
    AttentionInterface.register("plain-split-softmax", _split_softmax)
    AttentionMaskInterface.register("plain-split-softmax", eager_mask)
    _split.update(span=span, k=k)
    case.reference.model.set_attn_implementation("plain-split-softmax")
    try:
        yield
    finally:
        case.reference.model.set_attn_implementation("eager")


@pytest.mark.parametrize("k", [0.0, 0.3, 0.9, 2.0])
@pytest.mark.parametrize("kind", ["turn", "content"])
def test_split_softmax_is_the_published_formula(any_case: Case, k: float, kind: Literal["turn", "content"]) -> None:
    case = any_case
    if case.model.name == "smollm2" and (k, kind) != (0.3, "content"):
        pytest.skip("one strength is enough for the large model")
    request = ask(LONG, controls=(Power(k, kind),), logprobs=True, max_new_tokens=6)
    reply = case.one(request)
    rendering = case.model.render(request.messages)
    with split_softmax(case, rendering.system_turn if kind == "turn" else rendering.system_content, k):
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=2 * case.tolerance)
        stop_ids = case.model.engine.stop_ids
        assert list(reply.token_ids) == case.reference.greedy(case.prompt(request), 6, stop_ids)


@pytest.mark.parametrize("place", ["start", "middle", "end", "all"])
def test_prefix_tokens_are_embeddings_in_between(case: Case, place: Literal["start", "middle", "end", "all"]) -> None:
    embed = case.reference.model.get_input_embeddings()
    like = embed(torch.arange(10, 14)).detach()
    inserted = like + 0.1 * like.std() * vectors(case.model, 4)
    control = Prefix(inserted, place)
    request = ask(MIDDLE, controls=(control,), logprobs=True, max_new_tokens=6, readings=("attention",))
    reply = case.one(request)
    rendering = case.model.render(request.messages)
    prompt = embed(torch.tensor(rendering.token_ids))
    pieces, read = [], 0
    for index in control.indices(ControlContext(rendering, 0)):
        pieces += [prompt[read:index], inserted]
        read = index
    embedded = torch.cat([*pieces, prompt[read:], embed(torch.tensor(reply.token_ids))])
    with torch.inference_mode():
        output = case.reference.model(inputs_embeds=embedded[None], use_cache=False, output_attentions=True)
    table = torch.log_softmax(output.logits[0], dim=-1)[-reply.new_tokens - 1 : -1]
    assert reply.logprobs == pytest.approx(table[range(reply.new_tokens), reply.token_ids].tolist(), abs=case.tolerance)
    assert reply.prompt_tokens == len(embedded) - reply.new_tokens
    # The reading counts the system prompt's own positions, and prefix tokens within it.
    content = rendering.system_content
    moved = [sum(4 for index in control.indices(ControlContext(rendering, 0)) if index <= content.start)]
    moved.append(sum(4 for index in control.indices(ControlContext(rendering, 0)) if index < content.end))
    masses = [
        w[0, :, -reply.new_tokens - 1 : -1, content.start + moved[0] : content.end + moved[1]].sum(-1).mean()
        for w in output.attentions
    ]
    assert reply.attention.tolist() == pytest.approx([float(mass) for mass in masses], abs=case.tolerance)


@pytest.mark.parametrize("layers", [frozenset({0}), frozenset({1, 2}), None])
def test_steering_adds_to_the_residual_stream(case: Case, layers: frozenset[int] | None) -> None:
    vector = vectors(case.model, 1)[0]
    request = ask(
        MIDDLE, controls=(PlannerControl(vector, layers),), logprobs=True, max_new_tokens=6, readings=("state",)
    )
    reply = case.one(request)
    blocks = next(m for m in case.reference.model.base_model.modules() if isinstance(m, torch.nn.ModuleList))
    handles = [
        block.register_forward_hook(lambda module, inputs, output: _plus(output, vector))
        for index, block in enumerate(blocks)
        if layers is None or index in layers
    ]
    try:
        assert reply.logprobs == pytest.approx(case.logprobs(request, reply), abs=case.tolerance)
        hidden = case.reference.forward(case.prompt(request), output_hidden_states=True).hidden_states[-1][0, -1]
    finally:
        for handle in handles:
            handle.remove()
    # A reading sees the steering.
    assert torch.from_numpy(reply.state) == pytest.approx(hidden, abs=10 * case.tolerance)
    assert abs(reply.state - case.one(replace(request, controls=())).state).max() > 0.01


def _plus(output: Any, vector: torch.Tensor) -> Any:
    return (output[0] + vector, *output[1:]) if isinstance(output, tuple) else output + vector


def test_a_reading_of_attention_sees_the_control(case: Case) -> None:
    plain, held = case.model.generate(
        [ask(SHORT, controls=controls, readings=("attention",), max_new_tokens=1) for controls in ((), (Power(0.2),))]
    )
    seen = plain.attention > 0
    assert seen.any() or case.model.name == "tiny-mistral"  # whose window ends after the system prompt
    assert (held.attention[seen] > plain.attention[seen]).all()


def test_controls_act_in_their_order(case: Case) -> None:
    tokens, scale = [10, 11], Scale()
    bias = Bias(tokens, 2.0)
    plain, first, last = case.model.generate(
        [ask(controls=controls, logprobs=True, max_new_tokens=1) for controls in ((), (bias, scale), (scale, bias))]
    )
    table = case.reference.forward(case.prompt(ask())).logits[0, -1]
    raised = table.clone()
    raised[tokens] += 2.0
    halved = 0.5 * table
    halved[tokens] += 2.0
    for reply, logits in ((plain, table), (first, 0.5 * raised), (last, halved)):
        assert reply.token_ids == (int(logits.argmax()),)
        assert reply.logprobs == pytest.approx([float(torch.log_softmax(logits, -1).max())], abs=case.tolerance)


def test_attention_controls_compose(case: Case) -> None:
    # The power of a power is the product of the powers.
    both, one = case.model.generate(
        [ask(LONG, controls=controls, logprobs=True) for controls in ((Power(0.5), Power(0.4)), (Power(0.2),))]
    )
    assert both.token_ids == one.token_ids
    assert both.logprobs == pytest.approx(one.logprobs, abs=2 * case.tolerance)


def test_the_messages_of_a_dialogue_are_not_changed_by_what_is_said(case: Case) -> None:
    session = case.model.session(SYSTEM).user(SHORT)
    session.reply(max_new_tokens=2, controls=(Remind(" Remember!"),))
    assert session.dialogue[1] == Message(role="user", content=SHORT)


def test_memory_belongs_to_the_session_and_a_fork_has_its_own() -> None:
    model = tiny.local("llama")
    session = model.session(SYSTEM).user(SHORT)
    notes = Notes()
    options: dict[str, Any] = {"max_new_tokens": 2, "controls": (notes,), "ignore_eos": True}
    session.reply(**options)
    assert session.cache.control_state["notes"]["seen"] == [0, 1]
    fork = session.fork().user(SHORT)
    fork.reply(**options)
    assert fork.cache.control_state["notes"]["seen"] == [0, 1, 0, 1]
    assert session.cache.control_state["notes"]["seen"] == [0, 1]


def test_a_branch_that_is_thrown_away_leaves_the_memory() -> None:
    model = tiny.local("llama")
    session = model.session(SYSTEM).user(SHORT)
    options: dict[str, Any] = {"max_new_tokens": 2, "controls": (Notes(),), "ignore_eos": True}
    session.reply(**options)
    model.generate([session.user(SHORT).request(keep=False, **options)])
    assert session.cache.control_state["notes"]["seen"] == [0, 1]


def test_steering_of_replies_only_stays_in_the_cache_as_it_was() -> None:
    model = tiny.local("llama")
    control = PlannerControl(vectors(model, 1, 3.0)[0], None, reply_only=True)
    options: dict[str, Any] = {"temperature": 0.0, "max_new_tokens": 6, "logprobs": True, "controls": (control,)}
    session = model.session(SYSTEM).user(SHORT)
    session.reply(**options)
    session.user(MIDDLE)
    again = model.generate([replace(session.request(**options), cache=None)])[0]
    reply = session.reply(**options)
    assert reply.logprobs == pytest.approx(again.logprobs, abs=1e-4)


def test_nothing_of_a_control_is_left_behind() -> None:
    case = tiny.case("llama")
    case.one(ask(controls=(PlannerControl(vectors(case.model, 1)[0], None),)))
    prompt = case.prompt(ask())
    with torch.no_grad():
        logits = case.model.model(torch.tensor([prompt])).logits
    assert torch.allclose(logits, case.reference.forward(prompt).logits, atol=1e-4)


@pytest.mark.parametrize("point", ["residual", "attention", "logits"])
def test_scores_are_under_their_controls(point: str) -> None:
    case = tiny.case("llama")
    control: dict[str, Control] = {
        "residual": PlannerControl(vectors(case.model, 1)[0], None),
        "attention": Power(0.3),
        "logits": Bias([10], 5.0),
    }
    messages = tuple(Dialogue().with_system(SYSTEM).add("user", MIDDLE))
    text = "In May, with whom?"
    plain = case.model.score([Continuation(messages, text)])[0]
    bent = case.model.score([Continuation(messages, text)], controls=(control[point],))[0]
    assert bent.logprob != plain.logprob
    assert bent.tokens == plain.tokens


class Watch(Control):
    """Changes nothing; remembers the largest log-mass that it was shown."""

    name: ClassVar[str] = "watch"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"attention"})
    span: ClassVar[Literal["turn", "content"]] = "turn"
    largest = -1.0

    def attention(self, batch: ControlBatch, layer: int, log_mass_R_H_Q: torch.Tensor) -> torch.Tensor:
        self.largest = max(self.largest, float(log_mass_R_H_Q.max()))
        return log_mass_R_H_Q


def test_the_mass_on_the_system_prompt_is_at_most_1() -> None:
    # Rounding sums it to more, and then clamping what the identity returns would count as a change.
    model = tiny.local("llama")
    for layer in model.model.model.layers:
        layer.self_attn.q_proj.weight.mul_(2.0)
    watch = Watch()
    model.generate([ask(SHORT, LONG * 4, controls=(watch,), max_new_tokens=60, temperature=3.0, seed=0)])
    assert watch.largest <= 0
