"""Playing on Ray: a real cluster of two nodes, one of which is lost in the middle."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from telic.agents.player import ModelPlayer, Player
from telic.episodes import Episode
from telic.errors import ConfigError, MissingExtraError, RunError
from telic.models.scripted import FakeModel
from telic.rollouts import PlayerFactory, play
from telic.rollouts.ray_workers import RayWorkers

TALK = {"name": "elicitation", "rounds": 3}
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra 'ray' is not installed")
# Ray leaves sockets and files to the garbage collector, and deprecates things of its own.
quiet = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
silent = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::pytest.PytestUnhandledThreadExceptionWarning"
)


def contents(episodes: list[Episode]) -> list[str]:
    return sorted(episode.model_dump_json() for episode in episodes)


def slow(delay: float = 0.0) -> PlayerFactory:
    """Players that are made in the workers; a closure, since the workers cannot import this module."""

    def make() -> Mapping[str, Player]:
        from telic.agents.player import ModelPlayer
        from telic.models.scripted import FakeModel

        return {"agent": ModelPlayer(FakeModel(delay=delay))}

    return PlayerFactory(make, {"model": "fake"})


@pytest.fixture
def cluster() -> Iterator[Any]:
    import ray
    from ray.cluster_utils import Cluster

    made: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    # While there is only this node, so that it is not the test's own one that is lost later.
    ray.init(address=made.address, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@needs_ray
@quiet
@silent
def test_a_node_that_is_lost_changes_nothing(cluster: Any) -> None:
    import ray

    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    seen: list[str] = []
    hosts: set[str] = set()

    def ended(episode: Episode) -> None:
        seen.append(episode.id)
        if len(seen) == 6:
            hosts.update(actor["NodeID"] for actor in _workers(ray))
            cluster.remove_node(second, allow_graceful=False)

    run = play(
        TALK, slow(0.05), n=40, concurrency=4, references=False, workers=RayWorkers(cluster.address), on_episode=ended
    )
    assert len(hosts) == 2  # both nodes had work when one was lost
    assert sorted(seen) == sorted({episode.id for episode in run.episodes})
    assert run.results[0].valid == 40
    alone = play(TALK, {"agent": ModelPlayer(FakeModel())}, n=40, references=False)
    assert contents(run.episodes) == contents(alone.episodes)

    # What is wrong with the players is said as it is, and not as a failure of the cluster.
    def broken() -> Mapping[str, Player]:
        raise ConfigError("no such player")

    with pytest.raises(ConfigError, match="no such player"):
        play(TALK, PlayerFactory(broken, {}), n=2, workers=RayWorkers(cluster.address))

    def fatal() -> Mapping[str, Player]:
        import os

        os._exit(1)

    with pytest.raises(RunError, match="3 workers were lost"):
        play(TALK, PlayerFactory(fatal, {}), n=2, workers=RayWorkers(cluster.address, restarts=2))


def _workers(ray: Any) -> list[dict[str, Any]]:
    from ray._private.state import actors

    found = [entry for entry in actors().values() if entry["State"] == "ALIVE"]
    return [{"NodeID": entry["Address"]["NodeID"]} for entry in found if "_Worker" in str(entry["ActorClassName"])]


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'telic\[ray\]'"):
        play(TALK, slow(), n=1, workers=RayWorkers())
