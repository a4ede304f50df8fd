"""WebSocket: frames and messages after the handshake (RFC 6455, RFC 7692). Lossless, without I/O, for any bytes."""

from __future__ import annotations

from inspectd.wire.oddity import Oddity
from inspectd.wire.websocket.deflate import Deflate, Extension, extensions, negotiated
from inspectd.wire.websocket.frame import Frame, Opcode, frame_spans, unmask
from inspectd.wire.websocket.message import (
    FRAMES_KEPT,
    PAYLOAD_LIMIT,
    MessageReader,
    WsKind,
    WsMessage,
    allowed_close_code,
)
from inspectd.wire.websocket.reader import FrameReader

__all__ = [
    "FRAMES_KEPT",
    "PAYLOAD_LIMIT",
    "Deflate",
    "Extension",
    "Frame",
    "FrameReader",
    "MessageReader",
    "Oddity",
    "Opcode",
    "WsKind",
    "WsMessage",
    "allowed_close_code",
    "extensions",
    "frame_spans",
    "negotiated",
    "unmask",
]
