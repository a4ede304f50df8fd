"""The witnesses have to be right, and to notice a single byte, before anything is compared with them."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import httpx
import pytest
from cryptography.exceptions import InvalidTag

from tests.browsers.tee import Tee
from tests.engine.proxy.certificates import Authority, serving
from tests.proof.opened import opened, secrets

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.proof.witness import Witness


def test_what_went_through_tls_is_opened_with_its_secrets(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = serving(authority.leaf("127.0.0.1"))
    log = tmp_path / "secrets.txt"
    trusting = ssl.create_default_context(cafile=authority.file)
    trusting.keylog_filename = str(log)
    asked, answer = os.urandom(100_000), os.urandom(200_000)
    arrived: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        accepted, _ = listener.accept()
        with context.wrap_socket(accepted, server_side=True) as client:
            data = b""
            while len(data) < len(asked):
                data += client.recv(65536)
            arrived.append(data)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener, Tee(listener.getsockname()) as tee:
        server = threading.Thread(target=serve, args=(listener,))
        server.start()
        raw = socket.create_connection(("127.0.0.1", tee.port), timeout=20)
        with trusting.wrap_socket(raw, server_hostname="127.0.0.1") as client:
            client.sendall(asked)
            got = b""
            while piece := client.recv(65536):
                got += piece
        server.join(20)
    assert (arrived, got) == ([asked], answer)
    (relayed,) = tee.connections
    raw_streams = bytes(relayed.to_engine), bytes(relayed.to_browser)
    assert opened(*raw_streams, secrets(log)) == (asked, answer)
    assert opened(*raw_streams, {}) == (b"", b"")


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_byte_that_differs_is_noticed(
    watched: Callable[..., AbstractContextManager[Witness]], side: str, tls: bool
) -> None:
    name = "node+tls" if tls else "node"
    url = f"{'https' if tls else 'http'}://localhost:{{{name}}}"
    with watched("reverse", url, names=(name,)) as witness:
        answer = httpx.get(f"http://127.0.0.1:{witness.clients[0].port}/", trust_env=False, timeout=60)
        assert answer.json() == {"method": "GET", "size": 0}
        (tee,) = witness.clients if side == "client" else witness.servers.values()
        tee.wait_until_idle()
        record = tee.connections[0].to_browser
        record[len(record) // 2] ^= 1
        # What was encrypted can't be opened any more.
        with pytest.raises(InvalidTag if tls and side == "server" else AssertionError):
            witness.check()
