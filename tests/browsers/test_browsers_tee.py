"""The witness has to be right before anything is compared with it."""

from __future__ import annotations

import os
import socket
import struct
import threading

import pytest

from tests.browsers.tee import Tee


def _serve_once(listener: socket.socket, answer: bytes, seen: list[bytes]) -> None:
    """Read until FIN, answer, close."""
    client, _ = listener.accept()
    with client:
        data = b""
        while piece := client.recv(65536):
            data += piece
        seen.append(data)
        client.sendall(answer)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_both_directions_are_kept_byte_for_byte(host: str) -> None:
    request, answer = os.urandom(300_000), os.urandom(200_000)
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=_serve_once, args=(listener, answer, seen))
        server.start()
        with Tee(listener.getsockname()) as tee:
            with socket.create_connection((host, tee.port), timeout=10) as client:
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                back = b""
                while piece := client.recv(65536):
                    back += piece
            server.join(10)
    [relayed] = tee.connections
    assert (bytes(relayed.to_engine), bytes(relayed.to_browser)) == (request, answer)
    assert (seen, back) == ([request], answer)


def test_a_reset_is_passed_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Tee(listener.getsockname()) as tee:
        client = socket.create_connection(("127.0.0.1", tee.port), timeout=10)
        behind, _ = listener.accept()
        with behind:
            client.sendall(b"half")
            assert behind.recv(10) == b"half"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            behind.settimeout(10)
            with pytest.raises(ConnectionResetError):
                behind.recv(10)
