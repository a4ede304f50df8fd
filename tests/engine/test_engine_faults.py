"""What goes wrong on purpose, seen at the client's socket: stalls, trickles, resets, half-closes, waits with an end."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import OUTGOING, State
from inspectd.engine.config import Limits
from inspectd.rules.program import (
    Close,
    HalfClose,
    Hold,
    LiveProgram,
    Op,
    Pace,
    Program,
    Reset,
    Send,
    SendFile,
    Stall,
    Wait,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from inspectd.rules.request import Request

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HTTP/1.1 200 Fine\r\nContent-Length: 6\r\n\r\n"
WHOLE = Program((Send(HEAD + b"abcdef"),))


class Plays:
    """Answers the nth request with the nth program, and then with the last one."""

    description = status_line = ""

    def __init__(self, *programs: Program | LiveProgram | tuple[Op, ...]) -> None:
        self.programs = [Program(one) if isinstance(one, tuple) else one for one in programs]
        self.asked: list[Request] = []

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        self.asked.append(request)
        return self.programs[min(len(self.asked), len(self.programs)) - 1]


async def until_reset(client: Any) -> bytes:
    """All that comes before a RST; an error when it is a FIN that comes."""
    got = b""
    try:
        while True:
            data = await client.reader.read(65536)
            assert data, "a FIN instead of a RST"
            got += data
    except ConnectionResetError:
        return got


# -- a reset is a reset, after everything that was to come before it


@pytest.mark.parametrize("size", [0, 1, 3000, 5_000_000])
async def test_a_reset_comes_after_every_byte_before_it(run_engine: Any, size: int) -> None:
    sent = (HEAD + bytes(size))[: size or None] if size < 10 else HEAD + bytes(size)
    async with run_engine(Plays((Send(sent), Reset()))) as running:
        client = await running.connect()
        await client.send(GET)
        assert await until_reset(client) == sent
        await client.close()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("server", "rst")


async def test_a_reset_does_not_wait_forever_for_a_client_that_reads_nothing(run_engine: Any) -> None:
    async with run_engine(Plays((Send(bytes(20_000_000)), Reset()))) as running:
        client = await running.connect()
        client.writer.transport.pause_reading()
        await client.send(GET)
        client.writer.transport.resume_reading()
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await client.close()


async def test_a_reset_on_a_reused_connection_leaves_the_answer_before_it_whole(run_engine: Any) -> None:
    async with run_engine(Plays(WHOLE, (Send(HEAD + b"abc"), Reset()))) as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(b"abcdef")
        await client.send(GET)
        await client.until(b"abc")
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await client.close()
        row = await running.closed()
        assert (row.exchanges, row.how) == (2, "rst")


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
async def test_a_reset_that_nothing_precedes_answers_pipelined_requests_with_nothing(
    run_engine: Any, durability: str
) -> None:
    async with run_engine(Plays((Reset(),)), durability=durability) as running:
        client = await running.connect()
        await client.send(GET * 3)
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await client.close()
        row = await running.closed()
        assert (row.bytes_out, row.exchanges, row.how) == (0, 3, "rst")
        assert State((await running.exchange(3)).state) & State.ABORTED


# -- stalls


async def test_a_stall_outlasts_the_idle_time_and_ends_with_the_client(run_engine: Any) -> None:
    limits = Limits(idle_timeout=0.3, head_timeout=0.3)
    async with run_engine(Plays((Send(HEAD + b"abc"), Stall(), Send(b"def"))), limits=limits) as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(b"abc")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.2):
                await client.reader.read(1)
        await client.close()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("client", "fin")
        exchange = await running.exchange(1)
        assert State(exchange.state) & State.ABORTED
        assert running.capture.response_bytes(exchange) == HEAD + b"abc"


async def test_a_client_that_had_said_fin_before_gets_the_stall_as_well(run_engine: Any) -> None:
    async with run_engine(
        Plays((Send(HEAD), Wait(0.1), Stall())), limits=Limits(idle_timeout=0.6)
    ) as running:
        client = await running.connect()
        began = time.monotonic()
        await client.send(GET)
        client.writer.write_eof()
        assert (
            await client.rest() == HEAD
        )  # such a client can't leave a second time: it is the idle time that ends it
        assert time.monotonic() - began >= 0.6
        await client.close()
        assert (await running.closed()).how in {"fin", "timeout"}


async def test_requests_behind_a_stall_are_recorded_and_never_answered(run_engine: Any) -> None:
    async with run_engine(Plays((Stall(),))) as running:
        client = await running.connect()
        await client.send(GET * 300)
        await running.eventually(
            lambda: (running.capture.connection(1) or _nothing).bytes_in == 300 * len(GET)
        )
        await client.close()
        row = await running.closed()
        assert (row.bytes_in, row.bytes_out) == (300 * len(GET), 0)


class _Nothing:
    bytes_in = 0


_nothing = _Nothing()


async def test_a_stop_resets_a_stalled_answer_at_once(run_engine: Any) -> None:
    async with run_engine(Plays((Send(HEAD), Stall())), grace=30.0) as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(b"\r\n\r\n")
        began = time.monotonic()
    assert time.monotonic() - began < 20
    with pytest.raises(ConnectionResetError):
        await client.rest()
    await client.close()


# -- pace


async def test_bytes_trickle_one_by_one_in_time(run_engine: Any) -> None:
    async with run_engine(Plays((Send(HEAD), Send(b"abcdef", Pace(1, 0.03)), Close()))) as running:
        client = await running.connect()
        began = time.monotonic()
        await client.send(GET)
        await client.until(b"\r\n\r\n")
        for place, byte in enumerate(b"abcdef"):
            assert await client.reader.readexactly(1) == bytes((byte,))
            assert time.monotonic() - began >= place * 0.03
        assert await client.rest() == b""
        await client.close()
        row = await running.exchange(1)
        assert running.capture.response_bytes(row) == HEAD + b"abcdef"
        reads = running.capture.reads(row.connection, OUTGOING, len(HEAD))
        assert [read.length for read in reads] == [1] * 6
        for place, read in enumerate(reads):
            assert read.ns - row.received_ns >= place * 30_000_000 - 1_000_000  # the clocks are two


async def test_the_rhythm_of_a_file_goes_on_from_read_to_read(run_engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(600_000))
    pace = Pace(100_000, 0.02, jitter=0.5, seed=3)
    async with run_engine(Plays((Send(HEAD), SendFile(path, 1000, 555_000, pace), Close()))) as running:
        began = time.monotonic()
        assert len(await running.ask(GET)) == len(HEAD) + 555_000
        pauses = pace.pauses()
        assert time.monotonic() - began >= sum(next(pauses) for _ in range(5))
        row = await running.exchange(1)
        places = {read.offset - len(HEAD) for read in running.capture.reads(1, OUTGOING, len(HEAD))}
        assert {0, 100_000, 200_000, 300_000, 400_000, 500_000} <= places
        assert row.res_len == len(HEAD) + 555_000


async def test_a_trickle_waits_for_a_client_that_reads_slowly(run_engine: Any) -> None:
    size = 30_000_000
    async with run_engine(Plays((Send(bytes(size), Pace(1_000_000, 0.001)), Close()))) as running:
        client = await running.connect()
        client.writer.transport.pause_reading()
        await client.send(GET)
        (connection,) = running.engine._site.connections
        await running.eventually(lambda: connection._choked)
        assert connection._transport.get_write_buffer_size() < 2_000_000
        client.writer.transport.resume_reading()
        assert len(await client.rest()) == size
        await client.close()


async def test_a_client_that_leaves_a_trickle_ends_it(run_engine: Any) -> None:
    async with run_engine(Plays((Send(bytes(100_000), Pace(1, 0.01)),))) as running:
        client = await running.connect()
        await client.send(GET)
        await client.reader.readexactly(3)
        client.writer.transport.abort()
        row = await running.closed()
        assert row.closed_by == "client"
        assert row.bytes_out < 100_000


# -- half-close, waits with an end


async def test_after_a_half_close_what_the_client_sends_is_recorded(run_engine: Any) -> None:
    async with run_engine(Plays((Send(HEAD + b"abc"), HalfClose(), Stall()))) as running:
        client = await running.connect()
        await client.send(GET)
        assert await client.rest() == HEAD + b"abc"
        await client.send(GET)
        await running.eventually(lambda: (running.capture.connection(1) or _nothing).bytes_in == 2 * len(GET))
        await client.close()
        row = await running.closed()
        assert (row.bytes_out, row.closed_by, row.how) == (len(HEAD) + 3, "server", "fin")


async def test_a_wait_for_a_gate_ends_with_its_time(run_engine: Any) -> None:
    async with run_engine(Plays((Hold("g", 0.2), Send(HEAD + b"abcdef")))) as running:
        client = await running.connect()
        began = time.monotonic()
        await client.send(GET)
        await client.until(b"abcdef")
        assert time.monotonic() - began >= 0.2
        await client.close()


async def test_a_wait_that_nobody_ended_leads_to_the_other_answer(run_engine: Any) -> None:
    other = b"HTTP/1.1 204 Nothing\r\n\r\n"
    waits = (Hold("g", 0.1, otherwise=(Send(other), Close())), Send(HEAD + b"abcdef"), Close())
    async with run_engine(Plays(waits)) as running:
        assert await running.ask(GET) == other
        assert (await running.exchange(1)).status == "204"
        running.engine.gates.open("g")
        assert await running.ask(GET) == HEAD + b"abcdef"
        running.engine.gates.close("g")
        assert await running.ask(GET) == other


async def test_a_live_program_stalls_and_resets_like_any_other(run_engine: Any) -> None:
    async def ops() -> AsyncIterator[Op]:
        yield Send(HEAD)
        yield Hold("never", 0.01, otherwise=(Send(b"late"), Reset()))
        yield Send(b"never")

    async with run_engine(Plays(LiveProgram(ops()))) as running:
        client = await running.connect()
        await client.send(GET)
        assert await client.until(b"late") == HEAD + b"late"
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await client.close()


async def test_a_large_file_trickles_through_little_memory(run_engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "large.bin"
    size = 100 * 1024 * 1024
    with path.open("wb") as file:
        file.truncate(size)
    async with run_engine(
        Plays((Send(HEAD), SendFile(path, 0, size, Pace(4_000_000, 0.002)), Close()))
    ) as running:
        client = await running.connect()
        tracemalloc.start()
        try:
            await client.send(GET)
            got = 0
            while data := await client.reader.read(1 << 20):
                got += len(data)
            assert got == len(HEAD) + size
            assert tracemalloc.get_traced_memory()[1] < 24 * 1024 * 1024
        finally:
            tracemalloc.stop()
        await client.close()
