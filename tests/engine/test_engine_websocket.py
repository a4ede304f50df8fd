"""Rules that are WebSocket servers, at the socket: real clients, broken frames, floods, stops and the record of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidHandshake
from websockets.typing import Subprotocol

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.rules.book import RuleBook
from inspectd.rules.file import load_tables
from inspectd.rules.inbox import ROOM
from inspectd.wire.websocket import encode
from tests.engine.test_engine_crafted import Crafted
from tests.engine.tls_client import LISTEN, trusting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from tests.engine.conftest import Client, Running

    Run = Callable[..., AbstractAsyncContextManager[Running]]

DEADLINE = 60.0
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
END = b"\r\n\r\n"


def serving(**websocket: Any) -> Crafted:
    """A responder that answers everything with this WebSocket."""
    return Crafted(websocket={key.replace("_", "-"): value for key, value in websocket.items()})


def url(running: Running, scheme: str = "ws") -> str:
    return f"{scheme}://{running.host}:{running.port}/ws"


def frame(payload: bytes, opcode: int = encode.TEXT) -> bytes:
    """A frame of a client."""
    return encode.frame(payload, opcode, encode.Shape(masked=True))


@asynccontextmanager
async def connected(running: Running) -> AsyncIterator[Client]:
    """A raw client, closed in the end."""
    client = await running.connect()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def opened(running: Running, more: bytes = b"") -> AsyncIterator[Client]:
    """A raw client behind its handshake."""
    async with connected(running) as client:
        await client.send(HANDSHAKE + more)
        assert (await client.until(END)).startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        yield client


async def receive_all(client: Any) -> None:
    """Receive until that fails."""
    while True:
        await client.recv()


async def closed_with(client: Any) -> tuple[int, str]:
    """The code and the reason with which the server closed, after all its messages."""
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(ConnectionClosed) as caught:
            await receive_all(client)
    received = caught.value.rcvd
    assert received is not None
    return received.code, received.reason


@pytest.mark.parametrize("compress", [True, False])
async def test_a_real_client_is_echoed(run_engine: Run, compress: bool) -> None:
    async with (
        run_engine(serving(echo=True, compress=True, protocol="chat")) as running,
        connect(
            url(running),
            subprotocols=[Subprotocol("chat")],
            compression="deflate" if compress else None,
        ) as client,
    ):
        assert client.subprotocol == "chat"
        assert bool(client.protocol.extensions) is compress
        for message in ("hello", "", "ü" * 1000, b"\0\xff" * 30_000, "x" * 300_000):
            await client.send(message)
            assert await client.recv() == message
        await client.send(["in ", "three ", "pieces"])
        assert await client.recv() == "in three pieces"
        await (await client.ping())
        await client.close(1000, "done")
        row = await running.exchange(1)
        assert row.status == "101"
        assert row.state & State.RESPONSE_COMPLETE
        assert row.label == "websocket echo; the client closed with 1000"
        connection = await running.closed()
        assert (connection.bytes_in, connection.bytes_out) == (
            running.capture.connection(1).bytes_in,  # type: ignore[union-attr]
            row.res_len,
        )


async def test_a_script_is_said_in_its_time_and_answers_come_between(run_engine: Run) -> None:
    table = {
        "send": [
            "hello",
            {"json": {"a": 1}, "after": "50ms"},
            {"close": 1001, "reason": "away", "after": "300ms"},
        ],
        "on": [{"text": "*ping*", "send": ["pong"]}],
    }
    async with run_engine(serving(**table)) as running, connect(url(running)) as client:
        assert await client.recv() == "hello"
        await client.send("ping?")
        got = {await client.recv(), await client.recv()}
        assert got == {"pong", '{"a":1}'}
        assert await closed_with(client) == (1001, "away")


async def test_what_repeats_goes_on(run_engine: Run) -> None:
    async with (
        run_engine(serving(send=["a", "b"], every="5ms", repeat=True)) as running,
        connect(url(running)) as client,
    ):
        assert [await client.recv() for _ in range(6)] == ["a", "b"] * 3


async def test_over_tls_it_is_the_same(run_engine: Run) -> None:
    async with (
        run_engine(serving(echo=True, send=["hello"]), listen=LISTEN) as running,
        connect(f"wss://{running.engine.addresses[0].removeprefix('https://')}/ws", ssl=trusting()) as client,
    ):
        assert await client.recv() == "hello"
        await client.send("x" * 100_000)
        assert await client.recv() == "x" * 100_000
        await client.close()
        assert (await running.exchange(1)).status == "101"


async def test_a_rule_answers_in_front_of_a_proxy(run_engine: Run, tmp_path: Path) -> None:
    rules = load_tables([{"match": "/ws", "websocket": {"echo": True}}], source="test", base=tmp_path)
    from inspectd.engine.config import Forwarding
    from inspectd.rules.passing import Passing

    book = RuleBook(Passing("nowhere"))
    book.replace("test", rules)
    async with run_engine(book, forwarding=Forwarding()) as running, connect(url(running)) as client:
        await client.send("hello")
        assert await client.recv() == "hello"


@pytest.mark.parametrize("accept", ["wrong", "missing"])
async def test_a_real_client_refuses_a_handshake_that_is_wrong(run_engine: Run, accept: str) -> None:
    async with run_engine(serving(accept=accept)) as running:
        with pytest.raises(InvalidHandshake):
            await connect(url(running)).__aenter__()
        row = await running.exchange(1)
        assert row.status == "101"
        assert "without a Close frame" in (row.label or "")


@pytest.mark.parametrize(
    "broken",
    [
        {"text": "x", "rsv": 2},
        {"text": "x", "masked": True},
        {"text": "x", "opcode": 3},
        {"ping": "x" * 126},
        {"ping": "x", "fin": False},
        {"close": 1005},
        {"close": 999},
        {"binary-hex": "ff", "opcode": 1},
        {"text": "x", "opcode": 0},
    ],
)
async def test_a_real_client_refuses_frames_that_are_wrong(run_engine: Run, broken: dict[str, Any]) -> None:
    async with run_engine(serving(send=[broken])) as running:
        async with asyncio.timeout(DEADLINE), connect(url(running)) as client:
            with pytest.raises(ConnectionClosedError) as caught:
                await client.recv()
        assert caught.value.sent is not None
        assert caught.value.sent.code in {1002, 1007}


async def test_exact_bytes_leave_and_are_recorded(run_engine: Run) -> None:
    frames = encode.frame(b"x", encode.TEXT, encode.Shape(form=64)) + b"\xff\x00"
    async with (
        run_engine(
            serving(send=[{"text": "x", "length-form": 64}, {"raw-hex": "ff00"}, {"do": "close"}])
        ) as running,
        opened(running) as client,
    ):
        assert await client.rest() == frames
        row = await running.exchange(1)
        assert running.capture.response_bytes(row).endswith(END + frames)
        assert row.label == "websocket; ended without a Close frame"


async def test_a_reset_is_a_reset(run_engine: Run) -> None:
    async with run_engine(serving(send=["x", {"do": "reset"}])) as running, opened(running) as client:
        with pytest.raises(ConnectionResetError):
            await client.rest()
        assert (await running.closed()).how == "rst"


async def test_a_fault_can_strike_among_the_frames(run_engine: Run) -> None:
    fault = {"do": "close", "at": "body+3"}
    async with (
        run_engine(Crafted(websocket={"send": ["hello"]}, fault=fault)) as running,
        opened(running) as client,
    ):
        assert await client.rest() == encode.frame(b"hello", encode.TEXT)[:3]


async def test_a_stall_says_nothing_more_and_goes_with_the_client(run_engine: Run) -> None:
    async with (
        run_engine(serving(echo=True, send=["a", {"do": "stall"}])) as running,
        opened(running) as client,
    ):
        await client.until(b"a")
        for _ in range(20):
            await client.send(frame(b"x" * 60_000))
        client.writer.write_eof()
        assert await client.rest() == b""
        await running.closed()
        assert (await running.exchange(1)).state & State.ABORTED


async def test_frames_in_the_segment_of_the_handshake_are_heard(run_engine: Run) -> None:
    async with run_engine(serving(echo=True)) as running:
        for cut in (0, 1, 5, 100):
            early = frame(b"early bird" * 20)
            async with opened(running, early[:cut]) as client:
                await client.send(early[cut:] + frame(b"late"))
                assert (await client.until(b"late")).startswith(encode.frame(b"early bird" * 20, encode.TEXT))


async def test_frames_ahead_of_a_held_answer_are_heard(run_engine: Run) -> None:
    async with (
        run_engine(Crafted(websocket={"echo": True}, pace={"before": "50ms"})) as running,
        connected(running) as client,
    ):
        await client.send(HANDSHAKE + frame(b"a"))
        await client.send(frame(b"b"))
        expected = encode.frame(b"a", encode.TEXT) + encode.frame(b"b", encode.TEXT)
        assert (await client.until(expected)).startswith(b"HTTP/1.1 101 ")


async def test_what_came_while_an_earlier_answer_took_its_time_is_heard(
    run_engine: Run, tmp_path: Path
) -> None:
    tables = [
        {"match": "/slow", "respond": "204 No Content", "pace": {"before": "200ms"}},
        {"match": "/ws", "websocket": {"echo": True}},
    ]
    book = RuleBook(Crafted(respond="404"))
    book.replace("test", load_tables(tables, source="test", base=tmp_path))
    async with run_engine(book) as running:
        for size, heard in ((10, True), (50_000, True), (100_000, False)):
            async with connected(running) as client:
                early = frame(b"x" * size, encode.BINARY)
                await client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + HANDSHAKE + early[:5])
                await client.send(early[5:])
                await client.until(b"HTTP/1.1 101 Switching")
                await client.until(END)
                if heard:
                    assert await client.until(b"x" * size) == encode.frame(b"x" * size, encode.BINARY)
                else:
                    assert await client.rest() == b""
        assert "more came ahead" in ((await running.exchange(6)).label or "")


async def test_a_client_that_left_before_its_answer_is_not_waited_for(
    run_engine: Run, tmp_path: Path
) -> None:
    tables = [
        {"match": "/slow", "respond": "204 No Content", "pace": {"before": "200ms"}},
        {"match": "/ws", "websocket": {"echo": True}},
    ]
    book = RuleBook(Crafted(respond="404"))
    book.replace("test", load_tables(tables, source="test", base=tmp_path))
    async with run_engine(book) as running:
        answer = await running.ask(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n" + HANDSHAKE + frame(b"hi"))
        assert answer.endswith(END + encode.frame(b"hi", encode.TEXT))
        assert "without a Close frame" in ((await running.exchange(2)).label or "")


async def test_every_byte_of_both_sides_is_recorded(run_engine: Run) -> None:
    async with run_engine(serving(echo=True)) as running, opened(running) as client:
        sent = b"".join(frame(b"%d" % number) for number in range(50)) + frame(b"", encode.CLOSE)
        for byte in sent:
            await client.send(bytes([byte]))
        await client.rest()
        row = await running.closed()
        assert row.bytes_in == len(client.sent)
        assert running.capture.stream_bytes(1, INCOMING) == client.sent
        assert running.capture.stream_bytes(1, OUTGOING) == client.got


async def flood(client: Client, data: bytes, most: int) -> None:
    """Send the same again and again while the other side takes it."""
    for _ in range(most // len(data)):
        client.writer.write(data)
        async with asyncio.timeout(0.5):
            await client.writer.drain()


async def test_a_client_that_floods_and_never_reads_is_not_listened_to(run_engine: Run) -> None:
    async with run_engine(serving(echo=True)) as running, opened(running) as client:
        with pytest.raises(TimeoutError):
            await flood(client, frame(b"x" * 50_000), 200 << 20)
        client.writer.transport.abort()
        row = await running.closed()
        assert row.bytes_in < 100 << 20


async def test_a_client_that_floods_a_rule_that_says_nothing_is_heard_to_the_end(run_engine: Run) -> None:
    async with run_engine(serving(largest="1MiB")) as running, opened(running) as client:
        for _ in range(8):
            await client.send(frame(b"x" * ROOM, encode.BINARY))
        await client.send(frame(encode.closing(1000), encode.CLOSE))
        assert await client.rest() == encode.frame(encode.closing(1000), encode.CLOSE)


async def test_a_message_that_is_too_long_is_refused_and_the_client_sees_why(run_engine: Run) -> None:
    async with run_engine(serving(echo=True, largest="100kB")) as running:
        async with connect(url(running)) as client:
            await client.send(b"x" * 200_000)
            code, reason = await closed_with(client)
        assert code == 1009
        assert "100000" in reason
        assert "the client broke the rules" in ((await running.exchange(1)).label or "")


async def test_a_stop_says_goodbye_in_time(run_engine: Run) -> None:
    async with (
        run_engine(serving(send=[{"text": "never", "after": "1h"}]), grace=30.0) as running,
        connect(url(running)) as client,
    ):
        stopping = asyncio.create_task(running.engine.stop())
        assert (await closed_with(client))[0] == 1001
        async with asyncio.timeout(DEADLINE):
            await stopping


async def test_a_stop_does_not_wait_for_a_client_that_says_nothing(run_engine: Run) -> None:
    async with run_engine(serving(), grace=30.0) as running, opened(running) as client:
        stopping = asyncio.create_task(running.engine.stop())
        goodbye = await client.rest()
        assert goodbye[2:4] == struct.pack("!H", 1001)
        async with asyncio.timeout(DEADLINE):
            await stopping


async def test_a_client_that_answers_no_ping_is_let_go(run_engine: Run) -> None:
    async with run_engine(serving(ping_every="30ms")) as running, opened(running) as client:
        said = await client.rest()
        assert said.startswith(encode.frame(b"inspectd", encode.PING))
        assert encode.closing(1011) in said
        assert "no pong came" in ((await running.exchange(1)).label or "")


async def test_a_silent_client_is_let_go(run_engine: Run) -> None:
    async with run_engine(serving(idle="30ms")) as running, connect(url(running)) as client:
        assert (await closed_with(client))[0] == 1001


@pytest.mark.parametrize("how", ["fin", "rst"])
async def test_a_client_that_leaves_without_a_word_is_a_row_that_says_so(run_engine: Run, how: str) -> None:
    async with run_engine(serving(echo=True)) as running:
        async with opened(running) as client:
            await client.send(frame(b"x"))
            await client.until(b"x")
            if how == "rst":
                client.writer.transport.get_extra_info("socket").setsockopt(1, 13, struct.pack("ii", 1, 0))
                client.writer.transport.abort()
        row = await running.closed()
        assert (row.closed_by, row.how) == ("client", how)
        assert "without a Close frame" in ((await running.exchange(1)).label or "")


async def test_what_is_no_handshake_can_go_on_with_http(run_engine: Run) -> None:
    async with run_engine(serving(echo=True)) as running, connected(running) as client:
        await client.send(b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"426 Upgrade Required" in await client.until(b"Upgrade.\n")
        await client.send(HANDSHAKE + frame(b"now"))
        assert (await client.until(b"now")).startswith(b"HTTP/1.1 101 ")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
async def test_node_talks_to_it(run_engine: Run) -> None:
    script = """
    const ws = new WebSocket(process.argv[1]), got = [];
    ws.onmessage = (event) => { got.push(event.data); if (got.length == 2) ws.send("bye"); };
    ws.onopen = () => ws.send("hello");
    ws.onclose = (event) => console.log(JSON.stringify([got, event.code, event.reason, event.wasClean]));
    """
    table = {
        "echo": True,
        "compress": True,
        "send": ["first"],
        "on": [{"text": "bye", "send": [{"close": 4000, "reason": "so long"}]}],
    }
    async with run_engine(serving(**table)) as running:
        node = await asyncio.create_subprocess_exec(
            "node", "--experimental-websocket", "-e", script, url(running), stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(DEADLINE):
            out, _ = await node.communicate()
        assert json.loads(out) == [["first", "hello"], 4000, "so long", True]
