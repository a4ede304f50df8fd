"""A WebSocket that a rule answers, on a connection whose other requests are forwarded: its frames stay here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_tables
from inspectd.rules.passing import Passing
from inspectd.wire.websocket import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.engine.conftest import Running
    from tests.engine.proxy.conftest import Origin

    Proxied = Callable[..., AbstractAsyncContextManager[tuple[Running, Origin]]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def test_frames_for_a_rule_never_reach_the_server(proxied: Proxied, tmp_path: Path) -> None:
    book = RuleBook(Passing("the origin"))
    book.replace(
        "test", load_tables([{"match": "/ws", "websocket": {"echo": True}}], source="test", base=tmp_path)
    )
    async with proxied(book) as (running, origin):
        client = await running.connect()
        await client.send(GET)
        accepted = await origin.next()
        await accepted.until(b"\r\n\r\n")
        await accepted.say(OK)
        await client.until(b"ok")
        await client.send(HANDSHAKE)
        assert (await client.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        for word in (b"one", b"another"):
            await client.send(encode.frame(word, encode.TEXT, encode.Shape(masked=True)))
            assert await client.until(word) == encode.frame(word, encode.TEXT)
        await client.close()
        await accepted.rest()
        assert accepted.got == GET
        await running.closed()
