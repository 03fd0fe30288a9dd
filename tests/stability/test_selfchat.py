"""The protocol: who sees what, when probes are asked, what is left of a dialogue that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest

from telic.dialogue import Message
from telic.episodes import Episode
from telic.errors import ModelError
from telic.judges import Judge, Score, build_judge
from telic.judges.model import ModelJudge
from telic.models import FakeModel, Reply, Request, Sampling, ScriptedModel
from telic.models.request import OnReply
from telic.rendering import Rendering
from telic.stability.plan import DialoguePlan, JudgedProbe, SelfChatProtocol, Side
from telic.stability.selfchat import play_dialogues

PROTOCOL = SelfChatProtocol(rounds=2, samples=1, utterance=Sampling(seed=0), answer=Sampling(max_new_tokens=50))
NAME = JudgedProbe("name", "persona", "Your name?", build_judge({"contains": "B"}))


class Templated(ScriptedModel):
    """Its chat template is known."""

    template = SimpleNamespace(takes_assistant_first=False)

    def render(self, messages: Sequence[Message], *, reply: bool = True) -> Rendering:
        raise NotImplementedError


class AssistantFirst(Templated):
    """Its template lets the assistant speak first."""

    template = SimpleNamespace(takes_assistant_first=True)


def plan(
    number: int = 0, *, a: tuple[JudgedProbe, ...] = (), b: tuple[JudgedProbe, ...] = (NAME,), opener: str = "Hi!"
) -> DialoguePlan:
    return DialoguePlan(f"{number:04d}", 1000 + number, Side("a", "You are A.", a), Side("b", "You are B.", b), opener)


def echo(messages: tuple[Message, ...]) -> str:
    """Says who it is and how often it has spoken, or answers the probe."""
    me = messages[0].content.split()[-1].rstrip(".")
    if "?" in messages[-1].content:
        return f"I am {me}"
    return f"{me.lower()}{1 + sum(message.role == 'assistant' for message in messages)}"


def played(
    model: ScriptedModel | FakeModel, *plans: DialoguePlan, protocol: SelfChatProtocol = PROTOCOL
) -> list[Episode]:
    episodes: list[Episode] = []
    play_dialogues(model, plans, protocol, episodes.append)
    return sorted(episodes, key=lambda episode: episode.id)


def said(messages: Sequence[Message]) -> list[str]:
    return [f"{message.role}: {message.content}" for message in messages]


def test_each_side_sees_its_own_prompt_and_itself_as_the_assistant() -> None:
    model = AssistantFirst(echo)
    [episode] = played(model, plan(b=()))
    assert [(turn.role, turn.round, turn.text, turn.finish) for turn in episode.turns] == [
        ("a", 1, "Hi!", "given"),
        ("b", 1, "b1", "stop"),
        ("a", 2, "a2", "stop"),
        ("b", 2, "b2", "stop"),
    ]
    assert [said(messages) for messages in model.seen] == [
        ["system: You are B.", "user: Hi!"],
        ["system: You are A.", "assistant: Hi!", "user: b1"],
        ["system: You are B.", "user: Hi!", "assistant: b1", "user: a2"],
    ]
    assert episode.failure is None


def test_probes_can_be_asked_in_some_rounds_only() -> None:
    sparse = replace(PROTOCOL, rounds=5, probe_every=2)
    [episode] = played(AssistantFirst(echo), plan(), protocol=sparse)
    assert [branch.round for branch in episode.branches] == [0, 2, 4, 5]
    [every] = played(AssistantFirst(echo), plan(), protocol=replace(sparse, probe_every=1))
    assert [turn.text for turn in episode.turns] == [turn.text for turn in every.turns]


def test_a_probe_comes_right_after_its_sides_utterance_and_leaves_no_trace() -> None:
    model = AssistantFirst(echo)
    [episode] = played(model, plan(a=(NAME,)))
    asked = [said(messages) for messages in model.seen if messages[-1].content == NAME.ask]
    assert sorted(asked, key=len) == [
        ["system: You are A.", "user: Your name?"],
        ["system: You are B.", "user: Your name?"],
        ["system: You are A.", "assistant: Hi!", "user: Your name?"],
        ["system: You are B.", "user: Hi!", "assistant: b1", "user: Your name?"],
        ["system: You are A.", "assistant: Hi!", "user: b1", "assistant: a2", "user: Your name?"],
        ["system: You are B.", "user: Hi!", "assistant: b1", "user: a2", "assistant: b2", "user: Your name?"],
    ]
    trunk = [messages for messages in model.seen if messages[-1].content != NAME.ask]
    assert not any(NAME.ask in message.content for messages in trunk for message in messages)
    scores = {(branch.role, branch.round): branch.answers[0].score for branch in episode.branches}
    assert scores == {(role, round_): float(role == "b") for role in "ab" for round_ in range(3)}
    assert [turn.text for turn in episode.turns] == ["Hi!", "b1", "a2", "b2"]


@pytest.mark.parametrize("kind", [Templated, ScriptedModel], ids=["refuses", "not known"])
def test_the_opener_is_folded_where_no_assistant_may_speak_first(kind: type[ScriptedModel]) -> None:
    model = kind(echo)
    played(model, plan(a=(NAME,)))
    mine = [said(messages)[1:] for messages in model.seen if messages[0].content == "You are A."]
    opened = 'user: (You opened the conversation with: "Hi!")\n\n'
    assert sorted(mine, key=len) == [
        ["user: Your name?"],
        [f"{opened}Your name?"],
        [f"{opened}b1"],
        [f"{opened}b1", "assistant: a1", "user: Your name?"],
    ]
    assert all(messages[1].role == "user" for messages in model.seen)


def test_no_rounds_are_probes_alone_and_nothing_at_all_is_an_empty_episode() -> None:
    [episode] = played(ScriptedModel(echo), plan(), protocol=replace(PROTOCOL, rounds=0))
    assert [(branch.round, len(branch.answers)) for branch in episode.branches] == [(0, 1)]
    empty = played(ScriptedModel(echo), *[plan(i, b=()) for i in range(3)], protocol=replace(PROTOCOL, rounds=0))
    assert [episode.branches for episode in empty] == [[], [], []]
    assert played(ScriptedModel(echo)) == []


def test_a_side_is_drawn_in_its_own_way() -> None:
    seen: list[tuple[str, Sampling]] = []

    class Watching(ScriptedModel):
        def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
            seen.append((said(messages)[-1], sampling))
            return super()._answer(messages, sampling)

    own = replace(plan().b, utterance=Sampling(max_new_tokens=7), answer=Sampling(max_new_tokens=8))
    played(Watching(echo), replace(plan(), b=own))
    assert {sampling.max_new_tokens for text, sampling in seen if "name" in text} == {8}
    assert [sampling.max_new_tokens for text, sampling in seen if "name" not in text] == [7, 256, 7]
    assert len({sampling.seed for _, sampling in seen}) == len(seen)


def test_what_fails_is_recorded_and_the_others_go_on() -> None:
    def script(messages: tuple[Message, ...]) -> str:
        if any("boom" in message.content for message in messages) and len(messages) > 3:
            raise ModelError("out of\nmemory")
        return echo(messages)

    good, bad, last = played(AssistantFirst(script), plan(0), plan(1, opener="boom"), plan(2))
    assert good.failure is last.failure is None
    assert [branch.round for branch in good.branches] == [branch.round for branch in last.branches] == [0, 1, 2]
    assert str(bad.failure).splitlines() == ["model: out of memory", "side b in round 2, after 6 tokens"]
    assert [turn.text for turn in bad.turns] == ["boom", "b1", "a2"]
    [_, lost] = bad.branches
    assert (lost.answers[0].score, lost.answers[0].reason) == (None, "the model failed: out of memory")


class Small(ScriptedModel):
    """Has a context of so many messages."""

    def __init__(self, size: int, text: str) -> None:
        super().__init__(echo)
        self.size, self.text = size, text

    def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        if len(messages) > self.size:
            return Reply(self.text, "context")
        return super()._answer(messages, sampling)


def test_a_full_context_ends_the_dialogue_which_counts_as_far_as_it_goes() -> None:
    [episode] = played(Small(3, ""), plan(), protocol=replace(PROTOCOL, rounds=9))
    assert str(episode.failure).splitlines() == ["model: no room for a reply", "side b in round 2, after 6 tokens"]
    assert [turn.text for turn in episode.turns] == ["Hi!", "b1", "a1"]
    scores = [(branch.answers[0].score, branch.answers[0].reason) for branch in episode.branches]
    assert scores[0][0] == 1.0
    assert scores[1] == (None, "no room for an answer in the context")


def test_an_utterance_that_the_context_cut_short_is_one() -> None:
    [episode] = played(Small(3, "b2 b"), plan(), protocol=replace(PROTOCOL, rounds=2))
    assert (episode.turns[-1].text, episode.turns[-1].finish) == ("b2 b", "context")
    assert episode.failure is None


def test_an_utterance_that_failed_half_way_is_kept_and_not_answered() -> None:
    class Filtered(ScriptedModel):
        def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
            reply = super()._answer(messages, sampling)
            return reply.failed("content_filter", "content filter") if reply.text == "b1" else reply

    model = Filtered(echo)
    [episode] = played(model, plan())
    assert [(turn.text, turn.finish) for turn in episode.turns] == [("Hi!", "given"), ("b1", "error")]
    assert not any("b1" in message.content for messages in model.seen for message in messages)


class FaultyFake(FakeModel):
    """Fails where the messages and the seed would have it, so that the order of requests plays no part."""

    def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        reply = super()._answer(messages, sampling)
        return reply.failed("exception", "unlucky") if int(sampling.seed or 0) % 7 == 0 else reply


@pytest.mark.parametrize("kind", [FakeModel, FaultyFake])
def test_neither_order_nor_concurrency_leaves_a_trace(kind: type[FakeModel]) -> None:
    plans = [plan(number, a=(NAME,)) for number in range(6)]
    runs = [
        played(kind(drift=0.3), *plans, protocol=replace(PROTOCOL, samples=2, concurrency=concurrency))
        for concurrency in (1, 4, 100)
    ]
    assert runs[0] == runs[1] == runs[2]
    assert any(episode.failure for episode in runs[0]) == (kind is FaultyFake)
    assert len({tuple(turn.text for turn in episode.turns) for episode in runs[0]}) > 1


class Host(FakeModel):
    """Plays, and knows when it does: its callbacks come from an event loop, as those of a remote model do."""

    playing = False

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        async def main() -> list[Reply]:
            return super(Host, self).generate(requests, on_reply)

        assert not self.playing, "asked while it plays"
        self.playing = True
        try:
            return asyncio.run(main())
        finally:
            self.playing = False


@pytest.mark.parametrize(
    "wrap",
    [
        lambda judge: judge,
        lambda judge: _combined(judge, "all_of"),
        lambda judge: _combined(judge, "not"),
    ],
    ids=["alone", "all_of", "not"],
)
def test_a_judge_that_asks_a_model_does_so_between_waves(wrap: Callable[[Judge], Judge]) -> None:
    host = Host(drift=0.0)
    batches: list[int] = []

    class Grader(ScriptedModel):
        def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
            assert not host.playing
            batches.append(len(requests))
            return super().generate(requests, on_reply)

    grader = Grader(lambda messages: "Score: 5" if "You are B" in messages[-1].content else "no idea")
    probe = replace(NAME, judge=wrap(ModelJudge(grader, "It says who it is.", retries=0)))
    plans = [plan(number, b=(probe, replace(NAME, name="rule"))) for number in range(5)]
    episodes = played(host, *plans, protocol=replace(PROTOCOL, samples=2, concurrency=2))
    assert batches == [12, 12, 6]
    answers = [a for e in episodes for branch in e.branches for a in branch.answers if branch.probe == "name"]
    assert [answer.score for answer in answers] == [0.5] * 30
    by_rule = [a.score for e in episodes for branch in e.branches for a in branch.answers if branch.probe == "rule"]
    assert by_rule == [1.0] * 30


def _combined(judge: Judge, name: str) -> Judge:
    made = build_judge({"all_of": [{"contains": "B"}]} if name == "all_of" else {"not": {"contains": "Z"}})
    if name == "all_of":
        made.judges.append(judge)  # type: ignore[attr-defined]
    else:
        object.__setattr__(made, "inner", judge)
    return made


def test_a_judge_that_raises_costs_its_own_scores_only() -> None:
    class Broken:
        def judge(self, answer: str, question: str = "") -> Score:
            raise ZeroDivisionError("oh")

    [episode] = played(ScriptedModel(echo), plan(b=(NAME, JudgedProbe("odd", "own", "Odd?", Broken()))))
    found = {branch.probe: branch.answers[0] for branch in episode.branches}
    assert found["odd"].score is None
    assert "ZeroDivisionError" in found["odd"].reason
    assert found["name"].score == 1.0
