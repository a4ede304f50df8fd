"""A TLS client that decides which bytes of its records leave when, and a server's certificate authority for tests."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

from inspectd.engine import ca

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.engine.conftest import Running

DEADLINE = 60.0
LISTEN = ("https://127.0.0.1:0",)


def trusting(*, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A client's context that trusts the authority of this test."""
    context = ssl.create_default_context(cafile=str(ca.open_authority().certificate_path))
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


class Gone(Exception):  # noqa: N818  it is what was asked for
    """The client has sent as much as it may."""


class TlsClient:
    """One connection: `cut` says how the bytes to send are divided into writes."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        context: ssl.SSLContext,
        name: str | None,
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.first_flight = b""
        self.tidy = False
        """The server said close_notify."""
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self.rewrite: Callable[[bytes], bytes] = bytes
        """Changes the bytes of the first flight."""
        self.cut = 0
        self.budget: int | None = None
        """Bytes that it may still send; then it is gone."""
        self.sent = 0

    @classmethod
    async def connect(
        cls, running: Running, context: ssl.SSLContext | None = None, name: str | None = "localhost"
    ) -> TlsClient:
        """Connect, and send nothing yet."""
        streams = await asyncio.open_connection("127.0.0.1", running.port)
        return cls(*streams, context or trusting(), name)

    def distrust(self, name: str) -> None:
        """Begin anew, trusting only whom the system trusts."""
        self.tls = ssl.create_default_context().wrap_bio(self._in, self._out, server_hostname=name)

    async def shake(self) -> None:
        """The whole handshake."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._more()
            else:
                await self._flush()
                return

    async def send(self, data: bytes) -> None:
        """Encrypt and send."""
        self.tls.write(data)
        await self._flush()

    async def until(self, end: bytes) -> bytes:
        """Decrypted bytes up to and with `end`."""
        data = b""
        while not data.endswith(end):
            piece = await self._piece()
            assert piece, data
            data += piece
        return data

    async def rest(self) -> bytes:
        """Decrypted bytes until the server's close_notify or FIN."""
        data = b""
        while piece := await self._piece():
            data += piece
        return data

    async def goodbye(self) -> None:
        """Send close_notify and nothing else."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self._flush()

    async def close(self) -> None:
        """FIN, without close_notify."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()

    async def _piece(self) -> bytes:
        while True:
            try:
                data = self.tls.read(65536)
                self.tidy |= not data
                return data
            except ssl.SSLWantReadError:
                await self._more()
            except ssl.SSLZeroReturnError:
                self.tidy = True
                return b""
            except ssl.SSLEOFError:
                return b""

    async def _more(self) -> None:
        async with asyncio.timeout(DEADLINE):
            data = await self.reader.read(65536)
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    async def _flush(self) -> None:
        data = self._out.read()
        if not data:
            return
        if not self.first_flight:
            self.first_flight = data = self.rewrite(data)
        if self.budget is not None:
            data = data[: max(self.budget - self.sent, 0)]
        self.sent += len(data)
        step = self.cut or max(len(data), 1)
        for start in range(0, len(data), step):
            self.writer.write(data[start : start + step])
            await self.writer.drain()
            if self.cut:
                await asyncio.sleep(0)
        if self.budget is not None and self.sent >= self.budget:
            raise Gone
