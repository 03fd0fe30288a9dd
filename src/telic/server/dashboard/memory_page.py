"""The page of the memory: users see what is believed of them and why, correct it, and have it forgotten."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from nicegui import ui
from nicegui.element import Element
from starlette.requests import Request

from telic.memory import new_event
from telic.server.dashboard.elements import box, button, set_visible, text
from telic.server.dashboard.frame import frame
from telic.server.dashboard.login import key_holder, page_service
from telic.server.errors import ApiError
from telic.server.user_memories import UserMemories

__all__ = ["register_memory_page"]

RESPONSE_TIMEOUT = 30
"""Longest time to read the memory, in seconds."""
MOST_SHOWN = 500
"""Facts on the page, strongest and latest first."""
LONGEST_VALUE = 500
"""Characters of a corrected value."""

Act = Callable[[Awaitable[Any]], Awaitable[None]]


def register_memory_page() -> None:
    """Register the page with NiceGUI."""

    @ui.page("/memory", response_timeout=RESPONSE_TIMEOUT)
    async def memory(request: Request) -> None:
        memories, user = page_service(request).memories, key_holder(request)
        with frame(request, "memory"), box("div", "memory-page"):
            text("What is remembered about you", "h2")
            if memories is None:
                text("Nothing: the purpose has no [memory] table.", "p", "hint")
            elif not memories.remembers(user):
                text("Nothing: this server remembers only users that a request names.", "p", "hint")
            else:
                await MemoryView(memories, user).show()


class MemoryView:
    """The body of the page.

    Args:
        memories: what is remembered.
        user: the user who sees the page.
    """

    def __init__(self, memories: UserMemories, user: str) -> None:
        self._memories, self._user = memories, user
        text(
            "Taken from what you said and did, never from what the chatbot said. The model gets what matters with your "
            "next message. What you forget here is removed from your conversations too.", "p", "hint",
        )  # fmt: skip
        self._alert = text("", "p", "alert", role="alert")
        set_visible(self._alert, False)
        self._body = box("div", "remembered", aria_live="polite")

    async def show(self) -> None:
        """Read the memory, and draw it anew."""
        try:
            described = await self._memories.describe(self._user)
        except ApiError as error:
            self._warn(error.message)
            return
        self._body.clear()
        with self._body:
            for question in described["questions"]:
                self._show_question(question)
            facts = described["facts"][:MOST_SHOWN]
            if facts:
                with box("ul", "run-list facts"):
                    for fact in facts:
                        self._show_fact(fact)
            else:
                text("Nothing yet.", "p", "hint")
            for failure in described["failures"]:
                text(f"Not read: {failure['extractor']} failed on a message ({failure['reason']}).", "p", "hint")
            self._show_ended(described["ended"])
            if described["events"]:
                self._show_end()

    async def _act(self, work: Awaitable[Any]) -> None:
        """Carry out a change, and show what is remembered then."""
        set_visible(self._alert, False)
        try:
            await work
        except ApiError as error:
            self._warn(error.message)
        else:
            await self.show()

    def _warn(self, message: str) -> None:
        self._alert.text = message
        set_visible(self._alert, True)

    def _show_question(self, question: Mapping[str, Any]) -> None:
        with box("section", "question", aria_label="A question for you"):
            known, said = question["known"], question["said"]
            if question["said_polarity"] == 0:
                text(f"You said: “{said}”. Is this still so?", "p")
            else:
                text("You said two things. Which one is right?", "p")
            with box("div", "actions"):
                self._answer(
                    _words(question["slot"], known, question["known_polarity"]), question, known, "known_polarity"
                )
                if question["said_polarity"]:
                    self._answer(
                        _words(question["slot"], said, question["said_polarity"]), question, said, "said_polarity"
                    )
                forget = partial(self._memories.forget, self._user, known)
                button("Neither; forget this", lambda: self._act(forget()), classes="small")

    def _answer(self, label: str, question: Mapping[str, Any], value: str, side: str) -> None:
        event = partial(new_event, "correction", value, "dashboard", slot=question["slot"], polarity=question[side])
        button(label, lambda: self._act(self._memories.observe(self._user, event())), classes="small")

    def _show_fact(self, fact: Mapping[str, Any]) -> None:
        words = _words(fact["slot"], fact["value"], fact["polarity"])
        with box("li"):
            with box("h3"):
                text(_label(fact["slot"], fact["polarity"]), "span", "tag")
                text(fact["value"], "span", "value")
            since = datetime.fromtimestamp(fact["valid_from"]).astimezone()
            facts = [f"since {since:%Y-%m-%d}", f"only “{fact['context']}”" if fact["context"] else ""]
            text(" · ".join(filter(None, facts)), "p", "hint")
            with box("div", "actions"):
                why = button("Why?", lambda: self._explain(why, reasons, fact), classes="small", aria_expanded="false",
                             aria_label=f"Why? {words}")  # fmt: skip
                button("Correct", lambda: self._toggle(form), classes="small", aria_label=f"Correct: {words}")
                button("Forget", lambda: self._toggle(confirm), classes="small", aria_label=f"Forget: {words}")
            reasons = box("div", "reasons")
            form = self._correction_form(fact, words)
            confirm = self._confirmation(fact, words)
        for hidden in (reasons, form, confirm):
            set_visible(hidden, False)

    def _correction_form(self, fact: Mapping[str, Any], words: str) -> Element:
        with box("form", "correct") as form:
            box("input", type="text", value=fact["value"], maxlength=str(LONGEST_VALUE),
                        aria_label=f"What is right, instead of: {words}")  # fmt: skip
            with box("button", "small primary", type="submit"):
                text("Save")

        async def save(event: Any) -> None:
            value = " ".join(str(event.args).split())[:LONGEST_VALUE]
            if value and value != fact["value"]:
                await self._act(self._replace(fact, value))
            else:
                set_visible(form, False)

        form.on(
            "submit",
            save,
            js_handler="(event) => { event.preventDefault(); emit(event.target.querySelector('input').value) }",
        )
        return form

    async def _replace(self, fact: Mapping[str, Any], value: str) -> None:
        slot, polarity = fact["slot"], fact["polarity"]
        if not self._memories.config.is_single(slot):  # the new value would stand beside the old one
            await self._memories.forget(self._user, fact["value"])
        await self._memories.observe(
            self._user, new_event("correction", value, "dashboard", slot=slot, polarity=polarity)
        )

    def _confirmation(self, fact: Mapping[str, Any], words: str) -> Element:
        with box("div", "confirm", role="group", aria_label=f"Forget for good: {words}") as confirm:
            text("Remove it, with the sentences that say it, for good?")
            forget = partial(self._memories.forget, self._user, fact["value"])
            button("Forget", lambda: self._act(forget()), classes="small danger")
            button("Keep", lambda: set_visible(confirm, False), classes="small")
        return confirm

    def _toggle(self, element: Element) -> None:
        set_visible(element, not element.visible)

    async def _explain(self, why: Element, reasons: Element, fact: Mapping[str, Any]) -> None:
        """Show or hide the evidence of a fact."""
        set_visible(reasons, not reasons.visible)
        why.props["aria-expanded"] = str(reasons.visible).lower()
        if not reasons.visible:
            return
        known = {claim["event"] for claim in fact["evidence"]}
        try:
            found = await self._memories.why(self._user)
        except ApiError as error:
            self._warn(error.message)
            return
        reasons.clear()
        with reasons, box("ul"):
            for reason in found:
                if reason.event.id in known and reason.fact.value == fact["value"]:
                    self._show_reason(reason)

    def _show_reason(self, reason: Any) -> None:
        said, span = reason.event.text, reason.claim.evidence
        when = datetime.fromtimestamp(reason.event.time).astimezone()
        with box("li"):
            text(
                f"{when:%Y-%m-%d %H:%M}, {_SOURCES.get(reason.claim.extractor, reason.claim.extractor)}: ",
                "span",
                "hint",
            )
            text(said[: span.start])
            text(said[span.start : span.end], "mark")
            text(said[span.end :])

    def _show_ended(self, ended: list[dict[str, Any]]) -> None:
        if not ended:
            return
        with box("details", "ended"):
            text(f"No longer believed ({len(ended)})", "summary")
            with box("ul"):
                for fact in ended[-MOST_SHOWN:]:
                    until = datetime.fromtimestamp(fact["valid_to"]).astimezone()
                    words = _words(fact["slot"], fact["value"], fact["polarity"])
                    text(f"{words}, until {until:%Y-%m-%d}", "li")

    def _show_end(self) -> None:
        with box("div", "actions all"):
            button("Undo the last change", lambda: self._act(self._memories.undo(self._user)), classes="small")
            button("Forget everything", lambda: self._toggle(confirm), classes="small")
        with box("div", "confirm", role="group", aria_label="Forget everything for good") as confirm:
            text("Remove everything that is remembered about you, for good?")
            forget = partial(self._memories.forget, self._user, "")
            button("Forget everything", lambda: self._act(forget()), classes="small danger", id="forget-everything")
            button("Keep", lambda: set_visible(confirm, False), classes="small")
        set_visible(confirm, False)


_SOURCES = {
    "statements": "you said",
    "explicit": "you asked to remember",
    "edits": "you edited a reply",
    "choices": "you chose",
    "corrections": "you corrected",
    "scorer": "the model read",
}


def _label(slot: str, polarity: int) -> str:
    if slot == "taste":
        return "likes" if polarity > 0 else "dislikes"
    return slot if polarity > 0 else f"{slot}: not"


def _words(slot: str, value: str, polarity: int) -> str:
    return f"{_label(slot, polarity)} {value}"
