"""A deterministic editor with latent preferences by kind of recipient, and ways to learn them (arXiv 2404.15269).

The editor writes each letter as it should be: the same content in its own style for that kind of recipient. It shares no
code with what is measured. The cost of a draft is its word-level distance to that letter. Every second letter gets a
sentence that nobody could foresee, so that no arm is free.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from telic.assistants.drafts import compose, edit_distance
from telic.assistants.drafts.letter import parse_letter
from telic.assistants.drafts.preferences import Edit, Preference, learn_preferences, style_for
from telic.assistants.drafts.recipients import Correspondents, Recipient
from telic.assistants.drafts.style import DEFAULT_STYLE, style_features
from telic.assistants.mail import MailMessage
from telic.memory.words import content_stems
from telic.statistics import bootstrap_mean

Style: TypeAlias = Mapping[str, str]

LATENT: dict[str, tuple[str, ...]] = {
    "greeting": ("Dear {full},", "Hi {first},", "Hey {first}!", "Good morning {first},", ""),
    "opening": ("", "Thanks for reaching out.", "Great to hear from you.", "Thank you for your message."),
    "bullets": ("yes", "no"),
    "person": ("I", "we"),
    "contractions": ("yes", "no"),
    "ending": ("", "Let me know if you have any questions.", "Looking forward to your thoughts.", "Have a great day."),
    "emoji": ("", "🙂", "🚀"),
    "closing": ("Kind regards,", "Cheers,", "Best,", "Thanks,", "Yours sincerely,"),
}
"""The eight latent preferences, and the values that are drawn for each kind of recipient."""
NAME = "Sam Miller"
ANSWERS = (
    "I will send the numbers on Friday.", "I am checking this with the team.", "I have read the report.",
    "I do not have the results yet.", "The second option is better for us.", "It is on my list for this week.",
    "I cannot join the call on Monday.", "My notes are in the shared folder.", "We are still waiting for the logs.",
    "I would like to see the data first.", "The build is green again.", "I did not find the attachment.",
)  # fmt: skip
UNFORESEEN = (
    "Please keep this between us for now.", "The old numbers were wrong by the way.", "Alex knows more about the details.",
    "Budget is tight this quarter though.", "The rest has to wait until June.", "Copy me on the next round please.",
)  # fmt: skip
BOSSES = ("lisa.su@", "forrest.norrod@", "mark.papermaster@", "victor.peng@", "jean.hu@")
NEAREST = 5
"""Past contexts that CIPHER looks at."""


@dataclass(frozen=True)
class Task:
    """One draft to write: the mail, what its author wants to say, and the letter as it should be."""

    mail: MailMessage
    recipient: Recipient
    say: str
    ideal: str


def compare_learning(
    mails: Sequence[MailMessage], rows: Sequence[Mapping[str, Any]], *, seeds: int, drafts: int = 200
) -> dict[str, Any]:
    """Compare the cumulative cost of `drafts` drafts in five arms, over several seeds."""
    people = [
        (mail, row)
        for mail, row in zip(mails, rows, strict=True)
        if row["category"] != "PROMOTIONAL" and mail.sender.email
    ]
    kinds: dict[str, set[str]] = {"boss": set(), "friend": set(), "family": set()}
    for mail, row in people:
        if row["category"] == "PERSONAL":
            kinds[
                "family"
                if re.search(r"family|mom|reunion|pickup|sister", mail.subject + mail.sender.email, re.I)
                else "friend"
            ].add(mail.sender.email)
        elif mail.sender.email.startswith(BOSSES):
            kinds["boss"].add(mail.sender.email)
    known = Correspondents([], [], {to.email for mail, _ in people for to in mail.to[:1] if to.email.endswith("@amd.com")},
                           {kind: tuple(sorted(emails)) for kind, emails in kinds.items()})  # fmt: skip
    recipients = [known.recipient(mail.sender) for mail, _ in people]
    arms: dict[str, Callable[[list[Task], Mapping[str, Style]], list[int]]] = {
        "none": _none, "global": _global, "cipher": _cipher, "telic": _telic, "oracle": _oracle,
    }  # fmt: skip
    totals: dict[str, list[float]] = {name: [] for name in arms}
    late: dict[str, list[float]] = {name: [] for name in arms}
    for seed in range(seeds):
        draw = random.Random(seed)
        latent = {
            kind: {name: draw.choice(values) for name, values in LATENT.items()}
            for kind in sorted({one.kind for one in recipients})
        }
        tasks = [
            _task(draw, *draw.choice(list(zip([mail for mail, _ in people], recipients, strict=True))), latent)
            for _ in range(drafts)
        ]
        for name, arm in arms.items():
            costs = arm(tasks, latent)
            totals[name].append(float(sum(costs)))
            late[name].append(float(sum(costs[drafts // 2 :])))
    ratio = {
        f"telic/{other}": str(bootstrap_mean([a / b for a, b in zip(totals["telic"], totals[other], strict=True)]))
        for other in arms
        if other != "telic"
    }
    ratio["telic/oracle, second half"] = str(
        bootstrap_mean([a / b for a, b in zip(late["telic"], late["oracle"], strict=True)])
    )
    return {
        "drafts": drafts, "seeds": seeds, "kinds": dict(Counter(one.kind for one in recipients)),
        "words_edited": {name: str(bootstrap_mean(values)) for name, values in totals.items()}, "ratio": ratio,
    }  # fmt: skip


def _task(draw: random.Random, mail: MailMessage, recipient: Recipient, latent: Mapping[str, Style]) -> Task:
    said = draw.sample(ANSWERS, draw.choice((2, 3)))
    added = draw.choice(UNFORESEEN) if draw.random() < 0.5 else ""
    return Task(
        mail,
        recipient,
        " ".join(said),
        ideal_letter([*said, *filter(None, [added])], latent[recipient.kind], recipient),
    )


def ideal_letter(sentences: Sequence[str], style: Style, recipient: Recipient) -> str:
    """Write a letter as the editor wants it."""
    body = [_in_person(_contraction(one, style["contractions"]), style["person"]) for one in sentences]
    full = " ".join(recipient.words)
    greeting = style["greeting"].format(first=recipient.first, full=full).replace(" ,", ",").replace(" !", "!")
    opening, ending = (
        _in_person(_contraction(style[part], style["contractions"]), style["person"]) for part in ("opening", "ending")
    )
    last = [f"{text} {style['emoji']}".strip() for text in ([ending] if ending else body[-1:])]
    lines = [*body] if ending else [*body[:-1], *last]
    points = "\n".join(f"- {line}" for line in lines) if style["bullets"] == "yes" else " ".join(lines)
    parts = [greeting, opening, points, *(last if ending else []), f"{style['closing']}\n{NAME}"]
    return "\n\n".join(filter(None, parts)) + "\n"


def _contraction(text: str, wanted: str) -> str:
    pairs = (("I will", "I'll"), ("I am", "I'm"), ("do not", "don't"), ("did not", "didn't"), ("cannot", "can't"), ("It is", "It's"),
             ("We are", "We're"), ("I would", "I'd"), ("I have read", "I've read"))  # fmt: skip
    for full, short in pairs if wanted == "yes" else ():
        text = text.replace(full, short)
    return text


def _in_person(text: str, person: str) -> str:
    pairs = (("I'm", "We're"), ("I am", "We are"), ("I'll", "We'll"), ("I'd", "We'd"), ("I've", "We've"), ("I ", "We "), ("My ", "Our "),
             (" my ", " our "), (" me ", " us "), ("me know", "us know"))  # fmt: skip
    back = (("We're", "I'm"), ("We are", "I am"), (" for us.", " for me."))
    for old, new in pairs if person == "we" else back:
        text = re.sub(rf"(?<!\w){re.escape(old)}", new, text)
    return text


def _none(tasks: list[Task], _latent: Mapping[str, Style]) -> list[int]:
    return [_cost(task, {}) for task in tasks]


def _oracle(tasks: list[Task], latent: Mapping[str, Style]) -> list[int]:
    return [_cost(task, latent[task.recipient.kind]) for task in tasks]


def _telic(tasks: list[Task], _latent: Mapping[str, Style]) -> list[int]:
    return _learning(tasks, lambda recipient: recipient)


def _global(tasks: list[Task], _latent: Mapping[str, Style]) -> list[int]:
    return _learning(tasks, lambda recipient: replace(recipient, kind="everybody"))


def _learning(tasks: list[Task], context: Callable[[Recipient], Recipient]) -> list[int]:
    edits: dict[str, list[Edit]] = {}
    learnt: dict[str, list[Preference]] = {}
    costs = []
    for number, task in enumerate(tasks):
        recipient = context(task.recipient)
        every = [edit for some in edits.values() for edit in some]
        used = style_for(recipient.kind, [one for some in learnt.values() for one in some], every)
        costs.append(_cost(task, {one.feature: one.value for one in used}))
        if costs[-1]:
            own = edits.setdefault(recipient.kind, [])
            own.append(Edit(str(number), float(number), recipient, _draft(task, {}), task.ideal))
            learnt[recipient.kind] = learn_preferences(own)  # kinds do not depend on each other
    return costs


def _cipher(tasks: list[Task], _latent: Mapping[str, Style]) -> list[int]:
    """Retrieve the nearest past mails, and take what most of their edits show, unverified."""
    vectors = _tf_idf([f"{task.mail.sender.email} {task.mail.subject} {task.mail.text}" for task in tasks])
    shown: list[tuple[int, dict[str, str]]] = []
    costs = []
    for number, task in enumerate(tasks):
        near = sorted(shown, key=lambda one: -float(vectors[one[0]] @ vectors[number]))[:NEAREST]
        style = {}
        for feature in (*LATENT, "name"):
            values = Counter(one[feature] for _, one in near if feature in one)
            if values:
                style[feature] = values.most_common(1)[0][0]
        costs.append(_cost(task, style))
        if costs[-1]:
            shown.append((number, style_features(parse_letter(task.ideal), task.recipient)))
    return costs


def _tf_idf(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    counts = [Counter(content_stems(text.replace("@", " "))) for text in texts]
    terms = {term: index for index, term in enumerate(sorted(set().union(*counts)))}
    matrix = np.zeros((len(texts), len(terms)))
    for row, count in enumerate(counts):
        for term, times in count.items():
            matrix[row, terms[term]] = 1 + np.log(times)
    matrix *= np.log(len(texts) / np.count_nonzero(matrix, axis=0))
    unit: np.ndarray[Any, Any] = matrix / np.maximum(1e-9, np.linalg.norm(matrix, axis=1, keepdims=True))
    return unit


def _draft(task: Task, style: Style) -> str:
    return compose((), task.say, {**DEFAULT_STYLE, "name": NAME, **style}, task.recipient).text


def _cost(task: Task, style: Style) -> int:
    return edit_distance(_draft(task, style), task.ideal)
