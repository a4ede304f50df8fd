"""`inspectd`, `attach` and `open` under a real terminal: the screen, its engine process, and their ends."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.control.client import ControlClient, ControlError
from tests.hostile.terminal import Terminal
from tests.live_engine import ROOT, LiveEngine, receive_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Open = Callable[..., Terminal]

WAITING = b"Waiting for the first connection"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Open]:
    opened: list[Terminal] = []

    def start(*arguments: str) -> Terminal:
        opened.append(Terminal(*arguments, state=tmp_path, columns=120, lines=36))
        return opened[-1]

    yield start
    for each in opened:
        each.close()
    for path in sockets(tmp_path):  # an engine outlives its screen, and must not outlive a test that failed
        with ControlClient(path) as engine:
            engine.stop()


def port_on(screen: Terminal) -> int:
    url = re.compile(rb"http://[a-z0-9.]+:(\d+)/")
    screen.wait_for(lambda output: WAITING in output and url.search(output) is not None)
    found = url.search(screen.output)
    assert found
    return int(found[1])


def ask(port: int, target: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        return receive_response(client)


def only_socket(state: Path) -> Path:
    """The control socket of the one engine that was started with this state directory."""
    (path,) = sockets(state)
    return path


def sockets(state: Path) -> list[Path]:
    """The control sockets of the engines that keep their captures in this state directory."""
    found = []
    for directory in (state / "inspectd", state / "inspectd" / "run", Path(f"/tmp/inspectd-{os.getuid()}")):
        for path in directory.glob("*.sock"):
            with contextlib.suppress(ControlError), ControlClient(path) as client:
                if client.status().capture.startswith(f"{state}/"):
                    found.append(path)
    return found


def gone(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_session_from_the_first_start_to_looking_again(terminal: Open) -> None:
    screen = terminal("--listen", "127.0.0.1:0")
    port = port_on(screen)
    assert b" 200 OK" in ask(port, b"/first-look")
    screen.wait_for(lambda output: b"/first-look" in output)
    screen.press("q")

    assert screen.finish() == 0
    found = re.search(rb"capture: (\S+)\r\nlook at it: inspectd open (\S+)\r\n", screen.output)
    assert found
    assert found[1] == found[2]

    again = terminal("open", found[1].decode())
    again.wait_for(lambda output: b"/first-look" in output)
    again.press("q")
    assert again.finish() == 0


def test_what_keeps_the_engine_from_starting_is_said_without_a_screen(terminal: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        screen = terminal("--listen", f"127.0.0.1:{taken.getsockname()[1]}")
        code = screen.finish()

    assert code == 1
    assert screen.output.startswith(b"inspectd: --listen 127.0.0.1:")
    assert b"the port is taken by another program\r\n" in screen.output
    assert b"\x1b" not in screen.output
    assert screen.output.count(b"\n") == 2


def test_a_mistake_in_the_options_is_said_without_a_screen(terminal: Open) -> None:
    screen = terminal("--listen", "127.0.0.1:0", "--answer", "nonsense")

    assert screen.finish() == 2
    assert screen.output.startswith(b"inspectd: not a status: 'nonsense'\r\n")
    assert b"\x1b" not in screen.output


def test_a_terminal_that_cannot_move_its_cursor_gets_a_sentence(tmp_path: Path) -> None:
    with Terminal("--listen", "127.0.0.1:0", state=tmp_path, env={"TERM": "dumb"}) as screen:
        assert screen.finish() == 2
    assert b"TERM=dumb" in screen.output
    assert b"\x1b" not in screen.output


def test_a_screen_that_fails_leaves_its_engine_running(tmp_path: Path) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(
        "import sys, types\n"
        "app = types.ModuleType('inspectd.tui.app')\n"
        "app.run = lambda *_, **__: 1\n"
        "sys.modules['inspectd.tui.app'] = app\n"
        "import inspectd.tui\n"
        "inspectd.tui.app = app\n"
    )
    path = f"{tmp_path / 'broken'}:{ROOT}"
    with Terminal("--listen", "127.0.0.1:0", state=tmp_path, env={"PYTHONPATH": path}) as screen:
        assert screen.finish() == 1
    with ControlClient(only_socket(tmp_path)) as engine:
        status = engine.status()
        engine.stop()

    assert b"the engine goes on (process %d)" % status.pid in screen.output
    assert gone(status.pid)


def test_a_relative_capture_is_found_from_elsewhere(tmp_path: Path) -> None:
    relative = os.path.relpath(tmp_path / "r.inspectd", ROOT)
    with LiveEngine(tmp_path, "--capture", relative) as engine:
        assert engine.listening["capture"] == str(ROOT / relative)


def test_the_engine_outlives_a_killed_screen_and_attach_finds_it(terminal: Open, tmp_path: Path) -> None:
    screen = terminal("--listen", "127.0.0.1:0")
    port = port_on(screen)
    screen.process.kill()
    screen.process.wait(10)
    path = only_socket(tmp_path)
    with ControlClient(path) as engine:
        pid = engine.status().pid
        assert b" 200 OK" in ask(port, b"/still-here")

        viewer = terminal("attach", str(pid))
        viewer.wait_for(lambda output: b"/still-here" in output)
        viewer.press("q")
        assert viewer.finish() == 0
        assert b"look at it: inspectd open " in viewer.output
        assert b"the engine goes on; to end it: inspectd control stop --engine %d\r\n" % pid in viewer.output

        assert engine.status().pid == pid
        engine.stop()
    assert gone(pid)


def test_a_terminal_that_goes_away_leaves_the_engine_running(terminal: Open, tmp_path: Path) -> None:
    screen = terminal("--listen", "127.0.0.1:0")
    port = port_on(screen)
    os.killpg(screen.process.pid, signal.SIGHUP)
    screen.finish()

    assert b" 200 OK" in ask(port, b"/")
    with ControlClient(only_socket(tmp_path)) as engine:
        engine.stop()


def test_a_screen_leaves_a_terminal_that_went_away_without_a_signal(tmp_path: Path) -> None:
    with LiveEngine(tmp_path) as engine:
        capture = engine.capture
    master, slave = os.openpty()
    # Not the leader of the terminal's session, so the kernel sends it no SIGHUP.
    screen = subprocess.Popen(
        [sys.executable, "-m", "inspectd", "open", str(capture)],
        cwd=ROOT,
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    drawn = b""
    while b"exchanges" not in drawn:
        drawn += os.read(master, 65536)
    os.close(master)
    assert screen.wait(20) == 129


def test_an_engine_that_dies_is_said_at_the_end(terminal: Open, tmp_path: Path) -> None:
    screen = terminal("--listen", "127.0.0.1:0")
    port_on(screen)
    with ControlClient(only_socket(tmp_path)) as engine:
        pid = engine.status().pid
    os.kill(pid, signal.SIGKILL)
    screen.settle()
    screen.press("q")

    assert screen.finish() == 1
    assert b"the engine was ended by SIGKILL" in screen.output
    assert b"look at it: inspectd open " in screen.output


def test_headless_on_a_terminal_is_coloured(terminal: Open) -> None:
    process = terminal("--headless", "--listen", "127.0.0.1:0", "--answer", "503 Busy")
    process.wait_for(lambda output: b"ctrl-c ends it" in output)
    found = re.search(rb"http://127.0.0.1:(\d+)", process.output)
    assert found
    ask(int(found[1]), b"/\x1b]0;title\x07\xc2\x9b31m")
    process.wait_for(lambda output: b"503 Busy" in output)
    process.process.send_signal(signal.SIGINT)

    assert process.finish() == 0
    assert b"\x1b[31m503 Busy" in process.output
    assert set(re.findall(rb"\x1b[^m]*m", process.output)) <= {b"\x1b[%dm" % n for n in (0, 1, 2, 31, 33, 36)}
    assert b"\xc2\x9b" not in process.output


def test_no_color_is_respected(tmp_path: Path) -> None:
    with Terminal("--headless", "--listen", "127.0.0.1:0", state=tmp_path, env={"NO_COLOR": "1"}) as process:
        process.wait_for(lambda output: b"ctrl-c ends it" in output)
        process.process.send_signal(signal.SIGINT)
        process.finish()

    assert b"\x1b" not in process.output


def test_attach_without_a_word_takes_the_newest_engine(terminal: Open, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with LiveEngine(
        tmp_path / "a", env={"XDG_RUNTIME_DIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    ) as engine:
        viewer = terminal("attach")
        viewer.wait_for(lambda output: b"%d" % engine.port in output)
        viewer.press("q")

        assert viewer.finish() == 0
        assert engine.process.poll() is None
