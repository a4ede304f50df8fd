"""`inspectd control rules`, `hold`, `holds`, `release`, `drop` and `reset`: craft answers of a running engine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from inspectd.cli.attach import find_engine
from inspectd.cli.group import SectionCommand
from inspectd.errors import InspectdError
from inspectd.text.safe import pad, safe

if TYPE_CHECKING:
    from inspectd.control.client import ControlClient
    from inspectd.control.messages import Complaint
    from inspectd.control.rules_messages import RulesShown
    from inspectd.control.traffic_messages import HeldShown

which = click.option("--engine", metavar="SOCKET|PID", help="Which engine; the newest one by default.")


def ask(engine: str | None) -> ControlClient:
    """A client of the engine that is asked for. Raises `InspectdError` when it isn't there."""
    from inspectd.control.client import ControlClient

    return ControlClient(find_engine(engine))


# -- rules


@click.command(cls=SectionCommand, short_help="Answer by the rules of these files, or show the rules in use.")
@which
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--clear", is_flag=True, help="Remove the rules that came this way; those of --rules stay.")
@click.option(
    "--show", is_flag=True, help="Print the rules in use. That is what happens without a FILE, too."
)
@click.option("--json", "as_json", is_flag=True, help="Print the rules in use as JSON.")
def rules(engine: str | None, files: tuple[Path, ...], *, clear: bool, show: bool, as_json: bool) -> None:
    """Answer by the rules of these files from the next request on; - reads them from standard input.

    They take the place of all rules that came this way before, and are tried before those of the engine's own --rules.
    The engine reads the files once: later changes of them count when you say it again.
    """
    if clear and files:
        raise click.UsageError("--clear takes no FILE.")
    if len(files) > 1 and Path("-") in files:
        raise click.UsageError("- stands alone.")
    with ask(engine) as client:
        if clear:
            shown = client.delete_rules()
        elif files:
            shown = put(client, files)
        else:
            shown = client.rules()
    if as_json:
        sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
    elif show or not (clear or files):
        for line in rules_lines(shown):
            sys.stdout.write(f"{line}\n")
    else:
        count = sum(len(source.rules) for source in shown.sources)
        sys.stdout.write(f"answers by {_count(count, 'rule')}, then {safe(shown.fallback)}\n")
        sys.stdout.writelines(f"{line}\n" for line in _handshake_lines(shown))


def put(client: ControlClient, files: tuple[Path, ...]) -> RulesShown:
    """Hand rules to an engine. Prints every problem of those that can't be used, and raises `ControlError`."""
    from inspectd.control.client import ControlError

    try:
        if files == (Path("-"),):
            return client.put_rules(sys.stdin.read(), base=Path.cwd())
        return client.put_rules(files=files)
    except ControlError as error:
        for complaint in error.problems:
            sys.stderr.write(f"{complaint_line(complaint)}\n")
        if error.problems:
            error.exit_code = 2
        raise


def complaint_line(complaint: Complaint) -> str:
    """What is wrong with a rule, in one line of safe text."""
    from inspectd.control.rules_in_use import sentence

    return safe(sentence(complaint), doubling=False)


def rules_lines(shown: RulesShown) -> list[str]:
    """The rules in use for a person, as safe text."""
    lines: list[str] = []
    for source in shown.sources:
        where = source.path if source.path is not None else "over the control API"
        lines.append(f"{safe(source.name)}: {_count(len(source.rules), 'rule')}, {safe(where)}")
        if source.error is not None:
            lines += [f"  not in use: {complaint_line(each)}" for each in source.error.problems]
        widths = [
            max((len(safe(getattr(rule, name))) for rule in source.rules), default=0)
            for name in ("id", "match")
        ]
        for rule in source.rules:
            calls = f"called {_count(rule.calls, 'time')}" if rule.calls else "not called"
            cells = (pad(safe(rule.id), min(widths[0], 30)), pad(safe(rule.match), min(widths[1], 40)))
            lines.append(f"  {'  '.join(cells)}  {safe(rule.answer)}  ({calls})")
    lines.append(f"otherwise: {safe(shown.fallback)}")
    return [*lines, *_handshake_lines(shown)]


def _handshake_lines(shown: RulesShown) -> list[str]:
    if not shown.handshakes:
        return []
    idle = " that do nothing: no listener speaks TLS, and no tunnel is looked into" * shown.handshakes_idle
    return [f"handshakes: {_count(shown.handshakes, '[[tls]] table')}{idle}"]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


# -- held exchanges


@click.command(cls=SectionCommand, short_help="Let the next requests wait until you decide.")
@which
@click.argument("count", metavar="[N]", type=click.IntRange(1), required=False)
@click.option("--all", "every", is_flag=True, help="Every request, until --off.")
@click.option("--off", is_flag=True, help="Hold no more; what is held goes on waiting.")
@click.option(
    "--timeout", metavar="TIME", default="5m", show_default=True, help="Then it gets its normal answer."
)
def hold(engine: str | None, count: int | None, timeout: str, *, every: bool, off: bool) -> None:
    """Let the next request wait until you decide, or the next N. See what waits with `inspectd control holds`."""
    if (count is not None) + every + off > 1:
        raise click.UsageError("N, --all and --off: choose one.")
    number = 0 if off else None if every else count or 1
    with ask(engine) as client:
        shown = client.hold_next(number, timeout=timeout)
    if shown.next is None:
        said = "holds every request"
    elif not shown.next:
        said = "holds no more"
    else:
        said = "holds the next request" if shown.next == 1 else f"holds the next {shown.next} requests"
    sys.stdout.write(f"{said}\n")


@click.command(cls=SectionCommand)
@which
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def holds(engine: str | None, *, as_json: bool) -> None:
    """What waits for you to decide."""
    import time

    with ask(engine) as client:
        shown = client.holds()
    if as_json:
        sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
        return
    for held in shown.held:
        sys.stdout.write(f"{held_line(held, time.time_ns())}\n")
    if not shown.held:
        sys.stdout.write("nothing is held\n")


def held_line(held: HeldShown, now: int) -> str:
    """What waits, in one line of safe text."""
    seconds = max(now - held.since_ns, 0) / 1e9
    gone = ", its client has sent FIN" if held.client_gone else ""
    return (
        f"{held.id:>5}  {safe(held.method or '-')} {safe(held.target or '-')}  from {safe(held.peer)}, held for"
        f" {seconds:.1f} of {held.timeout:g} s{gone}, then {safe(held.label)}"
    )


def the_one(client: ControlClient, number: int | None) -> int:
    """The id that was given, or that of the only exchange that is held. Raises `InspectdError` with those there are."""
    if number is not None:
        return number
    held = client.holds().held
    if len(held) == 1:
        return held[0].id
    if not held:
        raise InspectdError(
            "nothing is held", "Let the next request wait: inspectd control hold", exit_code=2
        )
    ids = ", ".join(str(each.id) for each in held)
    raise InspectdError(f"{len(held)} are held: {ids}", "Name one of these ids.", exit_code=2)


@click.command(cls=SectionCommand, short_help="Answer what waits: as it would have been, or otherwise.")
@which
@click.argument("number", metavar="[ID]", type=click.IntRange(1), required=False)
@click.option("--all", "every", is_flag=True, help="Everything that is held, with its normal answer.")
@click.option("--answer", "-a", "status", metavar="STATUS", help="With this status line instead.")
@click.option(
    "--header", "-H", "headers", metavar="'NAME: VALUE'", multiple=True, help="A field line. Repeatable."
)
@click.option("--body", metavar="TEXT", help="The content.")
@click.option(
    "--raw",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="With exactly the bytes of this file instead; - is standard input.",
)
@click.option("--rule", metavar="RULE", help="With the answer of this rule instead, by its id.")
@click.option("--close", is_flag=True, help="Close the connection after the bytes of --raw.")
def release(
    engine: str | None,
    number: int | None,
    status: str | None,
    headers: tuple[str, ...],
    body: str | None,
    raw: Path | None,
    rule: str | None,
    *,
    every: bool,
    close: bool,
) -> None:
    """Answer a held exchange; `inspectd control holds` prints the ids. Without an ID it is the only one that waits."""
    if number is not None and every:
        raise click.UsageError("ID and --all: choose one.")
    with ask(engine) as client:
        if every:
            sys.stdout.write(f"released {client.release_all().released}\n")
            return
        data = None
        if raw is not None:
            data = sys.stdin.buffer.read() if raw == Path("-") else raw.read_bytes()
        number = the_one(client, number)
        client.release(number, raw=data, close=close, status=status, headers=headers, body=body, rule=rule)


@click.command(cls=SectionCommand)
@which
@click.argument("number", metavar="[ID]", type=click.IntRange(1), required=False)
def drop(engine: str | None, number: int | None) -> None:
    """Close the connection of a held exchange without a byte (FIN). Without an ID it is the only one that waits."""
    with ask(engine) as client:
        client.drop(the_one(client, number))


@click.command(cls=SectionCommand)
@which
@click.argument("number", metavar="[ID]", type=click.IntRange(1), required=False)
def reset(engine: str | None, number: int | None) -> None:
    """Abort the connection of a held exchange (RST). Without an ID it is the only one that waits."""
    with ask(engine) as client:
        client.reset(the_one(client, number))


COMMANDS = (rules, hold, holds, release, drop, reset)
