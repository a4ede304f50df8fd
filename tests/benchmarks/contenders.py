"""Starts proxies that are measured beside each other: inspectd, mitmdump, socat, and a relay that records nothing.

Each is pinned to the first core; what stands on both sides of it has the other one. None checks certificates.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.servers import HERE, own_core
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

WAIT_SECONDS: Final = 60
SOCAT_BLOCK: Final = 64 * 1024
"""Bytes that socat moves at a time; by itself it would take 8 KiB."""


def name_mitmdump(parser: argparse.ArgumentParser) -> None:
    """Add the option that names it: it is measured where it is installed, and no dependency."""
    parser.add_argument("--mitmdump", default=shutil.which("mitmdump"), metavar="PATH")


@contextmanager
def relay(origin: int) -> Iterator[tuple[int, int]]:
    """The bare relay: its port and process id."""
    uvloop = ["--uvloop"] if importlib.util.find_spec("uvloop") else []
    argv = [sys.executable, str(HERE / "bare_relay.py"), str(origin), *uvloop]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            own_core(process.pid, 0)
            assert process.stdout is not None
            yield int(process.stdout.readline()), process.pid
        finally:
            process.kill()


@contextmanager
def inspectd(*words: str) -> Iterator[tuple[int, int]]:
    """`inspectd reverse ...` or `inspectd proxy ...`: its port and process id."""
    program = (sys.executable, "-m", "inspectd", *words)
    with (
        tempfile.TemporaryDirectory(prefix="inspectd-bench-") as directory,
        LiveEngine(Path(directory), quiet=True, interpreter=program) as engine,
    ):
        own_core(engine.pid, 0)
        yield engine.port, engine.pid


@contextmanager
def mitmdump(program: str, *options: str) -> Iterator[tuple[int, int]]:
    """mitmdump, that keeps and prints nothing: its port and process id."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="inspectd-bench-") as directory:
        argv = [program, "-q", "--set", f"confdir={directory}", "--ssl-insecure", *options]
        with _listening([*argv, "--listen-host", "127.0.0.1", "--listen-port", str(port)], port) as pid:
            yield port, pid


@contextmanager
def socat(origin: int) -> Iterator[tuple[int, int]]:
    """socat between a port of its own and the origin's: that port and its process id, which is not its children's."""
    port = free_port()
    listen = f"TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"
    with _listening(["socat", f"-b{SOCAT_BLOCK}", listen, f"TCP:127.0.0.1:{origin}"], port) as pid:
        yield port, pid


@contextmanager
def _listening(argv: list[str], port: int) -> Iterator[int]:
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
        try:
            own_core(process.pid, 0)
            _wait_for(port)
            yield process.pid
        finally:
            process.kill()


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
