"""`inspectd list` with tests of findings: connections are tried as well, and each row says what met the test."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from inspectd.cli.root import run_command_line
from inspectd.tui.subject import Subject
from inspectd.tui.widgets.panes.finding_text import Listed, finding_blocks
from tests.capture.traffic import get, new_writer, open_connection

if TYPE_CHECKING:
    from pathlib import Path

SERVED = "SOCKS5 to a.test:80"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    """An ordinary exchange, a TLS hello, a SOCKS client that was served, and bytes behind a request."""
    path = tmp_path / "demo.inspectd"
    writer = new_writer(path)
    connection = open_connection(writer)
    get(writer, connection, "/ordinary")
    for data, kind, sentence in (
        (b"\x16\x03\x01\x02\x00\x01", "tls", "A TLS hello."),
        (b"\x05\x01\x00\x05\x01\x00", "socks5", SERVED),
    ):
        other = open_connection(writer)
        other.received(data, 2500)
        other.settle(None)
        other.sent(None, b"\x05\x00\xff", 2550)
        other.describe(kind, sentence)
        other.closed_ns = 2600
        other.save()
    behind = open_connection(writer)
    get(writer, behind, "/two")
    behind.received(b"more", 2700)
    behind.settle(None)
    behind.describe(
        "left-over", "4 bytes were left over behind exchange 2 and not read as a request: \\x05 more"
    )
    behind.closed_ns = 2800
    behind.save()
    writer.flush(3000)
    writer.close(4000)
    return path


def test_a_row_says_what_met_the_test(capture: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["list", str(capture), "severity >= error"]) == 0
    row, found = capfd.readouterr().out.splitlines()
    assert "A TLS hello." in row
    assert found.strip() == "stream-tls-hello"


def test_bytes_left_over_are_listed_and_found_by_their_words(
    capture: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["list", str(capture), "left-over", "more"]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    assert line.split()[0] == "c4"
    assert "not read as a request: \\x05 more" in line
    assert "\\\\x05" not in line


def test_json_tells_findings_of_connections(capture: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["list", str(capture), "--json", "socks5"]) == 0
    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert (line["sentence"], line["findings"]) == (SERVED, [])

    assert run_command_line(["list", str(capture), "--json", "severity >= error"]) == 0
    (line,) = map(json.loads, capfd.readouterr().out.splitlines())
    assert [each["id"] for each in line["findings"]] == ["stream-tls-hello"]


def test_what_was_served_in_another_protocol_is_no_error(
    capture: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["lint", str(capture), "--only", "stream-other-protocol"]) == 0
    assert run_command_line(["lint", str(capture), "--only", "stream-tls-hello"]) == 1
    capfd.readouterr()
    from inspectd.capture.reader import Capture

    with Capture.open(capture) as opened:
        subject = Subject.load(opened, -3)
        assert subject is not None
        assert [*subject.side("request").findings, *subject.side("response").findings] == []


def test_escapes_of_a_finding_are_written_once() -> None:
    from inspectd.lint import entry, findings

    data = b"\x05\xff more\r\n\r\n"
    found = next(each for each in findings(data, "response") if "\\x05" in each.detail)
    blocks = finding_blocks(Listed("response", found, entry(found.id)), data)
    text = "".join(run.text for block in blocks for row in block.rows(80) for run in row)
    assert "\\x05" in text
    assert "\\\\x05" not in text
