"""The traffic table on screen: columns for every width, following, the cursor, the mouse, rows of every kind."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import msgspec
import pytest

from inspectd.capture.model import ExchangeRow
from inspectd.capture.reader import Capture
from inspectd.text.safe import cells
from inspectd.tui.feed import Shape
from inspectd.tui.widgets.bars import DETAIL_HINTS, TABLE_HINTS, FooterHints, Hint
from inspectd.tui.widgets.columns import amount, columns_for, milliseconds, row_cells
from tests.tui.shell_engine import FakeEngine, lines, picture, screen, until
from tests.tui.shell_scribe import Scribe, browse, get, lively

if TYPE_CHECKING:
    from pathlib import Path

    from inspectd.tui.app import InspectdApp
    from inspectd.tui.feed import Row


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        for number in range(100):
            scribe.exchange(browse(f"/item/{number}", "image", "no-cors"))
        lively(scribe)
    return tmp_path / "a.inspectd"


def test_columns_fill_every_width_exactly(capture: Path) -> None:
    with Capture.open(capture) as reader:
        rows: list[Row] = [*reader.exchanges_after(95, 20), *reader.list_connections_after(0)]
    shapes = [Shape(dest=dest, urls=urls) for dest in (True, False) for urls in (True, False)]
    for width, shape in itertools.product(range(1, 260), shapes):
        columns = columns_for(width, 4, shape)
        for row in rows:
            for now in (None, row_time(row)):
                assert sum(cells(cell.text) for cell in row_cells(row, columns, now)) == width, (width, row)


def test_a_connect_whose_tunnel_was_read_stands_back_unless_somebody_marked_it(capture: Path) -> None:
    with Capture.open(capture) as reader:
        (row,) = reader.exchanges_after(95, 1)
    tunnel = "tunnel to example.test:443, read as TLS in c12"
    connect = msgspec.structs.replace(
        row, method="CONNECT", target="example.test:443", status="200", label=tunnel
    )
    for width, said in ((60, " in c12"), (80, "200 in c12"), (150, "200 in c12")):
        shown = row_cells(connect, columns_for(width, 4), None)
        assert said in "".join(cell.text for cell in shown)
        assert {cell.tone for cell in shown if cell.text.strip()} == {"faint"}
        assert sum(cells(cell.text) for cell in shown) == width
    marked = row_cells(msgspec.structs.replace(connect, marked=1), columns_for(80, 4), None)
    assert "faint" not in {cell.tone for cell in marked if cell.text.strip(" —")}


@pytest.mark.parametrize(("size", "path"), [((80, 24), "/api/basket"), ((120, 36), "/api/basket?item=12")])
async def test_what_was_asked_for_through_a_proxy_is_seen(
    tmp_path: Path, size: tuple[int, int], path: str
) -> None:
    with Scribe(tmp_path / "p.inspectd") as scribe:
        scribe.exchange(get("http://localhost:3000/api/basket?item=12"))
        scribe.exchange(browse("http://a-long-name.of-a.shop.test/api/basket?item=12", "empty", "cors"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path), size=size) as (app, _):
            shown = lines(app)
            assert len([line for line in shown if path[: size[0] // 8] in line and " 200 " in line]) == 2


def test_a_proxys_list_gives_targets_more_room_and_keeps_the_others() -> None:
    for width in (56, 76, 80, 96, 120, 160, 200):
        plain, urls = columns_for(width, 4), columns_for(width, 4, Shape(dest=False, urls=True))
        assert urls.target >= plain.target
        assert {name for name, _, _ in plain.names} - {name for name, _, _ in urls.names} <= {"dest · mode"}


async def test_dest_and_mode_have_a_column_once_a_browser_came(tmp_path: Path) -> None:
    with Scribe(tmp_path / "p.inspectd") as scribe:
        scribe.exchange(get("/plain"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path), size=(120, 36)) as (app, pilot):
            assert "dest · mode" not in lines(app)[1]
            scribe.exchange(browse("/page", "document", "navigate"))
            scribe.flush()
            await until(pilot, lambda: "dest · mode" in lines(app)[1] and "document · nav" in picture(app))


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (120, 36)])
async def test_connections_have_their_numbers_in_the_list_and_in_their_pane(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    with Scribe(tmp_path / "p.inspectd") as scribe:
        for _ in range(1200):
            lonely = scribe.lonely("garbage", "not HTTP", b"\x00")
        scribe.flush()
    number = f"c{lonely.id}"
    async with screen(tmp_path / "p.inspectd", size=size) as (app, pilot):
        await until(pilot, lambda: any(line.startswith(f"▌{number} ") for line in lines(app)))
        await pilot.press("7")
        await until(pilot, lambda: f"{number}  127.0.0.1" in picture(app))


@pytest.mark.parametrize("spare", [1, 100])
async def test_a_file_begins_at_its_newest_exchange(tmp_path: Path, spare: int) -> None:
    with Scribe(tmp_path / "p.inspectd") as scribe:
        for number in range(50):
            scribe.exchange(get(f"/item/{number}"))
        for _ in range(spare):
            scribe.lonely("preconnect", "opened, closed by the client 0.9 s later")
        scribe.flush()
    async with screen(tmp_path / "p.inspectd", size=(80, 24)) as (app, pilot):
        await until(pilot, lambda: any(line.startswith("▌") and "/item/49" in line for line in lines(app)))
        await until(pilot, lambda: app.detail.subject is not None and app.detail.subject.key == 50)
        hints = app.screen.query_one(FooterHints).render_line(0).text
        assert not any(word in hints for word in ("follow", "hold", "answer", "clear"))
        assert "filter" in hints


def row_time(row: Row) -> int:
    return (row.started_ns if isinstance(row, ExchangeRow) else row.opened_ns) + 5_000_000_000


@pytest.mark.parametrize(
    ("octets", "text"), [(0, "0"), (999, "999"), (1000, "1.0k"), (3123, "3.1k"), (9_960, "10k")]
)
def test_amounts_are_short(octets: int, text: str) -> None:
    assert amount(octets) == text


@pytest.mark.parametrize("octets", [10**power - 1 for power in range(1, 19)])
def test_an_amount_takes_at_most_five_cells(octets: int) -> None:
    assert len(amount(octets)) <= 5


@pytest.mark.parametrize(
    ("ns", "text"), [(0, "0.0"), (1_900_000, "1.9"), (23_000_000, "23"), (95_000_000_000, "95s")]
)
def test_durations_are_short(ns: int, text: str) -> None:
    assert milliseconds(ns) == text


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 42), (200, 50)])
async def test_method_target_and_status_stand_on_every_screen(capture: Path, size: tuple[int, int]) -> None:
    async with screen(capture, FakeEngine(capture), size=size) as (app, _):
        shown = picture(app)
        assert re.search(r"OPTIONS +/api/user +204", shown)
        assert re.search(r"POST +/pay +503 Busy", shown)
        assert "TLS hello on the clear port" in shown
        assert all(cells(line) == size[0] for line in lines(app))


@pytest.mark.parametrize("size", [(40, 10), (20, 5), (10, 3), (2, 2), (1, 1)])
async def test_a_tiny_terminal_is_no_reason_to_fail(capture: Path, size: tuple[int, int]) -> None:
    async with screen(capture, FakeEngine(capture), size=size) as (_, pilot):
        for key in (
            "up",
            "enter",
            "escape",
            "z",
            "z",
            "z",
            "s",
            "escape",
            "y",
            "escape",
            "question_mark",
            "escape",
        ):
            await pilot.press(key)
        await pilot.resize_terminal(120, 36)
        await pilot.resize_terminal(*size)


async def test_resizing_keeps_the_cursor_in_view(capture: Path) -> None:
    async with screen(capture, size=(120, 40)) as (app, pilot):
        await pilot.press("home", *["down"] * 30)
        for size in ((80, 24), (160, 42), (60, 14)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            assert any(line.startswith("▌") and "/item/30" in line for line in lines(app)), size


async def test_every_row_is_laid_out_anew_for_another_width(capture: Path) -> None:
    async with screen(capture, size=(120, 36)) as (app, pilot):
        await pilot.press("home")
        for size in ((160, 42), (80, 24), (120, 36)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            title, *rows = lines(app)[1:8]
            assert {row.index("200") for row in rows} == {title.index("status")}, size


async def test_a_new_row_appears_and_the_cursor_follows(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        async with screen(scribe.path, FakeEngine(scribe.path)) as (app, pilot):
            assert "curl -i http://localhost:8080/" in picture(app)
            scribe.exchange(get("/first"))
            scribe.flush()
            await until(pilot, lambda: any(line.startswith("▌") and "/first" in line for line in lines(app)))
            scribe.exchange(get("/second"))
            scribe.flush()
            await until(pilot, lambda: any(line.startswith("▌") and "/second" in line for line in lines(app)))
            assert app.detail.subject is None or app.detail.subject.key in {1, 2}
            await until(pilot, lambda: app.detail.subject is not None and app.detail.subject.key == 2)


async def test_the_first_row_is_looked_at_without_following_too(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        async with screen(scribe.path, FakeEngine(scribe.path)) as (app, pilot):
            await pilot.press("f")
            scribe.exchange(get("/first"))
            scribe.flush()
            await until(pilot, lambda: app.table.selected == 1)
            scribe.exchange(get("/second"))
            scribe.flush()
            await until(pilot, lambda: len(app.feed) == 2)
            assert app.table.selected == 1


async def test_the_newest_exchange_is_followed_past_the_connections_behind_it(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        scribe.exchange(get("/asked"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path)) as (app, pilot):
            spare = scribe.lonely("preconnect", "opened and closed")
            scribe.flush()
            await until(pilot, lambda: len(app.feed) == 2)
            assert app.table.selected == 1
            await pilot.press("down")
            await until(pilot, lambda: (app.table.selected, app.table.follow) == (-spare.id, False))
            await pilot.press("end")
            await until(pilot, lambda: (app.table.selected, app.table.follow) == (1, True))
            for _ in range(60):
                spare = scribe.lonely("garbage", "noise")
            scribe.flush()
            await until(pilot, lambda: app.table.selected == -spare.id)


def following(app: InspectdApp) -> bool:
    return app.table.follow


@pytest.mark.parametrize(
    ("hints", "width", "line"),
    [
        (
            TABLE_HINTS,
            80,
            " ? help  / filter  f following  s answer…  h hold  ^p everything  q quit  ",
        ),
        (DETAIL_HINTS, 80, " ? help  esc back to the list  1-9 panes  y copy  ^p everything  q quit  "),
        (DETAIL_HINTS, 40, " ? help  esc back to the list  q quit  "),
        (DETAIL_HINTS, 5, " ? help  "),
    ],
)
def test_the_footer_has_the_most_useful_keys_that_fit(hints: tuple[Hint, ...], width: int, line: str) -> None:
    footer = FooterHints()
    footer.hints = hints

    assert "".join(cell.text for cell in footer.line(width)) == line


async def test_a_small_screen_counts_in_words_while_they_fit(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        scribe.exchange(get("/"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path), size=(80, 24)) as (app, pilot):
            await until(pilot, lambda: "1 exchange  " in picture(app))


async def test_going_up_stays_and_end_follows_again(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        for number in range(60):
            scribe.exchange(get(f"/{number}"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path)) as (app, pilot):
            assert following(app)
            await pilot.press("up")
            await until(pilot, lambda: not following(app))
            stays = app.table.scroll_offset.y
            scribe.exchange(get("/new"))
            scribe.flush()
            await until(pilot, lambda: len(app.feed) == 61)
            await pilot.pause(0.15)
            assert (app.table.selected, app.table.scroll_offset.y) == (59, stays)
            await pilot.press("end")
            await until(pilot, lambda: app.table.follow)
            assert app.table.selected == 61
            await pilot.pause()
            assert "following" in app.screen.query_one(FooterHints).render_line(0).text


async def test_f_follows_and_stays(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("f")
        await until(pilot, lambda: not app.table.follow)
        await pilot.press("f")
        await until(pilot, lambda: app.table.follow)


async def test_the_wheel_scrolls_and_stays(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        before = app.table.scroll_offset.y
        await pilot._post_mouse_events(
            [__import__("textual.events", fromlist=["MouseScrollUp"]).MouseScrollUp],
            "#traffic",
            (5, 5),
            button=0,
        )
        await until(pilot, lambda: app.table.scroll_offset.y < before)
        assert not app.table.follow


async def test_a_click_selects_and_a_double_click_opens(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        y = next(at for at, line in enumerate(lines(app)) if "/pay" in line)
        await pilot.click("#traffic", offset=(30, y - app.table.region.y))
        assert app.table.selected is not None
        row = app.feed.row(app.table.selected)
        assert isinstance(row, ExchangeRow)
        assert row.target == "/pay"
        assert not app.table.follow
        await pilot.click("#traffic", offset=(30, y - app.table.region.y), times=2)
        await until(pilot, lambda: app.detail.has_focus_within)
        await pilot.press("escape")
        await until(pilot, lambda: app.table.has_focus)


async def test_keys_walk_the_list(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("home")
        await until(pilot, lambda: app.table.selected == 1)
        await pilot.press("down", "j", "k", "pagedown")
        assert app.table.cursor > 3
        await pilot.press("pageup", "pageup", "up")
        await until(pilot, lambda: app.table.selected == 1)
        await pilot.press("end", "down")
        assert app.table.cursor == len(app.feed) - 1


async def test_an_open_exchange_counts_up_and_then_shows_its_answer(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        scribe.now -= 5_000_000_000
        pending = scribe.request(get("/slow"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path)) as (app, pilot):
            await until(pilot, lambda: re.search(r"/slow +… .*\b[5-9] s", picture(app)))
            pending.answer(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            scribe.flush()
            await until(pilot, lambda: re.search(r"/slow +202 Accepted +0 ", picture(app)))


async def test_the_panes_show_the_end_of_an_exchange_that_they_showed_going_on(tmp_path: Path) -> None:
    def answered(app: InspectdApp) -> bool | None:
        subject = app.detail.subject
        return None if subject is None or subject.row is None else subject.row.status == "202"

    with Scribe(tmp_path / "b.inspectd") as scribe:
        pending = scribe.request(get("/slow"))
        scribe.flush()
        async with screen(scribe.path, FakeEngine(scribe.path)) as (app, pilot):
            await until(pilot, lambda: answered(app) is False)
            pending.answer(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
            scribe.flush()
            await until(pilot, lambda: answered(app))


async def test_without_an_engine_an_open_exchange_does_not_count(tmp_path: Path) -> None:
    with Scribe(tmp_path / "b.inspectd") as scribe:
        scribe.now -= 5_000_000_000
        scribe.request(get("/slow"))
    async with screen(scribe.path) as (app, _):
        assert re.search(r"/slow +— ", picture(app))


async def test_a_row_that_was_cut_and_one_that_is_odd_are_marked(tmp_path: Path) -> None:
    from inspectd.capture.model import State

    with Scribe(tmp_path / "b.inspectd") as scribe:
        cut = scribe.request(get("/cut"))
        cut.exchange.state |= State.ABORTED.value
        odd = scribe.exchange(get("/odd"))
        odd.state &= ~State.PLAIN.value
    async with screen(scribe.path, size=(160, 42)) as (app, _):
        assert re.search(r"/cut .*✗ cut short", picture(app))
        assert re.search(r"/odd .*▲ odd head", picture(app))


async def test_the_panes_show_the_row_the_cursor_is_on(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("home")
        await until(pilot, lambda: app.detail.subject is not None and app.detail.subject.key == 1)
        await pilot.press("2")
        await until(pilot, lambda: type(app.detail.pane).__name__ == "Headers")
        assert app.table.has_focus


async def test_zoom_goes_round(capture: Path) -> None:
    async with screen(capture) as (app, pilot):
        await pilot.press("z")
        await pilot.pause()
        assert (app.table.display, app.detail.display) == (False, True)
        await pilot.press("z")
        await pilot.pause()
        assert (app.table.display, app.detail.display) == (True, False)
        await pilot.press("z")
        await pilot.pause()
        assert (app.table.display, app.detail.display) == (True, True)


async def test_a_capture_that_can_not_be_read_is_said_once_and_the_screen_stays(
    capture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inspectd.errors import InspectdError

    def refuse(*_: object) -> None:
        raise InspectdError("the disk is gone", "Plug it in again.")

    async with screen(capture) as (app, pilot):
        said: list[str] = []
        monkeypatch.setattr(app, "say", lambda what, *_, **__: said.append(what))
        for name in ("exchanges", "connections", "changed"):
            monkeypatch.setattr(app.capture, name, refuse)
        monkeypatch.setattr("inspectd.tui.shell.TROUBLE_SECONDS", 0.01)
        await pilot.press("home", "pagedown")
        await until(pilot, lambda: said and "no longer in the capture" in picture(app))
        await pilot.pause(0.2)  # it goes on failing
        assert said == ["the disk is gone"]
