"""How far the model has drifted: attention to its purpose, probes on demand, and what its planner does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from nicegui.element import Element

from telic.episodes import Branch
from telic.server.conversation import Conversation, attention_levels
from telic.server.dashboard.elements import box, button, pressed, shown, text
from telic.server.store import KeptTurn

__all__ = ["DriftPanel", "PlannerPanel", "ProbePanel"]


class DriftPanel:
    """A bar for each reply; they are also how one goes back to an earlier one.

    Args:
        on_select: told of the position of the reply that was chosen.
        on_latest: goes back to the latest one.
        why_not: why there is no reading of attention; empty where there is one.
    """

    def __init__(self, on_select: Callable[[int], Any], on_latest: Callable[[], Any], why_not: str) -> None:
        self._on_select, self._why_not = on_select, why_not
        self._bars: dict[int, Element] = {}
        with box("section", "panel drift", aria_labelledby="drift"):
            with box("div", "head"):
                self._heading = text("Attention to the purpose", "h2", id="drift")
                self._where = text("", "span", "tag quiet")
                self._latest = button("To the latest", on_latest, classes="small")
            with box("p", "gauge"):
                self._value = text("", "strong")
                self._words = text("")
            self._chart = box("div", "bars", role="group", aria_label="Replies, and attention at each")
            self._legend = text("Dashed: the first reply's level. Choose a bar to look back.", "p", "hint")

    def show(self, conversation: Conversation, selected: int | None) -> None:
        """Show a conversation, and one reply of it."""
        replies, levels = conversation.replies, attention_levels(conversation.turns)
        order = [turn.position for turn in replies]
        latest = order[-1] if order else None
        at = latest if selected is None else selected
        self._where.text = f"reply {order.index(at) + 1} of {len(order)}" if at in order else ""
        shown(self._where, at in order)
        shown(self._latest, at != latest)
        self._tell(levels, at, replies)
        for position in [position for position in self._bars if position not in order]:
            self._bars.pop(position).delete()
        top = max([1.0, *levels.values()])
        for number, turn in enumerate(replies, start=1):
            self._draw(turn.position, number, levels.get(turn.position), top, at == turn.position)
        self._chart.style(f"--top: {top:.3f}")
        self._chart.classes(add="" if levels else "unread", remove="unread" if levels else "")
        shown(self._chart, bool(order))
        shown(self._legend, len(levels) > 1)

    def _tell(self, levels: Mapping[int, float], at: int | None, replies: Sequence[KeptTurn]) -> None:
        level = levels.get(at) if at is not None else None
        shown(self._value, level is not None)
        if level is None:
            self._value.text = ""
            if not replies:
                self._words.text = self._why_not or "Measured with every reply."
            else:
                self._words.text = self._why_not or "Unknown: nothing was read at this reply."
            return
        self._value.text = f"{level:.0%}"
        first = next(iter(levels)) == at
        self._words.text = "the first reply, which sets the level" if first else "of its level in the first reply"

    def _draw(self, position: int, number: int, level: float | None, top: float, on: bool) -> None:
        if position not in self._bars:
            with self._chart:
                self._bars[position] = button(
                    "", partial(self._on_select, position), classes="bar", aria_pressed="false"
                )
        bar = self._bars[position]
        told = "unknown" if level is None else f"{level:.0%}"
        if bar.props.get("aria-label") != f"Reply {number}: {told}":
            bar.props["aria-label"] = f"Reply {number}: {told}"
            bar.props["title"] = f"Reply {number}: {told}"
        bar.style(f"--level: {(level or 0) / top:.3f}")
        bar.classes(add="none" if level is None else "", remove="" if level is None else "none")
        pressed(bar, on)


class ProbePanel:
    """The purpose's probes, asked aside when a person wants to know.

    Args:
        count: number of probes of the purpose.
        on_ask: asks them after the reply that is shown.
    """

    def __init__(self, count: int, on_ask: Callable[[], Any]) -> None:
        self._count = count
        with box("section", "panel probes", aria_labelledby="probes"):
            with box("div", "head"):
                text("Does the purpose hold?", "h2", id="probes")
                self._ask = button("Ask the probes", on_ask, classes="small")
            self._note = text("", "p", "hint")
            self._list = box("ul", "scores")
        shown(self._ask, count > 0)

    def show(self, branches: Sequence[Branch], *, possible: bool) -> None:
        """Show what came of the probes that were asked after a reply; of one asked twice, the last time."""
        latest = {branch.probe: branch for branch in branches}
        self._ask.props.set_bool("disabled", not possible)
        if not self._count:
            self._note.text = "The purpose has no [[probes]], so this is unknown."
        elif latest:
            scores = [score for branch in latest.values() if (score := _mean(branch)) is not None]
            mean = f"{sum(scores) / len(scores):.0%}" if scores else "unknown"
            self._note.text = f"Probe score {mean}, mean over {len(scores)} of {len(latest)} probes."
        else:
            self._note.text = "Not asked after this reply. They are asked on a fork; the chat never sees them."
        self._list.clear()
        with self._list:
            for branch in latest.values():
                self._line(branch)

    def _line(self, branch: Branch) -> None:
        score = _mean(branch)
        judged = [answer for answer in branch.answers if answer.score is not None]
        with box("li", "", title=branch.question):
            text(branch.probe, "span", "label")
            told = "unknown" if score is None else f"{score:.0%} of {len(judged)}"
            text(told, "span", "share")
            with box("details"):
                text("answers", "summary", aria_label=f"Answers to {branch.probe}")
                text(branch.question, "p", "question")
                for answer in branch.answers:
                    verdict = answer.reason or "unknown" if answer.score is None else f"{answer.score:.0%}"
                    text(f"{verdict} · {answer.text}", "p", "words")


def _mean(branch: Branch) -> float | None:
    scores = [answer.score for answer in branch.answers if answer.score is not None]
    return sum(scores) / len(scores) if scores else None


class PlannerPanel:
    """What the planner chose before a reply.

    Args:
        planned: whether the purpose has a planner.
        describe: puts an action in words: dialogue acts and their shares; empty if it is no mixture of acts.
    """

    def __init__(self, planned: bool, describe: Callable[[Sequence[float]], Sequence[tuple[str, float]]]) -> None:
        self._planned, self._describe = planned, describe
        with box("section", "panel planner", aria_labelledby="planner"):
            text("Planner", "h2", id="planner")
            self._note = text("", "p", "hint")
            self._list = box("ul", "scores")

    def show(self, turn: KeptTurn | None) -> None:
        """Show what was chosen before a reply."""
        self._list.clear()
        chosen = turn.planner if turn is not None else {}
        action = chosen.get("action")
        if action is None:
            self._note.text = "Nothing was chosen before this reply." if self._planned and turn else ""
            self._note.text = self._note.text or (
                "Chooses before every reply." if self._planned else "The purpose has no planner."
            )
            return
        try:
            shares = list(self._describe(action))
        except (RuntimeError, ValueError, IndexError):  # chosen by another planner, which this one cannot put in words
            shares = []
        act = chosen.get("act")
        self._note.text = f"Act: {act}" if act else f"An action of {len(action)} numbers, which has no name."
        with self._list:
            for name, share in shares:
                with box("li").style(f"--share: {max(0.0, min(1.0, share)):.3f}"):
                    text(name, "span", "label")
                    text(f"{share:.0%}", "span", "share")
