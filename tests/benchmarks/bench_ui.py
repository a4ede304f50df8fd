"""The terminal UI on a large capture that grows: first paint, and how long a key press takes to be seen.

    python -m tests.benchmarks.bench_ui [--rows 1000000] [--rate 5000] [--presses 200] [--paints 5] [--seconds 5]

`inspectd open` runs under a real pseudo-terminal; a second process writes exchanges into the capture at the given
rate. A key press counts until the bytes that show its effect come out of the pseudo-terminal.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import pty
import random
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

from inspectd.capture import store
from inspectd.capture.model import State

if TYPE_CHECKING:
    from collections.abc import Callable

AIM_FIRST_PAINT_MS = 400.0
AIM_KEY_MS = 50.0
REQUEST = b"GET /item HTTP/1.1\r\nHost: localhost:8080\r\nUser-Agent: curl/8.14.1\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
DONE = (
    State.REQUEST_COMPLETE
    | State.RESPONSE_STARTED
    | State.RESPONSE_COMPLETE
    | State.HEAD_COMPLETE
    | State.PLAIN
)
INSERT = f"""
    INSERT INTO exchange (id, connection, number, state, started_ns, received_ns, answered_ns, finished_ns,
                          method, target, version, status, reason, client, host,
                          req_offset, req_page, req_at, req_run, req_head, req_len,
                          res_offset, res_page, res_at, res_run, res_head, res_len)
    SELECT value, 1, value, {int(DONE)}, ?1, ?1, ?1 + 400000, ?1 + 500000,
           'GET', '/item/' || value, 'HTTP/1.1', '200', 'OK', 'curl 8.14', 'localhost:8080',
           0, 1, 0, {len(REQUEST)}, {len(REQUEST)}, {len(REQUEST)},
           0, 1, {len(REQUEST)}, {len(ANSWER)}, {len(ANSWER)}, {len(ANSWER)}
    FROM (WITH RECURSIVE n(value) AS (SELECT ?2 UNION ALL SELECT value + 1 FROM n WHERE value < ?3)
          SELECT value FROM n)
"""
HERE = "127.0.0.1:8080"


def write_capture(path: Path, rows: int) -> None:
    """A capture with this many exchanges."""
    db = store.create(path)
    db.execute("BEGIN")
    db.execute("INSERT INTO listener VALUES (1, ?, ?, 1, NULL, 1, '[]')", (HERE, HERE))
    db.execute(
        "INSERT INTO connection (id, listener, peer, local, opened_ns) VALUES (1, 1, '127.0.0.1:5', ?, 1)",
        (HERE,),
    )
    db.execute("INSERT INTO page (id, data) VALUES (1, ?)", (REQUEST + ANSWER,))
    db.execute(INSERT, (time.time_ns(), 1, rows))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def keep_writing(path: Path, rate: int) -> None:
    """Add exchanges at this rate, a hundred transactions a second, until somebody ends the process."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = NORMAL")
    (newest,) = db.execute("SELECT max(id) FROM exchange").fetchone()
    print("writing", flush=True)
    start, written = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - start) * rate)
        if due > written:
            db.execute("BEGIN")
            db.execute(INSERT, (time.time_ns(), newest + written + 1, newest + due))
            db.execute("COMMIT")
            written = due
        time.sleep(0.01)


class Terminal:
    """`inspectd open FILE` under a pseudo-terminal."""

    def __init__(self, capture: Path, size: tuple[int, int] = (120, 36)) -> None:
        self.started = time.perf_counter()
        pid, self.fd = pty.fork()
        if pid == 0:
            environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
            os.execve(sys.executable, [sys.executable, "-m", "inspectd", "open", str(capture)], environment)
        self.pid = pid
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))

    def wait_for(self, wanted: bytes, seconds: float = 30.0) -> float:
        """When these bytes came out, as `perf_counter` tells it."""
        seen = b""
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            ready, _, _ = select.select([self.fd], [], [], 0.05)
            if ready:
                seen = seen[-64:] + os.read(self.fd, 1 << 16)
                if wanted in seen:
                    return time.perf_counter()
        raise TimeoutError(f"{wanted!r} never came out")

    def drain(self, seconds: float) -> None:
        """Read what comes for a while."""
        end = time.perf_counter() + seconds
        while (rest := end - time.perf_counter()) > 0:
            if select.select([self.fd], [], [], rest)[0]:
                os.read(self.fd, 1 << 16)

    def press(self, key: bytes, effect: bytes) -> float:
        """Milliseconds from the key press to the bytes that show its effect."""
        start = time.perf_counter()
        os.write(self.fd, key)
        return (self.wait_for(effect) - start) * 1000

    def cpu_seconds(self) -> float:
        """CPU time of the process so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Resident memory in MB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    def close(self) -> None:
        """End it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def report(name: str, values: list[float], aim: float) -> None:
    """One line."""
    p95 = percentile(values, 0.95)
    print(
        f"{name:44}{percentile(values, 0.5):8.1f}{p95:8.1f}{max(values):8.1f}   "
        f"aim {aim:g}: {'met' if p95 <= aim else 'missed'}",
        flush=True,
    )


def first_paints(capture: Path, runs: int) -> list[float]:
    """Milliseconds from the start of the process to the first rows on screen."""
    out = []
    for _ in range(runs):
        terminal = Terminal(capture)
        try:
            out.append((terminal.wait_for(b"/item/") - terminal.started) * 1000)
        finally:
            terminal.close()
    return out


def keys(terminal: Terminal, presses: int, choose: Callable[[int], tuple[bytes, bytes]]) -> list[float]:
    """Press keys at irregular moments."""
    out = []
    for number in range(presses):
        out.append(terminal.press(*choose(number)))
        terminal.drain(random.uniform(0.05, 0.12))
    return out


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--presses", type=int, default=200)
    parser.add_argument("--paints", type=int, default=5, help="how often the first paint is measured")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long the CPU of following is measured"
    )
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        keep_writing(asked.write, asked.rate)
    with tempfile.TemporaryDirectory() as directory:
        small, large = Path(directory) / "small.inspectd", Path(directory) / "large.inspectd"
        write_capture(small, 100)
        write_capture(large, asked.rows)
        print(f"{asked.rows:,} rows, {asked.rate:,} exchanges/s arriving, 120x36\n")
        print(f"{'milliseconds':44}{'p50':>8}{'p95':>8}{'max':>8}")
        report("first paint, 100 rows", first_paints(small, asked.paints), AIM_FIRST_PAINT_MS)
        report(f"first paint, {asked.rows:,} rows", first_paints(large, asked.paints), AIM_FIRST_PAINT_MS)
        measure_keys(large, asked.rate, asked.presses, asked.seconds)


def measure_keys(large: Path, rate: int, presses: int, seconds: float) -> None:
    """Key presses while the capture grows."""
    command = [sys.executable, "-m", "tests.benchmarks.bench_ui", "--write", str(large), "--rate", str(rate)]
    writer = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    terminal = Terminal(large)
    bar = "▌".encode()
    try:
        terminal.wait_for(b"/item/")
        terminal.drain(2.0)
        cpu, start = terminal.cpu_seconds(), time.perf_counter()
        terminal.drain(seconds)
        share = (terminal.cpu_seconds() - cpu) / (time.perf_counter() - start)
        terminal.press(b"\x1b[H", b"/item/1 ")
        terminal.drain(1.0)
        report("move the cursor while rows arrive", keys(terminal, presses, _up_and_down(bar)), AIM_KEY_MS)
        report("page through the list while rows arrive", keys(terminal, presses, _pages), AIM_KEY_MS)
        terminal.press(b"\x1b[F", b"/item/")
        terminal.drain(1.0)
        report("open and close help while following", keys(terminal, presses // 2, _help), AIM_KEY_MS)
        print(
            f"\nfollowing {rate:,} exchanges/s: {share:.0%} of a core, {terminal.resident_mb():.0f} MB resident"
        )
    finally:
        terminal.close()
        writer.kill()
        writer.wait()


def _up_and_down(bar: bytes) -> Callable[[int], tuple[bytes, bytes]]:
    def choose(number: int) -> tuple[bytes, bytes]:
        return (b"\x1b[A" if number % 2 else b"\x1b[B"), bar

    return choose


def _pages(number: int) -> tuple[bytes, bytes]:
    return (b"\x1b[5~" if number % 2 else b"\x1b[6~"), b"/item/"


def _help(number: int) -> tuple[bytes, bytes]:
    return b"?", b"everything" if number % 2 else b" closes "


if __name__ == "__main__":
    main()
