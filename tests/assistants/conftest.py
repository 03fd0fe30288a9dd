"""A real IMAP server on this machine (pymap), in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from telic.assistants.mail.imap import PASSWORD_VARIABLE


@pytest.fixture
def imap_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start a server with the folders INBOX (4 messages), Sent and Trash; yields its address without a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-c", "from pymap.main import main; main()"]
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-tls", "dict", "--demo-data"]
    server = subprocess.Popen([*command, *options], stderr=subprocess.PIPE)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if server.poll() is not None:
                raise RuntimeError(server.communicate()[1].decode())
            time.sleep(0.1)
        monkeypatch.setenv(PASSWORD_VARIABLE, "demopass")
        yield f"imap://demouser@127.0.0.1:{port}"
    finally:
        server.terminate()
        server.communicate()
