"""The desk: reads the mail, drafts what waits for an answer, and learns from what the user makes of the drafts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from telic.assistants.drafts.awaiting import FollowUp, OpenRequest, follow_ups, open_requests
from telic.assistants.drafts.compose import Draft, compose
from telic.assistants.drafts.config import DraftsConfig
from telic.assistants.drafts.draft_file import DraftRecord, text_digest
from telic.assistants.drafts.free_form import write_free_form
from telic.assistants.drafts.learning import Learner
from telic.assistants.drafts.letter import parse_letter
from telic.assistants.drafts.outbox import Outbox, Written, draft_id
from telic.assistants.drafts.preferences import Preference
from telic.assistants.drafts.recipients import Correspondents, Recipient
from telic.assistants.drafts.style import DEFAULT_STYLE, Style, usual_style
from telic.assistants.mail.imap import ImapAddress
from telic.assistants.mail.mailbox import read_mailbox
from telic.assistants.mail.message import MailMessage
from telic.assistants.mail.nature import Nature, nature_of
from telic.errors import ConfigError
from telic.models import Model

__all__ = ["DraftDesk", "PreparedDraft"]

_CLAIM = re.compile(
    r"\b(?:as|like) (?:you|we) (?:promised|agreed|said|confirmed|approved|discussed)\b"
    r"|\byou(?:'ve| have)? (?:already )?(?:promised|agreed|confirmed|approved)\b"
    r"|\bper (?:your|our) (?:agreement|approval|confirmation|promise)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class PreparedDraft:
    """A message that waits for an answer, and the draft for it."""

    request: OpenRequest
    recipient: Recipient
    draft: Draft
    neutral: str
    """The draft without preferences."""
    preferences: tuple[Preference, ...]
    warnings: tuple[str, ...]
    """What its reader should know before an answer."""

    @property
    def id(self) -> str:
        """The id of the draft."""
        return draft_id(self.request.message)


class DraftDesk:
    """Drafts answers to the mail of one user.

    Args:
        config: whose mail it is, and who is what to them.
        learner: what was learnt from edits.
        folder: what paths are relative to.
        mail: another mailbox than that of the settings.
        sent: another mailbox with the user's own mail.

    Raises:
        ConfigError: no mailbox is named.
        DataError: a mailbox cannot be read.
    """

    def __init__(
        self, config: DraftsConfig, learner: Learner, folder: Path, mail: str | None = None, sent: str | None = None
    ) -> None:
        self.config = config
        self.learner = learner
        self._folder = folder
        mailbox = mail or self._resolved(config.mailbox)
        if mailbox is None:
            raise ConfigError("no mailbox is named; set `mailbox` in the [drafts] table, or use --mail FILE")
        sent = sent or self._resolved(config.sent)
        received = read_mailbox(mailbox).messages
        written = read_mailbox(sent).messages if sent is not None else ()
        self.you = frozenset(config.you) or _own_address(received, written)
        own = (*written, *(one for one in received if not one.was_delivered))  # anybody may claim to be the user
        self.sent = tuple(one for one in own if one.sender.email in self.you)
        self.received = tuple(one for one in received if one.sender.email not in self.you)
        self.correspondents = Correspondents(self.received, self.sent, self.you, config.kinds)
        self._styles: dict[str, dict[str, str]] = {}

    def requests(self) -> list[OpenRequest]:
        """Return the messages that wait for an answer of the user, the latest first."""
        return open_requests([*self.received, *self.sent], self.you)

    def follow_ups(self, now: float) -> list[FollowUp]:
        """Return the messages of the user that wait for an answer of others."""
        return follow_ups([*self.received, *self.sent], self.you, now, self.config.follow_up_days)

    def left_out(self) -> Counter[Nature]:
        """Count the messages by kind that are never drafted for."""
        return Counter(
            nature for one in self.received if (nature := nature_of(one).nature) not in ("person", "machine")
        )

    def style(self, kind: str) -> Style:
        """Return how the user writes to a kind of recipient, measured from what they sent to such people.

        Where they sent too little, it is the neutral style: letters to friends say nothing about customers.
        The name under a letter is the one that they use for anybody.
        """
        if kind not in self._styles:
            texts: dict[str, list[str]] = {}
            for message in self.sent:
                for address in message.to[:1]:
                    texts.setdefault(self.correspondents.recipient(address).kind, []).append(message.text)
            everybody = usual_style([text for some in texts.values() for text in some])
            usual = usual_style(texts.get(kind, ()))
            usual.pop("person", None)  # in whose name a letter speaks is the user's to say, letter by letter
            name = self.config.name or everybody.get("name", "")
            self._styles[kind] = {**DEFAULT_STYLE, "name": name, **usual}
        return self._styles[kind]

    def prepare(self, request: OpenRequest, say: str = "", model: Model | None = None) -> PreparedDraft:
        """Draft an answer.

        Args:
            request: what is answered.
            say: what the user wants to say; empty: what only they know stays as gaps.
            model: writes the draft in its own words, if there is something to say.
        """
        signature = parse_letter(request.message.text).name
        recipient = self.correspondents.recipient(request.message.reply_address, signature)
        style = self.style(recipient.kind)
        preferences = tuple(self.learner.preferences_for(recipient.kind))
        wanted = {**style, **{one.feature: one.value for one in preferences}}
        warnings = _warnings(request, self.sent)
        free: Draft | None = None
        problems: list[str] = []
        if model is not None:
            free, problems = write_free_form(model, request.message, say, wanted, recipient)
        neutral = compose(request.items, say, style, recipient)
        draft = replace(free or compose(request.items, say, wanted, recipient), say=say)
        if model is not None and free is None and say:
            warnings += [f"the model's draft was not used: {problems[0]}" if problems else "the model wrote nothing"]
        elif free is not None:
            warnings += [f"left out of the model's draft, because nobody said it: {one}" for one in problems]
        return PreparedDraft(request, recipient, draft, neutral.text, preferences, tuple(warnings))

    def outbox(self, folder: str | None = None, user: str = "me") -> Outbox:
        """Return the folder of the drafts of a user."""
        place = Path(folder) if folder else self._path(self.config.output)
        return Outbox(place, self.config.format, next(iter(sorted(self.config.you or self.you)), ""), user)

    def put(self, outbox: Outbox, prepared: PreparedDraft) -> tuple[Written, DraftRecord]:
        """Write a draft into its folder, unless the user changed or deleted it there."""
        draft = prepared.draft
        return outbox.put(prepared.request.message, prepared.recipient, draft.text, prepared.neutral, draft.say)

    def deliver(self, outbox: Outbox, records: Sequence[DraftRecord]) -> int:
        """Copy drafts to where the settings say, each once, as they are in the folder now; returns how many."""
        from telic.assistants.drafts.deliver import append_drafts

        target = self.config.deliver
        if target is None:
            return 0
        messages = {one.id: one for one in self.received}
        waiting = [one for one in records if not one.delivered and one.message in messages]
        target = target if ImapAddress.matches(target) else str(self._path(target))
        mails = [outbox.mail(one, messages[one.message]) for one in waiting]
        count = append_drafts(target, mails)
        for record in waiting:
            outbox.update(replace(record, delivered=True))
        return count

    def learn(self, outbox: Outbox, folder: Path | None = None) -> int:
        """Learn from drafts that the user edited in a folder, or that they sent in another form; returns how many."""
        count = 0
        for record, text in outbox.edited(folder):
            self._learn(outbox, record, text)
            count += 1
        answers = {one.in_reply_to: one.text for one in self.sent if one.in_reply_to}
        for record in list(outbox.records.values()):
            text = answers.get(record.message, "")
            if text.strip() and not record.learnt:
                self._learn(outbox, record, text)
                count += 1
        return count

    def _learn(self, outbox: Outbox, record: DraftRecord, text: str) -> None:
        self.learner.learn(record, text)
        outbox.update(replace(record, learnt=text_digest(text)))

    def _resolved(self, source: str | None) -> str | None:
        if source is None or ImapAddress.matches(source):
            return source
        return str(self._path(source))

    def _path(self, path: str) -> Path:
        return self._folder / Path(path).expanduser()


def _own_address(received: Sequence[MailMessage], sent: Sequence[MailMessage]) -> frozenset[str]:
    """Return whose mail it is: who sent most of the sent mail, or else who received most."""
    found = Counter(one.sender.email for one in sent if one.sender.email)
    if not found:
        found = Counter(address.email for one in received for address in one.to if address.email)
    return frozenset(name for name, _ in found.most_common(1))


def _warnings(request: OpenRequest, sent: Sequence[MailMessage]) -> list[str]:
    message = request.message
    found = [problem for problem in message.problems if "hidden" in problem]
    if message.redirects_replies:
        others = ", ".join(one.email for one in message.reply_to if one.email)
        found.append(f"it asks to reply to {others}; the draft goes to its sender {message.sender.email}")
    if _CLAIM.search(f"{message.text}\n{message.quoted}"):
        known = any(message.sender.email in {one.email for one in mail.recipients} for mail in sent)
        where = "read what you wrote" if known else "no mail of yours to its sender is in the mailbox"
        found.append(f"it says that you promised or agreed to something; {where}")
    return found
