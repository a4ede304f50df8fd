"""The yardstick of proxies: asyncio Protocols that hand bytes on and understand none of them.

    python tests/benchmarks/bare_relay.py ORIGIN_PORT [--uvloop]

Prints its port.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast


class Server(asyncio.Protocol):
    """The connection to the origin."""

    def __init__(self, client: asyncio.Transport) -> None:
        self._client = client

    def data_received(self, data: bytes) -> None:
        """Hand them back."""
        self._client.write(data)


class Client(asyncio.Protocol):
    """The connection of a client."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._waiting: list[bytes] = []
        self._server: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connect to the origin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not of that class
        self._task = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: Server(self._transport), "127.0.0.1", self._port)
        self._server = transport
        transport.writelines(self._waiting)

    def data_received(self, data: bytes) -> None:
        """Hand them on."""
        if self._server is None:
            self._waiting.append(data)
        else:
            self._server.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The origin's connection goes too."""
        if self._server is not None:
            self._server.close()


async def serve(port: int) -> None:
    """Listen on a free port of 127.0.0.1 until killed."""
    server = await asyncio.get_running_loop().create_server(lambda: Client(port), "127.0.0.1", 0, backlog=128)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """The command line."""
    port = int(sys.argv[1])
    if "--uvloop" in sys.argv:
        import uvloop

        uvloop.run(serve(port))
    else:
        asyncio.run(serve(port))


if __name__ == "__main__":
    main()
