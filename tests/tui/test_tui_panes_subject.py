"""What the panes look at, loaded from a capture that the engine's own writer wrote."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.beside import ForwardRecord
from inspectd.capture.reader import Capture
from inspectd.tui.subject import PREFIX, Subject
from inspectd.tui.widgets.panes.timing import phases_of
from tests.capture.traffic import get as traffic_get
from tests.capture.traffic import new_writer
from tests.tui.panes_bench import Bench, screen_text, whole_text
from tests.tui.shell_scribe import PAGE, Scribe, get

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST, SECOND = get("/first"), get("/second", "X: y")
JUNK = b"\r\n\r\n\x1bjunk"
HELLO = b"\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two exchanges on one connection with bytes of nobody behind them, and a TLS hello."""
    where = tmp_path / "x.inspectd"
    with Scribe(where) as scribe:
        on = scribe.connection()
        scribe.request(FIRST, connection=on).answer(PAGE)
        scribe.request(SECOND, connection=on).answer(PAGE + PAGE)
        on.received(JUNK, scribe.now)
        on.settle(None)
        on.save()
        scribe.lonely("tls", "A TLS hello on the clear port.", HELLO)
        scribe.flush()
    return where


@pytest.fixture
def capture(path: Path) -> Iterator[Capture]:
    """The same, read."""
    with Capture.open(path) as opened:
        yield opened


def loaded(capture: Capture, key: int) -> Subject:
    subject = Subject.load(capture, key)
    assert subject is not None
    return subject


def test_an_exchange_has_exactly_its_own_bytes(capture: Capture) -> None:
    subject = loaded(capture, 2)
    assert (subject.request, subject.response) == (SECOND, PAGE + PAGE)
    assert (subject.request_total, subject.response_total) == (len(SECOND), len(PAGE + PAGE))
    assert subject.request_message is not None
    assert subject.request_message.complete
    assert [each.id for each in subject.siblings] == [1, 2]
    assert subject.listener is not None
    assert subject.listener.address == "127.0.0.1:8080"


def test_reads_count_from_the_first_byte_of_the_message(capture: Capture) -> None:
    reads = loaded(capture, 2).side("request").reads
    assert [(each.offset, each.length) for each in reads] == [(0, len(SECOND))]


def test_a_negative_key_is_a_connection(capture: Capture) -> None:
    number = capture.list_connections_after(0)[0].id
    subject = loaded(capture, -number)
    assert subject.row is None
    assert subject.request == HELLO
    assert subject.response == b""


def test_what_is_gone_is_none(capture: Capture) -> None:
    assert Subject.load(capture, 99) is None
    assert Subject.load(capture, -99) is None


def test_a_head_longer_than_the_prefix_is_read_whole(tmp_path: Path) -> None:
    request = get("/", "X: " + "x" * (PREFIX + 9000))
    with Scribe(tmp_path / "long.inspectd") as scribe:
        scribe.exchange(request)
        scribe.flush()
    with Capture.open(tmp_path / "long.inspectd") as opened:
        assert loaded(opened, 1).request == request


async def test_bytes_of_nobody_are_named_in_the_connection_pane(capture: Capture) -> None:
    app = Bench(loaded(capture, 1))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("7")
        await pilot.pause()
        shown = whole_text(app.detail.pane.main_view)
        start = len(FIRST + SECOND)
        assert "Bytes that belong to no request" in shown
        assert f"9 bytes, number {start} to {start + 8} of the stream  \\x0d\\x0a\\x0d\\x0a\\x1bjunk" in shown
        assert "▌ #1 GET /first  200 OK  this one" in shown
        assert "#2 GET /second  200 OK" in shown


async def test_bytes_the_capture_let_go_of_are_said_to_be_gone(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("DELETE FROM page")
    db.close()
    with Capture.open(path) as opened:
        app = Bench(loaded(opened, 1))
        async with app.run_test(size=(120, 30)) as pilot:
            for number in "1234":
                await pilot.press(number)
                await pilot.pause()
                assert "any more" in " ".join(screen_text(app.detail.pane.main_view).split())


def test_the_phases_of_what_was_forwarded_are_on_the_time_line(tmp_path: Path) -> None:
    writer = new_writer(tmp_path / "x")
    client = writer.connection(1, "client", "here", 1)
    _, exchange = traffic_get(writer, client, now=1000)
    forward = ForwardRecord(exchange, "localhost:3000", 1000)
    forward.resolve_ns, forward.connect_ns = 10, 20
    forward.sent_ns = forward.whole_ns = 1030
    forward.came_ns, forward.done_ns = 1040, 1045
    client.save_forward(forward)
    writer.close(1050)
    with Capture.open(tmp_path / "x") as capture:
        subject = Subject.load(capture, 1)
        assert subject is not None
        phases = [each for each in phases_of(subject, ()) if each.label.startswith("server: ")]
        assert [(each.label, each.start, each.end) for each in phases] == [
            ("server: resolve", 1000, 1010),
            ("server: connect", 1010, 1030),
            ("server: send", 1030, 1030),
            ("server: wait", 1030, 1040),
            ("server: receive", 1040, 1045),
        ]
