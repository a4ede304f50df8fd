"""Random clients and servers on both sides of the proxy, cut and ended anywhere: what they saw is what is recorded."""

from __future__ import annotations

import asyncio
import contextlib
import random
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.engine.tcp import reset_on_close
from tests.engine.proxy.test_engine_proxy import ANSWERS, CHUNKED, OK, REQUESTS

if TYPE_CHECKING:
    from tests.engine.conftest import Client, Running
    from tests.engine.proxy.conftest import Accepted, Origin
    from tests.engine.proxy.test_engine_proxy import Proxied

CLIENTS = 12
GONE = (OSError, RuntimeError)
"""What writing to a connection raises that the other side has ended; uvloop has a RuntimeError for it."""
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nto the end"
LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
UPLOAD = b"PUT / HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + bytes(200_000)


def pieces(chance: random.Random, data: bytes) -> list[bytes]:
    """The bytes, cut at a few places."""
    places = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(4)))
    return [
        data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True) if end > start
    ]


async def behave(chance: random.Random, client: Client) -> bytes:
    """Ask a few things, read what comes meanwhile, and leave in some way; what came."""
    got = bytearray()

    async def listen() -> None:
        with contextlib.suppress(*GONE):
            while piece := await client.reader.read(1 << 16):
                got.extend(piece)

    listening = asyncio.create_task(listen())
    with contextlib.suppress(*GONE):
        for _ in range(chance.randrange(1, 4)):
            asked = chance.choice([*REQUESTS[:2], REQUESTS[3], REQUESTS[4], REQUESTS[8], CHUNKED, UPLOAD])
            for piece in pieces(chance, asked):
                client.writer.write(piece)
                await asyncio.sleep(chance.choice([0, 0, 0.001]))
            await asyncio.sleep(chance.choice([0, 0.003, 0.02]))
    end = chance.choice(["fin", "fin", "close", "rst"])
    if end == "fin":
        with contextlib.suppress(*GONE):
            client.writer.write_eof()
        async with asyncio.timeout(60):
            await listening
    elif end == "rst" and not client.writer.transport.is_closing():
        reset_on_close(client.writer.get_extra_info("socket"))
        client.writer.transport.abort()
    await client.close()
    async with asyncio.timeout(60):
        await listening
    return bytes(got)


async def serve(chance: random.Random, origin: Origin, accepted: Accepted) -> None:
    """Answer as long as something comes, and end in some way."""
    del origin
    with contextlib.suppress(*GONE):
        while piece := await accepted.reader.read(1 << 16):
            accepted.got += piece
            if chance.random() < 0.1:
                accepted.reset()
                return
            answer = chance.choice([OK, OK, LARGE, UNTIL_CLOSE, *ANSWERS[3:5]])
            whole = chance.random() < 0.85
            for part in pieces(chance, answer if whole else answer[: chance.randrange(len(answer))]):
                await accepted.say(part)
                await asyncio.sleep(chance.choice([0, 0, 0.001]))
            if not whole or answer is UNTIL_CLOSE or chance.random() < 0.1:
                break
    await accepted.close()


@pytest.mark.parametrize("seed", range(8))
async def test_the_record_agrees_with_both_sides_and_nothing_is_left(proxied: Proxied, seed: int) -> None:
    chance = random.Random(seed)
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with proxied() as (running, origin):

        async def accept() -> None:
            while True:
                accepted = await origin.connections.get()
                serving.append(asyncio.create_task(serve(random.Random(chance.random()), origin, accepted)))

        serving: list[asyncio.Task[None]] = []
        accepting = asyncio.create_task(accept())
        clients = [await running.connect() for _ in range(CLIENTS)]
        names = ["{}:{}".format(*client.writer.get_extra_info("sockname")[:2]) for client in clients]
        async with asyncio.timeout(120):
            got = await asyncio.gather(*[behave(random.Random(chance.random()), each) for each in clients])
        await running.eventually(lambda: not running.engine.open_connections)
        accepting.cancel()
        async with asyncio.timeout(60):
            await asyncio.gather(*serving)
        await running.eventually(lambda: not running.capture.counts().open)
        check(running, origin, dict(zip(names, got, strict=True)))
    assert problems == []


def check(running: Running, origin: Origin, got: dict[str, bytes]) -> None:
    """Every byte that a side saw is where the capture says."""
    capture = running.capture
    at_origin = {each.peer: each.got for each in origin.accepted}
    clients = 0
    for number in range(1, running.engine.connections + 1):
        row = capture.connection(number)
        assert row is not None
        assert row.closed_ns is not None
        upstream = capture.upstream(number)
        sent, came = capture.stream_bytes(number, INCOMING), capture.stream_bytes(number, OUTGOING)
        assert (len(sent), len(came)) == (row.bytes_in, row.bytes_out)
        if upstream is None:
            clients += 1
            assert came.startswith(got[row.peer])
        else:
            assert sent.startswith(at_origin.get(row.peer, b""))
            assert capture.stream_bytes(upstream.client, INCOMING).find(sent) >= 0
    assert clients == CLIENTS
    for exchange in capture.exchanges_after(0, 10_000):
        forward = capture.forward(exchange.id)
        if forward is None or forward.failure is not None:
            continue
        if exchange.state & State.RESPONSE_COMPLETE:
            assert capture.forwarded_bytes(forward, OUTGOING) == capture.response_bytes(exchange)
