"""Training end to end on a tiny model: what is learnt, what the card says, and what ships."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telic.dialogue import Dialogue
from telic.errors import ConfigError, DataError
from telic.models import LocalModel
from telic.progress import ProgressReport
from telic.readers import (
    ATTRIBUTES,
    ReaderSet,
    ReaderTrainingConfig,
    TrainedReaders,
    load_natural_items,
    read_beliefs,
    train_readers,
)
from telic.readers.examples import third_person_examples
from telic.steering import Belief, build_control
from tests.models import tiny
from tests.readers.talk import chatter, line, write_gender

CONFIG = ReaderTrainingConfig(
    attributes=("gender",), per_class=25, max_tokens=64, reply_tokens=4, resamples=200, natural=False
)


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gender(tmp_path_factory.mktemp("talk")).parent


@pytest.fixture(scope="module")
def trained(model: LocalModel, folder: Path) -> TrainedReaders:
    return train_readers(model, folder, config=CONFIG)


def test_it_learns_what_the_conversations_differ_in(trained: TrainedReaders) -> None:
    own = trained.readers.card["readers"]["user_gender"]
    assert own["conversations"] == {"train": 30, "validation": 10, "test": 10}
    assert own["accuracy"]["low"] > own["chance"]
    assert own["bag_of_words"]["value"] == 1.0  # one word tells it
    assert own["accuracy"]["value"] > own["shuffled"]["value"] + 0.2
    assert own["mentioned"]["n"] == own["own"]["n"] == 8
    assert own["cross"]["n"] == 6  # personas to test on


def test_it_reads_new_dialogues(model: LocalModel, trained: TrainedReaders) -> None:
    dialogues = [Dialogue().add("user", chatter(word, 900 + i)) for i in range(8) for word in ("travel", "price")]
    found = [beliefs["user_gender"].likeliest for beliefs in read_beliefs(model, dialogues, trained.readers)]
    right = sum(label == expected for label, expected in zip(found, ["female", "male"] * 8, strict=True))
    assert right >= 12


def test_it_goes_on_from_what_was_recorded(
    model: LocalModel, folder: Path, tmp_path: Path, trained: TrainedReaders
) -> None:
    told: list[ProgressReport] = []

    def stop(report: ProgressReport) -> None:
        told.append(report)
        if report.phase == "recording" and report.total and report.done > report.total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_readers(model, folder, config=CONFIG, cache=tmp_path, progress=stop)
    halted, total = told[-1].done, told[-1].total
    assert total is not None
    told.clear()
    again = train_readers(model, folder, config=CONFIG, cache=tmp_path, progress=told.append)
    recorded = [report for report in told if report.phase == "recording"][-1]
    assert recorded.done == recorded.total == total - halted, "what was recorded before is not recorded again"
    assert [report.done for report in told if report.phase == "fitting"][-1] == told[-1].total
    one, other = (t.readers.card["readers"]["user_gender"] for t in (again, trained))
    assert one["accuracy"]["value"] == pytest.approx(other["accuracy"]["value"], abs=0.11)  # kept at half precision


def test_the_card_has_natural_messages(
    model: LocalModel, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telic.readers.training.load_natural_items", lambda: load_natural_items()[:30])
    config = CONFIG.model_copy(update={"natural": True, "subjects": ("user",)})
    card = train_readers(model, folder, config=config).readers.card
    assert card["natural"]["items"]["all"] == 30
    assert set(card["natural"]["readers"]) == {"user_gender"}
    assert card["natural"]["config"]["resamples"] == 200


def test_readers_and_pins_are_saved_together(model: LocalModel, trained: TrainedReaders, tmp_path: Path) -> None:
    folder = trained.save(tmp_path / "mine")
    assert ReaderSet.load(folder).card == json.loads(json.dumps(trained.readers.card))
    pin = build_control({"name": "belief", "path": str(folder), "towards": {"self_gender": "female"}})
    assert isinstance(pin, Belief)
    assert pin.layers == {1}  # 0.4 to 0.7 of three layers
    reply = model.generate([tiny.ask(controls=(pin,))])[0]
    assert reply.finish != "error"


def test_too_few_conversations_are_refused(model: LocalModel, tmp_path: Path) -> None:
    alike = [line(i, label, "Hello there my dear friend", "Yes?") for label in ("male", "female") for i in range(20)]
    (tmp_path / "gender.jsonl").write_text("\n".join(alike))
    with pytest.raises(ConfigError, match="conversations of a class are in one group"):
        train_readers(model, tmp_path, config=CONFIG)
    with pytest.raises(DataError, match=r"age\.jsonl"):
        train_readers(model, tmp_path, config=ReaderTrainingConfig(attributes=("age",)))


def test_every_class_has_its_pairs() -> None:
    for attribute in ATTRIBUTES.values():
        pairs = third_person_examples(attribute)
        for part in ("own", "mentioned"):
            labels = [example.label for example in pairs if example.part == part]
            assert sorted(set(labels)) == list(range(len(attribute.classes)))
            assert len(labels) == 4 * len(attribute.classes)
        assert len({example.text for example in pairs}) == len(pairs)


@pytest.mark.model
def test_what_ships_reads_a_child_and_a_pensioner() -> None:
    model = tiny.bundled().model
    readers = ReaderSet.load("smollm2")
    assert {reader.name for reader in readers} == {f"{who}_{name}" for who in ("user", "self") for name in ATTRIBUTES}
    child = Dialogue().add("user", "I am eight years old and in second grade. Mum says I can have a puppy!")
    old = Dialogue().add("user", "I am eighty years old, retired, and my grandchildren visit me on Sundays.")
    young, aged = (beliefs["user_age"].probabilities for beliefs in read_beliefs(model, [child, old], readers))
    assert young["child"] > aged["child"]
    assert aged["older adult"] > young["older adult"]
    persona = Dialogue().with_system("You are a grandmother of eighty who knits.").add("user", "Hello! How are you?")
    boy = Dialogue().with_system("You are a boy of eight who plays football.").add("user", "Hello! How are you?")
    one, other = (beliefs["self_age"].probabilities for beliefs in read_beliefs(model, [persona, boy], readers))
    assert one["older adult"] > other["older adult"]
