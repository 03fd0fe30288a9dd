"""The chat page: applies the user's actions to the conversation, and shows the result."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec

from nicegui import ui
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from telic.errors import TelicError
from telic.server.beliefs import stored_beliefs
from telic.server.conversation import ServedConversation
from telic.server.conversation_list import list_conversations
from telic.server.dashboard.answer_comparison import AnswerComparison
from telic.server.dashboard.belief_panel import BeliefPanel, belief_changes
from telic.server.dashboard.chat_log import ChatLog
from telic.server.dashboard.composer import Composer
from telic.server.dashboard.drift_panels import DriftPanel, PlannerPanel, ProbePanel
from telic.server.dashboard.elements import box, set_pressed
from telic.server.dashboard.frame import frame
from telic.server.dashboard.login import key_holder, page_service
from telic.server.dashboard.paths import PATH
from telic.server.dashboard.sidebar import Sidebar
from telic.server.errors import ApiError
from telic.server.pins import Direction, Pins
from telic.server.records import StoredTurn
from telic.server.service import Service

__all__ = ["register_chat_pages"]

RESPONSE_TIMEOUT = 30
"""Seconds to read the store."""

# Keeps the log scrolled to its end while a reply grows, unless the user has scrolled up.
FOLLOW = """
<script>
(function follow() {
  const log = document.querySelector('.log');
  if (!log) { setTimeout(follow, 50); return; }
  let stick = true;
  const end = () => { if (stick) log.scrollTop = log.scrollHeight; };
  log.addEventListener('scroll', () => { stick = log.scrollHeight - log.scrollTop - log.clientHeight < 60; });
  new MutationObserver(end).observe(log, { childList: true, subtree: true, characterData: true });
  end();
})();
</script>
"""


P = ParamSpec("P")
Action = Callable[Concatenate["ChatPage", P], Coroutine[Any, Any, None]]


def _marks_busy(action: Action[P]) -> Action[P]:
    """Mark the page as busy (`aria-busy`) until all of an action is done, with the readings after a reply."""

    @wraps(action)
    async def marked(page: ChatPage, /, *arguments: P.args, **options: P.kwargs) -> None:
        page.count_action(1)
        try:
            await action(page, *arguments, **options)
        finally:
            page.count_action(-1)

    return marked


def register_chat_pages() -> None:
    """Register the pages with NiceGUI."""

    @ui.page("/", response_timeout=RESPONSE_TIMEOUT)
    async def new(request: Request) -> None:
        await ChatPage(request, ServedConversation(page_service(request), key_holder(request))).build()

    @ui.page("/c/{conversation}", response_timeout=RESPONSE_TIMEOUT)
    async def stored(request: Request, conversation: str) -> Response | None:
        try:
            opened = await ServedConversation.open(page_service(request), key_holder(request), conversation)
        except ApiError:  # deleted, or another user's: begin a new one
            return RedirectResponse(f"{PATH}/", 303)
        await ChatPage(request, opened).build()
        return None


class ChatPage:
    """The page of one browser.

    Args:
        request: the request for the page.
        conversation: the conversation to show.
    """

    def __init__(self, request: Request, conversation: ServedConversation) -> None:
        self._request, self._conversation = request, conversation
        self._client = ui.context.client
        self._service: Service = page_service(request)
        self._selected: int | None = None
        """Position of the selected reply; None: always the latest."""
        self._active_actions = 0
        self._busy = self._answering = self._stopped = False
        self._comparison: AnswerComparison | None = None
        self._reading: int | None = None
        """Position of the reply whose beliefs are being read."""

    async def build(self) -> None:
        """Build the page."""
        service, beliefs = self._service, self._service.beliefs
        has_attention = "attention" in service.runner.model.readings
        with frame(self._request, "chat", self._show_view) as self._views, box("div", "chat-page") as self._root:
            self._root.props.update({"data-view": "chat", "aria-busy": "false"})
            with box("div", "column-list"):
                self._sidebar = Sidebar()
            with box("div", "column-chat"):
                self._log = ChatLog(service.purpose.name, self)
                self._composer = Composer(self._say, self._stop, self._toggle_pin)
            with box("aside", "column-mind", aria_label="Beliefs and drift"):
                no_attention = "" if has_attention else "Unknown: this model shows no attention."
                self._drift = DriftPanel(self.select, self._select_latest, no_attention)
                self._beliefs = BeliefPanel(
                    beliefs.readers, beliefs.unavailable_reason, can_pin=beliefs.can_pin,
                    on_pin=self._toggle_pin, on_strength=self._set_strength, on_read=self._read_selected,
                )  # fmt: skip
                self._probes = ProbePanel(len(service.purpose.probes), self._ask_probes)
                self._planner = self._make_planner_panel()
        ui.add_body_html(FOLLOW)
        self._show()
        await self._show_list()

    def _make_planner_panel(self) -> PlannerPanel:
        planner = next((control for control in self._service.controls.default if control.name == "planner"), None)
        if planner is None:
            return PlannerPanel(False, lambda _: ())
        return PlannerPanel(True, planner.planner.describe)  # type: ignore[attr-defined]

    def count_action(self, change: int) -> None:
        """Count an action that begins (1) or ends (-1)."""
        self._active_actions += change
        self._root.props["aria-busy"] = str(self._active_actions > 0).lower()

    # Showing

    def _show_view(self, name: str) -> None:
        self._root.props["data-view"] = name
        for own, one in self._views.items():
            set_pressed(one, own == name)

    @property
    def _selected_turn(self) -> StoredTurn | None:
        """The selected reply, or the latest one."""
        if self._selected is not None and self._selected < len(self._conversation.turns):
            return self._conversation.turns[self._selected]
        return next(reversed(self._conversation.replies), None)

    def _show(self) -> None:
        self._show_log()
        self._composer.show_pins(self._conversation.pins)
        self._composer.set_busy(answering=self._answering, locked=self._busy or self._comparison is not None)
        self._show_panels()

    def _show_log(self) -> None:
        turn = self._selected_turn
        self._log.show(self._conversation, turn.position if turn else None)
        self._log.lock(self._busy)

    def _show_panels(self) -> None:
        turn = self._selected_turn
        self._drift.show(self._conversation, self._selected)
        self._probes.show(turn.branches if turn else (), possible=turn is not None and not self._busy)
        self._planner.show(turn)
        beliefs = stored_beliefs(turn.readings) if turn else {}
        note, readable = "", False
        if self._service.beliefs.readers is not None:
            if turn is None:
                note = "Read after every reply."
            elif turn.position == self._reading:
                note = "Reading …"
            elif not beliefs:
                note, readable = "Unknown: beliefs were not read at this reply.", not self._busy
        self._beliefs.show(beliefs, self._conversation.pins, note, readable=readable)

    async def _show_list(self) -> None:
        with self._showing_errors():
            summaries = await list_conversations(self._service, self._conversation.user)
            self._sidebar.show(summaries, self._conversation.id)

    @contextmanager
    def _showing_errors(self) -> Iterator[None]:
        """Show errors on the page."""
        try:
            yield
        except ApiError as error:
            self._composer.show_error(error.message)
        except TelicError as error:
            self._composer.show_error(str(error))

    @contextmanager
    def _working(self, status: str, *, answering: bool = False) -> Iterator[None]:
        """Lock the page during an action; if it generates a reply, show the button that stops it."""
        self._busy, self._answering, self._stopped = True, answering, False
        self._composer.show_error("")
        self._composer.show_status(status)
        self._show()
        try:
            with self._showing_errors():
                yield
        finally:
            self._busy = self._answering = False
            self._composer.show_status("")
            self._show()

    # Actions of the user

    def select(self, position: int) -> None:
        """Show the readings of a reply."""
        replies = self._conversation.replies
        self._selected = None if replies and position == replies[-1].position else position
        self._show_log()
        self._show_panels()

    def _select_latest(self) -> None:
        replies = self._conversation.replies
        if replies:
            self.select(replies[-1].position)

    @_marks_busy
    async def _say(self, words: str) -> None:
        if self._busy or self._comparison is not None:
            return
        self._composer.field.value = ""
        self._selected = None
        before = len(self._conversation.turns)
        with self._working("Answering …", answering=True):
            pending = self._log.add_pending(words, before)
            try:
                await self._receive(self._conversation.say(words), pending.append)
            finally:
                pending.remove()
                if len(self._conversation.turns) == before:  # nothing was stored: give the words back
                    self._composer.field.value = words
        if self._stopped:  # the focused button has disappeared
            self._composer.field.run_method("focus")
        await self._after_reply()

    async def _receive(self, reply: AsyncGenerator[str, None], append: Callable[[str], None]) -> None:
        async with aclosing(reply) as pieces:
            async for piece in pieces:
                append(piece)
                if self._stopped:
                    break

    def _stop(self) -> None:
        self._stopped = True
        self._composer.show_status("Stopping …")

    async def _after_reply(self) -> None:
        """Set the page's address to the conversation, and read the beliefs at the new reply."""
        name = self._conversation.id
        if name is not None:
            address = json.dumps(f"{PATH}/c/{name}")
            self._client.run_javascript(f"history.replaceState(null, '', {address})")
        await self._show_list()
        latest = next(reversed(self._conversation.replies), None)
        if latest is not None and self._service.beliefs.readers and not stored_beliefs(latest.readings):
            await self._read(latest.position)

    async def _read(self, position: int) -> None:
        self._reading = position
        self._composer.show_status("Reading beliefs …")
        self._show_panels()
        try:
            with self._showing_errors():
                await self._conversation.read(position)
        finally:
            self._reading = None
            self._composer.show_status("")
            self._show()

    @_marks_busy
    async def _read_selected(self) -> None:
        if (turn := self._selected_turn) is not None and not self._busy:
            await self._read(turn.position)

    @_marks_busy
    async def _ask_probes(self) -> None:
        turn = self._selected_turn
        if turn is None or self._busy:
            return
        with self._working("Asking the probes …"):
            await self._conversation.probe(turn.position)

    @_marks_busy
    async def rate(self, position: int, value: int) -> None:
        """Store a thumb."""
        with self._showing_errors():
            await self._conversation.give_feedback(position, "thumb", value)
        self._show()

    @_marks_busy
    async def rewrite(self, position: int, words: str) -> None:
        """Continue from an edited reply."""
        if self._busy or self._comparison is not None:
            return
        with self._working("Saving the edit …"):
            if words == self._conversation.turns[position].text:
                raise ApiError(400, "the edit equals the reply; change it, or cancel")
            self._conversation = await self._conversation.edit(position, words)
            self._selected = None
        self._composer.field.run_method("focus")
        await self._after_reply()

    @_marks_busy
    async def regenerate(self, position: int, *, pinned: bool) -> None:
        """Generate a reply again on a branch, and let the user choose one of the two."""
        conversation = self._conversation
        user_turn = conversation.user_turn_before(position)
        if self._busy or self._comparison is not None or user_turn is None:
            return
        old = conversation.turns[position]
        branch = conversation.branch(user_turn.position)
        if not pinned:
            branch.pins = Pins()
        before = len(branch.turns)
        self._selected = position if position != conversation.replies[-1].position else None
        with self._working("Regenerating …", answering=True):
            choose = partial(self._choose, conversation, branch, position)
            comparison = AnswerComparison(
                self._log.add_below(position), old.text, conversation.pins_of(old), branch.pins, choose
            )
            self._comparison = comparison
            self._log.hide(position)
            await self._receive(branch.say(user_turn.text), comparison.append)
        if len(branch.turns) < before + 2 or self._comparison is None:  # refused, or stopped before its first word
            self._end_comparison()
            return
        self._comparison.enable(True)
        self._composer.show_status("Choose an answer to continue with.")
        await self._compare_beliefs(old, branch, position)

    async def _compare_beliefs(self, old: StoredTurn, branch: ServedConversation, position: int) -> None:
        comparison = self._comparison
        if self._service.beliefs.readers is None or comparison is None:
            return
        with self._showing_errors():
            await branch.read(position)
        before, after = stored_beliefs(old.readings), stored_beliefs(branch.turns[position].readings)
        if comparison is self._comparison:  # the user has not chosen meanwhile
            pinned = {reader for reader, _, _ in (*branch.pins.items(), *branch.pins_of(old).items())}
            comparison.show_changes(belief_changes(before, after, pinned) if before and after else None)

    @_marks_busy
    async def _choose(self, old: ServedConversation, new: ServedConversation, position: int, chose_new: bool) -> None:
        chosen, other = (new, old) if chose_new else (old, new)
        self._end_comparison()
        with self._showing_errors():
            await chosen.reload()
            await chosen.give_feedback(position, "preferred", {"to": other.id, "position": position})
        pins = self._conversation.pins
        self._conversation, self._selected = chosen, None
        self._set_pins(pins)
        self._composer.field.run_method("focus")
        await self._after_reply()

    def _end_comparison(self) -> None:
        if self._comparison is not None:
            self._comparison.remove()
            self._comparison = None
            self._log.hide(None)
        self._composer.show_status("")
        self._show()

    def _toggle_pin(self, reader: str, label: str, direction: Direction) -> None:
        self._set_pins(self._conversation.pins.toggled(reader, label, direction))

    def _set_strength(self, strength: float) -> None:
        pins = self._conversation.pins
        self._set_pins(Pins(pins.towards, pins.away, strength))

    def _set_pins(self, pins: Pins) -> None:
        with self._showing_errors():
            self._conversation.pin(pins)
        self._show()
