"""Training end to end on a tiny model: what is learnt, what the card says, and what ships."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

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
from telic.readers.attributes import Attribute, Subject
from telic.readers.fitting import fit_readers
from telic.readers.linear_probe import LEFT_OUT
from telic.readers.material import TextPart, load_all_lines
from telic.readers.text_recording import RecordedTexts, pin_layers, training_texts, value_layers
from telic.readers.token_probe import TokenProbe
from telic.readers.training_texts import LabelledDialogue
from telic.steering import Belief, build_control
from tests.models import tiny
from tests.readers.talk import line, write_gender

CONFIG = ReaderTrainingConfig(
    attributes=("gender",), texts=120, seeds=1, max_tokens=64, per_class=20, resamples=200, natural=False
)


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama")


@pytest.fixture(scope="module", autouse=True)
def _few_messages() -> Iterator[None]:
    """Train on a tenth of the messages that were written by hand."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("telic.readers.training_texts.load_all_lines", lambda name: load_all_lines(name)[::10])
        yield


@pytest.fixture(scope="module")
def trained(model: LocalModel) -> TrainedReaders:
    return train_readers(model, config=CONFIG)


def recorded(part: TextPart, count: int, seed: int) -> RecordedTexts:
    """Texts in which one token tells the user's gender, by one feature and along another, and the others nothing."""
    rng = np.random.default_rng(seed)
    labels = [("male", "female", "nothing", None)[i % 4] for i in range(count)]
    texts = [
        LabelledDialogue(
            Dialogue().add("user", str(i)), {} if label == "nothing" else {"user_gender": label}, part=part
        )
        for i, label in enumerate(labels)
    ]
    features = []
    for label in labels:
        features_T_F = rng.standard_normal((int(rng.integers(4, 40)), 6))
        features_T_F[:, 2:] = [0, 1, 0, 0]  # all tokens are the user's
        where = int(rng.integers(len(features_T_F)))
        features_T_F[where, 0] += 6 * (label in ("male", "female"))
        features_T_F[where, 1] += {"male": 5, "female": -5}.get(label or "", 0)
        features.append(features_T_F.astype(np.float16))
    return RecordedTexts(texts, features, np.zeros((count, 1, 6), np.float16))


TARGETS: list[tuple[Attribute, Subject]] = [(ATTRIBUTES["gender"], "user")]


def test_it_answers_where_a_token_tells_the_class_and_only_there() -> None:
    told: list[int] = []
    [reader] = fit_readers(
        recorded("train", 1200, 0), recorded("validation", 400, 1), TARGETS, (1,), false_certainty=0.03, lured=0.15,
        on_epoch=lambda done, total: told.append(total - done),
    )  # fmt: skip
    assert told == [*range(len(told))][::-1]
    test = recorded("validation", 400, 2)
    labels = test.labels(*TARGETS[0])
    assert sorted(set(labels.tolist())) == [LEFT_OUT, 0, 1, 2]
    answers = [reading.answer for reading in reader.read(test.features_N)]
    right = [answer == reader.classes[label] for answer, label in zip(answers, labels, strict=True) if label in (0, 1)]
    nothing = [answer for answer, label in zip(answers, labels, strict=True) if label == 2]
    assert np.mean(right) > 0.8
    assert np.mean([answer is None for answer in nothing]) > 0.9


def test_few_readings_take_the_class_of_somebody_else_for_the_users() -> None:
    training, validation = recorded("train", 1200, 0), recorded("validation", 200, 1)
    about_others = [
        replace(text, labels={}, lures={"user_gender": "male"}) if label == 0 and index % 3 == 0 else text
        for index, (text, label) in enumerate(zip(validation.texts, validation.labels(*TARGETS[0]), strict=True))
    ]
    validation = replace(validation, texts=about_others)
    lured = validation.lured(*TARGETS[0])
    assert lured.sum() > 10
    shares = []
    for most in (0.9, 0.1):
        [reader] = fit_readers(training, validation, TARGETS, (1,), false_certainty=0.9, lured=most)
        answers = [reading.answer for reading in reader.read(validation.features_N)]
        shares.append(np.mean([answer is not None for answer, own in zip(answers, lured, strict=True) if own]))
    assert shares[0] > 0.5, "these texts look like those about the user"
    assert shares[1] <= 0.12, "2 of 17"


def test_the_mean_of_probes_has_the_mean_of_their_logits() -> None:
    training = recorded("train", 40, 0)
    one, other = (
        fit_readers(training, training, TARGETS, (1,), false_certainty=0.03, lured=0.15, seed=seed)[0].probe
        for seed in (0, 1)
    )
    mean = (one.logits(training.features_N) + other.logits(training.features_N)) / 2
    np.testing.assert_allclose(TokenProbe.mean([one, other]).logits(training.features_N), mean, atol=1e-3)


def test_a_reader_of_the_user_listens_to_the_user_only() -> None:
    training, validation = recorded("train", 400, 0), recorded("validation", 200, 1)
    [user] = fit_readers(training, validation, TARGETS, (1,), false_certainty=0.03, lured=0.15)
    said = validation.features_N[0].astype(np.float32)
    telling = np.array([[9, 9, 1, 0, 0, 0], [9, -9, 0, 0, 1, 0]], np.float32)  # a system prompt, and the assistant
    [alone], [joined] = user.read([said]), user.read([np.vstack([telling, said])])
    assert joined.probabilities == pytest.approx(alone.probabilities, abs=1e-5)


def test_the_same_seed_trains_the_same_reader_and_leaves_other_draws_alone() -> None:
    parts = recorded("train", 200, 0), recorded("validation", 100, 1)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, again, other = (
        fit_readers(*parts, TARGETS, (1,), false_certainty=0.03, lured=0.15, seed=seed)[0].probe.weight_H_C_F
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
    assert torch.equal(before, torch.random.get_rng_state())


def test_without_a_text_of_a_class_it_is_refused() -> None:
    training, validation = recorded("train", 40, 0), recorded("validation", 40, 1)
    with pytest.raises(ConfigError, match="some class of user_gender has no text for validation"):
        fit_readers(training, validation.part("train"), TARGETS, (1,), false_certainty=0.03, lured=0.15)


def test_layers_are_spread_over_the_model_and_pins_are_in_the_middle() -> None:
    assert value_layers(30) == [2, 5, 8, 11, 14, 17, 20, 23, 26, 29]
    assert value_layers(1) == [0]
    assert pin_layers(30) == [11, 13, 15, 17, 19, 21]
    assert pin_layers(1) == [0]


def test_the_card_counts_what_the_readers_were_chosen_with(trained: TrainedReaders) -> None:
    for name in ("user_gender", "self_gender"):
        own = trained.readers.card["readers"][name]
        assert own["right"]["n"] == own["wrong"]["n"] == own["texts"]["male"] + own["texts"]["female"]
        assert own["unknown"]["n"] == own["texts"]["unknown"]
        for share, count in (
            (own["wrong"]["value"], own["wrong"]["n"]),
            (1 - own["unknown"]["value"], own["unknown"]["n"]),
        ):
            assert share * count <= max(round(CONFIG.false_certainty * count), 1) + 1e-6
        by_slice = [kind["unknown"]["n"] for kind in own["slices"].values() if "unknown" in kind]
        assert sum(by_slice) == own["unknown"]["n"]


def test_the_card_has_natural_messages(model: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telic.readers.training.load_natural_items", lambda: load_natural_items()[:30])
    config = CONFIG.model_copy(update={"natural": True, "subjects": ("user",)})
    card = train_readers(model, config=config).readers.card
    assert card["natural"]["items"]["all"] == 30
    assert set(card["natural"]["readers"]) == {"user_gender"}
    assert card["natural"]["config"]["resamples"] == 200


def test_conversations_of_ones_own_are_trained_on_too(model: LocalModel, tmp_path: Path) -> None:
    folder = write_gender(tmp_path).parent
    own = [text for text in training_texts(model, folder, CONFIG) if text.kind == "TalkTuner"]
    assert {text.part for text in own} == {"train", "validation"}
    assert {text.labels["user_gender"] for text in own} == {"male", "female"}
    assert len([text for text in own if text.part == "train"]) == 24  # 60 % of 20 of each class
    (tmp_path / "gender.jsonl").write_text(line(0, "male", "Hello there"))
    with pytest.raises(DataError, match=r"age\.jsonl"):
        train_readers(model, tmp_path, config=ReaderTrainingConfig(attributes=("age",)))


def test_a_draw_of_the_messages_written_by_hand(model: LocalModel) -> None:
    def written(config: ReaderTrainingConfig) -> list[str]:
        texts = training_texts(model, None, config)
        return [text.text for text in texts if (text.kind, text.part) == ("written", "train")]

    every, drawn = written(CONFIG), written(CONFIG.model_copy(update={"messages": 100}))
    assert len(every) > len(drawn) == 100
    assert set(drawn) < set(every)
    assert drawn != every[:100]


def test_it_goes_on_from_what_was_recorded(model: LocalModel, tmp_path: Path, trained: TrainedReaders) -> None:
    told: list[ProgressReport] = []

    def stop(report: ProgressReport) -> None:
        told.append(report)
        if report.phase == "recording" and report.total and report.done > report.total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_readers(model, config=CONFIG, cache=tmp_path, progress=stop)
    halted, total = told[-1].done, told[-1].total
    assert total is not None
    told.clear()
    again = train_readers(model, config=CONFIG, cache=tmp_path, progress=told.append)
    found = [report for report in told if report.phase == "recording"][-1]
    assert found.done == found.total == total - halted, "what was recorded before is not recorded again"
    assert [report.done for report in told if report.phase == "fitting"][-1] == told[-1].total
    one, other = (t.readers["user_gender"] for t in (again, trained))
    assert one.layers == other.layers
    np.testing.assert_allclose(one.probe.bias_C, other.probe.bias_C, atol=0.1)


def test_readers_and_pins_are_saved_together(model: LocalModel, trained: TrainedReaders, tmp_path: Path) -> None:
    folder = trained.save(tmp_path / "mine")
    assert ReaderSet.load(folder).card == json.loads(json.dumps(trained.readers.card))
    pin = build_control({"name": "belief", "path": str(folder), "towards": {"self_gender": "female"}})
    assert isinstance(pin, Belief)
    reply = model.generate([tiny.ask(controls=(pin,))])[0]
    assert reply.finish != "error"


@pytest.mark.model
def test_what_ships_reads_a_child_and_a_pensioner_and_does_not_guess() -> None:
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
    [nobody] = read_beliefs(model, [Dialogue().add("user", "hi")], readers)
    assert [reading.answer for reading in nobody.values()] == [None] * 8
