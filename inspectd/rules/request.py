"""What a responder gets to see of a request: the head as it arrived, and the beginning of its content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from inspectd.wire import ArrivedHead, RequestReader

CONTENT_PREFIX: Final = 65536
"""Octets of content that a request carries to its responder, unless that one asks for more (`content_kept`)."""


@dataclass(slots=True)
class Request:
    """One request, ready to be answered.

    `content` is the beginning of the content with the transfer coding taken off (never the content coding), at most
    `CONTENT_PREFIX` octets (or as many as the responder wants) of the `content_length` that arrived so far. `complete`
    is False when the connection ended, or the answer was due, before the content did. `number` counts the requests of
    the connection from 1. `peer` and `local` are the connection's addresses, as text; `tls` says whether it is
    encrypted, and `sent` how many bytes this side has sent on it before the answer.
    """

    head: ArrivedHead
    content: bytes
    content_length: int
    complete: bool
    connection: int
    number: int
    peer: str
    local: str
    tls: bool = False
    sent: int = 0


def ordinary_request(target: bytes = b"/") -> Request:
    """A GET as any client sends it, the first of its connection: to try an answer with before anybody asks."""
    (head, *_) = RequestReader().feed(b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % target)
    assert isinstance(head, ArrivedHead)
    return Request(
        head, b"", 0, complete=True, connection=1, number=1, peer="127.0.0.1:1", local="127.0.0.1:2"
    )
