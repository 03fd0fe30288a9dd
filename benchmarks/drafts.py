"""E-mail drafts: what is learnt from edits, what a draft says, and what waits for an answer.

    python -m benchmarks.drafts --data FOLDER               # FOLDER has the mail fixtures of GAIA (MIT)
    python -m benchmarks.drafts --data FOLDER --model NAME  # the labelled drafting cases by a model, too

The last line is JSON. Only `--model` asks a model.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rapidfuzz import fuzz

from benchmarks.drafts_editor import compare_learning
from telic.assistants.drafts import action_items, compose, follow_ups
from telic.assistants.drafts.free_form import write_free_form
from telic.assistants.drafts.recipients import Correspondents
from telic.assistants.drafts.style import DEFAULT_STYLE, usual_style
from telic.assistants.mail import Address, MailMessage
from telic.assistants.mail.addresses import parse_addresses
from telic.assistants.mail.nature import nature_of
from telic.assistants.mail.quotes import split_quoted

ME = Address("Sam", "sam@acme.io")
TUNED_ON = "amd_developer"
"""The mailbox that the rules were written on; the other two report."""
SAME = 50
"""Fuzzy score (0 to 100, rapidfuzz's token set ratio) from which an action item is the labelled one."""
DAY = 86400.0

RUBRIC: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "draft-001": ((r"3 ?pm Thursday|Thursday.{0,12}3 ?pm", r"onboarding.{0,30}tomorrow|tomorrow.{0,40}onboarding"), (r"\btoday\b", r"Friday|Monday|Rachel")),
    "draft-002": ((r"marked revision.{0,30}Thursday", r"cannot (?:yet )?agree|cannot (?:yet )?accept", r"compliance"), (r"\b(?:we|I) (?:accept|agree to)\b", r"\bn't\b", r"by (?:Monday|Friday)")),
    "draft-003": ((r"accept|happy to|glad to", r"June 27"), (r"\bdecline\b", r"solid|interesting|well[- ]written")),
    "draft-004": ((r"cache invalidation", r"\bPR\b", r"2\.4.{0,30}backport|backport.{0,30}2\.4"), (r"backport.{0,40}\b(?:by|on) (?:Mon|Tue|Wed|Thu|Fri|\d)", r"database|network")),
    "draft-005": ((r"decline|have to pass|can't|cannot", r"no budget|budget", r"next quarter"), (r"\b(?:happy|glad) to (?:meet|join|see)", r"\d+ ?%")),
    "draft-006": ((r"board (?:has )?approved", r"courier", r"Monday.{0,12}2:00"), (r"Tuesday|Wednesday", r"\bfees?\b")),
    "draft-007": ((r"write the (?:reference )?letter|write it", r"\bCV\b", r"June 10"), (r"\b(?:unfortunately|decline)\b", r"June 15|excellent student")),
    "draft-008": ((r"hold", r"full week|week of", r"18 ?%"), (r"\bship it\b", r"\b(?!18\b)\d\d ?%")),
    "draft-009": ((r"11,900", r"12,400", r"corrected invoice"), (r"\bwill pay\b(?!.*corrected)", r"12,900|11,400")),
}  # fmt: skip
"""The fixtures' rubric as patterns: what a draft must say, and must not say."""


def main() -> None:
    """Run all parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with inbox.jsonl, drafting.json and others")
    parser.add_argument("--model", help="a model that writes the labelled cases, too")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    inbox = [json.loads(line) for line in (options.data / "inbox.jsonl").read_text(encoding="utf-8").splitlines()]
    result: dict[str, Any] = {
        "needs_answer_tuned_on": needs_answer(inbox, {TUNED_ON}),
        "needs_answer": needs_answer(inbox, {row["mailbox_persona"] for row in inbox} - {TUNED_ON}),
        "action_items": score_actions(_cases(options.data / "action_items.json")),
        "follow_ups": score_follow_ups(_cases(options.data / "followups.json")),
        "cases_by_rules": score_cases(_cases(options.data / "drafting.json"), None),
    }
    if options.model:
        result["cases_by_model"] = score_cases(_cases(options.data / "drafting.json"), options.model)
    result["learning"] = compare_learning([message_of(row) for row in inbox], inbox, seeds=options.seeds)
    for name, part in result.items():
        print(name, json.dumps(part, indent=1))
    print(json.dumps(result))


def message_of(row: Mapping[str, Any]) -> MailMessage:
    """Make a message of a row of the inbox."""
    own, quoted = split_quoted(row["body"])
    sender = (parse_addresses(row["sender"]) or (Address("", ""),))[0]
    to = tuple(Address("", one) for one in row["to"])
    return MailMessage(row["id"], sender, to, subject=row["subject"], text=own, quoted=quoted)


def needs_answer(inbox: Sequence[Mapping[str, Any]], personas: set[str]) -> dict[str, Any]:
    """Which mails ask for an answer, against the fixtures' `suggestedAction`."""
    truth, found = [], []
    for row in inbox:
        if row["mailbox_persona"] in personas:
            message = message_of(row)
            kind = nature_of(message).nature
            truth.append(row["suggestedAction"] == "reply")
            found.append(kind in ("person", "machine") and bool(action_items(message.text, message.subject)))
    return _precision_recall(truth, found)


def score_actions(cases: Mapping[str, Any]) -> dict[str, Any]:
    """Action items against the labels, matched once each by their words."""
    hits = found = wanted = dues = 0
    for case in cases.values():
        mail = case["email"]
        message = MailMessage("1", parse_addresses(mail["from"])[0], subject=mail["subject"], text=mail["body"])
        items = (
            action_items(mail["body"], mail["subject"]) if nature_of(message).nature in ("person", "machine") else []
        )
        left = list(items)
        found += len(items)
        for label in case["expected_action_items"]:
            wanted += 1
            scores = [
                fuzz.token_set_ratio(f"{mail['subject']} {one.text}".lower(), label["description"].lower())
                for one in left
            ]
            if scores and max(scores) >= SAME:
                item = left.pop(scores.index(max(scores)))
                hits += 1
                stated = set(re.findall(r"\w+", label.get("due_hint", "").lower())) - {"before", "by"}
                dues += stated <= set(re.findall(r"\w+", item.due.lower()))
    return {
        "cases": len(cases), "labelled": wanted, "found": found, "precision": hits / max(1, found),
        "recall": hits / max(1, wanted), "due_right": dues / max(1, hits),
    }  # fmt: skip


def score_follow_ups(cases: Mapping[str, Any], now: float = 1e9) -> dict[str, Any]:
    """Which sent threads wait for an answer, against the labels."""
    truth, found = [], []
    for name, case in cases.items():
        messages: list[MailMessage] = []
        for turn in case["thread"]:
            outbound = turn["direction"] == "outbound"
            other = parse_addresses(str(turn.get("to" if outbound else "from")))[0]
            messages.append(
                MailMessage(
                    f"{name}-{len(messages)}", ME if outbound else other, (other if outbound else ME,), subject=turn["subject"],
                    time=now - turn["age_days"] * DAY, text=turn["body"], references=tuple(one.id for one in messages),
                )
            )  # fmt: skip
        truth.append(bool(case["awaits_reply"]))
        found.append(bool(follow_ups(messages, {ME.email}, now)))
    return _precision_recall(truth, found)


def score_cases(cases: Mapping[str, Any], model_name: str | None) -> dict[str, Any]:
    """The labelled drafting cases: what a draft must and must not say, and whether it has the author's style."""
    model = None
    if model_name is not None:
        from telic.models import load

        model = load(model_name)
    must = must_not = style = n_must = n_must_not = refused = 0
    for name, case in cases.items():
        sender = parse_addresses(case["incoming"]["from"])[0]
        sent = [MailMessage(str(i), ME, (sender,), text=text) for i, text in enumerate(case["sent_history"])]
        recipient = Correspondents([], sent, {ME.email}, {}).recipient(sender)
        usual = {**DEFAULT_STYLE, **usual_style(case["sent_history"])}
        usual.pop("person", None)
        message = MailMessage("in", sender, (ME,), subject=case["incoming"]["subject"], text=case["incoming"]["body"])
        draft = compose((), case["reply_intent"], usual, recipient)
        if model is not None:
            written, _ = write_free_form(model, message, case["reply_intent"], usual, recipient)
            refused += written is None
            draft = written or draft
        wanted, banned = RUBRIC[name]
        n_must, n_must_not = n_must + len(wanted), n_must_not + len(banned)
        must += sum(re.search(pattern, draft.text, re.IGNORECASE | re.DOTALL) is not None for pattern in wanted)
        must_not += sum(re.search(pattern, draft.text, re.IGNORECASE) is not None for pattern in banned)
        first, last = case["sent_history"][0].split()[0], case["sent_history"][0].strip().split("\n")[-1]
        style += (draft.text.split()[0] == first or not usual["greeting"]) and draft.text.strip().endswith(last)
    result = {
        "cases": len(cases),
        "must_met": must / n_must,
        "n_must": n_must,
        "must_not_broken": must_not,
        "n_must_not": n_must_not,
        "style": style,
    }
    return {**result, "model_drafts_not_used": refused} if model is not None else result


def _precision_recall(truth: Sequence[bool], found: Sequence[bool]) -> dict[str, Any]:
    hits = sum(a and b for a, b in zip(truth, found, strict=True))
    return {
        "n": len(truth), "positive": sum(truth), "precision": hits / max(1, sum(found)), "recall": hits / max(1, sum(truth)),
    }  # fmt: skip


def _cases(path: Path) -> dict[str, Any]:
    cases = json.loads(path.read_text(encoding="utf-8"))
    return {name: case for name, case in cases.items() if name != "_meta"}


if __name__ == "__main__":
    main()
