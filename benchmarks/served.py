"""`telic serve` in a process of its own, for benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telic.toml_edit import dump

__all__ = ["SYSTEM", "ServerProcess", "serve"]

SYSTEM = (
    "You are Mia, a travel agent. Find out what the customer wants before you suggest anything. Ask one question at "
    "a time, stay friendly, and never quote a price that you were not given."
)


@dataclass
class ServerProcess:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    """Address, with `/v1`."""

    @property
    def resident_megabytes(self) -> float:
        """Resident memory of the process, in MiB (Linux)."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise ValueError(f"/proc/{self.process.pid}/status has no line VmRSS")

    def kill(self) -> None:
        """Kill the process at once (SIGKILL)."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serve(
    folder: Path,
    model: str,
    settings: Mapping[str, Any],
    port: int = 0,
    keys: Path | None = None,
    store: str | None = None,
) -> Iterator[ServerProcess]:
    """Run `telic serve` with its store in `folder`, unless another is given, and with the API keys of a file."""
    purpose = folder / "purpose.toml"
    purpose.write_text(dump({"name": "benchmark", "model": model, "system": SYSTEM, "serve": dict(settings)}))
    command = [sys.executable, "-m", "telic.cli.main", "serve", str(purpose), "--port", str(port), "--json",
               "--store", store or str(folder / "telic.db")]  # fmt: skip
    command += ["--api-key-file", str(keys)] if keys else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield ServerProcess(process, str(json.loads(process.stdout.readline())["url"]))
        finally:
            process.kill()
