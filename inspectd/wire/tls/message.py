"""A ClientHello taken apart: what each byte of the handshake message is for (RFC 8446 §4.1.2).

    struct {
        ProtocolVersion legacy_version = 0x0303;
        Random random;                                            ; 32 bytes
        opaque legacy_session_id<0..32>;
        CipherSuite cipher_suites<2..2^16-2>;                     ; 2 bytes each
        opaque legacy_compression_methods<1..2^8-1>;
        Extension extensions<8..2^16-1>;
    } ClientHello;

Lengths are believed only as far as the structure around them reaches. A length that says more is a problem that is
told, and the bytes that are there are read; nothing raises, and the work is proportional to the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.wire.span import Role
from inspectd.wire.tls.records import Part, Piece

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT_HELLO: Final = 1
LONGEST_MESSAGE: Final = 4 + 2 + 32 + (1 + 255) + (2 + 0xFFFF) + (1 + 255) + (2 + 0xFFFF)
"""Bytes of the longest message that the lengths in a ClientHello can describe."""

SERVER_NAME: Final = 0
STATUS_REQUEST: Final = 5
SUPPORTED_GROUPS: Final = 10
POINT_FORMATS: Final = 11
SIGNATURE_ALGORITHMS: Final = 13
ALPN: Final = 16
PADDING: Final = 21
COMPRESS_CERTIFICATE: Final = 27
DELEGATED_CREDENTIAL: Final = 34
PRE_SHARED_KEY: Final = 41
EARLY_DATA: Final = 42
SUPPORTED_VERSIONS: Final = 43
PSK_MODES: Final = 45
SIGNATURE_ALGORITHMS_CERT: Final = 50
KEY_SHARE: Final = 51
APPLICATION_SETTINGS_OLD: Final = 17513
APPLICATION_SETTINGS: Final = 17613
ENCRYPTED_CLIENT_HELLO: Final = 0xFE0D

_PROBLEMS_TOLD: Final = 20

# Extensions that are one counted list of numbers: bytes of the count, bytes of a number, what the numbers are.
_NUMBERS: Final = {
    SUPPORTED_GROUPS: (2, 2, Role.TLS_GROUP),
    POINT_FORMATS: (1, 1, Role.TLS_POINT_FORMAT),
    SIGNATURE_ALGORITHMS: (2, 2, Role.TLS_SIGNATURE_SCHEME),
    COMPRESS_CERTIFICATE: (1, 2, Role.TLS_CERTIFICATE_COMPRESSION),
    DELEGATED_CREDENTIAL: (2, 2, Role.TLS_SIGNATURE_SCHEME),
    SUPPORTED_VERSIONS: (1, 2, Role.TLS_VERSION),
    PSK_MODES: (1, 1, Role.TLS_PSK_MODE),
    SIGNATURE_ALGORITHMS_CERT: (2, 2, Role.TLS_SIGNATURE_SCHEME),
}


class Extension(NamedTuple):
    """An extension of a ClientHello: its number, its bytes without type and length, and what they list.

    `values` are the numbers in it (groups, versions, schemes, the groups of key shares), `names` the names (of the
    server, of protocols) or the public values of key shares. `start` and `end` are offsets in the stream, of its type
    and of what follows it.
    """

    kind: int
    start: int
    end: int
    data: bytes
    values: tuple[int, ...] = ()
    names: tuple[bytes, ...] = ()


@dataclass(slots=True)
class Parts:
    """What a ClientHello message says, and a piece for each of its bytes."""

    pieces: list[Piece] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    legacy_version: int = -1
    random: bytes = b""
    session_id: bytes = b""
    cipher_suites: tuple[int, ...] = ()
    compression_methods: tuple[int, ...] = ()
    extensions: list[Extension] = field(default_factory=list)
    end: int = 0
    """Where the message says it ends, which may be beyond its bytes."""


class _Reader:
    """Takes a message apart from its beginning; `at` is the next byte."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.parts = Parts()
        self.part = Part.MESSAGE
        self.extension = -1
        self._full: set[int] = set()

    def problem(self, sentence: str) -> None:
        if len(self.parts.problems) < _PROBLEMS_TOLD:
            self.parts.problems.append(sentence)

    def take(self, size: int, end: int, role: Role, value: int = -1) -> bytes:
        """The next `size` bytes, fewer when the structure ends before."""
        at = self.at
        piece = self.data[at : min(at + size, end)]
        if piece:
            self.at = at + len(piece)
            self.parts.pieces.append(Piece(at, self.at, role, self.part, value, self.extension))
        return piece

    def number(self, size: int, end: int, role: Role) -> int:
        """The next number, -1 when it is cut off."""
        piece = self.data[self.at : min(self.at + size, end)]
        value = int.from_bytes(piece, "big") if len(piece) == size else -1
        self.take(size, end, role, value)
        return value

    def counted(self, width: int, end: int, what: str) -> int:
        """Read a length of `width` bytes: where what it counts ends, `end` at most."""
        room = end - self.at
        length = self.number(width, end, Role.TLS_LENGTH)
        if length < 0:
            if end <= len(self.data) and end not in self._full:
                self._full.add(end)
                self.problem(f"{what}: there is no room for its length")
            return end
        if width + length > room:
            self.problem(f"{what}: its length says {length:,} bytes, where {room - width:,} fit")
            return end
        return self.at + length

    def more(self, end: int) -> bool:
        """Whether there are bytes before `end`."""
        return self.at < end and self.at < len(self.data)

    def numbers(self, width: int, end: int, role: Role) -> tuple[int, ...]:
        """All numbers up to `end`."""
        found = []
        while self.more(end):
            number = self.number(width, end, role)
            if number >= 0:
                found.append(number)
            elif end <= len(self.data):
                self.problem(f"a list of {role.value} ends within one of them")
        return tuple(found)


def read_message(data: bytes) -> Parts:
    """Take a handshake message that begins with the type of a ClientHello apart, as far as its bytes go."""
    reader = _Reader(data)
    parts = reader.parts
    parts.end = 4
    reader.number(1, 4, Role.TLS_HANDSHAKE_TYPE)
    size = reader.number(3, 4, Role.TLS_LENGTH)
    if size < 0:
        return parts
    parts.end = 4 + size
    if parts.end > LONGEST_MESSAGE:
        reader.problem(f"the ClientHello says it has {size:,} bytes, more than all its parts could have")
    end = parts.end
    reader.part = Part.VERSION
    parts.legacy_version = reader.number(2, end, Role.TLS_VERSION)
    reader.part = Part.RANDOM
    parts.random = reader.take(32, end, Role.TLS_RANDOM)
    if len(parts.random) < 32:
        if end <= len(data):
            reader.problem("the ClientHello ends within its random bytes")
        return parts
    reader.part = Part.SESSION_ID
    stop = reader.counted(1, end, "session id")
    parts.session_id = reader.take(stop - reader.at, stop, Role.TLS_SESSION_ID)
    if len(parts.session_id) > 32:
        reader.problem(f"session id: {len(parts.session_id)} bytes, where 32 are the most")
    reader.part = Part.CIPHER_SUITES
    parts.cipher_suites = reader.numbers(2, reader.counted(2, end, "cipher suites"), Role.TLS_CIPHER_SUITE)
    reader.part = Part.COMPRESSION_METHODS
    stop = reader.counted(1, end, "compression methods")
    parts.compression_methods = reader.numbers(1, stop, Role.TLS_COMPRESSION_METHOD)
    if reader.more(end):  # before TLS 1.2 a hello may end here, without extensions
        reader.part = Part.EXTENSIONS
        _extensions(reader, reader.counted(2, end, "extensions"))
    if reader.more(end):
        reader.problem(f"{end - reader.at:,} bytes follow the last part of the ClientHello")
        reader.part = Part.SURPLUS
        reader.take(end - reader.at, end, Role.GARBAGE)
    return parts


def _extensions(reader: _Reader, end: int) -> None:
    """Extension = extension_type:16, extension_data<0..2^16-1>    ; RFC 8446 §4.2"""
    seen: set[int] = set()
    reader.part = Part.EXTENSION
    while reader.more(end):
        start = reader.at
        kind = int.from_bytes(reader.data[start : min(start + 2, end)], "big")
        reader.extension = kind if start + 2 <= min(end, len(reader.data)) else -1
        kind = reader.number(2, end, Role.TLS_EXTENSION_TYPE)
        if kind < 0:
            if end <= len(reader.data):
                reader.problem("the list of extensions ends within the type of one")
            break
        stop = reader.counted(2, end, f"extension {kind}")
        body = reader.at
        read = _SHAPES.get(kind, _opaque)
        values, names = read(reader, kind, stop)
        if reader.more(stop):
            if read is not _opaque:
                reader.problem(f"extension {kind}: {stop - reader.at:,} bytes follow what it holds")
            reader.take(stop - reader.at, stop, Role.TLS_EXTENSION_DATA)
        if kind in seen:
            reader.problem(f"extension {kind} is there more than once")
        seen.add(kind)
        reader.parts.extensions.append(
            Extension(kind, start, reader.at, reader.data[body : reader.at], values, names)
        )
    reader.extension = -1


_Read = tuple[tuple[int, ...], tuple[bytes, ...]]


def _opaque(reader: _Reader, kind: int, end: int) -> _Read:  # noqa: ARG001
    reader.take(end - reader.at, end, Role.TLS_EXTENSION_DATA)
    return (), ()


def _number_list(reader: _Reader, kind: int, end: int) -> _Read:
    width, size, role = _NUMBERS[kind]
    return reader.numbers(size, reader.counted(width, end, f"extension {kind}"), role), ()


def _server_names(reader: _Reader, kind: int, end: int) -> _Read:
    """ServerNameList = (name_type:8 = 0, HostName<1..2^16-1>)<1..2^16-1>    ; RFC 6066 §3"""
    stop = reader.counted(2, end, f"extension {kind}")
    types, names = [], []
    while reader.more(stop):
        types.append(reader.number(1, stop, Role.TLS_NAME_TYPE))
        last = reader.counted(2, stop, "server name")
        names.append(reader.take(last - reader.at, last, Role.TLS_SERVER_NAME))
    return tuple(types), tuple(names)


def _protocol_names(reader: _Reader, kind: int, end: int) -> _Read:
    """ProtocolNameList = (opaque ProtocolName<1..2^8-1>)<2..2^16-1>    ; RFC 7301 §3.1"""
    stop = reader.counted(2, end, f"extension {kind}")
    names = []
    while reader.more(stop):
        last = reader.counted(1, stop, "protocol name")
        names.append(reader.take(last - reader.at, last, Role.TLS_PROTOCOL_NAME))
    return (), tuple(names)


def _key_shares(reader: _Reader, kind: int, end: int) -> _Read:
    """KeyShareClientHello = (group:16, key_exchange<1..2^16-1>)<0..2^16-1>    ; RFC 8446 §4.2.8"""
    stop = reader.counted(2, end, f"extension {kind}")
    groups, keys = [], []
    while reader.more(stop):
        groups.append(reader.number(2, stop, Role.TLS_GROUP))
        last = reader.counted(2, stop, "key share")
        keys.append(reader.take(last - reader.at, last, Role.TLS_KEY_EXCHANGE))
    return tuple(groups), tuple(keys)


def _pre_shared_keys(reader: _Reader, kind: int, end: int) -> _Read:
    """OfferedPsks = (identity<1..2^16-1>, obfuscated_ticket_age:32)<7..>, (binder<32..255>)<33..>    ; §4.2.11"""
    stop = reader.counted(2, end, f"extension {kind}")
    identities = []
    while reader.more(stop):
        last = reader.counted(2, stop, "identity of a pre-shared key")
        identities.append(reader.take(last - reader.at, last, Role.TLS_PSK_IDENTITY))
        reader.take(4, stop, Role.TLS_TICKET_AGE)
    if reader.more(end):
        stop = reader.counted(2, end, "binders")
        while reader.more(stop):
            last = reader.counted(1, stop, "binder")
            reader.take(last - reader.at, last, Role.TLS_PSK_BINDER)
    return (), tuple(identities)


def _padding(reader: _Reader, kind: int, end: int) -> _Read:
    """Zeros, as many as it takes    ; RFC 7685 §3"""
    if any(reader.take(end - reader.at, end, Role.TLS_PADDING)):
        reader.problem(f"extension {kind}: its padding is not all zeros")
    return (), ()


_SHAPES: Final[dict[int, Callable[[_Reader, int, int], _Read]]] = {
    **dict.fromkeys(_NUMBERS, _number_list),
    SERVER_NAME: _server_names,
    ALPN: _protocol_names,
    APPLICATION_SETTINGS_OLD: _protocol_names,
    APPLICATION_SETTINGS: _protocol_names,
    KEY_SHARE: _key_shares,
    PRE_SHARED_KEY: _pre_shared_keys,
    PADDING: _padding,
}
