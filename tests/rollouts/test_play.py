"""Rollouts: every game to its end, in any order, with any mix of models, through failures and kills."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from telic.agents.human import HumanPlayer
from telic.agents.model_player import ModelPlayer
from telic.agents.player import Player
from telic.agents.scripted import scripted_player
from telic.episodes import Episode
from telic.errors import ConfigError
from telic.games.base import Game
from telic.models import Model, Reply, Request, ScriptedModel
from telic.models.request import OnReply
from telic.models.scripted import FakeModel
from telic.rollouts import PlayerFactory, play
from telic.runs import RunFolder

GAMES = ("assignment", "elicitation", "itinerary", "mediation", "negotiation", "redteam", "selfchat", "sotopia")
TALK = {"name": "elicitation", "rounds": 3}


def both(player: Player) -> dict[str, Player]:
    return {"agent": player, "partner": player}


def fake(**options: Any) -> dict[str, Player]:
    return both(ModelPlayer(FakeModel(**options)))


def contents(episodes: Sequence[Episode]) -> list[str]:
    return sorted(episode.model_dump_json() for episode in episodes)


@pytest.mark.parametrize("game", GAMES)
def test_a_fake_model_plays_every_game_to_its_end(game: str) -> None:
    run = play(game, fake(), n=8, judge=FakeModel(seed=1), references=False)
    [result] = run.results
    assert (result.valid, result.faults, result.errors) == (8, {}, {})
    for episode in run.episodes:
        assert episode.kind == game
        assert {"name", "system", "instructions", "private"} <= episode.roles[episode.metadata["agent"]].keys()
        spoken = [turn for turn in episode.turns if turn.finish != "given"]
        assert spoken
        assert all(turn.act for turn in spoken)


@pytest.mark.parametrize("game", GAMES)
def test_a_tiny_network_plays_every_game_to_its_end(game: str) -> None:
    tiny = pytest.importorskip("tests.models.tiny")
    settings: dict[str, Any] = {"name": game}
    if game in ("assignment", "itinerary", "mediation"):
        settings["max_turns"] = 8
    if game in ("negotiation", "selfchat"):
        settings["rounds"] = 2
    player = ModelPlayer(tiny.local("llama", context=16384, max_batch=16), max_new_tokens=6)
    run = play(settings, both(player), n=2, references=False)
    [result] = run.results
    assert (result.valid, result.faults, result.errors) == (2, {}, {})
    acts = [turn for episode in run.episodes for turn in episode.turns if turn.finish != "given"]
    assert acts
    assert all(turn.text or turn.act in ("accept", "reject", "none", "leave") for turn in acts)
    if game in ("elicitation", "selfchat", "redteam"):
        assert sum(turn.tokens for turn in acts) > 0


def test_what_is_played_depends_on_the_seed_and_nothing_else() -> None:
    games: list[Any] = [TALK, "negotiation"]
    alone = play(games, fake(), n=6, trials=2, concurrency=1, references=False)
    crowded = play(games, fake(), n=6, trials=2, concurrency=64, references=False)
    fewer = play("negotiation", fake(), n=3, trials=2, references=False)
    other = play(games, fake(), n=6, seed=1, trials=2, references=False)
    assert contents(alone.episodes) == contents(crowded.episodes)
    assert set(contents(fewer.episodes)) < set(contents(alone.episodes))
    assert not set(contents(other.episodes)) & set(contents(alone.episodes))
    assert len({episode.id for episode in alone.episodes}) == 24


def test_trials_share_the_task_and_not_the_chance() -> None:
    run = play("negotiation", fake(), n=2, trials=2, references=False)
    first, again = run.episodes[:2]
    assert (first.metadata["task"], again.metadata["task"]) == (0, 0)
    assert first.roles == again.roles
    assert [turn.text for turn in first.turns] != [turn.text for turn in again.turns]


class Counting(FakeModel):
    """Knows how much it was given at once, and in how many calls."""

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(**options)
        self.name = name
        self.calls = self.most = 0
        self.threads: set[int] = set()

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        self.calls += 1
        self.most = max(self.most, len(requests))
        self.threads.add(threading.get_ident())
        return super().generate(requests, on_reply)


def test_one_model_is_kept_busy_in_a_single_call() -> None:
    model = Counting("one")
    play(TALK, both(ModelPlayer(model)), n=30, concurrency=8, references=False)
    assert (model.calls, model.most, len(model.seen)) == (1, 8, 90)


def test_two_models_and_a_judge_work_side_by_side() -> None:
    agent, partner, judge = Counting("agent", delay=0.002), Counting("partner", seed=1), Counting("judge")
    players: dict[str, Player] = {"agent": ModelPlayer(agent), "partner": ModelPlayer(partner)}
    run = play("sotopia", players, n=12, judge=judge, references=False)
    alone = play("sotopia", players, n=12, judge=judge, references=False, concurrency=1)
    [result] = run.results
    assert (result.valid, result.errors) == (12, {})
    assert len({*agent.threads, *partner.threads, *judge.threads}) >= 3
    assert len(judge.seen) > 12
    assert contents(run.episodes) == contents(alone.episodes)


def test_a_failing_model_ends_its_own_episode_and_a_resumed_run_plays_that_again(tmp_path: Path) -> None:
    run = play(TALK, fake(fail_every=7), n=10, folder=tmp_path, references=False)
    [result] = run.results
    lost = sum(result.errors.values())
    assert 0 < lost < 10
    assert result.valid == 10 - lost
    assert next(iter(result.errors)).startswith("model: 'fake' failed to reply: injected fault")
    assert run.folder is not None
    again = play(TALK, fake(), n=10, resume=run.folder, references=False)
    assert (again.results[0].valid, again.results[0].errors) == (10, {})
    assert contents(again.episodes) == contents(play(TALK, fake(), n=10, references=False).episodes)


def test_a_player_that_raises_ends_its_own_episode() -> None:
    class Moody(ModelPlayer):
        def join(self, game: Game, role: str, seed: int) -> Any:
            if game.seed % 3 == 0:
                raise ZeroDivisionError("no mood to play")
            return super().join(game, role, seed)

    run = play(TALK, both(Moody(FakeModel())), n=6, references=False)
    assert run.results[0].errors == {"player: agent: ZeroDivisionError('no mood to play')": 2}
    assert run.results[0].valid == 4


def test_a_role_without_a_player_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"turn of 'partner', which has no player.*players for agent"):
        play("negotiation", {"agent": scripted_player("random", "negotiation")}, n=4)


def test_a_misplaced_script_is_refused_and_not_recorded() -> None:
    with pytest.raises(ConfigError, match="plays the attacker"):
        play("redteam", both(scripted_player("persuader", "redteam")), n=2)


def test_wrong_settings_are_refused_before_anything_is_kept(tmp_path: Path) -> None:
    for game in ({"name": "elicitation", "rounds": -1}, {"name": "nothing"}, {"rounds": 2}):
        with pytest.raises(ConfigError):
            play(game, fake(), n=2, folder=tmp_path)
    with pytest.raises(ConfigError, match="n is 0"):
        play(TALK, fake(), n=0)
    assert list(tmp_path.iterdir()) == []


def test_the_record_has_what_was_hidden_what_was_earned_and_what_the_rules_said() -> None:
    player = scripted_player("oracle", "elicitation")
    [episode] = play(TALK, {"agent": player}, n=1).episodes
    assert episode.roles["customer"]["private"]["wishes"]
    assert episode.roles["customer"]["name"] == "the rules"
    assert [turn.role for turn in episode.turns] == ["customer", *["agent", "customer"] * 3]
    assert [turn.finish for turn in episode.turns[:3]] == ["given", "stop", "given"]
    earned = sum(turn.reward.get("agent", 0.0) for turn in episode.turns)
    assert earned == pytest.approx(episode.outcome["score"])
    assert [turn.round for turn in episode.turns] == [1, 1, 1, 2, 2, 3, 3]


def test_the_record_says_who_saw_what() -> None:
    run = play("itinerary", both(scripted_player("random", "itinerary")), n=3, references=False)
    turns = [turn for episode in run.episodes for turn in episode.turns]
    assert turns
    assert all(turn.seen_by == [] for turn in turns)
    texts = iter(["[think] Well, well.", "[tool] Search(limit=1)", "[propose] 1. a"])
    direct = HumanPlayer(lambda _: next(texts, "[message] Hello"), lambda _: None)
    players: dict[str, Player] = {"agent": direct, "partner": scripted_player("random", "itinerary")}
    [episode] = play({"name": "itinerary", "max_turns": 5}, players, n=1, references=False).episodes
    acts = [(turn.role, turn.act, turn.seen_by) for turn in episode.turns]
    assert ("agent", "think", ["agent"]) in acts
    assert ("game", "", ["agent"]) in acts
    assert ("agent", "message", []) in acts
    [refused] = episode.metadata["refused"]
    assert refused["text"] == "[propose] 1. a"
    assert "exactly 3 places" in refused["error"]


def test_without_a_judge_a_score_is_missing_with_its_reason() -> None:
    [result] = play("sotopia", fake(), n=3).results
    assert (result.valid, result.score.value, result.score.missing) == (3, None, 3)
    assert list(result.unjudged.values()) == [3]
    assert "none was given" in next(iter(result.unjudged))


def test_a_judge_is_asked_again_within_bounds() -> None:
    rubric = '{"believability": 9, "relationship": 2, "knowledge": 4, "secret": 0, "social_rules": 0, '
    rubric += '"financial_and_material_benefits": 1, "goal": 8}'
    judge = ScriptedModel(lambda messages: rubric if "Attempt 2" in messages[-1].content else "no idea")
    [result] = play("sotopia", fake(), n=2, judge=judge).results
    assert (result.normalised.value, result.success.value) == (0.8, 1.0)
    assert len(judge.seen) == 2 * 2 * 2
    silent = ScriptedModel(lambda _: "no idea")
    [result] = play("sotopia", fake(), n=2, judge=silent).results
    assert len(silent.seen) == 2 * 2 * 3
    assert "no readable verdict" in next(iter(result.unjudged))


def test_a_judge_that_fails_is_tried_again_by_a_resumed_run(tmp_path: Path) -> None:
    run = play("sotopia", fake(), n=2, judge=ScriptedModel([]), folder=tmp_path)
    assert next(iter(run.results[0].errors)).startswith("judge: model 'scripted' failed")
    assert run.folder is not None
    again = play("sotopia", fake(), n=2, judge=ScriptedModel(lambda _: "{}"), resume=run.folder)
    assert again.results[0].errors == {}


def test_a_person_who_leaves_may_come_back(tmp_path: Path) -> None:
    def leave(_prompt: str) -> str:
        raise EOFError

    players: dict[str, Player] = {"agent": HumanPlayer(leave, lambda _: None)}
    run = play(TALK, players, n=1, folder=tmp_path, references=False)
    assert next(iter(run.results[0].errors)).startswith("player: the person who played 'agent' left")
    back: dict[str, Player] = {"agent": HumanPlayer(lambda _: "Where to?", lambda _: None)}
    assert run.folder is not None
    assert play(TALK, back, n=1, resume=run.folder, references=False).results[0].valid == 1


def test_a_resumed_run_must_be_the_same(tmp_path: Path) -> None:
    run = play(TALK, fake(), n=2, folder=tmp_path)
    assert run.folder is not None
    with pytest.raises(ConfigError, match=r"seed: the run has 0, this command 4"):
        play(TALK, fake(), n=2, seed=4, resume=run.folder)
    with pytest.raises(ConfigError, match=r"games\[0\].rounds"):
        play({**TALK, "rounds": 2}, fake(), n=2, resume=run.folder)
    assert not (run.folder / "x").exists()


KILLED = """
import sys
from telic.agents.model_player import ModelPlayer
from telic.models import FakeModel
from telic.rollouts import play
play({"name": "elicitation", "rounds": 3}, {"agent": ModelPlayer(FakeModel(delay=0.02))}, n=40, folder=sys.argv[1],
     concurrency=4, references=False)
"""


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)])
    kept = 0
    deadline = time.monotonic() + 60
    while kept < 5 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
        kept = sum(len(file.read_text().splitlines()) for file in tmp_path.glob("*/episodes.jsonl"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 5 <= kept < 40
    [folder] = tmp_path.iterdir()
    played: list[str] = []
    players: dict[str, Player] = {"agent": ModelPlayer(FakeModel())}
    run = play(TALK, players, n=40, resume=folder, references=False, on_episode=lambda e: played.append(e.id))
    assert len(played) <= 40 - kept
    assert contents(run.episodes) == contents(play(TALK, players, n=40, references=False).episodes)


def test_the_references_and_results_are_kept_in_the_run_folder(tmp_path: Path) -> None:
    run = play(["assignment", "elicitation"], fake(), n=3, folder=tmp_path)
    assert run.folder is not None
    records = list(RunFolder.open(run.folder).read_metrics())
    assert set(records[0]["references"]) == {"assignment", "elicitation"}
    assert [result["game"] for result in records[1]["results"]] == ["assignment", "elicitation"]
    for result in run.results:
        assert result.references.oracle is not None
        assert result.references.oracle.normalised.value == pytest.approx(1.0)
    assert run.results[0].human == 0.921


def test_an_error_in_one_lane_reaches_the_caller() -> None:
    class Broken(FakeModel):
        def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
            raise MemoryError("no room")

    players: dict[str, Player] = {"agent": ModelPlayer(FakeModel()), "partner": ModelPlayer(Broken())}
    with pytest.raises(MemoryError, match="no room"):
        play("negotiation", players, n=8, references=False)


def test_players_for_workers_must_be_made_by_them() -> None:
    from telic.rollouts.ray_workers import RayWorkers

    with pytest.raises(ConfigError, match="pass a PlayerFactory"):
        play(TALK, fake(), n=1, workers=RayWorkers())
    model: Model = FakeModel()
    with pytest.raises(ConfigError, match="pass its name"):
        play(TALK, PlayerFactory(fake, {}), n=1, judge=model, workers=RayWorkers())
