"""The same requests on Telic's own engine, on vLLM in this process, and on a vLLM server: speed, and equality.

    python -m benchmarks.backends [--dialogues 32] [--prompt-tokens 500] [--new-tokens 60] [--backends local vllm http]

It runs in the environment of `make test-vllm`. The work: dialogues with prompts of about 500 tokens, each answered with
60 new tokens, greedily, without a control, under `guidance` and under `refresh`. All requests are sent at once. Stop
tokens are ignored. Everything is float32 on the processor, with as many threads as OMP_NUM_THREADS says. Each backend
runs in a process of its own, one after the other; nothing is in a cache when an arm starts, because each arm's system
prompts begin with words of their own. Processor time is that of the process, for `http` that of the server's two.

`refresh_overhead_vllm` is the time under `refresh` over the time without a control, `refresh_overhead_vllm_cpu` the
same of processor time, which other work on the machine changes less. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import psutil

from benchmarks.stability_speed import in_own_process
from telic.dialogue import Message
from telic.models import Model, Request, Sampling, load
from telic.stability.bank import Bank, openers

ARMS = {"plain": (), "guidance": ("guidance",), "refresh": ("refresh",)}
"""Controls of each arm, at their defaults."""
START_SECONDS = 600


def dialogues(count: int, prompt_tokens: int, arm: str) -> list[tuple[Message, ...]]:
    """Dialogues of several rounds whose prompts have about the wanted number of tokens."""
    topics, made = openers(), []
    for number, (a, b) in enumerate(Bank.load().pairs(count, seed=0)):
        said = [Message(role="system", content=f"Dialogue {number} of {arm}. {a.system}")]
        words, turn = 0, 0
        while words < 0.65 * prompt_tokens - 40:  # about 0.65 words a token
            asked, told = (
                topics[(number + turn) % len(topics)],
                f"{b.system} {topics[(number + 7 * turn) % len(topics)]}",
            )
            said += [Message(role="user", content=asked), Message(role="assistant", content=told)]
            words += len(asked.split()) + len(told.split()) + 6
            turn += 1
        made.append((*said, Message(role="user", content=topics[(number + 3) % len(topics)])))
    return made


def run_arms(model: Model, options: dict[str, int], cpu: psutil.Process) -> dict[str, Any]:
    """Answer the requests of every arm; a first short one warms up what is made once."""
    from telic.steering import build_control

    drawn = Sampling(max_new_tokens=options["new_tokens"], temperature=0.0, ignore_eos=True, seed=0)
    model.generate([Request((Message(role="user", content="Hello"),), Sampling(max_new_tokens=4, seed=0))])
    arms: dict[str, Any] = {}
    for arm, names in ARMS.items():
        controls = tuple(build_control({"name": name}) for name in names)
        prompts = dialogues(options["dialogues"], options["prompt_tokens"], arm)
        requests = [Request(messages, drawn, controls) for messages in prompts]
        start, busy = time.perf_counter(), _cpu_seconds(cpu)
        replies = model.generate(requests)
        seconds = time.perf_counter() - start
        failed = [reply.failure for reply in replies if reply.failure is not None]
        if failed:
            raise SystemExit(f"{arm}: {failed[0]}")
        arms[arm] = {
            "seconds": round(seconds, 2),
            "tokens_per_second": round(sum(reply.new_tokens for reply in replies) / seconds, 2),
            "cpu_seconds": round(_cpu_seconds(cpu) - busy, 2),
            "prompt_tokens": round(sum(reply.prompt_tokens for reply in replies) / len(replies)),
            "tokens": [list(reply.token_ids) for reply in replies],
        }
    return arms


def local_backend(options: dict[str, int]) -> dict[str, Any]:
    """Telic's own engine."""
    return run_arms(load("smollm2", dtype="float32", max_batch=options["batch"]), options, psutil.Process())


def vllm_backend(options: dict[str, int]) -> dict[str, Any]:
    """VLLM in a process with the requests."""
    model = load("vllm:smollm2", dtype="float32", max_batch=options["batch"], context_length=2048)
    return run_arms(model, options, psutil.Process())


def http_backend(options: dict[str, int]) -> dict[str, Any]:
    """A vLLM server."""
    with server(options["batch"]) as (address, process):
        model = load(address, concurrency=options["dialogues"], timeout=3600.0)
        return run_arms(model, options, process)


BACKENDS = {"local": local_backend, "vllm": vllm_backend, "http": http_backend}


@contextmanager
def server(batch: int) -> Iterator[tuple[str, psutil.Process]]:
    """Start `telic vllm-serve`; yields the address and the process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    options = ("--port", str(port), "--max-batch", str(batch), "--dtype", "float32", "--context-length", "2048")
    started = subprocess.Popen([sys.executable, "-m", "telic.cli.main", "vllm-serve", "smollm2", *options])
    try:
        end = time.monotonic() + START_SECONDS
        while not _answers(f"http://127.0.0.1:{port}/health"):
            if started.poll() is not None or time.monotonic() > end:
                raise SystemExit("the server did not start")
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1", psutil.Process(started.pid)
    finally:
        started.send_signal(signal.SIGINT)
        started.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == httpx.codes.OK
    except httpx.HTTPError:
        return False


def _cpu_seconds(process: psutil.Process) -> float:
    """Processor time of a process and its children."""
    every = [process, *process.children(recursive=True)]
    return sum(float(times.user + times.system) for times in (each.cpu_times() for each in every))


def summary(found: dict[str, dict[str, Any]], options: dict[str, int]) -> dict[str, Any]:
    """The figures of all backends, and how many replies are those of the first one."""
    first = next(iter(found))
    result: dict[str, Any] = {**options, "threads": int(os.environ.get("OMP_NUM_THREADS", "0")), "backends": {}}
    for backend, arms in found.items():
        for arm, figures in arms.items():
            same = zip(figures["tokens"], found[first][arm]["tokens"], strict=True)
            figures["equal"] = f"{sum(one == other for one, other in same)} of {options['dialogues']} to {first}"
        result["backends"][backend] = {
            arm: {name: value for name, value in figures.items() if name != "tokens"} for arm, figures in arms.items()
        }
        for arm in ARMS:
            if arm != "plain":
                for what, key in (("seconds", ""), ("cpu_seconds", "_cpu")):
                    overhead = arms[arm][what] / arms["plain"][what]
                    result[f"{arm}_overhead_{backend}{key}"] = round(overhead, 3)
    return result


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the chosen backends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dialogues", type=int, default=32)
    parser.add_argument("--prompt-tokens", type=int, default=500)
    parser.add_argument("--new-tokens", type=int, default=60)
    parser.add_argument("--batch", type=int, default=96, help="sequences computed together")
    parser.add_argument("--backends", nargs="+", choices=list(BACKENDS), default=list(BACKENDS))
    options = vars(parser.parse_args(arguments))
    backends = options.pop("backends")
    found = {}
    for backend in backends:
        found[backend] = in_own_process(BACKENDS[backend], options)
        for arm, figures in found[backend].items():
            rate, seconds, busy = (figures[name] for name in ("tokens_per_second", "seconds", "cpu_seconds"))
            print(f"{backend:6} {arm:9} {rate:8.1f} tokens/s {seconds:8.1f} s {busy:8.1f} s of processor", flush=True)
    print(json.dumps(summary(found, options)))


if __name__ == "__main__":
    main()
