"""Probes of one dialogue on branches that it never sees: their requests, and what becomes of the replies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from telic.agents.player import seed_of
from telic.episodes import Answer, Branch, Episode
from telic.models import Model, Reply, Session
from telic.models.requesting import ModelRequest, RequestGenerator
from telic.stability.judging import DeferredAnswer, judge_answers
from telic.stability.plan import JudgedProbe, SelfChatProtocol, Side

__all__ = ["BranchProbes", "readings_of", "reason_line"]


class BranchProbes:
    """The probes of one dialogue.

    Args:
        model: answers them.
        seed: of the dialogue.
        protocol: how they are asked.
        episode: gets the branches.
        deferred: gets the answers that are judged later.
        on_branch: called with a branch and the episode once all answers of the branch are there.
    """

    def __init__(
        self,
        model: Model,
        seed: int,
        protocol: SelfChatProtocol,
        episode: Episode,
        deferred: list[DeferredAnswer],
        on_branch: Callable[[Episode, Branch], None] | None,
    ) -> None:
        self.model, self.seed, self.protocol, self.episode = model, seed, protocol, episode
        self.deferred, self.on_branch = deferred, on_branch
        self.unsent: list[ModelRequest] = []
        """Requests to be yielded next, those of the dialogue's own utterances included."""
        self._unanswered: dict[ModelRequest, tuple[JudgedProbe, Branch, Answer]] = {}
        """By a probe's request: what its reply is put into."""

    def ask(self, side: Side, role: str, round_: int, probe: JudgedProbe, fork: Session, *, keep: bool = False) -> None:
        """Queue the samples of a probe.

        Args:
            side: who is asked.
            role: its role.
            round_: rounds so far.
            probe: the probe.
            fork: a branch of the side's session that ends with the probe's question.
            keep: whether the fork's cache is brought up to date by the first sample.
        """
        branch = Branch(
            role=role, round=round_, probe=probe.name, family=probe.family, question=probe.ask,
            prompt_tokens=0, answers=[],
        )  # fmt: skip
        self.episode.branches.append(branch)
        for sample in range(self.protocol.samples):
            request = fork.request(
                controls=side.controls,
                readings=tuple(self.protocol.readings),
                keep=keep and sample == 0,
                sampling=side.answer or self.protocol.answer,
                seed=seed_of(self.seed, role, round_, probe.name, sample),
            )
            request.tool_choice = "none"  # what it knows is asked, not what it can look up
            # In its place already: the order in which replies come leaves no trace in the episode.
            branch.answers.append(Answer(text="", finish="", score=None))
            self.unsent.append(ModelRequest(self.model, request))
            self._unanswered[self.unsent[-1]] = (probe, branch, branch.answers[-1])

    def take_unsent(self) -> list[ModelRequest]:
        """Return the requests that were queued, and forget them."""
        requests, self.unsent = self.unsent, []
        return requests

    def wait(self) -> RequestGenerator[None]:
        """Wait for all answers."""
        while self._unanswered:
            self.add_answer(*(yield self.take_unsent()))

    def add_answer(self, request: ModelRequest, reply: Reply) -> None:
        """Judge an answer to a probe, or defer that, and record it."""
        probe, branch, answer = self._unanswered.pop(request)
        branch.prompt_tokens = max(branch.prompt_tokens, reply.prompt_tokens)
        answer.text, answer.finish, answer.readings = reply.text, reply.finish, readings_of(reply)
        if reply.failure is not None and reply.failure.kind == "context_full":
            answer.reason = "no room for an answer in the context"
        elif reply.failure is not None:
            answer.reason = f"the model failed: {reason_line(reply.failure.detail)}"
        elif probe.asks_model:
            self.deferred.append(DeferredAnswer(answer, probe.ask, probe.judge))
        else:
            [score] = judge_answers(probe.judge, [(reply.text, probe.ask)])
            answer.score, answer.reason = score.value, score.reason
        if self.on_branch is not None and all(given.finish for given in branch.answers):
            self.on_branch(self.episode, branch)


def reason_line(text: str) -> str:
    """Return a reason on one line."""
    return " ".join((text or "no reason given").split())


def readings_of(reply: Reply) -> dict[str, Any]:
    """Return what was read off a reply, as an episode records it."""
    if reply.attention is None:
        return {}
    return {"attention": [round(float(mass), 6) for mass in reply.attention]}
