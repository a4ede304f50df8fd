"""What the detail panes look at: one exchange, or one connection that never became one.

A subject reads bytes from the capture when a pane asks for them, and no more of them than it asks for; it parses what
it read when somebody looks. It can be made from plain bytes, so that a pane needs no capture to be tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeAlias

from inspectd.capture.model import INCOMING, OUTGOING, ConnectionRow, ExchangeRow, ListenerRow, Read, State
from inspectd.capture.servers import server_of
from inspectd.errors import InspectdError
from inspectd.wire import Message, Stream, read
from inspectd.wire.stream import read_tls
from inspectd.wire.tls import begins_tls, begins_with_alert, pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from inspectd.capture.model import EvidenceRow, ForwardRow, TlsRow, UpstreamRow
    from inspectd.capture.servers import Server
    from inspectd.lint import Finding
    from inspectd.lint.two_readings import Reading as Seen
    from inspectd.tui.conversation import Conversation
    from inspectd.wire.tls import Piece

Side: TypeAlias = Literal["request", "response"]

PREFIX: Final = 64 * 1024
"""Bytes of a message that are read and parsed at first."""
LONGEST_HEAD: Final = 96 * 1024
"""Bytes that are read and parsed at first of a message whose head is longer than `PREFIX`."""
LONGEST_PARSED: Final = 2 * 1024 * 1024
"""Bytes of a message that are parsed at most, however often a person asks for more."""


_LONGEST_ASKED: Final = 16 * 1024
"""Bytes of a request that are looked at to judge its response."""
ATTEMPTS_MOST: Final = 50
"""Attempts of the same request that are listed at most, the newest ones."""
SIBLINGS_MOST: Final = 200
"""Exchanges of the same connection that are listed at most."""


class CaptureReader(Protocol):
    """The part of `inspectd.capture.reader.Capture` that a subject needs."""

    def exchange(self, number: int, /) -> ExchangeRow | None: ...
    def connection(self, number: int, /) -> ConnectionRow | None: ...
    def listeners(self) -> Sequence[ListenerRow]: ...
    def tls(self, connection: int, /) -> TlsRow | None: ...
    def forward(self, exchange: int, /) -> ForwardRow | None: ...
    def upstream(self, connection: int, /) -> UpstreamRow | None: ...
    def attempts(self, exchange: int, /) -> Sequence[EvidenceRow]: ...
    def exchanges_of(self, connection: int, /, *, limit: int = ...) -> Sequence[ExchangeRow]: ...
    def request_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> bytes: ...
    def response_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> bytes: ...
    def stream_bytes(
        self, connection: int, direction: int, offset: int = 0, limit: int | None = None
    ) -> bytes: ...
    def reads(
        self, connection: int, direction: int, start: int | None = None, end: int | None = None
    ) -> Sequence[Read]: ...


class Subject:
    """One exchange or connection and its bytes, for one look; make a new one when its row changed.

    `request_total` and `response_total` are the bytes captured so far, which may be more than were read.
    """

    def __init__(
        self,
        *,
        key: int,
        row: ExchangeRow | None = None,
        connection: ConnectionRow | None = None,
        listener: ListenerRow | None = None,
        capture: CaptureReader | None = None,
    ) -> None:
        self.key = key
        self.row = row
        self.connection = connection
        self.listener = listener
        self.live = True
        """Whether an engine still goes on with it."""
        self._capture = capture
        self._sides: dict[Side, SideBytes] = {}
        self._siblings: Sequence[ExchangeRow] | None = None
        self._following: bytes | None = None
        self._attempts: Sequence[Attempt] | None = None

    @classmethod
    def load(cls, capture: CaptureReader, key: int) -> Subject | None:
        """The exchange with this id or, for a negative key, the connection with the id `-key`; None when gone."""
        if key > 0:
            row = capture.exchange(key)
            if row is None:
                return None
            connection = capture.connection(row.connection)
        else:
            row = None
            connection = capture.connection(-key)
            if connection is None:
                return None
        listener = None
        if connection is not None:
            listener = next((each for each in capture.listeners() if each.id == connection.listener), None)
        return cls(key=key, row=row, connection=connection, listener=listener, capture=capture)

    @classmethod
    def from_bytes(
        cls,
        request: bytes = b"",
        response: bytes = b"",
        *,
        key: int = 1,
        row: ExchangeRow | None = None,
        connection: ConnectionRow | None = None,
        listener: ListenerRow | None = None,
        reads: Sequence[Read] = (),
        writes: Sequence[Read] = (),
        siblings: Sequence[ExchangeRow] = (),
        attempts: Sequence[Attempt] = (),
    ) -> Subject:
        """A subject that needs no capture. Offsets of `reads` and `writes` count from the message's first byte."""
        subject = cls(key=key, row=row, connection=connection, listener=listener)
        subject._sides = {
            "request": SideBytes(subject, "request", _Given(request, tuple(reads))),
            "response": SideBytes(subject, "response", _Given(response, tuple(writes))),
        }
        subject._siblings = siblings
        subject._attempts = attempts
        return subject

    def side(self, side: Side) -> SideBytes:
        """The bytes of one direction."""
        found = self._sides.get(side)
        if found is None:
            found = self._sides[side] = SideBytes(self, side, self._stored(side))
        return found

    def _stored(self, side: Side) -> _Bytes:
        if self._capture is None:
            return _Given(b"", ())
        if self.row is not None:
            return _Message(self._capture, self.row, side)
        if self.connection is None:
            return _Given(b"", ())
        return _Direction(self._capture, self.connection, side)

    def connection_reads(self, side: Side, end: int) -> Sequence[Read]:
        """When the first `end` bytes of this direction of the connection crossed the socket."""
        if self._capture is None or self.connection is None:
            return self.side(side).reads_before(end)
        return self._capture.reads(self.connection.id, INCOMING if side == "request" else OUTGOING, 0, end)

    def connection_bytes(self, side: Side, offset: int, limit: int) -> bytes:
        """At most `limit` bytes of this direction of the connection; none when the capture hasn't them."""
        if self._capture is None or self.connection is None:
            return b""
        direction = INCOMING if side == "request" else OUTGOING
        try:
            return self._capture.stream_bytes(self.connection.id, direction, offset, limit)
        except InspectdError:
            return b""

    @property
    def following(self) -> bytes:
        """What came behind the request on its connection, where that shows how others may read it."""
        from inspectd.capture.following import following

        if self._following is None:
            self._following = b""
            if self._capture is not None and self.row is not None:
                self._following = following(self._capture, self.row)
        return self._following

    def findings_of_connection(self) -> Sequence[Finding] | None:
        """What is found in what a client sent without a request; None where no capture tells it."""
        from inspectd.capture.findings import findings_of_connection

        if self._capture is None or self.connection is None:
            return None
        return findings_of_connection(self._capture, self.connection)

    @property
    def request(self) -> bytes:
        """The first bytes of the request, at most `PREFIX` of them unless more were asked for."""
        return self.side("request").prefix

    @property
    def response(self) -> bytes:
        """The first bytes of the response."""
        return self.side("response").prefix

    @property
    def request_total(self) -> int:
        """Bytes of the request captured so far."""
        return self.side("request").total

    @property
    def response_total(self) -> int:
        """Bytes of the response captured so far."""
        return self.side("response").total

    @property
    def request_message(self) -> Message | None:
        """The request as it was read from its first bytes; None when nothing in them is a message."""
        return self.side("request").message

    @property
    def response_message(self) -> Message | None:
        """The response, not counting interim ones."""
        return self.side("response").message

    @property
    def siblings(self) -> Sequence[ExchangeRow]:
        """The newest exchanges of this connection in their order, `SIBLINGS_MOST` at most."""
        if self._siblings is None:
            self._siblings = ()
            if self._capture is not None and self.connection is not None:
                self._siblings = self._capture.exchanges_of(self.connection.id, limit=SIBLINGS_MOST)
        return self._siblings

    @property
    def tls(self) -> TlsRow | None:
        """How the connection was encrypted, or failed to be; None on a listener in clear text."""
        if self._capture is None or self.connection is None:
            return None
        return self._capture.tls(self.connection.id)

    @property
    def forward(self) -> ForwardRow | None:
        """What became of the exchange at a server; None unless it was forwarded to one."""
        if self._capture is None or self.row is None:
            return None
        return self._capture.forward(self.row.id)

    @property
    def server(self) -> Server | None:
        """What is known of that server; None when there was no connection to it."""
        return None if self._capture is None else server_of(self._capture, self.forward)

    def conversation(self) -> Conversation | None:
        """What is said within the exchange, from its beginning; None without a capture. Raises CaptureError."""
        from inspectd.capture.reader import Capture
        from inspectd.tui.conversation import Conversation

        if self.row is None or not isinstance(self._capture, Capture):
            return None
        return Conversation(self._capture, self.row)

    @property
    def attempts(self) -> Sequence[Attempt]:
        """What the client did with a crafted answer, each time it asked for the same; empty for other answers."""
        if self._attempts is None:
            self._attempts = ()
            if self._capture is not None and self.row is not None:
                found = self._capture.attempts(self.row.id)
                here = [each.exchange for each in found].index(self.row.id) if found else 0
                first = max(0, min(here, len(found) - ATTEMPTS_MOST))
                found = found[first : first + ATTEMPTS_MOST]
                self._attempts = [Attempt(each, self._capture.exchange(each.exchange)) for each in found]
        return self._attempts


class Attempt(NamedTuple):
    """One time the client asked: the evidence, and the exchange when the capture still has it."""

    evidence: EvidenceRow
    exchange: ExchangeRow | None


class _Bytes(Protocol):
    """Where a side's bytes come from."""

    total: int

    def read(self, offset: int, limit: int) -> bytes: ...
    def reads(self, end: int) -> Sequence[Read]: ...


@dataclass(slots=True)
class _Given:
    """Bytes in memory."""

    data: bytes
    at: tuple[Read, ...]
    total: int = 0

    def __post_init__(self) -> None:
        self.total = len(self.data)

    def read(self, offset: int, limit: int) -> bytes:
        return self.data[offset : offset + limit]

    def reads(self, end: int) -> Sequence[Read]:
        return [each for each in self.at if each.offset < end]


class _Message:
    """A message of an exchange in a capture."""

    def __init__(self, capture: CaptureReader, row: ExchangeRow, side: Side) -> None:
        self._capture = capture
        self._row = row
        self._side = side
        if side == "request":
            self._start, length = row.req_offset, row.req_run if row.req_len is None else row.req_len
        else:
            self._start, length = (
                row.res_offset or 0,
                (row.res_run if row.res_len is None else row.res_len) or 0,
            )
            length = length if row.res_offset is not None else 0
        self.total = length

    def read(self, offset: int, limit: int) -> bytes:
        read = self._capture.request_bytes if self._side == "request" else self._capture.response_bytes
        return read(self._row, limit=limit, offset=offset)

    def reads(self, end: int) -> Sequence[Read]:
        direction = INCOMING if self._side == "request" else OUTGOING
        end = min(end, self.total)
        if end <= 0:
            return ()
        found = self._capture.reads(self._row.connection, direction, self._start, self._start + end)
        return [Read(each.offset - self._start, each.length, each.ns) for each in found]


class _Direction:
    """Everything that crossed a connection in one direction."""

    def __init__(self, capture: CaptureReader, connection: ConnectionRow, side: Side) -> None:
        self._capture = capture
        self._connection = connection.id
        self._direction = INCOMING if side == "request" else OUTGOING
        self.total = connection.bytes_in if side == "request" else connection.bytes_out

    def read(self, offset: int, limit: int) -> bytes:
        return self._capture.stream_bytes(self._connection, self._direction, offset, limit)

    def reads(self, end: int) -> Sequence[Read]:
        return self._capture.reads(self._connection, self._direction, 0, min(end, self.total))


class SideBytes:
    """One direction of a subject: a bounded prefix that is parsed, and the whole by pages."""

    def __init__(self, subject: Subject, side: Side, source: _Bytes) -> None:
        self.side: Side = side
        self.lost = ""
        """Why bytes could not be read from the capture; empty while they can."""
        self._subject = subject
        self._source = source
        self._limit = PREFIX
        self._prefix: bytes | None = None
        self._stream: Stream | None = None
        self._pieces: Sequence[Piece] | None = None
        self._findings: tuple[int, Sequence[Finding]] | None = None
        self._reads: Sequence[Read] | None = None

    @property
    def total(self) -> int:
        """Bytes captured so far."""
        return self._source.total

    def read(self, offset: int, limit: int) -> bytes:
        """At most `limit` bytes from `offset` on; none, and `lost` says why, when the capture can't give them."""
        limit = min(limit, self.total - offset)
        if limit <= 0:
            return b""
        try:
            return self._source.read(offset, limit)
        except InspectdError as error:
            self.lost = error.what
            return b""

    @property
    def prefix(self) -> bytes:
        """The bytes that are parsed."""
        if self._prefix is None:
            row = self._subject.row
            head = (row.req_head if self.side == "request" else row.res_head or 0) if row else 0
            # A head of any usual size is read whole, with the beginning of its content.
            self._limit = max(self._limit, min(head + PREFIX // 4, LONGEST_HEAD))
            self._prefix = self.read(0, self._limit)
        return self._prefix

    @property
    def truncated(self) -> bool:
        """Whether there are more bytes than the prefix holds."""
        return not self.lost and self.total > len(self.prefix)

    def load(self, limit: int) -> bool:
        """Take up to `limit` bytes into the prefix, `LONGEST_PARSED` at most; False when it didn't grow."""
        limit = min(limit, LONGEST_PARSED)
        if not self.truncated or limit <= len(self.prefix):
            return False
        self._limit = limit
        self._prefix = None
        self._stream = None
        self._pieces = None
        return True

    @property
    def stream(self) -> Stream:
        """The prefix, read."""
        if self._stream is None and self._is_tls:
            self._stream = read_tls(self.prefix)
        if self._stream is None:
            row = self._subject.row
            methods: tuple[bytes, ...] = ()
            if self.side == "response" and row is not None and row.method is not None:
                methods = (row.method.encode("utf-8", "surrogateescape"),)
            self._stream = read(
                self.prefix, self.side, eof=not self.truncated and self._over, methods=methods
            )
        return self._stream

    @property
    def findings(self) -> Sequence[Finding]:
        """What is found in the first bytes of this side, in the order of the bytes."""
        if self._findings is None or self._findings[0] != len(self.prefix):
            self._findings = (len(self.prefix), self._find())
        return self._findings[1]

    def _find(self) -> Sequence[Finding]:
        from inspectd.capture.findings import EXAMINED, around
        from inspectd.capture.following import findings_before
        from inspectd.lint import Context, findings

        row = self._subject.row
        data = self.prefix[:EXAMINED]
        if not data or self._is_tls:
            return ()
        if row is None and (found := self._of_connection()) is not None:
            return found
        if self.following and len(data) == self.total:
            return findings_before(data, self.following)
        asked = (
            self._subject.request[:_LONGEST_ASKED] if self.side == "response" and row is not None else None
        )
        whole = self._over and len(data) == self.total
        if self.side == "response" and row is not None and row.status == "101" and row.res_head:
            data, whole = data[: row.res_head], True  # what follows is another protocol
        subject = self._subject
        context = around(subject.connection, subject.tls) if self.side == "response" else Context()
        return findings(data, self.side, eof=whole, request=asked, context=context, stream=self.stream)

    def _of_connection(self) -> Sequence[Finding] | None:
        """What is found on a connection that never became an exchange; None where its bytes are to be looked at."""
        if self._subject.connection is None:
            return None
        if self.side == "response":
            # Else they are inspectd's own words in the protocol that the client speaks.
            return None if self.prefix.startswith(b"HTTP/") else ()
        return self._subject.findings_of_connection()

    @property
    def following(self) -> bytes:
        """What came behind a request whose end is in doubt, or that was the last one to be read."""
        return b"" if self.side == "response" or self.truncated else self._subject.following

    @property
    def readings(self) -> Sequence[Seen]:
        """How the first message whose end is in doubt is read by others; empty when all agree."""
        from inspectd.capture.findings import EXAMINED
        from inspectd.lint.two_readings import readings

        if self._is_tls or not any(each.framing.ambiguous for each in self.stream.messages):
            return ()
        found = readings(self.prefix[:EXAMINED] + self.following, self.side)
        return found if len(found) > 1 else ()

    @property
    def _is_tls(self) -> bool:
        """Whether this is TLS in clear text: a client's hello on a port without TLS, or the alert that answers it."""
        begins = begins_tls if self.side == "request" else begins_with_alert
        return self._subject.row is None and begins(self.prefix)

    @property
    def tls_pieces(self) -> Sequence[Piece]:
        """A piece for each span of a stream that is TLS in clear text; none for other streams."""
        if self._pieces is None:
            self._pieces = pieces(self.prefix) if self._is_tls else ()
        return self._pieces

    @property
    def _over(self) -> bool:
        """Whether no more bytes can come on this side."""
        row, connection = self._subject.row, self._subject.connection
        if row is not None:
            done = State.REQUEST_COMPLETE if self.side == "request" else State.RESPONSE_COMPLETE
            return bool(row.state & (done | State.ABORTED))
        return connection is None or connection.closed_ns is not None

    @property
    def message(self) -> Message | None:
        """The message, or the final one when interim responses came first."""
        messages = self.stream.messages
        return next((each for each in messages if not each.interim), messages[0] if messages else None)

    def reads_before(self, end: int) -> Sequence[Read]:
        """When the bytes before offset `end` crossed the socket; offsets count from this side's first byte."""
        return self._source.reads(end)

    @property
    def reads(self) -> Sequence[Read]:
        """When each of its bytes crossed the socket."""
        if self._reads is None:
            self._reads = self._source.reads(self.total)
        return self._reads
