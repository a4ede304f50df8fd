"""Every command by name, for the palette."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import SystemCommand

from inspectd.tui.engine_link import MIRROR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.tui.app import InspectdApp


def commands(app: InspectdApp) -> Iterator[SystemCommand]:
    """What can be done now. A command that can't says why in its help and again when it is chosen."""
    why_not = app.link.why_not
    yield SystemCommand(
        "Answer: change what everybody gets",
        why_not or "type or choose a status line, see its bytes (s)",
        app.action_answer,
    )
    yield SystemCommand(
        "Answer: mirror", why_not or "show every client its own request", lambda: app.set_answer_now(MIRROR)
    )
    for line in ("200 OK", "404 Not Found", "503 Busy"):
        yield SystemCommand(
            f"Answer: {line}",
            why_not or "from the next request on",
            lambda line=line: app.set_answer_now(line),
        )
    yield SystemCommand(
        "Hold: the next request waits for you",
        why_not or "again: all of them; again: none (h)",
        lambda: app.hold_next(1),
    )
    yield SystemCommand(
        "Hold: every request waits for you", why_not or "until you say otherwise", lambda: app.hold_next(None)
    )
    yield SystemCommand(
        "Hold: off", why_not or "what waits already goes on waiting", lambda: app.hold_next(0)
    )
    yield SystemCommand(
        "Held: release all of them", why_not or "each gets its normal answer", app.release_all
    )
    yield SystemCommand("Held: edit its answer", "of the row the cursor is on (e)", app.action_edit_answer)
    yield SystemCommand(
        "Held: release", "the row the cursor is on gets its normal answer (r)", app.action_release
    )
    yield SystemCommand("Held: drop", "close its connection without a byte, FIN (d)", app.action_drop)
    yield SystemCommand("Held: reset", "abort its connection, RST (t)", app.action_reset)
    yield SystemCommand("Rules", "which are in use, and how often each answered (R)", app.action_rules)
    yield SystemCommand("Copy…", "URL, curl command, request, answer, value (y)", app.action_copy)
    yield SystemCommand("Filter", "keep the rows in which words occur (/)", app.action_filter)
    yield SystemCommand(
        "Filter: findings",
        "keep the rows in which a warning or an error is found: severity >= warning",
        app.action_filter_findings,
    )
    yield SystemCommand("Filter: clear", "show every row again (esc)", app.action_clear_filter)
    yield SystemCommand(
        "Follow the newest row, or stay", "f; end follows, moving up stays", app.action_follow
    )
    yield SystemCommand("First row", "home", app.table.action_first)
    yield SystemCommand("Newest row", "end", app.table.action_last)
    yield SystemCommand("Look inside the row", "hand the keys to the panes (enter)", app.action_look_inside)
    yield SystemCommand("Zoom: panes, list, both", "z", app.action_zoom)
    yield SystemCommand(
        "Clear the capture", why_not or "remove every row, after a question (c)", app.action_clear_capture
    )
    yield SystemCommand("Theme: light or dark", "change the colours", app.action_theme)
    yield SystemCommand("Save a picture of the screen", "an SVG file in this directory", app.action_picture)
    yield SystemCommand("Help", "what can be done where you are (?)", app.action_help)
    yield SystemCommand("Quit", "q; the capture stays", app.action_leave)
