"""`inspectd control`: ask a running engine, or change what it answers, from a shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from inspectd.cli.attach import find_engine
from inspectd.cli.control_rules import COMMANDS, which
from inspectd.cli.group import SectionCommand, SectionGroup
from inspectd.text.safe import safe

if TYPE_CHECKING:
    from inspectd.control.messages import CurrentAnswer


@click.group("control", cls=SectionGroup, no_args_is_help=False)
def control() -> None:
    """Ask a running engine, change its answer or its rules, decide what is held."""


@control.command(cls=SectionCommand)
@which
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
        f"answers    {_answers(state.answer)}\n"
        f"exchanges  {state.exchanges}, {state.connections_open} connections open\n"
        f"capture    {safe(state.capture)}\n"
        f"control    {safe(str(socket))}\n"
    )
    if state.held or state.hold_next != 0:
        following = "all that follow" if state.hold_next is None else f"{state.hold_next} to follow"
        sys.stdout.write(f"held       {state.held}, {following}\n")
    if state.unrecorded:
        sys.stdout.write(f"unrecorded {state.unrecorded} connections to other servers than --only asks for\n")
    problems = [*(state.rules_error or "").splitlines(), state.capture_error or ""]
    for problem in filter(None, problems):
        sys.stdout.write(f"problem    {safe(problem, doubling=False)}\n")


def _answers(answer: CurrentAnswer) -> str:
    otherwise = "" if answer.otherwise is None else f", then {safe(answer.otherwise)}"
    return safe(answer.description) + otherwise


@control.command(
    cls=SectionCommand, short_help="Answer everything with this status line from the next request on."
)
@which
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
            sys.stdout.write(f"answers {_answers(current)}\n")


@control.command(cls=SectionCommand)
@which
def mirror(engine: str | None) -> None:
    """Show every client its own request from the next request on."""
    from inspectd.control.client import ControlClient

    with ControlClient(find_engine(engine)) as client:
        sys.stdout.write(f"answers {_answers(client.mirror())}\n")


@control.command(cls=SectionCommand)
@which
def restore(engine: str | None) -> None:
    """Answer again as when the engine started: a proxy passes requests on again."""
    from inspectd.control.client import ControlClient

    with ControlClient(find_engine(engine)) as client:
        sys.stdout.write(f"answers {_answers(client.restore_answer())}\n")


for _command in COMMANDS:
    control.add_command(_command)


@control.command(cls=SectionCommand)
@which
def clear(engine: str | None) -> None:
    """Remove every exchange from its capture."""
    from inspectd.control.client import ControlClient

    with ControlClient(find_engine(engine)) as client:
        client.clear()


@control.command(cls=SectionCommand)
@which
def stop(engine: str | None) -> None:
    """End it: what is in flight is finished, then the capture is closed."""
    from inspectd.control.client import ControlClient

    with ControlClient(find_engine(engine)) as client:
        client.stop()
