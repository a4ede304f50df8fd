"""The dialogs: the answer with its exact bytes, copying, help, the palette, questions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from textual.command import CommandList, CommandPalette

from inspectd.tui.engine_link import NO_ENGINE
from inspectd.tui.screens.answer import AnswerScreen
from inspectd.tui.screens.confirm import Confirm
from inspectd.tui.screens.copy import LONGEST, CopyScreen, TooLongError, clipboard_text
from inspectd.tui.screens.help import HelpScreen
from tests.tui.shell_engine import FakeEngine, lines, picture, screen, shows, until
from tests.tui.shell_scribe import Scribe, browse, get, lively

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        lively(scribe)
    return tmp_path / "a.inspectd"


# the answer


async def test_the_exact_bytes_are_shown_before_they_are_said(capture: Path) -> None:
    engine = FakeEngine(capture)
    async with screen(capture, engine) as (app, pilot):
        await pilot.press("s", *"299 Odd")
        await until(pilot, lambda: "HTTP/1.1·299·Odd↵" in picture(app))
        # The remarks take a layout of their own, so they may be painted after the bytes.
        await until(pilot, lambda: "▲ Nobody registered 299." in picture(app))
        await until(pilot, lambda: "The connection" in picture(app))
        shown = picture(app)
        assert "+ Content-Length:·0↵" in shown
        assert "X-Own:·\\x1b[31m↵" in shown
        assert "+ X-Own" not in shown
        assert engine.line is None
        await pilot.press("enter")
        await until(pilot, lambda: engine.line == "HTTP/1.1 299 Odd")
        await until(pilot, lambda: not shows(app, AnswerScreen))
        await until(pilot, lambda: "answer 299 Odd" in picture(app))


async def test_what_is_wrong_is_said_and_nothing_is_sent(capture: Path) -> None:
    engine = FakeEngine(capture)
    async with screen(capture, engine) as (app, pilot):
        await pilot.press("s", *"xyz")
        await until(pilot, lambda: "✗ A status line can't begin with 'x'" in picture(app))
        assert "Begin with a status code" in picture(app)
        await pilot.press("enter")
        await pilot.pause(0.1)
        assert shows(app, AnswerScreen)
        assert engine.line is None
        await pilot.press("escape")
        await until(pilot, lambda: not shows(app, AnswerScreen))


async def test_the_size_of_an_answer_is_said_once(capture: Path) -> None:
    async with screen(capture, FakeEngine(capture)) as (app, pilot):
        await pilot.press("s", *"404")
        await until(pilot, lambda: "Exactly these" in picture(app))
        assert "Sends" not in picture(app)
        await pilot.press("escape")


async def test_an_answer_can_be_chosen_and_is_remembered(capture: Path) -> None:
    engine = FakeEngine(capture)
    async with screen(capture, engine) as (app, pilot):
        await pilot.press("s", "down", "down", "down")
        await until(pilot, lambda: "HTTP/1.1·204·No·Content↵" in picture(app))
        await pilot.press("enter")
        await until(pilot, lambda: engine.line == "HTTP/1.1 204 No Content")
        await until(pilot, lambda: not shows(app, AnswerScreen))
        await pilot.press("s", "down")
        await until(pilot, lambda: "you said this before" in picture(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: engine.line is None)
        assert app.answer_history == ["mirror", "204 No Content"]


async def test_a_proxy_says_what_it_does_and_passes_requests_on_again(capture: Path) -> None:
    engine = FakeEngine(capture)
    engine.mode, engine.passing = "proxy", "passing requests on to the servers that they name"
    async with screen(capture, engine) as (app, pilot):
        await until(pilot, lambda: " proxy " in lines(app)[0])
        assert "answer" not in lines(app)[0]
        await pilot.press("s")
        await until(pilot, lambda: "Pass nothing on: answer everybody with" in picture(app))
        assert "as at the start" not in picture(app)
        await pilot.press(*"503", "enter")
        await until(pilot, lambda: not shows(app, AnswerScreen))
        await until(pilot, lambda: "proxy   answer 503" in lines(app)[0])
        await pilot.press("s", "down")
        await until(pilot, lambda: "What the engine was started with: passing requests on" in picture(app))
        await pilot.press("enter")
        await until(pilot, lambda: engine.line is None)
        await until(pilot, lambda: "answer" not in lines(app)[0])
        assert app.answer_history == ["503"]


@pytest.mark.parametrize(
    ("mode", "server", "said"),
    [
        ("proxy", None, " proxy ▲ insecure "),
        ("reverse", "https://example.test", " → exampl… ▲ insecure "),
    ],
)
async def test_the_header_of_a_proxy_fits_in_80_columns(
    capture: Path, mode: str, server: str | None, said: str
) -> None:
    engine = FakeEngine(capture)
    engine.mode, engine.server, engine.passing = mode, server, "passing on"
    engine.insecure, engine.unrecorded = True, 57
    async with screen(capture, engine, size=(80, 24)) as (app, pilot):
        await until(pilot, lambda: "127.0.0.1:8080" in lines(app)[0] and "57 unrec" in lines(app)[0])
        assert said in lines(app)[0]
        assert "6 open" in lines(app)[0]
        await pilot.resize_terminal(150, 30)
        await until(pilot, lambda: "certificates unchecked" in lines(app)[0])
        assert "57 unrecorded" in lines(app)[0]


async def test_without_an_engine_the_dialog_says_why_nothing_can_be_chosen(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("s")
        await pilot.pause()
        assert "no engine runs" in picture(app)
        await pilot.press("4", "enter", "escape")
        await until(pilot, lambda: not shows(app, AnswerScreen))


async def test_what_lies_behind_a_dialog_is_seen_in_its_new_shape_when_the_terminal_gets_another_size(
    capture: Path,
) -> None:
    async with screen(capture, FakeEngine(capture)) as (app, pilot):
        await pilot.press("s")
        await until(pilot, lambda: "Answer everybody with" in picture(app))
        await pilot.resize_terminal(150, 44)
        await until(pilot, lambda: len(lines(app)) == 44 and "Answer everybody with" in picture(app))
        await until(pilot, lambda: "request  ⇄ response (tab)" in picture(app))
        behind = lines(app)
        await pilot.press("escape")
        await until(pilot, lambda: not shows(app, AnswerScreen))
        assert behind[:6] == lines(app)[:6]
        assert [line for line in behind if line.rstrip().endswith("(tab)")]


# copying


async def test_the_url_is_copied_and_said(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("home", "down", "y")
        await until(pilot, lambda: shows(app, CopyScreen))
        await pilot.press("u")
        await until(pilot, lambda: "Copied http://localhost:8080/style.css" in picture(app))
        assert app.clipboard == "http://localhost:8080/style.css"


async def test_the_request_and_the_answer_are_copied_as_they_are(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("home", "y", "r")
        await until(pilot, lambda: app.clipboard == browse("/", "document", "navigate").decode())
        await pilot.press("y", "a")
        await until(pilot, lambda: app.clipboard == "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")


async def test_a_curl_command_is_copied(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("home", "down", "down", "down", "down", "y", "c")
        await until(
            pilot, lambda: app.clipboard.startswith("curl -i http://127.0.0.1:8080/pay \\\n  -X POST")
        )


async def test_arrows_and_enter_choose_what_is_copied(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("home")
        await until(pilot, lambda: app.detail.subject is not None and app.detail.subject.key == 1)
        await pilot.press("y", "enter")
        # The token under the cursor of the panes comes first.
        await until(pilot, lambda: app.clipboard == "GET")
        await pilot.press("y", "down", "enter")
        await until(pilot, lambda: app.clipboard == "http://localhost:8080/")


async def test_a_connection_without_a_request_offers_its_bytes(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("end", "up", "y", "b")
        await until(pilot, lambda: "escaped" in picture(app))
        assert app.clipboard == "\\x16\\x03\\x01\\x02\\x00"


@pytest.mark.parametrize(
    ("data", "text", "said"),
    [
        (b"GET / HTTP/1.1\r\nA:\tb\r\n\r\n", "GET / HTTP/1.1\r\nA:\tb\r\n\r\n", "Copied it: 24 bytes"),
        ("ü 語".encode(), "ü 語", "Copied it: 6 bytes"),
        (b"a\x1b[201~rm", "a\\x1b[201~rm", "escaped"),
        (b"a\xff", "a\\xff", "escaped"),
        ("a\u202eb".encode(), "a\\u202eb", "escaped"),
        (b"a\rb", "a\\x0db", "escaped"),
    ],
)
def test_what_could_act_where_it_is_pasted_is_copied_escaped(data: bytes, text: str, said: str) -> None:
    copied = clipboard_text(data, "it", "use show")
    assert copied.text == text
    assert said in copied.said


def test_more_than_a_terminal_takes_is_not_cut_in_silence() -> None:
    with pytest.raises(TooLongError, match="more than a terminal's clipboard takes"):
        clipboard_text(b"a" * (LONGEST + 1), "it", "use show")


# help and palette


async def test_help_is_for_where_you_are_and_can_be_searched(capture: Path) -> None:
    async with screen(capture, size=(120, 40)) as (app, pilot):
        await pilot.press("question_mark")
        await pilot.pause()
        assert shows(app, HelpScreen)
        assert "Traffic" in picture(app)
        assert "Newest row, and follow" in picture(app).replace("newest", "Newest")
        await pilot.press(*"clipboard")
        await pilot.pause()
        assert "Nothing here says that." in picture(app)
        await pilot.press("ctrl+u", *"curl")
        await pilot.pause()
        assert "a curl command" in picture(app)
        assert "follow the newest" not in picture(app)
        await pilot.press("escape")
        await until(pilot, lambda: not shows(app, HelpScreen))
        await pilot.press("enter")
        await until(pilot, lambda: app.detail.has_focus_within)
        await pilot.press("question_mark")
        await until(pilot, lambda: "request ⇄ response, " in picture(app) or "All panes" in picture(app))
        shown = picture(app)
        assert re.search(r"Anatomy +│", shown)
        assert re.search(r"← → +the token before, the next token", shown)
        assert not re.search(r"│ +5 ", shown)
        await pilot.press(*"Fields")
        await pilot.pause()
        assert "Headers (Fields)" in picture(app)


async def test_the_palette_holds_every_command_and_runs_it(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        names = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Copy…", "Filter", "Help", "Quit", "Theme: light or dark", "Clear the capture"} <= names
        await pilot.press("ctrl+p")
        await until(pilot, lambda: shows(app, CommandPalette))
        await pilot.press(*"theme")
        await until(pilot, lambda: app.screen.query_one(CommandList).option_count == 1)
        assert "Theme: light or dark" in picture(app)
        await pilot.press("enter")
        await until(pilot, lambda: not app.current_theme.dark)


# questions


async def test_clear_asks_first(capture: Path) -> None:
    engine = FakeEngine(capture)
    async with screen(capture, engine) as (app, pilot):
        await pilot.press("c")
        await until(pilot, lambda: shows(app, Confirm))
        await pilot.press("escape")
        assert engine.cleared == 0
        await pilot.press("c", "enter")
        await until(pilot, lambda: engine.cleared == 1)


async def test_clear_without_an_engine_says_why_not(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("c")
        await until(pilot, lambda: "Can't clear" in picture(app))
        assert not shows(app, Confirm)
        assert app.link.why_not == NO_ENGINE


class Child:
    """A process that runs until it is told otherwise."""

    returncode: int | None = None

    def poll(self) -> int | None:
        return self.returncode


async def test_q_quits(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("q")
        await until(pilot, lambda: app._exit)


async def test_q_asks_while_an_exchange_is_going_on(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        scribe.request(get("/slow"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path)) as (app, pilot):
            app.link.child = Child()  # type: ignore[assignment]
            await pilot.press("q")
            await until(pilot, lambda: shows(app, Confirm))
            await pilot.press("n")
            assert not app._exit
            await pilot.press("q", "y")
            await until(pilot, lambda: app._exit)


# the engine's end


async def test_when_the_engine_dies_the_screen_says_so_and_stays(capture: Path) -> None:
    engine = FakeEngine(capture)
    async with screen(capture, engine) as (app, pilot):
        await until(pilot, lambda: "answer mirror" in picture(app))
        child = Child()
        app.link.child = child  # type: ignore[assignment]
        engine.gone, child.returncode = "No engine answers", -9
        app.engine_changed()
        await until(pilot, lambda: "✗ engine gone" in picture(app))
        assert "it was ended by SIGKILL" in picture(app)
        await pilot.press("home", "down")
        await until(pilot, lambda: app.table.selected == 2)
        await pilot.press("s")
        await pilot.pause()
        assert "Start inspectd again" in picture(app)
        await pilot.press("escape", "q")
        await until(pilot, lambda: app._exit)
