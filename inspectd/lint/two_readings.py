"""The same bytes as different readers see them: where each ends the message, and what it takes for the next one.

A message whose end everybody agrees on has one reading. Where the framing fields contradict each other, are spelled
oddly, or lie in lines that not everybody takes for fields, each reader that deployed servers resemble gets its own
(RFC 9112 §6.3, §11.2).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.wire import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.wire import Kind, Message, Stream

NEXT_SHOWN: Final = 64
"""Bytes of the next message that are shown."""

EXAMINED: Final = 1024 * 1024
"""Bytes that are read at most."""

_CHUNKED: Final = re.compile(rb"(?i:transfer.?encoding[^\n]*+(?:\n[ \t][^\n]*+)?+)")
_MOST_LENGTHS: Final = 4
_HEADS: Final[dict[Kind, bytes]] = {"request": b"POST / HTTP/1.1\r\n", "response": b"HTTP/1.1 200 OK\r\n"}


class Reading(NamedTuple):
    """One way to read a message that begins at `start`. Offsets count from the first byte of the data."""

    reader: str
    """Who reads it so, such as `a reader that believes Content-Length`."""
    start: int
    head_end: int
    content: tuple[tuple[int, int], ...]
    """Where content lies, chunk lines left out."""
    end: int | None
    """Where the message ends and the next one begins, or None when this reader never finds out."""
    next: bytes
    """The first bytes of what this reader takes for the next message."""
    sentence: str


def readings(data: bytes, kind: Kind) -> list[Reading]:
    """How the first message that can be read in several ways is read; when all agree, the first message's one reading.

    The first reading is the one that the rest of inspectd shows. Empty when there is no whole head.
    """
    stream = read(data[:EXAMINED], kind, eof=False)
    whole = [message for message in stream.messages if message.head.complete]
    if not whole:
        return []
    message = next((each for each in whole if each.framing.ambiguous), whole[0])
    own = _own(stream, message)
    if not message.framing.ambiguous:
        return [own]
    told: dict[tuple[int | None, tuple[tuple[int, int], ...]], Reading] = {}
    for reading in (own, *_others(stream, message)):
        told.setdefault((reading.end, reading.content), reading)
    return list(told.values())


def _own(stream: Stream, message: Message) -> Reading:
    framing = message.framing
    end = message.end if message.complete else None
    if framing.lost:
        name = "a reader that refuses the message"
    elif framing.chunked:
        name = "a reader that believes Transfer-Encoding"
    elif framing.length:
        name = "a reader that believes Content-Length"
    else:
        name = "a reader that sees no content"
    return Reading(
        name,
        message.start,
        message.head_end,
        tuple(message.content),
        end,
        _next(stream, end),
        framing.sentence,
    )


def _others(stream: Stream, message: Message) -> Iterator[Reading]:
    raw = message.head.data
    if any(b"chunked" in found.lower() for found in _CHUNKED.findall(raw)):
        yield _as_if(
            stream, message, b"Transfer-Encoding: chunked", "a reader that believes Transfer-Encoding"
        )
    lengths = dict.fromkeys(
        other.length
        for other in message.framing.alternatives
        if other.length is not None and other.length > 0
    )
    for length in list(lengths)[:_MOST_LENGTHS]:
        field = b"Content-Length: %d" % length
        yield _as_if(stream, message, field, f"a reader that finds a Content-Length of {length:,}")
    yield _as_if(stream, message, b"Content-Length: 0", "a reader that sees no content")


def _as_if(stream: Stream, message: Message, field: bytes, name: str) -> Reading:
    """What a reader finds behind the head who took this for its framing field."""
    head = _HEADS[message.kind] + field + b"\r\n\r\n"
    other = read(head + stream.data[message.head_end :], message.kind, eof=False).messages[0]
    shift = message.head_end - len(head)
    end = other.end + shift if other.complete else None
    content = tuple((start + shift, stop + shift) for start, stop in other.content)
    return Reading(
        name, message.start, message.head_end, content, end, _next(stream, end), other.framing.sentence
    )


def _next(stream: Stream, end: int | None) -> bytes:
    return b"" if end is None else stream.data[end : end + NEXT_SHOWN]
