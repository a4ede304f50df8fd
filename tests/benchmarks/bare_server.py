"""The yardstick: an asyncio Protocol that answers every head with the same bytes and does nothing else.

    python tests/benchmarks/bare_server.py RESPONSE_FILE [--uvloop] [--tls CERTIFICATE_AND_KEY]

Prints its port.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
from pathlib import Path
from typing import cast


class Bare(asyncio.Protocol):
    """Finds the end of each head and writes the answer."""

    def __init__(self, response: bytes) -> None:
        self._response = response
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not of that class

    def data_received(self, data: bytes) -> None:
        """One answer for each end of a head."""
        data = self._pending + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            data = data[end + 4 :]
            self._transport.write(self._response)
        self._pending = data


async def serve(response: bytes, certificate: Path | None) -> None:
    """Listen on a free port of 127.0.0.1 until killed."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Bare(response), "127.0.0.1", 0, backlog=128, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("response", type=Path)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--tls", type=Path)
    asked = parser.parse_args()
    serving = serve(asked.response.read_bytes(), asked.tls)
    if asked.uvloop:
        import uvloop

        uvloop.run(serving)
    else:
        asyncio.run(serving)


if __name__ == "__main__":
    main()
