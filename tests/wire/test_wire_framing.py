"""Where messages end, who would say otherwise, and whether they are complete (RFC 9112 §6.3, §9.3)."""

from __future__ import annotations

import pytest

from inspectd.wire import Framing, read
from inspectd.wire.framing import LARGEST_LENGTH
from tests.wire.tiling import tiles


def request(fields: bytes, rest: bytes = b"", *, version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST / " + version + b"\r\n" + fields + b"\r\n" + rest


def framing_of(data: bytes) -> Framing:
    return read(data, "request").messages[0].framing


REQUESTS: dict[bytes, tuple[str, int | None, tuple[int | None, ...]]] = {
    # fields: (step, length, lengths that other readers find)
    b"": ("no-body-request", 0, ()),
    b"Content-Length: 3\r\n": ("content-length", 3, ()),
    b"content-length:003 \r\n": ("content-length", 3, ()),
    b"Content-Length: 3\r\nContent-Length: 3\r\n": ("content-length", 3, (None,)),
    b"Content-Length: 3, 3\r\n": ("content-length", 3, (None,)),
    b"Content-Length: 3\r\nContent-Length: 5\r\n": ("content-length", 3, (5, None)),
    b"Content-Length: 3, 5, 7\r\n": ("content-length", 3, (5, 7, None)),
    b"Content-Length: +3\r\n": ("content-length", 3, (None,)),
    b"Content-Length: 3,\r\n": ("content-length", 3, (None,)),
    b"Content-Length: -3\r\n": ("length-invalid", None, (None, 0)),
    b"Content-Length: 3x\r\n": ("length-invalid", None, (None, 3)),
    b"Content-Length: 0x3\r\n": ("length-invalid", None, (None, 0)),
    b"Content-Length: 1_0\r\n": ("length-invalid", None, (None, 1)),
    b"Content-Length: \xc2\xb2\r\n": ("length-invalid", None, (None, 0)),
    b"Content-Length:\r\n": ("length-invalid", None, (None, 0)),
    b"Content-Length: 99999999999999999999\r\n": ("content-length", LARGEST_LENGTH, (None,)),
    b"Transfer-Encoding: chunked\r\n": ("chunked", None, ()),
    b"Transfer-Encoding: \t CHUNKED \r\n": ("chunked", None, ()),
    b"Transfer-Encoding: gzip, chunked\r\n": ("chunked", None, ()),
    b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n": ("chunked", None, ()),
    b"Transfer-Encoding: chunked, chunked\r\n": ("chunked", None, (None,)),
    b"Transfer-Encoding: chunked;a=b\r\n": ("chunked", None, (None,)),
    b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n": ("chunked", None, (3,)),
    b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n": ("chunked", None, (3,)),
    b"Transfer-Encoding: gzip\r\n": ("transfer-unknown", None, (0,)),
    b"Transfer-Encoding: chunked, gzip\r\n": ("transfer-unknown", None, (None, 0)),
    b"Transfer-Encoding: xchunked\r\n": ("transfer-unknown", None, (None, 0)),
    b"Transfer-Encoding: \x0bchunked\r\n": ("transfer-unknown", None, (None, 0)),
    b"Transfer-Encoding:\r\n": ("no-body-request", 0, (None,)),
    b"Transfer-Encoding:\r\nContent-Length: 3\r\n": ("content-length", 3, (None,)),
    # Odd lines: what they are to readers of other habits.
    b"Transfer-Encoding : chunked\r\n": ("chunked", None, (0,)),
    b"Transfer-Encoding : chunked\r\nContent-Length: 3\r\n": ("chunked", None, (3, 3)),
    b"Content-Length : 3\r\n": ("content-length", 3, (0,)),
    b"Transfer-Encoding:\r\n chunked\r\n": ("chunked", None, (0,)),
    b" Transfer-Encoding: chunked\r\n": ("no-body-request", 0, (None,)),
    b"A: b\r\n Content-Length: 3\r\n": ("no-body-request", 0, (3,)),
    b"A: b\rContent-Length: 3\r\n": ("no-body-request", 0, (3,)),
    b"A: b\r\r\nContent-Length: 3\r\n": ("content-length", 3, (0,)),
    b"Content-Length\x00: 3\r\n": ("no-body-request", 0, (3,)),
    b"\x0bTransfer-Encoding: chunked\r\n": ("no-body-request", 0, (None,)),
    b"A: \xff\r\nContent-Length: 3\r\n": ("content-length", 3, ()),
    b"A: b\r\n c\r\nContent-Length: 3\r\n": ("content-length", 3, ()),
}


@pytest.mark.parametrize("fields", REQUESTS, ids=repr)
def test_request_is_framed_by_its_fields(fields: bytes) -> None:
    framing = framing_of(request(fields))
    others = tuple(alternative.length for alternative in framing.alternatives)
    assert (framing.step.label, framing.length, others) == REQUESTS[fields]
    assert framing.ambiguous == bool(others)
    assert framing.sentence.endswith(".")
    assert all(each.sentence.endswith(".") for each in framing.alternatives)


def test_transfer_encoding_in_http_1_0_is_read_and_questioned() -> None:
    stream = read(request(b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\nGET", version=b"HTTP/1.0"), "request")
    message = stream.messages[0]
    assert (message.framing.step.label, message.complete, message.keep_alive) == ("chunked", True, False)
    assert [each.length for each in message.framing.alternatives] == [0]


def test_a_length_can_be_a_mile_of_digits() -> None:
    assert framing_of(request(b"Content-Length: " + b"9" * 100_000 + b"\r\n")).length == LARGEST_LENGTH
    assert framing_of(request(b"Content-Length: " + b"0" * 100_000 + b"7\r\n")).length == 7


@pytest.mark.parametrize(
    "fields",
    [b"Transfer-Encoding: gzip\r\n", b"Content-Length: x\r\n"],
)
def test_the_rest_is_unframed_when_the_end_cannot_be_known(fields: bytes) -> None:
    data = request(fields, b"abc GET / HTTP/1.1\r\n\r\n")
    assert tiles(data)[-1] == ("unframed", b"abc GET / HTTP/1.1\r\n\r\n")
    message = read(data, "request").messages[0]
    assert (message.complete, message.end) == (False, message.head_end)


@pytest.mark.parametrize("eof", [True, False])
def test_counted_content_may_break_off(eof: bool) -> None:
    data = request(b"Content-Length: 5\r\n", b"abc")
    stream = read(data, "request", eof=eof)
    message = stream.messages[0]
    assert (message.complete, message.content_length, message.end) == (False, 3, len(data))
    assert stream.content(message) == b"abc"


def test_pipelined_requests_are_each_a_message() -> None:
    data = (
        request(b"Content-Length: 3\r\n", b"abc")
        + b"\r\nGET /2 HTTP/1.1\r\n\r\n"
        + b"GET /3 HTTP/1.1\r\n\r\n"
    )
    stream = read(data, "request")
    assert [data[m.start : m.end][:7] for m in stream.messages] == [b"POST / ", b"GET /2 ", b"GET /3 "]
    assert [span for m in stream.messages for span in m.spans] == [
        s for s in stream.spans if s.role != "blank-line"
    ]


@pytest.mark.parametrize(
    ("head", "follows"),
    [
        (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", "unframed"),
        (b"GET / HTTP/1.1\r\nConnection: x, Close\r\n\r\n", "unframed"),
        (b"GET / HTTP/1.0\r\n\r\n", "unframed"),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "method"),
        (b"GET / HTTP/1.1\r\n\r\n", "method"),
        (b"CONNECT a:1 HTTP/1.1\r\n\r\n", "tunnel"),
        (b"CONNECT a:1 HTTP/1.1\r\nContent-Length: 3\r\n\r\n", "tunnel"),
        (b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "method"),
    ],
)
def test_what_follows_a_request(head: bytes, follows: str) -> None:
    assert tiles(head + b"GET / HTTP/1.1\r\n\r\n")[len(tiles(head))][0] == follows


@pytest.mark.parametrize(
    "frames", [b"\x81\x85\x01\x02\x03\x04abcde", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"Hot diggity dogg"]
)
def test_another_protocol_after_an_upgrade_is_tunnel(frames: bytes) -> None:
    head = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    assert tiles(head + frames)[-1] == ("tunnel", frames)


OK = b"HTTP/1.1 200 OK\r\n"
RESPONSES: list[tuple[bytes, bytes, str, int | None, str | None]] = [
    # method, head, step, length, role of the "abc" that follows
    (b"GET", OK, "until-close", None, "content"),
    (b"GET", OK + b"Content-Length: 3\r\n", "content-length", 3, "content"),
    (b"GET", OK + b"Transfer-Encoding: gzip\r\n", "transfer-until-close", None, "content"),
    (b"GET", OK + b"Transfer-Encoding: chunked, gzip\r\n", "transfer-until-close", None, "content"),
    (b"GET", OK + b"Content-Length: x\r\n", "length-invalid", None, "unframed"),
    (b"HEAD", OK + b"Content-Length: 3\r\n", "no-body-by-method", 0, None),
    (b"HEAD", OK + b"Transfer-Encoding: chunked\r\n", "no-body-by-method", 0, None),
    (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n", "no-body-by-status", 0, None),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n", "no-body-by-status", 0, None),
    (b"GET", b"HTTP/1.1 103 Early Hints\r\n", "no-body-by-status", 0, None),
    (b"CONNECT", OK + b"Content-Length: 3\r\n", "connect", 0, "tunnel"),
    (b"CONNECT", b"HTTP/1.1 407 No\r\nContent-Length: 3\r\n", "content-length", 3, "content"),
    (b"GET", b"HTTP/1.1 101 Switching Protocols\r\n", "switched", 0, "tunnel"),
]


@pytest.mark.parametrize(("method", "head", "step", "length", "role"), RESPONSES)
def test_response_is_framed_by_request_status_and_fields(
    method: bytes, head: bytes, step: str, length: int | None, role: str | None
) -> None:
    data = head + b"\r\nabc"
    stream = read(data, "response", methods=[method])
    framing = stream.messages[0].framing
    assert (framing.step.label, framing.length) == (step, length)
    if role is None:
        assert stream.messages[0].complete
        assert stream.messages[0].end == len(data) - 3
    else:
        assert stream.spans[-1] == (len(data) - 3, len(data), role)


def test_interim_responses_do_not_answer_the_request() -> None:
    data = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + OK
    stream = read(data, "response", methods=[b"HEAD", b"GET"])
    assert [(m.interim, m.framing.step.label, m.complete) for m in stream.messages] == [
        (True, "no-body-by-status", True),
        (False, "no-body-by-method", True),
        (False, "unfinished-head", False),
    ]


def test_content_until_close_is_complete_only_when_the_connection_has_closed() -> None:
    data = OK + b"\r\nabc"
    assert [read(data, "response", eof=eof).messages[0].complete for eof in (True, False)] == [True, False]


def test_bytes_without_a_status_line_are_an_http_0_9_response() -> None:
    for data in (b"<html>\r\n<p>", b"x", b"x" * 2000):
        stream = read(data, "response")
        assert [(m.framing.step.label, m.complete, m.content) for m in stream.messages] == [
            ("simple-response", True, [(0, len(data))])
        ]
        assert tiles(data, "response") == [("content", data)]


@pytest.mark.parametrize("data", [b"H", b"HTTP", b"http/1.1", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nA"])
def test_a_status_line_that_breaks_off_is_half_a_head(data: bytes) -> None:
    for eof in (True, False):
        assert read(data, "response", eof=eof).messages[0].framing.step.label == "unfinished-head"


def test_odd_responses_have_other_readings_too() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc"
    framing = read(data, "response").messages[0].framing
    assert [(each.reader, each.length) for each in framing.alternatives] == [
        ("a reader that passes over names with white space behind them", None)
    ]


def test_only_a_kind_that_is_none_raises() -> None:
    with pytest.raises(ValueError, match="'question'"):
        read(b"", "question")  # type: ignore[arg-type]
