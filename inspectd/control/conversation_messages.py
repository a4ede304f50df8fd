"""What the control API says of the messages of a WebSocket and the events of an event stream, version 1.

Bytes are base64, times ns since the epoch.
"""

from __future__ import annotations

import base64
from typing import Literal

import msgspec


class OddityShown(msgspec.Struct, frozen=True, kw_only=True):
    """Something ill-formed in the bytes `start` to `end`, and the section that says otherwise."""

    id: str
    start: int
    end: int
    sentence: str
    section: str


class WebSocketMessageShown(msgspec.Struct, frozen=True, kw_only=True):
    """One message of a WebSocket, the `number`th of both sides in the order of time, from 1.

    `payload` is unmasked and inflated, at most its first 64 KiB; `size` is the length of all of it, `wire_size` that of
    what the frames carried. `start` and `end` are offsets in the sender's stream. `kind` is the opcode's name;
    `complete` is false when it was broken off.
    """

    number: int
    sender: Literal["client", "server"]
    time_ns: int
    kind: str
    opcode: int
    start: int
    end: int
    complete: bool
    masked: bool
    compressed: bool
    fragments: int
    size: int
    wire_size: int
    payload: str
    close_code: int | None
    close_reason: str | None
    oddities: tuple[OddityShown, ...]

    @property
    def payload_bytes(self) -> bytes:
        """The payload, or its beginning."""
        return base64.b64decode(self.payload)


class EventShown(msgspec.Struct, frozen=True, kw_only=True):
    """One event of an event stream, the `number`th from 1; `dispatched`: a browser tells the page of it.

    `event`, `id` and `comment` are null when no line gave them. `start` and `end` are offsets in the content without
    its codings. `data` is at most its first 64 KiB, `size` the length of all of it.
    """

    number: int
    time_ns: int
    start: int
    end: int
    event: str | None
    data: str
    size: int
    id: str | None
    retry: int | None
    comment: str | None
    dispatched: bool
    complete: bool
    oddities: tuple[OddityShown, ...]

    @property
    def data_bytes(self) -> bytes:
        """The data, or its beginning."""
        return base64.b64decode(self.data)


class ConversationShown(msgspec.Struct, frozen=True, kw_only=True):
    """What was said after the heads of an exchange. `kind` is null when it was neither WebSocket nor event stream.

    `more`: there are further ones behind the last of these. `ended`: nothing more will come. `problem` says why not all
    of it can be read.
    """

    kind: Literal["websocket", "event-stream"] | None
    compressed: bool = False
    messages: tuple[WebSocketMessageShown, ...] = ()
    events: tuple[EventShown, ...] = ()
    more: bool = False
    ended: bool = True
    problem: str = ""
