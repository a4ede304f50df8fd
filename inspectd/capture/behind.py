"""What is ill-formed in the messages of a WebSocket and in the events of a stream, message by message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.capture.messages import events, is_event_stream, is_websocket, websocket
from inspectd.capture.model import OUTGOING
from inspectd.capture.trouble import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.capture.model import ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.wire.oddity import Oddity

QUOTED: Final = 64
"""Bytes of a message that are given."""


class Behind(NamedTuple):
    """The oddities of one message or event, and who sent it. Their offsets count from where the frames, or the content,
    of that side begin."""

    direction: int
    oddities: tuple[Oddity, ...]
    data: bytes
    """The first bytes of the message; none of an event, which may have come in a coding."""


def oddities_behind(capture: Capture, row: ExchangeRow) -> Iterator[Behind]:
    """What is ill-formed behind the heads of an exchange: each message or event that has an oddity, as they come."""
    try:
        if is_websocket(capture, row):
            yield from _frames(capture, row)
        elif is_event_stream(capture, row):
            for _, event in events(capture, row).rest():
                if event.oddities:
                    yield Behind(OUTGOING, event.oddities, b"")
    except CaptureError:  # retention may take bytes away between two looks
        return


def _frames(capture: Capture, row: ExchangeRow) -> Iterator[Behind]:
    cursor = websocket(capture, row)

    def of(direction: int, oddities: tuple[Oddity, ...], start: int, end: int) -> Behind:
        begin, size = cursor.starts[direction] + start, min(end - start, QUOTED)
        return Behind(direction, oddities, capture.stream_bytes(row.connection, direction, begin, size))

    for direction, _, message in cursor.rest():
        if message.oddities:
            yield of(direction, message.oddities, message.start, message.end)
    for direction, oddity in cursor.oddities:
        yield of(direction, (oddity,), oddity.start, oddity.end)
