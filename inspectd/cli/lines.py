"""One line an exchange: for people (coloured on a terminal, plain in a pipe) and for programs (JSON lines).

Every string in a JSON line is the wire's bytes read as ISO-8859-1, one character a byte, so that
`text.encode("latin-1")` gives the bytes back; the line itself is printable ASCII. Lines for people go through
`text.safe`. Nothing from the wire is live in either.
"""

from __future__ import annotations

import json
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from inspectd.capture.answered import client_left
from inspectd.capture.model import ConnectionRow, ExchangeRow, State
from inspectd.capture.reader import BytesGone
from inspectd.capture.urls import read_in, url_in_tunnel
from inspectd.cli.marks import author, mark, missing, sign
from inspectd.cli.message_text import message_lines
from inspectd.cli.upstream_text import upstream_json
from inspectd.text.client import short_client
from inspectd.text.instant import instant as rfc3339
from inspectd.text.safe import cells, clip, pad, safe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspectd.capture.model import EvidenceRow, TlsRow
    from inspectd.capture.reader import Capture
    from inspectd.wire.span import Kind

LINES_VERSION: Final = 1
"""The version of the JSON lines' schema. Fields may be added within a version; none changes its meaning."""

HEAD_READ: Final = 256 * 1024
"""Bytes of a head whose fields are read at most: one that was refused for its size may go on for ever."""

# A head that needs no reader: a start line of three words, then plain field lines, each closed by CRLF.
_PLAIN_HEAD: Final = re.compile(
    rb"(?P<first>[^ \t\r\n]++) (?P<second>[^ \r\n]++)(?: (?P<third>[^\r\n]*+))?\r\n"
    rb"(?P<fields>(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[^\r\n]*+\r\n)*+)\r\n"
)
_VERSION: Final = re.compile(rb"HTTP/\d\.\d")


class HeadText(NamedTuple):
    """A head as text, one character a byte: the three parts of its start line and its fields in order."""

    first: str | None
    second: str | None
    third: str | None
    fields: list[tuple[str, str]]


def read_head(data: bytes, kind: Kind) -> HeadText:
    """A request's method, target and version, or a response's version, status and reason, and the fields.

    Of a response with interim ones before it, it is the final one's head that is read.
    """
    plain = _PLAIN_HEAD.fullmatch(data)
    if plain is not None and _VERSION.fullmatch(plain["third" if kind == "request" else "first"] or b""):
        lines = plain["fields"].decode("latin-1").split("\r\n")
        fields = []
        for line in lines[:-1]:
            name, _, value = line.partition(":")
            fields.append((name, value.strip(" \t")))
        return HeadText(_latin(plain["first"]), _latin(plain["second"]), _latin(plain["third"]), fields)

    from inspectd.wire import read

    messages = read(data, kind).messages
    if not messages:
        return HeadText(None, None, None, [])
    head = next((message for message in messages if not message.interim), messages[-1]).head

    def part(place: tuple[int, int] | None) -> str | None:
        return None if place is None else _latin(data[place[0] : place[1]])

    parts = (
        (head.method, head.target, head.version)
        if kind == "request"
        else (head.version, head.status, head.reason)
    )
    fields = [(_latin(field.name_bytes) or "", _latin(field.value_bytes) or "") for field in head.fields]
    first, second, third = map(part, parts)
    return HeadText(first, second, third, fields)


def _evidence(row: EvidenceRow) -> dict[str, Any]:
    """What the client did with a crafted answer, as far as it is known by now."""
    return {
        "planned": row.planned,
        "sent": row.sent,
        "acked": row.acked,
        "reused": bool(row.reused),
        "attempt": row.attempt,
        "previous": row.previous,
        "gap_ms": None if row.gap_ns is None else milliseconds(0, row.gap_ns),
        "ended_by": row.ended_by,
        "how": row.how,
        "after_ms": None if row.after_ns is None else milliseconds(0, row.after_ns),
    }


def _tls(row: TlsRow | None) -> dict[str, Any]:
    """What was agreed upon before the first byte of HTTP; nothing for a connection in clear text."""
    if row is None or row.version is None:
        return {}
    return {"tls": {"sni": row.sni, "version": row.version, "cipher": row.cipher, "alpn": row.alpn}}


def _inside(row: ExchangeRow, connection: ConnectionRow | None, capture: Capture) -> dict[str, Any]:
    """Of an exchange that was read in a tunnel its URL, and the connection that carries the tunnel."""
    if connection is None or connection.inside is None:
        return {}
    return {"url": url_in_tunnel(capture, row), "inside": connection.inside}


def _hello(row: ConnectionRow, capture: Capture) -> dict[str, Any]:
    """The object `"tls"` of a connection that began with a ClientHello, as the only key; nothing for others."""
    if row.kind is None or not row.kind.startswith("tls"):
        return {}
    from inspectd.cli.hello_text import hello_facts, hello_of

    hello = hello_of(capture, row)
    return {} if hello is None else {"tls": hello_facts(hello)}


def _latin(data: bytes | None) -> str | None:
    return None if data is None else data.decode("latin-1")


def json_line(value: dict[str, Any]) -> str:
    """One line of printable ASCII."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("\x7f", "\\u007f") + "\n"


def instant(ns: int | None) -> str | None:
    """Nanoseconds since the epoch as RFC 3339 UTC with microseconds."""
    return None if ns is None else rfc3339(ns)


def milliseconds(start_ns: int, end_ns: int | None) -> float | None:
    """The time between two instants, to the microsecond."""
    return None if end_ns is None else round((end_ns - start_ns) / 1_000_000, 3)


class Lines(Protocol):
    """How what finished is written."""

    def exchange(self, row: ExchangeRow, capture: Capture) -> str:
        """The text for an exchange, with its line end."""

    def connection(self, row: ConnectionRow, capture: Capture) -> str:
        """The text for a connection that ended without a request, with its line end."""


class JsonLines:
    """JSON lines, schema version 1."""

    def exchange(self, row: ExchangeRow, capture: Capture, also: dict[str, Any] | None = None) -> str:
        """`{"type":"exchange",...}`, with what `also` holds at its end."""
        from inspectd.capture.findings import facts, noted_in

        head = min(row.req_head or row.req_len or 0, HEAD_READ)
        request = read_head(capture.request_bytes(row, limit=head), "request")
        response = HeadText(None, None, None, [])
        if row.res_len:
            head = min(row.res_head or row.res_len, HEAD_READ)
            response = read_head(capture.response_bytes(row, limit=head), "response")
        connection = capture.connection(row.connection)
        evidence = capture.evidence(row.id)
        return json_line(
            {
                "type": "exchange",
                "id": row.id,
                "connection": row.connection,
                "number": row.number,
                "peer": None if connection is None else connection.peer,
                "started": instant(row.started_ns),
                "duration_ms": milliseconds(row.started_ns, row.finished_ns),
                "method": request.first,
                "target": request.second,
                "version": request.third,
                "status": _status(row, response),
                "reason": response.third,
                "request_bytes": row.req_len or 0,
                "response_bytes": row.res_len or 0,
                "client": row.client or None,
                "complete": bool(row.state & State.REQUEST_COMPLETE),
                "answered": bool(row.state & State.RESPONSE_COMPLETE),
                "label": row.label,
                "fields": request.fields,
                "response_fields": response.fields,
                "added": json.loads(row.added) if row.added else [],
                "findings": facts(noted_in(capture, row, "request")),
                "response_findings": facts(noted_in(capture, row, "response")),
            }
            | _tls(capture.tls(row.connection))
            | upstream_json(capture.forward(row.id), capture)
            | _inside(row, connection, capture)
            | ({} if evidence is None else {"rule": evidence.rule, "evidence": _evidence(evidence)})
            | (also or {})
        )

    def connection(self, row: ConnectionRow, capture: Capture) -> str:
        """`{"type":"connection",...}`."""
        from inspectd.capture.findings import facts, findings_of_connection, noteworthy

        return json_line(
            {
                "type": "connection",
                "id": row.id,
                "peer": row.peer,
                "local": row.local,
                "started": instant(row.opened_ns),
                "duration_ms": milliseconds(row.opened_ns, row.closed_ns),
                "kind": row.kind,
                "sentence": row.sentence,
                "bytes": row.bytes_in,
                "response_bytes": row.bytes_out,
                "closed_by": row.closed_by,
                "how": row.how,
                "findings": facts(noteworthy(findings_of_connection(capture, row))),
            }
            | _hello(row, capture)
        )


def _status(row: ExchangeRow, response: HeadText) -> int | str | None:
    """A number when the status is an ordinary three-digit code, the text that was sent when it is anything else."""
    text = response.second if response.second is not None else row.status
    return int(text) if text is not None and re.fullmatch(r"[1-9][0-9]{2}", text) else text


class PlainLines:
    """A line an exchange for people; heads with `verbosity` 1, bodies as well with 2.

    `paint` gets text and a colour's name and returns the text, coloured or not. `width` is the terminal's width in
    cells, or None when lines may be as long as they like.
    """

    def __init__(
        self,
        paint: Callable[[str, str], str],
        *,
        width: int | None,
        verbosity: int,
        ascii_only: bool = False,
    ) -> None:
        self._paint = paint
        self._width = width
        self._verbosity = verbosity
        self._ascii = ascii_only

    def exchange(self, row: ExchangeRow, capture: Capture) -> str:
        """The line, then the heads and bodies that are asked for."""
        paint, wide = self._paint, self._wider_than
        status_width = 20 if wide(96) else 14
        evidence = capture.evidence(row.id)
        status, colour = self._status(row, status_width, left=client_left(row, evidence))
        taken = milliseconds(row.started_ns, row.finished_ns)
        before = f"{row.id:>5} {clock(row.started_ns)}  "
        if wide(96):
            before += f"{self._cell(short_client(row.client or '-', 14), 14)} "
        after = f" {size(row.res_len or 0):>7}"
        if wide(70):
            after += f" {'' if taken is None else f'{taken:.1f} ms':>10}"
        # The last column is kept when it is empty: on a terminal the ones before it must not move.
        lost = "" if evidence is None else missing(row, evidence, content_length(row, capture))
        if wide(120):
            extra = self._extra(row, evidence, lost)
            after += f"  {self._cell(extra, extra_width(self._width), escaped=True)}"
            after = after.rstrip() if self._width is None else after
        elif wide(80):
            after += f" {pad(sign(row, evidence, cut=bool(lost), ascii_only=self._ascii), 2)}"
        method = f"{self._cell(row.method or '-', 7)} "
        status = pad(status, status_width)
        target = safe(url_in_tunnel(capture, row) or row.target or "")
        room = 36
        if self._width is not None:
            room = max(8, self._width - sum(map(cells, (before, method, "  ", status, after))))
            target = self._clip(target, room)
        target = pad(target, room)
        tunnel = read_in(row) is not None  # what matters has lines of its own
        line = (
            f"{paint(before, 'dim')}{paint(method, 'dim' if tunnel else 'bold')}"
            f"{paint(target, 'dim') if tunnel else target}  {paint(status, colour)}{paint(after, 'dim')}\n"
        )
        return line + "".join(f"{text}\n" for text in self._messages(row, capture))

    def _wider_than(self, width: int) -> bool:
        return self._width is None or self._width >= width

    def connection(self, row: ConnectionRow, capture: Capture) -> str:
        """The line of a connection that was no exchange."""
        sentence = safe(row.sentence or row.kind or "", doubling=False)
        number = f"c{row.id}"
        before = f"{number:>5} {clock(row.opened_ns)}  {self._cell(row.kind or '-', 14)} "
        after = f"  {_carried(row, capture)}"
        room = _SENTENCE if self._width is None else max(12, self._width - len(before) - cells(after))
        sentence = self._clip(sentence, room)
        return f"{self._paint(before, 'dim')}{self._paint(sentence, 'yellow')}{self._paint(after, 'dim')}\n"

    def _cell(self, text: str, width: int, *, escaped: bool = False) -> str:
        shown = text if escaped else safe(text)
        return pad(self._clip(shown, width) if self._width is not None else shown, width)

    def _clip(self, text: str, width: int) -> str:
        clipped = clip(text, width)
        return f"{clipped[:-1]}." if self._ascii and clipped != text else clipped

    def _extra(self, row: ExchangeRow, evidence: EvidenceRow | None, lost: str) -> str:
        """What is worth saying beside the status, as safe text: marks, what became of it, for what it was asked."""
        marks = mark(row, evidence, cut=bool(lost), ascii_only=self._ascii) if evidence is not None else ""
        if row.state & State.ABORTED and row.label:
            place = self._clip(_without_status(row), _SENTENCE)
        else:
            place = safe("/".join(part for part in (row.dest, row.mode) if part))
        about = ", ".join(part for part in (lost, author(row, evidence)) if part)
        return "  ".join(part for part in (marks, place, about) if part)

    def _status(self, row: ExchangeRow, width: int, *, left: bool) -> tuple[str, str]:
        """The status in at most so many cells, and its colour."""
        if not row.state & State.RESPONSE_STARTED:
            return ("no answer" if row.state & State.REQUEST_COMPLETE else "cut short"), "magenta"
        inside = read_in(row)
        if inside is not None:
            return self._clip(f"{safe(row.status or '-')} in {inside}", width), "dim"
        colour = _STATUS_COLOURS.get((row.status or "")[:1], "magenta")
        text = safe(f"{row.status or '-'} {row.reason or ''}".rstrip())
        if left or row.state & State.RESPONSE_COMPLETE:
            return self._clip(text, width), colour
        return f"{self._clip(text, width - 6)} (cut)", colour

    def _messages(self, row: ExchangeRow, capture: Capture) -> Iterator[str]:
        if not self._verbosity:
            return
        sides = (
            (">", "cyan", capture.request_bytes, row.req_head, row.req_len or 0),
            ("<", "green", capture.response_bytes, row.res_head or 0, row.res_len or 0),
        )
        for glyph, colour, fetch, head, length in sides:
            yield from message_lines(
                head,
                length,
                partial(fetch, row),
                prefix=self._paint(f"      {glyph} ", colour),
                remark=lambda text: self._paint(text, "dim"),
                content=self._verbosity > 1,
            )
        yield ""


def _carried(row: ConnectionRow, capture: Capture) -> str:
    """How much came from whom: of TLS that came to nothing, the ClientHello. Safe text."""
    if not row.listener:  # it was made to a server
        return f"{row.bytes_in} bytes to {safe(row.local)}" if row.bytes_in else f"made to {safe(row.local)}"
    tls = None if row.bytes_in else capture.tls(row.id)
    if tls is not None and tls.hello:
        return f"ClientHello of {len(tls.hello)} bytes from {safe(row.peer)}"
    return f"{row.bytes_in} bytes from {safe(row.peer)}"


def extra_width(width: int | None) -> int:
    """Cells of the last column, on a terminal with room for it."""
    return 22 if width is None else 22 + max(width - 120, 0) // 2


def _without_status(row: ExchangeRow) -> str:
    """The label of an exchange that came to nothing, without the status line that stands before it already."""
    label = row.label or ""
    if row.status is not None:
        for said in (f"{row.status} {row.reason or ''}".rstrip(), row.status):
            rest = label.removeprefix(said)
            if rest != label and rest[:1] in {"", ";"}:
                return safe(rest.removeprefix(";").strip(), doubling=False)
    return safe(label, doubling=False)


def content_length(row: ExchangeRow, capture: Capture) -> int | None:
    """The length of the content as the head of the response says it, if it does and is still in the capture."""
    if not row.res_len:
        return None
    try:
        data = capture.response_bytes(row, limit=min(row.res_head or row.res_len, HEAD_READ))
    except BytesGone:
        return None
    fields = read_head(data, "response").fields
    found = [value for name, value in fields if name.lower() == "content-length"]
    return int(found[0]) if found and re.fullmatch(r"[0-9]{1,18}", found[0]) else None


_SENTENCE: Final = 160
"""Cells of a sentence in a line: `inspectd show` and JSON lines tell all of it."""
_STATUS_COLOURS: Final = {"1": "blue", "2": "green", "3": "cyan", "4": "yellow", "5": "red"}


def clock(ns: int) -> str:
    """The local time of day."""
    return time.strftime("%H:%M:%S", time.localtime(ns / 1_000_000_000))


def size(count: int) -> str:
    """A number of bytes in few characters: `812`, `3.1k`, `2.0M`."""
    if count < 1000:
        return str(count)
    value, unit = count / 1000, "k"
    for larger in "MG":
        if value >= 999.5:
            value, unit = value / 1000, larger
    return f"{value:.1f}{unit}" if value < 99.5 else f"{value:.0f}{unit}"
