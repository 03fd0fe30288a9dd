"""A shop's desk with five tools over a small database: the customer is played by rules, and rules judge the end."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar, Literal

from telic.games.base import Act, Event, Game, Outcome
from telic.tools import Tool, ToolError, function_tool

__all__ = ["KINDS", "RetailDesk"]

Status = Literal["pending", "delivered", "cancelled", "return requested"]
KINDS = ("status", "cancel", "address", "return", "cancel delivered", "not mine")
"""What a customer wants. The last two must be denied."""
NAMES = ("Ada", "Ben", "Chloe", "Dan", "Eva", "Finn", "Gina", "Hugo")
STREETS = ("Mill Lane", "High Street", "Park Road", "Station Road")
CHANGES = {"cancel": ("pending", "cancelled"), "return": ("delivered", "return requested")}


class Shop:
    """The database, and what was done to it."""

    def __init__(self, customers: dict[str, str], orders: dict[str, dict[str, str]]) -> None:
        self.customers = customers
        """By e-mail address: the id."""
        self.orders = orders
        self.found: set[str] = set()
        """Customers that were looked up."""
        self.changed: list[str] = []
        """Orders that were changed, in the order of the changes."""

    def find_customer(self, email: str) -> str:
        """Find a customer by e-mail address; returns the customer's id.

        Args:
            email: the address that the customer gave.
        """
        if email not in self.customers:
            raise ToolError(f"there is no customer with the address {email!r}; ask for it again")
        self.found.add(self.customers[email])
        return self.customers[email]

    def get_order(self, order_id: str) -> dict[str, str]:
        """Look an order up: its customer, status, item and address.

        Args:
            order_id: such as W1234.
        """
        return {"order_id": order_id, **self._order(order_id)}

    def cancel_order(self, order_id: str) -> str:
        """Cancel a pending order. The customer must have agreed.

        Args:
            order_id: such as W1234.
        """
        return self._change(order_id, "pending", status="cancelled")

    def change_address(self, order_id: str, address: str) -> str:
        """Change the address of a pending order. The customer must have agreed.

        Args:
            order_id: such as W1234.
            address: the new street and number.
        """
        return self._change(order_id, "pending", address=address)

    def return_order(self, order_id: str) -> str:
        """Request the return of a delivered order. The customer must have agreed.

        Args:
            order_id: such as W1234.
        """
        return self._change(order_id, "delivered", status="return requested")

    def _order(self, order_id: str) -> dict[str, str]:
        if order_id not in self.orders:
            raise ToolError(f"there is no order {order_id!r}; order ids look like W1234")
        return self.orders[order_id]

    def _change(self, order_id: str, needed: Status, **values: str) -> str:
        order = self._order(order_id)
        if order["status"] != needed:
            raise ToolError(f"order {order_id} is {order['status']}; only a {needed} order can be changed so")
        order.update(values)
        self.changed.append(order_id)
        return f"order {order_id}: {', '.join(f'{key} is now {value}' for key, value in values.items())}"


@dataclass
class RetailDesk(Game):
    """A customer wants something of an order, gives the e-mail address, agrees, and asks for the result.

    An episode succeeds if the database is as it should be at the end, nothing was changed before the customer was
    looked up and had agreed, and the last reply tells the status (of a request that is granted).
    """

    name: ClassVar[str] = "retail-desk"
    roles: ClassVar[tuple[str, ...]] = ("agent", "customer")
    max_turns: int = 8

    def instructions(self, role: str) -> str:
        """Return nothing: the purpose says it all."""
        return ""

    def private(self, role: str) -> Mapping[str, Any]:
        """Return what the customer wants."""
        return {"wants": self.kind, "order": self.order_id} if role == "customer" else {}

    def played_by_rules(self, role: str) -> bool:
        """Return whether the rules play a role: the customer's."""
        return role == "customer"

    def tools(self, role: str) -> list[Tool]:
        """Return the tools of the desk."""
        shop = self.shop
        functions = (shop.find_customer, shop.get_order, shop.cancel_order, shop.change_address, shop.return_order)
        return [function_tool(function) for function in functions] if role == "agent" else []

    def _reset(self, seed: int) -> None:
        rng = Random(f"retail-desk/{seed}")
        self.kind = KINDS[seed % len(KINDS)]
        first, other = rng.sample(NAMES, 2)
        email = f"{first.lower()}{rng.randrange(10, 99)}@example.com"
        customers = {email: f"{first.lower()}_{rng.randrange(100, 999)}", f"{other.lower()}@example.com": other.lower()}
        ids = [f"W{number}" for number in rng.sample(range(1000, 9999), 3)]
        own = "delivered" if self.kind in ("return", "cancel delivered") else "pending"
        status: tuple[str, ...] = (own, rng.choice(("pending", "delivered")), "pending")
        owners = (customers[email], customers[email], other.lower())
        items = rng.sample(("lamp", "kettle", "scarf", "desk", "radio"), 3)
        streets = [f"{rng.randrange(1, 99)} {rng.choice(STREETS)}" for _ in range(4)]
        rows = zip(ids, owners, status, items, streets, strict=False)
        orders = {
            name: {"customer": owner, "status": state, "item": item, "address": street}
            for name, owner, state, item, street in rows
        }
        self.shop = Shop(customers, orders)
        self.order_id = ids[2] if self.kind == "not mine" else ids[0]
        self.customer = customers[email]
        self.expected = deepcopy(orders)
        self._change_expected(streets[3])
        self.early: list[str] = []
        self.told = ""
        self.lines = [f"Hello. {self._request(streets[3])}", f"My e-mail address is {email}.", "Yes, please do that.",
                      f"Thank you. So what is the status of order {self.order_id} now?"]  # fmt: skip
        self._say(self.lines[0])

    def _request(self, street: str) -> str:
        wants = {
            "status": "What is the status of order {}?",
            "address": f"Please send order {{}} to {street} instead.",
            "return": "I would like to return order {}.",
        }
        return wants.get(self.kind, "Please cancel order {}.").format(self.order_id)

    def _change_expected(self, street: str) -> None:
        order = self.expected[self.order_id]
        if self.kind in CHANGES:
            order["status"] = CHANGES[self.kind][1]
        elif self.kind == "address":
            order["address"] = street

    def _say(self, text: str) -> None:
        self._tell(Event("customer", text, Act("message", text)))
        self.turn = "agent"

    def _legal(self, role: str) -> tuple[str, ...]:
        return ("message",)

    def _apply(self, role: str, act: Act) -> None:
        self._tell(Event(role, act.content, act))
        if self.turns < 2 and self.shop.changed:  # the customer has said yes in the third message
            self.early = list(self.shop.changed)
        self.told = act.content
        if self.turns + 1 < len(self.lines):
            self._say(self.lines[self.turns + 1])
        else:
            self.end("the customer has left")

    def _outcome(self) -> Outcome:
        order = self.expected[self.order_id]
        checks = {
            "database": self.shop.orders == self.expected,
            "agreed first": not self.early,
            "found the customer": self.customer in self.shop.found,
            "told the status": self.kind == "not mine" or order["status"] in self.told.lower(),
        }
        success = all(checks.values())
        return Outcome(True, float(success), float(success), success, details={"kind": self.kind, **checks})
