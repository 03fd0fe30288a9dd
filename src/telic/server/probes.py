"""The purpose's probes, asked on forks of a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from telic.dialogue import Message
from telic.episodes import Answer, Branch
from telic.errors import Failure, TelicError
from telic.files import to_json_types
from telic.judges import Judge, Score, build_judge, judge_all, prepare_judge
from telic.models import Control, Model, Reply, Request, Sampling, Session
from telic.purpose import Purpose
from telic.server.blocking_model import BlockingModel
from telic.server.daemon_threads import DaemonThreads
from telic.server.errors import ApiError
from telic.server.log import log_failure
from telic.server.runner import RequestRunner

__all__ = ["SAMPLES", "ProbeRunner"]

SAMPLES = 4
"""Answers to each probe."""
ANSWER_TOKENS = 50
"""Longest answer to a probe, as in `telic measure`."""


class ProbeRunner:
    """Asks the probes of a purpose, and has the answers judged.

    Args:
        runner: runs the requests.
        purpose: has the probes.
        sampling: sampling options of the answers, except for their length and seed.

    Raises:
        ConfigError: a judge is wrong; the message lists all that are.
    """

    def __init__(self, runner: RequestRunner, purpose: Purpose, sampling: Sampling) -> None:
        self._make_judge = partial(build_judge, trusted=purpose.trusted_folder)
        purpose.check(self._make_judge)
        self._runner, self._probes = runner, tuple(purpose.probes)
        self._threads = DaemonThreads(1, "telic-judge")  # a judge may ask a model that does not answer
        self._sampling = replace(sampling, max_new_tokens=min(ANSWER_TOKENS, sampling.max_new_tokens))

    async def ask(
        self,
        user: str,
        messages: Sequence[Message],
        fork: Session,
        controls: Sequence[Control],
        on_tokens: Callable[[int], None],
        *,
        samples: int = SAMPLES,
        readings: frozenset[str] = frozenset(),
        background: bool = False,
    ) -> list[Branch]:
        """Ask every probe.

        Args:
            user: whose conversation it is.
            messages: the conversation with its system prompt.
            fork: a fork of the conversation's session, which may have read part of these messages.
            controls: controls that act meanwhile.
            on_tokens: called with numbers of computed tokens: of the answers, and of what the judges ask the model.
            samples: answers to each probe.
            readings: readings to take of every answer.
            background: whether the requests wait until no other request does.

        Raises:
            ApiError: the purpose has no probes, or a judge cannot be built.
        """
        if not self._probes:
            raise ApiError(400, "the purpose has no [[probes]]")
        requests = [
            Request(
                (*messages, Message(role="user", content=probe.ask)),
                replace(self._sampling, seed=seed),
                tuple(controls),
                readings,
                cache=fork.fork().cache,
                keep=False,
            )
            for probe in self._probes
            for seed in range(samples)
        ]
        replies = await self._runner.generate(requests, user, on_tokens, background=background)
        round_ = sum(message.role == "assistant" and not message.tool_calls for message in messages)
        by_probe = [replies[index * samples : (index + 1) * samples] for index in range(len(self._probes))]
        try:
            model = BlockingModel(self._runner, user, on_tokens, background=background)
            return await asyncio.wrap_future(self._threads.submit(self._branches, model, by_probe, round_))
        except TelicError as error:
            request = log_failure("probe_failed", error)
            raise ApiError(
                502, f"a probe could not be judged; the server's log has the cause at id={request}"
            ) from None

    def close(self) -> None:
        """End the thread of the judges once the one that it runs has ended; what waits is cancelled."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _branches(self, model: Model, by_probe: Sequence[Sequence[Reply]], round_: int) -> list[Branch]:
        return [
            Branch(
                role="assistant",
                round=round_,
                probe=probe.name,
                family=probe.family,
                question=probe.ask,
                prompt_tokens=max(reply.prompt_tokens for reply in replies),
                answers=_answers(model, self._make_judge(probe.judge), probe.ask, replies),
            )
            for probe, replies in zip(self._probes, by_probe, strict=True)
        ]


def _answers(model: Model, judge: Judge, question: str, replies: Sequence[Reply]) -> list[Answer]:
    prepare_judge(judge, model)  # a judge that asks the served model loads no second one
    judged = iter(judge_all(judge, [(reply.text, question) for reply in replies if reply.failure is None]))
    scores = [next(judged) if reply.failure is None else Score.missing(_reason(reply.failure)) for reply in replies]
    return [
        Answer(
            text=reply.text,
            finish=reply.finish,
            score=score.value,
            reason=score.reason,
            readings={} if reply.attention is None else {"attention": to_json_types(reply.attention)},
        )
        for reply, score in zip(replies, scores, strict=True)
    ]


def _reason(failure: Failure) -> str:
    """Say that an answer failed, without the detail: it may name the endpoint."""
    log_failure("model_failed", failure.detail, kind=failure.kind)
    return f"{failure.boundary}: {failure.kind}"
