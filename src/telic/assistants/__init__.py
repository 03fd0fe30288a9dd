"""Assistants: applications that learn from one user what to show and how to write."""
