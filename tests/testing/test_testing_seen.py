"""What came to a test's server is there to look at: bytes, words, connections, gaps and evidence."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.reader import Capture
from inspectd.testing import answer
from tests.testing.asking import DEADLINE, ask, until

if TYPE_CHECKING:
    from inspectd.testing import Inspectd


def test_a_request_is_its_bytes_and_its_words(server: Inspectd) -> None:
    head = b"POST /a%20b?x=1&x=2&y HTTP/1.1\r\nx-A:  1\r\nX-a: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent = head + b"3;e=1\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n"
    rule = server.on("POST *")
    ask(server, sent)

    (request,) = rule.requests
    assert (request.head, request.content, request.raw) == (head, b"abcde", sent)
    assert request.body == request.content
    assert (request.method, request.target, request.version) == ("POST", "/a%20b?x=1&x=2&y", "HTTP/1.1")
    assert (request.path, request.query) == ("/a%20b", {"x": ["1", "2"], "y": [""]})
    assert request.lines == [b"x-A:  1", b"X-a: 2", b"Transfer-Encoding: chunked"]
    assert request.fields[:2] == [("x-A", "1"), ("X-a", "2")]
    assert (request.header("X-A"), request.headers("x-a"), request.header("none")) == ("1", ["1", "2"], None)
    assert (request.number, request.complete, request.text) == (1, True, "abcde")
    assert request.answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert repr(request) == f"<request POST /a%20b?x=1&x=2&y, number 1 of connection {request.connection}>"


def test_a_request_knows_its_number_in_the_capture(server: Inspectd) -> None:
    functions: list[int] = []
    server.on("/call").call(lambda request: functions.append(request.id))
    server.on("/x")
    with socket.create_connection(server.address, DEADLINE) as client:
        for target in "/x", "/call", "/x":
            client.sendall(f"GET {target} HTTP/1.1\r\n\r\n".encode())
            until(client, b"\r\n\r\n")

    with Capture.open(server.capture) as capture:
        rows = capture.exchanges([request.id for request in server.requests])
    assert [(row.number, row.target) for row in rows] == [(1, "/x"), (2, "/call"), (3, "/x")]
    assert functions == [rows[1].id]


def test_a_large_content_is_there_whole(server: Inspectd) -> None:
    content = bytes(range(256)) * 16384
    rule = server.on("PUT /big")
    ask(server, b"PUT /big HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(content) + content)

    assert rule.requests[0].content == content


def test_json_and_forms_are_read(server: Inspectd) -> None:
    rule = server.on("POST /x")
    ask(server, b'POST /x HTTP/1.1\r\nContent-Length: 8\r\n\r\n{"a": 1}')
    ask(server, b"POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\na=1&b=%20")

    assert rule.requests[0].json() == {"a": 1}
    assert rule.requests[1].form() == {"a": ["1"], "b": [" "]}
    with pytest.raises(ValueError, match="Expecting"):
        rule.requests[1].json()


def test_connections_are_seen_with_and_without_requests(server: Inspectd) -> None:
    server.on("/x").reply("204 Done")
    with socket.create_connection(server.address, DEADLINE) as client:
        for _ in range(2):
            client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            until(client, b"\r\n\r\n")
    socket.create_connection(server.address, DEADLINE).close()

    first = server.connections[0].wait_closed()
    assert [request.number for request in first.requests] == [1, 2]
    assert (first.closed_by, first.how, first.received) == ("client", "fin", b"GET /x HTTP/1.1\r\n\r\n" * 2)
    server.wait(lambda: len(server.connections) == 2, DEADLINE, "a second connection", "")
    assert server.connections[1].wait_closed().requests == []


def test_gaps_say_how_long_a_client_waited(server: Inspectd) -> None:
    rule = server.on("/x").reply("503 Busy", "204 Done")
    ask(server, "GET /x HTTP/1.1")
    time.sleep(0.05)
    ask(server, "GET /x HTTP/1.1")

    (gap,) = rule.gaps
    assert gap >= 0.05
    assert server.gaps == [gap]


def test_evidence_tells_a_retry_and_who_gave_up(server: Inspectd) -> None:
    rule = server.on("/x").reply("503 Busy", "204 Done")
    with socket.create_connection(server.address, DEADLINE) as client:
        for _ in range(2):
            client.sendall(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            until(client, b"\r\n\r\n")
    server.connections[0].wait_closed()

    first, second = rule.evidence
    assert (first.attempt, first.reused, first.rule) == (1, False, rule.id)
    assert (second.attempt, second.reused) == (2, True)
    assert first.planned == first.sent == len(rule.requests[0].answer)
    assert second.gap is not None
    assert (second.ended_by, second.how) == ("client", "fin")


def test_a_gap_after_a_stall_begins_when_the_client_gave_up(server: Inspectd) -> None:
    rule = server.on("/x").reply(answer().stall(), "204 Done")
    with socket.create_connection(server.address, DEADLINE) as client:
        client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        server.wait_for(1, timeout=DEADLINE)
        time.sleep(0.2)
    server.connections[0].wait_closed()
    ask(server, "GET /x HTTP/1.1")

    (gap,) = rule.gaps
    stalled, again = rule.requests
    assert 0 <= gap <= again.at - stalled.at - 0.2  # the client had patience for that long
