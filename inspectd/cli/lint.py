"""`inspectd lint`: everything that is found in the messages of a capture or a file, grouped by id. For CI and people.

Counting needs no more memory than there are ids; bytes of the wire reach the output through `inspectd.text.safe`, or in
JSON as text of one character a byte.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import ChainMap
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from inspectd.capture.model import INCOMING
from inspectd.cli.anatomy import kind_of, load
from inspectd.cli.group import SectionCommand
from inspectd.cli.lines import json_line
from inspectd.cli.listing import WORTH_A_BAR, all_exchanges
from inspectd.cli.output import draws_glyphs, painter, require_stdout, wants_colour
from inspectd.errors import InspectdError
from inspectd.text.safe import clip, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from inspectd.capture.model import ConnectionRow, ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.lint import Entry, Finding, Severity
    from inspectd.wire.span import Kind

EXAMPLES: Final = 5
"""Examples of an id."""
QUOTED: Final = 64
"""Bytes of an example."""

_SQLITE: Final = b"SQLite format 3\0"
_COLOURS: Final = {"error": "red", "warning": "yellow", "info": "cyan", "good": "green"}


@click.command("lint", cls=SectionCommand)
@click.argument("source", metavar="CAPTURE|FILE|-")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "info", "never"]),
    default="error",
    show_default=True,
    help="Exit with 1 when something as bad as this, or worse, is found.",
)
@click.option("--only", "only", metavar="ID", multiple=True, help="Look for this finding alone; repeatable.")
@click.option(
    "--kind",
    type=click.Choice(["request", "response"]),
    help="In a capture, look at these messages alone. Of a file: what its bytes are.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with what other parsers say.")
def command(source: str, *, fail_on: str, only: tuple[str, ...], kind: Kind | None, as_json: bool) -> None:
    """Tell what is wrong, odd or worth knowing about messages: of a capture, a file of HTTP bytes, or a pipe.

    Findings are grouped by id, the worst first, each with how many messages have it and a few of them. In a capture
    the messages of WebSockets and the events of streams are looked at as well (ws-*, sse-*). The exit code is 1 when
    a finding is as bad as --fail-on says, else 0. With --json, h11 and httptools are asked about the examples as
    well, if they are installed.
    """
    require_stdout("inspectd lint FILE >findings.txt")
    wanted = _chosen(only)
    report = Report(wanted)
    if _is_capture(source):
        from inspectd.capture.reader import Capture

        with Capture.open(Path(source)) as capture:
            report.capture(capture, ("request", "response") if kind is None else (kind,), asking=as_json)
    else:
        data = load(source)
        report.stream(data, kind or kind_of(data), asking=as_json)
    if as_json:
        sys.stdout.write(json_line(report.facts()))
    else:
        for line in report.lines():
            sys.stdout.write(f"{line}\n")
    if report.fails(fail_on):
        sys.stdout.flush()
        click.get_current_context().exit(1)


def _is_capture(source: str) -> bool:
    """Whether this is the name of a database file."""
    if source == "-":
        return False
    try:
        with Path(source).open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except (OSError, ValueError):
        return False  # reading it says why


def _chosen(only: Sequence[str]) -> frozenset[str]:
    known = _known()
    for name in only:
        if name not in known:
            import difflib

            near = difflib.get_close_matches(name, known, 3, 0.5)
            raise InspectdError(
                f"--only {name}: there is no such finding",
                f"Did you mean {', '.join(near)}?" if near else "",
                exit_code=2,
            )
    return frozenset(only)


def _known() -> ChainMap[str, Entry]:
    """What can be found, in messages and behind their heads."""
    from inspectd.lint import catalogue
    from inspectd.lint.behind import entries

    return ChainMap(catalogue(), entries())


class Group:
    """All of one id."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.count = 0
        """Messages that have it."""
        self.examples: list[dict[str, Any]] = []


class Report:
    """What is found, grouped by id. `only`: these ids alone; else all but good notes."""

    def __init__(self, only: frozenset[str]) -> None:
        self._only = only
        self._groups: dict[str, Group] = {}
        self._looked = 0
        self._what = "message"

    # -- looking

    def capture(self, capture: Capture, kinds: tuple[Kind, ...], *, asking: bool) -> None:
        """Look at every exchange of a capture, and at what came on connections that never became one."""
        from inspectd.capture.findings import EXAMINED, findings_of, ids_in
        from inspectd.capture.reader import BytesGone

        self._what = "exchange"
        with _progress(capture.newest_exchange()) as advance:
            for row in all_exchanges(capture):
                advance(1)
                self._looked += 1
                for kind in kinds:
                    fresh = self._count(ids_in(capture, row, kind))
                    if not fresh:
                        continue
                    read = capture.request_bytes if kind == "request" else capture.response_bytes
                    try:
                        data = read(row, limit=EXAMINED)
                    except BytesGone:  # between two looks
                        continue
                    where: dict[str, Any] = {"exchange": row.id, "message": kind}
                    if asking:
                        where["parsers"] = _asked(data, kind, row)
                    self._keep(findings_of(capture, row, kind), fresh, data, where)
                self._behind(capture, row, kinds)
        if "request" in kinds:
            for connection in capture.iter_connections():
                if not connection.exchanges:
                    self._connection(capture, connection)

    def _behind(self, capture: Capture, row: ExchangeRow, kinds: tuple[Kind, ...]) -> None:
        """Look at the messages of a WebSocket and the events of a stream: a client's count as requests do."""
        from inspectd.capture.behind import oddities_behind

        for direction, oddities, data in oddities_behind(capture, row):
            kind: Kind = "request" if direction == INCOMING else "response"
            fresh = self._count(tuple(each.id for each in oddities)) if kind in kinds else set()
            for oddity in oddities:
                if oddity.id in fresh:
                    fresh.discard(oddity.id)
                    group = self._groups[oddity.id]
                    group.examples.append(
                        {
                            "exchange": row.id,
                            "message": group.entry.kind,
                            "from": "client" if direction == INCOMING else "server",
                            "start": oddity.start,
                            "end": oddity.end,
                            "bytes": data,
                            "detail": "" if oddity.sentence == group.entry.text else oddity.sentence,
                            "line": data,
                        }
                    )

    def _connection(self, capture: Capture, row: ConnectionRow) -> None:
        """Look at what came on a connection that never became an exchange."""
        from inspectd.capture.findings import EXAMINED, findings_of_connection
        from inspectd.capture.reader import BytesGone

        found = findings_of_connection(capture, row)
        fresh = self._count(tuple(each.id for each in found))
        if not fresh:
            return
        try:
            data = capture.stream_bytes(row.id, INCOMING, 0, EXAMINED)
        except BytesGone:  # between two looks
            return
        self._keep(found, fresh, data, {"connection": row.id, "message": "request"})

    def stream(self, data: bytes, kind: Kind, *, asking: bool) -> None:
        """Look at the messages in some bytes."""
        from inspectd.lint import findings
        from inspectd.wire import read

        stream = read(data, kind)
        found = findings(data, kind, stream=stream)
        messages = stream.messages
        self._looked = len(messages)
        starts = [message.start for message in messages]
        of_each: dict[int, list[Finding]] = {}
        for finding in found:
            number = max(1, bisect_right(starts, finding.start))
            of_each.setdefault(number, []).append(finding)
        for number, theirs in of_each.items():
            fresh = self._count(tuple(finding.id for finding in theirs))
            where: dict[str, Any] = {"number": number, "message": kind}
            if asking and fresh and starts:
                where["parsers"] = _asked(data[starts[number - 1] : messages[number - 1].end], kind, None)
            self._keep(theirs, fresh, data, where)

    def _count(self, ids: tuple[str, ...]) -> set[str]:
        """Count the findings of a message; those of which more examples are wanted."""
        from inspectd.lint import Severity

        fresh = set()
        for name in dict.fromkeys(ids):
            group = self._groups.get(name)
            if group is None:
                about = _known()[name]
                wanted = name in self._only if self._only else about.level > Severity.GOOD
                if not wanted:
                    continue
                group = self._groups[name] = Group(about)
            group.count += 1
            if len(group.examples) < EXAMPLES:
                fresh.add(name)
        return fresh

    def _keep(self, found: Sequence[Finding], fresh: set[str], data: bytes, where: dict[str, Any]) -> None:
        for finding in found:
            if finding.id not in fresh:
                continue
            fresh.discard(finding.id)
            self._groups[finding.id].examples.append(
                where
                | {
                    "start": finding.start,
                    "end": finding.end,
                    "bytes": data[finding.start : min(finding.end, finding.start + QUOTED)],
                    "detail": finding.detail,
                    "line": line_of(data, finding.start),
                }
            )

    # -- telling

    @property
    def groups(self) -> list[Group]:
        """The groups, the worst first, then the most frequent."""
        return sorted(
            self._groups.values(), key=lambda group: (-group.entry.level, -group.count, group.entry.id)
        )

    def fails(self, least: str) -> bool:
        """Whether something is at least as bad as this."""
        return least != "never" and any(
            group.entry.level >= _severity(least) for group in self._groups.values()
        )

    def facts(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            f"{self._what}s": self._looked,
            "findings": [
                {
                    "id": group.entry.id,
                    "severity": group.entry.severity,
                    "risk": group.entry.risk.value,
                    "summary": group.entry.summary,
                    "text": group.entry.text,
                    "spec": group.entry.spec,
                    "count": group.count,
                    "examples": [
                        example | {name: example[name].decode("latin-1") for name in ("bytes", "line")}
                        for example in group.examples
                    ],
                }
                for group in self.groups
            ],
        }

    def lines(self) -> Iterator[str]:
        """Everything, for people."""
        paint = painter(colour=wants_colour())
        plain = not draws_glyphs()
        groups = self.groups
        looked = f"{self._looked:,} {self._what}{'' if self._looked == 1 else 's'}"
        if not groups:
            yield f"{looked}: nothing found"
            return
        for group in groups:
            about = group.entry
            risk = f", {about.risk.value}" if about.risk else ""
            title = f"{about.severity}{risk}"
            yield f"{paint(title, _COLOURS[about.severity])}  {paint(about.id, 'bold')}  {about.summary}"
            verb = "has" if group.count == 1 else "have"
            what = "message" if group.count == 1 else "messages"
            spec = about.spec.replace("§", "section ") if plain else about.spec
            yield paint(f"  {group.count:,} {what} {verb} it; {spec}", "dim")
            for example in group.examples:
                yield _example_line(example, self._what, plain=plain)
            if group.count > len(group.examples):
                yield paint("  ...", "dim")
        yield ""
        counts = [
            f"{number:,} {word}{'' if number == 1 else 's'}" if word != "info" else f"{number:,} info"
            for word in ("error", "warning", "info", "good")
            if (number := sum(group.entry.severity == word for group in groups))
        ]
        yield f"{looked}; kinds of findings: {', '.join(counts)}"


def line_of(data: bytes, offset: int) -> bytes:
    """The line that holds the byte at `offset`, without its end, at most `QUOTED` bytes from where it matters."""
    start = data.rfind(b"\n", 0, offset) + 1
    end = data.find(b"\n", offset)
    end = len(data) if end < 0 else end
    start = max(start, offset - QUOTED // 2)
    return data[start : min(end, start + QUOTED)].removesuffix(b"\r")


def _example_line(example: dict[str, Any], what: str, *, plain: bool) -> str:
    """`  exchange 12, request at 2f: Transfer-Encoding (why)`."""
    if "connection" in example:
        where = f"connection c{example['connection']}"
    elif what == "exchange":
        where = f"exchange {example['exchange']}, {example['message']}"
        where += f" of the {example['from']}" if "from" in example else ""
    else:
        where = f"{example['message']} {example['number']}"
    quoted = clip(safe(example["line"]), QUOTED)
    detail = f" ({example['detail']})" if example["detail"] else ""
    line = f"  {where} at {example['start']:x}{': ' if quoted else ''}{quoted}{detail}"
    return line.encode("ascii", "backslashreplace").decode() if plain else line


def _asked(data: bytes, kind: Kind, row: ExchangeRow | None) -> list[dict[str, Any]]:
    """What other parsers say to a message."""
    from inspectd.lint.others import verdicts

    method = (row.method or "GET").encode("utf-8", "surrogateescape") if row is not None else b"GET"
    return [
        {"parser": each.parser, "accepted": each.accepted, "sentence": each.sentence}
        for each in verdicts(data, kind, method=method)
    ]


def _severity(word: str) -> Severity:
    from inspectd.lint import Severity

    return Severity[word.upper()]


@contextmanager
def _progress(count: int) -> Iterator[Callable[[int], None]]:
    """A bar on standard error when there is much to look at and somebody waits for it."""
    if count < WORTH_A_BAR // 16 or sys.stderr is None or not sys.stderr.isatty():
        yield lambda _: None
        return
    with click.progressbar(length=count, label="looking", file=sys.stderr) as bar:
        yield bar.update
