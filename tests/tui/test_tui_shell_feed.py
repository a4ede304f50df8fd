"""The feed: keys in list order, kept in step with a capture that is being written."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import ConnectionRow, ExchangeRow
from inspectd.capture.reader import Capture
from inspectd.tui.feed import Change, Feed, is_finished
from tests.tui.shell_scribe import Scribe, browse, get, lively

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def scribe(tmp_path: Path) -> Iterator[Scribe]:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        yield scribe


@pytest.fixture
def feed(scribe: Scribe) -> Iterator[Feed]:
    with Capture.open(scribe.path) as capture:
        yield Feed(capture)


def test_an_empty_capture_has_no_rows_and_nothing_new(feed: Feed) -> None:
    assert len(feed) == 0
    assert feed.poll() is None
    assert feed.newest == 0


def test_rows_stand_in_order_of_arrival_with_connections_where_they_were_understood(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        lively(scribe)
        with Capture.open(scribe.path) as capture:
            feed = Feed(capture)
    assert list(feed.all) == [1, 2, 3, -4, 4, 5, -7, 6]


def test_following_finds_the_same_rows_in_the_same_order_as_opening_later(scribe: Scribe, feed: Feed) -> None:
    scribe.exchange(get("/1"))
    scribe.flush()
    assert feed.poll() == Change(appended=1)
    scribe.lonely("tls", "TLS hello")
    scribe.exchange(get("/2"))
    scribe.lonely("garbage", "noise")
    scribe.flush()
    assert feed.poll() == Change(appended=3)
    assert feed.poll() is None
    followed = list(feed.all)
    feed.reload()
    assert followed == list(feed.all) == [1, -2, 2, -4]


def test_an_unfinished_row_is_read_again_and_a_finished_one_is_not(scribe: Scribe, feed: Feed) -> None:
    pending = scribe.request(get("/slow"))
    scribe.flush()
    feed.poll()
    before = feed.get(0)
    assert isinstance(before, ExchangeRow)
    assert not is_finished(before)
    pending.answer(b"HTTP/1.1 202 Accepted\r\n\r\n")
    scribe.flush()
    assert feed.poll() == Change()
    after = feed.get(0)
    assert isinstance(after, ExchangeRow)
    assert (after.status, is_finished(after)) == ("202", True)
    scribe.exchange(get("/next"))
    scribe.flush()
    feed.poll()
    assert feed.get(0) is after


def test_a_connection_that_is_open_is_read_again(scribe: Scribe, feed: Feed) -> None:
    lonely = scribe.lonely("preconnect", "open, no byte yet", closed=False)
    scribe.flush()
    feed.poll()
    row = feed.get(0)
    assert isinstance(row, ConnectionRow)
    assert row.closed_ns is None
    lonely.closed_ns = scribe.now
    lonely.describe("preconnect", "opened and closed")
    scribe.flush()
    feed.poll()
    row = feed.get(0)
    assert isinstance(row, ConnectionRow)
    assert row.sentence == "opened and closed"


def test_every_key_is_found_at_its_place(scribe: Scribe, feed: Feed) -> None:
    for number in range(20):
        scribe.exchange(get(f"/{number}"))
        if number % 3 == 0:
            scribe.lonely("garbage", "one")
            scribe.lonely("garbage", "two")
    scribe.flush()
    feed.poll()
    assert [feed.index_of(key) for key in feed.all] == list(range(len(feed)))
    assert feed.index_of(999) is None
    assert feed.nearest(999) == len(feed) - 1


def test_rows_the_capture_let_go_of_leave_the_list(scribe: Scribe, feed: Feed) -> None:
    for number in range(10):
        scribe.exchange(get(f"/{number}"))
    scribe.flush()
    feed.poll()
    scribe.writer.db.execute("DELETE FROM exchange WHERE id <= 4")
    assert feed.poll() == Change(reordered=True)
    assert list(feed.all) == [5, 6, 7, 8, 9, 10]


def test_a_row_that_went_between_two_looks_is_none(scribe: Scribe, feed: Feed) -> None:
    scribe.exchange(get("/1"))
    scribe.exchange(get("/2"))
    scribe.flush()
    feed.poll()
    scribe.writer.db.execute("DELETE FROM exchange WHERE id = 2")
    assert feed.get(1) is None


def test_a_cleared_capture_begins_again_even_when_ids_do(scribe: Scribe, feed: Feed) -> None:
    for number in range(3):
        scribe.exchange(get(f"/{number}"))
    scribe.flush()
    feed.poll()
    scribe.writer.db.execute("DELETE FROM exchange")
    scribe.writer.newest_exchange = 0
    for number in range(5):
        scribe.exchange(get(f"/again/{number}"))
    scribe.flush()
    assert feed.poll() == Change(cleared=True, reordered=True)
    row = feed.get(0)
    assert isinstance(row, ExchangeRow)
    assert row.target == "/again/0"


def filtered(feed: Feed, capture: Capture, words: str) -> list[int]:
    upto = feed.begin_filter(words)
    feed.add_connections(capture.search_connections(words))
    for ids in capture.search(words, before=upto + 1):
        for number in ids:  # in the smallest pieces there are
            feed.add_older(array("q", [number]), more=True)
    feed.add_older(array("q"), more=False)
    return list(feed.shown)


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        ("POST", [4]),
        ("post PAY", [4]),
        ("503", [4]),
        ("busy", [4]),
        ("chrome image", [3]),
        ("hello", [-7]),
        ("localhost", [1, 2, 3, 4, 5, -7, 6]),
        ("100%", []),
        ("_", []),
        ("\\", []),
    ],
)
def test_a_filter_keeps_the_rows_in_which_every_word_occurs(
    tmp_path: Path, words: str, keys: list[int]
) -> None:
    with Scribe(tmp_path / "c.inspectd") as scribe:
        lively(scribe)
        with Capture.open(scribe.path) as capture:
            feed = Feed(capture)
            assert filtered(feed, capture, words) == keys
            # The rule for rows that come later is the same one.
            assert [key for key in feed.all if (row := feed.row(key)) and feed.matches(row)] == keys


def test_new_rows_are_tried_and_unfinished_ones_again(scribe: Scribe, feed: Feed) -> None:
    filtered(feed, feed.capture, "teapot")  # type: ignore[arg-type]
    scribe.exchange(get("/other"))
    pending = scribe.request(get("/slow"))
    scribe.exchange(get("/teapot"))
    scribe.flush()
    assert feed.poll() == Change(appended=1)
    assert list(feed.shown) == [3]
    pending.answer(b"HTTP/1.1 418 I'm a teapot\r\n\r\n")
    scribe.flush()
    assert feed.poll() == Change(reordered=True)
    assert list(feed.shown) == [2, 3]
    feed.show_all()
    assert list(feed.shown) == [1, 2, 3]


def test_a_row_that_was_unfinished_when_the_filter_was_set_is_tried_again(scribe: Scribe, feed: Feed) -> None:
    scribe.exchange(get("/teapot"))
    pending = scribe.request(get("/slow"))
    scribe.exchange(get("/teapot/2"))
    scribe.flush()
    feed.poll()
    assert filtered(feed, feed.capture, "teapot") == [1, 3]  # type: ignore[arg-type]
    pending.answer(b"HTTP/1.1 418 I'm a teapot\r\n\r\n")
    scribe.flush()
    assert feed.poll() == Change(reordered=True)
    assert list(feed.shown) == [1, 2, 3]


def test_the_row_cache_is_bounded(scribe: Scribe, feed: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inspectd.tui.feed.ROWS_KEPT", 8)
    for number in range(50):
        scribe.exchange(browse(f"/{number}", "image", "no-cors"))
    scribe.flush()
    feed.poll()
    for index in range(50):
        assert feed.get(index) is not None
    assert len(feed._rows) <= 8


def test_a_large_capture_is_taken_to_be_dense_until_its_ids_are_read(
    scribe: Scribe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inspectd.tui.feed.DENSE_FROM", 10)
    for number in range(30):
        scribe.exchange(get(f"/{number}"))
    scribe.lonely("garbage", "noise")
    scribe.flush()
    scribe.writer.db.execute("DELETE FROM exchange WHERE id BETWEEN 5 AND 8")
    with Capture.open(scribe.path) as capture:
        feed = Feed(capture)
        assert (feed.assumed_upto, len(feed.all)) == (30, 31)
        assert feed.get(5) is None
        scribe.exchange(get("/later"))
        scribe.flush()
        assert feed.poll() == Change(appended=1)
        assert feed.settle(capture.exchange_ids(0))
        assert list(feed.all) == [*range(1, 5), *range(9, 31), -31, 31]
        assert not feed.settle(capture.exchange_ids(0))
        feed.reload()
        assert feed.poll() is None
