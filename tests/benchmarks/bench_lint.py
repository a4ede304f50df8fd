"""What findings cost: a browser's request on arrival and in full, and the proof that no shape takes longer than linear.

    python -m tests.benchmarks.bench_lint [--size 40000]

Beside it stands what h11 takes to parse the same bytes. Hostile shapes are looked at whole at n, 2n and 4n bytes.
"""

from __future__ import annotations

import argparse
from typing import Final

import h11

from inspectd.lint import findings, quick
from inspectd.lint.arrival import preload
from inspectd.wire import ArrivedHead, RequestReader
from tests.benchmarks.bench_wire import ODD_REQUEST, REQUEST, STEEP, best, growth
from tests.lint.shapes import MORE
from tests.wire.shapes import SHAPES

AIM_ARRIVAL_US: Final = 15.0


def arrived(data: bytes) -> ArrivedHead:
    """The head that arrives with these bytes."""
    head = RequestReader().feed(data)[0]
    assert isinstance(head, ArrivedHead)
    return head


def parse_with_h11(data: bytes) -> None:
    """What h11 does with the bytes, to its event or its refusal."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        connection.next_event()
    except h11.RemoteProtocolError:
        return


def cost_of_a_request(rounds: int) -> None:
    """Microseconds for one request, on each path."""
    preload()
    again = [arrived(REQUEST)] * rounds
    pages = [
        arrived(REQUEST.replace(b"\r\n\r\n", b"\r\nReferer: http://127.0.0.1:8080/page/%d\r\n\r\n" % number))
        for number in range(rounds)
    ]
    unlike = [
        arrived(REQUEST.replace(b"\r\n\r\n", b"\r\nX-Request-ID: %d\r\n\r\n" % number))
        for number in range(rounds // 10)
    ]

    def look(heads: list[ArrivedHead]) -> None:
        for head in heads:
            quick(head)

    def look_fully(data: bytes) -> None:
        for _ in range(rounds // 10):
            findings(data, "request")

    def parse(data: bytes) -> None:
        for _ in range(rounds // 10):
            parse_with_h11(data)

    print(f"one GET with 12 fields, {len(REQUEST)} bytes                        µs")
    aim = f"   aim {AIM_ARRIVAL_US:g}"
    print(f"  on arrival, fields as before       {best(lambda: look(again)) / rounds * 1e6:20.2f}{aim}")
    print(
        f"  on arrival, from another page      {best(lambda: look(pages), repeats=1) / rounds * 1e6:20.2f}{aim}"
    )
    print(
        f"  on arrival, a field never seen     {best(lambda: look(unlike), repeats=1) / len(unlike) * 1e6:20.2f}"
    )
    for words, data in (("clean", REQUEST), ("two spaces in the line", ODD_REQUEST)):
        ours = best(lambda data=data: look_fully(data)) / (rounds // 10) * 1e6  # type: ignore[misc]
        theirs = best(lambda data=data: parse(data)) / (rounds // 10) * 1e6  # type: ignore[misc]
        print(f"  in full, {words:26}{ours:20.2f}   h11's parse {theirs:.2f}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=40_000, help="n in bytes")
    parser.add_argument("--rounds", type=int, default=5_000)
    asked = parser.parse_args()
    cost_of_a_request(asked.rounds)
    sizes = [asked.size, asked.size * 2, asked.size * 4]
    print(f"\nhostile shapes: milliseconds at n, 2n, 4n (n = {asked.size:,})")
    steep_shapes = []
    for name, shape in {**SHAPES, **MORE}.items():
        cells, steep = growth(lambda data: findings(data, "request"), shape, sizes)
        if steep:
            steep_shapes.append(name)
        print(f"  {name:36}{cells}", flush=True)
    print(f"\nsteeper than ×{STEEP:g} a doubling: {', '.join(steep_shapes) or 'none'}")


if __name__ == "__main__":
    main()
