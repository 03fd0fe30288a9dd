"""Monitors of whole dialogues: a small recurrent classifier of what the model makes of each turn."""
