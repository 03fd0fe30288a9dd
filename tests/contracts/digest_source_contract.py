"""Tests that every source of a digest passes: a test class inherits `DigestSourceContract` and writes its material."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from telic.assistants.digest.fetching import Fetcher
from telic.assistants.digest.items import SourceItems
from telic.assistants.digest.sources.base import Source, SourceContext, build_source, read_sources, registry
from telic.errors import ConfigError

__all__ = ["NOW", "DigestSourceContract", "files_under"]

NOW = 1_795_000_000.0
DAY = 86_400.0
HOSTILE = "Bridge \x1b[2J\u202eopens\u200b <script>alert(1)</script>"


class DigestSourceContract:
    """The tests."""

    kind: ClassVar[str]
    """The source's name in the registry."""
    place: ClassVar[str]
    """The setting that says where it reads: `url` or `path`."""

    def write(self, folder: Path, title: str, text: str) -> Mapping[str, Any]:
        """Write material with one item; returns the settings that read it. Its date is `NOW` less an hour, if any."""
        raise NotImplementedError

    def read(self, folder: Path, settings: Mapping[str, Any], **limits: Any) -> SourceItems:
        source = build_source({"kind": self.kind, **settings})
        assert isinstance(source, Source)
        fetcher = Fetcher(folder / "cache", folder, timeout=5.0, max_bytes=limits.pop("max_bytes", 10**6))
        [found] = read_sources([source], SourceContext(fetcher, NOW, NOW - 14 * DAY, **limits), 5.0)
        return found

    def test_it_reads_an_item(self, tmp_path: Path) -> None:
        found = self.read(
            tmp_path, self.write(tmp_path, "The bridge opens", "Work on the river bridge took nine weeks.")
        )
        assert found.error is None
        [item] = found.items
        assert "bridge opens" in item.title
        assert "nine weeks" in item.text
        assert item.source == found.source != ""
        assert item.time is None or NOW - 14 * DAY <= item.time <= NOW

    def test_the_same_item_has_the_same_id(self, tmp_path: Path) -> None:
        settings = self.write(tmp_path, "The bridge opens", "Work on the river bridge took nine weeks.")
        [first], [second] = self.read(tmp_path, settings).items, self.read(tmp_path, settings).items
        assert first.id == second.id

    def test_it_changes_nothing(self, tmp_path: Path) -> None:
        settings = self.write(tmp_path, "The bridge opens", "Work took nine weeks.")
        before = files_under(tmp_path)
        self.read(tmp_path, settings)
        assert files_under(tmp_path) == before

    def test_what_nobody_sees_is_not_read(self, tmp_path: Path) -> None:
        [item] = self.read(tmp_path, self.write(tmp_path, HOSTILE, f"Nine weeks. {HOSTILE}")).items
        whole = f"{item.title}\n{item.text}"
        assert not set(whole) & {"\x1b", "\u202e", "\u200b"}
        assert "nine weeks" in whole.casefold()

    def test_a_missing_place_is_an_error_of_this_source(self, tmp_path: Path) -> None:
        found = self.read(tmp_path, {self.place: "nowhere/at/all"})
        assert found.items == ()
        assert found.error
        assert "nowhere" in found.error
        assert "Traceback" not in found.error

    @pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe" * 500, b"<" * 5000])
    def test_any_bytes_are_read_or_refused(self, tmp_path: Path, data: bytes) -> None:
        settings = self.write(tmp_path, "The bridge opens", "Work took nine weeks.")
        for path in list(files_under(tmp_path)):
            (tmp_path / path).write_bytes(data)
        found = self.read(tmp_path, settings)
        assert found.error is None or found.error.strip()

    def test_a_wrong_setting_names_the_right_one(self) -> None:
        with pytest.raises(ConfigError, match=rf"unknown setting '{self.place}s'; did you mean '{self.place}'"):
            build_source({"kind": self.kind, self.place: "here", f"{self.place}s": "x"})

    def test_its_name_can_be_chosen(self, tmp_path: Path) -> None:
        settings = self.write(tmp_path, "The bridge opens", "Work took nine weeks.")
        assert self.read(tmp_path, {**settings, "name": "My own"}).source == "My own"
        assert self.kind in registry.names()


def files_under(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its content, without the cache."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "cache" not in path.parts
    }
