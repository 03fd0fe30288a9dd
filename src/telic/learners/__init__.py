"""Learners: what turns labelled conversations into something that a purpose can use."""
