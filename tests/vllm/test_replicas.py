"""Replicas of vLLM in workers of Ray: real ones, on this machine. Their episodes are those of one process."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from telic.agents.player import Player
from telic.cli.play import PlayersConfig
from telic.episodes import Episode
from telic.errors import ConfigError, ModelError
from telic.purpose import Purpose
from telic.rollouts import PlayerFactory, play
from telic.rollouts.ray_workers import RayWorkers
from tests.vllm import tiny_vllm

TALK = {"name": "elicitation", "rounds": 2}
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra 'ray' is not installed")


def players(table: str = "max_model_len = 4096") -> PlayersConfig:
    """The players of `telic play` with a purpose whose model vLLM runs."""
    text = (
        f'name = "mia"\nmodel = "vllm:{tiny_vllm.folder(context=4096)}"\nsystem = "You are Mia."\n'
        f'[[controls]]\nname = "refresh"\n[vllm]\ndtype = "float32"\nmax_num_seqs = 12\n{table}\n'
    )
    purpose = Purpose.from_text(text)
    return PlayersConfig("elicitation", "mia.toml", "model", purpose.model, False, {"mia.toml": purpose})


def marking(config: PlayersConfig, folder: Path) -> PlayerFactory:
    """The players, who are named after their process."""

    def make() -> Mapping[str, Player]:
        made = config.players()
        made["agent"].name = str(os.getpid())
        (folder / str(os.getpid())).touch()
        return made

    return PlayerFactory(make, config.spec())


def contents(episodes: list[Episode]) -> list[str]:
    """The episodes without the name of the agent, which says in which process it played."""
    for episode in episodes:
        episode.roles["agent"]["name"] = ""
    return sorted(episode.model_dump_json() for episode in episodes)


@pytest.fixture
def ray() -> Iterator[None]:
    import ray

    # Ray would give its workers a copy of this environment without the folder of the tests.
    paths = os.pathsep.join(str(path) for path in (Path(__file__).parents[2], Path(__file__).parents[2] / "src"))
    variables = {"PYTHONPATH": paths, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": variables})
    yield
    ray.shutdown()


@needs_ray
@pytest.mark.ray
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_two_replicas_play_the_episodes_of_one_process(ray: None, tmp_path: Path) -> None:
    config = players()
    assert config.gpus() == 1
    named: list[str] = []

    def end(episode: Episode) -> None:
        named.append(episode.roles["agent"]["name"])

    workers = RayWorkers(workers=2, replica_gpus=config.gpus())
    run = play(TALK, marking(config, tmp_path), n=6, concurrency=2, references=False, workers=workers, on_episode=end)
    assert len(list(tmp_path.iterdir())) == 2, "each replica has a process of its own"
    assert set(named) == {path.name for path in tmp_path.iterdir()}, "both of them played"
    assert str(os.getpid()) not in named
    alone = play(TALK, config.players(), n=6, references=False)
    assert run.results[0].valid == alone.results[0].valid == 6
    assert any(turn.text for episode in run.episodes for turn in episode.turns)
    assert contents(run.episodes) == contents(alone.episodes)


@needs_ray
@pytest.mark.ray
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_wrong_with_a_replica_reaches_the_caller(ray: None) -> None:
    config = players("max_modle_len = 4096")
    with pytest.raises(ConfigError, match=r"unknown setting 'max_modle_len'; did you mean 'max_model_len'"):
        play(TALK, PlayerFactory(config.players, {}), n=2, workers=RayWorkers(workers=1))
    with pytest.raises(ModelError, match=r"with these settings: .*none such"):
        play(TALK, PlayerFactory(players("quantization = 'none such'").players, {}), n=2, workers=RayWorkers(workers=1))
