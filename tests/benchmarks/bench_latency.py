"""What recording adds to the time of an answer at 1,000 requests a second.

    python -m tests.benchmarks.bench_latency [--seconds 3] [--rounds 3] [--rate 1000]

Requests start at fixed times, answered or not; latency counts from the planned start. The servers take turns; of
several rounds the one with the smallest p99 counts, because whatever else runs on the machine only ever adds.
"""

from __future__ import annotations

import argparse
from typing import Any

from tests.benchmarks.servers import answer_bytes, bare, generate, recorded, verdict

AIM_MS = 2.0


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1000.0)
    asked = parser.parse_args()
    load = ("--seconds", asked.seconds, "--rate", asked.rate, "--connections", 32)
    print(f"{asked.rate:g} requests/s, best of {asked.rounds} times {asked.seconds:g} s\n")
    print(f"{'':22}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'added p99':>11}")
    response = answer_bytes()
    rounds: dict[str, list[dict[str, Any]]] = {"bare": [], "recorded, commit": [], "recorded, relaxed": []}
    for _ in range(asked.rounds):
        with bare(response) as (port, _pid):
            rounds["bare"].append(generate(port, *load))
        for durability in ("commit", "relaxed"):
            with recorded("--durability", durability) as engine:
                rounds[f"recorded, {durability}"].append(generate(engine.port, *load))
    rows = {name: min(results, key=lambda result: result["p99_ms"]) for name, results in rounds.items()}
    for name, row in rows.items():
        added = row["p99_ms"] - rows["bare"]["p99_ms"]
        line = f"{name:22}{row['p50_ms']:9.2f}{row['p99_ms']:9.2f}{row['max_ms']:9.2f}"
        print(
            line if name == "bare" else f"{line}{added:11.2f}   {verdict(added, AIM_MS, ' ms')}", flush=True
        )


if __name__ == "__main__":
    main()
