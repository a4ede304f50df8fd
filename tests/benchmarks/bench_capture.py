"""What reading a large capture costs. Prints figures; run it with `python -m tests.benchmarks.bench_capture [ROWS]`.

Every figure is the median of several runs, in milliseconds, on a capture with a million exchanges by default.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from inspectd.capture import store
from inspectd.capture.model import INCOMING
from inspectd.capture.reader import Capture
from inspectd.capture.retention import Retention
from inspectd.capture.writer import CaptureWriter
from tests.capture.traffic import get, open_connection

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = 64
A_TURN = 100


def build(path: Path, rows: int) -> None:
    """A capture of keep-alive traffic, written turn by turn like the engine does."""
    writer = CaptureWriter(path)
    connections = [open_connection(writer, now=1) for _ in range(CONNECTIONS)]
    now = 1
    for number in range(rows):
        now += 1000
        _, exchange = get(
            writer, connections[number % CONNECTIONS], f"/item/{number}?q={number * 7919 % 1000}", now=now
        )
        exchange.client, exchange.dest, exchange.mode = "Chrome 156", "empty", "cors"
        if number % A_TURN == A_TURN - 1:
            writer.flush(now)
    for connection in connections:
        connection.closed_ns = now
        connection.save()
    writer.flush(now)
    writer.close(now)


def milliseconds(action: Callable[[], object], times: int = 9) -> float:
    """The median time of an action."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        taken.append((time.perf_counter() - start) * 1000)
    return statistics.median(taken)


def report(what: str, figure: float, unit: str = "ms") -> None:
    print(f"{what:<64} {figure:>10.2f} {unit}", flush=True)


def bench_reading(path: Path, rows: int) -> None:
    """Opening, pages by key, searching, bytes."""
    chance = random.Random(1)
    report("open and close", milliseconds(lambda: Capture.open(path).close()))
    with Capture.open(path) as capture:
        report(
            "page of 100 rows by key, anywhere",
            milliseconds(lambda: capture.exchanges_after(chance.randrange(rows - 100), 100), 51),
        )
        report(
            "100 rows by their ids, scattered",
            milliseconds(lambda: capture.exchanges(sorted(chance.sample(range(1, rows), 100))), 51),
        )
        report("all ids", milliseconds(lambda: capture.exchange_ids(0), 3))
        start = time.perf_counter()
        capture.counts()
        report("counts, the first time", (time.perf_counter() - start) * 1000)
        report("counts, again", milliseconds(capture.counts))
        report("nothing new: changed()", milliseconds(capture.changed, 101))
        report(
            "request bytes of one exchange",
            milliseconds(lambda: capture.request_bytes(chance.randrange(1, rows)), 101),
        )
        row = capture.exchange(rows // 2)
        assert row is not None
        report(
            "the same through stream_bytes, row asked for before",
            milliseconds(
                lambda: capture.stream_bytes(row.connection, INCOMING, row.req_offset, row.req_len), 101
            ),
        )
        report(
            f"64 KiB from the middle of a stream of {rows // CONNECTIONS} exchanges",
            milliseconds(lambda: capture.stream_bytes(1, INCOMING, row.req_offset, 65536), 3),
        )
        for words in ("chrome", "/item/999999", "no such word at all"):
            start = time.perf_counter()
            chunks = iter(capture.search(words))
            next(chunks)
            first = (time.perf_counter() - start) * 1000
            found = sum(len(chunk) for chunk in chunks)
            whole = (time.perf_counter() - start) * 1000
            report(f"search {words!r}: first chunk", first)
            report(f"search {words!r}: all {rows} rows, {found} found", whole)


def bench_retention(path: Path) -> None:
    """How long slices take while a file is a little too large, and how much they remove."""
    db = store.create_or_continue(path)
    kept = Retention(db, 1)
    before = db.execute("SELECT count(*) FROM exchange").fetchone()[0]
    slices = []
    for _ in range(300):
        kept.keep_bytes = int(kept.used() * 0.999)
        start = time.perf_counter()
        kept.step()
        slices.append((time.perf_counter() - start) * 1000)
    gone = before - db.execute("SELECT count(*) FROM exchange").fetchone()[0]
    report("retention: a slice, median", statistics.median(slices))
    report("retention: a slice, 99 of 100", statistics.quantiles(slices, n=100)[-1])
    report("retention: exchanges removed in a second of slices", gone / sum(slices) * 1000, "")
    db.close()


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "large.inspectd"
        start = time.perf_counter()
        build(path, rows)
        seconds = time.perf_counter() - start
        print(f"{rows} exchanges written in {seconds:.1f} s, {path.stat().st_size / 1e6:.0f} MB")
        bench_reading(path, rows)
        bench_retention(path)


if __name__ == "__main__":
    main()
