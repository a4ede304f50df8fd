"""What holds for any bytes: spans tile, splits don't matter, both paths agree, nothing raises."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from inspectd.wire import (
    ArrivedHead,
    ArrivedResponseHead,
    ContentData,
    Kind,
    Message,
    MessageEnd,
    RequestReader,
    ResponseReader,
    Stream,
    StreamReader,
    read,
    sniff,
)
from inspectd.wire.strict import refusal
from tests.wire.tiling import check_tiling

REAL = (
    b"GET / HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"POST /a?b#c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    b'PUT http://a:1/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a="b;c";d\r\nhello\r\n0;x=y\r\nT:v\r\n w\r\n\r\n',
    b"GET  /lf  HTTP/1.0 \nX-A:  v \t\n fold\nConnection: keep-alive\n\n",
    b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n\x16\x03\x01",
    b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00",
    b"POST / HTTP/1.1\r\nContent-Length: 3, 5\r\nTransfer-Encoding: x\r\n\r\nabcdef",
    b"GET /\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200\r\n\r\nto the end",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nanything",
    b"<html>",
)
# Bytes that decide something somewhere are worth more than others.
TELLING = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b";", b"=", b'"', b",", b"0", b"5", b"\x00", b"\xff", b"\x16\x03",
     b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"HTTP/1.1", b"GET "]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """One to three real messages, with a few bytes cut out, put in or swapped."""
    data = b"".join(draw(st.lists(st.sampled_from(REAL), min_size=1, max_size=3)))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 4)))
        data = data[:start] + draw(TELLING | st.binary(max_size=3)) + data[end:]
    return data


BYTES = st.binary(max_size=200) | mutated() | st.lists(TELLING, max_size=20).map(b"".join)
KINDS: st.SearchStrategy[Kind] = st.sampled_from(["request", "response"])
METHODS = st.lists(st.sampled_from([b"GET", b"HEAD", b"CONNECT"]), max_size=3)


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def facts(message: Message) -> tuple[object, ...]:
    fields = [(field.start, field.end, field.name, field.value) for field in message.head.fields]
    trailers = [(field.start, field.end, field.name, field.value) for field in message.trailers]
    return (
        message.start, message.head_end, message.end, message.complete, message.interim, message.keep_alive,
        message.framing, message.content, message.spans, fields, trailers,
    )  # fmt: skip


def result(stream: Stream) -> tuple[object, ...]:
    return (stream.data, stream.spans, [facts(message) for message in stream.messages])


@settings(max_examples=600, deadline=None)
@given(BYTES, KINDS, st.booleans(), METHODS)
def test_spans_tile_any_bytes(data: bytes, kind: Kind, eof: bool, methods: list[bytes]) -> None:
    stream = read(data, kind, eof=eof, methods=methods)
    check_tiling(stream)
    assert b"".join([data[start:end] for start, end, _ in stream.spans]) == data
    edge = 0
    for message in stream.messages:
        assert edge <= message.start <= message.head_end <= message.end <= len(data)
        edge = message.end
        assert all(message.head_end <= start < end <= message.end for start, end in message.content)
        if message.spans:
            assert (message.spans[0].start, message.spans[-1].end) == (message.start, message.end)


@settings(max_examples=600, deadline=None)
@given(BYTES, KINDS, st.booleans(), st.lists(st.integers(0, 1000), max_size=6))
def test_a_stream_reads_the_same_for_every_split(data: bytes, kind: Kind, eof: bool, cuts: list[int]) -> None:
    whole = result(read(data, kind, eof=eof))
    for pieces in (pieces_of(data, cuts), [data[i : i + 1] for i in range(len(data))]):
        reader = StreamReader(kind)
        for piece in pieces:
            reader.feed(piece)
        assert result(reader.finish(eof=eof)) == whole


@settings(max_examples=600, deadline=None)
@given(BYTES, KINDS, st.lists(st.integers(0, 1000), max_size=6))
def test_arrival_finds_the_messages_that_reading_finds(data: bytes, kind: Kind, cuts: list[int]) -> None:
    reader = RequestReader() if kind == "request" else ResponseReader()
    events = [event for piece in pieces_of(data, cuts) for event in reader.feed(piece)] + reader.eof()
    heads = [event for event in events if isinstance(event, ArrivedHead | ArrivedResponseHead)]
    ends = [event for event in events if isinstance(event, MessageEnd)]
    content = b"".join([event.data for event in events if isinstance(event, ContentData)])
    stream = read(data, kind)
    messages = [message for message in stream.messages if message.framing.step.label != "unfinished-head"]
    assert [(head.start, head.end, head.framing, head.keep_alive) for head in heads] == [
        (message.start, message.head_end, message.framing, message.keep_alive) for message in messages
    ]
    assert ends == [MessageEnd(message.end, message.complete) for message in messages]
    assert content == b"".join([stream.content(message) for message in messages])
    for head in heads:
        assert head.raw == data[head.start : head.end]
        if isinstance(head, ArrivedHead):
            whole = head.head
            assert head.method == whole.text(whole.method)
            assert head.target == whole.text(whole.target)
            assert head.version == whole.text(whole.version)
            for field in whole.fields:
                assert head.get(field.name_bytes) == whole.get(field.name_bytes)[0]
            refusal(head)


def capped(pieces: list[bytes]) -> list[object]:
    """What a reader with small caps reports, content joined."""
    reader = RequestReader(max_head=60, max_request_line=30)
    out: list[object] = []
    content = b""
    for event in [event for piece in pieces for event in reader.feed(piece)] + reader.eof():
        if isinstance(event, ContentData):
            content += event.data
        elif isinstance(event, ArrivedHead):
            out.append((event.start, event.raw, event.plain, event.framing, event.keep_alive))
        else:
            out.append(event)
    return [*out, content, reader.head_start]


@settings(max_examples=600, deadline=None)
@given(BYTES, st.lists(st.integers(0, 1000), max_size=6))
def test_caps_strike_at_the_same_place_for_every_split(data: bytes, cuts: list[int]) -> None:
    whole = capped([data])
    assert capped(pieces_of(data, cuts)) == whole
    assert capped([data[i : i + 1] for i in range(len(data))]) == whole


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_sniffing_never_raises(data: bytes, eof: bool) -> None:
    for opening in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\x40\x01", b"PRI * ", b"\x04", b"\x05"):
        sniff(opening + data, eof=eof)
