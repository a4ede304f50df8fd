"""What is illegal about the bytes of an answer: which bytes, and which section says so."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    """The bytes, a word of the sentence and the section of each remark."""
    return [
        (data[start:end], sentence, section)
        for sentence, start, end, section in remarks_on(data, **options)  # type: ignore[arg-type]
    ]


@pytest.mark.parametrize(
    ("data", "bytes_", "words", "section"),
    [
        (b"", b"", "Not a byte", "RFC 9112 §2.1"),
        (b"hello", b"hello", "no status line", "RFC 9112 §4"),
        (b"\r\n" + GOOD[0], b"\r\n", "before a status line", "RFC 9112 §2.1"),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b"200", "SP has to follow", "RFC 9112 §4"),
        (b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", b"  ", "One SP", "RFC 9112 §4"),
        (b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", b"20", "three digits", "RFC 9110 §15"),
        (b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n", b"999", "outside 100 to 599", "RFC 9110 §15"),
        (b"HTTP/1.1 -12 OK\r\nContent-Length: 0\r\n\r\n", b" -12 OK", "no status code", "RFC 9112 §4"),
        (b"200 OK\r\nContent-Length: 0\r\n\r\n", b"200", "no version", "RFC 9112 §4"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/2.0", "HTTP/2.0", "RFC 9110 §2.5"),
        (b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.2", "no HTTP/1.2", "RFC 9110 §2.5"),
        (b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n", b"ICY", "no HTTP version", "RFC 9112 §2.3"),
        (b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n", b"\0", "Control bytes", "RFC 9110 §5.5"),
        (OK + b"A: b\rc\r\nContent-Length: 0\r\n\r\n", b"\r", "no LF follows", "RFC 9112 §2.2"),
        (OK + b"A: b\nContent-Length: 0\r\n\r\n", b"\n", "lone LF", "RFC 9112 §2.2"),
        (OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n", b"\r\n ", "second line", "RFC 9112 §5.2"),
        (OK + b" c\r\nContent-Length: 0\r\n\r\n", b" c", "no field before it", "RFC 9112 §2.2"),
        (OK + b"no\r\nContent-Length: 0\r\n\r\n", b"no", "colon", "RFC 9112 §5"),
        (OK + b": b\r\nContent-Length: 0\r\n\r\n", b":", "has a name", "RFC 9112 §5"),
        (OK + b"A : b\r\nContent-Length: 0\r\n\r\n", b" ", "before the colon", "RFC 9112 §5.1"),
        (OK + b"A(: b\r\nContent-Length: 0\r\n\r\n", b"A(", "no token", "RFC 9110 §5.1"),
        (OK + b"Content-Length: 9\r\n\r\nhello", b"9", "and 5 follow", "RFC 9112 §8"),
        (OK + b"Content-Length: 2\r\n\r\nhello", b"llo", "3 bytes follow", "RFC 9112 §6.3"),
        (OK + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n", b"0", "same value", "RFC 9112 §6.3"),
        (
            OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"chunked",
            "together",
            "RFC 9112 §6.3",
        ),
        (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", b"0", "204", "RFC 9110 §8.6"),
        (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"chunked", "204", "RFC 9112 §6.1"),
        (b"HTTP/1.1 204 No\r\n\r\nhi", b"hi", "ends with its head", "RFC 9112 §6.3"),
        (OK + b"\r\nhello", b"", "Nothing says where", "RFC 9112 §6.3"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nhello", b"gzip", "not chunked", "RFC 9112 §6.1"),
        (
            OK + CHUNKED + b"zz\r\nhello",
            b"zz\r\n",
            "no chunk framing",
            "RFC 9112 §7.1",
        ),
        (
            OK + CHUNKED + b"2\r\nhi\r\n",
            b"",
            "last chunk is missing",
            "RFC 9112 §7.1",
        ),
        (OK + CHUNKED + b"2\nhi\r\n0\r\n\r\n", b"\n", "lone LF", "RFC 9112 §7.1"),
        (
            b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"0\r\n\r\n",
            b"chunked",
            "HTTP/1.1",
            "RFC 9112 §6.1",
        ),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhi", b"hi", "gzip", "RFC 9110 §8.4"),
        (
            OK + b"Content-Type: a\r\ncontent-type: b\r\nContent-Length: 0\r\n\r\n",
            b"content-type",
            "only one",
            "RFC 9110 §5.3",
        ),
        (b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", b"401", "WWW-Authenticate", "RFC 9110 §15.5.2"),
        (b"HTTP/1.1 301 No\r\nContent-Length: 0\r\n\r\n", b"301", "Location", "RFC 9110 §15.4.2"),
        (
            OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
            b"chunked, chunked",
            "once",
            "RFC 9112 §6.1",
        ),
        (b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b" ", "before the version", "RFC 9112 §4"),
        (b"HTTP/1.1 100 C\r\nA", b"", "no end", "RFC 9112 §2.1"),
        (b"HTTP/1.1 103 Early\r\n\r\n", b"", "Only interim", "RFC 9110 §15.2"),
        (OK + b"Content-Length: 0\r\n", b"", "no end", "RFC 9112 §2.1"),
    ],
)
def test_what_is_wrong_is_said_with_its_bytes_and_section(
    data: bytes, bytes_: bytes, words: str, section: str
) -> None:
    found = [(where, cited) for where, sentence, cited in about(data) if words in sentence]
    assert found == [(bytes_, section)]


def test_an_invalid_length_is_said_once_for_each_field() -> None:
    data = OK + b"Content-Length: +5\r\nContent-Length: five\r\n\r\nhello"
    found = [where for where, sentence, _ in about(data) if "digits alone" in sentence]
    assert found == [b"+5", b"five"]


def test_the_method_decides_where_a_response_ends() -> None:
    data = OK + b"Content-Length: 5\r\n\r\n"
    assert about(data, method=b"HEAD") == []
    assert [sentence for _, sentence, _ in about(data)] == ["Content-Length says 5 bytes, and 0 follow."]
    assert "answer to" in about(data + b"hello", method=b"HEAD")[0][1]


def test_a_right_coding_is_not_remarked_on() -> None:
    coded = gzip.compress(b"hello", mtime=0)
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(coded)
    assert about(head + coded) == []
    assert "gzip" in about(head + coded[:-1] + b"\xff")[0][1]


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
        assert remark.section.startswith("RFC ")


def test_the_remarks_of_a_program_are_those_of_its_bytes() -> None:
    program = Program((Send(OK), Wait(1), Send(b"Content-Length: 9\r\n\r\nhello"), Close()))
    assert [remark.sentence for remark in remarks_of(program)] == [
        "Content-Length says 9 bytes, and 5 follow."
    ]

    async def steps() -> AsyncIterator[Op]:
        yield Send(b"x")

    assert remarks_of(LiveProgram(steps())) == []
