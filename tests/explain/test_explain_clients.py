"""Real libraries are recognised by the heads that they really send."""

from __future__ import annotations

import socket
import threading
import urllib.request
from typing import TYPE_CHECKING

import aiohttp
import httpx
import pytest
import requests

from inspectd import explain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"


class OneShot:
    """A server for one request; it keeps the request's bytes."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/"
        self.received = b""
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(30)
            while b"\r\n\r\n" not in self.received:
                self.received += connection.recv(65_536)
            connection.sendall(ANSWER)

    def fields(self) -> list[tuple[bytes, bytes]]:
        self.thread.join(30)
        lines = self.received.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]


@pytest.fixture
def server() -> Iterator[OneShot]:
    one = OneShot()
    yield one
    one.thread.join(30)
    one.listener.close()


def families(fields: list[tuple[bytes, bytes]]) -> list[str]:
    readings = explain.head(b"GET", b"/", fields, version=b"HTTP/1.1")
    return [reading.title for reading in readings if reading.kind.startswith("client-")]


def by_httpx(url: str) -> None:
    httpx.get(url, trust_env=False)


def by_requests(url: str) -> None:
    with requests.Session() as session:
        session.trust_env = False
        session.get(url, timeout=30)


def by_urllib(url: str) -> None:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=30) as response:
        response.read()


@pytest.mark.parametrize(
    ("ask", "name"),
    [(by_httpx, "httpx"), (by_requests, "requests"), (by_urllib, "urllib")],
    ids=["httpx", "requests", "urllib"],
)
def test_a_library_is_recognised(server: OneShot, ask: Callable[[str], None], name: str) -> None:
    ask(server.url)
    assert families(server.fields()) == [f"Very likely Python's {name}"]


async def test_aiohttp_is_recognised(server: OneShot) -> None:
    async with aiohttp.ClientSession() as session, session.get(server.url) as response:
        await response.read()
    assert families(server.fields()) == ["Very likely Python's aiohttp"]


def test_a_library_in_disguise_is_recognised_too(server: OneShot) -> None:
    browser = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
    with requests.Session() as session:
        session.trust_env = False
        session.get(server.url, headers={"User-Agent": browser}, timeout=30)
    assert families(server.fields()) == ["Says it is Firefox, but writes like Python's requests"]
