"""Bytes behind the last request that is read on a connection: they get a row, and are looked at with the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.findings import findings_of, marks
from inspectd.tui.subject import Subject

if TYPE_CHECKING:
    from inspectd.capture.model import ConnectionRow

AMBIGUOUS = (
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSES = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


async def _ended(running: Any, data: bytes) -> ConnectionRow:
    """The row of a connection that sent this, when it has ended."""
    client = await running.connect()
    await client.send(data)
    await client.rest()
    await client.close()
    row: ConnectionRow = await running.closed()
    return row


@pytest.mark.parametrize("request_", [AMBIGUOUS, CLOSES], ids=["ambiguous", "closes"])
async def test_bytes_behind_the_last_request_have_a_row_that_words_find(
    run_engine: Any, request_: bytes
) -> None:
    async with run_engine() as running:
        row = await _ended(running, request_ + SMUGGLED)
        capture = running.capture
        assert row.kind == "left-over"
        assert row.sentence == (
            f"{len(SMUGGLED)} bytes were left over behind exchange 1 and not read as a request: GET /smuggled HTTP/1.1"
        )
        assert list(capture.search_connections("smuggled")) == [1]
        assert [each.id for each in capture.iter_connections()] == [1]


async def test_the_readings_of_a_recorded_request_go_on_behind_it(run_engine: Any) -> None:
    async with run_engine() as running:
        await _ended(running, AMBIGUOUS + SMUGGLED)
        capture = running.capture
        row = capture.exchange(1)
        assert "body-embedded-request" in marks(capture, row).ids
        assert [each for chunk in capture.search("finding == body-embedded-request") for each in chunk] == [1]
        embedded = next(
            each for each in findings_of(capture, row, "request") if each.id == "body-embedded-request"
        )
        assert '"GET /smuggled HTTP/1.1"' in embedded.detail

        subject = Subject.load(capture, 1)
        assert subject is not None
        side = subject.side("request")
        assert "body-embedded-request" in {each.id for each in side.findings}
        chunked, counted, empty = side.readings
        assert (chunked.end, chunked.next) == (len(AMBIGUOUS), SMUGGLED)
        assert (counted.end, counted.next) == (len(AMBIGUOUS) + 5, SMUGGLED[5:])
        assert empty.next.startswith(b"0\r\n\r\nGET /smuggled")
        assert subject.side("response").readings == ()


@pytest.mark.parametrize(
    "data",
    [
        GET + GET,
        CLOSES,
        CLOSES + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd",
        GET + b"GET / HT",
    ],
)
async def test_what_is_read_leaves_nothing_over(run_engine: Any, data: bytes) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(data)
        await client.until(b"hello")
        await client.close()
        assert (await running.closed()).kind is None


async def test_what_is_quoted_of_them_is_safe(run_engine: Any) -> None:
    async with run_engine() as running:
        row = await _ended(running, CLOSES + b"\r\n\x1b[2J odd\r\nmore")
        assert row.kind == "left-over"
        assert (row.sentence or "").endswith("not read as a request: \\x1b[2J odd")
