"""Nothing vanishes: every accepted connection is a row with its bytes and a sentence, whatever came over it."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.engine.config import Limits
from inspectd.rules.answer import make_answer
from inspectd.rules.responder import Fixed

HELLO_END = b"\r\n\r\nhello"
GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
TLS_HELLO = bytes.fromhex("16030100310100002d0303") + bytes(32) + bytes.fromhex("000002130101000002000000")
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "kind", "farewell"),
    [
        (TLS_HELLO, "tls", b"\x15\x03\x01\x00\x02\x02\x28"),
        (H2_PREFACE, "http2", b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"),
        (b"\x05\x01\x00", "socks5", b"\x05\xff"),
        (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", "socks4", b"\x00\x5b"),
    ],
)
async def test_other_protocols_get_words_they_understand(
    run_engine: Any, first: bytes, kind: str, farewell: bytes
) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(first)
        assert (await client.rest()).startswith(farewell)
        await client.close()
        row = await running.closed()
        assert row.kind == kind
        assert row.sentence
        assert row.exchanges == 0
        assert running.capture.stream_bytes(1, INCOMING) == first
        assert running.capture.stream_bytes(1, OUTGOING) == client.got


async def test_an_http2_farewell_is_a_settings_frame_and_a_goaway(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(H2_PREFACE)
        answer = await client.rest()
        await client.close()
    frames = []
    while answer:
        length = int.from_bytes(answer[:3], "big")
        frames.append((answer[3], answer[9 : 9 + length]))
        answer = answer[9 + length :]
    assert [kind for kind, _ in frames] == [4, 7]
    assert struct.unpack(">II", frames[1][1][:8]) == (0, 0xD)  # last stream 0, HTTP_1_1_REQUIRED


async def test_binary_garbage_is_kept_described_and_refused(run_engine: Any) -> None:
    garbage = b"\x00\xff\xfe\x00binary\x00"
    async with run_engine() as running:
        answer = await running.ask(garbage)
        assert answer.startswith(b"HTTP/1.1 400 ")
        row = await running.closed()
        assert row.kind
        assert row.sentence
        assert running.capture.stream_bytes(1, INCOMING) == garbage


async def test_a_connection_without_a_byte_is_a_row_while_it_is_open_and_after(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await running.eventually(lambda: _kind(running, 1) == "preconnect")
        assert "no byte yet" in running.capture.connection(1).sentence
        await client.close()
        row = await running.closed()
        assert (row.kind, row.closed_by, row.how, row.bytes_in, row.bytes_out) == (
            "preconnect",
            "client",
            "fin",
            0,
            0,
        )
        assert "not a byte" in row.sentence


async def test_a_connection_that_is_closed_as_soon_as_it_is_open_ends_at_once(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.close()
        row = await running.closed()

        assert row.closed_ns - row.opened_ns >= 50_000_000 or "closed by the client at once" in row.sentence


async def test_a_preconnect_that_is_used_later_says_so(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await running.eventually(lambda: _kind(running, 1) == "preconnect")
        await client.send(GET)
        await client.until(HELLO_END)
        await client.close()
        row = await running.closed()
        assert row.exchanges == 1
        assert "ahead of need" in row.sentence


def _kind(running: Any, number: int) -> str | None:
    row = running.capture.connection(number)
    kind: str | None = row.kind if row is not None else None
    return kind


async def test_an_idle_connection_gets_a_silent_fin_and_never_a_400(run_engine: Any) -> None:
    async with run_engine(limits=Limits(idle_timeout=0.2)) as running:
        client = await running.connect()
        assert await client.rest() == b""
        await client.close()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("server", "timeout")


async def test_half_a_head_is_shown_while_it_waits_and_then_timed_out(run_engine: Any) -> None:
    half = b"GET /slow HTTP/1.1\r\nHost: a\r\n"
    async with run_engine(limits=Limits(head_timeout=0.6)) as running:
        client = await running.connect()
        await client.send(half)
        row = await running.eventually(lambda: running.capture.exchange(1))
        assert (row.method, row.target, row.finished_ns) == ("GET", "/slow", None)
        assert running.capture.request_bytes(row) == half
        assert (await client.rest()).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        await client.close()
        row = await running.exchange(1)
        assert row.status == "408"
        assert not State(row.state) & State.REQUEST_COMPLETE


async def test_half_a_head_that_is_completed_late_is_one_ordinary_exchange(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(GET[:10])
        await running.eventually(lambda: running.capture.exchange(1))
        await client.send(GET[10:])
        await client.until(HELLO_END)
        await client.close()
        row = await running.exchange(1)
        assert running.engine.exchanges == 1
        assert running.capture.request_bytes(row) == GET
        assert State(row.state) & State.REQUEST_COMPLETE


@pytest.mark.parametrize(
    "cut",
    [
        b"GET /half HTTP/1.1\r\nHost: a\r\n",
        b"GE",
        b"POST /cut HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        b"POST /cut HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
async def test_a_request_that_is_cut_off_is_an_aborted_exchange(run_engine: Any, cut: bytes) -> None:
    async with run_engine() as running:
        assert await running.ask(cut) == b""
        row = await running.exchange(1)
        assert running.capture.request_bytes(row) == cut
        assert State(row.state) & State.ABORTED
        assert not State(row.state) & State.REQUEST_COMPLETE
        assert row.label


async def test_a_client_that_resets_is_told_from_one_that_closes(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(HELLO_END)
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("client", "rst")


async def test_one_connection_too_many_is_told_so(run_engine: Any) -> None:
    async with run_engine(limits=Limits(connections=2)) as running:
        held = [await running.connect() for _ in range(2)]
        for client in held:
            await client.send(GET)
            await client.until(HELLO_END)
        answer = await running.ask(GET)
        assert answer.startswith(b"HTTP/1.1 503 ")
        row = await running.closed(3)
        assert row.kind == "over-limit"
        for client in held:
            await client.close()


async def test_the_life_of_a_connection_is_dated_step_by_step(run_engine: Any) -> None:
    async with run_engine() as running:
        await running.ask(GET)
        row = await running.closed()
        listener = running.capture.listeners()[0]
        times = [row.opened_ns, row.first_in_ns, row.last_out_ns, row.fin_in_ns, row.closed_ns]
        assert listener.opened_ns <= times[0]
        assert times[0] <= times[1] <= times[2]
        assert times[3] <= times[4]
        assert (row.bytes_in, row.exchanges) == (len(GET), 1)


@pytest.mark.skipif(
    not hasattr(socket, "TCP_INFO"), reason="only Linux tells the round trip and the accept queue"
)
async def test_the_kernels_own_figures_are_recorded(run_engine: Any) -> None:
    async with run_engine(backlog=17) as running:
        await running.ask(GET)
        row = await running.closed()
        assert row.rtt_us is not None
        assert row.rtt_us < 1_000_000
        assert row.queue_max == 17


async def test_clear_forgets_what_has_ended_and_keeps_what_goes_on(run_engine: Any) -> None:
    async with run_engine() as running:
        for _ in range(20):
            await running.ask(GET)
        client = await running.connect()
        await client.send(b"POST /going HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
        await running.eventually(lambda: running.engine.exchanges == 21)
        running.engine.clear()
        await running.eventually(lambda: running.capture.exchange(1) is None)
        await client.send(b"b")
        await client.until(HELLO_END)
        await client.close()
        row = await running.exchange(21)
        assert running.capture.request_bytes(row).endswith(b"\r\n\r\nab")


async def test_many_connections_at_once_lose_nothing(run_engine: Any) -> None:
    async def one(running: Any, number: int) -> None:
        client = await running.connect()
        for turn in range(5):
            await client.send(f"GET /{number}/{turn} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await client.until(HELLO_END)
        await client.close()

    async with run_engine() as running:
        await asyncio.gather(*(one(running, number) for number in range(100)))
        assert running.engine.exchanges == 500
        rows = running.capture.exchanges(range(1, 501))
        assert {row.target for row in rows} == {
            f"/{number}/{turn}" for number in range(100) for turn in range(5)
        }
        for row in rows:
            assert running.capture.request_bytes(row).startswith(f"GET {row.target} ".encode())


async def test_a_client_that_asks_and_never_reads_is_not_served_without_end(run_engine: Any) -> None:
    async with run_engine(Fixed(make_answer(body=bytes(60_000)))) as running:
        client = await running.connect()
        client.writer.transport.pause_reading()
        client.writer.write(GET * 20_000)
        (connection,) = await running.eventually(lambda: list(running.engine._site.connections))
        await running.eventually(lambda: connection._choked)
        unsent = connection._transport.get_write_buffer_size() + connection._unsent
        assert unsent < 3 * 1024 * 1024
        client.writer.transport.resume_reading()
        async with asyncio.timeout(60):
            await client.reader.readexactly(60_000 * 300)
        await client.close()
