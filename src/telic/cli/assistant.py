"""`telic assistant`: applications for one user, such as the morning digest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from telic.cli.assistant_digest import CheckSources, MakeDigest
from telic.cli.assistant_drafts import DraftMail

__all__ = ["Assistant"]


@tyro.conf.configure(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes)
@dataclass
class Assistant:
    """Make a morning digest of feeds, mail and notes, and draft answers to mail; both learn from what you do.

    Examples:
        telic assistant digest news.toml
        telic assistant drafts mail.toml
    """

    action: (
        Annotated[MakeDigest, tyro.conf.subcommand("digest")]
        | Annotated[CheckSources, tyro.conf.subcommand("sources")]
        | Annotated[DraftMail, tyro.conf.subcommand("drafts")]
    )
    """What to do."""

    def run(self) -> None:
        """Run the action."""
        self.action.run()
