"""Reading over a real socket: caching, robots.txt, redirects, limits, and failures that are told."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from telic.assistants.digest import fetching
from telic.assistants.digest.addresses import is_public
from telic.assistants.digest.fetching import AGENT, Fetcher
from telic.errors import DataError
from tests.assistants.digest.conftest import Answer, Site


@pytest.fixture
def fetcher(tmp_path: Path) -> Fetcher:
    return Fetcher(tmp_path / "cache", tmp_path, timeout=20.0, max_bytes=100_000)


def test_an_unchanged_page_is_not_sent_again(site: Site, fetcher: Fetcher) -> None:
    def page(headers: Mapping[str, str]) -> Answer:
        known = headers.get("if-none-match") == '"v1"' and headers.get("if-modified-since") == "Monday"
        return Answer(status=304) if known else Answer(b"hello", headers={"ETag": '"v1"', "Last-Modified": "Monday"})

    site.pages["/feed"] = page
    assert [fetcher.read(f"{site.address}/feed").body for _ in range(2)] == [b"hello", b"hello"]
    assert "if-none-match" not in site.asked[0][1]
    assert site.asked[1][1]["if-none-match"] == '"v1"'
    assert site.asked[0][1]["user-agent"] == AGENT


def test_a_fresh_page_is_not_asked_for_again(site: Site, fetcher: Fetcher) -> None:
    site.pages["/feed"] = Answer(b"hello", headers={"Cache-Control": "public, max-age=600"})
    for _ in range(3):
        fetcher.read(f"{site.address}/feed")
    assert site.paths() == ["/feed"]


def test_what_may_not_be_stored_is_not(site: Site, fetcher: Fetcher, tmp_path: Path) -> None:
    site.pages["/feed"] = Answer(b"secret", headers={"Cache-Control": "no-store", "ETag": '"v1"'})
    fetcher.read(f"{site.address}/feed")
    assert not list((tmp_path / "cache").glob("*"))


def test_a_damaged_file_of_the_cache_is_read_anew(site: Site, fetcher: Fetcher, tmp_path: Path) -> None:
    site.pages["/feed"] = Answer(b"hello", headers={"Cache-Control": "max-age=600"})
    fetcher.read(f"{site.address}/feed")
    [path] = (tmp_path / "cache").glob("*")
    path.write_bytes(b"\x00garbage")
    assert fetcher.read(f"{site.address}/feed").body == b"hello"


def test_robots_txt_is_asked_once_and_obeyed(site: Site, fetcher: Fetcher) -> None:
    site.pages["/robots.txt"] = Answer(b"User-agent: telic-digest\nDisallow: /private\n")
    site.pages["/open"] = site.pages["/private/x"] = Answer(b"hello")
    assert fetcher.read(f"{site.address}/open", ask_robots=True).body == b"hello"
    with pytest.raises(DataError, match=r"robots\.txt of .* forbids reading"):
        fetcher.read(f"{site.address}/private/x", ask_robots=True)
    assert site.paths() == ["/robots.txt", "/open"]


def test_a_host_that_cannot_show_its_robots_txt_is_left_alone(site: Site, fetcher: Fetcher) -> None:
    site.pages["/robots.txt"], site.pages["/open"] = Answer(status=503), Answer(b"hello")
    with pytest.raises(DataError, match=r"robots.txt' answered 503"):
        fetcher.read(f"{site.address}/open", ask_robots=True)
    assert "/open" not in site.paths()


def test_the_beginning_of_a_long_robots_txt_counts(site: Site, fetcher: Fetcher, tmp_path: Path) -> None:
    rules = b"User-agent: *\nDisallow: /private\n" + b"# and so on\n" * 100_000
    site.pages["/robots.txt"] = Answer(rules)
    site.pages["/open"] = Answer(b"hello")
    assert fetcher.read(f"{site.address}/open", ask_robots=True).body == b"hello"
    with pytest.raises(DataError, match="forbids reading"):
        fetcher.read(f"{site.address}/private", ask_robots=True)
    assert sum(path.stat().st_size for path in (tmp_path / "cache").iterdir()) < 600_000
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("target", ["http://[", "http://host:99999/"])
def test_a_redirect_to_what_is_no_address_is_told(site: Site, fetcher: Fetcher, target: str) -> None:
    site.pages["/feed"] = Answer(status=302, headers={"Location": target})
    with pytest.raises(DataError, match=r"redirects to .*not an address"):
        fetcher.read(f"{site.address}/feed")


def test_redirects_on_one_host_are_followed(site: Site, fetcher: Fetcher) -> None:
    site.pages["/old"] = Answer(status=301, headers={"Location": "/new"})
    site.pages["/new"] = Answer(b"hello")
    found = fetcher.read(f"{site.address}/old")
    assert (found.body, found.url) == (b"hello", f"{site.address}/new")


def test_a_circle_of_redirects_ends(site: Site, fetcher: Fetcher) -> None:
    site.pages["/a"] = Answer(status=302, headers={"Location": "/a"})
    with pytest.raises(DataError, match="redirects more than 5 times"):
        fetcher.read(f"{site.address}/a")


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://town.example/x", "data://x/y"])
def test_a_redirect_out_of_the_web_is_refused(site: Site, fetcher: Fetcher, target: str) -> None:
    site.pages["/a"] = Answer(status=302, headers={"Location": target})
    with pytest.raises(DataError, match="which is not a web address"):
        fetcher.read(f"{site.address}/a")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.2", "[::1]", "169.254.169.254", "10.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]"]
)
def test_a_redirect_into_a_private_network_is_refused(site: Site, fetcher: Fetcher, host: str) -> None:
    port = site.address.rpartition(":")[2]
    site.pages["/a"] = Answer(status=302, headers={"Location": f"http://{host}:{port}/secret"})
    site.pages["/secret"] = Answer(b"ZEBRA7")
    with pytest.raises(DataError, match=r"private network|is unknown"):
        fetcher.read(f"{site.address}/a")
    assert "/secret" not in site.paths()


def test_a_name_that_moves_into_a_private_network_is_refused(
    site: Site, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "refuse_private_host", lambda *_: None)  # it was public when it was checked
    monkeypatch.setattr(fetcher, "_peers_are_known", True)
    port = site.address.rpartition(":")[2]
    site.pages["/a"] = Answer(status=302, headers={"Location": f"http://localhost:{port}/secret"})
    site.pages["/secret"] = Answer(b"ZEBRA7")
    with pytest.raises(DataError, match="is an address of a private network"):
        fetcher.read(f"{site.address}/a")


@pytest.mark.parametrize(
    ("address", "public"),
    [("93.184.216.34", True), ("2606:2800:220:1::1", True), ("100.64.0.1", False), ("192.168.1.1", False),
     ("fe80::1%eth0", False), ("::ffff:10.0.0.1", False), ("224.0.0.1", False), ("0.0.0.0", False),
     ("nonsense", False)],
)  # fmt: skip
def test_which_addresses_are_public(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_too_much_is_refused_before_it_is_read(site: Site, fetcher: Fetcher) -> None:
    sent: list[int] = []

    def endless() -> Iterator[bytes]:
        while len(sent) < 2000:
            sent.append(1)
            yield b"x" * 65_536

    site.pages["/big"] = Answer(pieces=endless)
    with pytest.raises(DataError, match=r"larger than 0\.1 MB; see max_megabytes"):
        fetcher.read(f"{site.address}/big")
    assert len(sent) < 1000


def test_a_small_page_that_unpacks_to_much_is_refused(site: Site, fetcher: Fetcher) -> None:
    site.pages["/bomb"] = Answer(gzip.compress(b"0" * 50_000_000), headers={"Content-Encoding": "gzip"})
    with pytest.raises(DataError, match="larger than"):
        fetcher.read(f"{site.address}/bomb")


def test_a_page_that_comes_too_slowly_is_given_up(site: Site, fetcher: Fetcher) -> None:
    def slow() -> Iterator[bytes]:
        for _ in range(100):
            time.sleep(0.2)
            yield b"x" * 20_000

    site.pages["/slow"] = Answer(pieces=slow)
    fetcher = Fetcher(Path("/nonexistent"), Path(), timeout=0.5, max_bytes=10**8)
    with pytest.raises(DataError, match=r"(?:was not read|no answer from .*) within 0\.5 seconds"):
        fetcher.read(f"{site.address}/slow")


@pytest.mark.parametrize(("status", "told"), [(404, "404"), (429, "429"), (500, "500")])
def test_a_status_is_told(site: Site, fetcher: Fetcher, status: int, told: str) -> None:
    site.pages["/a"] = Answer(status=status, headers={"Retry-After": "120"})
    with pytest.raises(DataError, match=rf"answered {told} .*; try in 120"):
        fetcher.read(f"{site.address}/a")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://x.example/y", "gopher://x"])
def test_other_kinds_of_addresses_are_refused(fetcher: Fetcher, location: str) -> None:
    with pytest.raises(DataError, match="expected http, https or a path"):
        fetcher.read(location)


def test_a_file_is_limited_too(fetcher: Fetcher, tmp_path: Path) -> None:
    (tmp_path / "big.xml").write_bytes(b"x" * 100_001)
    with pytest.raises(DataError, match="larger than"):
        fetcher.read("big.xml")
    with pytest.raises(DataError, match=r"cannot read 'none\.xml': No such file"):
        fetcher.read("none.xml")
