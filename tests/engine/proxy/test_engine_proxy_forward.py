"""Forward proxy: absolute targets, what is changed and noted, tunnels."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.engine.config import Forwarding
from inspectd.engine.listener import ListenError
from inspectd.engine.proxy.routes import Failure, OriginError, Route, parse_origin
from inspectd.engine.proxy.targets import named
from inspectd.rules.passing import Passing
from inspectd.wire import ArrivedHead, RequestReader
from tests.engine.proxy.conftest import Origin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.engine.conftest import Running

    RunEngine = Callable[..., AbstractAsyncContextManager[Running]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def open_files() -> int:
    """How many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


@asynccontextmanager
async def proxy(run_engine: RunEngine, **engine: Any) -> AsyncIterator[tuple[Running, Origin]]:
    """A forward proxy, and a server to reach through it."""
    origin = Origin()
    await origin.start()
    async with run_engine(Passing("any"), forwarding=Forwarding(), **engine) as running:
        try:
            yield running, origin
        finally:
            await origin.stop()


async def test_an_absolute_target_becomes_a_path_and_the_rest_stays(run_engine: RunEngine) -> None:
    async with proxy(run_engine) as (running, origin):
        client = await running.connect()
        host = b"127.0.0.1:%d" % origin.port
        asked = (
            b"POST http://%b/a?b  HTTP/1.1\r\nhOST:   %b \r\nProxy-Connection: keep-alive\r\nX:  1\r\n folded\r\n"
            b"proxy-authorization: Basic eDp5\r\nContent-Length: 3\r\n\r\nabc"
        ) % (host, host)
        wanted = (
            b"POST /a?b  HTTP/1.1\r\nhOST:   %b \r\nX:  1\r\n folded\r\nContent-Length: 3\r\n\r\nabc" % host
        )
        await client.send(asked)
        accepted = await origin.next()
        assert await accepted.until(b"abc") == wanted
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        row = await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        assert running.capture.request_bytes(row) == asked
        assert running.capture.forwarded_bytes(forward, INCOMING) == wanted
        assert json.loads(forward.changes or "") == [
            {"what": "request target", "from": f"http://127.0.0.1:{origin.port}/a?b", "to": "/a?b"},
            {"what": "field Proxy-Connection", "from": "keep-alive", "to": None},
            {"what": "field proxy-authorization", "from": "Basic eDp5", "to": None},
        ]
        await client.close()


async def test_one_connection_of_a_client_reaches_several_servers(run_engine: RunEngine) -> None:
    other = Origin()
    await other.start()
    async with proxy(run_engine) as (running, origin):
        client = await running.connect()
        for server in (origin, other, origin):
            await client.send(
                b"GET http://127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (server.port, server.port)
            )
            accepted = await server.next()
            assert (await accepted.until(b"\r\n\r\n")).startswith(b"GET / HTTP/1.1\r\n")
            await accepted.say(OK)
            assert await client.until(b"ok") == OK
        await client.close()
        await running.eventually(lambda: not running.capture.counts().open)
        await other.stop()


async def test_a_tunnel_carries_what_came_with_its_connect_and_everything_after(
    run_engine: RunEngine,
) -> None:
    async with proxy(run_engine) as (running, origin):
        client = await running.connect()
        head = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % origin.port
        hello = b"\x16\x03\x01" + os.urandom(300)
        await client.send(head + hello)
        accepted = await origin.next()
        async with asyncio.timeout(60):
            assert await accepted.reader.readexactly(len(hello)) == hello
        established = b"HTTP/1.1 200 Connection Established\r\n\r\n"
        assert await client.until(b"\r\n\r\n") == established
        answer = os.urandom(1000)
        await accepted.say(answer)
        async with asyncio.timeout(60):
            assert await client.reader.readexactly(1000) == answer
        await client.send(b"more")
        async with asyncio.timeout(60):
            assert await accepted.reader.readexactly(4) == b"more"
        client.writer.write_eof()
        assert await accepted.rest() == b""
        await accepted.say(b"last")
        await accepted.close()
        assert await client.rest() == b"last"
        await client.close()
        await running.closed(1)
        await running.closed(2)
        capture = running.capture
        assert capture.stream_bytes(1, INCOMING) == head + hello + b"more"
        assert capture.stream_bytes(2, INCOMING) == hello + b"more"
        assert capture.stream_bytes(1, OUTGOING) == established + answer + b"last"
        assert capture.stream_bytes(2, OUTGOING) == answer + b"last"
        row = await running.exchange(1)
        assert not row.state & State.ABORTED
        assert (row.status, row.label) == ("200", f"tunnel to 127.0.0.1:{origin.port}")
        forward = capture.forward(1)
        assert forward is not None
        assert forward.upstream == 2


async def test_a_tunnel_is_reset_when_its_server_resets(run_engine: RunEngine) -> None:
    async with proxy(run_engine) as (running, origin):
        client = await running.connect()
        await client.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % origin.port)
        await client.until(b"\r\n\r\n")
        (await origin.next()).reset()
        with pytest.raises(ConnectionResetError):
            await client.rest()
        await client.close()


async def test_many_tunnels_to_a_dead_port_leave_nothing_behind(run_engine: RunEngine) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        asked = b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: x\r\n\r\n" % unused.getsockname()[1]
        async with proxy(run_engine) as (running, _):
            await running.ask(asked)
            descriptors, tasks = open_files(), len(asyncio.all_tasks())

            async def some() -> None:
                for _ in range(25):
                    assert (await running.ask(asked)).startswith(b"HTTP/1.1 502 Bad Gateway\r\n")

            await asyncio.gather(*[some() for _ in range(20)])
            await running.eventually(lambda: not running.engine.open_connections)
            await running.eventually(lambda: len(asyncio.all_tasks()) <= tasks)
            await running.eventually(lambda: open_files() <= descriptors)
            row = await running.exchange(501)
            assert (row.label or "").endswith("refused the connection: nothing listens there.")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", b"501"),
        (b"GET https://no-such-name.invalid/ HTTP/1.1\r\nHost: a\r\n\r\n", b"502"),
        (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET http://a:b/ HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"CONNECT /nothing HTTP/1.1\r\nHost: a\r\n\r\n", b"400"),
        (b"GET http://no-such-name.invalid/ HTTP/1.1\r\nHost: a\r\n\r\n", b"502"),
    ],
)
async def test_what_goes_nowhere_is_told_why(run_engine: RunEngine, asked: bytes, status: bytes) -> None:
    async with proxy(run_engine) as (running, _):
        answer = await running.ask(asked)
        assert answer.startswith(b"HTTP/1.1 %b " % status)
        row = await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        assert forward.failure == row.label
        assert row.state & State.REQUEST_COMPLETE


async def test_it_never_connects_to_itself(run_engine: RunEngine) -> None:
    async with proxy(run_engine) as (running, _):
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            name = f"{host}:{running.port}".encode()
            for asked in (b"CONNECT %b HTTP/1.1\r\n\r\n" % name, b"GET http://%b/ HTTP/1.1\r\n\r\n" % name):
                assert b"HTTP/1.1 508 Loop Detected\r\n" in await running.ask(asked)


async def test_other_machines_may_use_it_only_when_that_is_said(run_engine: RunEngine) -> None:
    with pytest.raises(ListenError, match="other machines"):
        async with run_engine(Passing("any"), forwarding=Forwarding(), listen=("0.0.0.0:0",)):
            pass
    async with run_engine(
        Passing("any"), forwarding=Forwarding(allow_remote=True), listen=("0.0.0.0:0",)
    ) as running:
        answer = await running.ask(b"GET http://127.0.0.1:%d/ HTTP/1.1\r\n\r\n" % running.port)
        assert answer.startswith(b"HTTP/1.1 508 ")


def head_of(data: bytes) -> ArrivedHead | None:
    """The head of a request, if these bytes begin with one."""
    for event in RequestReader().feed(data):
        if isinstance(event, ArrivedHead):
            return event
    return None


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_target_and_fields_have_a_route_or_a_reason(target: bytes, fields: bytes) -> None:
    for start in (b"GET http://", b"GET https://", b"CONNECT ", b"OPTIONS ", b"GET http://a.test"):
        head = head_of(start + target + b" HTTP/1.1\r\nProxy-A: b\r\n" + fields + b"\r\n\r\n")
        if head is None:
            continue
        route = named(head, str)
        assert isinstance(route, Route | Failure)
        if isinstance(route, Route) and route.head is not None:
            again = head_of(route.head)
            assert again is not None
            assert b"\nProxy-A: b\r\n" not in route.head


def test_hosts_are_replaced_or_added_as_a_proxy_must() -> None:
    replaced = head_of(b"GET http://a.test:81 HTTP/1.1\r\nHost: b.test\r\n\r\n")
    assert replaced is not None
    route = named(replaced, str)
    assert isinstance(route, Route)
    assert route.head == b"GET / HTTP/1.1\r\nHost: a.test:81\r\n\r\n"
    assert route.changes[1] == {"what": "Host", "from": "b.test", "to": "a.test:81"}
    added = head_of(b"OPTIONS http://u:p@a.test HTTP/1.1\r\n\r\n")
    assert added is not None
    route = named(added, str)
    assert isinstance(route, Route)
    assert route.head == b"OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n"
    same = head_of(b"GET http://a.test?q HTTP/1.0\r\n\r\n")
    assert same is not None
    route = named(same, str)
    assert isinstance(route, Route)
    assert route.head == b"GET /?q HTTP/1.0\r\n\r\n"


@given(
    st.sampled_from([b"GET", b"OPTIONS"]),
    st.sampled_from([b"http://a.test", b"HTTP://u@a.test:80/x?y", b"http://[::1]:81?q"]),
    st.lists(
        st.sampled_from(
            [
                b"Host:a.test",
                b"host: \t b.test \t",
                b"HOST:",
                b"Host: \t",
                b"Proxy-A:  b ",
                b"proxy-connection:",
                b"X-Host: h",
                b"A: Host: b",
            ]
        )
    ),
    st.sampled_from([b"HTTP/1.1", b"HTTP/1.0"]),
)
def test_what_is_known_to_be_plain_is_rewritten_as_if_it_were_not(
    method: bytes, target: bytes, fields: list[bytes], version: bytes
) -> None:
    data = b"\r\n".join([b" ".join((method, target, version)), *fields, b"", b""])
    plain, other = head_of(data), head_of(data)
    assert plain is not None
    assert other is not None
    assert plain.plain
    other.plain = False
    assert named(plain, str) == named(other, str)


def test_servers_are_named_by_url() -> None:
    assert str(parse_origin("http://localhost:3000/")) == "localhost:3000"
    assert str(parse_origin("HTTP://[::1]")) == "[::1]:80"
    for wrong in ("http://a/b", "http://a?b", "http://u@a", "ftp://a", "a", "http://[::1", "http://a:0"):
        with pytest.raises(OriginError):
            parse_origin(wrong)
