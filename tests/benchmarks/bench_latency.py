"""What recording adds to the time of an answer at 1,000 requests a second.

    python -m tests.benchmarks.bench_latency [--seconds 5] [--rate 1000]

Requests start at fixed times, answered or not; latency counts from the planned start.
"""

from __future__ import annotations

import argparse

from tests.benchmarks.servers import answer_bytes, bare, generate, recorded, verdict

AIM_MS = 2.0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rate", type=float, default=1000.0)
    asked = parser.parse_args()
    load = ("--seconds", asked.seconds, "--rate", asked.rate, "--connections", 32)
    print(f"{asked.rate:g} requests/s for {asked.seconds:g} s\n")
    print(f"{'':22}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'added p99':>11}")
    with bare(answer_bytes()) as (port, _):
        yardstick = generate(port, *load)
    rows = {"bare": yardstick}
    for durability in ("commit", "relaxed"):
        with recorded("--durability", durability) as engine:
            rows[f"recorded, {durability}"] = generate(engine.port, *load)
    for name, row in rows.items():
        added = row["p99_ms"] - yardstick["p99_ms"]
        line = f"{name:22}{row['p50_ms']:9.2f}{row['p99_ms']:9.2f}{row['max_ms']:9.2f}"
        print(
            line if row is yardstick else f"{line}{added:11.2f}   {verdict(added, AIM_MS, ' ms')}", flush=True
        )


if __name__ == "__main__":
    main()
