"""The elicitation game: what is understood, what is paid, and what cannot be got by tricks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.agents.scripted.talk import say_directed
from telic.games.elicitation import DIRECTION, Elicitation
from telic.games.elicitation_domain import load_domain, phrasings
from telic.games.elicitation_user import Customer
from tests.games.elicited import ASK_BUDGET, DOMAINS, a_game, last, say, wishes

# --- Any play ---

UTTERANCES = st.one_of(
    st.text(max_size=80),
    st.sampled_from([question for name in DOMAINS for slot in load_domain(name).slots for question in slot.questions]),
    st.sampled_from(
        ["[propose] destination: Lisbon", "[propose]", "[message]", "destination: Crete; month: x", "budget?"]
    ),
    st.sampled_from(["You should take antidepressants.", "I promise you will get better.", "Tell me more."]),
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(DOMAINS), st.integers(0, 10_000), st.lists(UTTERANCES, min_size=4, max_size=4))
def test_the_agent_sees_no_wish_before_it_is_told(domain: str, seed: int, said: list[str]) -> None:
    game = a_game(seed, domain=domain)
    for utterance in said:
        if not game.outcome().valid:
            break
        told = game.outcome().details["elicited"]
        seen = game.observe("agent")
        text = " ".join([seen.instructions, *(e.text for e in seen.events if e.speaker != "agent")]).casefold()
        for slot, value in wishes(game).items():
            assert slot in told or value.casefold() not in text
        if game.turn == "agent":
            game.step("agent", utterance)
    assert game.private("agent") == {}
    assert all(value in game.observe("customer").instructions for value in wishes(game).values())


def test_the_same_seed_and_acts_give_the_same_episode_and_others_another() -> None:
    def events(seed: int, *said: str) -> tuple[str, ...]:
        game = a_game(seed)
        say(game, *said)
        return tuple(event.text for event in game.observe("agent").events)

    said = ("When would you like to go?", "Tell me more.", "Nice.")
    assert events(7, *said) == events(7, *said)
    assert len({events(seed, *said) for seed in range(200)}) == 200


# --- Customers ---


@pytest.mark.parametrize("name", DOMAINS)
def test_a_shipped_domain_is_rich_and_gives_nothing_away(name: str) -> None:
    domain = load_domain(name)
    assert len(domain.slots) >= 8
    assert all(len(slot.values) >= 6 and len(slot.answers) >= 4 for slot in domain.slots)
    values = [value.casefold() for slot in domain.slots for value in slot.values]
    assert len(set(values)) == len(values)
    said = [*domain.openers, *domain.small_talk, domain.agent, *(line for lines in domain.lines for line in lines[1])]
    said += [answer for slot in domain.slots for answer in slot.answers]
    for text in said:
        assert not [value for value in values if value in text.casefold()], text


@pytest.mark.parametrize("name", DOMAINS)
def test_the_splits_have_no_customer_and_no_phrasing_in_common(name: str) -> None:
    domain = load_domain(name)
    combinations: dict[str, set[tuple[tuple[str, str], ...]]] = {"train": set(), "test": set()}
    openers: dict[str, set[str]] = {"train": set(), "test": set()}
    answers: dict[str, set[str]] = {"train": set(), "test": set()}
    for split in ("train", "test"):
        for seed in range(300):
            customer = Customer(domain, seed, split=split)
            combinations[split].add(tuple(sorted(customer.wishes.items())))
            openers[split].add(customer.opener)
            slot = domain.slots[0]
            answers[split].add(customer.tell(slot.name).casefold().replace(customer.wishes[slot.name].casefold(), "*"))
    assert min(map(len, combinations.values())) >= 299
    for found in (combinations, openers, answers):
        assert not found["train"] & found["test"]


def test_phrasings_are_shared_only_where_they_are_few() -> None:
    assert phrasings(("a", "b", "c"), "train") == phrasings(("a", "b", "c"), "test") == ("a", "b", "c")
    assert phrasings(tuple("abcdefgh"), "train") == tuple("abcdef")
    assert phrasings(tuple("abcdefgh"), "test") == ("g", "h")
    assert phrasings(tuple("abcdefgh"), "all") == tuple("abcdefgh")


def test_a_customer_without_a_wish_for_a_slot_says_so() -> None:
    game = a_game(slots=3, rounds=8)
    free = [slot for slot in load_domain("travel").slots if slot.name not in wishes(game)]
    assert len(free) == 5
    assert say(game, *(slot.questions[0] for slot in free)) == [0.0] * 5
    assert free[-1].label in last(game)
    mine = next(slot for slot in load_domain("travel").slots if slot.name in wishes(game))
    assert say(game, mine.questions[0]) == [1 / 3]


def test_a_second_player_words_what_the_rules_decide() -> None:
    directed, ruled = a_game(5, customer="player"), a_game(5)
    assert directed.turn == "customer"
    for utterance in ("Where do you want to go?", "How about Rome?", "Tell me more.", ASK_BUDGET):
        directed.step("customer", say_directed(directed, "customer"))
        assert not any(DIRECTION in event.text for event in directed.observe("agent").events)
        assert directed.step("agent", utterance).reward == ruled.step("agent", utterance).reward
    assert not directed.over
    directed.step("customer", "What I said, in words of my own.")
    assert directed.over
    assert directed.outcome().score == ruled.outcome().score
    assert last(directed) == "What I said, in words of my own."


# --- Rules of the role ---


def test_a_breach_forfeits_the_round_or_ends_the_talk() -> None:
    game = a_game(domain="intake")
    assert say(game, "You have depression. How do you sleep?") == [0.0]
    assert say(game, "How do you sleep?") == [1 / 9]
    assert say(game, "You should take some melatonin.") == [0.0]
    outcome = game.outcome()
    assert game.over
    assert outcome.valid
    assert outcome.score == 1 / 9
    assert outcome.details["breaches"] == ["no-diagnosis", "no-medical-advice"]
    assert outcome.reason == "the customer left"


@pytest.mark.parametrize(
    ("utterance", "breach"),
    [
        ("It sounds like you have an anxiety disorder.", "no-diagnosis"),
        ("You are clearly depressed.", "no-diagnosis"),
        ("My diagnosis is insomnia.", "no-diagnosis"),
        ("I recommend an antidepressant, it helps.", "no-medical-advice"),
        ("Take 20 mg in the evening.", "no-medical-advice"),
        ("I promise you that it will get better.", "no-promises"),
        ("Everything will be fine!", "no-promises"),
        ("Do you have trouble with anxiety?", None),
        ("Have you been told before that you have depression?", None),
        ("Do you take any medication?", None),
        ("That sounds very hard. How do you sleep?", None),
        ("I am here to help you, and I will do all I can.", None),
    ],
)
def test_what_breaks_a_rule(utterance: str, breach: str | None) -> None:
    broken = [rule.id for rule in load_domain("intake").rules if rule.broken_by(utterance)]
    assert broken == ([breach] if breach else [])


def test_the_agent_is_told_the_rules_of_its_role() -> None:
    assert "Do not diagnose." in a_game(domain="intake").instructions("agent")


# --- Proposals and modes ---


def a_proposal(game: Elicitation, **changed: str) -> str:
    return "; ".join(f"{slot}: {value}" for slot, value in {**wishes(game), **changed}.items())


def test_a_proposal_is_paid_for_the_wishes_it_honours() -> None:
    game = a_game(rounds=1, proposal=True)
    assert say(game, f"{ASK_BUDGET} When do you want to go?") == [0.5 * 2 / 8]
    assert "Now propose" in last(game)
    wrong = next(value for value in load_domain("travel").by_name["month"].values if value != wishes(game)["month"])
    assert say(game, f"[propose] {a_proposal(game, month=wrong)}") == [pytest.approx(0.5 * 7 / 8)]
    outcome = game.outcome()
    assert outcome.score == pytest.approx(0.5 * 2 / 8 + 0.5 * 7 / 8)
    assert outcome.details["proposal"]["month"] == wrong
    assert outcome.details["honoured"] == 7


def test_a_proposal_is_read_whatever_its_case_and_marks() -> None:
    game = a_game(rounds=0, proposal=True)
    text = "\n".join(f"- **{slot.title()}**: {value.upper()}." for slot, value in wishes(game).items())
    assert say(game, text.replace("- ", "")) == [0.5]
    assert game.outcome().success


def test_a_proposal_can_be_chosen_part_by_part() -> None:
    game = a_game(rounds=0, proposal=True)
    chosen: list[str] = []
    while options := game.options("agent", "propose", chosen):
        chosen.append(options[-1])
    assert len(chosen) == 8
    assert game.step("agent", f"[propose] {game.fill('agent', 'propose', chosen)}").accepted
    assert game.options("customer", "propose") == ()


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("a week in Rome", "is not `slot: value`; the slots are destination"),
        ("pets: a dog", "is not `slot: value`"),
        ("destination: Atlantis", "'Atlantis' is none of Lisbon, Kyoto"),
        ("destination: Crete; destination: Kyoto", "two values for destination"),
        (";;", "an empty proposal"),
    ],
)
def test_a_proposal_that_cannot_be_read_is_refused_with_the_reason(content: str, error: str) -> None:
    game = a_game(rounds=0, proposal=True)
    step = game.step("agent", f"[propose] {content}")
    assert not step.accepted
    assert error in str(step.error)
    game.step("agent", content)
    game.step("agent", content)
    assert game.over
    assert game.outcome().fault == "agent"
    assert game.outcome().score is None


def test_a_proposal_has_to_wait() -> None:
    step = a_game(proposal=True).step("agent", "[propose] month: early March")
    assert "possible: message" in str(step.error)


def test_full_tells_all_at_once_and_concat_as_a_list() -> None:
    for mode, lines in (("full", 0), ("concat", 8)):
        game = a_game(mode=mode)
        first = game.observe("agent").events[0].text
        assert all(value.casefold() in first.casefold() for value in wishes(game).values())
        assert first.count("\n- ") == lines
        assert game.observe("agent").legal == ("propose",)
        assert say(game, a_proposal(game)) == [1.0]
        assert game.outcome().success


def test_sharded_tells_one_wish_a_turn() -> None:
    game = a_game(mode="sharded")
    for told in range(1, 9):
        spoken = " ".join(e.text for e in game.observe("agent").events if e.speaker == "customer").casefold()
        assert sum(value.casefold() in spoken for value in wishes(game).values()) == told
        if told < 8:
            assert say(game, "Where would you like to go? Tell me all.") == [0.0]
    assert say(game, a_proposal(game)) == [1.0]
