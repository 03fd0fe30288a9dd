"""Players: what a model is told and made to do, scripts, the classics, a person."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from telic.agents.human import HumanPlayer
from telic.agents.model_player import BEGIN, GO_ON, ModelPlayer
from telic.agents.player import NEUTRAL, ContextFullError, Player, PlayerLeftError
from telic.agents.scripted import scripted_names, scripted_player
from telic.dialogue import Message
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.games.base import Game, Outcome, build_game
from telic.models import Reply, Request, ScriptedModel
from telic.models.requesting import run_alone
from telic.models.scripted import FakeModel
from telic.purpose import Purpose
from telic.steering import build_control

MIA = Purpose.from_text('name = "mia"\nsystem = "You are Mia."\nrules = ["Be brief."]\n[sampling]\ntemperature = 0.3\n')


def act(game: Game, participant: Any) -> str:
    """One act of the role whose turn it is, which the game takes."""
    role = game.turn
    assert role is not None
    utterance = str(run_alone(participant.act(game.observe(role))))
    game.step(role, utterance)
    return utterance


def play(game: Game, players: Mapping[str, Player], seed: int = 0) -> Outcome:
    game.reset(seed)
    participants = {role: players[role].join(game, role, seed) for role in players}
    while game.turn is not None:
        act(game, participants[game.turn])
    return game.outcome()


def said(model: Any) -> list[list[tuple[str, str]]]:
    return [[(message.role, message.content) for message in messages] for messages in model.seen]


class Weighing(ScriptedModel):
    """A model of which likelihoods can be had, as far as a player can tell."""

    points = frozenset({"messages", "logits"})

    def __init__(self, replies: Any, pick: Callable[[Request], str] = lambda request: request.choices[0]) -> None:
        super().__init__(replies)
        self.pick = pick
        self.requests: list[Request] = []

    def _reply(self, request: Request) -> Reply:
        self.requests.append(request)
        if request.choices:
            return Reply(self.pick(request), "stop")
        return super()._reply(request)


def test_a_model_hears_its_purpose_then_the_game_and_the_dialogue_in_turns() -> None:
    model = ScriptedModel(["Where to?", "When?"])
    player = ModelPlayer(model, MIA)
    game = build_game({"name": "elicitation", "rounds": 2})
    play(game, {"agent": player})
    first, second = said(model)
    assert first[0] == ("system", f"You are Mia.\nBe brief.\n\n{game.instructions('agent')}")
    assert [role for role, _ in second] == ["system", "user", "assistant", "user"]
    assert second[2] == ("assistant", "Where to?")
    assert player.sampling.temperature == 0.3


def test_a_model_that_opens_or_goes_on_is_told_so() -> None:
    model = Weighing(["Hm.", "Hm."], pick=lambda request: "[think]" if len(request.messages) < 3 else "[message]")
    game = build_game({"name": "negotiation", "side": "first"})
    game.reset(0)
    player = ModelPlayer(model)
    participant = player.join(game, "agent", 0)
    model.replies = lambda _: "Well then."
    assert act(game, participant) == "[think] Well then."
    assert act(game, participant) == "[message] Well then."
    assert said(model)[-1][1:] == [("user", BEGIN), ("assistant", "[think] Well then."), ("user", GO_ON)]


def test_the_kind_is_chosen_first_and_the_text_begins_with_it() -> None:
    model = Weighing(lambda _: " I can offer more than that.\nSecond line", pick=lambda request: "[message]")
    game = build_game({"name": "negotiation", "side": "first"})
    game.reset(0)
    player = ModelPlayer(model)
    assert act(game, player.join(game, "agent", 0)) == "[message] I can offer more than that."
    reading, choice, text = model.requests
    assert reading.sampling.max_new_tokens == 1
    assert choice.choices == tuple(f"[{kind}]" for kind in ("message", "offer", "leave", "think"))
    assert (text.reply_prefix, text.choices) == ("[message]", ())


def test_a_form_is_filled_part_by_part_in_the_light_of_what_was_chosen() -> None:
    def pick(request: Request) -> str:
        return "[propose]" if "[propose]" in request.choices else request.choices[-1]

    model = Weighing(lambda _: "", pick)
    game = build_game({"name": "assignment"})
    game.reset(3)
    player = ModelPlayer(model)
    utterance = act(game, player.join(game, "agent", 0))
    parts = [request.choices for request in model.requests if len(request.choices) > 2][0:2]
    assert parts[0][0] == "[propose] Atlas: Amina Diallo"
    assert parts[1][0] == "[propose] Atlas: Hiro Tanaka; Beacon: Amina Diallo"
    assert utterance.startswith("[propose] Atlas: Hiro Tanaka; Beacon: Greta Lund;")
    assert utterance.endswith("Harbor: Amina Diallo")
    assert game.turn == "partner"


def test_a_model_without_likelihoods_is_asked_and_gets_no_prefix() -> None:
    def answers(messages: tuple[Message, ...]) -> str:
        last = messages[-1].content
        if "Which kind" in last:
            return "I choose [offer]."
        assert "You write: [offer]" in last
        return "35"

    model = ScriptedModel(answers)
    game = build_game({"name": "negotiation", "side": "first"})
    game.reset(0)
    player = ModelPlayer(model)
    assert act(game, player.join(game, "agent", 0)) == "[offer] 35"


def test_answers_that_name_no_choice_are_asked_again_and_then_left_to_chance() -> None:
    model = ScriptedModel(lambda _: "I would rather not say")
    game = build_game({"name": "assignment"})
    game.reset(0)
    player = ModelPlayer(model)
    participant = player.join(game, "agent", 0)
    act(game, participant)
    assert participant.notes["random choices"] >= 1
    assert participant.notes["unreadable choices"] == 3 * participant.notes["random choices"]
    assert game.outcome().valid


def test_an_empty_reply_is_drawn_again_then_replaced() -> None:
    replies = iter(["", "  ", "Hello there", "", "", ""])
    model = ScriptedModel(lambda _: next(replies))
    player = ModelPlayer(model)
    game = build_game({"name": "selfchat", "rounds": 2})
    game.reset(0)
    participants = {role: player.join(game, role, 0) for role in "ab"}
    assert act(game, participants["b"]) == "[message] Hello there"
    assert act(game, participants["a"]) == f"[message] {NEUTRAL}"
    assert participants["b"].notes == {"empty replies": 2}
    assert participants["a"].notes["empty replies replaced"] == 1


def test_a_model_that_begins_with_empty_lines_is_heard() -> None:
    model = ScriptedModel(lambda _: "\n\n Hello there\nsecond line")
    player = ModelPlayer(model)
    game = build_game({"name": "selfchat"})
    game.reset(0)
    participant = player.join(game, "b", 0)
    assert act(game, participant) == "[message] Hello there"
    assert participant.notes == {"empty replies": 1}


def test_a_refused_act_is_shown_with_its_reason_and_the_last_attempt_is_safe() -> None:
    model = ScriptedModel(lambda messages: "[offer] nonsense" if "Which" not in messages[-1].content else "[message]")
    game = build_game({"name": "negotiation", "side": "first"})
    game.reset(0)
    player = ModelPlayer(model)
    participant = player.join(game, "agent", 0)
    model.replies = lambda m: "[message]" if "Which kind" in m[-1].content else "a [offer] b [accept] c"
    act(game, participant)
    act(game, participant)
    assert "(Your last attempt was refused: one act at a time" in said(model)[-1][-1][1]
    assert act(game, participant) == f"[message] {NEUTRAL}"
    assert game.turn == "partner"
    strict = ModelPlayer(model, rescue=False)
    game.reset(0)
    participant = strict.join(game, "agent", 0)
    for _ in range(3):
        act(game, participant)
    assert game.outcome().fault == "agent"


def test_a_full_context_forgets_the_oldest_and_gives_up_when_nothing_is_left() -> None:
    class Narrow(FakeModel):
        room = 6

        def _reply(self, request: Request) -> Reply:
            if len(request.messages) > self.room:
                return Reply("", "context")
            return super()._reply(request)

    model = Narrow()
    player = ModelPlayer(model)
    game = build_game({"name": "selfchat", "rounds": 10})
    game.reset(0)
    participants = {role: player.join(game, role, 0) for role in "ab"}
    while game.turn:
        act(game, participants[game.turn])
    assert participants["a"].notes["times the context was full"] > 0
    assert model.seen[-1][0].role == "user"
    model.room = 0
    game.reset(0)
    with pytest.raises(ContextFullError, match="no room"):
        act(game, player.join(game, "b", 0))


def test_a_model_that_fails_raises() -> None:
    player = ModelPlayer(ScriptedModel([]))
    game = build_game({"name": "selfchat"})
    game.reset(0)
    with pytest.raises(ModelError, match="the script has 0 replies"):
        act(game, player.join(game, "b", 0))


def test_with_three_roles_a_model_is_told_who_speaks() -> None:
    model = FakeModel()
    player = ModelPlayer(model)
    game = build_game({"name": "mediation"})
    game.reset(0)
    participants = {role: player.join(game, role, 0) for role in game.roles}
    for _ in range(3):
        act(game, participants[str(game.turn)])
    assert "user-1: " in said(model)[-1][1][1]
    assert "user-2: " in said(model)[-1][1][1]


def test_a_control_that_cannot_act_is_refused_before_any_play() -> None:
    with pytest.raises(UnsupportedControlError, match="split_softmax"):
        ModelPlayer(FakeModel(), controls=[build_control({"name": "split_softmax"})])


GAMES = ("assignment", "elicitation", "itinerary", "mediation", "negotiation", "redteam", "selfchat", "sotopia")


@pytest.mark.parametrize("name", GAMES)
def test_every_script_plays_its_game_to_a_valid_end(name: str) -> None:
    for script in scripted_names(name):
        game = build_game({"name": name})
        roles = {"persuader": "attacker", "refuser": "defender"}
        one = scripted_player(script, name)
        other = scripted_player("random", name)
        players = {role: one if roles.get(script, role) == role else other for role in game.roles}
        for seed in range(3):
            assert play(game, players, seed).valid, (script, seed)


@pytest.mark.parametrize("name", ["eliza", "parry", "restaurant"])
@pytest.mark.parametrize("game", ["elicitation", "negotiation", "assignment", "mediation", "selfchat", "sotopia"])
def test_the_classics_play_every_kind_of_game(name: str, game: str) -> None:
    table = build_game({"name": game})
    players = {role: scripted_player(name, game) for role in table.roles}
    assert play(table, players, 1).valid


def test_the_oracle_is_perfect_and_chance_is_not() -> None:
    for name in ("elicitation", "assignment", "itinerary", "mediation"):
        scores = {}
        for script in ("random", "oracle"):
            game = build_game({"name": name})
            player = scripted_player(script, name)
            played = [play(game, dict.fromkeys(game.roles, player), seed).normalised or 0.0 for seed in range(5)]
            scores[script] = sum(played) / 5
        assert scores["oracle"] == pytest.approx(1.0)
        assert scores["random"] < 0.9


def test_unknown_and_misplaced_scripts_are_errors() -> None:
    with pytest.raises(ConfigError, match=r"'redteam' has no scripted player 'oracle'.*persuader"):
        scripted_player("oracle", "redteam")
    with pytest.raises(ConfigError, match="did you mean 'eliza'"):
        scripted_player("elisa", "selfchat")
    game = build_game({"name": "redteam"})
    with pytest.raises(ConfigError, match="plays the attacker, not the defender"):
        play(
            game,
            {"attacker": scripted_player("random", "redteam"), "defender": scripted_player("persuader", "redteam")},
        )


def lines(*texts: str) -> Callable[[str], str]:
    left: Iterator[str] = iter(texts)

    def read(_prompt: str) -> str:
        try:
            return next(left)
        except StopIteration:
            raise EOFError from None

    return read


def test_a_person_sees_the_news_the_acts_and_the_errors() -> None:
    shown: list[str] = []
    prompts: list[str] = []
    typed = lines("[propose] 3", "[accept]", "[offer] a lot", "[offer] 50", "[leave]")

    def read(prompt: str) -> str:
        prompts.append(prompt)
        return typed(prompt)

    human = HumanPlayer(read, shown.append)
    game = build_game({"name": "negotiation", "side": "first"})
    play(game, {"agent": human, "partner": scripted_player("concession", "negotiation")}, 2)
    text = "\n".join(shown)
    assert game.instructions("agent") in text
    assert prompts[:4] == ["agent [message] [offer] [leave] [think]> "] * 4
    assert "[accept]" in prompts[-1]
    assert "Refused: [propose] is not possible now; possible: [message] [offer] [leave] [think]" in text
    assert "Refused: [accept] is not possible now" in text
    assert "Refused: an offer names one number" in text
    assert text.count("partner: ") >= 1
    assert "agent: " not in text  # one knows what one has said


def test_a_person_may_leave() -> None:
    human = HumanPlayer(lines(), lambda _: None)
    with pytest.raises(PlayerLeftError, match="'agent' left"):
        play(build_game({"name": "elicitation"}), {"agent": human})
