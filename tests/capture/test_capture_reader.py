"""Rows and exact bytes, from a capture that is being written and from one that isn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.capture.model import INCOMING, OUTGOING, Read
from inspectd.capture.reader import Capture
from tests.capture.traffic import OK, get, new_writer, open_connection

if TYPE_CHECKING:
    from pathlib import Path


def test_messages_that_share_reads_keep_their_exact_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.inspectd"
    writer = new_writer(path)
    connection = open_connection(writer)
    first, second = b"GET / HTTP/1.1\r\n\r\n", b"POST /x HTTP/1.1\r\nContent-Length: 10\r\n\r\nabcdefghij"
    third = b"GET /half HTTP/1.1\r\n\r\n"
    stream = b"\r\n" + first + second + third
    cuts = [0, 63, 79, len(stream)]

    connection.received(stream[:63], 100)
    one = connection.begin(2, 100)
    connection.end(one, 2 + len(first))
    two = connection.begin(2 + len(first), 100)
    connection.settle(two)
    connection.sent(one, OK, 101)
    writer.flush(101)
    with Capture.open(path) as capture:
        assert capture.request_bytes(1) == first
        assert capture.request_bytes(2) == second[:43]
        connection.received(stream[63:79], 200)
        connection.end(two, 2 + len(first) + len(second))
        connection.settle(None)
        writer.flush(201)
        connection.received(stream[79:], 300)
        three = connection.begin(2 + len(first) + len(second), 200)
        connection.end(three, len(stream))
        connection.settle(None)
        writer.flush(301)

        assert [capture.request_bytes(number) for number in (1, 2, 3)] == [first, second, third]
        assert capture.response_bytes(1) == OK
        assert capture.response_bytes(2) == b""
        assert capture.request_bytes(2, offset=3, limit=7) == second[3:10]
        assert capture.stream_bytes(1, INCOMING) == stream
        assert capture.stream_bytes(1, INCOMING, 25, 60) == stream[25:85]
        assert capture.reads(1, INCOMING) == [
            Read(begin, end - begin, ns)
            for begin, end, ns in zip(cuts, cuts[1:], (100, 200, 300), strict=False)
        ]
        assert capture.reads(1, OUTGOING) == [Read(0, len(OK), 101)]
        assert capture.reads(1, INCOMING, 70, 81) == [Read(70, 9, 200), Read(79, 2, 300)]
    writer.close(400)


def test_a_viewer_sees_what_is_written_after_it_opened(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "a.inspectd")
    with Capture.open(tmp_path / "a.inspectd") as capture:
        assert capture.changed()
        assert not capture.changed()
        assert capture.newest_exchange() == 0
        connection = open_connection(writer)
        data, _ = get(writer, connection, "/now")
        writer.flush(1001)
        assert capture.changed()
        assert capture.newest_exchange() == 1
        assert capture.request_bytes(1) == data
        assert capture.counts() == (1, 1, 0)
    writer.close(2000)
