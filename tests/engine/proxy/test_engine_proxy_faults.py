"""Peers that die, stall or never answer, on both sides of the proxy: nothing is left, and the capture tells it all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import OUTGOING, State
from inspectd.engine.proxy import dial
from inspectd.engine.tcp import reset_on_close
from tests.engine.proxy.conftest import Origin
from tests.engine.proxy.test_engine_proxy import REQUESTS
from tests.engine.proxy.tunnels import GET, TlsOrigin, proxying, tunnel
from tests.engine.tls_client import Gone

if TYPE_CHECKING:
    from tests.engine.conftest import Client, Running
    from tests.engine.proxy.conftest import Accepted
    from tests.engine.proxy.test_engine_proxy import Proxied
    from tests.engine.proxy.tunnels import RunEngine
    from tests.engine.tls_client import TlsClient

FILES = Path("/proc/self/fd")
COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n123456789"


pytestmark = pytest.mark.usefixtures("own_authority")


def left_open(running: Running) -> list[tuple[object, ...]]:
    """Rows of connections, those to servers as well, and exchanges that have not ended, as the capture has it."""
    with contextlib.closing(sqlite3.connect(f"file:{running.engine.capture}?mode=ro", uri=True)) as db:
        return db.execute(
            "SELECT 'connection', id FROM connection WHERE closed_ns IS NULL "
            "UNION ALL SELECT 'exchange', id FROM exchange WHERE finished_ns IS NULL"
        ).fetchall()


async def nothing_left(running: Running, files: int, tasks: int) -> None:
    """Wait until there are no more connections, files and tasks than there were, and no row is open."""
    await running.eventually(lambda: not running.engine.open_connections)
    await running.eventually(lambda: len(list(FILES.iterdir())) <= files)
    await running.eventually(lambda: len(asyncio.all_tasks()) <= tasks)
    await running.eventually(lambda: not left_open(running))


def reset(client: TlsClient | Client) -> None:
    """Send RST."""
    reset_on_close(client.writer.get_extra_info("socket"))
    client.writer.transport.abort()


# ------------------------------------------------------------------------------------------------- servers that die


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_server_that_dies_at_any_byte_of_a_counted_answer(proxied: Proxied, how: str) -> None:
    async with proxied() as (running, origin):
        for place in range(len(COUNTED)):
            client = await running.connect()
            await client.send(REQUESTS[0])
            accepted = await origin.next()
            await accepted.until(b"\r\n\r\n")
            await accepted.say(COUNTED[:place])
            async with asyncio.timeout(60):
                assert await client.reader.readexactly(place) == COUNTED[:place]
            await _die(accepted, how)
            await _died(running, place + 1, COUNTED[:place])
            if place and how == "rst":
                with pytest.raises(ConnectionResetError):
                    await client.rest()
            else:
                assert (await client.rest()).startswith(b"" if place else b"HTTP/1.1 502 ")
            await client.close()
        await running.eventually(lambda: not left_open(running))


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("answer", [COUNTED, CHUNKED], ids=["counted", "chunked"])
async def test_a_server_behind_tls_that_dies_at_any_byte_dies_in_the_tunnel_too(
    run_engine: RunEngine, answer: bytes, how: str
) -> None:
    origin = TlsOrigin()
    async with proxying(run_engine, origin) as running:
        tasks = len(asyncio.all_tasks())
        files = len(list(FILES.iterdir()))
        for place in range(len(answer)):
            client = await tunnel(running, origin.port)
            await client.shake()
            await client.send(GET)
            accepted = await origin.next()
            await accepted.until(b"\r\n\r\n")
            await accepted.say(answer[:place])
            got = b""
            while len(got) < place:
                got += await client._piece()
            assert got == answer[:place]
            await _die(accepted, how)
            await _died(running, 2 * (place + 1), answer[:place])
            if place and how == "rst":
                with pytest.raises(ConnectionResetError):
                    await client.rest()
            else:
                assert (await client.rest()).startswith(b"" if place else b"HTTP/1.1 502 ")
            await client.close()
        await nothing_left(running, files, tasks + len(origin.accepted))


async def _die(accepted: Accepted, how: str) -> None:
    if how == "fin":
        await accepted.close()
    else:
        accepted.reset()


async def _died(running: Running, number: int, answer: bytes) -> None:
    """The exchange has ended, with its reason and what there was of the answer."""
    row = await running.exchange(number)
    forward = running.capture.forward(number)
    assert forward is not None
    assert forward.failure
    assert running.capture.forwarded_bytes(forward, OUTGOING) == answer
    if answer:
        assert row.state & State.ABORTED
        assert running.capture.response_bytes(row) == answer


# ------------------------------------------------------------------------------------------------- clients that die


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_client_that_dies_at_any_byte_of_its_tunnel_leaves_nothing(
    run_engine: RunEngine, how: str
) -> None:
    """Of the ClientHello some places, of the rest of the handshake and the request more of them."""
    origin = TlsOrigin()
    async with proxying(run_engine, origin) as running:
        tasks = len(asyncio.all_tasks())
        files = len(list(FILES.iterdir()))
        whole = await _sent_in(running, origin, None, how)
        places = [*range(0, whole - 200, 41), *range(whole - 200, whole, 5)]
        for place in places:
            await _sent_in(running, origin, place, how)
        await nothing_left(running, files, tasks + len(origin.accepted))
        inner = [row for row in _rows(running) if row[0] is not None]
        assert len(inner) >= len(places)  # each that has said the first two bytes
        assert all(kind or requests for _, kind, requests in inner)


async def _sent_in(running: Running, origin: Origin, budget: int | None, how: str) -> int:
    """A client asks in a tunnel and may send so many bytes for it; how many it sent."""
    client = await tunnel(running, origin.port)
    client.budget = budget
    with contextlib.suppress(Gone):
        await client.shake()
        await client.send(POST)
        accepted = await origin.next()
        await accepted.until(b"123456789")
        await accepted.say(COUNTED)
        await client.until(b"hello")
    if how == "rst":
        reset(client)
    await client.close()
    return client.sent


def _rows(running: Running) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(f"file:{running.engine.capture}?mode=ro", uri=True)) as db:
        return db.execute("SELECT inside, kind, exchanges FROM connection WHERE listener > 0").fetchall()


# ------------------------------------------------------------------------------------------------- who never answers


async def test_servers_that_never_answer_a_handshake_are_given_up_in_the_tunnel(
    run_engine: RunEngine,
) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, connect_timeout=0.5) as running:
        tasks = len(asyncio.all_tasks())
        files = len(list(FILES.iterdir()))

        async def one() -> None:
            client = await tunnel(running, origin.port)
            await client.shake()
            await client.send(GET)
            answer = await client.rest()
            assert answer.startswith(b"HTTP/1.1 504 ")
            assert b"did not complete the TLS handshake within 0.5 s." in answer
            await client.close()

        await asyncio.gather(*(one() for _ in range(40)))
        for accepted in origin.accepted:
            assert (await accepted.rest())[:2] == b"\x16\x03"
            await accepted.close()
        await nothing_left(running, files, tasks)
        failures = [running.capture.forward(row.id) for row in running.capture.exchanges_after(0, 1000)]
        assert sum(row is not None and "within 0.5 s" in (row.failure or "") for row in failures) == 40


async def test_tunnels_in_which_nobody_speaks_end_with_their_clients(run_engine: RunEngine) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, tunnel_wait=0.05) as running:
        tasks = len(asyncio.all_tasks())
        files = len(list(FILES.iterdir()))
        clients = [await tunnel(running, origin.port) for _ in range(100)]
        servers = [await origin.next() for _ in clients]
        for client in clients[::2]:
            await client.close()
        for client in clients[1::2]:
            reset(client)
        for server in servers:
            assert await server.rest() == b""
            await server.close()
        await nothing_left(running, files, tasks)


async def test_a_connection_that_meets_itself_has_found_no_server(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def straight(place: tuple[object, ...]) -> socket.socket:
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        sock.setblocking(False)
        return sock

    monkeypatch.setattr(dial, "_straight", straight)
    async with proxied() as (running, origin):
        answer = await running.ask(GET)
        assert answer.startswith(b"HTTP/1.1 502 ")
        assert b"127.0.0.1:%d refused the connection: nothing listens there." % origin.port in answer


# -------------------------------------------------------------------------------------------------- the engine stops


async def test_a_stop_ends_unused_tunnels_at_once_and_says_so(run_engine: RunEngine) -> None:
    async with proxying(run_engine, Origin(), tunnel_wait=60.0, engine={"grace": 60.0}) as running:
        client = await tunnel(running, 443, "example.test")
        for connection in list(running.engine._site.connections):
            connection.stop()
        assert await client.rest() == b""
        await client.close()
        row = await running.exchange(1)
        assert (
            row.label == "tunnel to example.test:443, closed by inspectd's stop before a byte went through it"
        )


async def test_what_is_in_flight_when_the_listeners_close_still_finds_its_server(
    run_engine: RunEngine,
) -> None:
    origin = Origin()
    async with proxying(run_engine, origin, tunnel_wait=0.3) as running:
        client = await tunnel(running, origin.port, "127.0.0.1")
        running.engine._doors.close()
        accepted = await origin.next()  # nobody spoke: perhaps the server does first
        await accepted.say(b"220 mail.test ESMTP")
        assert await client.reader.readexactly(19) == b"220 mail.test ESMTP"
        await client.close()
        await accepted.close()
