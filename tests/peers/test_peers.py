"""Peer check: what the suites of curl, urllib3 and pytest-httpserver need from a server can be said in rules.

Each case is named after a test of theirs (`curl-36` is curl's tests/data/test36, `urllib3-early-eof` is
`test_early_eof_...` in urllib3's test_socketlevel.py, `httpserver-oneshot` is `test_oneshot` of pytest-httpserver). We
read what their server does in that test and say the like in our own words in `peers.toml`; here it is held against
the exact bytes, and the way the connection ends, that a plain socket sees.
"""

from __future__ import annotations

import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

RULES = Path(__file__).with_name("peers.toml")

End = Literal["open", "fin", "rst", "silent"]


@dataclass(frozen=True)
class Turn:
    """A request and the bytes that come back.

    After them the connection stays `open` for the next turn, or ends with FIN or RST; `silent` means that it is open
    and nothing more comes for a while. A turn after any but an `open` one is on a new connection. The first byte
    comes no earlier than after so many seconds.
    """

    sent: bytes
    got: bytes
    end: End = "open"
    after: float = 0.0


def ask(target: str, *lines: str, method: str = "GET", content: bytes = b"") -> bytes:
    """The bytes of a request."""
    return "\r\n".join((f"{method} {target} HTTP/1.1", "Host: test", *lines, "", "")).encode() + content


def connect(host: str, *lines: str) -> bytes:
    """The bytes of a request for a tunnel."""
    return "\r\n".join((f"CONNECT {host}:443 HTTP/1.1", f"Host: {host}:443", *lines, "", "")).encode()


def ok(content: bytes, *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """A response with a Content-Length."""
    length = b"Content-Length: %d" % len(content)
    return b"\r\n".join((b"HTTP/1.1 " + status, *lines, length, b"", content))


def head(*lines: bytes) -> bytes:
    """A head of these lines."""
    return b"\r\n".join((*lines, b"", b""))


NOBODY = ok(b"", status=b"404 Nobody Expected This")
CHUNKED = head(b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked")

CASES: dict[str, tuple[Turn, ...]] = {
    "curl-12": (
        Turn(
            ask("/curl/12", "Range: bytes=10-19"),
            ok(
                b"klmnopqrst",
                b"Accept-Ranges: bytes",
                b"Content-Range: bytes 10-19/26",
                status=b"206 Partial Content",
            ),
        ),
    ),
    "curl-25": (
        Turn(
            ask("/curl/25"),
            head(
                b"HTTP/1.1 301 Round And Round",
                b"Location: /curl/25",
                b"Content-Length: 5",
                b"Connection: close",
            )
            + b"again",
            "fin",
        ),
    )
    * 3,
    "curl-30": (Turn(ask("/curl/30"), b"", "fin"),),
    "curl-34": (
        Turn(
            ask("/curl/34"),
            head(b"HTTP/1.1 200 In Pieces", b"Transfer-Encoding: chunked")
            + b"4\r\naaaa\r\n3\r\nbbb\r\n1;note=third\r\nc\r\n0\r\n\r\n",
        ),
    ),
    "curl-36": (Turn(ask("/curl/36"), CHUNKED + b"1\r\na\r\nNOTHEX\r\nbcd\r\n", "fin"),),
    "curl-51": (
        Turn(ask("/curl/51/deep/path"), ok(b"", b"Location: ../../../../../../up", status=b"302 Found")),
    ),
    "curl-54": (Turn(ask("/curl/54"), ok(b"to nowhere", b"Location: ", status=b"302 Found")),),
    "curl-129": (Turn(ask("/curl/129"), head(b"HTTP/1.2 200 OK", b"Content-Length: 2") + b"hi"),),
    "curl-153": (
        Turn(
            ask("/curl/153"),
            ok(b"", b'WWW-Authenticate: Digest realm="r", nonce="first"', status=b"401 Who Are You"),
        ),
        Turn(
            ask("/curl/153", 'Authorization: Digest username="u", realm="r", nonce="first", response="0"'),
            ok(
                b"",
                b'WWW-Authenticate: Digest realm="r", algorithm=MD5, nonce="second", stale=true, qop="auth"',
                status=b"401 Once More",
            ),
        ),
        Turn(
            ask("/curl/153", 'Authorization: Digest username="u", realm="r", nonce="second", response="0"'),
            ok(b"inside"),
        ),
    ),
    "curl-158": (
        Turn(
            ask("/curl/158", "Content-Length: 2", method="POST", content=b"ab"),
            head(b"HTTP/1.1 100 Continue", b"X-Silly: yes"),
            "fin",
        ),
    ),
    "curl-160": (
        Turn(ask("/curl/160"), ok(b"surprise")),
        Turn(ask("/curl/160"), b"", "rst"),
        Turn(ask("/curl/160"), ok(b"surprise")),
    ),
    "curl-178": (
        Turn(ask("/curl/178"), head(b"HTTP/1.1 200 OK", b"Content-Length: -6") + b"more than that", "fin"),
    ),
    "curl-197": (
        Turn(ask("/curl/197"), ok(b"not yet", status=b"503 BUSY")),
        Turn(ask("/curl/197"), ok(b"now")),
        Turn(ask("/curl/197"), ok(b"now")),
    ),
    "curl-206": (
        Turn(
            connect("curl-206.test"),
            head(
                b"HTTP/1.1 407 Who Are You",
                b'Proxy-Authenticate: Digest realm="r", nonce="n"',
                b"Content-Length: 11",
                b"Connection: close",
            )
            + b"ignore this",
            "fin",
        ),
        Turn(
            connect("curl-206.test", 'Proxy-Authorization: Digest username="u"'),
            head(b"HTTP/1.1 200 Go Ahead", b"Server: none"),
            "silent",
        ),
    ),
    "curl-207": (Turn(ask("/curl/207"), CHUNKED + b"11\r\naaaaaaaaaaaaaaaa\r\n", "fin"),),
    "curl-221": (
        Turn(
            ask("/curl/221"),
            ok(b"\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0", b"Content-Encoding: gzip"),
        ),
    ),
    "curl-249": (
        Turn(
            ask("/curl/249"),
            head(b"HTTP/1.1 304 Not Modified", b"Content-Length: 677777", b"Connection: close"),
            "fin",
        ),
    ),
    "curl-262": (Turn(ask("/curl/262"), ok(b"hello", b"X-A: 1\0", b'ETag: "a"\0', status=b"200 OK\0")),),
    "curl-266": (
        Turn(
            ask("/curl/266"),
            head(b"HTTP/1.1 200 OK", b"Trailer: x-sum", b"Transfer-Encoding: chunked")
            + b"4\r\naaaa\r\n3\r\nbbb\r\n0\r\nx-sum: 7\r\n\r\n",
        ),
    ),
    "curl-282": (Turn(ask("/curl/282"), head(b"HTTP/1.1 200 OK"), "fin"),),
    "curl-398": (Turn(ask("/curl/398"), ok(b"hello", b"X-A: 1", b"Server none", b"X-B: 2")),),
    "curl-415": (Turn(ask("/curl/415"), head(b"HTTP/1.1 200 OK", b"Content-Length: \r-6") + b"moo", "fin"),),
    "curl-418": (
        Turn(
            ask("/curl/418"),
            head(b"HTTP/1.1 200 OK", b"Content-Length: 3", *[b"Transfer-Encoding: gzip"] * 9) + b"foo",
            "fin",
        ),
    ),
    "curl-499": (
        Turn(ask("/curl/499", method="HEAD"), head(b"HTTP/1.1 200 OK", b"Content-Length: 3") + b"foo", "fin"),
    ),
    "curl-771": (
        Turn(
            ask("/curl/771"),
            head(b"HTTP/1.1 200 OK", b"Content-Length: 44", b"Content-Length: 6") + b"-foo-\n",
            "fin",
        ),
    ),
    "curl-1033": (Turn(ask("/curl/1033"), head(b"HTTP/1.1 102 Still At It") + ok(b"done")),),
    "curl-1070": (
        Turn(
            ask("/curl/1070", "Content-Length: 2000", method="POST", content=b"a" * 1000),
            ok(b"no", status=b"403 Keep It").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
            "fin",
        ),
    ),
    "curl-1115": (Turn(ask("/curl/1115"), head(b"HTTP/1.1 104 Experiment", b"X-Try: 1") + ok(b"")),),
    "curl-1116": (Turn(ask("/curl/1116"), CHUNKED + b"4\r\naaaa\r\n0\r\nx-sum: 4\r\nx-more: yes\r\n\r\n"),),
    "curl-1129": (
        Turn(
            ask("/curl/1129", "Content-Length: 1053700", "Expect: 100-continue", method="POST"),
            ok(b"no", status=b"404 NOT HERE").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
            "fin",
        ),
    ),
    "curl-1138": (
        Turn(ask("/curl/1138"), ok(b"", "Location: ../größe/?name=آغاز".encode(), status=b"302 Found")),
    ),
    "curl-1141": (
        Turn(ask("/curl/1141"), ok(b"", b"Location: http:///host.test/page", status=b"302 Found")),
    ),
    "curl-1144": (Turn(ask("/curl/1144", method="HEAD"), b"Just some text\n\nin two paragraphs\n", "fin"),),
    "curl-1154": (Turn(ask("/curl/1154"), ok(b"foo", b"Long: ".ljust(102400, b"a"))),),
    "curl-1266": (Turn(ask("/curl/1266"), b"o", "fin"),),
    "curl-1267": (Turn(ask("/curl/1267"), b"HTTPx\n", "fin"),),
    "curl-1274": (
        Turn(
            ask("/curl/1274"),
            head(
                b"HTTP/1.1 200 OK",
                b"Server: a/",
                b" b",
                b"Tabs: c",
                b"\td",
                b"Content-Length: 3",
                b"Connection:        ",
                b"   close",
            )
            + b"foo",
            "fin",
        ),
    ),
    "urllib3-multi-setcookie": (
        Turn(
            ask("/urllib3/multi-setcookie"),
            head(b"HTTP/1.1 200 OK", b"Set-Cookie: a=1", b"Set-Cookie: b=2"),
            "fin",
        ),
    ),
    "urllib3-recovery-when-server-closes-connection": (
        Turn(ask("/urllib3/recovery"), ok(b"first"), "fin"),
        Turn(ask("/urllib3/recovery"), ok(b"second"), "fin"),
    ),
    "urllib3-connection-read-timeout": (Turn(ask("/urllib3/read-timeout"), b"", "silent"),),
    "urllib3-timeout-errors-cause-retries": (
        Turn(ask("/urllib3/timeout-retry"), b"", "silent"),
        Turn(ask("/urllib3/timeout-retry"), ok(b"second")),
    ),
    "urllib3-delayed-body-read-timeout": (
        Turn(ask("/urllib3/delayed-body"), head(b"HTTP/1.1 200 OK", b"Content-Length: 2"), "silent"),
    ),
    "urllib3-incomplete-response": (
        Turn(ask("/urllib3/incomplete"), head(b"HTTP/1.1 200 OK", b"Content-Length: 8") + b"Re", "fin"),
    ),
    "urllib3-retry-weird-http-version": (
        Turn(ask("/urllib3/weird-version"), head(b"HTTP/0.5 200 OK", b"Content-Length: 3") + b"odd", "fin"),
        Turn(ask("/urllib3/weird-version"), ok(b"fine")),
    ),
    "urllib3-early-eof": (Turn(connect("early-eof.test"), b"HTTP/1.0 200 OK\r\n", "fin"),),
    "urllib3-proxy-status-not-ok": (
        Turn(connect("not-ok.test"), head(b"HTTP/1.0 501 Not Here", b"Connection: close"), "fin"),
    ),
    "urllib3-header-without-name": (
        Turn(ask("/urllib3/broken-headers"), ok(b"", b": value", b":", b"No Colon", b"Another: one")),
    ),
    "urllib3-chunked-head-response": (Turn(ask("/urllib3/chunked-head", method="HEAD"), CHUNKED),),
    "urllib3-enforce-content-length": (
        Turn(
            ask("/urllib3/enforce-length"),
            head(b"HTTP/1.1 200 OK", b"Content-Length: 22") + b"hello, world",
            "silent",
        ),
    ),
    "httpserver-oneshot": (
        Turn(ask("/httpserver/oneshot", method="DELETE"), ok(b"once")),
        Turn(ask("/httpserver/oneshot"), NOBODY),
    ),
    "httpserver-garbage-hook": (
        Turn(
            ask("/httpserver/garbage"),
            head(b"HTTP/1.1 200 OK", b"Content-Length: 6") + b"\0\xff\x80\nOK",
        ),
    ),
    "httpserver-delay-hook": (Turn(ask("/httpserver/delay"), ok(b"OK"), after=0.2),),
    "httpserver-header-one-key-multiple-values": (
        Turn(ask("/httpserver/two-values"), ok(b"", b"X-Foo: 123", b"X-Foo: 456")),
    ),
    "httpserver-json-matcher": (
        Turn(
            ask("/httpserver/json", "Content-Length: 14", method="POST", content=b'{"foo": "bar"}'),
            ok(b"matched"),
        ),
        Turn(ask("/httpserver/json", "Content-Length: 14", method="POST", content=b'{"foo": "baz"}'), NOBODY),
        Turn(ask("/httpserver/json", "Content-Length: 7", method="POST", content=b'{"foo":'), NOBODY),
        Turn(ask("/httpserver/json"), NOBODY),
    ),
    "httpserver-querystring-dict": (
        Turn(ask("/httpserver/query?k1=v1&k2=v2"), ok(b"matched")),
        Turn(ask("/httpserver/query?k2=v2&k1=v1"), ok(b"matched")),
        Turn(ask("/httpserver/query?k1=v1"), NOBODY),
    ),
    "httpserver-regexp": (
        Turn(ask("/httpserver/123/bar/"), ok(b'{"foo":"bar"}', b"Content-Type: application/json")),
        Turn(ask("/httpserver/bar/"), NOBODY),
    ),
    "httpserver-no-handler-status-code": (Turn(ask("/httpserver/nobody"), NOBODY),),
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    """The engine with the rules of the peers."""
    with LiveEngine(tmp_path_factory.mktemp("peers"), "--rules", str(RULES)) as running:
        yield running


def _exactly(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = client.recv(count - len(data))
        if not piece:
            break
        data += piece
    return data


def _rest(client: socket.socket) -> tuple[bytes, End]:
    data = b""
    try:
        while piece := client.recv(65536):
            data += piece
    except ConnectionResetError:
        return data, "rst"
    return data, "fin"


def _take(client: socket.socket, turn: Turn) -> None:
    """Send a request and hold what comes back against what should."""
    began = time.monotonic()
    client.sendall(turn.sent)
    if turn.end in {"fin", "rst"}:
        assert _rest(client) == (turn.got, turn.end)
    else:
        assert _exactly(client, len(turn.got)) == turn.got
    assert time.monotonic() - began >= turn.after
    if turn.end == "silent":
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)


@pytest.mark.parametrize("name", CASES)
def test_what_a_peer_needs_comes_byte_for_byte(engine: LiveEngine, name: str) -> None:
    client: socket.socket | None = None
    try:
        for turn in CASES[name]:
            client = client or engine.connect()
            _take(client, turn)
            if turn.end != "open":
                client.close()
                client = None
        if client is not None:  # open means that it can go on
            _take(client, Turn(ask("/still/there"), NOBODY))
    finally:
        if client is not None:
            client.close()


def test_every_rule_is_checked() -> None:
    named = [rule["name"] for rule in tomllib.loads(RULES.read_text())["rule"]]
    helping = {
        "curl-153-second-nonce",
        "curl-153-first-nonce",
        "curl-160-reused",
        "curl-206-with-credentials",
    }
    assert [name for name in named if name not in helping] == list(CASES)
    assert len(CASES) >= 40
