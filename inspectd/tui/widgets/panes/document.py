"""A message's bytes as numbered, labelled lines with a cursor that moves by token and by line.

Built from the spans of `inspectd.wire`, which tile the bytes: every byte is on exactly one line and in exactly one
token, so nothing can be hidden. Lines are wrapped by cells when they are drawn; until then only their height is
computed. A field value with several parts (a list, parameters) is one stop of the cursor and then one a part.
"""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections import Counter
from itertools import accumulate
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.text.safe import wire_text
from inspectd.tui.widgets.panes.prose import clipped, fold, width_of
from inspectd.tui.widgets.wireview import Run
from inspectd.wire.span import Role, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROLE_STYLES: Final[dict[Role, str]] = {
    Role.METHOD: "method",
    Role.SP: "faint",
    Role.REQUEST_TARGET: "target",
    Role.SCHEME: "target",
    Role.AUTHORITY: "target",
    Role.PATH: "target",
    Role.QUERY: "target",
    Role.FRAGMENT: "target",
    Role.VERSION: "version",
    Role.STATUS_CODE: "strong",
    Role.REASON_PHRASE: "strong",
    Role.FIELD_NAME: "name",
    Role.COLON: "name",
    Role.OWS: "faint",
    Role.FIELD_VALUE: "value",
    Role.OBS_FOLD: "warning",
    Role.CRLF: "faint",
    Role.LF: "warning",
    Role.EMPTY_LINE: "faint",
    Role.CONTENT: "plain",
    Role.CHUNK_SIZE: "framing",
    Role.CHUNK_EXT: "faint",
    Role.CHUNK_EXT_NAME: "name",
    Role.CHUNK_EXT_VALUE: "value",
    Role.CHUNK_DATA: "plain",
    Role.LAST_CHUNK: "framing",
    Role.TRAILER_NAME: "name",
    Role.TRAILER_VALUE: "value",
    Role.BLANK_LINE: "faint",
    Role.GARBAGE: "error",
    Role.TUNNEL: "odd",
    Role.UNFRAMED: "warning",
    Role.TLS: "odd",
    Role.HTTP2: "odd",
    Role.OTHER_PROTOCOL: "odd",
    Role.TLS_CONTENT_TYPE: "framing",
    Role.TLS_VERSION: "version",
    Role.TLS_LENGTH: "faint",
    Role.TLS_HANDSHAKE_TYPE: "method",
    Role.TLS_RANDOM: "dim",
    Role.TLS_SESSION_ID: "dim",
    Role.TLS_CIPHER_SUITE: "value",
    Role.TLS_COMPRESSION_METHOD: "value",
    Role.TLS_EXTENSION_TYPE: "name",
    Role.TLS_EXTENSION_DATA: "plain",
    Role.TLS_NAME_TYPE: "faint",
    Role.TLS_SERVER_NAME: "target",
    Role.TLS_PROTOCOL_NAME: "target",
    Role.TLS_GROUP: "value",
    Role.TLS_POINT_FORMAT: "value",
    Role.TLS_SIGNATURE_SCHEME: "value",
    Role.TLS_KEY_EXCHANGE: "dim",
    Role.TLS_PSK_MODE: "value",
    Role.TLS_PSK_IDENTITY: "dim",
    Role.TLS_TICKET_AGE: "dim",
    Role.TLS_PSK_BINDER: "dim",
    Role.TLS_CERTIFICATE_COMPRESSION: "value",
    Role.TLS_PADDING: "faint",
    Role.TLS_ALERT_LEVEL: "warning",
    Role.TLS_ALERT_DESCRIPTION: "error",
}

_LINE_ENDS: Final = frozenset({Role.CRLF, Role.LF, Role.EMPTY_LINE, Role.BLANK_LINE})
_BULK: Final[dict[Role, str]] = {
    Role.CONTENT: "content",
    Role.CHUNK_DATA: "chunk data",
    Role.TUNNEL: "tunnel",
    Role.UNFRAMED: "unframed",
    Role.GARBAGE: "garbage",
    Role.TLS: "TLS",
    Role.HTTP2: "HTTP/2",
    Role.OTHER_PROTOCOL: "other",
}
_LABELS: Final[dict[Role, str]] = {
    Role.METHOD: "request line",
    Role.EMPTY_LINE: "end of head",
    Role.BLANK_LINE: "blank line",
    Role.LAST_CHUNK: "last chunk",
    Role.STATUS_CODE: "status line",
    **_BULK,
}
_INLINE: Final = frozenset(Role) - (frozenset(_BULK) - {Role.GARBAGE})
"""Roles that share a line with others."""
_WORDS: Final = frozenset({Role.TLS_SERVER_NAME, Role.TLS_PROTOCOL_NAME})
"""Roles that are text among numbers."""
_BULK_SHOWN: Final = 4096
"""Bytes of one piece of content that are shown as lines; panes 3 and 4 show the rest."""
_LONGEST_LINE: Final = 1024
"""Bytes of content on one line before it is broken in two."""
# Bytes that take one cell each, and CRLF, which takes one: their height needs no drawing.
_ONE_CELL_EACH: Final = re.compile(rb"[\t -\[\]-~]*+(?:\r?\n)?+")
_PRINTABLE: Final = bytes(code for code in range(0x20, 0x7F) if code != 0x5C)
_BEFORE: Final = re.compile(rb"\A[\x80-\xbf]{1,3}")
"""The end of a character that began before."""
_LABEL_WIDTH: Final = 12
_ROWS_KEPT: Final = 400
_FOLDED_KEPT: Final = 128 * 1024
"""Bytes of lines that aren't plain ASCII whose rows are kept from measuring for drawing."""


class Line(NamedTuple):
    """Bytes `start` up to `end` stand on one line; `first` is the span its first byte is in."""

    start: int
    end: int
    first: int
    label: str
    """What the line is; empty on the lines that go on with one."""
    hidden: int = 0
    """Bytes after `end` that are not shown."""


class Stop(NamedTuple):
    """Where the cursor stands: bytes `start` up to `end` on `line`, in span `span`; `part` of it, -1 for all."""

    line: int
    span: int
    start: int
    end: int
    part: int = -1


Parts = list[tuple[int, int]]


class Document:
    """Lines over the spans of one direction's bytes. A `LineSource` for a `LineView`."""

    def __init__(
        self,
        data: bytes,
        spans: Sequence[Span],
        *,
        parts: Callable[[int], Parts] | None = None,
        head_note: str = "",
        tail: str = "",
        labels: Mapping[int, str] | None = None,
        marked: Sequence[tuple[int, int, str]] = (),
    ) -> None:
        """Draw `data`. `labels`, by offset, are of lines that begin there and whose bytes are numbers, not text.

        `marked` are the spans in which something was found, and how bad that is, the worst last.
        """
        self.data = data
        self._marks = _marks(spans, marked)
        self._given = labels or {}
        self._no_text: set[int] = set()
        self.spans = spans
        self._parts = parts or (lambda _: [])
        self._head_note = head_note
        self._tail = tail
        self.lines: list[Line] = []
        self._starts: list[int] = []
        self._build()
        self._width = -1
        self._tops: list[int] = [0]
        self._drawn: dict[int, list[list[Run]]] = {}
        self._folded: dict[int, list[list[Run]]] = {}
        self._offset_digits = max(4, len(f"{len(data):x}"))

    # lines

    def _build(self) -> None:
        spans = self.spans
        counts = self._count_lines()
        message = 0
        seen: Counter[str] = Counter()
        begin = 0
        while begin < len(spans):
            end = begin
            if (given := self._given.get(spans[begin].start)) is not None:
                while end + 1 < len(spans) and not self._opens(spans[end + 1]):
                    end += 1
                self.lines.append(Line(spans[begin].start, spans[end].end, begin, given))
                begin = end + 1
                continue
            if spans[begin].role in _INLINE:
                while (
                    end + 1 < len(spans)
                    and spans[end].role not in _LINE_ENDS
                    and spans[end + 1].role in _INLINE
                ):
                    end += 1
            if begin == end and spans[begin].role in _BULK:
                self._bulk(begin)
            else:
                label = self._label(begin, end, message, seen, counts)
                self._line(begin, end, label)
                if label == "end of head":
                    message += 1
                    seen.clear()
            begin = end + 1
        self._starts = [line.start for line in self.lines]

    def _opens(self, span: Span) -> bool:
        """Whether a line of numbers ends where this span begins."""
        return span.start in self._given or span.role in _BULK

    def _count_lines(self) -> list[Counter[str]]:
        """Fields and trailers of each message."""
        counts: list[Counter[str]] = [Counter()]
        in_head = True
        for span in self.spans:
            role = span.role
            if role is Role.FIELD_NAME:
                if not in_head:
                    counts.append(Counter())
                    in_head = True
                counts[-1]["field"] += 1
            elif role is Role.TRAILER_NAME:
                counts[-1]["trailer"] += 1
            elif role in (Role.METHOD, Role.STATUS_CODE) and not in_head:
                counts.append(Counter())
                in_head = True
            elif role is Role.EMPTY_LINE:
                in_head = False
        return counts

    def _label(
        self, begin: int, end: int, message: int, seen: Counter[str], counts: list[Counter[str]]
    ) -> str:
        spans = self.spans
        role = spans[begin].role
        if role is Role.FIELD_NAME:
            seen["field"] += 1
            return _numbered("field", seen["field"], counts[min(message, len(counts) - 1)]["field"])
        if role is Role.TRAILER_NAME:
            seen["trailer"] += 1
            return _numbered(
                "trailer", seen["trailer"], counts[min(max(message - 1, 0), len(counts) - 1)]["trailer"]
            )
        if role is Role.CHUNK_SIZE:
            seen["chunk"] += 1
            return f"chunk {seen['chunk']}"
        if role is Role.EMPTY_LINE:
            previous = self.lines[-1].label if self.lines else ""
            return "end of body" if previous.startswith(("last chunk", "trailer")) else "end of head"
        roles = {span.role for span in spans[begin : end + 1]}
        if Role.STATUS_CODE in roles or (role is Role.VERSION and Role.METHOD not in roles):
            return "status line"
        if Role.METHOD in roles:
            return "request line"
        if role in _LABELS:
            return _LABELS[role]
        if role in (Role.CRLF, Role.LF):
            return "chunk end" if begin and spans[begin - 1].role is Role.CHUNK_DATA else "line end"
        return "fold" if role is Role.OBS_FOLD else role.value

    def _line(self, begin: int, end: int, label: str) -> None:
        """One line, or one more for each fold in it."""
        start, first = self.spans[begin].start, begin
        for at in range(begin, end + 1):
            span = self.spans[at]
            if span.role is not Role.OBS_FOLD:
                continue
            newline = self.data.find(b"\n", span.start, span.end)
            while newline >= 0:
                self.lines.append(Line(start, newline + 1, first, label))
                start, first, label = newline + 1, at, ""
                newline = self.data.find(b"\n", start, span.end)
            if start == span.end:
                first = at + 1
        if start < self.spans[end].end:
            self.lines.append(Line(start, self.spans[end].end, first, label))

    def _bulk(self, at: int) -> None:
        """Content and other bytes without lines of their own, broken at line ends; a bounded part of it."""
        span = self.spans[at]
        label = _BULK[span.role]
        until = min(span.end, span.start + _BULK_SHOWN)
        text = _is_utf8(self.data[span.start : until])
        if not text:
            self._no_text.add(at)
        start = span.start
        while start < until:
            # A line feed among bytes that are no text ends no line.
            end = self.data.find(b"\n", start, min(until, start + _LONGEST_LINE)) + 1 if text else 0
            if end <= 0:
                end = min(until, start + _LONGEST_LINE)
                while text and end < until and end > start + 1 and self.data[end] & 0xC0 == 0x80:
                    end -= 1
            hidden = span.end - end if end >= until else 0
            self.lines.append(Line(start, end, at, label, hidden))
            start, label = end, ""

    # rows

    @property
    def gutter(self) -> int:
        """Cells before the bytes: the offset and the label."""
        return self._offset_digits + 2 + _LABEL_WIDTH + 1

    def _room(self, width: int) -> int:
        return max(8, width - self.gutter)

    def _measure(self, width: int) -> None:
        if width == self._width:
            return
        self._width = width
        self._drawn.clear()
        self._folded.clear()
        kept = 0
        room = self._room(width)
        fits = _ONE_CELL_EACH.fullmatch
        data = self.data
        heights = []
        for at, line in enumerate(self.lines):
            piece = data[line.start : line.end]
            if line.start in self._given:
                folded = self._folded[at] = fold(self._runs(line), room)
                rows = len(folded)
            elif fits(piece):
                size = len(piece) - (1 if piece.endswith(b"\r\n") else 0)
                rows = -(-size // room) or 1
            elif len(piece) + 3 * len(piece.translate(None, _PRINTABLE)) <= room:
                rows = 1  # no byte takes more than the four cells of its escape
            else:
                folded = fold(self._runs(line), room)
                rows = len(folded)
                if kept < _FOLDED_KEPT:
                    self._folded[at] = folded
                    kept += len(piece)
            heights.append(rows + (1 if line.hidden else 0))
        self._tops = [0, *accumulate(heights)]

    def height(self, width: int) -> int:
        """Rows at this width."""
        self._measure(width)
        return self._tops[-1] + (1 if self._tail else 0)

    def row(self, index: int, width: int) -> Sequence[Run]:
        """One row: offset, label, bytes."""
        self._measure(width)
        if index >= self._tops[-1]:
            return clipped([Run(self._tail, "warning")], width)
        at = bisect_right(self._tops, index) - 1
        rows = self._drawn.get(at)
        if rows is None:
            if len(self._drawn) >= _ROWS_KEPT:
                self._drawn.clear()
            rows = self._drawn[at] = self._draw(at, width)
        within = index - self._tops[at]
        return rows[within] if within < len(rows) else ()

    def row_of(self, offset: int, width: int) -> int:
        """The row that shows the byte at `offset`."""
        self._measure(width)
        if not self.lines:
            return 0
        at = self.line_at(offset)
        rows = self._tops[at + 1] - self._tops[at]
        top = self._tops[at]
        for within in range(rows):
            row = self.row(top + within, width)
            if any(run.start <= offset < run.end for run in row):
                return top + within
        return top

    def _draw(self, at: int, width: int) -> list[list[Run]]:
        line = self.lines[at]
        folded = self._folded.get(at) or fold(self._runs(line), self._room(width))
        rows = []
        for number, runs in enumerate(folded):
            offset = next((run.start for run in runs if run.start >= 0), line.start)
            label = line.label if number == 0 else ""
            rows.append(
                [
                    Run(f"{offset:0{self._offset_digits}x}  ", "faint"),
                    Run(f"{label:<{_LABEL_WIDTH}} ", "dim"),
                    *runs,
                ]
            )
        if line.label == "end of head" and self._head_note and rows:
            used = sum(width_of(run.text) for run in rows[-1])
            rows[-1].extend(clipped([Run(f"   {self._head_note}", "dim")], max(0, width - used)))
        if line.hidden:
            note = f"… {line.hidden:,} bytes more: 3 Body, 4 Hex"
            rows.append(clipped([Run(" " * self.gutter), Run(note, "dim")], width))
        return rows

    def _runs(self, line: Line) -> list[Run]:
        runs: list[Run] = []
        for start, end, at in self._segments(line):
            role = self.spans[at].role
            style = ROLE_STYLES[role]
            mark = self._marks.get(at, "")
            if line.start in self._given and role not in _WORDS:
                runs.extend(
                    Run(f"{byte:02x} ", style, offset, offset + 1)
                    for offset, byte in enumerate(self.data[start:end], start)
                )
                continue
            for text, first, last, special in wire_text(self.data[start:end], utf8=at not in self._no_text):
                shown = style
                if special:
                    if text == "\\\\":
                        shown = style  # a backslash that was sent, written twice so that it can't be read as an escape
                    elif text[0] in "·→↵":
                        shown = "faint"
                    elif text in ("↓", "←"):
                        shown = "faint" if role in _BULK else "warning"
                    else:
                        shown = "escape"
                if mark:
                    shown += f"!{mark}"
                runs.append(Run(text, shown, start + first, start + last))
            if role in _WORDS:
                runs.append(Run(" "))
        return runs

    def _segments(self, line: Line) -> list[tuple[int, int, int]]:
        """The spans of a line, clipped to it: (start, end, index of the span)."""
        found = []
        at = line.first
        while at < len(self.spans) and self.spans[at].start < line.end:
            start, end = max(line.start, self.spans[at].start), min(line.end, self.spans[at].end)
            if start < end:
                found.append((start, end, at))
            at += 1
        return found

    # the cursor

    def span_at(self, offset: int) -> int:
        """The index of the span that holds the byte at `offset`."""
        return max(0, span_index(self.spans, offset))

    def line_at(self, offset: int) -> int:
        """The number of the line that holds the byte at `offset`, or of the last one before it."""
        return max(0, bisect_right(self._starts, offset) - 1)

    def stop_at(self, offset: int, *, part: bool = False) -> Stop | None:
        """The token that holds the byte at `offset`; with `part`, the part of a value. None without bytes."""
        if not self.lines:
            return None
        number = self.line_at(offset)
        segments = self._segments(self.lines[number])
        if not segments:
            return None
        start, end, at = next((each for each in segments if each[0] <= offset < each[1]), segments[-1])
        if part:
            for index, (first, last) in enumerate(self.parts(at)):
                if first <= offset < last:
                    return Stop(number, at, first, last, index)
        return Stop(number, at, start, end)

    def parts(self, span: int) -> Parts:
        """The parts of a field value as offsets into the bytes; empty when it has fewer than two."""
        return self._parts(span)

    def _stops(self, number: int) -> list[Stop]:
        """All places of the cursor on a line, in order."""
        line = self.lines[number]
        stops = []
        for start, end, at in self._segments(line):
            stops.append(Stop(number, at, start, end))
            stops.extend(
                Stop(number, at, first, last, index)
                for index, (first, last) in enumerate(self.parts(at))
                if start <= first and last <= end
            )
        return stops

    def move(self, stop: Stop, step: int) -> Stop:
        """The next token (`step` 1) or the one before (-1)."""
        stops = self._stops(stop.line)
        at = next((index for index, each in enumerate(stops) if each == stop), 0) + step
        if 0 <= at < len(stops):
            return stops[at]
        number = stop.line + step
        if not 0 <= number < len(self.lines):
            return stop
        return self._stops(number)[0 if step > 0 else -1]

    def move_line(self, stop: Stop, step: int) -> Stop:
        """The token of the same role on a line below (`step` > 0) or above; else that line's most telling one."""
        number = min(max(stop.line + step, 0), len(self.lines) - 1)
        if number == stop.line:
            return stop
        segments = self._segments(self.lines[number])
        if not segments:
            return stop
        wanted = self.spans[stop.span].role
        order = (wanted, Role.FIELD_VALUE, Role.PATH, Role.REQUEST_TARGET, Role.STATUS_CODE, Role.CHUNK_SIZE)
        for role in order:
            for start, end, at in segments:
                if self.spans[at].role is role:
                    return Stop(number, at, start, end)
        start, end, at = segments[0]
        return Stop(number, at, start, end)


def _marks(spans: Sequence[Span], marked: Sequence[tuple[int, int, str]]) -> dict[int, str]:
    """How bad is what was found in each span. Content isn't marked: its first byte says nothing of the others."""
    found: dict[int, str] = {}
    for start, end, severity in marked:
        at = max(0, span_index(spans, start))
        while at < len(spans) and spans[at].start < end:
            if spans[at].role not in _BULK:
                found[at] = severity
            at += 1
    return found


def span_index(spans: Sequence[Span], offset: int) -> int:
    """The index of the span that holds the byte at `offset`; -1 when none of them does."""
    at = bisect_right(spans, offset, key=attrgetter("start")) - 1
    return at if at >= 0 and offset < spans[at].end else -1


def _is_utf8(data: bytes) -> bool:
    """Whether it is text as far as it goes: it may begin and end within a character, as a chunk does."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(_BEFORE.sub(b"", data, count=1))
    except UnicodeDecodeError:
        return False
    return True


def _numbered(what: str, number: int, total: int) -> str:
    """`field  3/12`, the numbers aligned.

    >>> _numbered("field", 3, 12)
    'field  3/12'
    """
    return f"{what} {number:>{len(str(total))}}/{total}"
