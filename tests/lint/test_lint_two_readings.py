"""The same bytes in several readings: who ends the message where, and what comes next for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inspectd.lint.two_readings import readings

if TYPE_CHECKING:
    from inspectd.wire import Kind

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


def seen(data: bytes, kind: Kind = "request") -> list[tuple[str, bytes | None, bytes]]:
    """Each reading as who reads, the content it finds, and what it takes for the next message (None: never)."""
    return [
        (
            each.reader.removeprefix("a reader that "),
            b"".join(data[start:end] for start, end in each.content) if each.end is not None else None,
            each.next,
        )
        for each in readings(data, kind)
    ]


def test_transfer_encoding_and_content_length_have_three_readings() -> None:
    body = b"0\r\n\r\nGET /x HTTP/1.1\r\nA: b"
    data = HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    assert seen(data) == [
        ("believes Transfer-Encoding", b"", b"GET /x HTTP/1.1\r\nA: b"),
        ("finds a Content-Length of 5", b"0\r\n\r\n", b"GET /x HTTP/1.1\r\nA: b"),
        ("sees no content", b"", body),
    ]


def test_te_cl_leaves_a_request_to_one_of_them() -> None:
    body = b"5\r\nhello\r\n0\r\n\r\n"
    data = HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    assert seen(data) == [
        ("believes Transfer-Encoding", b"hello", b""),
        ("finds a Content-Length of 3", b"5\r\n", b"hello\r\n0\r\n\r\n"),
        ("sees no content", b"", body),
    ]


def test_differing_lengths_have_a_reading_each() -> None:
    data = HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
    assert seen(data) == [
        ("believes Content-Length", b"abc", b"d"),
        ("finds a Content-Length of 4", b"abcd", b""),
        ("sees no content", b"", b"abcd"),
    ]


def test_hidden_field_is_found_by_one_of_them() -> None:
    data = HEAD + b"Content-Length: 3\r\nA: b\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert [name for name, _, _ in seen(data)] == [
        "believes Content-Length",
        "believes Transfer-Encoding",
        "sees no content",
    ]


def test_reading_that_never_ends_says_so() -> None:
    data = HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc"
    assert seen(data) == [
        ("believes Transfer-Encoding", None, b""),
        ("finds a Content-Length of 3", b"abc", b""),
        ("sees no content", b"", b"abc"),
    ]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (HEAD + b"Content-Length: 3\r\n\r\nabc", "request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "request"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "response"),
    ],
)
def test_where_all_agree_there_is_one_reading(data: bytes, kind: Kind) -> None:
    assert len(readings(data, kind)) == 1


def test_second_message_is_read_when_it_is_the_odd_one() -> None:
    first = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    odd = HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
    assert {each.start for each in readings(first + odd, "request")} == {len(first)}


def test_there_is_nothing_to_read_without_a_head() -> None:
    assert readings(b"GET / HT", "request") == []
    assert readings(b"", "response") == []
