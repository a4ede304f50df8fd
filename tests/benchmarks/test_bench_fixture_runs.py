"""The benchmark of the pytest fixture runs and prints what it promises."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.live_engine import ROOT


def test_a_short_run_prints_its_figures() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_fixture", "--tests", "30", "--rounds", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    for kind in ("inspectd_urllib", "httpserver_urllib", "inspectd_socket", "httpserver_socket", "sweep"):
        assert re.search(rf"^{kind} +[\d.]+ +[\d.]+ +[\d.]+", done.stdout, re.MULTILINE), done.stdout
