"""The screen's benchmark runs and prints what it promises. Its figures are for people."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_short_run_prints_its_figures() -> None:
    options = ("--rows", "2000", "--rate", "500", "--presses", "4", "--paints", "1", "--seconds", "0.5")
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_ui", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for line in (
        "first paint, 2,000 rows",
        "move the cursor while rows arrive",
        "open and close help while following",
    ):
        assert re.search(rf"^{line} +[\d.]+ +[\d.]+ +[\d.]+ +aim", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"following 500 exchanges/s: \d+% of a core, \d+ MB resident", done.stdout)
