"""What came on a connection behind a request: bytes that others may take for a part of it, or that nobody read.

Where the end of a request is in doubt, what follows shows what each reader would take for the next one (RFC 9112
§11.2); and bytes that no request was read from are still bytes that came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from inspectd.capture.model import INCOMING, State
from inspectd.capture.trouble import CaptureError
from inspectd.lint import Finding, findings
from inspectd.lint.subject import line_end, quoted
from inspectd.wire import read

if TYPE_CHECKING:
    from inspectd.capture.model import ConnectionRow, ExchangeRow
    from inspectd.wire import Message

EXAMINED: Final = 64 * 1024
"""Bytes behind a request that are looked at."""

_OF_WHAT_FOLLOWS: Final = frozenset({"body-embedded-request", "stream-bytes-after-close"})


class Streams(Protocol):
    """Where the bytes of connections are: `capture.reader.Capture` offers it."""

    def connection(self, number: int, /) -> ConnectionRow | None: ...
    def stream_bytes(
        self, connection: int, direction: int, offset: int = 0, limit: int | None = None
    ) -> bytes: ...


def following(capture: Streams, row: ExchangeRow) -> bytes:
    """The first bytes behind a request whose end is in doubt, or behind the last one of its connection.

    None behind a request that opened a tunnel or changed the protocol: those are no HTTP.
    """
    if row.method == "CONNECT" or row.status == "101":
        return b""
    connection = capture.connection(row.connection)
    end = row.req_offset + (row.req_run if row.req_len is None else row.req_len)
    if connection is None or connection.bytes_in <= end:
        return b""
    if not row.state & State.AMBIGUOUS and connection.newest != row.id:
        return b""
    try:
        return capture.stream_bytes(row.connection, INCOMING, end, EXAMINED)
    except CaptureError:
        return b""


def findings_before(request: bytes, after: bytes) -> tuple[Finding, ...]:
    """The findings of a request that these bytes follow, what they show of it among them.

    A finding about the bytes behind lies at the end of the request, and its detail quotes them.
    """
    data = request + after
    stream = read(data, "request", eof=True)
    if not stream.messages:
        return tuple(findings(request, "request"))
    first = stream.messages[0]
    alone = len(stream.messages) == 1
    ends = _ends(first)
    size = len(request)
    kept = []
    for each in findings(data, "request", stream=stream):
        exact = each.also[0][0] if each.also else each.start
        if exact < size:
            kept.append(each if each.end <= size else each._replace(end=size))
        elif each.id in _OF_WHAT_FOLLOWS and (exact in ends or alone):
            line = quoted(data[exact : line_end(data, exact)].rstrip(b"\r\n"))
            detail = f"{each.detail}: {line}" if each.detail else line
            kept.append(Finding(each.id, size, size, detail))
    return tuple(kept)


def _ends(message: Message) -> set[int]:
    """Where readers end a message, as far as a number says it."""
    lengths = [other.length for other in message.framing.alternatives]
    return {message.end, *(message.head_end + length for length in lengths if length is not None)}
