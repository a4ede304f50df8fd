"""Request lines, request targets and status lines, well-formed and not (RFC 9112 §3, §4)."""

from __future__ import annotations

import pytest

from inspectd.wire import read
from tests.wire.tiling import tiles

Line = list[tuple[str, bytes]]

REQUEST_LINES: dict[bytes, Line] = {
    b"GET /a HTTP/1.1": [("method", b"GET"), ("sp", b" "), ("path", b"/a"), ("sp", b" "), ("version", b"HTTP/1.1")],
    b"GET  /a HTTP/1.1": [("method", b"GET"), ("sp", b"  "), ("path", b"/a"), ("sp", b" "), ("version", b"HTTP/1.1")],
    b"GET\t/a\x0bHTTP/1.1": [
        ("method", b"GET"), ("sp", b"\t"), ("path", b"/a"), ("sp", b"\x0b"), ("version", b"HTTP/1.1"),
    ],
    b"GET /a HTTP/1.1 \t": [
        ("method", b"GET"), ("sp", b" "), ("path", b"/a"), ("sp", b" "), ("version", b"HTTP/1.1"), ("sp", b" \t"),
    ],
    b" GET /a HTTP/1.1": [
        ("garbage", b" "), ("method", b"GET"), ("sp", b" "), ("path", b"/a"), ("sp", b" "), ("version", b"HTTP/1.1"),
    ],
    b"\xef\xbb\xbfGET /a HTTP/1.1": [
        ("garbage", b"\xef\xbb\xbf"), ("method", b"GET"), ("sp", b" "), ("path", b"/a"), ("sp", b" "),
        ("version", b"HTTP/1.1"),
    ],
    b"get /a http/1.1": [("method", b"get"), ("sp", b" "), ("path", b"/a"), ("sp", b" "), ("version", b"http/1.1")],
    b"GET /a b HTTP/1.1": [("method", b"GET"), ("sp", b" "), ("path", b"/a b"), ("sp", b" "), ("version", b"HTTP/1.1")],
    b"GET / HTTP/1.1 HTTP/1.1": [
        ("method", b"GET"), ("sp", b" "), ("path", b"/ HTTP/1.1"), ("sp", b" "), ("version", b"HTTP/1.1"),
    ],
    b"GET / HTTP/ 1.1": [("method", b"GET"), ("sp", b" "), ("path", b"/"), ("sp", b" "), ("version", b"HTTP/ 1.1")],
    b"GET / HTTP/1": [("method", b"GET"), ("sp", b" "), ("path", b"/"), ("sp", b" "), ("version", b"HTTP/1")],
    b"GET HTTP/1.1": [("method", b"GET"), ("sp", b" "), ("version", b"HTTP/1.1")],
    b"HTTP/1.1": [("version", b"HTTP/1.1")],
    b"/a HTTP/1.1": [("path", b"/a"), ("sp", b" "), ("version", b"HTTP/1.1")],
    b"SOURCE /x ICE/1.0": [("method", b"SOURCE"), ("sp", b" "), ("path", b"/x"), ("sp", b" "), ("version", b"ICE/1.0")],
    b"POST /a": [("method", b"POST"), ("sp", b" "), ("path", b"/a")],
    b"hello": [("method", b"hello")],
    b"G\x00T /\x00 HTTP/1.1": [
        ("method", b"G\x00T"), ("sp", b" "), ("path", b"/\x00"), ("sp", b" "), ("version", b"HTTP/1.1"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("line", REQUEST_LINES, ids=repr)
def test_request_line_has_these_parts(line: bytes) -> None:
    assert tiles(line + b"\r\nA: b\r\n\r\n")[:-7] == REQUEST_LINES[line]


# A one-word line that starts with a slash is a target; the version keeps it from being HTTP/0.9.
TARGETS: dict[bytes, Line] = {
    b"/": [("path", b"/")],
    b"/a?b=c&d": [("path", b"/a"), ("request-target", b"?"), ("query", b"b=c&d")],
    b"/a?": [("path", b"/a"), ("request-target", b"?")],
    b"/a?b?c#d?e#f": [
        ("path", b"/a"), ("request-target", b"?"), ("query", b"b?c"), ("request-target", b"#"), ("fragment", b"d?e#f"),
    ],
    b"/#": [("path", b"/"), ("request-target", b"#")],
    b"//host/x": [("path", b"//host/x")],
    b"*": [("request-target", b"*")],
    b"http://a.example:80/x?y#z": [
        ("scheme", b"http"), ("request-target", b"://"), ("authority", b"a.example:80"), ("path", b"/x"),
        ("request-target", b"?"), ("query", b"y"), ("request-target", b"#"), ("fragment", b"z"),
    ],
    b"http://a?x": [
        ("scheme", b"http"), ("request-target", b"://"), ("authority", b"a"), ("request-target", b"?"), ("query", b"x"),
    ],
    b"http://": [("scheme", b"http"), ("request-target", b"://")],
    b"urn:a:b": [("scheme", b"urn"), ("request-target", b":"), ("path", b"a:b")],
    b"a.example:443": [("authority", b"a.example:443")],
    b"[::1]:443": [("authority", b"[::1]:443")],
    b"index.html?x": [("path", b"index.html"), ("request-target", b"?"), ("query", b"x")],
    b"?x": [("request-target", b"?"), ("query", b"x")],
    b"\xff\xfe": [("path", b"\xff\xfe")],
}  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=repr)
def test_request_target_has_these_parts(target: bytes) -> None:
    assert tiles(b"GET " + target + b" HTTP/1.1\r\n\r\n")[2:-4] == TARGETS[target]


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (b"a.example:443", [("authority", b"a.example:443")]),
        (b"a.example", [("authority", b"a.example")]),
        (b"a:b", [("authority", b"a:b")]),
        (
            b"http://a/x",
            [("scheme", b"http"), ("request-target", b"://"), ("authority", b"a"), ("path", b"/x")],
        ),
    ],
)
def test_target_of_connect_is_an_authority(target: bytes, parts: Line) -> None:
    assert tiles(b"CONNECT " + target + b" HTTP/1.1\r\n\r\n")[2:-4] == parts


STATUS_LINES: dict[bytes, Line] = {
    b"HTTP/1.1 200 OK": [
        ("version", b"HTTP/1.1"), ("sp", b" "), ("status-code", b"200"), ("sp", b" "), ("reason-phrase", b"OK"),
    ],
    b"HTTP/1.1 200 ": [("version", b"HTTP/1.1"), ("sp", b" "), ("status-code", b"200"), ("sp", b" ")],
    b"HTTP/1.1 200": [("version", b"HTTP/1.1"), ("sp", b" "), ("status-code", b"200")],
    b"HTTP/1.1 200  a  b ": [
        ("version", b"HTTP/1.1"), ("sp", b" "), ("status-code", b"200"), ("sp", b" "), ("reason-phrase", b" a  b "),
    ],
    b"HTTP/1.1  200 OK": [
        ("version", b"HTTP/1.1"), ("sp", b"  "), ("status-code", b"200"), ("sp", b" "), ("reason-phrase", b"OK"),
    ],
    b"HTTP/1.1 2000 OK": [
        ("version", b"HTTP/1.1"), ("sp", b" "), ("status-code", b"2000"), ("sp", b" "), ("reason-phrase", b"OK"),
    ],
    b"HTTP/1.1 200OK": [("version", b"HTTP/1.1"), ("sp", b" "), ("status-code", b"200"), ("reason-phrase", b"OK")],
    b"HTTP/1.1 OK": [("version", b"HTTP/1.1"), ("sp", b" "), ("reason-phrase", b"OK")],
    b"HTTP/1.1": [("version", b"HTTP/1.1")],
    b"ICY 200 OK": [
        ("version", b"ICY"), ("sp", b" "), ("status-code", b"200"), ("sp", b" "), ("reason-phrase", b"OK"),
    ],
    b"200 OK": [("status-code", b"200"), ("sp", b" "), ("reason-phrase", b"OK")],
}  # fmt: skip


@pytest.mark.parametrize("line", STATUS_LINES, ids=repr)
def test_status_line_has_these_parts(line: bytes) -> None:
    assert tiles(line + b"\r\n\r\n", "response")[:-2] == STATUS_LINES[line]


def test_parts_of_a_head_are_offsets_into_the_stream() -> None:
    data = b"\r\nPOST  http://a/b?c HTTP/1.0\r\n\r\n"
    head = read(data, "request").messages[0].head
    parts = (head.start_line, head.method, head.target, head.version, head.status)
    assert parts == ((2, 29), (2, 6), (8, 20), (21, 29), None)
    assert head.text(head.target) == b"http://a/b?c"


def test_only_get_makes_a_simple_request() -> None:
    assert tiles(b"GET /\r\n") == [("method", b"GET"), ("sp", b" "), ("path", b"/"), ("crlf", b"\r\n")]
    stream = read(b"POST /\r\nA: b\r\n\r\n", "request")
    assert [(m.complete, m.framing.step.label, len(m.head.fields)) for m in stream.messages] == [
        (True, "no-body-request", 1)
    ]


def test_nothing_follows_a_simple_request() -> None:
    assert tiles(b"GET /\r\n\r\nHost: a\r\n\r\n")[4:] == [
        ("blank-line", b"\r\n"),
        ("unframed", b"Host: a\r\n\r\n"),
    ]
