"""`inspectd list`: the exchanges of a capture, a line each, as text or as JSON lines.

The lines are those of `inspectd --headless`, so whatever reads one reads the other.
"""

from __future__ import annotations

import shutil
import sys
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from inspectd.capture.model import LEFT_OVER, ConnectionRow
from inspectd.capture.reader import SEARCH_STRETCH, Capture, search_stretch
from inspectd.capture.wanted import wanted
from inspectd.cli.group import SectionCommand
from inspectd.cli.lines import JsonLines, PlainLines, extra_width
from inspectd.cli.output import draws_glyphs, painter, require_stdout, wants_colour
from inspectd.text.safe import pad

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inspectd.capture.model import ExchangeRow
    from inspectd.capture.wanted import Wanted
    from inspectd.cli.lines import Lines

ROWS_AT_ONCE: Final = 200
WORTH_A_BAR: Final = 200_000
"""Exchanges from which on a search shows how far it is."""


@click.command("list", cls=SectionCommand)
@click.argument("capture", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("words", metavar="[WORD]...", nargs=-1)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="JSON lines, schema version 1: those of `inspectd --headless --json`.",
)
def command(capture: Path, words: tuple[str, ...], *, as_json: bool) -> None:
    """Print the exchanges of a capture, the oldest first.

    With WORDs, only those in which every word is found: in the method, target, status, reason, client, host,
    Sec-Fetch-Dest or Sec-Fetch-Mode; tests of what is found in the messages count as words: "finding == te-with-cl",
    "finding ~ te-" (part of an id), "severity >= warning" (good, info, warning, error); the findings that met them
    stand below each line. Connections that never sent a request are listed with an id like c12.
    """
    require_stdout("inspectd list FILE >lines")
    with Capture.open(capture) as opened:
        lines: Lines = JsonLines()
        paint = painter(colour=wants_colour())
        if not as_json:
            width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
            lines = PlainLines(paint, width=width, verbosity=0, ascii_only=not draws_glyphs())
            if width is not None:
                sys.stdout.write(paint(heading(width), "dim") + "\n")
        asked = wanted(" ".join(words))
        exchanges, connections = chosen(opened, " ".join(words))
        for row in in_order(exchanges, connections):
            sys.stdout.write(
                lines.connection(row, opened)
                if isinstance(row, ConnectionRow)
                else lines.exchange(row, opened)
            )
            if asked.tests and not as_json and (found := met_by(opened, row, asked)):
                sys.stdout.write(paint(f"      {', '.join(found)}", "yellow") + "\n")


def met_by(capture: Capture, row: ExchangeRow | ConnectionRow, asked: Wanted) -> tuple[str, ...]:
    """The ids of the findings in a row that met the tests, the worst first."""
    from inspectd.capture.findings import marks, marks_of_connection

    if isinstance(row, ConnectionRow):
        return asked.found(marks_of_connection(capture, row))
    return asked.found(marks(capture, row, asked.kinds))


def heading(width: int) -> str:
    """The names of the columns of `PlainLines`, as they stand on a terminal of this width."""
    before = f"{'#':>5} {'time':8}  "
    if width >= 96:
        before += pad("client", 14) + " "
    before += pad("method", 7) + " "
    status = pad("status", 20 if width >= 96 else 14)
    after = f" {'size':>7}"
    if width >= 70:
        after += f" {'time':>10}"
    if width >= 120:
        after += f"  {pad('dest/mode', extra_width(width))}"
    elif width >= 80:
        after += 3 * " "
    room = max(8, width - len(before) - 2 - len(status) - len(after))
    return f"{before}{pad('target', room)}  {status}{after}".rstrip()


def chosen(capture: Capture, words: str) -> tuple[Iterator[ExchangeRow], Iterator[ConnectionRow]]:
    """The exchanges and the connections without a request in which every word is found, in their order."""
    connections = (row for row in capture.iter_connections() if not row.exchanges or row.kind == LEFT_OVER)
    if not words:
        return all_exchanges(capture), connections
    ids = array("q")
    for chunk in with_progress(capture, words):
        ids.extend(chunk)
    ids.reverse()
    wanted = set(capture.search_connections(words))
    return (
        row
        for first in range(0, len(ids), ROWS_AT_ONCE)
        for row in capture.exchanges(ids[first : first + ROWS_AT_ONCE])
    ), (row for row in connections if row.id in wanted)


def all_exchanges(capture: Capture) -> Iterator[ExchangeRow]:
    """Every exchange, the oldest first, as far as there are when the last one is reached."""
    after = 0
    while rows := capture.exchanges_after(after, ROWS_AT_ONCE):
        yield from rows
        after = rows[-1].id


def with_progress(capture: Capture, words: str) -> Iterator[array[int]]:
    """The chunks of a search, with a bar on standard error when it is long and somebody waits for it."""
    newest = capture.newest_exchange()
    chunks = capture.search(words)
    stretch = search_stretch(words)
    if newest < WORTH_A_BAR * stretch // SEARCH_STRETCH or sys.stderr is None or not sys.stderr.isatty():
        yield from chunks
        return
    with click.progressbar(length=newest, label="searching", file=sys.stderr) as bar:
        for chunk in chunks:
            yield chunk
            bar.update(stretch)


def in_order(
    exchanges: Iterable[ExchangeRow], connections: Iterable[ConnectionRow]
) -> Iterator[ExchangeRow | ConnectionRow]:
    """Both together: a connection stands behind the exchange that was the newest when it was understood."""
    waiting = iter(connections)
    connection = next(waiting, None)
    for exchange in exchanges:
        while connection is not None and connection.after < exchange.id:
            yield connection
            connection = next(waiting, None)
        yield exchange
    if connection is not None:
        yield connection
        yield from waiting
