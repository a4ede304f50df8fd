"""Crafted answers at the socket: the exact bytes, not before their time, and FIN and RST for what they are."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import time
from contextlib import asynccontextmanager, suppress
from itertools import accumulate, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from inspectd.rules.craft import compile_reply
from inspectd.rules.draft import Call
from inspectd.rules.program import Pace
from inspectd.rules.tables import AnswerTable
from inspectd.text.coding import decode_content

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from inspectd.rules.program import LiveProgram, Program
    from inspectd.rules.request import Request

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
LINE = b"HTTP/1.1 200 OK\r\n"
HEAD = LINE + b"Content-Length: 10\r\n\r\n"
BODY = b"0123456789"
SMALL = {"body": BODY.decode(), "auto": ["content-length"]}
DEADLINE = 60.0


class Crafted:
    """Answers everything as one table says."""

    description = status_line = ""

    def __init__(self, base: Path = Path("/nowhere"), /, **keys: Any) -> None:
        table = msgspec.convert({key.replace("_", "-"): value for key, value in keys.items()}, AnswerTable)
        self.reply = compile_reply(table, base=base, rule="test")

    def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
        return self.reply.program(Call(request, now, persist))


class Raw:
    """A client that keeps every byte with the time of its arrival, and tells EOF from ECONNRESET."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.got = b""
        self.times: list[float] = []
        """When each byte was there, in seconds after the request."""
        self._asked = 0.0

    async def ask(self, data: bytes = GET) -> None:
        self._asked = time.monotonic()
        self.got, self.times = b"", []
        self.writer.write(data)
        await self.writer.drain()

    async def take(self, size: int) -> bytes:
        """Read until there are `size` bytes."""
        async with asyncio.timeout(DEADLINE):
            while len(self.got) < size:
                self._keep(
                    await self.reader.read(size - len(self.got)) or pytest.fail(f"EOF after {self.got!r}")
                )
        return self.got

    async def end(self) -> str:
        """Read to the end, and say which: `EOF` or `ECONNRESET`."""
        async with asyncio.timeout(DEADLINE):
            try:
                while data := await self.reader.read(65536):
                    self._keep(data)
            except ConnectionResetError:
                return "ECONNRESET"
        return "EOF"

    async def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long: no byte and no end."""
        try:
            async with asyncio.timeout(seconds):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False

    def _keep(self, data: bytes) -> None:
        self.got += data
        self.times += [time.monotonic() - self._asked] * len(data)


@asynccontextmanager
async def connected(running: Any) -> AsyncIterator[Raw]:
    reader, writer = await asyncio.open_connection(running.host, running.port, limit=1 << 16)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def test_words_reach_the_socket_verbatim_and_the_connection_goes_on(run_engine: Any) -> None:
    headers = ["X-A: 1", "x-a:2", ": nameless", "no colon", " fold", {"raw": "B: \xff\x00"}]
    crafted = Crafted(respond="299 Ödd", headers=headers, **SMALL)
    expected = (
        b"HTTP/1.1 299 \xc3\x96dd\r\nX-A: 1\r\nx-a:2\r\n: nameless\r\nno colon\r\n fold\r\nB: \xff\x00\r\n"
        b"Content-Length: 10\r\n\r\n0123456789"
    )
    async with run_engine(crafted) as running, connected(running) as client:
        for _ in range(3):
            await client.ask()
            assert await client.take(len(expected)) == expected
        await client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + GET)
        assert await client.take(2 * len(expected) - 10) == expected[:-10] + expected


async def test_an_http_1_0_client_is_closed_on(run_engine: Any) -> None:
    async with run_engine(Crafted(**SMALL)) as running, connected(running) as client:
        await client.ask(b"GET / HTTP/1.0\r\n\r\n")
        assert await client.end() == "EOF"
        assert client.got == HEAD + BODY


@pytest.mark.parametrize("close", [True, False])
async def test_raw_bytes_are_the_answer(run_engine: Any, close: bool) -> None:
    raw = "HTTP/1.1 200\nX-A: 1\n folded\nContent-Length: 2\n\nhi\x00\xff"
    async with run_engine(Crafted(raw=raw, close=close)) as running, connected(running) as client:
        await client.ask()
        if close:
            assert await client.end() == "EOF"
        else:
            await client.take(len(raw))
            assert await client.silent(0.1)
        assert client.got == raw.encode("latin-1")


async def test_a_large_raw_file_is_the_answer(run_engine: Any, tmp_path: Path) -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(range(256)) * 20_000
    (tmp_path / "a.raw").write_bytes(data)
    async with (
        run_engine(Crafted(tmp_path, raw_file="a.raw", close=True)) as running,
        connected(running) as client,
    ):
        await client.ask()
        assert await client.end() == "EOF"
        assert hashlib.sha256(client.got).digest() == hashlib.sha256(data).digest()


async def test_chunks_reach_the_socket_as_they_were_asked_for(run_engine: Any) -> None:
    chunked = {
        "sizes": [4, 5],
        "extension": ";x=y",
        "trailers": ["T: 1"],
        "size-lines": ["04"],
    }
    expected = (
        LINE + b"Transfer-Encoding: chunked\r\n\r\n"
        b"04\r\n0123\r\n5;x=y\r\n45678\r\n1;x=y\r\n9\r\n0;x=y\r\nT: 1\r\n\r\n"
    )
    async with (
        run_engine(Crafted(body=BODY.decode(), auto=["transfer-encoding"], chunked=chunked)) as running,
        connected(running) as client,
    ):
        for _ in range(2):
            await client.ask()
            assert await client.take(len(expected)) == expected


async def test_a_large_file_in_chunks_arrives_whole(run_engine: Any, tmp_path: Path) -> None:
    data = bytes(range(256)) * 12_000
    (tmp_path / "big.bin").write_bytes(data)
    async with (
        run_engine(Crafted(tmp_path, body_file="big.bin", chunked=True, close=True)) as running,
        connected(running) as client,
    ):
        await client.ask()
        assert await client.end() == "EOF"
        _, _, rest = client.got.partition(b"\r\n\r\n")
        content = b""
        while rest:
            line, _, rest = rest.partition(b"\r\n")
            size = int(line, 16)
            content, rest = content + rest[:size], rest[size + 2 :]
        assert content == data


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_codings_decode_at_the_client(run_engine: Any, coding: str) -> None:
    async with (
        run_engine(Crafted(body="hello " * 999, coding=coding, close=True)) as running,
        connected(running) as client,
    ):
        await client.ask()
        assert await client.end() == "EOF"
        head, _, content = client.got.partition(b"\r\n\r\n")
        assert b"Content-Encoding: " + coding.encode() in head
        assert b"Content-Length: %d\r\n" % len(content) in head
        assert decode_content(content, coding).data == b"hello " * 999


async def test_a_broken_coding_is_broken_at_the_client(run_engine: Any) -> None:
    keys = {"coding": {"apply": ["gzip"], "damage": "checksum"}, "close": True}
    async with run_engine(Crafted(body="hello", **keys)) as running, connected(running) as client:
        await client.ask()
        await client.end()
        with pytest.raises(gzip.BadGzipFile, match="CRC"):
            gzip.decompress(client.got.partition(b"\r\n\r\n")[2])


async def test_interim_responses_come_first_and_not_before_their_time(run_engine: Any) -> None:
    interim = ["102 Processing", {"respond": "103 Early Hints", "headers": ["Link: </a>"], "after": "150ms"}]
    first = b"HTTP/1.1 102 Processing\r\n\r\n"
    second = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    expected = first + second + HEAD + BODY
    async with run_engine(Crafted(interim=interim, **SMALL)) as running, connected(running) as client:
        await client.ask()
        assert await client.take(len(expected)) == expected
        assert client.times[len(first)] >= 0.15


async def test_nothing_comes_before_the_wait_is_over(run_engine: Any) -> None:
    async with (
        run_engine(Crafted(pace={"before": "200ms"}, **SMALL)) as running,
        connected(running) as client,
    ):
        await client.ask()
        assert await client.take(len(HEAD + BODY)) == HEAD + BODY
        assert client.times[0] >= 0.2


@pytest.mark.parametrize("raw", [False, True])
async def test_bytes_trickle_not_faster_than_their_pace(run_engine: Any, raw: bool) -> None:
    pace = {"head": "4B/10ms", "body": "2B/40ms"}
    keys: dict[str, Any] = {"raw": (HEAD + BODY).decode()} if raw else SMALL
    async with run_engine(Crafted(pace=pace, **keys)) as running, connected(running) as client:
        await client.ask()
        assert await client.take(len(HEAD + BODY)) == HEAD + BODY
        for at in range(len(HEAD)):
            assert client.times[at] >= at // 4 * 0.01
        started = (len(HEAD) - 1) // 4 * 0.01
        for at in range(len(BODY)):
            assert client.times[len(HEAD) + at] >= started + at // 2 * 0.04


async def test_jitter_is_what_its_seed_says(run_engine: Any) -> None:
    pace = {"body": "1B/40ms", "jitter": 0.9, "seed": 11}
    pauses = list(islice(Pace(1, 0.04, 0.9, 11).pauses(), len(BODY) - 1))
    assert max(pauses) > 2 * min(pauses)
    async with run_engine(Crafted(pace=pace, **SMALL)) as running, connected(running) as client:
        await client.ask()
        assert await client.take(len(HEAD + BODY)) == HEAD + BODY
        for at, due in enumerate(accumulate(pauses), len(HEAD) + 1):
            assert client.times[at] >= due


async def test_a_file_trickles_too(run_engine: Any, tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(bytes(2 << 20))
    keys = {"body_file": "big.bin", "auto": ["content-length"], "pace": {"body": "512KiB/60ms"}}
    async with run_engine(Crafted(tmp_path, **keys)) as running, connected(running) as client:
        await client.ask()
        head = len(LINE + b"Content-Length: 2097152\r\n\r\n")
        await client.take(head + (2 << 20))
        for piece in range(4):
            assert client.times[head + piece * (512 << 10)] >= piece * 0.06


_PLACES = [
    ("start", 0),
    ("status-line", len(LINE)),
    ("head", len(HEAD)),
    ("body+50%", len(HEAD) + 5),
    ("body", len(HEAD) + 10),
]
_ENDS = {"close": "EOF", "half-close": "EOF", "reset": "ECONNRESET"}


@pytest.mark.parametrize("do", ["close", "half-close", "reset", "stall"])
@pytest.mark.parametrize(("at", "size"), _PLACES)
@pytest.mark.parametrize("raw", [False, True])
async def test_a_fault_is_at_its_place_and_what_it_says(
    run_engine: Any,
    at: str,
    size: int,
    do: str,
    raw: bool,
) -> None:
    keys: dict[str, Any] = {"raw": (HEAD + BODY).decode()} if raw else SMALL
    async with (
        run_engine(Crafted(fault={"at": at, "do": do}, **keys)) as running,
        connected(running) as client,
    ):
        await client.ask()
        if do == "stall":
            await client.take(size)
            assert await client.silent(0.1)
        else:
            assert await client.end() == _ENDS[do]
        assert client.got == (HEAD + BODY)[:size]


@pytest.mark.parametrize(("do", "end"), list(_ENDS.items()))
async def test_a_fault_happens_on_a_reused_connection_at_a_byte_of_it(
    run_engine: Any, do: str, end: str
) -> None:
    whole = HEAD + BODY
    place = 2 * len(whole) + 7
    fault = {"at": f"byte {place}", "do": do, "per": "connection"}
    async with run_engine(Crafted(fault=fault, **SMALL)) as running:
        for _ in range(2):  # each connection counts for itself
            async with connected(running) as client:
                for _ in range(2):
                    await client.ask()
                    assert await client.take(len(whole)) == whole
                await client.ask()
                assert await client.end() == end
                assert client.got == whole[:7]


async def test_a_fault_per_response_happens_to_the_next_request_of_a_connection(run_engine: Any) -> None:
    class Second(Crafted):
        def respond(self, request: Request, *, now: float, persist: bool) -> Program | LiveProgram:
            if request.number == 2:
                return super().respond(request, now=now, persist=persist)
            return Crafted(**SMALL).respond(request, now=now, persist=persist)

    async with (
        run_engine(Second(fault={"at": "start", "do": "reset"}, **SMALL)) as running,
        connected(running) as client,
    ):
        await client.ask()
        assert await client.take(len(HEAD + BODY)) == HEAD + BODY
        await client.ask()
        assert await client.end() == "ECONNRESET"
        assert client.got == b""


async def test_half_of_a_large_file_is_all_that_arrives_before_a_reset(
    run_engine: Any, tmp_path: Path
) -> None:
    data = bytes(range(256)) * 8_192
    (tmp_path / "big.bin").write_bytes(data)
    keys = {"body_file": "big.bin", "auto": ["content-length"], "fault": {"at": "body+50%", "do": "reset"}}
    async with run_engine(Crafted(tmp_path, **keys)) as running, connected(running) as client:
        await client.ask()
        assert await client.end() == "ECONNRESET"
        assert client.got.partition(b"\r\n\r\n")[2] == data[: len(data) // 2]


async def test_a_fault_waits_at_its_place(run_engine: Any) -> None:
    async with (
        run_engine(Crafted(fault={"at": "head", "do": "close", "after": "150ms"}, **SMALL)) as running,
        connected(running) as client,
    ):
        started = time.monotonic()
        await client.ask()
        assert await client.take(len(HEAD)) == HEAD
        assert await client.end() == "EOF"
        assert time.monotonic() - started >= 0.15


async def test_after_a_half_close_the_client_can_still_send(run_engine: Any) -> None:
    async with (
        run_engine(Crafted(fault={"at": "body+1", "do": "half-close"}, **SMALL)) as running,
        connected(running) as client,
    ):
        await client.ask()
        assert await client.end() == "EOF"
        client.writer.write(b"more")
        await client.writer.drain()
        client.writer.close()
        row = await running.closed()
        assert row.bytes_in == len(GET) + 4


async def test_a_truncated_answer_leaves_the_connection_to_the_next_one(run_engine: Any) -> None:
    async with (
        run_engine(Crafted(fault={"at": "body+5", "do": "truncate"}, **SMALL)) as running,
        connected(running) as client,
    ):
        await client.ask(GET + GET)
        cut = HEAD + BODY[:5]
        assert await client.take(2 * len(cut)) == cut + cut


async def test_garbage_is_between(run_engine: Any) -> None:
    fault = {"at": "head", "do": "garbage", "bytes": "\x00\xff\x80"}
    async with run_engine(Crafted(fault=fault, **SMALL)) as running, connected(running) as client:
        await client.ask()
        expected = HEAD + b"\x00\xff\x80" + BODY
        assert await client.take(len(expected)) == expected


async def test_chunk_places_and_several_faults(run_engine: Any) -> None:
    faults = [{"at": "chunk 1", "do": "garbage", "bytes": "!"}, {"at": "chunk 2", "do": "close"}]
    keys = {"body": BODY.decode(), "auto": ["transfer-encoding"], "chunked": {"sizes": [3]}}
    async with run_engine(Crafted(fault=faults, **keys)) as running, connected(running) as client:
        await client.ask()
        assert await client.end() == "EOF"
        assert client.got == LINE + b"Transfer-Encoding: chunked\r\n\r\n3\r\n012\r\n!3\r\n345\r\n"


async def test_pace_and_fault_together(run_engine: Any) -> None:
    keys = {"pace": {"body": "1B/20ms"}, "fault": {"at": "body+6", "do": "reset"}}
    async with run_engine(Crafted(**keys, **SMALL)) as running, connected(running) as client:
        await client.ask()
        assert await client.end() == "ECONNRESET"
        assert client.got == HEAD + BODY[:6]
        assert client.times[-1] >= 0.1


async def test_an_answer_whose_file_is_gone_is_a_500_that_says_so(run_engine: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    path.write_bytes(b"x")
    crafted = Crafted(tmp_path, body_file="page.txt")
    path.unlink()
    async with run_engine(crafted) as running, connected(running) as client:
        await client.ask()
        assert await client.end() == "EOF"
        assert client.got.startswith(b"HTTP/1.1 500 ")
        assert b"page.txt" in client.got


@pytest.mark.parametrize(
    "keys",
    [
        {"pace": {"before": "50ms"}},
        {"pace": {"before": "10ms", "all": "7B/1ms"}},
        {"pace": {"all": "7B/1ms"}},
        {"interim": ["103", {"respond": "102", "after": "10ms"}]},
        {"interim": ["103", {"respond": "102", "after": "10ms"}], "pace": {"all": "7B/1ms"}},
        {"fault": {"at": "head", "do": "stall"}, "pace": {"before": "1ms"}},
    ],
)
async def test_the_record_names_the_final_response_and_its_head_however_it_is_sent(
    run_engine: Any, keys: dict[str, Any]
) -> None:
    async with run_engine(Crafted(**SMALL, **keys)) as running, connected(running) as client:
        await client.ask()
        interim = b"HTTP/1.1 103\r\n\r\nHTTP/1.1 102\r\n\r\n" if "interim" in keys else b""
        await client.take(len(interim + HEAD))
        row = await running.eventually(lambda: running.capture.exchange(1))
        assert (row.status, row.reason, row.res_head) == ("200", "OK", len(interim + HEAD))


async def test_the_record_names_the_answer_that_a_wait_led_to(run_engine: Any) -> None:
    crafted = Crafted(poll={"gate": "never", "timeout": "20ms", "otherwise": "299 Late"}, body="hello")
    async with run_engine(crafted) as running, connected(running) as client:
        await client.ask()
        await client.take(len(b"HTTP/1.1 299 Late\r\n"))
        row = await running.exchange(1)
        assert (row.status, row.reason) == ("299", "Late")


async def test_events_come_one_by_one_and_break_where_they_should(run_engine: Any) -> None:
    head = (
        LINE
        + b"Content-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"9\r\ndata: %b\n\n\r\n"
    keys = {
        "events": {"send": ["a", "b"], "every": "60ms", "repeat": True},
        "chunked": True,
        "auto": ["transfer-encoding"],
        "fault": {"at": f"byte {len(head) + 2 * len(chunk % b'a') + 5}", "do": "reset"},
    }
    async with run_engine(Crafted(**keys)) as running, connected(running) as client:
        await client.ask()
        assert await client.end() == "ECONNRESET"
        assert client.got == head + chunk % b"a" + chunk % b"b" + b"9\r\nda"
        assert client.times[len(head) + len(chunk % b"a")] >= 0.06
        assert client.times[-1] >= 0.12


async def test_a_long_poll_waits_for_its_gate(run_engine: Any) -> None:
    crafted = Crafted(poll={"gate": "news"}, **SMALL)
    async with run_engine(crafted) as running, connected(running) as client:
        await client.ask()
        assert await client.silent(0.1)
        running.engine.gates.open("news")
        assert await client.take(len(HEAD + BODY)) == HEAD + BODY


async def test_a_bomb_arrives_whole(run_engine: Any) -> None:
    crafted = Crafted(body="0" * 1024, body_repeat=32 * 1024, coding="gzip", close=True)
    async with run_engine(crafted) as running, connected(running) as client:
        await client.ask()
        assert await client.end() == "EOF"
        content = client.got.partition(b"\r\n\r\n")[2]
        assert len(content) < 100_000
        assert gzip.decompress(content) == b"0" * (32 << 20)


async def test_much_repeated_content_arrives_whole(run_engine: Any) -> None:
    crafted = Crafted(body="0123456789", body_repeat=1_000_000, chunked=True, close=True)
    async with run_engine(crafted) as running, connected(running) as client:
        await client.ask()
        assert await client.end() == "EOF"
        content = b""
        rest = client.got.partition(b"\r\n\r\n")[2]
        while rest:
            line, _, rest = rest.partition(b"\r\n")
            content, rest = content + rest[: int(line, 16)], rest[int(line, 16) + 2 :]
        assert content == BODY * 1_000_000
