"""How what finished is written, for people and for programs."""

from __future__ import annotations

import json

import pytest

from inspectd.capture.model import State
from inspectd.cli import lines, message_text
from inspectd.cli.output import painter
from inspectd.cli.show import attempt_sentence
from inspectd.wire import read
from tests.cli.rows import REQUEST, RESPONSE, capture, connection, evidence, exchange


def test_an_exchange_as_json() -> None:
    line = lines.JsonLines().exchange(exchange(), capture())

    assert json.loads(line) == {
        "type": "exchange",
        "id": 7,
        "connection": 3,
        "number": 2,
        "peer": "127.0.0.1:5",
        "started": "2023-11-14T22:13:20.123456Z",
        "duration_ms": 2.0,
        "method": "GET",
        "target": "/style.css?Ã©",
        "version": "HTTP/1.1",
        "status": 200,
        "reason": "OK",
        "request_bytes": len(REQUEST),
        "response_bytes": len(RESPONSE),
        "client": "curl 8.14",
        "complete": True,
        "answered": True,
        "label": "answer 200",
        "fields": [["Host", "a"], ["X-A", "\x1b[31m"], ["x-a", "2"]],
        "response_fields": [["Content-Length", "2"]],
        "added": ["Content-Length: 2"],
    }


def test_a_crafted_answer_has_evidence_in_json() -> None:
    line = json.loads(lines.JsonLines().exchange(exchange(), capture(evidence=evidence())))

    assert line["rule"] == "api.toml:4"
    assert line["evidence"] == {
        "planned": 120,
        "sent": 80,
        "acked": 40,
        "reused": True,
        "attempt": 2,
        "previous": 6,
        "gap_ms": 1.5,
        "ended_by": "client",
        "how": "rst",
        "after_ms": -0.25,
    }


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {},
            (
                "came after 1.5 ms, on a reused connection, 80 of 120 bytes sent, 40 acknowledged, reset by the client,"
                " 0.25 ms before the last byte"
            ),
        ),
        (
            {"planned": None, "acked": None, "reused": 0, "gap_ns": None, "ended_by": None},
            "on a new connection, 80 bytes sent",
        ),
        (
            {"ended_by": "server", "how": "fin", "after_ns": 2_000_000, "gap_ns": None},
            (
                "on a reused connection, 80 of 120 bytes sent, 40 acknowledged, closed by the server, 2 ms after the"
                " last byte"
            ),
        ),
    ],
)
def test_an_attempt_for_a_person(changes: dict[str, object], sentence: str) -> None:
    assert attempt_sentence(evidence(**changes)) == sentence


def test_a_json_line_is_printable_ascii_whatever_came() -> None:
    everything = bytes(range(1, 256)).replace(b"\n", b"").replace(b"\r", b"")
    head = b"GET / HTTP/1.1\r\nX: " + everything + b"\r\n\r\n"
    row = exchange(client="é\x1b\u202e", req_head=len(head), req_len=len(head))
    line = lines.JsonLines().exchange(row, capture(head))

    assert line.endswith("\n")
    assert all(" " <= character <= "~" for character in line[:-1])
    ((_, value),) = json.loads(line)["fields"]
    assert value.encode("latin-1") == everything.strip(b"\t ")


def test_half_a_head_is_an_incomplete_exchange() -> None:
    half = b"POST /form HTTP/1.1\r\nHost: a\r\nConte"
    row = exchange(
        State.ABORTED,
        req_head=0,
        req_len=len(half),
        status=None,
        reason=None,
        res_head=None,
        res_len=None,
        added=None,
    )
    line = json.loads(lines.JsonLines().exchange(row, capture(half, b"")))

    assert (line["complete"], line["answered"]) == (False, False)
    assert (line["method"], line["target"], line["version"]) == ("POST", "/form", "HTTP/1.1")
    assert ["Host", "a"] in line["fields"]
    assert line["request_bytes"] == len(half)
    assert line["status"] is line["reason"] is None


def test_the_final_response_is_the_one_that_is_told() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    row = exchange(res_head=len(interim + RESPONSE) - 2, res_len=len(interim + RESPONSE))
    line = json.loads(lines.JsonLines().exchange(row, capture(response=interim + RESPONSE)))

    assert (line["status"], line["reason"]) == (200, "OK")
    assert line["response_fields"] == [["Content-Length", "2"]]


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (State.RESPONSE_STARTED | State.RESPONSE_COMPLETE, "414 URI Too Long"),
        (State.ABORTED, "cut short"),
        (State.REQUEST_COMPLETE | State.ABORTED, "no answer"),
    ],
)
def test_a_request_that_was_refused_before_its_end_shows_the_refusal(state: State, shown: str) -> None:
    row = exchange(state, status="414", reason="URI Too Long")
    line = lines.PlainLines(painter(colour=False), width=None, verbosity=0).exchange(row, capture())

    assert f"  {shown} " in line


def test_a_connection_without_a_request_as_json() -> None:
    assert json.loads(lines.JsonLines().connection(connection(), capture())) == {
        "type": "connection",
        "id": 3,
        "peer": "127.0.0.1:5",
        "local": "127.0.0.1:8080",
        "started": "2023-11-14T22:13:20.000000Z",
        "duration_ms": 1500.0,
        "kind": "tls",
        "sentence": "a TLS hello",
        "bytes": 517,
        "response_bytes": 7,
        "closed_by": "client",
        "how": "fin",
    }


@pytest.mark.parametrize(
    ("sent", "shown"),
    [(b"200", 200), (b"099", "099"), (b"99", "99"), (b"1000", "1000"), (b"2xx", "2xx")],
)
def test_a_status_is_a_number_only_when_it_is_an_ordinary_one(sent: bytes, shown: object) -> None:
    line = lines.JsonLines().exchange(exchange(), capture(response=b"HTTP/1.1 " + sent + b" X\r\n\r\n"))

    assert json.loads(line)["status"] == shown


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nAccept:*/*\r\nX-Empty:\r\nX-Space: a  b \t\r\n\r\n",
        b"M-SEARCH * HTTP/1.0\r\n\r\n",
        b"GET http://a/b?c#d HTTP/1.1\r\nCookie: a=1; b=\xff\r\n\r\n",
    ],
)
def test_the_short_way_through_a_plain_head_reads_what_the_reader_reads(head: bytes) -> None:
    message = read(head, "request").messages[0].head
    assert lines._PLAIN_HEAD.fullmatch(head)

    short = lines.read_head(head, "request")

    assert short.fields == [
        (field.name_bytes.decode("latin-1"), field.value_bytes.decode("latin-1")) for field in message.fields
    ]
    places = (message.method, message.target, message.version)
    assert short[:3] == tuple(head[place[0] : place[1]].decode("latin-1") for place in places if place)


@pytest.mark.parametrize(
    "head",
    [b"GET  /a HTTP/1.1\nX: 1\n  2\n\n", b"GET /\r\n", b"\x00\xff", b"", b": \r\n\r\n", b"HTTP/1.1\r\n\r\n"],
)
@pytest.mark.parametrize("kind", ["request", "response"])
def test_odd_heads_never_raise(head: bytes, kind: str) -> None:
    assert isinstance(lines.read_head(head, kind), lines.HeadText)  # type: ignore[arg-type]


def test_a_line_for_people() -> None:
    line = lines.PlainLines(painter(colour=False), width=None, verbosity=0).exchange(exchange(), capture())

    number, _, client, _, method, target, status, reason, size, took, unit, place = line.split()
    assert (number, client, method, target) == ("7", "curl", "GET", "/style.css?é")
    assert (status, reason, size, took, unit, place) == ("200", "OK", "40", "2.0", "ms", "style/no-cors")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_line_fits_the_terminal(width: int) -> None:
    row = exchange(
        target="/" + "long/" * 100,
        reason="Very " * 20,
        client="Somebody Else's Client 1.0",
        method="PROPPATCH",
    )
    line = lines.PlainLines(painter(colour=False), width=width, verbosity=0).exchange(row, capture())

    assert len(line.rstrip("\n")) <= width


def test_heads_and_bodies_for_people_show_odd_line_ends_and_no_control() -> None:
    request = b"GET / HTTP/1.1\nX: \x1b[2J\n\n"
    row = exchange(req_head=len(request), req_len=len(request))
    text = lines.PlainLines(painter(colour=False), width=None, verbosity=2).exchange(row, capture(request))

    assert "\x1b" not in text
    assert [line.strip() for line in text.splitlines()[1:]] == [
        r"> GET / HTTP/1.1\n",
        r"> X: \x1b[2J\n",
        "< HTTP/1.1 200 OK",
        "< Content-Length: 2",
        "<",
        "< hi",
        "",
    ]


def test_a_content_that_is_no_text_is_a_hex_dump() -> None:
    shown = list(message_text.body_lines(bytes(range(256)) * 2))

    assert shown[0].startswith("00000000  00 01 02")
    assert shown[4].endswith("|@ABCDEFGHIJKLMNO|")
    assert shown[-1] == "… 256 more bytes of this part"


def test_text_cut_inside_a_character_is_still_text() -> None:
    assert message_text.is_text("grüß".encode()[:-1])
    assert not message_text.is_text(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (3100, "3.1k"), (99_449, "99.4k"), (123_456, "123k"), (2_000_000_000, "2.0G")],
)
def test_sizes_in_few_characters(count: int, text: str) -> None:
    assert lines.size(count) == text


def test_colours_say_the_class_of_a_status_and_nothing_else_is_escaped() -> None:
    line = lines.PlainLines(painter(colour=True), width=100, verbosity=0).exchange(
        exchange(target="/\x1b[31m", status="503"), capture()
    )

    assert "\x1b[31m503 OK" in line
    assert "/\\x1b[31m" in line
