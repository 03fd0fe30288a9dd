"""Agents and players: the participants of a dialogue."""

from telic.agents.agent import Agent

__all__ = ["Agent"]
