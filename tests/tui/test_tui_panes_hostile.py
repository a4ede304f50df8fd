"""Hostile bytes and huge messages in every pane: nothing live reaches the screen, and it stays quick."""

from __future__ import annotations

import time
import unicodedata
from typing import TYPE_CHECKING

import pytest

from inspectd.tui.subject import Subject
from inspectd.tui.widgets.detail import PANES
from inspectd.tui.widgets.panes.anatomy import TokenView
from tests.tui.panes_bench import Bench, connection, listener, subject
from tests.wire.hellos import extension, message, protocols, record, server_name

if TYPE_CHECKING:
    from inspectd.tui.widgets.wireview import LineView

LIVE = "\x1b]0;title\x07\x1b[2J\x1b[31m\x9b31m\u202eevil\u2066\u200b\ufeff\x00\x7f[bold]m[/bold][@click=app.quit]x[/]"
EVIL = LIVE.encode() + b"\xff\xfe\xc0\x80\x9b31m" + "\ud800".encode("utf-8", "surrogatepass")

REQUESTS = {
    "target": b"GET /" + EVIL + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "method": EVIL + b" / HTTP/1.1\r\n\r\n",
    "field name": b"GET / HTTP/1.1\r\nX" + EVIL + b": 1\r\n\r\n",
    "field value": b"GET / HTTP/1.1\r\nX: " + EVIL + b"\r\nAccept: " + EVIL + b", b\r\nCookie: a=" + EVIL
    + b"; c=d\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\n" + EVIL + b"\r\n\r\n",
    "content type": b"PUT / HTTP/1.1\r\nContent-Type: " + EVIL + b"\r\nContent-Encoding: " + EVIL
    + b"\r\nContent-Length: 2\r\n\r\n{}",
    "content": b"PUT / HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(EVIL) + EVIL,
    "json": b'PUT / HTTP/1.1\r\nContent-Type: application/json\r\n\r\n{"' + EVIL + b'": "' + EVIL + b'"}',
    "chunks": b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;" + EVIL + b"=" + EVIL + b"\r\na\r\n0\r\nT: "
    + EVIL + b"\r\n\r\n",
    "no http": EVIL * 3,
    "half a head": b"GET / HTTP/1.1\r\nX: " + EVIL,
}  # fmt: skip
RESPONSE = (
    b"HTTP/1.1 " + b"2" + EVIL.replace(b"\n", b"") + b" " + EVIL + b"\r\nX: " + EVIL + b"\r\n\r\n" + EVIL
)


def assert_harmless(view: LineView) -> None:
    """No drawn character may act on a terminal, and no style may carry an action or a link."""
    for y in range(view.size.height):
        for segment in view.render_line(y):
            for character in segment.text:
                assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}, repr(
                    segment.text
                )
            assert not segment.style or (segment.style.link is None and not segment.style.meta)


async def test_hostile_bytes_are_never_live_in_any_pane() -> None:
    app = Bench(None)
    async with app.run_test(size=(100, 40)) as pilot:
        for request_bytes in REQUESTS.values():
            shown = subject(
                request_bytes,
                RESPONSE,
                status=LIVE,
                reason=LIVE,
                method=LIVE,
                target=LIVE,
                label=LIVE,
                added='["x"]',
            )
            shown.connection = connection(
                peer=LIVE, local=LIVE, kind="other", sentence=LIVE, closed_by=LIVE, how=LIVE
            )
            app.detail.show(shown)
            for number in range(1, len(PANES) + 1):
                app.detail.open_pane(number)
                for _ in range(2):
                    app.detail.switch_side()
                    await pilot.pause()
                    for view in app.line_views():
                        assert_harmless(view)


async def test_a_hostile_hello_is_never_live() -> None:
    hello = record(message(server_name(EVIL) + protocols(EVIL, b"h2") + extension(0xABCD, EVIL)))
    row = connection(kind="tls", sentence=LIVE, exchanges=0)
    app = Bench(
        Subject.from_bytes(hello + EVIL, b"\x15\x03\x01\x00\x02\x02\x28" + EVIL, key=-3, connection=row)
    )
    async with app.run_test(size=(100, 40)) as pilot:
        for number in range(1, len(PANES) + 1):
            app.detail.open_pane(number)
            await pilot.pause()
            for view in app.line_views():
                assert_harmless(view)
        app.detail.open_pane(1)
        tokens = app.detail.pane.query_one(TokenView)
        for _ in range(40):
            tokens.action_token(1)
            await pilot.pause()
            for view in app.line_views():
                assert_harmless(view)


@pytest.mark.parametrize("name", ["field name", "field value", "chunks"])
async def test_hostile_bytes_are_never_live_where_the_cursor_goes(name: str) -> None:
    app = Bench(subject(REQUESTS[name], RESPONSE))
    async with app.run_test(size=(100, 40)) as pilot:
        tokens = app.detail.pane.query_one(TokenView)
        for step in range(30):
            tokens.action_token(1)
            if step == 15:
                tokens.action_hexadecimal()
            await pilot.pause()
            for view in app.line_views():
                assert_harmless(view)


async def test_what_was_sent_is_readable_as_escapes() -> None:
    app = Bench(subject(REQUESTS["field value"]))
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        view = app.view("#bytes")
        rows = [view.source.row(index, view.row_width) for index in range(view.source.height(view.row_width))]
        shown = "".join(run.text for row in rows for run in row if run.start >= 0)
        for escape in ("\\x1b", "\\u202e", "\\u200b", "\\xff", "\\x9b", "\\x00", "[bold]m[/bold]"):
            assert escape in shown


HUGE = {
    "one field of 10 MB": b"GET / HTTP/1.1\r\nX: " + b"a, " * 3_400_000 + b"\r\n\r\n",
    "100,000 fields": b"GET / HTTP/1.1\r\n"
    + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(100_000))
    + b"\r\n",
    "one binary field": b"GET / HTTP/1.1\r\nX: " + bytes(range(128, 256)) * 8000 + b"\r\n\r\n",
    "200,000 chunks": b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"1\r\na\r\n" * 200_000
    + b"0\r\n\r\n",
    "200,000 folds": b"GET / HTTP/1.1\r\nX: a\r\n" + b" b\r\n" * 200_000 + b"\r\n",
    "content on one line": b"PUT / HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 8_000_000,
    "content of empty lines": b"PUT / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n" + b"\n" * 4_000_000,
    "garbage without a line end": b"\x01\x02" * 2_000_000,
}


@pytest.mark.parametrize("request_bytes", HUGE.values(), ids=HUGE.keys())
async def test_a_huge_message_stays_usable_and_says_how_much_is_shown(request_bytes: bytes) -> None:
    shown = Subject.from_bytes(request_bytes, key=1, connection=connection(bytes_in=1), listener=listener())
    app = Bench(None)
    async with app.run_test(size=(120, 30)) as pilot:
        await pilot.pause()
        for number in "12349":
            started = time.process_time()
            await pilot.press(number)
            app.detail.show(shown)
            await pilot.pause()
            await pilot.press("down", "end", "pageup", "home")
            await pilot.pause()
            assert time.process_time() - started < 8, f"pane {number}"
        await pilot.press("1")
        await pilot.pause()
        view = app.view("#bytes")
        last = view.source.row(view.source.height(view.row_width) - 1, view.row_width)
        assert "bytes more of" in "".join(run.text for run in last)


async def test_the_hex_pane_reaches_the_last_byte_of_a_huge_message() -> None:
    data = b"PUT / HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n" + b"x" * 7_999_999 + b"Z"
    app = Bench(Subject.from_bytes(data, key=1))
    async with app.run_test(size=(120, 20)) as pilot:
        await pilot.press("4", "end")
        await pilot.pause()
        assert (
            "".join(
                segment.text for segment in app.view("#dump").render_line(app.view("#dump").size.height - 1)
            )
            .rstrip()
            .endswith("xZ")
        )
        assert app.detail.selected_value() == ("byte", b"Z")
