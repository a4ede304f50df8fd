"""The arrival path: events, facts, caps, and independence from how the bytes were split."""

from __future__ import annotations

import pytest

from inspectd.wire import (
    ArrivedHead,
    ArrivedResponseHead,
    ContentData,
    Event,
    Foreign,
    MessageEnd,
    RequestReader,
    ResponseReader,
    TooLarge,
)

CHROME = (
    b"GET /index.html?a=b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="156", "Not?A_Brand";v="24"\r\nsec-ch-ua-mobile: ?0\r\n'
    b'sec-ch-ua-platform: "Linux"\r\nUpgrade-Insecure-Requests: 1\r\n'
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36\r\n"
    b"Accept: text/html,*/*;q=0.8\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n"
    b"Sec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\r\n"
)


def only_head(events: list[Event]) -> ArrivedHead:
    head = events[0]
    assert isinstance(head, ArrivedHead)
    return head


def test_a_plain_request_is_a_head_and_an_end() -> None:
    reader = RequestReader()
    events = reader.feed(CHROME)
    head = only_head(events)
    assert events[1:] == [MessageEnd(len(CHROME), True)]
    assert (head.start, head.end, head.raw, head.plain) == (0, len(CHROME), CHROME, True)
    assert (head.method, head.target, head.version) == (b"GET", b"/index.html?a=b", b"HTTP/1.1")
    assert (head.length, head.chunked, head.keep_alive, head.expects_continue, head.upgrade) == (
        0, False, True, False, None,
    )  # fmt: skip
    assert (reader.offset, reader.pending, reader.head_start) == (len(CHROME), 0, None)


@pytest.mark.parametrize("plain", [True, False])
def test_fields_are_found_in_any_case_and_the_first_counts(plain: bool) -> None:
    raw = b"GET / HTTP/1.1\r\nHOST: a \r\nx-odd:  1\r\nX-Odd: 2\r\nAccept:\r\n"
    head = only_head(RequestReader().feed(raw + (b"\r\n" if plain else b" \r\n\r\n")))
    assert head.plain is plain
    assert [head.get(name) for name in (b"Host", b"X-ODD", b"accept", b"cookie", b"y")] == [
        b"a",
        b"1",
        b"",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("fields", "facts"),
    [
        (b"Content-Length: 5\r\n", (5, False, True, False, None)),
        (b"Transfer-Encoding: chunked\r\n", (None, True, True, False, None)),
        (b"Connection: close\r\n", (0, False, False, False, None)),
        (b"Content-Length: 5\r\nExpect: 100-Continue\r\n", (5, False, True, True, None)),
        (b"Upgrade: h2c\r\n", (0, False, True, False, None)),
        (b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n", (0, False, True, False, b"h2c")),
        (b"Content-Length: x\r\n", (None, False, False, False, None)),
    ],
)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
def test_facts_are_the_same_with_and_without_a_certificate(
    fields: bytes, facts: tuple[object, ...], line_end: bytes
) -> None:
    raw = (b"POST / HTTP/1.1\r\n" + fields + b"\r\n").replace(b"\r\n", line_end)
    head = only_head(RequestReader().feed(raw))
    assert head.plain is (line_end == b"\r\n")
    assert (head.length, head.chunked, head.keep_alive, head.expects_continue, head.upgrade) == facts


@pytest.mark.parametrize(
    "head",
    [
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"GET / HTTP/1.2\r\n\r\n",
        b"G(T / HTTP/1.1\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
        b"GET /#a HTTP/1.1\r\n\r\n",
        b'GET /" HTTP/1.1\r\n\r\n',
        b"GET / HTTP/1.1\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\n: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \xc3\xa9\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: \x7f\r\n\r\n",
    ],
)
def test_no_certificate_for(head: bytes) -> None:
    arrived = only_head(RequestReader().feed(head))
    assert (arrived.plain, arrived.raw) == (False, head)


def meaning(events: list[Event]) -> list[object]:
    """Events as values, with content that was reported in pieces joined."""
    out: list[object] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, ContentData) and isinstance(last, ContentData) and last.end == event.start:
            out[-1] = ContentData(last.start, event.end, last.data + event.data)
        elif isinstance(event, ArrivedHead):
            out.append(
                (event.start, event.end, event.raw, event.plain, event.method, event.target, event.version,
                 event.framing, event.length, event.chunked, event.keep_alive, event.expects_continue, event.upgrade)
            )  # fmt: skip
        elif isinstance(event, ArrivedResponseHead):
            out.append((event.start, event.raw, event.plain, event.status, event.framing, event.keep_alive))
        else:
            out.append(event)
    return out


STREAM = (
    b"\r\n" + CHROME + b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\r\n"
    b'PUT  /b HTTP/1.1\nTransfer-Encoding: chunked\n\n3;x="y"\r\nabc\r\n0\r\nT: v\r\n w\r\n\r\n'
    b"GET /c HTTP/1.1\r\nConnection: close\r\n\r\nleft over"
)  # fmt: skip
RESPONSES = (
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    b"HTTP/1.1 200\nTransfer-Encoding: chunked\n\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nto the end"
)


def request_events(pieces: list[bytes]) -> list[object]:
    reader = RequestReader()
    return meaning([event for piece in pieces for event in reader.feed(piece)] + reader.eof())


def response_events(pieces: list[bytes]) -> list[object]:
    reader = ResponseReader()
    return meaning([event for piece in pieces for event in reader.feed(piece)] + reader.eof())


def test_events_do_not_depend_on_the_split() -> None:
    whole = request_events([STREAM])
    assert len(whole) == 10
    assert request_events([STREAM[i : i + 1] for i in range(len(STREAM))]) == whole
    for cut in range(len(STREAM)):
        assert request_events([STREAM[:cut], STREAM[cut:]]) == whole
    answers = response_events([RESPONSES])
    assert len(answers) == 11
    assert response_events([RESPONSES[i : i + 1] for i in range(len(RESPONSES))]) == answers
    for cut in range(len(RESPONSES)):
        assert response_events([RESPONSES[:cut], RESPONSES[cut:]]) == answers


def test_content_is_reported_as_it_arrives() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n")
    assert reader.feed(b"ab") == [ContentData(38, 40, b"ab")]
    assert reader.feed(b"cde") == [ContentData(40, 43, b"cde"), MessageEnd(43, True)]


def test_half_a_head_is_held_back_and_can_be_glimpsed() -> None:
    reader = RequestReader()
    reader.feed(b"GET / HTTP/1.1\r\n\r\n")
    assert reader.glimpse() == (None, None)
    assert reader.feed(b"\r\nPOST /half") == []
    assert (reader.head_start, reader.pending, reader.pending_bytes) == (20, 10, b"POST /half")
    assert reader.glimpse() == (b"POST", b"/half")
    assert reader.eof() == []


def test_content_that_breaks_off_ends_incomplete() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab")
    assert reader.eof() == [MessageEnd(40, False)]
    assert reader.eof() == []


def test_a_response_until_close_ends_complete_and_knows_its_request() -> None:
    reader = ResponseReader()
    reader.expect(b"HEAD")
    reader.expect(b"GET")
    events = (
        reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabc") + reader.eof()
    )
    heads = [event for event in events if isinstance(event, ArrivedResponseHead)]
    assert [(head.status, head.length, head.chunked, head.keep_alive) for head in heads] == [
        (b"200", 0, False, True),
        (b"200", None, False, False),
    ]
    assert events[-2:] == [ContentData(57, 60, b"abc"), MessageEnd(60, True)]


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET /" + b"a" * 95 + b" HTTP/1.1\r\n\r\n", [TooLarge("request-line", 0, 100)]),
        (b"GET /" + b"a" * 500, [TooLarge("request-line", 0, 100)]),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 200 + b"\r\n\r\n", [TooLarge("head", 0, 200)]),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 500, [TooLarge("head", 0, 200)]),
        (b"\r\nGET / HTTP/1.1\r\nA: " + b"b" * 500, [TooLarge("head", 2, 202)]),
    ],
)
def test_caps_are_events_and_end_the_reading(data: bytes, expected: list[TooLarge], step: int) -> None:
    reader = RequestReader(max_head=200, max_request_line=100)
    events = [event for at in range(0, len(data), step) for event in reader.feed(data[at : at + step])]
    assert events == expected
    assert reader.glimpse()[0] == b"GET"
    assert reader.feed(CHROME) == []
    assert reader.eof() == []


@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize(
    "rest",
    [
        b"1;" + b"x" * 300 + b"\r\nx\r\n0\r\n\r\n",
        b"1;" + b"x" * 500,
        b"0\r\nA: " + b"x" * 300 + b"\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 100,
    ],
)
def test_chunk_lines_and_trailers_are_bounded_like_heads(rest: bytes, step: int) -> None:
    data = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + rest
    reader = RequestReader(max_head=200)
    events = [event for at in range(0, len(data), step) for event in reader.feed(data[at : at + step])]
    lost_at = 47 + (3 if rest.startswith(b"0") else 0)
    assert events[-1] == MessageEnd(lost_at, False)
    assert reader.pending == 0
    assert reader.feed(CHROME) == []


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_a_line_of_white_space_is_bounded_like_a_head(step: int) -> None:
    for before, after in ((b"", b""), (b"", b"\r\nGET / HTTP/1.1\r\n\r\n"), (b"  \r\n" * 100, b"x")):
        data = before + b" " * 300 + after
        reader = RequestReader(max_head=200)
        events = [event for at in range(0, len(data), step) for event in reader.feed(data[at : at + step])]
        assert events == [TooLarge("head", len(before), len(before) + 200)]
        assert reader.pending == 0


def test_neither_expect_nor_upgrade_is_heeded_in_http_1_0() -> None:
    fields = b"Content-Length: 1\r\nExpect: 100-continue\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    for version, heeded in ((b"1.0", (False, None)), (b"1.1", (True, b"x"))):
        head = only_head(RequestReader().feed(b"POST / HTTP/" + version + b"\r\n" + fields))
        assert (head.expects_continue, head.upgrade) == heeded


def test_heads_exactly_at_the_caps_pass() -> None:
    line = b"GET /" + b"a" * 86 + b" HTTP/1.1"
    assert len(line) == 100
    head = line + b"\r\nA: " + b"b" * 91 + b"\r\n\r\n"
    assert len(head) == 200
    for pieces in ([head], [head[i : i + 1] for i in range(200)]):
        reader = RequestReader(max_head=200, max_request_line=100)
        assert [type(event) for piece in pieces for event in reader.feed(piece)] == [ArrivedHead, MessageEnd]


def test_after_a_switch_everything_is_tunnel() -> None:
    reader = RequestReader()
    reader.feed(b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nGE")
    reader.switch()
    assert reader.feed(CHROME) == []
    assert (reader.pending, reader.eof()) == (0, [])


def test_another_protocol_is_told_once() -> None:
    reader = RequestReader()
    assert reader.feed(b"SSH-2.0-x\r\n")[0][1] == "ssh"  # type: ignore[index]
    assert reader.feed(CHROME) == []
    reader = RequestReader()
    assert reader.feed(b"\x16\x03\x01") == []
    assert [event.protocol for event in reader.eof() if isinstance(event, Foreign)] == ["tls"]


def test_reads_may_be_any_kind_of_buffer() -> None:
    for data in (bytearray(CHROME), memoryview(CHROME)):
        assert only_head(RequestReader().feed(data)).raw == CHROME  # type: ignore[arg-type]
