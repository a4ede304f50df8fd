"""`inspectd control`: ask a running engine, or change what it answers, from a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from inspectd.cli.attach import find_engine
from inspectd.cli.group import SectionCommand, SectionGroup
from inspectd.text.safe import safe

_which = click.option("--engine", metavar="SOCKET|PID", help="Which engine; the newest one by default.")


@click.group("control", cls=SectionGroup, no_args_is_help=False)
def control() -> None:
    """Ask a running engine, or change its answer."""


@control.command(cls=SectionCommand)
@_which
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def status(engine: str | None, *, as_json: bool) -> None:
    """Where it listens, what it answers, how much it has seen."""
    from inspectd.control.client import ControlClient

    socket = find_engine(engine)
    with ControlClient(socket) as client:
        state = client.status()
    if as_json:
        sys.stdout.write(msgspec.json.encode(state).decode() + "\n")
        return
    sys.stdout.write(
        f"engine     {state.pid}, inspectd {state.version}\n"
        f"listens    {' '.join(state.addresses)}\n"
        f"answers    {safe(state.answer.description)}\n"
        f"exchanges  {state.exchanges}, {state.connections_open} connections open\n"
        f"capture    {safe(state.capture)}\n"
        f"control    {safe(str(socket))}\n"
    )
    if state.capture_error:
        sys.stdout.write(f"problem    {safe(state.capture_error)}\n")


@control.command(
    cls=SectionCommand, short_help="Answer everything with this status line from the next request on."
)
@_which
@click.argument("status_line", metavar="STATUS")
@click.option(
    "--header", "-H", "headers", metavar="'NAME: VALUE'", multiple=True, help="A field line. Repeatable."
)
@click.option("--body", metavar="TEXT", help="The content.")
@click.option(
    "--body-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file as content."
)
@click.option("--dry-run", "-n", is_flag=True, help="Print the exact bytes and change nothing.")
def answer(engine: str | None, status_line: str, *, dry_run: bool, **what: Any) -> None:
    """Answer everything with STATUS from the next request on: 404, '503 Back Soon', a whole status line."""
    from inspectd.control.client import ControlClient

    with ControlClient(find_engine(engine)) as client:
        if dry_run:
            from inspectd.cli.message_text import head_lines

            preview = client.preview(status=status_line, **what)
            head, _, content = preview.data.partition(b"\r\n\r\n")
            for line in head_lines(head):
                sys.stdout.write(f"{line}\n")
            sys.stdout.write(f"\n{safe(content, newline=True)}\n" if content else "\n")
            for remark in preview.remarks:
                sys.stderr.write(f"inspectd: {safe(remark)}\n")
        else:
            current = client.set_answer(status=status_line, **what)
            sys.stdout.write(f"answers {safe(current.description)}\n")


@control.command(cls=SectionCommand)
@_which
def mirror(engine: str | None) -> None:
    """Show every client its own request from the next request on."""
    from inspectd.control.client import ControlClient

    with ControlClient(find_engine(engine)) as client:
        sys.stdout.write(f"answers {safe(client.mirror().description)}\n")


@control.command(cls=SectionCommand)
@_which
def clear(engine: str | None) -> None:
    """Remove every exchange from its capture."""
    from inspectd.control.client import ControlClient

    with ControlClient(find_engine(engine)) as client:
        client.clear()


@control.command(cls=SectionCommand)
@_which
def stop(engine: str | None) -> None:
    """End it: what is in flight is finished, then the capture is closed."""
    from inspectd.control.client import ControlClient

    with ControlClient(find_engine(engine)) as client:
        client.stop()
