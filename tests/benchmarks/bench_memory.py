"""Whether the engine's memory stays flat: over a million exchanges, and while 2 GiB are uploaded.

    python -m tests.benchmarks.bench_memory [--exchanges 1000000] [--upload-mib 2048]

Resident memory as the kernel counts it (proc(5): VmRSS now, VmHWM the most there ever was).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from tests.benchmarks.servers import generate, recorded, verdict

AIM_MB = 150.0
MIB = 1024 * 1024


def resident(pid: int) -> tuple[float, float]:
    """Resident memory now and at its highest, in MB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines())
    now, most = (int(status[name].split()[0]) * 1024 / 1e6 for name in ("VmRSS", "VmHWM"))
    return now, most


def exchanges(count: int) -> None:
    """Memory at the start, after the first tenth, and after all exchanges."""
    with recorded() as engine:
        start, _ = resident(engine.pid)
        began = time.monotonic()
        generate(engine.port, "--requests", count // 10, "--seconds", 600)
        tenth, _ = resident(engine.pid)
        generate(engine.port, "--requests", count - count // 10, "--seconds", 600)
        end, most = resident(engine.pid)
        took = time.monotonic() - began
    print(f"{count:,} exchanges in {took:.0f} s")
    print(f"    {start:.0f} MB at the start, {tenth:.0f} after a tenth, {end:.0f} at the end")
    print(f"    {most:.0f} MB at most   {verdict(most, AIM_MB, ' MB')}", flush=True)


def upload(mib: int) -> None:
    """Memory while one request with a long content arrives."""
    block = bytes(range(256)) * 4096
    with recorded("--keep", "8GiB") as engine, engine.connect(seconds=300) as client:
        start, _ = resident(engine.pid)
        began = time.monotonic()
        client.sendall(b"PUT /big HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (mib * MIB))
        for _ in range(mib):
            client.sendall(block)
        answer = client.recv(100)
        took = time.monotonic() - began
        end, most = resident(engine.pid)
        stored = sum(path.stat().st_size for path in engine.capture.parent.glob("live.inspectd*"))
    if not answer.startswith(b"HTTP/1.1 200"):
        raise SystemExit(f"the upload was answered with {answer!r}")
    speed = mib * MIB / 1e6 / took
    print(f"upload of {mib:,} MiB at {speed:.0f} MB/s, {stored / MIB:,.0f} MiB on disk")
    print(f"    {start:.0f} MB at the start, {end:.0f} at the end")
    print(f"    {most:.0f} MB at most   {verdict(most, AIM_MB, ' MB')}", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--exchanges", type=int, default=1_000_000)
    parser.add_argument("--upload-mib", type=int, default=2048)
    asked = parser.parse_args()
    exchanges(asked.exchanges)
    upload(asked.upload_mib)


if __name__ == "__main__":
    main()
