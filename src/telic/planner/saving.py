"""Planners as folders: `config.json`, `planner.safetensors` and a card with figures, as on the Hub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from telic.errors import ConfigError
from telic.files import write_atomically
from telic.models.base import Model
from telic.planner.control import PlannerControl
from telic.planner.planner import Planner
from telic.steering import loading, saving

__all__ = ["load_planner", "save_planner"]


def save_planner(
    planner: Planner,
    folder: str | Path,
    *,
    model: Model | None = None,
    figures: Mapping[str, str | float] | None = None,
    note: str = "",
) -> Path:
    """Write a planner into a folder, which `load_planner` and a purpose file's `[planner]` read.

    Args:
        planner: what is saved.
        folder: made if it is missing. An existing card is replaced only if figures or a note are given.
        model: the model that the planner was made for; by default the planner's own `origin`.
        figures: measurements for the card: name to value.
        note: how the planner was trained, in a sentence or more, for the card.

    Returns:
        The folder.

    Raises:
        ConfigError: the folder cannot be written.
    """
    folder = Path(folder)
    control = PlannerControl(planner=planner)
    card = folder / saving.CARD
    if figures or note or not card.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(card, _card(planner, figures or {}, note))
        except OSError as error:
            raise ConfigError(f"cannot write the planner to {str(folder)!r}: {error}") from error
    return saving.save_pretrained(control, folder, model=model)


def load_planner(
    source: str | Path, *, model: Model | None = None, force: bool = False, revision: str | None = None
) -> Planner:
    """Load a planner from a folder or from the Hub.

    Args:
        source: a folder, or a Hub id (owner/name) if there is no such folder.
        model: the model to steer: a planner that was made for another one is refused.
        force: use it all the same, as for a model that goes by another name; the hidden size must still fit.
        revision: branch, tag or commit on the Hub.

    Raises:
        ConfigError: there is no planner, it is damaged, or it was made for another model.
    """
    control = loading.from_pretrained(source, model=model, force=force, revision=revision)
    if not isinstance(control, PlannerControl):
        raise ConfigError(f"{str(source)!r} holds a control of kind {control.name!r}, not a planner")
    return control.planner


def _card(planner: Planner, figures: Mapping[str, str | float], note: str) -> str:
    origin = planner.origin
    made = f"Made for `{origin.name}` ({origin.layers} layers of {origin.hidden_size})." if origin else ""
    table = [
        f"| {name} | {value:.4g} |" if isinstance(value, float) else f"| {name} | {value} |"
        for name, value in figures.items()
    ]
    shown = "\n".join(["| measured | |", "|---|---|", *table]) if figures else ""
    shape = "\n".join(f"- {name}: `{value}`" for name, value in planner.plain_shape().items())
    body = "\n\n".join(part for part in (made, note, shown, shape) if part)
    return _CARD.format(body=body)


_CARD = """---
library_name: telic
tags:
- telic
- planner
- dialogue-action-tokens
---

# A planner

It steers a frozen chat model by a few prefix tokens, which it chooses in every turn from the model's own state
(dialogue action tokens, arXiv 2406.11978).

{body}

In a purpose file:

```toml
[planner]
path = "this folder, or its Hub id"
```

In Python:

```python
from telic.planner import PlannerControl, load_planner

planner = load_planner("this folder, or its Hub id")
session.reply(controls=[PlannerControl(planner=planner)])
```
"""
