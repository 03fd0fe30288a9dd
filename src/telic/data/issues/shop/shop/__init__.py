"""A small shop: prices, carts and orders."""
