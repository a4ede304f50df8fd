"""The Connection pane of an exchange that a server answered: where it went, and what was changed on the way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from inspectd.capture.beside import ForwardRecord
from inspectd.capture.reader import Capture
from inspectd.capture.writer import CaptureWriter
from inspectd.cli.upstream_text import forward_lines, upstream_json
from inspectd.tui.subject import Subject
from tests.tui.panes_bench import Bench, whole_text

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000_000_000_000
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def recorded(path: Path, changes: str | None, res_changes: str | None) -> Path:
    """A capture with an exchange that was forwarded."""
    writer = CaptureWriter(path / "a.inspectd")
    record = writer.connection(1, "127.0.0.1:5000", "127.0.0.1:8080", NOW)
    record.received(ASK, NOW)
    exchange = record.begin(0, NOW)
    record.end(exchange, len(ASK))
    record.settle(None)
    forward = ForwardRecord(exchange, "localhost:3000", NOW)
    forward.changes, forward.res_changes = changes, res_changes
    record.save_forward(forward)
    writer.close(NOW)
    return writer.path


async def shown(path: Path) -> str:
    """What the pane says."""
    with Capture.open(path) as capture:
        subject = Subject.load(capture, 1)
        assert subject is not None
        app = Bench(subject)
        async with app.run_test(size=(120, 60)) as pilot:
            await pilot.press("7")
            await pilot.pause()
            return whole_text(app.detail.pane.main_view)


async def test_changes_of_both_sides_are_told(tmp_path: Path) -> None:
    path = recorded(
        tmp_path,
        json.dumps([{"what": "Host", "from": "a", "to": "b\x1b[31m"}]),
        json.dumps([{"what": "Set-Cookie", "from": "a=1\xff", "to": None}]),
    )
    text = await shown(path)
    assert "The server  localhost:3000" in text
    assert "inspectd changed of the request" in text
    assert "inspectd changed of the answer" in text
    assert "Set-Cookie: a=1\\xff → nothing" in text
    assert "\x1b" not in text
    with Capture.open(path) as capture:
        forward = capture.forward(1)
        assert forward is not None
        lines = list(forward_lines(forward))
        assert "  changed by inspectd in the answer: Set-Cookie: a=1\\xff → nothing" in lines
        assert upstream_json(forward)["upstream"]["response_changes"] == [
            {"what": "Set-Cookie", "from": "a=1\xff", "to": None}
        ]


@pytest.mark.parametrize("odd", ["{", "[1, [], {}]", '{"a": 1}', "null", "[" * 100_000])
async def test_nothing_that_a_capture_holds_breaks_the_pane(tmp_path: Path, odd: str) -> None:
    assert "The server  localhost:3000" in await shown(recorded(tmp_path, odd, odd))
