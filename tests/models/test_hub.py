"""Models on the Hub: local first, and an error within seconds where the Hub cannot be reached."""

from __future__ import annotations

from pathlib import Path

import huggingface_hub
import pytest
import torch

from telic.errors import ModelError
from telic.models import load
from tests.models import tiny


class Hub:
    """A Hub that cannot be reached, or must not be asked, and a cache of its own."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.asked: list[tuple[str, float]] = []

    def model_info(self, name: str, *, timeout: float) -> None:
        self.asked.append((name, timeout))
        raise OSError("Name or service not known")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    found = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "model_info", found.model_info)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(found.cache))
    return found


def test_a_hub_that_cannot_be_reached_is_asked_once(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("telic.models.local.checkpoints.load_checkpoint", lambda place, **_: loaded.append(place))
    expected = r"'mia/calm' is not on this machine, and the Hub .* cannot be reached: Name or service not known\."
    with pytest.raises(ModelError, match=expected) as error:
        load("mia/calm")
    assert error.value.kind == "unreachable"
    [(name, timeout)] = hub.asked
    assert (name, timeout <= 10) == ("mia/calm", True)
    assert not loaded, "a download would try again and again"


def test_offline_the_hub_is_not_asked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"'mia/calm' is not on this machine, and HF_HUB_OFFLINE is set"):
        load("mia/calm")
    assert not hub.asked


def test_what_was_downloaded_before_needs_no_hub(hub: Hub) -> None:
    repository = hub.cache / "models--mia--calm"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    (repository / "snapshots").mkdir()
    place = repository / "snapshots" / ("a" * 40)
    tiny.weights("llama").save_pretrained(place)
    tiny.tokenizer().save_pretrained(place)
    model = load("mia/calm", dtype=torch.float32, device="cpu")
    assert model.generate([model.session("Hi").user("Hello").request(max_new_tokens=2)])[0].new_tokens == 2
    assert not hub.asked
