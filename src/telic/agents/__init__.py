"""Who takes part in a dialogue."""

from telic.agents.agent import Agent

__all__ = ["Agent"]
