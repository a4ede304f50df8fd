"""What reading costs: a browser's request on arrival and in full, and the proof that no shape takes longer than linear.

    python -m tests.benchmarks.bench_wire [--size 40000]

Every hostile shape is read whole at n, 2n and 4n bytes, and fed byte by byte at n/4, n/2 and n. Linear time
doubles when the size does; quadratic time grows fourfold.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from inspectd.wire import RequestReader, StreamReader, read
from tests.wire.shapes import SHAPES

if TYPE_CHECKING:
    from collections.abc import Callable

AIM_FEED_US: Final = 5.0
STEEP: Final = 3.0
"""A doubling that multiplies the time by more than this is called out: noise stays below, quadratic is 4."""
SHORT_S: Final = 0.0005
"""Below this, times are noise."""

REQUEST: Final = (
    b"GET /index.html?a=b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="156", "Google Chrome";v="156", "Not?A_Brand";v="24"\r\n'
    b'sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: "Linux"\r\nUpgrade-Insecure-Requests: 1\r\n'
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 "
    b"Safari/537.36\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;"
    b"q=0.8\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n\r\n"
)
ODD_REQUEST: Final = REQUEST.replace(b"GET /", b"GET  /")
SHOWN: Final = (b"user-agent", b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site", b"host")


def best(action: Callable[[], object], *, repeats: int = 3) -> float:
    """The shortest processor time in seconds: what the work takes when nothing disturbs it."""
    times = []
    for _ in range(repeats):
        started = time.process_time()
        action()
        times.append(time.process_time() - started)
    return min(times)


def cost_of_a_request(rounds: int) -> None:
    """Microseconds for one request, on each path."""
    reader = RequestReader()

    def feed(data: bytes) -> None:
        for _ in range(rounds):
            reader.feed(data)

    def feed_and_look() -> None:
        for _ in range(rounds):
            head = reader.feed(REQUEST)[0]
            for name in SHOWN:
                head.get(name)  # type: ignore[union-attr]

    def feed_in_two() -> None:
        for _ in range(rounds):
            reader.feed(REQUEST[:400])
            reader.feed(REQUEST[400:])

    def read_all() -> None:
        for _ in range(rounds // 10):
            read(REQUEST, "request")

    print(f"one GET with 12 fields, {len(REQUEST)} bytes                        µs")
    plain = best(lambda: feed(REQUEST)) / rounds * 1e6
    print(f"  on arrival, plain                  {plain:20.2f}   aim {AIM_FEED_US:g}")
    print(f"  and five fields for the list       {best(feed_and_look) / rounds * 1e6:20.2f}")
    print(f"  on arrival in two reads            {best(feed_in_two) / rounds * 1e6:20.2f}")
    print(f"  on arrival, two spaces in the line {best(lambda: feed(ODD_REQUEST)) / rounds * 1e6:20.2f}")
    print(f"  read in full, every span           {best(read_all) / (rounds // 10) * 1e6:20.2f}")


def piecemeal(data: bytes) -> None:
    """Feed byte by byte and tile the result."""
    reader = StreamReader("request")
    for at in range(len(data)):
        reader.feed(data[at : at + 1])
    reader.finish()


def growth(
    action: Callable[[bytes], object], shape: Callable[[int], bytes], sizes: list[int]
) -> tuple[str, bool]:
    """Milliseconds at each size with the factor from one to the next, and whether a factor is too steep."""
    times = []
    for size in sizes:
        data = shape(size)
        times.append(best(lambda data=data: action(data)))  # type: ignore[misc]
    factors = [later / max(earlier, 1e-9) for earlier, later in pairwise(times)]
    cells = f"{times[0] * 1e3:9.2f}"
    for took, factor in zip(times[1:], factors, strict=True):
        cells += f"{took * 1e3:9.2f} ×{factor:<4.1f}"
    steep = times[-1] > SHORT_S and times[-1] / max(times[0], 1e-9) > STEEP ** (len(sizes) - 1)
    return cells, steep


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=40_000, help="n in bytes")
    parser.add_argument("--rounds", type=int, default=20_000)
    asked = parser.parse_args()
    cost_of_a_request(asked.rounds)
    whole = [asked.size, asked.size * 2, asked.size * 4]
    pieces = [asked.size // 4, asked.size // 2, asked.size]
    print(
        f"\nhostile shapes: milliseconds at n, 2n, 4n (n = {asked.size:,} whole, {asked.size // 4:,} byte by byte)"
    )
    print(f"{'':38}{'whole':>9}{'':28}{'byte by byte':>12}")
    steep_shapes = []
    for name, shape in SHAPES.items():
        at_once, steep = growth(lambda data: read(data, "request"), shape, whole)
        by_byte, steep_bytes = growth(piecemeal, shape, pieces)
        if steep or steep_bytes:
            steep_shapes.append(name)
        print(f"  {name:36}{at_once}   {by_byte}", flush=True)
    print(f"\nsteeper than ×{STEEP:g} a doubling: {', '.join(steep_shapes) or 'none'}")


if __name__ == "__main__":
    main()
