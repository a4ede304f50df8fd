"""Findings of what was recorded: derived from its bytes, and looked for by tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.capture.findings import Marks, around, findings_of, found_in, marks, marks_of_connection
from inspectd.capture.following import findings_before, following
from inspectd.capture.model import State, TlsRow
from inspectd.capture.reader import Capture
from inspectd.capture.wanted import FindingTest, NotATestError, completion, wanted
from inspectd.lint import Context, Severity, catalogue, findings, quick
from inspectd.wire import ArrivedHead, RequestReader, read
from inspectd.wire.sniff import Sniff, sniff
from tests.capture.traffic import get, new_writer, open_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inspectd.capture.model import ConnectionRow, ExchangeRow

SMUGGLED = (
    b"POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX"
)
HOSTILE = b"GET /\x1b[2J HTTP/1.1\r\nHost : \x9b\r\n\r\n"


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    """Three ordinary exchanges, then a request of two lengths, then one that is no good HTTP."""
    path = tmp_path / "found.inspectd"
    writer = new_writer(path)
    connection = open_connection(writer, now=1_000)
    for number in range(3):
        get(writer, connection, f"/{number}", now=2_000 + number)
    for number, data in enumerate((SMUGGLED, HOSTILE)):
        start = connection.bytes_in
        connection.received(data, 3_000 + number)
        exchange = connection.begin(start, 3_000 + number)
        connection.end(exchange, connection.bytes_in)
        exchange.method, exchange.target = "POST", "/odd"
        exchange.req_head = data.index(b"\r\n\r\n") + 4
        exchange.state |= (State.HEAD_COMPLETE | State.REQUEST_COMPLETE).value
        connection.settle(None)
    writer.flush(4_000)
    writer.close(5_000)
    with Capture.open(path) as opened:
        yield opened


def _searched(capture: Capture, words: str) -> list[int]:
    return sorted(number for chunk in capture.search(words) for number in chunk)


def test_findings_are_those_of_the_bytes(capture: Capture) -> None:
    row = capture.exchange(4)
    assert row is not None

    assert found_in(capture, row).request == tuple(findings(SMUGGLED, "request"))
    assert "te-with-cl" in {each.id for each in found_in(capture, row).request}
    assert found_in(capture, row).response == ()
    assert marks(capture, row).worst is Severity.ERROR


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        ("finding == te-with-cl", [4]),
        ("finding==te-with-cl", [4]),
        ("finding ~ te-with", [4]),
        ("finding != te-with-cl", [1, 2, 3, 5]),
        ("severity >= error", [4, 5]),
        ("severity < error", [1, 2, 3]),
        ("severity >= error post", [4, 5]),
        ("severity >= error GET", []),
        ("severity >= error finding != te-with-cl", [5]),
        ("finding", []),
    ],
)
def test_findings_are_looked_for(capture: Capture, words: str, ids: list[int]) -> None:
    assert _searched(capture, words) == ids


def test_connections_have_none(capture: Capture) -> None:
    assert list(capture.search_connections("severity >= good")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("finding == te-wth-cl", "Did you mean te-with-cl"),
        ("finding == ", "Say what it is compared with"),
        ("finding > te-with-cl", "compared with ==, != and ~"),
        ("severity == bad", "good, info, warning, error"),
        ("status >= 400", "status is looked for by words alone, without >="),
        ("GET status==502", "status is looked for by words alone, without =="),
        ("finding ~ nosuchpart", "no finding has 'nosuchpart' in its id"),
    ],
)
def test_tests_that_mean_nothing_are_refused(words: str, said: str) -> None:
    with pytest.raises(NotATestError, match=said):
        wanted(words)


@given(st.text() | st.from_regex(r"(finding|severity) ?(==|~|>|<=) ?[a-z-]*"))
def test_any_words_are_words_or_tests(text: str) -> None:
    completed = completion(text)
    assert completed is None or completed.startswith(text)
    try:
        asked = wanted(text)
    except NotATestError:
        return
    assert asked.tests or asked.words == tuple(text.split())


def test_words_that_only_look_like_tests_are_words() -> None:
    for text in ("/a?status==1", "status 404", "a<b", "=> x", "<script>", "path=/x"):
        assert wanted(text).words == tuple(text.split())


def test_a_test_says_what_has_to_be_read() -> None:
    assert FindingTest(frozenset({"host-missing"})).kinds == ("request",)
    assert FindingTest(frozenset({"cl-plus"})).kinds == ("request", "response")


def test_the_shorter_way_finds_the_same_in_heads() -> None:
    for entry in catalogue().values():
        data = entry.example.wire
        heads = [each for each in RequestReader().feed(data) if isinstance(each, ArrivedHead)]
        if entry.kind == "response" or [each.raw for each in heads] != [data] or heads[0].section is None:
            continue
        if not read(data, "request").messages[0].complete:
            continue
        whole = {each.id for each in findings(data, "request") if catalogue()[each.id].level > Severity.GOOD}
        assert whole <= set(quick(heads[0]).ids), entry.id


def test_a_connection_says_whether_what_it_carries_is_encrypted(capture: Capture) -> None:
    connection = capture.connection(1)
    assert connection is not None
    tls = TlsRow(
        connection=1, hello=b"", sni=None, alpn=None, version="TLSv1.3", cipher=None, certificate=None, shaken_ns=1,
        alert=None, sentence=None, shown=None,
    )  # fmt: skip
    for peer, loopback in (("127.0.0.1:9", True), ("[::1]:9", True), ("192.0.2.1:9", False)):
        at = msgspec.structs.replace(connection, peer=peer)
        assert around(at, None) == Context(tls=False, loopback=loopback)
        assert around(at, tls) == Context(tls=True, loopback=loopback)
    assert around(None, tls) == Context()


def test_a_redirect_is_held_against_the_target_that_was_asked_for(capture: Capture) -> None:
    row = capture.exchange(1)
    assert row is not None
    answer = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /\r\n\r\n"
    redirect = msgspec.structs.replace(row, res_head=len(answer), res_len=len(answer))

    class Answered:
        """One exchange, in which a target was answered with the way to `/`."""

        def __init__(self, target: bytes) -> None:
            self._request = b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"

        def request_bytes(self, exchange: object, *, limit: int | None = None, offset: int = 0) -> bytes:
            return self._request[offset:][:limit]

        def response_bytes(self, exchange: object, *, limit: int | None = None, offset: int = 0) -> bytes:
            return answer[offset:][:limit]

        def stream_bytes(
            self, connection: int, direction: int, offset: int = 0, limit: int | None = None
        ) -> bytes:
            return capture.stream_bytes(connection, direction, offset, limit)

        def connection(self, number: int, /) -> ConnectionRow | None:
            return capture.connection(number)

        def tls(self, connection: int, /) -> TlsRow | None:
            return capture.tls(connection)

    for target, itself in ((b"/login", False), (b"/", True)):
        found = {each.id for each in findings_of(Answered(target), redirect, "response")}
        assert ("redirect-itself" in found) is itself


# -- what lies behind a request

AMBIGUOUS = (
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CLOSES = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def _followed(path: Path, request: bytes, after: bytes, state: State, **columns: str) -> ExchangeRow:
    """A request in a capture, with bytes behind it that belong to no exchange."""
    writer = new_writer(path)
    connection = open_connection(writer)
    connection.received(request + after, 2_000)
    exchange = connection.begin(0, 2_000)
    connection.end(exchange, len(request))
    exchange.method, exchange.target = request.split(b" ")[0].decode(), "/"
    for name, value in columns.items():
        setattr(exchange, name, value)
    exchange.req_head = request.index(b"\r\n\r\n") + 4
    exchange.state |= (State.HEAD_COMPLETE | State.REQUEST_COMPLETE | state).value
    connection.settle(None)
    connection.save()
    writer.flush(3_000)
    writer.close(4_000)
    with Capture.open(path) as opened:
        row = opened.exchange(1)
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("request_", "state", "ids"),
    [
        (AMBIGUOUS, State.AMBIGUOUS, {"body-embedded-request", "body-ambiguous-end"}),
        (CLOSES, State.PLAIN, {"stream-bytes-after-close"}),
    ],
)
def test_what_lies_behind_a_request_is_found_with_it(
    tmp_path: Path, request_: bytes, state: State, ids: set[str]
) -> None:
    path = tmp_path / "behind.inspectd"
    row = _followed(path, request_, NEXT, state)
    with Capture.open(path) as capture:
        found = {each.id: each for each in findings_of(capture, row, "request")}
        assert ids <= set(found)
        assert ids <= set(marks(capture, row).ids)
        assert all(0 <= each.start <= each.end <= len(request_) for each in found.values())
        assert any('"GET /smuggled HTTP/1.1"' in found[name].detail for name in ids)
        assert following(capture, row) == NEXT


@pytest.mark.parametrize(
    ("request_", "state", "columns"),
    [
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", State.PLAIN, {}),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", State.PLAIN, {"status": "101"}),
    ],
)
def test_another_protocol_is_nothing_left_over(
    tmp_path: Path, request_: bytes, state: State, columns: dict[str, str]
) -> None:
    path = tmp_path / "tunnel.inspectd"
    row = _followed(path, request_, b"\x16\x03\x01\x02", state, **columns)
    with Capture.open(path) as capture:
        assert following(capture, row) == b""
        assert "stream-bytes-after-close" not in marks(capture, row).ids


@given(st.binary(max_size=200), st.sampled_from([AMBIGUOUS, CLOSES, b"G", b"GET / HTTP/1.1\r\n\r\n"]))
def test_findings_before_any_bytes_lie_within_the_request(after: bytes, request: bytes) -> None:
    for each in findings_before(request, after):
        assert 0 <= each.start <= each.end <= len(request)


# -- connections without a request


def _connections(path: Path, *sent: tuple[bytes, str, str]) -> None:
    writer = new_writer(path)
    for data, kind, sentence in sent:
        connection = open_connection(writer)
        if data:
            connection.received(data, 2_000)
            connection.settle(None)
        connection.describe(kind, sentence)
        connection.closed_ns = 3_000
        connection.save()
    writer.flush(3_000)
    writer.close(4_000)


def test_connections_meet_tests_of_findings(tmp_path: Path) -> None:
    path = tmp_path / "connections.inspectd"
    refused = sniff(b"\x05\x01\x00")
    assert isinstance(refused, Sniff)
    _connections(
        path,
        (b"\x16\x03\x01\x02\x00\x01", "tls", "A TLS hello."),
        (b"\x05\x01\x00", "socks5", refused.sentence),
        (b"\x05\x01\x00\x05\x01\x00", "socks5", "SOCKS5 to a.test:80"),
        (b"", "preconnect", "Not a byte."),
    )
    with Capture.open(path) as capture:
        assert list(capture.search_connections("severity >= error")) == [1, 2]
        assert list(capture.search_connections("severity >= error hello")) == [1]
        assert list(capture.search_connections("finding == stream-other-protocol")) == [2]
        assert list(capture.search_connections("severity == good")) == [3, 4]
        hello = capture.connection(1)
        assert hello is not None
        assert marks_of_connection(capture, hello).ids == ("stream-tls-hello",)


def test_what_met_a_test_can_be_told() -> None:
    found = Marks(("te-with-cl", "host-missing", "length-agreed"), Severity.ERROR)
    assert wanted("finding ~ te-").found(found) == ("te-with-cl",)
    assert wanted("finding != cl-plus").found(found) == ()
    assert wanted("severity >= info finding ~ host-").found(found) == ("te-with-cl", "host-missing")
