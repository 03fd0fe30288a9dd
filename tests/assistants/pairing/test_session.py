"""A session with a person: what they decide is done, kept as feedback, and survives an interruption."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from telic.assistants.pairing.attempts import Attempt
from telic.assistants.pairing.findings import Findings
from telic.assistants.pairing.session import PairSession, PatchDecision, read_issue
from telic.assistants.pairing.texts import Question
from telic.errors import RunError, WorkspaceError
from telic.feedback import learn
from telic.feedback.labelling import LABEL
from telic.feedback.logs import LogFile
from telic.runs import RunFolder
from telic.workspaces import Workspace
from tests.assistants.pairing.conftest import ISSUE, PRICES, scripted

ACCEPT, LEAVE, REVERT = PatchDecision("accept"), PatchDecision("leave"), PatchDecision("revert")


class Author:
    """A person who decides as they are told; `KeyboardInterrupt` in place of a decision is Ctrl-C."""

    def __init__(self, *decisions: PatchDecision | type[KeyboardInterrupt], answer: str = "to even") -> None:
        self._decisions, self._answer = iter(decisions), answer
        self.asked: list[Question] = []
        self.shown: list[Attempt] = []
        self.problems: list[str] = []

    def see_findings(self, findings: Findings) -> None:
        assert findings.places

    def answer(self, question: Question) -> str:
        self.asked.append(question)
        if self._answer == "^C":
            raise KeyboardInterrupt
        return self._answer

    def see_attempt(self, attempt: Attempt) -> None:
        pass

    def decide(self, attempt: Attempt, stopped: str) -> PatchDecision:
        self.shown.append(attempt)
        decision = next(self._decisions)
        if isinstance(decision, PatchDecision):
            return decision
        raise decision

    def see_problem(self, problem: str) -> None:
        self.problems.append(problem)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.create(tmp_path / "runs", "pair", "issue", {}) as made:
        yield made


def session(workspace: Workspace, author: Author, run: RunFolder) -> PairSession:
    return PairSession(scripted(), workspace, ISSUE, author, run)


def test_an_accepted_patch_is_applied_and_kept_as_feedback(
    workspace: Workspace, repository: Path, run: RunFolder
) -> None:
    author = Author(ACCEPT)
    record = session(workspace, author, run).run()
    assert "return round(amount, 2)" in (repository / "shop/prices.py").read_text()
    assert [str(question) for question in author.asked] == [
        "How should ties be rounded?\n1. to even\n2. away from zero"
    ]
    assert [(turn.role, turn.act) for turn in record.episode.turns] == [
        ("user", "issue"), ("assistant", "ask"), ("user", "answer"), ("assistant", "patch"),
    ]  # fmt: skip
    assert [(one.source, one.turn, one.reward > 0) for one in record.episode.feedback] == [
        ("tests_passed", 3, True), ("suggestion_accepted", 3, True),
    ]  # fmt: skip
    assert run.done() == {"pair"}


def test_what_was_decided_is_what_telic_learn_reads(workspace: Workspace, run: RunFolder) -> None:
    session(workspace, Author(ACCEPT), run).run()
    [episode] = learn(LogFile(run.episodes.path), resamples=20).labelled
    patch = episode.turns[-1]
    assert patch.scores[LABEL] > 0.5
    assert {one.source for one in episode.feedback} >= {"tests_passed", "suggestion_accepted"}


def test_a_reverted_patch_leaves_the_checkout(workspace: Workspace, repository: Path, run: RunFolder) -> None:
    record = session(workspace, Author(REVERT), run).run()
    assert (repository / "shop/prices.py").read_text() == PRICES
    assert record.episode.feedback[-1].source == "suggestion_rejected"
    assert record.episode.feedback[-1].reward < 0


def test_a_comment_sends_the_patch_back(workspace: Workspace, run: RunFolder) -> None:
    author = Author(PatchDecision("comment", "Say why in a comment."), ACCEPT)
    record = session(workspace, author, run).run()
    assert len(author.shown) == 2
    assert [turn.act for turn in record.episode.turns][3:] == ["patch", "comment", "patch"]
    sent_back = next(one for one in record.episode.feedback if one.source == "suggestion_rejected")
    assert (sent_back.turn, sent_back.value) == (3, "Say why in a comment.")
    assert record.episode.feedback[-1].turn == 5


def test_an_edited_patch_is_tested_and_replaces_the_first(
    workspace: Workspace, repository: Path, run: RunFolder
) -> None:
    author = Author(PatchDecision("edit", "nonsense"), PatchDecision("edit", ""), ACCEPT)
    work = session(workspace, author, run)
    record = work.run()
    assert len(author.problems) == 1, "a patch that does not fit is refused, and the old one stays"
    assert author.shown[1].patch == author.shown[0].patch
    assert author.shown[2].problem == "Nothing was changed."
    assert (repository / "shop/prices.py").read_text() == PRICES
    edit = next(one for one in record.episode.feedback if one.source == "edit")
    assert (edit.value, edit.reward < 0) == ("", True)


def test_a_checkout_that_changed_in_the_meantime_is_not_overwritten(
    workspace: Workspace, repository: Path, run: RunFolder
) -> None:
    changed = PRICES.replace("int(amount * 100)", "float(amount * 100)")
    (repository / "shop/prices.py").write_text(changed)
    author = Author(ACCEPT, LEAVE)
    record = session(workspace, author, run).run()
    assert "was changed" in author.problems[0]
    assert (repository / "shop/prices.py").read_text() == changed
    assert (record.stage, record.decision) == ("decide", "leave")


def test_an_interrupted_session_goes_on_where_it_stood(repository: Path, quick_tests: None, run: RunFolder) -> None:
    with Workspace(repository) as first, pytest.raises(KeyboardInterrupt):
        session(first, Author(answer="^C"), run).run()
    author = Author(KeyboardInterrupt)
    with Workspace(repository) as second, pytest.raises(KeyboardInterrupt):
        session(second, author, run).run()
    assert len(author.asked) == 1, "the question is put again"
    with Workspace(repository) as third:
        author = Author(ACCEPT)
        resumed = session(third, author, run)
        record = resumed.run()
    model = resumed.work.programmer.model
    assert not author.asked
    assert model.seen == [], "no model is asked again for a patch that is there"  # type: ignore[attr-defined]
    assert [turn.act for turn in record.episode.turns] == ["issue", "ask", "answer", "patch"]
    assert "round(amount, 2)" in (repository / "shop/prices.py").read_text()


def test_a_damaged_session_is_told(workspace: Workspace, run: RunFolder) -> None:
    (run.path / "session.json").write_text(json.dumps({"episode": 1}))
    with pytest.raises(RunError, match=r"session\.json"):
        session(workspace, Author(), run)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "cannot read the issue"),
        (b"  \n", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"a" * 300_000, "shorten"),
    ],
)
def test_a_file_that_is_no_issue_is_refused(tmp_path: Path, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / "issue.md").write_bytes(data)
    with pytest.raises(WorkspaceError, match=message):
        read_issue(tmp_path / "issue.md")
