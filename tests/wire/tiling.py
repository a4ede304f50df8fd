"""How the wire tests write down what they expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.wire import read

if TYPE_CHECKING:
    from inspectd.wire import Kind, Stream


def check_tiling(stream: Stream) -> None:
    """The spans are not empty, lie end to end, and cover everything."""
    at = 0
    for start, end, role in stream.spans:
        assert start == at, f"{role} starts at {start}, expected {at}"
        assert end > start, f"{role} is empty at {start}"
        at = end
    assert at == len(stream.data)


def tiles(data: bytes, kind: Kind = "request", *, eof: bool = True) -> list[tuple[str, bytes]]:
    """The spans of a stream as (role, bytes), after checking that they tile it."""
    stream = read(data, kind, eof=eof)
    check_tiling(stream)
    return [(role.value, data[start:end]) for start, end, role in stream.spans]
