"""What can be wrong with frames and messages (RFC 6455, RFC 7692)."""

from __future__ import annotations

from typing import Final

from inspectd.wire.oddity import Oddity

ODDITIES: Final = {
    # frames
    "ws-unmasked-client": (
        "The client sent this frame unmasked: a server has to close the connection over that.",
        "RFC 6455 §5.1",
    ),
    "ws-masked-server": (
        "The server masked this frame: a client has to close the connection over that.",
        "RFC 6455 §5.1",
    ),
    "ws-reserved-bit": (
        "A reserved bit is set that no extension of this connection gives a meaning.",
        "RFC 6455 §5.2",
    ),
    "ws-misplaced-rsv1": (
        "RSV1 says of a message that it is compressed and belongs to its first frame, not to this one.",
        "RFC 7692 §6",
    ),
    "ws-reserved-opcode": ("Opcode {0} is reserved and means nothing.", "RFC 6455 §5.2"),
    "ws-control-fragmented": (
        "A control frame has to be whole, but FIN says that more of it follows.",
        "RFC 6455 §5.5",
    ),
    "ws-control-too-long": (
        "The payload of a control frame has {0:,} bytes; 125 are the most.",
        "RFC 6455 §5.5",
    ),
    "ws-length-not-shortest": (
        "The length {0:,} is written in {1} bits, where fewer would do.",
        "RFC 6455 §5.2",
    ),
    "ws-length-highest-bit": (
        "The highest bit of the length is set: it says {0:,} bytes, more than there can be.",
        "RFC 6455 §5.2",
    ),
    "ws-continuation-without-start": (
        "This frame continues a message, but none is under way.",
        "RFC 6455 §5.4",
    ),
    "ws-message-interrupted": (
        "A new message begins before the one that is under way has ended.",
        "RFC 6455 §5.4",
    ),
    "ws-after-close": ("Nothing may be sent after a close frame.", "RFC 6455 §5.5.1"),
    "ws-cut-off": ("The stream ends within this frame.", "RFC 6455 §7.1.7"),
    # messages
    "ws-message-unfinished": ("The message never ended: its last frame didn't come.", "RFC 6455 §5.4"),
    "ws-invalid-utf8": ("Text has to be UTF-8, and this is not.", "RFC 6455 §8.1"),
    "ws-inflate-error": ("The compressed data of this message can't be inflated: {0}.", "RFC 7692 §7.2.2"),
    "ws-inflate-limit": (
        "More than {0:,} bytes come out of this message: the rest of it was not inflated.",
        "RFC 6455 §10.4",
    ),
    "ws-close-one-byte": (
        "A close frame has no payload, or at least the two bytes of a code; this one has one byte.",
        "RFC 6455 §5.5.1",
    ),
    "ws-close-code": ("The close code {0} may not be sent in a close frame.", "RFC 6455 §7.4"),
    "ws-close-reason-utf8": ("The reason for closing has to be UTF-8, and this is not.", "RFC 6455 §5.5.1"),
    # the end of a stream
    "ws-no-close": ("The stream ended without a close frame.", "RFC 6455 §7.1.5"),
}
"""Sentence and section of every oddity; `{0}` and `{1}` are numbers of the case."""


def oddity(name: str, start: int, end: int, *values: object) -> Oddity:
    """An oddity of the bytes `start` to `end`, with the numbers that its sentence names."""
    sentence, section = ODDITIES[name]
    return Oddity(name, start, end, sentence.format(*values), section)
