"""Live drift: the purpose's probes, asked aside after a share of the replies."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from telic.agents.player import seed_of
from telic.dialogue import Message
from telic.episodes import Branch
from telic.errors import ConfigError
from telic.judges.limits import LimitVerdict, judged_limits
from telic.models import Control, Model
from telic.purpose import Purpose
from telic.server.async_store import AsyncConversationStore
from telic.server.blocking_model import BlockingModel
from telic.server.controls import ConversationControls
from telic.server.daemon_threads import DaemonThreads
from telic.server.history import system_message
from telic.server.log import log_failure
from telic.server.metrics import Metrics
from telic.server.probes import ProbeRunner
from telic.server.records import FINISH_LEFT, NewTurns
from telic.server.runner import RequestRunner
from telic.server.sessions import Sessions

__all__ = ["DriftProbes", "DriftServices"]

RANGES = ((1, "1"), (3, "2-3"), (7, "4-7"), (15, "8-15"))
"""Ranges of numbers of replies, each with its last number; the metrics have one series for each."""
LAST_RANGE = "16 and more"
WAIT_SECONDS = 0.02
"""Between two looks at whether a conversation's exchange is over."""
DRAWS = 2**48


@dataclass(frozen=True, slots=True)
class DriftServices:
    """The parts of a server that live probes use."""

    runner: RequestRunner
    probes: ProbeRunner
    sessions: Sessions
    store: AsyncConversationStore
    controls: ConversationControls
    metrics: Metrics


class DriftProbes:
    """Asks the probes after a share of the replies, one conversation at a time, and counts what comes of it.

    Nothing is stored, and the conversation never sees it. A reply that is chosen while another one's probes are being
    asked is skipped. The share is drawn by conversation and position, so it depends on nothing that was said.

    Args:
        services: the parts of the server.
        purpose: has the probes, and the limits by which the chosen replies are judged.
        share: share of the replies.
        controls: further controls of every reply: those of the defences.

    Raises:
        ConfigError: the purpose has no probes, or a judge is wrong.
    """

    def __init__(
        self, services: DriftServices, purpose: Purpose, share: float, controls: Sequence[Control] = ()
    ) -> None:
        if not purpose.probes:
            raise ConfigError("probe_share asks the purpose's probes, but it has no [[probes]]; add one, or leave it 0")
        judged_limits(purpose, services.runner.model)  # loads the judges' models now
        self._services, self._purpose, self._share = services, purpose, share
        self._further = tuple(controls)
        self._threads = DaemonThreads(1, "telic-drift")  # a judge may ask a model that does not answer
        self._task: asyncio.Task[None] | None = None

    def consider(self, new: NewTurns) -> None:
        """Ask the probes after a stored reply if it is chosen. Call it in the event loop."""
        reply, position = new.turns[-1], new.start + len(new.turns) - 1
        if reply.role != "assistant" or reply.finish in (FINISH_LEFT, "edited"):
            return
        if seed_of("drift", new.conversation, position) / DRAWS >= self._share:
            return
        if self._task is not None:
            self._services.metrics.drift_turns.labels("skipped").inc()
            return
        self._task = asyncio.get_running_loop().create_task(self._ask(new.user, new.conversation, position))
        self._task.add_done_callback(self._end)

    async def close(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _end(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log_failure("drift_failed", error)
            self._services.metrics.drift_turns.labels("failed").inc()

    async def _ask(self, user: str, conversation: str, position: int) -> None:
        services, metrics = self._services, self._services.metrics
        while conversation in services.sessions.busy:  # its session is kept at the end of the exchange
            await asyncio.sleep(WAIT_SECONDS)
        stored = await services.store.conversation(user, conversation)
        if stored is None or len(stored.turns) <= position:  # deleted meanwhile
            return
        turns = stored.turns[: position + 1]
        messages = [system_message(self._purpose, stored.system)]
        messages += [Message(role=turn.role, content=turn.text) for turn in turns]  # type: ignore[arg-type]
        controls = (*services.controls.of(conversation), *self._further)
        readings = frozenset({"attention"}) & services.runner.model.readings
        fork = services.sessions.fork_for_reading(conversation, latest=len(stored.turns) == position + 1)
        branches = await services.probes.ask(
            user, messages, fork, controls, metrics.drift_tokens.inc, samples=1, readings=readings, background=True
        )
        model = BlockingModel(services.runner, user, metrics.drift_tokens.inc, background=True)
        said = [turn.text for turn in turns if turn.role == "user"]
        verdicts = await asyncio.wrap_future(self._threads.submit(self._judge, model, turns[-1].text, said))
        self._count(branches, verdicts, sum(turn.role == "assistant" for turn in turns))

    def _judge(self, model: Model, reply: str, said: Sequence[str]) -> dict[str, LimitVerdict]:
        return {limit.name: limit.verdict(reply, said) for limit in judged_limits(self._purpose, model)}

    def _count(self, branches: Sequence[Branch], verdicts: Mapping[str, LimitVerdict], replies: int) -> None:
        metrics, range_ = self._services.metrics, range_of(replies)
        metrics.drift_turns.labels("asked").inc()
        for branch in branches:
            for answer in branch.answers:
                if answer.score is None:
                    metrics.unscored_answers.labels(branch.probe).inc()
                else:
                    metrics.stability.labels(branch.probe, range_).observe(answer.score)
                if masses := [mass for mass in answer.readings.get("attention", ()) if mass is not None]:
                    metrics.attention.labels(range_).observe(sum(masses) / len(masses))
        for name, verdict in verdicts.items():
            metrics.limit_verdicts.labels(name, verdict.kind).inc()


def range_of(replies: int) -> str:
    """Return the range that a number of replies is in."""
    return next((name for last, name in RANGES if replies <= last), LAST_RANGE)
