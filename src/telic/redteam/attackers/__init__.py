"""Attackers: strategies that try to make a chatbot break its limits; see `telic.redteam.attackers.base`."""
