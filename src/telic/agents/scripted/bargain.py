"""Scripts for the game `negotiation`. All but the oracle use only the information of their role."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from telic.agents.player import fill_form
from telic.agents.scripted.lines import choose_line
from telic.agents.scripted.players import ScriptFactory, seeded_script
from telic.games.negotiation import Negotiation
from telic.games.negotiation_deals import Deal

__all__ = ["NEGOTIATION_SCRIPTS", "concession_bargainer", "oracle_bargainer", "random_bargainer"]


def random_bargainer(game: Negotiation, role: str, rng: Random) -> str:
    """Play any legal act, with any offer: the lower end of the scale."""
    kind = rng.choice(game.observe(role).legal)
    return f"[{kind}] {fill_form(game, role, kind, rng) or _line(kind, rng)}"


def concession_bargainer(game: Negotiation, role: str, rng: Random) -> str:
    """Demand much at first, and concede as time runs out, as people do.

    The aspiration falls from most of the possible gain to almost nothing at the last turn, faster or slower depending
    on the seed: a time-dependent tactic (Faratin, Sierra & Jennings 1998, "Negotiation decision functions for
    autonomous agents"). The script accepts an offer that meets its aspiration. It chooses a single offer by expected
    gain under public knowledge. As a responder in the ultimatum it rejects unfair offers.
    """
    bargain, place = game.bargain, game.place(role)
    temper = Random(f"concession {game.seed} {place}")
    pending = game.pending(role)
    legal = game.observe(role).legal
    aspired = _aspiration(game, role, temper)
    if pending is not None and bargain.worth(pending)[place] >= aspired:
        return f"[accept] {_line('accept', rng)}"
    if "offer" not in legal:
        kind = "reject" if "reject" in legal else "leave" if game.moves(role) else "message"
        return f"[{kind}] {_line(kind, rng)}"
    offers = [deal for deal in bargain.deals(place) if bargain.worth(deal)[place] > 0]
    if not offers:
        return f"[leave] {_line('leave', rng)}"
    if game.one_shot or game.variant == "ultimatum":
        deal = max(offers, key=lambda d: (bargain.worth(d)[place] * bargain.chance(place, d), temper.random()))
        return _offer(game, role, deal, "last", rng)
    enough = [deal for deal in offers if bargain.worth(deal)[place] >= aspired]
    # Of the offers that meet its aspiration, it makes the one that the other side most probably likes.
    deal = max(enough, key=lambda d: (bargain.chance(place, d), -bargain.worth(d)[place]))
    return _offer(game, role, deal, "counter" if game.moves(role) else "open", rng)


def oracle_bargainer(game: Negotiation, role: str, rng: Random) -> str:
    """Insist on the best deal from which the other side still gains, with access to its values: the upper end."""
    bargain, place = game.bargain, game.place(role)
    legal = game.observe(role).legal
    deals = sorted({*bargain.deals(0), *bargain.deals(1)})
    both = [deal for deal in deals if min(bargain.worth(deal)) > 0] or [d for d in deals if min(bargain.worth(d)) >= 0]
    best = max(both, key=lambda d: (bargain.worth(d)[place], bargain.worth(d)[1 - place])) if bargain.possible else None
    pending = game.pending(role)
    if pending is not None:
        gain = bargain.worth(pending)[place]
        if (best is not None and gain >= bargain.worth(best)[place]) or (gain > 0 and "offer" not in legal):
            return f"[accept] {_line('accept', rng)}"
    if best is not None and "offer" in legal:
        return _offer(game, role, best, "last", rng)
    kind = "reject" if "reject" in legal else "leave" if best is None or game.moves(role) else "message"
    return f"[{kind}] {_line(kind, rng)}"


def _aspiration(game: Negotiation, role: str, temper: Random) -> float:
    """Return the gain that the concession script demands now; it is always above 0."""
    place = game.place(role)
    start, pace, fair = temper.uniform(0.7, 1.0), temper.uniform(0.6, 1.4), temper.uniform(0.1, 0.4)
    gains = [gain for deal in _all_deals(game) if (gain := game.bargain.worth(deal)[place]) > 0]
    least, most = min(gains, default=1), max(gains, default=1)
    if game.variant == "ultimatum":
        return max(least, fair * most)
    last = game.rounds - 1
    spent = min(1.0, game.moves(role) / last) if last else 1.0
    conceded: float = spent ** (1 / pace)
    return least + (max(least, start * most) - least) * (1 - conceded)


def _all_deals(game: Negotiation) -> tuple[Deal, ...]:
    return game.bargain.deals(0) or game.bargain.deals(1)


def _offer(game: Negotiation, role: str, deal: Deal, tone: str, rng: Random) -> str:
    return f"[offer] {game.bargain.write(game.place(role), deal)} | {_line(tone, rng)}"


def _line(kind: str, rng: Random) -> str:
    return choose_line("negotiation", kind, rng)


NEGOTIATION_SCRIPTS: Mapping[str, ScriptFactory] = {
    "random": seeded_script(Negotiation, random_bargainer),
    "concession": seeded_script(Negotiation, concession_bargainer),
    "oracle": seeded_script(Negotiation, oracle_bargainer),
}
"""The scripts of `negotiation`."""
