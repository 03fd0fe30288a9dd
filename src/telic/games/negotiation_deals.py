"""The bargains of the game `negotiation`: the possible deals, and the worth of each to both sides.

A bargain has two places: 0 begins, 1 responds. The values of a side are private. They are drawn so that a deal from
which both sides gain exists with a given probability.
"""

from __future__ import annotations

import random
import re
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, ClassVar, Literal

from telic.games.base import IllegalActError

__all__ = ["Bargain", "Deal", "Variant", "draw_bargain"]

Variant = Literal["buyer-seller", "resources", "ultimatum"]
Deal = tuple[int, ...]
"""A sale's price; the responder's part of the pot; or (i, n, j, m): place 0 gives n of kind i and gets m of kind j."""


class Bargain(ABC):
    """The base class of the three variants. An object is one draw of the private values."""

    parties: ClassVar[tuple[str, str]]
    """Names of the two parties."""
    form: str
    """Example of an offer, for the instructions."""
    goal: str
    """The goal of both parties, for the instructions."""

    def __init__(self) -> None:
        deals = {*self.deals(0), *self.deals(1)}
        self._worth = {deal: self._value(deal) for deal in deals}
        self.possible = any(min(worth) > 0 for worth in self._worth.values())
        """Whether a deal exists from which both gain."""
        rational = [worth for worth in self._worth.values() if min(worth) >= 0] if self.possible else []
        self.joint = max([0, *map(sum, rational)])
        """The highest sum of gains over deals in which neither loses."""
        self.best = (max([0, *(w[0] for w in rational)]), max([0, *(w[1] for w in rational)]))
        """The highest gain of each place over deals in which neither loses."""

    def worth(self, deal: Deal) -> tuple[int, int]:
        """Return the gain of each place from a deal; without a deal it is (0, 0)."""
        return self._worth[deal]

    @abstractmethod
    def deals(self, place: int) -> tuple[Deal, ...]:
        """Return the deals that a place may offer."""

    @abstractmethod
    def _value(self, deal: Deal) -> tuple[int, int]: ...

    @abstractmethod
    def brief(self, place: int) -> str:
        """Return the description of the bargain for a place, with its own values."""

    @abstractmethod
    def private(self, place: int) -> dict[str, Any]:
        """Return the information that only this place knows."""

    @abstractmethod
    def read(self, place: int, written: str) -> Deal:
        """Read an offer.

        Raises:
            IllegalActError: the offer is malformed or not allowed.
        """

    @abstractmethod
    def form_only(self, written: str) -> bool:
        """Return whether the text of an offer contains nothing but the offer."""

    @abstractmethod
    def write(self, place: int, deal: Deal) -> str:
        """Return a deal as text from the view of the place that offers it."""

    def gloss(self, place: int, deal: Deal) -> str:  # noqa: ARG002 (only an exchange reads differently to the other side)
        """Return an explanation of an offer to this place, if the wording is ambiguous."""
        return ""

    @abstractmethod
    def options(self, place: int, chosen: Sequence[str]) -> tuple[str, ...]:
        """Return the choices for the next part of an offer."""

    @abstractmethod
    def fill(self, place: int, chosen: Sequence[str]) -> str:
        """Return an offer from its chosen parts."""

    @abstractmethod
    def chance(self, place: int, deal: Deal) -> float:
        """Return the probability, by public knowledge, that the other side gains from an offer of this place."""


class _Amount(Bargain):
    """The base class of bargains over one number on a grid."""

    unit = "coins"

    def __init__(self, grid: range) -> None:
        self.grid = grid
        super().__init__()

    def form_only(self, written: str) -> bool:
        return not _AMOUNT_WORDS.sub("", written)

    def read(self, place: int, written: str) -> Deal:  # noqa: ARG002
        numbers = {number.replace(",", "") for number in _NUMBER.findall(written)}
        if len(numbers) != 1:
            raise IllegalActError(f"an offer names one number, such as: [offer] {self.form}")
        number = float(numbers.pop())
        if number not in self.grid:
            grid = self.grid
            raise IllegalActError(f"an offer is from {grid[0]} to {grid[-1]} in steps of {grid.step}")
        return (int(number),)

    def write(self, place: int, deal: Deal) -> str:  # noqa: ARG002
        return str(deal[0])

    def options(self, place: int, chosen: Sequence[str]) -> tuple[str, ...]:
        return () if chosen else tuple(self.write(place, deal) for deal in self.deals(place))

    def fill(self, place: int, chosen: Sequence[str]) -> str:  # noqa: ARG002
        return " ".join(chosen)


class _Sale(_Amount):
    """A sale: a seller with a cost and a buyer with a value bargain over a price."""

    parties = ("seller", "buyer")
    goal = "Get the best price that you can. A deal at a loss is worse than none."

    def __init__(self, rng: random.Random, zone: float, grid: range) -> None:
        low, high = sorted(rng.sample(range(len(grid) - 1), 2))
        cost, value = grid[low], grid[high + 1]  # at least two steps apart, so that a price between them serves both
        if rng.random() >= zone:
            cost, value = value, cost
        self.cost, self.value = cost, value
        self.item = rng.choice(_goods()["goods"])
        self.form = str(grid[len(grid) // 2])
        super().__init__(grid)

    def deals(self, place: int) -> tuple[Deal, ...]:  # noqa: ARG002
        return tuple((price,) for price in self.grid)

    def _value(self, deal: Deal) -> tuple[int, int]:
        return deal[0] - self.cost, self.value - deal[0]

    def brief(self, place: int) -> str:
        grid = self.grid
        prices = f"Prices go from {grid[0]} to {grid[-1]} coins in steps of {grid.step}."
        what, cost, gain = ("sell", self.cost, "the price minus that")
        if place:
            what, cost, gain = ("want to buy", self.value, "that minus the price")
        return f"You {what} {self.item}. It is worth {cost} coins to you: your gain is {gain}. {prices}"

    def private(self, place: int) -> dict[str, Any]:
        return {"worth": self.value if place else self.cost}

    def chance(self, place: int, deal: Deal) -> float:
        gains = [worth > deal[0] if place == 0 else worth < deal[0] for worth in self.grid]
        return sum(gains) / len(gains)


class _Ultimatum(_Amount):
    """The ultimatum game: one side proposes a division of a pot; if the other rejects it, both get nothing."""

    parties = ("proposer", "responder")
    goal = "Get as much of the pot as you can."

    def __init__(self, grid: range) -> None:
        self.pot = grid[-1]
        self.form = str(grid[len(grid) // 2])
        super().__init__(grid)

    def deals(self, place: int) -> tuple[Deal, ...]:
        return () if place else tuple((amount,) for amount in self.grid)

    def _value(self, deal: Deal) -> tuple[int, int]:
        return self.pot - deal[0], deal[0]

    def brief(self, place: int) -> str:
        grid, rules = self.grid, "If the responder rejects, both get nothing."
        if place == 0:
            amounts = f"from {grid[0]} to {grid[-1]} in steps of {grid.step}"
            return f"There is a pot of {self.pot} coins. You offer the responder a part of it, {amounts}. {rules}"
        return f"There is a pot of {self.pot} coins. The proposer offers you a part of it. {rules}"

    def private(self, place: int) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def chance(self, place: int, deal: Deal) -> float:  # noqa: ARG002
        # People reject unfair offers: rarely at 40 % of the pot, nearly always at 10 % (Güth et al. 1982).
        return min(1.0, max(0.0, (deal[0] / self.pot - 0.1) / 0.3)) if self.pot else 0.0


class _Exchange(Bargain):
    """An exchange: both sides hold three kinds of goods of private worth, and trade one kind for another."""

    parties = ("first trader", "second trader")
    goal = "End with goods that are worth as much to you as possible. A deal at a loss is worse than none."
    most = 9
    """Highest worth of a unit; the lowest is 1."""

    def __init__(self, rng: random.Random, zone: float) -> None:
        self.kinds: list[str] = rng.choice(_goods()["resources"])
        self.form = f"give 2 {self.kinds[0]}, get 1 {self.kinds[1]}"
        wanted = rng.random() < zone
        while True:  # values with different ratios nearly always allow a deal at these stocks
            self.stock = [[rng.randint(2, 8) for _ in self.kinds] for _ in range(2)]
            self.unit = [[rng.randint(1, self.most) for _ in self.kinds] for _ in range(2)]
            if not wanted:
                self.unit[1] = list(self.unit[0])
            super().__init__()
            if self.possible == wanted:
                return

    def deals(self, place: int) -> tuple[Deal, ...]:  # noqa: ARG002
        kinds, (mine, yours) = range(len(self.kinds)), self.stock
        return tuple(
            (i, n, j, m)
            for i in kinds
            for j in kinds
            if i != j
            for n in range(1, mine[i] + 1)
            for m in range(1, yours[j] + 1)
        )

    def _value(self, deal: Deal) -> tuple[int, int]:
        i, n, j, m = deal
        (a, b), (c, d) = ((unit[i], unit[j]) for unit in self.unit)
        return m * b - n * a, n * c - m * d

    def brief(self, place: int) -> str:
        def held(stock: Sequence[int]) -> str:
            return ", ".join(f"{n} {kind}" for n, kind in zip(stock, self.kinds, strict=True))

        worth = ", ".join(f"{kind} {n}" for kind, n in zip(self.kinds, self.unit[place], strict=True))
        return (
            f"You have {held(self.stock[place])}. The other has {held(self.stock[1 - place])}. "
            f"To you, one unit is worth: {worth}; to the other it is worth something else. "
            "In one deal, some of one kind is exchanged for some of another."
        )

    def private(self, place: int) -> dict[str, Any]:
        return {"worth": dict(zip(self.kinds, self.unit[place], strict=True))}

    def form_only(self, written: str) -> bool:
        return not _AMOUNT_WORDS.sub("", _SWAP.sub("", written))

    def read(self, place: int, written: str) -> Deal:
        found = _SWAP.search(written)
        names = {kind.lower(): index for index, kind in enumerate(self.kinds)}
        if not found or found["gives"].lower() not in names or found["gets"].lower() not in names:
            raise IllegalActError(f"an offer has the form: [offer] {self.form}; the kinds are {', '.join(self.kinds)}")
        give, get = names[found["gives"].lower()], names[found["gets"].lower()]
        n, m = int(found["n"]), int(found["m"])
        deal = (give, n, get, m) if place == 0 else (get, m, give, n)
        if deal not in self._worth:
            raise IllegalActError(
                "that exchange cannot be made: of two different kinds, at least one unit each, "
                "and nobody gives more than there is"
            )
        return deal

    def write(self, place: int, deal: Deal) -> str:
        i, n, j, m = deal
        mine, yours = f"{n} {self.kinds[i]}", f"{m} {self.kinds[j]}"
        return f"give {mine}, get {yours}" if place == 0 else f"give {yours}, get {mine}"

    def gloss(self, place: int, deal: Deal) -> str:
        return f"(you would {self.write(place, deal)})"

    def options(self, place: int, chosen: Sequence[str]) -> tuple[str, ...]:
        if len(chosen) > 1:
            return ()
        stock = self.stock[place if not chosen else 1 - place]
        given = chosen[0].split()[-1] if chosen else ""
        return tuple(
            f"{n} {kind}"
            for kind, held in zip(self.kinds, stock, strict=True)
            if kind != given
            for n in range(1, held + 1)
        )

    def fill(self, place: int, chosen: Sequence[str]) -> str:  # noqa: ARG002
        return f"give {', get '.join(chosen)}"

    def chance(self, place: int, deal: Deal) -> float:
        _, n, _, m = deal if place == 0 else (*deal[2:], *deal[:2])
        return _gains(n, m, self.most)


@cache
def _gains(n: int, m: int, most: int) -> float:
    """Return the probability that n units of one kind are worth more than m of another, for uniform worths."""
    units = range(1, most + 1)
    return sum(n * a > m * b for a in units for b in units) / most**2


def draw_bargain(variant: Variant, rng: random.Random, zone: float, grid: range) -> Bargain:
    """Draw the private values of an episode.

    Args:
        variant: the kind of bargain.
        rng: source of randomness.
        zone: probability that a deal exists from which both gain.
        grid: the possible prices, or the parts of the pot.
    """
    if variant == "buyer-seller":
        return _Sale(rng, zone, grid)
    return _Exchange(rng, zone) if variant == "resources" else _Ultimatum(grid)


@cache
def _goods() -> Mapping[str, Any]:
    path = resources.files("telic.games") / "data" / "negotiation_goods.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


_NUMBER = re.compile(r"-?\d[\d,]{0,8}(?:\.\d{1,6})?")
_SWAP = re.compile(
    r"\bgives?\s+(?P<n>\d{1,9})\s+(?P<gives>\w+)\W+(?:and\s+)?(?:gets?|for)\s+(?P<m>\d{1,9})\s+(?P<gets>\w+)", re.I
)
_AMOUNT_WORDS = re.compile(r"-?\d[\d,]*(?:\.\d+)?|\bcoins?\b|[\W_]+", re.I)
