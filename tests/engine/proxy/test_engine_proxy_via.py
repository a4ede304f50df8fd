"""Other proxies on the way to servers: what is asked of them, and what they answer."""

from __future__ import annotations

import asyncio
import json
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import INCOMING
from inspectd.engine.config import Forwarding
from inspectd.engine.proxy.routes import OriginError
from inspectd.engine.proxy.via import parse_via
from inspectd.rules.passing import Passing
from tests.engine.proxy.certificates import Authority, serving
from tests.engine.proxy.conftest import Origin
from tests.engine.proxy.test_engine_proxy_servers import GET, OK, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.engine.conftest import Running

    RunEngine = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Who signs the certificates of a test."""
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    directory = tmp_path / "pki"
    directory.mkdir()
    return Authority(directory)


class Socks:
    """A SOCKS5 proxy that knows one user, and writes down what it is asked for."""

    def __init__(self, port: int, *, user: bytes | None = None, reply: int = 0) -> None:
        self.to = port
        self.user = user
        self.reply = reply
        self.asked: list[bytes] = []
        self.port = 0

    async def start(self) -> asyncio.Server:
        """Listen on a free port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        if self.user is None:
            writer.write(b"\x05\x00")
        elif 2 not in methods:
            writer.write(b"\x05\xff")
            return
        else:
            writer.write(b"\x05\x02")
            _, length = await reader.readexactly(2)
            name = await reader.readexactly(length)
            password = await reader.readexactly((await reader.readexactly(1))[0])
            fits = name + b":" + password == self.user
            writer.write(b"\x01\x00" if fits else b"\x01\x01")
            if not fits:
                return
        _, _, _, kind = await reader.readexactly(4)
        length = {1: 4, 4: 16}.get(kind) or (await reader.readexactly(1))[0]
        name = await reader.readexactly(length)
        (port,) = struct.unpack("!H", await reader.readexactly(2))
        self.asked.append(name + b":%d" % port)
        writer.write(bytes((5, self.reply, 0, 1)) + bytes(6))
        if self.reply:
            return
        there, back = await asyncio.open_connection("127.0.0.1", self.to)
        await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.mark.parametrize("tls", [False, True])
async def test_socks5_looks_the_name_up_and_carries_everything(
    run_engine: RunEngine, authority: Authority, *, tls: bool
) -> None:
    origin = Origin()
    await origin.start(serving(authority.leaf("far.example.test")) if tls else None)
    socks = Socks(origin.port, user=b"us:er:pass word")
    server = await socks.start()
    via = parse_via(f"socks5h://us%3Aer:pass%20word@127.0.0.1:{socks.port}")
    forwarding = Forwarding("far.example.test", 1234, tls=tls, via=via, trust=(authority.file,))
    async with server, run_engine(Passing("x"), forwarding=forwarding) as running:
        client = await running.connect()
        await client.send(GET)
        accepted = await origin.next()
        assert await accepted.until(b"\r\n\r\n") == GET
        await accepted.say(OK)
        assert await client.until(b"ok") == OK
        assert socks.asked == [b"far.example.test:1234"]
        await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        assert forward.upstream is not None
        row = running.capture.upstream(forward.upstream)
        assert row is not None
        assert (row.origin, row.via) == ("far.example.test:1234", f"socks5://127.0.0.1:{socks.port}")
        assert b"pass word" not in running.engine.capture.read_bytes()
        await client.close()
    await origin.stop()


@pytest.mark.parametrize(
    ("user", "given", "reply", "why"),
    [
        (b"a:b", "", 0, "demands credentials. --via socks5://USER:PASSWORD@HOST:PORT gives them."),
        (b"a:b", "a:c@", 0, "did not accept the credentials."),
        (None, "", 2, "did not connect to far.example.test:80: its rules don't allow it."),
        (None, "", 200, "did not connect to far.example.test:80: it answered 200."),
    ],
)
async def test_a_socks5_proxy_that_does_not_help_is_told_apart_from_the_server(
    run_engine: RunEngine, user: bytes | None, given: str, reply: int, why: str
) -> None:
    socks = Socks(1, user=user, reply=reply)
    server = await socks.start()
    via = parse_via(f"socks5://{given}127.0.0.1:{socks.port}")
    async with (
        server,
        run_engine(Passing("x"), forwarding=Forwarding("far.example.test", via=via)) as running,
    ):
        assert await refusal(running) == f"The proxy socks5://127.0.0.1:{socks.port} {why}"


@asynccontextmanager
async def http_proxy(run_engine: RunEngine, tmp_path: Path, **config: Any) -> AsyncIterator[Running]:
    """A second engine that is a forward proxy."""
    forwarding = Forwarding(**config)
    async with run_engine(
        Passing("all"), forwarding=forwarding, capture=tmp_path / "proxy.inspectd"
    ) as running:
        yield running


async def test_an_http_proxy_gets_whole_urls_and_a_password_that_is_not_recorded(
    run_engine: RunEngine, tmp_path: Path
) -> None:
    origin = Origin()
    await origin.start()
    async with http_proxy(run_engine, tmp_path) as far:
        via = parse_via(f"http://user:secret-word@127.0.0.1:{far.port}")
        forwarding = Forwarding("127.0.0.1", origin.port, via=via)
        async with run_engine(Passing("x"), forwarding=forwarding) as running:
            client = await running.connect()
            await client.send(GET)
            accepted = await origin.next()
            assert (
                await accepted.until(b"\r\n\r\n")
                == b"GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % origin.port
            )
            await accepted.say(OK)
            assert await client.until(b"ok") == OK
            await running.exchange(1)
            forward = running.capture.forward(1)
            assert forward is not None
            url = f"http://127.0.0.1:{origin.port}/"
            sent = running.capture.forwarded_bytes(forward, INCOMING)
            assert sent == (
                f"GET {url} HTTP/1.1\r\nProxy-Authorization: {'*' * 30}\r\nHost: x\r\n\r\n".encode()
            )
            assert json.loads(forward.changes or "") == [
                {"what": "request target", "from": "/", "to": url},
                {"what": "field Proxy-Authorization", "from": None, "to": "(not recorded)"},
            ]
            arrived = far.capture.exchange(1)
            assert arrived is not None
            assert (
                far.capture.request_bytes(arrived)
                == (
                    f"GET {url} HTTP/1.1\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQtd29yZA==\r\nHost: x\r\n\r\n"
                ).encode()
            )
            await client.close()
    await origin.stop()


async def test_tls_goes_through_an_http_proxy_by_connect(
    run_engine: RunEngine, authority: Authority, tmp_path: Path
) -> None:
    origin = Origin()
    await origin.start(serving(authority.leaf("localhost")))
    async with http_proxy(run_engine, tmp_path) as far:
        via = parse_via(f"http://127.0.0.1:{far.port}")
        forwarding = Forwarding("localhost", origin.port, tls=True, via=via, trust=(authority.file,))
        async with run_engine(Passing("x"), forwarding=forwarding) as running:
            client = await running.connect()
            await client.send(GET)
            accepted = await origin.next()
            assert await accepted.until(b"\r\n\r\n") == GET
            await accepted.say(OK)
            assert await client.until(b"ok") == OK
            arrived = far.capture.exchange(1)
            assert arrived is not None
            assert arrived.method == "CONNECT"
            await client.close()
    await origin.stop()


async def test_a_refusal_of_connect_is_the_proxy_s(
    run_engine: RunEngine, authority: Authority, tmp_path: Path
) -> None:
    async with http_proxy(run_engine, tmp_path) as far:
        via = parse_via(f"http://127.0.0.1:{far.port}")
        forwarding = Forwarding("localhost", 1, tls=True, via=via)
        async with run_engine(Passing("x"), forwarding=forwarding) as running:
            assert await refusal(running) == (
                f"The proxy http://127.0.0.1:{far.port} did not connect to localhost:1: it answered 502 Bad Gateway."
            )


@pytest.mark.parametrize("given", ["", "user:secret@"])
async def test_a_proxy_that_demands_credentials_is_told_so(run_engine: RunEngine, given: str) -> None:
    proxy = Origin()
    await proxy.start()
    via = parse_via(f"http://{given}127.0.0.1:{proxy.port}")
    forwarding = Forwarding("localhost", 1, tls=True, via=via)
    async with run_engine(Passing("x"), forwarding=forwarding) as running:
        asking = asyncio.ensure_future(refusal(running))
        accepted = await proxy.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        sentence = await asking
        why = "did not accept the credentials" if given else "demands credentials"
        assert sentence.startswith(f"The proxy http://127.0.0.1:{proxy.port} {why} (407).")
        assert "secret" not in sentence
    await proxy.stop()


async def test_credentials_that_are_demanded_for_a_request_are_noted_and_the_answer_passes(
    run_engine: RunEngine,
) -> None:
    proxy = Origin()
    await proxy.start()
    via = parse_via(f"http://127.0.0.1:{proxy.port}")
    async with run_engine(Passing("x"), forwarding=Forwarding("localhost", 80, via=via)) as running:
        client = await running.connect()
        await client.send(GET)
        accepted = await proxy.next()
        assert await accepted.until(b"\r\n\r\n") == b"GET http://localhost/ HTTP/1.1\r\nHost: x\r\n\r\n"
        await accepted.say(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 407 No")
        await running.exchange(1)
        forward = running.capture.forward(1)
        assert forward is not None
        assert forward.failure == (
            f"The proxy http://127.0.0.1:{proxy.port} demands credentials (407)."
            " --via http://USER:PASSWORD@HOST:PORT gives them."
        )
        await client.close()
    await proxy.stop()


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://a", "http://", "http://u:topsecret@", "socks5://u:topsecret@h:0"]
)
def test_what_is_no_proxy_is_explained_without_its_password(url: str) -> None:
    with pytest.raises(OriginError) as caught:
        parse_via(url)
    assert "topsecret" not in str(caught.value)
