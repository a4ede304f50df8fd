"""Hostile bytes in the terminal UI: the real `inspectd open` under a real pseudo-terminal, every row in every pane.

What it writes is taken apart as a terminal would. Every control function must be one of Textual's own, none may
carry a byte from the wire, and the text between them holds nothing live.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from inspectd.tui.widgets.detail import PANES
from tests.hostile.corpus import MARKER, crowded, send
from tests.hostile.escapes import assert_clean
from tests.hostile.terminal import Terminal
from tests.live_engine import LiveEngine

if TYPE_CHECKING:
    from pathlib import Path

# What Textual's Linux driver and compositor write: colours and attributes, cursor moves, the alternate screen, cursor
# visibility, mouse, focus, paste and synchronised-output modes, and the kitty keyboard protocol.
TEXTUAL = frozenset(
    {
        "CSI m", "CSI H", "CSI A", "CSI B", "CSI C", "CSI D", "CSI J", "CSI K",
        "CSI ?h", "CSI ?l", "CSI ?$p", "CSI >u", "CSI <u", "CSI =u", "CSI c", "CSI n", "CSI t",
        "ESC 7", "ESC 8", "OSC 22",
        "\\r", "\\n",
    }
)  # fmt: skip

KEYS = tuple(str(number) for number in range(1, len(PANES) + 1))


def _walk(terminal: Terminal, rows: int) -> list[bytes]:
    """From the newest row to older ones, on each every pane, for the request and for the response.

    What was written while each row was looked at.
    """
    written = []
    for _ in range(rows):
        seen = terminal.press(*KEYS, "1")
        seen += terminal.press("\t", "2", "3", "4", "1", "\t")
        written.append(seen)
        terminal.press("\x1b[A")
    return written


def _opened(terminal: Terminal) -> None:
    terminal.wait_for(lambda output: MARKER in output)
    terminal.settle(quiet=0.3)


@pytest.mark.parametrize(("columns", "lines", "rows"), [(80, 24, 3), (220, 120, 10)])
def test_every_pane_under_a_real_terminal(
    crowded_capture: Path, tmp_path: Path, columns: int, lines: int, rows: int
) -> None:
    with Terminal("open", str(crowded_capture), state=tmp_path, columns=columns, lines=lines) as terminal:
        _opened(terminal)
        written = _walk(terminal, rows)
        terminal.press("q")
        assert terminal.finish() == 0
    for seen in written:
        assert_clean(seen, marker=MARKER, allowed=TEXTUAL)
    text = assert_clean(bytes(terminal.output), marker=MARKER, allowed=TEXTUAL)
    assert all(pane.title in text or (pane.short or pane.title) in text for pane in PANES)


def test_traffic_that_arrives_while_somebody_watches(tmp_path: Path) -> None:
    capture = tmp_path / "watched.inspectd"
    with Terminal("--listen", "127.0.0.1:0", "--capture", str(capture), state=tmp_path) as terminal:
        terminal.wait_for(lambda output: re.search(rb"127\.0\.0\.1:\d+", output) is not None)
        port = re.search(rb"127\.0\.0\.1:(\d+)", terminal.output)
        assert port is not None
        for data in crowded():
            send(("127.0.0.1", int(port[1])), data)
        terminal.wait_for(lambda output: b"/crowded/6" in output)
        terminal.settle()
        terminal.press(*KEYS, "q")
        assert terminal.finish() == 0
    text = assert_clean(bytes(terminal.output), marker=MARKER, allowed=TEXTUAL)
    assert f"inspectd open {capture}" in text


def test_filter_copy_help_and_palette_over_hostile_rows(crowded_capture: Path, tmp_path: Path) -> None:
    with Terminal("open", str(crowded_capture), state=tmp_path) as terminal:
        _opened(terminal)
        terminal.press("/", *"7331", "\r", "y", "\x1b", "?", "\x1b", "\x10", *"7331", "\x1b", "\x1b", "q")
        assert terminal.finish() == 0
    assert_clean(bytes(terminal.output), marker=MARKER, allowed=TEXTUAL)


def test_a_field_of_10_mb_and_100_000_fields_do_not_stop_the_screen(tmp_path: Path) -> None:
    long_field = (
        b"GET /long HTTP/1.1\r\nX-Big: \x1b[7331m" + b"7331" * 2_500_000 + b"\r\nConnection: close\r\n\r\n"
    )
    many_fields = b"".join(b"X-%d: \x1b]0;7331\x07\r\n" % number for number in range(100_000))
    with LiveEngine(tmp_path, "--max-head", "16MiB", quiet=True) as engine:
        send(engine.address, long_field)
        send(engine.address, b"GET /many HTTP/1.1\r\n" + many_fields + b"Connection: close\r\n\r\n")
        assert engine.stop() == 0
    with Terminal("open", str(engine.capture), state=tmp_path) as terminal:
        terminal.wait_for(lambda output: b"/many" in output)
        for up in ("", "\x1b[A"):
            assert not up or terminal.press(up, begin=2.0)
            for pane in (*"234567", "1"):
                assert terminal.press(pane, begin=2.0), f"pane {pane} shows nothing within 2 s"
        terminal.press("q")
        assert terminal.finish() == 0
    assert_clean(bytes(terminal.output), marker=MARKER, allowed=TEXTUAL)
