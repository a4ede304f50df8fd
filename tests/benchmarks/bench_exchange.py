"""What recording costs: requests a second and CPU time a request, beside a server that records nothing.

    python -m tests.benchmarks.bench_exchange [--seconds 2] [--rounds 3]

The yardstick is a bare asyncio Protocol on the same loop that sends the same bytes. The generator is another
process and polls without sleeping, so that the server is never charged for waking it. Of several rounds the
one with the least CPU time counts.
"""

from __future__ import annotations

import argparse
import importlib.util
from typing import Any

from tests.benchmarks.servers import answer_bytes, bare, generate, recorded, verdict

AIMS = {"commit": (2.5, 30_000), "relaxed": (1.8, 50_000)}


def best(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The round in which the server needed least."""
    return min(rounds, key=lambda result: result["server_cpu_us"])


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    load = ("--seconds", asked.seconds)
    response = answer_bytes()
    print(f"64 connections, a GET with 12 fields, {len(response)} bytes of answer\n")
    print(f"{'':34}{'requests/s':>11}{'CPU µs':>9}{'ratio':>8}")
    loops = [True, False] if importlib.util.find_spec("uvloop") else [False]
    for uvloop in loops:
        results: dict[str, list[dict[str, Any]]] = {"bare": [], "commit": [], "relaxed": []}
        for _ in range(asked.rounds):
            with bare(response, uvloop=uvloop) as (port, pid):
                results["bare"].append(generate(port, "--pid", pid, *load))
            for durability in AIMS:
                with recorded("--durability", durability, uvloop=uvloop) as engine:
                    results[durability].append(generate(engine.port, "--pid", engine.pid, *load))
        yardstick = best(results["bare"])
        for kind, rounds in results.items():
            result = best(rounds)
            ratio = result["server_cpu_us"] / yardstick["server_cpu_us"]
            name = f"{'uvloop' if uvloop else 'asyncio'}, {'bare' if kind == 'bare' else 'recorded, ' + kind}"
            line = f"{name:34}{result['per_second']:11,.0f}{result['server_cpu_us']:9.1f}{ratio:8.2f}"
            if kind in AIMS:
                most, least = AIMS[kind]
                line += (
                    f"   {verdict(ratio, most)}; {verdict(result['per_second'], least, '/s', at_least=True)}"
                )
            print(line, flush=True)


if __name__ == "__main__":
    main()
