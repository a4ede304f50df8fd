"""Rows and exact bytes, from a capture that is being written and from one that isn't."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from inspectd.capture import reader
from inspectd.capture.model import INCOMING, OUTGOING, Read, State
from inspectd.capture.reader import BytesGone, Capture
from inspectd.capture.retention import Retention
from inspectd.capture.store import PAGE_SIZE, CaptureError
from tests.capture.traffic import ANSWERED, OK, get, new_writer, open_connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_messages_that_share_reads_keep_their_exact_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.inspectd"
    writer = new_writer(path)
    connection = open_connection(writer)
    first, second = b"GET / HTTP/1.1\r\n\r\n", b"POST /x HTTP/1.1\r\nContent-Length: 10\r\n\r\nabcdefghij"
    third = b"GET /half HTTP/1.1\r\n\r\n"
    stream = b"\r\n" + first + second + third
    cuts = [0, 63, 79, len(stream)]

    connection.received(stream[:63], 100)
    one = connection.begin(2, 100)
    connection.end(one, 2 + len(first))
    two = connection.begin(2 + len(first), 100)
    connection.settle(two)
    connection.sent(one, OK, 101)
    writer.flush(101)
    with Capture.open(path) as capture:
        assert capture.request_bytes(1) == first
        assert capture.request_bytes(2) == second[:43]
        connection.received(stream[63:79], 200)
        connection.end(two, 2 + len(first) + len(second))
        connection.settle(None)
        writer.flush(201)
        connection.received(stream[79:], 300)
        three = connection.begin(2 + len(first) + len(second), 200)
        connection.end(three, len(stream))
        connection.settle(None)
        writer.flush(301)

        assert [capture.request_bytes(number) for number in (1, 2, 3)] == [first, second, third]
        assert capture.response_bytes(1) == OK
        assert capture.response_bytes(2) == b""
        assert capture.request_bytes(2, offset=3, limit=7) == second[3:10]
        assert capture.stream_bytes(1, INCOMING) == stream
        assert capture.stream_bytes(1, INCOMING, 25, 60) == stream[25:85]
        assert capture.reads(1, INCOMING) == [
            Read(begin, end - begin, ns)
            for begin, end, ns in zip(cuts, cuts[1:], (100, 200, 300), strict=False)
        ]
        assert capture.reads(1, OUTGOING) == [Read(0, len(OK), 101)]
        assert capture.reads(1, INCOMING, 70, 81) == [Read(70, 9, 200), Read(79, 2, 300)]
    writer.close(400)


def test_a_viewer_sees_what_is_written_after_it_opened(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "a.inspectd")
    with Capture.open(tmp_path / "a.inspectd") as capture:
        assert capture.changed()
        assert not capture.changed()
        assert capture.newest_exchange() == 0
        connection = open_connection(writer)
        data, _ = get(writer, connection, "/now")
        writer.flush(1001)
        assert capture.changed()
        assert capture.newest_exchange() == 1
        assert capture.request_bytes(1) == data
        assert capture.counts() == (1, 1, 0)
    writer.close(2000)


def test_a_damaged_page_anywhere_is_an_error_in_words_or_harmless(tmp_path: Path) -> None:
    whole = tmp_path / "whole.inspectd"
    writer = new_writer(whole)
    connection = open_connection(writer)
    for n in range(300):
        get(writer, connection, f"/{n}", now=1000 + n, body=bytes(300))
        if n % 10 == 9:
            writer.flush(1000 + n)
    hello = open_connection(writer)
    hello.describe("tls", "A TLS hello.")
    writer.close(3000)
    data = whole.read_bytes()
    damaged = tmp_path / "damaged.inspectd"
    chance = random.Random(3)
    outcomes = set()
    for page in range(0, len(data), PAGE_SIZE):
        for length in (64, PAGE_SIZE - 128):
            scribbled = bytearray(data)
            scribbled[page + 100 : page + 100 + length] = chance.randbytes(length)
            damaged.write_bytes(scribbled)
            try:
                with Capture.open(damaged) as capture:
                    read_everything(capture)
                outcomes.add("read")
            except CaptureError as error:
                outcomes.add(error.what.partition(": ")[2])
    assert "is damaged or cut short" in outcomes


def read_everything(capture: Capture) -> None:
    """Ask every question a front end asks."""
    capture.counts()
    capture.meta()
    capture.listeners()
    capture.exchange_ids()
    list(capture.search("get"))
    list(capture.iter_connections())
    for row in capture.exchanges_after(0, 1000):
        capture.request_bytes(row)
        capture.response_bytes(row)
    capture.exchanges_of(1)
    capture.reads(1, INCOMING)
    capture.stream_bytes(1, OUTGOING)


def test_bytes_that_are_not_there_are_missed_aloud(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    for n in range(3):
        get(writer, connection, f"/{n}", now=1000 + n)
        writer.flush(1000 + n)
    writer.db.execute("DELETE FROM page WHERE id = 2")
    with Capture.open(tmp_path / "x") as capture:
        assert capture.request_bytes(1).startswith(b"GET /0 ")
        looks: list[Callable[[], object]] = [
            lambda: capture.request_bytes(2),
            lambda: capture.response_bytes(2),
            lambda: capture.stream_bytes(1, INCOMING),
            lambda: capture.request_bytes(99),
        ]
        for look in looks:
            with pytest.raises(BytesGone):
                look()
    writer.close(2000)


def test_rows_are_found_by_key_in_the_order_asked_for(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    connections = [open_connection(writer, now=n) for n in range(3)]
    for n in range(30):
        get(writer, connections[n % 3], f"/{n}", now=1000 + n)
    for after, connection in ((5, connections[1]), (2, connections[0])):
        connection.describe("other", "Something else.")
        connection.after = after
    writer.flush(2000)
    with Capture.open(tmp_path / "x") as capture:
        assert [row.id for row in capture.exchanges([7, 99, 3, 0])] == [7, 3]
        assert [row.id for row in capture.exchanges_after(27, 10)] == [28, 29, 30]
        assert list(capture.exchange_ids(27)) == [28, 29, 30]
        assert capture.exchange(31) is None
        assert capture.connection(4) is None
        assert [row.id for row in capture.connections([3, 1])] == [3, 1]
        assert [row.id for row in capture.list_connections_after()] == [1, 2]
        assert [row.id for row in capture.list_connections_after(5)] == [2]
        assert [row.id for row in capture.iter_connections()] == [1, 2]
        assert [row.id for row in capture.exchanges_of(2)] == list(range(2, 31, 3))
        assert [row.id for row in capture.exchanges_of(2, limit=2)] == [26, 29]
        assert [row.address for row in capture.listeners()] == ["127.0.0.1:8080"]
        assert "created" in capture.meta()
        found = capture.exchange(7)
        assert found is not None
        assert (found.target, found.status, found.state) == ("/6", "200", State(ANSWERED))
    writer.close(3000)


@pytest.mark.parametrize("hole", [False, True])
@pytest.mark.parametrize("keep", [1, 60_000, 10_000_000])
def test_all_ids_are_the_ids_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int, hole: bool
) -> None:
    monkeypatch.setattr(reader, "SEARCH_STRETCH", 8)
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    for n in range(200):
        get(writer, connection, now=1000 + n, body=bytes(500))
        writer.flush(1000 + n)
    writer.db.execute("UPDATE exchange SET marked = 1 WHERE id IN (3, 4, 50)")
    if hole:
        writer.db.execute("DELETE FROM exchange WHERE id = 180")
    kept = Retention(writer.db, keep)
    while kept.step():
        pass
    there = [number for (number,) in writer.db.execute("SELECT id FROM exchange ORDER BY id")]
    with Capture.open(tmp_path / "x") as capture:
        for after in (0, 3, 40, 55, 150, 179, 190, 200, 300):
            assert list(capture.exchange_ids(after)) == [number for number in there if number > after]
    writer.close(3000)


def test_counts_follow_what_is_added_and_what_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_STRETCH", 16)
    writer = new_writer(tmp_path / "x")
    connection = open_connection(writer)
    with Capture.open(tmp_path / "x") as capture:
        for n in range(200):
            _, exchange = get(writer, connection, now=1000 + n)
            if n % 5 == 0:
                exchange.state &= ~State.PLAIN.value
            if n % 7 == 6:
                writer.flush(1000 + n)
                assert capture.counts() == (n + 1, 1, n // 5 + 1)
        writer.flush(2000)
        kept = Retention(writer.db, 1)
        while kept.step():
            counted = writer.db.execute(
                "SELECT count(*), coalesce(sum(state & 32 = 0), 0) FROM exchange"
            ).fetchone()
            assert capture.counts() == (counted[0], 1, counted[1])
        assert capture.counts().exchanges == 1
    writer.close(3000)


def test_text_that_is_not_utf_8_in_a_file_from_elsewhere_is_still_read(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    get(writer, open_connection(writer))
    writer.flush(2000)
    writer.db.execute("UPDATE exchange SET target = CAST(x'2fff' AS TEXT)")
    writer.close(3000)
    with Capture.open(tmp_path / "x") as capture:
        row = capture.exchange(1)
        assert row is not None
        assert row.target == "/\\xff"
