import html
import re
from pathlib import Path

import pytest

from telic.episodes import Answer, Branch, Episode, Turn
from telic.errors import Failure
from telic.stability.analysis import analyse_stability
from telic.stability.report import write_stability_report

NASTY = "</details><script>alert(1)</script> costs $5 & $6"


def selfchat(number: int, rounds: int = 2, *, attention: bool = True) -> Episode:
    readings = {"attention": [0.3, 0.2, 0.1]} if attention else {}
    return Episode(
        id=f"{NASTY} {number}",
        kind="selfchat",
        seed=number,
        roles={"a": {"system": NASTY, "name": "a"}, "b": {"system": "You are B.", "name": "b"}},
        turns=[Turn(role=role, round=r, text=NASTY, readings=readings) for r in range(1, rounds + 1) for role in "ab"],
        branches=[
            Branch(
                role=role,
                round=r,
                probe=NASTY,
                family=NASTY,
                question=NASTY,
                prompt_tokens=10 + 100 * r,
                answers=[Answer(text=NASTY, finish="stop", score=float(r == 0), reason=NASTY, readings=readings)],
            )
            for r in range(rounds + 1)
            for role in "ab"
        ],
        failure=Failure("model", "exception", NASTY) if number == 0 else None,
    )


def test_the_report_stands_alone_and_says_what_was_found(tmp_path: Path) -> None:
    episodes = [selfchat(i) for i in range(8)]
    config = {"name": NASTY, "model": "smollm2", "controls": [{"name": "attention_hold", "k": NASTY}]}
    path = write_stability_report(tmp_path, analyse_stability(episodes, resamples=100), episodes, config)
    text = path.read_text(encoding="utf-8")
    assert "Drifts significantly from round 1 (−1.00" in text
    assert "controls.0.name" in text
    assert "<script" not in text
    assert text.count("<details>") == text.count("</details>")
    assert {match.split('"')[0] for match in re.findall(r"(\S*)http", text)} == {"xmlns:xlink=", "xmlns="}
    assert {file.name for file in tmp_path.iterdir()} == {"report.html", "curve.png", "families.png", "attention.png"}


def test_probes_that_were_never_followed_open_the_report_and_are_listed(tmp_path: Path) -> None:
    episodes = [selfchat(i) for i in range(4)]
    for episode in episodes:
        for branch in episode.branches:
            branch.probe = f"probe of {branch.role}"
            branch.answers[0].score = float(branch.role == "a")
    path = write_stability_report(tmp_path, analyse_stability(episodes, resamples=100), episodes, {})
    text = html.unescape(path.read_text(encoding="utf-8"))
    sentence = "The model never followed probe 'probe of b' (0 of 4 answers before the dialogue), so it cannot drift"
    assert text.index(sentence) < text.index("stability at round 0")
    assert text.count("oo few dialogues to tell") == 2, "once in the headline, once with the followed probes"
    assert text.index("0 of 4</td><td>never followed") < text.index("4 of 4</td>")


def test_few_dialogues_are_said_to_be_few_in_every_section(tmp_path: Path) -> None:
    episodes = [selfchat(i) for i in range(4)]
    for episode in episodes:
        for branch in episode.branches:
            branch.answers[0].score = 1.0
    path = write_stability_report(tmp_path, analyse_stability(episodes, resamples=100), episodes, {})
    text = html.unescape(path.read_text(encoding="utf-8"))
    assert re.search(r"followed before the dialogue\. Too few dialogues to tell: n = \d", text)
    assert "no significant drift" not in text
    assert "4 of 4</" not in text.partition("Stability over rounds")[0], "nothing was left out"


def test_equal_runs_give_equal_reports(tmp_path: Path) -> None:
    episodes = [selfchat(i) for i in range(3)]
    pages = []
    for _ in range(2):
        path = write_stability_report(tmp_path, analyse_stability(episodes, resamples=100), episodes, {})
        pages.append(path.read_text(encoding="utf-8"))
    assert pages[0] == pages[1]


def test_the_versions_that_the_run_recorded_are_shown(tmp_path: Path) -> None:
    episodes = [selfchat(1)]
    path = write_stability_report(
        tmp_path, analyse_stability(episodes, resamples=100), episodes, {"versions": {"telic": "0.0.7"}}
    )
    assert "0.0.7" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("what", ["one dialogue", "one round", "no attention", "no branches", "no scores"])
def test_a_report_is_written_however_little_there_is(what: str, tmp_path: Path) -> None:
    episodes = [selfchat(i, attention=what != "no attention") for i in range(1 if what == "one dialogue" else 3)]
    for episode in episodes:
        if what == "no branches":
            episode.branches = []
            episode.turns = []
        if what == "one round":
            episode.branches = [branch for branch in episode.branches if branch.round == 0]
        if what == "no scores":
            for branch in episode.branches:
                branch.answers = [Answer(text="", finish="error", score=None, reason="the judge could not tell")]
    text = write_stability_report(tmp_path, analyse_stability(episodes, resamples=100), episodes, {}).read_text(
        encoding="utf-8"
    )
    assert not re.search(r"\bnan\b", re.sub(r"<style>.*?</style>", "", text, flags=re.DOTALL).lower())
    if what == "no attention":
        assert "Attention was not read" in text
    if what == "no scores":
        assert "answers without a score: the judge could not tell" in text
