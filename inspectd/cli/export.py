"""`inspectd export`: what is in a capture in a form for other uses."""

from __future__ import annotations

import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from inspectd.cli.group import SectionCommand, option
from inspectd.errors import InspectdError
from inspectd.text.safe import safe
from inspectd.text.shell import quote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inspectd.capture.model import ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.export.redact import Redaction
    from inspectd.export.rules import RuleFile

AS: Final = "As what"
WHICH: Final = "Which exchanges"
RULES: Final = "How rules are made"
SECRETS: Final = "Credentials"

_IDS: Final = re.compile(r"([1-9][0-9]{0,17})(?:(-)([1-9][0-9]{0,17})?)?")

_HELP: Final = """Write what is in a capture in another form. FILE is a capture, finished or still being written.

--rules makes a rule file: a rule for each different request, with the very bytes of its answer, Date and all. The same
request answered differently becomes a sequence in the order of the recording. Answers that were cut off are cut off
again, and end as they ended: FIN, RST or silence. Long ones lie in a folder beside the file. What CONNECT and
WebSockets carried is left out, and counted: a rule with websocket = { send = [...] } says such things.

\b
  inspectd export a.inspectd --rules -o api.toml    for inspectd --rules
  inspectd export a.inspectd --rules 12 20-25       these, on standard output
  inspectd export a.inspectd --rules --redact -o .  no credentials; rules.toml

To serve a capture as it is there is no need for a file: inspectd playback FILE.
"""


@click.command("export", cls=SectionCommand, help=_HELP)
@click.argument("capture", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("ids", metavar="[ID|ID-ID]...", nargs=-1)
@option("--rules", "as_rules", section=AS, is_flag=True, help="A rule file.")
@option(
    "--output",
    "-o",
    section=AS,
    metavar="FILE|DIR",
    type=click.Path(path_type=Path),
    help="Write here instead of standard output; in a directory, as rules.toml. Only you can read it.",
)
@option("--force", section=AS, is_flag=True, help="Write over a file that is there.")
@option(
    "--host",
    section=WHICH,
    metavar="GLOB",
    multiple=True,
    help="Only those for this host, with its port where GLOB has one. Repeatable.",
)
@option(
    "--method", section=WHICH, metavar="NAME", multiple=True, help="Only those of this method. Repeatable."
)
@option(
    "--match",
    section=RULES,
    metavar="PARTS",
    default="usual",
    show_default=True,
    help="What of a request has to be as recorded: method, path, query, host, body, headers:NAME with commas between;"
    " or usual (method,path,query,host), strict (and body), loose (method,path). The host counts where several were"
    " recorded.",
)
@option(
    "--with-timing", section=RULES, is_flag=True, help="Wait before each answer as long as was waited then."
)
@option(
    "--redact",
    section=SECRETS,
    is_flag=True,
    help="Fill credentials with x, byte for byte: the values of Authorization, Cookie, Set-Cookie, X-Api-Key and the"
    " like, passwords in URLs, and query parameters such as token and key. Content is searched for these alone.",
)
@option(
    "--redact-field",
    section=SECRETS,
    metavar="NAME",
    multiple=True,
    help="And the values of this field. Implies --redact. Repeatable.",
)
@option(
    "--redact-query",
    section=SECRETS,
    metavar="NAME",
    multiple=True,
    help="And this query parameter. Implies --redact. Repeatable.",
)
def command(
    capture: Path,
    ids: tuple[str, ...],
    *,
    as_rules: bool,
    output: Path | None,
    force: bool,
    host: tuple[str, ...],
    method: tuple[str, ...],
    match: str,
    with_timing: bool,
    redact: bool,
    redact_field: tuple[str, ...],
    redact_query: tuple[str, ...],
) -> None:
    """Write a capture in another form."""
    from inspectd.capture.reader import Capture
    from inspectd.cli.output import require_stdout
    from inspectd.export.likeness import likeness
    from inspectd.export.recorded import rows_of
    from inspectd.export.redact import Redaction
    from inspectd.export.rules import RuleWriter

    if not as_rules:
        raise click.UsageError("Say as what: --rules makes a rule file.")
    wanted = [_range(text) for text in ids]
    like = likeness(match)
    redacts = redact or redact_field or redact_query
    redaction: Redaction | None = Redaction(redact_field, redact_query) if redacts else None
    if output is None:
        require_stdout("inspectd export FILE --rules -o rules.toml")
    elif output.is_dir():
        output = output / "rules.toml"
    if output is not None and output.is_file() and not force:
        raise InspectdError(f"{output} is there already", "Name another file, or write over it with --force.")
    with Capture.open(capture) as opened:
        writer = RuleWriter(
            opened,
            like=like,
            folder=None if output is None else output.with_name(f"{output.stem}.answers"),
            timing=with_timing,
            redaction=redaction,
            watch=Redaction(),
        )
        _all_there(opened, wanted)
        made = writer.write(_chosen(rows_of(opened, wanted), host, method))
    if output is None:
        sys.stdout.write(made.text)
    else:
        _write(output, made.text)
    _tell(made, output, redacted=redaction is not None)


def _range(text: str) -> range:
    found = _IDS.fullmatch(text)
    if found is None:
        raise click.BadParameter(
            f"{text!r} is no id: write 12, 20-25 or 20-; inspectd list prints the ids.", param_hint="ID"
        )
    first = int(found[1])
    last = int(found[3]) if found[3] else (1 << 62) if found[2] else first
    if last < first:
        raise click.BadParameter(f"{text!r} ends before it begins.", param_hint="ID")
    return range(first, last + 1)


def _all_there(capture: Capture, wanted: Iterable[range]) -> None:
    """Raises `InspectdError` for an id, or a range of them, that names no exchange."""
    from inspectd.export.recorded import rows_of

    for one in wanted:
        if next(rows_of(capture, [one]), None) is None:
            open_end = one.stop > 1 << 62
            which = str(one.start) if len(one[:2]) == 1 else f"{one.start}-{'' if open_end else one.stop - 1}"
            raise InspectdError(
                f"{capture.path}: there is no exchange {which} in it",
                f"inspectd list {quote(str(capture.path).encode())} prints the ids.",
            )


def _chosen(
    rows: Iterator[ExchangeRow], hosts: tuple[str, ...], methods: tuple[str, ...]
) -> Iterator[ExchangeRow]:
    from inspectd.rules.subject import without_port

    for row in rows:
        host = (row.host or "").lower()
        named = any(
            fnmatchcase(host, one.lower()) or fnmatchcase(without_port(host), one.lower()) for one in hosts
        )
        if (named or not hosts) and (row.method in methods or not methods):
            yield row


def _write(path: Path, text: str) -> None:
    from inspectd.export.rules import private

    try:
        with open(path, "w", encoding="utf-8", opener=private) as file:
            file.write(text)
    except OSError as problem:
        raise InspectdError(
            f"{path} can't be written: {problem.strerror}", "Name another file with -o."
        ) from None


def _tell(made: RuleFile, output: Path | None, *, redacted: bool) -> None:
    """What was made, what was left out, and what others could read in it: on standard error."""
    from inspectd.export.rules import counted

    said = []
    if output is not None:
        beside = f", {counted(made.files, 'long answer')} in {output.stem}.answers/" if made.files else ""
        said.append(
            f"{output}: {counted(made.rules, 'rule')} from {counted(made.exchanges, 'exchange')}{beside}"
        )
        said.append(f"Serve them: inspectd --rules {quote(str(output).encode())}")
    if left_out := made.left_out.sentence:
        said.append(f"left out: {left_out}")
    if found := made.found.sentence:
        said.append(
            f"redacted: {found}" if redacted else f"credentials are in it: {found}. Without: --redact"
        )
    if redacted and (unsearched := made.found.unsearched):
        which = ", ".join(f"{count:,} {why}" for why, count in sorted(unsearched.items()))
        said.append(f"not searched for echoes of credentials: contents, {which}")
    if redacted and (left := made.found.left):
        which = ", ".join(
            f"{what} ({count:,})" if count > 1 else what for what, count in sorted(left.items())
        )
        said.append(f"left there, too short to be told from chance: {which}")
    for line in said:
        print(f"inspectd: {safe(line, doubling=False)}", file=sys.stderr)
