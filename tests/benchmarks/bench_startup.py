"""From pressing enter to listening, to the first painted screen, and to the help page, beside bare Python.

    python -m tests.benchmarks.bench_startup [--runs 7]

The median of several runs, each a process of its own with a state directory of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks.servers import verdict
from tests.hostile.terminal import Terminal
from tests.live_engine import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Callable

LISTENING_AIM_MS: Final = 150.0
PAINT_AIM_MS: Final = 400.0
PAINTED: Final = b"Waiting for the first connection"


def bare_python(state: Path) -> float:
    """Start Python and end it."""
    return _until_end(["-c", "pass"], state)


def help_page(state: Path) -> float:
    """Print the help page."""
    return _until_end(["-m", "inspectd", "--help"], state)


def listening(state: Path) -> float:
    """Start the engine alone, until it says that it listens."""
    begin = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "inspectd", "--headless", "--listen", "127.0.0.1:0", "--quiet"],
        cwd=ROOT,
        env=environment(state),
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"listening on")
        taken = time.perf_counter() - begin
        process.terminate()
    return taken


def painted(state: Path) -> float:
    """Start engine and screen, until the screen shows that it waits for connections."""
    begin = time.perf_counter()
    with Terminal("--listen", "127.0.0.1:0", state=state, columns=120, lines=36) as screen:
        screen.wait_for(lambda output: PAINTED in output)
        taken = time.perf_counter() - begin
        screen.press("q")
        screen.finish()
    return taken


def _until_end(arguments: list[str], state: Path) -> float:
    begin = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment(state), stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - begin


def median_ms(measure: Callable[[Path], float], runs: int) -> float:
    """The median of `runs` measurements, after one that fills the caches."""
    with tempfile.TemporaryDirectory(prefix="inspectd-bench-") as directory:
        measure(Path(directory))
        return statistics.median(measure(Path(directory)) for _ in range(runs)) * 1000


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    yardstick = median_ms(bare_python, runs)
    print(f"{'':22}{'ms':>8}{'over bare':>11}")
    print(f"{'bare python':22}{yardstick:8.0f}")
    for name, measure, aim in (
        ("help page", help_page, None),
        ("listening", listening, LISTENING_AIM_MS),
        ("screen painted", painted, PAINT_AIM_MS),
    ):
        taken = median_ms(measure, runs)
        more = taken - yardstick
        line = f"{name:22}{taken:8.0f}{more:11.0f}"
        print(line if aim is None else f"{line}   {verdict(more, aim)}", flush=True)


if __name__ == "__main__":
    main()
