"""Answers go out whole and in order, whatever stands behind them: refusals, closes, resets, slow and absent readers."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import State
from inspectd.engine.config import Limits
from inspectd.rules.answer import make_answer
from inspectd.rules.program import Close, HalfClose, LiveProgram, Program, Reset, Send, Wait
from inspectd.rules.responder import Fixed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from inspectd.rules.program import Op
    from inspectd.rules.request import Request

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
BOTH = pytest.mark.parametrize("durability", ["commit", "relaxed"])


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def echo(target: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target


class Echo:
    """Answers with the target. Some targets first wait, or close, reset or half-close afterwards."""

    description = status_line = ""

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:
        target = request.head.target
        send = Send(echo(target))
        match target[:4]:
            case b"/wai":
                return Program((Wait(0.2), send))
            case b"/clo":
                return Program((send, Close()))
            case b"/res":
                return Program((send, Reset()))
            case b"/fin":
                return Program((send, HalfClose()))
        return Program((send,))


@BOTH
async def test_a_long_queue_behind_a_slow_answer_is_answered_whole(run_engine: Any, durability: str) -> None:
    targets = ["/wait", *(f"/{number:05}" for number in range(3000))]
    async with run_engine(Echo(), durability=durability) as running:
        answers = await running.ask(b"".join(map(get, targets)))
        assert answers == b"".join(echo(target.encode()) for target in targets)


@BOTH
async def test_nothing_follows_an_answer_that_closes(run_engine: Any, durability: str) -> None:
    async with run_engine(Echo(), durability=durability) as running:
        answers = await running.ask(get("/wait") + get("/close") + get("/later"))
        assert answers == echo(b"/wait") + echo(b"/close")
        row = await running.exchange(3)
        assert row.state & State.ABORTED


async def test_an_answer_that_closes_reaches_a_client_that_goes_on_asking(run_engine: Any) -> None:
    async with run_engine(Echo()) as running:
        client = await running.connect()
        asking = asyncio.create_task(client.send(get("/close") + GET * 50_000))
        assert await client.until(b"/close") == echo(b"/close")
        assert await client.rest() == b""
        await asyncio.gather(asking, return_exceptions=True)
        await client.close()


@BOTH
async def test_a_refusal_waits_for_the_answers_before_it(run_engine: Any, durability: str) -> None:
    async with run_engine(Echo(), durability=durability) as running:
        answers = await running.ask(get("/wait") + get("/a") + get("/" + "b" * 9000))
        assert answers.startswith(echo(b"/wait") + echo(b"/a") + b"HTTP/1.1 414 ")
        row = await running.exchange(3)
        assert row.status == "414"
        assert running.capture.response_bytes(row) == answers[answers.index(b"HTTP/1.1 414") :]


@BOTH
async def test_content_is_invited_when_the_answers_before_it_are_out(
    run_engine: Any, durability: str
) -> None:
    expects = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    async with run_engine(Echo(), durability=durability) as running:
        for first in ("/a", "/wait"):
            client = await running.connect()
            await client.send(get(first) + expects)
            assert (
                await client.until(b" 100 Continue\r\n\r\n")
                == echo(first.encode()) + b"HTTP/1.1 100 Continue\r\n\r\n"
            )
            await client.send(b"ok")
            assert await client.until(b"/p") == echo(b"/p")
            await client.close()


async def test_a_refused_tunnel_is_closed_and_not_left_waiting(run_engine: Any) -> None:
    async with run_engine(Fixed(make_answer(status="404 No"))) as running:
        client = await running.connect()
        await client.send(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n" + GET)
        assert (await client.rest()).count(b"HTTP/1.1 404 ") == 1
        await client.close()


@pytest.mark.parametrize("ask", [get("/reset"), get("/fin"), get("/close"), b"\x00garbage\n", GET[:9]])
async def test_a_client_that_resets_at_once_costs_nobody_else_an_answer(run_engine: Any, ask: bytes) -> None:
    def ask_and_reset(port: int) -> None:
        for _ in range(20):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.sendall(ask)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()

    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    async with run_engine(Echo()) as running:
        resetting = asyncio.create_task(asyncio.to_thread(ask_and_reset, running.port))
        for _ in range(20):
            assert await running.ask(GET) == echo(b"/x")
        await resetting
        await running.eventually(lambda: running.engine.open_connections == 0)
    assert not troubles


async def test_after_its_fin_this_side_records_and_sends_nothing(run_engine: Any) -> None:
    async with run_engine(Echo()) as running:
        client = await running.connect()
        await client.send(get("/fin"))
        assert await client.rest() == echo(b"/fin")
        await client.send(GET)
        client.writer.write_eof()
        row = await running.closed()
        assert (row.bytes_in, row.bytes_out) == (len(client.sent), len(client.got))
        assert (await running.exchange(2)).state & State.ABORTED
        await client.close()


async def test_a_live_program_that_fails_ends_its_connection(run_engine: Any) -> None:
    class Failing(Echo):
        def respond(self, request: Request, *, now: float, persist: bool) -> Any:
            return LiveProgram(self.fail())

        async def fail(self) -> AsyncIterator[Op]:
            yield Send(b"HTTP/1.1 200 OK\r\n")
            raise ValueError("no more")

    async with run_engine(Failing()) as running:
        client = await running.connect()
        await client.send(GET)
        with pytest.raises(ConnectionResetError):
            await client.rest()
        row = await running.exchange(1)
        assert "ValueError" in row.label
        await client.close()


async def test_a_client_that_never_reads_is_let_go(run_engine: Any) -> None:
    answer = Fixed(make_answer(body=bytes(20_000_000)))
    async with run_engine(answer, limits=Limits(idle_timeout=0.3)) as running:
        client = await running.connect()
        client.writer.transport.pause_reading()
        await client.send(GET)
        row = await running.closed()
        assert (row.closed_by, row.how) == ("server", "timeout")
        await client.close()


async def test_a_slow_reader_gets_everything(run_engine: Any) -> None:
    size = 8_000_000
    answer = Fixed(make_answer(body=bytes(size)))
    async with run_engine(answer, limits=Limits(idle_timeout=1.2)) as running:
        client = await running.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        head = await client.until(b"\r\n\r\n")
        assert b"200 OK" in head
        for _ in range(8):  # two seconds and more in all, and something is read in every idle time
            await client.reader.readexactly(size // 8)
            await asyncio.sleep(0.3)
        assert await client.rest() == b""
        await client.close()


async def test_a_head_that_waits_unread_behind_a_slow_answer_is_not_late(run_engine: Any) -> None:
    count = 30_000
    async with run_engine(Slow(1.5), limits=Limits(head_timeout=0.6)) as running:
        client = await running.connect()
        sending = asyncio.create_task(client.send(b"".join(get(f"/{number:05}") for number in range(count))))
        last = echo(f"/{count - 1:05}".encode())
        assert (await client.until(last)).count(b"HTTP/1.1 200 OK") == count
        await sending
        await client.close()


class Slow(Echo):
    """Takes its time for the first request."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:
        send = Send(echo(request.head.target))
        return Program((Wait(self.seconds), send) if request.number == 1 else (send,))


async def test_a_unix_peer_of_any_name_is_recorded(run_engine: Any, tmp_path: Path) -> None:
    async with run_engine(Echo(), listen=("127.0.0.1:0", f"unix:{tmp_path}/\udcfe")) as running:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(bytes(tmp_path) + b"/\xff")
        sock.connect(bytes(tmp_path) + b"/\xfe")
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(GET)
        assert await reader.readexactly(len(echo(b"/x"))) == echo(b"/x")
        writer.close()
        await writer.wait_closed()
        row = await running.closed()
        assert row.peer.endswith("\\xff")
        assert running.engine.problem is None


@pytest.mark.parametrize("cut", [b"PRI * HTTP/2.0\r\n\r\nS", b"PRI * HTTP/2.0\r\n\r\n", b"*1\r\n"])
async def test_a_head_that_only_fin_settles_is_recorded_once(run_engine: Any, cut: bytes) -> None:
    async with run_engine(Echo()) as running:
        client = await running.connect()
        await client.send(cut)
        await running.eventually(lambda: running.capture.stream_bytes(1, 0) == cut)
        assert await running.ask(GET) == echo(b"/x")  # other bytes take the next page
        client.writer.write_eof()
        await client.rest()
        await running.closed()
        assert running.capture.stream_bytes(1, 0) == cut
        for row in running.capture.exchanges_of(1):
            assert cut.startswith(running.capture.request_bytes(row), row.req_offset)
        await client.close()


async def test_a_request_behind_an_answer_that_closes_does_not_stay_open(run_engine: Any) -> None:
    half = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"
    async with run_engine(Echo()) as running:
        client = await running.connect()
        await client.send(get("/wait") + get("/close") + half)
        await client.rest()
        await client.close()
        assert (await running.exchange(3)).state & State.ABORTED
