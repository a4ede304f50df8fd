"""Messages of WebSockets and events of streams as a capture holds them: in order, while they come, within bounds."""

from __future__ import annotations

import gzip
import sqlite3
import sys
import zlib
from typing import TYPE_CHECKING

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from inspectd.capture.messages import events, is_event_stream, is_websocket, websocket
from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.capture.reader import Capture
from inspectd.wire.websocket import Deflate
from tests.capture.talk import COMPRESSING, STREAM, SWITCH, Talk
from tests.capture.traffic import ANSWERED, finished_capture
from tests.live_engine import LiveEngine
from tests.wire.frames import MASK, frame

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "talk.inspectd"


@pytest.fixture
def talk(path: Path) -> Iterator[Talk]:
    talk = Talk(path, SWITCH)
    yield talk
    talk.capture.close()
    talk.writer.close(talk.now)


def test_messages_come_in_the_order_of_time(talk: Talk) -> None:
    said = [
        (INCOMING, talk.say(INCOMING, frame(1, b"one", mask=MASK)), b"one"),
        (OUTGOING, talk.say(OUTGOING, frame(1, b"two")), b"two"),
        (OUTGOING, talk.say(OUTGOING, frame(2, b"three")), b"three"),
        (INCOMING, talk.say(INCOMING, frame(9, b"four", mask=MASK)), b"four"),
    ]
    talk.end()
    row = talk.capture.exchanges((1,))[0]
    assert (is_websocket(talk.capture, row), is_event_stream(talk.capture, row)) == (True, False)
    cursor = websocket(talk.capture, row)
    assert [(each.direction, each.ns, each.message.payload) for each in cursor.rest()] == said
    assert (cursor.ended, cursor.problem, cursor.deflate) == (True, "", None)
    assert [(direction, oddity.id) for direction, oddity in cursor.oddities] == [
        (INCOMING, "ws-no-close"),
        (OUTGOING, "ws-no-close"),
    ]
    assert talk.capture.stream_bytes(1, INCOMING, cursor.starts[INCOMING], 9) == frame(1, b"one", mask=MASK)
    assert cursor.more() == []


def test_a_cursor_goes_on_where_it_stopped(talk: Talk) -> None:
    cursor = websocket(talk.capture, talk.capture.exchanges((1,))[0])
    assert cursor.more() == []
    data = frame(1, b"half and half", mask=MASK)
    talk.say(INCOMING, data[:10])
    talk.flush()
    assert cursor.more() == []
    (arriving,) = cursor.unfinished()
    assert (arriving.direction, arriving.message.payload, arriving.message.complete) == (
        INCOMING,
        b"half",
        False,
    )
    came = talk.say(INCOMING, data[10:] + frame(8, mask=MASK))
    talk.flush()
    text, close = cursor.more()
    assert (text.ns, text.message.payload, close.message.kind) == (came, b"half and half", "close")
    assert (cursor.unfinished(), cursor.ended) == ([], False)
    talk.say(OUTGOING, frame(1, b"never wh", length=100))
    talk.end()
    (cut,) = cursor.more()
    assert (cut.direction, cut.message.payload, cut.message.complete) == (OUTGOING, b"never wh", False)
    assert cursor.ended


def test_what_the_handshake_agreed_upon_is_used(path: Path) -> None:
    talk = Talk(path, COMPRESSING)
    squeeze = zlib.compressobj(wbits=-15)
    for _ in range(2):
        data = squeeze.compress(b"Hello") + squeeze.flush(zlib.Z_SYNC_FLUSH)
        talk.say(OUTGOING, frame(1, data[:-4], rsv=4))
    talk.end()
    cursor = websocket(talk.capture, talk.capture.exchanges((1,))[0])
    assert [each.message.payload for each in cursor.rest()] == [b"Hello", b"Hello"]
    assert cursor.deflate == Deflate()


def test_a_call_reads_no_more_than_it_may(talk: Talk) -> None:
    for _ in range(50):
        talk.say(OUTGOING, frame(2, bytes(996)))
    talk.end()
    cursor = websocket(talk.capture, talk.capture.exchanges((1,))[0], limit=10)
    calls = 0
    found = []
    while not cursor.ended:
        batch = cursor.more(2500)
        assert len(batch) <= 3
        found += batch
        calls += 1
    assert calls >= 20
    whole = websocket(talk.capture, talk.capture.exchanges((1,))[0], limit=10)
    assert found == list(whole.rest())
    assert {len(each.message.payload) for each in found} == {10}


def test_bytes_that_are_gone_are_told_and_not_guessed(talk: Talk, path: Path) -> None:
    talk.say(INCOMING, frame(1, b"here", mask=MASK))
    talk.say(INCOMING, frame(1, b"gone", mask=MASK))
    talk.end()
    talk.writer.close(talk.now)
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM segment WHERE direction = 0 AND offset = (SELECT min(offset) FROM segment)")
    cursor = websocket(talk.capture, talk.capture.exchanges((1,))[0])
    assert list(cursor.rest()) == []
    assert (cursor.ended, cursor.oddities) == (True, [])
    assert "doesn't hold all bytes" in cursor.problem


def test_other_exchanges_are_neither(path: Path) -> None:
    finished_capture(path)
    with Capture.open(path) as capture:
        for row in capture.exchanges_after(0, 10):
            assert not is_websocket(capture, row)
            assert not is_event_stream(capture, row)
            cursor = websocket(capture, row)
            assert (cursor.more(), cursor.ended) == ([], True)
            assert cursor.problem


# ------------------------------------------------------------------------------------------------------- events


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_events_are_told_as_their_chunks_come(path: Path) -> None:
    talk = Talk(path, STREAM + b"Transfer-Encoding: chunked\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n")
    talk.exchange.state = ANSWERED & ~State.RESPONSE_COMPLETE  # it is still going on
    talk.flush()
    row = talk.capture.exchanges((1,))[0]
    assert (is_event_stream(talk.capture, row), is_websocket(talk.capture, row)) == (True, False)
    cursor = events(talk.capture, row)
    assert cursor.more() == []
    talk.answer(chunk(b"id: 7\ndata: a")[:9])
    talk.flush()
    assert cursor.more() == []
    talk.answer(chunk(b"id: 7\ndata: a")[9:] + chunk(b"\n"))
    talk.flush()
    assert cursor.more() == []
    arriving = cursor.unfinished()
    assert arriving is not None
    assert arriving.event.data == b"a"
    talk.answer(chunk(b"\ndata: b\n\n"))
    talk.flush()
    assert [(each.ns, each.event.data, each.event.id) for each in cursor.more()] == [
        (talk.now, b"a", b"7"),
        (talk.now, b"b", None),
    ]
    assert (cursor.last_id, cursor.ended) == (b"7", False)
    talk.answer(chunk(b"data: never") + b"0\r\n\r\n")
    talk.exchange.state = ANSWERED
    talk.flush()
    (cut,) = cursor.more()
    assert (cut.event.complete, cut.event.data, cursor.ended) == (False, b"never", True)


@pytest.mark.parametrize("limit", [7, 1 << 20])
def test_events_until_the_connection_closes(path: Path, limit: int) -> None:
    talk = Talk(path, STREAM + b"\r\n", b"GET / HTTP/1.1\r\n\r\n")
    talk.answer(b"data: 1\n\nda")
    talk.answer(b"ta: 2\n\n")
    talk.end()
    cursor = events(talk.capture, talk.capture.exchanges((1,))[0])
    found = cursor.more(limit)
    while cursor.behind:
        found += cursor.more(limit)
    assert [each.event.data for each in found] == [b"1", b"2"]
    assert cursor.ended


def test_a_coded_stream_is_read_as_far_as_it_has_come(path: Path) -> None:
    talk = Talk(path, STREAM + b"Content-Encoding: gzip\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n")
    coded = gzip.compress(b"data: " + bytes(range(65, 91)) * 40 + b"\n\ndata: b\n\n")
    talk.exchange.state = ANSWERED & ~State.RESPONSE_COMPLETE
    cursor = events(talk.capture, talk.capture.exchanges((1,))[0])
    talk.answer(coded[:-12])
    talk.flush()
    first = cursor.more()
    talk.answer(coded[-12:])
    talk.exchange.state = ANSWERED
    talk.flush()
    found = first + cursor.more()
    assert [each.event.size for each in found] == [1040, 1]
    assert (cursor.ended, cursor.problem) == (True, "")


def test_a_coding_that_nobody_knows_is_told(path: Path) -> None:
    talk = Talk(path, STREAM + b"Content-Encoding: rot13\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n")
    talk.answer(b"qngn: k\n\n")
    talk.end()
    cursor = events(talk.capture, talk.capture.exchanges((1,))[0])
    assert list(cursor.rest()) == []
    assert "rot13" in cursor.problem


# ------------------------------------------------------------------------------------------------- real programs


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


@pytest.mark.parametrize(
    "compression",
    [
        None,
        ClientPerMessageDeflateFactory(client_max_window_bits=True),
        ClientPerMessageDeflateFactory(
            server_no_context_takeover=True, client_no_context_takeover=True, client_max_window_bits=9
        ),
    ],
    ids=["plain", "deflate", "each on its own"],
)
async def test_what_a_real_client_and_a_real_server_said_is_what_is_shown(
    tmp_path: Path, compression: ClientPerMessageDeflateFactory | None
) -> None:
    texts = ["Hello", "Hello " * 1000, "", "€😀" * 50, "Hello"]
    async with serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        program = LiveEngine(
            tmp_path,
            interpreter=(sys.executable, "-m", "inspectd", "reverse", f"http://127.0.0.1:{port}"),
        )
        with program as engine:
            async with connect(
                f"ws://127.0.0.1:{engine.port}/chat",
                compression=None,
                extensions=None if compression is None else [compression],
            ) as client:
                for text in texts:
                    await client.send(text)
                    assert await client.recv() == text
                await client.send([b"a", b"b", bytes(70_000)])
                assert await client.recv() == b"ab" + bytes(70_000)
                await (await client.ping(b"there?"))
                await client.close(1000, "bye")
            assert engine.stop() == 0
    with Capture.open(engine.capture) as capture:
        row = capture.exchanges_after(0, 1)[0]
        assert is_websocket(capture, row)
        cursor = websocket(capture, row)
        told = list(cursor.rest())
    said = [("text", text.encode()) for text in texts]
    said += [("binary", b"ab" + bytes(70_000)), ("ping", b"there?"), ("close", b"\x03\xe8bye")]
    for direction in (INCOMING, OUTGOING):
        mine = [each.message for each in told if each.direction == direction]
        kinds = [(each.kind.replace("pong", "ping"), each.payload) for each in mine]
        assert kinds == said
        assert [oddity for each in mine for oddity in each.oddities] == []
        assert any(each.compressed for each in mine) is (compression is not None)
    assert [each.ns for each in told] == sorted(each.ns for each in told)
    assert (cursor.ended, cursor.oddities) == (True, [])


async def test_what_was_said_in_a_tunnel_is_shown(tmp_path: Path) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with LiveEngine(tmp_path, interpreter=(sys.executable, "-m", "inspectd", "proxy")) as engine:
            async with connect(
                f"ws://127.0.0.1:{port}/chat", proxy=f"http://127.0.0.1:{engine.port}"
            ) as client:
                await client.send("inside")
                assert await client.recv() == "inside"
            assert engine.stop() == 0
    with Capture.open(engine.capture) as capture:
        tunnel, inside = capture.exchanges_after(0, 10)
        assert (is_websocket(capture, tunnel), is_websocket(capture, inside)) == (False, True)
        told = [each.message for each in websocket(capture, inside).rest()]
    assert [(each.kind, each.payload) for each in told] == [
        ("text", b"inside"),
        ("text", b"inside"),
        ("close", b"\x03\xe8"),
        ("close", b"\x03\xe8"),
    ]
