"""The number in the header: the rows that are marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.capture.findings import outstanding
from inspectd.capture.model import State
from inspectd.capture.reader import Capture
from inspectd.tui.odd import AT_ONCE, OddRows
from tests.capture.traffic import get, new_writer, open_connection

if TYPE_CHECKING:
    from pathlib import Path

BAD = b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"


def test_as_many_are_counted_as_are_marked(tmp_path: Path) -> None:
    path = tmp_path / "odd.inspectd"
    writer = new_writer(path)
    connection = open_connection(writer)
    _, unfinished = get(writer, connection)
    unfinished.state = State.HEAD_COMPLETE.value
    for number in range(AT_ONCE):
        get(writer, connection, f"/{number}")
    start = connection.bytes_in
    connection.received(BAD, 2_000)
    bad = connection.begin(start, 2_000)
    connection.end(bad, connection.bytes_in)
    bad.req_head = len(BAD)
    bad.state |= (State.HEAD_COMPLETE | State.REQUEST_COMPLETE | State.RESPONSE_COMPLETE).value
    connection.settle(None)
    hello = open_connection(writer)
    hello.received(b"\x16\x03\x01\x02\x00\x01", 2_500)
    hello.settle(None)
    hello.describe("tls", "A TLS hello.")
    hello.closed_ns = 2_600
    hello.save()
    writer.flush(3_000)

    with Capture.open(path) as capture:
        odd = OddRows(capture)
        assert odd.count == 0
        assert odd.more()
        assert not odd.more()
        odd.again()
        assert odd.count == 1
        unfinished.state |= (State.REQUEST_COMPLETE | State.RESPONSE_COMPLETE).value
        unfinished.method = "GET"
        connection.touch(unfinished)
        writer.flush(4_000)
        odd.again()
        assert odd.count == 1
        marked = [row.id for row in capture.exchanges_after(0, 100) if outstanding(capture, row) is not None]
        assert marked == [AT_ONCE + 2]
    writer.close(5_000)
