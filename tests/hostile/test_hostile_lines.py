"""Hostile bytes through everything that prints lines: the headless output, `list` and `show`, in a pipe and on a
terminal. Nothing from the wire is ever live there.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.reader import Capture
from tests.hostile import corpus
from tests.hostile.corpus import MARKER
from tests.hostile.escapes import assert_clean, live_characters
from tests.hostile.terminal import Terminal
from tests.live_engine import ROOT, LiveEngine, environment

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.capture.model import ExchangeRow

PIPE = frozenset({"\\n"})
TERMINAL = frozenset({"\\r", "\\n", "CSI m"})
LAST = b"GET /the-last-one-7331 HTTP/1.1\r\nConnection: close\r\n\r\n"


def _pipe(*arguments: str, state: Path) -> bytes:
    """Standard output of a command that has to succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "inspectd", *arguments],
        cwd=ROOT,
        env=environment(state),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def _address(output: bytes) -> tuple[str, int]:
    """The address that an engine's first lines for people name."""
    port = re.search(rb"127\.0\.0\.1:(\d+)", output)
    assert port is not None
    return "127.0.0.1", int(port[1])


@pytest.mark.parametrize("verbosity", [(), ("-v",), ("-vv",)], ids=["plain", "-v", "-vv"])
def test_headless_on_a_terminal(tmp_path: Path, verbosity: tuple[str, ...]) -> None:
    capture = str(tmp_path / "c.inspectd")
    arguments = ("--headless", "--listen", "127.0.0.1:0", "--capture", capture, *verbosity)
    with Terminal(*arguments, state=tmp_path) as terminal:
        terminal.wait_for(lambda output: b"127.0.0.1:" in output and output.endswith(b"\n"))
        address = _address(bytes(terminal.output))
        for _, data in corpus.requests():
            corpus.send(address, data)
        corpus.send(address, LAST)
        terminal.wait_for(lambda output: b"/the-last-one-7331" in output)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 0
    text = assert_clean(bytes(terminal.output), marker=MARKER, allowed=TERMINAL)
    assert "owned 7331" in text


@pytest.mark.parametrize("verbosity", [(), ("-v",), ("-vv",)], ids=["plain", "-v", "-vv"])
def test_headless_in_a_pipe(tmp_path: Path, verbosity: tuple[str, ...]) -> None:
    argv = [sys.executable, "-m", "inspectd", "--headless", "--listen", "127.0.0.1:0"]
    argv += ["--capture", str(tmp_path / "c.inspectd"), *verbosity]
    with subprocess.Popen(argv, cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        output = process.stdout.readline()
        while b"127.0.0.1:" not in output:
            output += process.stdout.readline()
        for data in corpus.crowded():
            corpus.send(_address(output), data)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert_clean(output + rest, marker=MARKER, allowed=PIPE)


def test_json_lines_are_ascii_and_give_the_bytes_back(tmp_path: Path) -> None:
    with LiveEngine(tmp_path) as engine:
        for name, payload in corpus.PAYLOADS.items():
            inline = payload.replace(b"\r", b"").replace(b"\n", b"")
            corpus.send(
                engine.address,
                b"GET /%s HTTP/1.1\r\nX: %s\r\nConnection: close\r\n\r\n" % (name.encode(), inline),
            )
            line = engine.exchange(target=f"/{name}")
            assert line["fields"][0] == ["X", inline.decode("latin-1").strip(" \t")]
        assert engine.stop() == 0


def test_json_lines_hold_no_control_character(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "inspectd", "--headless", "--json", "--listen", "127.0.0.1:0"]
    argv += ["--capture", str(tmp_path / "c.inspectd")]
    with subprocess.Popen(argv, cwd=ROOT, env=environment(tmp_path), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        port = int(json.loads(first)["addresses"][0].rpartition(":")[2])
        sent = list(corpus.requests())
        for _, data in sent:
            corpus.send(("127.0.0.1", port), data)
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=60)
    assert_clean(first + rest, marker=MARKER, allowed=PIPE)
    lines = [json.loads(line) for line in rest.splitlines()]
    assert (first + rest).isascii()
    connections = {line["connection"] if line["type"] == "exchange" else line["id"] for line in lines}
    assert len(connections) == len(sent), "every connection leaves a line"


def test_list_in_a_pipe(hostile_capture: Path, tmp_path: Path) -> None:
    assert_clean(_pipe("list", str(hostile_capture), state=tmp_path), marker=MARKER, allowed=PIPE)


def test_list_on_a_terminal(hostile_capture: Path, tmp_path: Path) -> None:
    with Terminal("list", str(hostile_capture), state=tmp_path) as terminal:
        assert terminal.finish() == 0
    assert_clean(bytes(terminal.output), marker=MARKER, allowed=TERMINAL)


def _exchanges(path: Path) -> list[ExchangeRow]:
    """The exchanges of the crowded capture; what is no request at all has none."""
    with Capture.open(path) as capture:
        rows = capture.exchanges(capture.exchange_ids())
    assert len(rows) == 8
    return rows


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_show_in_a_pipe(crowded_capture: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    for row in _exchanges(crowded_capture):
        output = _pipe("show", str(crowded_capture), str(row.id), *options, state=tmp_path)
        assert_clean(output, marker=MARKER, allowed=PIPE)


def test_show_on_a_terminal(crowded_capture: Path, tmp_path: Path) -> None:
    for row in _exchanges(crowded_capture):
        with Terminal("show", str(crowded_capture), str(row.id), state=tmp_path) as terminal:
            assert terminal.finish() == 0
        assert_clean(bytes(terminal.output), marker=MARKER, allowed=TERMINAL)


def test_show_bytes_gives_exactly_what_was_sent(crowded_capture: Path, tmp_path: Path) -> None:
    connections = corpus.crowded()
    for row in _exchanges(crowded_capture):
        shown = _pipe("show", str(crowded_capture), str(row.id), "--bytes", "request", state=tmp_path)
        assert shown == connections[row.connection - 1]


def test_anatomy_of_hostile_bytes(tmp_path: Path) -> None:
    for data in corpus.crowded():
        file = tmp_path / "message"
        file.write_bytes(data)
        output = _pipe("anatomy", str(file), "--kind", "request", state=tmp_path)
        assert_clean(output, marker=MARKER, allowed=PIPE)


def test_a_hostile_file_name_in_an_error_is_shown_dead(tmp_path: Path) -> None:
    name = "no\x1b]0;7331\x07such\u202efile"
    done = subprocess.run(
        [sys.executable, "-m", "inspectd", "list", name],
        cwd=tmp_path,
        env=environment(tmp_path, {"PYTHONPATH": str(ROOT)}),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode in {1, 2}
    assert not live_characters(done.stderr.replace(b"\n", b""))
    assert b"7331" in done.stderr
    assert b"Traceback" not in done.stderr
