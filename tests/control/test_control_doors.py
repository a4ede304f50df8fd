"""Who may ask: every operation is behind the same doors, and nobody is listened to for long at the wrong one."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.control.messages import PREFIX
from inspectd.control.operations import OPERATIONS, Operation
from tests.live_engine import LiveEngine, receive_response

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    with LiveEngine(tmp_path_factory.mktemp("doors"), "--control", "127.0.0.1:0") as engine:
        yield engine


def by_tcp(engine: LiveEngine, request: str, *fields: str) -> tuple[int, dict[str, object]]:
    host, _, port = engine.listening["control_tcp"].rpartition(":")
    lines = [f"{request} HTTP/1.1", f"Host: {host}:{port}", *fields, "", ""]
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        sock.sendall("\r\n".join(lines).encode())
        head, _, content = receive_response(sock).partition(b"\r\n\r\n")
    assert b"access-control-" not in head.lower()
    return int(head.split(b" ")[1]), json.loads(content)


def bearer(engine: LiveEngine) -> str:
    return f"Authorization: Bearer {Path(engine.listening['control_token_file']).read_text('ascii').strip()}"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
def test_no_operation_is_open_to_pages_or_without_the_token(engine: LiveEngine, operation: Operation) -> None:
    request = f"{operation.method} {PREFIX}{operation.path.replace('{id}', '1').replace('{name}', 'x')}"

    assert by_tcp(engine, request)[0] == 401
    assert by_tcp(engine, request, "Authorization: Bearer x")[0] == 401
    assert by_tcp(engine, request, bearer(engine), "Origin: http://localhost:8080")[0] == 403
    assert by_tcp(engine, request, bearer(engine), "Sec-Fetch-Site: same-origin")[0] == 403
    assert engine.process.poll() is None


def test_without_the_token_no_content_is_read(engine: LiveEngine) -> None:
    status, said = by_tcp(engine, "PUT /v1/rules", "Content-Length: 8000000")

    assert status == 401
    assert "bearer token" in str(said["error"])


@pytest.mark.parametrize("expect", ["X: 1", "Expect: 100-continue"])
def test_too_large_a_content_is_refused_before_it_is_sent(engine: LiveEngine, expect: str) -> None:
    status, said = by_tcp(engine, "PUT /v1/rules", bearer(engine), "Content-Length: 100000000000", expect)

    assert status == 413
    assert said["error"] == "the content is too large"


def test_chunks_without_end_are_refused(engine: LiveEngine) -> None:
    host, _, port = engine.listening["control_tcp"].rpartition(":")
    head = f"PUT /v1/rules HTTP/1.1\r\nHost: {host}\r\n{bearer(engine)}\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        sock.sendall(head.encode() + b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        for _ in range(9):
            sock.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        response = receive_response(sock)

    assert response.startswith(b"HTTP/1.1 413 ")
