"""What proxies tend to lose: each row is sent through `inspectd reverse` and `inspectd proxy`, and arrives as it was.

The client and the server are plain sockets. What a proxy has to change (the absolute target becomes a path) is the only
difference that there may be, and it is listed.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.capture.reader import Capture
from tests.proof.dialogue import FIN, RST, WAYS, check, client, recorded, server

if TYPE_CHECKING:
    from tests.proof.dialogue import Line, Stage, Way

GET = b"GET {base}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
HEAD = b"HEAD {base}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = b"POST {base}/ HTTP/1.1\r\nHost: {host}\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b'3;a=b;c="d; e"\r\nabc\r\n0003 ; x\r\ndef\r\nA\r\n0123456789\r\n000;last\r\n'
NO_HALF = tuple(way for way in WAYS if way != "tls")
"""TLS of Python can't send one side's end and go on to read."""


class Case(NamedTuple):
    """What is said."""

    name: str
    lines: tuple[Line, ...]
    ways: tuple[Way, ...] = WAYS


def request(name: str, *said: bytes, ways: tuple[Way, ...] = WAYS) -> Case:
    """A request, in pieces, that is answered in the plainest way."""
    return Case(f"request: {name}", (*map(client, said), server(OK)), ways)


def response(name: str, *said: bytes | str, asked: bytes = GET, ways: tuple[Way, ...] = WAYS) -> Case:
    """An answer to the plainest request, in pieces."""
    return Case(f"response: {name}", (client(asked), *map(server, said)), ways)  # type: ignore[arg-type]


OPEN = tuple(way for way in WAYS if way != "absolute")
"""The ways on which a request line that is none can go."""

CASES = [
    # -- requests
    request("spaces in the request line", b"GET  {base}/two  HTTP/1.1 \r\nHost: {host}\r\n\r\n"),
    request("tabs in the request line", b"GET\t/tab\tHTTP/1.1\r\nHost: {host}\r\n\r\n", ways=OPEN),
    request("spaces around colons", GET[:-2] + b"A :  b \t \r\nC:d\r\nE\t:\tf\r\n\r\n"),
    request("LF only", b"GET {base}/ HTTP/1.1\nHost: {host}\nX: 1\n\n"),
    request("LF and CRLF mixed", b"GET {base}/ HTTP/1.1\r\nHost: {host}\nX: 1\r\n\n"),
    request("CR in a value", GET[:-2] + b"X: a\rb\r\n\r\n"),
    request("CR CR LF", GET[:-2] + b"X: a\r\r\n\r\n"),
    request("folded lines", GET[:-2] + b"X: 1\r\n 2\r\n\t3\r\n  \r\nY: 4\r\n\r\n"),
    request("a folded first line", b"GET {base}/ HTTP/1.1\r\n folded\r\nHost: {host}\r\n\r\n"),
    request("duplicates, order and case", GET[:-2] + b"x-A: 1\r\nX-a: 2\r\nB: 0\r\nx-a: 1\r\nb:\r\n\r\n"),
    request("no name, no colon", GET[:-2] + b": nameless\r\nno colon\r\n\r\n"),
    request("odd characters in names", GET[:-2] + b"A(b): 1\r\n@: 2\r\n\xe9: 3\r\n\r\n"),
    request("obs-text and UTF-8", GET[:-2] + b"X: \x80\xff\r\nY: \xe2\x82\xac\r\n\r\n"),
    request("NUL in a value", GET[:-2] + b"X: a\x00b\r\n\r\n"),
    request("controls in a value", GET[:-2] + b"X: \x01\x07\x1b[31m\x7f\r\n\r\n"),
    request("empty lines before", b"\r\n\r\n" + GET),
    request("an LF before", b"\n" + GET),
    request("obs-text in the target", b"GET {base}/\x80\xff?\xe9 HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    request("a target of bad escapes", b"GET {base}/%zz/../a//b/%2F?q[]=|^ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    request("a fragment", b"GET {base}/a#b HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    request("a long target", b"GET {base}/" + b"a" * 7_900 + b" HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    request("many fields", GET[:-2] + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(400)) + b"\r\n"),
    request("lower case method", b"get {base}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    request("obs-text in the method", b"G\xffT / HTTP/1.1\r\nHost: {host}\r\n\r\n", ways=OPEN),
    request("a method of its own", b"X-$~`| {base}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    request("no version", b"GET /only-two-words\r\nHost: {host}\r\n\r\n", ways=("reverse",)),
    request("an unknown version", b"GET {base}/ HTTP/1.9\r\nHost: {host}\r\n\r\n"),
    request("a version in lower case", b"GET / http/1.1\r\nHost: {host}\r\n\r\n", ways=OPEN),
    request("HTTP/1.0", b"GET {base}/ HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n"),
    request("HTTP/1.0 without Host", b"GET {base}/ HTTP/1.0\r\n\r\n"),
    request("no Host", b"GET / HTTP/1.1\r\nX: 1\r\n\r\n", ways=OPEN),
    request("two of Host", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", ways=OPEN),
    request("an absolute target", b"GET http://other.test/a?q HTTP/1.1\r\nHost: a\r\n\r\n", ways=OPEN),
    request(
        "an absolute target without path", b"GET http://other.test HTTP/1.1\r\nHost: a\r\n\r\n", ways=OPEN
    ),
    request("a target with only a query", b"GET http://other.test?q HTTP/1.1\r\nHost: a\r\n\r\n", ways=OPEN),
    request("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ways=OPEN),
    request("words that are no request", b"hello  world \r\n\r\n", ways=("reverse",)),
    request("a lonely word", b"hello\r\n\r\n", ways=("reverse",)),
    request(
        "hop-by-hop fields",
        GET[:-2] + b"Connection: X, keep-alive\r\nKeep-Alive: 3\r\nX: 1\r\nTE: trailers\r\n\r\n",
    ),
    request(
        "chunk extensions, sizes and trailers", POST + CHUNKED + CHUNKS + b"X-Sum: 1 \r\nx-sum:2\r\n\r\n"
    ),
    request(
        "chunks of their own", POST + CHUNKED, b"5\r\nhello\r\n", b"1;x\r\n!\r\n", b"0\r\nA: b\r\n", b"\r\n"
    ),
    request("half a chunk line", POST + CHUNKED, b"5", b";ext=", b"1\r", b"\nhel", b"lo\r\n0\r\n\r\n"),
    request("chunks that end with LF", POST + CHUNKED + b"3\nabc\n0\n\n"),
    request(
        "upper and lower case sizes", POST + CHUNKED + b"a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"
    ),
    request("Transfer-Encoding in odd letters", POST + b"transfer-ENCODING:\tChUnKeD\r\n\r\n0\r\n\r\n"),
    request("a coding before chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
    request("content with a GET", GET[:-2] + b"Content-Length: 5\r\n\r\nhello"),
    request("content of all bytes", POST + b"Content-Length: 256\r\n\r\n" + bytes(range(256))),
    request("content byte by byte", POST + b"Content-Length: 3\r\n\r\n", b"a", b"b", b"c"),
    request("a chunk extension of 20 kB", POST + CHUNKED + b"1;" + b"e" * 20_000 + b"\r\nx\r\n0\r\n\r\n"),
    request("trailers of 50 kB", POST + CHUNKED + b"0\r\n" + b"X: y\r\n" * 8_000 + b"\r\n"),
    request("chunked twice", POST + b"Transfer-Encoding: chunked\r\n" + CHUNKED + b"0\r\n\r\n"),
    request("an upgrade that is refused", GET[:-2] + b"Connection: upgrade\r\nUpgrade: h2c, x\r\n\r\n"),
    request("equal lengths twice", POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"),
    Case(
        "request: Expect is the server's to answer",
        (
            client(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"),
            server(b"HTTP/1.1 100 Go  on\r\nX: y\r\n\r\n"),
            client(b"ok"),
            server(OK),
        ),
    ),
    Case(
        "request: Expect that is refused",
        (
            client(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n"),
            server(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
            server(FIN),
        ),
        NO_HALF,
    ),
    Case(
        "request: an answer before the content",
        (client(POST + b"Content-Length: 9\r\n\r\n123"), server(OK), client(b"456"), client(b"789")),
    ),
    Case(
        "request: FIN within the content",
        (client(POST + b"Content-Length: 9\r\n\r\n123"), client(FIN)),
        NO_HALF,
    ),
    Case("request: RST within the content", (client(POST + b"Content-Length: 9\r\n\r\n123"), client(RST))),
    Case("request: FIN within a chunk", (client(POST + CHUNKED + b"5\r\nhel"), client(FIN)), NO_HALF),
    Case("request: RST within a chunk", (client(POST + CHUNKED + b"5\r\nhel"), client(RST))),
    Case("request: FIN behind it", (client(GET), client(FIN), server(OK), server(FIN)), NO_HALF),
    Case("request: RST while waiting", (client(GET), client(RST))),
    # -- responses
    response("empty reason", b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    response("no reason", b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
    response("spaces in the status line", b"HTTP/1.1  200  Very   OK \r\nContent-Length: 0\r\n\r\n"),
    response("obs-text in the reason", b"HTTP/1.1 200 \xe9\xff\r\nContent-Length: 0\r\n\r\n"),
    response("LF only", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    response("LF and CRLF mixed", b"HTTP/1.1 200 OK\nContent-Length: 2\r\nX: y\n\r\nok"),
    response("folded lines", b"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\t3\r\nContent-Length: 2\r\n\r\nok"),
    response("spaces around colons", b"HTTP/1.1 200 OK\r\nX:1\r\nY:  2 \t\r\nContent-Length:\t2 \r\n\r\nok"),
    response(
        "duplicates, order and case",
        b"HTTP/1.1 200 OK\r\nx-A: 1\r\nContent-Length: 0\r\nX-a: 2\r\nx-A: 1\r\n\r\n",
    ),
    response(
        "cookies", b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1, b\r\nset-cookie: c\r\nContent-Length: 0\r\n\r\n"
    ),
    response("no colon", b"HTTP/1.1 200 OK\r\nno colon\r\n: nameless\r\nContent-Length: 0\r\n\r\n"),
    response("NUL and controls", b"HTTP/1.1 200 OK\r\nX: a\x00b\x1b[31m\x7f\r\nContent-Length: 0\r\n\r\n"),
    response("obs-text", b"HTTP/1.1 200 OK\r\nX: \x80\xff \xe2\x82\xac\r\nContent-Length: 0\r\n\r\n"),
    response("CR in a value", b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n"),
    response("odd status codes", b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"),
    response("a status of two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"),
    response("103, then 200", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n", OK),
    response("103 and 200 at once", b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK),
    response("three interim", *[b"HTTP/1.1 %d \r\n\r\n" % code for code in (100, 102, 103)], OK),
    response(
        "chunk extensions, sizes and trailers",
        b"HTTP/1.1 200 OK\r\n" + CHUNKED + CHUNKS + b"X-Sum: 1 \r\nx-sum:2\r\n\r\n",
    ),
    response(
        "chunks of their own",
        b"HTTP/1.1 200 OK\r\n" + CHUNKED,
        b"5\r\nhello\r\n",
        b"0\r\n",
        b"A: b\r\n",
        b"\r\n",
    ),
    response(
        "half a chunk line",
        b"HTTP/1.1 200 OK\r\n" + CHUNKED,
        b"00",
        b"5;",
        b"a\r",
        b"\nhel",
        b"lo\r\n0\r\n\r\n",
    ),
    response("chunks that end with LF", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"3\nabc\n0\n\n"),
    response("bad chunks", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"zz\r\nwhatever", FIN),
    response(
        "events",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        b":\n\n",
        b"data: 1\n",
        b"\n",
        FIN,
    ),
    response("until the end", b"HTTP/1.1 200 OK\r\n\r\n", b"to the ", b"end", FIN),
    response("until RST", b"HTTP/1.1 200 OK\r\n\r\n", b"to the ", b"end", RST),
    response("HTTP/1.0", b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", FIN),
    response("HTTP/1.0 without length", b"HTTP/1.0 200 OK\r\n\r\nto the end", FIN),
    response("HTTP/0.9", b"<p>hello\n", FIN, asked=b"GET {base}/ HTTP/1.0\r\nHost: {host}\r\n\r\n"),
    response("what is no HTTP", b"220 mail.test ESMTP\r\n", FIN),
    response("a length with spaces", b"HTTP/1.1 200 OK\r\nContent-Length: 2 \r\n\r\nok"),
    response(
        "equal lengths twice", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", FIN
    ),
    response(
        "lengths that differ", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\nokok", FIN
    ),
    response("a length that is no number", b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", FIN),
    response(
        "length and chunks",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + CHUNKED + b"1\r\nx\r\n0\r\n\r\n",
        FIN,
    ),
    response("HEAD with a length", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", asked=HEAD),
    response("HEAD with content", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", FIN, asked=HEAD),
    response("204 with content", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", FIN),
    response("304 with a length", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"),
    response("more than its length", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokmore", FIN),
    response("FIN within the head", b"HTTP/1.1 200 OK\r\nContent-", FIN),
    response("FIN within the content", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123", FIN),
    response("RST within the content", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n123", RST),
    response("FIN within a chunk", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhel", FIN),
    response("RST within a chunk", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhel", RST),
    response("FIN before the last chunk", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"5\r\nhello\r\n", FIN),
    response(
        "another protocol",
        b"HTTP/1.1 101 \r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x00\xff",
        FIN,
        asked=GET[:-2] + b"Upgrade: x\r\nConnection: upgrade\r\n\r\n",
    ),
    response("empty lines before", b"\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    response("bare CR for line ends", b"HTTP/1.1 200 OK\rContent-Length: 2\r\rok", FIN),
    response("another protocol's name", b"ICY 200 OK\r\nicy-name: x\r\n\r\nmusic", FIN),
    response("a version of its own", b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    response("a head of 200 KiB", b"HTTP/1.1 200 OK\r\n" + b"X: %s\r\n" % (b"y" * 1000) * 200 + OK[17:]),
    response("a status line of 20 kB", b"HTTP/1.1 200 " + b"y" * 20_000 + b"\r\n" + OK[17:]),
    response(
        "a chunk extension of 20 kB", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"1;" + b"e" * 20_000 + b"\r\nx", FIN
    ),
    response(
        "trailers of 100 kB",
        b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"0\r\n" + b"X: y\r\n" * 16_000 + b"\r\n",
    ),
    response("a huge chunk size", b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"fffffffffffffffffff\r\nx", FIN),
    response("a huge length", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nx", FIN),
    response("a negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx", FIN),
    response("an empty length", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nx", FIN),
    response("a coding after chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nx", FIN),
    response("identity", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nx", FIN),
    response("HEAD with chunks", b"HTTP/1.1 200 OK\r\n" + CHUNKED, asked=HEAD),
    response("205 with a length", b"HTTP/1.1 205 Reset Content\r\nContent-Length: 2\r\n\r\nok"),
    response("101 that nobody asked for", b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"\x00", FIN),
    response("interim without end", *[b"HTTP/1.1 102 Wait\r\n\r\n"] * 30, OK),
    response("the end within a line end", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r", b"\nok"),
    Case(
        "several on one connection",
        (client(GET), server(OK), client(HEAD), server(OK[:-2]), client(GET), server(OK)),
    ),
]


def _params() -> list[object]:
    found: list[object] = []
    for case in CASES:
        first = case.lines[0].said
        assert isinstance(first, bytes)
        ways = [way for way in case.ways if way != "absolute" or b"{base}" in first]
        found += [pytest.param(way, case, id=f"{way}, {case.name}") for way in ways]
    return found


@pytest.mark.parametrize(("way", "case"), _params())
def test_it_arrives_as_it_was_sent(stages: dict[Way, Stage], way: Way, case: Case) -> None:
    stage = stages[way]
    here, there = stage.play(case.lines)
    capture, rows = check(stage.engine.capture, here, there, tunnelled=way in {"connect", "socks5", "tls"})
    with capture:
        for row in capture.exchanges_of(rows.carried.id):
            forward = capture.forward(row.id)
            if row.method == "CONNECT":
                continue
            assert forward is not None
            changes = json.loads(forward.changes or "[]")
            assert [change["what"] for change in changes] == ["request target"] * (way == "absolute")
            if there.sent:
                assert capture.forwarded_bytes(forward, OUTGOING) == capture.response_bytes(row)
            if way != "absolute":
                assert capture.request_bytes(row) in capture.forwarded_bytes(forward, INCOMING)


AMBIGUOUS = (
    POST + b"Content-Length: 3\r\n" + CHUNKED + b"0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    POST + b"Content-Length: 0\r\nContent-Length: 0, 0\r\n\r\n",
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("said", AMBIGUOUS)
def test_a_request_whose_end_parsers_disagree_about_is_alone_on_its_connection(
    stages: dict[Way, Stage], way: Way, said: bytes
) -> None:
    stage = stages[way]
    sent, arrives = stage.fill(client(said))
    before, plain = stage.fill(client(GET))
    assert isinstance(sent, bytes)
    assert isinstance(before, bytes)
    with contextlib.ExitStack() as life:
        here = stage.enter()
        life.callback(here.close)
        here.say(before)
        first = stage.accept()
        life.callback(first.close)
        assert first.hear(len(plain)) == plain
        first.say(OK)
        assert here.hear(len(OK)) == OK
        here.say(sent)
        second = stage.accept()
        life.callback(second.close)
        assert first.end()[0] == b""
        assert second.hear(len(arrives)) == arrives
        second.say(OK)
        assert here.hear(len(OK)) == OK
        assert here.end() == (b"", FIN)
        assert second.end()[0] == b""
    with Capture.open(stage.engine.capture) as capture:
        rows = recorded(capture, here.name)
        assert [capture.stream_bytes(row.id, INCOMING) for row in rows.upstreams] == [plain, arrives]
        exchange = capture.exchanges_of(rows.carried.id)[-1]
        assert exchange.state & State.AMBIGUOUS
        assert capture.request_bytes(exchange) == sent


@pytest.mark.parametrize("way", WAYS)
def test_a_server_that_closes_amid_a_pipeline_closes_for_the_client(
    stages: dict[Way, Stage], way: Way
) -> None:
    stage = stages[way]
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    ask, arrives = stage.fill(client(GET))
    assert isinstance(ask, bytes)
    with contextlib.ExitStack() as life:
        here = stage.enter()
        life.callback(here.close)
        here.say(ask * 3)
        there = stage.accept()
        life.callback(there.close)
        for answer in (OK, last):
            assert there.hear(len(arrives)) == arrives
            there.say(answer)
            assert here.hear(len(answer)) == answer
        there.say(FIN)
        assert here.end() == (b"", FIN)
        here.close()
        there.end()  # the third request may be on its way
    with Capture.open(stage.engine.capture) as capture:
        rows = recorded(capture, here.name)
        assert capture.stream_bytes(rows.carried.id, OUTGOING).endswith(OK + last)
        assert capture.stream_bytes(rows.upstreams[0].id, INCOMING).startswith(arrives * 2)
