"""The client at the other end of a WebSocket: its frames as messages, and messages for it as frames.

The protocol is wsproto's. It is fed in small pieces: a few compressed bytes can stand for a thousand times as many,
and a message that is too long has to be noticed before it fills memory; and thousands of tiny frames are a lot of work,
between which others have to have their turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, RsvBits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wsproto.extensions import Extension
    from wsproto.frame_protocol import FrameDecoder, FrameProtocol, Opcode

_PIECE: Final = 2048
TOO_LONG: Final = 1009
NO_CODE: Final = CloseReason.NO_STATUS_RCVD.value


@dataclass(frozen=True, slots=True)
class Closed:
    """The client sent a Close frame; `code` is None when there was none in it."""

    code: int | None


@dataclass(frozen=True, slots=True)
class Failed:
    """The client did what a client must not do: the code to close with, and why."""

    code: int
    why: str


@dataclass(frozen=True, slots=True)
class Pinged:
    """The client sent a ping."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Ponged:
    """The client sent a pong."""


Heard: TypeAlias = str | bytes | Closed | Failed | Pinged | Ponged


class Deflate(PerMessageDeflate):
    """permessage-deflate that isn't confused by control frames between the fragments of a message (RFC 7692 §6.1)."""

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Which reserved bits may be set."""
        if opcode.iscontrol() and not rsv.rsv1:
            self._inbound_is_compressible = False
            return RsvBits(True, False, False)  # noqa: FBT003
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_complete(
        self,
        proto: FrameDecoder | FrameProtocol,
        fin: bool,  # noqa: FBT001
    ) -> bytes | CloseReason | None:
        """What is left of a message when it is over."""
        if not self._inbound_is_compressible:
            return None
        return super().frame_inbound_complete(proto, fin)


class Peer:
    """The client. `deflate` is what was agreed on about compression; `keep` says whether messages are of interest."""

    def __init__(self, deflate: str | None, *, largest: int, keep: bool) -> None:
        extensions: list[Extension] = []
        if deflate is not None:
            extension = Deflate()
            extension.finalize(deflate)
            extensions.append(extension)
        self._connection = Connection(ConnectionType.SERVER, extensions)
        self._largest = largest
        self._keep = keep
        self._kept = bytearray()  # of the message under way; text in UTF-8
        self._size = 0
        self._over = False

    def hear(self, data: bytes) -> Iterator[Heard | None]:
        """What the next bytes of the client say. After `Closed` or `Failed` nothing is heard any more.

        None comes between two pieces: a good moment to let others have their turn.
        """
        for start in range(0, len(data), _PIECE):
            if start:
                yield None
            self._connection.receive_data(data[start : start + _PIECE])
            for event in self._connection.events():
                heard = self._heard(event)
                if heard is not None:
                    self._over = isinstance(heard, (Closed, Failed))
                    yield heard
                if self._over:
                    return

    def say(self, message: str | bytes) -> bytes | None:
        """The frames of a message; None when the client has closed and wsproto sends no more."""
        if self._connection.state is not ConnectionState.OPEN:
            return None
        event = TextMessage(data=message) if isinstance(message, str) else BytesMessage(data=message)
        return bytes(self._connection.send(event))

    def _heard(self, event: object) -> Heard | None:
        match event:
            case TextMessage() | BytesMessage():
                return self._message(event)
            case Ping():
                return Pinged(bytes(event.payload))
            case Pong():
                return Ponged()
            case CloseConnection():
                code = int(event.code)
                if self._connection.state is ConnectionState.REMOTE_CLOSING:
                    return Closed(None if code == NO_CODE else code)
                return Failed(code, event.reason or "")
        return None

    def _message(self, event: TextMessage | BytesMessage) -> Heard | None:
        self._size += len(event.data)
        if self._size > self._largest:
            return Failed(TOO_LONG, f"longer than {self._largest} bytes")
        if self._keep:
            self._kept += event.data.encode() if isinstance(event, TextMessage) else event.data
        if not event.message_finished:
            return None
        whole = bytes(self._kept)
        self._kept.clear()
        self._size = 0
        return whole.decode() if isinstance(event, TextMessage) else whole
