"""TLS records: where each begins, what it holds, and the handshake message that may be spread over several.

RFC 8446 §5.1. A message is cut into records wherever its sender likes, so what stands in the message is found first
and then placed among the bytes as they came. Nothing here raises on any bytes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.wire.span import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

ALERT: Final = 21
HANDSHAKE: Final = 22
CONTENT_TYPES: Final = range(20, 25)
"""change_cipher_spec, alert, handshake, application_data, heartbeat."""

HEADER: Final = 5
"""Bytes of type, version and length that open each record."""
LONGEST: Final = (1 << 14) + 2048
"""Bytes that a record may hold: 2^14, and what TLS 1.2 allows encryption to add (RFC 5246 §6.2.3)."""
MOST_RECORDS: Final = 4096
"""Records of one stream that are told apart; what follows them is TLS bytes without structure."""


class Record(NamedTuple):
    """A record at offset `start`; its fragment is `body` up to `end`, as far as the bytes go.

    `size` is the length that the header gives, -1 when the header is cut off.
    """

    start: int
    body: int
    end: int
    content_type: int
    version: int
    size: int

    @property
    def complete(self) -> bool:
        """Whether all of it is there."""
        return self.size == self.end - self.body


class Part(StrEnum):
    """The parts that records and a ClientHello consist of, in their order; the values are labels for people."""

    RECORD = "record"
    MESSAGE = "ClientHello"
    VERSION = "version"
    RANDOM = "random"
    SESSION_ID = "session id"
    CIPHER_SUITES = "ciphers"
    COMPRESSION_METHODS = "compression"
    EXTENSIONS = "extensions"
    """The length of all of them."""
    EXTENSION = "extension"
    SURPLUS = "surplus"
    """What follows the last part within the message."""
    ALERT = "alert"
    REST = "TLS"
    """What isn't taken apart."""


class Piece(NamedTuple):
    """Bytes `start` up to `end`, their role, the part that they belong to, the number they are (-1 for none).

    Of an extension's pieces `extension` is its number. Of something that a record boundary divides, every piece has
    the number.
    """

    start: int
    end: int
    role: Role
    part: Part
    value: int = -1
    extension: int = -1


class Unit(NamedTuple):
    """A part as it stands in one run of bytes: the indices of its first piece and behind its last one."""

    first: int
    stop: int
    part: Part
    extension: int


class Reassembled(NamedTuple):
    """A handshake message gathered from records: its bytes, and which of them stand where in the stream."""

    data: bytes
    chunks: list[tuple[int, int, int]]
    """Offset in the message, offset in the stream, bytes."""
    records: int
    """Records that it took."""


def records(data: bytes) -> list[Record]:
    """The records that the bytes begin with, the last one perhaps cut off; `MOST_RECORDS` at most."""
    found: list[Record] = []
    at, size = 0, len(data)
    while at < size and len(found) < MOST_RECORDS:
        if data[at] not in CONTENT_TYPES or (at + 1 < size and data[at + 1] != 3):
            break
        body = at + HEADER
        if body > size:
            found.append(Record(at, size, size, data[at], int.from_bytes(data[at + 1 : at + 3], "big"), -1))
            break
        length = int.from_bytes(data[at + 3 : body], "big")
        version = int.from_bytes(data[at + 1 : at + 3], "big")
        end = min(body + length, size)
        found.append(Record(at, body, end, data[at], version, length))
        at = body + length
    return found


def handshake(data: bytes, found: list[Record], limit: int) -> Reassembled:
    """The first handshake message, or what there is of it, from the records that a stream begins with.

    Of a message that says it is longer than `limit` bytes, no more than that is gathered.
    """
    chunks: list[tuple[int, int, int]] = []
    pieces: list[bytes] = []
    start = b""
    have = used = 0
    wanted = 4
    for record in found:
        if record.content_type != HANDSHAKE or have >= wanted:
            break
        used += 1
        if len(start) < 4:
            start += data[record.body : min(record.body + 4 - len(start), record.end)]
            if len(start) == 4:
                wanted = min(4 + int.from_bytes(start[1:], "big"), limit)
        # Before the length is known, at most its own bytes are taken; a record that holds all of it knows it by now.
        size = min(record.end - record.body, wanted - have)
        if size > 0:
            chunks.append((have, record.body, size))
            pieces.append(data[record.body : record.body + size])
            have += size
    return Reassembled(b"".join(pieces), chunks, used)


def placed(pieces: list[Piece], chunks: list[tuple[int, int, int]]) -> list[Piece]:
    """Pieces of a message where they stand in the stream, divided where a record ends.

    Both lists are in order and tile the message; the result tiles its bytes in the stream.
    """
    out: list[Piece] = []
    at = 0
    for start, where, size in chunks:
        end = start + size
        shift = where - start
        while at < len(pieces):
            piece = pieces[at]
            first, last = max(piece.start, start), min(piece.end, end)
            if first < last:
                out.append(piece._replace(start=first + shift, end=last + shift))
            if piece.end > end:
                break
            at += 1
    return out


def units(pieces: Sequence[Piece]) -> list[Unit]:
    """The parts that the pieces make up, in order: what belongs on one line. An extension is a unit of its own."""
    out: list[Unit] = []
    first = 0
    for at in range(1, len(pieces) + 1):
        if at < len(pieces):
            piece, before = pieces[at], pieces[at - 1]
            opens = (piece.part is Part.EXTENSION and piece.role is Role.TLS_EXTENSION_TYPE) or (
                piece.part is Part.RECORD and piece.role is Role.TLS_CONTENT_TYPE
            )
            if not opens and piece.part is before.part:
                continue
        out.append(Unit(first, at, pieces[first].part, pieces[first].extension))
        first = at
    return out
