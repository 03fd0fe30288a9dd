"""The bank that ships with Telic, and banks of the user's own."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from telic.errors import ConfigError, DataError
from telic.stability.bank import BANKS, DEMANDS, FAMILIES, Bank, Triplet, openers

BANK = Bank.load()
ALL = [triplet for name in BANKS for triplet in Bank.find(name)]


def a_bank(*sizes: int) -> Bank:
    """A bank with families of these sizes."""
    return Bank(
        Triplet(id=f"{family}-{n}", family=str(family), system="s", ask="a", judge={"contains": "x"})
        for family, size in enumerate(sizes)
        for n in range(size)
    )


def test_every_family_has_enough_triplets() -> None:
    assert BANK.families == FAMILIES
    assert min(Counter(triplet.family for triplet in BANK).values()) >= 22
    assert len({triplet.system for triplet in BANK}) == len({triplet.id for triplet in BANK}) == len(BANK)


def test_openers_are_many_and_different() -> None:
    assert len(set(openers())) == len(openers()) >= 48


@pytest.mark.parametrize("triplet", ALL, ids=lambda triplet: triplet.id)
def test_the_judge_tells_followers_from_those_who_forgot(triplet: Triplet) -> None:
    assert triplet.good
    assert triplet.bad
    assert triplet.misjudged() == []


@pytest.mark.parametrize("name", BANKS)
def test_every_bank_says_what_its_instructions_demand(name: str) -> None:
    demands = Counter(triplet.demand for triplet in Bank.find(name))
    assert None not in demands
    assert len(demands) >= 6


def test_all_demands_are_made() -> None:
    assert {triplet.demand for triplet in ALL} == set(DEMANDS)


def test_ifevals_kinds_have_several_instructions_and_each_has_several_questions() -> None:
    bank = Bank.find("ifeval")
    systems = Counter(triplet.system for triplet in bank)
    assert len(bank) >= 100
    assert len(bank.families) == 25
    assert min(systems.values()) >= 2
    assert len({(triplet.system, triplet.ask) for triplet in bank}) == len(bank)
    assert all(len({t.system for t in bank.of(family)}) >= 3 for family in bank.families)


def test_a_bank_is_found_by_name_or_path(tmp_path: Path) -> None:
    assert list(Bank.find("own")) == list(BANK)
    path = tmp_path / "mine.toml"
    path.write_text(ENTRY.format("hi", '{ contains = "hi" }'), encoding="utf-8")
    assert [triplet.id for triplet in Bank.find(str(path))] == ["hi"]
    with pytest.raises(ConfigError, match="unknown bank 'retial'; did you mean 'retail'"):
        Bank.find("retial")


def test_a_split_puts_all_questions_of_an_instruction_into_one_part() -> None:
    bank = Bank.find("ifeval")
    tuning, held_out = bank.split(0.5, seed=0)
    assert not {t.system for t in tuning} & {t.system for t in held_out}
    assert set(tuning.families) == set(held_out.families) == set(bank.families)
    assert len(tuning) + len(held_out) == len(bank)


def test_the_place_of_the_right_option_gives_nothing_away() -> None:
    labels = Counter(triplet.judge["choice"] for triplet in BANK.of("choice"))
    assert set(labels) == set("abcd")
    assert max(labels.values()) <= len(BANK.of("choice")) / 3


def test_misjudged_names_the_example_that_the_judge_gets_wrong() -> None:
    triplet = Triplet(id="t", system="s", ask="a", judge={"contains": "x"}, good=("x", "y"), bad=("z",))
    assert triplet.misjudged() == ["y"]


def test_load_of_some_families() -> None:
    assert Bank.load(["memory"]).families == ("memory",)
    with pytest.raises(ConfigError, match="did you mean 'memory'"):
        Bank.load(["memries"])


def test_a_sample_is_seeded_balanced_and_without_repeats() -> None:
    sample = BANK.sample(12, seed=3)
    assert len({triplet.id for triplet in sample}) == 12
    assert sorted(Counter(triplet.family for triplet in sample).values()) == [2, 2, 2, 3, 3]
    assert list(sample) == list(BANK.sample(12, seed=3)) != list(BANK.sample(12, seed=4))
    assert set(BANK.sample(5, seed=0, families=["persona", "choice"]).families) == {"persona", "choice"}


@pytest.mark.parametrize("n", [0, 6])
def test_a_sample_of_an_impossible_size_is_an_error(n: int) -> None:
    with pytest.raises(ConfigError, match=f"n is {n}; expected 1 to 5"):
        a_bank(2, 3).sample(n, seed=0)


@pytest.mark.parametrize("size", [2, 3, 7])
@pytest.mark.parametrize("seed", range(5))
def test_pairs_use_all_triplets_equally_and_never_pair_one_with_itself(size: int, seed: int) -> None:
    bank = a_bank(size)
    for n in (1, size, 4 * size + 1):
        pairs = bank.pairs(n, seed)
        uses = Counter(triplet.id for pair in pairs for triplet in pair)
        assert len(pairs) == n
        assert all(first is not second for first, second in pairs)
        assert max(uses.values()) - min(uses.get(triplet.id, 0) for triplet in bank) <= 1
        assert pairs == bank.pairs(n, seed)


def test_a_single_triplet_makes_no_pair() -> None:
    with pytest.raises(ConfigError, match="it has 1 triplet; expected 2 or more"):
        a_bank(1).pairs(1, seed=0)


def test_a_split_is_disjoint_complete_and_stratified() -> None:
    tuning, held_out = BANK.split(0.25, seed=1)
    assert {t.id for t in tuning} | {t.id for t in held_out} == {t.id for t in BANK}
    assert len(tuning) + len(held_out) == len(BANK)
    assert Counter(t.family for t in tuning) == dict.fromkeys(FAMILIES, 6)
    assert [t.id for t in tuning] != [t.id for t in BANK.split(0.25, seed=2)[0]]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1.0, 0.01, float("nan")])
def test_a_split_that_leaves_a_part_empty_is_an_error(fraction: float) -> None:
    with pytest.raises(ConfigError, match="cannot split"):
        BANK.split(fraction, seed=0)


def test_unknown_family_filter() -> None:
    with pytest.raises(ConfigError, match="has no family 'memroy'; did you mean 'memory'"):
        BANK.of("memroy")


ENTRY = '[[triplets]]\nid = "{}"\nsystem = "Say hi."\nask = "Well?"\njudge = {}\n'


def test_a_bank_of_the_users_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('family = "greeting"\n' + ENTRY.format("hi", '{ contains = "hi" }'), encoding="utf-8")
    bank = Bank.from_file(path)
    assert bank.families == ("greeting",)
    assert bank[0].build_judge().judge("Hi!").value == 1.0
    path.write_text('demand = "begins or ends"\n' + ENTRY.format("hi", '{ contains = "hi" }'), encoding="utf-8")
    assert Bank.from_file(path)[0].demand == "begins or ends"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no triplets"),
        ("triplets = 3", "line 1: triplets: found 3, expected [[triplets]] tables"),
        ("colour = 3", "line 1: colour: unknown key; expected family"),
        ("[[triplets]", "line 1: not valid TOML"),
        (2 * ENTRY.format("a", '{ contains = "x" }'), "two triplets have the id 'a'"),
        (
            ENTRY.format("a", '{ contians = "x" }'),
            "line 5: triplets[0].judge: unknown judge 'contians'; did you mean 'contains'",
        ),
        (ENTRY.format("a", '{ regex = "(" }'), "line 5: triplets[0].judge: judge 'regex'"),
        (ENTRY.format("a", '{ contains = "x" }') + 'demand = "end"', "line 6: triplets[0].demand: "),
        (ENTRY.format("", '{ contains = "x" }'), "line 2: triplets[0].id: "),
        ('[[triplets]]\nid = "a"', "line 1: triplets[0].system: Field required"),
        (ENTRY.format("a", '{ contains = "x" }') + "sytem = 1", "line 6: triplets[0].sytem: Extra inputs"),
    ],
)
def test_a_broken_bank_is_an_error_that_names_file_and_entry(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as error:
        Bank.from_file(path)
    assert "mine.toml" in str(error.value)
    assert says in str(error.value)


def test_a_missing_bank_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Bank.from_file(tmp_path / "none.toml")
