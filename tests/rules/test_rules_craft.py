"""Answers from tables: the exact bytes, what is added and listed, and every mistake at once with its key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspectd.rules.program import Close, Program, Send, SendFile, Wait
from tests.rules.crafting import NOW, call, problems, program, reply, sent_bytes
from tests.rules.rules_requests import get, request

if TYPE_CHECKING:
    from pathlib import Path

DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
OLD = request(b"GET / HTTP/1.0\r\n\r\n")


def test_an_empty_table_is_an_empty_200() -> None:
    made = program()
    assert made.ops == (Send(b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 0\r\n\r\n"),)
    assert made.added == ("Date: Sun, 06 Nov 1994 08:49:37 GMT", "Content-Length: 0")
    assert (made.rule, made.label, made.hold) == ("test:1", "200 OK", None)


def test_words_are_sent_as_they_are_and_what_is_added_is_listed() -> None:
    headers = ["X-A: 1", "x-a:2", ": nameless", "no colon", " fold", "Ü: ü"]
    made = program(respond="503 Busy", headers=headers, body="hellö")
    head = (
        b"HTTP/1.1 503 Busy\r\nX-A: 1\r\nx-a:2\r\n: nameless\r\nno colon\r\n fold\r\n\xc3\x9c: \xc3\xbc\r\n"
    )
    assert sent_bytes(made) == head + TEXT + DATE + b"Content-Length: 6\r\n\r\nhell\xc3\xb6"
    assert made.added == (
        "Content-Type: text/plain; charset=utf-8",
        "Date: Sun, 06 Nov 1994 08:49:37 GMT",
        "Content-Length: 6",
    )


@pytest.mark.parametrize(
    ("respond", "line"),
    [
        ("503", b"HTTP/1.1 503"),
        ("503 ", b"HTTP/1.1 503 "),
        ("HTTP/2.0 299 Odd", b"HTTP/2.0 299 Odd"),
        ("ICY 200 OK", b"ICY 200 OK"),
        ("HTTP/1.1 -12 X", b"HTTP/1.1 -12 X"),
        ("999999 x", b"HTTP/1.1 999999 x"),
    ],
)
def test_status_lines_are_verbatim(respond: str, line: bytes) -> None:
    assert sent_bytes(program(respond=respond, auto=[])).startswith(line + b"\r\n\r\n")


def test_raw_lines_are_bytes_can_be_filled_up_and_repeated() -> None:
    lines = [{"raw": "A: \xff\x00\r"}, {"raw": "B: ", "length": 6}, {"raw": "C:", "times": 3}]
    assert sent_bytes(program(headers=lines, auto=[])) == (
        b"HTTP/1.1 200 OK\r\nA: \xff\x00\r\r\nB: aaa\r\nC:\r\nC:\r\nC:\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("keys", "content", "kind"),
    [
        ({"body": "hi"}, b"hi", b"text/plain; charset=utf-8"),
        ({"json": {"ok": True, "n": [1, None]}}, b'{"ok":true,"n":[1,null]}', b"application/json"),
        ({"json": None}, b"null", b"application/json"),
        ({"body_hex": "00 ff"}, b"\x00\xff", None),
        ({"body": "ab", "body_repeat": 3}, b"ababab", b"text/plain; charset=utf-8"),
        ({}, b"", None),
    ],
)
def test_bodies_and_their_types(keys: dict[str, Any], content: bytes, kind: bytes | None) -> None:
    data = sent_bytes(program(**keys))
    assert data.endswith(b"\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
    assert (b"Content-Type: " in data) is (kind is not None)
    assert kind is None or b"Content-Type: " + kind + b"\r\n" in data


def test_a_body_file_is_read_again_when_it_changes_and_missed_when_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"<p>1")
    made = reply(tmp_path, body_file="page.html")
    first = sent_bytes(made.program(call()))
    assert first.endswith(b"\r\n\r\n<p>1")
    assert b"Content-Type: text/html; charset=utf-8\r\n" in first
    path.write_bytes(b"<p>other")
    assert sent_bytes(made.program(call())).endswith(b"Content-Length: 8\r\n\r\n<p>other")
    path.unlink()
    problem = made.program(call())
    assert sent_bytes(problem).startswith(b"HTTP/1.1 500 ")
    assert b"page.html" in sent_bytes(problem)
    assert problem.rule == "test:1"


def test_a_large_body_file_is_sent_from_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "big.bin"
    path.write_bytes(bytes(2 << 20))
    head, body = program(tmp_path, body_file="big.bin").ops
    assert isinstance(head, Send)
    assert body == SendFile(path, 0, 2 << 20)


def test_an_enormous_repeated_body_takes_little_memory() -> None:
    made = program(body="0123456789", body_repeat=1 << 30)
    assert b"Content-Length: 10737418240\r\n" in made.ops[0].data  # type: ignore[union-attr]
    assert len({id(op) for op in made.ops}) <= 3
    assert sum(len(op.data) for op in made.ops[1:] if isinstance(op, Send)) == 10 << 30


def test_an_enormous_repeated_body_in_chunks_takes_little_memory() -> None:
    made = program(body="0123456789", body_repeat=1 << 30, chunked=True)
    large = {id(op.data) for op in made.ops if isinstance(op, Send) and len(op.data) > 1000}
    assert len(large) <= 3
    assert sum(len(op.data) for op in made.ops if isinstance(op, Send)) > 10 << 30


def test_given_fields_are_not_added_again_and_wrong_ones_are_sent_wrong() -> None:
    headers = ["content-length: 99", "DATE: never", "Content-Type: x", "Connection: x"]
    made = program(headers=headers, body="hello")
    assert made.added == ()
    assert made.ops == (
        Send(
            b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\nDATE: never\r\nContent-Type: x\r\nConnection: x\r\n\r\nhello"
        ),
    )


def test_auto_says_what_may_be_added() -> None:
    assert sent_bytes(program(body="hi", auto=["content-length"])) == (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    )
    unframed = program(body="hi", auto=[])
    assert unframed.ops == (Send(b"HTTP/1.1 200 OK\r\n\r\nhi"), Close())


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified", "103 Early"])
def test_a_response_that_ends_with_its_head_has_no_content(status: str) -> None:
    data = sent_bytes(program(respond=status, body="hello", auto=["content-length", "transfer-encoding"]))
    assert data == b"HTTP/1.1 " + status.encode() + b"\r\n\r\n"


def test_head_gets_the_head_that_get_would() -> None:
    to_get = sent_bytes(program(body="hello"))
    to_head = program(body="hello", to=call(get(method="HEAD")))
    assert sent_bytes(to_head) == to_get.removesuffix(b"hello")
    assert not any(isinstance(op, Close) for op in to_head.ops)


def test_the_connection_closes_when_the_rule_or_the_client_wants_it() -> None:
    closing = program(body="x", close=True)
    assert closing.ops[-1] == Close()
    assert b"Connection: close\r\n" in sent_bytes(closing)
    assert program(body="x", to=call(persist=False)).ops[-1] == Close()
    kept = program(body="x", to=call(OLD))
    assert b"Connection: keep-alive\r\n" in sent_bytes(kept)
    assert len(kept.ops) == 1


def test_raw_is_sent_as_it_is() -> None:
    raw = "HTTP/1.1 200\nX-A: 1\n folded\nContent-Length: 99\n\nhi\x00\xff"
    made = program(raw=raw)
    assert made.ops == (Send(raw.encode("latin-1")),)
    assert made.added == ()
    assert program(raw="x", close=True).ops == (Send(b"x"), Close())
    assert program(raw_hex="48 54 54 50").ops == (Send(b"HTTP"),)
    assert program(raw="").ops == ()
    assert program(raw="x", to=call(get(method="HEAD"), persist=False)).ops == (Send(b"x"),)


def test_a_raw_file_is_sent_as_it_is_however_large(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    data = b"HTTP/1.1 200 OK\r\n\r\n" + bytes(100)
    path.write_bytes(data)
    made = reply(tmp_path, raw_file="a.raw")
    assert sent_bytes(made.program(call())) == data
    large = data + bytes(3 << 20)
    path.write_bytes(large)
    assert sent_bytes(made.program(call())) == large
    assert any(isinstance(op, SendFile) for op in made.program(call()).ops)  # type: ignore[union-attr]
    path.unlink()
    assert sent_bytes(made.program(call())).startswith(b"HTTP/1.1 500 ")


def test_the_mirror_can_be_a_rule() -> None:
    made = program(mirror=True, close=True)
    assert b"GET / HTTP/1.1\r\nHost: localhost:8080" in sent_bytes(made)
    assert made.ops[-1] == Close()
    assert (made.rule, made.label) == ("test:1", "mirror")


def test_interim_responses_go_before_with_their_waits() -> None:
    interim = [
        "100 Continue",
        {"respond": "103 Early Hints", "headers": ["Link: </a.css>"], "after": "200ms", "times": 2},
    ]
    made = program(interim=interim, body="x", auto=["content-length"])
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    assert made.ops == (
        Send(b"HTTP/1.1 100 Continue\r\n\r\n"),
        Wait(0.2),
        Send(hints),
        Wait(0.2),
        Send(hints + b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
    )


def test_a_hold_has_a_time_limit() -> None:
    assert program(hold=True).hold == 300.0
    assert program(hold={"timeout": "2s"}).hold == 2.0
    assert program(raw="x", hold=True).hold == 300.0
    assert program().hold is None


def test_labels_say_what_is_sent() -> None:
    assert reply(respond="503 Busy").label == "503 Busy"
    assert reply(raw="abc").label == "raw 3 bytes"
    assert reply(redirect="/new").label == "redirect to /new"
    assert reply(events=["a"]).label == "events"
    assert reply(template=True, respond="299 {{ method }}").label == "299 {{ method }}"
    assert program(redirect="/new").label == "302 Found"
    assert program(respond="ICY 200").label == "ICY 200"
    behind = program(auth={"bearer": "t"}, body="secret")
    assert (behind.label, b"secret" in sent_bytes(behind)) == ("401 Unauthorized", False)


def test_whatever_goes_wrong_the_client_gets_an_answer() -> None:
    class Odd:
        head = get().head
        sent = property(lambda self: 1 / 0)

    odd: Any = Odd()
    fault = {"do": "reset", "at": "byte 9", "per": "connection"}
    for made in (reply(body="x", fault=fault), reply(raw="x", fault=fault), reply(mirror=True)):
        answer = made.program(call(odd))
        assert sent_bytes(answer).startswith(b"HTTP/1.1 500 ")
        assert answer.rule == "test:1"


def test_programs_are_kept_for_a_second() -> None:
    made = reply(body="x")
    first = made.program(call())
    assert made.program(call()) is first
    assert made.program(call(get("/other"))) is first
    assert made.program(call(now=NOW + 1)) is not first
    raw = reply(raw="x")
    assert raw.program(call()) is raw.program(call(now=NOW + 9))


# -- mistakes


@pytest.mark.parametrize(
    ("keys", "wrong"),
    [
        ({"respond": "-12"}, {"respond": "raw"}),
        ({"respond": "200 OK\r\nX: y"}, {"respond": "line end"}),
        ({"headers": ["A: b", "C: d\n"]}, {"headers[1]": "raw"}),
        ({"headers": [{"raw": "\ud800"}]}, {"headers[0]": "surrogate"}),
        ({"headers": [{"raw": "a", "length": "4XB"}]}, {"headers[0]": "size"}),
        ({"headers": [{"raw": "a", "length": "1MiB", "times": 1000}]}, {"headers[0]": "64 MiB"}),
        ({"body": "a", "json": 1}, {"json": "'body'"}),
        ({"body": "a", "body_hex": "00", "json": 1}, {"json": "'body'", "body-hex": "'body'"}),
        ({"body_hex": "0g"}, {"body-hex": "hexadecimal"}),
        ({"raw_hex": "0g"}, {"raw-hex": "hexadecimal"}),
        ({"body_file": "missing"}, {"body-file": "no such file"}),
        ({"body_file": "../x"}, {"body-file": "outside"}),
        ({"body_file": "a/../../x"}, {"body-file": "outside"}),
        ({"raw_file": "."}, {"raw-file": "directory"}),
        ({"raw": "x", "raw_hex": "00"}, {"raw-hex": "'raw'"}),
        ({"raw": "x", "headers": ["A: b"]}, {"headers": "'raw'"}),
        ({"raw": "x", "coding": "gzip", "chunked": True}, {"coding": "'raw'", "chunked": "'raw'"}),
        ({"mirror": True, "body": "x"}, {"body": "'mirror'"}),
        ({"respond": "200", "redirect": "/"}, {"respond": "redirect"}),
        ({"body_repeat": 2}, {"body-repeat": "'body'"}),
        ({"interim": ["x"]}, {"interim[0]": "status"}),
        ({"interim": [{"respond": "x", "after": "z"}]}, {"interim[0].respond": "", "interim[0].after": "duration"}),
        ({"pace": {"before": "x", "head": "1", "body": "0B/s"}}, {"pace.before": "", "pace.head": "", "pace.body": ""}),
        ({"fault": {"do": "close", "at": "middle"}}, {"fault.at": "body+50%"}),
        ({"fault": [{"do": "close"}, {"do": "reset", "at": "chunk 1"}]}, {"fault[1].at": "chunked = true"}),
        ({"chunked": True, "fault": {"do": "close", "at": "chunk 0"}}, {"fault.at": "from 1"}),
        ({"fault": {"do": "close", "at": "head", "per": "connection"}}, {"fault.per": "byte 1000"}),
        (
            {"fault": {"do": "close", "bytes": "x", "length": 9, "seed": 1}},
            {"fault.bytes": "garbage", "fault.length": "garbage", "fault.seed": "garbage"},
        ),
        ({"fault": {"do": "garbage", "bytes": "x", "length": 9}}, {"fault.bytes": "'length'"}),
        ({"pace": {"before": "1s", "jitter": 0.5}}, {"pace.jitter": "rate"}),
        ({"fault": {"do": "garbage", "length": "1GiB"}}, {"fault.length": "16 MiB"}),
        ({"hold": {"timeout": "x"}}, {"hold.timeout": "duration"}),
        ({"fault": {"do": "close", "at": "body+101%"}}, {"fault.at": "100 %"}),
        ({"fault": {"do": "close", "after": "soon"}}, {"fault.after": "duration"}),
        ({"events": {"send": ["a"], "close": False}, "fault": {"do": "close", "at": "50%"}}, {"fault.at": "never"}),
        ({"events": {"send": ["a"], "close": False}, "fault": {"do": "close", "at": "body"}}, {"fault.at": "never"}),
        ({"body": "\ud800"}, {"body": "surrogate"}),
        ({"json": {"a": [1.0, float("nan")]}}, {"json": "NaN"}),
        ({"json": "\ud800"}, {"json": "JSON"}),
        ({"raw": "\ud800"}, {"raw": "surrogate"}),
        ({"cookies": ["a\r\nb"], "hold": {"timeout": "x"}}, {"cookies[0]": "line end", "hold.timeout": "duration"}),
        ({"chunked": {"trailers": ["A: b\r\n"]}}, {"chunked.trailers[0]": "line end"}),
        ({"coding": {"apply": ["br"], "members": 2}}, {"coding": "gzip"}),
        ({"coding": {"apply": ["br"], "damage": "checksum"}}, {"coding": "flip"}),
        ({"coding": {"damage": "flip"}}, {"coding": "no coding"}),
        ({"body": "x" * 1024, "body_repeat": 1 << 20, "coding": "gzip"}, {"coding": "256 MiB"}),
        ({"body": "x" * 1024, "body_repeat": 1 << 30}, {"body-repeat": "64 GiB"}),
        ({"body": "x", "body_repeat": 1 << 30, "chunked": {"sizes": [9]}}, {"chunked.sizes": "sizes"}),
        ({"body": "x" * 99_999, "chunked": {"sizes": [1]}}, {"chunked.sizes": "chunks of 1"}),
        ({"body_file": "big.bin", "chunked": {"sizes": [1]}}, {"chunked.sizes": "chunks of 1"}),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_key_and_how_to_mend_it(
    tmp_path: Path, keys: dict[str, Any], wrong: dict[str, str]
) -> None:
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(4 << 20)
    found = problems(tmp_path, **keys)
    assert set(found) == set(wrong)
    for key, words in wrong.items():
        assert words in found[key]


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        respond="x\n",
        headers=["a\r"],
        body_file="gone",
        pace={"all": "?"},
        fault={"do": "close", "at": "?"},
        hold={"timeout": -1},
    )
    assert set(found) == {"respond", "headers[0]", "body-file", "pace.all", "fault.at", "hold.timeout"}


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), max_size=5),
    st.binary(max_size=50),
)
def test_any_field_lines_and_any_content_are_sent_as_they_are(headers: list[str], body: bytes) -> None:
    data = sent_bytes(program(headers=headers, body_hex=body.hex(), auto=[]))
    lines = b"".join(line.encode() + b"\r\n" for line in ("HTTP/1.1 200 OK", *headers))
    assert data == lines + b"\r\n" + body


@given(st.binary(max_size=300))
def test_any_raw_bytes_are_sent_as_they_are(data: bytes) -> None:
    made = program(raw=data.decode("latin-1"))
    assert isinstance(made, Program)
    assert sent_bytes(made) == data
