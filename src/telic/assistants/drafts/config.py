"""The table `[drafts]` of a purpose file: whose mail it is, where drafts go, and who is what to the user."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from telic.assistants.mail.addresses import parse_addresses
from telic.purpose import Purpose
from telic.settings import Settings

__all__ = ["KINDS", "DraftsConfig"]

KINDS = ("boss", "colleague", "customer", "friend", "family", "service", "other")
"""The kinds of recipients that are inferred; the table `kinds` may name others."""


def _address(text: str) -> str:
    found = parse_addresses(text)
    if len(found) != 1 or not found[0].email:
        raise ValueError("an e-mail address")
    return found[0].email


def _kind(text: str) -> str:
    name = " ".join(text.split()).casefold()
    if not name or len(name) > 40 or any(not (char.isalnum() or char in " -") for char in name):
        raise ValueError("a name of letters, digits and spaces, at most 40 characters")
    return name


Kind = Annotated[str, AfterValidator(_kind)]
EmailAddress = Annotated[str, AfterValidator(_address)]


class DraftsConfig(Settings):
    """Settings of the drafts."""

    you: tuple[EmailAddress, ...] = ()
    """Your own addresses. Without any, the sender of the mail in `sent` is you."""
    name: str = ""
    """How you sign, where your sent mail does not show it."""
    mailbox: str | None = None
    """Mail that you received: an mbox, a Maildir, a folder of .eml files, or imaps://USER@HOST/INBOX. Paths are
    relative to the folder of the purpose file."""
    sent: str | None = None
    """Mail that you sent, in the same forms: from it your voice is measured, and what is answered already."""
    output: str = "drafts"
    """The folder of the drafts, one file each."""
    format: Literal["eml", "md"] = "eml"
    """`eml`: files that mail programs open as drafts. `md`: plain text with a few headers."""
    deliver: str | None = None
    """Where finished drafts are copied to, each once: an mbox file, or a folder on a server such as
    imaps://USER@HOST/Drafts. Nothing is ever sent."""
    kinds: dict[Kind, tuple[str, ...]] = Field(default_factory=dict)
    """Who is what to you: `boss = ["lee@acme.io"]`, `customer = ["@bigco.example"]`. What is not listed is inferred."""
    write: Literal["rules", "model"] = "rules"
    """`rules`: drafts from your words, in your style; needs no model. `model`: the model of the purpose writes them,
    and a draft that says what nobody said is replaced by one of rules."""
    follow_up_days: Annotated[float, Field(ge=0, le=365)] = 3.0
    """Days without an answer after which a message of yours is listed."""
    newest: Annotated[int, Field(ge=1, le=1000)] = 50
    """Most drafts of one run: for the latest messages."""

    @classmethod
    def of_purpose(cls, purpose: Purpose) -> DraftsConfig | None:
        """Read the settings of a purpose file; None if it has no table `[drafts]`.

        Raises:
            ConfigError: a setting is invalid; the message names its line.
        """
        return purpose.settings_of("drafts", cls)
