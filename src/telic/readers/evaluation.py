"""Evaluating readers on dialogues with known answers: how often they are right, and whether they know when not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from telic.errors import ConfigError, ModelError
from telic.files import to_json_types
from telic.models.base import Model
from telic.readers.attributes import opposite
from telic.readers.config import EvaluationConfig
from telic.readers.evaluation_figures import JudgedReading, judged_figures
from telic.readers.evaluation_items import EvaluationItem
from telic.readers.reader import Reader, ReaderSet
from telic.readers.reading import Beliefs, read_beliefs
from telic.statistics import Interval

__all__ = ["evaluate_readers"]

BATCH = 12
"""Dialogues that are read at once."""
OnProgress = Callable[[int, int], None]


def evaluate_readers(
    model: Model,
    readers: ReaderSet,
    items: Sequence[EvaluationItem],
    config: EvaluationConfig | None = None,
    on_progress: OnProgress | None = None,
) -> dict[str, Any]:
    """Evaluate readers on items: read each dialogue at the user's last turn, and compare with the right answers.

    Args:
        model: the model that the readers were trained on; it must run locally.
        readers: what to evaluate.
        items: from `load_natural_items`, `read_evaluation_items` or `read_persuasion`.
        config: the settings.
        on_progress: called with the number of dialogues read, and of all.

    Returns:
        A value for JSON. `items`: number of dialogues by slice; `unread`: number of dialogues too long for the
        model's context. `readers`: by the reader's name and slice, the figures of `judged_figures`. `pooled`: the same
        of all readers of the user, and of all of the model itself. Slices are `all` and each kind of item; in `pooled`
        also `style: ...`, `turns: 1`, `2 to 4` and `5 or more`, and `system prompt: yes` and `no`.

    Raises:
        UnsupportedControlError: the model gives no access to its hidden states.
        ConfigError: there are no items, or the readers were trained on another model.
        ModelError: a dialogue cannot be rendered.
    """
    if not items:
        raise ConfigError("items is empty; pass at least one, for example load_natural_items()")
    config = config or EvaluationConfig()
    beliefs = _read_all(model, readers, items, on_progress)
    judged = {reader.name: _judge(reader, items, beliefs) for reader in readers}
    pooled = {
        subject: [own for reader in readers if reader.subject == subject for own in judged[reader.name]]
        for subject in dict.fromkeys(reader.subject for reader in readers)
    }
    return {
        "config": config.model_dump(mode="json"),
        "items": dict(Counter(name for item in items for name in _slices_of(item))),
        "unread": sum(one is None for one in beliefs),
        "pooled": {name: _by_slice(own, _slices_of, config) for name, own in pooled.items()},
        "readers": {name: _by_slice(own, lambda item: ["all", item.kind], config) for name, own in judged.items()},
    }


def _slices_of(item: EvaluationItem) -> list[str]:
    dialogue = item.dialogue
    turns = sum(message.role == "user" for message in dialogue)
    length = "1" if turns == 1 else "2 to 4" if turns < 5 else "5 or more"
    system = "no" if dialogue.system is None else "yes"
    style = [f"style: {item.style}"] if item.style else []
    return ["all", item.kind, *style, f"turns: {length}", f"system prompt: {system}"]


def _read_all(
    model: Model, readers: ReaderSet, items: Sequence[EvaluationItem], on_progress: OnProgress | None
) -> list[Beliefs | None]:
    """Read all items, those of similar length together; None for one that does not fit into the context."""
    found: list[Beliefs | None] = [None] * len(items)
    order = sorted(range(len(items)), key=lambda i: sum(len(message.content) for message in items[i].messages))
    for start in range(0, len(order), BATCH):
        batch = order[start : start + BATCH]
        read = _read_batch(model, readers, [items[i] for i in batch])
        for i, beliefs in zip(batch, read, strict=True):
            found[i] = beliefs
        if on_progress is not None:
            on_progress(start + len(batch), len(order))
    return found


def _read_batch(model: Model, readers: ReaderSet, items: Sequence[EvaluationItem]) -> list[Beliefs | None]:
    try:
        return list(read_beliefs(model, [item.dialogue for item in items], readers))
    except ModelError as error:
        if error.kind != "context_full":
            raise
        if len(items) == 1:
            return [None]
        return [beliefs for item in items for beliefs in _read_batch(model, readers, [item])]


def _judge(reader: Reader, items: Sequence[EvaluationItem], beliefs: Sequence[Beliefs | None]) -> list[JudgedReading]:
    """Put each reading of a reader beside the right answers."""
    name, subject = reader.attribute, reader.subject
    return [
        JudgedReading(
            item=item,
            reading=read[reader.name],
            said=item.answer(subject, name),
            said_of_other=item.answer(opposite(subject), name),
            true=item.person.get(name) if subject == "user" else None,
            lure=item.lure.get(name),
        )
        for item, read in zip(items, beliefs, strict=True)
        if read is not None
    ]


def _by_slice(
    judged: Iterable[JudgedReading], slices_of: Callable[[EvaluationItem], Iterable[str]], config: EvaluationConfig
) -> dict[str, Any]:
    slices: dict[str, list[JudgedReading]] = {}
    for one in judged:
        for name in slices_of(one.item):
            slices.setdefault(name, []).append(one)
    return {
        name: {figure: _as_json(interval) for figure, interval in judged_figures(own, config).items()}
        for name, own in sorted(slices.items(), key=lambda slice_: (": " in slice_[0], slice_[0] != "all", slice_[0]))
    }


def _as_json(interval: Interval) -> dict[str, Any]:
    kept = {"value": interval.value, "low": interval.low, "high": interval.high, "n": interval.n}
    return dict(to_json_types(kept, digits=4))
