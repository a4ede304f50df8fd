"""Pane 1: every byte of a message on its line, a cursor over the tokens, and what the token under it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from inspectd.text.safe import safe
from inspectd.tui.subject import LONGEST_PARSED
from inspectd.tui.widgets.panes.document import ROLE_STYLES, Document, Stop
from inspectd.tui.widgets.panes.hexrows import HexRows
from inspectd.tui.widgets.panes.meaning import Meaning
from inspectd.tui.widgets.panes.pane import NOTHING_SELECTED, WIDE, Pane, nothing_yet, sentence_page
from inspectd.tui.widgets.panes.prose import GAP, Page
from inspectd.tui.widgets.panes.times import since
from inspectd.tui.widgets.wireview import LineView
from inspectd.wire.span import Role

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult

    from inspectd.tui.subject import Side, Subject


class TokenView(LineView):
    """Bytes with a cursor that steps from token to token."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "token(-1)", "the token before", show=False, id="token.left"),
        Binding("right", "token(1)", "the next token", show=False, id="token.right"),
        Binding("up", "line(-1)", "the line above", show=False, id="line.up"),
        Binding("down", "line(1)", "the line below", show=False, id="line.down"),
        Binding("home", "edge(-1)", "first byte", show=False, id="bytes.first"),
        Binding("end", "edge(1)", "last byte", show=False, id="bytes.last"),
        Binding("b", "hexadecimal", "text ⇄ hex", id="bytes.hex"),
        Binding("l", "more", "load more", show=False, id="bytes.more"),
        Binding("n", "finding(1)", "next finding", show=False, id="bytes.next-finding"),
        Binding("N", "finding(-1)", "finding before", show=False, id="bytes.finding-before"),
    ]

    class Moved(Message):
        """The cursor stands on another token."""

        def __init__(self, stop: Stop) -> None:
            super().__init__()
            self.stop_at = stop

    class MoreAsked(Message):
        """Somebody wants more bytes of this message to be read."""

    def __init__(self) -> None:
        super().__init__(id="bytes")
        self.document: Document | None = None
        self.found: list[int] = []
        """Where findings begin, ascending."""
        self.stop: Stop | None = None
        self.hexadecimal = False

    def show_document(self, document: Document, *, offset: int | None) -> None:
        """Show other bytes with the cursor on `offset`, or keep the cursor where it was when `offset` is None."""
        before = self.stop
        self.document = document
        self._draw_document(keep_scroll=offset is None)
        at = offset if offset is not None else before.start if before is not None else 0
        part = offset is None and before is not None and before.part >= 0
        self._place(document.stop_at(at, part=part), scroll=offset is not None)

    def _draw_document(self, *, keep_scroll: bool) -> None:
        document = self.document
        if document is None:
            return
        if not self.hexadecimal:
            self.show(document, keep_scroll=keep_scroll)
            return
        data, spans = document.data, document.spans
        styles = [ROLE_STYLES[span.role] for span in spans]
        self.show(
            HexRows(
                lambda offset, limit: data[offset : offset + limit],
                len(data),
                style_of=lambda offset: styles[document.span_at(offset)],
            ),
            keep_scroll=keep_scroll,
        )

    def _place(self, stop: Stop | None, *, scroll: bool = True) -> None:
        self.stop = stop
        if stop is None:
            self.unselect()
            return
        self.select(stop.start, stop.end, scroll=scroll)
        self.post_message(self.Moved(stop))

    def place_at(self, offset: int, *, part: bool = False) -> None:
        """Put the cursor on the token that holds the byte at `offset`."""
        if self.document is not None:
            self._place(self.document.stop_at(offset, part=part))

    def action_token(self, step: int) -> None:
        """To the next token, or the one before."""
        if self.document is not None and self.stop is not None:
            self._place(self.document.move(self.stop, step))

    def action_line(self, step: int) -> None:
        """To the line below or above; in hexadecimal to the token a row away."""
        document, stop = self.document, self.stop
        if document is None or stop is None:
            return
        if not self.hexadecimal or not isinstance(self.source, HexRows):
            self._place(document.move_line(stop, step))
            return
        count = self.source.per_row(self.row_width)
        target = (stop.start if step < 0 else max(stop.start, stop.end - count)) + step * count
        found = document.stop_at(min(max(target, 0), len(document.data) - 1))
        if found is not None:
            self._place(found)

    def action_edge(self, step: int) -> None:
        """To the first token or the last."""
        if self.document is not None:
            self.place_at(0 if step < 0 else len(self.document.data) - 1)

    def action_hexadecimal(self) -> None:
        """Between text and hexadecimal, the cursor on the same bytes."""
        self.hexadecimal = not self.hexadecimal
        stop = self.stop
        self._draw_document(keep_scroll=False)
        if stop is not None:
            self._place(stop)

    def action_finding(self, step: int) -> None:
        """To the next finding, or the one before; from the last to the first."""
        document, stop = self.document, self.stop
        if document is None or stop is None:
            return
        starts = sorted({found.start for at in self.found if (found := document.stop_at(at)) is not None})
        if not starts:
            self.notify("Nothing is found in these bytes: 9 tells more.", markup=False)
            return
        others = [at for at in starts if (at > stop.start if step > 0 else at < stop.start)]
        self.place_at((others or starts)[0 if step > 0 else -1])

    def action_more(self) -> None:
        """Ask for more bytes."""
        self.post_message(self.MoreAsked())

    def on_line_view_picked(self, event: LineView.Picked) -> None:
        """A click puts the cursor on the token, a second one on the part of it."""
        event.stop()
        if event.offset < 0 or self.document is None:
            return
        again = self.stop is not None and self.stop.start <= event.offset < self.stop.end
        self.place_at(event.offset, part=again)


class Anatomy(Pane):
    """Bytes left (or above), their meaning right (or below)."""

    title = "Anatomy"
    sided = True

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "read_on", "read on in the explanation", show=False, id="meaning.page"),
        Binding("shift+up", "scroll_meaning(-1)", "scroll the explanation up", show=False, id="meaning.up"),
        Binding(
            "shift+down", "scroll_meaning(1)", "scroll the explanation down", show=False, id="meaning.down"
        ),
    ]

    DEFAULT_CSS = """
    Anatomy { layout: vertical; }
    Anatomy #bytes { height: 3fr; padding: 0 1; }
    Anatomy #meaning { height: 2fr; min-height: 5; padding: 0 1; background: $panel 50%; }
    Anatomy.-wide { layout: horizontal; }
    Anatomy.-wide #bytes { width: 4fr; height: 1fr; }
    Anatomy.-wide #meaning { width: 3fr; height: 1fr; border-left: vkey $border-blurred; background: $background; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._meaning: Meaning | None = None
        self._places: dict[Side, int] = {}

    def compose(self) -> ComposeResult:
        """The bytes and the explanation."""
        yield TokenView()
        yield LineView(id="meaning")

    @property
    def tokens(self) -> TokenView:
        """The bytes."""
        return self.query_one(TokenView)

    @property
    def meaning_view(self) -> LineView:
        """The explanation."""
        return self.query_one("#meaning", LineView)

    @property
    def main_view(self) -> LineView:
        """The bytes take the keys."""
        return self.tokens

    def on_resize(self, event: events.Resize) -> None:
        """Side by side where there is room."""
        self.set_class(event.size.width >= WIDE, "-wide")

    def show(self, subject: Subject | None, *, side: Side) -> None:
        """Show a side of a subject; the cursor keeps its place on a subject that only grew."""
        previous, previous_side = self._subject, self._side
        same = subject is not None and previous is not None and previous.key == subject.key
        if not same:
            self._places = {}
        elif self.tokens.stop is not None:
            self._places[previous_side] = self.tokens.stop.start
        self._subject, self._side = subject, side
        if subject is None:
            self._empty(NOTHING_SELECTED)
            return
        stays = same and side == previous_side and self._meaning is not None
        self._read(offset=None if stays else self._places.get(side, 0))

    def _empty(self, sentence: str) -> None:
        self._meaning = None
        self.tokens.document = None
        self.tokens.stop = None
        self.tokens.show(sentence_page(sentence))
        self.meaning_view.show(Page([]))

    def _read(self, *, offset: int | None) -> None:
        subject = self._subject
        if subject is None:
            return
        bytes_ = subject.side(self._side)
        if not bytes_.prefix:
            self._empty(nothing_yet(subject, self._side))
            return
        meaning = self._meaning = Meaning(subject, self._side)
        noted = meaning.noted
        self.tokens.found = [each.start for each, _ in noted]
        document = Document(
            bytes_.prefix,
            meaning.spans,
            parts=meaning.parts,
            head_note=self._head_note(meaning),
            tail=self._tail(),
            labels=meaning.labels,
            marked=[
                (each.start, each.end, about.severity)
                for each, about in sorted(noted, key=lambda found: found[1].level)
            ],
        )
        self.tokens.show_document(document, offset=offset)

    def _head_note(self, meaning: Meaning) -> str:
        """How many fields and bytes the head has and how it arrived."""
        message = meaning.message_at(0)
        if message is None or self._subject is None:
            return ""
        count = len(message.head.fields)
        note = f"{count} {'field' if count == 1 else 'fields'}, {message.head_end:,} bytes"
        reads = meaning.bytes.reads_before(message.head_end)
        if reads:
            unit = ("read" if self._side == "request" else "write") + ("" if len(reads) == 1 else "s")
            note += f", {len(reads):,} {unit}"
            connection = self._subject.connection
            if connection is not None:
                note += f" at {since(reads[0].ns, connection.opened_ns)}"
        return note

    def _tail(self) -> str:
        """What is left out, when something is."""
        if self._subject is None:
            return ""
        bytes_ = self._subject.side(self._side)
        if not bytes_.truncated:
            return ""
        left = bytes_.total - len(bytes_.prefix)
        way = "l reads more, " if len(bytes_.prefix) < LONGEST_PARSED else ""
        return f"… {left:,} bytes more of {bytes_.total:,}: {way}4 Hex shows all"

    def on_token_view_more_asked(self, event: TokenView.MoreAsked) -> None:
        """Read four times as much."""
        event.stop()
        if self._subject is None:
            return
        bytes_ = self._subject.side(self._side)
        if bytes_.load(len(bytes_.prefix) * 4):
            self._read(offset=None)

    def on_token_view_moved(self, event: TokenView.Moved) -> None:
        """Explain the token under the cursor."""
        event.stop()
        meaning, document = self._meaning, self.tokens.document
        if meaning is None or document is None or event.stop_at != self.tokens.stop:
            return
        blocks = meaning.page(event.stop_at)
        if not self.has_class("-wide"):
            blocks = [block for block in blocks if block is not GAP]
        self.meaning_view.show(Page(blocks))

    def action_read_on(self) -> None:
        """A screenful of the explanation on, and from its end back to its beginning."""
        self.meaning_view.read_on()

    def action_scroll_meaning(self, step: int) -> None:
        """A row of the explanation on or back."""
        self.meaning_view.scroll_relative(y=step, animate=False)

    def selected_value(self) -> tuple[str, bytes] | None:
        """The token under the cursor."""
        stop, document, meaning = self.tokens.stop, self.tokens.document, self._meaning
        if stop is None or document is None or meaning is None:
            return None
        role = document.spans[stop.span].role
        label = role.value
        if role in (Role.FIELD_VALUE, Role.TRAILER_VALUE):
            name = safe(meaning.name_of(stop.span) or b"")
            label = f"part of {name}" if stop.part >= 0 else f"value of {name}"
        return label, document.data[stop.start : stop.end]
