"""A proxy in the test's own loop, between clients and an origin that are plain sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.engine.config import Forwarding
from inspectd.engine.listener import render
from inspectd.rules.passing import Passing

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from inspectd.rules.responder import Responder
    from tests.engine.conftest import Running

DEADLINE = 10.0


class Accepted:
    """A connection that came to the origin."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.peer = render(writer.get_extra_info("peername"))
        self.got = b""

    async def until(self, end: bytes) -> bytes:
        """Read up to and with `end`."""
        async with asyncio.timeout(DEADLINE):
            data = await self.reader.readuntil(end)
        self.got += data
        return data

    async def rest(self) -> bytes:
        """Read to the client's FIN; what comes before an RST counts as well."""
        data = b""
        with suppress(ConnectionError):
            async with asyncio.timeout(DEADLINE):
                while piece := await self.reader.read(1 << 16):
                    data += piece
        self.got += data
        return data

    async def say(self, data: bytes) -> None:
        """Send these bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def close(self) -> None:
        """Send FIN and be gone."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()

    def reset(self) -> None:
        """Send RST."""
        from inspectd.engine.tcp import reset_on_close

        if not self.writer.transport.is_closing():
            reset_on_close(self.writer.get_extra_info("socket"))
        self.writer.transport.abort()


class Origin:
    """A server that does what a test tells it, one accepted connection after the other."""

    def __init__(self) -> None:
        self.connections: asyncio.Queue[Accepted] = asyncio.Queue()
        self.accepted: list[Accepted] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        """Listen on a free port; with `context`, speak TLS there."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1 << 26, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = Accepted(reader, writer)
        self.accepted.append(accepted)
        self.connections.put_nowait(accepted)

    async def next(self) -> Accepted:
        """The next connection that is accepted."""
        async with asyncio.timeout(DEADLINE):
            return await self.connections.get()

    async def stop(self) -> None:
        """End everything."""
        assert self._server is not None
        self._server.close()
        for accepted in self.accepted:
            accepted.writer.transport.abort()
        await asyncio.sleep(0)


@pytest.fixture
def proxied(
    run_engine: Callable[..., AbstractAsyncContextManager[Running]],
) -> Callable[..., AbstractAsyncContextManager[tuple[Running, Origin]]]:
    """`async with proxied(**forwarding) as (running, origin)`: an engine that forwards to an origin of the test."""

    @asynccontextmanager
    async def run(
        responder: Responder | None = None,
        *,
        port: int | None = None,
        engine: dict[str, Any] | None = None,
        **config: Any,
    ) -> AsyncIterator[tuple[Running, Origin]]:
        origin = Origin()
        await origin.start()
        forwarding = Forwarding("127.0.0.1", origin.port if port is None else port, **config)
        async with run_engine(
            responder or Passing("the origin"), forwarding=forwarding, **(engine or {})
        ) as running:
            try:
                yield running, origin
            finally:
                await origin.stop()

    return run
