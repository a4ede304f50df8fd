"""`inspectd anatomy`: the bytes of a stream from a file or a pipe, each with its role. Needs no server."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from inspectd.cli.frames_text import Direction, after_the_switch, direction_facts, frame_lines, span_facts
from inspectd.cli.group import SectionCommand
from inspectd.cli.output import painter, require_stdout, wants_colour
from inspectd.errors import InspectdError
from inspectd.text.safe import ASCII, UNICODE, cells, pad, safe, wire_text
from inspectd.wire import read
from inspectd.wire.stream import Stream, read_tls
from inspectd.wire.tls import ClientHello, begins_tls, begins_with_alert, client_hello
from inspectd.wire.websocket import Deflate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.explain import Reading as Derived
    from inspectd.lint import Finding
    from inspectd.text.safe import Glyphs
    from inspectd.wire import Alternative, Field, Kind, Message, Span

SHOWN_BYTES: Final = 512
"""Bytes of a span that are drawn unless --full asks for all of them."""
NARROWEST: Final = 40
FALLBACK_COLUMNS: Final = 100

_ROLE_WIDTH: Final = 17
_NEXT_SHOWN: Final = 40
_SEVERITIES: Final = {"error": "red", "warning": "yellow"}
_STATUS_LINE: Final = b"HTTP/"
_LF: Final = 10

_COLOURS: Final = {
    "method": "green", "scheme": "cyan", "authority": "cyan", "path": "cyan", "query": "cyan", "fragment": "cyan",
    "request-target": "cyan", "version": "blue", "status-code": "green", "reason-phrase": "green",
    "field-name": "yellow", "trailer-name": "yellow", "chunk-size": "magenta", "last-chunk": "magenta",
    "chunk-ext-name": "magenta", "chunk-ext-value": "magenta", "garbage": "red", "unframed": "red", "obs-fold": "red",
    "other-protocol": "red", "tls": "red", "http2": "red",
}  # fmt: skip


@click.command("anatomy", cls=SectionCommand)
@click.argument("source", metavar="[FILE|-]", default="-")
@click.option(
    "--kind",
    type=click.Choice(["request", "response"]),
    help="What the bytes are. Without it: responses when they begin with HTTP/, else requests.",
)
@click.option(
    "--method",
    "methods",
    metavar="METHOD",
    multiple=True,
    help="Method of the request that a response answers (HEAD and CONNECT matter); once for each, in order.",
)
@click.option(
    "--open",
    "still_open",
    is_flag=True,
    help="The bytes end here but the connection doesn't: more may follow.",
)
@click.option(
    "--websocket",
    type=click.Choice(["client", "server"]),
    help="The bytes are WebSocket frames, sent by this side. Behind a handshake they are recognised without it.",
)
@click.option(
    "--deflate", is_flag=True, help="With --websocket: the handshake agreed upon permessage-deflate."
)
@click.option(
    "--readings",
    "derived",
    is_flag=True,
    help="Tell of each request what made it, of each response whether it may be cached, of both whether the"
    " connection stays open.",
)
@click.option("--full", is_flag=True, help=f"Draw all bytes, not the first {SHOWN_BYTES} of a long part.")
@click.option("--json", "as_json", is_flag=True, help="The spans, messages and findings as one JSON object.")
def anatomy(
    source: str,
    *,
    kind: Kind | None,
    methods: tuple[str, ...],
    still_open: bool,
    websocket: str | None,
    deflate: bool,
    derived: bool,
    full: bool,
    as_json: bool,
) -> None:
    """Explain HTTP/1 bytes from FILE, or from standard input: where each part starts, its role, its bytes.

    Nothing is refused: what fits no grammar is shown as garbage, and where readers would differ about the end of
    a message it says so, and where each of them takes the next message to begin. Below each message are its
    findings: what is wrong, odd or worth knowing about it, and the section that says so. Bytes that begin with a
    TLS record (16 03) are taken apart as well: what a ClientHello offers, and what each of its extensions is for.
    So are WebSocket frames, bit by bit, behind the head that switched to them, or alone with --websocket.
    """
    if deflate and websocket is None:
        raise click.UsageError("--deflate says something about frames alone: give --websocket as well.")
    data = load(source)
    if kind is None:
        kind = kind_of(data)
    require_stdout("inspectd anatomy FILE >anatomy.txt")
    names = [name.encode("utf-8", "surrogateescape") for name in methods]
    if websocket is not None:
        frames = Direction(data, 0, websocket == "client", Deflate() if deflate else None)
        lines = (
            json_text(Stream(data, [], []), frames=frames)
            if as_json
            else frames_text(frames, full=full, eof=not still_open)
        )
    elif begins_tls(data) or (begins_with_alert(data) and not methods):
        stream = read_tls(data)
        lines = json_text(stream) if as_json else tls_text(data, full=full)
    else:
        lines = _http_lines(
            data, kind, names, eof=not still_open, derived=derived, full=full, as_json=as_json
        )
    for line in lines:
        sys.stdout.write(line)


def _http_lines(
    data: bytes, kind: Kind, methods: list[bytes], *, eof: bool, derived: bool, full: bool, as_json: bool
) -> Iterator[str]:
    """A stream of HTTP as JSON or as lines, and the frames that it may have gone over to."""
    stream = read(data, kind, eof=eof, methods=methods)
    noted = Noted(data, kind, eof=eof, methods=methods)
    if derived:
        noted.derive(stream, methods)
    frames = after_the_switch(stream)
    if frames is not None:
        stream.spans.pop()  # told frame by frame
    if as_json:
        yield from json_text(stream, noted, frames=frames)
        return
    yield from Drawing(stream, noted, full=full).lines()
    if frames is not None:
        yield from frames_text(frames, full=full, eof=eof)


def frames_text(frames: Direction, *, full: bool, eof: bool) -> Iterator[str]:
    """Frames as lines of text, with line ends."""
    for line in frame_lines(frames, painter(colour=wants_colour()), full=full, eof=eof):
        yield f"{line}\n"


def kind_of(data: bytes) -> Kind:
    """What bytes are most likely: responses when they begin with HTTP/."""
    return "response" if data.lstrip(b"\r\n")[:5].upper() == _STATUS_LINE else "request"


def load(source: str) -> bytes:
    """All bytes of the file, or of standard input for `-`."""
    if source != "-":
        try:
            return Path(source).read_bytes()
        except (OSError, ValueError) as problem:
            reason = (problem.strerror if isinstance(problem, OSError) else None) or str(problem)
            raise InspectdError(
                f"{source}: {reason}", "Give a file of HTTP bytes, or - for standard input."
            ) from None
    if sys.stdin is None:
        raise InspectdError("standard input is closed", "Try: inspectd anatomy FILE")
    if sys.stdin.isatty():
        raise InspectdError(
            "there is nothing to read: standard input is the terminal",
            r"Try: inspectd anatomy FILE, or: printf 'GET / HTTP/1.1\r\n\r\n' | inspectd anatomy",
            exit_code=2,
        )
    return sys.stdin.buffer.read()


class Noted:
    """What is to say about the bytes: findings, and how others read a message whose end is in doubt."""

    def __init__(self, data: bytes, kind: Kind, *, eof: bool, methods: list[bytes]) -> None:
        from inspectd.lint import findings
        from inspectd.lint.two_readings import readings

        asked = b"".join(b"%b / HTTP/1.1\r\nHost: -\r\n\r\n" % name for name in methods) or None
        self.findings = findings(data, kind, eof=eof, request=asked)
        self.readings = readings(data, kind)
        self.derived: dict[int, list[Derived]] | None = None
        """By the offset of each message what its whole head says; None unless it was asked for."""

    def derive(self, stream: Stream, methods: list[bytes]) -> None:
        """Read all heads as wholes."""
        from inspectd.cli.readings_text import readings_of

        asked = iter(methods)
        self.derived = {
            message.start: readings_of(message, b"GET" if message.interim else next(asked, b"GET"))
            for message in stream.messages
        }


class Drawing:
    """A stream as lines of text: offset, role, bytes, and what is to say about each message."""

    def __init__(self, stream: Stream, noted: Noted, *, full: bool) -> None:
        self._stream = stream
        self._noted = noted
        self._full = full
        self._digits = max(4, len(f"{len(stream.data):x}"))
        encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
        self._glyphs: Glyphs = UNICODE if encoding == "utf8" else ASCII
        self._dash = "·" if encoding == "utf8" else "-"
        self._colour = wants_colour()
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else FALLBACK_COLUMNS
        self._width = max(NARROWEST, columns - self._digits - _ROLE_WIDTH - 2)

    def lines(self) -> Iterator[str]:
        """The whole drawing, with line ends."""
        starts = {message.start: number for number, message in enumerate(self._stream.messages, 1)}
        ends = {message.end: message for message in self._stream.messages}
        for span in self._stream.spans:
            if span.start in starts:
                yield self._title(starts[span.start])
            yield from self._rows(span)
            if span.end in ends:
                yield from self._verdict(ends[span.end])
        if not self._stream.spans:
            yield "no bytes\n"
            return
        messages = self._stream.messages
        yield from self._findings(
            [each for each in self._noted.findings if not any(_is_in(each, message) for message in messages)]
        )

    def _title(self, number: int) -> str:
        message = self._stream.messages[number - 1]
        kind = f"{message.kind} {number}" + (" (interim)" if message.interim else "")
        state = "complete" if message.complete else "not complete"
        size = message.end - message.start
        words = f"{kind} {self._dash} {size:,} byte{'' if size == 1 else 's'} {self._dash} {state}"
        return self._paint(words, bold=True) + "\n"

    def _rows(self, span: Span) -> Iterator[str]:
        """A row for each part of a span that fits the width."""
        data = self._stream.data
        stop = span.end if self._full else min(span.end, span.start + SHOWN_BYTES)
        role = self._paint(pad(span.role.value, _ROLE_WIDTH), fg=_COLOURS.get(span.role.value))
        for start, text in self._wrapped(data[span.start : stop], span.start):
            yield f"{start:0{self._digits}x} {role}{text}\n"
            role = " " * _ROLE_WIDTH
        if stop < span.end:
            left = span.end - stop
            note = f"({left:,} more byte{'' if left == 1 else 's'})"
            yield f"{stop:0{self._digits}x} {role}{self._paint(note, dim=True)}\n"

    def _wrapped(self, data: bytes, base: int) -> Iterator[tuple[int, str]]:
        """The drawing of some bytes in rows: a row ends after a line end or where it is full."""
        row: list[str] = []
        used = 0
        row_start = base
        for piece in wire_text(data, self._glyphs):
            # Only a piece of one character a byte can be divided between rows.
            divisible = piece.end - piece.start == len(piece.text) > self._width - used
            parts = list(piece.text) if divisible else [piece.text]
            for index, part in enumerate(parts):
                if used and used + cells(part) > self._width:
                    yield row_start, "".join(row)
                    row, used, row_start = [], 0, base + piece.start + (index if len(parts) > 1 else 0)
                row.append(self._paint(part, dim=True) if piece.special else part)
                used += cells(part)
            if data[piece.end - 1] == _LF:
                yield row_start, "".join(row)
                row, used, row_start = [], 0, base + piece.end
        if row:
            yield row_start, "".join(row)

    def _verdict(self, message: Message) -> Iterator[str]:
        framing = message.framing
        section = f" (RFC 9112 §6.3 rule {framing.step.number})" if framing.step.number else ""
        yield self._note("framing", safe(f"{framing.step.label}{section}. {framing.sentence}"))
        for each in framing.alternatives:
            length = "" if each.length is None else f" [{each.length:,} bytes]"
            yield self._note("but", safe(f"{each.reader}{length}: {each.sentence}"))
        if framing.ambiguous:
            yield from self._readings(message)
        yield from self._findings([each for each in self._noted.findings if _is_in(each, message)])
        if self._noted.derived is not None:
            from inspectd.cli.readings_text import reading_rows

            for words in reading_rows(self._noted.derived[message.start]):
                yield self._note("reading", words)
        yield "\n"

    def _readings(self, message: Message) -> Iterator[str]:
        """Where each reader takes the next message to begin."""
        for each in self._noted.readings:
            if each.start != message.start:
                continue
            if each.end is None:
                yield self._note("next", f"{each.reader}: it never finds the end")
            else:
                shown = safe(each.next[:_NEXT_SHOWN]) or "nothing"
                yield self._note("next", f"{each.reader}: at {each.end:0{self._digits}x}, {shown}")

    def _findings(self, found: list[Finding]) -> Iterator[str]:
        """A line for each finding that is more than a good note."""
        from inspectd.lint import Severity, entry

        for each in found:
            told = entry(each.id)
            if told.level is Severity.GOOD:
                continue
            where = f"{each.start:0{self._digits}x}"
            detail = f" ({each.detail})" if each.detail else ""
            yield self._note(told.severity, f"{where} {told.summary}{detail} [{each.id}, {told.spec}]")

    def _note(self, label: str, words: str) -> str:
        """A line below a message. The words are safe for a terminal."""
        if self._glyphs is not UNICODE:
            words = words.replace("§", "section ").encode("ascii", "backslashreplace").decode()
        style = {"dim": True} if label == "framing" else {"fg": _SEVERITIES.get(label)}
        return f"{' ' * self._digits} {self._paint(pad(label, _ROLE_WIDTH) + words, **style)}\n"

    def _paint(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self._colour and any(style.values()) else text


def tls_text(data: bytes, *, full: bool) -> Iterator[str]:
    """A stream of TLS records as lines of text, with line ends."""
    from inspectd.cli.hello_text import HelloText

    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else FALLBACK_COLUMNS
    text = HelloText(
        data, width=columns, paint=painter(colour=wants_colour()), full=full, ascii_only=encoding != "utf8"
    )
    for line in text.lines():
        yield f"{line}\n"


def _is_in(finding: Finding, message: Message) -> bool:
    return message.start <= finding.start and finding.end <= message.end


def json_text(
    stream: Stream, noted: Noted | None = None, *, frames: Direction | None = None
) -> Iterator[str]:
    """One JSON object, in pieces: spans, messages, findings. Bytes are text of one character a byte (ISO-8859-1)."""
    yield '{"spans":['
    separator = ""
    for start, end, role in stream.spans:
        yield f'{separator}{{"start":{start},"end":{end},"role":"{role.value}"}}'
        separator = ","
    for facts in () if frames is None else span_facts(frames):
        yield separator + json.dumps(facts, separators=(",", ":"))
        separator = ","
    yield '],"messages":['
    separator = ""
    for message in stream.messages:
        yield separator + json.dumps(_message_facts(message), ensure_ascii=True, separators=(",", ":"))
        separator = ","
    yield "]"
    if noted is not None:
        yield ',"findings":' + json.dumps(_finding_facts(noted), ensure_ascii=True, separators=(",", ":"))
        yield ',"readings":' + json.dumps(_reading_facts(noted), ensure_ascii=True, separators=(",", ":"))
        if noted.derived is not None:
            yield ',"derived":' + json.dumps(
                _derived_facts(stream, noted.derived), ensure_ascii=True, separators=(",", ":")
            )
    if frames is not None:
        yield ',"websocket":' + json.dumps(direction_facts(frames), ensure_ascii=True, separators=(",", ":"))
        yield "}\n"
        return
    hello = client_hello(stream.data, eof=True) if begins_tls(stream.data) else None
    if isinstance(hello, ClientHello):
        from inspectd.cli.hello_text import hello_facts

        yield ',"tls":' + json.dumps(hello_facts(hello), ensure_ascii=True, separators=(",", ":"))
    if begins_tls(stream.data) or begins_with_alert(stream.data):
        from inspectd.cli.hello_text import alert_facts

        if found := alert_facts(stream.data):
            yield ',"alerts":' + json.dumps(found, separators=(",", ":"))
    yield "}\n"


def _message_facts(message: Message) -> dict[str, Any]:
    head, framing = message.head, message.framing
    names = ("method", "target", "version") if message.kind == "request" else ("version", "status", "reason")
    parts = {
        name: None if getattr(head, name) is None else _latin(head.text(getattr(head, name)))
        for name in names
    }
    return {
        "kind": message.kind,
        "start": message.start,
        "head_end": message.head_end,
        "end": message.end,
        "complete": message.complete,
        "interim": message.interim,
        **parts,
        "fields": _pairs(message.head.fields),
        "trailers": _pairs(message.trailers),
        "content": message.content,
        "framing": {
            "step": framing.step.label,
            "rule": framing.step.number or None,
            "length": framing.length,
            "sentence": framing.sentence,
            "ambiguous": framing.ambiguous,
            "alternatives": [_alternative_facts(each) for each in framing.alternatives],
        },
    }


def _finding_facts(noted: Noted) -> list[dict[str, Any]]:
    from inspectd.lint import entry

    return [
        {
            "id": each.id,
            "severity": entry(each.id).severity,
            "start": each.start,
            "end": each.end,
            "also": each.also,
            "detail": each.detail,
        }
        for each in noted.findings
    ]


def _reading_facts(noted: Noted) -> list[dict[str, Any]]:
    """The readings of the message whose end is in doubt; none where all agree."""
    if len(noted.readings) < 2:
        return []
    return [
        {
            "reader": each.reader,
            "start": each.start,
            "content": each.content,
            "end": each.end,
            "next": _latin(each.next),
        }
        for each in noted.readings
    ]


def _derived_facts(stream: Stream, derived: dict[int, list[Derived]]) -> list[dict[str, Any]]:
    from inspectd.cli.readings_text import reading_facts

    return [facts for message in stream.messages for facts in reading_facts(message, derived[message.start])]


def _alternative_facts(each: Alternative) -> dict[str, Any]:
    return {"reader": each.reader, "length": each.length, "sentence": each.sentence}


def _pairs(fields: list[Field]) -> list[tuple[str, str]]:
    return [(_latin(field.name_bytes), _latin(field.value_bytes)) for field in fields]


def _latin(data: bytes) -> str:
    return data.decode("latin-1")
