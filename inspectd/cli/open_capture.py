"""`inspectd open`: the terminal UI on a capture file, without an engine."""

from __future__ import annotations

from pathlib import Path

import click

from inspectd.cli.group import SectionCommand


@click.command("open", cls=SectionCommand)
@click.argument("capture", metavar="FILE", type=click.Path(path_type=Path))
def open_capture(capture: Path) -> int:
    """Open the screen on a capture file. The file is only read, and may still be growing."""
    from inspectd.capture import store
    from inspectd.cli.run import require_terminal

    store.check(capture)
    require_terminal(f"inspectd list {capture}")
    from inspectd.tui import app

    return app.run(capture, None, child=None)
