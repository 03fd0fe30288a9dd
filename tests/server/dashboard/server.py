"""A server with a dashboard, in a process of its own, because NiceGUI allows one per process and event loop.

Run with a kind (`tiny`, `scripted`, `memory`) and a folder; prints its address. The scripted one has two users' keys.
"""

from __future__ import annotations

import hashlib
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from telic.models import Control, Model, Reply, Request, ScriptedModel
from telic.models.control import ControlContext, ControlPoint
from telic.models.scripted import TOKEN
from telic.purpose import Probe, Purpose, SamplingDefaults
from telic.server import Keys, ServeConfig, Service, create_app
from telic.server.http_server import make_server

SECONDS = 0.03
"""Time per word."""
KEYS = {"ann": "the key of ann, and hers alone", "bob": "the key of bob, and his alone"}
PURPOSE = Purpose(
    name="travel",
    system="You are Mia, a travel agent. Find out what the customer wants.",
    probes=[Probe(ask="What is your name?", judge={"contains": "Mia"}, name="name")],
    sampling=SamplingDefaults(max_new_tokens=16, temperature=1.0),
)


@dataclass(frozen=True)
class Talkative(Control):
    """Keeps a tiny random model from ending its reply before the token limit."""

    name: ClassVar[str] = "talkative"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def logits(self, rows: Sequence[ControlContext], logits_R_V: Any) -> Any:
        ended = logits_R_V.clone()
        ended[:, :3] = float("-inf")  # the special tokens
        return ended


class Slow(ScriptedModel):
    """Echoes the message word by word; fails, or is slow to end, if the message says so."""

    def __init__(self) -> None:
        super().__init__(self._say)

    def _say(self, messages: tuple[Any, ...]) -> str:
        heard = messages[-1].content
        if "fail" in heard:
            raise RuntimeError("out of words")
        return "Mia says: " + ("word " * 400 if "long" in heard else f"you said {heard!r}")

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        reply = self._reply(request)
        for word in TOKEN.findall(reply.text):
            time.sleep(SECONDS)
            yield word
        if "slow to end" in reply.text:
            time.sleep(100 * SECONDS)
        yield reply


def card() -> dict[str, Any]:
    """Make a card that supports all readings except that of the model's own education."""
    from telic.readers import ATTRIBUTES
    from telic.readers.attributes import SUBJECTS

    def figure(value: float, n: int) -> dict[str, float]:
        return {"value": value, "n": n}

    natural = {
        f"{subject}_{attribute}": {
            "all": {
                "accuracy": figure(0.9, 42),
                "known": figure(0.95, 42),
                "accuracy_known": figure(0.95, 40),
                "false_certainty": figure(0.07, 60),
                "takeover": figure(0.31 if attribute == "education" else 0.03, 42),
            }
        }
        for subject in SUBJECTS
        for attribute in ATTRIBUTES
    }
    return {"natural": {"readers": natural}}


def tiny_with_readers(folder: Path) -> Model:
    """Make a tiny model with readers and pins of random weights."""
    import torch

    from telic.readers import ATTRIBUTES, Reader, ReaderSet
    from telic.readers.attributes import SUBJECTS
    from telic.steering import Belief, save_pretrained
    from telic.steering.saving import Origin
    from tests.models import tiny
    from tests.readers.probes import random_probe

    model = tiny.local("llama")
    origin = Origin.of(model)
    readers: list[Reader] = []
    for subject in SUBJECTS:
        for attribute in ATTRIBUTES.values():
            probe = random_probe(model, 1, len(attribute.classes), seed=len(readers), scale=1.0)
            probe.bias_C[-1] = -1000  # a known class, unless the threshold says otherwise
            # The socioeconomic status is always unknown.
            threshold = 1.1 if attribute.name == "socioeconomic" else 0.0
            readers.append(
                Reader(
                    attribute.name, subject, attribute.classes, (1,), probe,
                    temperature=8.0, threshold=threshold,
                )
            )  # fmt: skip
    ReaderSet(tuple(readers), origin, card()).save(folder)
    directions = {
        f"{reader.name}/{label}": {1: torch.randn(model.hidden_size)} for reader in readers for label in reader.classes
    }
    save_pretrained(Belief(directions, origin=origin), folder / "pins", model=model)
    return model


def planner_of(model: Model) -> Control:
    """Make an untrained planner of two dialogue acts."""
    import torch

    from telic.models import LocalModel
    from telic.planner import Planner, PlannerControl

    assert isinstance(model, LocalModel)
    acts = {name: torch.randn(2, model.hidden_size) for name in ("ask", "tell")}
    return PlannerControl(planner=Planner.new(model, acts=acts))


def main(kind: str, folder: Path) -> None:
    """Serve until killed."""
    settings: dict[str, Any] = {"store": str(folder / "telic.db"), "runs": str(folder / "runs")}
    keys = Keys()
    if kind == "tiny":
        model, settings = tiny_with_readers(folder / "readers"), {**settings, "readers": str(folder / "readers")}
    elif kind == "memory":
        model = ScriptedModel(lambda _: "All right.")
    else:
        model = Slow()
        keys = Keys({name: hashlib.sha256(key.encode()).digest() for name, key in KEYS.items()})
    purpose = PURPOSE
    if kind == "memory":
        purpose = PURPOSE.model_copy(update={"probes": [], "memory": {"slots": ["home airport"]}})
    if kind == "scripted":
        purpose = PURPOSE.model_copy(update={"probes": [], "sampling": SamplingDefaults(max_new_tokens=500)})
    controls = [Talkative(), planner_of(model)] if kind == "tiny" else []
    service = Service(model, purpose, ServeConfig.of(**settings), controls)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = create_app(service, keys, None, lambda: print(address, flush=True), dashboard=True)
        make_server(app).run([listener])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
