"""Speed of a stability measurement: Telic against three other ways to do the same work.

    python -m benchmarks.stability_speed [--ways sequential batched llamacpp] [--rounds 8] [--dtype float32]

The work: 32 dialogues of 8 rounds; side a's opener is given, every other utterance has 60 new tokens; side b is asked
its probe before the dialogue and after each round, on a branch, with 30 new tokens. Stop tokens are ignored.

(a) sequential: the published protocol's way: one dialogue at a time, `generate`, the whole history prefilled for each
turn and each probe; measured on `--sample` dialogues and scaled. (b) batched: `generate` over all dialogues with left
padding, without reuse; some rounds are measured, those between interpolated. (c) llamacpp: a llama.cpp server on the
same GGUF, prompt cache, 16 slots, 32 dialogues concurrently. Same threads; (a) and (b) same dtype. Each way runs in a
process of its own, whose peak memory it reports (ru_maxrss; that of the server for (c)). The last line is JSON.

For a processor with AVX2 only: ATEN_CPU_CAPABILITY=avx2 DNNL_MAX_CPU_ISA=AVX2 MKL_ENABLE_INSTRUCTIONS=AVX2, with
`--dtype float32`.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

from benchmarks.llamacpp import llamacpp
from telic.dialogue import Dialogue
from telic.episodes import Episode
from telic.judges import Score
from telic.models import LocalModel, RemoteModel, Reply, Request, Sampling, load
from telic.stability.bank import Bank, openers
from telic.stability.plan import DialoguePlan, JudgedProbe, SelfChatProtocol, Side
from telic.stability.selfchat import play_dialogues

DIALOGUES, ROUNDS, UTTERANCE_TOKENS, PROBE_TOKENS = 32, 8, 60, 30

Played = tuple[list[Episode], list[str]]
"""What was said in each dialogue, and its probe question."""


class _NoJudge:
    def judge(self, answer: str, question: str = "") -> Score:
        return Score.missing("not judged")


def plans(dialogues: int) -> list[DialoguePlan]:
    """The dialogues: pairs of the bank; side b is probed."""
    topics = openers()
    made = []
    for number, (a, b) in enumerate(Bank.load().pairs(dialogues, seed=0)):
        probe = JudgedProbe("probe", "speed", b.ask, _NoJudge())
        sides = Side("a", a.system), Side("b", b.system, (probe,))
        made.append(DialoguePlan(f"{number:04d}", number, *sides, topics[number % len(topics)]))
    return made


def protocol(rounds: int, dialogues: int) -> SelfChatProtocol:
    """Sampled at temperature 1, top-p 0.9, to the full number of tokens."""
    drawn = Sampling(temperature=1.0, top_p=0.9, ignore_eos=True)
    utterance, answer = replace(drawn, max_new_tokens=UTTERANCE_TOKENS), replace(drawn, max_new_tokens=PROBE_TOKENS)
    return SelfChatProtocol(rounds, 1, utterance, answer, concurrency=dialogues)


def telic_way(dtype: str | None, rounds: int, dialogues: int) -> tuple[dict[str, Any], Played]:
    """Telic's own self-chat on its engine; also returns what was said, for the other ways."""
    import torch

    model = _load(dtype)
    tokens = computed = 0

    def count(reply: Reply) -> None:
        nonlocal tokens, computed
        tokens += reply.new_tokens
        computed += reply.prompt_tokens - reply.cached_tokens

    episodes: list[Episode] = []
    engine, dialogues_ = model.engine, plans(dialogues)
    passes, rows = engine.passes, engine.drawn_tokens
    start = time.perf_counter()
    play_dialogues(model, dialogues_, protocol(rounds, dialogues), episodes.append, count)
    seconds = time.perf_counter() - start
    passes, rows = engine.passes - passes, engine.drawn_tokens - rows
    result = {
        "seconds": seconds,
        "tokens": tokens,
        "prompt_tokens_computed": computed,
        "passes": passes,
        "rows_per_pass": rows / passes,
        "peak_memory_mb": peak_memory(resource.RUSAGE_SELF),
        "threads": torch.get_num_threads(),
        "dtype": str(model.model.dtype).removeprefix("torch."),
    }
    result |= decode_share(model)
    episodes.sort(key=lambda episode: episode.id)
    return result, (episodes, [plan.b.probes[0].ask for plan in dialogues_])


def generate_whole(model: LocalModel, views: list[Dialogue], new_tokens: int) -> list[str]:
    """`transformers.generate` on whole histories, as the published code does (a) or over a batch (b)."""
    import torch

    texts = [model.render(tuple(view)).text for view in views]
    model.tokenizer.padding_side = "left"
    encoded = model.tokenizer(texts, return_tensors="pt", padding=len(texts) > 1, add_special_tokens=False)
    with torch.inference_mode():
        out = model.model.generate(
            **encoded, do_sample=True, temperature=1.0, top_p=0.9, top_k=0,
            min_new_tokens=new_tokens, max_new_tokens=new_tokens, pad_token_id=model.tokenizer.eos_token_id,
        )  # fmt: skip
    return list(model.tokenizer.batch_decode(out[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True))


def calls_of_round(episodes: Sequence[Episode], asks: Sequence[str], round_: int) -> list[tuple[list[Dialogue], int]]:
    """What a way without sessions is asked in one round: whole histories, and how many new tokens.

    The histories are those of Telic's own run, so every way reads and writes the same amount.
    """
    probe = [_view(e, "b", round_, "b").add("user", ask) for e, ask in zip(episodes, asks, strict=True)]
    if round_ == 0:
        return [(probe, PROBE_TOKENS)]
    b = [_view(e, "b", round_, "a") for e in episodes]
    a = [_view(e, "a", round_ - 1, "b") for e in episodes] if round_ > 1 else []
    return [(views, n) for views, n in ((a, UTTERANCE_TOKENS), (b, UTTERANCE_TOKENS), (probe, PROBE_TOKENS)) if views]


def _view(episode: Episode, role: str, round_: int, last: str) -> Dialogue:
    """What a side sees when `last` has spoken in a round."""
    said = [t for t in episode.turns if t.round < round_ or (t.round == round_ and t.role <= last)]
    dialogue = Dialogue().with_system(episode.roles[role]["system"])
    for turn in said:
        dialogue = dialogue.add("assistant" if turn.role == role else "user", turn.text)
    return dialogue


def _seconds(model: LocalModel, calls: Iterable[tuple[list[Dialogue], int]]) -> float:
    start = time.perf_counter()
    for views, new_tokens in calls:
        generate_whole(model, views, new_tokens)
    return time.perf_counter() - start


def sequential_way(dtype: str, played: Played, rounds: int, sample: int) -> dict[str, Any]:
    """(a): one dialogue at a time, scaled from a sample."""
    plain = plain_model(dtype)
    seconds = sum(
        _seconds(plain, calls_of_round([episode], [ask], round_))
        for episode, ask in list(zip(*played, strict=True))[:sample]
        for round_ in range(rounds + 1)
    )
    return {
        "seconds": seconds / sample * len(played[0]),
        "sample": sample,
        "peak_memory_mb": peak_memory(resource.RUSAGE_SELF),
    }


def batched_way(dtype: str, played: Played, rounds: int, measured: Sequence[int]) -> dict[str, Any]:
    """(b): all dialogues in one padded batch, whole histories; rounds that are not measured are interpolated."""
    import numpy as np

    plain = plain_model(dtype)
    measured = sorted({0, 1, rounds, *(r for r in measured if r < rounds)})
    by_round = {r: _seconds(plain, calls_of_round(*played, r)) for r in measured}
    seconds = float(np.interp(range(rounds + 1), measured, [by_round[r] for r in measured]).sum())
    return {
        "seconds": seconds,
        "measured_rounds": {str(r): round(s, 1) for r, s in by_round.items()},
        "peak_memory_mb": peak_memory(resource.RUSAGE_SELF),
    }


def _load(dtype: str | None) -> LocalModel:
    import torch

    model = load("smollm2", dtype=getattr(torch, dtype) if dtype else None)
    assert isinstance(model, LocalModel)
    return model


def plain_model(dtype: str) -> LocalModel:
    """The same checkpoint as `transformers` gives it: its own attention."""
    plain = _load(dtype)
    plain.model.set_attn_implementation("sdpa")
    return plain


def peak_memory(who: int) -> int:
    """Peak memory in MB of this process, or of the largest of its children that have ended."""
    return int(resource.getrusage(who).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e6 / 1024))


def in_own_process(way: Callable[..., Any], *arguments: Any) -> Any:
    """Run one way in a process of its own, so that its memory and its threads are its own too."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        return executor.submit(way, *arguments).result()


def llamacpp_way(rounds: int, dialogues: int, slots: int, threads: int) -> dict[str, Any]:
    """(c): a llama.cpp server with prompt cache; every dialogue and every probe runs as soon as it can."""
    with llamacpp(slots, 2048, threads) as address:
        model = RemoteModel(
            "smollm2", base_url=address, concurrency=3 * dialogues, timeout=3600, extra_body={"top_k": 0, "min_p": 0}
        )
        start = time.perf_counter()
        play_dialogues(model, plans(dialogues), protocol(rounds, dialogues), lambda _: None)
        seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "tokens": model.usage.new_tokens,
        "errors": model.usage.errors,
        "peak_memory_mb": peak_memory(resource.RUSAGE_CHILDREN),
    }


def memory_bandwidth() -> float:
    """Bytes per second that this machine reads from memory, by summing an array that no cache holds."""
    import torch

    block = torch.ones(64 << 20)
    best = 0.0
    for _ in range(5):
        start = time.perf_counter()
        block.sum()
        best = max(best, block.nbytes / (time.perf_counter() - start))
    return best


def decode_share(model: LocalModel, rows: int = 32, context: int = 512, steps: int = 20) -> dict[str, float]:
    """What share of the memory-bandwidth limit a decoding step reaches: bytes it must read over bytes it could."""
    text = "word " * context
    requests = [
        Request(tuple(Dialogue().add("user", text)), Sampling(steps, 1.0, 0.9, seed=s, ignore_eos=True))
        for s in range(rows)
    ]
    model.generate([Request(r.messages, Sampling(1, seed=0)) for r in requests[:1]])
    times: list[float] = []
    for request in requests:
        model.engine.submit(request)
    while not model.engine.idle:
        start = time.perf_counter()
        model.engine.step()
        times.append(time.perf_counter() - start)
    step = sorted(times[-steps + 2 :])[steps // 2 - 1]
    weights = sum(p.nbytes for p in model.model.parameters())
    cache = model.runner.arena.token_bytes * context * rows
    bandwidth = memory_bandwidth()
    return {
        "step_ms": 1e3 * step,
        "bandwidth_gb_s": bandwidth / 1e9,
        "decode_share_of_bandwidth": (weights + cache) / bandwidth / step,
        "decode_gflops": 2 * rows * weights / model.model.dtype.itemsize / step / 1e9,
    }


def tokens_per_dialogue(rounds: int) -> int:
    """New tokens of one dialogue: side a's opener is given."""
    return (2 * rounds - 1) * UTTERANCE_TOKENS + (rounds + 1) * PROBE_TOKENS


def main() -> None:
    ways = ("sequential", "batched", "llamacpp")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ways", nargs="*", default=list(ways), choices=ways)
    parser.add_argument("--dialogues", type=int, default=DIALOGUES)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="by default what suits the processor")
    parser.add_argument("--sample", type=int, default=1, help="dialogues of way (a) that are measured")
    parser.add_argument(
        "--measured", type=int, nargs="+", default=[4], help="rounds of way (b) that are measured, besides the ends"
    )
    options = parser.parse_args()
    rounds, dialogues = options.rounds, options.dialogues
    results: dict[str, dict[str, Any]] = {}
    results["telic"], played = in_own_process(telic_way, options.dtype, rounds, dialogues)
    dtype, threads = results["telic"]["dtype"], results["telic"]["threads"]
    for way in ("telic", *options.ways):
        if way == "sequential":
            results[way] = in_own_process(sequential_way, dtype, played, rounds, options.sample)
        elif way == "batched":
            results[way] = in_own_process(batched_way, dtype, played, rounds, options.measured)
        elif way == "llamacpp":
            results[way] = in_own_process(llamacpp_way, rounds, dialogues, 16, threads)
        results[way]["tokens_per_second"] = tokens_per_dialogue(rounds) * dialogues / results[way]["seconds"]
        print(way, json.dumps(results[way]), flush=True)
    telic = results["telic"]
    summary: dict[str, Any] = {
        f"ratio_{way}": round(results[way]["seconds"] / telic["seconds"], 2) for way in options.ways
    }
    summary |= {f"peak_memory_mb_{way}": result["peak_memory_mb"] for way, result in results.items()}
    summary |= {
        k: round(telic[k], 3) for k in ("step_ms", "bandwidth_gb_s", "decode_share_of_bandwidth", "decode_gflops")
    }
    print(json.dumps(summary | {"dialogues": dialogues, "rounds": rounds, "threads": threads, "dtype": dtype}))


if __name__ == "__main__":
    main()
