"""`telic vllm-serve`: the addresses that it refuses, before anything is loaded."""

from __future__ import annotations

import pytest

from telic.cli.vllm_serve import VllmServe
from telic.errors import ConfigError


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (VllmServe(host="0.0.0.0"), r"0\.0\.0\.0 can be reached from other machines, and there is no API key"),
        (VllmServe(vllm_flags=("--host", "0.0.0.0")), "--host comes after '--'"),
        (VllmServe(vllm_flags=("--host=0.0.0.0", "--api-key", "k")), "--host comes after '--'"),
    ],
)
def test_an_address_that_strangers_reach_is_refused(
    command: VllmServe, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLLM_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=message):
        command.run()
