"""The proof that a server speaks WebSocket: Sec-WebSocket-Accept, made of the client's key (RFC 6455 §1.3, §4.2.2)."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept_of(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers this Sec-WebSocket-Key, whatever its bytes are."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
