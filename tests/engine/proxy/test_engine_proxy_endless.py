"""What has no end passes, and the capture stays within its bytes all the same."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import OUTGOING
from inspectd.capture.reader import BytesGone
from inspectd.capture.retention import Retention
from tests.engine.proxy.conftest import Origin
from tests.engine.proxy.tunnels import ESTABLISHED, proxying

if TYPE_CHECKING:
    from tests.engine.proxy.tunnels import RunEngine

MIB = 1024 * 1024
KEEP = 2 * MIB
BLOCK = bytes(range(256)) * 256
BLOCKS = 160


@pytest.mark.parametrize("way", ["tunnel", "answer"])
async def test_an_endless_stream_passes_whole_and_of_the_capture_its_oldest_bytes_go(
    run_engine: RunEngine, way: str
) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, engine={"keep_bytes": KEEP}, intercept=False) as running:
        client = await running.connect()
        if way == "tunnel":
            await client.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % origin.port)
            assert await client.until(b"\r\n\r\n") == ESTABLISHED
            await client.send(b"\x01")
            accepted = await origin.next()
            assert await accepted.reader.readexactly(1) == b"\x01"
        else:
            await client.send(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\n\r\n" % origin.port)
            accepted = await origin.next()
            await accepted.until(b"\r\n\r\n")
            await accepted.say(b"HTTP/1.1 200 OK\r\n\r\n")
            await client.until(b"\r\n\r\n")
        for _ in range(BLOCKS):
            await accepted.say(BLOCK)
            async with asyncio.timeout(60):
                assert await client.reader.readexactly(len(BLOCK)) == BLOCK
        size = Retention(running.capture._db, KEEP)
        await running.eventually(lambda: size.used() <= KEEP)
        row = running.capture.exchange(1)
        assert row is not None, "its row stays"
        with pytest.raises(BytesGone):
            running.capture.stream_bytes(1, OUTGOING)
        last = len(ESTABLISHED) + (BLOCKS - 1) * len(BLOCK)
        if way == "tunnel":
            assert running.capture.stream_bytes(1, OUTGOING, last) == BLOCK
        await accepted.close()
        await client.close()
        await running.closed()
