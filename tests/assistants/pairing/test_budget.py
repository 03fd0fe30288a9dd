"""What the work on an issue may use up."""

from __future__ import annotations

import pytest

from telic.assistants.pairing.budget import Budget, BudgetSpentError
from telic.assistants.pairing.config import PairConfig
from telic.dialogue import Message
from telic.models import Request, ScriptedModel
from telic.models.requesting import RequestGenerator, ask, run_alone
from telic.progress import deadline


def work(replies: int) -> RequestGenerator[int]:
    model = ScriptedModel(lambda _: "three words here")
    for _ in range(replies):
        yield from ask(model, Request((Message(role="user", content="Go on."),)))
    return replies


def test_replies_and_tokens_are_counted() -> None:
    budget = Budget(PairConfig())
    assert run_alone(budget.spend(work(3))) == 3
    assert (budget.steps, budget.tokens, budget.problem) == (3, 9, "")


@pytest.mark.parametrize(
    ("limits", "message"),
    [({"steps": 2}, "limit of 2 replies is reached"), ({"tokens": 5}, "limit of 5 tokens is reached")],
)
def test_no_request_is_made_beyond_a_limit(limits: dict[str, int], message: str) -> None:
    budget = Budget(PairConfig.of(**limits))
    with pytest.raises(BudgetSpentError, match=message):
        run_alone(budget.spend(work(9)))
    assert budget.steps == 2


def test_only_time_of_work_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(deadline, "CLOCK", lambda: now[0])
    budget = Budget(PairConfig.of(minutes=1.0))
    run_alone(budget.spend(work(1)))
    now[0] += 1000  # a person is waited for
    assert budget.problem == ""

    def slow() -> RequestGenerator[int]:
        now[0] += 61
        return (yield from work(1))

    with pytest.raises(BudgetSpentError, match="limit of 1 minutes is reached"):
        run_alone(budget.spend(slow()))
    budget.renew()
    assert budget.problem == ""
