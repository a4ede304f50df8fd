"""Trouble before the first byte: connections that are reset, closed, never accepted, refused, seen by the client."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from inspectd.capture.reader import Capture
from inspectd.rules.tables import AcceptTable

if TYPE_CHECKING:
    from pathlib import Path

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSES = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
BOTH = pytest.mark.parametrize("durability", ["commit", "relaxed"])


def table(do: str, **words: Any) -> AcceptTable:
    return msgspec.convert({"do": do, **words}, AcceptTable)


async def outcome(running: Any) -> str:
    """What a client sees that connects and asks."""
    try:
        return "answered" if (await running.ask(CLOSES)).endswith(b"hello") else "eof"
    except ConnectionRefusedError:
        return "refused"
    except (ConnectionResetError, BrokenPipeError):
        return "reset"


@BOTH
async def test_connections_are_reset_so_many_times(run_engine: Any, durability: str) -> None:
    async with run_engine(durability=durability) as running:
        running.engine.set_accept(table("reset", count=2, after=1))
        assert running.engine.accept_state.left == 1
        assert [await outcome(running) for _ in range(5)] == [
            "answered",
            "reset",
            "reset",
            "answered",
            "answered",
        ]
        row = await running.closed(2)
        assert (row.kind, row.closed_by, row.how, row.exchanges) == ("reset-on-accept", "server", "rst", 0)
        assert row.sentence == "reset as soon as it was accepted, as the accept rule says (1 of 2)"
        assert [row.id for row in running.capture.list_connections_after()] == [2, 3]
        assert running.engine.accept_state.do is None


@BOTH
async def test_connections_are_closed_and_what_the_client_said_is_kept(
    run_engine: Any, durability: str
) -> None:
    async with run_engine(durability=durability) as running:
        running.engine.set_accept(table("close"))
        for number in (1, 2):
            client = await running.connect()
            await client.send(GET)
            assert await client.rest() == b""
            await client.close()
            row = await running.closed(number)
            assert (row.kind, row.closed_by, row.how) == ("closed-on-accept", "server", "fin")
            assert (row.bytes_in, row.bytes_out, row.exchanges) == (len(GET), 0, 0)
        state = running.engine.accept_state
        assert (state.do, state.seen, state.left) == ("close", 2, None)
        assert state.sentence == "connections are closed as soon as they are accepted"
        running.engine.set_accept(None)
        assert await outcome(running) == "answered"


async def test_a_rule_for_a_time_ends_by_itself(run_engine: Any) -> None:
    async with run_engine() as running:
        for do, seen in (("reset", "reset"), ("close", "eof"), ("refuse", "refused")):
            began = time.monotonic()
            running.engine.set_accept(table(do, **{"for": "300ms"}))
            assert running.engine.accept_state.until_ns is not None
            assert await outcome(running) == seen
            await running.eventually(lambda: running.engine.accept_state.do is None)
            assert time.monotonic() - began >= 0.29
            assert await outcome(running) == "answered"


async def test_nobody_accepts_and_the_queue_fills(run_engine: Any) -> None:
    async with run_engine(backlog=50) as running:
        await outcome(running)
        running.engine.set_accept(table("wait"))
        loop = asyncio.get_running_loop()
        clients = [socket.socket() for _ in range(6)]
        connecting = []
        for client in clients:
            client.setblocking(False)
            connecting.append(asyncio.create_task(loop.sock_connect(client, (running.host, running.port))))
        done, pending = await asyncio.wait(connecting, timeout=0.5)
        if sys.platform == "linux":
            assert pending, "the queue takes everybody"
            assert done, "a listener that isn't full"
            state = running.engine.accept_state
            assert (state.do, state.waiting) == ("wait", len(done))
            assert "nobody accepts" in state.sentence
        assert running.engine.connections == 1
        running.engine.set_accept(None)
        await asyncio.gather(*connecting)
        for client in clients:
            await loop.sock_sendall(client, CLOSES)
            async with asyncio.timeout(60):
                assert (await loop.sock_recv(client, 65536)).startswith(b"HTTP/1.1 200 ")
            client.close()
        assert running.engine.connections == 7


async def test_a_client_that_waits_long_enough_is_served(run_engine: Any) -> None:
    async with run_engine() as running:
        began = time.monotonic()
        running.engine.set_accept(table("wait", **{"for": 0.3}))
        assert await outcome(running) == "answered"
        assert time.monotonic() - began >= 0.29


@pytest.mark.parametrize("do", ["wait", "refuse"])
async def test_exactly_so_many_are_accepted_before(run_engine: Any, do: str) -> None:
    async with run_engine() as running:
        running.engine.set_accept(table(do, after=3))
        assert running.engine.accept_state.do is None
        assert running.engine.accept_state.left == 3
        clients = [socket.socket() for _ in range(8)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex((running.host, running.port))
        await running.eventually(lambda: running.engine.accept_state.do == do)
        await running.eventually(lambda: running.engine.connections == 3)
        for client in clients[:3]:
            await asyncio.get_running_loop().sock_sendall(client, GET)
        await running.eventually(lambda: running.engine.exchanges == 3)  # those go on being served
        assert running.engine.connections == 3
        if do == "refuse":
            assert await outcome(running) == "refused"
        for client in clients:
            client.close()
        running.engine.set_accept(None)
        assert await outcome(running) == "answered"


async def test_a_refusing_server_comes_back_on_the_same_port_and_serves_whom_it_knows(
    run_engine: Any,
) -> None:
    async with run_engine(listen=("127.0.0.1:0", "[::1]:0")) as running:
        client = await running.connect()
        await client.send(GET)
        await client.until(b"hello")
        addresses = running.engine.addresses
        running.engine.set_accept(table("refuse"))
        assert await outcome(running) == "refused"
        with socket.socket(socket.AF_INET6) as other, pytest.raises(ConnectionRefusedError):
            other.connect(("::1", int(addresses[1].rpartition(":")[2])))
        await client.send(GET)
        await client.until(b"hello")
        running.engine.set_accept(None)
        assert running.engine.addresses == addresses
        assert await outcome(running) == "answered"
        await client.close()
        steps = json.loads(running.capture.listeners()[0].steps)
        assert [call for _, call, _ in steps][-4:] == ["bind", "listen", "bind", "listen"]
        assert "nobody listens" in steps[-2][2]


async def test_a_unix_socket_refuses_and_comes_back_at_its_path(run_engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "u"
    async with run_engine(listen=("127.0.0.1:0", f"unix:{path}")) as running:

        async def ask() -> bytes:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(CLOSES)
            answer = await reader.read()
            writer.close()
            return answer

        for _ in range(2):
            running.engine.set_accept(table("refuse"))
            with pytest.raises(ConnectionRefusedError):
                await ask()
            running.engine.set_accept(None)
            assert (await ask()).endswith(b"hello")
    assert not path.exists()


async def test_one_rule_takes_the_place_of_another(run_engine: Any) -> None:
    async with run_engine() as running:
        engine = running.engine
        engine.set_accept(table("wait"))
        engine.set_accept(table("refuse"))
        assert await outcome(running) == "refused"
        engine.set_accept(table("wait"))
        waiting = asyncio.create_task(outcome(running))
        await running.eventually(lambda: engine.accept_state.waiting in {1, None})
        engine.set_accept(table("reset", after=1))  # whoever waits comes first
        assert await waiting == "answered"
        assert await outcome(running) == "reset"
        engine.set_accept(table("refuse", after=2))
        engine.set_accept(table("refuse", after=1))
        assert [await outcome(running), await outcome(running)] == ["answered", "refused"]
        engine.set_accept(table("wait", after=1))
        assert await outcome(running) == "answered"
        engine.set_accept(table("close"))
        assert await outcome(running) == "eof"
        engine.set_accept(None)
        engine.set_accept(None)
        assert await outcome(running) == "answered"


async def test_a_port_that_somebody_takes_meanwhile_is_waited_for(run_engine: Any) -> None:
    async with run_engine() as running:
        running.engine.set_accept(table("refuse"))
        with socket.create_server((running.host, running.port)):
            running.engine.set_accept(None)
            assert running.engine.warnings == []
            assert "can't accept connections now" in running.engine.problem
        await running.eventually(lambda: running.engine.problem is None)
        assert await outcome(running) == "answered"


@pytest.mark.parametrize("do", ["wait", "refuse", "reset"])
async def test_an_engine_can_stop_and_begin_afresh_with_a_rule_in_force(run_engine: Any, do: str) -> None:
    async with run_engine() as running:
        running.engine.set_accept(table(do))
        (address,) = await running.engine.renew()
        running.port = int(address.rpartition(":")[2])
        assert running.engine.accept_state.do is None
        assert await outcome(running) == "answered"
        running.engine.set_accept(table(do))


async def test_what_earlier_clients_did_is_forgotten_with_a_fresh_beginning(run_engine: Any) -> None:
    from inspectd.rules.program import Hold, Program, Send

    class Crafted:
        description = status_line = ""

        def respond(self, request: object, *, now: float, persist: bool) -> Program:
            return Program((Hold("g", 0.1, otherwise=(Send(b"shut"),)), Send(b"open")), rule="r")

    async with run_engine(Crafted()) as running:
        engine = running.engine
        engine.gates.open("g")
        assert await running.ask(GET) == b"open"
        engine.holds.hold_next(None)
        (address,) = await engine.renew()
        running.port = int(address.rpartition(":")[2])
        assert await running.ask(GET) == b"shut"
        await running.closed(running.engine.connections)
        assert running.capture.evidence(engine.exchanges).attempt == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who waits")
async def test_who_was_never_accepted_is_at_least_counted(run_engine: Any, tmp_path: Path) -> None:
    async with run_engine() as running:
        running.engine.set_accept(table("wait"))
        first = await running.connect()
        await running.eventually(lambda: running.engine.accept_state.waiting == 1)
        running.engine.set_accept(table("refuse"))
        with pytest.raises(ConnectionResetError):
            await first.rest()
        await first.close()
        running.engine.set_accept(table("wait"))
        second = await running.connect()
        await running.eventually(lambda: running.engine.accept_state.waiting == 1)
    with pytest.raises(ConnectionResetError):
        await second.rest()
    await second.close()
    with Capture.open(tmp_path / "test.inspectd") as capture:
        steps = json.loads(capture.listeners()[0].steps)
        assert [detail.partition(",")[0] for _, call, detail in steps if call == "close"] == [
            "1 connection in the queue"
        ] * 2


async def test_after_a_clear_nothing_has_come_before(run_engine: Any) -> None:
    async with run_engine() as running:
        for _ in range(2):
            running.engine.holds.hold_next(1, timeout=0.0)
            assert (await running.ask(GET)).endswith(b"hello")
            await running.closed(running.engine.connections)
        assert running.capture.evidence(2).attempt == 2
        running.engine.clear()
        running.engine.holds.hold_next(1, timeout=0.0)
        assert (await running.ask(GET)).endswith(b"hello")
        await running.closed(3)
        assert running.capture.evidence(3).attempt == 1
