"""The answer of a held request in a person's hands: bytes as text, colours, findings, and what can be decided."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
from textual import events

from inspectd.control.rules_messages import RuleShown, RulesShown, SourceShown
from inspectd.text.escape import to_text
from inspectd.tui.editing import EDITABLE, LONGEST_LINE, MOST_CHARACTERS, editable
from inspectd.tui.findings import Finding
from inspectd.tui.net import LIVE
from inspectd.tui.screens.pick import PickScreen, not_held
from inspectd.tui.screens.respond import RespondScreen
from inspectd.tui.widgets.byteseditor import MOST_WRITTEN, BytesEditor
from tests.tui.shell_engine import lines, picture, screen, shows, until
from tests.tui.test_tui_hold import Held

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from textual.pilot import Pilot

    from inspectd.tui.app import InspectdApp

PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
NASTY = b"HTTP/1.1 200 \x1b[31m\x9b\r\nX: \xe2\x80\xae\xff\0\tC:\\x41\n folded\r\n\r\n\x1b]0;owned\x07\r\n\r\xcc\x81"


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    made = Held(tmp_path / "a.inspectd")
    with made.scribe:
        yield made


@asynccontextmanager
async def editing(
    held: Held, answer: bytes = PAGE, *, size: tuple[int, int] = (120, 36), **more: object
) -> AsyncIterator[tuple[InspectdApp, Pilot[int], BytesEditor]]:
    """The editor, open on the held request."""
    held.engine.hold(held.key, held.request, answer, **more)
    async with screen(held.engine.capture, held.engine, size=size) as (app, pilot):
        await until(pilot, lambda: "edit the answer" in lines(app)[-1])
        await pilot.press("enter")
        await until(pilot, lambda: shows(app, RespondScreen) and "send this" in lines(app)[-1])
        yield app, pilot, app.screen.query_one(BytesEditor)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_the_request_and_the_answer_stand_together(held: Held, size: tuple[int, int]) -> None:
    async with editing(held, size=size) as (app, pilot, _editor):
        await until(pilot, lambda: "Nothing odd" in picture(app))
        shown = picture(app)
        assert "POST·/pay·HTTP/1.1↵" in shown
        assert "HTTP/1.1 200 OK" in shown
        assert "Content-Length: 2" in shown
        assert "40 bytes" in shown
        assert re.search(r"held \d+ s", lines(app)[0])


@pytest.mark.parametrize("keys", [("ctrl+s",), ("escape", "s")])
async def test_exactly_the_edited_bytes_are_sent(held: Held, keys: tuple[str, ...]) -> None:
    async with editing(held) as (app, pilot, _editor):
        await pilot.press("end", *"\\x00", "enter", *"X:  a\\n", *keys)
        await until(pilot, lambda: held.engine.said)
        edited = PAGE.replace(b"OK\r\n", b"OK\0\r\nX:  a\n")
        assert held.engine.said == [(held.key, "release", edited, None, None)]
        await until(pilot, lambda: not shows(app, RespondScreen))


async def test_what_was_not_edited_is_released_as_the_normal_answer(held: Held) -> None:
    async with editing(held) as (_app, pilot, _editor):
        await pilot.press("ctrl+s")
        await until(pilot, lambda: held.engine.said == [(held.key, "release", None, None, None)])


@pytest.mark.parametrize(
    ("key", "said"), [("r", ("release", None, None, None)), ("d", ("drop",)), ("t", ("reset",))]
)
async def test_a_letter_decides_after_esc(held: Held, key: str, said: tuple[object, ...]) -> None:
    async with editing(held) as (app, pilot, editor):
        await pilot.press(key)
        assert editor.text.startswith(key)
        await pilot.press("escape")
        await until(pilot, lambda: "leave it held" in lines(app)[-1])
        await pilot.press(key)
        await until(pilot, lambda: held.engine.said == [(held.key, *said)])
        await until(pilot, lambda: not shows(app, RespondScreen))


async def test_what_was_written_is_there_again(held: Held) -> None:
    async with editing(held) as (app, pilot, _editor):
        await pilot.press(*"X", "escape", "escape")
        await until(pilot, lambda: not shows(app, RespondScreen))
        assert held.engine.said == []
        await pilot.press("e")
        await until(pilot, lambda: shows(app, RespondScreen) and "send this" in lines(app)[-1])
        assert app.screen.query_one(BytesEditor).data == b"X" + PAGE


async def test_what_stands_for_no_byte_is_located_and_not_sent(held: Held) -> None:
    async with editing(held) as (app, pilot, editor):
        await pilot.press("down", *"\\q", "up")
        await until(pilot, lambda: "1 finding" in picture(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "Not sent: line 2, column 1" in picture(app))
        assert editor.cursor_location == (1, 0)
        assert held.engine.said == []
        await until(pilot, lambda: "✗ \\q means nothing" in picture(app))


async def test_findings_are_underlined_and_said(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    def odd(data: bytes, method: str, *, rest: int) -> list[Finding]:
        assert (method, rest) == ("POST", 0)
        at = data.find(b"Content-Length: 3")
        return [] if at < 0 else [Finding("It says 3.", at + 16, at + 17, "RFC 9112 §6.3")]

    monkeypatch.setattr("inspectd.tui.widgets.byteseditor.findings", odd)
    async with editing(held) as (app, pilot, editor):
        await until(pilot, lambda: "Nothing odd" in picture(app))
        await pilot.press("down", "end", "backspace", "3", "home")
        await until(pilot, lambda: "1 finding" in picture(app))
        await until(pilot, lambda: "▲ It says 3." in picture(app))
        assert "RFC 9112 §6.3" in picture(app)
        marked = [
            segment.text
            for strip in app.screen._compositor.render_strips()
            for segment in strip
            if segment.style is not None and segment.style.underline and "3" in segment.text
        ]
        assert marked == ["3"]
        await pilot.press("up", "ctrl+n")
        await until(pilot, lambda: editor.cursor_location == (1, 16))


@pytest.mark.parametrize(
    ("answer", "rest", "fixed", "said"),
    [
        (
            b"HTTP/1.1 200\r\nContent-Length: 7\r\n\r\nhi",
            0,
            b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi",
            "is 2 now",
        ),
        (
            b"HTTP/1.1 200\r\nA: b\r\n\r\nhi",
            0,
            b"HTTP/1.1 200\r\nA: b\r\nContent-Length: 2\r\n\r\nhi",
            "was put in",
        ),
        (b"HTTP/1.1 200\r\n\r\n", 0, b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "was put in"),
        (b"HTTP/1.1 200\nContent-Length:\n\nhi", 0, b"HTTP/1.1 200\nContent-Length: 2\n\nhi", "is 2 now"),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi", 0, None, "already"),
        (b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, None, "contradict"),
        (b"HTTP/1.1 200\r\nA: b", 0, None, "no whole head"),
        (
            b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\n\xff\0hi",
            0,
            b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200\r\nContent-Length: 4\r\ncontent-length: 1\r\n\r\n\xff\0hi",
            "others",
        ),
    ],
)
async def test_the_length_is_fixed_by_a_key_and_only_by_it(
    held: Held, answer: bytes, rest: int, fixed: bytes | None, said: str
) -> None:
    async with editing(held, answer) as (app, pilot, editor):
        await pilot.pause(0.2)
        assert editor.data == answer
        await pilot.press("ctrl+l")
        await until(pilot, lambda: said in picture(app))
        assert editor.data == (fixed or answer)
        await pilot.press("ctrl+z")
        assert editor.data == answer


async def test_of_a_large_answer_the_beginning_is_edited_and_the_rest_is_sent_behind_it(held: Held) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 131072\r\n\r\n" + b"0123456789abcdef" * 8192
    cut = editable(answer[:65536])
    async with editing(held, answer[:65536], answer_length=len(answer)) as (app, pilot, editor):
        assert editor.data == answer[:cut]
        await until(pilot, lambda: f"+ {len(answer) - cut:,} more, sent as they are" in picture(app))
        await until(pilot, lambda: "Nothing odd about these bytes" in picture(app))
        await pilot.press("end", "!", "ctrl+l")
        await until(pilot, lambda: "Content-Length is 131072 already" in picture(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: held.engine.said)
        edited = answer[:cut].replace(b"OK", b"OK!")
        assert held.engine.said == [(held.key, "release", edited, cut, None)]


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "least", "most"),
    [
        (b"", 0, 0),
        (PAGE, len(PAGE), len(PAGE)),
        (HEAD + (b"x" * 98 + b"\r\n") * 1000, EDITABLE - 100, EDITABLE),
        (HEAD + b"x" * 100_000, LONGEST_LINE, LONGEST_LINE + len(HEAD)),
        (HEAD + bytes(100_000), LONGEST_LINE // 4, LONGEST_LINE // 4 + len(HEAD)),
        (HEAD + b"\n" * 100_000, 4000, 4200),
        (HEAD + bytes(range(256)) * 400, 20_000, EDITABLE),
        (b"HTTP/1.1 200 " + b"x" * 100_000, LONGEST_LINE, LONGEST_LINE),
    ],
)
def test_no_more_is_edited_than_a_key_can_cost(answer: bytes, least: int, most: int) -> None:
    cut = editable(answer)
    assert least <= cut <= most
    text = to_text(answer[:cut])
    assert len(text) <= MOST_CHARACTERS + LONGEST_LINE
    assert cut == len(answer) or b"\n" not in answer[cut - 1024 : cut - 1] or answer[cut - 1 : cut] == b"\n"


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_hostile_bytes_are_edited_harmlessly_and_stay_what_they_are(
    held: Held, size: tuple[int, int]
) -> None:
    async with editing(held, NASTY, size=size) as (app, pilot, editor):
        assert editor.data == NASTY
        assert LIVE.search(picture(app).replace("\n", "")) is None
        assert "\\x1b[31m" in picture(app)
        await pilot.press("X", "ctrl+s")
        await until(pilot, lambda: held.engine.said == [(held.key, "release", b"X" + NASTY, None, None)])


async def test_what_is_pasted_is_stilled(held: Held) -> None:
    async with editing(held) as (app, pilot, editor):
        editor.focus()
        app.copy_to_clipboard("\x1b[31m\u202eé\r\n\x00\u2028")
        await pilot.press("ctrl+v")
        await until(pilot, lambda: "\\x1b[31m" in picture(app))
        assert editor.text.startswith("\\x1b[31m\\xe2\\x80\\xaeé\n\\x00\\xe2\\x80\\xa8HTTP")
        assert LIVE.search(picture(app).replace("\n", "")) is None


def said_on(app: InspectdApp, words: str) -> bool:
    return words in picture(app)


async def test_what_is_too_long_for_a_person_to_edit_is_not_put_in_and_that_is_said(held: Held) -> None:
    async with editing(held) as (app, pilot, editor):
        for pasted in ("x" * MOST_WRITTEN, "X: y\n" * 200_000, "\0" * (MOST_WRITTEN // 3)):
            said = f"Not put in: {len(pasted):,} characters"
            editor.post_message(events.Paste(pasted))
            await until(pilot, partial(said_on, app, said))
            assert editor.data == PAGE
        await pilot.press("X", "ctrl+z")
        assert editor.data == PAGE
        editor.post_message(events.Paste("x" * (MOST_WRITTEN - len(editor.text))))
        await until(pilot, lambda: len(editor.text) == MOST_WRITTEN)
        await pilot.press("delete")
        assert len(editor.data) == MOST_WRITTEN - 1 + PAGE.count(b"\r\n")


async def test_an_escape_is_drawn_as_it_is_and_not_escaped_again(held: Held) -> None:
    held.open.exchange.target = "/a\\x9b"
    held.engine.hold(held.key, held.request, NASTY, target="/a\\x9b\x1b")
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "POST /a\\x9b\\x1b waits for your answer" in picture(app))
        await pilot.press("enter")
        await until(pilot, lambda: 'in the reason phrase: "\\x1b"' in picture(app))
        assert lines(app)[0].startswith("  ◆ POST /a\\x9b\\x1b   held")


async def test_a_client_that_leaves_is_seen_and_the_text_stays_to_be_copied(held: Held) -> None:
    async with editing(held) as (app, pilot, _editor):
        await pilot.press("X")
        held.engine.hold(held.key, held.request, PAGE, client_gone=True)
        app.engine_changed()
        await until(pilot, lambda: "✗ the client closed its side" in lines(app)[0])
        await pilot.press("escape", "y")
        await until(pilot, lambda: app.clipboard == "X" + to_text(PAGE))


async def test_an_engine_that_is_killed_meanwhile_is_said_and_the_text_stays(held: Held) -> None:
    async with editing(held) as (app, pilot, editor):
        await pilot.press("X")
        held.engine.gone = "no answer"
        app.engine_changed()
        await until(pilot, lambda: "the engine is gone" in lines(app)[0])
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "It is no longer held" in picture(app))
        assert editor.text == "X" + to_text(PAGE)


async def test_when_it_is_decided_elsewhere_nothing_is_sent_twice(held: Held) -> None:
    async with editing(held) as (app, pilot, editor):
        await pilot.press("X")
        held.engine.held.clear()
        app.engine_changed()
        await until(pilot, lambda: "no longer held" in lines(app)[0])
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "It is no longer held" in picture(app))
        assert held.engine.said == []
        assert editor.text == "X" + to_text(PAGE)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: not shows(app, RespondScreen))


async def test_another_answer_can_be_started_from(held: Held) -> None:
    async with editing(held) as (app, pilot, editor):
        await pilot.press("ctrl+o")
        await until(pilot, lambda: shows(app, PickScreen))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: editor.data.startswith(b"HTTP/1.1 204 No Content\r\n"))
        assert b"\x1b[31m" in editor.data
        assert held.engine.said == []
        await pilot.press("ctrl+o")
        await until(pilot, lambda: shows(app, PickScreen))
        await pilot.press("enter")
        await until(pilot, lambda: editor.data == PAGE)


async def test_a_rule_can_answer(held: Held) -> None:
    answer = "503 Busy (held), 200 OK (after 1s)"
    rule = RuleShown(id="api.toml:12", name=None, line=12, match="/x", answer=answer, calls=0)
    held.engine.rules_shown = RulesShown(
        sources=(SourceShown(name="api.toml", kind="file", rules=(rule,)),), fallback="mirror"
    )
    async with editing(held) as (app, pilot, _editor):
        await pilot.press("ctrl+o")
        await until(
            pilot, lambda: "rule api.toml:12  sends unedited: 503 Busy, 200 OK (after 1s)" in picture(app)
        )
        await pilot.press("up", "enter")
        await until(pilot, lambda: held.engine.said == [(held.key, "release", None, None, "api.toml:12")])
        await until(pilot, lambda: "the answer of rule api.toml:12 is on its way" in picture(app))


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("200 OK (held)", "200 OK"),
        ("200 OK (held 5m)", "200 OK"),
        ("200 OK (held 1.5s, close at body+50% after 1s)", "200 OK (close at body+50% after 1s)"),
        ("200 OK (chunked, held), 503 Busy (held, 1B/20ms)", "200 OK (chunked), 503 Busy (1B/20ms)"),
        ("200 OK (chunked, held 5m, close)", "200 OK (chunked, close)"),
        ("200 Not held", "200 Not held"),
        ("200 OK (withheld)", "200 OK (withheld)"),
    ],
)
def test_a_rule_that_is_picked_does_not_hold_a_second_time(answer: str, shown: str) -> None:
    assert not_held(answer) == shown


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (("ctrl+s",), "the normal answer is sent"),
        (("escape", "r"), "the normal answer is sent"),
        (("X", "ctrl+s"), "41 bytes of yours are sent"),
    ],
)
@pytest.mark.parametrize("known", [True, False])
async def test_what_is_sent_to_a_client_that_left_is_not_said_to_arrive(
    held: Held, keys: tuple[str, ...], said: str, *, known: bool
) -> None:
    async with editing(held, client_gone=known) as (app, pilot, _editor):
        await pilot.press(*keys[:-1])
        # It may leave between two looks of the screen: then the engine knows it, and the screen doesn't yet.
        held.engine.hold(held.key, held.request, PAGE, client_gone=True)
        await pilot.press(keys[-1])
        await until(pilot, lambda: not shows(app, RespondScreen))
        words = f"POST /pay: {said}, but its client had closed its side before: few read on then"
        await until(pilot, lambda: words in [note.message for note in app._notifications])
        await until(pilot, lambda: said in picture(app))


async def test_keys_that_come_at_once_keep_their_order(held: Held) -> None:
    async with editing(held) as (app, pilot, _editor):
        for key, character in (
            ("down", None),
            ("end", None),
            ("backspace", None),
            ("9", "9"),
            ("enter", None),
            ("A", "A"),
            ("left", None),
            (":", ":"),
            ("ctrl+s", None),
            ("x", "x"),
        ):
            app.post_message(events.Key(key, character))
        await until(pilot, lambda: held.engine.said)
        edited = PAGE.replace(b"Length: 2\r\n", b"Length: 9\r\n:A\r\n")
        assert held.engine.said == [(held.key, "release", edited, None, None)]


async def test_keys_of_the_list_do_nothing_in_the_editor(held: Held) -> None:
    async with editing(held) as (app, pilot, _editor):
        await pilot.press("escape", "h", "c", "slash", "z")
        await until(pilot, lambda: shows(app, RespondScreen))
        assert held.engine.said == []
        await pilot.press("enter")
        await until(pilot, lambda: "fix length" in lines(app)[-1])
        await pilot.press("shift+tab")
        await until(pilot, lambda: not app.screen.query_one(BytesEditor).has_focus)
        await pilot.press(*"cdefhqrRstyz", "slash")
        await until(pilot, lambda: shows(app, RespondScreen))
        assert held.engine.said == []


async def test_the_colours_of_the_bytes_follow_the_typing(held: Held) -> None:
    async with editing(held) as (app, pilot, editor):

        def colour_of(text: str) -> object:
            for strip in app.screen._compositor.render_strips():
                for segment in strip:
                    if segment.text.strip() == text and segment.style is not None:
                        return segment.style.color
            return None

        await until(pilot, lambda: colour_of("Content-Length") is not None)
        field_name = colour_of("Content-Length")
        await pilot.press("down", "end", "enter", *"X-New: 1", "up")
        await until(pilot, lambda: colour_of("X-New") == field_name)
        assert b"X-New: 1\r\n" in editor.data


async def test_the_cursor_and_what_is_odd_are_seen_without_colours(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with editing(held, PAGE.replace(b"2\r\n", b"3\r\n")) as (app, pilot, _editor):
        await until(pilot, lambda: "finding" in picture(app))
        segments = [segment for strip in app.screen._compositor.render_strips() for segment in strip]
        styles = [segment.style for segment in segments if segment.style is not None]
        assert any(style.reverse for style in styles)
        assert any(style.underline for style in styles)
        assert all(style.color is None or style.color.is_default for style in styles)


async def test_the_light_theme_has_its_own_colours(held: Held) -> None:
    async with editing(held) as (app, pilot, editor):
        before = editor._theme.cursor_line_style
        app.action_theme()
        await until(pilot, lambda: editor._theme.cursor_line_style != before)


async def test_ctrl_c_copies_what_is_selected_and_quits_nothing(held: Held) -> None:
    async with editing(held) as (app, pilot, _editor):
        await pilot.press("shift+right", "shift+right", "ctrl+c")
        await until(pilot, lambda: app.clipboard == "HT")
        assert not app._exit
        assert shows(app, RespondScreen)
        await pilot.press("left", "ctrl+c")
        await until(pilot, lambda: app.clipboard == to_text(PAGE))
