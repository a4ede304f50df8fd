"""What is illegal about the bytes of an answer: which bytes, and which section says so."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.lint import Severity, entry
from inspectd.rules.program import Close, LiveProgram, Op, Program, Send, Wait
from inspectd.rules.remarks import MOST, Remark, remarks_of, remarks_on
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
GOOD = [
    OK + b"Content-Length: 5\r\n\r\nhello",
    OK + CHUNKED + b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 204 \r\n\r\n",
    b'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n',
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 206 P\r\nContent-Type: multipart/byteranges; boundary=a\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("data", GOOD)
def test_nothing_is_said_about_a_good_answer(data: bytes) -> None:
    assert remarks_on(data) == []


@pytest.mark.parametrize("data", GOOD)
def test_nothing_is_said_about_a_good_answer_while_it_is_typed(data: bytes) -> None:
    for end in range(len(data)):
        assert remarks_on(data[:end], complete=False) == []


def about(data: bytes, **options: bool | bytes) -> list[tuple[bytes, str, str]]:
    """The bytes, the id and the section of each remark."""
    return [
        (data[each.start : each.end], each.id, each.section)
        for each in remarks_on(data, **options)  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize(
    ("data", "bytes_", "name", "section"),
    [
        (b"", b"", "resp-nothing", "RFC 9112 §8"),
        (b"hello", b"hello", "status-line-missing", "RFC 9112 §4"),
        (b"\r\n" + GOOD[0], b"\r\n", "resp-leading-junk", "RFC 9112 §4"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"200", "status-no-space", "RFC 9112 §4"),
        (b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", b"  ", "status-multiple-sp", "RFC 9112 §4"),
        (b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", b"20", "status-code-not-3-digits", "RFC 9112 §4"),
        (b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", b"999", "status-code-range", "RFC 9110 §15"),
        (
            b"HTTP/1.1 -12 OK\r\nContent-Length: 0\r\n\r\n",
            b"-12 OK",
            "status-code-not-3-digits",
            "RFC 9112 §4",
        ),
        (b"200 OK\r\nContent-Length: 0\r\n\r\n", b"200", "status-version-bad", "RFC 9112 §2.3"),
        (
            b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/2.0",
            "status-version-exceeds",
            "RFC 9110 §6.2",
        ),
        (
            b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.2",
            "status-version-unknown",
            "RFC 9110 §2.5",
        ),
        (b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n", b"ICY", "status-icy", "RFC 9112 §4"),
        (b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n", b"\0", "status-reason-bad-char", "RFC 9112 §4"),
        (
            OK + b"A: b\rc\r\nContent-Length: 0\r\n\r\n",
            b"\r",
            "eol-bare-cr-value",
            "RFC 9112 §2.2, RFC 9110 §5.5",
        ),
        (OK + b"A: b\nContent-Length: 0\r\n\r\n", b"\n", "eol-bare-lf-field", "RFC 9112 §2.2"),
        (OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n", b"\r\n ", "field-obs-fold", "RFC 9112 §5.2"),
        (OK + b" c\r\nContent-Length: 0\r\n\r\n", b" c", "field-ws-before-first", "RFC 9112 §2.2"),
        (OK + b"no\r\nContent-Length: 0\r\n\r\n", b"no", "field-no-colon", "RFC 9112 §5"),
        (OK + b": b\r\nContent-Length: 0\r\n\r\n", b":", "field-name-empty", "RFC 9112 §5"),
        (OK + b"A : b\r\nContent-Length: 0\r\n\r\n", b" ", "field-ws-before-colon", "RFC 9112 §5.1"),
        (OK + b"A(: b\r\nContent-Length: 0\r\n\r\n", b"(", "field-name-bad-char", "RFC 9110 §5.6.2"),
        (OK + b"Content-Length: 9\r\n\r\nhello", b"9", "cl-body-short", "RFC 9112 §6.3"),
        (OK + b"Content-Length: 2\r\n\r\nhello", b"llo", "resp-extra-bytes", "RFC 9112 §6.3"),
        (OK + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", b"0", "cl-duplicate-same", "RFC 9112 §6.3"),
        (
            OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"chunked",
            "te-with-cl",
            "RFC 9112 §6.1, §6.3",
        ),
        (
            b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n",
            b"Content-Length",
            "resp-length-on-1xx-204",
            "RFC 9110 §8.6",
        ),
        (
            b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"Transfer-Encoding",
            "resp-length-on-1xx-204",
            "RFC 9110 §8.6",
        ),
        (b"HTTP/1.1 204 No\r\n\r\nhi", b"hi", "resp-body-on-bodyless", "RFC 9112 §6.3"),
        (OK + b"\r\nhello", b"", "resp-close-delimited", "RFC 9112 §6.3"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nhello", b"gzip", "resp-te-not-final", "RFC 9112 §6.3"),
        (OK + CHUNKED + b"zz\r\nhello", b"zz\r\n", "chunk-size-bad-char", "RFC 9112 §7.1"),
        (OK + CHUNKED + b"2\r\nhi\r\n", b"", "chunk-no-last", "RFC 9112 §7.1"),
        (OK + CHUNKED + b"2\nhi\r\n0\r\n\r\n", b"\n", "chunk-line-bare-lf", "RFC 9112 §2.2, §7.1"),
        (
            b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"0\r\n\r\n",
            b"Transfer-Encoding",
            "resp-te-http10",
            "RFC 9112 §6.1",
        ),
        (
            OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi",
            b"hi",
            "resp-encoding-mismatch",
            "RFC 9110 §8.4",
        ),
        (
            OK + b"Content-Type: a\r\ncontent-type: b\r\nContent-Length: 0\r\n\r\n",
            b"content-type",
            "field-duplicate-singleton",
            "RFC 9110 §5.3",
        ),
        (
            b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
            b"401",
            "resp-authenticate-missing",
            "RFC 9110 §15.5.2",
        ),
        (
            b"HTTP/1.1 301 No\r\nContent-Length: 0\r\n\r\n",
            b"301",
            "resp-location-missing",
            "RFC 9110 §10.2.2",
        ),
        (
            OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            b"chunked, chunked",
            "te-chunked-twice",
            "RFC 9112 §6.1",
        ),
        (b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b" ", "resp-leading-junk", "RFC 9112 §4"),
        (b"HTTP/1.1 100 C\r\nA", b"", "resp-head-truncated", "RFC 9112 §8"),
        (b"HTTP/1.1 103 Early\r\n\r\n", b"", "resp-100-no-final", "RFC 9110 §15.2"),
        (OK + b"Content-Length: 0\r\n", b"", "resp-head-truncated", "RFC 9112 §8"),
    ],
)
def test_what_is_wrong_is_said_with_its_bytes_and_section(
    data: bytes, bytes_: bytes, name: str, section: str
) -> None:
    found = [(where, cited) for where, said, cited in about(data) if said == name]
    assert found == [(bytes_, section)]


def test_an_invalid_length_is_said_once_for_each_field() -> None:
    data = OK + b"Content-Length: +5\r\nContent-Length: five\r\n\r\nhello"
    found = [(where, name) for where, name, _ in about(data) if name in {"cl-plus", "cl-not-digits"}]
    assert found == [(b"+5", "cl-plus"), (b"five", "cl-not-digits")]


def test_the_method_decides_where_a_response_ends() -> None:
    data = OK + b"Content-Length: 5\r\n\r\n"
    assert about(data, method=b"HEAD") == []
    assert [name for _, name, _ in about(data)] == ["cl-body-short"]
    assert about(data + b"hello", method=b"HEAD") == [(b"hello", "resp-body-on-bodyless", "RFC 9112 §6.3")]


def test_a_right_coding_is_not_remarked_on() -> None:
    coded = gzip.compress(b"hello", mtime=0)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(coded)
    assert about(head + coded) == []
    assert [name for _, name, _ in about(head + coded[:-1] + b"\xff")] == ["resp-encoding-mismatch"]


def test_a_line_that_is_being_typed_is_let_alone() -> None:
    assert about(OK + b"no colon ye", complete=False) == []
    assert about(OK + b"no colon ye\r\n", complete=False)[0][0] == b"no colon ye"
    assert about(b"HTTP/1.1 20", complete=False) == []


def test_there_is_an_end_to_remarks() -> None:
    assert len(remarks_on(OK + b"a b\0: \n" * 5000 + b"\n")) <= MOST


@given(st.binary(max_size=600), st.sampled_from([b"GET", b"HEAD", b"CONNECT"]), st.booleans())
def test_any_bytes_have_remarks_within_them_that_are_safe(data: bytes, method: bytes, complete: bool) -> None:
    check(data, method, complete=complete)


_LINES = st.sampled_from(
    b"HTTP/1.1 200 OK|HTTP/1.1 100|HTTP/1.1 204 X|HTTP/1.1 206 X|Content-Length: 3|Content-Length: x"
    b"|Transfer-Encoding: chunked|Content-Encoding: gzip| fold|colonless|: x|A : b||3|0|abc".split(b"|")
)
_ENDS = st.sampled_from([b"\r\n", b"\n", b"\r", b""])


@given(st.lists(st.tuples(_LINES, _ENDS), max_size=14), st.booleans())
def test_any_lines_have_remarks_within_them_that_are_safe(
    lines: list[tuple[bytes, bytes]], complete: bool
) -> None:
    check(b"".join(line + end for line, end in lines), b"GET", complete=complete)


def check(data: bytes, method: bytes, *, complete: bool) -> None:
    found = remarks_on(data, method=method, complete=complete)
    assert found == sorted(found, key=lambda remark: (remark.start, remark.end))
    for remark in found:
        assert isinstance(remark, Remark)
        assert 0 <= remark.start <= remark.end <= len(data)
        assert safe(remark.sentence, doubling=False) == remark.sentence
        assert remark.sentence.endswith(".")
        assert remark.section == entry(remark.id).spec
        assert entry(remark.id).level >= Severity.WARNING


def test_the_remarks_of_a_program_are_those_of_its_bytes() -> None:
    program = Program((Send(OK), Wait(1), Send(b"Content-Length: 9\r\n\r\nhello"), Close()))
    assert [remark.sentence for remark in remarks_of(program)] == [
        "Less content came than Content-Length says: 5 of 9 bytes."
    ]

    async def steps() -> AsyncIterator[Op]:
        yield Send(b"x")

    assert remarks_of(LiveProgram(steps())) == []
