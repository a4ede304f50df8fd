"""`inspectd rules`: check rule files, show what one answers to a request, print the schema. No server is needed."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from inspectd.cli.group import Formatter, SectionCommand, SectionGroup
from inspectd.cli.output import painter, require_stdout, wants_colour
from inspectd.errors import InspectdError
from inspectd.text.safe import clip, pad, safe
from inspectd.text.shell import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inspectd.rules.book import RuleBook, Verdict
    from inspectd.rules.file import LoadedFile
    from inspectd.rules.program import LiveProgram, Program
    from inspectd.rules.request import Request
    from inspectd.rules.rule import Rule

_ANSWER_CELLS: Final = 160  # of an answer in a few words

SAMPLE: Final = """\
# The first rule that matches answers; the mirror does when none does.
[[rule]]                            # a status line, verbatim
match = "GET /teapot"
respond = "418 I'm a teapot"

[[rule]]                            # one answer after the other
match = { method = "POST", path = "/pay/*", header.Accept = "*json*" }
each = ["503 Busy", "503 Busy", { respond = "200 OK", json = { ok = true } }]
then = "last"                       # last, cycle, close, next, or a status
per = "client"                      # rule, connection, client, header:NAME

[[rule]]                            # byte-exact; \\u00NN is a byte
match = "/lf-only"
raw = "HTTP/1.1 200\\nX-A: 1\\n folded\\nContent-Length: 99\\n\\nhi\\u0000"

[[rule]]                            # slowly, and then not at all
match = "GET /slow"
respond = "200 OK"
headers = ["Content-Type: text/plain", "X-Odd : 1"]
body = "the first half, the second half"
pace = { before = "300ms", head = "1B/20ms", body = "4KiB/s" }
# close, half-close, reset, stall, truncate, garbage
fault = { at = "body+50%", do = "reset" }

[[rule]]                            # made from the request
match = "/hello/{name}"
template = true
respond = "200 OK"
body = "Hello {{ captured.name }}, you are {{ client }}.\\n"

[[rule]]                            # a real server answers, but for this
match = "/api/**"
proxy = "http://localhost:3000"     # true: the server that the mode would ask
patch = { respond = "503 Busy", remove = ["Set-Cookie"] }

[[rule]]                            # wait for a person, or a test, to decide
match = "PUT /**"
hold = true
"""
"""A rule file that shows what there is. The help page prints it, `inspectd rules sample` too."""

_EXAMPLES: Final = (
    ("inspectd rules sample >rules.toml", "a file to begin with"),
    ("inspectd rules check rules.toml", "every mistake, with line and column"),
    ("inspectd rules show rules.toml 'GET /slow'", "which rule answers, and with what"),
    ("inspectd --rules rules.toml", "use it; a change counts at once"),
    ("inspectd gallery", "ready answers to take rules from"),
)


class RulesGroup(SectionGroup):
    """The group, whose help page ends with a rule file."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes examples and commands, then a whole rule file."""
        if isinstance(formatter, Formatter):
            formatter.write_examples(_EXAMPLES)
        super().format_options(ctx, formatter)
        with formatter.section("A rule file"):
            for line in SAMPLE.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line}".rstrip() + "\n")
        formatter.write("\nEvery key: inspectd rules schema, and the section on rules of README.md.\n")


@click.group("rules", cls=RulesGroup)
def rules() -> None:
    """Crafted answers by rule: check a rule file, and see what it answers before anybody asks."""


_files = click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True)
)


@rules.command(cls=SectionCommand)
@_files
@click.option("--verbose", "-v", is_flag=True, help="List the rules: where, for what, and the answer.")
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...], *, verbose: bool) -> None:
    """Say what is wrong with rule files, all of it at once. Exit code 1 when something is. - is standard input.

    Of several files the first comes first. A rule that never answers, because one before it takes all of its
    requests, is told of, and a fault that never happens, or a status line that no client understands; that is not
    wrong.
    """
    from inspectd.rules.file import RuleFileError
    from inspectd.rules.idle import without_effect
    from inspectd.rules.manner import holding
    from inspectd.rules.shadow import never_answering

    wrong = 0
    found: list[Rule] = []
    accepting = ""
    for path in files:
        try:
            loaded = loaded_from(path)
        except RuleFileError as error:
            wrong += len(error.problems)
            sys.stderr.write(f"{error}\n")
            continue
        found += loaded.rules
        count = holding(len(loaded.rules), len(loaded.tls), accept=loaded.accept is not None)
        empty = not (loaded.rules or loaded.tls or loaded.accept is not None)
        sys.stdout.write(
            f"{safe(str(path))}: {count}, nothing wrong{' and nothing in it' if empty else ''}\n"
        )
        if loaded.tls:
            sys.stdout.write(
                f"{safe(str(path))}: [[tls]] is about listeners that speak TLS (--listen https://8443) and about what"
                " inspectd proxy, run and browser look into; elsewhere it does nothing\n"
            )
        if loaded.accept is not None:
            if accepting:
                sys.stdout.write(
                    f"{safe(str(path))}: its [accept] does nothing: that of {accepting} comes first\n"
                )
            accepting = accepting or safe(str(path))
        if verbose:
            sys.stdout.writelines(f"{line}\n" for line in _listed(loaded))
    for rule, before in never_answering(found):
        names = [f"{safe(one.id)} ({clip(safe(one.match), 40)})" for one in (rule, before)]
        if names[0] == names[1]:
            names = [f"{name} of {safe(one.source)}" for name, one in zip(names, (rule, before), strict=True)]
        sys.stdout.write(f"{names[0]} never answers: {names[1]} comes first\n")
    ids = Counter(rule.id for rule in found)
    for rule in found:
        where = f" of {safe(rule.source)}" if ids[rule.id] > 1 else ""
        for sentence in without_effect(rule):
            sys.stdout.write(f"{safe(rule.id)} ({clip(safe(rule.match), 40)}){where}: {sentence}\n")
    if wrong:
        sys.stderr.write(f"inspectd: {_count(wrong, 'problem')}\n")
        context.exit(1)


def _listed(loaded: LoadedFile) -> Iterator[str]:
    """What a file says, a line for its `[accept]` and one for each rule."""
    from inspectd.rules.manner import accepting, shaking

    if loaded.accept is not None:
        yield f"  {pad('[accept]', 24)} {pad('connections', 40)} {accepting(loaded.accept)}"
    for table in loaded.tls:
        yield f"  {pad('[[tls]]', 24)} {pad(clip(safe(table.name), 40), 40)} {shaking(table)}"
    for rule in loaded.rules:
        yield (
            f"  {pad(clip(safe(rule.id), 24), 24)} {pad(clip(safe(rule.match), 40), 40)}"
            f" {clip(safe(rule.answer), _ANSWER_CELLS)}"
        )


@rules.command(cls=SectionCommand)
@_files
@click.argument("request", metavar="'GET /PATH'")
@click.option(
    "--header", "-H", "headers", metavar="'NAME: VALUE'", multiple=True, help="A field of the request."
)
@click.option("--body", metavar="TEXT", help="The content of the request.")
@click.option(
    "--body-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file as content."
)
@click.option(
    "--nth",
    metavar="N",
    type=click.IntRange(1, 100_000),
    default=1,
    help="The Nth such request, all on one connection: for rules with several answers.",
)
@click.option("--bytes", "raw", is_flag=True, help="Write exactly the bytes of the answer, and nothing else.")
def show(
    files: tuple[Path, ...],
    request: str,
    *,
    headers: tuple[str, ...],
    body: str | None,
    body_file: Path | None,
    nth: int,
    raw: bool,
) -> None:
    """Show which rule answers a request, why those before it don't, and the answer: bytes, times, faults.

    The request is a method and a target ('GET /slow', 'POST /pay?x=1'); with -H and --body it gets fields and content.
    A rule that is a WebSocket is asked with a handshake. FILE - is standard input.
    """
    from inspectd.control.recorded import as_handshake
    from inspectd.rules.file import RuleFileError

    require_stdout("inspectd rules show FILE 'GET /' >text")
    _in_quotes(files, request)
    asked = asked_for(request, headers, body_file.read_bytes() if body_file is not None else _encoded(body))
    try:
        book, accepting = book_of(files)
    except RuleFileError as error:
        sys.stderr.write(f"{error}\n")
        raise InspectdError(_count(len(error.problems), "problem"), exit_code=2) from None
    for number in range(1, nth):
        book.respond(replace(asked, number=number), now=time.time(), persist=True)
    asked = replace(asked, number=nth)
    matched, program = book.preview(asked, now=time.time())
    if (handshake := as_handshake(asked, matched)) is not None:
        asked = handshake
        matched, program = book.preview(asked, now=time.time())
    if raw:
        write_bytes_of(program)
        return
    paint = painter(colour=wants_colour())
    if accepting:
        sys.stdout.write(f"  {paint('accept', 'magenta')}   {accepting}\n")
    for line in verdict_lines(book.trial(asked), paint):
        sys.stdout.write(f"{line}\n")
    if matched is None:
        sys.stdout.write(f"  {paint('no rule matches', 'magenta')}: the mirror answers\n")
    from inspectd.cli.program_text import program_lines
    from inspectd.rules.idle import of_the_rule

    remarks = [*(of_the_rule(matched) if matched is not None else ()), *remarks_about(program, asked)]
    sys.stdout.write("\n")
    for line in program_lines(program, remarks, paint):
        sys.stdout.write(f"{line}\n")


@rules.command(cls=SectionCommand)
def schema() -> None:
    """Print the JSON Schema of rule files, for editors that complete and check TOML."""
    import json

    from inspectd.rules.file import schema as schema_of

    sys.stdout.write(json.dumps(schema_of(), indent=2, ensure_ascii=False) + "\n")


@rules.command(cls=SectionCommand)
def sample() -> None:
    """Print a rule file to begin with."""
    sys.stdout.write(SAMPLE)


def _in_quotes(files: Sequence[Path], request: str) -> None:
    """A method that stands among the files was to be a part of the request."""
    *before, last = map(str, files)
    if (
        last.isalpha()
        and last.isupper()
        and request.startswith(("/", "*", "http:"))
        and not files[-1].exists()
    ):
        names = " ".join(quote(os.fsencode(name)) for name in before) or "FILE"
        asked = quote(os.fsencode(f"{last} {request}"))
        raise click.UsageError(f"put the request in quotes: inspectd rules show {names} {asked}")


def book_of(files: Sequence[Path]) -> tuple[RuleBook, str]:
    """A book of these files in their order, before the mirror, and what their `[accept]` does, in safe text.

    Raises `RuleFileError` with all that is wrong.
    """
    from inspectd.rules.book import RuleBook
    from inspectd.rules.file import RuleFileError
    from inspectd.rules.manner import accepting
    from inspectd.rules.mirror import Mirror

    book = RuleBook(Mirror())
    problems = []
    said = ""
    for path in files:
        try:
            loaded = loaded_from(path)
        except RuleFileError as error:
            problems += error.problems
            continue
        book.replace(str(path), loaded.rules)
        if loaded.accept is not None and not said:  # the first one counts
            said = f"{clip(safe(path.name), 40)}  {accepting(loaded.accept)}"
    if problems:
        raise RuleFileError(problems)
    return book, said


def loaded_from(path: Path) -> LoadedFile:
    """A rule file, compiled; `-` is standard input, with relative paths from this folder. Raises `RuleFileError`."""
    from inspectd.rules.file import load_file, load_text

    if str(path) != "-":
        return load_file(path)
    try:
        text = "" if sys.stdin is None else sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise InspectdError("standard input is not UTF-8, and TOML is") from None
    return load_text(text, source="standard input", base=Path.cwd())


def asked_for(request: str, headers: Sequence[str] = (), content: bytes = b"") -> Request:
    """A request of these words. Raises `InspectdError` when it is none."""
    from inspectd.control.recorded import made_up

    words = request.split()
    if len(words) == 1 and not words[0].startswith("/"):
        raise InspectdError(
            f"{request!r} names no path", "Write a method and a path: 'GET /slow'.", exit_code=2
        )
    line = _encoded(request if len(words) > 1 else f"GET {words[0]}" if words else "GET /")
    if len(words) < 3:
        line += b" HTTP/1.1"
    lines = [line]
    given = {header.partition(":")[0].strip().lower() for header in headers}
    if "host" not in given:
        lines.append(b"Host: localhost:8080")
    for header in headers:
        if ":" not in header or "\n" in header or "\r" in header:
            raise InspectdError(f"{header!r} is no field line", "Write it as 'Name: value'.", exit_code=2)
        lines.append(_encoded(header))
    if content and not {"content-length", "transfer-encoding"} & given:
        lines.append(b"Content-Length: %d" % len(content))
    return made_up(b"\r\n".join(lines) + b"\r\n\r\n" + content)


def _encoded(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogateescape")


def verdict_lines(verdicts: Sequence[Verdict], paint: Callable[[str, str], str]) -> Iterator[str]:
    """Each rule up to the one that answers, and why it does or doesn't. Rules behind it are only counted."""
    for place, verdict in enumerate(verdicts):
        rule = verdict.rule
        name = f"{clip(safe(rule.id), 40)}  {clip(safe(rule.match), 60)}"
        if verdict.matched:
            yield f"  {paint('answers', 'green')}  {name}  {clip(safe(rule.answer), _ANSWER_CELLS)}"
            behind = len(verdicts) - place - 1
            if behind:
                yield paint(f"           {_count(behind, 'rule')} behind it", "dim")
            return
        yield f"  {paint('no', 'dim')}       {name}"
        for sentence in verdict.why_not:
            yield paint(f"             {sentence}", "dim")


def remarks_about(program: Program | LiveProgram, request: Request) -> list[str]:
    """What is illegal or odd about an answer, a line each in safe text: from which byte on, what, and which section."""
    from inspectd.rules.program import LiveProgram
    from inspectd.rules.remarks import remarks_of

    found = remarks_of(program, method=request.head.method)
    idle = [] if isinstance(program, LiveProgram) else program.idle
    return [*idle, *(f"byte {remark.start:,}: {remark.sentence} {remark.section}" for remark in found)]


def write_bytes_of(program: Program | LiveProgram) -> None:
    """Write what a program sends to standard output. Raises `InspectdError` when that isn't known before."""
    from inspectd.cli.program_text import bytes_of

    data = bytes_of(program)
    if data is None:
        raise InspectdError("the bytes of this answer become known only while it is played")
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
