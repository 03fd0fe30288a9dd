"""Carts: what a customer is about to buy."""

from shop.prices import round_price


class Cart:
    """A list of articles, each with its price and quantity."""

    def __init__(self):
        self.lines = []

    def add(self, article, price, quantity=1):
        """Add an article."""
        self.lines.append((article, price, quantity))

    def total(self):
        """Return the price of everything."""
        return round_price(sum(price * quantity for _, price, quantity in self.lines))

    def average_price(self):
        """Return the mean price of a piece."""
        return round_price(self.total() / sum(quantity for _, _, quantity in self.lines))
