"""h11 as a second oracle: whatever h11 accepts, we read with the same meaning."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspectd.wire import Message, Stream, read

Fields = list[tuple[bytes, bytes]]


class Meaning(NamedTuple):
    """What a message says, without how it says it."""

    start: tuple[bytes, ...]
    fields: Fields
    content: bytes
    trailers: Fields
    complete: bool
    size: int


NORMALIZED: Final = frozenset({b"content-length", b"transfer-encoding"})
"""h11 rewrites these two (one value of several equal ones, lower case), so their values are compared by effect."""


def plain(fields: Fields) -> Fields:
    # A fold may be replaced with any number of SP (RFC 9112 §5.2), so how many says nothing.
    return [
        (name.lower(), re.sub(rb"[ \t]++", b" ", value))
        for name, value in fields
        if name.lower() not in NORMALIZED
    ]


def h11_reads(data: bytes, *, method: bytes = b"") -> Meaning | None:
    """The first final message as h11 reads it; None when h11 refuses it or hasn't seen its head.

    With `method`, `data` answers a request of that method.
    """
    connection = h11.Connection(h11.CLIENT if method else h11.SERVER, max_incomplete_event_size=1 << 20)
    if method:
        connection.send(h11.Request(method=method, target=b"a:1", headers=[(b"host", b"a")]))
        connection.send(h11.EndOfMessage())
    start: tuple[bytes, ...] = ()
    fields: Fields = []
    trailers: Fields = []
    content = b""
    complete = False
    try:
        connection.receive_data(data)
        at_eof = False
        while not complete:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if at_eof:
                    break
                at_eof = True
                connection.receive_data(b"")
            elif isinstance(event, h11.Request):
                start = (event.method, event.target, b"HTTP/" + event.http_version)
                fields = list(event.headers.raw_items())
            elif isinstance(event, h11.Response):
                start = (b"HTTP/" + event.http_version, str(event.status_code).encode(), bytes(event.reason))
                fields = list(event.headers.raw_items())
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                trailers = list(event.headers.raw_items())
                complete = True
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                complete = bool(start)
                break
    except h11.RemoteProtocolError:
        return None
    if not start:
        return None
    rest = len(connection.trailing_data[0])
    return Meaning(start, plain(fields), content, plain(trailers), complete, len(data) - rest)


def we_read(data: bytes, *, method: bytes = b"") -> Meaning | None:
    """The same as we read it."""
    stream = read(data, "response" if method else "request", methods=[method] if method else [])
    finals = [message for message in stream.messages if not message.interim and message.head.complete]
    if not finals:
        return None
    return meaning_of(finals[0], stream)


def meaning_of(message: Message, stream: Stream) -> Meaning:
    head = message.head
    parts = (
        (head.method, head.target, head.version)
        if message.kind == "request"
        else (head.version, head.status, head.reason)
    )
    return Meaning(
        tuple(head.text(part) for part in parts),
        plain([(field.name_bytes, field.value_bytes) for field in head.fields]),
        stream.content(message),
        plain([(field.name_bytes, field.value_bytes) for field in message.trailers]),
        message.complete,
        message.end,
    )


def agree(data: bytes, method: bytes = b"") -> bool:
    """Check the meaning where h11 accepts; say whether it did."""
    reference = h11_reads(data, method=method)
    if reference is None:
        return False
    found = we_read(data, method=method)
    assert found is not None
    if not reference.complete:
        # h11 raises at the end of a stream that breaks off, so only what came before can be compared.
        assert found[:3] == reference[:3]
    else:
        assert found == reference
    return True


REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET /a?b#c HTTP/1.1\r\nHost: a\r\nX-A:  v \t\r\n\r\n",
    b"GET http://a/b HTTP/1.1\nHost: a\n\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\td \r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: v\r\n\r\nmore",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\nmore",
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
    b"X!#$%&'*+-.^_`|~9 /\" HTTP/1.1\r\nHost: a\r\nE:\r\nF: \xff\r\n\r\n",
]
RESPONSES = [
    (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"),
    (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef"),
    (b"GET", b"HTTP/1.0 200\r\n\r\nto the end"),
    (b"GET", b"HTTP/1.1 299  odd  reason \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
    (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"),
    (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n"),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\n"),
    (
        b"GET",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
    ),
    (b"CONNECT", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\x16\x03\x01"),
    (b"CONNECT", b"HTTP/1.1 407 No\r\nContent-Length: 3\r\n\r\nabc"),
]


@pytest.mark.parametrize("data", REQUESTS, ids=repr)
def test_requests_mean_the_same(data: bytes) -> None:
    assert agree(data)


@pytest.mark.parametrize(("method", "data"), RESPONSES, ids=repr)
def test_responses_mean_the_same(method: bytes, data: bytes) -> None:
    assert agree(data, method)


PIECES = st.sampled_from(
    [b"\r\n", b"\n", b" ", b"\t", b":", b";", b"=", b",", b"0", b"3", b"a", b"\r", b"\xff", b"\x00", b"HTTP/1.0", b"#",
     b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"A: b\r\n c\r\n", b"GET"]
)  # fmt: skip


@st.composite
def changed(draw: st.DrawFn, originals: list[bytes]) -> bytes:
    """A message with up to three places changed."""
    data = draw(st.sampled_from(originals))
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 3)))
        data = data[:start] + draw(PIECES) + data[end:]
    return data


@settings(max_examples=1000, deadline=None)
@given(changed(REQUESTS))
def test_changed_requests_mean_the_same_where_h11_accepts_them(data: bytes) -> None:
    if not data.lstrip(b"\r\n").startswith(b"CONNECT"):
        agree(data)


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from([b"GET", b"HEAD"]), changed([data for _, data in RESPONSES]))
def test_changed_responses_mean_the_same_where_h11_accepts_them(method: bytes, data: bytes) -> None:
    agree(data, method)
