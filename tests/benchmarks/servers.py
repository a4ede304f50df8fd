"""Starts what is measured, runs the generator against it, and prints figures beside their aims."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.live_engine import ROOT, LiveEngine, receive_response

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).resolve().parent
ANSWER: Final = (
    "--answer",
    "200 OK",
    "--header",
    "Content-Type: text/plain",
    "--body",
    "hello, recorded world",
)
WITHOUT_UVLOOP: Final = (
    sys.executable,
    "-c",
    "import sys; sys.modules['uvloop'] = None; from inspectd.cli import main; sys.exit(main())",
)


def own_core(pid: int, number: int) -> None:
    """Server and generator each get a core of their own where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[number % len(cores)]})


@contextmanager
def recorded(*options: str, uvloop: bool = True) -> Iterator[LiveEngine]:
    """A real engine that records into a fresh capture and answers `ANSWER`."""
    with tempfile.TemporaryDirectory(prefix="inspectd-bench-") as directory:
        interpreter = (sys.executable, "-m", "inspectd") if uvloop else WITHOUT_UVLOOP
        with LiveEngine(Path(directory), *ANSWER, *options, quiet=True, interpreter=interpreter) as engine:
            own_core(engine.pid, 0)
            yield engine


@contextmanager
def bare(
    response: bytes, *, uvloop: bool = True, certificate: Path | None = None
) -> Iterator[tuple[int, int]]:
    """The yardstick answering `response`, through TLS with this certificate: its port and process id."""
    with tempfile.NamedTemporaryFile(prefix="inspectd-bench-") as file:
        file.write(response)
        file.flush()
        argv = [sys.executable, str(HERE / "bare_server.py"), file.name, *(["--uvloop"] if uvloop else [])]
        if certificate is not None:
            argv += ["--tls", str(certificate)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            try:
                own_core(process.pid, 0)
                assert process.stdout is not None
                yield int(process.stdout.readline()), process.pid
            finally:
                process.kill()


def answer_bytes() -> bytes:
    """The bytes with which an engine answers the generator's request: the yardstick sends the same."""
    from tests.benchmarks.generator import REQUEST

    with recorded() as engine, engine.connect() as client:
        client.sendall(REQUEST)
        return receive_response(client)


def generate(port: int, *options: object) -> dict[str, Any]:
    """Run the generator to its end and return what it measured."""
    argv = [sys.executable, str(HERE / "generator.py"), str(port), *map(str, options)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as process:
        own_core(process.pid, 1)
        output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"the generator failed, exit {process.returncode}")
    result: dict[str, Any] = json.loads(output)
    return result


def verdict(value: float, aim: float, unit: str = "", *, at_least: bool = False) -> str:
    """The aim and whether it is met, in words."""
    met = value >= aim if at_least else value <= aim
    return f"aim {'≥' if at_least else '≤'} {aim:,g}{unit}: {'met' if met else 'MISSED'}"
