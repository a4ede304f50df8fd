"""The benchmark of the readers runs and prints what it promises."""

from __future__ import annotations

import re
import subprocess
import sys

from tests.live_engine import ROOT
from tests.wire.shapes import SHAPES


def test_a_short_run_measures_every_shape() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_wire", "--size", "400", "--rounds", "100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"on arrival, plain +[\d.]+ +aim 5", done.stdout)
    for shape in SHAPES:
        assert re.search(rf"{re.escape(shape)} +[\d.]+ +[\d.]+ ×[\d.]+ +[\d.]+ ×", done.stdout)
    assert "steeper than ×3 a doubling: " in done.stdout
