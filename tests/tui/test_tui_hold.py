"""Being the server: what `h` says, what a held row looks like, and what is done about it."""

from __future__ import annotations

import re
import threading
import time
from typing import TYPE_CHECKING

import pytest
from textual.widgets._toast import Toast

from inspectd.capture.model import State
from inspectd.tui.app import InspectdApp, let_go
from inspectd.tui.engine_link import EngineLink
from inspectd.tui.net import LIVE
from tests.tui.shell_engine import FakeEngine, lines, picture, screen, until
from tests.tui.shell_scribe import PAGE, Scribe, get

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.tui.shell_scribe import Open


class Held:
    """A capture in which the second exchange waits, and the engine that holds it."""

    def __init__(self, path: Path, target: str = "/pay") -> None:
        self.scribe = Scribe(path)
        self.engine = FakeEngine(path)
        self.scribe.exchange(get("/"))
        self.request = get(target, method="POST")
        self.open = self.arrive()
        self.key = self.open.exchange.id

    def arrive(self) -> Open:
        self.scribe.now = time.time_ns()
        arrived = self.scribe.request(self.request)
        arrived.exchange.state |= State.HELD.value
        arrived.connection.touch(arrived.exchange)
        self.engine.hold(arrived.exchange.id, self.request, PAGE)
        self.scribe.flush()
        return arrived


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    made = Held(tmp_path / "a.inspectd")
    with made.scribe:
        yield made


async def test_h_holds_the_next_request_then_all_then_none(held: Held) -> None:
    engine = held.engine
    engine.held.clear()
    async with screen(engine.capture, engine) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: "◆ holding next 1" in lines(app)[0])
        await pilot.press("h")
        await until(pilot, lambda: "◆ holding all" in lines(app)[0])
        await pilot.press("h")
        await until(pilot, lambda: "holding" not in lines(app)[0])
        assert engine.said == [
            ("hold", 1, True),
            ("hold", None, True),
            ("hold", 0, False),
        ] or engine.said == [
            ("hold", 1, True),
            ("hold", None, True),
            ("hold", 0, True),
        ]


async def test_keys_that_come_quicker_than_the_engine_answers_count_as_well(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = held.engine
    slow = engine.hold_next
    gate = threading.Event()

    def hold_next(count: int | None, *, timeout: str = "5m", owner: str = "", lease: str = "") -> None:
        assert gate.wait(60)
        slow(count, timeout=timeout, owner=owner, lease=lease)

    monkeypatch.setattr(engine, "hold_next", hold_next)
    async with screen(engine.capture, engine) as (app, pilot):
        await until(pilot, lambda: app.link.news.state == "up")
        await pilot.press("h", "h")
        gate.set()
        await until(pilot, lambda: "◆ holding all" in lines(app)[0])
        assert engine.next is None
        await pilot.press("h")
        await until(pilot, lambda: "holding" not in lines(app)[0])


async def test_esc_in_the_list_stops_holding(held: Held) -> None:
    engine = held.engine
    engine.held.clear()
    async with screen(engine.capture, engine) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: "holding next 1" in lines(app)[0])
        await pilot.press("escape")
        await until(pilot, lambda: engine.next == 0 and "holding" not in lines(app)[0])


async def test_without_an_engine_h_says_why_nothing_is_held(held: Held) -> None:
    async with screen(held.scribe.path) as (app, pilot):
        await pilot.press("h")
        await until(pilot, lambda: "Can't hold requests" in picture(app))


async def test_a_held_row_stands_out_and_its_keys_are_shown(held: Held) -> None:
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "1 waiting" in lines(app)[0])
        assert "◆ held" in picture(app)
        await until(pilot, lambda: "POST /pay waits for your answer" in picture(app))
        await until(pilot, lambda: "edit the answer" in lines(app)[-1])
        assert "drop (FIN)" in lines(app)[-1]
        await pilot.press("up")
        await until(pilot, lambda: "edit the answer" not in lines(app)[-1])
        await pilot.press("r")
        await until(pilot, lambda: "This row doesn't wait" in picture(app))
        assert held.engine.said == []


async def test_a_request_that_is_held_is_noticed_when_it_is_recorded(held: Held) -> None:
    engine = held.engine
    async with screen(engine.capture, engine) as (app, pilot):
        await until(pilot, lambda: "1 waiting" in lines(app)[0])
        held.arrive()
        await until(pilot, lambda: "2 waiting" in lines(app)[0])


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_how_long_it_is_held_counts_up(tmp_path: Path, size: tuple[int, int]) -> None:
    made = Held(tmp_path / "b.inspectd")
    made.open.exchange.started_ns -= 12_000_000_000
    made.open.exchange.received_ns = made.open.exchange.started_ns
    made.open.connection.touch(made.open.exchange)
    with made.scribe:
        made.scribe.flush()
        async with screen(made.engine.capture, made.engine, size=size) as (app, pilot):
            await until(pilot, lambda: "◆ held 1" in picture(app))
            first = seconds_held(app)
            assert first >= 12
            await until(pilot, lambda: seconds_held(app) > first)


def seconds_held(app: InspectdApp) -> int:
    found = re.search(r"◆ held (\d+) s", picture(app))
    return 0 if found is None else int(found[1])


@pytest.mark.parametrize(
    ("key", "said"),
    [("r", ("release", None, None, None)), ("d", ("drop",)), ("t", ("reset",))],
)
async def test_a_key_decides(held: Held, key: str, said: tuple[object, ...]) -> None:
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "edit the answer" in lines(app)[-1])
        await pilot.press(key)
        await until(pilot, lambda: held.engine.said)
        assert held.engine.said == [(held.key, *said)]
        await until(pilot, lambda: "waiting" not in lines(app)[0])


async def test_a_client_that_closes_its_side_meanwhile_is_seen_at_once(held: Held) -> None:
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "1 waiting" in lines(app)[0])
        held.engine.hold(held.key, held.request, PAGE, client_gone=True)
        await until(pilot, lambda: "The client of POST /pay closed its side after" in picture(app))
        assert "◆ held" in picture(app)
        app.clear_notifications()
        await until(pilot, lambda: any("◆ held" in line and "✗ left" in line for line in lines(app)))


async def test_all_that_is_held_can_be_released_at_once(held: Held) -> None:
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "1 waiting" in lines(app)[0])
        await pilot.press("ctrl+p", *"release all")
        await until(pilot, lambda: "Held: release all of them" in picture(app))
        await pilot.press("enter")
        await until(pilot, lambda: held.engine.said == [("all", None)])
        await until(pilot, lambda: "waiting" not in lines(app)[0])
        app.release_all()
        await until(pilot, lambda: "Nothing is held" in picture(app))


async def test_a_normal_answer_is_not_on_its_way_to_a_client_that_left(held: Held) -> None:
    left = "had closed its side before: few read on then"
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "edit the answer" in lines(app)[-1])
        held.engine.hold(held.key, held.request, PAGE, client_gone=True)
        await pilot.press("r")
        await until(
            pilot, lambda: f"POST /pay: the normal answer is sent, but its client {left}" in said(app)
        )
        held.engine.hold(held.key, held.request, PAGE, client_gone=True)
        app.engine_changed()
        await until(pilot, lambda: "1 waiting" in lines(app)[0])
        app.release_all()
        await until(pilot, lambda: any("1 of the clients had closed" in each for each in said(app)))


def said(app: InspectdApp) -> list[str]:
    """The notes on screen, each in one piece."""
    return [note.message for note in app._notifications]


async def test_a_row_that_an_engine_held_when_it_was_killed_says_so(held: Held) -> None:
    held.engine.rules_error = "api.toml:1:1: wrong"
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "◆ held" in picture(app) and "api.toml:1:1" in picture(app))
        held.engine.gone = "no answer"
        app.engine_changed()
        await until(pilot, lambda: "◆ was held" in picture(app))
        assert "api.toml:1:1" not in picture(app)
        await pilot.press("5")
        await until(pilot, lambda: "It was waiting for somebody" in picture(app))
    async with screen(held.engine.capture) as (app, pilot):
        await until(pilot, lambda: "◆ was held" in picture(app))
        await pilot.press("5", "e")
        await until(pilot, lambda: "It was waiting for somebody" in picture(app))
        await until(pilot, lambda: "Nothing waits for an answer" in picture(app))


async def test_a_client_that_is_gone_is_seen_at_once(held: Held) -> None:
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "1 waiting" in lines(app)[0])
        held.engine.held.clear()
        held.open.exchange.state &= ~State.HELD.value
        held.open.exchange.state |= State.ABORTED.value
        held.open.connection.touch(held.open.exchange)
        held.scribe.flush()
        await until(pilot, lambda: "✗ POST /pay: the client is gone" in picture(app))
        assert "✗ cut short" in picture(app)


async def test_what_was_decided_before_is_said_instead_of_done(held: Held) -> None:
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "edit the answer" in lines(app)[-1])
        held.engine.held.clear()
        await pilot.press("d")
        await until(pilot, lambda: f"exchange {held.key} is not held" in picture(app))


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_a_hostile_request_is_held_harmlessly(tmp_path: Path, size: tuple[int, int]) -> None:
    made = Held(tmp_path / "b.inspectd")
    nasty = "/\x1b]0;owned\x07\x9b2J\u202e[red]"
    with made.scribe:
        made.open.exchange.target = nasty
        made.open.connection.touch(made.open.exchange)
        made.scribe.flush()
        made.engine.hold(made.key, made.request, PAGE, target=nasty, method="P\x1b[5m")
        async with screen(made.engine.capture, made.engine, size=size) as (app, pilot):
            await until(pilot, lambda: "edit the answer" in lines(app)[-1] and "waits" in picture(app))
            assert LIVE.search(picture(app).replace("\n", "")) is None
            await pilot.press("enter")
            await until(pilot, lambda: "send this" in picture(app))
            assert LIVE.search(picture(app).replace("\n", "")) is None


def test_a_screen_that_goes_lets_go_of_what_it_held(held: Held) -> None:
    link = EngineLink(held.engine.capture, connect=lambda _: held.engine)
    assert let_go(link) == "1 held request got the normal answer\n"
    assert held.engine.said == [("all", link.owner)]
    assert let_go(link) == ""
    held.engine.gone = "gone"
    assert let_go(link) == ""


def test_only_a_screen_that_held_something_lets_go(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    from inspectd.tui import app as module

    said: list[object] = []

    def noted(link: EngineLink) -> str:
        said.append(link)
        return ""

    monkeypatch.setattr(InspectdApp, "run", lambda self: 0)
    monkeypatch.setattr(module, "let_go", noted)
    assert module.run(held.engine.capture, None) == 0
    assert said == []
    monkeypatch.setattr(InspectdApp, "run", lambda self: setattr(self.holding, "mine", True))
    assert module.run(held.engine.capture, None) == 0
    assert len(said) == 1


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_panes_say_that_a_row_waits_and_which_keys_decide(
    held: Held, size: tuple[int, int]
) -> None:
    async with screen(held.engine.capture, held.engine, size=size) as (app, pilot):
        await until(pilot, lambda: "edit the answer" in lines(app)[-1])
        await pilot.press("right")
        await until(pilot, lambda: app.detail.has_focus_within and "back to the list" in lines(app)[-1])
        assert "e edit the answer" in lines(app)[-1]
        await pilot.press("5")
        await until(pilot, lambda: "It waits for somebody to answer it" in picture(app))
        await pilot.press("d")
        await until(pilot, lambda: held.engine.said == [(held.key, "drop")])


async def test_a_click_on_the_state_goes_on_holding_otherwise(held: Held) -> None:
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: "◆ 1 waiting" in lines(app)[0])
        await pilot.click(offset=(lines(app)[0].index("waiting"), 0))
        await until(pilot, lambda: "◆ holding next 1 · 1 waiting" in lines(app)[0])


async def test_many_that_come_or_leave_at_once_are_told_in_one_note(held: Held) -> None:
    held.engine.held.clear()
    async with screen(held.engine.capture, held.engine) as (app, pilot):
        await until(pilot, lambda: app.link.news.state == "up")
        for exchange in range(100, 130):
            held.engine.hold(exchange, held.request, PAGE)
        app.engine_changed()
        await until(pilot, lambda: "POST /pay and 29 more wait for your answer" in picture(app))
        for exchange in range(130, 140):
            held.engine.hold(exchange, held.request, PAGE)
        app.engine_changed()
        await until(pilot, lambda: "◆ 40 waiting" in lines(app)[0])
        assert picture(app).count("your answer") == 1
        for exchange in range(100, 140):
            held.engine.hold(exchange, held.request, PAGE, client_gone=True)
        app.engine_changed()
        await until(pilot, lambda: "The client of POST /pay and 39 more closed its side" in picture(app))
        assert picture(app).count("closed its side") == 1


async def test_a_note_covers_a_line_of_the_panes_and_not_for_long(held: Held) -> None:
    async with screen(held.engine.capture, held.engine, size=(80, 24)) as (app, pilot):
        app.say("It is said")
        await until(pilot, lambda: "It is said" in picture(app))
        assert min(note.outer_size.height for note in app.screen.query(Toast)) == 1
        assert "edit the answer" in lines(app)[-1]
        await until(pilot, lambda: "It is said" not in picture(app))
