"""What forwarding costs: requests a second, CPU time a request, and time added, beside a blind relay and mitmdump.

    python -m tests.benchmarks.bench_proxy [reverse forward tls] [--seconds 2] [--rounds 2] [--connections 32]
                                           [--rate 500] [--mitmdump PATH]

`reverse` and `forward` are in clear text; `tls` are tunnels that are decrypted, to a server that speaks TLS, with
connections that are kept. All proxies stand before the same bare server and get the same load, in turns. Of several
rounds the one with the least CPU time a request counts, and for the time added at --rate requests a second (0: not
measured) the one with the smallest p99. The server and the generator share the core that the proxies don't have, so
what a second holds may be bounded by them; CPU time is not.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tests.benchmarks.contenders import inspectd, mitmdump, name_mitmdump, relay
from tests.benchmarks.servers import bare, generate, own_core, verdict
from tests.engine.proxy.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Start = Callable[[], AbstractContextManager[tuple[int, int]]]

RESPONSE: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 21\r\n\r\nhello, recorded world"
)
ADDED_P99_MS: Final = 1.0
STRAIGHT: Final = "straight to the server"
RATED_CONNECTIONS: Final = 16


class Kind(NamedTuple):
    """A way to stand between clients and a server, and how many times faster than mitmdump it is to be."""

    name: str
    says: str
    inspectd: tuple[str, ...]
    mitmdump: tuple[str, ...]
    client: tuple[str, ...]
    times: float
    tls: bool = False


KINDS: Final = (
    Kind("reverse", "reverse, clear", ("reverse", "http://{}"), ("--mode", "reverse:http://{}"), (), 10),
    Kind("forward", "forward, clear", ("proxy",), (), ("--forward", "{}"), 10),
    Kind(
        "tls",
        "interception, TLS to both sides",
        ("proxy", "--insecure"),
        (),
        ("--tunnel", "{}"),
        8,
        tls=True,
    ),
)


def contenders(kind: Kind, origin: int, program: str | None) -> dict[str, Start]:
    """Who is measured, by name."""
    authority = f"127.0.0.1:{origin}"
    words, options = (
        [word.format(authority) for word in listed] for listed in (kind.inspectd, kind.mitmdump)
    )
    found: dict[str, Start] = {}
    if kind.name == "reverse":
        found["bare relay, records nothing"] = lambda: relay(origin)
    found["inspectd, commit"] = lambda: inspectd(*words, "--durability", "commit")
    found["inspectd, relaxed"] = lambda: inspectd(*words, "--durability", "relaxed")
    if program:
        found["mitmdump"] = lambda: mitmdump(program, *options)
    return found


def measure(kind: Kind, asked: argparse.Namespace, certificate: Path | None) -> None:
    """Print the figures of one kind."""
    load = ("--seconds", asked.seconds, "--connections", asked.connections, "--wait", 0.1)
    paced = ("--seconds", asked.seconds, "--connections", RATED_CONNECTIONS, "--rate", asked.rate)
    busy: dict[str, list[dict[str, Any]]] = {}
    rated: dict[str, list[dict[str, Any]]] = {STRAIGHT: []}
    with bare(RESPONSE, certificate=certificate) as (origin, pid):
        own_core(pid, 1)
        client = [word.format(f"127.0.0.1:{origin}") for word in kind.client]
        for _ in range(asked.rounds):
            if asked.rate:
                rated[STRAIGHT].append(generate(origin, *paced, *(["--tls"] if kind.tls else [])))
            for name, start in contenders(kind, origin, asked.mitmdump).items():
                with start() as (port, proxy_pid):
                    busy.setdefault(name, []).append(generate(port, "--pid", proxy_pid, *load, *client))
                    if asked.rate:
                        rated.setdefault(name, []).append(generate(port, *paced, *client))
    best = {name: min(rounds, key=lambda each: each["server_cpu_us"]) for name, rounds in busy.items()}
    quickest = {
        name: min(rounds, key=lambda each: each["p99_ms"]) for name, rounds in rated.items() if rounds
    }
    print(f"{kind.says:32}{'requests/s':>11}{'CPU µs':>9}{'p50 ms':>9}{'p99 ms':>9}{'added p99':>11}")
    for name in (STRAIGHT, *best):
        result, latency = best.get(name), quickest.get(name)
        line = "" if result is None else f"{result['per_second']:11,.0f}{result['server_cpu_us']:9.1f}"
        if latency is not None:
            line = f"{line:20}{latency['p50_ms']:9.2f}{latency['p99_ms']:9.2f}"
            added = latency["p99_ms"] - quickest[STRAIGHT]["p99_ms"]
            line += "" if name == STRAIGHT else f"{added:11.2f}"
            line += f"   {verdict(added, ADDED_P99_MS, ' ms')}" if name.startswith("inspectd") else ""
        if line:
            print(f"{name:32}{line}")
    if asked.mitmdump:
        ours, theirs = best["inspectd, commit"], best["mitmdump"]
        times = ours["per_second"] / theirs["per_second"]
        cpu = theirs["server_cpu_us"] / ours["server_cpu_us"]
        print(
            f"{times:.1f} times mitmdump's requests a second ({verdict(times, kind.times, at_least=True)}),"
            f" {cpu:.1f} times as many for its CPU time"
        )
    print(flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="reverse, forward, tls; all without")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rate", type=float, default=500.0)
    name_mitmdump(parser)
    asked = parser.parse_args()
    if not asked.mitmdump:
        print("mitmdump is not installed: name it with --mitmdump PATH")
    print(
        f"{asked.connections} connections, a GET with 12 fields, {len(RESPONSE)} bytes of answer;"
        f" time added at {asked.rate:g} requests/s\n"
    )
    with tempfile.TemporaryDirectory(prefix="inspectd-bench-") as directory:
        for kind in KINDS:
            if not asked.kinds or kind.name in asked.kinds:
                certificate = Authority(Path(directory)).leaf("127.0.0.1", "localhost") if kind.tls else None
                measure(kind, asked, certificate)


if __name__ == "__main__":
    main()
