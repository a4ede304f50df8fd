"""The hostile corpus in the hands of a person: bytes stay what they are, and nothing of them acts on the terminal."""

from __future__ import annotations

import random
import unicodedata
from typing import TYPE_CHECKING

import pytest

from inspectd.text.escape import to_bytes
from inspectd.tui.editing import editable
from tests.hostile.corpus import PAYLOADS
from tests.tui.shell_engine import until
from tests.tui.test_tui_hold import Held
from tests.tui.test_tui_respond import editing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from inspectd.tui.app import InspectdApp

STILL = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    made = Held(tmp_path / "a.inspectd")
    with made.scribe:
        yield made


def live(app: InspectdApp) -> list[str]:
    """Drawn characters that could act on a terminal."""
    return [
        character
        for strip in app.screen._compositor.render_strips()
        for character in strip.text
        if unicodedata.category(character) in STILL
    ]


async def test_every_payload_is_drawn_still_and_stays_what_it_is(held: Held) -> None:
    async with editing(held, size=(100, 40)) as (app, pilot, editor):
        for name, payload in PAYLOADS.items():
            answer = (
                b"HTTP/1.1 200 " + payload + b"\r\nX-" + payload + b": " + payload + b"\r\n\r\n" + payload
            )
            cut = answer[: editable(answer)]
            editor.set_bytes(cut)
            editor.findings = ()
            await until(pilot, lambda: editor._finding_timer is None)
            await pilot.press("down", "end", "ctrl+end", "x", "backspace", "ctrl+n")
            assert live(app) == [], name
            assert editor.data == cut, name


async def test_whatever_is_pressed_the_text_stands_for_bytes_and_is_still(held: Held) -> None:
    keys = ["left", "right", "up", "down", "home", "end", "backspace", "delete", "enter", "ctrl+z", "ctrl+y"]
    keys += [
        "ctrl+w",
        "ctrl+k",
        "ctrl+u",
        "ctrl+n",
        "ctrl+l",
        "shift+down",
        "shift+right",
        "ctrl+end",
        "ctrl+home",
    ]
    keys += ["a", ":", "\\", "x", "0", "n", "space"]
    chance = random.Random(7331)
    async with editing(held, b"HTTP/1.1 200 \x1b[0m\r\nA: \xe2\x80\xae\r\n\r\n\xff\0") as (
        app,
        pilot,
        editor,
    ):
        for _ in range(40):
            await pilot.press(*chance.choices(keys, k=6))
            assert live(app) == []
            if not editor.reading.problems:
                assert to_bytes(editor.text) == editor.data
        assert editor.reading.data == editor.data
