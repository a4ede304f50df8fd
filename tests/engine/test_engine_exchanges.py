"""What a client gets and what the capture keeps, for the ordinary life of a connection (RFC 9112 §9)."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.capture.reader import Capture
from inspectd.engine.config import Limits
from inspectd.rules.answer import make_answer
from inspectd.rules.program import Program, Send, Wait
from inspectd.rules.responder import Fixed

if TYPE_CHECKING:
    from inspectd.rules.request import Request

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
ODD = b"GET  /a HTTP/1.1\nX-A:  v \t\r\n fold\r\n\r\n"
HELLO_END = b"\r\n\r\nhello"


async def test_an_answered_request_is_in_the_capture_before_its_answer_arrives(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(GET)
        answer = await client.until(HELLO_END)
        # Read at once, without waiting for anything: the commit came before the bytes.
        row = running.capture.exchange(1)
        assert row is not None
        assert running.capture.request_bytes(row) == GET
        assert running.capture.response_bytes(row) == answer
        assert (row.method, row.target, row.version, row.status, row.reason) == (
            "GET",
            "/x",
            "HTTP/1.1",
            "200",
            "OK",
        )
        assert State(row.state) == (
            State.HEAD_COMPLETE
            | State.PLAIN
            | State.REQUEST_COMPLETE
            | State.RESPONSE_STARTED
            | State.RESPONSE_COMPLETE
        )
        await client.close()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
async def test_every_split_of_an_odd_request_is_kept_byte_for_byte(run_engine: Any, size: int) -> None:
    async with run_engine() as running:
        client = await running.connect()
        for start in range(0, len(ODD), size):
            await client.send(ODD[start : start + size])
            await running.eventually(lambda: _arrived(running.capture, client.sent))
        await client.until(HELLO_END)
        await client.close()
        row = await running.exchange(1)
        assert running.capture.request_bytes(row) == ODD
        assert running.capture.stream_bytes(1, INCOMING) == ODD
        assert (row.method, row.target) == ("GET", "/a")


def _arrived(capture: Capture, sent: bytes) -> bool:
    return capture.connection(1) is not None and capture.stream_bytes(1, INCOMING) == sent


async def test_pipelined_requests_are_answered_in_order_on_one_connection(run_engine: Any) -> None:
    requests = [f"GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for number in range(50)]
    async with run_engine() as running:
        client = await running.connect()
        await client.send(b"".join(requests))
        for _ in requests:
            await client.until(HELLO_END)
        await client.close()
        for number, request in enumerate(requests, 1):
            row = await running.exchange(number)
            assert running.capture.request_bytes(row) == request
            assert (row.connection, row.number) == (1, number)
        assert running.capture.stream_bytes(1, OUTGOING) == client.got


async def test_content_is_recorded_whether_counted_or_in_chunks(run_engine: Any) -> None:
    counted = b"POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab\x00de"
    chunked = (
        b"POST /k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;x=y\r\nabc\r\n0\r\nTrailer: t\r\n\r\n"
    )
    async with run_engine() as running:
        client = await running.connect()
        await client.send(counted + chunked + GET)
        for _ in range(3):
            await client.until(HELLO_END)
        await client.close()
        kept = [running.capture.request_bytes(await running.exchange(number)) for number in (1, 2, 3)]
        assert kept == [counted, chunked, GET]


async def test_a_large_upload_is_kept_and_read_back(run_engine: Any) -> None:
    content = bytes(range(256)) * 40_000
    request = b"PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(content) + content
    async with run_engine() as running:
        client = await running.connect()
        await client.send(request)
        await client.until(HELLO_END)
        await client.close()
        row = await running.exchange(1)
        assert row.req_len == len(request)
        assert b"".join(running.capture.iter_request_bytes(row)) == request


async def test_head_gets_the_head_alone_and_the_connection_goes_on(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        head = await client.until(b"\r\n\r\n")
        assert b"Content-Length: 5" in head
        await client.send(GET)
        assert (await client.until(HELLO_END)).startswith(b"HTTP/1.1 200 OK")
        await client.close()


async def test_expect_continue_is_answered_only_while_content_is_awaited(run_engine: Any) -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    async with run_engine() as running:
        client = await running.connect()
        await client.send(head)
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"ab")
        await client.until(HELLO_END)
        await client.send(head + b"cd")
        assert (await client.until(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
        await client.until(HELLO_END)
        await client.close()
        row = await running.exchange(1)
        assert (row.status, row.reason) == ("200", "OK")
        assert running.capture.response_bytes(row).startswith(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
        )


@pytest.mark.parametrize(
    ("request_", "closes"),
    [
        (GET, False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\n\r\n", True),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", False),
        (b"GET /\r\n", True),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            True,
        ),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", True),
    ],
)
async def test_the_connection_stays_open_only_where_that_is_safe(
    run_engine: Any, request_: bytes, closes: bool
) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(request_)
        await client.until(HELLO_END)
        if closes:
            assert await client.rest() == b""
            await client.close()
            assert (await running.closed()).closed_by == "server"
        else:
            await client.send(GET)
            await client.until(HELLO_END)
            await client.close()
            row = await running.closed()
            assert (row.closed_by, row.how, row.exchanges) == ("client", "fin", 2)


async def test_a_client_that_half_closes_still_gets_its_answers(run_engine: Any) -> None:
    async with run_engine() as running:
        answer = await running.ask(GET + GET)
        assert answer.count(HELLO_END) == 2
        row = await running.closed()
        assert row.fin_in_ns is not None
        assert (row.closed_by, row.how) == ("client", "fin")


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (GET, None),
        (b"GET / HTTP/1.1\r\nA: b\r\nHost: a\nC: d\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\n\r\n", b"Host"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"Host"),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", b"colon"),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", b"request line"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", b"second line"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", b"Content-Length"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", b"chunked"),
    ],
)
async def test_only_strict_engines_refuse_what_the_rfc_wants_refused(
    run_engine: Any, tmp_path: Any, request_: bytes, why: bytes | None
) -> None:
    async with run_engine(capture=tmp_path / "lenient.inspectd") as running:
        assert (await running.ask(request_)).startswith(b"HTTP/1.1 200 OK\r\n")
    async with run_engine(strict=True) as running:
        answer = await running.ask(request_)
        if why is None:
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        else:
            assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
            assert why in answer
            assert (await running.exchange(1)).req_len == len(request_)
        assert running.capture.request_bytes(await running.exchange(1)) == request_


async def test_heads_over_the_caps_are_answered_and_kept(run_engine: Any) -> None:
    limits = Limits(head=1000, request_line=100)
    long_line = b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    long_head = b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n"
    async with run_engine(limits=limits) as running:
        assert (await running.ask(long_line)).startswith(b"HTTP/1.1 414 ")
        assert (await running.ask(long_head)).startswith(b"HTTP/1.1 431 ")
        rows = [await running.exchange(number) for number in (1, 2)]
        assert [(row.method, row.target, row.status) for row in rows] == [
            ("GET", "/" + "a" * 200, "414"),
            ("GET", "/", "431"),
        ]
        assert [row.req_len for row in rows] == [len(long_line), len(long_head)]
        assert running.capture.stream_bytes(1, INCOMING) == long_line
        assert running.capture.stream_bytes(2, INCOMING) == long_head


async def test_relaxed_durability_answers_and_records_too(run_engine: Any) -> None:
    async with run_engine(durability="relaxed") as running:
        client = await running.connect()
        await client.send(GET * 20)
        for _ in range(20):
            await client.until(HELLO_END)
        await client.close()
        assert running.capture.request_bytes(await running.exchange(20)) == GET


async def test_a_full_disk_stops_the_record_and_not_the_server(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(HELLO_END)
        writer = running.engine._writer
        pages = writer.db.execute("PRAGMA page_count").fetchone()[0]
        writer.db.execute(f"PRAGMA max_page_count = {pages}")
        big = b"PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000)
        await client.send(big)
        assert (await client.until(HELLO_END)).startswith(b"HTTP/1.1 200 OK")
        assert "can't be written" in running.engine.problem
        writer.db.execute("PRAGMA max_page_count = 1000000")
        await client.send(GET)
        await client.until(HELLO_END)
        assert running.engine.problem is None
        newest = await running.exchange(running.engine.exchanges)
        assert running.capture.request_bytes(newest) == GET
        await client.close()


async def test_a_changed_answer_counts_from_the_next_request_on(run_engine: Any) -> None:
    async with run_engine() as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(HELLO_END)
        running.engine.set_responder(Fixed(make_answer("418 I'm a teapot")))
        await client.send(GET)
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 418 I'm a teapot\r\n")
        await client.close()


async def test_a_responder_that_fails_costs_one_500(run_engine: Any) -> None:
    class Broken:
        description = "broken"
        status_line = ""

        def respond(self, request: object, *, now: float, persist: bool) -> Any:
            raise ZeroDivisionError

    async with run_engine(Broken()) as running:
        assert (await running.ask(GET)).startswith(b"HTTP/1.1 500 ")
        assert "ZeroDivisionError" in running.engine.problem


async def test_stopping_finishes_what_is_in_flight(run_engine: Any) -> None:
    async with run_engine(grace=5.0) as running:
        idle = await running.connect()
        await idle.send(GET)
        await idle.until(HELLO_END)
        busy = await running.connect()
        await busy.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
        await running.eventually(lambda: running.engine.exchanges == 2)
        stopping = asyncio.ensure_future(running.engine.stop())
        assert await idle.rest() == b""
        await busy.send(b"cd")
        answer = await busy.until(HELLO_END)
        assert b"Connection: close" in answer
        await asyncio.wait_for(stopping, 5)
        await idle.close()
        await busy.close()
        with Capture.open(running.engine.capture) as capture:
            row = capture.exchange(2)
            assert row is not None
            assert capture.request_bytes(row).endswith(b"abcd")
            assert capture.response_bytes(row) == answer
        running.engine.stop = _nothing


async def _nothing() -> None:
    """In the place of a second stop."""


@pytest.mark.parametrize(
    ("framing", "ambiguous"),
    [
        (b"Content-Length: 5\r\n\r\n0\r\n\r\n", False),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", False),
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n0\r\n\r\n", True),
    ],
)
async def test_a_request_whose_end_parsers_differ_about_is_marked(
    run_engine: Any, framing: bytes, ambiguous: bool
) -> None:
    async with run_engine() as running:
        await running.ask(b"POST / HTTP/1.1\r\nHost: a\r\n" + framing)
        row = await running.exchange(1)
        assert bool(State(row.state) & State.AMBIGUOUS) is ambiguous


async def test_a_capture_that_is_removed_while_it_is_written_is_reported(run_engine: Any) -> None:
    async with run_engine() as running:
        assert not running.engine.problem
        running.engine.capture.unlink()
        assert (await running.ask(GET)).endswith(b"hello")
        assert "gone" in str(running.engine.problem)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Always:
    """Answers each request with the same program."""

    description = status_line = ""

    def __init__(self, program: Program) -> None:
        self._program = program

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:
        return self._program


@pytest.mark.parametrize("program", [Program((Send(OK),)), Program((Send(OK[:5]), Wait(0.01), Send(OK[5:])))])
async def test_the_end_of_an_answer_is_that_of_its_last_byte_and_not_of_a_later_commit(
    run_engine: Any, program: Program
) -> None:
    async with run_engine(Always(program), durability="relaxed") as running:
        client = await running.connect()
        await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await client.until(b"\r\n\r\n") == OK
        there = time.time_ns()
        running.engine.commit()
        row = await running.exchange(1)
        assert row.answered_ns <= row.finished_ns <= there
        await client.close()


async def test_an_exchange_that_is_given_up_ends_then(run_engine: Any) -> None:
    async with run_engine(Always(Program((Send(OK[:5]), Wait(600)))), durability="relaxed") as running:
        client = await running.connect()
        await client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.until(OK[:5])
        there = time.time_ns()
        sock = client.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.writer.transport.abort()
        row = await running.exchange(1)
        assert State.ABORTED in row.state
        assert there <= row.finished_ns
