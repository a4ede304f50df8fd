"""What went over the wire in a test, for the report of a failure: a few lines for each exchange, as safe text.

Everything of the wire goes through `inspectd.text.safe`: no client writes on the terminal of a test run.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from inspectd.capture.model import State
from inspectd.text.safe import clip, safe
from inspectd.text.shell import quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from inspectd.capture.model import ConnectionRow, ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.testing.record import Record
    from inspectd.testing.seen import Key, SeenRequest

FIRST: Final = 10
LAST: Final = 20
"""Exchanges that are shown from the beginning and from the end."""
_LINES: Final = 12
_CONTENT_LINES: Final = 4
_WIDTH: Final = 110
_BYTES: Final = 4096


def traffic(record: Record, requests: Mapping[Key, SeenRequest], kept: Path | None = None) -> str:
    """The exchanges of a test, and the connections without one. `kept` is where the capture is found later."""
    rows, connections = record.exchanges(), record.connections()
    lines = [_summary(rows, connections)]
    shown = rows if len(rows) <= FIRST + LAST else [*rows[:FIRST], *rows[-LAST:]]
    start = rows[0].started_ns if rows else 0
    ends = {row.id: row for row in connections}
    for place, row in enumerate(shown):
        if place == FIRST and len(shown) < len(rows):
            lines += ["", f"  … {len(rows) - len(shown)} more …"]
        lines.append("")
        exchange = _Exchange(row, requests.get((row.connection, row.number)), ends.get(row.connection))
        lines += record.stage.read(partial(exchange.lines, start))
    with_one = {row.connection for row in rows}
    for connection in connections:
        if connection.id not in with_one:
            lines += ["", f"  connection {connection.id}: {_alone(connection)}"]
    if kept is not None:
        lines += ["", f"capture: inspectd open {quote(bytes(kept))}"]
        if rows:
            lines.append(f"exchange #{rows[-1].id}: inspectd show {quote(bytes(kept))} {rows[-1].id}")
    return "\n".join(lines)


def _summary(rows: list[ExchangeRow], connections: list[ConnectionRow]) -> str:
    if not connections:
        return "no connection was made to inspectd"
    return f"inspectd saw {_count(len(rows), 'request')} on {_count(len(connections), 'connection')}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _alone(row: ConnectionRow) -> str:
    if row.sentence:
        return safe(row.sentence)
    return f"{row.bytes_in} bytes came, no request among them; {_end(row) or 'still open'}"


def _end(row: ConnectionRow | None) -> str:
    if row is None or row.closed_ns is None:
        return ""
    return f"closed by the {row.closed_by} ({(row.how or '').upper()})"


class _Exchange:
    """The lines of one exchange."""

    def __init__(self, row: ExchangeRow, seen: SeenRequest | None, connection: ConnectionRow | None) -> None:
        self._row = row
        self._seen = seen
        self._connection = connection

    def lines(self, start: int, capture: Capture) -> list[str]:
        """What came, what was sent, and what became of it."""
        row = self._row
        when = f"+{(row.started_ns - start) / 1e9:.3f} s"
        rule = self._seen.rule if self._seen is not None else ""
        found = [f"  #{row.id} {when}  {safe(rule) or 'no rule'}"]
        found += _message("> ", capture.request_bytes(row, limit=_BYTES), row.req_head or None)
        if row.res_len:
            found += _message("< ", capture.response_bytes(row, limit=_BYTES), row.res_head)
        found.append(f"    {self._outcome(capture)}")
        return found

    def _outcome(self, capture: Capture) -> str:
        row = self._row
        words = []
        connection = f"connection {row.connection}"
        evidence = capture.evidence(row.id)
        if evidence is not None:
            if evidence.attempt > 1:
                gap = (
                    "" if evidence.gap_ns is None else f" {evidence.gap_ns / 1e9:.3f} s after the one before"
                )
                words.append(f"attempt {evidence.attempt}{gap}")
            of = "" if evidence.planned is None else f" of {evidence.planned}"
            words.append(f"{evidence.sent}{of} bytes sent")
            if evidence.acked is not None:
                words.append(f"{evidence.acked} acknowledged")
            connection = f"{'reused' if evidence.reused else 'new'} {connection}"
        words.append(connection)
        if State.HELD in row.state:
            words.append("held")
        if State.ABORTED in row.state and row.label:
            words.append(safe(row.label))
        if self._connection is not None and self._connection.exchanges == row.number:
            words.append(_end(self._connection) or "still open")
        return ", ".join(words)


def _message(mark: str, data: bytes, head: int | None) -> list[str]:
    """The head line by line, as far as it has come, and the beginning of the content in one."""
    lines = [clip(safe(line.removesuffix(b"\r")), _WIDTH) for line in data[:head].split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > _LINES:
        lines = [*lines[:_LINES], f"… {len(lines) - _LINES} more lines of the head"]
    content = b"" if head is None else data[head:]
    if content:
        rows = [
            clip(safe(line.removesuffix(b"\r")), _WIDTH)
            for line in content[:_BYTES].split(b"\n", _CONTENT_LINES)
        ]
        lines += ["", *rows[:_CONTENT_LINES], *(["…"] if len(rows) > _CONTENT_LINES else [])]
    return [f"    {mark}{line}".rstrip() for line in lines]
