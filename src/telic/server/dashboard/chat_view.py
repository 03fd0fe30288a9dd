"""What the chat page shows: the list of conversations, the chat, the panels."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Protocol

from nicegui import ui
from starlette.requests import Request

from telic.server.beliefs import stored_beliefs
from telic.server.conversation import DashboardConversation
from telic.server.dashboard.belief_panel import BeliefPanel
from telic.server.dashboard.chat_log import ChatLog
from telic.server.dashboard.composer import Composer
from telic.server.dashboard.drift_panels import DriftPanel, PlannerPanel, ProbePanel
from telic.server.dashboard.elements import box, set_pressed
from telic.server.dashboard.frame import frame
from telic.server.dashboard.sidebar import Sidebar
from telic.server.dashboard.turn_view import TurnActions
from telic.server.pins import Direction, Pins
from telic.server.records import ConversationSummary, StoredTurn
from telic.server.service import Service

if TYPE_CHECKING:
    from telic.readers.evidence import Evidence

__all__ = ["ChatActions", "ChatState", "ChatStatus", "ChatView"]

EvidenceKey = tuple[str, int, str]
"""Conversation, position of the reply, and reader."""

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


class ChatActions(TurnActions, Protocol):
    """What the user can do on the page."""

    async def say(self, words: str) -> None:
        """Send a message."""
        ...

    def stop(self) -> None:
        """Stop the reply that is being generated."""
        ...

    def select_latest(self) -> None:
        """Show the readings of the latest reply."""
        ...

    def toggle_pin(self, reader: str, label: str, direction: Direction) -> None:
        """Add or remove a pin."""
        ...

    def set_strength(self, strength: float) -> None:
        """Set the strength of the pins."""
        ...

    async def read_selected(self) -> None:
        """Read the beliefs at the selected reply."""
        ...

    async def explain(self, reader: str) -> None:
        """Show which words moved a reading, or hide it."""
        ...

    async def ask_probes(self) -> None:
        """Ask the probes after the selected reply."""
        ...

    async def search(self) -> None:
        """List only the conversations with the words of the search."""
        ...

    async def delete(self, conversation: str) -> None:
        """Delete a conversation with its branches."""
        ...


class ChatStatus(Enum):
    """What the page is doing."""

    READY = auto()
    WORKING = auto()
    """An action other than a reply is running."""
    ANSWERING = auto()
    """A reply is being generated."""
    STOPPING = auto()
    """The user has stopped the reply."""
    CHOOSING = auto()
    """The user has to choose one of two replies."""

    @property
    def is_answering(self) -> bool:
        """Whether a reply is being generated or stopped."""
        return self in (ChatStatus.ANSWERING, ChatStatus.STOPPING)

    @property
    def is_stopping(self) -> bool:
        """Whether the user has stopped the reply."""
        return self is ChatStatus.STOPPING

    @property
    def is_busy(self) -> bool:
        """Whether an action is running."""
        return self is ChatStatus.WORKING or self.is_answering


@dataclass
class ChatState:
    """The state of the page."""

    conversation: DashboardConversation
    status: ChatStatus = ChatStatus.READY
    selected: int | None = None
    """Position of the selected reply; None: always the latest."""
    reading: int | None = None
    """Position of the reply whose beliefs are being read."""
    explained: str | None = None
    """Name of the reader whose reading is explained."""
    evidence: dict[EvidenceKey, Evidence] = field(default_factory=dict)
    """What was found so far; it is not stored."""
    searching: set[EvidenceKey] = field(default_factory=set)
    """What is being looked for."""

    @property
    def messages_read(self) -> int:
        """Number of the user's messages before the selected reply."""
        turn = self.selected_turn
        return (
            sum(one.role == "user" and one.position < turn.position for one in self.conversation.turns) if turn else 0
        )

    @property
    def evidence_key(self) -> EvidenceKey | None:
        """Which evidence the page shows; None if nothing is explained, or there is no reading of it."""
        turn = self.selected_turn
        if self.explained is None or turn is None or self.explained not in stored_beliefs(turn.readings):
            return None
        return self.conversation.id or "", turn.position, self.explained

    @property
    def selected_turn(self) -> StoredTurn | None:
        """The selected reply, or the latest one."""
        if self.selected is not None and self.selected < len(self.conversation.turns):
            return self.conversation.turns[self.selected]
        return self.latest_reply

    @property
    def latest_reply(self) -> StoredTurn | None:
        """The latest reply."""
        return next(reversed(self.conversation.replies), None)

    def select(self, position: int) -> None:
        """Select a reply."""
        latest = self.latest_reply
        self.selected = None if latest is not None and position == latest.position else position
        self.explained = None


class ChatView:
    """The elements of the page.

    Args:
        request: the request for the page.
        service: the service.
        actions: what the user can do.
    """

    def __init__(self, request: Request, service: Service, actions: ChatActions) -> None:
        beliefs = service.beliefs
        self._has_readers = beliefs.can_read
        self._active_actions = 0
        has_attention = "attention" in service.runner.model.readings
        no_attention = "" if has_attention else "Unknown: this model does not report attention."
        with ExitStack() as stack:
            self._view_buttons = stack.enter_context(frame(request, "chat", self._show_view))
            self._root = stack.enter_context(box("div", "chat-page"))
            self._root.props.update({"data-view": "chat", "aria-busy": "false"})
            with box("div", "column-list"):
                self.sidebar = Sidebar(actions.search, actions.delete)
            with box("div", "column-chat"):
                self.log = ChatLog(service.purpose.name, actions)
                self.composer = Composer(actions.say, actions.stop, actions.toggle_pin)
            with box("aside", "column-panels", aria_label="Beliefs and drift"):
                self._drift = DriftPanel(actions.select, actions.select_latest, no_attention)
                self._beliefs = BeliefPanel(
                    beliefs, on_pin=actions.toggle_pin, on_strength=actions.set_strength,
                    on_read=actions.read_selected, on_explain=actions.explain,
                )  # fmt: skip
                self._probes = ProbePanel(len(service.purpose.probes), actions.ask_probes)
                self._planner = _make_planner_panel(service)
        ui.add_body_html(FOLLOW)

    def show(self, state: ChatState) -> None:
        """Show the state of the page."""
        self.composer.show_pins(state.conversation.pins)
        locked = state.status is not ChatStatus.READY
        self.composer.set_busy(answering=state.status.is_answering, locked=locked)
        self.show_selected(state)

    def show_selected(self, state: ChatState) -> None:
        """Show the turns, and the readings of the selected reply."""
        turn, conversation, busy = state.selected_turn, state.conversation, state.status.is_busy
        self.log.show(conversation, turn.position if turn else None)
        self.log.lock(busy)
        self._drift.show(conversation, state.selected)
        self._probes.show(turn.probe_branches if turn else (), possible=turn is not None and not busy)
        self._planner.show(turn)
        beliefs = stored_beliefs(turn.readings) if turn else {}
        note, readable = "", False
        if self._has_readers:
            if turn is None:
                note = "Read after every reply."
            elif turn.position == state.reading:
                note = "Reading …"
            elif not beliefs:
                note, readable = "Unknown: beliefs were not read for this reply.", not busy
        acted = conversation.pins_of(turn) if turn else Pins()
        self._beliefs.show(beliefs, conversation.pins, acted, note, readable=readable)
        self.show_evidence(state)

    def show_evidence(self, state: ChatState) -> None:
        """Show what the explained reading rests on, beside it and in the chat."""
        key = state.evidence_key
        evidence = state.evidence.get(key) if key else None
        self._beliefs.explain(state.explained, evidence, state.messages_read, waiting=key in state.searching)
        places: dict[int, list[tuple[int, int]]] = {}
        for span in evidence.moved() if evidence else ():
            places.setdefault(span.message, []).append((span.start, span.end))
        self.log.highlight(places)

    def show_list(self, summaries: Sequence[ConversationSummary], current: str | None) -> None:
        """Show the list of conversations, and mark the one that is open."""
        self.sidebar.show(summaries, current)

    def count_action(self, change: int) -> None:
        """Count an action that begins (1) or ends (-1); the page is marked as busy (`aria-busy`) meanwhile."""
        self._active_actions += change
        self._root.props["aria-busy"] = str(self._active_actions > 0).lower()

    def _show_view(self, name: str) -> None:
        self._root.props["data-view"] = name
        for own, one in self._view_buttons.items():
            set_pressed(one, own == name)


def _make_planner_panel(service: Service) -> PlannerPanel:
    planner: Any = next((control for control in service.controls.default if control.name == "planner"), None)
    if planner is None:
        return PlannerPanel(False, lambda _: ())
    return PlannerPanel(True, planner.planner.describe)
