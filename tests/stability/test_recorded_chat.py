"""Probes along a recorded dialogue: the trunk is what was said, it is read once, and nothing else is generated."""

from __future__ import annotations

from dataclasses import replace

from telic.dialogue import Dialogue
from telic.episodes import Episode
from telic.models import LocalModel, Model, Reply, Sampling, ScriptedModel
from telic.purpose import Purpose
from telic.stability.bank import Bank
from telic.stability.config import TranscriptConfig
from telic.stability.lengths import at_marks
from telic.stability.plan import DialoguePlan, SelfChatProtocol
from telic.stability.recorded_plan import plan_recorded, read_trunks
from telic.stability.selfchat import play_dialogues
from tests.models import tiny
from tests.stability.test_trunks import PURPOSE, dialogue

SHORT = Sampling(max_new_tokens=4)
PROTOCOL = SelfChatProtocol(rounds=0, samples=2, utterance=SHORT, answer=SHORT)
TALK = dialogue("s:old", "u:Hi!", "a:Yes?", "u:A room.", "a:Which?", "u:The blue one.", "a:Sorry.")


def plans_of(
    model: Model, *dialogues: Dialogue, purpose: Purpose | Bank = PURPOSE, every: int = 2
) -> list[DialoguePlan]:
    config = TranscriptConfig(probe_every=every, probe_tokens=1 if every == 1 else None)
    trunks, _ = read_trunks(model, purpose, [(f"d{n}", one) for n, one in enumerate(dialogues)], config)
    return plan_recorded(purpose, trunks, config)


def read(model: Model, *plans: DialoguePlan) -> tuple[list[Episode], list[Reply]]:
    episodes: list[Episode] = []
    replies: list[Reply] = []
    play_dialogues(model, plans, PROTOCOL, episodes.append, replies.append)
    return episodes, replies


def test_nothing_is_generated_but_answers_and_the_trunk_never_sees_a_probe() -> None:
    model = ScriptedModel(lambda messages: "I am Mia." if len(messages) == 2 else "No idea.")
    [plan] = plans_of(model, TALK)
    [episode], _ = read(model, plan)
    asked = ["|".join(message.content for message in messages) for messages in model.seen]
    trunk = "You are Mia.|Hi!|Yes?|A room.|Which?"
    assert sorted(set(asked), key=len) == [
        "You are Mia.|Name?",
        f"{trunk}|Name?",
        f"{trunk}|The blue one.|Sorry.|Name?",
    ]
    assert len(asked) == 6, "two samples at each of three places"
    assert [(branch.round, branch.answers[0].score) for branch in episode.branches] == [(0, 1.0), (2, 0.0), (3, 0.0)]
    assert [(turn.role, turn.round, turn.text) for turn in episode.turns][:3] == [
        ("a", 1, "Hi!"), ("b", 1, "Yes?"), ("a", 2, "A room."),
    ]  # fmt: skip
    assert {turn.finish for turn in episode.turns} == {"given"}
    assert episode.metadata["recorded"] == ["d0"]


def test_an_assistant_that_opens_is_folded_where_the_template_is_not_known() -> None:
    model = ScriptedModel("Mia")
    read(model, *plans_of(model, dialogue("a:Welcome!", "u:Hi.", "a:Yes?")))
    assert model.seen[-1][1].content == '(You opened the conversation with: "Welcome!")\n\nHi.'


def test_a_bank_gives_each_dialogue_an_instruction() -> None:
    model = ScriptedModel("Mia")
    bank = Bank.load(["persona"])
    plans = plans_of(model, *[TALK] * 5, purpose=bank)
    assert len({plan.b.system for plan in plans}) == 5
    assert all(len(plan.b.probes) == 1 for plan in plans)


def long_talk() -> tuple[LocalModel, DialoguePlan]:
    model = tiny.local("llama")
    said = dialogue(*(f"{role}:{'a' * 10} {number}" for number in range(6) for role in "ua"))
    purpose = PURPOSE.model_copy(
        update={"probes": [*PURPOSE.probes, PURPOSE.probes[0].model_copy(update={"ask": "Who?"})]}
    )
    return model, plans_of(model, said, purpose=purpose)[0]


def test_the_engine_reads_the_trunk_once() -> None:
    model, plan = long_talk()
    assert plan.trunk is not None
    [episode], replies = read(model, plan)
    places = len(plan.probed)
    assert len(replies) == places * 2 * PROTOCOL.samples
    computed = sum(reply.prompt_tokens - reply.cached_tokens for reply in replies)
    whole = max(branch.prompt_tokens for branch in episode.branches)
    probe = max(branch.prompt_tokens for branch in episode.branches if branch.round == 0)
    assert computed <= whole + len(replies) * probe, "each answer costs its own probe, the trunk comes once"
    assert sum(branch.prompt_tokens * PROTOCOL.samples for branch in episode.branches) > 2 * computed


def test_the_answers_are_those_of_a_model_that_reads_everything_anew() -> None:
    model, plan = long_talk()
    [episode], _ = read(model, plan)
    for round_ in plan.probed:
        session = model.session(plan.b.system)
        assert plan.trunk is not None
        for one in plan.trunk.rounds[:round_]:
            session.user(one.heard).assistant(one.said)
        for branch in (branch for branch in episode.branches if branch.round == round_):
            fork = session.fork().user(branch.question)
            alone = fork.reply(sampling=replace(SHORT, temperature=0.0))
            assert alone.prompt_tokens == branch.prompt_tokens


def test_probes_are_put_at_the_nearest_mark() -> None:
    model = ScriptedModel("Mia")
    said = dialogue(*(f"{role}:{120 * role}" for role in 5 * "ua"))  # 60 tokens a round by estimate
    [episode], _ = read(model, *plans_of(model, said, every=1))
    [marked] = at_marks([episode], 100)
    assert [branch.round for branch in marked.branches] == [0, 100, 100, 200, 200, 300]
    assert [branch.round for branch in episode.branches] == [0, 1, 2, 3, 4, 5]
