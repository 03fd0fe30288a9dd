"""Sides that speak first: not every chat template lets the assistant do so."""

from __future__ import annotations

from telic.models import Model
from telic.models.capabilities import HasTemplate

__all__ = ["after_opener", "lets_assistant_open"]


def after_opener(opener: str, text: str) -> str:
    """Return what a side reads next where the template lets no assistant speak first: its own opener comes with it."""
    return f'(You opened the conversation with: "{opener}")\n\n{text}'


def lets_assistant_open(model: Model) -> bool:
    """Return whether the chat template lets the assistant speak first; False where the template is not known."""
    return isinstance(model, HasTemplate) and model.template.takes_assistant_first
