"""What is told of a head when it arrives: the same findings as later, and quickly for heads that come again."""

from __future__ import annotations

from typing import Final

import pytest

from inspectd.lint import Severity, findings, quick
from inspectd.wire import ArrivedHead, RequestReader
from tests.lint.clean import CLEAN

_TARGETS: Final = (
    b"/", b"/a/b.css?x=1&y=2", b"/a//b", b"/./a", b"/a/..", b"/a.", b"/%2f", b"//a/b", b"/a;b", b"*", b"http://a/",
    b"a:80", b"/a?%zz", b"/.well-known/x", b"/a/b/", b"/a..b",
)  # fmt: skip


def arrived(data: bytes) -> ArrivedHead:
    """The head that arrives with these bytes."""
    head = RequestReader().feed(data)[0]
    assert isinstance(head, ArrivedHead)
    return head


@pytest.mark.parametrize("target", _TARGETS)
def test_arriving_head_has_the_findings_of_the_whole(target: bytes) -> None:
    data = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nX_y: b\r\n\r\n"
    expected = {each.id for each in findings(data, "request", eof=False)}
    assert set(quick(arrived(data)).ids) == expected
    assert set(quick(arrived(data)).ids) == expected


def test_worst_severity_is_told() -> None:
    assert quick(arrived(CLEAN["curl"])).worst is Severity.GOOD
    assert quick(arrived(b"GET / HTTP/1.0\r\n\r\n")).worst is Severity.INFO
    assert quick(arrived(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")).worst is Severity.ERROR


def test_nothing_is_said_about_content_that_is_still_coming() -> None:
    head = arrived(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nContent-Length: 9\r\n\r\nabc")
    assert quick(head).worst is Severity.GOOD


@pytest.mark.parametrize(
    "lines",
    [
        b"Referer: http://a:8/b?c=d\r\nCookie: a=b; c=d==\r\n",
        b"Referer: http://u@a/\r\n",
        b"Referer: http://a/%0d%0a\r\n",
        b"Referer: http://a/#b\r\n",
        b"Cookie: a=b; c\r\n",
        b"Cookie: a=b;\r\n",
        b"Cookie: a=b; \r\n",
        b"Cookie: a=b\r\nCookie: c=d\r\n",
        b"Cookie: a=\\r\\n\r\n",
        b"X-Referer: http://a/\r\n",
    ],
)
def test_what_varies_is_left_out_only_where_it_has_no_findings(lines: bytes) -> None:
    for before in (b"Referer: http://b/\r\nCookie: e=f\r\n", b""):
        quick(arrived(b"GET / HTTP/1.1\r\nHost: a\r\n" + before + b"\r\n"))
    for method in (b"GET", b"TRACE"):
        data = method + b" / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"
        assert set(quick(arrived(data)).ids) == {each.id for each in findings(data, "request", eof=False)}
