"""Field lines, their oddities, line ends and what stands around messages (RFC 9112 §2.2, §5)."""

from __future__ import annotations

import pytest

from inspectd.wire import read
from tests.wire.tiling import tiles

Lines = list[tuple[str, bytes]]
CRLF = ("crlf", b"\r\n")

FIELD_LINES: dict[bytes, Lines] = {
    b"A: b\r\n": [("field-name", b"A"), ("colon", b":"), ("ows", b" "), ("field-value", b"b"), CRLF],
    b"A:b\r\n": [("field-name", b"A"), ("colon", b":"), ("field-value", b"b"), CRLF],
    b"A:\t b c \t\r\n": [
        ("field-name", b"A"), ("colon", b":"), ("ows", b"\t "), ("field-value", b"b c"), ("ows", b" \t"), CRLF,
    ],
    b"A:\r\n": [("field-name", b"A"), ("colon", b":"), CRLF],
    b"A: \r\n": [("field-name", b"A"), ("colon", b":"), ("ows", b" "), CRLF],
    b"A: b:c\r\n": [("field-name", b"A"), ("colon", b":"), ("ows", b" "), ("field-value", b"b:c"), CRLF],
    b"A : b\r\n": [
        ("field-name", b"A"), ("ows", b" "), ("colon", b":"), ("ows", b" "), ("field-value", b"b"), CRLF,
    ],
    b": b\r\n": [("colon", b":"), ("ows", b" "), ("field-value", b"b"), CRLF],
    b"A: b\n": [("field-name", b"A"), ("colon", b":"), ("ows", b" "), ("field-value", b"b"), ("lf", b"\n")],
    b"A: b\r\r\n": [("field-name", b"A"), ("colon", b":"), ("ows", b" "), ("field-value", b"b\r"), CRLF],
    b"A: b\rC: d\r\n": [("field-name", b"A"), ("colon", b":"), ("ows", b" "), ("field-value", b"b\rC: d"), CRLF],
    b"A: \x00\xff\r\n": [("field-name", b"A"), ("colon", b":"), ("ows", b" "), ("field-value", b"\x00\xff"), CRLF],
    b"no colon here\r\n": [("garbage", b"no colon here"), CRLF],
    b" A: b\r\n": [("garbage", b" A: b"), CRLF],
    b"nothing\r\n more\r\n": [("garbage", b"nothing"), CRLF, ("garbage", b" more"), CRLF],
    b"A: b\r\n c\r\n": [
        ("field-name", b"A"), ("colon", b":"), ("ows", b" "), ("field-value", b"b"), ("obs-fold", b"\r\n "),
        ("field-value", b"c"), CRLF,
    ],
    b"A:  v \t\r\n fold \r\n": [
        ("field-name", b"A"), ("colon", b":"), ("ows", b"  "), ("field-value", b"v"), ("obs-fold", b" \t\r\n "),
        ("field-value", b"fold"), ("ows", b" "), CRLF,
    ],
    b"A:\n\tb\n": [
        ("field-name", b"A"), ("colon", b":"), ("obs-fold", b"\n\t"), ("field-value", b"b"), ("lf", b"\n"),
    ],
    b"A: b\r\n \r\n c\r\n": [
        ("field-name", b"A"), ("colon", b":"), ("ows", b" "), ("field-value", b"b"), ("obs-fold", b"\r\n "),
        ("obs-fold", b"\r\n "), ("field-value", b"c"), CRLF,
    ],
}  # fmt: skip


@pytest.mark.parametrize("lines", FIELD_LINES, ids=repr)
def test_field_lines_have_these_parts(lines: bytes) -> None:
    head = b"GET / HTTP/1.1\r\n"
    assert tiles(head + lines + b"\r\n") == [
        ("method", b"GET"), ("sp", b" "), ("path", b"/"), ("sp", b" "), ("version", b"HTTP/1.1"), CRLF,
        *FIELD_LINES[lines],
        ("empty-line", b"\r\n"),
    ]  # fmt: skip


def test_values_are_joined_over_folds_and_found_in_any_case() -> None:
    data = b"GET / HTTP/1.1\r\nX-A: one \r\n\t two\r\nx-a:\r\nB: c\r\n\r\n"
    head = read(data, "request").messages[0].head
    assert head.get("x-A") == [b"one two", b""]
    assert head.get(b"B") == [b"c"]
    assert head.get("é") == []
    first = head.fields[0]
    assert data[first.start : first.end] == b"X-A: one \r\n\t two\r\n"
    assert [data[start:end] for start, end in first.value] == [b"one", b"two"]
    assert first.name_bytes == b"X-A"


def test_blank_lines_may_stand_before_a_request() -> None:
    assert tiles(b"\r\n\n \r\nGET / HTTP/1.1\r\n\r\n")[:5] == [
        ("blank-line", b"\r\n"), ("blank-line", b"\n"), ("garbage", b" "), ("blank-line", b"\r\n"), ("method", b"GET"),
    ]  # fmt: skip


def test_a_head_may_end_its_lines_with_lf_alone() -> None:
    assert tiles(b"GET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\n\n") == [
        ("method", b"GET"), ("sp", b" "), ("path", b"/"), ("sp", b" "), ("version", b"HTTP/1.1"), ("lf", b"\n"),
        ("field-name", b"Host"), ("colon", b":"), ("ows", b" "), ("field-value", b"a"), ("lf", b"\n"),
        ("empty-line", b"\n"),
        ("method", b"GET"), ("sp", b" "), ("path", b"/"), ("sp", b" "), ("version", b"HTTP/1.1"), ("lf", b"\n"),
        ("empty-line", b"\n"),
    ]  # fmt: skip


@pytest.mark.parametrize("eof", [True, False])
@pytest.mark.parametrize(
    ("data", "last"),
    [
        (b"GET", [("method", b"GET")]),
        (b"GET /", [("method", b"GET"), ("sp", b" "), ("path", b"/")]),
        (b"GET / HTTP/1.1\r", [("version", b"HTTP/1.1"), ("crlf", b"\r")]),
        (b"GET / HTTP/1.1\r\nHos", [CRLF, ("field-name", b"Hos")]),
        (b"GET / HTTP/1.1\r\nHost:", [("field-name", b"Host"), ("colon", b":")]),
        (b"GET / HTTP/1.1\r\nHost: a\r", [("field-value", b"a"), ("crlf", b"\r")]),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r", [CRLF, ("empty-line", b"\r")]),
    ],
)
def test_a_head_that_breaks_off_is_tiled_as_far_as_it_goes(data: bytes, last: Lines, eof: bool) -> None:
    assert tiles(data, eof=eof)[-len(last) :] == last
    message = read(data, "request", eof=eof).messages[0]
    assert (message.complete, message.head.complete, message.framing.step.label) == (
        False,
        False,
        "unfinished-head",
    )
    assert message.end == len(data)


def test_nothing_is_read_from_nothing() -> None:
    for eof in (True, False):
        stream = read(b"", "request", eof=eof)
        assert (stream.spans, stream.messages) == ([], [])
