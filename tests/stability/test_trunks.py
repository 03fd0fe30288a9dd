"""Recorded dialogues as trunks: whose words count, what is left out, and where a trunk ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from telic.dialogue import Dialogue, Message, Role
from telic.errors import ConfigError, DataError
from telic.models import ScriptedModel
from telic.purpose import Purpose
from telic.stability.config import TranscriptConfig
from telic.stability.lengths import at_marks, token_step
from telic.stability.recorded_plan import plan_recorded, read_trunks
from telic.stability.trunks import NamedDialogue, Trunk, TrunkReader, token_lengths
from tests.models import tiny

ROLES: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
PURPOSE = Purpose.from_text(
    'name = "x"\nsystem = "You are Mia."\n[[probes]]\nask = "Name?"\njudge = { contains = "Mia" }\n', "x.toml"
)


def dialogue(*said: str) -> Dialogue:
    """A dialogue of messages such as "u:Hello"."""
    return Dialogue(Message(role=ROLES[one[0]], content=one[2:]) for one in said)


def read(*dialogues: Dialogue, **options: object) -> tuple[list[Trunk], TrunkReader]:
    reader = TrunkReader(ScriptedModel(""), **options)  # type: ignore[arg-type]
    return list(reader.read((f"d{number}", one) for number, one in enumerate(dialogues))), reader


def spoken(trunk: Trunk) -> list[str]:
    return [trunk.opening, *(f"{one.heard}|{one.said}" for one in trunk.rounds)]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["s:old", "u:1", "a:2", "u:3", "a:4"], ["", "1|2", "3|4"]),
        (["a:Hi!", "u:1", "a:2"], ["Hi!", "1|2"]),
        (["u:1", "u:2", "a:3", "a:4", "u:5", "a:6"], ["", "1\n\n2|3\n\n4", "5|6"]),
        (["u:1", "t:{}", "s:be brief", "a: ", "a:2", "u:3"], ["", "1|2"]),
    ],
    ids=["a system prompt is replaced", "an assistant opens", "one side twice", "what nobody said to anybody"],
)
def test_a_trunk_has_the_words_of_both_sides(said: Sequence[str], expected: Sequence[str]) -> None:
    [trunk], _ = read(dialogue(*said))
    assert spoken(trunk) == expected


def test_the_purpose_may_take_the_users_place() -> None:
    [trunk], _ = read(dialogue("u:Hi!", "a:1", "u:2", "a:3"), side="user")
    assert spoken(trunk) == ["Hi!", "1|2"]


def test_what_is_left_out_is_counted_and_named() -> None:
    _, reader = read(
        dialogue("s:old", "u:1", "t:{}", "t:{}", "a:2", "s:new"), dialogue("u:alone"), dialogue("u:1", "a:2")
    )
    assert reader.counts.left_out == {"too short: no message with a reply": ["d1"]}
    said = reader.counts.sentences()
    for expected in ("2 messages of tools left out", "1 system prompts replaced", "1 system messages inside", "d1"):
        assert any(expected in sentence for sentence in said)


def test_dialogues_are_joined_until_they_are_long_enough() -> None:
    one = dialogue("u:" + 40 * "x", "a:" + 40 * "y")  # 20 tokens by estimate
    opened = dialogue("a:Hi.", "u:" + 40 * "x", "a:" + 40 * "y")
    trunks, reader = read(one, opened, one, one, one, join=35)
    assert [trunk.names for trunk in trunks] == [("d0", "d1"), ("d2", "d3")]
    assert [trunk.lengths[-1] for trunk in trunks] == [41, 40]
    assert trunks[0].rounds[0].said.endswith("y\n\nHi."), "what opens the second dialogue follows the first"
    assert reader.counts.left_out == {"left over, together shorter than 35 tokens": ["d4"]}


def test_a_trunk_ends_with_the_last_whole_round_that_fits() -> None:
    long = dialogue(*(f"{role}:{40 * role}" for role in 5 * "ua"))
    [trunk], reader = read(long, max_tokens=50)
    assert (len(trunk.rounds), trunk.lengths) == (2, (0, 20, 40))
    assert reader.counts.sentences() == ["1 trunks cut at 50 tokens"]
    assert read(long, max_tokens=5)[0] == []


def test_a_trunk_leaves_room_for_a_probe_in_the_context() -> None:
    model = tiny.local("llama")
    long = dialogue(*(f"{role}:{10 * 'word '}" for role in 20 * "ua"))
    config = TranscriptConfig(answer_tokens=8)
    [trunk], reader = read_trunks(model, PURPOSE, [("long", long)], config)
    assert 0 < trunk.lengths[-1] < model.context_length
    assert any(
        "too long for the model's context" in sentence and "long" in sentence for sentence in reader.counts.sentences()
    )
    [plan] = plan_recorded(PURPOSE, [trunk], config)
    asked = [Message(role="system", content=plan.b.system)]
    for one in trunk.rounds:
        asked += [Message(role="user", content=one.heard), Message(role="assistant", content=one.said)]
    asked.append(Message(role="user", content="Name?"))
    assert len(model.render(asked).token_ids) + 8 <= model.context_length


def test_lengths_are_those_of_the_template() -> None:
    model = tiny.local("llama")
    [trunk], _ = read(dialogue("u:one two", "a:three", "u:four", "a:five six"))
    lengths = token_lengths(model, trunk)
    head = [Message(role="system", content="Be brief.")]
    counted = [len(model.render(head, reply=False).token_ids)]
    for one in trunk.rounds:
        head += [Message(role="user", content=one.heard), Message(role="assistant", content=one.said)]
        counted.append(len(model.render(head, reply=False).token_ids))
    assert lengths == tuple(count - counted[0] for count in counted)


@pytest.mark.parametrize(
    ("every", "tokens", "expected"),
    [
        (1, None, (0, 1, 2, 3, 4, 5)),
        (2, None, (0, 2, 4, 5)),
        (1, 100, (0, 2, 4, 5)),
        (1, 1000, (0, 5)),
        (1, 1, (0, 1, 2, 3, 4, 5)),
    ],
)
def test_probes_come_by_rounds_or_by_tokens(every: int, tokens: int | None, expected: tuple[int, ...]) -> None:
    [trunk], _ = read(dialogue(*(f"{role}:{120 * role}" for role in 5 * "ua")))
    assert trunk.lengths == (0, 60, 120, 180, 240, 300)
    assert trunk.probed(every, tokens) == expected


def test_dialogues_are_drawn_by_the_seed_and_no_more_are_read_than_needed() -> None:
    known: list[NamedDialogue] = [(f"d{n}", dialogue(f"u:{n}", "a:yes")) for n in range(50)]

    def drawn(seed: int) -> tuple[list[str], int]:
        config = TranscriptConfig(dialogues=3, seed=seed)
        trunks, reader = read_trunks(ScriptedModel(""), PURPOSE, known, config)
        return [trunk.names[0] for trunk in trunks], reader.counts.dialogues

    assert drawn(0) == drawn(0) != drawn(1)
    assert drawn(0)[1] == 3


def test_no_trunk_at_all_is_an_error_that_says_why() -> None:
    with pytest.raises(
        DataError, match=r"none of 1 recorded dialogues can be used: 1 too short: no message .*: lonely"
    ):
        read_trunks(ScriptedModel(""), PURPOSE, [("lonely", dialogue("u:Hello?"))], TranscriptConfig())
    with pytest.raises(ConfigError, match="joined to 100 tokens, but max_tokens is 50"):
        read_trunks(ScriptedModel(""), PURPOSE, [], TranscriptConfig(join=100, max_tokens=50))


def test_marks_are_few_and_only_the_start_is_at_zero() -> None:
    assert token_step(500, 2600) == 500
    assert token_step(10, 2000) == 100
    assert at_marks([], 100) == []
