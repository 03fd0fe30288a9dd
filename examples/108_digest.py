"""A morning digest: what is new in two feeds, why each item is there, and what a reaction changes.

    python examples/108_digest.py

Needs no model and no network: the feeds are files.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from telic.assistants.digest import Desk, DigestConfig, terminal_text
from telic.memory import MemoryFile

MONDAY = [
    ("Night trains return to Vienna", "Sleepers run again between Vienna and Paris."),
    ("Cup final ends without a goal", "The striker missed twice, and the keeper saved two penalties."),
    ("A baker explains her sourdough", "The starter ferments for a day before the dough is shaped."),
]
TUESDAY = [
    ("Keeper of the cup final signs a contract", "The striker leaves the club."),
    ("Sourdough without a scale", "A baker measures the starter by eye."),
    ("A sleeper to Rome", "Trains run at night from May."),
]
NOW, DAY = 1_795_000_000.0, 86_400.0


def main() -> None:
    """Make a digest, react, and make the next one."""
    config = DigestConfig.of(sources=[{"kind": "feed", "url": "town.xml", "name": "Town"}], topics=["night trains"])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = Desk(config, MemoryFile(folder / "memory.jsonl"), folder=folder, state=folder / "digest")
        write_feed(folder / "town.xml", MONDAY)
        first = desk.make(NOW)
        print(terminal_text(first), end="\n\n")
        for entry in first.entries:
            reaction = {"Cup final ends without a goal": "less", "A baker explains her sourdough": "more"}
            if entry.story.item.title in reaction:
                desk.react([str(entry.number)], reaction[entry.story.item.title], NOW + 60)
        write_feed(folder / "town.xml", MONDAY + TUESDAY)
        print(terminal_text(desk.make(NOW + DAY)))


def write_feed(path: Path, entries: list[tuple[str, str]]) -> None:
    """Write a feed of titles and texts."""
    items = "".join(
        f"<item><title>{title}</title><link>https://town.example/{number}</link><description>{text}</description></item>"
        for number, (title, text) in enumerate(entries)
    )
    path.write_text(f'<rss version="2.0"><channel><title>Town</title>{items}</channel></rss>')


if __name__ == "__main__":
    main()
