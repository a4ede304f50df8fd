"""Whether a connection stays open after an exchange, and why (RFC 9112 §9.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.explain.model import Reading
from inspectd.explain.splitting import elements

if TYPE_CHECKING:
    from collections.abc import Iterable

_SOURCE: Final = "RFC 9112 §9.3"


def persistence(
    version: bytes | str, connection: Iterable[str], *, kind: str = "request", until_close: bool = False
) -> Reading | None:
    """What a head says of its connection: that it stays open or closes after the exchange, and which rule decides.

    `version` is that of the start line, `connection` the values of Connection, `until_close` whether the end of the
    connection is what ends the content. None when the version is not HTTP/1: then other rules hold.
    """
    text = version if isinstance(version, str) else version.decode("latin-1")
    options = {piece.text.lower() for value in connection for piece in elements(value[:8192])}
    who = "client" if kind == "request" else "server"
    if text not in ("HTTP/1.0", "HTTP/1.1"):
        return None
    if "close" in options:
        return Reading(
            f"The connection ends after this answer: the {who} says close",
            ("Connection: close",),
            "Whoever receives close sends no further request on this connection.",
            "RFC 9112 §9.6",
            "connection-close",
        )
    if until_close:
        return Reading(
            "The connection ends with the content",
            ("neither Content-Length nor chunked",),
            "Nothing but the end of the connection says where the content ends, so it can't be used again.",
            "RFC 9112 §6.3, §9.3",
            "connection-close",
        )
    if "upgrade" in options:
        return None
    if text == "HTTP/1.1":
        return Reading(
            "The connection stays open for the next request",
            (text, "Connection: keep-alive" if "keep-alive" in options else "no Connection: close"),
            "HTTP/1.1 keeps connections unless one side says close; keep-alive adds nothing to that.",
            _SOURCE,
            "connection-keep-alive",
        )
    if "keep-alive" in options:
        return Reading(
            "The connection stays open, if the other side agrees",
            (text, "Connection: keep-alive"),
            "HTTP/1.0 closes after each answer unless both sides say keep-alive. A proxy that passes the word on "
            "without understanding it would leave both ends waiting.",
            "RFC 9112 §9.3, §C.2.2",
            "connection-keep-alive",
        )
    return Reading(
        "The connection ends after this answer: HTTP/1.0 without keep-alive",
        (text, "no Connection: keep-alive"),
        "The end of the connection is how such a client finds the end of the answer.",
        _SOURCE,
        "connection-close",
    )
