"""Scripted players of `negotiation` and `sotopia`: baselines that need no model, and what bargaining is worth to them.

A player is a function of the game, its role and a source of randomness that returns an utterance. All but the oracle
use only what their role knows. `baseline` plays one against another; `value_of_bargaining` compares bargaining with
the take-it-or-leave-it offer over the same private values.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from telic.games.base import Outcome
from telic.games.negotiation import Negotiation
from telic.games.negotiation_deals import Deal
from telic.games.sotopia import WORDLESS, Sotopia
from telic.statistics import Interval, PairedDifference, bootstrap_mean, mean, paired_difference

__all__ = [
    "BargainPlayer",
    "Baseline",
    "baseline",
    "concession_player",
    "oracle_player",
    "play",
    "random_character",
    "random_player",
    "value_of_bargaining",
]

BargainPlayer = Callable[[Negotiation, str, random.Random], str]


def random_player(game: Negotiation, role: str, rng: random.Random) -> str:
    """Any legal act, any offer: the floor."""
    kind = rng.choice(game.observe(role).legal)
    chosen: list[str] = []
    while options := game.options(role, kind, chosen):
        chosen.append(rng.choice(options))
    if chosen:
        return f"[{kind}] {game.fill(role, kind, chosen)}"
    return f"[{kind}] {_line('negotiation', kind, rng)}"


def concession_player(game: Negotiation, role: str, rng: random.Random) -> str:
    """A bargainer who asks for much and gives in as the time runs out, as people do.

    What it aspires to falls from most of what it could gain to hardly anything at its last turn, faster or slower by
    its temper: a time-dependent tactic (Faratin, Sierra & Jennings 1998, "Negotiation decision functions for
    autonomous agents"). It takes what meets its aspiration. A single offer it chooses for the highest expected gain,
    by what is known to all. As a responder in the ultimatum it refuses what it finds unfair.
    """
    bargain, place = game.bargain, game.place(role)
    temper = random.Random(f"concession {game.seed} {place}")
    pending = game.pending(role)
    legal = game.observe(role).legal
    aspired = _aspiration(game, role, temper)
    if pending is not None and bargain.worth(pending)[place] >= aspired:
        return f"[accept] {_line('negotiation', 'accept', rng)}"
    if "offer" not in legal:
        kind = "reject" if "reject" in legal else "leave" if game.moves(role) else "message"
        return f"[{kind}] {_line('negotiation', kind, rng)}"
    offers = [deal for deal in bargain.deals(place) if bargain.worth(deal)[place] > 0]
    if not offers:
        return f"[leave] {_line('negotiation', 'leave', rng)}"
    if game.one_shot or game.variant == "ultimatum":
        deal = max(offers, key=lambda d: (bargain.worth(d)[place] * bargain.chance(place, d), temper.random()))
        return _offer(game, role, deal, "last", rng)
    enough = [deal for deal in offers if bargain.worth(deal)[place] >= aspired]
    # Of what satisfies it, it offers what the other is the likeliest to like.
    deal = max(enough, key=lambda d: (bargain.chance(place, d), -bargain.worth(d)[place]))
    return _offer(game, role, deal, "counter" if game.moves(role) else "open", rng)


def oracle_player(game: Negotiation, role: str, rng: random.Random) -> str:
    """Knows the other's values: holds out for the best deal that still leaves the other a gain. The ceiling."""
    bargain, place = game.bargain, game.place(role)
    legal = game.observe(role).legal
    deals = sorted({*bargain.deals(0), *bargain.deals(1)})
    both = [deal for deal in deals if min(bargain.worth(deal)) > 0] or [d for d in deals if min(bargain.worth(d)) >= 0]
    best = max(both, key=lambda d: (bargain.worth(d)[place], bargain.worth(d)[1 - place])) if bargain.possible else None
    pending = game.pending(role)
    if pending is not None:
        gain = bargain.worth(pending)[place]
        if (best is not None and gain >= bargain.worth(best)[place]) or (gain > 0 and "offer" not in legal):
            return f"[accept] {_line('negotiation', 'accept', rng)}"
    if best is not None and "offer" in legal:
        return _offer(game, role, best, "last", rng)
    kind = "reject" if "reject" in legal else "leave" if best is None or game.moves(role) else "message"
    return f"[{kind}] {_line('negotiation', kind, rng)}"


def random_character(game: Sotopia, role: str, rng: random.Random) -> str:
    """Any act of `sotopia`, with a scripted line that fits any scenario; it seldom leaves, and speaks the most."""
    legal = game.observe(role).legal
    kind = rng.choices(legal, [{"speak": 6, "leave": 0.3}.get(kind, 1) for kind in legal])[0]
    return f"[{kind}]" if kind in WORDLESS else f"[{kind}] {_line('sotopia', kind, rng)}"


def play(game: Negotiation, players: Mapping[str, BargainPlayer], seed: int) -> Outcome:
    """Play one episode; its seed is that of the players too."""
    game.reset(seed)
    rng = random.Random(f"players {seed}")
    while game.turn is not None:
        game.step(game.turn, players[game.turn](game, game.turn, rng))
    return game.outcome()


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a player gets out of a negotiation, with 95 % bootstrap intervals over the draws of private values."""

    payoff: Interval
    """The agent's gain in coins, or in worth of goods."""
    normalised: Interval
    """Its share of what it could have gained; missing where no deal was possible."""
    efficiency: Interval
    """What both gained, by the most that they could have gained together."""
    deals: Interval
    """Share of episodes that ended in a deal."""


def baseline(game: Negotiation, agent: BargainPlayer, partner: BargainPlayer, seeds: Iterable[int]) -> Baseline:
    """Play one player against another, once per seed."""
    seeds = list(seeds)
    return _summary(_Played(game, seeds, [play(game, {"agent": agent, "partner": partner}, seed) for seed in seeds]))


@dataclass(frozen=True, slots=True)
class ValueOfBargaining:
    """Bargaining against take it or leave it, paired by the private values."""

    bargaining: Baseline
    one_shot: Baseline
    payoff: PairedDifference
    """Of the agent's gain."""
    normalised: PairedDifference
    """Of its share of what it could have gained."""
    efficiency: PairedDifference
    """Of the joint efficiency."""


def value_of_bargaining(
    game: Negotiation, agent: BargainPlayer, partner: BargainPlayer, seeds: Iterable[int]
) -> ValueOfBargaining:
    """Play each seed twice: as the game is set, and with `one_shot`.

    With `side="both"` two seeds share their values with the sides changed; their mean is then one unit of the
    intervals and tests, so give an even number.
    """
    seeds = list(seeds)
    players = {"agent": agent, "partner": partner}
    once = replace(game, one_shot=True)
    bargained = _Played(game, seeds, [play(game, players, seed) for seed in seeds])
    single = _Played(once, seeds, [play(once, players, seed) for seed in seeds])
    compared = [
        paired_difference(bargained.values(measure), single.values(measure))
        for measure in (_payoff, _normalised, _efficiency)
    ]
    return ValueOfBargaining(_summary(bargained), _summary(single), *compared)


@dataclass(frozen=True, slots=True)
class _Played:
    game: Negotiation
    seeds: Sequence[int]
    outcomes: Sequence[Outcome]

    def values(self, measure: Callable[[Outcome], float | None]) -> list[float | None]:
        """A measure of each draw of private values: two seeds that share one are no independent observations."""
        units: dict[int, list[float | None]] = {}
        for seed, outcome in zip(self.seeds, self.outcomes, strict=True):
            units.setdefault(seed // 2 if self.game.side == "both" else seed, []).append(measure(outcome))
        return [mean(unit) for unit in units.values()]


def _summary(played: _Played) -> Baseline:
    return Baseline(
        bootstrap_mean(played.values(_payoff)),
        bootstrap_mean(played.values(_normalised), bounds=(0, 1)),
        bootstrap_mean(played.values(_efficiency)),
        bootstrap_mean(played.values(_dealt), bounds=(0, 1)),
    )


def _payoff(outcome: Outcome) -> float | None:
    return outcome.score


def _normalised(outcome: Outcome) -> float | None:
    return outcome.normalised


def _efficiency(outcome: Outcome) -> float | None:
    return None if outcome.details["efficiency"] is None else float(outcome.details["efficiency"])


def _dealt(outcome: Outcome) -> float | None:
    return float(outcome.details["deal"] is not None)


def _aspiration(game: Negotiation, role: str, temper: random.Random) -> float:
    """The gain for which the concession player holds out now; at least a gain at all."""
    place = game.place(role)
    start, pace, fair = temper.uniform(0.7, 1.0), temper.uniform(0.6, 1.4), temper.uniform(0.1, 0.4)
    gains = [gain for deal in _all_deals(game) if (gain := game.bargain.worth(deal)[place]) > 0]
    least, most = min(gains, default=1), max(gains, default=1)
    if game.variant == "ultimatum":
        return max(least, fair * most)
    last = game.rounds - 1
    spent = min(1.0, game.moves(role) / last) if last else 1.0
    given_in: float = spent ** (1 / pace)
    return least + (max(least, start * most) - least) * (1 - given_in)


def _all_deals(game: Negotiation) -> tuple[Deal, ...]:
    return game.bargain.deals(0) or game.bargain.deals(1)


def _offer(game: Negotiation, role: str, deal: Deal, tone: str, rng: random.Random) -> str:
    return f"[offer] {game.bargain.write(game.place(role), deal)} | {_line('negotiation', tone, rng)}"


def _line(game: str, kind: str, rng: random.Random) -> str:
    return rng.choice(_lines(game)[kind])


@cache
def _lines(game: str) -> Mapping[str, list[str]]:
    path = resources.files("telic.games") / "data" / f"{game}_lines.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))
