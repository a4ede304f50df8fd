"""Where the columns of the traffic table stand, for any width, and what stands in them.

Widths are terminal cells. A narrow terminal loses what can be found in the panes first (client, dest, time) and
never the method, the target and the status. Where targets are whole URLs, as in a proxy, they get more of the width;
a column that would be empty gives its width away. Everything here is text: styles are names of tones, and every value
that came from the wire went through `text.safe`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from inspectd.capture.answered import decision
from inspectd.capture.model import ConnectionRow, ExchangeRow, State
from inspectd.capture.urls import read_in
from inspectd.text.client import short_client
from inspectd.text.safe import cells, clip, pad, safe
from inspectd.text.urls import short_target
from inspectd.tui.feed import Deed, Noted, Row, Shape, is_finished
from inspectd.tui.theme import status_tone
from inspectd.tui.widgets.paint import Cell

SECOND: Final = 1_000_000_000
MILLISECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Columns:
    """Widths in cells; 0 leaves a column out. Together with the gaps they fill `total` exactly."""

    total: int
    number: int
    time: int
    client: int
    method: int
    target: int
    status: int
    dest: int
    size: int
    ms: int
    marks: int

    @property
    def names(self) -> tuple[tuple[str, int, bool], ...]:
        """Title, width and whether it is set to the right, of each column that is shown."""
        return tuple(
            entry
            for entry in (
                ("#", self.number, True),
                ("time", self.time, False),
                ("client", self.client, False),
                ("method", self.method, False),
                ("target", self.target, False),
                ("status", self.status, False),
                ("dest · mode", self.dest, False),
                ("size", self.size, True),
                ("ms", self.ms, True),
                ("", self.marks, False),
            )
            if entry[1]
        )


# From this width on: time, client, method, status, dest, size, ms, marks. The target takes what is left.
_PROFILES: Final = (
    (180, (12, 18, 8, 20, 30, 8, 9, 18)),
    (150, (12, 14, 8, 18, 26, 7, 8, 14)),
    (116, (12, 11, 7, 14, 19, 6, 7, 12)),
    (96, (8, 11, 7, 12, 12, 5, 6, 2)),
    (76, (8, 11, 7, 11, 0, 5, 6, 2)),
    (56, (0, 0, 7, 8, 0, 5, 6, 2)),
    (0, (0, 0, 5, 3, 0, 0, 5, 0)),
)
# The same where targets are whole URLs.
_URL_PROFILES: Final = (
    (180, (12, 16, 8, 18, 26, 7, 8, 18)),
    (150, (12, 12, 7, 15, 21, 6, 7, 14)),
    (116, (8, 10, 7, 10, 13, 5, 6, 13)),
    (96, (8, 10, 7, 10, 0, 5, 6, 2)),
    (76, (8, 9, 7, 8, 0, 5, 6, 2)),
    *_PROFILES[-2:],
)
_MARKS_SHARE: Final = 5
"""Cells that the marks get of an empty column, where they are words,"""
_REASON: Final = 14
"""and the status gets up to so many; the target gets the others."""


@lru_cache(maxsize=64)
def columns_for(width: int, digits: int, shape: Shape = Shape()) -> Columns:  # noqa: B008 - it never changes
    """The columns for a table `width` cells wide whose largest number has `digits` digits."""
    number = max(4 if width >= 56 else 2, digits)
    profiles = _URL_PROFILES if shape.urls else _PROFILES
    widths = next(widths for least, widths in profiles if width >= least)
    when, client, method, status, dest, size, took, marks = widths
    if dest and not shape.dest:
        dest, status, marks = 0, max(status, _REASON), marks + (_MARKS_SHARE if marks > 2 else 0)
        widths = (when, client, method, status, dest, size, took, marks)
    shown = sum(1 for column in widths if column) + 2
    # One cell for the cursor's bar, one gap before each column but the first, one at the right edge.
    target = width - 1 - number - sum(widths) - (shown - 1) - 1
    return Columns(
        total=width,
        number=number,
        time=when,
        client=client,
        method=method,
        target=max(target, 1),
        status=status,
        dest=dest,
        size=size,
        ms=took,
        marks=marks,
    )


def clock(ns: int, width: int) -> str:
    """Local wall clock time: with milliseconds where 12 cells are there, else to the second."""
    seconds, rest = divmod(ns, SECOND)
    text = time.strftime("%H:%M:%S", time.localtime(seconds))
    return f"{text}.{rest // MILLISECOND:03d}" if width >= 12 else text


def amount(octets: int) -> str:
    """A byte count in at most five cells: 840, 3.1k, 999k, 2.4M."""
    if octets < 1000:
        return str(octets)
    value = float(octets)
    for unit in "kMGT":
        value /= 1000
        if value < 9.95:
            return f"{value:.1f}{unit}"
        if value < 999.5:
            return f"{value:.0f}{unit}"
    return f"{value / 1000:.0f}P"


def span_of_time(ns: int) -> str:
    """A duration in words short enough for a column: 4.2 s, 3 min, 2 h."""
    seconds = ns / SECOND
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def whole_seconds(ns: int) -> str:
    """A duration that counts up on screen: 7 s, 12 min, 3 h."""
    seconds = ns // SECOND
    if seconds < 600:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 36_000 else f"{seconds // 3600} h"


def milliseconds(ns: int) -> str:
    """A duration for the ms column: 0.42, 1.9, 23, 1234, 95.0s."""
    value = ns / MILLISECOND
    if value < 9.95:
        return f"{value:.1f}"
    if value < 9999.5:
        return f"{value:.0f}"
    return f"{value / 1000:.0f}s"


def _fit(text: str, width: int, *, right: bool = False) -> str:
    return pad(clip(text, width), width, right=right)


def header_cells(columns: Columns) -> list[Cell]:
    """The titles."""
    out = [Cell(" ", "muted")]
    for at, (name, width, right) in enumerate(columns.names):
        out.append(Cell((" " if at else "") + _fit(name, width, right=right), "muted", bold=True))
    return _closed(out, columns.total)


def row_cells(
    row: Row, columns: Columns, now_ns: int | None, deed: Deed | None = None, noted: Noted | None = None
) -> list[Cell]:
    """One row, filled to the full width. `now_ns` is None when nobody writes this capture any more; `deed` is what
    the client did with a crafted answer, `noted` what was found in the messages.
    """
    if isinstance(row, ConnectionRow):
        return _connection_cells(row, columns, now_ns)
    return _exchange_cells(row, columns, now_ns, deed, noted)


def missing_cells(key: int, columns: Columns) -> list[Cell]:
    """A row that the capture let go of."""
    number = _fit(str(key) if key > 0 else f"c{-key}", columns.number, right=True)
    return _closed(
        [Cell(" " + number, "faint"), Cell("  no longer in the capture", "faint", italic=True)], columns.total
    )


def _exchange_cells(
    row: ExchangeRow, columns: Columns, now_ns: int | None, deed: Deed | None, noted: Noted | None
) -> list[Cell]:
    out = [Cell(" ")]
    inside = read_in(row)
    # What was read in a tunnel has rows of its own: the CONNECT before it stands back.
    faint = inside is not None and not (row.marked or row.state & State.ABORTED)

    def add(text: str, width: int, tone: str, *, bold: bool = False, right: bool = False) -> None:
        if width:
            gap = " " if len(out) > 1 else ""
            text = gap + _fit(text, width, right=right)
            out.append(Cell(text, "faint") if faint else Cell(text, tone, bold))

    add(str(row.id), columns.number, "muted", right=True)
    add(clock(row.started_ns, columns.time), columns.time, "muted")
    add(short_client(safe(row.client or ""), columns.client), columns.client, "text")
    add(safe(row.method or ""), columns.method, "method", bold=True)
    if row.state & State.HEAD_COMPLETE or row.method:
        out += _target(safe(row.target or ""), columns.target, faint=faint)
    else:
        out.append(
            Cell(
                " " + _fit(f"half a head, {_octets(row.req_len or 0)}", columns.target), "muted", italic=True
            )
        )
    status, tone = _held(row, columns.status, now_ns) or _status(row, now_ns)
    if inside is not None:
        status = f"{safe(row.status or '-')} in {inside}" if columns.status >= 11 else f"in {inside}"
    add(
        status if columns.status > 3 else status.partition(" ")[0],
        columns.status,
        tone,
        bold=row.status is not None or bool(row.state & State.HELD),
    )
    again = deed is not None and deed.attempt > 1
    if deed is not None and again and columns.dest and row.dest is None and row.mode is None:
        add(_again(deed, columns.dest), columns.dest, "dest")
        again = False  # said
    else:
        add(_dest(row, columns.dest), columns.dest, "dest" if row.dest else "faint")
    add(_size(row), columns.size, "text", right=True)
    took, live = _took(row, now_ns)
    add(took, columns.ms, "odd" if live else "muted", right=True)
    if columns.marks:
        mark, mark_tone = _marks(row, deed, noted, again=again)
        add(mark if columns.marks > 2 else _signs(mark), columns.marks, mark_tone)
    return _closed(out, columns.total)


def _target(target: str, width: int, *, faint: bool) -> list[Cell]:
    """What was asked for: the server stands back, so that paths can be told apart at a glance."""
    server, path = short_target(target, width)
    rest = pad(path, width - cells(server))
    if not server:
        return [Cell(f" {rest}", "faint" if faint else "target")]
    return [Cell(f" {server}", "faint" if faint else "muted"), Cell(rest, "faint" if faint else "target")]


def _status(row: ExchangeRow, now_ns: int | None) -> tuple[str, str]:
    """The status as it was sent, and the name of the tone its class has."""
    if row.status is None:
        if is_finished(row) or now_ns is None:
            return "—", "faint"
        return "…", "odd"
    text = safe(f"{row.status} {row.reason}" if row.reason else row.status)
    if not row.state & State.RESPONSE_COMPLETE and not row.state & State.ABORTED:
        text += " …"
    return text, status_tone(row.status)


def _held(row: ExchangeRow, width: int, now_ns: int | None) -> tuple[str, str] | None:
    """That an exchange waits for a person, and for how long; None for every other one."""
    if not row.state & State.HELD:
        return None
    if now_ns is None:
        return "◆ was held", "faint"
    waited = whole_seconds(max(0, now_ns - (row.received_ns or row.started_ns)))
    longest = f"◆ held {waited}"
    return (longest if cells(longest) <= width else f"◆ {waited}"), "odd"


def _octets(count: int) -> str:
    return "1 byte" if count == 1 else f"{count:,} bytes"


def _size(row: ExchangeRow) -> str:
    """Bytes of the answer behind its head, as sent so far."""
    if row.status is None and row.state & State.HELD:
        return ""  # an interim response at most
    return "" if row.res_len is None else amount(max(0, row.res_len - (row.res_head or 0)))


def _dest(row: ExchangeRow, width: int) -> str:
    if row.dest is None and row.mode is None:
        return "—"
    parts = [part for part in (row.dest, row.mode) if part]
    if row.method == "OPTIONS" and row.mode == "cors":
        # Where there is no room for all three, what it is counts for more than the empty destination.
        parts = [*parts, "preflight"] if width >= 24 else ["cors", "preflight"]
    return safe(" · ".join(parts))


def _took(row: ExchangeRow, now_ns: int | None) -> tuple[str, bool]:
    """How long the exchange took, or has taken so far."""
    if row.finished_ns is not None and row.state & State.RESPONSE_COMPLETE:
        return milliseconds(row.finished_ns - row.started_ns), False
    if row.state & State.HELD:
        return "", False
    if is_finished(row) or now_ns is None:
        return "—", False
    waited = max(0, now_ns - row.started_ns)
    return (whole_seconds(waited) if waited >= SECOND else "…"), True


def _again(deed: Deed, width: int) -> str:
    """That it came again, and after which gap: more words where there is room."""
    if deed.gap_ns is None:
        return f"↺ attempt {deed.attempt}"
    which = _ordinal(deed.attempt)
    gap = span_of_time(deed.gap_ns) if deed.gap_ns >= SECOND else f"{milliseconds(deed.gap_ns)} ms"
    for text in (f"↺ {which} attempt after {gap}", f"↺ {which} after {gap}"):
        if cells(text) <= width:
            return text
    return f"↺ {which} +{gap}"


def _ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th: that it counts attempts, not retries, is seen without a word."""
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in {11, 12, 13} else ending}"


def _marks(row: ExchangeRow, deed: Deed | None, noted: Noted | None, *, again: bool) -> tuple[str, str]:
    """What stands out most about a row, and that a person wrote its answer, or that it came again.

    `again` where nothing else says so.
    """
    decided = None if deed is None else decision(deed.rule, row.label)
    mark, tone = _mark(row, deed, noted, dropped=decided == "dropped")
    # Most answers to retries, and most that are edited, are odd: neither of the two may hide the other.
    if again and deed is not None:
        mark, tone = (
            (f"{_AGAIN} {deed.attempt} {mark}", tone)
            if mark
            else (f"{_AGAIN} attempt {deed.attempt}", "dest")
        )
    if decided == "edited" and not row.state & State.HELD:
        mark = mark.replace("attempt ", "")
        return (f"{_EDITED} {mark}", tone) if mark else (f"{_EDITED} by hand", "odd")
    return mark, tone


def _signs(mark: str) -> str:
    """A mark without its words, for two cells."""
    if mark == "client left":
        return "·"
    return "".join(sign for sign in mark if sign in _SIGNS)[:2]


def _mark(row: ExchangeRow, deed: Deed | None, noted: Noted | None, *, dropped: bool) -> tuple[str, str]:
    """The one thing about a row that stands out most."""
    if deed is not None and deed.left and row.state & State.HELD:
        return "✗ left", "bad"
    if dropped:
        return "✗ dropped", "bad"
    left = deed is not None and deed.endless and row.state & _BROKEN_OFF == _BROKEN_OFF
    if left and noted is None and not row.marked:
        return "client left", "muted"
    # Of half a head it is said already that it was cut off.
    if row.state & State.ABORTED and not left and (row.state & State.HEAD_COMPLETE or noted is None):
        return "✗ cut short", "bad"
    if deed is not None and deed.reset_by is not None and not left:
        return ("✗ reset" if deed.reset_by == "server" else "✗ RST came"), "bad"
    if deed is not None and deed.closed:
        return "✗ dropped", "bad"
    if row.marked:
        return "★ marked", "warn"
    if noted is not None:
        return f"▲ {noted[0]}", "bad" if noted[1].word == "error" else "warn"
    # Until somebody has looked at the bytes:
    if row.state & State.AMBIGUOUS:
        return "▲ ambiguous", "warn"
    if row.state & State.HEAD_COMPLETE and not row.state & State.PLAIN:
        return "▲ odd head", "warn"
    return "", "text"


_EDITED: Final = "✎"
_AGAIN: Final = "↺"
_SIGNS: Final = frozenset("✎↺▲✗★")
_BROKEN_OFF: Final = State.ABORTED | State.RESPONSE_STARTED
_ALARMING: Final = frozenset(
    {"tls", "tls-refused", "tls-failed", "http2", "socks", "garbage", "half-head", "over-limit", "other"}
)


def _connection_cells(row: ConnectionRow, columns: Columns, now_ns: int | None) -> list[Cell]:
    """A connection that never became a request: who, and the sentence that says what it was."""
    out = [Cell(" "), Cell(_fit(f"c{row.id}", columns.number, right=True), "muted")]
    if columns.time:
        out.append(Cell(" " + clock(row.opened_ns, columns.time), "muted"))
    room = columns.total - sum(cells(cell.text) for cell in out) - 2
    kind = row.kind or ""
    mark = f"● {kind}" if kind in _ALARMING else ""
    if not columns.marks:
        mark = ""
    marks_room = columns.marks + 1 if mark else 0
    who_room = columns.client + columns.method + 1
    peer = safe(row.peer if row.listener else f"→ {row.local}")  # listener 0: it was made to a server
    if columns.client and room - who_room - marks_room > 24:
        out.append(Cell(" " + _fit(peer, who_room), "text"))
        room -= who_room + 1
    sentence = safe(row.sentence or kind, doubling=False)
    if row.closed_ns is None and row.bytes_in == 0 and now_ns is not None:
        sentence = (
            f"open {span_of_time(max(0, now_ns - row.opened_ns))}, no byte yet"
            + sentence.removeprefix("open, no byte yet")
        )
    room = max(room - marks_room, 1)
    out.append(Cell(" " + _fit(sentence, room), "muted", italic=True))
    if mark:
        tone = "bad" if kind in {"tls", "http2", "garbage", "socks"} else "warn"
        out.append(Cell(" " + _fit(mark if columns.marks > 2 else mark[:1], columns.marks), tone))
    return _closed(out, columns.total)


def _closed(out: list[Cell], total: int) -> list[Cell]:
    """Fill up, or cut what a tiny terminal has no room for."""
    used = sum(cells(cell.text) for cell in out)
    if used < total:
        out.append(Cell(" " * (total - used)))
        return out
    kept: list[Cell] = []
    room = total
    for cell in out:
        if room <= 0:
            break
        text = clip(cell.text, room)
        kept.append(cell._replace(text=text))
        room -= cells(text)
    return kept
