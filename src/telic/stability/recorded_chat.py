"""Probes along a recorded dialogue: nothing is generated but their answers.

The trunk is read once. A model has no reply to give in it, so the first answer to the first probe of each point keeps
what was read: the trunk's session goes on with that cache, as far as the tokens agree (the whole trunk), and the
other probes of the point fork from it.
"""

from __future__ import annotations

from collections.abc import Callable

from telic.episodes import Branch, Episode, Turn
from telic.models import Model
from telic.models.requesting import RequestGenerator
from telic.stability.judging import DeferredAnswer
from telic.stability.plan import DialoguePlan, SelfChatProtocol
from telic.stability.probing import BranchProbes
from telic.stability.trunks import trunk_messages

__all__ = ["RecordedChat"]


class RecordedChat:
    """One recorded dialogue, as it is read and probed. The side under test is b."""

    def __init__(
        self,
        model: Model,
        plan: DialoguePlan,
        protocol: SelfChatProtocol,
        deferred: list[DeferredAnswer],
        on_branch: Callable[[Episode, Branch], None] | None,
    ) -> None:
        assert plan.trunk is not None
        self.plan, self.trunk, self.side = plan, plan.trunk, plan.b
        self.session = model.session(plan.b.system)
        if plan.b.tools is not None:
            self.session.tools = plan.b.tools.toolbox.definitions
        self.messages = trunk_messages(model, plan.trunk)
        self.episode = Episode(
            id=plan.id,
            kind="recorded",
            seed=plan.seed,
            roles={
                role: {"name": side.name, "system": side.system, "family": side.family}
                | ({"demand": side.demand} if side.demand else {})
                for role, side in (("a", plan.a), ("b", plan.b))
            },
            metadata={
                "rounds": len(plan.trunk.rounds), "lengths": list(plan.trunk.lengths),
                "recorded": list(plan.trunk.names)
            },
        )  # fmt: skip
        self.probes = BranchProbes(model, plan.seed, protocol, self.episode, deferred, on_branch)

    def play(self) -> RequestGenerator[Episode]:
        """Read the trunk, and ask the probes where they are due."""
        if self.trunk.opening:
            self._note("b", 1, self.trunk.opening)
        yield from self._ask(0)
        for number, (messages, said) in enumerate(zip(self.messages, self.trunk.rounds, strict=True), start=1):
            for message in messages:
                self.session.dialogue = self.session.dialogue.add(message.role, message.content)
            self._note("a", number, said.heard)
            self._note("b", number, said.said)
            yield from self._ask(number)
        return self.episode

    def _note(self, role: str, round_: int, text: str) -> None:
        self.episode.turns.append(Turn(role=role, round=round_, text=text, finish="given"))

    def _ask(self, round_: int) -> RequestGenerator[None]:
        """Ask the probes that are due after a round, and wait for the answers."""
        if round_ not in self.plan.probed:
            return
        for number, probe in enumerate(self.side.probes):
            fork = self.session.fork().user(probe.ask)
            self.probes.ask(self.side, "b", round_, probe, fork, keep=number == 0)
            if number == 0:
                yield from self.probes.wait()
                self.session.cache = fork.cache
        yield from self.probes.wait()
