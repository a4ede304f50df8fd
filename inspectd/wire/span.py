"""The vocabulary of bytes: a span is a byte range with one role, and the spans of a stream tile it.

Roles are the grammar's own names (RFC 9112 §2.1, §3, §4, §5, §7.1; RFC 3986 §3 for the parts of a target).
Nothing here reads bytes; this module only names what the readers find.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["request", "response"]


class Role(StrEnum):
    """What a byte range is for. The values are the names used in JSON and on screen."""

    # start line, RFC 9112 §3 and §4
    METHOD = "method"
    SP = "sp"
    """White space between the parts of a start line: one SP in the grammar, anything SP-like on the wire."""
    REQUEST_TARGET = "request-target"
    """A target (or a piece of one, such as `?` or `://`) that is none of the five parts below."""
    SCHEME = "scheme"
    AUTHORITY = "authority"
    PATH = "path"
    QUERY = "query"
    FRAGMENT = "fragment"
    VERSION = "version"
    STATUS_CODE = "status-code"
    REASON_PHRASE = "reason-phrase"

    # field lines, RFC 9112 §5
    FIELD_NAME = "field-name"
    COLON = "colon"
    OWS = "ows"
    FIELD_VALUE = "field-value"
    OBS_FOLD = "obs-fold"
    """The line end and the white space that continue a field value on the next line (obsolete)."""

    # line ends, RFC 9112 §2.2
    CRLF = "crlf"
    LF = "lf"
    """A line end that is a lone LF."""
    EMPTY_LINE = "empty-line"
    """The line end that closes a head or a trailer section."""

    # content, RFC 9112 §6 and §7.1
    CONTENT = "content"
    CHUNK_SIZE = "chunk-size"
    CHUNK_EXT = "chunk-ext"
    """Separators of a chunk extension: `;`, `=` and the white space around them."""
    CHUNK_EXT_NAME = "chunk-ext-name"
    CHUNK_EXT_VALUE = "chunk-ext-value"
    CHUNK_DATA = "chunk-data"
    LAST_CHUNK = "last-chunk"
    """The zero size that ends the chunks."""
    TRAILER_NAME = "trailer-name"
    TRAILER_VALUE = "trailer-value"

    # what is not part of a message
    BLANK_LINE = "blank-line"
    """A line end before a start line, which a server should skip (RFC 9112 §2.2)."""
    GARBAGE = "garbage"
    """Bytes that fit no grammar where they stand."""
    TUNNEL = "tunnel"
    """Bytes after a switch to another protocol (CONNECT, 101)."""
    UNFRAMED = "unframed"
    """Bytes after a message whose end can't be known, or after a connection's last message."""
    TLS = "tls"
    """TLS bytes that are not taken apart: encrypted ones, and messages other than the ClientHello and alerts."""
    HTTP2 = "http2"
    OTHER_PROTOCOL = "other-protocol"

    # TLS in clear text, RFC 8446 §5.1 (records), §4 (handshake), §4.1.2 (ClientHello), §4.2 (extensions), §6 (alerts)
    TLS_CONTENT_TYPE = "tls-content-type"
    """The byte that opens a record and says what is in it."""
    TLS_VERSION = "tls-version"
    """A protocol version: of a record, the hello's legacy version, or one that is offered."""
    TLS_LENGTH = "tls-length"
    """How many bytes of something follow."""
    TLS_HANDSHAKE_TYPE = "tls-handshake-type"
    TLS_RANDOM = "tls-random"
    TLS_SESSION_ID = "tls-session-id"
    TLS_CIPHER_SUITE = "tls-cipher-suite"
    TLS_COMPRESSION_METHOD = "tls-compression-method"
    TLS_EXTENSION_TYPE = "tls-extension-type"
    TLS_EXTENSION_DATA = "tls-extension-data"
    """What an extension holds, where none of the roles below fits."""
    TLS_NAME_TYPE = "tls-name-type"
    TLS_SERVER_NAME = "tls-server-name"
    TLS_PROTOCOL_NAME = "tls-protocol-name"
    TLS_GROUP = "tls-group"
    TLS_POINT_FORMAT = "tls-point-format"
    TLS_SIGNATURE_SCHEME = "tls-signature-scheme"
    TLS_KEY_EXCHANGE = "tls-key-exchange"
    """The public value of a key share."""
    TLS_PSK_MODE = "tls-psk-mode"
    TLS_PSK_IDENTITY = "tls-psk-identity"
    TLS_TICKET_AGE = "tls-ticket-age"
    TLS_PSK_BINDER = "tls-psk-binder"
    TLS_CERTIFICATE_COMPRESSION = "tls-certificate-compression"
    TLS_PADDING = "tls-padding"
    TLS_ALERT_LEVEL = "tls-alert-level"
    TLS_ALERT_DESCRIPTION = "tls-alert-description"

    # WebSocket frames, RFC 6455 §5.2; the close frame's payload, §5.5.1
    WS_FIN = "ws-fin"
    WS_RSV1 = "ws-rsv1"
    WS_RSV2 = "ws-rsv2"
    WS_RSV3 = "ws-rsv3"
    WS_OPCODE = "ws-opcode"
    WS_MASK = "ws-mask"
    """The bit that says whether a masking key follows."""
    WS_PAYLOAD_LENGTH = "ws-payload-length"
    """The seven bits, and the 16 or 64 that follow when they are 126 or 127."""
    WS_MASKING_KEY = "ws-masking-key"
    WS_PAYLOAD = "ws-payload"
    WS_CLOSE_CODE = "ws-close-code"
    WS_CLOSE_REASON = "ws-close-reason"

    # server-sent events, WHATWG HTML §9.2.5
    SSE_BOM = "sse-bom"
    SSE_FIELD_NAME = "sse-field-name"
    SSE_FIELD_VALUE = "sse-field-value"
    SSE_COMMENT = "sse-comment"
    SSE_CR = "sse-cr"
    """A line end that is a lone CR."""


class Span(NamedTuple):
    """Bytes `start` up to, not including, `end` play `role`. Offsets count from the start of the stream."""

    start: int
    end: int
    role: Role


class BitSpan(NamedTuple):
    """A part of one byte: `bits` of them from bit `bit` on, where 0 is the most significant (RFC 6455 §5.2 counts so).

    The first three members are those of a `Span` of the whole byte, so whoever knows bytes only can show it as one;
    several of them in order tile that byte.
    """

    start: int
    end: int
    role: Role
    bit: int
    bits: int

    def value(self, byte: int) -> int:
        """The number that these bits of the byte are."""
        return byte >> (8 - self.bit - self.bits) & ((1 << self.bits) - 1)


def add_span(out: list[Span], start: int, end: int, role: Role) -> None:
    """Append a span to `out`, unless it would be empty."""
    if end > start:
        out.append(Span(start, end, role))
