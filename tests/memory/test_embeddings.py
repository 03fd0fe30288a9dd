"""Passages by meaning: nearest vectors, joined with those that words find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from telic.errors import ConfigError, MissingExtraError
from telic.memory import Memory, MemoryConfig, MemoryEvent
from telic.memory import embeddings as own
from telic.memory.embeddings import DenseIndex, embedders, fuse_ranks, load_embedder

MEANINGS = (("cello", "violin", "instrument"), ("boat", "sail", "harbour"), ("bread", "bakery", "loaf"))


def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """A vector says which of a few meanings a text has."""
    found = [[float(any(word in text.casefold() for word in words)) for words in MEANINGS] + [0.1] for text in texts]
    vectors_N_D = np.array(found, np.float32)
    unit_N_D: npt.NDArray[np.float32] = vectors_N_D / np.linalg.norm(vectors_N_D, axis=1, keepdims=True)
    return unit_N_D


@pytest.fixture
def embedder() -> Iterator[str]:
    if "meanings" not in embedders.names():
        embedders.register("meanings")(lambda: embed)
    load_embedder.cache_clear()
    yield "meanings"
    load_embedder.cache_clear()


def said(number: int, text: str, conversation: str = "c") -> MemoryEvent:
    return MemoryEvent(f"{conversation}{number}", float(number), "message", f"{conversation}{number}", "user", text)


def test_a_question_without_a_shared_word_finds_the_passage(embedder: str) -> None:
    texts = ["The cello was too loud for our flat.", "We went by boat.", "The loaf was burnt."]
    question = "Which instrument did we speak of?"
    quoted = {}
    for name in ("", embedder):
        memory = Memory(MemoryConfig.of(embeddings=name, quotes=1), [said(i, text) for i, text in enumerate(texts)])
        quoted[name] = [passage.turn.text for passage in memory.notes(question, source="now").passages]
    assert quoted == {"": [], embedder: [texts[0]]}


def test_what_is_forgotten_has_no_vector(embedder: str) -> None:
    events = [said(0, "I play the cello."), said(1, "We went by boat.")]
    memory = Memory(MemoryConfig.of(embeddings=embedder, quotes=2), events)
    plan = memory.plan_forgetting("cello")
    assert plan.events == ("c0",)
    kept = Memory(memory.config, [events[1]])
    assert [p.turn.text for p in kept.notes("Which instrument?", source="now").passages] == ["We went by boat."]


def test_only_the_latest_have_vectors_and_numbers_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "MOST_EMBEDDED", 3)
    batches: list[int] = []

    def counted(texts: Sequence[str]) -> npt.NDArray[np.float32]:
        batches.append(len(texts))
        return embed(texts)

    index = DenseIndex(counted)
    assert index.search("a boat", 2) == []
    for text in ("boat", "bread", "cello", "sail", "loaf"):
        index.add(text)
    assert index.search("a boat", 1) == [3], "the first boat is too old"
    index.add("violin")
    assert index.search("the bakery", 2, hidden=[5]) == [4, 3]
    assert batches == [3, 1, 1, 1]
    for text in ("boat", "bread", "cello", "sail"):
        index.add(text)
    assert index.search("a boat", 1) == [9]


def test_ranks_are_fused() -> None:
    assert fuse_ranks([[1, 2, 3], [3, 1]], 2) == [1, 3]
    assert fuse_ranks([[1], [2]], 2) == [2, 1], "of equals, the later passage"
    assert fuse_ranks([[], []], 2) == []


def test_a_model_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sentence_transformers")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ConfigError, match="cannot load '/no/such/folder'"):
        load_embedder("/no/such/folder")


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"telic\[embeddings\]"):
        load_embedder("some-model")
