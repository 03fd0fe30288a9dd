"""What is learnt from edits, in the memory of the user, where `telic memory` shows, explains and forgets it."""

from __future__ import annotations

from collections.abc import Sequence

from telic.assistants.drafts.draft_file import DraftRecord
from telic.assistants.drafts.letter import GAP
from telic.assistants.drafts.preferences import (
    REVOKED,
    Edit,
    Preference,
    edits_of,
    learn_preferences,
    revocations_of,
    style_for,
)
from telic.memory import MemoryEvent, MemoryFile, new_event

__all__ = ["Learner"]

SOURCE = "drafts"


class Learner:
    """The preferences of one user, read off the log of their memory.

    Args:
        file: the log; None: nothing is remembered, so nothing is learnt.
    """

    def __init__(self, file: MemoryFile | None) -> None:
        self._file = file
        self._events: list[MemoryEvent] = file.read() if file is not None else []
        self._preferences: list[Preference] | None = None
        """What the log says; None after a new entry, until somebody asks."""

    @property
    def learns(self) -> bool:
        """Whether there is a memory to learn into."""
        return self._file is not None

    @property
    def edits(self) -> Sequence[Edit]:
        """The edits that count, oldest first."""
        return edits_of(self._events)

    def preferences(self) -> list[Preference]:
        """Return every preference that holds, by kind of recipient."""
        if self._preferences is None:
            self._preferences = learn_preferences(self.edits, revocations_of(self._events))
        return list(self._preferences)

    def preferences_for(self, kind: str) -> list[Preference]:
        """Return the preferences for a kind of recipient, with those that several kinds agree on."""
        return style_for(kind, self.preferences(), self.edits)

    def learn(self, record: DraftRecord, text: str) -> None:
        """Take in what the user made of a draft. What others said in its gaps is not kept.

        Raises:
            RunError: the memory cannot be written.
        """
        self._add(
            new_event(
                "edit", _masked(text), SOURCE, draft=_masked(record.draft), neutral=_masked(record.neutral),
                scope=f"mail to {record.kind}", recipient_kind=record.kind, recipient_name=record.name,
                recipient_title=record.title, draft_id=record.id,
            )
        )  # fmt: skip

    def revoke(self, preference: Preference) -> None:
        """Take a preference back: it needs new edits before it is used again.

        Raises:
            RunError: the memory cannot be written.
        """
        for kind in preference.shared_by or (preference.kind,):
            self._add(
                new_event(
                    "choice", f"{preference.feature}: {preference.value or 'none'}", SOURCE, slot=REVOKED, taken=False,
                    scope=f"mail to {kind}", recipient_kind=kind, feature=preference.feature, value=preference.value,
                )
            )  # fmt: skip

    def _add(self, event: MemoryEvent) -> None:
        if self._file is None:
            return
        self._file.append([event])
        self._events.append(event)
        self._preferences = None


def _masked(text: str) -> str:
    return GAP.sub("[→]", text)
