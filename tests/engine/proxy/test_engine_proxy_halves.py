"""One side closes its half of a connection and goes on reading: through TLS, close_notify does it as FIN does."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import State
from inspectd.engine import ca
from inspectd.engine.config import Forwarding
from inspectd.rules.passing import Passing
from tests.engine.proxy.conftest import Origin
from tests.engine.proxy.tunnels import GET, OK, server_context, tunnel

if TYPE_CHECKING:
    from tests.engine.proxy.tunnels import RunEngine

SECONDS = 30
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nafter your last byte"


pytestmark = pytest.mark.usefixtures("own_authority")


class Patient:
    """A server behind TLS that answers when the client has closed its half, then closes its own: a plain socket in a
    thread, since the streams of asyncio close both halves at once."""

    def __init__(self, version: ssl.TLSVersion) -> None:
        self.context = server_context("localhost")
        self.context.minimum_version = self.context.maximum_version = version
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(SECONDS)
        self.port: int = self.listening.getsockname()[1]

    def serve(self) -> bytes:
        """What one client sends up to its close_notify."""
        accepted, _ = self.listening.accept()
        accepted.settimeout(SECONDS)
        with self.context.wrap_socket(accepted, server_side=True, suppress_ragged_eofs=False) as client:
            got = b""
            while data := client.recv(65536):  # a FIN without close_notify would raise
                got += data
            client.sendall(LAST)
            client.unwrap().close()
            return got


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("way", ["reverse", "tunnel"])
async def test_a_client_that_has_said_everything_is_still_answered(
    run_engine: RunEngine, way: str, version: ssl.TLSVersion
) -> None:
    patient = Patient(version)
    with closing(patient.listening):
        asked = asyncio.ensure_future(asyncio.to_thread(patient.serve))
        trust = (ca.open_authority().certificate_path,)
        forwarding = Forwarding(intercept=True, trust=trust)
        if way == "reverse":
            forwarding = Forwarding("localhost", patient.port, tls=True, trust=trust)
        async with run_engine(Passing("it"), forwarding=forwarding) as running:
            if way == "tunnel":
                inside = await tunnel(running, patient.port)
                await inside.shake()
                await inside.send(GET)
                await inside.goodbye()
                inside.writer.write_eof()
                assert await inside.rest() == LAST
                assert inside.tidy
                await inside.close()
            else:
                client = await running.connect()
                await client.send(GET)
                client.writer.write_eof()
                assert await client.rest() == LAST
                await client.close()
            assert await asked == GET
            row = await running.exchange(2 if way == "tunnel" else 1)
            assert row.state & State.RESPONSE_COMPLETE
            forward = running.capture.forward(row.id)
            assert forward is not None
            assert forward.failure is None
            assert forward.upstream is not None
            upstream = await running.closed(forward.upstream)
            assert upstream.fin_in_ns is not None
            assert upstream.fin_out_ns is not None
            tls = running.capture.tls(upstream.id)
            assert tls is not None
            assert tls.sentence is None


async def test_a_server_that_has_said_everything_still_gets_the_rest_of_a_tunnel(
    run_engine: RunEngine,
) -> None:
    origin = Origin()
    async with run_engine(Passing("any"), forwarding=Forwarding()) as running:
        await origin.start()
        client = await running.connect()
        await client.send(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\n" % origin.port)
        await client.until(b"\r\n\r\n")
        accepted = await origin.next()
        await accepted.say(OK)
        accepted.writer.write_eof()
        assert await client.rest() == OK
        await client.send(b"the rest")
        client.writer.write_eof()
        assert await accepted.rest() == b"the rest"
        await accepted.close()
        await client.close()
        row = await running.closed()
        assert row.fin_in_ns is not None
        assert row.fin_out_ns is not None
    await origin.stop()
