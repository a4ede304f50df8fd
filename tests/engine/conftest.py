"""An engine in the test's own event loop, clients that are plain sockets, and the capture read as any viewer does."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from inspectd.capture.reader import Capture
from inspectd.engine.config import EngineConfig
from inspectd.engine.server import Engine
from inspectd.rules.answer import make_answer
from inspectd.rules.responder import Fixed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from inspectd.capture.model import ConnectionRow, ExchangeRow
    from inspectd.rules.responder import Responder

DEADLINE = 60.0


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Everything here holds on Python's own event loop and on uvloop's."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Client:
    """A TCP client that sends exactly what it is told, and reads without interpreting."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.sent = b""
        self.got = b""

    async def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.sent += data
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        """Read up to and with `end`."""
        async with asyncio.timeout(DEADLINE):
            data = await self.reader.readuntil(end)
        self.got += data
        return data

    async def rest(self) -> bytes:
        """Read to the server's FIN."""
        async with asyncio.timeout(DEADLINE):
            data = await self.reader.read()
        self.got += data
        return data

    async def close(self) -> None:
        """Close and wait until it is done."""
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class Running:
    """A started engine, its address, and a reader of its capture."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.host, _, port = engine.addresses[0].rpartition(":")
        self.port = int(port)
        self.capture = Capture.open(engine.capture)

    async def connect(self) -> Client:
        """A new client."""
        return Client(*await asyncio.open_connection(self.host, self.port, limit=1 << 24))

    async def ask(self, data: bytes) -> bytes:
        """Send `data` on a new connection, say FIN, read to the end."""
        client = await self.connect()
        await client.send(data)
        client.writer.write_eof()
        answer = await client.rest()
        await client.close()
        return answer

    async def eventually(self, what: Callable[[], Any]) -> Any:
        """Wait until `what` answers with something true: the engine commits at the end of its turn."""
        async with asyncio.timeout(DEADLINE):
            while not (found := what()):
                await asyncio.sleep(0.01)
        return found

    async def exchange(self, number: int) -> ExchangeRow:
        """The exchange with this id, once it has ended."""

        def ended() -> ExchangeRow | None:
            row = self.capture.exchange(number)
            return row if row is not None and row.finished_ns is not None else None

        row: ExchangeRow = await self.eventually(ended)
        return row

    async def closed(self, number: int = 1) -> ConnectionRow:
        """The connection with this id, once it is closed."""

        def gone() -> ConnectionRow | None:
            row = self.capture.connection(number)
            return row if row is not None and row.closed_ns is not None else None

        row: ConnectionRow = await self.eventually(gone)
        return row


@pytest.fixture
def own_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An authority of the test's own, and no log of secrets."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)


@pytest.fixture
def run_engine(tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Running]]:
    """`async with run_engine(responder, **config) as running`: an engine on a free port, answering `hello`."""

    @asynccontextmanager
    async def run(responder: Responder | None = None, **changes: Any) -> AsyncIterator[Running]:
        config = EngineConfig(capture=tmp_path / "test.inspectd", listen=("127.0.0.1:0",), grace=1.0)
        engine = Engine(replace(config, **changes), responder or Fixed(make_answer(body=b"hello")))
        await engine.start()
        running = Running(engine)
        try:
            yield running
        finally:
            running.capture.close()
            await engine.stop()

    return run
