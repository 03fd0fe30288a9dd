"""On human-labelled dialogues: the detectors against a lexicon and VADER. Skipped where the data are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.feedback import as_json, auc, cases, detectors_with, lexicon, vader
from benchmarks.feedback_corpora import (
    abredial,
    casino,
    data_folder,
    in_tuning_part,
    persuasion,
    realhumaneval,
    task_dialogues,
)
from telic.feedback import Combination


@pytest.fixture(scope="module")
def folder() -> Path:
    found = data_folder()
    if found is None:
        pytest.skip("no rated dialogues; set TELIC_TEST_DATA to the folder that holds feedback/")
    return found


def test_the_detectors_separate_better_than_a_lexicon_and_vader(folder: Path) -> None:
    corpus = abredial(folder)
    own, *rivals = (
        auc(cases(corpus, scorer, tuning=False)) for scorer in (detectors_with(Combination.bundled()), lexicon, vader)
    )
    assert own.value > max(rival.value for rival in rivals) + 0.1


def test_the_detectors_separate_better_on_task_dialogues_of_another_author() -> None:
    corpus = task_dialogues("report")
    own, *rivals = (
        auc(cases(corpus, scorer, tuning=False)) for scorer in (detectors_with(Combination.bundled()), lexicon, vader)
    )
    assert own.value > 0.8
    assert own.value > max(rival.value for rival in rivals) + 0.1
    assert not {one.group for one in corpus} & {one.group for one in task_dialogues("tuning")}


def test_the_card_has_the_figures_that_the_bundled_weights_reach(folder: Path) -> None:
    bundled = Combination.bundled()
    found = as_json(auc(cases(abredial(folder), detectors_with(bundled), tuning=False)))
    assert found["value"] == pytest.approx(bundled.card["results"]["abredial"]["detectors"]["value"], abs=0.005)


def test_the_parts_share_no_group_and_every_corpus_is_read(folder: Path) -> None:
    for read, count in ((abredial, 195), (casino, 900), (persuasion, 492), (realhumaneval, 200)):
        corpus = read(folder)
        assert len(corpus) >= count
        share = sum(in_tuning_part(one.group) for one in corpus) / len(corpus)
        assert 0.5 < share < 0.75, "people with many tasks are whole in one part"
        assert all(0 <= label <= 1 for one in corpus for label in one.labels.values())
