"""Learning through the frozen model: the gradient, cloning, and dialogue acts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, ModelError
from telic.games.base import build_game
from telic.games.elicitation_domain import load_domain
from telic.models.local import LocalModel
from telic.models.request import Request, Sampling
from telic.planner import CloneConfig, Example, Planner, clone, distil, load_acts
from telic.planner.cloning import advantage_weights
from telic.planner.dialogue_acts import Reciter, act_sets, acts_for
from telic.planner.gradient import Utterances, cut_after_question
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM
from tests.planner.test_planner import trained
from tests.planner.test_steer import planner_of

Loss = Callable[[tiny.Case, Example, torch.Tensor], torch.Tensor]


def messages(user: str, system: str | None = SYSTEM) -> tuple[Message, ...]:
    return tuple(Dialogue().with_system(system).add("user", user))


def examples() -> list[Example]:
    return [
        Example(messages(SHORT), "In May, with whom?"),
        Example(messages(LONG), "What is your name?", ends=False),
        Example(messages(MIDDLE, None), "Hello!"),
        Example(messages(LONG), "Never quote a price. Where would you like to go, and with whom?"),
    ]


def plain(case: tiny.Case, example: Example, prefix_L_D: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tokens of an utterance and their logits, by one full pass of transformers, context included."""
    network, model = case.reference.model, case.model
    ids = model.tokenizer(example.text, add_special_tokens=False)["input_ids"]
    target = torch.tensor([*ids, *([tiny.EOS] if example.ends else [])])
    prompt = torch.tensor(model.render(example.messages).token_ids)
    embed = network.get_input_embeddings()
    inputs = torch.cat([embed(prompt), prefix_L_D, embed(target[:-1])])
    return target, network(inputs_embeds=inputs[None], use_cache=False).logits[0, -len(target) :].float()


def plain_nll(case: tiny.Case, example: Example, prefix_L_D: torch.Tensor) -> torch.Tensor:
    target, logits = plain(case, example, prefix_L_D)
    return torch.nn.functional.cross_entropy(logits, target, reduction="sum")


def plain_divergence(case: tiny.Case, example: Example, prefix_L_D: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        without = plain(case, example, prefix_L_D[:0])[1].log_softmax(-1)
    steered = plain(case, example, prefix_L_D)[1].log_softmax(-1)
    return torch.nn.functional.kl_div(steered, without, reduction="sum", log_target=True)


@pytest.mark.parametrize(("loss", "plain_loss"), [("nll", plain_nll), ("divergence", plain_divergence)])
@pytest.mark.parametrize("architecture", ["llama", "qwen2", "mistral", "gemma3", "gpt2"])
def test_the_gradient_is_that_of_the_whole_pass(architecture: str, loss: str, plain_loss: Loss) -> None:
    case = tiny.case(architecture)
    given = examples()
    utterances = Utterances(case.model, given)
    drawn = torch.randn(len(given), 3, case.model.hidden_size, generator=torch.Generator().manual_seed(0))
    prefixes, twin = drawn.clone().requires_grad_(), drawn.clone().requires_grad_()
    order = [2, 0, 3, 1]
    loss_of = getattr(utterances, loss)
    found = loss_of(order, prefixes[order])
    expected = [plain_loss(case, given[n], twin[n]) for n in order]
    assert found.loss_B.tolist() == pytest.approx([float(loss.detach()) for loss in expected], rel=1e-4, abs=1e-3)
    assert found.tokens_B.tolist() == [utterances.tokens[n] for n in order]
    alone = [loss_of([n], prefixes[[n]]).loss_B.item() for n in order]
    assert alone == pytest.approx(found.loss_B.tolist(), rel=1e-4, abs=1e-3)
    weights = torch.tensor([0.5, 2.0, 1.0, 0.1])
    (found.loss_B * weights).sum().backward()
    (torch.stack(expected) * weights).sum().backward()  # type: ignore[no-untyped-call]
    assert prefixes.grad is not None
    assert twin.grad is not None
    assert prefixes.grad == pytest.approx(twin.grad, rel=1e-3, abs=1e-3)
    assert all(parameter.grad is None for parameter in case.model.model.parameters())


def test_states_are_those_that_the_control_sees() -> None:
    model = tiny.local("llama")
    utterances = Utterances(model, examples())
    once = Sampling(max_new_tokens=1, temperature=0.0)
    for example, state_D in zip(examples(), utterances.states, strict=True):
        request = Request(example.messages, once, (planner_of(model).control(),))
        assert model.generate([request])[0].chosen["state"] == pytest.approx(state_D.numpy(), abs=1e-4)


def test_contexts_are_read_once_or_again_where_the_memory_is_short() -> None:
    case = tiny.case("llama")
    prefixes = torch.zeros(4, 2, 32)
    with case.counting() as counts:
        rich = Utterances(case.model, examples())
    # The long dialogue is that of two examples.
    assert sum(counts) == sum(len(case.model.render(e.messages).token_ids) for e in examples()[:3])
    poor = Utterances(case.model, examples(), cache_bytes=1)
    one, other = (made.nll(range(4), prefixes).loss_B.tolist() for made in (rich, poor))
    assert one == pytest.approx(other, abs=1e-4)
    with case.counting() as counts:
        rich.nll([1, 3], prefixes[:2])
    # Prefix and utterance only.
    assert sum(counts) == 2 * (2 + max(rich.tokens[1], rich.tokens[3]) - 1)


def test_an_utterance_is_cut_after_its_last_question() -> None:
    example = Example((), "Where? And when? I see.")
    cut = cut_after_question(example)
    assert cut == Example((), "Where? And when?", ends=False)
    assert cut_after_question(Example((), "Where?")) == Example((), "Where?")
    assert cut_after_question(Example((), "I see.")) is None


def test_what_cannot_be_learnt_from() -> None:
    model = tiny.local("llama", context=60)
    with pytest.raises(ConfigError, match="no examples"):
        Utterances(model, [])
    with pytest.raises(ConfigError, match="no text"):
        Utterances(model, [Example(messages(SHORT), "")])
    with pytest.raises(ModelError, match="cannot be read: context"):
        Utterances(model, [Example(messages(LONG), "Hello!")])
    with pytest.raises(ModelError, match="example 0 does not fit"):
        Utterances(model, [Example(messages(SHORT), LONG)])
    with pytest.raises(ConfigError, match="without a prefix token"):
        Utterances(model, [Example(messages(SHORT), "Hi")]).nll([0], torch.zeros(1, 0, 32))


# Cloning


def test_a_soft_clone_leaves_the_model_more_as_it_is_than_a_hard_one() -> None:
    model = tiny.local("llama")
    utterances = Utterances(model, examples())
    away = []
    for soft in (None, False, True):
        planner = planner_of(model)
        if soft is not None:
            clone(planner, model, examples(), config=FAST.model_copy(update={"soft": soft}))
        with torch.no_grad():
            away.append(float(utterances.divergence(range(4), planner(utterances.states)).loss_B.mean()))
    unlearnt, hard, softly = away
    assert 0 < softly < unlearnt < hard


def nll(model: LocalModel, planner: Planner, given: list[Example]) -> list[float]:
    utterances = Utterances(model, given)
    with torch.no_grad():
        return utterances.nll(range(len(given)), planner(utterances.states)).loss_B.tolist()


FAST = CloneConfig(epochs=12, lr=0.05, policy_lr=0.01, batch=2)


@pytest.mark.parametrize("make", [{}, {"reads": "nothing"}, {"mapping": "principal", "action_size": 16}])
def test_a_clone_learns_to_say_what_it_is_shown(make: dict[str, Any]) -> None:
    model = tiny.local("llama")
    planner = planner_of(model, **make)
    before, frozen = nll(model, planner, examples()), model.model.state_dict()
    frozen = {name: tensor.clone() for name, tensor in frozen.items()}
    told: list[tuple[int, float]] = []
    run = clone(planner, model, examples(), config=FAST, on_epoch=lambda *news: told.append(news))
    assert sum(nll(model, planner, examples())) < 0.95 * sum(before)
    assert run.losses[-1] < run.losses[0]
    assert (len(run.losses), run.steps, run.examples) == (12, 24, 4)
    assert told == list(enumerate(run.losses, start=1))
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in model.model.state_dict().items())


def test_it_learns_from_what_has_weight() -> None:
    model, given = tiny.local("llama"), examples()
    planner = planner_of(model)
    before = nll(model, planner, given)
    run = clone(planner, model, given, [1.0, 0.0, 0.0, 0.0], replace_config(epochs=20))
    assert run.examples == 1
    after = nll(model, planner, given)
    gains = [one - other for one, other in zip(before, after, strict=True)]
    assert gains[0] == max(gains)
    assert after[0] < 0.7 * before[0]


def replace_config(**options: Any) -> CloneConfig:
    return CloneConfig(**{**FAST.model_dump(), **options})


class _KillError(Exception):
    pass


def test_an_interrupted_clone_goes_on_as_if_nothing_had_been(tmp_path: Path) -> None:
    model, given, config = tiny.local("llama"), examples(), replace_config(epochs=4)
    whole, broken = planner_of(model), planner_of(model)
    expected = clone(whole, model, given, config=config)

    def kill(epoch: int, loss: float) -> None:
        if epoch == 2:
            raise _KillError

    with pytest.raises(_KillError):
        clone(broken, model, given, config=config, folder=tmp_path / "c", on_epoch=kill)
    again = planner_of(model)  # as a new process has it
    run = clone(again, model, given, config=config, folder=tmp_path / "c")
    assert run.losses == pytest.approx(expected.losses, abs=1e-5)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["cloning-004.safetensors", "cloning.json"]
    # Once done, it is done; and other work is not mixed up with it.
    assert clone(planner_of(model), model, given, config=config, folder=tmp_path / "c").losses == run.losses
    with pytest.raises(ConfigError, match="other settings, examples"):
        clone(planner_of(model), model, given[:3], config=config, folder=tmp_path / "c")


@pytest.mark.parametrize(
    ("change", "weights", "said"),
    [
        (lambda model: planner_of(model, placement="mid"), None, "cloning is for placement 'end'"),
        (lambda model: trained(planner_of(model)), None, "on top of its clone"),
        (planner_of, [1.0, 1.0], "2 weights for 4 examples"),
        (planner_of, [1.0, 1.0, 1.0, -1.0], "of 0 or more"),
        (planner_of, [1.0, 1.0, 1.0, float("nan")], "of 0 or more"),
        (planner_of, [0.0] * 4, "no examples"),
        (lambda model: planner_of(model, tokens=0), None, "without a prefix token"),
    ],
)
def test_what_cannot_be_cloned(change: Callable[[LocalModel], Planner], weights: Any, said: str) -> None:
    model = tiny.local("llama")
    with pytest.raises(ConfigError, match=said):
        clone(change(model), model, examples(), weights)


def test_weights_follow_from_advantages() -> None:
    weights = advantage_weights([0.0, 0.0, 1.0, 1.0])
    assert weights.mean() == pytest.approx(1.0)
    # One standard deviation above the mean and one below are four temperatures of 0.5 apart.
    assert weights[2] / weights[0] == pytest.approx(torch.e**4, rel=1e-4)
    # Nine are a third of a standard deviation below the mean, and the best is capped.
    capped = advantage_weights([0.0] * 9 + [1.0], beta=0.1, most=20.0)
    assert capped[-1] / capped[0] == pytest.approx(20 * torch.e ** (10 / 3), rel=1e-4)
    assert advantage_weights([0.3, 0.3]).tolist() == [1.0, 1.0]
    with pytest.raises(ConfigError, match="beta"):
        advantage_weights([1.0], beta=0.0)


# Dialogue acts


@pytest.mark.parametrize("name", act_sets())
def test_the_acts_that_come_with_telic(name: str) -> None:
    found = load_acts(name)
    assert len(found.acts) >= 9
    assert all(len(set(act.says)) >= 6 for act in found.acts)
    assert len({text for act in found.acts for text in act.says}) == sum(len(act.says) for act in found.acts)


def test_the_acts_for_any_trade_have_dialogues() -> None:
    found = load_acts()
    assert len(found.contexts) >= 12
    assert found.contexts[1].messages[-1].role == "user"
    assert found.only("confirm", "close").names == ("confirm", "close")
    with pytest.raises(ConfigError, match="no act 'shout'"):
        found.only("shout")


@pytest.mark.parametrize("domain", ["travel", "support", "intake"])
def test_acts_of_a_domain_are_understood_there(domain: str) -> None:
    parser = load_domain(domain).question_parser
    asked: set[str] = set()
    for act in load_acts(domain).acts:
        for text in act.says:
            heard = parser.parse(text)
            asked.update(heard.slots)
            if act.name == "ask an open question":
                assert heard.open or heard.slots, text
            elif act.name.startswith("ask"):
                assert len(heard.slots) >= (2 if re.search(",| and ", text) else 1), text
            else:
                assert not heard.slots, text
    assert asked == {slot.name for slot in load_domain(domain).slots}


def test_a_game_has_the_acts_of_its_domain_or_its_own() -> None:
    assert acts_for(build_game({"name": "elicitation", "domain": "support"})) == "support"
    assert acts_for(build_game({"name": "redteam"})) == "redteam"
    assert acts_for(build_game({"name": "negotiation"})) == "general"


def test_a_reciter_says_every_act_word_for_word() -> None:
    acts = load_acts("redteam")
    reciter, other = Reciter(acts, 3), Reciter(acts, 3)
    said = [reciter.reply("whatever") for _ in range(1000)]
    assert set(said) == {text for act in acts.acts for text in act.says}
    assert said == [other.reply("") for _ in range(1000)]


def test_distilled_acts_make_the_model_say_them() -> None:
    model = tiny.local("llama")
    acts = load_acts().only("ask about dates", "close")
    prefixes = distil(model, acts, contexts=1, config=CloneConfig(epochs=6, lr=0.05))
    assert {name: tuple(prefix.shape) for name, prefix in prefixes.items()} == dict.fromkeys(acts.names, (6, 32))
    context = acts.contexts[0].messages
    for act in acts.acts:
        given = Utterances(model, [Example(context, text) for text in act.says])
        totals = {
            name: float(given.nll(range(len(given)), prefix.expand(len(given), -1, -1)).loss_B.sum())
            for name, prefix in prefixes.items()
        }
        assert min(totals, key=totals.__getitem__) == act.name
    planner = Planner.new(model, acts=prefixes)
    assert planner.shape.acts == acts.names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("acts = 3", "acts: "),
        ("[[acts]", "not TOML"),
        ('contexts = [{ said = ["a", "b"] }]\n' + '[[acts]]\nname = "x"\nsays = ["y"]\n' * 2, "two acts have one name"),
        (
            'contexts = [{ said = ["a", "b"] }]\nacts = [{ name = "x", says = ["y"] }, { name = "z", says = ["y"] }]',
            "the last word",
        ),
    ],
)
def test_files_of_acts_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "acts.toml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        load_acts(tmp_path / "acts.toml")
    with pytest.raises(ConfigError, match="cannot read the acts"):
        load_acts(tmp_path / "nowhere.toml")
