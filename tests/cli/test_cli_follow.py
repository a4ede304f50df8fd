"""Following a capture while it is written: everything that finishes is seen once, in the order of finishing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import ExchangeRow, State
from inspectd.capture.reader import Capture
from inspectd.cli.follow import ROWS_AT_ONCE, Follower
from tests.capture.traffic import ANSWERED, get, new_writer, open_connection

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inspectd.capture.records import ConnectionRecord, ExchangeRecord
    from inspectd.capture.writer import CaptureWriter


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[CaptureWriter]:
    writer = new_writer(tmp_path / "a.inspectd")
    yield writer
    writer.close(9_000)


@pytest.fixture
def capture(writer: CaptureWriter) -> Iterator[Capture]:
    with Capture.open(writer.path) as capture:
        yield capture


def seen(follower: Follower, *, final: bool = False) -> list[str]:
    follower._again_at = 0.0  # every look looks again at what was open
    return [
        f"{'e' if isinstance(row, ExchangeRow) else 'c'}{row.id}" for row in follower.finished(final=final)
    ]


def begin(connection: ConnectionRecord, now: int) -> ExchangeRecord:
    connection.received(b"POST / HTTP/1.1\r\n\r\n", now)
    exchange = connection.begin(connection.bytes_in - 19, now)
    connection.settle(exchange)
    return exchange


def finish(writer: CaptureWriter, exchange: ExchangeRecord, state: int, now: int) -> None:
    exchange.state |= state
    exchange.finished_ns = now
    writer.save(exchange)
    writer.flush(now)


def test_nothing_is_seen_twice(writer: CaptureWriter, capture: Capture) -> None:
    follower = Follower(capture)
    assert seen(follower) == []

    get(writer, open_connection(writer))
    writer.flush(1000)

    assert seen(follower) == ["e1"]
    assert seen(follower) == []
    assert seen(follower, final=True) == []


def test_the_order_is_that_of_finishing(writer: CaptureWriter, capture: Capture) -> None:
    follower = Follower(capture)
    slow, cut, quick = (begin(open_connection(writer), now) for now in (1000, 1001, 1002))
    writer.flush(1002)
    assert seen(follower) == []

    finish(writer, quick, ANSWERED, 2000)
    assert seen(follower) == ["e3"]
    finish(writer, cut, State.ABORTED.value, 3000)
    finish(writer, slow, ANSWERED, 2500)
    assert seen(follower) == ["e1", "e2"]


def test_what_finishes_while_the_follower_rests_is_seen_without_another_change(
    writer: CaptureWriter, capture: Capture
) -> None:
    follower = Follower(capture)
    exchange = begin(open_connection(writer), 1000)
    writer.flush(1000)
    assert list(follower.finished()) == []

    follower._again_at = float("inf")
    finish(writer, exchange, ANSWERED, 2000)
    assert list(follower.finished()) == []
    assert seen(follower) == ["e1"]


def test_a_connection_that_ended_between_two_exchanges_is_seen_between_them(
    writer: CaptureWriter, capture: Capture
) -> None:
    follower = Follower(capture)
    lonely = open_connection(writer, now=900)
    lonely.describe("preconnect", "no request")
    lonely.closed_ns = 2500
    lonely.save()
    first, second = (begin(open_connection(writer), now) for now in (1000, 1001))
    finish(writer, first, ANSWERED, 2000)
    finish(writer, second, ANSWERED, 3000)

    assert seen(follower) == ["e1", f"c{lonely.id}", "e2"]


def test_what_never_finished_is_seen_at_the_end(writer: CaptureWriter, capture: Capture) -> None:
    follower = Follower(capture)
    begin(open_connection(writer), 1000)
    writer.flush(1000)

    assert seen(follower) == []
    assert seen(follower, final=True) == ["e1"]


def test_many_at_once_are_all_seen(writer: CaptureWriter, capture: Capture) -> None:
    count = ROWS_AT_ONCE * 2 + 7
    connection = open_connection(writer)
    for number in range(count):
        get(writer, connection, f"/{number}")
    writer.flush(1000)
    follower = Follower(capture)

    assert seen(follower) == [f"e{number}" for number in range(1, count + 1)]
    assert follower.missed == 0


def test_what_was_there_before_is_left_out(writer: CaptureWriter, capture: Capture) -> None:
    get(writer, open_connection(writer))
    old = open_connection(writer, now=500)
    old.describe("preconnect", "old")
    old.closed_ns = 600
    writer.flush(1000)
    follower = Follower(capture, after=1, since_ns=900)
    get(writer, open_connection(writer))
    writer.flush(1100)

    assert seen(follower) == ["e2"]


def test_connections_without_a_request_are_seen_when_they_have_ended(
    writer: CaptureWriter, capture: Capture
) -> None:
    follower = Follower(capture)
    first, second = open_connection(writer), open_connection(writer)
    for connection in (first, second):
        connection.describe("preconnect", "no request yet")
    writer.flush(1000)
    assert seen(follower) == []

    second.closed_ns = 2000
    second.save()
    get(writer, open_connection(writer), now=2000)
    writer.flush(2000)
    assert seen(follower) == ["c2", "e1"]

    first.closed_ns = 3000
    first.save()
    writer.flush(3000)
    assert seen(follower) == ["c1"]
    assert seen(follower, final=True) == []


def test_a_preconnect_that_was_used_after_all_is_no_connection_line(
    writer: CaptureWriter, capture: Capture
) -> None:
    follower = Follower(capture)
    connection = open_connection(writer)
    connection.describe("preconnect", "no request yet")
    get(writer, connection)
    connection.closed_ns = 2000
    connection.save()
    writer.flush(2000)

    assert seen(follower, final=True) == ["e1"]


def test_what_was_removed_before_it_could_be_seen_is_counted(writer: CaptureWriter, capture: Capture) -> None:
    follower = Follower(capture)
    connection = open_connection(writer)
    for number in range(5):
        get(writer, connection, f"/{number}")
    writer.flush(1000)
    writer.db.execute("DELETE FROM exchange WHERE id <= 3")

    assert seen(follower) == ["e4", "e5"]
    assert follower.missed == 3
