"""What is learnt from edits: per kind of recipient, verified, revocable, and in the memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from telic.assistants.drafts.compose import compose
from telic.assistants.drafts.draft_file import DraftRecord
from telic.assistants.drafts.learning import Learner
from telic.assistants.drafts.preferences import Edit, edit_distance, learn_preferences, style_for
from telic.assistants.drafts.recipients import Recipient
from telic.assistants.drafts.style import DEFAULT_STYLE
from telic.assistants.mail import Address
from telic.memory import Memory, MemoryConfig, MemoryFile, new_event

SAID = [
    "I will send it on Friday. I do not have the numbers.",
    "It is done. I am on it.",
    "I am late. I will call you.",
]


def recipient(kind: str, first: str = "Dana") -> Recipient:
    return Recipient(Address(first, "dana@example.org"), kind, words=(first, "Kim"))


def edit(number: int, kind: str, **style: str) -> Edit:
    to = recipient(kind, ["Dana", "Lee", "Kit"][number % 3])
    neutral = compose((), SAID[number % 3], {**DEFAULT_STYLE, "name": "Sam"}, to).text
    wanted = compose((), SAID[number % 3], {**DEFAULT_STYLE, "name": "Sam", **style}, to).text
    return Edit(f"{kind}{number}", float(number), to, neutral, wanted)


@pytest.mark.parametrize(
    ("feature", "value"),
    [
        ("greeting", "Hey {first}!"), ("greeting", ""), ("opening", ""), ("bullets", "yes"), ("person", "we"),
        ("contractions", "yes"), ("exclamation", "yes"), ("ending", "Have a great day."), ("emoji", "🙂"),
        ("closing", "Cheers,"), ("name", "S."),
    ],
)  # fmt: skip
def test_two_edits_show_a_preference_and_one_does_not(feature: str, value: str) -> None:
    edits = [edit(number, "colleague", **{feature: value}) for number in range(2)]
    assert learn_preferences(edits[:1]) == []
    found = {one.feature: one.value for one in learn_preferences(edits)}
    assert found == {feature: value}


def test_features_that_depend_on_each_other_are_learnt_together() -> None:
    edits = [edit(number, "boss", person="we", contractions="yes", bullets="yes") for number in range(3)]
    found = {one.feature: one.value for one in learn_preferences(edits)}
    assert found == {"person": "we", "contractions": "yes", "bullets": "yes"}


def test_what_helps_too_few_edits_is_not_kept() -> None:
    edits = [
        edit(0, "boss", closing="Cheers,"),
        edit(1, "boss", closing="Cheers,"),
        *(edit(n, "boss") for n in range(2, 8)),
    ]
    assert learn_preferences(edits) == []


def test_a_change_of_mind_is_followed() -> None:
    edits = [edit(n, "boss", closing="Cheers,") for n in range(6)] + [
        edit(n, "boss", closing="Best,") for n in range(6, 18)
    ]
    assert [one.value for one in learn_preferences(edits)] == ["Best,"]


def test_nothing_leaks_to_another_kind_unless_three_agree() -> None:
    edits = [edit(n, kind, closing="Cheers,") for kind in ("boss", "friend") for n in range(3)]
    assert style_for("customer", learn_preferences(edits), edits) == []
    edits += [edit(n, "colleague", closing="Cheers,") for n in range(3)]
    [shared] = style_for("customer", learn_preferences(edits), edits)
    assert (shared.value, set(shared.shared_by)) == ("Cheers,", {"boss", "friend", "colleague"})
    edits += [edit(n, "family", closing="Love,") for n in range(3)]
    assert style_for("customer", learn_preferences(edits), edits) == []


def test_a_kind_that_left_it_alone_does_not_take_over(tmp_path: Path) -> None:
    edits = [edit(n, kind, closing="Cheers,") for kind in ("boss", "friend", "colleague") for n in range(3)]
    edits += [edit(n, "customer", greeting="Hi {first},") for n in range(3)]
    assert [one.feature for one in style_for("customer", learn_preferences(edits), edits)] == ["greeting"]


def record(number: int) -> DraftRecord:
    draft = compose((), SAID[number % 3], {**DEFAULT_STYLE, "name": "Sam"}, recipient("colleague")).text
    return DraftRecord(
        f"d{number}", f"m{number}", "Re: x", "d@x.y", "colleague", "Dana Kim", "", draft, draft, f"{number}.eml"
    )


def test_the_memory_shows_explains_and_forgets_what_was_learnt(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "me.jsonl")
    learner = Learner(file)
    for number in range(2):
        learner.learn(
            record(number),
            record(number).draft.replace("Thank you for your message. ", "").replace("Best regards", "Cheers"),
        )
    assert {one.feature: one.value for one in Learner(file).preferences()} == {"opening": "", "closing": "Cheers,"}
    memory = Memory(MemoryConfig(), file.read())
    assert {fact.scope.words for fact in memory.profile.everything()} == {"mail to colleague"}
    assert memory.why("short replies")[0].claim.extractor == "edits"
    plan = memory.plan_forgetting("short replies")
    file.forget(plan, new_event("forget", "", "test", events=list(plan.events)))
    assert Learner(file).preferences() == []
    assert "Cheers" not in file.path.read_text(encoding="utf-8")


def test_a_revoked_preference_needs_new_edits(tmp_path: Path) -> None:
    file = MemoryFile(tmp_path / "me.jsonl")
    learner = Learner(file)

    def teach(number: int) -> None:
        learner.learn(record(number), record(number).draft.replace("Best regards", "Cheers"))

    teach(0)
    teach(1)
    [preference] = learner.preferences()
    learner.revoke(preference)
    assert Learner(file).preferences() == []
    teach(2)
    assert learner.preferences() == []
    teach(3)
    assert [one.value for one in learner.preferences()] == ["Cheers,"]


def test_a_later_edit_of_a_draft_replaces_the_earlier(tmp_path: Path) -> None:
    learner = Learner(MemoryFile(tmp_path / "me.jsonl"))
    learner.learn(record(0), record(0).draft.replace("Best regards", "Cheers"))
    learner.learn(record(0), record(0).draft.replace("Best regards", "Cheers"))
    assert len(learner.edits) == 1
    assert learner.preferences() == []


def test_the_distance_counts_words() -> None:
    assert edit_distance("a b c", "a x c d") == 2
