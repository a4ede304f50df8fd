"""Clients that open tunnels through a proxy, and servers that speak TLS, for tests of what is read in between."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from inspectd.engine import ca
from inspectd.engine.config import Forwarding
from inspectd.rules.passing import Passing
from tests.engine.proxy.conftest import Origin
from tests.engine.tls_client import TlsClient, trusting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from inspectd.rules.responder import Responder
    from tests.engine.conftest import Running

    RunEngine = Callable[..., AbstractAsyncContextManager[Running]]

ESTABLISHED = b"HTTP/1.1 200 Connection Established\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"


def server_context(*names: str) -> ssl.SSLContext:
    """A server's context with a certificate that the test's own authority signed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(ca.open_authority().leaf(*names).pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


class TlsOrigin(Origin):
    """A server that speaks TLS."""

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        """Listen on a free port, with a certificate for localhost unless another one is given."""
        await super().start(context or server_context("localhost", "127.0.0.1"))


@asynccontextmanager
async def proxying(
    run_engine: RunEngine,
    origin: Origin,
    responder: Responder | None = None,
    *,
    engine: dict[str, Any] | None = None,
    **config: Any,
) -> AsyncIterator[Running]:
    """A forward proxy that looks into tunnels, and a server for them."""
    trust = (ca.open_authority().certificate_path,)
    forwarding = Forwarding(**{"intercept": True, "trust": trust, "tunnel_wait": 5.0, **config})
    await origin.start()
    async with run_engine(
        responder or Passing("the servers"), forwarding=forwarding, **(engine or {})
    ) as running:
        try:
            yield running
        finally:
            await origin.stop()


async def tunnel(
    running: Running, port: int, host: str = "localhost", *, name: str | None = "localhost"
) -> TlsClient:
    """A client in whose tunnel TLS may begin."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port, limit=1 << 24)
    writer.write(f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    assert await reader.readuntil(b"\r\n\r\n") == ESTABLISHED
    return TlsClient(reader, writer, trusting(), name)
