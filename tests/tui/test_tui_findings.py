"""Findings on screen: pane 9, the marks in Anatomy, and the way from one to the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inspectd.lint import findings
from inspectd.tui.widgets.panes.anatomy import Anatomy
from inspectd.tui.widgets.panes.findings import NOTHING_FOUND, Findings
from tests.tui.panes_bench import Bench, reversed_text, screen_text, subject, whole_text

if TYPE_CHECKING:
    from textual.pilot import Pilot

SMUGGLED = (
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"0\r\n\r\nGET /x\x1b[2J HTTP/1.1\r\n"
)
ANSWER = b"HTTP/1.1 200 OK\r\nDate: Fri, 20 Nov 2026 11:20:00 GMT\r\nContent-Length: +2\r\n\r\nok"
WIDE = (140, 40)
SMALL = (80, 24)


async def _open(pilot: Pilot[int]) -> Findings:
    await pilot.press("9")
    await pilot.pause()
    app = pilot.app
    assert isinstance(app, Bench)
    pane = app.detail.pane
    assert isinstance(pane, Findings)
    return pane


async def _choose(pilot: Pilot[int], pane: Findings, name: str) -> None:
    ids = [each.finding.id for each in pane.findings.found]
    await pilot.press("home", *["down"] * ids.index(name))
    await pilot.pause()


async def test_findings_are_listed_by_severity_and_good_notes_come_last() -> None:
    app = Bench(subject(SMUGGLED, ANSWER))
    async with app.run_test(size=WIDE) as pilot:
        pane = await _open(pilot)
        rows = whole_text(pane.findings).splitlines()
        headings = [row.split("  ")[0] for row in rows if not row.startswith(" ")]

        assert headings[0] == "Errors"
        assert headings[-1] == "As it should be"
        assert any("te-with-cl · request" in row for row in rows)
        assert any("cl-plus · response" in row for row in rows)


async def test_a_finding_is_told_in_full_with_both_readings_and_other_parsers() -> None:
    app = Bench(subject(SMUGGLED, ANSWER))
    async with app.run_test(size=WIDE) as pilot:
        pane = await _open(pilot)
        await _choose(pilot, pane, "te-with-cl")
        text = whole_text(pane.finding_view)

        assert text.startswith("✗ Transfer-Encoding and Content-Length together")
        assert "Transfer-Encoding:·chunked" in text
        assert "RFC 9112 §6.1" in text
        assert "On 2026-" in text
        assert "readings of this request" in text
        assert "a reader that believes" in text
        chunked = SMUGGLED.index(b"GET /x")
        assert f"next request begins at {chunked:04x}" in text
        assert f"next request begins at {chunked + 1:04x}" in text
        assert "h11" in text
        assert "\x1b" not in text
        assert pane.selected_value() == ("bytes of te-with-cl", b"chunked")


@pytest.mark.parametrize("size", [WIDE, SMALL])
async def test_enter_goes_to_the_bytes_of_the_side(size: tuple[int, int]) -> None:
    app = Bench(subject(SMUGGLED, ANSWER))
    async with app.run_test(size=size) as pilot:
        pane = await _open(pilot)
        for name, side, shown in (("cl-plus", "response", "+2"), ("te-with-cl", "request", "chunked")):
            await _choose(pilot, pane, name)
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(app.detail.pane, Anatomy)
            assert app.detail.side == side
            assert reversed_text(app.view("#bytes")) == shown
            pane = await _open(pilot)


async def test_a_click_on_the_chosen_finding_goes_to_its_bytes() -> None:
    app = Bench(subject(SMUGGLED, ANSWER))
    async with app.run_test(size=WIDE) as pilot:
        pane = await _open(pilot)
        rows = whole_text(pane.findings).splitlines()
        at = next(number for number, row in enumerate(rows) if "te-with-cl" in row)
        await pilot.click(pane.findings, offset=(6, at))
        await pilot.pause()
        assert pane.findings.entry is not None
        assert pane.findings.entry.finding.id == "te-with-cl"
        await pilot.click(pane.findings, offset=(6, at))
        await pilot.pause()
        assert reversed_text(app.view("#bytes")) == "chunked"


async def test_n_goes_from_finding_to_finding_in_anatomy_and_says_what_it_is() -> None:
    app = Bench(subject(SMUGGLED, ANSWER))
    async with app.run_test(size=WIDE) as pilot:
        seen = []
        for _ in range(4):
            await pilot.press("n")
            await pilot.pause()
            seen.append(reversed_text(app.view("#bytes")))
        assert "chunked" in seen
        while reversed_text(app.view("#bytes")) != "chunked":
            await pilot.press("N")
            await pilot.pause()
        said = " ".join(whole_text(app.view("#meaning")).split())
        assert "✗ Transfer-Encoding and Content-Length together te-with-cl" in said


async def test_bytes_with_a_finding_are_underlined() -> None:
    app = Bench(subject(SMUGGLED, ANSWER))
    async with app.run_test(size=WIDE):
        view = app.view("#bytes")
        underlined = "".join(
            segment.text
            for y in range(view.size.height)
            for segment in view.render_line(y)
            if segment.style and segment.style.underline
        )
        assert "chunked" in underlined
        assert "POST" not in underlined


async def test_nothing_to_find_is_said() -> None:
    app = Bench(subject(b"", b""))
    async with app.run_test(size=SMALL) as pilot:
        pane = await _open(pilot)
        assert NOTHING_FOUND in screen_text(pane.findings)
        await pilot.press("down", "enter", "end")
        assert app.detail.pane is pane
        assert pane.selected_value() is None


@pytest.mark.parametrize("request_bytes", [SMUGGLED, b"\x16\x03\x01", SMUGGLED * 3000])
def test_findings_on_screen_are_those_of_the_bytes(request_bytes: bytes) -> None:
    shown = subject(request_bytes, ANSWER)
    side = shown.side("request")
    whole = len(side.prefix) == len(request_bytes)
    assert list(side.findings) == findings(side.prefix, "request", eof=whole)
    asked = side.prefix[: 16 * 1024]
    assert list(shown.side("response").findings) == findings(ANSWER, "response", request=asked)


async def test_tabs_keep_pane_nine_on_a_small_screen() -> None:
    app = Bench(subject(SMUGGLED, ANSWER))
    async with app.run_test(size=SMALL) as pilot:
        await _open(pilot)
        tabs = app.query_one("Tabs")
        assert "9 Finds" in "".join(segment.text for segment in tabs.render_line(0))
