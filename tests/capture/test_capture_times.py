"""When an exchange was over: its times are those of its bytes, however late they are committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.capture.model import State
from inspectd.capture.reader import Capture
from tests.capture.traffic import ANSWERED, get, new_writer, open_connection

if TYPE_CHECKING:
    from pathlib import Path

FLUSHED = 50_000_000


def test_an_answer_in_one_piece_ended_with_it(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "a.inspectd")
    get(writer, open_connection(writer), now=1000)
    writer.flush(FLUSHED)

    with Capture.open(writer.path) as capture:
        (row,) = capture.exchanges([1])
    assert (row.answered_ns, row.finished_ns) == (1001, 1001)


def test_an_answer_in_pieces_ended_with_the_last(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "a.inspectd")
    connection = open_connection(writer)
    _, exchange = get(writer, connection, now=1000)
    exchange.state &= ~State.RESPONSE_COMPLETE.value
    writer.flush(FLUSHED)
    connection.sent(exchange, b"more", FLUSHED + 5)
    connection.sent(exchange, b"the last", FLUSHED + 7)
    exchange.state |= ANSWERED
    writer.flush(2 * FLUSHED)

    with Capture.open(writer.path) as capture:
        (row,) = capture.exchanges([1])
    assert (row.answered_ns, row.finished_ns) == (1001, FLUSHED + 7)


def test_what_never_got_a_byte_ended_when_that_was_known(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "a.inspectd")
    connection = open_connection(writer)
    connection.received(b"GET / HTTP/1.1\r\n\r\n", 1000)
    exchange = connection.begin(0, 1000)
    connection.settle(exchange)
    exchange.state |= State.ABORTED.value
    writer.flush(FLUSHED)

    with Capture.open(writer.path) as capture:
        (row,) = capture.exchanges([1])
    assert (row.answered_ns, row.finished_ns) == (None, FLUSHED)


def test_listeners_hear_once_what_ended_in_a_commit(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "a.inspectd")
    heard: list[set[int]] = []
    writer.committed = lambda _, ended: heard.append(ended)
    _, exchange = get(writer, open_connection(writer), now=1000)
    writer.flush(FLUSHED)
    exchange.label = "more is known"
    writer.save(exchange)
    writer.flush(FLUSHED)

    assert heard == [{1}, set()]
