"""Answers requests to Telic in a vLLM server: plans their rounds here, and lets vLLM's engine play them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

from telic.errors import ConfigError, Failure, ModelError
from telic.models.control import Control
from telic.models.local.prompts import Prompts, constrained, refused_format, render_messages
from telic.models.local.sequences import RequestState
from telic.models.request import READINGS, Reply, Request
from telic.models.response_format import ResponseFormat
from telic.models.tool_grammar import reply_format
from telic.models.vllm.control_wire import ControlFiles, build_sent
from telic.models.vllm.model import grammars_of, limits_of, stop_ids_of
from telic.models.vllm.protocol import GenerateBody, reply_to_wire, session_cache
from telic.models.vllm.rounds import READ, EngineRequest, Round, RoundOutcome, Rounds
from telic.models.vllm.wire import CONTROLS, MOST_CONTROLS, format_to_wire, group_to_wire, take_results
from telic.rendering import Template

__all__ = ["PluginService", "UnknownControlError"]


COMPILE_POLL_SECONDS = 0.01
"""Time between two questions to the workers whether they have compiled a format."""


class UnknownControlError(Exception):
    """A request names a control that the server does not have."""


class PluginService:
    """Answers requests with the engine of a vLLM server.

    Args:
        engine: vLLM's `AsyncLLM`.
        hooks_act: whether controls can change the residual stream.
    """

    def __init__(self, engine: Any, *, hooks_act: bool) -> None:
        from transformers import AutoTokenizer

        self._engine, self.hooks_act = engine, hooks_act
        config = engine.vllm_config
        tokenizer = AutoTokenizer.from_pretrained(config.model_config.tokenizer)
        template = Template(tokenizer)
        self.limits = limits_of(config, tokenizer)
        self.layers = int(config.model_config.get_total_num_hidden_layers())
        stops, grammars = stop_ids_of(config, template), grammars_of(config)
        self._rounds = Rounds(template, self.limits, stops, grammars, group_to_wire)
        CONTROLS[""] = Control()
        self._thread = ThreadPoolExecutor(1, "telic-rounds")
        """Renders prompts and chooses prefixes: one request at a time, beside the event loop."""

    async def add_control(self, files: ControlFiles) -> str:
        """Build a control here and in the workers; returns its key.

        Raises:
            ConfigError: it cannot be built.
        """
        if files.key not in CONTROLS:
            control = await self._in_thread(build_sent, files)
            if "attention" in control.points or ("residual" in control.points and not self.hooks_act):
                raise ConfigError(f"control {control.name!r} acts where this server's model cannot be changed")
            await self._engine.collective_rpc("telic_add_control", args=(files.config, files.tensors))
            CONTROLS[files.key] = control
            while len(CONTROLS) > MOST_CONTROLS:
                del CONTROLS[next(key for key in CONTROLS if key)]
        return files.key

    async def compile_format(self, response_format: ResponseFormat) -> None:
        """Compile a format here and in the workers, beside the other requests.

        Raises:
            ConfigError: it is wrong, or exceeds a limit.
        """
        await asyncio.to_thread(self._rounds.grammars.check, response_format)
        wire = format_to_wire(response_format)
        while not all(await self._engine.collective_rpc("telic_compile", args=(wire,))):
            await asyncio.sleep(COMPILE_POLL_SECONDS)

    async def answer(self, body: GenerateBody) -> AsyncGenerator[str | dict[str, Any], None]:
        """Yield the reply's text piece by piece, then the whole reply.

        Raises:
            ConfigError: the request is wrong.
            UnknownControlError: it names a control that is not here.
        """
        request = _request(body)
        form: ResponseFormat | Prompts | None = None
        if body.forced is None:
            form = await self._format_of(request)
        state = await self._in_thread(self._open, request, body, form)
        async with aclosing(self._play(state)) as pieces:
            async for piece in pieces:
                yield piece
        assert state.reply is not None
        assert request.cache is not None
        yield reply_to_wire(state.reply, request.cache, greedy=state.greedy)

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    async def _format_of(self, request: Request) -> ResponseFormat | Prompts | None:
        """Find out what the reply must keep to, and compile it; prompts that are refused where that is wrong."""
        template, grammars = self._rounds.template, self._rounds.grammars
        try:
            form = await asyncio.to_thread(reply_format, request, template.tool_syntax, grammars)
            if form is not None:
                await self.compile_format(form)
        except ConfigError as error:
            return refused_format(error)
        return form

    def _open(self, request: Request, body: GenerateBody, form: ResponseFormat | Prompts | None) -> RequestState:
        forced: tuple[int, ...] = ()
        if body.forced is not None:
            forced = tuple(self._rounds.template.encoder.encode(body.forced))
            if not forced:
                raise ConfigError("'forced' is empty; give at least one character")
        prompts = form if isinstance(form, Prompts) else self._prompts(request, body)
        if isinstance(form, ResponseFormat) and prompts.refusal is None:
            prompts = constrained(prompts, form, self._rounds.grammars)
        return self._rounds.open(request, forced, prompts)

    def _prompts(self, request: Request, body: GenerateBody) -> Prompts:
        """Render the prompts, whose messages the client has made."""
        given = [(prompt.owner, tuple(prompt.messages)) for prompt in body.prompts]
        if len(given) > self.limits.max_batch:
            raise ConfigError(f"{len(given)} prompts; this server computes {self.limits.max_batch} sequences together")
        template = self._rounds.template
        user = request.speaker == "user"
        render = partial(template.render_user_turn if user else template.render, tools=request.tools)
        length = self.limits.context_length
        try:
            return render_messages(
                given, template, self._rounds.bound, context_length=length, render=render, tools=request.tools
            )
        except ModelError as error:
            return Prompts(refusal=Reply("", "error", failure=error.failure))

    async def _play(self, state: RequestState) -> AsyncGenerator[str, None]:
        """Play a request's rounds, yield the text as it grows, and set its reply."""
        rounds, outcome, shown = self._rounds.play(state), None, 0
        while True:
            played = await self._in_thread(_advance, rounds, outcome)
            if isinstance(played, Reply):
                state.reply = played
                break
            outcome = None
            async with aclosing(self._play_round(played)) as steps:
                async for outcome in steps:
                    if outcome is None and (final := state.final_length) > shown:
                        yield state.output.text[shown:final]
                        shown = final
        if len(state.reply.text) > shown:
            yield state.reply.text[shown:]

    async def _play_round(self, played: Round) -> AsyncGenerator[RoundOutcome | None, None]:
        """Play a round: yield None whenever tokens have come, then how it ended."""
        primary, *others = played.requests
        followers = [asyncio.create_task(self._follow(request)) for request in others]
        outcome: RoundOutcome | None = None
        try:
            async with aclosing(self._generate(primary, delta=True)) as outputs:
                async for output in outputs:
                    [completion] = output.outputs
                    stopped = played.take(completion.token_ids)
                    if stopped or output.finished:
                        finish = "stop" if stopped else str(completion.finish_reason)
                        outcome = RoundOutcome(finish, output.num_cached_tokens or 0)
                        break
                    yield None
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)
            results = await self._engine.collective_rpc("telic_close", args=(played.group.id, played.tokens))
            self._rounds.close(played)
        if results and results[0] is not None:
            take_results(played.group, results[0])
        yield outcome or RoundOutcome("abort")

    async def _follow(self, request: EngineRequest) -> None:
        """Send a contrast prompt; its tokens are those of the primary one."""
        with suppress(asyncio.CancelledError):
            async for _ in self._generate(request, delta=False):
                pass

    def _generate(self, request: EngineRequest, *, delta: bool) -> AsyncGenerator[Any, None]:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        kind = RequestOutputKind.DELTA if delta else RequestOutputKind.FINAL_ONLY
        params = SamplingParams(**request.params, output_kind=kind)
        generated: AsyncGenerator[Any, None] = self._engine.generate(request.prompt, params, request.id)
        return generated


def _advance(rounds: Any, outcome: RoundOutcome | None) -> Round | Reply:
    """Return the next round, or the reply."""
    try:
        found: Round = next(rounds) if outcome is None else rounds.send(outcome)
    except StopIteration as end:
        reply: Reply = end.value
        return reply
    except (ConfigError, ModelError) as error:  # a control that refuses what it reads
        return Reply("", "error", failure=Failure("model", "exception", str(error)))
    return found


def _request(body: GenerateBody) -> Request:
    try:
        controls = tuple(CONTROLS[key or ""] for key in body.controls)
    except KeyError as error:
        raise UnknownControlError(*error.args) from None
    owners = [prompt.owner for prompt in body.prompts]
    if owners[0] is not None or any(owner is None or not 0 <= owner < len(controls) for owner in owners[1:]):
        raise ConfigError(
            f"the prompts' owners are {owners!r}; expected null for the first one, and the place of a control for each "
            "of the others"
        )
    if unread := set(body.readings) & READINGS - READ:
        raise ConfigError(f"reading {min(unread)!r} is not supported; supported: {', '.join(sorted(READ))}")
    return Request(
        tuple(body.prompts[0].messages),
        body.sampling,
        controls,
        frozenset(body.readings),
        cache=session_cache(body.prompts),
        reply_prefix=body.reply_prefix,
        speaker=body.speaker,
        response_format=None if body.response_format is None else body.response_format.read(),
        tools=tuple(body.tools),
        tool_choice=body.tool_choice,
        cache_salt=body.cache_salt,
    )
