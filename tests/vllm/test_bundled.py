"""The real model: token for token what Telic's own engine replies in float32."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from telic.dialogue import Message
from telic.models.control import Control
from telic.models.request import Request, Sampling
from telic.steering import Anchor, Guidance, Refresh, Reminder, build_control

_SYSTEMS = (
    "You are Mia, a travel agent. Find out what the customer wants before you suggest anything.",
    "You are a pirate. Always answer like a pirate and say Arr.",
    "Always answer in French. You are a polite hotel clerk.",
)
_USERS = ("Hello, who are you?", "What is the weather like in Paris in spring?", "What is your name, again?")
_REPLIES = ("Hi! How can I help you today?", "It is mild and often rainy. Take a coat with you when you go out.")

CONTROLS: dict[str, tuple[Control, ...]] = {
    "plain": (),
    "guidance": (Guidance(3.0),),
    "refresh": (Refresh(1.5),),
    "anchor": (Anchor(0.4),),
    "reminder": (Reminder(),),
    "guidance and refresh": (Guidance(1.5), Refresh(1.5)),
}


def dialogues(count: int) -> list[tuple[Message, ...]]:
    """Dialogues of one to three rounds that end with the user."""
    made = []
    for number in range(count):
        said = [Message(role="system", content=_SYSTEMS[number % 3])]
        for turn in range(number % 3):
            said.append(Message(role="user", content=_USERS[(turn + number) % 3]))
            said.append(Message(role="assistant", content=_REPLIES[(turn + number) % 2]))
        made.append((*said, Message(role="user", content=_USERS[number % 3])))
    return made


def test_all_controls_in_one_batch_give_the_local_engines_replies(bundled: tuple[Any, Any]) -> None:
    model, local = bundled
    # The pins ship for this model: they change the residual stream of every token of the reply.
    pins = {"belief": (build_control({"name": "belief", "towards": {"user_age": "child"}}),)}
    requests, names = [], []
    for name, controls in {**CONTROLS, **pins}.items():
        for number, messages in enumerate(dialogues(3)):
            for temperature in (0.0, 0.8):
                sampling = Sampling(max_new_tokens=10, temperature=temperature, top_p=0.95, seed=number, logprobs=True)
                requests.append(Request(messages, sampling, controls, frozenset({"state"})))
                names.append(name)
    found, expected = model.generate(requests), local.generate(requests)
    for name, one, other in zip(names, found, expected, strict=True):
        assert one.failure is None, one.failure
        assert (name, one.token_ids, one.text) == (name, other.token_ids, other.text)
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-3)
        assert one.state == pytest.approx(other.state, abs=1e-3)
    by_control = {name: {r.text for n, r in zip(names, found, strict=True) if n == name} for name in names}
    assert len({frozenset(texts) for texts in by_control.values()}) == len(by_control), "a control did nothing"


def test_a_session_goes_on_as_on_the_local_engine(bundled: tuple[Any, Any]) -> None:
    said = []
    for model in bundled:
        session = model.session(_SYSTEMS[0])
        for user in _USERS:
            session.user(user).reply(max_new_tokens=8, temperature=0.0, controls=(Refresh(1.5),))
        branch = session.fork().user("What do you do?").request(max_new_tokens=6, temperature=0.7)
        drawn = [replace(branch, sampling=replace(branch.sampling, seed=seed)) for seed in range(3)]
        said.append(([m.content for m in session], [reply.text for reply in model.generate(drawn)]))
    assert said[0] == said[1]
