"""Rule files at the socket: which rule answered is read off the exact bytes that come back."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.rules.answer import make_answer
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_text
from inspectd.rules.responder import Fixed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from tests.engine.conftest import Client, Running

    RunEngine = Callable[..., AbstractAsyncContextManager[Running]]

UNMATCHED = b"HTTP/1.1 599 none\r\nContent-Length: 0\r\n\r\n"


def book(text: str) -> RuleBook:
    """A book whose answers have no field but Content-Length, and 599 where no rule matches."""
    rules = RuleBook(Fixed(make_answer("599 none", auto=frozenset({"content-length"}))))
    rules.replace("api.toml", read(text))
    return rules


def read(text: str) -> list[Any]:
    """The rules of a text, each with `auto = ["content-length"]`."""
    return load_text(
        text.replace("[[rule]]", '[[rule]]\nauto = ["content-length"]'),
        source="api.toml",
        base=Path("/nowhere"),
    ).rules


@asynccontextmanager
async def talking(running: Running) -> AsyncIterator[Client]:
    """A client, closed afterwards."""
    client = await running.connect()
    try:
        yield client
    finally:
        await client.close()


async def code(client: Client, request: bytes) -> str:
    """Ask on a kept connection for an answer without content: its status line without the version."""
    await client.send(request)
    head = await client.until(b"\r\n\r\n")
    assert head.endswith(b"\r\nContent-Length: 0\r\n\r\n"), head
    return head.partition(b"\r\n")[0].removeprefix(b"HTTP/1.1 ").decode()


def get(target: str, *lines: str, method: str = "GET") -> bytes:
    """A request without content."""
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: shop.test:80", *lines, "", "")).encode()


MATCHES = """
[[rule]]
match = "GET /plain"
respond = "201 plain"
[[rule]]
match = "GET /glob/*/x"
respond = "202 glob"
[[rule]]
match = { path-regex = "/v[0-9]+/.*" }
respond = "203 regex"
[[rule]]
match = { path = "/q", query = { name = "J* D?e", page = { regex = "[0-9]+" } } }
respond = "215 query"
[[rule]]
match = { path = "/h", header = { Accept = "*json*", X-Not = false } }
respond = "205 field"
[[rule]]
match = { path = "/host", host = "SHOP.test" }
respond = "206 host"
[[rule]]
match = { method = "POST", path = "/b", json = { "$.user.name" = "jo" } }
respond = "207 json"
[[rule]]
match = { path = "/b", body-regex = "^a+b$" }
respond = "208 body regex"
[[rule]]
match = { path = "/b", body = "needle" }
respond = "209 body"
[[rule]]
match = { path = "/c", client = "10.0.0.0/8" }
respond = "500 elsewhere"
[[rule]]
match = { path = "/c", client = "127.0.0.0/8", tls = false }
respond = "210 client"
[[rule]]
match = { path = "/n", nth = 1 }
respond = "211 first"
[[rule]]
match = { path = "/n", nth = 2 }
respond = "212 second"
[[rule]]
match = { path = "/n", first = false }
respond = "213 later"
[[rule]]
match = { path = "/old", version = "HTTP/1.0" }
respond = "214 old"
"""


async def test_each_way_to_match(run_engine: RunEngine) -> None:
    expected = [
        (get("/plain"), "201 plain"),
        (get("/plain?a"), "201 plain"),
        (get("/plain", method="PUT"), "599 none"),
        (get("/glob/%2F/x"), "202 glob"),
        (get("/glob/a/b/x"), "599 none"),
        (get("/v12/a/b"), "203 regex"),
        (get("/q?page=7&name=Jo+D%6Fe"), "215 query"),
        (get("/q?page=x&name=Jo+Doe"), "599 none"),
        (get("/h", "ACCEPT: text/html", "accept: application/json"), "205 field"),
        (get("/h", "Accept: application/json", "x-not: 1"), "599 none"),
        (get("/host"), "206 host"),
        (get("http://SHOP.TEST/host"), "206 host"),
        (get("http://other.test/host"), "599 none"),
        (get("/b", "Content-Length: 23", method="POST") + b'{"user":{"name": "jo"}}', "207 json"),
        (get("/b", "Transfer-Encoding: chunked") + b"2\r\naa\r\n2\r\nab\r\n0\r\n\r\n", "208 body regex"),
        (get("/b", "Transfer-Encoding: chunked") + b"4\r\nanee\r\n4\r\ndle!\r\n0\r\n\r\n", "209 body"),
        (get("/b", "Content-Length: 700000") + b"x" * 699_994 + b"needle", "209 body"),
    ]
    async with run_engine(book(MATCHES)) as running, talking(running) as client:
        for request, answer in expected:
            assert await code(client, request) == answer, request[:80]
        async with talking(running) as fresh:
            numbered = [await code(fresh, get("/n")) for _ in range(3)]
            assert numbered == ["211 first", "212 second", "213 later"]
            assert await code(fresh, get("/c")) == "210 client"
        assert (await running.ask(b"GET /old HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 214 old\r\n")


@pytest.mark.parametrize(
    ("per", "expected"),
    [
        ("rule", ["201", "202", "203", "203"]),
        ("connection", ["201", "202", "201", "202"]),
        ("client", ["201", "202", "203", "203"]),
        ("header:X-Session", ["201", "201", "202", "202"]),
    ],
)
async def test_a_sequence_goes_on_for_whom_it_is(
    run_engine: RunEngine, per: str, expected: list[str]
) -> None:
    rules = book(f'[[rule]]\nmatch = "/s"\neach = ["201", "202", "203"]\nper = "{per}"\n')
    async with run_engine(rules) as running, talking(running) as one, talking(running) as other:
        clients = [one, other]
        asked = [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
        codes = [await code(clients[number], get("/s", f"X-Session: {name}")) for number, name in asked]
    assert codes == expected


async def test_then_close_ends_a_reused_connection_without_a_byte(run_engine: RunEngine) -> None:
    async with (
        run_engine(book('[[rule]]\neach = ["200 OK"]\nthen = "close"\n')) as running,
        talking(running) as client,
    ):
        assert await code(client, get("/")) == "200 OK"
        await client.send(get("/"))
        assert await client.rest() == b""


async def test_rules_are_exchanged_under_an_open_connection(run_engine: RunEngine) -> None:
    rules = book('[[rule]]\nmatch = "/a"\neach = ["201", "202", "203"]\n')
    async with run_engine(rules) as running, talking(running) as client:
        assert await code(client, get("/a")) == "201"
        rules.replace(
            "api.toml", read('[[rule]]\nmatch = "/b"\n[[rule]]\nmatch = "/a"\neach = ["201", "202", "203"]\n')
        )
        assert await code(client, get("/a")) == "202", "what did not change goes on"
        rules.replace("api.toml", read('[[rule]]\nmatch = "/a"\nrespond = "418"\n'))
        assert await code(client, get("/a")) == "418"
        rules.remove("api.toml")
        await client.send(get("/a"))
        assert await client.until(b"\r\n\r\n") == UNMATCHED


async def test_an_answer_at_the_head_comes_before_the_content(run_engine: RunEngine) -> None:
    rules = book(
        '[[rule]]\nmatch = "PUT /early"\nwhen = "head"\nrespond = "413 no"\n[[rule]]\nrespond = "200 OK"\n'
    )
    async with run_engine(rules) as running, talking(running) as client:
        assert await code(client, get("/early", "Content-Length: 5", method="PUT")) == "413 no"
        await client.send(b"hello")
        assert await code(client, get("/late", "Content-Length: 5", method="PUT") + b"hello") == "200 OK"


async def test_hostile_heads_reach_rules_and_get_an_answer(run_engine: RunEngine) -> None:
    async with run_engine(book(MATCHES)) as running:
        for raw in (
            b"GET /\xff\xfe\x00 HTTP/1.1\r\nHost: \xff\r\n\r\n",
            b"GET /q?%zz=%&&&=&name HTTP/1.1\r\n: nameless\r\nno colon\r\n\r\n",
            b"GET http://[::1 HTTP/1.1\r\nHost: [[[\r\n\r\n",
            b"\x1b[2J /b HTTP/1.1\r\nContent-Length: 3\r\n\r\n\xff\xfe\xfd",
        ):
            answer = await running.ask(raw)
            assert answer.startswith(b"HTTP/1.1 599 none\r\n"), (raw, answer)
