"""The model's drift: attention to its purpose, probes on demand, and the choices of its planner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from nicegui.element import Element

from telic.episodes import Branch
from telic.server.attention import attention_relative_to_first
from telic.server.conversation import DashboardConversation
from telic.server.dashboard.elements import box, button, set_pressed, set_visible, text
from telic.server.records import StoredTurn

__all__ = ["DriftPanel", "PlannerPanel", "ProbePanel"]


class DriftPanel:
    """A bar for the attention at each reply; a click on it selects the reply.

    Args:
        on_select: called with the position of the selected reply.
        on_latest: selects the latest reply.
        unavailable_reason: why attention cannot be read; empty if it can.
    """

    def __init__(self, on_select: Callable[[int], Any], on_latest: Callable[[], Any], unavailable_reason: str) -> None:
        self._on_select, self._unavailable_reason = on_select, unavailable_reason
        self._bars: dict[int, Element] = {}
        with box("section", "panel drift", aria_labelledby="drift"):
            with box("div", "head"):
                text("Attention to the purpose", "h2", id="drift")
                self._number = text("", "span", "tag quiet")
                self._latest = button("Latest reply", on_latest, classes="small")
            with box("p", "gauge"):
                self._value = text("", "strong")
                self._words = text("")
            self._chart = box("div", "bars", role="group", aria_label="Replies, and attention at each")
            self._legend = text("Dashed: the level of the first reply. Click a bar to select a reply.", "p", "hint")

    def show(self, conversation: DashboardConversation, selected: int | None) -> None:
        """Show the replies of a conversation, and which one is selected."""
        replies, levels = conversation.replies, attention_relative_to_first(conversation.turns)
        order = [turn.position for turn in replies]
        latest = order[-1] if order else None
        current = latest if selected is None else selected
        self._number.text = f"reply {order.index(current) + 1} of {len(order)}" if current in order else ""
        set_visible(self._number, current in order)
        set_visible(self._latest, current != latest)
        self._show_level(levels, current, replies)
        for position in [position for position in self._bars if position not in order]:
            self._bars.pop(position).delete()
        top = max([1.0, *levels.values()])
        for number, turn in enumerate(replies, start=1):
            self._draw(turn.position, number, levels.get(turn.position), top, current == turn.position)
        self._chart.style(f"--top: {top:.3f}")
        self._chart.classes(add="" if levels else "unread", remove="unread" if levels else "")
        set_visible(self._chart, bool(order))
        set_visible(self._legend, len(levels) > 1)

    def _show_level(self, levels: Mapping[int, float], current: int | None, replies: Sequence[StoredTurn]) -> None:
        level = levels.get(current) if current is not None else None
        set_visible(self._value, level is not None)
        if level is None:
            self._value.text = ""
            if not replies:
                self._words.text = self._unavailable_reason or "Measured at every reply."
            else:
                self._words.text = self._unavailable_reason or "Unknown: attention was not read for this reply."
            return
        self._value.text = f"{level:.0%}"
        is_first = next(iter(levels)) == current
        self._words.text = "the first reply, which sets the level" if is_first else "of its level in the first reply"

    def _draw(self, position: int, number: int, level: float | None, top: float, selected: bool) -> None:
        if position not in self._bars:
            with self._chart:
                self._bars[position] = button(
                    "", partial(self._on_select, position), classes="bar", aria_pressed="false"
                )
        bar = self._bars[position]
        label = f"Reply {number}: {'unknown' if level is None else f'{level:.0%}'}"
        if bar.props.get("aria-label") != label:
            bar.props["aria-label"] = bar.props["title"] = label
        bar.style(f"--level: {(level or 0) / top:.3f}")
        bar.classes(add="none" if level is None else "", remove="" if level is None else "none")
        set_pressed(bar, selected)


class ProbePanel:
    """The purpose's probes, asked on request.

    Args:
        count: number of probes of the purpose.
        on_ask: asks them after the selected reply.
    """

    def __init__(self, count: int, on_ask: Callable[[], Any]) -> None:
        self._count = count
        with box("section", "panel probes", aria_labelledby="probes"):
            with box("div", "head"):
                text("Does the purpose hold?", "h2", id="probes")
                self._ask = button("Ask the probes", on_ask, classes="small")
            self._note = text("", "p", "hint")
            self._list = box("ul", "scores")
        set_visible(self._ask, count > 0)

    def show(self, branches: Sequence[Branch], *, possible: bool) -> None:
        """Show the probes that were asked after the selected reply, each with its latest answers."""
        latest = {branch.probe: branch for branch in branches}
        self._ask.props.set_bool("disabled", not possible)
        if not self._count:
            self._note.text = "The purpose has no [[probes]], so this is unknown."
        elif latest:
            scores = [score for branch in latest.values() if (score := _mean_score(branch)) is not None]
            mean = f"{sum(scores) / len(scores):.0%}" if scores else "unknown"
            self._note.text = f"Probe score {mean}, mean over {len(scores)} of {len(latest)} probes."
        else:
            self._note.text = (
                "Not asked after this reply. Probes are asked on a branch, which does not affect the chat."
            )
        self._list.clear()
        with self._list:
            for branch in latest.values():
                self._show_branch(branch)

    def _show_branch(self, branch: Branch) -> None:
        score = _mean_score(branch)
        judged = [answer for answer in branch.answers if answer.score is not None]
        with box("li", "", title=branch.question):
            text(branch.probe, "span", "label")
            text("unknown" if score is None else f"{score:.0%} of {len(judged)}", "span", "share")
            with box("details"):
                text("answers", "summary", aria_label=f"Answers to {branch.probe}")
                text(branch.question, "p", "question")
                for answer in branch.answers:
                    verdict = answer.reason or "unknown" if answer.score is None else f"{answer.score:.0%}"
                    text(f"{verdict} · {answer.text}", "p", "words")


def _mean_score(branch: Branch) -> float | None:
    scores = [answer.score for answer in branch.answers if answer.score is not None]
    return sum(scores) / len(scores) if scores else None


class PlannerPanel:
    """The planner's choice before a reply.

    Args:
        has_planner: whether the purpose has a planner.
        describe: returns the dialogue acts of an action with their shares; empty if the action is not a mixture of
            acts.
    """

    def __init__(self, has_planner: bool, describe: Callable[[Sequence[float]], Sequence[tuple[str, float]]]) -> None:
        self._has_planner, self._describe = has_planner, describe
        with box("section", "panel planner", aria_labelledby="planner"):
            text("Planner", "h2", id="planner")
            self._note = text("", "p", "hint")
            self._list = box("ul", "scores")

    def show(self, turn: StoredTurn | None) -> None:
        """Show the choice before a reply."""
        self._list.clear()
        chosen = turn.planner_choice if turn is not None else {}
        action = chosen.get("action")
        if action is None:
            self._note.text = self._empty_note(turn)
            return
        try:
            shares = list(self._describe(action))
        except (RuntimeError, ValueError, IndexError):  # another planner chose it, with other acts
            shares = []
        act = chosen.get("act")
        self._note.text = f"Act: {act}" if act else f"An unnamed action of {len(action)} numbers."
        with self._list:
            for name, share in shares:
                with box("li").style(f"--share: {max(0.0, min(1.0, share)):.3f}"):
                    text(name, "span", "label")
                    text(f"{share:.0%}", "span", "share")

    def _empty_note(self, turn: StoredTurn | None) -> str:
        if not self._has_planner:
            return "The purpose has no planner."
        return "Chooses before every reply." if turn is None else "It made no choice before this reply."
