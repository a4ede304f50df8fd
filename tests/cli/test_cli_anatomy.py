"""`inspectd anatomy`: bytes from a file or a pipe, explained."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.wire import spans

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = b"GET  /a HTTP/1.1\r\nX-A:  v \t\r\n fold\r\n\r\n"
HOSTILE = b"GET /\x1b[31m\xe2\x80\xae\x9b HTTP/1.1\r\nA: \x1b]0;x\x07\xff\x00\r\nno colon\x1b\r\n\r\n"
NO_BODY = (
    "     framing          no-body-request (RFC 9112 §6.3 rule 7). A request with neither Content-Length nor"
    " Transfer-Encoding has no content."
)
TWO_SPACES = (
    "     warning          0003 More than one space between the words of the request line"
    " [reqline-multiple-sp, RFC 9112 §3]"
)
TWO_BLANKS = (
    "     info             0016 White space around the value other than one SP before it (before the value)"
    " [value-ows-odd, RFC 9110 §5.6.3]"
)
TRUNCATED = b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc"


def run(
    *arguments: str, data: bytes = b"", environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "inspectd", "anatomy", *arguments],
        input=data,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **(environment or {})},
    )


def as_json(*arguments: str, data: bytes) -> dict[str, Any]:
    done = run("--json", *arguments, data=data)
    assert (done.returncode, done.stderr) == (0, b"")
    answer = json.loads(done.stdout)
    assert isinstance(answer, dict)
    return answer


def test_json_holds_the_spans_of_the_library() -> None:
    for data in (REQUEST, HOSTILE, TRUNCATED, b"", bytes(range(256))):
        answer = as_json("-", "--kind", "request", data=data)
        assert answer["spans"] == [
            {"start": start, "end": end, "role": role.value} for start, end, role in spans(data, "request")
        ]


def test_json_tells_each_message_and_its_framing() -> None:
    data = REQUEST + b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc"
    first, second, third = as_json(data=data)["messages"]
    assert (first["method"], first["target"], first["fields"], first["complete"]) == (
        "GET", "/a", [["X-A", "v fold"]], True,
    )  # fmt: skip
    assert (second["start"], second["end"], second["content"]) == (38, 96, [[95, 96]])
    framing = second["framing"]
    assert (framing["step"], framing["rule"], framing["length"], framing["ambiguous"]) == (
        "content-length", 6, 1, True,
    )  # fmt: skip
    assert [each["length"] for each in framing["alternatives"]] == [2, None]
    assert third["complete"] is False


def test_a_file_and_a_pipe_read_the_same(tmp_path: Path) -> None:
    file = tmp_path / "request.bin"
    file.write_bytes(REQUEST)
    assert run(str(file)).stdout == run(data=REQUEST).stdout == run("-", data=REQUEST).stdout != b""


def test_each_part_is_a_row_of_offset_role_and_bytes() -> None:
    lines = run(data=REQUEST).stdout.decode().splitlines()
    assert lines == [
        "request 1 · 38 bytes · complete",
        "0000 method           GET",
        "0003 sp               ··",
        "0005 path             /a",
        "0007 sp               ·",
        "0008 version          HTTP/1.1",
        "0010 crlf             ↵",
        "0012 field-name       X-A",
        "0015 colon            :",
        "0016 ows              ··",
        "0018 field-value      v",
        "0019 obs-fold         ·→↵",
        "001d                  ·",
        "001e field-value      fold",
        "0022 crlf             ↵",
        "0024 empty-line       ↵",
        NO_BODY,
        "     error            0000 An HTTP/1.1 request without Host [host-missing, RFC 9112 §3.2]",
        TWO_SPACES,
        TWO_BLANKS,
        "     error            0019 A field value goes on in a second line [field-obs-fold, RFC 9112 §5.2]",
        "",
    ]


def test_json_has_the_findings_and_good_notes_too() -> None:
    answer = as_json(data=b"GET / HTTP/1.1\r\nHost: a\r\nA: b\x00c\r\n\r\n")
    assert answer["findings"] == [
        {"id": "host-agrees", "severity": "good", "start": 22, "end": 23, "also": [], "detail": ""},
        {"id": "value-nul", "severity": "error", "start": 28, "end": 31, "also": [[29, 30]], "detail": '"A"'},
    ]
    assert answer["readings"] == []


def test_readers_that_differ_each_have_their_next_message() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
    data = head + b"5\r\nhello\r\n0\r\n\r\nGET /\x1b"
    end = data.index(b"GET")
    lines = [line.strip() for line in run(data=data).stdout.decode().splitlines()]
    assert [line.removeprefix("next").strip() for line in lines if line.startswith("next ")] == [
        rf"a reader that believes Transfer-Encoding: at {end:04x}, GET /\x1b",
        rf"a reader that finds a Content-Length of 3: at {len(head) + 3:04x}, hello\x0d\x0a0\x0d\x0a\x0d\x0aGET /\x1b",
        rf"a reader that sees no content: at {len(head):04x}, 5\x0d\x0ahello\x0d\x0a0\x0d\x0a\x0d\x0aGET /\x1b",
    ]
    assert [each["end"] for each in as_json(data=data)["readings"]] == [end, len(head) + 3, len(head)]


def test_the_kind_is_seen_from_the_bytes_and_can_be_told() -> None:
    data = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    assert as_json(data=data)["messages"][0]["status"] == "200"
    assert as_json("--kind", "request", data=data)["messages"][0]["kind"] == "request"
    assert as_json("--method", "HEAD", data=data)["messages"][0]["complete"] is True
    assert as_json("--method", "GET", data=data)["messages"][0]["complete"] is False


def test_a_connection_that_is_still_open_may_send_more() -> None:
    data = b"HTTP/1.1 200 OK\r\n\r\nabc"
    assert as_json(data=data)["messages"][0]["complete"] is True
    assert as_json("--open", data=data)["messages"][0]["complete"] is False


def test_long_parts_are_cut_unless_all_is_asked_for() -> None:
    data = b"POST / HTTP/1.1\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000
    assert b"(1,488 more bytes)" in run(data=data).stdout
    assert run("--full", data=data).stdout.count(b"x") == 2000


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_nothing_live_reaches_the_output(encoding: str) -> None:
    for arguments in ((), ("--json",), ("--kind", "response")):
        done = run(*arguments, data=HOSTILE, environment={"PYTHONIOENCODING": encoding})
        assert (done.returncode, done.stderr) == (0, b"")
        text = done.stdout.decode(encoding)
        assert [character for character in text if not character.isprintable() and character != "\n"] == []


def test_colour_is_for_terminals_that_want_it() -> None:
    def shown(environment: dict[str, str]) -> bytes:
        primary, secondary = pty.openpty()
        try:
            subprocess.run(
                [sys.executable, "-m", "inspectd", "anatomy", "-"],
                input=b"GET / HTTP/1.1\r\n\r\n",
                stdout=secondary,
                timeout=60,
                check=True,
                env={**os.environ, "TERM": "xterm", **environment},
            )
            os.close(secondary)
            return os.read(primary, 65536)
        finally:
            os.close(primary)

    assert b"\x1b[32mmethod" in shown({"NO_COLOR": ""})
    assert b"\x1b" not in shown({"NO_COLOR": "1"})


def test_mistakes_are_told_in_two_lines_at_most(tmp_path: Path) -> None:
    for arguments, code, what in (
        ([str(tmp_path / "none")], 1, "No such file or directory"),
        ([str(tmp_path)], 1, "Is a directory"),
        ([str(tmp_path / "a\x1bb")], 1, "a\\x1bb: No such file"),
        (["--kind", "question"], 2, "'question' is not one of"),
        (["--what"], 2, "--what"),
    ):
        done = run(*arguments)
        text = done.stderr.decode()
        assert (done.returncode, done.stdout) == (code, b"")
        assert what in text
        assert text.count("\n") <= 2
        assert "Traceback" not in text


def test_no_bytes_are_no_mistake() -> None:
    done = run(data=b"")
    assert (done.returncode, done.stdout) == (0, b"no bytes\n")
