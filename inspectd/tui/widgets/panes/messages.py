"""Pane 8: what was said after the head: a WebSocket's messages with every bit of their frames, a stream's events.

The list grows while the connection lives, and the newest message is looked at until somebody chooses another one.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType
from textual.message import Message

from inspectd.errors import InspectdError
from inspectd.text.safe import safe
from inspectd.tui.widgets.panes.message_text import describe, explain_message, named_payload
from inspectd.tui.widgets.panes.pane import NOTHING_SELECTED, WIDE, Pane, sentence_page
from inspectd.tui.widgets.panes.prose import Page, clipped
from inspectd.tui.widgets.panes.times import count
from inspectd.tui.widgets.wireview import LineView, Run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.timer import Timer

    from inspectd.tui.conversation import Conversation, Entry
    from inspectd.tui.subject import Side, Subject

LOOK_SECONDS: Final = 0.2
"""Between two looks at a connection that is open, and between two pictures while there is much to catch up with."""
_PAUSE: Final = 0.01  # between two looks while there is: keys and the list have their turn
_NO_MESSAGES: Final = (
    "No messages: this answer is neither a WebSocket (101 Switching Protocols) nor an event stream"
    " (text/event-stream)."
)


class MessageRows:
    """A row for each message; its number in the conversation stands for its bytes."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._first = conversation.first
        self._count = len(conversation.entries)

    def height(self, width: int) -> int:  # noqa: ARG002
        """One for each."""
        return self._count

    def row(self, index: int, width: int) -> Sequence[Run]:
        """Number, time, direction, kind, size and the beginning of the payload."""
        entries = self._conversation.entries
        at = index - (self._conversation.first - self._first)  # some may have been let go meanwhile
        if not 0 <= at < len(entries):
            return ()
        number = self._first + index
        return clipped(
            [Run(f"{number + 1:>5} ", "faint", number, number + 1), *describe(entries[at], self._start)],
            width,
        )

    @property
    def _start(self) -> int:
        return self._conversation.row.started_ns

    def row_of(self, offset: int, width: int) -> int:  # noqa: ARG002
        """The row of this number."""
        return max(0, offset - self._first)


class MessageView(LineView):
    """Messages with a cursor that goes from one to the next; at the last one it follows."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", "the message before", show=False, id="message.up"),
        Binding("down", "step(1)", "the next message", show=False, id="message.down"),
        Binding("pageup", "page(-1)", "a screenful of messages up", show=False, id="message.page-up"),
        Binding("pagedown", "page(1)", "a screenful of messages down", show=False, id="message.page-down"),
        Binding("home", "edge(0)", "first message", show=False, id="message.first"),
        Binding("end", "edge(-1)", "last message", show=False, id="message.last"),
    ]

    class Moved(Message):
        """The cursor stands on another message."""

    def __init__(self) -> None:
        super().__init__(id="messages")
        self.conversation: Conversation | None = None
        self.current = -1
        self.following = True

    def show_conversation(self, conversation: Conversation, *, same: bool) -> None:
        """Show another conversation, or the same one, grown."""
        self.conversation = conversation
        if not same:
            self.current, self.following = -1, True
        self.show(MessageRows(conversation), keep_scroll=same)
        if self.following:
            self.current = conversation.first + len(conversation.entries) - 1
        self._place(scroll=self.following or not same)

    @property
    def entry(self) -> Entry | None:
        """The message under the cursor."""
        found = self.conversation
        if found is None or not found.entries:
            return None
        return found.entries[min(max(self.current - found.first, 0), len(found.entries) - 1)]

    def _place(self, *, scroll: bool = True) -> None:
        found = self.conversation
        if found is None or not found.entries:
            self.unselect()
        else:
            last = found.first + len(found.entries) - 1
            self.current = min(max(self.current, found.first), last)
            self.select(self.current, self.current + 1, scroll=scroll)
        self.post_message(self.Moved())

    def _go(self, number: int) -> None:
        found = self.conversation
        if found is None:
            return
        self.current = number
        self.following = number >= found.first + len(found.entries) - 1
        self._place()

    def action_step(self, step: int) -> None:
        """To the next message or the one before."""
        self._go(self.current + step)

    def action_page(self, step: int) -> None:
        """A screenful on or back."""
        self._go(self.current + step * max(1, self.size.height - 1))

    def action_edge(self, where: int) -> None:
        """To the first message or the last, which is followed."""
        found = self.conversation
        if found is not None:
            self._go(found.first + (len(found.entries) - 1 if where < 0 else 0))

    def on_line_view_picked(self, event: LineView.Picked) -> None:
        """A click chooses the message of its row."""
        event.stop()
        if isinstance(self.source, MessageRows) and self.conversation is not None:
            self._go(self.conversation.first + event.row)


class Messages(Pane):
    """The messages left (or above), the chosen one right (or below)."""

    title = "Messages"
    short = "Msgs"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "shift+up", "scroll_message(-1)", "scroll the message's text up", show=False, id="message.text-up"
        ),
        Binding(
            "shift+down",
            "scroll_message(1)",
            "scroll the message's text down",
            show=False,
            id="message.text-down",
        ),
    ]

    DEFAULT_CSS = """
    Messages { layout: vertical; }
    Messages #messages { height: 1fr; padding: 0 1; }
    Messages #message { height: 1fr; min-height: 5; padding: 0 1; background: $panel 50%; }
    Messages.-wide { layout: horizontal; }
    Messages.-wide #messages { width: 1fr; height: 1fr; }
    Messages.-wide #message { width: 1fr; height: 1fr; border-left: vkey $border-blurred; background: $background; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._conversation: Conversation | None = None
        self._timer: Timer | None = None
        self._unseen = False  # messages that no picture shows yet
        self._shown = 0.0  # when the last picture was made (monotonic seconds)

    def compose(self) -> ComposeResult:
        """The list and the message."""
        yield MessageView()
        yield LineView(id="message")

    @property
    def messages(self) -> MessageView:
        """The list."""
        return self.query_one(MessageView)

    @property
    def message_view(self) -> LineView:
        """The chosen one."""
        return self.query_one("#message", LineView)

    @property
    def main_view(self) -> LineView:
        """The list takes the keys."""
        return self.messages

    def on_resize(self, event: events.Resize) -> None:
        """Side by side where there is room."""
        self.set_class(event.size.width >= WIDE, "-wide")

    def show(self, subject: Subject | None, *, side: Side) -> None:
        """Show the messages of a subject, and go on where the last look ended when it is the same one."""
        same = self._shows(subject, side) and self._conversation is not None
        self._subject, self._side = subject, side
        if not same:
            self._conversation = subject.conversation() if subject is not None else None
        self._look(same=same)

    def _look(self, *, same: bool) -> None:
        self._rest()
        found = self._conversation
        if found is None or found.cursor is None:
            self._empty(NOTHING_SELECTED if self._subject is None else _NO_MESSAGES)
            return
        try:
            self._unseen = found.look() or self._unseen or not same
        except InspectdError as problem:
            self._empty(safe(problem.what))
            return
        if not found.entries:
            self._empty(_why_none(found))
        elif self._unseen and not (same and found.behind and time.monotonic() - self._shown < LOOK_SECONDS):
            self._unseen, self._shown = False, time.monotonic()
            self.messages.show_conversation(found, same=same and self.messages.conversation is found)
        alive = self._subject is not None and self._subject.live
        if found.behind or (alive and not found.ended):
            self._timer = self.set_timer(_PAUSE if found.behind else LOOK_SECONDS, self._look_again)

    def _look_again(self) -> None:
        if self.has_class("-current"):
            self._look(same=True)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _empty(self, sentence: str) -> None:
        self.messages.conversation = None
        self.messages.show(sentence_page(sentence))
        self.message_view.show(Page([]))

    def on_message_view_moved(self, event: MessageView.Moved) -> None:
        """Explain the message under the cursor."""
        event.stop()
        entry, found = self.messages.entry, self._conversation
        if entry is None or found is None:
            return
        self.message_view.show(Page(explain_message(entry, found)), keep_scroll=False)

    def action_scroll_message(self, step: int) -> None:
        """A row of the message on or back."""
        self.message_view.scroll_relative(y=step, animate=False)

    def selected_value(self) -> tuple[str, bytes] | None:
        """The payload of the message under the cursor, unmasked and inflated, or the data of the event."""
        entry = self.messages.entry
        return None if entry is None else named_payload(entry)


def _why_none(conversation: Conversation) -> str:
    cursor = conversation.cursor
    if cursor is not None and cursor.problem:
        return safe(cursor.problem)
    for _, _, message in conversation.arriving():
        frames = count(message.fragments, "whole frame")
        return (
            f"The first message is arriving: {message.kind}, {count(message.size, 'byte')} so far, {frames}."
        )
    what = "message" if conversation.row.status == "101" else "event"
    return f"Not one {what} came." if conversation.ended else f"No {what} has come yet."
