"""Limits and their judges: broken, held, undetermined or an error; and judges that yield their requests."""

from __future__ import annotations

import pytest

from telic.errors import ConfigError
from telic.judges import build_judge
from telic.judges.base import judge_models, scoring
from telic.judges.limits import judged_limits
from telic.judges.model import ModelJudge
from telic.models import ScriptedModel
from telic.models.requesting import run_alone
from telic.purpose import Purpose


def limit_of(judge: dict[str, object], **fields: object) -> Purpose:
    limit = {"name": "x", "judge": judge, **fields}
    return Purpose.model_validate({"name": "p", "system": "s", "limits": [limit]})


def test_a_rule_decides() -> None:
    [limit] = judged_limits(limit_of({"contains": "velvet"}))
    assert (limit.verdict("It is velvet.").kind, limit.verdict("No.").kind) == ("broken", "held")
    assert limit.models == []


def test_an_echo_of_the_user_gives_nothing_away() -> None:
    [limit] = judged_limits(limit_of({"contains": "velvet"}, echo="words"))
    assert limit.verdict("No, it is not velvet.", ["Is it velvet?"]).kind == "held"
    assert limit.verdict("No, it is not silk but velvet.", ["Is it silk?"]).kind == "broken"


@pytest.mark.parametrize(("answer", "kind"), [("Score: 9", "broken"), ("Score: 2", "held"), ("hm", "undetermined")])
def test_a_model_judges_by_requests(answer: str, kind: str) -> None:
    model = ScriptedModel(lambda messages: answer)
    [limit] = judged_limits(limit_of({"any_of": [{"contains": "a b"}, {"model": "scripted", "rubric": "r"}]}), model)
    assert limit.models == [model]
    assert limit.verdict("Reply").kind == kind


def test_a_judge_that_fails_is_an_error_and_not_undetermined() -> None:
    model = ScriptedModel([])
    [limit] = judged_limits(limit_of({"model": "scripted", "rubric": "r"}), model)
    assert limit.verdict("Reply").kind == "error"


def test_an_unreadable_grade_is_asked_for_again() -> None:
    judge = ModelJudge(ScriptedModel(["hm", "Score: 5"]), "r")
    assert run_alone(scoring(judge, "a")).value == 0.5


def test_not_inverts_the_score_of_a_model() -> None:
    model = ScriptedModel(lambda messages: "Score: 10")
    judge = build_judge({"not": {"model": model, "rubric": "r"}})
    assert judge_models(judge) == [model]
    assert run_alone(scoring(judge, "a")).value == 0.0


def test_wrong_judges_are_reported_with_their_lines() -> None:
    text = 'name = "p"\nsystem = "s"\n[[limits]]\nname = "a"\njudge = { contain = "x" }\n'
    with pytest.raises(ConfigError, match=r"line 5: limits\[0\].judge: .*did you mean 'contains'"):
        judged_limits(Purpose.from_text(text, "p.toml"))
