"""Recorded bytes as the requests they were, for a matcher that is asked after the fact; and requests nobody sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from inspectd.capture.model import State
from inspectd.errors import InspectdError
from inspectd.rules.request import Request
from inspectd.rules.tables import AnswerTable
from inspectd.wire import ArrivedHead, ContentData, MessageEnd, RequestReader

if TYPE_CHECKING:
    from inspectd.capture.model import ConnectionRow, ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.rules.rule import Rule

CONTENT_KEPT: Final = 1 << 20
"""Octets of content that a request made from recorded bytes carries at most."""
_FRAMING: Final = 1 << 18
"""Bytes beyond the content that chunk framing may take."""
_LONGEST: Final = 1 << 30
_HANDSHAKE: Final = (  # that of RFC 6455 §1.2
    b"Upgrade: websocket",
    b"Connection: Upgrade",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version: 13",
)


def request_from(
    data: bytes,
    *,
    complete: bool = True,
    connection: int = 1,
    number: int = 1,
    peer: str = "127.0.0.1:50000",
    local: str = "127.0.0.1:8080",
    tls: bool = False,
    length: int | None = None,
) -> Request | None:
    """The first request in these bytes, as a responder would get it; None when no head is in them.

    `length` are the bytes of the whole request when `data` is only its beginning.
    """
    reader = RequestReader(max_head=_LONGEST, max_request_line=_LONGEST)
    head: ArrivedHead | None = None
    content: list[bytes] = []
    for event in (*reader.feed(data), *reader.eof()):
        if isinstance(event, ArrivedHead):
            if head is not None:
                break
            head = event
        elif isinstance(event, ContentData):
            content.append(event.data)
        elif isinstance(event, MessageEnd):
            complete = complete and (event.complete or length is not None)
            break
    if head is None:
        return None
    kept = b"".join(content)
    arrived = len(kept) if length is None else max(len(kept), length - len(data) + len(kept))
    return Request(
        head=head,
        content=kept[:CONTENT_KEPT],
        content_length=arrived,
        complete=complete,
        connection=connection,
        number=number,
        peer=peer,
        local=local,
        tls=tls,
    )


def recorded_request(capture: Capture, row: ExchangeRow, connection: ConnectionRow | None) -> Request | None:
    """The request of a recorded exchange; None when it has no head, or its bytes are gone."""
    limit = (row.req_head or 0) + CONTENT_KEPT + _FRAMING
    data = capture.request_bytes(row, limit=limit)
    return request_from(
        data,
        complete=bool(row.state & State.REQUEST_COMPLETE),
        connection=row.connection,
        number=row.number,
        peer="" if connection is None else connection.peer,
        local="" if connection is None else connection.local,
        tls=capture.tls(row.connection) is not None,
        length=row.req_len if row.req_len is not None and row.req_len > len(data) else None,
    )


def as_handshake(request: Request, rule: Rule | None) -> Request | None:
    """A made-up request with the fields of a WebSocket handshake, where the rule that answers is a WebSocket.

    None where it isn't, or where the request offers a protocol itself.
    """
    if rule is None or rule.table is None or request.head.upgrade is not None:
        return None
    if all(
        one.websocket is None
        for one in (rule.table, *(rule.table.each or ()))
        if isinstance(one, AnswerTable)
    ):
        return None
    head = request.head.raw.removesuffix(b"\r\n") + b"".join(line + b"\r\n" for line in _HANDSHAKE)
    made = request_from(head + b"\r\n")
    return None if made is None else replace(request, head=made.head)


def made_up(text: str | bytes) -> Request:
    """The request that a person means by `GET /slow` (a minimal one is made of it), or by a whole request's bytes.

    A whole one has line ends; those of text may be bare. Raises `InspectdError` when it is none.
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    if b"\n" not in data:
        words = data.split()
        method, target = (words[0], words[1]) if len(words) > 1 else (b"GET", data.strip() or b"/")
        version = words[2] if len(words) > 2 else b"HTTP/1.1"
        data = b"%s %s %s\r\nHost: localhost\r\n\r\n" % (method, target, version)
    elif b"\n\n" not in data and b"\n\r\n" not in data:
        data = data.rstrip(b"\r\n") + b"\r\n\r\n"
    request = request_from(data)
    if request is None:
        raise InspectdError(
            f"{text[:80]!r} is no request", "Write 'GET /path', or a whole request head.", exit_code=2
        )
    return request
