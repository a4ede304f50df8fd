"""A capture stays within its bytes, and whatever remains is whole."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from inspectd.capture import retention
from inspectd.capture.beside import ForwardRecord
from inspectd.capture.model import INCOMING, OUTGOING, State
from inspectd.capture.reader import BytesGone, Capture
from inspectd.capture.retention import Retention
from tests.capture.traffic import ANSWERED, OK, get, new_writer, open_connection

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from inspectd.capture.records import ConnectionRecord
    from inspectd.capture.writer import CaptureWriter

MIB = 1024 * 1024


def run_dry(kept: Retention) -> int:
    """Call `step` until there is nothing more to do; how many slices that took."""
    slices = 1
    while kept.step():
        slices += 1
    return slices


def leftovers(db: sqlite3.Connection) -> dict[str, list[tuple[int, ...]]]:
    """What is in the file that nothing needs."""
    return {
        "pages": db.execute(
            "SELECT id FROM page WHERE id NOT IN (SELECT page FROM segment) AND id NOT IN "
            "(SELECT req_page FROM exchange WHERE req_run > 0) AND id NOT IN "
            "(SELECT res_page FROM exchange WHERE res_page IS NOT NULL) AND id < (SELECT max(id) FROM page)"
        ).fetchall(),
        "segments": db.execute(
            "SELECT connection, direction, offset FROM segment "
            "WHERE connection NOT IN (SELECT id FROM connection)"
        ).fetchall(),
        "pointers": db.execute(
            "SELECT id FROM exchange WHERE (req_run > 0 AND req_page NOT IN (SELECT id FROM page)) "
            "OR res_page NOT IN (SELECT id FROM page) OR connection NOT IN (SELECT id FROM connection) "
        ).fetchall(),
        "lost segments": db.execute(
            "SELECT connection, offset FROM segment WHERE page NOT IN (SELECT id FROM page)"
        ).fetchall(),
    }


NOTHING: dict[str, list[tuple[int, ...]]] = {"pages": [], "segments": [], "pointers": [], "lost segments": []}


def test_nothing_goes_while_there_is_room(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    get(writer, open_connection(writer))
    writer.flush(1)
    assert not Retention(writer.db, 10 * MIB).step()
    assert writer.db.execute("SELECT count(*) FROM exchange").fetchone() == (1,)
    writer.close(2)


def test_the_file_stays_bounded_and_what_remains_is_whole(tmp_path: Path) -> None:
    """Minutes of mixed traffic: keep-alive, short connections, long bodies, heads and bodies cut by reads."""
    path = tmp_path / "x"
    chance = random.Random(7)
    writer = new_writer(path)
    kept = Retention(writer.db, 4 * MIB)
    streams: dict[int, bytearray] = {}
    expected: dict[int, bytes] = {}
    marked: list[int] = []
    keep_alive = [open_connection(writer, now=1) for _ in range(3)]
    largest = 0
    now = 1000
    for _ in range(1500):
        for _ in range(chance.randint(1, 4)):
            now += 1000
            short = chance.random() < 0.5
            connection = open_connection(writer, now=now) if short else chance.choice(keep_alive)
            stream = streams.setdefault(connection.id, bytearray())
            body = chance.randbytes(chance.choice([0, 0, 10, 3000, 60_000]))
            blank = b"\r\n" * chance.randint(0, 2)
            number, data = arrive(writer, connection, blank, body, chance, now)
            stream += blank + data
            expected[number] = data
            if chance.random() < 0.004:
                marked.append(number)
            if short:
                connection.closed_ns = now + 10
                connection.save()
        writer.flush(now + 11)
        writer.db.executemany(
            "UPDATE exchange SET marked = 1 WHERE id = ?", [(each,) for each in marked[-2:]]
        )
        run_dry(kept)
        largest = max(largest, kept.used())
    for connection in keep_alive:
        connection.save()
    writer.flush(now + 20)
    run_dry(kept)

    assert kept.used() <= 4 * MIB
    assert largest <= 4.5 * MIB
    assert path.stat().st_size <= 6 * MIB
    assert leftovers(writer.db) == NOTHING
    assert writer.db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with Capture.open(path) as capture:
        rows = capture.exchanges_after(0, 100_000)
        assert len(expected) - len(rows) > 1000
        assert set(marked) <= {row.id for row in rows}
        assert rows[-1].id == max(expected)
        ids = [row.id for row in rows if row.id not in marked]
        assert ids == list(range(ids[0], ids[-1] + 1)), "the oldest go first"
        for row in rows:
            assert capture.request_bytes(row) == expected[row.id]
            assert capture.response_bytes(row) == OK
            stream = streams[row.connection]
            assert stream[row.req_offset :].startswith(expected[row.id])
        for connection in keep_alive:
            mine = [row for row in rows if row.connection == connection.id]
            assert capture.exchanges_of(connection.id) == mine
            first = next(row for row in mine if row.id not in marked)
            rest = streams[connection.id][first.req_offset :]
            assert capture.stream_bytes(connection.id, INCOMING, first.req_offset) == rest
    writer.close(now + 30)


def arrive(
    writer: CaptureWriter,
    connection: ConnectionRecord,
    blank: bytes,
    body: bytes,
    chance: random.Random,
    now: int,
) -> tuple[int, bytes]:
    """A request in one to four reads, cut anywhere, answered at its end; its id and its bytes."""
    head = f"POST /{now} HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    data = blank + head + body
    start = connection.bytes_in + len(blank)
    head_end, end = start + len(head), start + len(head) + len(body)
    cuts = sorted(chance.sample(range(1, len(data)), chance.randint(0, 3)))
    exchange = None
    for first, last in zip([0, *cuts], [*cuts, len(data)], strict=True):
        connection.received(data[first:last], now)
        if exchange is None and connection.bytes_in >= head_end:
            exchange = connection.begin(start, now)
        if exchange is not None and connection.bytes_in == end:
            connection.end(exchange, end)
            connection.settle(None)
        else:
            connection.settle(exchange)
        if chance.random() < 0.5:
            writer.flush(now)
    assert exchange is not None
    connection.sent(exchange, OK[:10], now)
    connection.sent(exchange, OK[10:], now)
    exchange.state |= ANSWERED
    writer.save(exchange)
    return exchange.id, head + body


def test_what_is_unfinished_or_open_stays_until_it_is_not(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    held = open_connection(writer)
    held.received(b"GET /held HTTP/1.1\r\n\r\n", 1000)
    waiting = held.begin(0, 1000)
    held.end(waiting, held.bytes_in)
    held.settle(None)
    silent = open_connection(writer)
    silent.received(b"\x16\x03\x01", 1000)
    silent.settle(None)
    silent.describe("tls", "A TLS hello.")
    writer.flush(1001)
    for n in range(200):
        connection = open_connection(writer, now=2000 + n)
        get(writer, connection, f"/{n}", now=2000 + n)
        connection.closed_ns = 2000 + n
        connection.save()
        writer.flush(2000 + n)
    kept = Retention(writer.db, 1)
    run_dry(kept)

    def left() -> tuple[list[int], list[int]]:
        db = writer.db
        return (
            [number for (number,) in db.execute("SELECT id FROM exchange ORDER BY id")],
            [number for (number,) in db.execute("SELECT id FROM connection ORDER BY id")],
        )

    assert left() == ([1, 201], [1, 2, 202])
    with Capture.open(tmp_path / "x") as capture:
        assert capture.request_bytes(1) == b"GET /held HTTP/1.1\r\n\r\n"
        assert capture.stream_bytes(2, INCOMING) == b"\x16\x03\x01"
        assert capture.counts().exchanges == 2

    held.sent(waiting, OK, 3000)
    waiting.state |= ANSWERED
    held.closed_ns = silent.closed_ns = 3001
    held.save()
    silent.save()
    writer.flush(3001)
    run_dry(kept)
    assert left() == ([201], [202])
    assert leftovers(writer.db) == NOTHING
    writer.close(4000)


def test_connections_without_a_request_go_by_their_age_too(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    for n in range(2000):
        connection = open_connection(writer, now=1000 + n)
        connection.received(b"\x00" * 100, 1000 + n)
        connection.settle(None)
        connection.closed_ns = 1000 + n
        connection.describe("garbage", "Bytes that are no request.")
        if n % 10 == 9:
            writer.flush(1000 + n)
    kept = Retention(writer.db, 200_000)
    run_dry(kept)
    assert kept.used() <= 200_000
    with Capture.open(tmp_path / "x") as capture:
        rows = capture.list_connections_after()
        assert [row.id for row in rows] == list(range(2001 - len(rows), 2001))
        assert 1 < len(rows) < 2000
        assert all(capture.stream_bytes(row.id, INCOMING) == b"\x00" * 100 for row in rows)
    assert leftovers(writer.db) == NOTHING
    writer.close(5000)


def test_a_mark_that_is_taken_back_lets_the_exchange_go(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    for n in range(50):
        get(writer, connection, now=1000 + n)
        writer.flush(1000 + n)
    writer.db.execute("UPDATE exchange SET marked = 1 WHERE id = 7")
    kept = Retention(writer.db, 1)
    run_dry(kept)
    assert writer.db.execute("SELECT id FROM exchange").fetchall() == [(7,), (50,)]
    writer.db.execute("UPDATE exchange SET marked = 0")
    run_dry(kept)
    assert writer.db.execute("SELECT id FROM exchange").fetchall() == [(50,)]
    assert leftovers(writer.db) == NOTHING
    writer.close(2000)


def test_a_huge_upload_goes_in_many_short_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "SLICE_SECONDS", 0.0005)
    monkeypatch.setattr(retention, "LONGEST_SLICE_SECONDS", 0.0005)
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    connection.received(b"PUT / HTTP/1.1\r\nContent-Length: 33554432\r\n\r\n", 1000)
    exchange = connection.begin(0, 1000)
    connection.settle(exchange)
    for n in range(2048):
        connection.received(bytes(16 * 1024), 1001 + n)
        connection.settle(exchange)
        writer.flush(1001 + n)
    connection.end(exchange, connection.bytes_in)
    exchange.state |= ANSWERED
    writer.flush(4000)
    get(writer, connection, now=5000)
    writer.flush(5001)
    kept = Retention(writer.db, MIB)
    assert run_dry(kept) > 5
    assert kept.used() <= MIB
    kept.keep_bytes = 1
    run_dry(kept)
    assert writer.db.execute("SELECT id FROM exchange").fetchall() == [(2,)]
    assert leftovers(writer.db) == NOTHING
    writer.close(6000)


def endless(writer: CaptureWriter, connection: ConnectionRecord, turns: int, now: int) -> None:
    """An answer that goes on for `turns` turns of 64 KiB, and has no end."""
    connection.received(b"GET /endless HTTP/1.1\r\n\r\n", now)
    exchange = connection.begin(connection.bytes_in - 25, now)
    connection.end(exchange, connection.bytes_in)
    connection.settle(None)
    writer.flush(now)
    connection.sent(exchange, OK, now)
    writer.flush(now)
    for turn in range(turns):
        connection.sent(exchange, bytes([turn % 256]) * 64 * 1024, now + turn)
        writer.save(exchange)
        writer.flush(now + turn)


def test_of_an_answer_without_an_end_the_oldest_bytes_go(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    get(writer, open_connection(writer), now=1000)
    writer.flush(1000)
    endless(writer, connection, 200, 2000)
    get(writer, open_connection(writer), now=9000)
    writer.flush(9000)
    kept = Retention(writer.db, 2 * MIB)
    assert run_dry(kept) >= 1
    assert MIB < kept.used() <= 2 * MIB
    assert leftovers(writer.db) == NOTHING
    with Capture.open(tmp_path / "x") as capture:
        assert list(capture.exchange_ids()) == [2, 3], "what has ended goes first"
        assert capture.request_bytes(2) == b"GET /endless HTTP/1.1\r\n\r\n"
        assert capture.response_bytes(2, limit=len(OK)) == OK
        newest = capture.stream_bytes(1, OUTGOING, len(OK) + 180 * 64 * 1024)
        assert newest == b"".join(bytes([turn]) * 64 * 1024 for turn in range(180, 200))
        with pytest.raises(BytesGone):
            capture.response_bytes(2)
        with pytest.raises(BytesGone):
            capture.stream_bytes(1, OUTGOING, len(OK))
    writer.close(9001)


def test_it_goes_in_short_slices_and_what_is_marked_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "SLICE_SECONDS", 0.0002)
    monkeypatch.setattr(retention, "LONGEST_SLICE_SECONDS", 0.0002)
    writer = new_writer(tmp_path / "x")
    marked, other = open_connection(writer), open_connection(writer)
    endless(writer, marked, 60, 1000)
    endless(writer, other, 200, 5000)
    get(writer, open_connection(writer), now=9000)
    writer.flush(9000)
    writer.db.execute("UPDATE exchange SET marked = 1 WHERE id = 1")
    kept = Retention(writer.db, MIB)
    assert run_dry(kept) > 5
    assert kept.used() > MIB, "the marked one alone is more"
    with Capture.open(tmp_path / "x") as capture:
        assert len(capture.response_bytes(1)) == len(OK) + 60 * 64 * 1024
        with pytest.raises(BytesGone):
            capture.response_bytes(2)
    (pages,) = writer.db.execute("SELECT count(*) FROM page").fetchone()
    run_dry(kept)
    assert writer.db.execute("SELECT count(*) FROM page").fetchone() == (pages,)

    writer.db.execute("UPDATE exchange SET marked = 0")
    marked.closed_ns = 9001
    marked.save()
    writer.db.execute("UPDATE exchange SET state = state | ? WHERE id = 1", (State.ABORTED.value,))
    writer.flush(9001)
    run_dry(kept)
    assert kept.used() <= MIB
    assert leftovers(writer.db) == NOTHING
    writer.close(9002)


def test_of_a_tunnel_the_oldest_bytes_go_though_its_connect_has_ended_unless_that_is_marked(
    tmp_path: Path,
) -> None:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    _, connect = get(writer, connection, now=1000)
    upstream = writer.upstream(connection, "localhost:1", "here", "server", 1000)
    forward = ForwardRecord(connect, "localhost:1", 1000)
    forward.upstream = upstream.id
    connection.save_forward(forward)
    writer.flush(1000)
    data = bytes(50_000)
    for turn in range(100):
        connection.received(data, 2000 + turn)
        connection.settle(None)
        upstream.forwarded(None, connection.came_at(0), len(data), 2000 + turn)
        writer.flush(2000 + turn)
    connection.save()
    writer.flush(3000)
    writer.db.execute("UPDATE exchange SET marked = 1")
    kept = Retention(writer.db, 2 * MIB)
    run_dry(kept)
    with Capture.open(tmp_path / "x") as capture:
        for number in (connection.id, upstream.id):
            assert len(capture.stream_bytes(number, INCOMING)) >= 100 * len(data)
    writer.db.execute("UPDATE exchange SET marked = 0")
    kept = Retention(writer.db, 2 * MIB)
    run_dry(kept)
    assert MIB < kept.used() <= 2 * MIB
    with Capture.open(tmp_path / "x") as capture:
        for number in (connection.id, upstream.id):
            assert 10 < len(capture.reads(number, INCOMING)) < 50
    assert leftovers(writer.db) == NOTHING
    writer.close(4000)


def test_a_capture_that_is_continued_goes_on_losing_its_oldest(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    for n in range(100):
        get(writer, connection, now=1000 + n, body=bytes(5000))
        writer.flush(1000 + n)
    run_dry(Retention(writer.db, 450_000))
    before = [number for (number,) in writer.db.execute("SELECT id FROM exchange")]
    again = Retention(writer.db, 200_000)
    run_dry(again)
    after = [number for (number,) in writer.db.execute("SELECT id FROM exchange")]
    assert after == before[-len(after) :]
    assert 1 < len(after) < len(before) < 100
    assert again.used() <= 200_000
    again.keep_bytes = 1
    run_dry(again)
    assert leftovers(writer.db) == NOTHING
    writer.close(2000)


def test_clearing_leaves_what_has_not_ended_and_ids_go_on(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    kept = Retention(writer.db, 100 * MIB)
    connection = open_connection(writer)
    for n in range(20):
        get(writer, connection, now=1000 + n)
    connection.received(b"GET /late HTTP/1.1\r\n\r\n", 2000)
    late = connection.begin(connection.bytes_in - 22, 2000)
    connection.end(late, connection.bytes_in)
    connection.settle(None)
    writer.flush(2000)
    kept.clear()
    assert writer.db.execute("SELECT id, state FROM exchange").fetchall() == [(21, 0)]
    assert not kept.step()

    get(writer, connection, now=3000)
    connection.closed_ns = 3001
    connection.save()
    late.state |= State.ABORTED
    writer.save(late)
    writer.flush(3001)
    with Capture.open(tmp_path / "x") as capture:
        assert [row.id for row in capture.exchanges_after(0, 10)] == [21, 22]
        assert capture.request_bytes(21) == b"GET /late HTTP/1.1\r\n\r\n"
    kept.clear()
    counts = [
        writer.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("exchange", "connection", "segment", "listener")
    ]
    assert counts == [0, 0, 0, 1]
    assert leftovers(writer.db) == NOTHING
    writer.close(4000)

    writer = new_writer(tmp_path / "x")
    get(writer, open_connection(writer), now=5000)
    writer.close(5001)
    with Capture.open(tmp_path / "x") as capture:
        assert list(capture.exchange_ids()) == [23]
        assert capture.counts().exchanges == 1


def test_a_file_that_cannot_be_written_is_left_for_the_writer_to_report(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    for n in range(50):
        get(writer, open_connection(writer), now=1000 + n)
        writer.flush(1000 + n)
    kept = Retention(writer.db, 1)
    writer.db.execute("PRAGMA query_only = ON")
    assert not kept.step()
    writer.db.execute("PRAGMA query_only = OFF")
    run_dry(kept)
    assert writer.db.execute("SELECT id FROM exchange").fetchall() == [(50,)]
    writer.close(2000)
