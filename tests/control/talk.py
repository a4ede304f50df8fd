"""What the tests of the control API say to an engine, as plain bytes."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

from tests.live_engine import receive_response

if TYPE_CHECKING:
    from tests.live_engine import LiveEngine


def ask(engine: LiveEngine, request: str = "GET /", *lines: str, content: bytes = b"") -> bytes:
    """The response to a request on a connection of its own."""
    with engine.connect() as sock:
        sock.sendall(message(request, *lines, content=content))
        return receive_response(sock)


def message(request: str = "GET /", *lines: str, content: bytes = b"") -> bytes:
    """The bytes of a well-formed request."""
    head = [f"{request} HTTP/1.1", "Host: a", *lines]
    if content:
        head.append(f"Content-Length: {len(content)}")
    return "\r\n".join((*head, "", "")).encode() + content


def by_socket(engine: LiveEngine, request: str, content: bytes = b"") -> tuple[int, dict[str, Any]]:
    """The status and the JSON that the control socket answers to these bytes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(engine.listening["control"])
        sock.sendall(message(request, content=content))
        head, _, answer = receive_response(sock).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), json.loads(answer)
