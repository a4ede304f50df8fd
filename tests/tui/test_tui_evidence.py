"""What a client did with crafted answers: marked in the list, told in the pane of the response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from inspectd.capture.beside import EvidenceRecord
from inspectd.capture.reader import Capture
from inspectd.tui.net import LIVE
from inspectd.tui.subject import Subject
from inspectd.tui.widgets.panes.evidence import evidence_blocks
from inspectd.tui.widgets.panes.prose import Page
from tests.tui.shell_engine import lines, picture, screen, until
from tests.tui.shell_scribe import CLEAN, Scribe, get

if TYPE_CHECKING:
    from pathlib import Path

MILLISECOND = 1_000_000
BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


def retries(path: Path) -> None:
    """Reset, then busy, then answered: three attempts, the last one on the connection of the second."""
    with Scribe(path) as scribe:
        first = scribe.request(get("/pay", method="POST"))
        first.answer(BUSY)
        record = EvidenceRecord(1, "api.toml:3", 120, reused=False)
        record.sent, record.acked = 60, 48
        record.ended_by, record.how, record.after_ns = "server", "rst", 12 * MILLISECOND
        first.connection.save_evidence(record)
        second = scribe.request(get("/pay", method="POST"))
        second.answer(BUSY)
        record = EvidenceRecord(2, "api.toml:3", 40, reused=False)
        record.sent = record.acked = 40
        record.attempt, record.previous, record.gap_ns = 2, 1, 1_100 * MILLISECOND
        second.connection.save_evidence(record)
        third = scribe.request(get("/pay", method="POST"), connection=second.connection)
        third.answer(CLEAN)
        record = EvidenceRecord(3, "api.toml:3", None, reused=True)
        record.sent = 40
        record.attempt, record.previous, record.gap_ns = 3, 2, 20 * MILLISECOND
        record.ended_by, record.how, record.after_ns = "client", "fin", -3 * MILLISECOND
        third.connection.save_evidence(record)
        scribe.exchange(get("/other"))


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    retries(tmp_path / "a.inspectd")
    return tmp_path / "a.inspectd"


@pytest.mark.parametrize(
    ("size", "second", "third"),
    [
        ((80, 24), "↺", "↺"),
        ((100, 30), "↺ 2nd +1.1 s", "↺ 3rd +20 ms"),
        ((120, 36), "↺ 2nd after 1.1 s", "↺ 3rd after 20 ms"),
        ((160, 42), "↺ 2nd attempt after 1.1 s", "↺ 3rd attempt after 20 ms"),
    ],
)
async def test_a_request_that_came_again_is_marked(
    capture: Path, size: tuple[int, int], second: str, third: str
) -> None:
    async with screen(capture, size=size) as (app, _pilot):
        rows = lines(app)
        at = next(number for number, line in enumerate(rows) if " /pay " in line)
        assert "↺" not in rows[at]
        assert ("✗ reset" if size[0] >= 116 else "✗") in rows[at]
        assert second in rows[at + 1]
        assert third in rows[at + 2]
        assert [row.count("↺") for row in rows[at + 1 : at + 3]] == [1, 1]  # it is said once
        assert "↺" not in rows[at + 3]


async def test_a_retry_is_marked_even_when_it_is_known_after_the_row_was_drawn(tmp_path: Path) -> None:
    with Scribe(tmp_path / "a.inspectd") as scribe:
        scribe.exchange(get("/pay"))
        again = scribe.request(get("/pay"))
        again.answer(CLEAN)
        scribe.flush()
        async with screen(scribe.path) as (app, pilot):
            await until(pilot, lambda: picture(app).count("/pay ") >= 2)
            assert "↺" not in picture(app)
            record = EvidenceRecord(2, "held", 40, reused=False)
            record.attempt, record.previous, record.gap_ns = 2, 1, 1_100 * MILLISECOND
            again.connection.save_evidence(record)
            scribe.flush()
            await until(pilot, lambda: "↺ 2nd after 1.1 s" in picture(app))


@pytest.mark.parametrize(("width", "said"), [(160, "↺ 2 ▲ resp-"), (120, "↺ 2 ▲ resp"), (80, "↺▲")])
async def test_a_finding_does_not_hide_a_retry(tmp_path: Path, width: int, said: str) -> None:
    fetch = get("/pay").replace(b"\r\n\r\n", b"\r\nSec-Fetch-Mode: cors\r\n\r\n")
    with Scribe(tmp_path / "a.inspectd") as scribe:
        again = scribe.request(fetch)
        again.answer(CLEAN + b"Z")
        record = EvidenceRecord(1, "held", 40, reused=False)
        record.attempt, record.gap_ns = 2, 1_100 * MILLISECOND
        again.connection.save_evidence(record)
    async with screen(tmp_path / "a.inspectd", size=(width, 36)) as (app, pilot):
        await until(pilot, lambda: said in picture(app))


@pytest.mark.parametrize(("width", "said"), [(160, "↺ attempt 2"), (120, "↺ attempt 2"), (80, "↺")])
async def test_a_browsers_retry_is_marked_beside_what_it_fetched(
    tmp_path: Path, width: int, said: str
) -> None:
    fetch = get("/pay").replace(b"\r\n\r\n", b"\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\n\r\n")
    with Scribe(tmp_path / "a.inspectd") as scribe:
        again = scribe.request(fetch)
        again.answer(CLEAN)
        record = EvidenceRecord(1, "held", 40, reused=False)
        record.attempt, record.gap_ns = 2, 1_100 * MILLISECOND
        again.connection.save_evidence(record)
    async with screen(tmp_path / "a.inspectd", size=(width, 36)) as (app, _pilot):
        row = next(line for line in lines(app) if " /pay " in line)
        assert said in row
        assert row.count("↺") == 1
        assert ("empty · cors" in row) == (width >= 116)


def text_of(capture: Path, exchange: int, width: int = 160) -> list[str]:
    with Capture.open(capture) as reader:
        subject = Subject.load(reader, exchange)
        assert subject is not None
        page = Page(evidence_blocks(subject))
        return [
            "".join(run.text for run in page.row(row, width)).rstrip() for row in range(page.height(width))
        ]


def test_each_attempt_is_a_line(capture: Path) -> None:
    first = "60 of 120 bytes sent, 48 acknowledged  RST by inspectd 12 ms later"
    second = "all 40 bytes acknowledged  the connection stayed open"
    third = "40 bytes sent, not known how many arrived  FIN by the client 3.00 ms before the last byte"
    assert text_of(capture, 2) == [
        "",
        "What the client did, 3 attempts",
        f"   1  #1 on connection 1, new  503  {first}",
        f" ▸ 2  #2 on connection 2, new  ↺ after 1.10 s  503  {second}",
        f"   3  #3 on connection 2, reused  ↺ after 20 ms  200  {third}",
        "",
    ]


def test_an_answer_that_was_not_crafted_has_no_evidence(capture: Path) -> None:
    assert text_of(capture, 4) == []


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_pane_of_the_response_tells_it(capture: Path, size: tuple[int, int]) -> None:
    async with screen(capture, size=size) as (app, pilot):
        await pilot.press("home", "down", "5")
        await until(pilot, lambda: "What the client did, 3 attempts" in picture(app))
        assert "▸ 2  #2 on connection 2" in picture(app)


async def test_hostile_evidence_is_drawn_harmlessly(tmp_path: Path) -> None:
    nasty = "\x1b]0;owned\x07\u202e[red]"
    with Scribe(tmp_path / "a.inspectd") as scribe:
        one = scribe.request(get("/x"))
        one.answer(CLEAN)
        one.exchange.status = nasty
        one.connection.touch(one.exchange)
        record = EvidenceRecord(1, nasty, 40, reused=False)
        record.ended_by, record.how = nasty, nasty
        one.connection.save_evidence(record)
    async with screen(tmp_path / "a.inspectd") as (app, pilot):
        await pilot.press("5")
        await until(pilot, lambda: "What the client did" in picture(app))
        assert LIVE.search(picture(app).replace("\n", "")) is None
