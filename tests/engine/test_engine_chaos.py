"""Whatever clients do, the capture holds what they sent and what they got, byte for byte, each answer in its place.

Clients of random habits send valid, odd and broken requests, whole, in pieces, pipelined or cut off, and read, dawdle,
half-close, vanish or reset. Each notes what its own socket took and gave; the capture is compared with those notes.
`INSPECTD_CHAOS_SEED` repeats a run, `INSPECTD_CHAOS_CLIENTS` makes it longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sqlite3
import struct
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.rules.program import Close, HalfClose, Program, Reset, Send, SendFile, Wait

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inspectd.capture.model import ConnectionRow, ExchangeRow
    from inspectd.rules.program import Op
    from inspectd.rules.request import Request

SEED = int(os.environ.get("INSPECTD_CHAOS_SEED") or random.SystemRandom().randrange(1 << 32))
CLIENTS = int(os.environ.get("INSPECTD_CHAOS_CLIENTS") or 60)
AT_ONCE = 12
PATIENCE = 10.0
FILE_SIZE = 700_000

HOST = b"Host: a\r\n"
FOREIGN = (
    bytes.fromhex("16030100310100002d0303") + bytes(38) + b"\x02\x13\x01\x01\x00",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x05\x01\x00",
    b"\x00\xff\x00binary\n more",
    b"*1\r\n$4\r\nPING\r\n",
)


class Answers:
    """The second letter of a target says how it is answered; every answer names the target."""

    description = status_line = ""

    def __init__(self, file: Path) -> None:
        self.file = file

    def respond(self, request: Request, *, now: float, persist: bool) -> Program:
        ops = self.ops(request.head.target)
        return Program((*ops, Close()) if not persist and not isinstance(ops[-1], Reset) else ops)

    def ops(self, target: bytes) -> tuple[Op, ...]:
        whole = answer(target)
        match target[1:2]:
            case b"w":
                return (Wait(0.01), Send(whole))
            case b"p":
                return (Send(whole[:20]), Wait(0), Send(whole[20:30]), Send(whole[30:]))
            case b"b":
                return (Send(answer(target, 400_000)),)
            case b"f":
                return (Send(answer(target, FILE_SIZE)[:-FILE_SIZE]), SendFile(self.file, 0, FILE_SIZE))
            case b"c":
                return (Send(whole), Close())
            case b"r":
                return (Send(whole), Reset())
            case b"h":
                return (Send(whole), HalfClose())
        return (Send(whole),)


def answer(target: bytes, size: int = 5) -> bytes:
    return b"HTTP/1.1 200 OK\r\nX-Target: %b\r\nContent-Length: %d\r\n\r\n" % (target, size) + bytes(size)


KINDS = {"o": 60, "w": 6, "p": 6, "b": 3, "f": 2, "c": 3, "r": 2, "h": 2}
"""Second letters of targets, and how often they come."""


def request(rng: random.Random, number: int, kinds: dict[str, int]) -> bytes:
    """The bytes of one request, good or bad."""
    (kind,) = rng.choices([*kinds], weights=[*kinds.values()])
    target = f"/{kind}{number}".encode()
    size = rng.choice((0, 1, 5, 300, 70_000))
    body = rng.randbytes(size)
    match rng.randrange(20):
        case 0 | 1 | 2:
            return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (target, HOST, size) + body
        case 3:
            chunks = b"%x;a=b\r\n%b\r\n" % (size, body) if size else b""
            return (
                b"PUT %b HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % (target, HOST)
                + chunks
                + b"0\r\nT: 1\r\n\r\n"
            )
        case 4:
            return b"GET  %b HTTP/1.1\nX-A:  v \t\r\n fold\r\n\n" % target
        case 5:
            return b"\r\n\r\nGET %b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" % target
        case 6:
            return b"HEAD %b HTTP/1.1\r\n%bConnection: close\r\n\r\n" % (target, HOST)
        case 7:
            return (
                b"POST %b HTTP/1.1\r\n%bExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
                % (target, HOST, size)
                + body
            )
        case 8 if rng.random() < 0.4:
            return rng.choice(
                (
                    b"GET %b\r\n" % target,
                    b"GET /%b HTTP/1.1\r\n\r\n" % (b"l" * 9000),
                    b"GET %b HTTP/1.1\r\nX: %b\r\n\r\n" % (target, b"y" * 70_000),
                    b"PUT %b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" % target,
                    b"PUT %b HTTP/1.1\r\nContent-Length: 3, 4\r\n\r\nabcd" % target,
                    b"PUT %b HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (target, 10**30),
                    b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
                    b"GET %b HTTP/1.1\r\n%bConnection: upgrade\r\nUpgrade: x\r\n\r\n\x00\x01"
                    % (target, HOST),
                    rng.choice(FOREIGN),
                )
            )
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (target, HOST)


def pieces(rng: random.Random, data: bytes) -> Iterator[bytes]:
    """The same bytes in one write, in a few, or in many."""
    longest = rng.choice((len(data), 4000, 40)) if len(data) < 20_000 else len(data)
    while data:
        size = rng.randint(1, max(1, longest))
        yield data[:size]
        data = data[size:]


class RandomClient:
    """One connection's life, and its notes."""

    def __init__(self, seed: int, kinds: dict[str, int] = KINDS) -> None:
        self.rng = random.Random(seed)
        self.kinds = kinds
        self.sent = bytearray()
        self.got = bytearray()
        self.name = ""
        self.saw_fin = False
        self.said_fin = False
        self.reset = False
        self.met_reset = False

    async def live(self, port: int) -> None:
        """Connect, do as the dice say, and be gone."""
        rng = self.rng
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", port))
            self.name = "127.0.0.1:{1}".format(*sock.getsockname())
            data = b"".join(
                request(rng, number, self.kinds) for number in range(rng.choice((0, 1, 1, 2, 5, 40)))
            )
            if rng.random() < 0.06:
                data = rng.choice(FOREIGN) + data
            if rng.random() < 0.25:
                data = data[: rng.randint(0, len(data))]
            end = rng.choices(("fin", "read", "reset", "close"), weights=(5, 3, 2, 1))[0]
            reading = None
            if end in {"fin", "read"} or rng.random() < 0.5:
                reading = asyncio.create_task(self.read(sock))
            try:
                await asyncio.wait_for(self.write(sock, data), PATIENCE)
            except OSError:
                self.met_reset = True
            if end == "fin":
                self.say_fin(sock)
            if reading is not None and end == "fin":
                await asyncio.wait_for(reading, PATIENCE)
            elif reading is not None:
                await asyncio.wait((reading,), timeout=rng.choice((0, 0.01, 0.05)))
                if end == "read" and not self.saw_fin:
                    self.say_fin(sock)
                    await asyncio.wait_for(reading, PATIENCE)
                reading.cancel()
                await asyncio.wait((reading,))
            if end == "reset":
                self.reset = True
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if self.met_reset:  # that is told once: who reads after it finds an end like that of a FIN
            self.saw_fin = False

    def say_fin(self, sock: socket.socket) -> None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
            self.said_fin = True

    async def write(self, sock: socket.socket, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        for piece in pieces(self.rng, data):
            while piece:
                try:
                    taken = sock.send(piece)
                except BlockingIOError:
                    writable = asyncio.Event()
                    loop.add_writer(sock, writable.set)
                    try:
                        await writable.wait()
                    finally:
                        loop.remove_writer(sock)
                    continue
                self.sent += piece[:taken]
                piece = piece[taken:]
            if self.rng.random() < 0.3:
                await asyncio.sleep(0)

    async def read(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await loop.sock_recv(sock, self.rng.choice((1 << 16, 1 << 16, 1000))):
                self.got += data
            self.saw_fin = True


def check(client: RandomClient, row: ConnectionRow, running: Any, ended: State = State.ABORTED) -> None:
    """Compare the capture with the client's notes. `ended` is how an exchange may end without a byte."""
    capture = running.capture
    came = capture.stream_bytes(row.id, INCOMING)
    went = capture.stream_bytes(row.id, OUTGOING)
    assert (len(came), len(went)) == (row.bytes_in, row.bytes_out)
    assert bytes(client.sent).startswith(came)
    assert went.startswith(bytes(client.got))
    if row.fin_in_ns is not None and not client.reset:
        assert came == client.sent
    if client.saw_fin:
        assert went == client.got
    at = 0
    for exchange in capture.exchanges_of(row.id):
        assert came.startswith(capture.request_bytes(exchange), exchange.req_offset)
        if exchange.res_offset is not None:
            assert exchange.res_offset >= at, "an answer out of order"
            at = exchange.res_offset + exchange.res_len
            check_answer(exchange, capture.response_bytes(exchange), went)
        elif client.saw_fin and row.how != "rst":
            assert exchange.state & ended, "a request without an answer"


def check_answer(row: ExchangeRow, response: bytes, went: bytes) -> None:
    assert went.startswith(response, row.res_offset)
    if row.status == "200" and row.method != "CONNECT" and row.state & State.RESPONSE_COMPLETE:
        named = response.partition(b"X-Target: ")[2].partition(b"\r\n")[0]
        assert named.decode() == row.target, "the answer to another request"


def untiled(path: Path) -> list[tuple[int, int]]:
    """Connections and directions whose bytes the capture holds not at all or twice."""
    wrong = []
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        for number, *totals in db.execute("SELECT id, bytes_in, bytes_out FROM connection").fetchall():
            for direction, prefix in ((INCOMING, "req"), (OUTGOING, "res")):
                end = 0
                for offset, length in db.execute(
                    f"SELECT {prefix}_offset, {prefix}_run FROM exchange WHERE connection = ?1 AND {prefix}_run > 0 "
                    "UNION ALL SELECT offset, length FROM segment WHERE connection = ?1 AND direction = ?2 ORDER BY 1",
                    (number, direction),
                ):
                    if offset != end:
                        break
                    end = offset + length
                if end != totals[direction]:
                    wrong.append((number, direction))
    db.close()
    return wrong


@pytest.mark.parametrize("durability", ["commit", "relaxed"])
async def test_the_capture_agrees_with_every_client(
    run_engine: Any, tmp_path: Path, durability: str, record_property: Any
) -> None:
    print(f"INSPECTD_CHAOS_SEED={SEED}")
    file = tmp_path / "body"
    file.write_bytes(bytes(FILE_SIZE))
    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, trouble: troubles.append(trouble))
    clients = [RandomClient(SEED + number) for number in range(CLIENTS)]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(client: RandomClient) -> None:
        async with gate:
            await client.live(running.port)

    async with run_engine(Answers(file), durability=durability) as running:
        await asyncio.gather(*map(one, clients))
        await running.eventually(lambda: running.engine.open_connections == 0)
        await running.eventually(lambda: running.capture.counts().open == 0)
        assert running.engine.problem is None
        rows: dict[str, list[ConnectionRow]] = {}
        for row in running.capture.connections(range(1, CLIENTS + 1)):
            rows.setdefault(row.peer, []).append(row)
        names = Counter(client.name for client in clients)
        for client in clients:
            found = rows.get(client.name, [])
            if names[client.name] > 1:
                continue  # the system gave the port of a client that was gone to another one
            if found:
                check(client, found[0], running)
            else:
                assert client.reset  # uvloop knows no name of a client that has reset already
        assert untiled(running.engine.capture) == []
        assert running.engine._writer.lost_turns == 0
    assert troubles == []
