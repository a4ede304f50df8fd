"""Findings in the list, in the header and in the filter, on the whole screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inspectd.capture.model import ExchangeRow
from inspectd.capture.reader import Capture
from inspectd.capture.wanted import NotATestError
from inspectd.tui.feed import Feed
from tests.tui.shell_engine import picture, screen, until
from tests.tui.shell_scribe import Scribe, get

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMUGGLED = (
    b"POST /smuggled HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
)


@pytest.fixture
def scribe(tmp_path: Path) -> Iterator[Scribe]:
    """Three ordinary exchanges and one whose end readers differ about."""
    with Scribe(tmp_path / "a.inspectd") as scribe:
        for number in range(3):
            scribe.exchange(get(f"/{number}"))
        scribe.exchange(SMUGGLED)
        scribe.flush()
        yield scribe


async def test_the_worst_finding_stands_in_its_row(scribe: Scribe) -> None:
    async with screen(scribe.path, size=(160, 30)) as (app, pilot):
        await until(pilot, lambda: "▲ te-with-cl" in picture(app) or "▲ body-ambig" in picture(app))


async def test_a_filter_finds_by_finding_and_by_severity(scribe: Scribe) -> None:
    async with screen(scribe.path, size=(120, 30)) as (app, pilot):
        await pilot.press("slash")
        app.filter_bar.input.value = "finding == te-with-cl"
        await until(pilot, lambda: list(app.feed.shown) == [4])
        scribe.exchange(get("/later"))
        scribe.exchange(SMUGGLED)
        scribe.flush()
        await until(pilot, lambda: list(app.feed.shown) == [4, 6])
        app.filter_bar.input.value = "finding == te-with-c"
        await until(pilot, lambda: "Did you mean te-with-cl" in picture(app))
        assert list(app.feed.shown) == [4, 6]
        await pilot.press("right")
        await until(pilot, lambda: app.filter_bar.input.value == "finding == te-with-cl")


async def test_one_command_shows_what_is_wrong(scribe: Scribe) -> None:
    async with screen(scribe.path, size=(120, 30)) as (app, pilot):
        app.action_filter_findings()
        await until(pilot, lambda: 4 in app.feed.shown and not app.feed.searching)


async def test_the_header_counts_odd_heads(scribe: Scribe) -> None:
    odd = scribe.exchange(get("/odd"))
    odd.state &= ~32
    scribe.flush()
    async with screen(scribe.path, size=(120, 30)) as (app, pilot):
        await until(pilot, lambda: "▲ 1 odd" in picture(app))


def test_a_test_that_means_nothing_changes_nothing(scribe: Scribe) -> None:
    with Capture.open(scribe.path) as capture:
        feed = Feed(capture)
        with pytest.raises(NotATestError):
            feed.begin_filter("severity >= awful")
        assert list(feed.shown) == [1, 2, 3, 4]
        assert not feed.filtered


def test_rows_are_looked_at_once_somebody_asked(scribe: Scribe) -> None:
    with Capture.open(scribe.path) as capture:
        feed = Feed(capture)
        assert feed.look(1.0) == []
        assert [feed.noted(key) for key in feed.all] == [None] * 4
        assert feed.look(1.0) == [4]
        noted = feed.noted(4)
        assert noted is not None
        assert noted[1].word == "error"
        row = feed.row(1)
        assert isinstance(row, ExchangeRow)
        assert feed.noted(1) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("severity >= bogus", "There are good, info, warning, error."),
        ("status >= 400", "Tests are of finding and severity."),
    ],
)
async def test_what_is_wrong_with_a_test_is_said_whole_at_80_columns(
    scribe: Scribe, words: str, said: str
) -> None:
    async with screen(scribe.path, size=(80, 24)) as (app, pilot):
        await pilot.press("slash")
        app.filter_bar.input.value = words
        await until(pilot, lambda: said in picture(app))
