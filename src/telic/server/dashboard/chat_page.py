"""The chat page: applies the user's actions to the conversation."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec

from nicegui import ui
from starlette.requests import Request

from telic.errors import TelicError
from telic.server.beliefs import stored_beliefs
from telic.server.conversation import DashboardConversation
from telic.server.conversation_list import list_conversations
from telic.server.dashboard.answer_comparison import AnswerComparison
from telic.server.dashboard.belief_panel import belief_changes
from telic.server.dashboard.chat_view import ChatState, ChatStatus, ChatView
from telic.server.dashboard.login import key_holder, page_service
from telic.server.dashboard.paths import PATH
from telic.server.errors import ApiError
from telic.server.pins import Direction, Pins
from telic.server.records import StoredTurn
from telic.server.service import Service

__all__ = ["register_chat_pages"]

RESPONSE_TIMEOUT = 30
"""Longest time to read the store, in seconds."""

MISSING = (
    "This conversation was not found: it was deleted, or it belongs to another user. Your next message starts a new "
    "one."
)

P = ParamSpec("P")
Action = Callable[Concatenate["ChatPage", P], Coroutine[Any, Any, None]]


def register_chat_pages() -> None:
    """Register the pages with NiceGUI."""

    @ui.page("/", response_timeout=RESPONSE_TIMEOUT)
    async def new(request: Request) -> None:
        conversation = DashboardConversation(page_service(request), key_holder(request))
        await ChatPage(request, conversation).show()

    @ui.page("/c/{conversation}", response_timeout=RESPONSE_TIMEOUT)
    async def stored(request: Request, conversation: str) -> None:
        service, holder, error = page_service(request), key_holder(request), ""
        try:
            opened = await DashboardConversation.open(service, holder, conversation)
        except ApiError as refusal:
            opened = DashboardConversation(service, holder)
            error = MISSING if refusal.status == 404 else refusal.message
        page = ChatPage(request, opened)
        await page.show()
        if error:
            page.view.composer.show_error(error)


def _marks_busy(action: Action[P]) -> Action[P]:
    """Mark the page as busy until an action is done, including the readings after a reply."""

    @wraps(action)
    async def marked(page: ChatPage, /, *arguments: P.args, **options: P.kwargs) -> None:
        page.view.count_action(1)
        try:
            await action(page, *arguments, **options)
        finally:
            page.view.count_action(-1)

    return marked


class ChatPage:
    """The page of one browser.

    Args:
        request: the request for the page.
        conversation: the conversation to show.
    """

    def __init__(self, request: Request, conversation: DashboardConversation) -> None:
        self._client = ui.context.client
        self._service: Service = page_service(request)
        self._state = ChatState(conversation)
        self._comparison: AnswerComparison | None = None
        self.view = ChatView(request, self._service, self)

    async def show(self) -> None:
        """Show the conversation, and the list of all conversations."""
        self._show()
        await self._show_list()

    @property
    def _conversation(self) -> DashboardConversation:
        return self._state.conversation

    def _show(self) -> None:
        self.view.show(self._state)

    async def _show_list(self) -> None:
        with self._showing_errors():
            summaries = await list_conversations(self._service, self._conversation.user, self.view.sidebar.words)
            self.view.show_list(summaries, self._conversation.id)

    @contextmanager
    def _showing_errors(self) -> Iterator[None]:
        """Show errors on the page."""
        try:
            yield
        except ApiError as error:
            self.view.composer.show_error(error.message)
        except TelicError as error:
            self.view.composer.show_error(str(error))

    @contextmanager
    def _working(self, label: str, status: ChatStatus = ChatStatus.WORKING) -> Iterator[None]:
        """Set the status of the page during an action, and show errors."""
        self._state.status = status
        self.view.composer.show_error("")
        self.view.composer.show_status(label)
        self._show()
        try:
            with self._showing_errors():
                yield
        finally:
            self._state.status = ChatStatus.READY if self._comparison is None else ChatStatus.CHOOSING
            self.view.composer.show_status("")
            self._show()

    async def search(self) -> None:
        """List only the conversations with the words of the search."""
        await self._show_list()

    @_marks_busy
    async def delete(self, conversation: str) -> None:
        """Delete a conversation with its branches; if it is open, begin a new one."""
        if self._state.status.is_busy:
            return
        deleted: list[str] = []
        with self._showing_errors():
            deleted = await self._service.delete_conversation(self._conversation.user, conversation)
        if self._conversation.id in deleted:
            self._client.open("/")  # below the path of the dashboard
        await self._show_list()

    def select(self, position: int) -> None:
        """Show the readings of a reply."""
        self._state.select(position)
        self.view.show_selected(self._state)

    def select_latest(self) -> None:
        """Show the readings of the latest reply."""
        if (latest := self._state.latest_reply) is not None:
            self.select(latest.position)

    @_marks_busy
    async def say(self, words: str) -> None:
        """Send a message, and show the reply while it is generated."""
        if self._state.status is not ChatStatus.READY:
            return
        field = self.view.composer.field
        field.value = ""
        self._state.selected = self._state.explained = None
        before, stopped = len(self._conversation.turns), False
        with self._working("Answering …", ChatStatus.ANSWERING):
            pending = self.view.log.add_pending(words, before)
            try:
                await self._receive(self._conversation.say(words), pending.append)
            finally:
                stopped = self._state.status.is_stopping
                pending.remove()
                if len(self._conversation.turns) == before:  # nothing was stored: give the words back
                    field.value = words
        if stopped:  # the focused button has disappeared
            field.run_method("focus")
        await self._after_reply()

    async def _receive(self, reply: AsyncGenerator[str, None], append: Callable[[str], None]) -> None:
        """Show the pieces of a reply as they arrive, until it is complete or the user stops it."""
        async with aclosing(reply) as pieces:
            async for piece in pieces:
                append(piece)
                if self._state.status.is_stopping:
                    return

    def stop(self) -> None:
        """Stop the reply that is being generated."""
        if self._state.status is ChatStatus.ANSWERING:
            self._state.status = ChatStatus.STOPPING
            self.view.composer.show_status("Stopping …")

    async def _after_reply(self) -> None:
        """Set the page's address to the conversation, and read the beliefs at the new reply."""
        name = self._conversation.id
        if name is not None:
            address = json.dumps(f"{PATH}/c/{name}")
            self._client.run_javascript(f"history.replaceState(null, '', {address})")
        await self._show_list()
        latest = self._state.latest_reply
        if latest is not None and self._service.beliefs.can_read and not stored_beliefs(latest.readings):
            await self._read(latest.position)

    async def _read(self, position: int) -> None:
        self._state.reading = position
        self.view.composer.show_status("Reading beliefs …")
        self.view.show_selected(self._state)
        try:
            with self._showing_errors():
                await self._conversation.read_beliefs(position)
        finally:
            self._state.reading = None
            self.view.composer.show_status("")
            self._show()

    @_marks_busy
    async def read_selected(self) -> None:
        """Read the beliefs at the selected reply."""
        if (turn := self._state.selected_turn) is not None and not self._state.status.is_busy:
            await self._read(turn.position)

    @_marks_busy
    async def explain(self, reader: str) -> None:
        """Show which words moved a reading, or hide it if it is shown."""
        state, conversation = self._state, self._conversation
        state.explained = None if state.explained == reader else reader
        self.view.show_evidence(state)
        key = state.evidence_key
        if key is None or key in state.evidence or key in state.searching or self._service.beliefs.reason_off(reader):
            return
        state.searching.add(key)
        self.view.show_evidence(state)
        try:
            with self._showing_errors():
                state.evidence[key] = await conversation.find_evidence(key[1], reader)
        finally:
            state.searching.discard(key)
            self.view.show_evidence(state)

    @_marks_busy
    async def ask_probes(self) -> None:
        """Ask the probes after the selected reply."""
        turn = self._state.selected_turn
        if turn is None or self._state.status.is_busy:
            return
        with self._working("Asking the probes …"):
            await self._conversation.ask_probes(turn.position)

    @_marks_busy
    async def rate(self, position: int, value: int) -> None:
        """Store a thumb: 1, -1, or 0 to withdraw it."""
        with self._showing_errors():
            await self._conversation.give_feedback(position, "thumb", value)
        self._show()

    @_marks_busy
    async def rewrite(self, position: int, words: str) -> None:
        """Continue from an edited reply."""
        if self._state.status is not ChatStatus.READY:
            return
        with self._working("Saving the edit …"):
            if words == self._conversation.turns[position].text:
                raise ApiError(400, "the edit is the same as the reply; change it, or cancel")
            self._state.conversation = await self._conversation.edit_reply(position, words)
            self._state.selected = None
        self.view.composer.field.run_method("focus")
        await self._after_reply()

    @_marks_busy
    async def regenerate(self, position: int, *, pinned: bool) -> None:
        """Generate a reply again on a branch, and let the user choose one of the two."""
        conversation = self._conversation
        user_turn = conversation.user_turn_before(position)
        if self._state.status is not ChatStatus.READY or user_turn is None:
            return
        old, branch = conversation.turns[position], conversation.branch(user_turn.position)
        if not pinned:
            branch.pins = Pins()
        before = len(branch.turns)
        self._state.select(position)
        with self._working("Regenerating …", ChatStatus.ANSWERING):
            parent = self.view.log.add_below(position)
            choose = partial(self._choose, conversation, branch, position)
            comparison = AnswerComparison(parent, old.text, conversation.pins_of(old), branch.pins, choose)
            self._comparison = comparison
            self.view.log.hide(position)
            await self._receive(branch.say(user_turn.text), comparison.append)
        if len(branch.turns) < before + 2 or self._comparison is None:  # refused, or stopped before its first word
            self._end_comparison()
            return
        self._comparison.enable(True)
        self.view.composer.show_status("Choose an answer to continue.")
        await self._compare_beliefs(old, branch, position)

    async def _compare_beliefs(self, old: StoredTurn, branch: DashboardConversation, position: int) -> None:
        comparison = self._comparison
        if not self._service.beliefs.can_read or comparison is None:
            return
        with self._showing_errors():
            await branch.read_beliefs(position)
        before, after = stored_beliefs(old.readings), stored_beliefs(branch.turns[position].readings)
        if comparison is self._comparison:  # the user has not chosen meanwhile
            pinned = {reader for reader, _, _ in (*branch.pins.triples(), *branch.pins_of(old).triples())}
            comparison.show_changes(belief_changes(before, after, pinned) if before and after else None)

    @_marks_busy
    async def _choose(
        self, old: DashboardConversation, new: DashboardConversation, position: int, chose_new: bool
    ) -> None:
        chosen, other = (new, old) if chose_new else (old, new)
        self._end_comparison()
        with self._showing_errors():
            await chosen.reload()
            await chosen.give_feedback(position, "preferred", {"to": other.id, "position": position})
        pins = self._conversation.pins
        self._state.conversation, self._state.selected = chosen, None
        self._set_pins(pins)
        self.view.composer.field.run_method("focus")
        await self._after_reply()

    def _end_comparison(self) -> None:
        if self._comparison is not None:
            self._comparison.remove()
            self._comparison = None
            self.view.log.hide(None)
        if self._state.status is ChatStatus.CHOOSING:
            self._state.status = ChatStatus.READY
        self.view.composer.show_status("")
        self._show()

    def toggle_pin(self, reader: str, label: str, direction: Direction) -> None:
        """Add or remove a pin."""
        self._set_pins(self._conversation.pins.toggled(reader, label, direction))

    def set_strength(self, strength: float) -> None:
        """Set the strength of the pins."""
        pins = self._conversation.pins
        self._set_pins(Pins(pins.towards, pins.away, strength))

    def _set_pins(self, pins: Pins) -> None:
        with self._showing_errors():
            self._conversation.set_pins(pins)
        self._show()
