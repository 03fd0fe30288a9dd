"""Looking aside: what a model believes at a turn, and whether its purpose still holds there. No dialogue notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from telic.dialogue import Dialogue, Message
from telic.episodes import Answer, Branch
from telic.errors import ConfigError, TelicError
from telic.judges import Score, build_judge
from telic.judges.base import judge_all, prepare_judge
from telic.models import Control, Reply, Request, Session
from telic.server.pins import Pins
from telic.server.problems import ApiError

if TYPE_CHECKING:
    from telic.purpose import Probe
    from telic.readers import ReaderSet, Reading
    from telic.server.service import Service
    from telic.steering.belief import Belief

__all__ = ["SAMPLES", "Observer", "readings_of"]

SAMPLES = 4
"""Answers drawn to each probe."""
ANSWER_TOKENS = 50
"""Longest answer to a probe, as in `telic measure`."""


class Observer:
    """Reads beliefs and asks probes in the conversations of a service.

    Args:
        service: whose conversations.

    Raises:
        ConfigError: the readers that the settings name cannot be loaded, or are another model's.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self.readers: ReaderSet | None = None
        """What beliefs are read with."""
        self.why_not = ""
        """Why there are no readers."""
        self._load()

    def _load(self) -> None:
        model, named = self._service.local, self._service.config.readers
        if model is None:
            if named is not None:
                raise ConfigError(f"readers read hidden states, which model {self._service.model.name!r} does not show")
            self.why_not = "Beliefs are read off hidden states, which this model does not show. Run one locally."
            return
        from telic.readers import ReaderSet
        from telic.readers.reader import shipped_readers

        # A name may be anything, a path or a Hub id: only that of a folder right there is a set that ships.
        names = [folder.name for folder in shipped_readers().iterdir() if folder.is_dir()]
        if named is None and model.name not in names:
            self.why_not = f"There are no readers for {model.name}. `telic readers train` makes some."
            return
        try:
            readers = ReaderSet.load(named or model.name)
            readers.check(model)
        except ConfigError:
            if named is not None:
                raise
            self.why_not = (
                f"The readers that ship with Telic are of another {model.name}. `telic readers train` makes some."
            )
            return
        self.readers = readers

    @cached_property
    def _pins(self) -> Belief | None:
        """The control with the directions of all pins, and none of them in force."""
        if self.readers is None:
            return None
        from telic.steering.belief import belief

        try:
            found = belief(self.readers.path or "")
            found.check(self._service.model)
        except TelicError:  # readers without directions: what is read cannot be pinned
            return None
        return found

    @property
    def can_pin(self) -> bool:
        """Whether beliefs can be pinned."""
        return self._pins is not None

    def pinned(self, pins: Pins) -> tuple[Control, ...]:
        """What these pins do, as a control; none without pins.

        Raises:
            ApiError: there is no such pin.
        """
        if not pins:
            return ()
        if self._pins is None:
            raise ApiError(400, "beliefs cannot be pinned on this server's model")
        try:
            made = replace(
                self._pins, towards=dict(pins.towards) or None, away=dict(pins.away) or None, strength=pins.strength
            )
        except ConfigError as error:
            raise ApiError(400, str(error)) from None
        return (made,)

    async def beliefs(
        self, messages: Sequence[Message], session: Session, controls: Sequence[Control]
    ) -> dict[str, dict[str, Any]]:
        """What the model takes the user and itself to be at the user's last words; by reader, as it is kept.

        Args:
            messages: what was said, the system prompt included; what the assistant said last is left out.
            session: one to look aside with, which may have read some of it.
            controls: what bends the model meanwhile. A planner's prefix is left out: readers were trained on the
                state that the dialogue's text alone leaves.

        Raises:
            ApiError: it cannot be read.
        """
        from telic.readers import read_beliefs

        if self.readers is None:
            raise ApiError(400, self.why_not)
        session.dialogue = Dialogue(messages)
        bent = tuple(control for control in controls if not control.prefix_from_state)
        try:
            # In a thread: the engine's own waits for it meanwhile, but what is under way advances with every pass.
            [found] = await asyncio.to_thread(read_beliefs, self._service.model, [session], self.readers, bent)
        except TelicError as error:
            raise ApiError(502, f"beliefs could not be read: {error}") from None
        return {
            name: {
                "probabilities": {label: round(value, 4) for label, value in reading.probabilities.items()},
                "threshold": round(reading.threshold, 4),
            }
            for name, reading in found.items()
        }

    async def probe(
        self,
        messages: Sequence[Message],
        session: Session,
        controls: Sequence[Control],
        spend: Callable[[int], None],
    ) -> list[Branch]:
        """Ask the purpose's probes on branches, `SAMPLES` times each, and have the answers judged.

        Args:
            messages: what was said, the system prompt included.
            session: one to look aside with, which may have read some of it.
            controls: what bends the model meanwhile.
            spend: told of the tokens that were computed.

        Raises:
            ApiError: the purpose has no probes, or a judge cannot be made.
        """
        service, probes = self._service, self._service.purpose.probes
        if not probes:
            raise ApiError(400, "the purpose has no [[probes]]")
        drawn = replace(service.sampling, max_new_tokens=min(ANSWER_TOKENS, service.sampling.max_new_tokens))
        requests = [
            Request(
                (*messages, Message(role="user", content=probe.ask)),
                replace(drawn, seed=seed),
                tuple(controls),
                cache=session.fork().cache,
                keep=False,
            )
            for probe in probes
            for seed in range(SAMPLES)
        ]
        replies = await service.answer(requests)
        spend(sum(reply.prompt_tokens - reply.cached_tokens + reply.new_tokens for reply in replies))
        round_ = sum(message.role == "assistant" for message in messages)
        told = [replies[index * SAMPLES : (index + 1) * SAMPLES] for index in range(len(probes))]
        try:
            return await asyncio.to_thread(self._judged, list(zip(probes, told, strict=True)), round_)
        except TelicError as error:
            raise ApiError(502, f"a probe could not be judged: {error}") from None

    def _judged(self, asked: Sequence[tuple[Probe, Sequence[Reply]]], round_: int) -> list[Branch]:
        return [
            Branch(
                role="assistant",
                round=round_,
                probe=probe.name,
                family=probe.family,
                question=probe.ask,
                prompt_tokens=max(reply.prompt_tokens for reply in replies),
                answers=self._answers(probe, replies),
            )
            for probe, replies in asked
        ]

    def _answers(self, probe: Probe, replies: Sequence[Reply]) -> list[Answer]:
        judge = build_judge(probe.judge)
        prepare_judge(judge, self._service.model)  # a judge that asks the served model loads no second one
        said = [reply for reply in replies if not _fault(reply)]
        scores = iter(judge_all(judge, [(reply.text, probe.ask) for reply in said]))
        scored = [Score.missing(fault) if (fault := _fault(reply)) else next(scores) for reply in replies]
        return [
            Answer(text=reply.text, finish=reply.finish, score=score.value, reason=score.reason)
            for reply, score in zip(replies, scored, strict=True)
        ]


def _fault(reply: Reply) -> str:
    return "" if reply.failure is None else str(reply.failure)


def readings_of(kept: Mapping[str, Any]) -> dict[str, Reading]:
    """Beliefs as they were kept with a turn, by reader."""
    beliefs = kept.get("beliefs")
    if not beliefs:
        return {}
    from telic.readers import Reading

    return {name: Reading(name, one["probabilities"], one["threshold"]) for name, one in beliefs.items()}
