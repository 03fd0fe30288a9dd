"""Speed of TD3+BC updates and of collecting a planner's buffer, against other implementations.

    python -m benchmarks.planner [--state 576] [--action 64] [--batch 256] [--blocks 8] [--no-d3rlpy] [--collection]

Measures the updates per second of `telic.planner.td3bc` against two others. (plain) is the published loop with the
published networks: twin critics one after the other, torch's default Adam, targets moved tensor by tensor, all
gradients that autograd computes. (d3rlpy) is its TD3+BC with layers of these sizes. Episodes have three rounds, so a
third of the transitions are terminal. Each arm draws its own batches. The arms take turns within each block; a ratio is
that of the times of a block, and its interval is over blocks. `plain_agrees` is the largest difference between Telic's
weights and those of (plain) after ten updates on the same batches and noise. Telic is also measured with matrix
products in bfloat16 (`ratio_plain_bfloat16`). Targets: `ratio_plain` and `ratio_d3rlpy` 1.5.

`--collection` measures transitions per second in elicitation instead, with three rounds and utterances of 48 tokens:
many episodes at once on the engine, against the published way, one episode at a time, which reads the whole history
twice for each utterance (for the state, and to reply). Target: `ratio_collection` 15. The last line is JSON.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
import tyro
from torch import nn
from torch.nn import functional

from telic.agents.model_player import ModelPlayer
from telic.models import LocalModel, Reply, Request, load
from telic.models.catalog import CATALOG
from telic.models.local.checkpoints import load_checkpoint
from telic.models.request import OnReply
from telic.planner.buffer import Batch, Transitions
from telic.planner.td3bc import TD3BC, TD3BCConfig
from telic.rollouts import play
from telic.statistics import bootstrap_mean

CRITIC_HIDDEN, TOKENS = 256, 48


@dataclass
class Settings:
    """Settings of the benchmark."""

    state: int = 576
    """Size of the state: 576 for the bundled model, 2048 for a model of 1.7B parameters."""
    action: int = 64
    batch: int = 256
    transitions: int = 6000
    """Size of the buffer."""
    updates: int = 20
    """Updates per block and arm."""
    blocks: int = 8
    d3rlpy: bool = True
    """Also measure d3rlpy, which is in the dev group."""
    collection: bool = False
    """Measure the collection of the buffer instead of the updates."""
    episodes: int = 64
    """Episodes of a block of the collection, played at once."""
    alone: int = 2
    """Episodes of a block that are played one at a time."""


def random_buffer(settings: Settings) -> Transitions:
    """Episodes of three rounds of noise, with a clone's actions."""
    drawn = torch.Generator().manual_seed(0)
    n = settings.transitions // 3 * 3

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=drawn)

    states, clones = normal(n, settings.state), normal(n, settings.action)
    actions = clones + 0.25 * normal(n, settings.action)
    terminals = torch.arange(n) % 3 == 2
    return Transitions.from_arrays(states, actions, normal(n), states.roll(-1, 0), terminals, clones=clones)


class PlainActor(nn.Module):
    """The published actor."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, state: int, action: int, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(state, state), nn.Linear(state, state), nn.Linear(state, action)
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        hidden = functional.silu(self.fc1((states - self.mean) / self.std))
        out: torch.Tensor = self.fc3(functional.silu(self.fc2(hidden)))
        return out


class PlainCritic(nn.Module):
    """The published critic."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, state: int, action: int, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(state + action, state), nn.Linear(state, CRITIC_HIDDEN)
        self.fc3 = nn.Linear(CRITIC_HIDDEN, 1)
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())

    def forward(self, states: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        hidden = functional.silu(self.fc1(torch.cat([(states - self.mean) / self.std, actions], 1)))
        out: torch.Tensor = self.fc3(functional.silu(self.fc2(hidden)))
        return out.view(-1)


class Plain:
    """The published loop with the residual planner; it starts with the weights of a learner."""

    def __init__(self, learner: TD3BC) -> None:
        self.config, self.step = learner.config, 0
        sizes = (*learner.data.sizes, learner.standardise.mean, learner.standardise.std)
        self.actor, self.target_actor = PlainActor(*sizes), PlainActor(*sizes)
        self.critics = [PlainCritic(*sizes) for _ in range(2)]
        self.target_critics = [PlainCritic(*sizes) for _ in range(2)]
        for actor in (self.actor, self.target_actor):
            _copy(learner.actor.parameters(), actor)
        for critics in (self.critics, self.target_critics):
            for member, critic in enumerate(critics):
                _copy([p[member] for p in interleaved(learner)], critic)
        own = [p for critic in self.critics for p in critic.parameters()]
        self.critic_optimiser = torch.optim.Adam(own, lr=self.config.critic_lr)
        self.actor_optimiser = torch.optim.Adam(self.actor.parameters(), lr=self.config.actor_lr)

    def sample(self, data: Transitions, draw: np.random.Generator) -> Batch:
        """Draw a batch as the published buffer does."""
        return data.batch(torch.from_numpy(draw.integers(0, len(data), self.config.batch)))

    def update(self, batch: Batch, noise: torch.Tensor) -> None:
        """Do one update."""
        config = self.config
        with torch.no_grad():
            smoothing = (noise * config.noise).clamp(-config.noise_clip, config.noise_clip)
            next_actions = batch.next_clones + self.target_actor(batch.next_states) + smoothing
            values = torch.min(*[critic(batch.next_states, next_actions) for critic in self.target_critics])
            y = batch.rewards + (1 - batch.terminals.float()) * config.gamma**batch.steps * values
        losses = [(batch.weights * (q(batch.states, batch.actions) - y) ** 2).mean() for q in self.critics]
        self.critic_optimiser.zero_grad()
        (losses[0] + losses[1]).backward()
        self.critic_optimiser.step()
        self.step += 1
        if self.step % config.policy_every:
            return
        policy = batch.clones + self.actor(batch.states)
        q = self.critics[0](batch.states, policy)
        loss = -config.alpha / q.abs().mean().detach() * q.mean() + functional.mse_loss(policy, batch.actions)
        self.actor_optimiser.zero_grad()
        loss.backward()
        self.actor_optimiser.step()
        pairs = zip((self.actor, *self.critics), (self.target_actor, *self.target_critics), strict=True)
        for network, target in pairs:
            for p, t in zip(network.parameters(), target.parameters(), strict=True):
                t.data.copy_(config.tau * p.data + (1 - config.tau) * t.data)

    @torch.no_grad()
    def difference(self, learner: TD3BC) -> float:
        """Compute the largest difference between the weights of the two."""
        ours = [*learner.actor.parameters(), *(p[m] for m in range(2) for p in interleaved(learner))]
        own = [p for network in (self.actor, *self.critics) for p in network.parameters()]
        return max(float((a - b).abs().max()) for a, b in zip(ours, own, strict=True))


def interleaved(learner: TD3BC) -> list[torch.Tensor]:
    """List the critics' stacked parameters in the order of a plain module: weight and bias of each layer."""
    return [p for pair in zip(learner.critics.weights, learner.critics.biases, strict=True) for p in pair]


@torch.no_grad()
def _copy(source: Any, module: nn.Module) -> None:
    for own, given in zip(module.parameters(), source, strict=True):
        own.copy_(given)


def d3rlpy_arm(settings: Settings, data: Transitions) -> Callable[[int], None]:
    """Make a function that runs updates of d3rlpy's TD3+BC, on batches that it draws itself."""
    d3rlpy: Any = import_module("d3rlpy")
    d3rlpy.logging.set_log_context()
    std, mean = (moment.numpy() for moment in torch.std_mean(data.states, dim=0))
    encoder = d3rlpy.models.VectorEncoderFactory
    algorithm = d3rlpy.algos.TD3PlusBCConfig(
        batch_size=settings.batch,
        actor_encoder_factory=encoder([settings.state, settings.state], activation="swish"),
        critic_encoder_factory=encoder([settings.state, CRITIC_HIDDEN], activation="swish"),
        observation_scaler=d3rlpy.preprocessing.StandardObservationScaler(mean, std),
    ).create(device="cpu:0")
    arrays = (data.states, data.actions, data.rewards, data.terminals.float())
    dataset = d3rlpy.dataset.MDPDataset(*(array.numpy() for array in arrays))
    algorithm.build_with_dataset(dataset)

    def run(count: int) -> None:
        for _ in range(count):
            algorithm.update(dataset.sample_transition_batch(settings.batch))

    return run


def agreement(learner: TD3BC, plain: Plain) -> float:
    """Update both on the same batches and noise, and compare their weights."""
    drawn = torch.Generator().manual_seed(1)
    for _ in range(10):
        batch = learner.data.sample(learner.config.batch, drawn)
        noise = torch.randn(batch.actions.shape, generator=drawn)
        learner.update(batch, noise)
        plain.update(batch, noise)
    return plain.difference(learner)


def updates(settings: Settings) -> dict[str, Any]:
    """Time the arms in turns."""
    data = random_buffer(settings)
    learner = TD3BC(data, TD3BCConfig(batch=settings.batch, critic_hidden=CRITIC_HIDDEN))
    halved = TD3BC(data, learner.config.model_copy(update={"precision": "bfloat16"}))
    plain, draw = Plain(learner), np.random.default_rng(0)
    result: dict[str, Any] = {"plain_agrees": agreement(learner, plain)}

    def run_ours(count: int) -> None:
        list(learner.learn(count))

    def run_halved(count: int) -> None:
        list(halved.learn(count))

    def run_plain(count: int) -> None:
        for _ in range(count):
            batch = plain.sample(data, draw)
            plain.update(batch, torch.randn_like(batch.actions))

    arms: dict[str, Callable[[int], None]] = {"ours": run_ours, "ours_bfloat16": run_halved, "plain": run_plain}
    if settings.d3rlpy:
        arms["d3rlpy"] = d3rlpy_arm(settings, data)
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for block in range(settings.blocks + 1):
        for name in np.random.default_rng(block).permutation(list(arms)):
            start = time.perf_counter()
            arms[name](settings.updates)
            if block:  # the first warms up
                seconds[name].append((time.perf_counter() - start) / settings.updates)
    for name, found in seconds.items():
        result[f"updates_per_second_{name}"] = round(1 / statistics.median(found), 1)
    for other in seconds.keys() - {"ours", "ours_bfloat16"}:
        for own, suffix in (("ours", ""), ("ours_bfloat16", "_bfloat16")):
            pairs = zip(seconds[other], seconds[own], strict=True)
            result |= ratio(f"ratio_{other}{suffix}", [there / here for there, here in pairs])
    return result


def ratio(name: str, values: Sequence[float]) -> dict[str, Any]:
    """Report a ratio with its interval over blocks."""
    interval = bootstrap_mean(values)
    ends = [None if end is None else round(end, 2) for end in (interval.low, interval.high)]
    return {name: round(statistics.median(values), 2), f"{name}_interval": ends}


class Published(LocalModel):
    """A model that answers one request at a time, as published.

    `generate` reads the whole history twice: once for the state, and once to reply.
    """

    @classmethod
    def like(cls, model: LocalModel) -> Published:
        """Load the bundled checkpoint in the same precision as `transformers` does."""
        place = CATALOG["smollm2"].bundled()
        assert place is not None
        weights, tokenizer = load_checkpoint(place, dtype=model.model.dtype)
        made = cls(weights, tokenizer, "published")
        made.model.set_attn_implementation("sdpa")
        return made

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        waiting, replies = list(requests), []
        for index, request in enumerate(waiting):  # grows
            replies.append(self._answer(request))
            waiting.extend((on_reply(index, replies[-1]) if on_reply else None) or ())
        return replies

    @torch.inference_mode()
    def _answer(self, request: Request) -> Reply:
        history = torch.tensor([self.render(request.messages).token_ids])
        state = self.model(history, output_hidden_states=True).hidden_states[-1][0, -1]
        n, drawn = request.sampling.max_new_tokens, request.sampling
        out = self.model.generate(
            history, attention_mask=torch.ones_like(history), do_sample=True, temperature=drawn.temperature,
            top_p=drawn.top_p, top_k=0, min_new_tokens=n, max_new_tokens=n, pad_token_id=self.tokenizer.eos_token_id,
        )  # fmt: skip
        text = self.tokenizer.decode(out[0, history.shape[1] :], skip_special_tokens=True)
        return Reply(text, "length", prompt_tokens=history.shape[1], new_tokens=n, state=state.float().numpy())


def transitions_per_second(model: LocalModel, episodes: int, seed: int, concurrency: int) -> float:
    """Play with utterances of a fixed length, and measure the agent's turns per second."""
    game = {"name": "elicitation", "domain": "travel", "rounds": 3}
    player = ModelPlayer(model, one_line=False, max_new_tokens=TOKENS, ignore_eos=True)
    start = time.perf_counter()
    run = play(game, {"agent": player}, episodes, seed, references=False, concurrency=concurrency)
    seconds = time.perf_counter() - start
    turns = [turn for e in run.episodes for turn in e.turns if turn.role == "agent" and turn.finish != "given"]
    assert all(turn.tokens == TOKENS for turn in turns)
    return len(turns) / seconds


def collection(settings: Settings) -> dict[str, Any]:
    """Time both ways to collect in turns, the slow one on fewer episodes."""
    model = load("smollm2", max_batch=settings.episodes)
    assert isinstance(model, LocalModel)
    published = Published.like(model)
    transitions_per_second(model, settings.episodes, settings.blocks, settings.episodes)  # warms up
    found: dict[str, list[float]] = {"batched": [], "alone": []}
    for block in range(settings.blocks):
        found["batched"].append(transitions_per_second(model, settings.episodes, block, settings.episodes))
        found["alone"].append(transitions_per_second(published, settings.alone, block, 1))
        print(f"block {block}: " + ", ".join(f"{name} {rates[-1]:.2f}/s" for name, rates in found.items()), flush=True)
    rates = {f"transitions_per_second_{name}": round(statistics.median(values), 2) for name, values in found.items()}
    return rates | ratio("ratio_collection", [a / b for a, b in zip(found["batched"], found["alone"], strict=True)])


def main(settings: Settings) -> None:
    """Run the benchmark, and print the result."""
    result = collection(settings) if settings.collection else updates(settings)
    about = {"state": settings.state, "action": settings.action, "batch": settings.batch, "blocks": settings.blocks}
    print(json.dumps({**about, **result, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main(tyro.cli(Settings))
