"""An answer compiles to exactly the bytes that were asked for, and what is added is listed."""

from __future__ import annotations

import os
from email.utils import formatdate
from typing import TYPE_CHECKING

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.errors import InspectdError
from inspectd.rules.answer import (
    AUTOMATIC,
    LARGE_FILE,
    Answer,
    AnswerError,
    compile_answer,
    compile_for,
    has_no_content,
    imf_fixdate,
    make_answer,
    parse_field,
    parse_status,
    preview,
    problem_answer,
    remarks,
    status_code,
)
from inspectd.rules.program import Close, Program, Send, SendFile
from inspectd.rules.responder import Fixed
from tests.rules.rules_requests import get

if TYPE_CHECKING:
    from pathlib import Path

NOW = 784111777.5
DATE = "Date: Sun, 06 Nov 1994 08:49:37 GMT"
SILENT: frozenset[str] = frozenset()

status_text = st.builds(
    "{}{}".format,
    st.sampled_from(
        [
            "503",
            "200 ",
            "404 Not Found",
            "000",
            "99999 x",
            "HTTP/1.0 200 OK",
            "HTTP/9 204",
            "ICY 200 OK",
            "x/y",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n")),
)
field_text = st.text(st.characters(codec="utf-8", exclude_characters="\r\n")).map(lambda text: f"x{text}:y")


def data_of(program: Program) -> bytes:
    return b"".join(op.data for op in program.ops if isinstance(op, Send))


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("503", b"HTTP/1.1 503", 503),
        ("503 ", b"HTTP/1.1 503 ", 503),
        ("503 Back Soon", b"HTTP/1.1 503 Back Soon", 503),
        ("503  two spaces ", b"HTTP/1.1 503  two spaces ", 503),
        ("999", b"HTTP/1.1 999", 999),
        ("99999999999 Many", b"HTTP/1.1 99999999999 Many", 999999999),
        ("000", b"HTTP/1.1 000", 0),
        ("42", b"HTTP/1.1 42", 42),
        ("200grün", "HTTP/1.1 200grün".encode(), None),
        ("418 I'm a 🫖", "HTTP/1.1 418 I'm a 🫖".encode(), 418),
        ("200 \udcff", b"HTTP/1.1 200 \xff", 200),
        ("200 a\tb\x1b", b"HTTP/1.1 200 a\tb\x1b", 200),
        ("HTTP/1.1 418 I'm a teapot", b"HTTP/1.1 418 I'm a teapot", 418),
        ("HTTP/2.0 299", b"HTTP/2.0 299", 299),
        ("http/1.1 200 ok", b"http/1.1 200 ok", 200),
        ("HTTP/1.1  200 OK", b"HTTP/1.1  200 OK", 200),
        ("HTTP/1.1", b"HTTP/1.1", None),
        ("HTTP 200", b"HTTP 200", 200),
        ("ICY 200 OK", b"ICY 200 OK", 200),
        ("ICY", b"ICY", None),
        ("RTSP/1.0 200 OK", b"RTSP/1.0 200 OK", 200),
        ("Cheese 200 please", b"Cheese 200 please", 200),
    ],
)
def test_a_status_is_sent_as_it_was_written(text: str, line: bytes, code: int | None) -> None:
    assert parse_status(text) == line
    assert status_code(line) == code


@pytest.mark.parametrize("text", ["", "OK", " 503", "teapot please", "-1", "٢٠٠ OK", "²00"])
def test_what_is_no_status_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(AnswerError, match="not a status") as refused:
        parse_status(text)
    assert "503 Back Soon" in refused.value.mend
    assert refused.value.exit_code == 2
    assert isinstance(refused.value, InspectdError)


@pytest.mark.parametrize("text", ["503\r\nX: y", "503\n", "503\rx"])
def test_a_status_line_is_one_line(text: str) -> None:
    with pytest.raises(AnswerError, match="a line end inside the status line"):
        parse_status(text)


@pytest.mark.parametrize(
    "text", ["Name: value", "name:value", ": empty name", "X-A:  v \t", "A B: c", " a fold", "X: é\udc80"]
)
def test_a_field_line_is_sent_as_it_was_written(text: str) -> None:
    assert parse_field(text) == text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("text", "what"), [("no colon", "no colon"), ("", "no colon"), ("a: b\r\nc: d", "a line end")]
)
def test_what_is_no_field_line_is_refused(text: str, what: str) -> None:
    with pytest.raises(AnswerError, match=what):
        parse_field(text)


def test_an_answer_is_its_lines_then_what_is_added_then_its_body() -> None:
    answer = make_answer("503 Back Soon", ["X-A:1", "x-a:  2 ", "X-A:1"], b"bye")
    assert compile_for(answer, now=NOW) == Program(
        (
            Send(
                b"HTTP/1.1 503 Back Soon\r\nX-A:1\r\nx-a:  2 \r\nX-A:1\r\n"
                b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 3\r\n\r\nbye"
            ),
        ),
        label="answer 503 Back Soon",
        added=(DATE, "Content-Length: 3"),
    )


@given(
    status_text, st.lists(field_text), st.binary(), st.sets(st.sampled_from(sorted(AUTOMATIC))), st.booleans()
)
def test_nothing_but_what_is_listed_is_added(
    status: str, headers: list[str], body: bytes, auto: set[str], persist: bool
) -> None:
    answer = make_answer(status, headers, body, auto=frozenset(auto))
    program = compile_for(answer, now=NOW, persist=persist)
    lines = [parse_status(status), *map(parse_field, headers), *(line.encode() for line in program.added)]
    content = b"" if has_no_content(b"GET", status_code(lines[0])) else body
    assert data_of(program) == b"\r\n".join(lines) + b"\r\n\r\n" + content
    assert {line.partition(":")[0].lower() for line in program.added} <= auto


@pytest.mark.parametrize(
    ("headers", "auto", "added", "closes"),
    [
        ([], AUTOMATIC, [DATE, "Content-Length: 4"], False),
        (["DATE: never"], AUTOMATIC, ["Content-Length: 4"], False),
        (["content-length: 99"], AUTOMATIC, [DATE], False),
        (["Transfer-Encoding: chunked"], AUTOMATIC, [DATE], False),
        (["Connection: close"], AUTOMATIC, [DATE, "Content-Length: 4"], True),
        (["Connection: x, CLOSE"], AUTOMATIC, [DATE, "Content-Length: 4"], True),
        (["Connection: keep-alive"], AUTOMATIC, [DATE, "Content-Length: 4"], False),
        ([], SILENT, [], True),
        ([], frozenset({"connection"}), ["Connection: close"], True),
        (["Content-Length: 4"], SILENT, [], False),
    ],
)
def test_automatic_fields_come_only_when_they_are_missing_and_wanted(
    headers: list[str], auto: frozenset[str], added: list[str], closes: bool
) -> None:
    program = compile_for(make_answer("200 OK", headers, b"body", auto=auto), now=NOW)
    assert (list(program.added), Close() in program.ops) == (added, closes)


@pytest.mark.parametrize(
    ("status", "version", "persist", "connection", "closes"),
    [
        ("200 OK", b"HTTP/1.1", True, None, False),
        ("200 OK", b"HTTP/1.1", False, "Connection: close", True),
        ("200 OK", b"HTTP/1.0", True, "Connection: keep-alive", False),
        ("200 OK", b"HTTP/1.0", False, "Connection: close", True),
        ("HTTP/1.0 200 OK", b"HTTP/1.1", True, "Connection: keep-alive", False),
        ("200 OK", b"", False, "Connection: close", True),
    ],
)
def test_connection_says_what_will_happen(
    status: str, version: bytes, persist: bool, connection: str | None, closes: bool
) -> None:
    program = compile_for(make_answer(status), now=NOW, version=version, persist=persist)
    said = [line for line in program.added if line.startswith("Connection")]
    assert (said, Close() in program.ops) == ([connection] if connection else [], closes)


@pytest.mark.parametrize(
    ("status", "method", "length", "body"),
    [
        ("200 OK", b"GET", True, b"body"),
        ("200 OK", b"HEAD", True, b""),
        ("404", b"HEAD", True, b""),
        ("204", b"GET", False, b""),
        ("304", b"GET", False, b""),
        ("304", b"HEAD", False, b""),
        ("100", b"GET", False, b""),
        ("199 x", b"GET", False, b""),
        ("200 OK", b"CONNECT", False, b""),
        ("404 No", b"CONNECT", True, b"body"),
        ("HTTP/1.1", b"GET", True, b"body"),
        ("HTTP/1.1", b"HEAD", True, b""),
        ("200 OK", b"head", True, b"body"),
    ],
)
def test_a_response_without_content_sends_none(status: str, method: bytes, length: bool, body: bytes) -> None:
    program = compile_for(make_answer(status, body=b"body"), now=NOW, method=method)
    assert ("Content-Length: 4" in program.added, data_of(program).partition(b"\r\n\r\n")[2]) == (
        length,
        body,
    )
    refused = method == b"CONNECT" and not status.startswith("2")  # what follows is meant for a tunnel
    assert (Close() in program.ops, "Connection: close" in program.added) == (refused, refused)


@pytest.mark.parametrize(
    ("lines", "closes"),
    [
        (["Connection: close"], True),
        (["connection : keep-alive , Close"], True),
        (["Connection:  ", "   close"], True),
        (["Connection: x", "\t, close", "X-A: b"], True),
        (["Connection: close", "Connection: keep-alive"], True),
        (["Connection: x", "X-A: b", "  close"], False),
        (["X-A: close", " , close"], False),
    ],
)
def test_a_connection_that_is_said_to_close_does(lines: list[str], closes: bool) -> None:
    program = compile_for(make_answer("200", lines), now=NOW)
    assert (Close() in program.ops) is closes


@pytest.mark.parametrize(("status", "method"), [("204", b"GET"), ("304", b"GET"), ("200", b"HEAD")])
def test_a_length_that_a_person_gave_stays(status: str, method: bytes) -> None:
    program = compile_for(make_answer(status, ["Content-Length: 7"], b"body"), now=NOW, method=method)
    assert data_of(program).endswith(b"\r\nContent-Length: 7\r\n" + f"{DATE}\r\n\r\n".encode())


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found", "204", "304 Not Modified", "503 "])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("persist", [True, False])
@pytest.mark.parametrize("auto", [AUTOMATIC, frozenset({"connection"}), SILENT])
def test_a_client_finds_the_end_of_the_answer(
    status: str, method: str, persist: bool, auto: frozenset[str]
) -> None:
    program = compile_for(
        make_answer(status, body=b"body", auto=auto), now=NOW, method=method.encode(), persist=persist
    )
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data_of(program))
    if Close() in program.ops:
        client.receive_data(b"")
    events = []
    while not isinstance(
        event := client.next_event(), (type(h11.NEED_DATA), type(h11.PAUSED), h11.ConnectionClosed)
    ):
        events.append(event)
        if isinstance(event, h11.EndOfMessage):
            break
    assert isinstance(events[-1], h11.EndOfMessage)
    content = b"".join(bytes(event.data) for event in events if isinstance(event, h11.Data))
    assert content == (b"body" if method == "GET" and status not in {"204", "304 Not Modified"} else b"")


def test_a_compiled_answer_is_kept_for_its_second() -> None:
    answer = make_answer("200 OK")
    request = get()
    first = compile_answer(answer, request, now=NOW, persist=True)
    assert compile_answer(answer, request, now=NOW + 0.4, persist=True) is first
    assert compile_answer(answer, request, now=NOW + 1, persist=True) is not first
    head = compile_answer(answer, get(method="HEAD"), now=NOW + 1, persist=True)
    assert compile_answer(answer, request, now=NOW + 1, persist=True) is not head


@given(st.integers(-(2**31), 2**34), st.floats(0, 0.999))
def test_dates_are_imf_fixdates(second: int, fraction: float) -> None:
    assert imf_fixdate(second) == formatdate(second, usegmt=True)
    if second >= 0:
        assert imf_fixdate(second + fraction) == formatdate(second, usegmt=True)


def test_a_small_body_file_is_sent_with_the_head_and_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"one")
    answer = make_answer("200 OK", body=file)
    first = compile_for(answer, now=NOW)
    assert len(first.ops) == 1
    assert data_of(first).endswith(b"Content-Length: 3\r\n\r\none")
    assert compile_for(answer, now=NOW) is first
    file.write_bytes(b"three")
    assert data_of(compile_for(answer, now=NOW)).endswith(b"Content-Length: 5\r\n\r\nthree")


def test_a_large_body_file_is_sent_while_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"x" * (LARGE_FILE + 1))
    answer = make_answer("200 OK", body=file)
    program = compile_for(answer, now=NOW)
    assert program.ops[1:] == (SendFile(file, 0, LARGE_FILE + 1),)
    assert data_of(program).endswith(f"Content-Length: {LARGE_FILE + 1}\r\n\r\n".encode())
    assert preview(program, 300).endswith(b"xxx")
    assert len(preview(program, 300)) == 300
    head = compile_for(answer, now=NOW, method=b"HEAD")
    assert [type(op) for op in head.ops] == [Send]


def test_a_large_body_is_not_copied() -> None:
    body = b"x" * 100_000
    program = compile_for(make_answer("200 OK", body=body), now=NOW)
    last = program.ops[-1]
    assert isinstance(last, Send)
    assert last.data is body


def test_a_body_file_that_can_not_be_read_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    refusals = {
        tmp_path / "absent": "no such file",
        tmp_path: "it is a directory",
        pipe: "it is not an ordinary file",
        tmp_path / "n\0l": "null",
    }
    for path, why in refusals.items():
        with pytest.raises(AnswerError, match=why) as refused:
            make_answer("200 OK", body=path)
        assert refused.value.mend


def test_a_body_file_that_goes_away_is_answered_with_500(tmp_path: Path) -> None:
    file = tmp_path / "body"
    file.write_bytes(b"x")
    fixed = Fixed(make_answer("200 OK", body=file))
    file.unlink()
    program = fixed.respond(get(), now=NOW, persist=True)
    assert data_of(program).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert program.ops[-1] == Close()


def test_a_fixed_responder_says_what_it_answers() -> None:
    fixed = Fixed(make_answer("503 Back Soon"))
    assert (fixed.description, fixed.status_line) == ("503 Back Soon", "HTTP/1.1 503 Back Soon")
    assert data_of(fixed.respond(get(), now=NOW, persist=True)).startswith(b"HTTP/1.1 503 Back Soon\r\n")


def test_a_preview_is_the_first_bytes_of_the_program() -> None:
    program = Program((Send(b"abc"), Close(), Send(b"defgh")))
    assert [preview(program, limit) for limit in (0, 2, 3, 5, 99)] == [
        b"",
        b"ab",
        b"abc",
        b"abcde",
        b"abcdefgh",
    ]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (make_answer("200 OK", body=b"x"), []),
        (make_answer("999 Odd"), ["outside 100 to 599"]),
        (make_answer("HTTP/1.1"), ["no status code"]),
        (make_answer("103 Early Hints"), ["interim status"]),
        (make_answer("204", body=b"x"), ["the body is not sent"]),
        (
            make_answer("200", ["Content-Length: 9"], b"body"),
            ["Content-Length says 9, and the body has 4 bytes"],
        ),
        (make_answer("200", ["Content-Length: 4"], b"body"), []),
        (
            make_answer("200", ["Transfer-Encoding: chunked", "Content-Length: 4"], b"body"),
            ["must hold the chunks", "differ"],
        ),
        (make_answer("200", auto=SILENT), ["the connection is closed after it"]),
    ],
)
def test_remarks_say_what_is_odd_and_change_nothing(answer: Answer, words: list[str]) -> None:
    said = remarks(answer)
    assert len(said) == len(words)
    assert all(word in sentence for word, sentence in zip(words, said, strict=True))


@pytest.mark.parametrize("status", [400, 408, 414, 431, 500, 501, 503, 505])
def test_a_problem_is_told_in_plain_text_and_closes(status: int) -> None:
    program = compile_for(problem_answer(status), now=NOW)
    data = data_of(program)
    assert data.startswith(f"HTTP/1.1 {status} ".encode())
    assert data.endswith(b".\n")
    assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in data
    assert b"\r\nConnection: close\r\n" in data
    assert program.ops[-1] == Close()


def test_a_problem_can_say_its_own_sentence_and_what_to_do() -> None:
    answer = problem_answer(400, "The header has two lengths.", "Send one.")
    assert answer.body == b"400 Bad Request\n\nThe header has two lengths.\nSend one.\n"
