"""`telic assistant drafts`: answers to mail, as drafts in the user's style."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from telic.cli.output import load_model, print_json, print_line, print_notice, print_table
from telic.cli.usage import UsageError
from telic.errors import ConfigError

if TYPE_CHECKING:
    from telic.assistants.drafts import (
        DraftDesk,
        DraftsConfig,
        FollowUp,
        Learner,
        OpenRequest,
        Outbox,
        Preference,
        PreparedDraft,
    )
    from telic.purpose import Purpose

__all__ = ["DraftMail"]

SHOWN = 70
"""Characters of a request that a table shows."""


@dataclass
class DraftMail:
    """Find the mail that waits for an answer, and draft the answers in your style. Nothing is ever sent.

    A draft says only what you told it to (`--say`); what only you know is left as a visible gap. Telic learns from your
    edits of the drafts, separately for each kind of recipient. An edited draft is never overwritten.

    Examples:
        telic assistant drafts mail.toml --mail inbox.mbox --sent sent.mbox
        telic assistant drafts mail.toml --only 2 --say "yes, Tuesday works"
        telic assistant drafts mail.toml --edit
        telic assistant drafts mail.toml --learn-from edited/
        telic assistant drafts mail.toml --preferences
        telic assistant drafts mail.toml --revoke 3
    """

    purpose: tyro.conf.Positional[str]
    """A purpose file with a [drafts] table."""
    mail: str | None = None
    """Mailbox with the mail that you received: an mbox, a Maildir, a folder of .eml files, or imaps://USER@HOST/INBOX
    with the password in TELIC_IMAP_PASSWORD. By default the purpose's `mailbox`."""
    sent: str | None = None
    """Mailbox with the mail that you sent. By default the purpose's `sent`."""
    only: tuple[str, ...] = ()
    """Draft only these messages: their numbers in the list, or the ids of their drafts."""
    say: str = ""
    """What you want to say, in your own words or as an instruction: "agree to Tuesday, and ask him for the slides"."""
    edit: bool = False
    """Open each new draft in the editor that VISUAL or EDITOR names, and learn from what you change."""
    learn_from: Path | None = None
    """A folder with drafts that you edited, under their original file names. Learn from them, and stop."""
    preferences: bool = False
    """Show the preferences learnt from your edits, and stop."""
    revoke: int | None = None
    """Number of a preference in `--preferences`. Forget it, and stop."""
    out: str | None = None
    """Folder of the drafts. By default the purpose's `output`."""
    user: str = "me"
    """Whose mail it is: the name that was given to `telic chat`."""
    runs: Path = Path("runs")
    """Folder of the memory."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Draft, learn, or show what was learnt."""
        from telic.assistants.drafts import DraftsConfig
        from telic.purpose import Purpose

        if self.say.strip() and len(self.only) != 1:
            raise UsageError("--say answers one message; name it with --only, such as: --only 2 --say 'yes'")
        purpose = Purpose.load(self.purpose)
        config = DraftsConfig.of_purpose(purpose)
        if config is None:
            raise ConfigError(
                f"{self.purpose} has no [drafts] table, so there is no mail to answer; see docs/drafts.md"
            )
        learner = self._learner(purpose)
        if self.preferences or self.revoke is not None:
            self._show_preferences(learner)
            return
        self._draft(purpose, config, learner)

    def _learner(self, purpose: Purpose) -> Learner:
        from telic.assistants.drafts import Learner
        from telic.memory import MemoryConfig, MemoryFile

        remembers = MemoryConfig.of_purpose(purpose) is not None
        return Learner(MemoryFile.of_user(self.runs / "memory", purpose.name, self.user) if remembers else None)

    def _show_preferences(self, learner: Learner) -> None:
        found = learner.preferences()
        if self.revoke is not None:
            if not found:
                raise UsageError(f"--revoke is {self.revoke}, but no preference is certain yet")
            if not 1 <= self.revoke <= len(found):
                raise UsageError(
                    f"--revoke is {self.revoke}; expected a number from 1 to {len(found)}, as --preferences lists them"
                )
            learner.revoke(found[self.revoke - 1])
            print_notice(f"Revoked: {_preference(found[self.revoke - 1])}. It comes back only after new edits.")
            found = learner.preferences()
        if self.json:
            print_json([one.as_dict() for one in found])
        elif found:
            rows = [_row(number, one) for number, one in enumerate(found, start=1)]
            print_table(("", "mail to", "feature", "you want", "words saved", "tried on", "edits that show it"), rows)
        else:
            print_notice(f"No preference is certain yet; {len(learner.edits)} edits are known.")

    def _draft(self, purpose: Purpose, config: DraftsConfig, learner: Learner) -> None:
        from telic.assistants.drafts import DraftDesk

        folder = purpose.file.resolve().parent if purpose.file else Path.cwd()
        desk = DraftDesk(config, learner, folder, self.mail, self.sent)
        outbox = desk.outbox(self.out, self.user)
        with outbox.locked():
            learnt = self._learn(desk, outbox, learner)
            if self.learn_from is not None:
                if self.json:
                    print_json({"learnt": learnt})
                return
            chosen = self._chosen(desk)
            model = load_model(purpose) if config.write == "model" and self.say.strip() else None
            prepared = {
                number: desk.prepare(one, self.say or outbox.said(one.message), model) for number, one in chosen.items()
            }
            rows = [{"number": number, **self._put(desk, outbox, one)} for number, one in prepared.items()]
            if self.edit:
                for row in rows:
                    if row["status"] != "discarded" and (row["status"] != "edited" or self.only):
                        self._edit(desk, outbox, row)
            added = desk.deliver(outbox, [outbox.records[row["id"]] for row in rows if row["status"] != "discarded"])
        self._print(desk, rows, added)

    def _learn(self, desk: DraftDesk, outbox: Outbox, learner: Learner) -> int:
        if not learner.learns:
            if self.learn_from is not None or self.edit:
                print_notice("The purpose has no [memory] table, so nothing is learnt from edits.")
            return 0
        if self.learn_from is not None and not self.learn_from.is_dir():
            raise UsageError(f"--learn-from is {str(self.learn_from)!r}; expected a folder")
        learnt = desk.learn(outbox, self.learn_from)
        if learnt or self.learn_from is not None:
            print_notice(f"Learnt from {learnt} edited draft{'s' if learnt != 1 else ''}.")
        return learnt

    def _chosen(self, desk: DraftDesk) -> dict[int, OpenRequest]:
        """Return what is drafted, by its number in the list of all."""
        from telic.assistants.drafts.outbox import draft_id

        requests = [one for one in desk.requests() if one.nature.nature == "person"][: desk.config.newest]
        numbered = dict(enumerate(requests, start=1))
        if not self.only:
            return numbered
        numbers = {str(number): number for number in numbered}
        numbers |= {draft_id(one.message): number for number, one in numbered.items()}
        unknown = [name for name in self.only if name not in numbers]
        if unknown and not requests:
            raise UsageError(f"--only is {unknown[0]!r}, but no message waits for an answer")
        if unknown:
            raise UsageError(f"--only is {unknown[0]!r}; expected a number from 1 to {len(requests)}, or a draft's id")
        return {numbers[name]: numbered[numbers[name]] for name in self.only}

    def _put(self, desk: DraftDesk, outbox: Outbox, prepared: PreparedDraft) -> dict[str, Any]:
        status, record = desk.put(outbox, prepared)
        message = prepared.request.message
        return {
            "id": record.id, "from": str(message.sender), "subject": message.subject, "kind": prepared.recipient.kind,
            "why_kind": prepared.recipient.reason, "status": status, "file": str(outbox.path(record)),
            "asks": [asdict(one) for one in prepared.request.items],
            "gaps": prepared.draft.gaps, "written_by": prepared.draft.written_by, "warnings": list(prepared.warnings),
            "preferences": [one.as_dict() for one in prepared.preferences], "draft": outbox.text(record) or "",
        }  # fmt: skip

    def _edit(self, desk: DraftDesk, outbox: Outbox, row: dict[str, Any]) -> None:
        from telic.assistants.drafts.editor import edit_text

        record = outbox.records[row["id"]]
        message = next(one for one in desk.received if one.id == record.message)
        before, draft = outbox.body(record), outbox.folder / f".edit-{record.id}.txt"
        after = edit_text(before, message, draft)
        if after.split() != before.split():
            outbox.replace_text(record, after)
            row["status"], row["draft"] = "edited", after
            if desk.learner.learns:
                desk.learn(outbox)
        draft.unlink(missing_ok=True)

    def _print(self, desk: DraftDesk, rows: list[dict[str, Any]], added: int) -> None:
        waiting = desk.follow_ups(time.time())
        tasks = [one for one in desk.requests() if one.nature.nature == "machine"]
        left_out = desk.left_out()
        if self.json:
            found = {"drafts": rows, "follow_ups": [_follow_up(one) for one in waiting], "left_out": dict(left_out)}
            todo = [{"from": str(one.message.sender), "asks": [asdict(item) for item in one.items]} for one in tasks]
            print_json({**found, "to_do": todo, "delivered": added})
            return
        if rows:
            columns = ("", "from", "kind", "asks", "until", "draft")
            print_table(columns, [_request_row(row) for row in rows])
        for row in rows:
            if self.say.strip() and row["status"] in ("edited", "discarded"):
                what = "changed" if row["status"] == "edited" else "deleted"
                print_line(f"--say was not used: you have {what} {row['file']}.", style="yellow")
            for warning in row["warnings"]:
                print_line(f"Careful with {row['from']}: {warning}.", style="yellow")
        for task in tasks:
            print_line(f"To do, no answer needed: {task.message.sender}: {_short(task.items[0].text)}")
        for one in waiting:
            automatic = " (only an automatic reply came)" if one.automatic else ""
            whom = ", ".join(map(str, one.message.to))
            print_line(f"No answer from {whom} for {one.days:.0f} days{automatic}: {_short(one.item.text)}")
        names = ", ".join(sorted(desk.you)) or "nobody"
        print_notice(f"Mail of {names}: {len(desk.received)} received, {len(desk.sent)} sent.")
        if left_out:
            print_notice("Left out: " + ", ".join(f"{count} {name}" for name, count in left_out.most_common()) + ".")
        copied = f" Copied to {desk.config.deliver}: {added}." if added else ""
        print_notice(
            f"The drafts are in {Path(rows[0]['file']).parent}.{copied}" if rows else "No message waits for an answer."
        )


def _request_row(row: dict[str, Any]) -> tuple[str, ...]:
    first, more = row["asks"][0], len(row["asks"]) - 1
    asks = _short(first["text"]) + (f" (and {more} more)" if more else "")
    return (str(row["number"]), row["from"], row["kind"], asks, first["due"], row["status"])


def _follow_up(one: FollowUp) -> dict[str, Any]:
    return {
        "to": [str(address) for address in one.message.to], "subject": one.message.subject, "days": round(one.days, 1),
        "asked": asdict(one.item), "only_automatic_reply": one.automatic,
    }  # fmt: skip


def _preference(one: Preference) -> str:
    return f"{one.feature} {one.value or 'none'!r} in mail to {one.kind}"


def _row(number: int, one: Preference) -> tuple[str, ...]:
    counts = (f"{one.saved:.1f}", str(one.tried), str(len(one.evidence)))
    return (str(number), one.kind, one.feature, one.value or "none", *counts)


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"
