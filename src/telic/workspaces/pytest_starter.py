"""Starts pytest in the sandbox. It runs as a text, without Telic, on Python 3.6 or newer.

pytest is imported before anything of the working tree, so that no module there takes its place.
"""

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

SECONDS = 20


def start_service(code: str, port: int) -> None:
    """Start a program beside the tests, and wait until it listens."""
    subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.time() + SECONDS
    while port and time.time() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)


def run_plan() -> None:
    """Carry out the plan in the first argument."""
    plan = json.loads(sys.argv[1])
    for name, text in plan["files"].items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    if plan["service"]:
        start_service(plan["service"], plan["port"])
    if plan["pytest_from_tree"]:
        sys.path[:0] = plan["paths"]
    import _pytest.junitxml
    import pytest

    assert _pytest.junitxml  # it writes the report
    if not plan["pytest_from_tree"]:
        sys.path[:0] = plan["paths"]
    sys.argv = ["pytest", *plan["arguments"]]
    sys.exit(pytest.main(plan["arguments"]))


if __name__ == "__main__":
    run_plan()
