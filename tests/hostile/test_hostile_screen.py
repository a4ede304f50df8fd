"""Hostile bytes in the terminal UI: the real `inspectd open` under a real pseudo-terminal, every row in every pane.

What it writes is taken apart as a terminal would. Every control function must be one of Textual's own, none may
carry a byte from the wire, and the text between them holds nothing live.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.hostile.corpus import MARKER
from tests.hostile.escapes import assert_clean
from tests.hostile.terminal import Terminal

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

PANES = "12345678"


def _walk(terminal: Terminal, rows: int) -> None:
    """From the newest row to the oldest one; on each every pane, for the request and for the response."""
    terminal.wait_for(lambda output: b"7331" in output)
    terminal.settle()
    for _ in range(rows):
        for pane in PANES:
            terminal.press(pane)
        terminal.press("\t", *PANES)
        terminal.press("\t", "\x1b[A")


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (220, 120)])
def test_every_pane_under_a_real_terminal(
    crowded_capture: Path, tmp_path: Path, columns: int, lines: int
) -> None:
    with Terminal("open", str(crowded_capture), state=tmp_path, columns=columns, lines=lines) as terminal:
        _walk(terminal, rows=10)
        terminal.press("q")
        assert terminal.finish() == 0
    assert_clean(bytes(terminal.output), marker=MARKER, allowed=TEXTUAL)


def test_filter_copy_help_and_palette_over_hostile_rows(crowded_capture: Path, tmp_path: Path) -> None:
    with Terminal("open", str(crowded_capture), state=tmp_path) as terminal:
        terminal.wait_for(lambda output: b"7331" in output)
        terminal.press("/", *"7331", "\r", "y", "\x1b", "?", "\x1b", "\x10", *"7331", "\x1b", "\x1b", "q")
        assert terminal.finish() == 0
    assert_clean(bytes(terminal.output), marker=MARKER, allowed=TEXTUAL)
