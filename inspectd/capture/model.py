"""What a capture holds, as values. Rows mirror `schema.sql`; anything richer is computed from the bytes."""

from __future__ import annotations

from enum import IntFlag
from typing import Final

import msgspec

APPLICATION_ID: Final = 0x494E5350  # "INSP"
SCHEMA_VERSION: Final = 3

INCOMING: Final = 0
"""Direction of bytes from the client to inspectd."""
OUTGOING: Final = 1
"""Direction of bytes from inspectd to the client."""

LEFT_OVER: Final = "left-over"
"""The kind of a connection with bytes behind its last request that were not read as one."""


class State(IntFlag):
    """How far an exchange came."""

    REQUEST_COMPLETE = 1
    RESPONSE_STARTED = 2
    RESPONSE_COMPLETE = 4
    HEAD_COMPLETE = 8
    ABORTED = 16
    """The connection ended before the exchange did."""
    PLAIN = 32
    """The request's head is plain grammatical CRLF: syntactic checks have nothing to find."""
    HELD = 64
    AMBIGUOUS = 128
    """Parsers differ about where the request ends: the start of many an attack on a proxy and the server behind it."""


class ExchangeRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `exchange`; the column comments in `schema.sql` say what each value is."""

    id: int
    connection: int
    number: int
    previous: int | None
    state: State
    started_ns: int
    received_ns: int | None
    answered_ns: int | None
    finished_ns: int | None
    method: str | None
    target: str | None
    version: str | None
    status: str | None
    reason: str | None
    client: str | None
    dest: str | None
    mode: str | None
    site: str | None
    host: str | None
    label: str | None
    added: str | None
    req_offset: int
    req_page: int
    req_at: int
    req_run: int
    req_head: int
    req_len: int | None
    res_offset: int | None
    res_page: int | None
    res_at: int | None
    res_run: int | None
    res_head: int | None
    res_len: int | None
    marked: int
    note: str | None


class ConnectionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `connection`; the column comments in `schema.sql` say what each value is."""

    id: int
    listener: int
    peer: str
    local: str
    opened_ns: int
    first_in_ns: int | None
    last_in_ns: int | None
    last_out_ns: int | None
    closed_ns: int | None
    closed_by: str | None
    how: str | None
    fin_in_ns: int | None
    fin_out_ns: int | None
    bytes_in: int
    bytes_out: int
    exchanges: int
    newest: int | None
    rtt_us: int | None
    queue_len: int | None
    queue_max: int | None
    kind: str | None
    sentence: str | None
    after: int
    inside: int | None


class ListenerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `listener`."""

    id: int
    address: str
    asked: str
    opened_ns: int
    closed_ns: int | None
    backlog: int
    steps: str


class EvidenceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `evidence`: what a client did with a crafted answer."""

    exchange: int
    rule: str
    planned: int | None
    sent: int
    acked: int | None
    reused: int
    attempt: int
    previous: int | None
    gap_ns: int | None
    ended_by: str | None
    how: str | None
    after_ns: int | None


class TlsRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `tls`: how a connection came to be encrypted, or why it didn't."""

    connection: int
    hello: bytes
    sni: str | None
    alpn: str | None
    version: str | None
    cipher: str | None
    certificate: str | None
    shaken_ns: int | None
    alert: str | None
    sentence: str | None
    shown: bytes | None


class UpstreamRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `upstream`: a connection that inspectd made to a server."""

    connection: int
    client: int
    origin: str
    via: str | None


class ForwardRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of `forward`: what became of an exchange at the server it was forwarded to."""

    exchange: int
    upstream: int | None
    origin: str
    begun_ns: int
    resolve_ns: int | None
    connect_ns: int | None
    sent_ns: int | None
    whole_ns: int | None
    came_ns: int | None
    done_ns: int | None
    req_offset: int | None
    req_page: int
    req_at: int
    req_run: int
    req_len: int
    res_offset: int | None
    res_page: int
    res_at: int
    res_run: int
    res_len: int
    changes: str | None
    failure: str | None
    tls_ns: int | None
    res_changes: str | None

    def phases(self) -> list[tuple[str, int, int]]:
        """What took how long: a word, when it began (ns since the epoch) and its length in ns, in order.

        "resolve", "connect" and "tls" are there for a new connection only; "wait" lasts from the last byte of the
        request to the first of the response and is missing when the response came earlier.
        """
        found: list[tuple[str, int, int]] = []
        at = self.begun_ns
        for word, length in (
            ("resolve", self.resolve_ns),
            ("connect", self.connect_ns),
            ("tls", self.tls_ns),
        ):
            if length is not None:
                found.append((word, at, length))
                at += length
        if self.sent_ns is not None and self.whole_ns is not None:
            found.append(("send", self.sent_ns, self.whole_ns - self.sent_ns))
            if self.came_ns is not None and self.came_ns >= self.whole_ns:
                found.append(("wait", self.whole_ns, self.came_ns - self.whole_ns))
        if self.came_ns is not None and self.done_ns is not None:
            found.append(("receive", self.came_ns, self.done_ns - self.came_ns))
        return found


class Read(msgspec.Struct, frozen=True):
    """Bytes that crossed the socket in one call: where they lie in their stream and when they came."""

    offset: int
    length: int
    ns: int
