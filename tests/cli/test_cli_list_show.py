"""`inspectd list` and `inspectd show`, run the way a person runs them."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from inspectd.capture.model import State
from inspectd.cli.listing import heading
from tests.capture.traffic import OK, get, new_writer, open_connection

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = b"GET /\x1b]0;owned\x07\xe2\x80\xae HTTP/1.1\r\nHost: x\r\nX-\x9b31m: \x1b[2J\xff\xc2\x9b\r\n\r\n"
TLS = b"\x16\x03\x01\x02\x00\x01"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ordinary exchanges, a hostile one, one that was cut short, and a TLS hello between them."""
    path = tmp_path_factory.mktemp("capture") / "demo.inspectd"
    writer = new_writer(path)
    connection = open_connection(writer, now=1_000_000_000)
    get(writer, connection, "/first", now=1_000_000_000)
    _, second = get(writer, connection, "/100%_sure", now=2_000_000_000, body=b"a\x00b" * 10)
    second.client, second.dest, second.mode, second.label = "curl 8.14", "image", "no-cors", "mirror"
    writer.flush(2_000_500_000)

    hello = open_connection(writer, now=3_000_000_000)
    hello.received(TLS, 3_000_000_000)
    hello.settle(None)
    hello.describe("tls", "A TLS hello on a port that speaks plain HTTP.")
    hello.closed_ns, hello.closed_by, hello.how = 3_000_000_000, "client", "rst"

    start = connection.bytes_in
    connection.received(HOSTILE, 4_000_000_000)
    hostile = connection.begin(start, 4_000_000_000)
    connection.end(hostile, connection.bytes_in)
    connection.settle(None)
    hostile.method, hostile.target, hostile.req_head = "GET", "/\x1b]0;owned\x07\u202e", len(HOSTILE)
    hostile.state |= (State.HEAD_COMPLETE | State.REQUEST_COMPLETE).value
    connection.sent(hostile, b"HTTP/1.1 299 \x1b[31mOdd\r\nX: \x9b\r\n\r\n\x1b[2J", 4_000_000_001)
    hostile.status, hostile.reason, hostile.res_head = "299", "\x1b[31mOdd", 30
    hostile.state |= State.RESPONSE_COMPLETE.value
    writer.flush(4_000_000_002)

    start = connection.bytes_in
    connection.received(b"POST /cut HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", 5_000_000_000)
    cut = connection.begin(start, 5_000_000_000)
    connection.settle(cut)
    cut.method, cut.target, cut.version, cut.req_head = "POST", "/cut", "HTTP/1.1", 41
    cut.state |= (State.HEAD_COMPLETE | State.ABORTED).value
    connection.closed_ns, connection.closed_by, connection.how = 5_000_000_009, "client", "fin"
    connection.save()
    writer.flush(5_000_000_010)
    writer.close(6_000_000_000)
    return path


def inspectd(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "inspectd", *map(str, arguments)],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "TZ": "UTC"},
        **options,
    )


def on_a_terminal(*arguments: object, columns: int = 100) -> tuple[bytes, int]:
    """Run on a pseudo terminal; what reaches the screen, and the exit code."""
    primary, secondary = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "inspectd", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=secondary,
        stderr=subprocess.PIPE,
        env={**os.environ, "TZ": "UTC", "COLUMNS": str(columns), "TERM": "xterm-256color"},
    ) as process:
        os.close(secondary)
        shown = b""
        while select.select([primary], [], [], 20)[0]:
            try:
                data = os.read(primary, 65536)
            except OSError:
                break
            if not data:
                break
            shown += data
        assert process.stderr is not None
        shown += process.stderr.read()
        code = process.wait(60)
    os.close(primary)
    return shown, code


def json_lines(output: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


# -- list


def test_list_prints_a_line_each_in_their_order(capture: Path) -> None:
    answer = inspectd("list", capture)
    assert (answer.returncode, answer.stderr) == (0, b"")
    lines = answer.stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "c2", "3", "4"]
    assert "POST" in lines[4]
    assert "cut short" in lines[4]
    assert b"\t" not in answer.stdout
    assert b"\x1b" not in answer.stdout


def test_list_finds_every_word_literally(capture: Path) -> None:
    def found(*words: str) -> list[str]:
        answer = inspectd("list", capture, *words)
        assert (answer.returncode, answer.stderr) == (0, b"")
        return [line.split()[0] for line in answer.stdout.decode().splitlines()]

    assert found("%_") == ["2"]
    assert found("get", "SURE") == ["2"]
    assert found("get sure") == ["2"]
    assert found("no-cors", "image", "curl") == ["2"]
    assert found("tls") == ["c2"]
    assert found("post") == ["4"]
    assert found("200", "post") == []


def test_list_prints_the_json_lines_of_the_headless_engine(capture: Path) -> None:
    answer = inspectd("list", "--json", capture)
    lines = json_lines(answer.stdout)
    assert [(line["type"], line["id"]) for line in lines] == [
        ("exchange", 1),
        ("exchange", 2),
        ("connection", 2),
        ("exchange", 3),
        ("exchange", 4),
    ]
    asked_for = {
        "type", "id", "connection", "started", "method", "target", "version", "status", "reason",
        "request_bytes", "response_bytes", "duration_ms", "client", "fields", "complete",
    }  # fmt: skip
    assert asked_for <= lines[0].keys()
    assert lines[0]["fields"] == [["Host", "example.test"]]
    assert lines[0]["started"] == "1970-01-01T00:00:01.000000Z"
    assert (lines[2]["kind"], lines[2]["bytes"]) == ("tls", len(TLS))
    assert [line["complete"] for line in lines if line["type"] == "exchange"] == [True, True, True, False]
    assert all(32 <= byte < 127 or byte == 10 for byte in answer.stdout)


@pytest.mark.parametrize("columns", [80, 96, 110, 120, 200])
def test_list_on_a_terminal_is_a_table_that_fits_and_is_safe(capture: Path, columns: int) -> None:
    shown, code = on_a_terminal("list", capture, columns=columns)
    assert code == 0
    assert b"\x1b]" not in shown
    assert b"\x1b[31mOdd" not in shown
    assert "\u202e".encode() not in shown
    plain = [strip_colour(line) for line in shown.decode().replace("\r\n", "\n").splitlines()]
    assert all(len(line) <= columns for line in plain), plain
    head, first = plain[0], plain[1]
    assert head == heading(columns)
    assert first.index("/first") == head.index("target")
    assert first.index("GET") == head.index("method")
    assert first.index("200 OK") == head.index("status")
    assert first.index("00:00:01") == head.index("time")
    size = head.index("size") + len("size")
    assert first[:size].endswith(f" {len(OK)}")


def strip_colour(line: str) -> str:
    for code in ("0", "1", "2", "31", "32", "33", "34", "35", "36"):
        line = line.replace(f"\x1b[{code}m", "")
    return line


def test_list_of_nothing_is_nothing(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    writer.close(1)
    answer = inspectd("list", tmp_path / "x")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, b"", b"")


def test_list_ends_quietly_when_nobody_reads_on(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    for n in range(3000):
        get(writer, connection, f"/{n}", now=1000 + n)
    writer.flush(9000)
    writer.close(9001)
    for extra in ((), ("--json",)):
        with subprocess.Popen(
            [sys.executable, "-m", "inspectd", "list", tmp_path / "x", *extra],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline()
            process.stdout.close()
            assert process.wait(60) == 0
            assert process.stderr.read() == b""


# -- show


def test_show_bytes_writes_exactly_the_messages_bytes(capture: Path) -> None:
    expected = b"GET /100%_sure HTTP/1.1\r\nHost: example.test\r\n\r\n" + b"a\x00b" * 10
    answer = inspectd("show", capture, 2, "--bytes", "request")
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, expected, b"")
    assert inspectd("show", capture, 2, "--bytes", "response").stdout == OK
    assert inspectd("show", capture, 3, "--bytes", "request").stdout == HOSTILE
    assert inspectd("show", capture, 4, "--bytes", "response").stdout == b""
    assert inspectd("show", capture, "c2", "--bytes", "request").stdout == TLS


def test_show_prints_heads_body_times_and_connection(capture: Path) -> None:
    answer = inspectd("show", capture, 2)
    assert (answer.returncode, answer.stderr) == (0, b"")
    text = answer.stdout.decode()
    for part in (
        "exchange 2 · curl 8.14",
        "started 1970-01-01T00:00:02.000000Z",
        "answered by mirror",
        "> GET /100%_sure HTTP/1.1\n> Host: example.test\n>\n",
        "61 00 62",
        "< HTTP/1.1 200 OK\n",
        "connection c1: from 127.0.0.1:50000 to 127.0.0.1:8080",
        "closed by the client",
    ):
        assert part in text
    assert "no answer was sent" in inspectd("show", capture, 4).stdout.decode()
    assert "the request was cut short here" in inspectd("show", capture, 4).stdout.decode()
    hello = inspectd("show", capture, "c2").stdout.decode()
    assert "A TLS hello on a port that speaks plain HTTP." in hello
    assert "16 03 01 02 00 01" in hello


def test_show_lets_nothing_live_through(capture: Path) -> None:
    shown, code = on_a_terminal("show", capture, 3)
    assert code == 0
    for live in (b"\x1b]0", b"\x1b[2J", b"\x07", "\u202e".encode(), b"\xff", b"\xc2\x9b", b"\x9b"):
        assert live not in shown
    piped = inspectd("show", capture, 3).stdout
    assert b"\x1b" not in piped


def test_show_json_is_the_exchanges_line(capture: Path) -> None:
    (line,) = json_lines(inspectd("show", capture, 2, "--json").stdout)
    listed = json_lines(inspectd("list", capture, "--json").stdout)
    assert line == listed[1]
    assert json_lines(inspectd("show", capture, "c2", "--json").stdout) == [listed[2]]


def test_show_bytes_does_not_let_the_wire_drive_the_terminal(capture: Path) -> None:
    shown, code = on_a_terminal("show", capture, 3, "--bytes", "request")
    assert code == 1
    assert b"could control your terminal" in shown
    assert b"\x1b" not in shown
    shown, code = on_a_terminal("show", capture, 1, "--bytes", "request")
    assert (code, shown.split(b"\r")[0]) == (0, b"GET /first HTTP/1.1")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("show", "CAPTURE", "99"), 1, "there is no exchange 99; its exchanges are 1 to 4"),
        (("show", "CAPTURE", "c99"), 1, "there is no connection c99"),
        (("show", "CAPTURE", "x"), 2, "'x' is no id"),
        (("show", "CAPTURE", "0"), 2, "'0' is no id"),
        (("show", "CAPTURE", "9" * 40), 2, "is no id"),
        (("show", "CAPTURE", "1", "--bytes", "both"), 2, "'both' is not one of"),
        (("show", "CAPTURE", "1", "--bytes", "request", "--json"), 2, "choose one"),
        (("show", "MISSING", "1"), 1, "no such file"),
        (("list", "MISSING"), 1, "no such file"),
        (("list", "DIRECTORY"), 1, "is a directory"),
        (("list", "TEXT"), 1, "is not a capture"),
        (("show", "TEXT", "1"), 1, "is not a capture"),
        (("list",), 2, "Missing argument 'FILE'"),
        (("show", "CAPTURE"), 2, "Missing argument 'ID'"),
    ],
)
def test_a_mistake_is_one_clear_line(
    capture: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    (tmp_path / "text").write_text("dear diary, " * 20)
    places = {
        "CAPTURE": str(capture),
        "MISSING": str(tmp_path / "missing"),
        "DIRECTORY": str(tmp_path),
        "TEXT": str(tmp_path / "text"),
    }
    answer = inspectd(*(places.get(each, each) for each in arguments))
    assert (answer.returncode, answer.stdout) == (code, b"")
    assert says in answer.stderr.decode()
    assert len(answer.stderr.splitlines()) <= 2
    assert answer.stderr.startswith(b"inspectd: ")


def test_both_commands_are_light(capture: Path) -> None:
    code = (
        "import sys\nfrom inspectd.cli.root import run_command_line\n"
        f"run_command_line(['list', {str(capture)!r}]); run_command_line(['show', {str(capture)!r}, '1'])\n"
        "heavy = {'textual', 'rich', 'httpx', 'asyncio', 'inspectd.engine', 'inspectd.tui'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, timeout=60)
    assert (answer.returncode, answer.stderr) == (0, b"")


def test_show_tells_what_is_found(capture: Path) -> None:
    shown = inspectd("show", capture, 3).stdout
    assert b"found in the request\n" in shown
    assert b"[target-non-ascii, RFC" in shown
    assert not [each for each in (b"\x1b", b"\x07", "\u202e".encode()) if each in shown]


def test_list_finds_by_finding(capture: Path) -> None:
    lines = inspectd("list", capture, "finding", "==", "target-non-ascii", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [3]
    refused = inspectd("list", capture, "finding == target-non-asci")
    assert refused.returncode == 1
    assert b"Did you mean target-non-ascii" in refused.stderr
