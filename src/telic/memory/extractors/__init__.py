"""Extractors: what one event of the evidence log says about its user. The cheapest come first."""
