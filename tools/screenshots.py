"""Make the screenshots of the documentation: the dashboard and a report, in light and dark.

They show what is really there: a server with the bundled model, a conversation with it, and a measurement's report.
Replies are greedy, so that the same machine gives the same pictures. The script needs Chromium, as the dashboard's
tests do.

    python -m tools.screenshots                                  # into docs/pictures/
    python -m tools.screenshots --run runs/measure-demo-20261127-125511
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from telic.purpose import update_file

WIDTH, HEIGHT = 1200, 760
MOST_BYTES = 200_000
PATIENCE = 300_000
"""Milliseconds; a machine may be busy."""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
MESSAGES = (
    "Good morning. I'm 71 and I love trains. Where could I go in May?",
    "Somewhere warm, please.",
    "What would you suggest?",
)
TELIC = [sys.executable, "-m", "telic.cli.main"]


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"), help="folder of the pictures")
    parser.add_argument(
        "--run", type=Path, help="run folder whose report is shown; by default a new, short measurement"
    )
    parser.add_argument("--purpose", type=Path, help="purpose file that is served; by default that of a travel agent")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        folder = Path(temporary)
        found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        purpose = write_purpose(folder, options.purpose)
        with serving(purpose) as address:
            show_dashboard(browser, address, options.out)
        show_report(browser, options.run or measured(purpose), options.out)
        browser.close()


def write_purpose(folder: Path, source: Path | None) -> Path:
    """Write a purpose, by default that of a travel agent, with greedy replies into a folder."""
    path = folder / "purpose.toml"
    text = (source or resources.files("telic.data") / "travel.toml").read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    update_file(path, {"sampling": {"temperature": 0, "max_new_tokens": 60}})
    return path


@contextmanager
def serving(purpose: Path) -> Iterator[str]:
    """Serve a purpose; yields the address of the dashboard."""
    command = [*TELIC, "serve", str(purpose), "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=purpose.parent) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["dashboard"]
        finally:
            process.terminate()


def measured(purpose: Path) -> Path:
    """Measure a purpose for a few minutes; returns the run folder."""
    quick = [
        "--dialogues",
        "10",
        "--rounds",
        "6",
        "--samples",
        "1",
        "--utterance-tokens",
        "40",
        "--answer-tokens",
        "30",
    ]
    command = [*TELIC, "measure", str(purpose), *quick, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=purpose.parent, check=True)
    return purpose.parent / str(json.loads(done.stdout)["folder"])


def show_dashboard(browser: Browser, address: str, out: Path) -> None:
    """Hold a conversation on the dashboard, and show it."""
    page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    for number, words in enumerate(MESSAGES, start=1):
        page.get_by_label("Your message").fill(words)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("button", name=f"Reply {number}: show its readings")).to_be_visible(timeout=PATIENCE)
        expect(page.locator(".chat-page")).to_have_attribute("aria-busy", "false", timeout=PATIENCE)
    page.get_by_role("button", name="Ask the probes").click()
    expect(page.get_by_text("Probe score")).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".chat-page")).to_have_attribute("aria-busy", "false", timeout=PATIENCE)
    conversation = page.url
    page.close()
    for scheme in SCHEMES:
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
        shown.goto(conversation)
        expect(shown.get_by_role("button", name=f"Reply {len(MESSAGES)}: show its readings")).to_be_visible()
        save(shown, out / f"dashboard-{scheme}.png")
        shown.close()


def show_report(browser: Browser, run: Path, out: Path) -> None:
    """Show the top of a run's report."""
    for scheme in SCHEMES:
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
        page.goto((run / "report.html").resolve().as_uri())
        save(page, out / f"report-{scheme}.png")
        page.close()


def save(page: Page, path: Path) -> None:
    """Write what a page shows as a PNG with a palette, which is a third of the size."""
    with Image.open(io.BytesIO(page.screenshot(animations="disabled"))) as shot:
        shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{path} has {size} bytes; expected at most {MOST_BYTES}")
    print(f"{path}: {WIDTH} x {HEIGHT}, {size // 1000} kB")


if __name__ == "__main__":
    main()
