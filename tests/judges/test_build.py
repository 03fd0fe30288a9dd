"""Making judges from purpose files: both forms, plain functions, plug-ins, and what the errors say."""

from __future__ import annotations

import inspect
import re
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from telic.errors import ConfigError, JudgeError
from telic.judges import Judge, Score, build_judge, judge_all, model_judges, prepare_judge, registry
from telic.judges.base import FunctionJudge
from telic.judges.model import ModelJudge
from telic.models import FakeModel

SOURCE = """
from neighbour import LIMIT
def long(answer): return len(answer) > LIMIT
def polite(answer): return "please" in answer
def share(answer): return min(len(answer) / 10, 1)
def relevant(answer, question): return question in answer
def least(answer, words=1): return len(answer.split()) >= words
def factory(minimum): return lambda answer: len(answer) >= minimum
def broken(answer): return answer[1000]
def tenfold(answer): return 10.0
def wordy(answer): return "yes"
def silent(answer): return None
number = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a purpose file, with functions of the user's own in every form that is taken."""
    (tmp_path / "user_judges.py").write_text(SOURCE)
    (tmp_path / "neighbour.py").write_text("LIMIT = 5")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "inner.py").write_text("class Kind:\n    def polite(answer): return 1")
    return tmp_path


@pytest.fixture
def plugin() -> ModuleType:
    """The same functions in a module."""
    module = ModuleType("user_judges")
    exec(SOURCE.replace("from neighbour import LIMIT", "LIMIT = 5"), module.__dict__)
    return module


def test_both_forms_make_the_same_judge() -> None:
    assert build_judge({"contains": "Mia", "case": True}) == build_judge(
        {"name": "contains", "argument": "Mia", "case": True}
    )


def test_order_of_keys_does_not_matter() -> None:
    assert build_judge({"case": True, "contains": "Mia"}) == build_judge({"contains": "Mia", "case": True})


def test_no_option_is_called_like_a_judge() -> None:
    names = set(registry.names())
    for name in names:
        assert not names & set(list(inspect.signature(registry.get(name)).parameters)[1:]), name


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ({"contians": "Mia"}, ConfigError, "unknown judge 'contians'; did you mean 'contains'?"),
        ({}, JudgeError, "an empty judge"),
        ("contains", JudgeError, "'contains' is not a judge"),
        ({"name": 3}, JudgeError, "a judge's name is 3"),
        ({"contains": "a", "excludes": "b"}, JudgeError, "write { all_of = "),
        ({"contains": 5}, JudgeError, "judge 'contains': argument is 5; expected a string or a list"),
        ({"contains": ["a", 5]}, JudgeError, "judge 'contains': argument is ['a', 5]"),
        ({"contains": "a", "cse": True}, JudgeError, "unknown option 'cse'; did you mean 'case'?"),
        ({"contains": "a", "case": 1}, JudgeError, "case is 1; expected a boolean"),
        ({"contains": " "}, JudgeError, "expected a text"),
        ({"contains": []}, JudgeError, "expected a text"),
        ({"name": "contains"}, JudgeError, "missing a required argument"),
        ({"regex": "("}, JudgeError, "judge 'regex': argument is '('; expected a regular expression"),
        ({"length": "word", "max": 3}, JudgeError, "'words', 'characters', 'sentences' or 'lines'"),
        ({"length": "words"}, JudgeError, "neither min nor max"),
        ({"length": "words", "min": 3, "max": 2}, JudgeError, "min is 3 and max is 2"),
        ({"length": "words", "max": -1}, JudgeError, "max is -1"),
        ({"numeric": "7"}, JudgeError, "argument is '7'; expected a number"),
        ({"numeric": [3.0, 1.0]}, JudgeError, "a range [low, high]"),
        ({"numeric": float("nan")}, JudgeError, "expected a finite number"),
        ({"json": False}, JudgeError, "judge 'json': argument is False"),
        ({"choice": "e", "options": ["x", "y"]}, JudgeError, "expected one of a, b"),
        ({"choice": "a", "options": ["x"]}, JudgeError, "two or more"),
        ({"casing": "big"}, JudgeError, "'upper', 'lower' or 'title'"),
        ({"language": "klingon"}, JudgeError, "'klingon' is not a known language"),
        ({"language": []}, JudgeError, "not a known language"),
        ({"language": "fr", "options": ["fr"]}, JudgeError, "name no language besides 'fr'"),
        ({"sentiment": "happy"}, JudgeError, "'positive', 'negative' or 'neutral'"),
        ({"all_of": []}, JudgeError, "judge 'all_of': argument is []"),
        ({"any_of": [{"regex": "("}]}, JudgeError, "judge 'any_of': judge 'regex'"),
        ({"not": {"contians": "a"}}, JudgeError, "did you mean 'contains'?"),
        ({"model": "smollm2"}, JudgeError, "missing a required argument: 'rubric'"),
        ({"callable": "no_colon"}, JudgeError, "expected 'module:function'"),
        ({"callable": "../user_judges:polite"}, JudgeError, "expected 'module:function'"),
        ({"callable": "no_such_module:f"}, JudgeError, "there is no no_such_module.py in"),
        ({"callable": "subprocess:call"}, JudgeError, "there is no subprocess.py in"),
        ({"callable": "user_judges:no_such_function"}, JudgeError, "cannot be imported"),
        ({"callable": "user_judges:number"}, JudgeError, "is 3; expected a function"),
    ],
)
def test_errors_say_what_is_wrong(spec: Any, error: type[Exception], says: str, folder: Path) -> None:
    with pytest.raises(error, match=re.escape(says)):
        build_judge(spec, trusted=folder)


@pytest.mark.parametrize(
    ("spec", "answer", "value"),
    [
        ({"callable": "user_judges:polite"}, "please", 1.0),
        ({"callable": "user_judges:polite"}, "now", 0.0),
        ({"callable": "user_judges:share"}, "12345", 0.5),
        ({"callable": "user_judges:long"}, "please", 1.0),
        ({"callable": "package.inner:Kind.polite"}, "now", 1.0),
        ({"any_of": [{"not": {"callable": "user_judges:polite"}}]}, "please", 0.0),
        ({"callable": "user_judges:relevant"}, "The question is why?", 1.0),
        ({"callable": "user_judges:factory", "minimum": 3}, "ab", 0.0),
    ],
)
def test_a_function_of_the_users_own_is_a_judge(spec: Any, answer: str, value: float, folder: Path) -> None:
    before = list(sys.path)
    assert build_judge(spec, trusted=folder).judge(answer, "why?").value == value
    assert sys.path == before


@pytest.mark.parametrize(
    "spec",
    [{"callable": "user_judges:polite"}, {"all_of": [{"not": {"callable": "subprocess:call"}}]}],
)
def test_a_file_runs_no_code(spec: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.chdir(folder)
    with pytest.raises(JudgeError, match=r"is code, and no installed package declares it as a judge.* add --trust"):
        build_judge(spec)
    assert "user_judges" not in sys.modules


def test_functions_of_installed_packages_may_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        [EntryPoint("judge:shout", "textwrap:dedent", "telic"), EntryPoint("game:x", "os:system", "telic")]
    )
    monkeypatch.setattr("telic.user_code.entry_points", lambda group: points.select(group=group))
    assert isinstance(build_judge({"callable": "textwrap:dedent"}), FunctionJudge)
    with pytest.raises(JudgeError, match="'os:system' is code"):
        build_judge({"callable": "os:system"})


@pytest.mark.parametrize("name", ["broken", "tenfold", "wordy", "silent"])
def test_a_function_that_fails_has_not_decided(name: str, folder: Path) -> None:
    score = build_judge({"callable": f"user_judges:{name}"}, trusted=folder).judge("anything")
    assert score.value is None
    assert name in score.reason


@pytest.fixture
def registered(plugin: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's functions as a plug-in package would register them."""
    factories = {**registry._factories, "polite": plugin.polite, "least": plugin.least, "minimum": plugin.factory}
    monkeypatch.setattr(registry, "_factories", {**factories, "useless": lambda argument: argument})


@pytest.mark.usefixtures("registered")
def test_a_plain_function_can_be_an_entry_point() -> None:
    assert build_judge({"polite": True}).judge("yes, please").value == 1.0
    assert build_judge({"least": True, "words": 3}).judge("only two").value == 0.0
    assert build_judge({"minimum": 3}).judge("abc").value == 1.0


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"polite": "very"}, "write { polite = true }"),
        ({"least": True, "word": 3}, "did you mean 'words'?"),
        ({"useless": 3}, "its factory returned 3"),
    ],
)
def test_a_misused_entry_point_is_an_error(spec: Any, says: str) -> None:
    with pytest.raises(JudgeError, match=re.escape(says)):
        build_judge(spec)


def test_judge_all_batches_where_the_judge_can() -> None:
    class Batched:
        def judge(self, answer: str, question: str = "") -> Score:
            raise AssertionError("one at a time")

        def judge_all(self, items: list[tuple[str, str]]) -> list[Score]:
            return [Score.of(answer == question) for answer, question in items]

    judge: Judge = Batched()
    items = [("a", "a"), ("a", "b")]
    assert [score.value for score in judge_all(judge, items)] == [1.0, 0.0]
    assert [score.value for score in judge_all(build_judge({"contains": "a"}), items)] == [1.0, 1.0]


def test_a_combination_asks_a_model_only_if_a_part_does(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"contains": "a"}
    asking = {"model": "fake", "rubric": "Be kind."}
    assert model_judges(build_judge({"all_of": [rule, {"any_of": [rule, {"not": rule}]}]})) == []
    nested = build_judge({"all_of": [rule, {"any_of": [rule, {"not": asking}]}, asking]})
    found = model_judges(nested)
    assert [type(judge) for judge in found] == [ModelJudge, ModelJudge]
    model = FakeModel()
    monkeypatch.setattr("telic.judges.model._load", lambda name: pytest.fail(f"loaded {name!r} again"))
    for judge in found:
        assert isinstance(judge, ModelJudge)
        judge.model = model.name
    prepare_judge(nested, model)
    assert all(judge.model is model for judge in found if isinstance(judge, ModelJudge))
    prepare_judge(build_judge(rule), model)
