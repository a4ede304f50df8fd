"""What a capture says about answers: which requests were answered, with which bytes, when, and how it ended.

Read one at a time, so that memory stays flat: what is kept of an exchange is what it was asked for and a few numbers,
and its bytes stay in the capture. Byte ranges are those of the capture, interim responses included (RFC 9110 §15.2).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from inspectd.capture.model import State
from inspectd.capture.reader import BytesGone
from inspectd.export.likeness import LARGEST_BODY, asked
from inspectd.rules.request import Request
from inspectd.wire import ArrivedHead, RequestReader, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from inspectd.capture.model import ConnectionRow, ExchangeRow
    from inspectd.capture.reader import Capture
    from inspectd.export.likeness import Asked, Likeness
    from inspectd.export.redact import Redaction

Ending: TypeAlias = Literal["", "close", "reset", "stall"]
"""What follows the last byte: the connection stays open, FIN, RST, or nothing more of an answer that isn't whole."""

HEADS: Final = 64 * 1024
"""Bytes of an answer in which its heads are looked for."""

_SOON: Final = 100_000_000
"""Nanoseconds: a FIN that follows an answer within them belongs to it, a later one to the connection's idleness."""
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_ROWS: Final = 200
_CONNECT: Final = b"CONNECT"


@dataclass(frozen=True, slots=True)
class Recorded:
    """One answered request."""

    id: int
    asked: Asked
    skip: int
    """Bytes at the beginning of the answer that inspectd says by itself: the 100 that was expected."""
    length: int
    """Bytes of the answer, without those."""
    wait_ns: int
    """From the request to the first byte of the answer."""
    ending: Ending
    early: bool
    """The answer began before the request was whole."""


@dataclass(slots=True)
class LeftOut:
    """Exchanges that hold no answer to give again, by why."""

    counts: Counter[str] = field(default_factory=Counter)

    @property
    def sentence(self) -> str:
        """`3 without an answer, 1 tunnel`; empty when there is none."""
        return ", ".join(f"{count:,} {why}" for why, count in sorted(self.counts.items()))


def rows_of(capture: Capture, ids: Iterable[range] = ()) -> Iterator[ExchangeRow]:
    """The exchanges with these ids, or all there are when nobody names one, the oldest first."""
    wanted = sorted((one.start, one.stop) for one in ids) or [(1, 1 << 62)]
    after = 0
    for start, stop in wanted:
        after = max(after, start - 1)
        while rows := capture.exchanges_after(after, _ROWS):
            for row in rows:
                if row.id >= stop:
                    break
                yield row
            after = min(rows[-1].id, stop - 1)
            if rows[-1].id >= stop - 1:
                break


def recorded(
    capture: Capture,
    rows: Iterable[ExchangeRow],
    like: Likeness,
    left_out: LeftOut,
    redaction: Redaction | None = None,
) -> Iterator[Recorded]:
    """The answered ones of these exchanges. What is left out is counted in `left_out`."""
    for row in rows:
        try:
            one = _recorded(capture, row, like, redaction)
        except BytesGone:
            one = "whose bytes are gone"
        if isinstance(one, Recorded):
            yield one
        else:
            left_out.counts[one] += 1


def _recorded(
    capture: Capture, row: ExchangeRow, like: Likeness, redaction: Redaction | None
) -> Recorded | str:
    """What is recorded of an exchange, or why there is nothing."""
    request = request_of(capture, row, content=like.wants_content)
    if request is None:
        return "without a request line"
    if request.head.method == _CONNECT:
        return "with CONNECT"
    if row.status == "101" and request.head.get(b"upgrade") is not None:
        return "with another protocol after it"  # what was said then answered what that client said
    connection = capture.connection(row.connection)
    length = row.res_len or 0
    ending = _ending(capture, row, connection, request.head.method)
    if ending is None:
        return "under way" if connection is not None and connection.closed_ns is None else "without an answer"
    skip = 0
    if request.head.expects_continue and length:
        skip = len(_CONTINUE) if capture.response_bytes(row, limit=len(_CONTINUE)) == _CONTINUE else 0
        if skip == length:
            return "without an answer"
    received, began = row.received_ns, row.answered_ns
    early = received is None or (began is not None and began < received)
    since = row.started_ns if received is None or early else received
    return Recorded(
        row.id,
        asked(request, like, redaction),
        skip,
        length - skip,
        max(0, (began or since) - since) if not skip else 0,
        ending,
        early and not skip and row.req_len != row.req_head,
    )


def request_of(capture: Capture, row: ExchangeRow, *, content: bool) -> Request | None:
    """A recorded request as rules see one, with the beginning of its content if that is asked for."""
    head_bytes = capture.request_bytes(row, limit=row.req_head or row.req_len or 0)
    events = RequestReader(max_head=None, max_request_line=None).feed(head_bytes)
    head = events[0] if events else None
    if not isinstance(head, ArrivedHead):
        return None
    body = b""
    if content:
        # Chunk lines may be longer than the chunks; content that is spread out like that is read as far as this.
        data = capture.request_bytes(row, limit=row.req_head + 8 * LARGEST_BODY)
        stream = read(data, "request", eof=False)
        body = stream.content(stream.messages[0])[: LARGEST_BODY + 1] if stream.messages else b""
    return Request(
        head, body, len(body), complete=True, connection=row.connection, number=row.number, peer="", local=""
    )


def _ending(
    capture: Capture, row: ExchangeRow, connection: ConnectionRow | None, method: bytes
) -> Ending | None:
    """How the answer ended; None when there was none, or none yet."""
    whole = State.RESPONSE_COMPLETE in row.state
    last = connection is None or connection.newest == row.id
    if connection is None or not last or connection.closed_ns is None:
        return "" if whole and row.res_len else None
    if connection.closed_by == "server":
        if connection.how == "rst":
            return "reset"
        end = connection.fin_out_ns or connection.closed_ns
        said = row.finished_ns or row.answered_ns or row.received_ns or row.started_ns
        if not whole or end - said < _SOON or not _stays_open(capture, row, method):
            return "close"
        return ""
    if whole:
        return "" if row.res_len else None
    return "stall" if row.res_len else None


def _stays_open(capture: Capture, row: ExchangeRow, method: bytes) -> bool:
    """Whether the head of an answer says that the connection serves another request."""
    messages = read(
        capture.response_bytes(row, limit=HEADS), "response", eof=False, methods=(method,)
    ).messages
    return bool(messages) and messages[-1].keep_alive and not messages[-1].framing.until_close


def answer_bytes(capture: Capture, one: Recorded) -> Iterator[bytes]:
    """The bytes of an answer in pieces; memory doesn't grow with it."""
    return capture.iter_response_bytes(one.id, offset=one.skip)
