"""The page with the chat: what a person does there, done to the conversation, and shown."""

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
from telic.server.conversation import Conversation, list_conversations
from telic.server.dashboard.beliefs import BeliefPanel, changes
from telic.server.dashboard.chat import Composer, Log
from telic.server.dashboard.compare import Comparison
from telic.server.dashboard.drift import DriftPanel, PlannerPanel, ProbePanel
from telic.server.dashboard.elements import box, pressed
from telic.server.dashboard.frame import frame, holder_of, service_of
from telic.server.dashboard.mounting import PATH
from telic.server.dashboard.sidebar import Sidebar
from telic.server.observer import readings_of
from telic.server.pins import Direction, Pins
from telic.server.problems import ApiError
from telic.server.service import Service
from telic.server.store import KeptTurn

__all__ = ["register"]

SECONDS = 30
"""Time for the store to answer."""

# A log that is read from its end stays there while a reply grows.
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


def _at_length(action: Action[P]) -> Action[P]:
    """Say that the page is busy until all of an action is done: the reply, and what is read at it."""

    @wraps(action)
    async def told(page: ChatPage, /, *arguments: P.args, **options: P.kwargs) -> None:
        page.occupy(1)
        try:
            await action(page, *arguments, **options)
        finally:
            page.occupy(-1)

    return told


def register() -> None:
    """Tell NiceGUI of the pages."""

    @ui.page("/", response_timeout=SECONDS)
    async def new(request: Request) -> None:
        await ChatPage(request, Conversation(service_of(request), holder_of(request))).build()

    @ui.page("/c/{conversation}", response_timeout=SECONDS)
    async def kept(request: Request, conversation: str) -> Response | None:
        try:
            found = await Conversation.open(service_of(request), holder_of(request), conversation)
        except ApiError:  # deleted, or another user's: begin a new one
            return RedirectResponse(f"{PATH}/", 303)
        await ChatPage(request, found).build()
        return None


class ChatPage:
    """One browser's page.

    Args:
        request: for the page.
        conversation: what is shown.
    """

    def __init__(self, request: Request, conversation: Conversation) -> None:
        self._request, self._conversation = request, conversation
        self._client = ui.context.client
        self._service: Service = service_of(request)
        self._selected: int | None = None
        """Position of the reply whose readings are shown; None: always the latest."""
        self._actions = 0
        """Under way."""
        self._busy = self._answering = self._stopped = False
        self._comparison: Comparison | None = None
        self._reading: int | None = None
        """Position of the reply that is being read."""

    async def build(self) -> None:
        """Draw the page."""
        service, observer = self._service, self._service.observer
        no_attention = "" if "attention" in service.model.readings else "Unknown: this model shows no attention."
        with frame(self._request, "chat", self._view) as self._views, box("div", "chat-page") as self._root:
            self._root.props.update({"data-view": "chat", "aria-busy": "false"})
            with box("div", "column-list"):
                self._sidebar = Sidebar()
            with box("div", "column-chat"):
                self._log = Log(service.purpose.name, self)
                self._composer = Composer(self._say, self._stop, self._pin)
            with box("aside", "column-mind", aria_label="Beliefs and drift"):
                self._drift = DriftPanel(self.select, self._to_latest, no_attention)
                self._beliefs = BeliefPanel(
                    observer.readers, observer.why_not, can_pin=observer.can_pin,
                    on_pin=self._pin, on_strength=self._set_strength, on_read=self._read_shown,
                )  # fmt: skip
                self._probes = ProbePanel(len(service.purpose.probes), self._ask_probes)
                self._planner = self._make_planner()
        ui.add_body_html(FOLLOW)
        self._show()
        await self._list()

    def _make_planner(self) -> PlannerPanel:
        planner = next((control for control in self._service.controls if control.name == "planner"), None)
        if planner is None:
            return PlannerPanel(False, lambda _: ())
        return PlannerPanel(True, planner.planner.describe)  # type: ignore[attr-defined]

    def occupy(self, more: int) -> None:
        """Count an action that begins or ends."""
        self._actions += more
        self._root.props["aria-busy"] = str(self._actions > 0).lower()

    def _view(self, name: str) -> None:
        self._root.props["data-view"] = name
        for own, one in self._views.items():
            pressed(one, own == name)

    # What is shown

    @property
    def _shown(self) -> KeptTurn | None:
        """The reply whose readings are shown."""
        if self._selected is not None and self._selected < len(self._conversation.turns):
            return self._conversation.turns[self._selected]
        return next(reversed(self._conversation.replies), None)

    def _show(self) -> None:
        this, turn = self._conversation, self._shown
        self._log.show(this, turn.position if turn else None)
        self._log.lock(self._busy)
        self._composer.pin(this.pins)
        self._composer.busy(self._answering, self._busy or self._comparison is not None)
        self._show_mind()

    def _show_mind(self) -> None:
        this, turn = self._conversation, self._shown
        self._drift.show(this, self._selected)
        self._probes.show(turn.branches if turn else (), possible=turn is not None and not self._busy)
        self._planner.show(turn)
        readings = readings_of(turn.readings) if turn else {}
        note, readable = "", False
        if self._service.observer.readers is not None:
            if turn is None:
                note = "Read after every reply."
            elif turn.position == self._reading:
                note = "Reading …"
            elif not readings:
                note, readable = "Unknown: nothing was read at this reply.", not self._busy
        self._beliefs.show(readings, this.pins, note, readable=readable)

    async def _list(self) -> None:
        with self._complaining():
            found = await list_conversations(self._service, self._conversation.user)
            self._sidebar.show(found, self._conversation.id)

    @contextmanager
    def _complaining(self) -> Iterator[None]:
        """What goes wrong is said on the page."""
        try:
            yield
        except ApiError as error:
            self._composer.complain(error.message)
        except TelicError as error:
            self._composer.complain(str(error))

    @contextmanager
    def _at_work(self, status: str, *, answering: bool = False) -> Iterator[None]:
        """Nothing else is begun meanwhile; a reply can be stopped."""
        self._busy, self._answering, self._stopped = True, answering, False
        self._composer.complain("")
        self._composer.status(status)
        self._show()
        try:
            with self._complaining():
                yield
        finally:
            self._busy = self._answering = False
            self._composer.status("")
            self._show()

    # What a person does

    def select(self, position: int) -> None:
        """Show what was read at a reply."""
        replies = self._conversation.replies
        self._selected = None if replies and position == replies[-1].position else position
        turn = self._shown
        self._log.show(self._conversation, turn.position if turn else None)
        self._log.lock(self._busy)
        self._show_mind()

    def _to_latest(self) -> None:
        replies = self._conversation.replies
        if replies:
            self.select(replies[-1].position)

    @_at_length
    async def _say(self, words: str) -> None:
        if self._busy or self._comparison is not None:
            return
        self._composer.field.value = ""
        self._selected = None
        before = len(self._conversation.turns)
        with self._at_work("Answering …", answering=True):
            waiting = self._log.wait(words, before)
            try:
                await self._hear(self._conversation.say(words), waiting.grow)
            finally:
                waiting.end()
                if len(self._conversation.turns) == before:  # nothing was kept: the words are not lost
                    self._composer.field.value = words
        if self._stopped:  # the button that was pressed is gone
            self._composer.field.run_method("focus")
        await self._after()

    async def _hear(self, pieces: AsyncGenerator[str, None], grow: Callable[[str], None]) -> None:
        async with aclosing(pieces) as heard:
            async for piece in heard:
                grow(piece)
                if self._stopped:
                    break

    def _stop(self) -> None:
        self._stopped = True
        self._composer.status("Stopping …")

    async def _after(self) -> None:
        """A reply was given: name the page after its conversation, and read it."""
        name = self._conversation.id
        if name is not None:
            address = json.dumps(f"{PATH}/c/{name}")
            self._client.run_javascript(f"history.replaceState(null, '', {address})")
        await self._list()
        latest = next(reversed(self._conversation.replies), None)
        if latest is not None and self._service.observer.readers and not readings_of(latest.readings):
            await self._read(latest.position)

    async def _read(self, position: int) -> None:
        self._reading = position
        self._composer.status("Reading beliefs …")
        self._show_mind()
        try:
            with self._complaining():
                await self._conversation.read(position)
        finally:
            self._reading = None
            self._composer.status("")
            self._show()

    @_at_length
    async def _read_shown(self) -> None:
        if (turn := self._shown) is not None and not self._busy:
            await self._read(turn.position)

    @_at_length
    async def _ask_probes(self) -> None:
        turn = self._shown
        if turn is None or self._busy:
            return
        with self._at_work("Asking the probes aside …"):
            await self._conversation.probe(turn.position)

    @_at_length
    async def rate(self, position: int, value: int) -> None:
        """Keep a thumb."""
        with self._complaining():
            await self._conversation.give_feedback(position, "thumb", value)
        self._show()

    @_at_length
    async def rewrite(self, position: int, words: str) -> None:
        """Go on from an edited reply."""
        if self._busy or self._comparison is not None:
            return
        with self._at_work("Keeping the edit …"):
            if words == self._conversation.turns[position].text:
                raise ApiError(400, "the edit is the same as the reply; change it, or cancel")
            self._conversation = await self._conversation.edit(position, words)
            self._selected = None
        self._composer.field.run_method("focus")
        await self._after()

    @_at_length
    async def regenerate(self, position: int, *, pinned: bool) -> None:
        """Have a reply given again, and let a person choose."""
        asked = self._conversation.asked_before(position)
        if self._busy or self._comparison is not None or asked is None:
            return
        old, this = self._conversation.turns[position], self._conversation
        other = this.branch(asked.position)
        if not pinned:
            other.pins = Pins()
        before = len(other.turns)
        self._selected = position if position != this.replies[-1].position else None
        with self._at_work("Regenerating …", answering=True):
            place = self._log.below(position)
            keep = partial(self._choose, this, other, position)
            shown = self._comparison = Comparison(place, old.text, this.pins_of(old), other.pins, keep)
            self._log.hide(position)
            await self._hear(other.say(asked.text), shown.grow)
        if len(other.turns) < before + 2 or self._comparison is None:  # refused, or stopped before its first word
            self._end_comparison()
            return
        self._comparison.ready(True)
        self._composer.status("Choose an answer to go on with.")
        await self._compare_beliefs(old, other, position)

    async def _compare_beliefs(self, old: KeptTurn, other: Conversation, position: int) -> None:
        shown = self._comparison
        if self._service.observer.readers is None or shown is None:
            return
        with self._complaining():
            await other.read(position)
        old_pins = other.pins_of(old)
        before, after = readings_of(old.readings), readings_of(other.turns[position].readings)
        if shown is self._comparison:
            pinned = {reader for reader, _, _ in (*other.pins.each(), *old_pins.each())}
            shown.tell(changes(before, after, pinned) if before and after else None)

    @_at_length
    async def _choose(self, old: Conversation, new: Conversation, position: int, renewed: bool) -> None:
        kept, left = (new, old) if renewed else (old, new)
        self._end_comparison()
        with self._complaining():
            await kept.reload()
            await kept.give_feedback(position, "preferred", {"to": left.id, "position": position})
        pins = self._conversation.pins
        self._conversation, self._selected = kept, None
        self._set_pins(pins)
        self._composer.field.run_method("focus")
        await self._after()

    def _end_comparison(self) -> None:
        if self._comparison is not None:
            self._comparison.end()
            self._comparison = None
            self._log.hide(None)
        self._composer.status("")
        self._show()

    def _pin(self, reader: str, label: str, direction: Direction) -> None:
        self._set_pins(self._conversation.pins.toggled(reader, label, direction))

    def _set_strength(self, strength: float) -> None:
        pins = self._conversation.pins
        self._set_pins(Pins(pins.towards, pins.away, strength))

    def _set_pins(self, pins: Pins) -> None:
        with self._complaining():
            self._conversation.pin(pins)
        self._show()
