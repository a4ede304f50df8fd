"""Programs reach the socket as they are written: pieces, pauses, gates, FIN and RST."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import OUTGOING, State
from inspectd.rules.program import (
    Close,
    HalfClose,
    Hold,
    LiveProgram,
    Op,
    Program,
    Reset,
    Send,
    SendFile,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HTTP/1.1 200 Fine\r\nContent-Length: 6\r\n\r\n"


class Plays:
    """Answers everything with one program."""

    description = status_line = ""

    def __init__(self, *ops: Op) -> None:
        self.ops = ops

    def respond(self, request: object, *, now: float, persist: bool) -> Program:
        return Program(self.ops, label="test")


async def test_waits_are_kept_between_pieces(run_engine: Any) -> None:
    async with run_engine(Plays(Send(HEAD), Wait(0.2), Send(b"abc"), Send(b"def"))) as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(b"abcdef")
        await client.close()
        row = await running.exchange(1)
        assert (row.status, row.reason, row.res_head) == ("200", "Fine", len(HEAD))
        assert running.capture.response_bytes(row) == HEAD + b"abcdef"
        head, abc, *_ = running.capture.reads(row.connection, OUTGOING)
        assert (head.length, abc.offset) == (len(HEAD), len(HEAD))
        assert abc.ns - head.ns > 150_000_000


async def test_a_hold_waits_for_its_gate_and_later_requests_wait_for_it(run_engine: Any) -> None:
    async with run_engine(Plays(Hold("g"), Send(HEAD + b"abcdef"))) as running:
        client = await running.connect()
        await client.send(GET + GET)
        await running.eventually(lambda: running.engine.exchanges == 2)
        assert running.capture.exchange(1).status is None
        running.engine._site.gates.open("g")
        await client.until(b"abcdef")
        await client.until(b"abcdef")
        await client.close()


async def test_a_reset_is_a_reset_and_a_close_is_the_end_of_the_stream(
    run_engine: Any, tmp_path: Path
) -> None:
    async with run_engine(Plays(Send(HEAD), Send(b"abc"), Reset())) as running:
        client = await running.connect()
        await client.send(GET)
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await client.close()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("server", "rst")
    async with run_engine(Plays(Send(HEAD + b"abc"), Close()), capture=tmp_path / "b.inspectd") as running:
        client = await running.connect()
        await client.send(GET)
        assert await client.rest() == HEAD + b"abc"
        await client.close()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("server", "fin")


async def test_a_half_close_ends_our_side_only(run_engine: Any) -> None:
    async with run_engine(Plays(Send(HEAD + b"abc"), HalfClose(), Wait(0.05))) as running:
        client = await running.connect()
        await client.send(GET)
        assert await client.rest() == HEAD + b"abc"
        await client.send(b"more")
        await client.close()
        row = await running.closed()
        assert row.bytes_in == len(GET) + 4


async def test_a_file_is_sent_from_its_offset(run_engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    content = bytes(range(256)) * 8192
    path.write_bytes(content)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(content) - 100)
    async with run_engine(Plays(Send(head), SendFile(path, 100, len(content) - 100), Close())) as running:
        answer = await running.ask(GET)
        assert answer == head + content[100:]
        row = await running.exchange(1)
        assert b"".join(running.capture.iter_response_bytes(row)) == answer


async def test_a_file_that_became_shorter_ends_with_a_reset_and_a_reason(
    run_engine: Any, tmp_path: Path
) -> None:
    path = tmp_path / "short.bin"
    path.write_bytes(b"abc")
    async with run_engine(Plays(Send(HEAD), SendFile(path, 0, 6))) as running:
        client = await running.connect()
        await client.send(GET)
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await client.close()
        row = await running.exchange(1)
        assert State(row.state) & State.ABORTED
        assert "shorter" in row.label


async def test_a_slow_reader_holds_the_sender_back_and_gets_everything(
    run_engine: Any, tmp_path: Path
) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(16 * 1024 * 1024))
    async with run_engine(Plays(Send(HEAD), SendFile(path, 0, 16 * 1024 * 1024), Close())) as running:
        client = await running.connect()
        client.writer.transport.pause_reading()
        await client.send(GET)
        await running.eventually(lambda: (running.capture.exchange(1) or _none).res_len)
        (connection,) = running.engine._site.connections
        assert connection._transport.get_write_buffer_size() < 2 * 1024 * 1024
        client.writer.transport.resume_reading()
        assert len(await client.rest()) == len(HEAD) + 16 * 1024 * 1024
        await client.close()


class _None:
    res_len = None


_none = _None()


async def test_a_live_program_sends_what_it_learns(run_engine: Any) -> None:
    more = asyncio.Event()

    async def ops() -> AsyncIterator[Op]:
        yield Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        yield Send(b"data: 1\n\n")
        await more.wait()
        yield Send(b"data: 2\n\n")
        yield Close()

    class Streams(Plays):
        def respond(self, request: object, *, now: float, persist: bool) -> Any:
            return LiveProgram(ops(), label="events")

    async with run_engine(Streams()) as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(b"data: 1\n\n")
        more.set()
        assert await client.rest() == b"data: 2\n\n"
        await client.close()
        assert (await running.exchange(1)).status == "200"


@pytest.mark.parametrize(
    ("data", "status", "reason", "head"),
    [
        (b"HTTP/1.1 299 Odd\r\n\r\n", "299", "Odd", 20),
        (b"HTTP/1.1 503\r\n\r\n", "503", None, 16),
        (b"HTTP/1.1 503 \r\n\r\n", "503", "", 17),
        (b"ICY 200 OK\n\nx", "200", "OK", 12),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\r\n\r\n", "204", "None", 46),
        (b"no status line", None, None, None),
        (b"HTTP/1.1 -12 \xff\r\n\r\n", "-12", "\\xff", 18),
    ],
)
async def test_the_row_names_the_status_that_was_sent(
    run_engine: Any, data: bytes, status: str | None, reason: str | None, head: int | None
) -> None:
    async with run_engine(Plays(Send(data), Close())) as running:
        assert await running.ask(GET) == data
        row = await running.exchange(1)
        if status is None:
            assert row.res_len == len(data)
        else:
            assert (row.status, row.reason, row.res_head) == (status, reason, head)
