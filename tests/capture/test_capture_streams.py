"""Whatever crossed the sockets, in whatever pieces and turns, comes back byte for byte."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from inspectd.capture import reader
from inspectd.capture.model import INCOMING, OUTGOING, Read
from inspectd.capture.reader import Capture
from tests.capture.traffic import ANSWERED, new_writer, open_connection

if TYPE_CHECKING:
    import pytest

    from inspectd.capture.records import ConnectionRecord, ExchangeRecord
    from inspectd.capture.writer import CaptureWriter


@dataclass
class Client:
    """One connection, driven by bytes: `(` begins a request, `)` ends it, anything else is more of it or stray."""

    writer: CaptureWriter
    record: ConnectionRecord
    sent: bytearray = field(default_factory=bytearray)
    answered: bytearray = field(default_factory=bytearray)
    reads: list[Read] = field(default_factory=list)
    messages: dict[int, tuple[int, int | None]] = field(default_factory=dict)
    responses: dict[int, bytes] = field(default_factory=dict)
    open: ExchangeRecord | None = None
    half: int | None = None

    def arrive(self, data: bytes, now: int) -> None:
        """A read brings bytes. `(` is a head's first byte, `.` its last: a head may come in several reads."""
        start = len(self.sent)
        self.record.received(data, now)
        self.sent += data
        self.reads.append(Read(start, len(data), now))
        for offset, byte in enumerate(data, start):
            if byte == ord("(") and self.open is None and self.half is None:
                self.half = offset
            elif byte == ord(".") and self.half is not None:
                self.open = self.record.begin(self.half, now)
                self.messages[self.open.id] = (self.half, None)
                self.half = None
            elif byte == ord(")") and self.open is not None:
                self.record.end(self.open, offset + 1)
                self.messages[self.open.id] = (self.messages[self.open.id][0], offset + 1)
                self.answer(self.open, now)
                self.open = None
        self.record.settle(self.open)

    def answer(self, exchange: ExchangeRecord, now: int) -> None:
        """Answer in as many writes as the id says, none for some."""
        parts = [f"answer {exchange.id}.{n} ".encode() * (n + 1) for n in range(exchange.id % 4)]
        for part in parts:
            self.record.sent(exchange, part, now)
            self.answered += part
        self.responses[exchange.id] = b"".join(parts)
        exchange.state |= ANSWERED
        self.writer.save(exchange)


pieces = st.lists(
    st.sampled_from([b"(", b".", b")", b"(.)", b"x", b"\r\n", b"yz" * 40]), min_size=1, max_size=8
).map(b"".join)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 3), pieces),
        st.tuples(st.just("flush"), st.booleans(), st.none()),
        st.tuples(st.just("save"), st.integers(0, 3), st.none()),
        st.tuples(st.just("look"), st.integers(0, 200), st.integers(0, 200)),
    ),
    max_size=40,
)


@given(steps)
@settings(max_examples=150, deadline=None)
def test_every_interleaving_gives_the_exact_bytes_back(
    script: list[tuple[str, int, bytes | int | None]],
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x"
        writer = new_writer(path)
        clients = [Client(writer, open_connection(writer, now=n)) for n in range(4)]
        writer.flush(9)
        now = 10
        with Capture.open(path) as capture:
            for step in script:
                now += 1
                match step:
                    case ("read", int(which), bytes(data)):
                        clients[which].arrive(data, now)
                    case ("flush", _, _):
                        writer.flush(now)
                        compare(capture, clients)
                    case ("save", int(which), _):
                        clients[which].record.save()
                    case ("look", int(offset), int(limit)):
                        writer.flush(now)
                        for client in clients:
                            mine = client.record.id
                            assert capture.stream_bytes(mine, INCOMING, offset, limit) == bytes(
                                client.sent[offset : offset + limit]
                            )
                            assert capture.stream_bytes(mine, OUTGOING, offset) == bytes(
                                client.answered[offset:]
                            )
            writer.flush(now)
            compare(capture, clients)
        writer.close(now)
        with Capture.open(path) as capture:
            compare(capture, clients)


def compare(capture: Capture, clients: list[Client]) -> None:
    """Everything the reader says about these connections is what happened."""
    for client in clients:
        number = client.record.id
        assert capture.stream_bytes(number, INCOMING) == client.sent
        assert capture.stream_bytes(number, OUTGOING) == client.answered
        assert capture.reads(number, INCOMING) == client.reads
        assert [row.id for row in capture.exchanges_of(number)] == list(client.messages)
        for identity, (start, end) in client.messages.items():
            message = bytes(client.sent[start:end])
            assert capture.request_bytes(identity) == message
            assert capture.request_bytes(identity, offset=2, limit=5) == message[2:7]
            assert capture.stream_bytes(number, INCOMING, start, len(message)) == message
            assert capture.response_bytes(identity) == client.responses.get(identity, b"")


def test_a_long_body_is_read_in_bounded_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(reader, "_PIECES_AT_ONCE", 7)
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    body = bytes(range(256)) * 1000
    connection.received(b"PUT / HTTP/1.1\r\nContent-Length: 256000\r\n\r\n", 10)
    exchange = connection.begin(0, 10)
    connection.settle(exchange)
    for at in range(0, len(body), 3333):
        connection.received(body[at : at + 3333], 11 + at)
        connection.settle(exchange)
        if at % 2:
            writer.flush(11 + at)
    connection.end(exchange, connection.bytes_in)
    connection.save()
    writer.flush(300_000)
    head = connection.bytes_in - len(body)
    with Capture.open(tmp_path / "x") as capture:
        chunks = list(capture.iter_request_bytes(1))
        assert max(map(len, chunks)) <= 1000
        assert b"".join(chunks)[head:] == body
        assert capture.request_bytes(1, offset=head + 100_001, limit=4000) == body[100_001:104_001]
        assert b"".join(capture.iter_stream_bytes(1, INCOMING, head)) == body
        assert len(capture.reads(1, INCOMING)) == 1 + len(range(0, len(body), 3333))
    writer.close(400_000)
