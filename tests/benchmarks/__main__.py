"""Runs every benchmark in this folder, one after the other, each in a process of its own.

    python tests/benchmarks [NAME...]

Figures are printed beside their aims. A missed aim does not fail the run: speed depends on the machine. A
benchmark that breaks does.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


def main() -> int:
    """Run those whose name holds one of the words asked for; all without words."""
    names = [path.stem for path in sorted(HERE.glob("bench_*.py"))]
    chosen = [name for name in names if not sys.argv[1:] or any(word in name for word in sys.argv[1:])]
    system = f"{platform.system()} {platform.release()}"
    busy = os.getloadavg()[0]
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {system}, load {busy:.1f} before the start"
    )
    broken = []
    for name in chosen:
        print(f"\n── {name.removeprefix('bench_')} ".ljust(78, "─"), flush=True)
        if subprocess.run(
            [sys.executable, "-m", f"tests.benchmarks.{name}"], cwd=ROOT, check=False
        ).returncode:
            broken.append(name)
    if broken:
        print(f"\nbroken: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
