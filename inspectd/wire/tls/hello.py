"""The first flight of a TLS client as a whole: what it offers, and a role for every byte of the stream.

`client_hello` reads what a client sent so far, from however many records and reads. RFC 8446 §4.1.2, §5.1; server
names RFC 6066 §3, protocol names RFC 7301 §3.1, GREASE RFC 8701.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from inspectd.wire.span import Role, Span
from inspectd.wire.tls import message
from inspectd.wire.tls.grease import is_grease_name, without_grease
from inspectd.wire.tls.message import CLIENT_HELLO, LONGEST_MESSAGE, Extension, Parts, read_message
from inspectd.wire.tls.records import (
    ALERT,
    HANDSHAKE,
    HEADER,
    LONGEST,
    Part,
    Piece,
    handshake,
    placed,
    records,
)

if TYPE_CHECKING:
    from inspectd.wire.tls.records import Reassembled, Record

_LOOKED_AT: Final = 2 * LONGEST_MESSAGE
"""Bytes of a stream among which its ClientHello has to be; twice what the longest one has, for its records' sake."""


@dataclass(frozen=True, slots=True)
class Incomplete:
    """The bytes so far may well become a ClientHello: ask again when at least `size` bytes are there."""

    size: int
    records: int = 0
    """Records that there are so far, the last one perhaps cut off."""


@dataclass(frozen=True, slots=True)
class ClientHello:
    """What a TLS client says first. Numbers, names and order are as sent, GREASE included, unless said otherwise.

    `start` and `end` are offsets in the stream: of the first record, and behind the last byte of the hello.
    `problems` are sentences about lengths that lie and parts that are missing; of a hello that isn't `complete`,
    everything is read that is there.
    """

    start: int
    end: int
    complete: bool
    record_version: int
    legacy_version: int
    random: bytes
    session_id: bytes
    cipher_suites: tuple[int, ...]
    compression_methods: tuple[int, ...]
    extensions: tuple[Extension, ...]
    problems: tuple[str, ...]
    records: int
    """Records that the hello came in."""

    def extension(self, kind: int) -> Extension | None:
        """The first extension with this number."""
        return next((each for each in self.extensions if each.kind == kind), None)

    def _values(self, kind: int) -> tuple[int, ...]:
        found = self.extension(kind)
        return () if found is None else found.values

    def _names(self, kind: int) -> tuple[bytes, ...]:
        found = self.extension(kind)
        return () if found is None else found.names

    @property
    def server_name(self) -> bytes | None:
        """The host that the client asks for, as sent (SNI); None when it names none."""
        found = self.extension(message.SERVER_NAME)
        if found is None:
            return None
        return next(
            (name for kind, name in zip(found.values, found.names, strict=True) if kind == 0 and name), None
        )

    @property
    def alpn(self) -> tuple[bytes, ...]:
        """The protocols it offers to speak inside, the preferred one first."""
        return self._names(message.ALPN)

    @property
    def protocols(self) -> tuple[bytes, ...]:
        """The same without GREASE."""
        return tuple(name for name in self.alpn if not is_grease_name(name))

    @property
    def supported_versions(self) -> tuple[int, ...]:
        """What the extension of that name lists; empty for clients before TLS 1.3."""
        return self._values(message.SUPPORTED_VERSIONS)

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions that it really offers, without GREASE: the extension's list, or the legacy version."""
        if self.extension(message.SUPPORTED_VERSIONS) is not None:
            return without_grease(self.supported_versions)
        return () if self.legacy_version < 0 else (self.legacy_version,)

    @property
    def supported_groups(self) -> tuple[int, ...]:
        """Groups for the key exchange, the preferred one first."""
        return self._values(message.SUPPORTED_GROUPS)

    @property
    def point_formats(self) -> tuple[int, ...]:
        """How points of elliptic curves may be written (before TLS 1.3)."""
        return self._values(message.POINT_FORMATS)

    @property
    def signature_algorithms(self) -> tuple[int, ...]:
        """Signatures that it can verify."""
        return self._values(message.SIGNATURE_ALGORITHMS)

    @property
    def key_shares(self) -> tuple[tuple[int, int], ...]:
        """The groups that it sends a public value for already, and that value's length in bytes."""
        found = self.extension(message.KEY_SHARE)
        if found is None:
            return ()
        return tuple((group, len(key)) for group, key in zip(found.values, found.names, strict=True))

    @property
    def psk_modes(self) -> tuple[int, ...]:
        """How it would use a pre-shared key: 0 alone, 1 with a key exchange."""
        return self._values(message.PSK_MODES)

    @property
    def resumes(self) -> bool:
        """Whether it offers a key of an earlier connection."""
        return self.extension(message.PRE_SHARED_KEY) is not None

    @property
    def early_data(self) -> bool:
        """Whether it sends data before the handshake is done (0-RTT)."""
        return self.extension(message.EARLY_DATA) is not None

    @property
    def encrypted_client_hello(self) -> bool:
        """Whether there is an encrypted ClientHello inside, or something made to look like one."""
        return self.extension(message.ENCRYPTED_CLIENT_HELLO) is not None

    @property
    def certificate_compression(self) -> tuple[int, ...]:
        """How the server may compress its certificates."""
        return self._values(message.COMPRESS_CERTIFICATE)

    @property
    def application_settings(self) -> tuple[bytes, ...]:
        """Protocols for which it takes settings within the handshake (ALPS)."""
        return self._names(message.APPLICATION_SETTINGS) or self._names(message.APPLICATION_SETTINGS_OLD)

    @property
    def padding(self) -> int | None:
        """Bytes of padding; None when it isn't padded."""
        found = self.extension(message.PADDING)
        return None if found is None else len(found.data)


def client_hello(data: bytes, *, eof: bool = False) -> ClientHello | Incomplete | None:
    """Read the ClientHello that a stream begins with; None when its bytes begin with something else.

    `eof` says that no byte will follow: what there is of a hello is read then, and `Incomplete` is no answer.
    A hello that can't become whole, because other records cut into it or its length is impossible, isn't waited for.
    """
    data = data[:_LOOKED_AT]
    found = records(data)
    if not _is_hello(data, found):
        return None if eof else _waiting(data, found)
    gathered = handshake(data, found, LONGEST_MESSAGE)
    parts = read_message(gathered.data)
    complete = len(gathered.data) >= max(parts.end, 4)
    if not complete and not eof:
        size = _wanted(data, found, gathered, parts)
        if size > len(data):
            return Incomplete(size, len(found))
    return _hello(found, gathered, parts, complete=complete)


def _is_hello(data: bytes, found: list[Record]) -> bool:
    """Whether the first byte of the first handshake message says that it is a ClientHello."""
    for record in found:
        if record.content_type != HANDSHAKE:
            return False
        if record.end > record.body:
            return data[record.body] == CLIENT_HELLO
    return False


def _waiting(data: bytes, found: list[Record]) -> Incomplete | None:
    """What to do while no byte of a handshake message is there: wait only behind empty handshake records."""
    empty = all(record.content_type == HANDSHAKE and record.end == record.body for record in found)
    if not empty or (found[-1].end if found else 0) < len(data):
        return None
    return Incomplete(max(HEADER, len(data)) + 1, len(found))


def _wanted(data: bytes, found: list[Record], gathered: Reassembled, parts: Parts) -> int:
    """How many bytes of the stream it takes to go on with the hello; 0 when it can't go on."""
    last = found[-1]
    cut_into = gathered.records < len(found) or last.end < len(data)
    if cut_into or parts.end > LONGEST_MESSAGE or last.size > LONGEST:
        return 0
    missing = max(parts.end, 4) - len(gathered.data)
    if last.size < 0:
        return last.start + HEADER + 1
    if not last.complete:
        return min(last.body + last.size, last.end + missing)
    return last.end + HEADER + 1


def _hello(found: list[Record], gathered: Reassembled, parts: Parts, *, complete: bool) -> ClientHello:
    problems = list(parts.problems)
    used = found[: gathered.records]
    if not complete and gathered.records < len(found):
        problems.append("another kind of record cuts into the ClientHello")
    elif not complete and not problems:
        problems.append("the ClientHello is cut off")
    if any(record.size == 0 for record in used):
        problems.append("a handshake record is empty")
    if any(record.size > LONGEST for record in used):
        problems.append(f"a record is longer than {LONGEST:,} bytes")
    end = used[-1].end
    if gathered.chunks:
        _, where, size = gathered.chunks[-1]
        end = where + size
    return ClientHello(
        start=0,
        end=end,
        complete=complete,
        record_version=found[0].version,
        legacy_version=parts.legacy_version,
        random=parts.random,
        session_id=parts.session_id,
        cipher_suites=parts.cipher_suites,
        compression_methods=parts.compression_methods,
        extensions=tuple(_placed(parts.extensions, gathered)),
        problems=tuple(problems),
        records=gathered.records,
    )


def _placed(extensions: list[Extension], gathered: Reassembled) -> list[Extension]:
    """The extensions with offsets in the stream instead of the message."""
    out = []
    chunks, at = gathered.chunks, 0
    for each in extensions:
        while each.start >= chunks[at][0] + chunks[at][2]:
            at += 1
        start = each.start - chunks[at][0] + chunks[at][1]
        while each.end > chunks[at][0] + chunks[at][2]:
            at += 1
        out.append(each._replace(start=start, end=each.end - chunks[at][0] + chunks[at][1]))
    return out


def begins_tls(data: bytes) -> bool:
    """Whether a client's bytes begin with a TLS handshake record, version 3.x, as no request does."""
    return data[:2] == b"\x16\x03"


def begins_with_alert(data: bytes) -> bool:
    """Whether bytes begin with a TLS alert in clear text."""
    return data[:2] == b"\x15\x03" and data[3:5] == b"\x00\x02"


def pieces(data: bytes) -> list[Piece]:
    """Every byte of a stream that begins with TLS records, in order and without gaps, with its role and number.

    A ClientHello and alerts are taken apart; of other records the header is.
    """
    found = records(data)
    hello: list[Piece] = []
    taken = 0
    if _is_hello(data, found):
        gathered = handshake(data, found, LONGEST_MESSAGE)
        hello = placed(read_message(gathered.data).pieces, gathered.chunks)
        taken = gathered.chunks[-1][1] + gathered.chunks[-1][2]
    out: list[Piece] = []
    at = 0
    for record in found:
        _header(out, data, record)
        while at < len(hello) and hello[at].start < record.end:
            out.append(hello[at])
            at += 1
        rest = max(record.body, min(taken, record.end))
        if record.content_type == ALERT and record.size == 2 and record.complete:
            out.append(Piece(rest, rest + 1, Role.TLS_ALERT_LEVEL, Part.ALERT, data[rest]))
            out.append(Piece(rest + 1, rest + 2, Role.TLS_ALERT_DESCRIPTION, Part.ALERT, data[rest + 1]))
        elif rest < record.end:
            out.append(Piece(rest, record.end, Role.TLS, Part.REST))
    end = found[-1].end if found else 0
    if end < len(data):
        more = bool(found) and data[end] in range(20, 25) and data[end + 1 : end + 2] in (b"", b"\x03")
        out.append(Piece(end, len(data), Role.TLS if more else Role.GARBAGE, Part.REST))
    return out


def _header(out: list[Piece], data: bytes, record: Record) -> None:
    """TLSPlaintext = ContentType type, ProtocolVersion legacy_record_version, uint16 length    ; RFC 8446 §5.1"""
    start, end = record.start, record.body
    out.append(Piece(start, start + 1, Role.TLS_CONTENT_TYPE, Part.RECORD, record.content_type))
    if end > start + 1:
        stop = min(start + 3, end)
        version = record.version if stop == start + 3 else -1
        out.append(Piece(start + 1, stop, Role.TLS_VERSION, Part.RECORD, version))
    if end > start + 3:
        value = int.from_bytes(data[start + 3 : end], "big") if end == start + HEADER else -1
        out.append(Piece(start + 3, end, Role.TLS_LENGTH, Part.RECORD, value))


def tls_spans(data: bytes) -> list[Span]:
    """The same as spans."""
    return [Span(each.start, each.end, each.role) for each in pieces(data)]
