"""The first flight of a TLS client, put together from however many reads and records it came in.

The ClientHello is read before anything is answered: the certificate depends on the name in it, and its bytes are the
record. RFC 8446 §5.1 (records) and §4.1.2 (ClientHello). Nothing here raises on a peer's bytes.
"""

from __future__ import annotations

import enum
from typing import Final

HELLO_LIMIT: Final = 64 * 1024
"""Bytes that a ClientHello may have; those of today's clients have 200 to 2,000."""

_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_RECORD_HEADER: Final = 5
_RECORD_LIMIT: Final = 1 << 14
_MESSAGE_HEADER: Final = 4
_BEFORE_SESSION: Final = 38
_SERVER_NAME: Final = 0


class Arrival(enum.Enum):
    """What the bytes so far are."""

    INCOMPLETE = "incomplete"
    HELLO = "hello"
    """A whole ClientHello, perhaps with more behind it."""
    DAMAGED = "damaged"
    """It began like one. What is wrong with it, the TLS library says best."""
    TOO_LONG = "too long"
    CLEAR = "clear"
    """No TLS at all."""


class HelloReader:
    """Gathers bytes until it is clear what they are. Its work is proportional to the bytes, however they are cut."""

    def __init__(self) -> None:
        self.data = bytearray()
        """Everything that has arrived."""
        self._at = 0
        self._end: int | None = None
        self._message = bytearray()

    def feed(self, data: bytes) -> Arrival:
        """More bytes came."""
        self.data += data
        first = bytes(self.data[:2])
        if first[0] != _HANDSHAKE or first[1:] not in (b"", b"\x03"):
            return Arrival.CLEAR
        while len(self.data) >= self._at + _RECORD_HEADER:
            kind, major = self.data[self._at], self.data[self._at + 1]
            size = int.from_bytes(self.data[self._at + 3 : self._at + _RECORD_HEADER])
            body = self._at + _RECORD_HEADER
            if kind != _HANDSHAKE or major != 3 or not 0 < size <= _RECORD_LIMIT:
                return Arrival.DAMAGED
            if not self._message and self.data[body : body + 1] not in (b"", bytes((_CLIENT_HELLO,))):
                return Arrival.DAMAGED
            if len(self.data) < body + size:
                break
            self._message += self.data[body : body + size]
            self._at = body + size
            if len(self._message) >= _MESSAGE_HEADER and len(self._message) >= self._length:
                self._end = self._at
                return Arrival.HELLO
        return Arrival.TOO_LONG if len(self.data) > HELLO_LIMIT else Arrival.INCOMPLETE

    @property
    def _length(self) -> int:
        return _MESSAGE_HEADER + int.from_bytes(self._message[1:_MESSAGE_HEADER])

    @property
    def hello(self) -> bytes:
        """The records of the ClientHello; while it is incomplete or damaged, what there is of it."""
        return bytes(self.data[: self._end or HELLO_LIMIT])

    @property
    def server_name(self) -> bytes | None:
        """The name that the client asks for, as sent; None when it names none."""
        return _server_name(bytes(self._message))


def _server_name(message: bytes) -> bytes | None:
    """The host name in the server_name extension of a ClientHello, whole or not.

    A full reading (`wire.tls.client_hello`) takes as long as half the handshake; here only the way to one extension is
    gone: { type, length24, version16, random[32], session_id<..32>, cipher_suites<..2^16-2>,
    compression_methods<..2^8-1>, extensions<..2^16-1> }                 ; RFC 8446 §4.1.2
    """
    at = _BEFORE_SESSION
    for width in (1, 2, 1):  # of the lengths of session_id, cipher_suites, compression_methods
        at += width + int.from_bytes(message[at : at + width])
    at += 2
    while at + 4 <= len(message):
        kind, size = int.from_bytes(message[at : at + 2]), int.from_bytes(message[at + 2 : at + 4])
        at += 4
        if kind == _SERVER_NAME:
            # ServerNameList: length 16, name_type 8 (0: host_name), HostName<1..2^16-1>     ; RFC 6066 §3
            body = message[at : at + size]
            length = int.from_bytes(body[3:5])
            name = body[5 : 5 + length]
            return name if body[2:3] == b"\x00" and name and len(name) == length else None
        at += size
    return None
