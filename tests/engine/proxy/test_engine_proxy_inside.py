"""What HTTP has beside a request and its answer, in tunnels that are decrypted: as without anybody between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest

from inspectd.capture.model import State
from tests.engine.proxy.tunnels import OK, TlsOrigin, proxying, tunnel

if TYPE_CHECKING:
    from tests.engine.proxy.tunnels import RunEngine

HEAD = b"HEAD /a HTTP/1.1\r\nHost: a\r\n\r\n"
GET = b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET /c HTTP/1.0\r\n\r\n"
LENGTH_OF_NOTHING = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
CLOSED = b"HTTP/1.1 200 OK\r\n\r\nto the end"
SIZE = 48 << 20  # more than all buffers on the way take


pytestmark = pytest.mark.usefixtures("own_authority")


async def test_requests_sent_ahead_are_forwarded_one_by_one(run_engine: RunEngine) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin) as running:
        client = await tunnel(running, origin.port)
        await client.shake()
        await client.send(HEAD + GET + OLD)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == HEAD
        await accepted.say(LENGTH_OF_NOTHING)
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        assert await accepted.until(b"\r\n\r\n") == OLD
        await accepted.say(CLOSED)
        await accepted.close()
        assert await client.rest() == LENGTH_OF_NOTHING + OK + CLOSED
        assert client.tidy
        await client.close()
        for number, answer in ((2, LENGTH_OF_NOTHING), (3, OK), (4, CLOSED)):
            row = await running.exchange(number)
            assert row.state & State.RESPONSE_COMPLETE
            assert running.capture.response_bytes(row) == answer
            forward = running.capture.forward(number)
            assert forward is not None
            assert forward.failure is None
        assert len(origin.accepted) == 1


async def test_a_client_is_invited_by_the_server_and_not_before(run_engine: RunEngine) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin) as running:
        client = await tunnel(running, origin.port)
        await client.shake()
        head = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        await client.send(head)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == head
        await accepted.say(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(b"data")
        assert await accepted.until(b"data") == b"data"
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.close()


async def test_an_upload_that_is_answered_early_hears_the_answer(run_engine: RunEngine) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin) as running:
        client = await tunnel(running, origin.port)
        await client.shake()
        await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000))
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        await accepted.say(answer)
        assert await client.until(b"\r\n\r\n") == answer
        await client.send(bytes(1000))
        async with asyncio.timeout(60):
            assert await accepted.reader.readexactly(2000) == bytes(2000)
        await accepted.close()
        assert await client.rest() == b""
        assert client.tidy
        await client.close()
        row = await running.exchange(2)
        assert running.capture.response_bytes(row) == answer


async def test_a_server_that_reads_slowly_slows_a_client_through_both_encryptions(
    run_engine: RunEngine,
) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin) as running:
        client = await tunnel(running, origin.port)
        await client.shake()
        await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        transport = cast("asyncio.Transport", accepted.writer.transport)
        transport.pause_reading()
        piece = bytes(range(256)) * 1024

        async def send() -> None:
            for _ in range(SIZE // len(piece)):
                await client.send(piece)

        sending = asyncio.ensure_future(send())
        done, _ = await asyncio.wait([sending], timeout=0.5)
        assert not done
        transport.resume_reading()
        for _ in range(SIZE // len(piece)):
            async with asyncio.timeout(60):
                assert await accepted.reader.readexactly(len(piece)) == piece
        await sending
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        await client.close()
        forward = running.capture.forward((await running.exchange(2)).id)
        assert forward is not None
        assert forward.req_len > SIZE
