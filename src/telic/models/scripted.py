"""Models without a neural network, for tests: one follows a script, one makes words up."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, Failure, ModelError
from telic.models.choices import read_choice
from telic.models.compatibility import MESSAGES_ONLY, controlled_messages, refuse_unsupported
from telic.models.control import ControlPoint
from telic.models.grammars import matches
from telic.models.request import FinishReason, OnReply, Reply, Request, Sampling
from telic.models.response_format import ResponseFormat
from telic.models.session import Session
from telic.tool_syntax import TEXT_SYNTAX, count_calls

__all__ = ["FakeModel", "ReplyScript", "ScriptedModel", "ScriptedReply"]

ScriptedReply = str | Message
"""The text of a reply; or a message, which may call tools."""

ReplyScript = Sequence[ScriptedReply] | Mapping[str, ScriptedReply] | Callable[[tuple[Message, ...]], ScriptedReply]
"""Replies one after the other; or by what was said last; or as a function of all messages."""

# A token is a word with the space that follows it, so that the pieces of a stream add up to the text.
TOKEN = re.compile(r"\s*\S+\s*")

VOCABULARY = (
    "a about all and answer are as at be because but by can could day find for from good have help here how i idea "
    "if in is it know like little look make many maybe more need new not now of often on one or other people place "
    "question quite rather say see some something sure take talk tell that the then there they thing think this time "
    "to today try usually want way we well what when where which while will with work would year yes you"
)


class _TextModel:
    """What both have in common: everything but the answer."""

    points: frozenset[ControlPoint] = MESSAGES_ONLY
    readings: frozenset[str] = frozenset()

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[tuple[Message, ...]] = []
        """The messages that the model was given, request by request, after the controls."""

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        """Answer the requests one after the other; see `Model.generate`."""
        refuse_unsupported(self, requests)
        replies: list[Reply] = []
        queue = list(requests)
        for request in queue:  # grows on the way
            replies.append(self._reply(request))
            further = list((on_reply and on_reply(len(replies) - 1, replies[-1])) or ())
            refuse_unsupported(self, further)
            queue += further
        return replies

    def stream(self, request: Request) -> Iterator[str | Reply]:
        """Yield the reply word by word, then the whole `Reply`; see `Model.stream`."""
        refuse_unsupported(self, [request])
        return self._stream(request)

    def session(self, system: str | None = None) -> Session:
        """Open a dialogue with this model."""
        return Session(self, Dialogue().with_system(system))

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        reply = self._reply(request)
        yield from TOKEN.findall(reply.text)
        yield reply

    def _reply(self, request: Request) -> Reply:
        messages = controlled_messages(request)
        self.seen.append(messages)
        prompt_tokens = sum(len(TOKEN.findall(message.content)) for message in messages)
        reply = self._answer(messages, request.sampling)
        if request.tools and not reply.tool_calls:
            text, calls = TEXT_SYNTAX.read(reply.text, request.tools, count_calls(messages))
            reply = replace(reply, text=text, tool_calls=calls if request.may_call_tools else ())
        return replace(self._chosen(request, reply) if request.choices else reply, prompt_tokens=prompt_tokens)

    def _chosen(self, request: Request, reply: Reply) -> Reply:
        return read_choice(request, reply)

    def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        raise NotImplementedError


class ScriptedModel(_TextModel):
    """Replies from a script. Stop strings and `max_new_tokens` (in words) cut a reply short, as for a real model.

    Where the script has no reply (the list is exhausted, the mapping lacks the message, the function raises), the
    reply is a failure. So it is where the request has a response format that the script's reply does not have.

    A text may call tools as a small model writes calls (`telic.tool_syntax.TEXT_SYNTAX`), or the script has a message
    with them.

    Args:
        replies: texts or messages in the order of the requests; or by the content of the last message; or a function
            of all messages.
    """

    def __init__(self, replies: ReplyScript) -> None:
        super().__init__("scripted")
        self.replies: ReplyScript = (replies,) if isinstance(replies, (str, Message)) else replies

    def check_format(self, response_format: ResponseFormat) -> None:
        """Compile a response format.

        Raises:
            ConfigError: it is wrong; the message says where.
            MissingExtraError: llguidance is not installed.
        """
        matches(response_format, "")

    def _reply(self, request: Request) -> Reply:
        reply, expected = super()._reply(request), request.response_format
        if expected is None or reply.finish != "stop" or matches(expected, reply.text):
            return reply
        return reply.failed("response_format", f"the script's reply {reply.text!r} does not have the response format")

    def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        try:
            said = self._look_up(messages)
        except Exception as error:  # a test's script fails as a model would: its own request alone
            return Reply(
                "", "error", failure=Failure("model", "exception", str(error) or repr(error)), seed=sampling.seed
            )
        text, finish, new_tokens = _cut(said if isinstance(said, str) else said.content, sampling)
        calls = () if isinstance(said, str) else said.tool_calls
        return Reply(text, finish, new_tokens=new_tokens, seed=sampling.seed, tool_calls=calls)

    def _look_up(self, messages: tuple[Message, ...]) -> ScriptedReply:
        if callable(self.replies):
            return self.replies(messages)
        if isinstance(self.replies, Mapping):
            said = messages[-1].content if messages else ""
            try:
                return self.replies[said]
            except KeyError:
                raise ModelError(f"the script has no reply to {said!r}; it has {sorted(self.replies)}") from None
        index = len(self.seen) - 1
        if index >= len(self.replies):
            raise ModelError(
                f"the script has {len(self.replies)} replies, and this is request {index + 1}; add a reply"
            )
        return self.replies[index]


class FakeModel(_TextModel):
    """A chat model in name only: random words, the same for the same messages and seed.

    One word is one token. At temperature 0 the request's seed plays no part; a request without a seed is drawn with
    the model's own. With a `drift`, the model remembers its system prompt in round t (counted from 0, since the last
    system message) with probability (1 - drift) ** t, and then says it word for word; a judge that looks for a word
    of the system prompt thus measures a known stability.

    Args:
        seed: two models with different seeds talk differently.
        drift: probability per round of losing the system prompt, from 0 to 1; None never follows it.
        delay: seconds that each reply takes.
        fail_every: every n-th request fails, counted over the model's life; 0 for none.

    Raises:
        ConfigError: an argument is out of its range.
    """

    def __init__(self, seed: int = 0, *, drift: float | None = None, delay: float = 0.0, fail_every: int = 0) -> None:
        super().__init__("fake")
        if drift is not None and not 0 <= drift <= 1:
            raise ConfigError(f"fake model: drift is {drift!r}; expected a probability from 0 to 1")
        if delay < 0:
            raise ConfigError(f"fake model: delay is {delay!r}; expected 0 or more seconds")
        if fail_every < 0:
            raise ConfigError(f"fake model: fail_every is {fail_every!r}; expected 0 or more")
        self.seed = seed
        self.drift = drift
        self.delay = delay
        self.fail_every = fail_every

    def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        time.sleep(self.delay)
        seed = self.seed if sampling.seed is None else sampling.seed
        if self.fail_every and len(self.seen) % self.fail_every == 0:
            failure = Failure("model", "exception", f"injected fault (fail_every={self.fail_every})")
            return Reply("", "error", failure=failure, seed=seed)
        draw = self._random(messages, seed if sampling.temperature > 0 else 0)
        text, finish, new_tokens = _cut(self._text(messages, sampling, draw), sampling)
        logprobs = tuple(-draw.expovariate(1.0) for _ in range(new_tokens)) if sampling.logprobs else None
        return Reply(text, finish, new_tokens=new_tokens, logprobs=logprobs, seed=seed)

    def _chosen(self, request: Request, reply: Reply) -> Reply:
        draw = self._random(request.messages, reply.seed or 0)
        return replace(reply, text=draw.choice(request.choices)) if reply.finish != "error" else reply

    def _random(self, messages: tuple[Message, ...], seed: int) -> Random:
        # hash() is salted per process; a digest gives the same reply everywhere.
        said = json.dumps([self.seed, seed, [message.as_dict() for message in messages]])
        return Random(hashlib.blake2b(said.encode()).digest())

    def _text(self, messages: tuple[Message, ...], sampling: Sampling, draw: Random) -> str:
        system = self._remembered(messages, draw)
        if system is not None and not sampling.ignore_eos:
            return system
        count = sampling.max_new_tokens if sampling.ignore_eos else draw.randint(5, 25)
        return " ".join(draw.choices(VOCABULARY.split(), k=count)).capitalize() + "."

    def _remembered(self, messages: tuple[Message, ...], draw: Random) -> str | None:
        luck = draw.random()
        rounds = 0
        for message in reversed(messages):
            if message.role == "system":
                return message.content if self.drift is not None and luck < (1 - self.drift) ** rounds else None
            rounds += message.role == "assistant"
        return None


def _cut(text: str, sampling: Sampling) -> tuple[str, FinishReason, int]:
    """Cut the text at the limit on words or the first stop string; return it, why it ends there, and its words."""
    finish: FinishReason = "stop"
    words = TOKEN.findall(text)
    if len(words) > sampling.max_new_tokens or (sampling.ignore_eos and len(words) == sampling.max_new_tokens):
        text, finish = "".join(words[: sampling.max_new_tokens]).rstrip(), "length"
    ends = [text.find(stop) for stop in sampling.stop if stop in text]
    if ends:
        text, finish = text[: min(ends)], "stop"
    return text, finish, len(TOKEN.findall(text))
