"""Lossless HTTP/1.x: bytes to structure, without I/O, without a clock, and without ever refusing a byte."""

from __future__ import annotations

from inspectd.wire.arrived import (
    ArrivedHead,
    ArrivedResponseHead,
    ContentData,
    Event,
    Foreign,
    MessageEnd,
    TooLarge,
)
from inspectd.wire.framing import Alternative, Framing, FramingStep
from inspectd.wire.head import Field, Head
from inspectd.wire.request import RequestReader
from inspectd.wire.response import ResponseReader
from inspectd.wire.sniff import NeedMore, Sniff, sniff
from inspectd.wire.span import BitSpan, Kind, Role, Span
from inspectd.wire.stream import Message, Stream, StreamReader, read, spans

__all__ = [
    "Alternative",
    "ArrivedHead",
    "ArrivedResponseHead",
    "BitSpan",
    "ContentData",
    "Event",
    "Field",
    "Foreign",
    "Framing",
    "FramingStep",
    "Head",
    "Kind",
    "Message",
    "MessageEnd",
    "NeedMore",
    "RequestReader",
    "ResponseReader",
    "Role",
    "Sniff",
    "Span",
    "Stream",
    "StreamReader",
    "TooLarge",
    "read",
    "sniff",
    "spans",
]
