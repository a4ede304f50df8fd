"""Holding: a request waits until somebody decides, and whatever happens meanwhile is seen and accounted for."""

from __future__ import annotations

import asyncio
import resource
import time
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import State
from inspectd.engine.config import Limits
from inspectd.engine.holds import UnknownHold
from inspectd.rules.program import Close, LiveProgram, Program, Send, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from inspectd.engine.holds import Held
    from inspectd.rules.program import Op
    from inspectd.rules.request import Request

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
OTHER = b"HTTP/1.1 299 By Hand\r\nContent-Length: 2\r\n\r\nhi"
BOTH = pytest.mark.parametrize("durability", ["commit", "relaxed"])


def get(target: str) -> bytes:
    return f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def echo(target: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target


class HoldsSome:
    """Answers with the target, and wants a person to look at those that begin with /hold."""

    description = status_line = ""

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:
        target = request.head.target
        hold = 60.0 if target.startswith(b"/hold") else None
        return Program((Send(echo(target)),), "echo", rule="r1" if hold else "", hold=hold)


async def held(running: Any, count: int = 1) -> list[Held]:
    """What is held, once it is so many."""
    desk = running.engine.holds
    await running.eventually(lambda: len(desk.held) == count)
    return list(desk.held)


def state(running: Any, number: int) -> State:
    """The state of an exchange, as far as it is recorded."""
    row = running.capture.exchange(number)
    return State(row.state) if row is not None else State(0)


@BOTH
async def test_what_a_rule_holds_waits_and_is_released_with_its_answer(
    run_engine: Any, durability: str
) -> None:
    async with run_engine(HoldsSome(), durability=durability) as running:
        client = await running.connect()
        await client.send(get("/hold") + get("/next"))
        (one,) = await held(running)
        assert (one.id, one.connection, one.number, one.timeout, one.rule) == (1, 1, 1, 60.0, "r1")
        assert one.request.head.target == b"/hold"
        await running.eventually(lambda: state(running, 1) & State.HELD)
        running.engine.holds.release(1)
        assert await client.until(b"/next") == echo(b"/hold") + echo(b"/next")
        row = await running.exchange(1)
        assert not State(row.state) & State.HELD
        assert row.label.startswith("echo; held ")
        assert running.engine.holds.held == []
        with pytest.raises(UnknownHold, match="exchange 1 is not held"):
            running.engine.holds.release(1)
        await client.close()


@BOTH
async def test_another_answer_is_sent_instead_and_the_connection_goes_on(
    run_engine: Any, durability: str
) -> None:
    async with run_engine(HoldsSome(), durability=durability) as running:
        client = await running.connect()
        await client.send(get("/hold"))
        await held(running)
        running.engine.holds.release(1, Program((Send(OTHER),)))
        assert await client.until(b"hi") == OTHER
        await client.send(get("/hold"))
        await held(running)
        running.engine.holds.release(2, Program((Send(OTHER[:10]), Wait(0.05), Send(OTHER[10:]), Close())))
        assert await client.rest() == OTHER
        await client.close()
        row = await running.exchange(1)
        assert (row.status, row.reason, row.label.partition(";")[0]) == ("299", "By Hand", "answered by hand")


async def test_the_next_so_many_are_held_whoever_answers(run_engine: Any) -> None:
    async with run_engine() as running:
        desk = running.engine.holds
        desk.hold_next(2, timeout=30, owner="me")
        clients = [await running.connect() for _ in range(3)]
        for count, client in enumerate(clients[:2], 1):
            await client.send(GET)
            await held(running, count)
        await clients[2].send(GET)
        await clients[2].until(b"hello")
        assert [(one.id, one.owner, one.timeout) for one in await held(running, 2)] == [
            (1, "me", 30),
            (2, "me", 30),
        ]
        assert desk.next_count == 0
        assert desk.release_all("somebody else") == 0
        assert desk.release_all("me") == 2
        await clients[0].until(b"hello")
        await clients[1].until(b"hello")
        desk.hold_next(None)
        for client in clients:
            await client.send(GET)
        await held(running, 3)
        desk.hold_next(0)
        assert desk.release_all() == 3
        for client in clients:
            await client.until(b"hello")
            await client.close()


async def test_dropped_is_fin_and_reset_is_rst_without_a_byte(run_engine: Any) -> None:
    async with run_engine(HoldsSome()) as running:
        dropped, reset = await running.connect(), await running.connect()
        await dropped.send(get("/hold"))
        await running.eventually(lambda: running.engine.exchanges == 1)
        await reset.send(get("/hold"))
        await held(running, 2)
        running.engine.holds.drop(1)
        running.engine.holds.reset(2)
        assert await dropped.rest() == b""
        with pytest.raises(ConnectionResetError):
            await reset.rest()
        await dropped.close()
        await reset.close()
        assert [
            (
                (await running.closed(n)).closed_by,
                (await running.closed(n)).how,
                (await running.closed(n)).bytes_out,
            )
            for n in (1, 2)
        ] == [("server", "fin", 0), ("server", "rst", 0)]
        assert "dropped by hand" in (await running.exchange(1)).label
        assert "reset by hand" in (await running.exchange(2)).label


async def test_when_the_time_is_over_the_client_gets_the_normal_answer(run_engine: Any) -> None:
    async with run_engine() as running:
        running.engine.holds.hold_next(1, timeout=0.2)
        client = await running.connect()
        began = time.monotonic()
        await client.send(GET)
        await client.until(b"hello")
        assert time.monotonic() - began >= 0.19  # timers may come a little early
        await client.close()


async def test_everything_that_happens_at_the_desk_is_told(run_engine: Any) -> None:
    told: list[tuple[str, int, str]] = []
    async with run_engine() as running:
        desk = running.engine.holds
        desk.on_change.append(lambda kind, one, outcome: told.append((kind, one.id, outcome)))
        desk.hold_next(None, timeout=60)
        for number in range(1, 7):
            client = await running.connect()
            await client.send(GET)
            await held(running)
            match number:
                case 1:
                    desk.release(1)
                case 2:
                    desk.release(2, Program((Send(OTHER),)))
                case 3:
                    desk.drop(3)
                case 4:
                    desk.reset(4)
                case 5:
                    client.writer.write_eof()
                    await running.eventually(lambda: desk.held[0].client_gone)
                    desk.release(5)
                    assert (await client.rest()).endswith(b"hello")
            if number < 6:
                await client.close()
        client.writer.transport.abort()
        await running.eventually(lambda: not desk.held or desk.held[0].client_gone)
    assert told[:11] == [
        ("held", 1, ""),
        ("released", 1, "released"),
        ("held", 2, ""),
        ("released", 2, "answered"),
        ("held", 3, ""),
        ("released", 3, "dropped"),
        ("held", 4, ""),
        ("released", 4, "reset"),
        ("held", 5, ""),
        ("gone", 5, ""),
        ("released", 5, "released"),
    ]
    assert told[-1][0:2] == ("released", 6)


async def test_a_client_that_leaves_is_seen_and_its_row_says_so(run_engine: Any) -> None:
    async with run_engine(HoldsSome()) as running:
        client = await running.connect()
        await client.send(get("/hold"))
        (one,) = await held(running)
        await client.close()
        await running.eventually(lambda: one.client_gone)
        assert running.engine.holds.held == [one]
        running.engine.holds.release(1)
        row = await running.closed()
        assert row.closed_by == "client"
        assert "closed by the client meanwhile" in running.capture.exchange(1).label


async def test_a_client_that_resets_takes_its_request_off_the_desk(run_engine: Any) -> None:
    import socket
    import struct

    async with run_engine(HoldsSome()) as running:
        with socket.create_connection((running.host, running.port)) as client:
            client.sendall(get("/hold") + get("/hold2"))
            await held(running)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await held(running, 0)
        row = await running.closed()
        assert (row.closed_by, row.how) == ("client", "rst")
        first, second = await running.exchange(1), await running.exchange(2)
        assert "ended before anybody decided" in first.label
        assert [State(one.state) & (State.HELD | State.ABORTED) for one in (first, second)] == [
            State.ABORTED
        ] * 2


@BOTH
async def test_a_stop_answers_what_is_held_and_holds_nothing_more(run_engine: Any, durability: str) -> None:
    async with run_engine(HoldsSome(), durability=durability, grace=20.0) as running:
        client = await running.connect()
        await client.send(get("/hold") + get("/hold2"))
        await held(running)
    assert await client.rest() == echo(b"/hold") + echo(b"/hold2")
    await client.close()


async def test_a_live_answer_is_held_like_any_other(run_engine: Any) -> None:
    async def ops() -> AsyncIterator[Op]:
        yield Send(OTHER)
        yield Close()

    class Live(HoldsSome):
        def respond(self, request: Request, *, now: float, persist: bool) -> Any:
            return LiveProgram(ops(), "live", hold=60)

    async with run_engine(Live()) as running:
        client = await running.connect()
        await client.send(GET)
        await held(running)
        running.engine.holds.release(1)
        assert await client.rest() == OTHER
        await client.close()


async def test_a_held_request_is_never_idle(run_engine: Any) -> None:
    async with run_engine(HoldsSome(), limits=Limits(idle_timeout=0.2, head_timeout=0.2)) as running:
        client = await running.connect()
        await client.send(get("/hold") + b"GET /half")
        await held(running)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await client.reader.read(1)
        running.engine.holds.release(1)
        await client.until(b"/hold")
        await client.close()


async def test_thousands_may_wait_at_once(run_engine: Any) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(2000, hard // 3)
    if hard < count * 3:
        pytest.skip("too few files may be open")
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count * 3), hard))
    try:
        async with run_engine(limits=Limits(connections=count + 1), backlog=1024, grace=30.0) as running:
            running.engine.holds.hold_next(None)
            clients = []
            for _ in range(count):
                clients.append(await running.connect())
                await clients[-1].send(GET)
            await held(running, count)
            assert running.engine.holds.release_all() == count
            for client in clients:
                await client.until(b"hello")
                await client.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@BOTH
async def test_listeners_hear_of_what_the_capture_shows_already(run_engine: Any, durability: str) -> None:
    told: list[tuple[str, int]] = []
    seen: list[object] = []

    async with run_engine(HoldsSome(), durability=durability) as running:

        def listen(kind: str, number: int) -> None:
            told.append((kind, number))
            seen.append(running.capture.exchange(number))

        await running.ask(get("/before"))
        await running.exchange(1)
        end = running.engine.subscribe(listen)
        client = await running.connect()
        await client.send(get("/hold"))
        await running.eventually(lambda: ("held", 2) in told)
        running.engine.holds.release(2)
        await client.until(b"/hold")
        await running.eventually(lambda: ("answered", 2) in told)
        await client.send(b"GET /half")
        await running.eventually(lambda: running.engine.exchanges == 3)
        await client.send(b" HTTP/1.1\r\n\r\n")
        await client.until(b"/half")
        await client.close()
        await running.eventually(lambda: ("answered", 3) in told)
        assert told == [
            ("arrived", 2),
            ("held", 2),
            ("released", 2),
            ("answered", 2),
            ("arrived", 3),
            ("answered", 3),
        ]
        assert None not in seen
        end()
        await running.ask(get("/after"))
        await running.exchange(4)
        assert told[-1] == ("answered", 3)
