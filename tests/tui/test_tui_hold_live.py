"""A person is the server: keys on the screen, a real engine, and what a client reads off its own socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.reader import Capture
from inspectd.tui.app import InspectdApp, let_go
from inspectd.tui.engine_link import EngineLink
from inspectd.tui.screens.respond import RespondScreen
from inspectd.tui.widgets.byteseditor import BytesEditor
from tests.live_engine import LiveEngine
from tests.tui.shell_engine import lines, picture, shows, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from textual.pilot import Pilot

REQUEST = b"POST /pay HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveEngine]:
    with LiveEngine(tmp_path_factory.mktemp("live"), "--answer", "200 Fine", "--no-auto", "date") as engine:
        yield engine


@pytest.fixture
def client(engine: LiveEngine) -> Iterator[socket.socket]:
    with engine.connect() as client:
        client.settimeout(60)
        yield client


@asynccontextmanager
async def holding(
    engine: LiveEngine, client: socket.socket, *, size: tuple[int, int] = (120, 36)
) -> AsyncIterator[tuple[InspectdApp, Pilot[int]]]:
    """The screen, on which the client's request is held."""
    link = EngineLink(Path(engine.listening["control"]))
    with Capture.open(engine.capture) as capture:
        app = InspectdApp(capture, link)
        app.animation_level = "none"
        try:
            async with app.run_test(size=size, notifications=True) as pilot:
                await until(pilot, lambda: link.news.state == "up")
                await pilot.press("h")
                await until(pilot, lambda: "holding next 1" in lines(app)[0])
                client.sendall(REQUEST)
                await until(
                    pilot, lambda: "◆ 1 waiting" in lines(app)[0] and "edit the answer" in lines(app)[-1]
                )
                yield app, pilot
                app.exit()
        finally:
            let_go(link)  # whatever became of it: the engine is the next test's as well


async def everything(client: socket.socket) -> bytes:
    """All that comes until the client has been told everything. The screen goes on meanwhile."""
    received = b""
    while piece := await asyncio.to_thread(client.recv, 65536):
        received += piece
    return received


async def test_the_client_gets_exactly_the_bytes_that_were_written(
    engine: LiveEngine, client: socket.socket
) -> None:
    async with holding(engine, client) as (app, pilot):
        await pilot.press("enter")
        await until(pilot, lambda: shows(app, RespondScreen) and "send this" in lines(app)[-1])
        assert app.screen.query_one(BytesEditor).data == b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n"
        await pilot.press("end", *"\\x00", "down", "end", "backspace", "1")
        await until(pilot, lambda: "finding" in picture(app))
        await pilot.press("ctrl+s")
        await until(pilot, lambda: not shows(app, RespondScreen))
        await until(pilot, lambda: "✎ ▲ status-" in picture(app))  # edited, and odd
        client.shutdown(socket.SHUT_WR)
        assert await everything(client) == b"HTTP/1.1 200 Fine\0\r\nContent-Length: 1\r\n\r\n"


async def test_r_sends_the_normal_answer(engine: LiveEngine, client: socket.socket) -> None:
    async with holding(engine, client, size=(80, 24)) as (_app, pilot):
        await pilot.press("r")
        client.shutdown(socket.SHUT_WR)
        assert await everything(client) == b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n"


async def test_d_drops_the_connection_with_fin(engine: LiveEngine, client: socket.socket) -> None:
    async with holding(engine, client) as (app, pilot):
        await pilot.press("d")
        await until(pilot, lambda: "waiting" not in lines(app)[0] and "✗ dropped" in picture(app))
        await pilot.press("5")
        await until(pilot, lambda: "dropped by hand · closed without a byte" in picture(app))
        assert await asyncio.to_thread(client.recv, 1) == b""


async def test_t_resets_the_connection(engine: LiveEngine, client: socket.socket) -> None:
    async with holding(engine, client) as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: "waiting" not in lines(app)[0])
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(client.recv, 1)


async def test_a_client_that_closes_its_side_is_seen_while_its_answer_is_edited(
    engine: LiveEngine, client: socket.socket
) -> None:
    async with holding(engine, client) as (app, pilot):
        await pilot.press("e")
        await until(pilot, lambda: shows(app, RespondScreen) and "send this" in lines(app)[-1])
        client.shutdown(socket.SHUT_WR)
        await until(pilot, lambda: "the client closed its side" in lines(app)[0])
        await pilot.press("end", "!", "ctrl+s")
        said = "POST /pay: 41 bytes of yours are sent, but its client had closed its side before"
        await until(pilot, lambda: any(note.message.startswith(said) for note in app._notifications))
        assert await everything(client) == b"HTTP/1.1 200 Fine!\r\nContent-Length: 0\r\n\r\n"


async def test_a_client_that_is_gone_is_seen_while_its_answer_is_edited(
    engine: LiveEngine, client: socket.socket
) -> None:
    async with holding(engine, client) as (app, pilot):
        await pilot.press("e")
        await until(pilot, lambda: shows(app, RespondScreen) and "send this" in lines(app)[-1])
        await pilot.press("X")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        await until(pilot, lambda: "the client is gone" in lines(app)[0])
        await pilot.press("escape", "y")
        await until(pilot, lambda: app.clipboard == "XHTTP/1.1 200 Fine\nContent-Length: 0\n\n")
        await pilot.press("escape")
        await until(pilot, lambda: not shows(app, RespondScreen))


async def test_a_screen_that_goes_gives_the_normal_answer(engine: LiveEngine, client: socket.socket) -> None:
    async with holding(engine, client) as (app, _pilot):
        assert let_go(app.link) == "1 held request got the normal answer\n"
        client.shutdown(socket.SHUT_WR)
        assert await everything(client) == b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n"


async def test_a_request_that_comes_again_after_it_was_dropped_is_a_retry(engine: LiveEngine) -> None:
    with engine.connect() as first, engine.connect() as second:
        first.settimeout(60)
        second.settimeout(60)
        async with holding(engine, first) as (app, pilot):
            await pilot.press("t")
            await until(pilot, lambda: "waiting" not in lines(app)[0])
            await pilot.press("h")
            await until(pilot, lambda: "holding next 1" in lines(app)[0])
            second.sendall(REQUEST)
            await until(pilot, lambda: "◆ 1 waiting" in lines(app)[0])
            await pilot.press("end", "r")
            await until(pilot, lambda: "waiting" not in lines(app)[0])
            await until(pilot, lambda: "↺" in picture(app))
            await pilot.press("5")
            await until(pilot, lambda: "attempts" in picture(app))
