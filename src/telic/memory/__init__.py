"""Memory: what a purpose remembers of its users, why it believes it, and how it forgets.

An append-only log of evidence is folded into a profile. `Memory` holds both for one user.
"""

from __future__ import annotations

from telic.memory.claims import Claim, ClaimScope, EvidenceSpan
from telic.memory.config import MemoryConfig
from telic.memory.control import MemoryControl
from telic.memory.events import MemoryEvent, parse_event
from telic.memory.file import MemoryFile
from telic.memory.local_memory import LocalMemory
from telic.memory.memory import FORGOTTEN, ForgetPlan, Memory, Reason, new_event
from telic.memory.notes import UserNotes
from telic.memory.profile import Fact, OpenQuestion, UserProfile

__all__ = [
    "FORGOTTEN",
    "Claim",
    "ClaimScope",
    "EvidenceSpan",
    "Fact",
    "ForgetPlan",
    "LocalMemory",
    "Memory",
    "MemoryConfig",
    "MemoryControl",
    "MemoryEvent",
    "MemoryFile",
    "OpenQuestion",
    "Reason",
    "UserNotes",
    "UserProfile",
    "new_event",
    "parse_event",
]
