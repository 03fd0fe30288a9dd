"""Episodes that make several requests at once, of one model or of several."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import pytest

from telic.dialogue import Message
from telic.episodes import Episode
from telic.models import Reply, Request, ScriptedModel
from telic.models.request import OnReply
from telic.models.requesting import ModelRequest, RequestGenerator, ask
from telic.rollouts.driver import drive


def asking(model: ScriptedModel, text: str) -> ModelRequest:
    return ModelRequest(model, Request((Message(role="user", content=text),)))


def echo() -> ScriptedModel:
    return ScriptedModel(lambda messages: messages[-1].content)


def ended(name: str, texts: Sequence[str]) -> Episode:
    return Episode(id=name, kind="test", seed=0, roles={}, metadata={"replies": list(texts)})


def replies_of(episodes: Sequence[Episode]) -> dict[str, list[str]]:
    return {episode.id: episode.metadata["replies"] for episode in episodes}


def test_a_reply_comes_with_its_request_and_others_may_be_made_meanwhile() -> None:
    model = echo()

    def playing() -> RequestGenerator[Episode]:
        first, aside = asking(model, "one"), asking(model, "aside")
        request, reply = yield [first, aside]
        assert request is first
        second = asking(model, "two")
        request, late = yield [second]
        assert request is aside
        request, last = yield []
        assert request is second
        return ended("it", [reply.text, late.text, last.text])

    episodes: list[Episode] = []
    heard: list[Reply] = []
    drive([playing()], [model], concurrency=1, on_episode=episodes.append, on_reply=heard.append)
    assert replies_of(episodes) == {"it": ["one", "aside", "two"]}
    assert len(heard) == 3


class Slow(ScriptedModel):
    """Answers when another model has answered, too."""

    def __init__(self, barrier: threading.Barrier) -> None:
        super().__init__(lambda messages: messages[-1].content)
        self.barrier = barrier

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        def both_at_once(index: int, reply: Reply) -> Sequence[Request]:
            self.barrier.wait(timeout=10)
            return list((on_reply and on_reply(index, reply)) or ())

        return super().generate(requests, both_at_once)


def test_replies_of_two_models_may_come_at_the_same_time() -> None:
    barrier = threading.Barrier(2)
    models = [Slow(barrier), Slow(barrier)]

    def playing(number: int) -> RequestGenerator[Episode]:
        texts = []
        for round_ in range(5):
            requests = [asking(model, f"{number} {round_}") for model in models]
            _, one = yield requests
            time.sleep(0.002)  # the other model's reply comes while the episode is still busy with this one
            _, other = yield []
            texts += [one.text, other.text]
        return ended(str(number), texts)

    episodes: list[Episode] = []
    drive((playing(number) for number in range(3)), models, concurrency=2, on_episode=episodes.append)
    assert replies_of(episodes) == {
        str(number): [f"{number} {round_}" for round_ in range(5) for _ in models] for number in range(3)
    }


def test_as_one_episode_ends_the_next_begins_and_one_without_requests_ends_at_once() -> None:
    model = echo()
    active = 0
    most = 0

    def playing(number: int) -> RequestGenerator[Episode]:
        nonlocal active, most
        active += 1
        most = max(most, active)
        texts = []
        for round_ in range(number):
            reply = yield from ask(model, asking(model, str(round_)).request)
            texts.append(reply.text)
        active -= 1
        return ended(str(number), texts)

    episodes: list[Episode] = []
    drive((playing(number) for number in range(6)), [model], concurrency=2, on_episode=episodes.append)
    assert replies_of(episodes) == {str(number): [str(r) for r in range(number)] for number in range(6)}
    assert most == 2


def test_what_one_model_raises_ends_the_run_of_all() -> None:
    class Broken(ScriptedModel):
        def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
            raise KeyError("broken")

    good, bad = echo(), Broken(lambda _: "")

    def playing() -> RequestGenerator[Episode]:
        yield from ask(good, asking(good, "hello").request)
        yield from ask(bad, asking(bad, "hello").request)
        raise AssertionError("not reached")

    with pytest.raises(KeyError, match="broken"):
        drive([playing(), playing()], [good, bad], concurrency=2, on_episode=lambda _: None)
