"""A rule of a test that lets a real server answer, and changes what it says."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from inspectd.errors import InspectdError
from inspectd.testing import Inspectd, answer
from tests.testing.asking import ask, until

if TYPE_CHECKING:
    from collections.abc import Iterator

ASK = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def real() -> Iterator[Inspectd]:
    """A server of the test's own, in the place of the real one."""
    with Inspectd() as running:
        running.on("*").reply("200 OK", headers=["Server: real", "Set-Cookie: a=1"], body="Hello")
        yield running


def test_a_real_server_answers_and_is_patched(server: Inspectd, real: Inspectd) -> None:
    patch = {
        "respond": "503 Busy",
        "remove": ["Set-Cookie"],
        "replace": [{"find": "Hello", "with": "Bye"}],
        "request": {"target": "/b"},
    }
    rule = server.on("/a").proxy(real.url(), host="real.test", patch=patch)
    got = ask(server, ASK)
    assert got.startswith(b"HTTP/1.1 503 Busy\r\nServer: real\r\n")
    assert got.endswith(b"\r\nContent-Length: 3\r\n\r\nBye")
    assert b"Cookie" not in got
    (request,) = real.requests
    assert request.headers("host") == ["real.test"]
    assert request.path == "/b"
    assert rule.calls == 1


def test_a_connection_that_is_open_can_be_forwarded_later(server: Inspectd, real: Inspectd) -> None:
    rule = server.on("/a").reply("204 No Content")
    with socket.create_connection(server.address, 30) as client:
        client.sendall(ASK)
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 204")
        rule.proxy(real.url())
        client.sendall(ASK)
        assert until(client, b"Hello").startswith(b"HTTP/1.1 200 OK\r\nServer: real")
        rule.reply(answer("202 Accepted"), answer(proxy=real.url(), patch={"respond": "299"}))
        client.sendall(ASK)
        assert until(client, b"\r\n\r\n").startswith(b"HTTP/1.1 202")
        client.sendall(ASK)
        assert until(client, b"Hello").startswith(b"HTTP/1.1 299\r\n")
    assert rule.calls == 4


def test_what_can_not_be_is_said_where_it_stands(server: Inspectd) -> None:
    with pytest.raises(InspectdError, match="not the address of a server"):
        server.on("/a").proxy("localhost")
