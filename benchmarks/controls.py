"""Decoding time under each control, relative to the baseline without a control.

    python -m benchmarks.controls [--context 1000] [--exchanges 1] [--batch 32] [--blocks 8] [--model smollm2]

Every block decodes the same dialogues under each control in turn, so that the machine's load is the same for all. A
ratio is of medians within a block; the interval is over blocks. The last line is JSON; targets: `split_softmax` and
`attention_hold` at most 1.10, `guidance` 2.2.
"""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import asdict, dataclass

import tyro

from telic.models import Control, LocalModel, Sampling, Session, load
from telic.statistics import bootstrap_mean
from telic.steering import AttentionHold, Guidance, Refresh, Reminder, SplitSoftmax

SYSTEM = "You are Mia, a travel agent. Find out what the customer wants before you suggest anything."
TOPIC = "We went along the coast, then up into the hills, and in the evening back to the small hotel by the harbour. "


@dataclass
class Settings:
    """What is measured."""

    context: int = 1000
    """Tokens of each sequence when decoding starts."""
    exchanges: int = 1
    """User messages that share these tokens. Contrast prompts of a first turn hold the last one only."""
    batch: int = 32
    """Sequences that decode together."""
    tokens: int = 16
    """Passes per block and control."""
    blocks: int = 8
    model: str = "smollm2"


def dialogue(model: LocalModel, settings: Settings) -> Session:
    """Make a dialogue of about so many tokens with a first reply in it."""
    session = model.session(SYSTEM).user("Hello!").assistant("Hello, I am Mia. Where would you like to go?")
    for number in range(1, settings.exchanges + 1):
        text = TOPIC
        while len(model.render([*session, *model.session().user(text)]).token_ids) < (
            settings.context * number // settings.exchanges
        ):
            text += TOPIC
        session.user(text)
        if number < settings.exchanges:
            session.assistant("I see.")
    return session


def decode(session: Session, control: Control | None, settings: Settings) -> float:
    """Measure the median seconds of a pass in which every sequence decodes."""
    model = session.model
    assert isinstance(model, LocalModel)
    engine = model.engine
    controls = (control,) if control else ()
    for index in range(settings.batch):
        fork = session.fork()
        drawn = Sampling(max_new_tokens=settings.tokens + 2, seed=index, ignore_eos=True)
        engine.submit(fork.request(controls=controls, sampling=drawn, keep=False))
    seconds = []
    while not engine.idle:
        decoded, start = engine.drawn_tokens, time.perf_counter()
        engine.step()
        if engine.drawn_tokens - decoded == settings.batch:
            seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[1:])


def main(settings: Settings) -> None:
    """Measure and print."""
    loaded = load(settings.model)
    assert isinstance(loaded, LocalModel)
    model = LocalModel(
        loaded.model, loaded.tokenizer, loaded.name, max_batch=3 * settings.batch
    )  # with contrast prompts
    arms: dict[str, Control | None] = {
        "baseline": None,
        "split_softmax": SplitSoftmax(0.8),
        "attention_hold": AttentionHold(gain=2.0),
        "hold_per_head": AttentionHold(gain=2.0, per="head"),
        "guidance": Guidance(1.5),
        "refresh": Refresh(),
        "reminder": Reminder(),
        "baseline_again": None,
    }
    sessions = {}
    for name, control in arms.items():
        sessions[name] = dialogue(model, settings)
        request = sessions[name].request(controls=(control,) if control else (), max_new_tokens=1)
        model.generate([request])  # reads the prompt once; the blocks start from this cache
    ratios: dict[str, list[float]] = {name: [] for name in arms if name != "baseline"}
    for block in range(settings.blocks):
        found = {name: decode(sessions[name], control, settings) for name, control in arms.items()}
        times = ", ".join(f"{name} {1e3 * value:.0f} ms" for name, value in found.items())
        print(f"block {block}: {times}", flush=True)
        for name in ratios:
            ratios[name].append(found[name] / found["baseline"])
    result: dict[str, object] = asdict(settings)
    for name, values in ratios.items():
        interval = bootstrap_mean(values)
        result[name] = round(statistics.median(values), 3)
        result[f"{name}_interval"] = [None if end is None else round(end, 3) for end in (interval.low, interval.high)]
    print(json.dumps(result))


if __name__ == "__main__":
    main(tyro.cli(Settings))
