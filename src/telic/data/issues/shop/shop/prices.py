"""Prices in euros."""


def round_price(amount):
    """Round an amount of money to cents."""
    return int(amount * 100 + 0.5) / 100


def apply_discount(price, percent):
    """Return a price after a discount in percent."""
    return round_price(price * (100 - percent) / 100)
