"""What a test costs with the fixture `inspectd`, beside pytest-httpserver's and beside a test without a server.

    python -m tests.benchmarks.bench_fixture [--tests 400] [--rounds 3]

One run of pytest holds all of them, in turns. A test is one rule and one request, with urllib or on a raw socket that
reads until the server closes; what is measured is setup, call and teardown as pytest reports them. The first test of
each kind starts its server and counts apart.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.servers import verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

AIM_MS = 15.0

_TESTS = """
import socket
import urllib.request
import pytest

def ask(host, port):
    with socket.create_connection((host, port), 30) as client:
        client.sendall(b"GET /x HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
        data = b""
        while part := client.recv(65536):
            data += part
        return data

ROUNDS = range({tests})

@pytest.mark.parametrize("number", ROUNDS)
def test_nothing(number):
    pass

@pytest.mark.parametrize("number", ROUNDS)
def test_inspectd_urllib(inspectd, number):
    inspectd.on("GET /x").reply("200 OK", body="hello")
    with urllib.request.urlopen(inspectd.url("/x")) as response:
        assert response.read() == b"hello"

@pytest.mark.parametrize("number", ROUNDS)
def test_httpserver_urllib(httpserver, number):
    httpserver.expect_request("/x", method="GET").respond_with_data("hello")
    with urllib.request.urlopen(httpserver.url_for("/x")) as response:
        assert response.read() == b"hello"
    httpserver.check()

@pytest.mark.parametrize("number", ROUNDS)
def test_inspectd_socket(inspectd, number):
    inspectd.on("GET /x").reply("200 OK", body="hello")
    assert ask("127.0.0.1", inspectd.port).endswith(b"hello")

@pytest.mark.parametrize("number", ROUNDS)
def test_httpserver_socket(httpserver, number):
    httpserver.expect_request("/x", method="GET").respond_with_data("hello")
    assert ask("127.0.0.1", httpserver.port).endswith(b"hello")
    httpserver.check()

@pytest.mark.inspectd_sweep("every-byte", raw=b"HTTP/1.1 200 OK\\r\\n\\r\\n" + b"x" * ({tests} - 19))
def test_sweep(inspectd_sweep):
    assert ask("127.0.0.1", inspectd_sweep.server.port) == inspectd_sweep.sent
"""

_TIMES = """
import json
import pytest

spent = {}

@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    kinds = {}
    for item in items:
        kinds.setdefault(item.originalname, []).append(item)
    items[:] = [item for turn in zip(*kinds.values(), strict=True) for item in turn]

def pytest_runtest_logreport(report):
    name = report.nodeid.partition("::")[2]
    spent[name] = spent.get(name, 0.0) + report.duration

def pytest_sessionfinish():
    with open("times.json", "w") as file:
        json.dump(spent, file)
"""


def times(tests: int) -> Mapping[str, list[float]]:
    """Milliseconds of each test, by kind, in the order they ran."""
    with tempfile.TemporaryDirectory(prefix="inspectd-bench-") as place:
        directory = Path(place)
        (directory / "test_it.py").write_text(_TESTS.format(tests=tests))
        (directory / "conftest.py").write_text(_TIMES)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "."],
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(done.stdout[-4000:] + done.stderr)
        found: dict[str, list[float]] = {}
        for name, seconds in json.loads((directory / "times.json").read_text()).items():
            found.setdefault(name.partition("[")[0].removeprefix("test_"), []).append(seconds * 1e3)
        return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tests", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    rounds = [times(asked.tests) for _ in range(asked.rounds)]
    print(f"{asked.tests} tests of each kind in turns: a rule, a connection, a request and its answer\n")
    print(f"{'ms a test':24}{'median':>9}{'p95':>9}{'first':>9}")
    medians: dict[str, float] = {}
    for kind in rounds[0]:
        later = min((each[kind][1:] for each in rounds), key=statistics.median)
        medians[kind] = statistics.median(later)
        p95 = sorted(later)[int(len(later) * 0.95)]
        first = min(each[kind][0] for each in rounds)
        line = f"{kind:24}{medians[kind]:9.2f}{p95:9.2f}{first:9.1f}"
        if kind.startswith(("inspectd", "sweep")):
            line += f"   {verdict(medians[kind], AIM_MS, ' ms')}"
        print(line, flush=True)
    for client in ("urllib", "socket"):
        ratio = medians[f"inspectd_{client}"] / medians[f"httpserver_{client}"]
        print(f"{'inspectd / httpserver, ' + client:42}{ratio:9.2f}   {verdict(ratio, 1.0)}")


if __name__ == "__main__":
    main()
