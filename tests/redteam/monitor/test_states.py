"""The states of a real engine: those that a monitor is trained on are those that it gets live."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from telic.agents.defence import build_defence
from telic.agents.defender import DefenceState, Defender
from telic.errors import ConfigError
from telic.redteam.monitor.dialogues import TurnDialogue, record_features
from telic.redteam.monitor.monitor import TrajectoryMonitor, save_monitor
from telic.steering.saving import Origin
from tests.contracts.defence_contract import PURPOSE, converse
from tests.models import tiny


def test_live_states_are_those_of_the_training(tmp_path: Path) -> None:
    model = tiny.local("llama")
    weight_D = np.random.default_rng(0).standard_normal(model.hidden_size).astype(np.float32)
    monitor = TrajectoryMonitor("state", weight_D, 0.1, 0.5, 0.3, 0.0, 0.5, Origin.of(model))
    spec = {"name": "monitor", "path": str(save_monitor(monitor, tmp_path)), "action": "watch"}
    defender = Defender(model, PURPOSE, [build_defence(spec)])
    said = ("Hello", "Boots for the snow, please", "yes")
    replies = converse(defender, DefenceState(), *said)
    texts = tuple(reply.reply.text for reply in replies)
    dialogue = TurnDialogue("crescendo", 0, model.name, PURPOSE.system_prompt, said, texts, None)
    [states] = record_features([dialogue], "state", model)
    live = [reply.records[0].readings["probability"] for reply in replies]
    assert live == pytest.approx(monitor.probabilities(states), abs=1e-3)


def test_another_models_monitor_is_refused(tmp_path: Path) -> None:
    model = tiny.local("llama")
    other = Origin("another", model.hidden_size, model.layers)
    monitor = TrajectoryMonitor("state", np.ones(model.hidden_size, np.float32), 0, 0, 1, 0, 0.5, other)
    spec = {"name": "monitor", "path": str(save_monitor(monitor, tmp_path))}
    with pytest.raises(ConfigError, match="was made for model 'another'"):
        Defender(model, PURPOSE, [build_defence(spec)])
