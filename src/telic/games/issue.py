"""The game `issue`: resolve an issue in a repository, of which the user has told only a part.

The agent asks the issue's author or hands in a patch, which ends the episode. It is resolved if the tests that fail now
pass, and those that pass still do; the author is simulated (`telic.games.issue_user`). The three settings are those of
Ambig-SWE (arXiv 2502.13069): the agent reads the full text, only the vague one (`hidden`), or the vague one and may ask
(`interactive`). With the full text it may ask too: then nothing is missing, and every question is a false one.

How the agent looks at the repository and edits it is not part of the game: `IssueGame.issue` says where it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from telic.errors import ConfigError, SandboxError, WorkspaceError
from telic.games.base import Act, Event, Game, IllegalActError, Outcome
from telic.games.issue_user import DOES_NOT_KNOW, IssueUser, count_words
from telic.issues import Issue, IssueJudge, Verdict, environment_of, load_ambig_swe, load_folder, load_quixbugs
from telic.registry import suggest
from telic.workspaces import RunLimits

__all__ = ["IssueGame", "IssueSetting", "load_issues"]

IssueSetting = Literal["full", "hidden", "interactive"]
"""What the agent knows of the issue: everything, the vague text, or the vague text and what it asks for."""

PARTS: Mapping[str, tuple[int, ...]] = {"all": (0, 1, 2), "train": (0, 1), "test": (2,)}
"""By split: which of three issues in a row it has."""
LOADERS = {"ambig_swe": load_ambig_swe, "quixbugs": load_quixbugs}
"""Readers of data sets, by the word before the folder."""


@dataclass
class IssueGame(Game):
    """Resolving an issue in dialogue; see the module. Score, reward and success: whether the issue is resolved."""

    name: ClassVar[str] = "issue"
    roles: ClassVar[tuple[str, ...]] = ("assistant", "user")
    kinds: ClassVar[tuple[str, ...]] = ("ask", "patch")
    wordless: ClassVar[frozenset[str]] = frozenset({"patch"})
    has_held_out: ClassVar[bool] = True
    needs_players: ClassVar[str] = "somebody has to write the patches"

    issues: str = ""
    """A folder of issues, `quixbugs:FOLDER` or `ambig_swe:FOLDER`; empty for a few that ship with Telic."""
    only: Sequence[str] = ()
    """Ids of the issues to play; empty for all. Episode i plays issue i, and begins again after the last."""
    setting: IssueSetting = "interactive"
    """What the agent knows."""
    questions: int = 3
    """Questions that the user answers."""
    question_cost: float = 0.0
    """What a question takes off the reward of 1 for a resolved issue. The score does not count it."""
    split: Literal["all", "train", "test"] = "all"
    """Which of the issues are played: every third one is for `test`."""
    test_seconds: float = 120.0
    """Time limit of a test run, in seconds."""
    unsafe: bool = False
    """Run the tests without a sandbox."""

    _pool: tuple[Issue, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.setting not in get_args(IssueSetting):
            self._refuse("setting", f"one of {', '.join(get_args(IssueSetting))}")
        if type(self.questions) is not int or self.questions < 1:
            self._refuse("questions", "a whole number, 1 or more")
        if not 0 <= self.question_cost <= 1:
            self._refuse("question_cost", "a number from 0 to 1")
        if self.split not in PARTS:
            self._refuse("split", f"one of {', '.join(PARTS)}")
        if not self.test_seconds > 0:
            self._refuse("test_seconds", "a number greater than 0")
        known = {issue.id: issue for issue in load_issues(self.issues)}
        for name in self.only:
            if name not in known:
                raise ConfigError(f"game 'issue': unknown issue {name!r}{suggest(name, [*known])}")
        chosen = [issue for issue in known.values() if not self.only or issue.id in self.only]
        self._pool = tuple(issue for number, issue in enumerate(chosen) if number % 3 in PARTS[self.split])
        if not self._pool:
            raise ConfigError(
                f"game 'issue': there are {len(chosen)} issues, and none of them is in the part {self.split!r}; "
                "expected at least 3"
            )
        self.max_turns = self.questions + 2

    @property
    def pool(self) -> tuple[Issue, ...]:
        """The issues that are played, in order."""
        return self._pool

    @property
    def scenarios(self) -> int:
        """Number of issues."""
        return len(self._pool)

    @property
    def limits(self) -> RunLimits:
        """What a run of the tests may use."""
        return RunLimits(seconds=self.test_seconds, cpu_seconds=max(1, int(self.test_seconds)))

    @property
    def issue(self) -> Issue:
        """The issue of this episode."""
        return self._issue

    @property
    def told(self) -> str:
        """The text of the issue that the agent reads."""
        return self._issue.full_text if self.setting == "full" else self._issue.hidden_text

    @property
    def questions_left(self) -> int:
        """Number of questions that the user still answers."""
        return 0 if self.setting == "hidden" else self.questions - len(self._answers)

    def instructions(self, role: str) -> str:
        """Return the task and the issue; for the user, everything that the user knows."""
        if role == "user":
            return f"You have reported this issue:\n\n{self._issue.full_text}"
        lines = [
            "Resolve an issue in a repository. Hand in a patch: [patch], and a unified diff from the next line on."
        ]
        if self.setting != "hidden":
            lines.append(
                f"Before that, you may ask the author up to {self.questions} questions, one at a time: [ask], and the "
                "question. Ask only for what would change the patch."
            )
        return "\n".join([*lines, "", self._issue.title, "", self.told])

    def private(self, role: str) -> Mapping[str, Any]:
        """Return the parts of the text that only the user knows."""
        return {"missing": list(self._user.missing)} if role == "user" else {"setting": self.setting}

    def played_by_rules(self, role: str) -> bool:
        """Return whether this is the user."""
        return role == "user"

    def asks_for_kind(self, role: str) -> bool:
        """Return whether the agent may ask."""
        return role == "assistant" and self.setting != "hidden"

    def parse(self, role: str, utterance: str) -> Act:
        """Parse an act. A patch keeps its last lines: a blank one is part of it."""
        act = super().parse(role, utterance)
        return Act("patch", utterance.partition("]")[2].lstrip()) if act.kind == "patch" else act

    def _reset(self, seed: int) -> None:
        self._issue = self._pool[seed % len(self._pool)]
        self._user = IssueUser(f"{self._issue.title}\n\n{self._issue.full_text}", f"{self._issue.title}\n\n{self.told}")
        self._answers: list[str] = []
        self._asked_words = 0
        self._verdict: Verdict | None = None

    def _legal(self, role: str) -> tuple[str, ...]:  # noqa: ARG002
        return self.kinds if self.questions_left else ("patch",)

    def _apply(self, role: str, act: Act) -> Mapping[str, float] | None:
        if act.kind == "ask":
            if not act.content:
                raise IllegalActError("an empty question; write what you want to know")
            answer = self._user.answer(act.content)
            self._answers.append(answer)
            self._asked_words += count_words(act.content)
            self.turn = role
            self._tell(Event(role, act.content, act))
            self._tell(Event("user", answer))
            return {role: -self.question_cost} if self.question_cost else None
        self._tell(Event(role, act.content, act))
        try:
            patch = act.content if act.content.endswith("\n") or not act.content else f"{act.content}\n"
            self._verdict = _judge_of(self._issue, self.limits, self.unsafe).judge(patch)
        except (SandboxError, WorkspaceError) as error:
            self.invalidate("environment", str(error))
            return None
        self.end(self._verdict.reason or "the issue is resolved")
        return {"assistant": float(self._verdict.resolved)}

    def _outcome(self) -> Outcome:
        verdict = self._verdict
        if verdict is None:
            return Outcome(True, reason=self.ended or "no patch was handed in", details=self._counts())
        score = float(verdict.resolved)
        details = {
            **self._counts(),
            "turned_green": len(verdict.turned_green),
            "still_red": len(verdict.still_red),
            "regressions": len(verdict.regressions),
        }
        return Outcome(True, score, score, verdict.resolved, reason=self.ended, details=details)

    def _counts(self) -> dict[str, Any]:
        asked, missing = len(self._answers), bool(self._user.missing)
        return {
            "issue": self._issue.id,
            "setting": self.setting,
            "missing": missing,
            "questions": asked,
            "answered": sum(answer != DOES_NOT_KNOW for answer in self._answers),
            "false_questions": 0 if missing else asked,
            "missed_question": missing and self.setting == "interactive" and not asked,
            "user_words": sum(map(count_words, self._answers)),
            "read_words": self._asked_words,
        }


@lru_cache(maxsize=16)
def load_issues(source: str) -> tuple[Issue, ...]:
    """Read issues.

    Args:
        source: as `IssueGame.issues`.

    Raises:
        ConfigError: an issue is malformed.
        DataError: the folder cannot be read.
    """
    kind, colon, folder = source.partition(":")
    if colon and kind in LOADERS:
        return tuple(LOADERS[kind](folder))
    return tuple(load_folder(source or Path(str(resources.files("telic") / "data" / "issues"))))


@lru_cache(maxsize=64)
def _judge_of(issue: Issue, limits: RunLimits, unsafe: bool) -> IssueJudge:
    """Return the judge of an issue, which remembers what the tests say before a patch."""
    return IssueJudge(issue, environment_of(issue), limits, unsafe)
