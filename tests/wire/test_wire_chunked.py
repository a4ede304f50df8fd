"""The chunked transfer coding (RFC 9112 §7.1)."""

from __future__ import annotations

import pytest

from inspectd.wire import read
from inspectd.wire.chunked import chunk_size
from inspectd.wire.framing import LARGEST_LENGTH
from tests.wire.tiling import tiles

HEAD = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD_TILES = len(tiles(HEAD))
CRLF = ("crlf", b"\r\n")

BODIES: dict[bytes, list[tuple[str, bytes]]] = {
    b"3\r\nabc\r\n0\r\n\r\n": [
        ("chunk-size", b"3"), CRLF, ("chunk-data", b"abc"), CRLF, ("last-chunk", b"0"), CRLF, ("empty-line", b"\r\n"),
    ],
    b"3\nabc\n0\n\n": [
        ("chunk-size", b"3"), ("lf", b"\n"), ("chunk-data", b"abc"), ("lf", b"\n"), ("last-chunk", b"0"),
        ("lf", b"\n"), ("empty-line", b"\n"),
    ],
    b" 03\t\r\nabc\r\n000\r\n\r\n": [
        ("ows", b" "), ("chunk-size", b"03"), ("ows", b"\t"), CRLF, ("chunk-data", b"abc"), CRLF,
        ("last-chunk", b"000"), CRLF, ("empty-line", b"\r\n"),
    ],
    b"0;a\r\n\r\n": [
        ("last-chunk", b"0"), ("chunk-ext", b";"), ("chunk-ext-name", b"a"), CRLF, ("empty-line", b"\r\n"),
    ],
    b'0 ; a = b;c="d;\\"e" \r\n\r\n': [
        ("last-chunk", b"0"), ("chunk-ext", b" ; "), ("chunk-ext-name", b"a"), ("chunk-ext", b" = "),
        ("chunk-ext-value", b"b"), ("chunk-ext", b";"), ("chunk-ext-name", b"c"), ("chunk-ext", b"="),
        ("chunk-ext-value", b'"d;\\"e"'), ("chunk-ext", b" "), CRLF, ("empty-line", b"\r\n"),
    ],
    b"0;;=x\r\n\r\n": [
        ("last-chunk", b"0"), ("chunk-ext", b";;"), ("chunk-ext", b"="), ("chunk-ext-value", b"x"), CRLF,
        ("empty-line", b"\r\n"),
    ],
    b"0;a b=c\r\n\r\n": [
        ("last-chunk", b"0"), ("chunk-ext", b";"), ("chunk-ext-name", b"a"), ("garbage", b" b=c"), CRLF,
        ("empty-line", b"\r\n"),
    ],
    b"0\r\nA: b\r\n c\r\n\r\n": [
        ("last-chunk", b"0"), CRLF, ("trailer-name", b"A"), ("colon", b":"), ("ows", b" "), ("trailer-value", b"b"),
        ("obs-fold", b"\r\n "), ("trailer-value", b"c"), CRLF, ("empty-line", b"\r\n"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=repr)
def test_chunks_have_these_parts(body: bytes) -> None:
    assert tiles(HEAD + body)[HEAD_TILES:] == BODIES[body]
    assert read(HEAD + body, "request").messages[0].complete


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (b"0\r\n", 0), (b"a\r\n", 10), (b"FF\n", 255), (b"1;a=b\r\n", 1), (b"000000000000000000001\r\n", 1),
        (b"7fffffffffffffff\r\n", LARGEST_LENGTH), (b"f" * 9999 + b"\r\n", LARGEST_LENGTH),
        (b"\r\n", None), (b"g\r\n", None), (b"0x5\r\n", None), (b"-1\r\n", None), (b"+1\r\n", None), (b"1_0\r\n", None),
        (b"5 5\r\n", None), (b"5\r\r\n", None), (b"5\x00\r\n", None), (b";a\r\n", None),
    ],
)  # fmt: skip
def test_chunk_size_is_hexadecimal_or_nothing(line: bytes, size: int | None) -> None:
    assert chunk_size(line) == size


@pytest.mark.parametrize(
    "rest", [b"zz\r\nabc", b"\r\n\r\n", b"3\r\nabcX\r\n0\r\n\r\n", b"3\r\nabc\rX", b"3\r\nabc\r\r\n"]
)
def test_what_follows_a_broken_chunk_is_unframed(rest: bytes) -> None:
    data = HEAD + b"1\r\nx\r\n" + rest + b"GET / HTTP/1.1\r\n\r\n"
    stream = read(data, "request")
    assert [message.complete for message in stream.messages] == [False]
    last = stream.spans[-1]
    assert (last.role, last.end, stream.messages[0].end) == ("unframed", len(data), last.start)


@pytest.mark.parametrize(
    ("rest", "last"),
    [
        (b"", ("empty-line", b"\r\n")),
        (b"5", ("chunk-size", b"5")),
        (b"5;a", ("chunk-ext-name", b"a")),
        (b"5\r", ("crlf", b"\r")),
        (b"5\r\nab", ("chunk-data", b"ab")),
        (b"2\r\nab\r", ("crlf", b"\r")),
        (b"0\r\n", ("crlf", b"\r\n")),
        (b"0\r\nA", ("trailer-name", b"A")),
        (b"0\r\nA: b\r\n", ("crlf", b"\r\n")),
    ],
)
@pytest.mark.parametrize("eof", [True, False])
def test_chunks_that_break_off_are_tiled_as_far_as_they_go(
    rest: bytes, last: tuple[str, bytes], eof: bool
) -> None:
    assert tiles(HEAD + rest, eof=eof)[-1] == last
    message = read(HEAD + rest, "request", eof=eof).messages[0]
    assert (message.complete, message.end) == (False, len(HEAD + rest))


def test_content_is_what_the_chunks_hold_and_trailers_are_fields() -> None:
    data = HEAD + b"3\r\nabc\r\n2;x\r\nde\r\n0\r\nX-T:  v \r\n\r\nGET / HTTP/1.1\r\n\r\n"
    stream = read(data, "request")
    first, second = stream.messages
    assert stream.content(first) == b"abcde"
    assert [(field.name_bytes, field.value_bytes) for field in first.trailers] == [(b"X-T", b"v")]
    assert data[first.end : second.end] == b"GET / HTTP/1.1\r\n\r\n"
