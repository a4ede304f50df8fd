"""Nothing from the wire is live on the screen: not through the door, and not through the net under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.widgets import Static

from inspectd.text.safe import cells
from inspectd.tui.net import LIVE, TerminalNet
from tests.tui.shell_engine import FakeEngine, lines, picture, screen, until
from tests.tui.shell_scribe import Scribe, get

if TYPE_CHECKING:
    from pathlib import Path

NASTY = "\x1b]0;owned\x07\x1b[31m\x9b2J\u202e\u200b[red]bold[/] \x00\t\r"


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        exchange = scribe.exchange(get("/x"))
        exchange.method = exchange.target = exchange.client = NASTY
        exchange.status, exchange.reason = "\x1b[5m", NASTY
        exchange.dest = exchange.mode = exchange.host = NASTY
        lonely = scribe.lonely("garbage", NASTY)
        lonely.peer = NASTY
    return tmp_path / "a.inspectd"


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36), (200, 50)])
async def test_hostile_rows_are_drawn_as_escapes_and_keep_their_width(
    capture: Path, size: tuple[int, int]
) -> None:
    async with screen(capture, FakeEngine(capture), size=size) as (app, pilot):
        await pilot.press("home")
        shown = picture(app)
        assert LIVE.search(shown.replace("\n", "")) is None
        assert "\\x1b" in shown
        assert all(cells(line) == size[0] for line in lines(app))


async def test_hostile_rows_are_copied_harmlessly(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("home", "y", "u")
        await until(pilot, lambda: app.clipboard)
        assert app.clipboard.isascii()
        assert app.clipboard.isprintable()
        assert LIVE.search(picture(app).replace("\n", "")) is None


async def test_a_hostile_filter_and_answer_are_drawn_harmlessly(capture: Path) -> None:
    async with screen(capture, FakeEngine(capture)) as (app, pilot):
        await pilot.press("slash")
        app.filter_bar.input.value = NASTY
        await until(pilot, lambda: app.feed.filtered and not app.feed.searching)
        assert LIVE.search(picture(app).replace("\n", "")) is None
        app.say(NASTY, NASTY)
        await pilot.pause()
        assert LIVE.search(picture(app).replace("\n", "")) is None


@pytest.mark.parametrize(
    "character",
    ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9b", "\u200b", "\u202e", "\u2066", "\ufeff", "\U000e0041"],
)
def test_the_net_takes_a_live_character_and_keeps_the_width(character: str) -> None:
    style = Style(bold=True)
    line = [Segment("ab", style), Segment(f"c{character}d  ", style), Segment("e", style)]
    out = TerminalNet().apply(line, Color.parse("black"))
    text = "".join(segment.text for segment in out)
    assert LIVE.search(text) is None
    assert "�" in text
    assert cells(text) == sum(segment.cell_length for segment in line)


def test_the_net_leaves_a_still_line_alone() -> None:
    line = [Segment("GET / é 語 ↵")]
    assert TerminalNet().apply(line, Color.parse("black")) is line


async def test_the_net_is_under_every_widget(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        careless = Static("", markup=False)
        await app.mount(careless)
        careless.update("caught \x9b31m \u202e here")
        await until(pilot, lambda: "caught" in picture(app))
        line = next(line for line in lines(app) if "caught" in line)
        assert LIVE.search(line) is None


async def test_no_color_takes_every_colour_and_leaves_the_words(
    capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with screen(capture, FakeEngine(capture)) as (app, pilot):
        await pilot.press("home")
        await until(pilot, lambda: "▌" in picture(app))
        for strip in app.screen._compositor.render_strips():
            for segment in strip:
                if segment.style is not None:
                    assert segment.style.color is None or segment.style.color.is_default, segment
                    assert segment.style.bgcolor is None or segment.style.bgcolor.is_default, segment
