"""What is found in the messages of an exchange: derived from the recorded bytes when somebody looks, never stored.

Clients and servers repeat themselves, so what was found in a message is remembered by its bytes. Nothing raises on the
bytes of a peer; a message whose bytes are gone has no findings.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from inspectd.capture.following import findings_before, following
from inspectd.capture.model import INCOMING, State
from inspectd.capture.trouble import CaptureError
from inspectd.lint import Context, Finding, Severity, findings, quick
from inspectd.lint.catalogue import catalogue, levels
from inspectd.lint.model import NO_CONTEXT
from inspectd.wire import ArrivedHead, RequestReader
from inspectd.wire.sniff import Sniff, sniff

if TYPE_CHECKING:
    from collections.abc import Iterable

    from inspectd.capture.model import ConnectionRow, ExchangeRow, TlsRow
    from inspectd.wire.span import Kind

EXAMINED: Final = 256 * 1024
"""Bytes of a message that are looked at; of what comes behind them nothing is said."""

_REMEMBERED: Final = 2048
_LONGEST_REMEMBERED: Final = 8192
# A target that can't have come back in an answer as anything but itself: requests which differ in it alone are the same
# to what they are answered.
_ORDINARY_TARGET: Final = re.compile(rb"\A([A-Z]++ )/[A-Za-z0-9._~/?=&+-]*+( )")
_LOCATION: Final = re.compile(rb"(?i:\nlocation[ \t]*+:)")  # an answer that may lead back to its own target
# Fields that mean something else when the connection is encrypted.
_BY_TRANSPORT: Final = re.compile(rb"(?i:\n(?:location|set-cookie|strict-transport-security)[ \t]*+:)")
_LOOPBACK: Final = re.compile(r"(?:127\.|\[::1\]|\[::ffff:127\.)")
_WHOLE: Final = State.PLAIN | State.REQUEST_COMPLETE
_KIND: Final[tuple[Kind, Kind]] = ("request", "response")


class Messages(Protocol):
    """Where the bytes of messages are: `capture.reader.Capture` offers it."""

    def request_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> bytes: ...
    def response_bytes(
        self, exchange: ExchangeRow | int, *, limit: int | None = None, offset: int = 0
    ) -> bytes: ...
    def stream_bytes(
        self, connection: int, direction: int, offset: int = 0, limit: int | None = None
    ) -> bytes: ...
    def connection(self, number: int, /) -> ConnectionRow | None: ...
    def tls(self, connection: int, /) -> TlsRow | None: ...


class Found(NamedTuple):
    """The findings of both messages of an exchange. Offsets count from the first byte of each."""

    request: tuple[Finding, ...]
    response: tuple[Finding, ...]


class Marks(NamedTuple):
    """The findings of an exchange in short: their ids, the worst first, and how bad that one is."""

    ids: tuple[str, ...]
    worst: Severity


NO_MARKS: Final = Marks((), Severity.GOOD)


class _Memory:
    """What was found in messages seen before. At most some megabytes, the latest used are kept."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, ...], tuple[Finding, ...]] = OrderedDict()
        self._lock = Lock()  # searches run in threads

    def findings(
        self,
        data: bytes,
        kind: Kind,
        *,
        eof: bool,
        request: bytes | None = None,
        context: Context = NO_CONTEXT,
    ) -> tuple[Finding, ...]:
        """The findings of a message, the bytes of which may have been seen before."""
        key = (kind, data, eof, request, context)
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        found = tuple(findings(data, kind, eof=eof, request=request, context=context))
        if len(data) + len(request or b"") <= _LONGEST_REMEMBERED:
            with self._lock:
                self._known[key] = found
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return found


_memory: Final = _Memory()


def found_in(capture: Messages, row: ExchangeRow) -> Found:
    """All findings of an exchange's request and response, as far as their bytes are there."""
    return Found(findings_of(capture, row, "request"), findings_of(capture, row, "response"))


def findings_of(capture: Messages, row: ExchangeRow, kind: Kind) -> tuple[Finding, ...]:
    """The findings of one message of an exchange."""
    ended = bool(row.state & State.ABORTED)
    try:
        request = capture.request_bytes(row, limit=EXAMINED)
        if kind == "request":
            eof = (ended or bool(row.state & State.REQUEST_COMPLETE)) and len(request) == (row.req_len or 0)
            after = following(capture, row) if len(request) == row.req_len else b""
            if after:
                return findings_before(request, after)
            return _memory.findings(request, kind, eof=eof)
        if not row.res_len:
            return ()
        data = capture.response_bytes(row, limit=EXAMINED)
    except CaptureError:
        return ()
    if row.status == "101" and row.res_head:
        data = data[: row.res_head]  # what follows is another protocol
    whole = (ended or bool(row.state & State.RESPONSE_COMPLETE)) and len(data) >= (row.res_len or 0)
    head_end = row.res_head or len(data)
    if not _LOCATION.search(data, 0, head_end):
        request = _ORDINARY_TARGET.sub(rb"\1/\2", request, count=1)
    context = NO_CONTEXT
    if _BY_TRANSPORT.search(data, 0, head_end):
        context = around(capture.connection(row.connection), capture.tls(row.connection))
    return _memory.findings(data, kind, eof=whole, request=request, context=context)


def around(connection: ConnectionRow | None, tls: TlsRow | None) -> Context:
    """What the connection tells of its messages: whether it is encrypted, and whether it leaves this machine."""
    if connection is None:
        return NO_CONTEXT
    return Context(tls=tls is not None, loopback=_LOOPBACK.match(connection.peer) is not None)


def findings_of_connection(capture: Messages, row: ConnectionRow) -> tuple[Finding, ...]:
    """The findings of what a client sent on a connection that never became an exchange.

    Nothing is found where another protocol was served: then the row says something else than that it isn't HTTP.
    """
    if row.exchanges or not row.listener or not row.bytes_in:  # listener 0: inspectd made it, to a server
        return ()
    try:
        data = capture.stream_bytes(row.id, INCOMING, 0, EXAMINED)
    except CaptureError:
        return ()
    if not data:
        return ()
    eof = row.closed_ns is not None and len(data) == row.bytes_in
    if (row.kind or "").startswith("socks"):
        told = sniff(data, eof=eof)
        if not isinstance(told, Sniff) or told.sentence != row.sentence:
            return ()
    return _memory.findings(data, "request", eof=eof)


def marks_of_connection(capture: Messages, row: ConnectionRow) -> Marks:
    """The findings of a connection that never became an exchange, in short."""
    return _in_short(each.id for each in findings_of_connection(capture, row))


def marks(capture: Messages, row: ExchangeRow, kinds: tuple[Kind, ...] = _KIND) -> Marks:
    """The findings of an exchange in short, of the messages of these kinds."""
    return _in_short(name for kind in kinds for name in ids_in(capture, row, kind))


def _in_short(found: Iterable[str]) -> Marks:
    ids = dict.fromkeys(found)
    severity = levels()
    noted = sorted(ids, key=lambda name: -severity[name])
    return Marks(tuple(noted), severity[noted[0]]) if noted else NO_MARKS


def outstanding(capture: Messages, row: ExchangeRow) -> tuple[str, Severity] | None:
    """The one finding to show in a list: the worst of the request from a warning on, else an error in the response.

    What is merely not advised in a response was mostly chosen by somebody.
    """
    kinds: tuple[tuple[Kind, Severity], ...] = (("request", Severity.WARNING), ("response", Severity.ERROR))
    for kind, least in kinds:
        found = marks(capture, row, (kind,))
        if found.worst >= least:
            return found.ids[0], found.worst
    return None


def ids_in(capture: Messages, row: ExchangeRow, kind: Kind) -> tuple[str, ...]:
    """The ids of what is found in one message of an exchange, perhaps more than once: cheaper than the findings."""
    if kind == "request" and row.state & _WHOLE == _WHOLE and row.req_len == row.req_head:
        # Most requests are nothing but a plain head, for which there is a shorter way.
        try:
            events = RequestReader(max_head=None, max_request_line=None).feed(capture.request_bytes(row))
        except CaptureError:
            return ()
        head = next((event for event in events if isinstance(event, ArrivedHead)), None)
        if head is not None and head.keep_alive:  # else bytes may lie behind it
            return quick(head).ids
    return tuple(finding.id for finding in findings_of(capture, row, kind))


def noted_in(capture: Messages, row: ExchangeRow, kind: Kind) -> list[Finding]:
    """What is found in one message of an exchange and is more than a good note."""
    severity = levels()
    if all(severity[name] is Severity.GOOD for name in ids_in(capture, row, kind)):
        return []
    return noteworthy(findings_of(capture, row, kind))


def noteworthy(found: Iterable[Finding]) -> list[Finding]:
    """Those that are more than a good note."""
    severity = levels()
    return [each for each in found if severity[each.id] > Severity.GOOD]


def facts(found: Iterable[Finding]) -> list[dict[str, str | int]]:
    """Findings for JSON: what they are, how bad, and where, in bytes from the beginning of their message."""
    severity = levels()
    return [
        {"id": each.id, "severity": severity[each.id].word, "start": each.start, "end": each.end}
        for each in found
    ]


@lru_cache(maxsize=64)
def kinds_of(ids: frozenset[str]) -> tuple[Kind, ...]:
    """The messages that have to be looked at to find one of these ids."""
    kinds = {catalogue()[name].kind for name in ids}
    return tuple(kind for kind in _KIND if kind in kinds or "message" in kinds)
