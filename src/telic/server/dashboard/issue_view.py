"""One session on an issue: what was found, the question, the patch, and what the person can do about them.

The page changes nothing but the session's file of answers: the session itself applies a patch, once it is accepted.
What is typed stays while the page is brought up to date: a part is drawn anew only when it has changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from nicegui.element import Element

from telic.episodes import Turn
from telic.errors import TelicError
from telic.issues.live import AnswerKind, LiveSession, give_answer
from telic.server.dashboard.elements import box, button, set_visible, text
from telic.server.dashboard.step_view import show_diff, show_foldable, show_steps
from telic.server.live_issues import ShownIssue

__all__ = ["IssueView"]

IN_TERMINAL = "Answer it in the terminal in which `telic pair` runs."
INTERRUPTED = "The session is not running. To go on: telic pair --resume {folder}"
WAITING = "Sent; the session will continue in a moment."


class IssueView:
    """The body of the page.

    Args:
        shown: the session.
    """

    def __init__(self, shown: ShownIssue) -> None:
        self._shown = shown
        self._drawn: dict[str, Hashable] = {}
        self._sent = ""
        """The wait that was answered last."""
        with box("div", "head"):
            text(shown.session.title or shown.folder.name, "h2")
            self._status = text("", "span", "tag", role="status")
        text(shown.session.repository, "p", "hint")
        self._note = text("", "p", "hint")
        self._alert = text("", "p", "alert", role="alert")
        self._parts = {name: box("section", name) for name in ("question", "decision", "found", "dialogue")}
        self.show(shown)

    def show(self, shown: ShownIssue) -> None:
        """Bring the page up to date."""
        self._shown, session = shown, shown.session
        self._status.text = shown.status
        self._status.classes(
            add="waiting" if shown.is_answerable else "act", remove="act" if shown.is_answerable else "waiting"
        )
        self._say(session)
        if self._drawn.get("problem") != session.problem:
            self._drawn["problem"] = session.problem
            self._warn(session.problem)
        step, can = session.step, shown.is_answerable
        asks = session.waits_for == "answer"
        question = (session.question, session.options) if session.question else ()
        self._draw("question", (question, step if asks else "", can), lambda: self._draw_question(asks and can))
        decides = session.waits_for == "decision"
        patch = (session.patch, session.tests, session.stopped) if session.stage in ("decide", "done") else ()
        self._draw("decision", (patch, step if decides else "", can), lambda: self._draw_patch(decides and can))
        self._draw("found", (session.findings, session.attempts), self._draw_found)
        self._draw("dialogue", len(session.turns), self._draw_dialogue)

    def end(self, why: str) -> None:
        """Show why the session can no longer be shown."""
        self._warn(why)
        for name, part in self._parts.items():
            part.clear()
            self._drawn[name] = None

    def _say(self, session: LiveSession) -> None:
        note = ""
        if session.stage != "done" and not self._shown.is_running:
            note = INTERRUPTED.format(folder=self._shown.folder)
        elif session.stage != "done" and not session.on_page:
            note = IN_TERMINAL
        elif session.step and session.step == self._sent:
            note = WAITING
        self._note.text = note
        set_visible(self._note, bool(note))

    def _warn(self, problem: str) -> None:
        self._alert.text = problem
        set_visible(self._alert, bool(problem))

    def _draw(self, name: str, state: Hashable, draw: Callable[[], None]) -> None:
        """Draw a part anew if what it shows has changed."""
        if self._drawn.get(name, ...) != state:
            self._drawn[name] = state
            self._parts[name].clear()
            self._parts[name].props.set_bool("inert", False)
            with self._parts[name]:
                draw()

    def _draw_question(self, can_answer: bool) -> None:
        session = self._shown.session
        if not session.question:
            return
        text("Question", "h3")
        text(session.question, "p", "words")
        if not can_answer:
            with box("ol", "options"):
                for option in session.options:
                    text(option, "li")
            return
        with box("div", "actions options", role="group", aria_label="Likely answers"):
            for option in session.options:
                button(option, partial(self._answer, session.step, "answer", option))
            button("I do not know", partial(self._answer, session.step, "answer", ""), classes="quiet")
        self._form("Your own words", "Answer", "answer", "", rows=2)

    def _draw_patch(self, can_decide: bool) -> None:
        session = self._shown.session
        if session.stage not in ("decide", "done"):
            return
        text("Patch", "h3")
        if session.patch:
            show_diff(session.patch)
        show_foldable(session.tests, f"tests {'passed' if session.passed else 'failed'}")
        if session.stopped:
            text(f"The work was stopped: {session.stopped}.", "p", "hint")
        if can_decide:
            self._draw_decisions(session)

    def _draw_decisions(self, session: LiveSession) -> None:
        forms: dict[str, Element] = {}

        def only(name: str) -> None:
            for own, form in forms.items():
                set_visible(form, own == name and not form.visible)

        with box("div", "actions", role="group", aria_label="Decide about the patch"):
            if session.patch:
                button("Accept", partial(self._answer, session.step, "accept", ""), classes="primary")
                button("Edit", lambda: only("edit"))
            button("Send back", lambda: only("comment"))
            button("Discard", lambda: only("revert"))
        text("Accepting applies the patch to the checkout; nothing is committed.", "p", "hint")
        if session.patch:
            forms["edit"] = self._form("The patch", "Test the edited patch", "edit", session.patch, rows=16)
        forms["comment"] = self._form("What should be changed?", "Send back", "comment", "", rows=3)
        with box("div", "confirm", role="group", aria_label="Discard the patch for good") as forms["revert"]:
            text("Discard the patch? The session ends.")
            button("Discard for good", partial(self._answer, session.step, "revert", ""), classes="small danger")
            button("Keep", lambda: only(""), classes="small")
        for form in forms.values():
            set_visible(form, False)

    def _form(self, label: str, action: str, kind: AnswerKind, value: str, rows: int) -> Element:
        step = self._shown.session.step
        with box("form", f"reply to-{kind}") as form:
            # As its content: a property would be set again with every change of the page, over what was typed.
            text(value, "textarea", aria_label=label, placeholder=label, rows=str(rows), spellcheck="false")
            with box("button", "primary", type="submit"):
                text(action)

        async def send(event: Any) -> None:
            said = str(event.args)
            if said.strip() or kind == "edit":
                await self._answer(step, kind, said)
            else:
                self._warn("Nothing is written yet.")

        form.on(
            "submit",
            send,
            js_handler="(event) => { event.preventDefault(); emit(event.target.querySelector('textarea').value) }",
        )
        return form

    def _draw_found(self) -> None:
        session = self._shown.session
        if session.findings:
            text("What was found", "h3")
            text(session.findings, "p", "words")
        if session.attempts:
            text("What was tried", "h3")
            with box("ol", "attempts"):
                for attempt in session.attempts:
                    with box("li"):
                        show_foldable(attempt, "attempt")

    def _draw_dialogue(self) -> None:
        text("Dialogue", "h3")
        for turn in self._shown.session.turns:
            self._draw_turn(turn)

    def _draw_turn(self, turn: Turn) -> None:
        with box("article", f"turn {'user' if turn.role == 'user' else 'bot'}"):
            text(f"{'You' if turn.role == 'user' else 'Pair'}: {turn.act}", "h4")
            show_steps([one for one in turn.steps if one.content.strip() != turn.text.strip()])
            if turn.act == "patch" and turn.text:
                with box("details", "long"):
                    text(f"A patch of {turn.text.count(chr(10))} lines", "summary")
                    show_diff(turn.text)
            else:
                show_foldable(turn.text or "(nothing)", "words", is_open=turn.role == "user")

    async def _answer(self, step: str, kind: AnswerKind, said: str) -> None:
        """Give the person's answer to the session, for the wait that the page showed."""
        try:
            await asyncio.to_thread(give_answer, self._shown.folder, kind, said, step)
        except TelicError as error:
            self._warn(str(error))
            return
        self._sent = step
        self._warn("")
        self._say(self._shown.session)
        for name in ("question", "decision"):
            self._parts[name].props.set_bool("inert", True)
