"""`inspectd gallery`: ready crafted answers to look at, to serve, to export, and to run a command against."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from inspectd.cli.group import Formatter, SectionCommand, SectionGroup
from inspectd.cli.options import parse_duration
from inspectd.cli.output import painter, require_stdout, wants_colour
from inspectd.errors import InspectdError
from inspectd.text.safe import clip, pad, safe
from inspectd.text.shell import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from inspectd.gallery.catalogue import Case
    from inspectd.gallery.running import Ran, Result

_EXAMPLES: Final = (
    ("inspectd gallery", "every case, by group"),
    ("inspectd gallery gzip", "those with this word in them"),
    ("inspectd gallery show stale-reset", "the exact bytes, and what a correct client does"),
    ("inspectd gallery serve --listen 9000", "curl localhost:9000/status-999"),
    ("inspectd gallery run -- curl -sSL {url}", "run a command against every case: a table"),
    ("inspectd gallery run --only 'chunk*' -- ./try {url}", "against some of them"),
    ("inspectd gallery export 'gzip-*' >rules.toml", "take them over into a rule file"),
)


class GalleryGroup(SectionGroup):
    """The group. Words that are no command are looked for in the cases."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes examples, then the commands."""
        if isinstance(formatter, Formatter):
            formatter.write_examples(_EXAMPLES)
        super().format_options(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of this name, or the list with these words."""
        if args[0] in self.commands or args[0].startswith("-"):
            return super().resolve_command(ctx, args)
        return "list", self.commands["list"], args


@click.group("gallery", cls=GalleryGroup, invoke_without_command=True, subcommand_metavar="[COMMAND|WORD...]")
@click.pass_context
def gallery(context: click.Context) -> None:
    """Ready crafted answers with names: what servers really send, right, odd and wrong.

    Each says what a correct client does with it, in which section of the specification that stands, and where the case
    was met. Without a command they are listed; with WORDs only those in which every word is found.
    """
    if context.invoked_subcommand is None:
        context.invoke(listing, words=(), as_json=False)


@gallery.command("list", cls=SectionCommand)
@click.argument("words", metavar="[WORD]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print the cases as JSON.")
def listing(words: tuple[str, ...], *, as_json: bool) -> None:
    """List the cases, by group; with WORDs, those in which every word is found."""
    require_stdout("inspectd gallery >list")
    from inspectd.gallery.catalogue import cases, search

    found = search(words)
    if as_json:
        _write_json([_described(case) for group in found for case in group.cases])
        return
    paint = painter(colour=wants_colour())
    width = max((len(case.name) for group in found for case in group.cases), default=0)
    for group in found:
        sys.stdout.write(f"{paint(group.title, 'bold')}  {paint(group.about, 'dim')}\n")
        for case in group.cases:
            sys.stdout.write(f"  {paint(pad(case.name, width), 'cyan')}  {case.title}\n")
        sys.stdout.write("\n")
    count = sum(len(group.cases) for group in found)
    if not count:
        raise InspectdError(f"no case has {' '.join(words)!r} in it", "inspectd gallery lists them all.")
    sys.stdout.write(
        paint(f"{count} of {len(cases())} cases. Look at one: inspectd gallery show NAME", "dim") + "\n"
    )


def _described(case: Case) -> dict[str, Any]:
    names = (
        "name",
        "group",
        "title",
        "section",
        "correct",
        "seen",
        "method",
        "upload",
        "expect",
        "range",
        "credentials",
    )
    return {name: getattr(case, name) for name in names}


@gallery.command(cls=SectionCommand)
@click.argument("name")
@click.option(
    "--bytes", "raw", is_flag=True, help="Write exactly the bytes of its first answer, nothing else."
)
def show(name: str, *, raw: bool) -> None:
    """Show a case: its exact bytes on a time line, its section, and what a correct client does."""
    require_stdout("inspectd gallery show NAME >text")
    from inspectd.cli.program_text import program_lines
    from inspectd.cli.rules import remarks_about, write_bytes_of
    from inspectd.gallery.catalogue import case_of
    from inspectd.gallery.showing import answers

    case = case_of(name)
    made = answers(case)
    if raw:
        write_bytes_of(made[0].program)
        return
    paint = painter(colour=wants_colour())
    write = sys.stdout.write
    write(f"{paint(case.name, 'bold')}  {case.title}\n\n")
    for what, text in (("section", case.section), ("correct", case.correct), ("seen", case.seen)):
        write(_paragraph(paint(pad(what, 9), "cyan"), text))
    if case.request:
        write(_paragraph(paint(pad("ask with", 9), "cyan"), case.request))
    for answer in made:
        write(f"\n{paint(answer.asked, 'bold')}\n")
        for line in program_lines(
            answer.program, remarks_about(answer.program, answer.request), paint, lines=24
        ):
            write(f"{line}\n")


def _paragraph(label: str, text: str) -> str:
    import shutil
    import textwrap

    width = min(shutil.get_terminal_size().columns, 110) - 10
    lines = textwrap.wrap(text, max(width, 40))
    return "".join(f"{label if place == 0 else ' ' * 9} {line}\n" for place, line in enumerate(lines))


@gallery.command(cls=SectionCommand)
@click.argument("names", metavar="[NAME]...", nargs=-1)
def export(names: tuple[str, ...]) -> None:
    """Print cases as a rule file; NAME may be a glob or a group. All of them without a NAME."""
    from inspectd.gallery.catalogue import chosen, rule_file

    sys.stdout.write(rule_file(chosen(names)))


@gallery.command(cls=SectionCommand)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--listen",
    "-l",
    metavar="HOST:PORT",
    multiple=True,
    help="Where to listen; port 0 takes a free one. Repeatable.",
)
@click.option(
    "--capture", "-c", metavar="FILE", type=click.Path(path_type=Path), help="Where to keep the capture."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, schema version 1.")
@click.option("--verbose", "-v", count=True, help="-v prints heads, -vv bodies as well.")
@click.option("--quiet", "-q", is_flag=True, help="Print the listening line only.")
def serve(names: tuple[str, ...], *, as_json: bool, quiet: bool, verbose: int, **values: Any) -> None:
    """Serve the cases, each under /NAME, and print a line an exchange, until ctrl-c.

    With NAMEs (globs or groups) only these. For the screen, take them over: inspectd gallery export >rules.toml, then
    inspectd --rules rules.toml.
    """
    require_stdout("inspectd gallery serve >lines")
    from inspectd.cli.headless import Headless
    from inspectd.cli.life import live
    from inspectd.cli.options import engine_config
    from inspectd.gallery.catalogue import book, chosen

    if as_json and verbose:
        raise click.UsageError("-v is for people, --json for programs: choose one.")
    config = engine_config(values)
    front = Headless(as_json=as_json, quiet=quiet, verbosity=verbose, capture=config.capture)
    live(config, book(chosen(names)), front)


def _seconds(_: click.Context, __: click.Parameter, value: str) -> float:
    return parse_duration(value)


@gallery.command(cls=SectionCommand, context_settings={"allow_interspersed_args": False})
@click.argument("command", metavar="-- CMD {url}", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--only", metavar="GLOB", multiple=True, help="Only cases, or groups, of these names. Repeatable."
)
@click.option(
    "--timeout",
    "-t",
    metavar="TIME",
    default="5s",
    callback=_seconds,
    help="Kill a run after this. Default: 5s.",
)
@click.option(
    "--jobs", "-j", metavar="N", type=click.IntRange(1, 64), default=4, help="So many at once. Default: 4."
)
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON.")
@click.option(
    "--expect",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare with a table that --json wrote before; exit code 1 when an outcome differs.",
)
@click.option(
    "--capture", "-c", metavar="FILE", type=click.Path(path_type=Path), help="Keep the capture here."
)
@click.pass_context
def run(
    context: click.Context,
    command: tuple[str, ...],
    *,
    only: tuple[str, ...],
    timeout: float,
    jobs: int,
    as_json: bool,
    expect: Path | None,
    capture: Path | None,
) -> None:
    """Run a command against the cases, once each, and print a table of what it did.

    In CMD, {url} becomes the address of the case, {name} its name and {method} the method that shows what it is about.
    A script finds the same, and more, in INSPECTD_URL, _CASE, _METHOD, _UPLOAD (bytes of content), _EXPECT, _RANGE and
    _CREDENTIALS. No shell is in between. Exit code 0 says that every case was run, whatever came of it.
    Ctrl-c ends it with the table of those that were run.
    """
    require_stdout("inspectd gallery run -- CMD {url} >table")
    _no_names_before(command)
    if not any("{url}" in word or "{name}" in word for word in command) and "INSPECTD_" not in " ".join(
        command
    ):
        raise click.UsageError("{url} is nowhere in the command: inspectd gallery run -- curl -sS {url}")
    before = _table_before(expect) if expect is not None else None
    from inspectd.gallery.catalogue import chosen

    some = chosen(only)
    results = _results(command, some, timeout=timeout, jobs=jobs, capture=capture)
    if not results:
        raise click.Abort
    if as_json:
        from inspectd import __version__

        table = [result.as_json() for result in results]
        _write_json({"inspectd": __version__, "command": list(command), "timeout": timeout, "cases": table})
    else:
        import shutil

        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for line in table_lines(results, width=width, paint=painter(colour=wants_colour())):
            sys.stdout.write(f"{line}\n")
    if before is not None:
        differing = list(differences(before, results))
        for line in differing:
            sys.stderr.write(f"{line}\n")
        if differing:
            context.exit(1)
    if len(results) < len(some):
        sys.stderr.write(f"interrupted: {len(results)} of {len(some)} cases were run\n")
        raise click.Abort


def _no_names_before(command: Sequence[str]) -> None:
    """Cases that stand before `--` would be run as a program."""
    import shutil

    names = command[: command.index("--")] if "--" in command else ()
    if names and shutil.which(names[0]) is None:
        only = " ".join(f"--only {quote(os.fsencode(name))}" for name in names)
        raise click.UsageError(
            f"cases are chosen with --only: inspectd gallery run {only} -- {' '.join(command[len(names) + 1 :])}"
        )


def _results(
    command: Sequence[str], some: Sequence[Case], *, timeout: float, jobs: int, capture: Path | None
) -> list[Result]:
    import asyncio
    import tempfile

    from inspectd.gallery.running import run_all

    progress = Progress(len(some))
    with tempfile.TemporaryDirectory(prefix="inspectd-gallery-") as folder:
        kept = capture.absolute() if capture is not None else Path(folder) / "gallery.inspectd"
        try:
            return asyncio.run(
                run_all(command, some, capture=kept, timeout=timeout, jobs=jobs, done=progress.done)
            )
        finally:
            progress.end()


class Progress:
    """How far a run is, on one line of standard error when that is a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._count = 0
        self._shown = sys.stderr is not None and sys.stderr.isatty()

    def done(self, ran: Ran) -> None:
        """One more run has ended."""
        self._count += 1
        if self._shown:
            sys.stderr.write(f"\r\x1b[K{self._count}/{self._total}  {ran.case.name}: {ran.outcome}")
            sys.stderr.flush()

    def end(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


# ------------------------------------------------------------------------------------------------------- the table

_COLUMNS: Final = (
    "case",
    "outcome",
    "requests",
    "connections",
    "acked/sent",
    "ended by",
    "time",
    "first line",
)


def table_lines(
    results: Iterable[Result], *, width: int | None, paint: Callable[[str, str], str]
) -> Iterator[str]:
    """The table of a run as lines of safe text, at most `width` cells wide."""
    rows = [(_COLUMNS, "dim"), *((_cells(result), _colour(result)) for result in results)]
    widths = [max(len(row[place]) for row, _ in rows) for place in range(len(_COLUMNS) - 1)]
    for row, colour in rows:
        cells = [pad(cell, size) for cell, size in zip(row, widths, strict=False)]
        room = 100 if width is None else max(width - sum(widths) - 2 * len(widths), 10)
        line = "  ".join([cells[0], paint(cells[1], colour), *cells[2:], clip(row[-1], room)])
        yield line.rstrip()


def _cells(result: Result) -> tuple[str, ...]:
    ran, seen = result.ran, result.seen
    requests = str(seen.requests)
    if seen.attempts > 1:
        requests += f", {seen.attempts} the same"
    if len(set(seen.methods)) > 1:
        requests += f": {' '.join(map(safe, seen.methods[:4]))}"
    connections = str(seen.connections)
    if seen.reused:
        connections += f", reused {seen.reused}x"
    acked = "?" if seen.acked is None else f"{seen.acked}"
    ended = f"{seen.ended_by} {(seen.how or '').upper()}".rstrip() if seen.ended_by else "-"
    said = ran.output or ran.error
    return (
        ran.case.name,
        ran.outcome,
        requests,
        connections,
        f"{acked}/{seen.sent}",
        ended,
        f"{ran.seconds:.2f} s",
        safe(said),
    )


def _colour(result: Result) -> str:
    if result.ran.exit_code is None:
        return "magenta"
    return "green" if result.ran.exit_code == 0 else "yellow"


# -------------------------------------------------------------------------------------------------------- comparing


def _table_before(path: Path) -> dict[str, dict[str, Any]]:
    """The cases of an earlier table, by name. Raises `InspectdError` when it is none."""
    import json

    try:
        table = json.loads(path.read_bytes())
        return {row["case"]: row for row in table["cases"]}
    except (ValueError, KeyError, TypeError) as problem:
        raise InspectdError(
            f"{safe(os.fspath(path))} is no table of gallery run",
            "Make one: inspectd gallery run --json ... >FILE",
        ) from problem


def differences(before: dict[str, dict[str, Any]], results: Iterable[Result]) -> Iterator[str]:
    """A line of safe text for each case whose outcome or number of requests isn't what it was."""
    for result in results:
        now = result.as_json()
        then = before.get(result.ran.case.name)
        if then is None:
            continue
        ended = [_ending(row) for row in (then, now)]
        if ended[0] != ended[1]:
            yield f"{result.ran.case.name}: {ended[0]} before, now {ended[1]}"
        if then.get("requests") != now["requests"]:
            was = clip(safe(str(then.get("requests"))), 60)
            yield f"{result.ran.case.name}: {was} request{'' if was == '1' else 's'} before, now {now['requests']}"


def _ending(row: dict[str, Any]) -> str:
    """How a run ended, as the table says it, in safe text: `killed`, `exit 0`, `signal 11`."""
    outcome, code = row.get("outcome"), row.get("exit_code")
    if outcome == "exit" and isinstance(code, int):
        return f"exit {code}" if code >= 0 else f"signal {-code}"
    return clip(safe(str(outcome)), 60)


def _write_json(value: object) -> None:
    import json

    sys.stdout.write(json.dumps(value, indent=1) + "\n")
