"""A simulated flywheel: does a chatbot get better by learning from what its users say and do?

    python -m benchmarks.flywheel [--conversations 40] [--days 6] [--seeds 2] [--held-out 48] [--domain travel]

Customers with a hidden satisfaction talk to the bundled model, steered by a planner that at first draws its dialogue
acts uniformly (`telic.learners.simulation`). After each day the planner learns from all conversations so far, by one
arm's evidence: `none`; `truth`, the game's own reward; `thumbs` of 5 % of the users; `words` and events, which is what
`telic learn` infers. The judge is the game's reward, which nobody says. `share_of_truth` is the gain of `words` over
`none` as a share of that of `truth`, on held-out customers with the same seeds; aim: 0.7. `other_voice` is the gain of
`words` with customers who speak in the templates of another author. In the arms with trolls, a fifth of the
conversations are with people who praise what is bad and blame what is good, with the cap on each user's influence and
without.

With `--recited` no model speaks: the acts are said as they are written. That is the same loop with more customers in
less time.

Everything is kept in `--folder`, and a second call goes on where the first one stopped (not with `--recited`, which
takes minutes). `--minutes` begins no arm after that time. The last line is JSON.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import torch
import tyro

from telic.agents.model_player import ModelPlayer
from telic.agents.scripted import TalkingPlayer
from telic.episodes import Episode
from telic.learners import PlannerLearningConfig, cap_influence
from telic.learners.cloning import clone_from_acts
from telic.learners.decisions import Decisions, labelled_replies
from telic.learners.simulation import Evidence, ServiceDay, SimulatedService, label_conversations, uniform_planner
from telic.models import LocalModel, load
from telic.planner import Planner, distil_acts, load_acts, load_planner, save_planner
from telic.planner.dialogue_acts import DISTILLATION, DialogueActSet, RandomActTalker
from telic.planner.experience import utterance_examples
from telic.planner.networks import Actor
from telic.planner.planner import PlannerShape
from telic.planner.policy import Policy
from telic.planner.upmapping import ActMapping, act_shares
from telic.purpose import Purpose
from telic.rollouts import play
from telic.statistics import bootstrap_mean, paired_difference

SYSTEM = {
    "travel": "You are a travel agent. Find out what the customer wants before you suggest anything.",
    "support": "You work in customer service. Find out what is wrong before you suggest anything.",
}
LEAST = 8
"""Labelled conversations from which the arms learn: days are short here."""


@dataclass
class Settings:
    """Settings of the benchmark."""

    conversations: int = 40
    """Conversations of each day."""
    days: int = 6
    seeds: int = 2
    held_out: int = 48
    """Held-out customers of each evaluation."""
    domain: str = "travel"
    rounds: int = 3
    """Replies of the chatbot in a conversation."""
    act_epochs: int = 12
    acts: Path | None = None
    """Folder of a planner whose acts are distilled already."""
    arms: tuple[str, ...] = ("words", "truth", "capped", "not-capped", "thumbs", "none")
    """Arms to run. `capped` and `not-capped` are `words` with trolls."""
    first_seed: int = 0
    recited: bool = False
    """Recite the acts as they are written, without a model."""
    voice: str = "everyday"
    """Voice of the customers who are learnt from."""
    folder: Path = Path("runs/flywheel")
    minutes: float = 1e9


@dataclass
class Results:
    """What the arms reached, by seed."""

    days: dict[str, list[list[float]]] = field(default_factory=dict)
    """By arm, for each seed: the success of every day."""
    held_out: dict[str, dict[tuple[int, int], float]] = field(default_factory=dict)
    """By arm: the success by seed and customer."""

    def mean(self, name: str, seed: int) -> float:
        """The mean success of an arm on the held-out customers of a seed."""
        return statistics.fmean(score for (own, _), score in self.held_out[name].items() if own == seed)

    def gain(self, one: str, other: str) -> dict[str, Any]:
        """The paired difference of two arms on the customers that both have served."""
        a, b = self.held_out.get(one, {}), self.held_out.get(other, {})
        both = sorted(a.keys() & b.keys())
        if not both:
            return {}
        found = paired_difference([a[key] for key in both], [b[key] for key in both], seed=0)
        interval = found.difference
        return {"value": interval.value, "low": interval.low, "high": interval.high, "n": len(both), "p": found.p}


def first_planner(model: LocalModel, settings: Settings, purpose: Purpose) -> Planner:
    """The planner of the first day, with acts that are distilled in dialogues of the game."""
    folder = settings.acts or settings.folder / "acts"
    if not (folder / "config.json").is_file():
        acts, spec = load_acts(settings.domain), dict(purpose.game or {})
        reciter = TalkingPlayer("reciter", partial(RandomActTalker, acts))
        spoken = play({**spec, "split": "train"}, {"agent": reciter}, 64, 5, references=False).episodes
        player = ModelPlayer(model, purpose, [], name="player")
        heard = [example.messages for one in spoken for example in utterance_examples(one, spec, player)]
        config = DISTILLATION.model_copy(update={"epochs": settings.act_epochs})
        save_planner(Planner.new(model, acts=distil_acts(model, acts, dialogues=heard, config=config)), folder)
    mapping = load_planner(folder, model=model).mapping
    assert isinstance(mapping, ActMapping)
    return uniform_planner(model, dict(zip(mapping.names, mapping.prefixes, strict=True)))


RECITED_STATE = 8
"""Size of the state of a planner without a model: noise, beside the counts of the acts."""


class RecitedService(SimulatedService):
    """A service in which the planner's acts are said as they are written."""

    planners: ClassVar[dict[str, Planner]] = {}

    def planner(self, purpose: Purpose) -> Planner:
        """The planner that a purpose names."""
        acts = load_acts(str((purpose.game or {})["domain"]))
        shape = PlannerShape(
            RECITED_STATE, len(acts.names), 1, "acts", acts=acts.names, plays="drawn", remembers=True, width=16
        )
        actor = Actor(shape.state_size, len(acts.names), 16, zero_last=True, remembered=len(acts.names))
        new = Planner(shape, Policy(actor), ActMapping(acts.names, 1, RECITED_STATE))
        return self.planners.setdefault(str((purpose.planner or {})["path"]), new)

    def play(
        self, name: str, number: int, purpose: Purpose, n: int, spec: Mapping[str, Any], epsilon: float
    ) -> list[Episode]:
        """Play one conversation after the other."""
        planner, talkers = self.planner(purpose), list[Reciter]()

        def start(seed: int) -> Reciter:
            talkers.append(Reciter(planner, load_acts(str(spec["domain"])), epsilon, seed))
            return talkers[-1]

        player = TalkingPlayer("reciter", start)
        run = play(dict(spec), {"agent": player}, n, self.play_seed(number), references=False, concurrency=1)
        for episode, talker in zip(run.episodes, talkers, strict=True):
            for turn, choice in zip([one for one in episode.turns if one.role == "agent"], talker.choices, strict=True):
                turn.readings = choice
        return run.episodes

    def learn(self, evidence: Evidence, number: int, purpose: Purpose, logged: Sequence[Episode]) -> Purpose:
        """Learn as `learn_planner` does, in memory."""
        labelled = [one for one in label_conversations(logged, evidence) or () if labelled_replies(one)]
        if len(labelled) < LEAST:
            return purpose
        config = PlannerLearningConfig(seed=self.seed, share=self.share)
        capped = cap_influence(labelled, config.share)
        served = self.planner(purpose)
        learnt, _ = clone_from_acts(served, Decisions.of(capped.episodes, served), config, self.epsilon)
        path = str(self.folder / f"{evidence}-{number}")
        self.planners[path] = learnt
        return purpose.model_copy(update={"planner": {**(purpose.planner or {}), "path": path}})


class Reciter:
    """A talker that draws acts by a planner's policy and says a line of each."""

    def __init__(self, planner: Planner, acts: DialogueActSet, epsilon: float, seed: int) -> None:
        self.planner, self.acts, self.epsilon = planner, acts, epsilon
        self.lines, self.drawn = Random(seed), torch.Generator().manual_seed(seed % 2**31)
        self.counts = torch.zeros(len(acts.acts))
        self.choices: list[dict[str, Any]] = []

    def reply(self, text: str) -> str:
        """Say a line of the drawn act."""
        state = torch.cat((torch.randn(RECITED_STATE, generator=self.drawn), self.counts))
        shares = act_shares(self.planner.act(state)[None])[0]
        chance = (1 - self.epsilon) * shares + self.epsilon / len(shares)
        number = int(torch.multinomial(chance, 1, generator=self.drawn)[0])
        act, action = self.acts.acts[number], torch.eye(len(shares))[number]
        logprob = math.log(float(chance[number]))
        self.choices.append({"state": state.tolist(), "action": action.tolist(), "act": act.name, "logprob": logprob})
        self.counts = self.counts + action
        return self.lines.choice(act.says)


def run_seed(
    settings: Settings, model: LocalModel | None, purpose: Purpose, seed: int, results: Results, started: float
) -> None:
    """Run the arms of a seed, as far as there is time."""
    options: dict[str, Any] = {"seed": seed, "voice": settings.voice, "options": {"least": LEAST}}

    def service(name: str, **more: Any) -> SimulatedService:
        kind: Callable[..., SimulatedService] = SimulatedService if model is not None else RecitedService
        return kind(model, purpose, settings.folder / f"{name}-{seed}", **{**options, **more})

    honest, trolls = service("honest"), {"trolls": 0.2}
    known: dict[str, tuple[Evidence, SimulatedService]] = {
        "words": ("words", honest),
        "truth": ("truth", honest),
        "capped": ("words", service("capped", **trolls)),
        "not-capped": ("words", service("not-capped", **trolls, share=1.0)),
        "thumbs": ("thumbs", honest),
        "none": ("none", honest),
    }

    def evaluate(name: str, learnt: Purpose, voice: str | None = None) -> None:
        found = honest.evaluate(learnt, name, settings.held_out, voice)
        key = f"{name}, other voice" if voice else name
        results.held_out.setdefault(key, {}).update({(seed, task): score for task, score in found.items()})

    for name in settings.arms:
        evidence, serves = known[name]
        if time.monotonic() - started > 60 * settings.minutes:
            return
        success: list[float] = []

        def note(day: ServiceDay, name: str = name, success: list[float] = success) -> None:
            success.append(day.success)
            print(f"seed {seed}, {name}, day {day.number + 1}: {day.success:.3f}", flush=True)

        learnt = serves.run(evidence, settings.days, settings.conversations, note)
        results.days.setdefault(name, []).append(success)
        evaluate(name, learnt)
        if name == "words":
            evaluate("none", purpose)
        if name == "words" and model is not None:  # who recites does not hear what customers say
            evaluate("none", purpose, "texting")
            evaluate("words", learnt, "texting")
        print(f"seed {seed}, {name}: {results.mean(name, seed):.3f} on held-out customers", flush=True)


def summary(results: Results) -> dict[str, Any]:
    """The figures so far."""
    arms: dict[str, Any] = {}
    for name, scores in results.held_out.items():
        interval = bootstrap_mean(list(scores.values()), seed=0)
        arms[name] = {"value": interval.value, "low": interval.low, "high": interval.high, "n": len(scores)}
    gains = {name: results.gain(name, "none") for name in arms if name != "none" and "voice" not in name}
    words, truth = gains.get("words", {}).get("value"), gains.get("truth", {}).get("value")
    return {
        "held_out": arms,
        "gains": gains,
        "other_voice": results.gain("words, other voice", "none, other voice"),
        "share_of_truth": words / truth if words is not None and truth else None,
        "days": results.days,
    }


def main(settings: Settings) -> Mapping[str, Any]:
    """Run the benchmark."""
    text = (
        f'name = "{settings.domain}"\nsystem = "{SYSTEM[settings.domain]}"\n'
        f'[game]\nname = "elicitation"\ndomain = "{settings.domain}"\nrounds = {settings.rounds}\n'
    )
    purpose = Purpose.from_text(text, "flywheel.toml")
    first, model = settings.folder.resolve() / "first", None if settings.recited else load("smollm2")
    assert model is None or isinstance(model, LocalModel)
    if model is not None and not (first / "config.json").is_file():
        save_planner(first_planner(model, settings, purpose), first, model=model)
    purpose = purpose.model_copy(update={"planner": {"path": str(first), "epsilon": 0.1}})
    results, started = Results(), time.monotonic()
    for seed in range(settings.first_seed, settings.first_seed + settings.seeds):
        run_seed(settings, model, purpose, seed, results, started)
    return {"settings": {key: str(value) for key, value in vars(settings).items()}, **summary(results)}


if __name__ == "__main__":
    print(json.dumps(main(tyro.cli(Settings))))
