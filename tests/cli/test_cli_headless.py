"""`inspectd --headless` as a process: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.live_engine import ROOT, LiveEngine, environment, receive_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., LiveEngine]

GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"


class Process:
    """`inspectd --headless` with pipes of its own: for what `LiveEngine`'s JSON reader doesn't show."""

    def __init__(self, directory: Path, *options: str, **settings: Any) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-m", "inspectd", "--headless", "--listen", "127.0.0.1:0", *options],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            **{
                "env": environment(directory),
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                **settings,
            },
        )
        assert self.popen.stdout is not None
        self.first_line = self.popen.stdout.readline().decode()
        found = re.search(r"127\.0\.0\.1:(\d+)", self.first_line)
        assert found, self.popen.stderr.read() if self.popen.stderr else self.first_line
        self.address = ("127.0.0.1", int(found[1]))

    def end(self, how: int = signal.SIGINT) -> tuple[int, str, str]:
        """Exit code and the rest of both outputs."""
        self.popen.send_signal(how)
        out, err = self.popen.communicate(timeout=60)
        return self.popen.returncode, out.decode(), err.decode()


@pytest.fixture
def headless(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*options: str, **settings: Any) -> Process:
        started.append(Process(tmp_path, *options, **settings))
        return started[-1]

    yield start
    for process in started:
        process.popen.kill()
        process.popen.wait(60)
        for stream in (process.popen.stdout, process.popen.stderr):
            if stream is not None:
                stream.close()


def ask(address: tuple[str, int], data: bytes) -> bytes:
    with socket.create_connection(address, timeout=60) as client:
        client.sendall(data)
        return receive_response(client)


def listens(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=60).close()
    except OSError:
        return False
    return True


def test_the_first_line_says_where_and_the_others_what(live_engine: Start) -> None:
    engine = live_engine()
    sent = b"GET /x?a=1 HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8.14.1\r\nX-A: 1\r\nx-a: 2\r\n\r\n"
    with engine.connect() as client:
        client.sendall(sent)
        response = receive_response(client)
        line = engine.exchange(target="/x?a=1")

    assert engine.listening["type"] == "listening"
    assert engine.listening["version"] == 1
    assert engine.listening["pid"] == engine.pid
    assert engine.listening["addresses"] == [f"127.0.0.1:{engine.port}"]
    assert engine.listening["capture"] == str(engine.capture)
    assert os.stat(engine.listening["control"]).st_mode & 0o777 == 0o600  # noqa: PTH116
    assert (line["id"], line["connection"], line["number"]) == (1, 1, 1)
    assert (line["method"], line["version"], line["status"], line["reason"]) == ("GET", "HTTP/1.1", 200, "OK")
    assert line["fields"] == [["Host", "a"], ["User-Agent", "curl/8.14.1"], ["X-A", "1"], ["x-a", "2"]]
    assert line["client"] == "curl 8.14"
    assert line["request_bytes"] == len(sent)
    assert line["response_bytes"] == len(response)
    assert line["complete"] is line["answered"] is True
    assert 0 <= line["duration_ms"] < 10_000


def test_lines_come_in_the_order_of_finishing(live_engine: Start) -> None:
    engine = live_engine()
    with engine.connect() as slow, engine.connect() as quick:
        slow.sendall(b"POST /first HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh")
        quick.sendall(GET % b"second")
        receive_response(quick)
        second = engine.wait_for(lambda line: line["type"] == "exchange")
        slow.sendall(b"i")
        first = engine.wait_for(lambda line: line["type"] == "exchange")

    assert (second["target"], first["target"]) == ("/second", "/first")
    assert (first["id"], second["id"]) == (1, 2)


@pytest.mark.parametrize(
    ("sent", "target"),
    [
        (b"GET /half HTTP/1.1\r\nHost: a\r\nCo", "/half"),
        (b"PUT /cut HTTP/1.1\r\nContent-Length: 9\r\n\r\nhi", "/cut"),
    ],
)
def test_what_was_cut_short_is_an_incomplete_exchange(live_engine: Start, sent: bytes, target: str) -> None:
    engine = live_engine()
    with engine.connect() as client:
        client.sendall(sent)

    line = engine.exchange(target=target)

    assert line["complete"] is False
    assert line["request_bytes"] == len(sent)


def test_a_connection_without_a_request_is_a_line_with_a_sentence(live_engine: Start) -> None:
    engine = live_engine()
    engine.connect().close()

    line = engine.wait_for(lambda line: line["type"] == "connection")

    assert (line["kind"], line["bytes"], line["closed_by"]) == ("preconnect", 0, "client")
    assert line["sentence"]


def test_an_http2_preface_is_a_line_with_its_bytes_counted(live_engine: Start) -> None:
    engine = live_engine()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
    with engine.connect() as client:
        client.sendall(preface)
        while client.recv(65536):
            pass

    line = engine.wait_for(lambda line: line["type"] == "connection")

    assert (line["kind"], line["bytes"]) == ("http2", len(preface))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_gracefully(live_engine: Start, number: signal.Signals) -> None:
    engine = live_engine()
    ask(engine.address, GET % b"")

    assert engine.stop(number) == 0
    assert engine.stderr.startswith(f"capture: {engine.capture}\nlook at it: inspectd open ")
    assert engine.exchange(target="/")
    assert not os.path.exists(engine.listening["control"])  # noqa: PTH110


def test_a_second_interrupt_does_not_wait(live_engine: Start) -> None:
    engine = live_engine()
    with engine.connect() as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nh")
        engine.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 60
        while engine.process.poll() is None and time.monotonic() < deadline:
            engine.process.send_signal(signal.SIGINT)
            time.sleep(0.02)

        # A graceful stop would have given the request its time, and exited with 0.
        assert engine.process.wait(60) == 130


def test_a_request_in_flight_is_finished_before_the_end(live_engine: Start) -> None:
    engine = live_engine("--answer", "200 Done")
    with engine.connect() as client:
        client.sendall(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nh")
        engine.process.send_signal(signal.SIGTERM)
        while listens(engine.address):  # until the stop is under way
            pass
        client.sendall(b"i")
        response = receive_response(client)

    assert response.startswith(b"HTTP/1.1 200 Done\r\n")
    assert engine.stop() == 0
    assert engine.exchange(target="/late")["answered"]


def test_quiet_prints_the_listening_line_only(headless: Callable[..., Process]) -> None:
    process = headless("--quiet")
    ask(process.address, GET % b"")

    assert process.first_line == f"listening on http://127.0.0.1:{process.address[1]}\n"
    assert process.end() == (0, "", "")


def test_in_a_pipe_lines_are_plain_and_safe(headless: Callable[..., Process]) -> None:
    process = headless("-vv")
    ask(
        process.address,
        b"POST /\x1b[31m?\xe2\x80\xae HTTP/1.1\r\nHost: a\r\nContent-Length: 48\r\n\r\n"
        b"a body with an escape sequence in it: \x1b]0;title\x07",
    )
    code, out, err = process.end()

    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert r"> POST /\x1b[31m?\u202e HTTP/1.1" in out
    assert r"> a body with an escape sequence in it: \x1b]0;title\x07" in out
    assert "< HTTP/1.1 200 OK" in out
    assert out.rstrip().splitlines()[-1].startswith("look at it: inspectd open ")


def test_a_reader_that_does_not_read_slows_nobody_and_misses_nothing(
    headless: Callable[..., Process],
) -> None:
    process = headless("--json", stderr=subprocess.DEVNULL)
    count = 3000
    with socket.create_connection(process.address, timeout=60) as client:
        for number in range(count):  # the pipe is full after some hundred lines
            client.sendall(GET % b"%d" % number)
            receive_response(client)

    process.popen.send_signal(signal.SIGINT)
    assert process.popen.stdout is not None
    lines = [json.loads(line) for line in process.popen.stdout]

    assert [line["target"] for line in lines if line["type"] == "exchange"] == [f"/{n}" for n in range(count)]
    assert process.popen.wait(60) == 0


def test_a_second_interrupt_does_not_wait_for_a_reader_either(headless: Callable[..., Process]) -> None:
    process = headless("-v", stderr=subprocess.DEVNULL)
    with socket.create_connection(process.address, timeout=60) as client:
        for number in range(1000):
            client.sendall(GET % b"%d" % number)
            receive_response(client)
    deadline = time.monotonic() + 60
    while process.popen.poll() is None and time.monotonic() < deadline:
        process.popen.send_signal(signal.SIGINT)
        time.sleep(0.1)

    assert process.popen.wait(1) == 130


def test_glyphs_that_the_locale_lacks_are_escaped(headless: Callable[..., Process], tmp_path: Path) -> None:
    process = headless(env=environment(tmp_path, {"PYTHONIOENCODING": "ascii"}))
    ask(process.address, GET % "é".encode())
    code, out, err = process.end()

    assert (code, err) == (0, "")
    assert "\\xe9" in out
    assert out.isascii()


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_it_ends_cleanly_when_nobody_reads_any_more(
    headless: Callable[..., Process], options: tuple[str, ...]
) -> None:
    process = headless(*options)
    assert process.popen.stdout is not None
    process.popen.stdout.close()

    assert process.popen.wait(60) == 0
    assert process.popen.stderr is not None
    assert "Traceback" not in process.popen.stderr.read().decode()


def test_it_says_so_when_standard_output_is_closed_from_the_start(tmp_path: Path) -> None:
    closed = subprocess.run(
        ["sh", "-c", '"$0" -m inspectd --headless --listen 127.0.0.1:0 >&-', sys.executable],
        cwd=ROOT,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )

    assert closed.returncode == 1
    assert closed.stderr.startswith(b"inspectd: standard output is closed")


def test_a_capture_is_continued_and_only_what_is_new_is_printed(live_engine: Start, tmp_path: Path) -> None:
    capture = tmp_path / "kept.inspectd"
    for number in (1, 2):
        engine = live_engine("--capture", str(capture))
        ask(engine.address, GET % b"%d" % number)
        line = engine.wait_for(lambda line: line["type"] != "listening")
        assert (line["type"], line["id"], line["target"]) == ("exchange", number, f"/{number}")
        assert engine.stop() == 0


def test_a_capture_of_ones_own_needs_no_home(tmp_path: Path) -> None:
    nowhere = {"HOME": "/dev/null", "XDG_STATE_HOME": ""}
    with LiveEngine(tmp_path, env=nowhere) as engine:
        with engine.connect() as client:
            client.sendall(GET % b"homeless")
            receive_response(client)
        engine.exchange(target="/homeless")

        assert engine.stop() == 0
        assert engine.stderr.startswith("capture: ")


def test_the_captures_of_the_last_runs_are_kept_and_older_ones_go(headless: Callable[..., Process]) -> None:
    captures = []
    for _ in range(12):
        process = headless()
        line = process.end()[1]
        captures.append(re.findall(r"capture: (\S+)", line)[0])

    assert [os.path.exists(path) for path in captures] == [False] * 2 + [True] * 10  # noqa: PTH110


def test_the_answer_is_sent_as_it_was_written(headless: Callable[..., Process]) -> None:
    process = headless(
        "-a", "HTTP/1.1 299 Odd  one", "-H", "x-A:1", "-H", "X-a: 2", "--body", "hé", "--no-auto", "all"
    )

    with socket.create_connection(process.address, timeout=60) as client:
        client.sendall(GET % b"")
        client.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: client.recv(65536), b""))

    assert received == "HTTP/1.1 299 Odd  one\r\nx-A:1\r\nX-a: 2\r\n\r\nhé".encode()


def test_a_body_file_is_sent(headless: Callable[..., Process], tmp_path: Path) -> None:
    body = tmp_path / "body.bin"
    body.write_bytes(bytes(range(256)) * 8192)
    process = headless("--body-file", str(body))

    assert ask(process.address, GET % b"").partition(b"\r\n\r\n")[2] == body.read_bytes()


def test_a_listener_that_others_can_reach_says_so(tmp_path: Path) -> None:
    with LiveEngine(tmp_path, listen=("0.0.0.0:0",)) as engine:
        assert engine.listening["reach"] == [
            f"0.0.0.0:{engine.port}: every machine that can reach any address of this one can connect"
        ]
        assert engine.stderr == f"inspectd: {engine.listening['reach'][0]}\n"


def test_a_unix_socket_is_listened_on(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        path = os.path.join(short, "x.sock")  # noqa: PTH118
        with LiveEngine(tmp_path, listen=(f"unix:{path}",)) as engine:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10)
                client.connect(path)
                client.sendall(GET % b"unix")
                receive_response(client)
            assert engine.addresses == [f"unix:{path}"]
            assert engine.exchange(target="/unix")["peer"] == "unix"
            assert engine.stop() == 0
        assert not os.path.exists(path)  # noqa: PTH110
