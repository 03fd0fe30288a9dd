"""Playing on Ray: a real cluster of two nodes, one of which is lost in the middle."""

from __future__ import annotations

import importlib.util
import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from telic.agents.model_player import ModelPlayer
from telic.agents.player import Player
from telic.episodes import Episode
from telic.errors import ConfigError, MissingExtraError, RunError
from telic.models.scripted import FakeModel
from telic.rollouts import PlayerFactory, play
from telic.rollouts.ray_workers import RayWorkers, place

TALK = {"name": "elicitation", "rounds": 3}
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra 'ray' is not installed")
# Ray leaves sockets and files to the garbage collector, and deprecates some of its own functions.
quiet = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
silent = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


def contents(episodes: list[Episode]) -> list[str]:
    """The episodes without the name of the agent, which says on which node it played."""
    for episode in episodes:
        episode.roles["agent"]["name"] = ""
    return sorted(episode.model_dump_json() for episode in episodes)


def slow(nodes: Path, delay: float = 0.0) -> PlayerFactory:
    """Players named after their node. A closure makes them, since workers cannot import this module.

    Args:
        nodes: the folder where a node leaves a file once it has made its players.
        delay: of a reply, in seconds.
    """

    def make() -> Mapping[str, Player]:
        import ray

        from telic.agents.model_player import ModelPlayer
        from telic.models.scripted import FakeModel

        node = ray.get_runtime_context().get_node_id()
        (nodes / node).touch()
        return {"agent": ModelPlayer(FakeModel(delay=delay), name=node)}

    return PlayerFactory(make, {"model": "fake"})


@pytest.fixture
def cluster() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    # The test connects while this is the only node, so that it does not connect to the node that is lost later.
    ray.init(address=made.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@needs_ray
@pytest.mark.ray
@quiet
@silent
def test_a_lost_node_changes_no_episode(cluster: Any, tmp_path: Path) -> None:
    import ray

    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    nodes: list[str] = []
    """Where the episodes were played, in the order in which they ended."""
    lost_after = 0

    def end(episode: Episode) -> None:
        nonlocal lost_after
        if not nodes:
            wait_for_two_workers(tmp_path)
        nodes.append(episode.roles["agent"]["name"])
        played = Counter(nodes)
        if not lost_after and len(played) == 2:
            cluster.remove_node(second, allow_graceful=False)
            lost_after = len(nodes)

    workers = RayWorkers(cluster.address)
    run = play(TALK, slow(tmp_path, 0.05), n=80, concurrency=4, references=False, workers=workers, on_episode=end)
    assert 0 < lost_after < 50, "both nodes played, and one was lost with work left"
    # Until it is gone, the second node goes on playing; how many episodes that makes depends on the machine.
    assert set(nodes[-20:]) == {ray.get_runtime_context().get_node_id()}, "the other node played the rest"
    assert len(nodes) == len({episode.id for episode in run.episodes}) == 80
    assert run.results[0].valid == 80
    alone = play(TALK, {"agent": ModelPlayer(FakeModel())}, n=80, references=False)
    assert contents(run.episodes) == contents(alone.episodes)


@needs_ray
@pytest.mark.ray
@quiet
@silent
def test_errors_of_the_players_reach_the_caller(cluster: Any) -> None:
    def broken() -> Mapping[str, Player]:
        raise ConfigError("no such player")

    with pytest.raises(ConfigError, match="no such player"):
        play(TALK, PlayerFactory(broken, {}), n=2, workers=RayWorkers(cluster.address))

    def fatal() -> Mapping[str, Player]:
        import os

        os._exit(1)

    with pytest.raises(RunError, match="3 workers were lost"):
        play(TALK, PlayerFactory(fatal, {}), n=2, workers=RayWorkers(cluster.address, restarts=2))


@pytest.mark.parametrize(
    ("needed", "nodes", "gpus", "workers"),
    [
        (0, [8, 8], 0.25, 2),
        (2, [0, 0, 0], 0.25, 3),
        (2, [8, 3, 0], 2, 5),
        (8, [8, 8], 8, 2),
        (1, [0, 1], 1, 1),
    ],
)
def test_a_worker_asks_for_the_gpus_of_its_models_where_there_are_any(
    needed: int, nodes: list[float], gpus: float, workers: int
) -> None:
    assert place(RayWorkers(gpus=0.25, replica_gpus=needed), nodes) == (gpus, workers)


def test_more_gpus_than_any_node_has_are_refused() -> None:
    with pytest.raises(RunError, match=r"needs 4 GPUs of one node .* has 2; lower tensor_parallel_size"):
        place(RayWorkers(replica_gpus=4), [2, 2])


@needs_ray
@pytest.mark.ray
@quiet
@silent
def test_workers_wait_for_gpus_that_the_cluster_has(tmp_path: Path) -> None:
    """Ray believes in the GPUs of this cluster, and gives each worker two of them."""
    import ray
    from ray.cluster_utils import Cluster

    def make() -> Mapping[str, Player]:
        import ray

        from telic.agents.model_player import ModelPlayer
        from telic.models.scripted import FakeModel

        given = ray.get_runtime_context().get_accelerator_ids()["GPU"]
        (tmp_path / "-".join(sorted(given))).touch()
        return {"agent": ModelPlayer(FakeModel(delay=0.05))}

    made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 8, "num_gpus": 4, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        workers = RayWorkers(made.address, replica_gpus=2)
        run = play(TALK, PlayerFactory(make, {}), n=24, concurrency=2, references=False, workers=workers)
    finally:
        ray.shutdown()
        made.shutdown()
    assert run.results[0].valid == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-1", "2-3"]


def wait_for_two_workers(nodes: Path, timeout: float = 120) -> None:
    """Wait until each of two nodes has made its players."""
    deadline = time.monotonic() + timeout
    while len(list(nodes.iterdir())) < 2:
        assert time.monotonic() < deadline, "the second node runs no worker"
        time.sleep(0.05)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'telic\[ray\]'"):
        play(TALK, slow(tmp_path), n=1, workers=RayWorkers())
