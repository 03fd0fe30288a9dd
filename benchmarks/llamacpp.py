"""A llama.cpp server on the bundled model's own GGUF, to measure against."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["llamacpp"]

SERVER = Path(__file__).parent.parent / "tests" / "models" / "llamacpp_server.py"


@contextmanager
def llamacpp(slots: int, context: int, threads: int) -> Iterator[str]:
    """Run it in a process of its own, with its prompt cache on; yields its address, `/v1` included.

    Args:
        slots: requests that it answers at once.
        context: tokens per slot.
        threads: of the processor.
    """
    command = [sys.executable, str(SERVER), "--slots", str(slots), "--context", str(context), "--threads", str(threads)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            yield address if address.endswith("/v1") else f"{address}/v1"
        finally:
            process.kill()
