"""The filter bar: words while they are typed, kept, cleared and recalled."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.tui.shell_engine import FakeEngine, picture, screen, until
from tests.tui.shell_scribe import Scribe, get, lively

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        lively(scribe)
    return tmp_path / "a.inspectd"


async def test_words_filter_while_they_are_typed(capture: Path) -> None:
    async with screen(capture, size=(120, 30)) as (app, pilot):
        await pilot.press("slash", *"post")
        await until(pilot, lambda: "1 of 8 shown · enter keeps" in picture(app))
        assert list(app.feed.shown) == [4]
        await pilot.press("enter")
        await until(pilot, lambda: app.table.has_focus)
        await until(pilot, lambda: "1 of 8 shown · / edits · esc clears" in picture(app))
        await pilot.press("escape")
        await until(pilot, lambda: len(app.feed) == 8)
        await until(pilot, lambda: "shown" not in picture(app))


async def test_escape_while_typing_clears(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("slash", *"post")
        await until(pilot, lambda: len(app.feed) == 1)
        await pilot.press("escape")
        assert len(app.feed) == 8
        assert app.table.has_focus


async def test_the_last_filter_is_recalled_and_earlier_ones_with_up(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        for words in ("first", "second"):
            await pilot.press("slash", "ctrl+u", *words, "enter", "escape")
        await pilot.press("slash")
        await until(pilot, lambda: app.filter_bar.input.value == "second")
        await pilot.press("up", "up")
        await until(pilot, lambda: app.filter_bar.input.value == "first")
        await pilot.press("down")
        await until(pilot, lambda: app.filter_bar.input.value == "second")


async def test_a_filter_that_keeps_nothing_says_so(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("slash", *"nowhere", "enter")
        await until(pilot, lambda: "0 of 8 shown" in picture(app))
        assert app.table.selected is None
        await pilot.press("up", "down", "enter", "y", "escape", "escape")
        await until(pilot, lambda: len(app.feed) == 8)


async def test_the_cursor_stays_on_its_row(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("home", *["down"] * 4)
        await until(pilot, lambda: app.table.selected == 4)
        await pilot.press("slash", *"post", "enter")
        await until(pilot, lambda: len(app.feed) == 1)
        assert app.table.selected == 4
        await pilot.press("escape")
        await until(pilot, lambda: app.table.selected == 4)


async def test_the_cursor_comes_back_to_the_row_it_was_on(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("home", "down")
        stays = app.table.selected
        total = len(app.feed)
        for words, kept in (("e", True), ("post", False)):
            await pilot.press("slash", "ctrl+u", *words, "enter")
            await until(pilot, lambda: app.feed.filtered and not app.feed.searching)
            assert (app.table.selected == stays) is kept, words
            assert kept or 0 < len(app.feed) < total
            await pilot.press("escape")
            await until(pilot, lambda: app.table.selected == stays)


async def test_rows_that_come_later_are_tried(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        scribe.exchange(get("/a"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path)) as (app, pilot):
            await pilot.press("slash", *"wanted", "enter")
            await until(pilot, lambda: "0 of 1 shown" in picture(app))
            scribe.exchange(get("/b"))
            scribe.exchange(get("/wanted"))
            scribe.flush()
            await until(pilot, lambda: "1 of 3 shown" in picture(app))
            assert "/wanted" in picture(app)
            assert "/b " not in picture(app)


async def test_wire_bytes_in_a_filter_are_words(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press(
            "slash", "left_square_bracket", "r", "e", "d", "right_square_bracket", "percent_sign", "enter"
        )
        await until(pilot, lambda: "0 of 8 shown" in picture(app))
        assert app.filter_bar.words == "[red]%"


async def test_a_filter_outlives_a_cleared_capture(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        for number in range(3):
            scribe.exchange(get(f"/wanted/{number}"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path)) as (app, pilot):
            await pilot.press("slash", *"wanted", "enter")
            await until(pilot, lambda: "3 of 3 shown" in picture(app))
            scribe.writer.db.execute("DELETE FROM exchange")
            scribe.exchange(get("/wanted/again"))
            scribe.exchange(get("/other"))
            scribe.flush()
            await until(pilot, lambda: "1 of 2 shown" in picture(app))
            assert "/wanted/again" in picture(app)
