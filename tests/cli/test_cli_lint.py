"""`inspectd lint`, run the way a person and CI run it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import State
from inspectd.cli.root import run_command_line
from tests.capture.traffic import get, new_writer, open_connection

if TYPE_CHECKING:
    from pathlib import Path

SMUGGLED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
HOSTILE = b"GET / HTTP/1.1\r\nHost: a\r\nX\x1b]0;owned\x07: \xe2\x80\xae\r\n\r\n"
GOOD = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two ordinary exchanges, then seven requests of two lengths, then a hostile one."""
    path = tmp_path_factory.mktemp("lint") / "demo.inspectd"
    writer = new_writer(path)
    connection = open_connection(writer)
    for number in range(2):
        get(writer, connection, f"/{number}")
    for data in (*[SMUGGLED] * 7, HOSTILE):
        start = connection.bytes_in
        connection.received(data, 2000)
        exchange = connection.begin(start, 2000)
        connection.end(exchange, connection.bytes_in)
        exchange.req_head = data.index(b"\r\n\r\n") + 4
        exchange.state |= (State.HEAD_COMPLETE | State.REQUEST_COMPLETE).value
        connection.settle(None)
    hello = open_connection(writer)
    hello.received(b"\x16\x03\x01\x02\x00\x01", 2500)
    hello.settle(None)
    hello.describe("tls", "A TLS hello on a port that speaks plain HTTP.")
    hello.closed_ns, hello.closed_by, hello.how = 2600, "client", "rst"
    hello.save()
    writer.flush(3000)
    writer.close(4000)
    return path


def test_findings_of_a_capture_are_grouped(capture: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["lint", str(capture)]) == 1
    lines = capfd.readouterr().out.splitlines()

    at = lines.index("error, framing  te-with-cl  Transfer-Encoding and Content-Length together")
    assert lines[at + 1].startswith("  7 messages have it; RFC 9112")
    assert lines[at + 2] == "  exchange 3, request at 40: Transfer-Encoding: chunked"
    assert lines[at + 6 : at + 8] == ["  exchange 7, request at 40: Transfer-Encoding: chunked", "  ..."]
    assert lines[-1].startswith("10 exchanges; kinds of findings: ")


def test_connections_without_a_request_are_looked_at(
    capture: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run_command_line(["lint", str(capture), "--only", "stream-tls-hello"])
    assert "  connection c2 at 0: \\x16\\x03\\x01" in capfd.readouterr().out


def test_the_wire_reaches_no_terminal(capture: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_command_line(["lint", str(capture)])
    out = capfd.readouterr().out
    assert "owned" in out
    assert not {"\x1b", "\x07", "\u202e", "\x9b"} & set(out)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ((), 1),
        (("--fail-on", "never"), 0),
        (("--only", "te-with-cl"), 1),
        (("--only", "host-missing"), 0),
        (("--only", "host-missing", "--fail-on", "info"), 0),
        (("--only", "host-agrees", "--fail-on", "info"), 0),
        (("--kind", "response"), 0),
        (("--kind", "response", "--fail-on", "info"), 1),
    ],
)
def test_the_exit_code_is_for_ci(capture: Path, options: tuple[str, ...], code: int) -> None:
    assert run_command_line(["lint", str(capture), *options]) == code


def test_json_has_counts_examples_and_other_parsers(capture: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run_command_line(["lint", str(capture), "--json", "--only", "te-with-cl"])
    found = json.loads(capfd.readouterr().out)

    assert found["exchanges"] == 10
    (group,) = found["findings"]
    assert (group["id"], group["severity"], group["risk"], group["count"]) == (
        "te-with-cl",
        "error",
        "framing",
        7,
    )
    assert [example["exchange"] for example in group["examples"]] == [3, 4, 5, 6, 7]
    example = group["examples"][0]
    assert SMUGGLED[example["start"] : example["end"]] == example["bytes"].encode("latin-1")
    assert {each["parser"].split()[0] for each in example["parsers"]} >= {"h11"}


def test_a_file_of_bytes_is_told_by_message(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bytes.http"
    file.write_bytes(GOOD + SMUGGLED)
    assert run_command_line(["lint", str(file), "--only", "te-with-cl"]) == 1
    assert "  request 2 at 5b: Transfer-Encoding: chunked" in capfd.readouterr().out

    file.write_bytes(GOOD)
    assert run_command_line(["lint", str(file)]) == 0
    assert capfd.readouterr().out == "1 message: nothing found\n"

    file.write_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n")
    assert run_command_line(["lint", str(file)]) == 1
    assert "cl-plus" in capfd.readouterr().out


def test_what_isnt_there_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["lint", str(tmp_path / "none")]) == 1
    assert "No such file" in capfd.readouterr().err
    assert run_command_line(["lint", str(tmp_path), "--only", "te-wth-cl"]) == 2
    assert "Did you mean te-with-cl" in capfd.readouterr().err
