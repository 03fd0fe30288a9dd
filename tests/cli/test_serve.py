"""`telic serve`, `keys` and `conversations`, as a user would run them."""

from __future__ import annotations

import importlib.util
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

from openai import AuthenticationError, OpenAI

from tests.cli.conftest import Run

Serving = Callable[..., "tuple[subprocess.Popen[str], str]"]


@pytest.fixture
def serving(tmp_path: Path, travel: Path) -> Iterator[Serving]:
    """`telic serve` in a process of its own; returns it with its address."""
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-m", "telic.cli.main", "serve", "travel.toml", "--port", "0", "--json", *arguments]
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        return process, str(json.loads(line)["url"])

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def test_the_dashboard_is_named_and_can_be_left_out(serving: Serving, run: Run, tmp_path: Path) -> None:
    process, url = serving()
    root = url.removesuffix("/v1")
    assert httpx.get(f"{root}/", follow_redirects=True).url == f"{root}/dashboard/"
    assert "travel · Telic" in httpx.get(f"{root}/dashboard/").text
    assert not (tmp_path / ".nicegui").exists()
    process.send_signal(signal.SIGTERM)
    out, log = process.communicate(timeout=60)
    assert out == ""
    assert [line for line in log.splitlines() if " INFO telic.server request " not in line] == []
    _, url = serving("--no-dashboard")
    root = url.removesuffix("/v1")
    for path in ("/", "/dashboard/"):
        assert httpx.get(f"{root}{path}").status_code == 404


def test_a_dashboard_without_nicegui_says_what_to_install(
    run: Run, travel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "nicegui" else known(name))
    outcome = run("serve", "travel.toml")
    assert (outcome.status, outcome.out) == (1, "")
    assert "the dashboard needs the extra 'server'. Install it with: pip install 'telic[server]'" in outcome.error


def test_readers_that_the_model_does_not_support_are_refused_before_serving(run: Run, travel: Path) -> None:
    travel.write_text(travel.read_text() + '[serve]\nreaders = "mine"\n')
    outcome = run("serve", "travel.toml")
    assert (outcome.status, outcome.out) == (1, "")
    assert "readers read hidden states, which model 'fake' does not show" in outcome.error


def say(url: str, messages: list[Any], key: str = "none") -> str:
    with OpenAI(base_url=url, api_key=key, max_retries=0) as client:
        text = client.chat.completions.create(model="m", messages=messages).choices[0].message.content or ""
    messages.append({"role": "assistant", "content": text})
    return text


def test_serve_talk_stop_export_delete(serving: Serving, run: Run, tmp_path: Path) -> None:
    process, url = serving()
    messages: list[Any] = [{"role": "user", "content": "Hello"}]
    say(url, messages)
    process.send_signal(signal.SIGTERM)
    out, log = process.communicate(timeout=60)
    assert out == ""
    assert re.fullmatch(
        r"[\d-]+ [\d:,]+ INFO telic.server request method=POST path=/v1/chat/completions status=200 ms=[\d.]+ "
        r"key=local tokens=\d+ conversation=\w+ id=\w+\n",
        log,
    )
    [listed] = json.loads(run("conversations", "--json").out)
    assert (listed["user"], listed["length"], listed["opening"]) == ("local", 2, "Hello")
    heading, line = run("conversations").out.splitlines()
    assert heading.split() == ["when", "user", "turns", "feedback", "first", "words"]
    assert line.split()[2:] == ["local", "2", "Hello"]
    assert run("conversations", "--find", "hello").out.count("local") == 1
    assert run("conversations", "--find", "goodbye").error == "No conversation matches.\n"
    exported = run("conversations", "export")
    episode = json.loads(exported.out)
    assert [turn["text"] for turn in episode["turns"]] == [message["content"] for message in messages]
    assert run("conversations", "export", "--out", "all.jsonl").error == "Wrote 1 conversation to all.jsonl.\n"
    assert json.loads((tmp_path / "all.jsonl").read_text()) == episode
    assert run("conversations", "export", "--user", "nobody").out == ""
    assert run("conversations", "delete").status == 2
    assert run("conversations", "delete", "--user", "local", "--json").out == '{"deleted": 1, "versions": []}\n'
    assert run("conversations", "export").out == ""


def test_a_key_from_telic_keys_opens_the_server(serving: Serving, run: Run) -> None:
    made = json.loads(run("keys", "ann", "--json").out)
    _, url = serving("--api-key-file", "keys.txt")
    say(url, [{"role": "user", "content": "Hello"}], made["key"])
    assert [one["user"] for one in json.loads(run("conversations", "--json").out)] == ["ann"]
    refused = run("keys", "ann")
    assert (refused.status, "already" in refused.error) == (1, True)


def test_keys_are_listed_and_revoked_while_a_server_runs(serving: Serving, run: Run) -> None:
    run("keys", "ann")
    _, url = serving("--api-key-file", "keys.txt")
    bob = json.loads(run("keys", "bob", "--json").out)["key"]
    say(url, [{"role": "user", "content": "Hello"}], bob)
    assert run("keys", "list").out == "ann\nbob\n"
    assert json.loads(run("keys", "list", "--json").out) == {"names": ["ann", "bob"], "file": "keys.txt"}
    assert run("keys", "revoke", "bob").error == "The key of bob in keys.txt is revoked. Its conversations are kept.\n"
    assert run("keys", "list").out == "ann\n"
    with pytest.raises(AuthenticationError):
        say(url, [{"role": "user", "content": "Hello"}], bob)
    assert (run("keys", "revoke", "bob").status, run("keys", "revoke").status, run("keys", "list", "x").status) == (
        1,
        2,
        2,
    )


def test_no_acknowledged_turn_is_lost_by_a_kill(serving: Serving, run: Run) -> None:
    process, url = serving()
    talks: list[list[Any]] = [[{"role": "user", "content": f"Number {n}"}] for n in range(5)]
    for messages in talks:
        say(url, messages)
    process.kill()
    process.wait()
    _, url = serving()
    for messages in talks:
        messages.append({"role": "user", "content": "And?"})
        say(url, messages)
    episodes = [json.loads(line) for line in run("conversations", "export").out.splitlines()]
    held = sorted([turn["text"] for turn in episode["turns"]] for episode in episodes)
    assert held == sorted([message["content"] for message in messages] for messages in talks)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--host", "0.0.0.0"), "can be reached from other machines, and there are no API keys"),
        (("--api-key-file", "none.txt"), "Make a key with: telic keys NAME --file none.txt"),
        (("--store", "none/telic.db"), "cannot open the store sqlite:///none/telic.db: unable to open"),
        (("--controls", "attention_hold"), "control 'attention_hold' acts on attention, but model 'fake'"),
        (("--host", "no.such.host.invalid"), "no API keys"),
    ],
)
def test_a_mistake_is_reported_before_serving(
    arguments: tuple[str, ...], words: str, run: Run, travel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TELIC_API_KEY", raising=False)
    outcome = run("serve", "travel.toml", *arguments)
    assert (outcome.status, outcome.out) == (1, "")
    assert words in outcome.error
    assert "Traceback" not in outcome.error


def test_a_port_that_is_taken_and_an_unknown_setting(run: Run, travel: Path) -> None:
    assert "--port is 99999; expected 0 to 65535" in run("serve", "travel.toml", "--port", "99999").error
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = run("serve", "travel.toml", "--port", str(taken.getsockname()[1]))
    assert (outcome.status, "choose another address with --host or --port" in outcome.error) == (1, True)
    travel.write_text(travel.read_text() + "[serve]\nmax_mesages = 3\n")
    outcome = run("serve", "travel.toml")
    assert (
        "travel.toml, line 9: serve.max_mesages: unknown setting 'max_mesages'; did you mean 'max_messages'?"
        in outcome.error
    )
    assert "the store 'telic.db' does not exist. `telic serve` creates it" in run("conversations").error
