"""Frames and events that are meant to hurt. Each must be done in seconds; a quadratic reader needs hours."""

from __future__ import annotations

import time
import tracemalloc
import zlib
from typing import TYPE_CHECKING, Final

import pytest

from inspectd.wire.event_stream import EventReader
from inspectd.wire.websocket import Deflate, MessageReader
from tests.wire.frames import MASK, frame

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET_S: Final = 20.0
"""Far above what a linear reader takes on a slow machine, far below what a quadratic one does."""
WHOLE: Final = 200_000
PIECEMEAL: Final = 30_000
ALONE: Final = Deflate(client_no_context_takeover=True)


def squeezed(data: bytes) -> bytes:
    squeeze = zlib.compressobj(wbits=-15)
    return (squeeze.compress(data) + squeeze.flush(zlib.Z_SYNC_FLUSH))[:-4]


FRAMES: Final[dict[str, Callable[[int], bytes]]] = {
    # Each makes a client's stream of about `size` bytes.
    "empty pings": lambda size: frame(9, mask=MASK) * (size // 6),
    "unmasked empty continuations": lambda size: b"\x80\x00" * (size // 2),
    "a message of empty fragments": lambda size: b"\x01\x80aaaa" + b"\x00\x80aaaa" * (size // 6),
    "fragments within characters": lambda size: (
        b"\x01\x81\0\0\0\0\xe2" + b"\x00\x81\0\0\0\0\x82" * (size // 7)
    ),
    "texts that are never UTF-8": lambda size: frame(1, b"\xff", mask=MASK) * (size // 7),
    "messages that are broken off": lambda size: frame(1, b"a", fin=False, mask=MASK) * (size // 7),
    "frames after close": lambda size: frame(8, mask=MASK) * (size // 6),
    "a long payload": lambda size: frame(2, bytes(size), mask=MASK),
    "a long text": lambda size: frame(1, b"\xe2\x82\xac" * (size // 3), mask=MASK),
    "more than there can be": lambda size: frame(2, bytes(size), mask=MASK, length=(1 << 64) - 1),
    "zeros": bytes,
    "bombs": lambda size: frame(2, squeezed(bytes(size * 100)), rsv=4, mask=MASK) * 4,
    "compressed messages that are empty": lambda size: frame(2, b"\x00", rsv=4, mask=MASK) * (size // 7),
    "final blocks": lambda size: frame(2, b"\x03\x00" * (size // 2), rsv=4, mask=MASK),
    "what can't be inflated": lambda size: frame(2, b"\xff" * 20, rsv=4, mask=MASK) * (size // 26),
}
EVENTS: Final[dict[str, Callable[[int], bytes]]] = {
    "empty lines": lambda size: b"\n" * size,
    "lone CRs": lambda size: b"\r" * size,
    "a line without end": lambda size: b"data: " + b"x" * size,
    "an event without end": lambda size: b"data\n" * (size // 5),
    "comments": lambda size: b":\n" * (size // 2),
    "unknown fields": lambda size: b"x\n" * (size // 2),
    "digits": lambda size: b"retry: " + b"9" * size + b"\n\n",
    "BOMs": lambda size: b"\xef\xbb\xbf" * (size // 3),
}


@pytest.mark.parametrize("shape", FRAMES)
def test_hostile_frames_are_read_in_no_time_in_any_pieces(shape: str) -> None:
    started = time.process_time()
    whole = MessageReader(client=True, deflate=ALONE)
    whole.feed(FRAMES[shape](WHOLE))
    whole.eof()
    data = FRAMES[shape](PIECEMEAL)
    reader = MessageReader(client=True, deflate=ALONE)
    found = [each for at in range(len(data)) for each in reader.feed(data[at : at + 1])] + reader.eof()
    assert time.process_time() - started < BUDGET_S
    again = MessageReader(client=True, deflate=ALONE)
    assert found == again.feed(data) + again.eof()


@pytest.mark.parametrize("shape", EVENTS)
def test_hostile_events_are_read_in_no_time_in_any_pieces(shape: str) -> None:
    started = time.process_time()
    whole = EventReader()
    whole.feed(EVENTS[shape](WHOLE))
    data = EVENTS[shape](PIECEMEAL)
    reader = EventReader()
    found = [each for at in range(len(data)) for each in reader.feed(data[at : at + 1])] + reader.eof()
    assert time.process_time() - started < BUDGET_S
    again = EventReader()
    assert found == again.feed(data) + again.eof()


@pytest.mark.parametrize(
    "start",
    [frame(2, length=1 << 62, mask=MASK), frame(1, b"a", fin=False, mask=MASK) + frame(0, length=1 << 62)],
)
def test_memory_stays_flat_whatever_comes(start: bytes) -> None:
    reader = MessageReader(client=True, limit=1000)
    reader.feed(start)
    piece = bytes(65536)
    reader.feed(piece)
    tracemalloc.start()
    for _ in range(300):
        assert reader.feed(piece) == []
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < 200_000


def test_memory_stays_flat_in_a_message_without_end() -> None:
    reader = MessageReader(client=False, limit=1000)
    reader.feed(frame(2, b"x", fin=False))
    pieces = frame(0, b"x", fin=False) * 5000
    reader.feed(pieces)
    tracemalloc.start()
    for _ in range(3):
        assert reader.feed(pieces) == []
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < 200_000


def test_memory_stays_flat_in_an_event_without_end() -> None:
    reader = EventReader(limit=1000)
    lines = b"data: x\nwhat\n: y\n" * 2000 + b"data: " + b"z" * 60_000
    reader.feed(lines)
    tracemalloc.start()
    for _ in range(3):
        assert reader.feed(lines) == []
    now, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now < 200_000
