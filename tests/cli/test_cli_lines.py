"""How what finished is written, for people and for programs."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from inspectd.capture.model import State
from inspectd.cli import lines, message_text
from inspectd.cli.output import painter
from inspectd.cli.show import answer_line, attempt_sentence
from inspectd.text.instant import brief
from inspectd.wire import read
from tests.cli.rows import DONE, REQUEST, RESPONSE, capture, connection, evidence, exchange


def test_an_exchange_as_json() -> None:
    line = json.loads(lines.JsonLines().exchange(exchange(), capture()))
    findings = [*line.pop("findings"), *line.pop("response_findings")]

    assert {"id": "target-non-ascii", "severity": "error", "start": 15, "end": 17} in findings
    assert line == {
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
    line = json.loads(lines.JsonLines().connection(connection(), capture()))
    assert {"id": "target-non-ascii", "severity": "error", "start": 15, "end": 17} in line.pop("findings")
    assert line == {
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


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 1122\r\n\r\n"
RESET: dict[str, Any] = {"attempt": 1, "ended_by": "server", "how": "rst"}


def marked(
    changes: dict[str, Any],
    state: State = DONE,
    *,
    width: int | None = None,
    ascii_only: bool = False,
    **row: Any,
) -> str:
    """The line of a crafted answer whose head promises 1,122 bytes, and of which 561 were sent."""
    values = {"dest": None, "mode": None, "res_head": len(CUT), "res_len": len(CUT) + 561} | row
    plain = lines.PlainLines(painter(colour=False), width=width, verbosity=0, ascii_only=ascii_only)
    return plain.exchange(
        exchange(state, **values), capture(response=CUT, evidence=evidence(**changes))
    ).rstrip("\n")


@pytest.mark.parametrize(
    ("changes", "row", "end"),
    [
        (RESET, {}, "  ✗ reset  half of 1,122 bytes, rule api.toml:4"),
        (RESET, {"res_len": len(CUT) + 5}, "  ✗ reset  5 of 1,122 bytes, rule api.toml:4"),
        (RESET | {"attempt": 3, "how": "fin"}, {}, "  ✗ closed ↺ 3  half of 1,122 bytes, rule api.toml:4"),
        (RESET | {"how": "fin"}, {"method": "HEAD"}, "  rule api.toml:4"),
        (
            {"ended_by": None, "how": None},
            {"dest": "style", "res_len": len(CUT) + 1122},
            "  ↺ 2  style  rule api.toml:4",
        ),
        ({"attempt": 1, "ended_by": None, "how": None}, {}, "  ✗ cut  half of 1,122 bytes, rule api.toml:4"),
        ({"attempt": 1, "how": "rst"}, {"res_len": len(CUT) + 1122}, "  ✗ RST came  rule api.toml:4"),
        (RESET | {"how": "fin", "sent": 0}, {"res_len": None}, "  ✗ dropped  rule api.toml:4"),
        (
            {"attempt": 1, "ended_by": None, "how": None, "rule": "held"},
            {"label": "37 bytes by hand", "res_len": len(CUT) + 1122},
            "  by hand",
        ),
    ],
)
def test_marks_say_what_became_of_a_crafted_answer(
    changes: dict[str, Any], row: dict[str, Any], end: str
) -> None:
    assert marked(changes, **row).endswith(f" ms{end}")


def test_marks_are_ascii_where_nothing_else_can_be_written() -> None:
    line = marked(RESET | {"attempt": 2}, ascii_only=True, reason="Very " * 20)

    assert line.endswith("  x reset ~ 2  half of 1,122 bytes, rule api.toml:4")
    assert line.isascii() is False  # the target is: bytes of a target are not marks
    assert "\u2026" not in line


def test_marks_keep_the_columns_of_a_terminal() -> None:
    reset = marked(RESET, width=80)
    again = marked({"how": None}, width=80, res_len=len(CUT) + 1122)
    plain = lines.PlainLines(painter(colour=False), width=80, verbosity=0).exchange(exchange(), capture())

    assert (reset[-3:], again[-3:]) == (" ✗ ", " ↺2")
    assert len(reset) == len(again) == len(plain.rstrip("\n")) == 80
    assert "200 OK" in reset
    assert {line.index("200 OK") for line in (reset, again, plain)} == {plain.index("200 OK")}


def test_a_long_status_keeps_the_columns_in_a_pipe_as_well() -> None:
    plain = lines.PlainLines(painter(colour=False), width=None, verbosity=0)
    long, short = (plain.exchange(exchange(reason=reason), capture()) for reason in ("Very " * 20, "OK"))

    assert "200 Very Very Very …" in long
    assert long.index("2.0 ms") == short.index("2.0 ms")
    cut = plain.exchange(exchange(State.RESPONSE_STARTED, reason="Very " * 20), capture())
    assert "… (cut) " in cut


@pytest.mark.parametrize(
    ("label", "said"),
    [("413 Too Large; cut off", "cut off"), ("413 Too Large", ""), ("413 Too Larger", "413 Too Larger")],
)
def test_a_refusal_is_said_once(label: str, said: str) -> None:
    row = exchange(DONE | State.ABORTED, status="413", reason="Too Large", label=label)
    line = lines.PlainLines(painter(colour=False), width=None, verbosity=0).exchange(row, capture())

    assert "  413 Too Large " in line
    assert line.partition(" ms")[2].strip() == said


@pytest.mark.parametrize(
    ("label", "rule", "said"),
    [
        ("200 OK", "api.toml:4", "answered by rule api.toml:4: 200 OK"),
        ("37 bytes by hand; held 3.2 s", "held", "answered by hand: 37 bytes; held 3.2 s"),
        ("dropped by hand: closed without a byte", "held", "dropped by hand: closed without a byte"),
        ("mirror; held 1.0 s", "held", "answered by mirror; held 1.0 s"),
        ("mirror", None, "answered by mirror"),
        ("a:1 refused the connection.", None, "answered by inspectd: a:1 refused the connection."),
    ],
)
def test_who_answered_is_said(label: str, rule: str | None, said: str) -> None:
    assert answer_line(exchange(label=label), None if rule is None else evidence(rule=rule)) == said


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0, "0 ms"),
        (18_400, "0.018 ms"),
        (639_355, "0.64 ms"),
        (51_835_000, "51.8 ms"),
        (1_234_567_890, "1235 ms"),
    ],
)
def test_times_have_few_digits(ns: int, text: str) -> None:
    assert brief(ns) == text


def test_a_connect_whose_tunnel_was_read_says_where_to_go_on() -> None:
    row = exchange(
        method="CONNECT",
        target="example.test:443",
        status="200",
        reason="Connection Established",
        label="tunnel to example.test:443, read as TLS in c12",
    )
    for width in (80, 120, None):
        said = lines.PlainLines(painter(colour=True), width=width, verbosity=0).exchange(row, capture())
        assert "200 in c12" in said
        assert "Established" not in said
        assert "\x1b[1m" not in said, "it stands back"
    carried = msgspec.structs.replace(row, label="tunnel to example.test:443")
    said = lines.PlainLines(painter(colour=False), width=None, verbosity=0).exchange(carried, capture())
    assert "200 Connection Esta" in said


def test_a_connection_to_a_server_is_no_clients() -> None:
    shown = lines.PlainLines(painter(colour=False), width=None, verbosity=0)
    row = connection(kind="tls-failed", sentence="Not trusted.", peer="127.0.0.1:5", local="192.0.2.1:443")
    assert "bytes from 127.0.0.1:5" in shown.connection(row, capture())
    made = msgspec.structs.replace(row, listener=0)
    assert "made to 192.0.2.1:443" in shown.connection(msgspec.structs.replace(made, bytes_in=0), capture())
    assert "7 bytes to 192.0.2.1:443" in shown.connection(
        msgspec.structs.replace(made, bytes_in=7), capture()
    )


def test_long_sentences_end_in_dots_and_leave_room_for_who_it_was() -> None:
    shown = lines.PlainLines(painter(colour=False), width=None, verbosity=0)
    said = shown.connection(connection(sentence="Not trusted. " * 40, peer="127.0.0.1:5"), capture())

    assert len(said) < 250
    assert "…  " in said
    assert said.endswith("bytes from 127.0.0.1:5\n")
