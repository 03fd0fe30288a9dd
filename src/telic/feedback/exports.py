"""Labelled conversations as data sets: unpaired preferences for KTO, pairs for DPO, or episodes.

The rows are TRL's: KTO takes `prompt`, `completion` and `label` (arXiv 2402.01306), DPO `prompt`, `chosen` and
`rejected` (arXiv 2305.18290), all conversational. A reply that had a response format, or that calls tools, is in no
row: its text alone is not what the model should write to its prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from telic.episodes import Episode, Feedback, assistant_role
from telic.errors import DataError
from telic.feedback.given import EDIT, PREFERRED
from telic.feedback.labelling import LABEL
from telic.feedback.masking import Masker, mask_rows
from telic.files import atomic_draft
from telic.formats import dialogue_before

__all__ = ["DataRow", "ExportFormat", "rows_by_user", "write_export"]

ExportFormat = Literal["kto", "dpo", "episodes"]
"""`kto`: replies that were good or bad. `dpo`: pairs of replies to one prompt. `episodes`: everything."""
CLEAR = 0.3
"""A reply counts as good from this label up, and as bad from its negative down; between them it is left out."""

Message = dict[str, Any]
DataRow = dict[str, Any]
"""A row of a data set: messages by column, and the label."""


def write_export(
    form: ExportFormat, labelled: Iterable[Episode], path: str | Path, masker: Masker | None = None
) -> int:
    """Write labelled episodes as a data set, a JSON object per line. The file appears complete or not at all.

    Args:
        form: the format.
        labelled: labelled episodes. For `dpo` they are read twice.
        path: the file.
        masker: replaces personal data in the rows; None leaves them as they are.

    Returns:
        The number of rows.

    Raises:
        DataError: the file cannot be written, or there is no row to write.
    """
    path = Path(path)
    rows = {"kto": kto_rows, "dpo": dpo_rows, "episodes": _episode_rows}[form](labelled)
    if masker is not None:
        rows = mask_rows(rows, masker)
    number = 0
    try:
        with atomic_draft(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                number += 1
            if not number:
                raise DataError(f"nothing to export as {form}: {_MISSING[form]}")
    except OSError as error:
        raise DataError(f"cannot write {str(path)!r}: {error.strerror}") from None
    except UnicodeEncodeError:
        raise DataError(f"row {number + 1} holds half of a surrogate pair, which UTF-8 cannot encode") from None
    return number


_MISSING = {
    "kto": "no reply was clearly good or bad",
    "dpo": "no reply was edited, and none was chosen over another one",
    "episodes": "there is no conversation",
}


def kto_rows(labelled: Iterable[Episode]) -> Iterator[DataRow]:
    """Yield a row for each reply whose label is clear."""
    return (row for _, row in rows_by_user("kto", labelled))


def dpo_rows(labelled: Iterable[Episode]) -> Iterator[DataRow]:
    """Yield a row for each edited reply, and for each reply that was chosen over another one."""
    return (row for _, row in rows_by_user("dpo", labelled))


def rows_by_user(form: Literal["kto", "dpo"], labelled: Iterable[Episode]) -> Iterator[tuple[str, DataRow]]:
    """Yield the rows of a data set, each with its user, or with the conversation's id if the user is unknown.

    Args:
        form: the format.
        labelled: labelled episodes. For `dpo` they are read twice.
    """
    texts = _rejected_texts(labelled) if form == "dpo" else {}
    for episode in labelled:
        user = str(episode.metadata.get("user") or episode.id)
        for row in _replies(episode) if form == "kto" else _pairs(episode, texts):
            yield user, row


def _replies(episode: Episode) -> Iterator[DataRow]:
    for index, turn in enumerate(episode.turns):
        label = turn.scores.get(LABEL)
        if turn.role == assistant_role(episode) and turn.is_prose and label is not None and abs(label) >= CLEAR:
            yield {"prompt": _prompt(episode, index), "completion": [_assistant(turn.text)], "label": label > 0}


def _rejected_texts(labelled: Iterable[Episode]) -> dict[tuple[str, int], str]:
    """Return the replies over which others were chosen, by conversation and position."""
    others = {(one.value["to"], int(one.value["position"])) for episode in labelled for one in _choices(episode)}
    texts: dict[tuple[str, int], str] = {}
    for episode in labelled if others else ():
        texts |= {(i, p): episode.turns[p].text for i, p in others if i == episode.id and p < len(episode.turns)}
    return texts


def _pairs(episode: Episode, texts: dict[tuple[str, int], str]) -> Iterator[DataRow]:
    for one in episode.feedback:
        if one.source == EDIT and isinstance(one.value, str) and _replaces(one.value, episode, one):
            yield _pair(episode, one.turn, one.value, _text(episode, one))
    for one in _choices(episode):
        rejected = texts.get((one.value["to"], int(one.value["position"])))
        if rejected is not None and _replaces(rejected, episode, one):
            yield _pair(episode, one.turn, _text(episode, one), rejected)


def _replaces(other: str, episode: Episode, one: Feedback) -> bool:
    """Whether a text can make a pair with the reply that a feedback is about."""
    return episode.turns[one.turn].is_prose and other.strip() != _text(episode, one).strip()


def _choices(episode: Episode) -> Iterator[Feedback]:
    for one in episode.feedback:
        named = one.value if one.source == PREFERRED and isinstance(one.value, dict) else {}
        if isinstance(named.get("to"), str) and isinstance(named.get("position"), int):
            yield one


def _episode_rows(labelled: Iterable[Episode]) -> Iterator[dict[str, Any]]:
    return (episode.model_dump(mode="json") for episode in labelled)


def _pair(episode: Episode, index: int, chosen: str, rejected: str) -> dict[str, Any]:
    return {
        "prompt": _prompt(episode, index),
        "chosen": [_assistant(chosen)],
        "rejected": [_assistant(rejected)],
    }


def _prompt(episode: Episode, index: int) -> list[Message]:
    seen = dialogue_before(episode, index)
    return [message.as_dict() for message in seen if message.content.strip() or message.tool_calls]


def _assistant(text: str) -> Message:
    return {"role": "assistant", "content": text}


def _text(episode: Episode, one: Feedback) -> str:
    return episode.turns[one.turn].text
