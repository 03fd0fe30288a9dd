"""Fit the two small models of the mail assistant: which sentences ask, and which of a draft are invented.

    python -m tools.train_mail requests          # writes src/telic/data/mail/requests.json
    python -m tools.train_mail inventions        # writes src/telic/data/mail/inventions.json
    python -m tools.train_mail requests --cross  # fits on each author without another, and reports on that one

Logistic regression with an L2 penalty, by L-BFGS: convex, so that there is no seed. A sentence asks if it shares half
of a labelled span. Cues that fewer than three sentences have are left out.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from benchmarks.requests import labelled_spans, read_lines, same
from telic.assistants.drafts.clauses import clause_spans, unwrapped
from telic.assistants.drafts.cues import clause_cues, mail_cues
from telic.assistants.drafts.invented import signs_of
from telic.assistants.drafts.linear import LinearModel
from telic.assistants.mail import MailMessage
from telic.assistants.mail.nature import nature_of

ROOT = Path(__file__).parent.parent
DATA = ROOT / "benchmarks" / "data"
LEAST = 3
"""Sentences that have to have a cue."""
OTHERS = 2.0
"""Weight of a sentence by an author who did not see the cues, against one by the author of the cues."""
SETTINGS = {"requests": (1.5, 0.33), "inventions": (1.5, 0.3)}
"""By model: the strength of the penalty, and the threshold. Both were chosen by how authors predict each other."""

Examples = list[tuple[dict[str, float], bool]]


def request_examples(name: str) -> Examples:
    """Return the cues of each sentence of a set of mails, and whether it asks for something."""
    found: Examples = []
    for row in read_lines(DATA / f"mails_{name}.jsonl"):
        flat = unwrapped(row["body"])
        spans = list(clause_spans(flat))
        clauses = [flat[start:end] for start, end in spans]
        asked = labelled_spans(row)
        of_mail = mail_cues(flat, row["subject"])
        for index, span in enumerate(spans):
            found.append((clause_cues(clauses, index, of_mail), any(same(span, one) for one in asked)))
    return found


def mailbox_examples(path: Path, mailbox: str) -> Examples:
    """Return the sentences of a mailbox of GAIA's fixtures whose mails need no answer: none of them asks."""
    found: Examples = []
    for row in read_lines(path):
        message = MailMessage("1", subject=row["subject"], text=row["body"])
        if (
            row["mailbox_persona"] != mailbox
            or row["suggestedAction"] == "reply"
            or nature_of(message).nature == "bulk"
        ):
            continue
        flat = unwrapped(row["body"])
        clauses = [flat[start:end] for start, end in clause_spans(flat)]
        of_mail = mail_cues(flat, row["subject"])
        found += [(clause_cues(clauses, index, of_mail), False) for index in range(len(clauses))]
    return found


def invention_examples(name: str) -> Examples:
    """Return the signs of each draft sentence, and whether it is invented."""
    rows = read_lines(DATA / f"drafts_{name}.jsonl")
    return [(signs_of(row["sentence"], row["incoming"], row["notes"]), row["invented"]) for row in rows]


def fit(sets: Sequence[tuple[Examples, float]], penalty: float, threshold: float) -> LinearModel:
    """Fit a model to examples, each set with a weight."""
    rows = [(features, label, weight) for examples, weight in sets for features, label in examples]
    counts = Counter(name for features, _, _ in rows for name in features)
    names = sorted(name for name, count in counts.items() if count >= LEAST)
    place = {name: index for index, name in enumerate(names)}
    table = np.zeros((len(rows), len(names)))
    for number, (features, _, _) in enumerate(rows):
        for name, value in features.items():
            if name in place:
                table[number, place[name]] = value
    label = np.array([float(one) for _, one, _ in rows])
    weight = np.array([one for _, _, one in rows])

    def loss(values: Any) -> tuple[float, Any]:
        total = table @ values[:-1] + values[-1]
        cost = (weight * (np.logaddexp(0, total) - label * total)).sum() + 0.5 * penalty * (values[:-1] ** 2).sum()
        slope = weight * (1 / (1 + np.exp(-total)) - label)
        return float(cost), np.append(table.T @ slope + penalty * values[:-1], slope.sum())

    best = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
    weights = {name: round(float(value), 3) for name, value in zip(names, best[:-1], strict=True)}
    return LinearModel({name: value for name, value in weights.items() if value}, round(float(best[-1]), 3), threshold)


def model_of(kind: str, left_out: str = "", inbox: Path | None = None) -> LinearModel:
    """Fit the model of a kind on all authors but one."""
    examples = request_examples if kind == "requests" else invention_examples
    sets = [(examples(name), OTHERS) for name in ("a", "b") if name != left_out]
    sets.append((examples("rules"), 1.0))
    if kind == "requests" and inbox is not None:
        sets.append((mailbox_examples(inbox, "amd_developer"), 1.0))
    return fit(sets, *SETTINGS[kind])


def as_json(kind: str, model: LinearModel) -> str:
    """Write a model as a file."""
    data: Mapping[str, Any] = {
        "what": f"Weights of a logistic model: {kind}. Written by tools/train_mail.py.",
        "threshold": model.threshold,
        "bias": model.bias,
        "weights": dict(sorted(model.weights.items(), key=lambda one: -abs(one[1]))),
    }
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Fit, and write or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=sorted(SETTINGS))
    parser.add_argument(
        "--cross", action="store_true", help="report how each author's sentences are judged without them"
    )
    parser.add_argument("--inbox", type=Path, help="inbox.jsonl of GAIA's fixtures: further sentences that ask nothing")
    options = parser.parse_args()
    if not options.cross:
        target = ROOT / "src" / "telic" / "data" / "mail" / f"{options.kind}.json"
        target.write_text(as_json(options.kind, model_of(options.kind, inbox=options.inbox)), encoding="utf-8")
        return
    from benchmarks.requests import score_drafts, score_mails

    for name in ("a", "b"):
        model = model_of(options.kind, left_out=name, inbox=options.inbox)
        score = score_mails if options.kind == "requests" else score_drafts
        rows = read_lines(DATA / f"{'mails' if options.kind == 'requests' else 'drafts'}_{name}.jsonl")
        print(f"fitted without {name}, on {name}:", json.dumps(score(rows, model)))


if __name__ == "__main__":
    main()
