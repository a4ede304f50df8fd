"""Findings of responses: what honest servers send is in order, hostile bytes cost little, requests are context."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inspectd.lint import Severity, catalogue, entry, findings
from inspectd.lint.run import MOST
from inspectd.wire import spans
from tests.lint.clean import CLEAN, CLEAN_ANSWERS
from tests.live_engine import LiveEngine
from tests.peers.test_peers_reverse import nginx_files, node_answers, python_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_BUDGET_S: Final = 8.0
_SIZE: Final = 100_000

_VALUES: Final[dict[str, tuple[bytes, bytes]]] = {
    "commas in Cache-Control": (b"Cache-Control", b",max-age=1"),
    "quotation marks in Cache-Control": (b"Cache-Control", b'"\\'),
    "attributes of a cookie": (b"Set-Cookie", b"; a=b"),
    "cookies on a line": (b"Set-Cookie", b", a"),
    "white space in a cookie": (b"Set-Cookie", b",  "),
    "directives": (b"Content-Security-Policy", b"default-src 'self';"),
    "policies": (b"Content-Security-Policy", b"img-src 'none' a,"),
    "one long directive": (b"Content-Security-Policy", b"script-src "),
    "parameters of a type": (b"Content-Type", b"a/b;a=b;"),
    "quotation marks in a type": (b"Content-Type", b'a/b;a="\\'),
    "file names": (b"Content-Disposition", b'a; filename="a"'),
    "file names that never end": (b"Content-Disposition", b'; filename="\\'),
    "metrics": (b"Server-Timing", b"a;dur=1,"),
    "white space between metrics": (b"Server-Timing", b"a ;  "),
    "links": (b"Link", b"<a>, "),
    "spaces before a link": (b"Link", b" ,"),
    "an address": (b"Location", b"/%20"),
    "structured members": (b"Permissions-Policy", b"a=(b),"),
    "structured parameters": (b"Cache-Status", b"a; b"),
    "HSTS": (b"Strict-Transport-Security", b"max-age=1;"),
    "fields of a preflight": (b"Access-Control-Allow-Headers", b"a,"),
    "a challenge": (b"WWW-Authenticate", b"Basic "),
    "Vary": (b"Vary", b"*,"),
    "a date": (b"Set-Cookie", b"a; Expires=1:00:00 jan "),
}


def _as_one_value(name: bytes, piece: bytes, size: int) -> bytes:
    return _OK + name + b": " + piece * (size // len(piece)) + b"\r\n\r\n"


def _as_many_lines(name: bytes, piece: bytes, size: int) -> bytes:
    line = name + b": " + piece.strip() + b"\r\n"
    return _OK + line * (size // len(line)) + b"\r\n"


@pytest.mark.parametrize("make", [_as_one_value, _as_many_lines])
@pytest.mark.parametrize("shape", _VALUES)
def test_findings_of_hostile_values_are_there_in_no_time(
    shape: str, make: Callable[[bytes, bytes, int], bytes]
) -> None:
    data = make(*_VALUES[shape], _SIZE)
    started = time.process_time()
    found = findings(data, "response", request=CLEAN["a preflight"])
    assert time.process_time() - started < _BUDGET_S
    assert len(found) <= MOST


def test_what_a_long_request_says_is_looked_up_quickly() -> None:
    request = b"GET /?%0d%0a" + b"A: b%0d%0a" * 3000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    started = time.process_time()
    found = findings(_OK + b"A: b\r\n" * 3000 + b"\r\n", "response", request=request)
    assert time.process_time() - started < _BUDGET_S
    assert "resp-splitting" in {each.id for each in found}


# -- any bytes

_NAMES: Final = sorted(
    {
        line.partition(b":")[0]
        for one in catalogue().values()
        if one.kind == "response"
        for line in one.example.wire[:2000].split(b"\r\n")[1:]
        if b":" in line
    }
)
_PIECES: Final = [
    b"*", b"a", b"=", b";", b",", b" ", b'"', b"'", b"\\", b"\xff", b"\x00", b"1", b"-", b"/", b"max-age=9",
    b"private", b"no-store", b"no-cache", b"true", b"null", b"http://b", b"bytes 0-1/2", b"a=b", b"__Host-", b"Secure",
    b"SameSite=None", b"charset=utf-8", b"text/plain", b"text/event-stream", b"gzip", b"'self'", b"'none'", b"img-src",
    b"Sun, 06 Nov 1994 08:49:37 GMT", b"99999999999999999999", b"close", b"keep-alive", b"websocket", b"chunked",
]  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A request and an answer of known fields with values that are put together at random."""
    status = draw(
        st.sampled_from([b"200 OK", b"304 ", b"101 X", b"206", b"405 N", b"302 F", b"103 E", b"401 U"])
    )
    lines = draw(
        st.lists(
            st.tuples(st.sampled_from(_NAMES), st.lists(st.sampled_from(_PIECES), max_size=5).map(b"".join)),
            max_size=8,
        )
    )
    head = b"HTTP/1.1 " + status + b"\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in lines)
    return draw(st.sampled_from(list(CLEAN.values()))), head + b"\r\n" + draw(st.binary(max_size=20))


@given(case=answers(), eof=st.booleans())
@settings(max_examples=400, deadline=None)
def test_any_values_have_findings_within_their_message(case: tuple[bytes, bytes], eof: bool) -> None:
    request, data = case
    tiles = spans(data, "response", eof=eof)
    borders = {0, len(data), *(span.start for span in tiles), *(span.end for span in tiles)}
    for each in findings(data, "response", eof=eof, request=request):
        assert each.id in catalogue()
        assert each.start <= each.end
        assert {each.start, each.end} <= borders or request.startswith(b"CONNECT")
        assert all(0 <= start <= end <= len(data) for start, end in each.also)
        assert each.detail.isprintable()


@given(request=st.binary(max_size=60), response=st.binary(max_size=60))
def test_any_pair_of_bytes_is_looked_at(request: bytes, response: bytes) -> None:
    findings(_OK + response, "response", request=b"GET /" + request)


# -- the request as context


def ids(response: bytes, request: bytes) -> set[str]:
    """What is found in an answer beside its request, GOOD notes left out."""
    found = findings(response, "response", request=request)
    return {each.id for each in found if entry(each.id).level > Severity.GOOD}


def test_nothing_is_said_of_a_request_that_is_not_known() -> None:
    for name, (request, response) in CLEAN_ANSWERS.items():
        if not request.startswith((b"HEAD", b"CONNECT")):  # these decide where the answer ends
            assert ids(response, b"GET / HTTP/1.1\r\n") <= {"resp-unsolicited"}, name


def test_the_answer_to_one_request_is_not_held_against_another() -> None:
    request, preflight = CLEAN_ANSWERS["a preflight is allowed"]
    assert ids(preflight, request) == set()
    assert ids(preflight, request.replace(b"PUT", b"PATCH")) == {"preflight-lacks"}
    assert ids(preflight, request.replace(b"content-type", b"x-a")) == {"preflight-lacks"}
    assert ids(preflight, request.replace(b"http://b", b"http://c")) == {"cors-origin-other"}
    assert ids(preflight.replace(b"204 No Content", b"302 Found"), request) >= {"preflight-refused"}


@pytest.mark.parametrize(
    ("cookie", "said"),
    [
        (b"__Secure-a=b; SameSite=Lax", "without Secure"),
        (b"__host-a=b; Secure; SameSite=Lax", "without Path=/"),
        (b"__Host-a=b; Secure; Path=/; Domain=a; SameSite=Lax", "with Domain"),
        (b"__Http-a=b; Secure; SameSite=Lax", "without HttpOnly"),
        (b"a=b; SameSite=None", "SameSite=None without Secure"),
        (b"a=b; SameSite=Lax; Partitioned", "Partitioned without Secure"),
        (b"=__Host-a; SameSite=Lax", "without Secure"),
    ],
)
def test_a_cookie_that_browsers_drop_is_told_with_its_reason(cookie: bytes, said: str) -> None:
    found = findings(_OK + b"Set-Cookie: " + cookie + b"\r\nContent-Length: 0\r\n\r\n", "response")
    assert [said in each.detail for each in found if each.id == "resp-cookie-prefix"] == [True]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"no-store, max-age=60", {"resp-cache-conflict"}),
        (b"no-cache, no-store, must-revalidate, max-age=0", set()),
        (b"private, max-age=60", set()),
        (b"private, s-maxage=60", {"resp-cache-conflict"}),
        (b"max-age=60, max-age=61", {"resp-cache-conflict"}),
        (b'public, no-cache="Set-Cookie"', set()),
        (b"max-age=60; public", {"cache-directive-invalid"}),
        (b"max-age=60, immutable", set()),
        (b"max-age", {"cache-directive-invalid"}),
    ],
)
def test_directives_that_contradict_each_other_are_told_apart_from_habits(
    value: bytes, said: set[str]
) -> None:
    data = (
        b'Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: "a"\r\nCache-Control: '
        + value
        + b"\r\nContent-Length: 0\r\n\r\n"
    )
    found = {each.id for each in findings(_OK + data, "response")}
    assert {each for each in found if entry(each).level > Severity.INFO} == said


# -- real servers

_COMMON: Final = b"Host: localhost\r\nUser-Agent: tests/1.0\r\nAccept: */*\r\nConnection: close\r\n"
_ASKED: Final = {
    "a page": b"GET /page.html HTTP/1.1\r\n" + _COMMON + b"\r\n",
    "its head": b"HEAD /page.html HTTP/1.1\r\n" + _COMMON + b"\r\n",
    "nothing": b"GET /nothing HTTP/1.1\r\n" + _COMMON + b"\r\n",
    "a folder": b"GET /folder HTTP/1.1\r\n" + _COMMON + b"\r\n",
    "a part": b"GET /page.html HTTP/1.1\r\n" + _COMMON + b"Range: bytes=0-3\r\n\r\n",
    "no part": b"GET /page.html HTTP/1.1\r\n" + _COMMON + b"Range: bytes=99999-\r\n\r\n",
    "what is new": b"GET /page.html HTTP/1.1\r\n"
    + _COMMON
    + b"If-Modified-Since: Mon, 06 Nov 2034 08:49:37 GMT\r\n\r\n",
    "hints": b"GET /hints HTTP/1.1\r\n" + _COMMON + b"\r\n",
    "events": b"GET /events HTTP/1.1\r\n" + _COMMON + b"\r\n",
    "a preflight": b"OPTIONS / HTTP/1.1\r\n"
    + _COMMON
    + b"Origin: http://b\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
}
_TRUE: Final = {
    "nginx_files": {"resp-allow-missing"},  # its 405 has no Allow
    "node_answers": {"resp-content-type-missing"},  # the program of the test sets none
}


def answer(port: int, request: bytes) -> bytes:
    """All that a server sends for one request."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
        client.sendall(request)
        data = b""
        while piece := client.recv(65536):
            data += piece
    return data


@pytest.mark.parametrize("serve", [python_files, nginx_files, node_answers])
def test_honest_answers_of_real_servers_have_nothing_wrong(
    tmp_path: Path, serve: Callable[[Path], contextlib.AbstractContextManager[int]]
) -> None:
    folder = tmp_path / "files"
    (folder / "folder").mkdir(parents=True)
    (folder / "page.html").write_text("<!doctype html><title>page</title><p>a page")
    with serve(folder) as port:
        for name, request in _ASKED.items():
            if serve is node_answers and name == "its head":
                continue  # the program of the test sends trailers, which end it here
            _has_nothing_wrong(answer(port, request), request, _TRUE.get(serve.__name__, set()))


def _has_nothing_wrong(response: bytes, request: bytes, true: set[str]) -> None:
    found = findings(response, "response", request=request)
    worse = [each for each in found if entry(each.id).level > Severity.INFO and each.id not in true]
    assert worse == [], response


@contextlib.contextmanager
def _mirror(folder: Path) -> Iterator[int]:
    with LiveEngine(folder) as engine:
        yield engine.port


def test_answers_of_the_mirror_have_nothing_wrong(tmp_path: Path) -> None:
    browser = (
        CLEAN["a request of a browser"].replace(b"keep-alive", b"close").replace(b"text/css,", b"text/html,")
    )
    with _mirror(tmp_path) as port:
        for request in [*_ASKED.values(), browser]:
            _has_nothing_wrong(answer(port, request), request, set())
