"""Requests for responders, made from the bytes a client would send."""

from __future__ import annotations

from inspectd.rules.program import Close, Program, Send
from inspectd.rules.request import CONTENT_PREFIX, Request
from inspectd.wire import ArrivedHead, RequestReader


def arrived(raw: bytes) -> ArrivedHead:
    """The head that the reader finds in these bytes."""
    reader = RequestReader(max_head=1 << 26, max_request_line=1 << 26)
    heads = [event for event in [*reader.feed(raw), *reader.eof()] if isinstance(event, ArrivedHead)]
    return heads[0]


def request(raw: bytes, content: bytes = b"", *, complete: bool = True) -> Request:
    """A request of this head, with this content, as the engine hands it to a responder."""
    return Request(
        head=arrived(raw),
        content=content[:CONTENT_PREFIX],
        content_length=len(content),
        complete=complete,
        connection=3,
        number=2,
        peer="127.0.0.1:50000",
        local="127.0.0.1:8080",
    )


def get(target: str = "/", *lines: str, method: str = "GET") -> Request:
    """A well-formed request without content."""
    return request(
        "\r\n".join((f"{method} {target} HTTP/1.1", "Host: localhost:8080", *lines, "", "")).encode()
    )


def sent(program: Program) -> tuple[str, dict[str, str], bytes]:
    """The status line, the fields by their names in lower case, and the body of a well-formed response."""
    data = b"".join(op.data for op in program.ops if isinstance(op, Send))
    assert all(isinstance(op, (Send, Close)) for op in program.ops)
    head, _, body = data.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert len(fields) == len(lines), "a field is there twice"
    return status_line, fields, body
