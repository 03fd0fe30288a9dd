"""Without the extra `local`, every command that needs it says so, and the others work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import PURPOSE

WITHOUT = """
import sys
from importlib.machinery import PathFinder


class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        local = name.partition(".")[0] in ("torch", "transformers", "safetensors", "gguf")
        return None if local else super().find_spec(name, path, target)


sys.meta_path[:] = [Without if finder is PathFinder else finder for finder in sys.meta_path]
from telic.cli.main import main
main(sys.argv[1:])
"""
GAME = '\n[game]\nname = "elicitation"\nrounds = 2\n'


def without_torch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "travel.toml").write_text(PURPOSE + GAME)
    (folder / "dialogues.jsonl").write_text(json.dumps({"messages": [{"role": "user", "content": "Hi"}]}))
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "feature"),
    [
        (("train", "travel.toml", "--model", "smollm2"), "telic train"),
        (("readers", "read", "dialogues.jsonl"), "telic.readers.read_turns"),
        (("readers", "train"), "telic.readers.train_readers"),
        (("readers", "card"), "a file of tensors"),
        (("measure", "travel.toml", "--controls", "belief:user_age=adult"), "control 'belief'"),
        (("measure", "travel.toml", "--model", "smollm2"), "a local model ('smollm2')"),
    ],
)
def test_the_extra_to_install_is_named(tmp_path: Path, arguments: tuple[str, ...], feature: str) -> None:
    done = without_torch(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"telic: {feature} needs the extra 'local'. Install it with: pip install 'telic[local]'\n"


def test_hold_leaves_out_the_controls_of_local_models(tmp_path: Path) -> None:
    quick = ("--rounds", "1", "--dialogues", "2", "--tuning-dialogues", "1", "--resamples", "100")
    done = without_torch(tmp_path, "hold", "travel.toml", *quick)
    assert done.returncode == 0, done.stderr
    assert "control refresh is left out: model 'fake' does not support it" in done.stderr
    assert "reminder-every=" in done.stdout
    refused = without_torch(tmp_path, "hold", "travel.toml", *quick, "--controls", "belief:user_age=adult")
    assert refused.stderr == "telic: model 'fake' does not support control 'belief'; run the model locally to use it\n"
