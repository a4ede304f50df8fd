"""Lossless HTTP/1.x: bytes to structure, without I/O, without a clock, and without ever refusing a byte."""

from __future__ import annotations

from inspectd.wire.arrival import (
    ArrivedHead,
    ArrivedResponseHead,
    ContentData,
    Event,
    Foreign,
    MessageEnd,
    RequestReader,
    ResponseReader,
    TooLarge,
)
from inspectd.wire.framing import Alternative, Framing, FramingStep
from inspectd.wire.head import Field, Head
from inspectd.wire.sniff import NeedMore, Sniff, sniff
from inspectd.wire.span import Kind, Role, Span

__all__ = [
    "Alternative",
    "ArrivedHead",
    "ArrivedResponseHead",
    "ContentData",
    "Event",
    "Field",
    "Foreign",
    "Framing",
    "FramingStep",
    "Head",
    "Kind",
    "MessageEnd",
    "NeedMore",
    "RequestReader",
    "ResponseReader",
    "Role",
    "Sniff",
    "Span",
    "TooLarge",
    "sniff",
]
