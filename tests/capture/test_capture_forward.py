"""What is forwarded: bytes that are there once, belong to two connections, and go with their exchange."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from inspectd.capture.beside import ForwardRecord
from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.capture.reader import Capture
from inspectd.capture.retention import Retention
from tests.capture.traffic import ANSWERED, OK, new_writer

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.capture.records import ConnectionRecord
    from inspectd.capture.writer import CaptureWriter

HEAD = b"POST / HTTP/1.1\r\nContent-Length: 20000\r\n\r\n"
CONTENT = bytes(range(250)) * 80


def forwarded(
    writer: CaptureWriter, client: ConnectionRecord, upstream: ConnectionRecord, now: int, *, cut: int = 0
) -> None:
    """An exchange that was forwarded as it came, in two turns; its head comes in two reads when it is `cut`."""
    start = client.bytes_in
    if cut:
        client.received(HEAD[:cut], now)
        early = client.came_at(0)
        client.settle(None)
        writer.flush(now)
    client.received(HEAD[cut:], now + 1)
    exchange = client.begin(start, now)
    exchange.method, exchange.target = "POST", "/"
    exchange.req_head = len(HEAD)
    forward = ForwardRecord(exchange, "localhost:3000", now)
    if cut:
        upstream.forwarded(forward, early, cut, now + 2)
    upstream.forwarded(forward, client.came_at(0), len(HEAD) - cut, now + 2)
    client.settle(exchange)
    writer.flush(now + 2)
    client.received(CONTENT, now + 3)
    upstream.forwarded(forward, client.came_at(0), len(CONTENT), now + 3)
    client.end(exchange, client.bytes_in)
    client.settle(None)
    forward.whole_ns = now + 3
    for data in (OK, CONTENT):
        client.sent(exchange, data, now + 4)
        upstream.returned(forward, client.last_put(len(data)), len(data), now + 4)
        writer.flush(now + 4)
    exchange.state |= ANSWERED
    forward.done_ns = now + 5
    client.touch(exchange)
    client.save_forward(forward)
    writer.flush(now + 5)


def test_both_connections_have_their_bytes_and_the_file_has_them_once(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    client = writer.connection(1, "client", "here", 1)
    upstream = writer.upstream(client, "localhost:3000", "here", "server", 2)
    for number, cut in enumerate((0, 7, 0)):
        forwarded(writer, client, upstream, 10 * (number + 1), cut=cut)
    writer.close(100)
    assert (tmp_path / "x").stat().st_size < 3 * 2 * len(CONTENT) + 200_000
    with Capture.open(tmp_path / "x") as capture:
        assert capture.stream_bytes(upstream.id, INCOMING) == (HEAD + CONTENT) * 3
        assert capture.stream_bytes(upstream.id, OUTGOING) == (OK + CONTENT) * 3
        assert capture.stream_bytes(client.id, INCOMING) == (HEAD + CONTENT) * 3
        for number, forward in capture.forwards([1, 2, 3]).items():
            assert (
                capture.forwarded_bytes(forward, INCOMING) == HEAD + CONTENT == capture.request_bytes(number)
            )
            assert capture.forwarded_bytes(forward, OUTGOING) == OK + CONTENT
            assert capture.forwarded_bytes(forward, INCOMING, limit=10) == HEAD[:10]
            now = 10 * number
            assert forward.phases() == [("send", now + 2, 1), ("wait", now + 3, 1), ("receive", now + 4, 1)]
        assert capture.forward(4) is None
        found = capture.upstream(upstream.id)
        assert found is not None
        assert (found.client, found.origin) == (client.id, "localhost:3000")
        assert capture.upstream(client.id) is None
        assert capture.counts().open == 1  # of clients


def test_retention_takes_what_was_forwarded_with_its_exchange_though_the_connections_stay_open(
    tmp_path: Path,
) -> None:
    writer = new_writer(tmp_path / "x")
    client = writer.connection(1, "client", "here", 1)
    upstream = writer.upstream(client, "localhost:3000", "here", "server", 2)
    retention = Retention(writer.db, 1_000_000)
    for number in range(100):
        forwarded(writer, client, upstream, 10 * (number + 1), cut=number % 3)
        while retention.step():
            pass
    assert retention.used() < 1_200_000
    client.closed_ns = upstream.closed_ns = 2000
    client.save()
    upstream.save()
    writer.flush(2000)
    with Capture.open(tmp_path / "x") as capture, closing(capture):
        rows = capture.exchanges_after(0, 1000)
        assert 5 < len(rows) < 50
        for row in rows:
            forward = capture.forward(row.id)
            assert forward is not None
            assert capture.forwarded_bytes(forward, INCOMING) == HEAD + CONTENT
            assert capture.forwarded_bytes(forward, OUTGOING) == OK + CONTENT
        count = "SELECT count(*) FROM "
        assert writer.db.execute(count + "forward").fetchone() == (len(rows),)
    retention.clear()
    while retention.step():
        pass
    for table in ("forward", "upstream", "exchange", "connection", "segment", "page"):
        assert writer.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] <= 1
    writer.close(3000)


def test_a_closed_connection_to_a_server_stays_as_long_as_one_of_its_exchanges(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    client = writer.connection(1, "client", "here", 1)
    upstreams = []
    for second in (0, 1):
        upstream = writer.upstream(client, "localhost:3000", "here", "server", 1000 * second)
        upstreams.append(upstream.id)
        for number in range(10):
            forwarded(writer, client, upstream, 1000 * second + 10 * (number + 1), cut=number % 3)
        upstream.closed_ns = 1000 * second + 900
        upstream.save()
        client.save()
        writer.flush(1000 * second + 900)
    writer.db.execute("UPDATE exchange SET marked = 1 WHERE id = 3")
    retention = Retention(writer.db, 1)

    def left() -> tuple[list[int], list[int]]:
        while retention.step():
            pass
        rows = writer.db.execute("SELECT exchange FROM forward ORDER BY exchange").fetchall()
        kept = writer.db.execute("SELECT connection FROM upstream ORDER BY connection").fetchall()
        return [number for (number,) in rows], [number for (number,) in kept]

    size = retention.used()
    retention.keep_bytes = int(size * 0.9)
    exchanges, kept = left()
    assert 3 in exchanges
    assert exchanges[-1] == 20
    assert 5 < len(exchanges) < 20
    assert kept == upstreams
    retention.keep_bytes = 1
    assert left() == ([3, 20], upstreams)
    with Capture.open(tmp_path / "x") as capture:
        for number in (3, 20):
            forward = capture.forward(number)
            assert forward is not None
            assert forward.upstream is not None
            assert capture.upstream(forward.upstream) is not None
            assert capture.connection(forward.upstream) is not None
            assert capture.forwarded_bytes(forward, OUTGOING) == OK + CONTENT
    writer.db.execute("UPDATE exchange SET marked = 0")
    assert left() == ([20], upstreams[1:])
    client.closed_ns = 3000
    client.save()
    writer.flush(3000)
    retention.clear()
    assert left() == ([], [])
    assert writer.db.execute("SELECT count(*) FROM connection").fetchone()[0] <= 1
    writer.close(4000)
