"""The reward head: the state that it reads, its training, and the best of several replies in chat and server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from telic.agents import Agent
from telic.errors import ConfigError, UnsupportedControlError
from telic.learners.result import Learned
from telic.learners.reward_head import train_reward_head
from telic.models import FakeModel, Reply, Request
from telic.models.local import LocalModel
from telic.purpose import Purpose
from telic.readers.reward_head import RewardHead, load_reward_head, save_reward_head
from telic.steering.saving import Origin
from tests.learners.conversations import GOOD, SYSTEM, labelled
from tests.models.tiny import HIDDEN, ask, case, local


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return local("llama")


@pytest.fixture(scope="module")
def learned(model: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Learned:
    purpose = Purpose(name="travel", system=SYSTEM)
    folder = tmp_path_factory.mktemp("learned")
    return train_reward_head(labelled(users=12), purpose, folder=folder, model=model, resamples=200)


def purpose_with(head: str | Path, best_of: int = 4, **more: Any) -> Purpose:
    sampling = {"temperature": 1.0, "max_new_tokens": 8}
    return Purpose(
        name="travel", system=SYSTEM, reward_head=str(head), best_of=best_of, **{"sampling": sampling, **more}
    )


@pytest.mark.parametrize("architecture", ["llama", "gemma3", "gpt2"])
def test_the_state_at_the_end_of_a_reply_is_that_of_transformers(architecture: str) -> None:
    tiny = case(architecture)
    asked = ask(max_new_tokens=6, ignore_eos=True, readings=("reply_state", "state"))
    reply = tiny.one(asked)
    # The last token of a reply that was cut off is drawn, and not computed any more.
    tokens = [*tiny.prompt(asked), *reply.token_ids[:-1]]
    states_T_D = tiny.reference.forward(tokens, output_hidden_states=True).hidden_states[-1][0].numpy()
    np.testing.assert_allclose(reply.reply_state, states_T_D[-1], atol=1e-3)
    np.testing.assert_allclose(reply.state, states_T_D[len(tiny.prompt(asked)) - 1], atol=1e-3)
    read = ask(max_new_tokens=1, readings=("reply_state",))
    read.reply_prefix = GOOD  # how recorded replies are read
    tokens = [*tiny.prompt(read), *tiny.model.template.encoder.encode(GOOD)]
    states_T_D = tiny.reference.forward(tokens, output_hidden_states=True).hidden_states[-1][0].numpy()
    np.testing.assert_allclose(tiny.one(read).reply_state, states_T_D[-1], atol=1e-3)
    assert tiny.one(ask()).reply_state is None


def test_a_head_tells_good_replies_of_users_that_it_has_not_seen(learned: Learned, model: LocalModel) -> None:
    metrics = learned.metrics
    assert metrics["auc"]["value"] > 0.9
    assert learned.purpose_changes["best_of"] == 4
    head = load_reward_head(learned.purpose_changes["reward_head"])
    head.check(model)
    assert head.weight_D.shape == (HIDDEN,)


def test_the_best_of_several_replies_is_said(learned: Learned, model: LocalModel) -> None:
    head = load_reward_head(learned.folder)
    said = {}
    for best_of in (1, 4):
        agent = Agent(model, purpose_with(learned.folder, best_of), seed=3)
        said[best_of] = agent.reply("Hello!").text
        assert agent.session.dialogue[-1].content == said[best_of]
    agent = Agent(model, purpose_with(learned.folder), seed=3)
    drafts = list(drafts_of(agent, "Hello!"))
    assert drafts[0].text == said[1], "the first draft is the reply without best_of"
    assert len({one.text for one in drafts}) > 1
    scores = head.score(np.stack([one.reply_state for one in drafts]))
    assert said[4] == drafts[int(scores.argmax())].text


def drafts_of(agent: Agent, text: str) -> list[Reply]:
    """The drafts that the defender asks for, in their order."""
    from telic.agents.defender import DefenceState

    request = agent.session.user(text).request(controls=agent.controls, sampling=agent.sampling)
    turn = agent.defender.reply(request, DefenceState())
    made = list(next(turn))
    replies: list[Reply] = agent.model.generate([one.request for one in made])
    return replies


def test_all_drafts_are_one_batch_and_share_the_prompt(learned: Learned, model: LocalModel) -> None:
    agent = Agent(model, purpose_with(learned.folder), seed=3)
    agent.reply("Hello! Where would you like to go, and with whom?")
    before = model.engine.passes
    drafts = drafts_of(agent, "I want to get away in May.")
    assert model.engine.passes - before < 2 * 8, "the drafts were made one after the other"
    assert min(one.cached_tokens for one in drafts) > 0, "a draft read the whole dialogue again"


def test_dialogues_side_by_side_keep_their_drafts_apart(learned: Learned, model: LocalModel) -> None:
    from telic.agents.defender import DefenceState
    from telic.models.requesting import run_alone, run_together

    said = ("Hello!", "I want to get away in May.")
    turns, alone = [], []
    for text in said:
        agent = Agent(model, purpose_with(learned.folder), seed=3)
        request = agent.session.user(text).request(controls=agent.controls, sampling=agent.sampling)
        turns.append(agent.defender.reply(request, DefenceState()))
        alone.append(Agent(model, purpose_with(learned.folder), seed=3).reply(text).text)
    together = run_alone(run_together(turns))
    assert [one.reply.text for one in together] == alone
    assert all(one.new_tokens > one.reply.new_tokens for one in together), "all drafts count"
    assert all(one.reply.reply_state is None for one in together), "nobody asked for it"


def test_a_stream_is_one_piece(learned: Learned, model: LocalModel) -> None:
    pieces = list(Agent(model, purpose_with(learned.folder), seed=3).stream("Hello!"))
    assert pieces == [Agent(model, purpose_with(learned.folder), seed=3).reply("Hello!").text]


def test_a_failed_draft_is_never_the_best() -> None:
    head = RewardHead(np.ones(2, np.float32), 0.0, Origin("m", 2, 1))
    failed = Reply("", "error")
    good, bad = (Reply(text, "stop", reply_state=np.full(2, value)) for text, value in (("good", 1.0), ("bad", -1.0)))
    assert head.best([failed, bad, good]) is good
    assert head.best([failed, failed]) is failed


def test_a_server_says_the_best_reply_too(learned: Learned, model: LocalModel, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from telic.server import ServeConfig, Service

    purpose = purpose_with(learned.folder)
    config = ServeConfig(store=str(tmp_path / "telic.db"))
    service = Service(local("llama"), purpose, config)
    assert service.controls.describe_setup(()).content["best_of"] == 4

    async def turn() -> list[str]:
        from telic.agents.defender import DefenceState
        from telic.server.defended_replies import DefendedTurns
        from telic.server.submission import ReplyDelta

        await service.start()
        try:
            assert service._defended is not None
            turns = DefendedTurns(service._defended, "ann", DefenceState())
            agent = Agent(model, purpose, seed=3)
            request = agent.session.user("Hello!").request(sampling=agent.sampling)
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            pieces: list[str] = []

            def on_event(_: int, event: ReplyDelta | Reply) -> None:
                if isinstance(event, ReplyDelta):
                    pieces.append(event.text)
                else:
                    done.set_result(None)

            turns.submit([request], on_event)
            await asyncio.wait_for(done, 60)
            return pieces
        finally:
            await service.close()

    assert asyncio.run(turn()) == [Agent(model, purpose, seed=3).reply("Hello!").text]


def test_too_few_labels_are_explained(model: LocalModel, tmp_path: Path) -> None:
    purpose = Purpose(name="travel", system=SYSTEM)
    with pytest.raises(ConfigError, match=r"10 or more clearly good replies .* only 1 are good"):
        train_reward_head(labelled(users=1), purpose, folder=tmp_path, model=model)
    with pytest.raises(ConfigError, match="no split by user"):
        train_reward_head(labelled(users=1, each=40), purpose, folder=tmp_path, model=model)
    with pytest.raises(UnsupportedControlError, match="no access to its hidden states"):
        train_reward_head(labelled(users=20), purpose, folder=tmp_path, model=FakeModel())


def test_a_head_that_cannot_be_used_is_refused(learned: Learned, model: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no reward head in"):
        Agent(model, purpose_with(tmp_path / "nothing"))
    with pytest.raises(ConfigError, match="was made for model 'tiny-llama'"):
        Agent(local("qwen2"), purpose_with(learned.folder))
    with pytest.raises(ConfigError, match="gives no access to its hidden states"):
        Agent(FakeModel(), purpose_with(learned.folder))
    head = load_reward_head(learned.folder)
    save_reward_head(head, tmp_path / "copy")
    (tmp_path / "copy" / "config.json").write_text('{"format": 1}')
    with pytest.raises(ConfigError, match="holds no reward head that can be read"):
        load_reward_head(tmp_path / "copy")


def test_best_of_needs_a_head() -> None:
    text = 'name = "t"\nsystem = "You are Mia."\nbest_of = 4\n'
    with pytest.raises(ConfigError, match=r"line 3: best_of: found best_of = 4 without a reward_head"):
        Purpose.from_text(text, "t.toml")
    with pytest.raises(ConfigError, match=r"best_of: found 0 .*expected"):
        Purpose.from_text(text.replace("4", "0"), "t.toml")


def test_a_remote_model_is_refused_before_anything_is_asked(learned: Learned) -> None:
    from telic.models import RemoteModel
    from telic.models.compatibility import refuse_unsupported

    remote = RemoteModel("m", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(ConfigError, match="gives no access to its hidden states"):
        Agent(remote, purpose_with(learned.folder))
    with pytest.raises(UnsupportedControlError, match="reply_state"):
        refuse_unsupported(remote, [Request((), readings=frozenset({"reply_state"}))])
