"""Who somebody is to the user: the kind of recipient, and the name to greet them by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from telic.assistants.drafts.config import KINDS
from telic.assistants.mail.addresses import Address
from telic.assistants.mail.message import MailMessage

__all__ = ["Correspondents", "Recipient"]

_FREE_MAIL_NAMES = (
    "gmail.com googlemail.com yahoo.com hotmail.com outlook.com icloud.com gmx.net gmx.de aol.com proton.me protonmail.com "
    "web.de live.com me.com mail.com"
)
_FREE_MAIL = frozenset(_FREE_MAIL_NAMES.split())
_NAME = re.compile(r"[^\W\d_](?:[^\W\d_]|['’.-](?=[^\W\d_])){0,30}\.?")
_TITLES = frozenset({"dr", "prof", "mr", "mrs", "ms", "mx"})
_ROLES = (
    "accounts admin alerts billing boss bot calendar direct events forwarder hr info legal mail marketing news newsletter office ops orders people "
    "sales security service shipping support team the user"
)
_NO_NAMES = frozenset(_ROLES.split())
_FAMILIAR = re.compile(
    r"\A\W*(?:hi|hey|hello|dear)? ?(?:mum|mom|dad|granny|grandma|grandpa)\b|\b(?:love|xx+|hugs|kisses|miss you)[,.! ]*(?:\n\w+)?\s*\Z",
    re.IGNORECASE,
)
_LABEL_KINDS = {f"{kind}s": kind for kind in KINDS} | {kind: kind for kind in KINDS}
_LABEL_KINDS |= {
    "work": "colleague",
    "team": "colleague",
    "clients": "customer",
    "client": "customer",
    "manager": "boss",
}


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whom a draft is for."""

    address: Address
    kind: str
    """The context in which preferences hold: `boss`, `customer`."""
    reason: str = ""
    """Why they are of this kind."""
    title: str = ""
    """`Ms.` or another title by which the user has called them."""
    words: tuple[str, ...] = field(default=())
    """The parts of the name: letters only, so that no name is markup or a template token."""

    @property
    def first(self) -> str:
        """The first name; empty if there is none to be seen."""
        return self.words[0] if self.words else ""

    @property
    def last(self) -> str:
        """The last name; empty if there is only one."""
        return self.words[-1] if len(self.words) > 1 else ""


class Correspondents:
    """Everyone whom the user has to do with.

    Args:
        received: mail to the user: labels on it are the user's own.
        sent: mail of the user.
        you: the user's own addresses.
        kinds: who is what, as the user says: addresses, `@domain`, or patterns such as `*@*.example`.
    """

    def __init__(
        self,
        received: Iterable[MailMessage],
        sent: Iterable[MailMessage],
        you: Collection[str],
        kinds: Mapping[str, tuple[str, ...]],
    ) -> None:
        self._kinds = kinds
        self._domains = {one.rpartition("@")[2] for one in you} - _FREE_MAIL
        self._written: dict[str, list[str]] = {}
        for message in sent:
            for address in message.to:
                self._written.setdefault(address.email, []).append(message.text)
        self._labels: dict[str, Counter[str]] = {}
        for message in received:
            labels = f"{message.headers.get('x-gmail-labels', '')},{message.headers.get('x-keywords', '')}"
            for label in labels.lower().split(","):
                kind = _LABEL_KINDS.get(label.strip()) or (label.strip() if label.strip() in kinds else None)
                if kind:
                    self._labels.setdefault(message.sender.email, Counter())[kind] += 1

    def recipient(self, address: Address, signature: str = "") -> Recipient:
        """Return who somebody is. A display name alone proves nothing, so it never decides the kind.

        Args:
            address: theirs.
            signature: the name under their message, which counts where it is in the address too.
        """
        kind, reason = self._kind(address)
        words = _name_words(address)
        if not words and _NAME.fullmatch(signature) and signature.lower() in re.split(r"[._@-]", address.email):
            words = (signature,)
        return Recipient(address, kind, reason, self._title(address, words), words)

    def _kind(self, address: Address) -> tuple[str, str]:
        for kind, patterns in self._kinds.items():
            for pattern in patterns:
                wanted = pattern.lower().strip()
                if fnmatchcase(address.email, f"*{wanted}" if wanted.startswith("@") else wanted):
                    return kind, f"the purpose file lists {pattern}"
        if address.email in self._labels:
            kind = self._labels[address.email].most_common(1)[0][0]
            return kind, "you labelled their mail so"
        written = self._written.get(address.email, [])
        if any(_FAMILIAR.search(text.strip()) for text in written):
            return "family", "you write to them so"
        if address.domain in self._domains:
            return "colleague", f"they share your domain {address.domain}"
        if address.domain in _FREE_MAIL:
            return (
                ("friend", "a private address that you have written to") if written else ("other", "a private address")
            )
        return "customer", f"they write from the company {address.domain}"

    def _title(self, address: Address, words: tuple[str, ...]) -> str:
        """Return the title that the user has called somebody by; never one that they gave themselves."""
        if len(words) < 2:
            return ""
        called = re.compile(rf"\A\W*Dear ((?:Mr|Mrs|Ms|Mx|Dr|Prof)\b\.?) {re.escape(words[-1])}\b")
        for texts in (self._written.get(address.email, []), *self._written.values()):
            for text in texts:
                if match := called.match(text):
                    return match[1]
        return ""


def _name_words(address: Address) -> tuple[str, ...]:
    name = address.name
    if "," in name and name.count(",") == 1:  # "Kim, Dana"
        name = " ".join(reversed(name.split(",")))
    words = [word for word in name.split() if _NAME.fullmatch(word) and word.lower().strip(".") not in _TITLES]
    if not words or len(words) > 4 or len(words) < len(name.split()) - 1 or words[0].lower() in _NO_NAMES:
        local = re.split(r"[._-]", address.email.partition("@")[0])
        guess = [part.capitalize() for part in local if _NAME.fullmatch(part) and len(part) > 1]
        usable = len(guess) == 2 == len(local) and not name.strip() and guess[0].lower() not in _NO_NAMES
        words = guess if usable else []
    return tuple(words)
