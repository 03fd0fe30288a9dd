"""Comparing controls, on models of which it is known what holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from telic.capability import load_items
from telic.comparison import ComparisonConfig, hold
from telic.comparison.arms import Arm, plan_arms
from telic.comparison.candidates import STRENGTHS, strengths_of
from telic.comparison.costs import Cost, Costs
from telic.comparison.recall import recall_dialogues
from telic.comparison.report import write_comparison_report
from telic.comparison.results import ComparisonRun, read_comparison
from telic.comparison.stages import BANK, HELD_OUT, TUNING, StagePlans
from telic.dialogue import Message
from telic.episodes import BASELINE
from telic.errors import ConfigError
from telic.models import Continuation, Control, FakeModel, Model, ScoredContinuation, ScriptedModel
from telic.progress import ProgressReport
from telic.purpose import Purpose
from telic.runs import RunFolder
from telic.stability import Bank, Triplet
from telic.stability.bank import Demand
from telic.steering import Anchor, AttentionHold, Prompt, Reminder, SplitSoftmax, build_control
from tests.models import tiny

QUICK: dict[str, Any] = {"rounds": 3, "dialogues": 12, "tuning_dialogues": 4, "resamples": 200, "questions": 4}
TEXT = """
name = "travel"
system = "You are Mia, a travel agent."
[[probes]]
ask = "What is your name?"
judge = { contains = "Mia" }
"""


def purpose() -> Purpose:
    return Purpose.from_text(TEXT, "travel.toml")


def forgetful(messages: tuple[Message, ...]) -> str:
    """Knows its name only in the first round, or where it has just been told."""
    told = "Mia" in messages[-1].content
    return "I am Mia." if told or sum(m.role == "assistant" for m in messages) == 0 else "I do not know."


def model() -> ScriptedModel:
    return ScriptedModel(forgetful)


def test_what_helps_is_found_and_confirmed() -> None:
    run = hold(model(), purpose(), **QUICK)
    assert run.winner is not None
    assert isinstance(run.best, Reminder)
    assert run.winner.spec == {"name": "reminder"}
    assert run.winner.gain is not None
    assert run.winner.gain.value is not None
    assert run.winner.gain.value > 0.5
    assert "holds the purpose best" in run.headline
    names = [arm.kind for arm in run.compared]
    assert names[0] == BASELINE
    assert set(names[1:]) == {"prompt", "reminder"}
    assert [trial.name for trial in run.trials if trial.chosen and trial.kind == "reminder"] == ["reminder-every=1"]


def test_a_named_strength_goes_straight_to_the_comparison() -> None:
    run = hold(model(), purpose(), **QUICK, controls=("prompt", "reminder:every=2", "reminder:every=1"))
    assert [trial.name for trial in run.trials] == ["prompt", "reminder-every=2", "reminder-every=1"]
    assert [trial.area is None for trial in run.trials] == [True, False, False]
    assert {trial.name for trial in run.trials if trial.chosen} == {"prompt", "reminder-every=1"}
    alone = hold(model(), purpose(), **QUICK, controls=("reminder:every=1",))
    assert {episode.id.partition("/")[0] for episode in alone.episodes} == {HELD_OUT, BANK}
    assert alone.winner is not None
    assert alone.winner.name == "reminder-every=1"


def test_where_nothing_helps_nothing_is_recommended() -> None:
    run = hold(ScriptedModel(lambda _: "I do not know."), purpose(), **QUICK)
    assert run.winner is None
    assert run.best is None
    assert "no control is significantly better than the baseline" in run.headline


NEVER = """
[[probes]]
name = "captain"
ask = "Who is your captain?"
judge = { contains = "Ahab" }
"""


def test_a_probe_that_was_never_followed_is_named_and_its_gain_kept_apart(tmp_path: Path) -> None:
    both = Purpose.from_text(TEXT + NEVER, "travel.toml")
    run = hold(model(), both, **QUICK, controls=("reminder",), folder=tmp_path)
    assert run.never_followed is not None
    assert "never followed probe 'captain' (0 of 12 answers before the dialogue)" in run.never_followed
    assert run.headline.startswith("without a control, the model never followed probe 'captain'")
    assert run.winner is not None
    assert run.winner.gain is not None
    assert run.winner.followed_gain is not None
    assert run.winner.gain.value is not None
    assert run.winner.followed_gain.value == pytest.approx(2 * run.winner.gain.value)
    assert "on all 2 probes" in run.finding
    assert "on the 1 others)" in run.finding
    assert run.folder is not None
    assert read_comparison(RunFolder.open(run.folder)).headline == run.headline
    page = write_comparison_report(tmp_path, run).read_text(encoding="utf-8")
    assert "gain without the probes never followed" in page
    assert hold(model(), purpose(), **QUICK, controls=("reminder",)).never_followed is None


class Costly(ScriptedModel):
    """Answers every question right by itself, and none under a control."""

    def score(
        self, continuations: Sequence[Continuation], controls: Sequence[Control] = ()
    ) -> list[ScoredContinuation]:
        right = {item.options[item.answer] for item in load_items()}
        likely = [(one.text in right) != bool(controls) for one in continuations]
        return [ScoredContinuation(-1.0 if yes else -1000.0, 1, False) for yes in likely]


def test_a_control_that_costs_too_much_is_left_out_and_it_is_said() -> None:
    run = hold(Costly(forgetful), purpose(), **QUICK, controls=("reminder",))
    assert run.winner is None
    assert "no control costs at most 3%" in run.headline
    [sentence] = run.left_out
    assert sentence.startswith("control reminder is left out: it costs more than the budget of 3% at every strength")
    assert "lost with the cheapest, reminder-every=" in sentence
    assert hold(model(), purpose(), **QUICK).left_out == []


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    def stop(report: ProgressReport) -> None:
        if report.done == 300:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold(model(), purpose(), folder=tmp_path, progress=stop, concurrency=4, **QUICK)
    [folder] = tmp_path.iterdir()
    kept = len((folder / "episodes.jsonl").read_text().splitlines())
    assert kept > 0
    again = hold(model(), purpose(), resume=folder, **QUICK)
    whole = hold(model(), purpose(), **QUICK)
    assert _without_episodes(again) == _without_episodes(whole)
    assert len((folder / "episodes.jsonl").read_text().splitlines()) == len(whole.episodes)
    with pytest.raises(ConfigError, match="tuning_dialogues"):
        hold(model(), purpose(), resume=folder, **{**QUICK, "tuning_dialogues": 5})


def test_the_report_is_written_again_from_what_is_kept(tmp_path: Path) -> None:
    run = hold(model(), purpose(), folder=tmp_path, **QUICK)
    assert run.folder is not None
    first = write_comparison_report(run.folder, run).read_text()
    again = read_comparison(RunFolder.open(run.folder))
    assert _without_episodes(again) == _without_episodes(run)
    assert write_comparison_report(run.folder, again).read_text() == first
    assert "reminder" in first
    assert (run.folder / "curves.png").stat().st_size > 1000
    assert not (run.folder / "pareto.png").exists(), "this model's costs are unknown"


def test_a_local_model_is_compared_with_its_costs(tmp_path: Path) -> None:
    whole = Bank.load()
    bank = Bank(triplet for family in ("persona", "memory") for triplet in whole.of(family)[:6])
    settings = {**QUICK, "dialogues": 2, "tuning_dialogues": 2, "rounds": 1, "utterance_tokens": 4, "answer_tokens": 4}
    settings["controls"] = ("guidance:gamma=1.5", "guidance:gamma=2", "attention_hold:level=1.5", "vector:strength=1")
    speaker = tiny.local("llama", max_batch=16)
    run = hold(speaker, bank, **settings, budget=1.0, folder=tmp_path)
    [vector] = [arm for arm in run.compared if arm.kind == "vector"]
    assert vector.spec is not None
    assert (Path(vector.spec["path"]) / "model.safetensors").is_file()
    assert build_control(vector.spec).points == {"residual"}
    assert run.folder is not None
    again = hold(speaker, bank, **settings, budget=1.0, resume=run.folder)
    assert _without_episodes(again) == _without_episodes(run), "nothing was left to be done"
    assert [trial.kind for trial in run.trials] == ["guidance", "guidance", "attention_hold", "vector"]
    assert all(trial.cost.n == 2 for trial in run.trials)
    assert all(trial.recall is not None and trial.recall.n == 20 for trial in run.trials)
    assert "recall lost" in write_comparison_report(run.folder, run).read_text()
    assert (run.folder / "pareto.png").stat().st_size > 1000
    assert all(arm.bank is None for arm in run.compared), "the comparison is on a bank already"
    assert len(run.compared) == 4
    acting = {arm.kind for arm in run.compared if arm.language is not None and (arm.language.kl.value or 0) > 0}
    assert acting >= {"guidance", "attention_hold"}


@pytest.mark.parametrize("beside", [False, True])
def test_gains_are_given_by_what_the_instruction_demands(beside: bool, tmp_path: Path) -> None:
    wanted: dict[Demand, str] = {"memory": "Mia", "length": "Bob"}
    bank = Bank(
        Triplet(id=f"{demand}-{n}", demand=demand, system=f"Say {name}. {n}", ask="What?", judge={"contains": name})
        for demand, name in wanted.items()
        for n in range(8)
    )
    settings = {**QUICK, "controls": ("reminder:every=1",)}
    what, other = (purpose(), bank) if beside else (bank, None)
    run = hold(model(), what, bank=other, folder=tmp_path, **settings)
    gains = run.compared[1].demand_gains
    assert set(gains) == {"memory", "length"}
    assert gains["memory"].low is not None
    assert gains["memory"].low > 0, "it knows this name where it has just been told"
    assert gains["length"].value == 0.0
    assert run.folder is not None
    again = read_comparison(RunFolder.open(run.folder))
    assert again.compared[1].demand_gains == gains
    assert "By what the instruction demands of a reply" in write_comparison_report(run.folder, again).read_text()


def elsewhere(*systems: str) -> Bank:
    return Bank(
        Triplet(id=f"{n}", system=f"{system} {n}", ask="What?", judge={"contains": "Mia"})
        for n, system in enumerate(systems * 12)
    )


@pytest.mark.parametrize(
    ("system", "verdict"),
    [
        ("Say Mia.", "the gain transfers to other instructions: +"),
        ("Say Bob.", "whether the gain transfers to other instructions is uncertain: +0.00"),
    ],
)
def test_it_says_whether_the_winner_also_helps_under_other_instructions(
    system: str, verdict: str, tmp_path: Path
) -> None:
    run = hold(
        model(), purpose(), bank=elsewhere(system, system), folder=tmp_path, **QUICK, controls=("reminder", "prompt")
    )
    assert run.winner is not None
    assert run.transfer is not None
    assert verdict in run.transfer
    assert run.headline.endswith(run.transfer)
    assert [arm.name for arm in run.compared if arm.bank] == [BASELINE, run.winner.name]
    on_bank = [episode for episode in run.episodes if episode.id.startswith(BANK)]
    assert {branch.round for episode in on_bank for branch in episode.branches} == {0, 3}
    assert run.folder is not None
    assert read_comparison(RunFolder.open(run.folder)).transfer == run.transfer
    assert "gain under other instructions" in write_comparison_report(tmp_path, run).read_text(encoding="utf-8")


def test_where_nothing_wins_or_nobody_asks_no_other_instructions_are_played() -> None:
    nothing = hold(ScriptedModel(lambda _: "I do not know."), purpose(), **QUICK)
    unasked = hold(model(), purpose(), **QUICK, bank_dialogues=0)
    for run in (nothing, unasked):
        assert run.transfer is None
        assert not any(episode.id.startswith(BANK) for episode in run.episodes)


def test_a_bank_that_is_too_small_to_split_is_compared_on_other_seeds() -> None:
    told: list[ProgressReport] = []
    pair = Bank(
        Triplet(id=name, family=name, system="You are Mia.", ask="Who?", judge={"contains": "Mia"}) for name in "ab"
    )
    run = hold(model(), pair, **QUICK, controls=("reminder:every=1", "reminder:every=2"), progress=told.append)
    assert run.winner is not None
    assert any("too few system prompts to keep some for tuning" in text for text in told[0].notices)
    seeds = {stage: {e.seed for e in run.episodes if e.id.startswith(stage)} for stage in (TUNING, HELD_OUT)}
    assert seeds[TUNING].isdisjoint(seeds[HELD_OUT])


def test_a_bank_of_which_no_dialogue_is_drawn_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs bank_dialogues"):
        hold(model(), purpose(), bank=Bank.find("retail"), **QUICK, bank_dialogues=0)


def test_all_arms_play_the_same_dialogues_and_no_two_stages_share_any() -> None:
    bank = Bank.load()
    stages = StagePlans(bank, None, ComparisonConfig(dialogues=30, tuning_dialogues=30))
    arms = [Arm(BASELINE), Arm("prompt", (Prompt(),))]
    tuning, held_out = (plan_arms(stage, arms, stages.of(stage)) for stage in (TUNING, HELD_OUT))
    for plain, held in zip(held_out[::2], held_out[1::2], strict=True):
        assert plain.id.replace(BASELINE, "prompt") == held.id
        assert (plain.seed, plain.opener, plain.a.name, plain.b.name) == (
            held.seed, held.opener, held.a.name, held.b.name,
        )  # fmt: skip
        assert not plain.b.controls
        assert held.b.controls
    triplets = [{side.name for plan in plans for side in (plan.a, plan.b)} for plans in (tuning, held_out)]
    assert not triplets[0] & triplets[1]
    assert not {plan.seed for plan in tuning} & {plan.seed for plan in held_out}


def test_costs_are_measured_once_and_nothing_costs_nothing() -> None:
    kept: dict[str, Cost] = {}
    costs = Costs(tiny.local("llama", max_batch=16), ["Be brief.", "Be kind."], 8, 0, kept)
    assert costs.of(Arm(BASELINE), tuning=True).loss == 0
    first = costs.of(Arm("split", (SplitSoftmax(0.2),)), tuning=True)
    assert first.n == 4
    assert set(kept) == {"tuning/baseline", "tuning/split"}
    assert costs.of(Arm("split", (AttentionHold(),)), tuning=True) is first
    assert costs.of(Arm("split", (SplitSoftmax(1.0),)), tuning=False).loss == 0
    assert costs.recall(Arm(BASELINE), tuning=True).n == 20
    assert costs.recall(Arm("deaf", (Anchor(1.0),)), tuning=True).loss is not None
    assert costs.recall(Arm("split", (SplitSoftmax(1.0),)), tuning=False).loss == 0
    assert "tuning/recall/deaf" in kept


def test_recall_is_asked_for_what_was_said_and_for_nothing_else() -> None:
    places: Counter[int] = Counter()
    for talk in recall_dialogues():
        said = " ".join(message.content for message in talk.history).lower()
        assert [message.role for message in talk.history] == ["user", "assistant"] * 5
        for item in talk.items:
            heard = [option.lower() in said for option in item.options]
            assert heard.index(True) == item.answer, item
            assert heard.count(True) == 1, item
            places[item.answer] += 1
    assert places == {0: 10, 1: 10, 2: 10, 3: 10}


@pytest.mark.parametrize(
    ("speaker", "names", "part"),
    [
        (FakeModel(), ("attention_hold",), "does not support control 'attention_hold'"),
        (FakeModel(), ("remainder",), "did you mean 'reminder'"),
        (FakeModel(), ("attention_hold:gain=2",), "does not support control 'attention_hold'"),
        (FakeModel(), ("reminder:evrey=2",), "did you mean 'every'"),
        (FakeModel(), ("reminder:every",), "expected KEY=VALUE, got 'every'"),
    ],
)
def test_controls_that_cannot_be_compared_are_refused(speaker: Model, names: tuple[str, ...], part: str) -> None:
    with pytest.raises(ConfigError, match=part):
        strengths_of(speaker, names)


def test_all_controls_are_those_that_the_model_supports() -> None:
    by_default, _ = strengths_of(FakeModel())
    every, left_out = strengths_of(FakeModel(), ("all",))
    assert set(by_default) < set(STRENGTHS)
    assert len(every) + len(left_out) == len(STRENGTHS)
    assert any("attention_hold is left out" in sentence for sentence in left_out)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="budget is 2"):
        hold(model(), purpose(), budget=2)
    with pytest.raises(ConfigError, match="no \\[\\[probes\\]\\]"):
        hold(model(), Purpose.from_text('name = "a"\nsystem = "b"'))


def _without_episodes(run: ComparisonRun) -> tuple[Any, ...]:
    return run.trials, run.compared, run.versus, run.budget


def test_a_run_whose_winner_was_written_into_the_purpose_is_resumed(tmp_path: Path) -> None:
    run = hold(model(), purpose(), folder=tmp_path, **QUICK)
    assert run.folder is not None
    written = purpose().model_copy(update={"controls": [{"name": "reminder", "every": 1}]})
    again = hold(model(), written, resume=run.folder, **QUICK)
    assert again.headline == run.headline
