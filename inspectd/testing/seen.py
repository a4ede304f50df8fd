"""What a test gets to see of a client: requests as exact bytes and as words, connections, and what became of answers.

Texts of the wire are ISO-8859-1, a character for a byte, unless they say otherwise: nothing is lost or refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs

from inspectd.capture.model import INCOMING, OUTGOING
from inspectd.errors import InspectdError
from inspectd.rules.subject import split_target
from inspectd.testing.hiding import hidden
from inspectd.text.safe import safe
from inspectd.wire import read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from inspectd.capture.model import ConnectionRow, EvidenceRow, ExchangeRow
    from inspectd.rules.request import Request
    from inspectd.testing.record import Record

__tracebackhide__ = hidden

Key: TypeAlias = tuple[int, int]
"""A connection, and the number of a request on it."""


class SeenRequest:
    """One request of a client."""

    def __init__(self, request: Request, record: Record) -> None:
        self._request = request
        self._record = record
        self.at = 0.0
        """When the byte came that it was answered after, in seconds since the epoch."""
        self.rule = ""
        """The id of the rule that answered it; empty when none did."""
        self.captured: Mapping[str, str] = {}
        """For a function that answers: the parts of the path that `{name}` and `*` of its rule stood for."""

    def update(self, request: Request) -> None:
        """More of it is there than when it was seen first."""
        self._request = request

    @property
    def request(self) -> Request:
        """The request as rules see it."""
        return self._request

    # -- the head

    @property
    def head(self) -> bytes:
        """The exact bytes of the head, from the request line to the empty line."""
        return self._request.head.raw

    @property
    def method(self) -> str:
        """The method."""
        return _text(self._request.head.method)

    @property
    def target(self) -> str:
        """The request target, as sent."""
        return _text(self._request.head.target)

    @property
    def version(self) -> str:
        """The version, as sent; empty when there is none."""
        return _text(self._request.head.version)

    @property
    def path(self) -> str:
        """The path of the target, percent-encoding as sent."""
        return _text(split_target(self._request.head.target)[0])

    @property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the query, decoded, each with all its values."""
        raw = split_target(self._request.head.target)[1] or b""
        return parse_qs(_text(raw), keep_blank_values=True, encoding="utf-8", errors="replace")

    @property
    def lines(self) -> list[bytes]:
        """The field lines as they were sent, without their line ends; folds are part of their line."""
        head = self._request.head
        return [
            head.raw[field.start - head.start : field.end - head.start].rstrip(b"\r\n")
            for field in head.head.fields
        ]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names, in their own case, and values of the fields, in the order of the wire; duplicates stay."""
        return [
            (_text(field.name_bytes), _text(field.value_bytes)) for field in self._request.head.head.fields
        ]

    def header(self, name: str, default: str | None = None) -> str | None:
        """The value of the first field of this name, in any case."""
        return next(iter(self.headers(name)), default)

    def headers(self, name: str) -> list[str]:
        """The values of all fields of this name, in any case."""
        wanted = name.lower()
        return [value for found, value in self.fields if found.lower() == wanted]

    # -- the content

    @property
    def content(self) -> bytes:
        """The content, with the transfer coding taken off and any content coding still on."""
        request = self._request
        if request.complete and len(request.content) == request.content_length:
            return request.content
        stream = read(self.raw, "request", eof=False)
        return stream.content(stream.messages[0]) if stream.messages else b""

    @property
    def body(self) -> bytes:
        """The same as `content`."""
        return self.content

    @property
    def text(self) -> str:
        """The content as UTF-8, what isn't valid replaced."""
        return self.content.decode("utf-8", "replace")

    def json(self) -> Any:
        """The content as JSON; ValueError when it is none."""
        return json.loads(self.content)

    def form(self) -> dict[str, list[str]]:
        """The content as a form (`application/x-www-form-urlencoded`)."""
        return parse_qs(self.text, keep_blank_values=True)

    @property
    def raw(self) -> bytes:
        """The exact bytes of the whole request, chunk lines and trailers included, as far as it has come."""
        row = self._row()
        return self._record.stage.read(lambda capture: capture.request_bytes(row))

    @property
    def messages(self) -> list[str | bytes]:
        """What the client has said over the WebSocket so far: text messages as str, binary ones as bytes.

        A payload of more than 1 MiB is cut off there.
        """
        from inspectd.capture.messages import websocket

        row = self._row()
        found = self._record.stage.read(lambda capture: list(websocket(capture, row).rest()))
        return [
            message.payload.decode("utf-8", "replace") if message.kind == "text" else message.payload
            for direction, _, message in found
            if direction == INCOMING and message.kind in {"text", "binary"}
        ]

    # -- where and when

    @property
    def id(self) -> int:
        """The number of its exchange in the capture, which `inspectd show FILE ID` takes."""
        return self._row().id

    @property
    def connection(self) -> int:
        """The number of its connection: one of `inspectd.connections` has this `id`."""
        return self._request.connection

    @property
    def number(self) -> int:
        """Which request of its connection it is, from 1. Above 1 the connection was reused."""
        return self._request.number

    @property
    def complete(self) -> bool:
        """Whether all of it was there when it was answered."""
        return self._request.complete

    @property
    def peer(self) -> str:
        """The client's address."""
        return self._request.peer

    @property
    def key(self) -> Key:
        """Connection and number: no other request has both."""
        return self._request.connection, self._request.number

    # -- what became of it

    @property
    def answer(self) -> bytes:
        """The exact bytes that were sent in answer so far."""
        row = self._row()
        return self._record.stage.read(lambda capture: capture.response_bytes(row))

    @property
    def evidence(self) -> Evidence:
        """What the client did with the answer, as far as it is known now."""
        number = self._row().id
        stage = self._record.stage
        found = self._record.eventually(lambda: stage.read(lambda capture: capture.evidence(number)))
        if found is None:
            raise InspectdError(
                f"nothing is known of the answer to {self}",
                "Only answers of rules leave evidence, and only once they have begun.",
            )
        return Evidence.of(found)

    def _row(self) -> ExchangeRow:
        row = self._record.row(self.key)
        if row is None:
            raise InspectdError(
                f"the record of {self} is gone", "Look at it before the test, or the `with` block, is over."
            )
        return row

    # -- itself

    def __str__(self) -> str:
        return safe(b" ".join((self._request.head.method, self._request.head.target[:200])))

    def __repr__(self) -> str:
        return f"<request {self}, number {self.number} of connection {self.connection}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeenRequest) and (self.key, self._record) == (other.key, other._record)

    def __hash__(self) -> int:
        return hash(self.key)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a client did with one answer. Times are seconds; None is what isn't known, or not yet."""

    rule: str
    planned: int | None
    """Bytes that the whole answer has."""
    sent: int
    """Of those, bytes handed to the socket."""
    acked: int | None
    """Of those, bytes that the client's kernel has acknowledged."""
    reused: bool
    """The connection had served a request before."""
    attempt: int
    """1 for a request that is new, 2 and more when the same came before."""
    gap: float | None
    """From the end of the attempt before to the first byte of this one."""
    ended_by: str | None
    """Who ended the connection after this answer: `client` or `server`."""
    how: str | None
    """How: `fin`, `rst` or `timeout`."""
    after: float | None
    """How long after the last byte of the answer; negative when it came before that."""

    @classmethod
    def of(cls, row: EvidenceRow) -> Evidence:
        """The same, as a test reads it."""
        return cls(
            row.rule,
            row.planned,
            row.sent,
            row.acked,
            bool(row.reused),
            row.attempt,
            _seconds(row.gap_ns),
            row.ended_by,
            row.how,
            _seconds(row.after_ns),
        )


class SeenConnection:
    """One connection of a client, as it was when it was asked for."""

    def __init__(self, row: ConnectionRow, requests: list[SeenRequest], record: Record) -> None:
        self._row = row
        self._record = record
        self.id = row.id
        self.peer = row.peer
        self.requests = requests
        """The requests on it that were answered, in order."""
        self.open = row.closed_ns is None
        self.closed_by = row.closed_by
        """Who ended it: `client` or `server`; None while it is open."""
        self.how = row.how
        """How it ended: `fin`, `rst`, `timeout` or `error`; None while it is open."""
        self.kind = row.kind
        """What it was when it wasn't HTTP with requests: `preconnect`, `tls`, `half-head`, ..."""

    @property
    def received(self) -> bytes:
        """Every byte that the client sent."""
        return self._bytes(INCOMING)

    @property
    def sent(self) -> bytes:
        """Every byte that was sent to the client."""
        return self._bytes(OUTGOING)

    def _bytes(self, direction: int) -> bytes:
        return self._record.stage.read(lambda capture: capture.stream_bytes(self.id, direction))

    def wait_closed(self, timeout: float = 5.0) -> SeenConnection:
        """The connection once it has ended; AssertionError when that takes longer than `timeout` seconds."""

        def look() -> SeenConnection | None:
            (row,) = self._record.stage.read(lambda capture: capture.connections([self.id]))
            return None if row.closed_ns is None else SeenConnection(row, self.requests, self._record)

        found = self._record.eventually(look, timeout)
        if found is None:
            raise AssertionError(f"connection {self.id} is still open after {timeout:g} s")
        return found

    def __repr__(self) -> str:
        end = "open" if self.open else f"closed by the {self.closed_by} ({self.how})"
        return f"<connection {self.id} with {len(self.requests)} requests, {end}>"


def _seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9


def _text(raw: bytes) -> str:
    return raw.decode("latin-1")
