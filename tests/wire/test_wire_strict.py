"""What a strict server refuses."""

from __future__ import annotations

import pytest

from inspectd.wire import ArrivedHead, RequestReader
from inspectd.wire.strict import refusal


def verdict(data: bytes) -> str | None:
    head = RequestReader().feed(data)[0]
    assert isinstance(head, ArrivedHead)
    return refusal(head)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a:80\n\n",
        b"GET / HTTP/1.1\r\nHost: [::1]:80\r\nHostile: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost:\r\nA: \xc3\xa9\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_passes(data: bytes) -> None:
    assert verdict(data) is None


@pytest.mark.parametrize(
    ("data", "section"),
    [
        (b"GET /\r\n", "9112 §3"),
        (b"GET / HTTP/1.1\r\n\r\n", "9112 §3.2"),
        (b"GET / HTTP/1.1\r\nHostile: a\r\nA: \x80\r\n\r\n", "9112 §3.2"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "9112 §3.2"),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "9112 §3.2"),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "9112 §5.1"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", "9112 §5.2"),
        (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "9112 §5"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nb\r\n\r\n", "9112 §5"),
        (b"GET / HTTP/1.1\r\nb\r\nHost: a\r\n\r\n", "9112 §5"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA(: b\r\n\r\n", "9110 §5.1"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", "9110 §5.5"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: \x00\r\n\r\n", "9110 §5.5"),
        (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "9112 §3"),
        (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "9112 §3"),
        (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", "9110 §9.1"),
        (b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n", "9112 §3.2"),
        (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", "9112 §3.2"),
        (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", "9112 §3.2"),
        (b"GET / http/1.1\r\nHost: a\r\n\r\n", "9112 §2.3"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "9112 §6.3"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "9112 §6.3"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", "9112 §6.3"),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "9112 §6.1",
        ),
        (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "9112 §6.1"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", "9110 §9.3.6"),
    ],
)
def test_refuses_and_names_the_section(data: bytes, section: str) -> None:
    why = verdict(data)
    assert why is not None
    assert why.endswith(f"(RFC {section}).")
