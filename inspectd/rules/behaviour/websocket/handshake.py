"""The opening handshake of a WebSocket, the server's half (RFC 6455 §4.2), and what is said to requests that are none.

A request that can't become a WebSocket gets the status that says why. Fields that the rule spells out itself are
not added a second time.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from inspectd.rules.behaviour import asked, saying
from inspectd.wire.framing import list_members
from inspectd.wire.websocket.accept import accept_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.rules.draft import Draft
    from inspectd.rules.request import Request
    from inspectd.rules.tables import WebSocketTable

_WRONG_KEY: Final = b"this is not the key of the client"
_KEY_BYTES: Final = 16
_BITS: Final = frozenset(
    str(bits) for bits in range(9, 16)
)  # zlib knows no window of 8 bits without a header
_UPGRADE: Final = b"Upgrade: websocket"
_CONNECTION: Final = b"Connection: Upgrade"
_VERSION: Final = b"Sec-WebSocket-Version: 13"


def refusal(request: Request, draft: Draft) -> Draft | None:
    """The answer to a request that can't become a WebSocket, or None when it can."""
    head = request.head
    offered = [name.partition(b"/")[0].lower() for name in list_members([head.upgrade or b""])]
    if b"websocket" not in offered:
        why = "There is a WebSocket here: ask for it with Upgrade: websocket and Connection: Upgrade."
        return _refused(draft, "426 Upgrade Required", why, _UPGRADE, _CONNECTION)
    version = asked.value(request, b"sec-websocket-version")
    if version != b"13":
        said = "The only version of WebSocket that is spoken here is 13 (Sec-WebSocket-Version)."
        return _refused(draft, "426 Upgrade Required", said, _UPGRADE, _CONNECTION, _VERSION)
    if head.method != b"GET":
        return _refused(draft, "405 Method Not Allowed", "A WebSocket is asked for with GET.", b"Allow: GET")
    if head.version != b"HTTP/1.1":
        return _refused(draft, "400 Bad Request", "A WebSocket is asked for with HTTP/1.1.")
    if not _is_key(asked.value(request, b"sec-websocket-key")):
        why = "Sec-WebSocket-Key has to be there once: 16 random bytes in base64."
        return _refused(draft, "400 Bad Request", why)
    return None


def accept(request: Request, draft: Draft, table: WebSocketTable, protocols: Sequence[bytes]) -> str | None:
    """Make the draft a 101. Returns what was agreed on about compression, None for none."""
    _add(draft, _UPGRADE)
    _add(draft, _CONNECTION)
    if table.accept != "missing":
        key = asked.value(request, b"sec-websocket-key") or b""
        _add(draft, b"Sec-WebSocket-Accept: " + accept_of(key if table.accept == "right" else _WRONG_KEY))
    offered = list_members(asked.values(request, b"sec-websocket-protocol"))
    chosen = next((protocol for protocol in offered if protocol in protocols), None)
    if chosen is not None:
        _add(draft, b"Sec-WebSocket-Protocol: " + chosen)
    deflate = agreed(asked.values(request, b"sec-websocket-extensions")) if table.compress else None
    if deflate is None or not _add(draft, b"Sec-WebSocket-Extensions: " + deflate.encode()):
        return None
    return deflate


def agreed(values: Sequence[bytes]) -> str | None:
    """The first offer of permessage-deflate that can be kept, as the server's answer says it (RFC 7692 §7.1)."""
    for offer in list_members(values):
        name, *parameters = (part.strip(b" \t") for part in offer.split(b";"))
        if name == b"permessage-deflate" and (said := _parameters(parameters)) is not None:
            return "; ".join(["permessage-deflate", *said])
    return None


def _parameters(parameters: Sequence[bytes]) -> list[str] | None:
    """The parameters of the answer; None for an offer that is unknown, or can't be kept."""
    said: dict[str, str] = {}
    seen: set[str] = set()
    for parameter in parameters:
        name, given, value = parameter.decode("latin-1").partition("=")
        name, value = name.strip(), value.strip().strip('"')
        if name in seen:
            return None
        seen.add(name)
        match name:
            case "server_no_context_takeover" | "client_no_context_takeover" if not given:
                said[name] = name
            case "server_max_window_bits" if value in _BITS:
                said[name] = f"{name}={value}"
            case "client_max_window_bits" if not given or value in _BITS or value == "8":
                pass  # a hint, which asks for nothing
            case _:
                return None
    return list(said.values())


def _is_key(key: bytes | None) -> bool:
    try:
        return key is not None and len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _add(draft: Draft, line: bytes) -> bool:
    """Add a field unless the rule has one of its name; whether it was added."""
    if draft.get(saying.name_of(line)) is not None:
        return False
    saying.add(draft, line)
    return True


def _refused(draft: Draft, status: str, why: str, *lines: bytes) -> Draft:
    refused = saying.instead(draft, status, f"{why}\n".encode())
    for line in (*lines, b"Content-Type: text/plain; charset=utf-8"):
        saying.add(refused, line)
    refused.final = True
    return refused
