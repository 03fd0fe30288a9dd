"""Defences: what protects a purpose's limits; see `telic.agents.defence`."""
