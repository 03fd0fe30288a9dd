"""E-mail drafts: what waits for an answer, a draft in the user's style, and what is learnt from the user's edits."""

from __future__ import annotations

from telic.assistants.drafts.actions import ActionItem, action_items
from telic.assistants.drafts.awaiting import FollowUp, OpenRequest, follow_ups, open_requests
from telic.assistants.drafts.compose import Draft, compose
from telic.assistants.drafts.config import DraftsConfig
from telic.assistants.drafts.desk import DraftDesk, PreparedDraft
from telic.assistants.drafts.draft_file import DraftRecord
from telic.assistants.drafts.learning import Learner
from telic.assistants.drafts.outbox import Outbox
from telic.assistants.drafts.preferences import Preference, edit_distance

__all__ = [
    "ActionItem",
    "Draft",
    "DraftDesk",
    "DraftRecord",
    "DraftsConfig",
    "FollowUp",
    "Learner",
    "OpenRequest",
    "Outbox",
    "Preference",
    "PreparedDraft",
    "action_items",
    "compose",
    "edit_distance",
    "follow_ups",
    "open_requests",
]
