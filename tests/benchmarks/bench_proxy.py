"""What forwarding costs: requests a second and CPU time a request, beside a blind relay and mitmdump.

    python -m tests.benchmarks.bench_proxy [--seconds 2] [--rounds 2] [--connections 32] [--mitmdump PATH]

All stand before the same bare server and get the same load, in turns. mitmdump is measured where it is installed; it
is no dependency. Of several rounds the one with the least CPU time a request counts. The server and the generator share
the core that the proxies don't have, so what a second holds may be bounded by them; CPU time is not.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.benchmarks.servers import HERE, bare, generate, own_core, verdict
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n\r\nhello, recorded world"
)
TIMES_MITMDUMP: Final = 10
WAIT_SECONDS: Final = 60


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
def inspectd(origin: int, durability: str) -> Iterator[tuple[int, int]]:
    """`inspectd reverse`: its port and process id."""
    program = (sys.executable, "-m", "inspectd", "reverse", f"http://127.0.0.1:{origin}")
    with (
        tempfile.TemporaryDirectory(prefix="inspectd-bench-") as directory,
        LiveEngine(Path(directory), "--durability", durability, quiet=True, interpreter=program) as engine,
    ):
        own_core(engine.pid, 0)
        yield engine.port, engine.pid


@contextmanager
def mitmdump(origin: int, program: str) -> Iterator[tuple[int, int]]:
    """mitmdump as a reverse proxy: its port and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="inspectd-bench-") as directory:
        argv = [
            program,
            "-q",
            "--set",
            f"confdir={directory}",
            "--mode",
            f"reverse:http://127.0.0.1:{origin}",
        ]
        argv += ["--listen-host", "127.0.0.1", "--listen-port", str(port)]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as process:
            try:
                own_core(process.pid, 0)
                _wait_for(port)
                yield port, process.pid
            finally:
                process.kill()


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


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--mitmdump", default=shutil.which("mitmdump"))
    asked = parser.parse_args()
    load = ("--seconds", asked.seconds, "--connections", asked.connections, "--wait", 0.1)
    contenders: dict[str, Callable[[int], Any]] = {
        "bare relay, records nothing": relay,
        "inspectd reverse, commit": lambda origin: inspectd(origin, "commit"),
        "inspectd reverse, relaxed": lambda origin: inspectd(origin, "relaxed"),
    }
    if asked.mitmdump:
        contenders["mitmdump, reverse"] = lambda origin: mitmdump(origin, asked.mitmdump)
    else:
        print("mitmdump is not installed: name it with --mitmdump PATH")
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    print(f"{asked.connections} connections, a GET with 12 fields, {len(RESPONSE)} bytes of answer\n")
    with bare(RESPONSE) as (origin, pid):
        own_core(pid, 1)
        for _ in range(asked.rounds):
            for name, start in contenders.items():
                with start(origin) as (port, proxy_pid):
                    results[name].append(generate(port, "--pid", proxy_pid, *load))
    best = {name: min(rounds, key=lambda each: each["server_cpu_us"]) for name, rounds in results.items()}
    yardstick = best["bare relay, records nothing"]["server_cpu_us"]
    print(f"{'':30}{'requests/s':>11}{'CPU µs':>9}{'ratio':>8}")
    for name, result in best.items():
        ratio = result["server_cpu_us"] / yardstick
        print(f"{name:30}{result['per_second']:11,.0f}{result['server_cpu_us']:9.1f}{ratio:8.2f}")
    if asked.mitmdump:
        ours, theirs = best["inspectd reverse, commit"], best["mitmdump, reverse"]
        times = ours["per_second"] / theirs["per_second"]
        cpu = theirs["server_cpu_us"] / ours["server_cpu_us"]
        met = verdict(times, TIMES_MITMDUMP, at_least=True)
        print(
            f"\n{times:.1f} times mitmdump's requests a second ({met}), {cpu:.1f} times as many for its CPU time"
        )


if __name__ == "__main__":
    main()
