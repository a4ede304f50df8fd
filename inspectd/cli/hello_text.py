"""A ClientHello for people and for programs: its facts as JSON, its summary, and every byte with what it means.

Everything that came over the wire passes `inspectd.text.safe`; what is given to programs is ISO-8859-1 as in every
JSON line.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

from inspectd.capture.model import INCOMING
from inspectd.errors import InspectdError
from inspectd.explain import role
from inspectd.explain import tls as meaning
from inspectd.text.safe import clip, pad, safe
from inspectd.wire.span import Role
from inspectd.wire.tls import ClientHello, alerts, client_hello, ja3, ja4, pieces, units
from inspectd.wire.tls.records import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from inspectd.capture.model import ConnectionRow
    from inspectd.capture.reader import Capture
    from inspectd.wire.tls import Piece, Unit

HELLO_READ: Final = 256 * 1024
"""Bytes at the beginning of a connection in which its hello is looked for."""

_LABEL: Final = 22
_HEX_WIDTH: Final = 25
_HEX_BYTES: Final = 8
_SUITES_NAMED: Final = 3
_UNITS_SHOWN: Final = 400
_TOKENS_SHOWN: Final = 200

_OPENING: Final = frozenset(
    {
        Role.TLS_CONTENT_TYPE,
        Role.TLS_HANDSHAKE_TYPE,
        Role.TLS_EXTENSION_TYPE,
        Role.TLS_LENGTH,
        Role.TLS_NAME_TYPE,
    }
)
"""Roles that stand on one line with what they announce."""
_TEXTS: Final = frozenset({Role.TLS_SERVER_NAME, Role.TLS_PROTOCOL_NAME})
_SAID: Final = {
    Part.SESSION_ID: Role.TLS_SESSION_ID,
    Part.RANDOM: Role.TLS_RANDOM,
    Part.CIPHER_SUITES: Role.TLS_CIPHER_SUITE,
}
"""Parts whose role is explained in a sentence, as an extension is."""


def hello_of(capture: Capture, row: ConnectionRow) -> ClientHello | None:
    """The hello that a connection began with; None when it began with something else."""
    kept = capture.tls(row.id)
    if kept is not None and kept.hello:
        data = kept.hello
    elif row.kind == "tls":
        try:
            data = capture.stream_bytes(row.id, INCOMING, 0, HELLO_READ)
        except InspectdError:
            return None
    else:
        return None
    found = client_hello(data, eof=True)
    return found if isinstance(found, ClientHello) else None


def hello_facts(hello: ClientHello) -> dict[str, Any]:
    """What a program wants to know of a hello: the object `"tls"` of a JSON line."""
    return {
        "sni": None if hello.server_name is None else hello.server_name.decode("latin-1"),
        "alpn": [name.decode("latin-1") for name in hello.alpn],
        "versions": [meaning.version(value).title for value in hello.versions],
        "ja3": ja3(hello)[1],
        "ja4": ja4(hello),
        "complete": hello.complete,
    }


def alert_facts(data: bytes) -> list[dict[str, Any]]:
    """The alerts in clear text in a stream."""
    return [{"level": each.level_name, "description": each.name} for each in alerts(data)]


def summary_lines(hello: ClientHello) -> Iterator[str]:
    """What a client offers, a line each, as safe text."""
    if hello.server_name is not None:
        yield f"server name  {safe(hello.server_name[:255])}"
    versions = [meaning.version(value).title for value in hello.versions]
    if versions:
        yield f"versions     {', '.join(versions)}"
    if hello.protocols:
        yield f"protocols    {safe(b', '.join(hello.protocols[:20]))}"
    suites = [
        meaning.cipher_suite(value).title for value in hello.cipher_suites if "GREASE" not in _name(value)
    ]
    if suites:
        more = f" and {len(suites) - _SUITES_NAMED} more" if len(suites) > _SUITES_NAMED else ""
        yield f"ciphers      {', '.join(suites[:_SUITES_NAMED])}{more}"
    if hello.key_shares:
        yield f"key shares   {', '.join(meaning.group(group).title for group, _ in hello.key_shares[:8])}"
    notes = [
        text
        for there, text in (
            (hello.resumes, "resumes an earlier connection"),
            (hello.early_data, "sends early data"),
            (hello.encrypted_client_hello, "encrypted hello (ECH), real or a dummy"),
        )
        if there
    ]
    if notes:
        yield f"also         {', '.join(notes)}"
    yield f"JA4          {ja4(hello)}"
    yield f"JA3          {ja3(hello)[1]}"
    for problem in hello.problems:
        yield f"problem      {problem}"


def _extension_label(kind: int) -> str:
    """The name of an extension, or its abbreviation where that is too long: `ALPN`."""
    name = meaning.extension_name(kind)
    title = meaning.extension(kind).title
    return name if len(name) <= _LABEL or not title.endswith(")") else title[title.rindex("(") + 1 : -1]


def _name(suite: int) -> str:
    return meaning.cipher_suite(suite).title


class HelloText:
    """A stream of TLS records, taken apart: offset, part, bytes, meaning; and sentences for who learns.

    `paint` gets text and a colour's name. Without `full`, long values and long lists are cut short.
    """

    def __init__(
        self,
        data: bytes,
        *,
        width: int,
        paint: Callable[[str, str], str],
        full: bool,
        ascii_only: bool = False,
    ) -> None:
        self._data = data
        self._paint = paint
        self._full = full
        self._ascii = ascii_only
        self._cut = ".." if ascii_only else "…"
        self._digits = max(4, len(f"{len(data):x}"))
        self._indent = self._digits + 1 + _LABEL + 1
        self._width = max(self._indent + _HEX_WIDTH + 16, width)

    def lines(self) -> Iterator[str]:
        """All lines, without line ends."""
        hello = client_hello(self._data, eof=True)
        if isinstance(hello, ClientHello):
            name = "" if hello.server_name is None else f" for {safe(hello.server_name[:255])}"
            count = f"{hello.records} record{'' if hello.records == 1 else 's'}"
            state = "complete" if hello.complete else "not complete"
            yield self._paint(
                f"ClientHello{name}, {hello.end - hello.start:,} bytes in {count}, {state}", "bold"
            )
            yield from (f"  {line}" for line in summary_lines(hello))
            yield ""
        found = pieces(self._data)
        parts = units(found)
        shown = parts if self._full else parts[:_UNITS_SHOWN]
        for unit in shown:
            yield from self._unit(found, unit)
        if len(shown) < len(parts):
            rest = len(self._data) - found[parts[len(shown)].first].start
            yield self._paint(f"{' ' * (self._digits + 1)}{rest:,} more bytes: --full shows them", "dim")

    def _unit(self, found: list[Piece], unit: Unit) -> Iterator[str]:
        label = unit.part.value
        if unit.part is Part.EXTENSION:
            label = _extension_label(unit.extension) if unit.extension >= 0 else label
        stop = unit.stop if self._full else min(unit.stop, unit.first + _TOKENS_SHOWN)
        head = self._head(found, unit)
        yield from self._line(found[unit.first : head], label)
        yield from self._sentences(found[unit.first], unit)
        first = head
        for at in range(head, stop):
            if found[at].role in _OPENING and at + 1 < stop:
                continue
            yield from self._line(found[first : at + 1], "")
            first = at + 1
        if stop < unit.stop:
            yield self._paint(f"{' ' * self._indent}… {unit.stop - stop:,} more", "dim")

    @staticmethod
    def _head(found: list[Piece], unit: Unit) -> int:
        """Where the first line of a part ends: behind its numbers and lengths, or with what it consists of."""
        at = unit.first + 1
        if unit.part is Part.RECORD or unit.part is Part.MESSAGE:
            return unit.stop
        if unit.part is Part.SESSION_ID:
            return min(unit.stop, at + 1)
        lengths = 2 if unit.part is Part.EXTENSION else 0
        while at < unit.stop and found[at].role is Role.TLS_LENGTH and lengths:
            at, lengths = at + 1, lengths - 1
        return at

    def _line(self, line: list[Piece], label: str) -> Iterator[str]:
        """The bytes of some pieces and what they are called; with `full`, as many rows as the bytes take."""
        start, end = line[0].start, line[-1].end
        titles = self._titles(line)
        colour = "red" if any(piece.role is Role.GARBAGE for piece in line) else "cyan"
        label = pad(clip(safe(label), _LABEL), _LABEL)
        for at in range(start, end if self._full else start + 1, _HEX_BYTES):
            stop = min(at + _HEX_BYTES, end)
            cut = self._cut if stop < end and not self._full else ""
            shown = self._paint(pad(self._data[at:stop].hex(" ") + cut, _HEX_WIDTH), "dim")
            offset = self._paint(f"{at:0{self._digits}x}", "dim")
            name = self._paint(label, "yellow") if label.strip() else label
            yield f"{offset} {name} {shown} {self._paint(titles, colour) if titles else ''}".rstrip()
            label, titles = " " * _LABEL, ""

    def _titles(self, line: list[Piece]) -> str:
        """The names of what stands on a line; of several lengths only the last one."""
        names = []
        last_length = next((piece for piece in reversed(line) if piece.role is Role.TLS_LENGTH), None)
        for piece in line:
            if piece.role in _TEXTS:
                names.append(safe(self._data[piece.start : piece.end]) or "(empty)")
            elif piece.role is Role.TLS_LENGTH:
                if piece is last_length and piece is line[-1]:
                    names.append(meaning.piece(piece, self._data).title)
            elif piece.role is Role.TLS_EXTENSION_TYPE:
                title = meaning.extension(piece.value).title
                names.append(f"extension {piece.value}" if "GREASE" not in title else title)
            elif piece.role is Role.TLS_NAME_TYPE:
                continue
            elif piece.value >= 0:
                names.append(meaning.piece(piece, self._data).title)
            else:
                size = piece.end - piece.start
                names.append(f"{size:,} byte{'' if size == 1 else 's'}")
        return f" {'-' if self._ascii else '·'} ".join(names)

    def _sentences(self, piece: Piece, unit: Unit) -> Iterator[str]:
        if unit.part is Part.EXTENSION and piece.role is Role.TLS_EXTENSION_TYPE:
            about = meaning.extension(unit.extension)
        elif unit.part in _SAID:
            about = role(_SAID[unit.part])
        elif piece.part is Part.ALERT:
            about = meaning.alert(self._data[piece.start + 1])
        else:
            return
        source = about.source.replace("§", "section ") if self._ascii else about.source
        text = f"{about.sentence} ({source})"
        for row in textwrap.wrap(text, self._width - self._indent):
            yield self._paint(f"{' ' * self._indent}{row}", "dim")
