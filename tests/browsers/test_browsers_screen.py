"""The terminal UI on a capture of real browser traffic: driven by keys, it shows what the browsers did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inspectd.capture.reader import Capture
from inspectd.tui.app import InspectdApp
from inspectd.tui.engine_link import EngineLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.pilot import Pilot

    from tests.browsers.conftest import Visit


def screen_text(app: InspectdApp) -> str:
    """What stands on the screen, line by line."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def _shown(pilot: Pilot[int], words: str, *, seconds: float = 10.0) -> str:
    """The screen, as soon as it shows these words."""
    app = pilot.app
    assert isinstance(app, InspectdApp)
    for _ in range(int(seconds / 0.05)):
        await pilot.pause(0.05)
        if words in (text := screen_text(app)):
            return text
    raise AssertionError(f"{words!r} is not on the screen:\n{screen_text(app)}")


async def _select(pilot: Pilot[int], number: int) -> None:
    """Walk the cursor to an exchange by keys: the first row, then down."""
    app = pilot.app
    assert isinstance(app, InspectdApp)
    await pilot.press("home")
    for _ in range(len(app.feed)):
        if app.table.selected == number:
            return
        await pilot.press("down")
    assert app.table.selected == number


async def _walk(pilot: Pilot[int], key: str, there: Callable[[tuple[str, bytes]], bool]) -> None:
    """Press a key until the cursor of the pane is on a value that will do."""
    app = pilot.app
    assert isinstance(app, InspectdApp)
    for _ in range(40):
        value = app.detail.selected_value()
        if value is not None and there(value):
            return
        await pilot.press(key)
    raise AssertionError(f"{key} leads to {app.detail.selected_value()}")


async def test_the_screen_shows_each_trigger_with_its_fetch_metadata(visit: Visit) -> None:
    with Capture.open(visit.capture) as capture:
        app = InspectdApp(capture, EngineLink(None))
        async with app.run_test(size=(180, 120)) as pilot:
            await pilot.press("z", "z")  # the list over the whole screen
            lines = (await _shown(pilot, "/plain-name")).splitlines()
            for action, requests in visit.triggered.items():
                line = requests[-1]
                fields = {name.lower(): value for name, value in line["fields"]}
                row = next(text for text in lines if text[1:].split()[:1] == [str(line["id"])])
                assert line["method"] in row, action
                assert fields["sec-fetch-dest"] in row, action
                assert fields["sec-fetch-mode"] in row, action
            silent = sum(not each.to_engine for each in visit.connections)
            assert sum("not a byte" in text for text in lines) == silent


async def test_anatomy_shows_the_request_and_explains_its_fetch_metadata(visit: Visit) -> None:
    line = visit.triggered["fetch-put"][-1]
    with Capture.open(visit.capture) as capture:
        app = InspectdApp(capture, EngineLink(None))
        async with app.run_test(size=(180, 60)) as pilot:
            await _shown(pilot, "/plain-name")
            await _select(pilot, line["id"])
            text = await _shown(pilot, "Sec-Fetch-Dest")
            assert "PUT" in text
            assert "same-origin" in text
            await pilot.press("enter")
            await _walk(pilot, "down", lambda value: value == ("value of Sec-Fetch-Mode", b"cors"))
            text = await _shown(pilot, "CORS")
            assert "Fetch Metadata" in text
