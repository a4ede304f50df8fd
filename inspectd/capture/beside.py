"""What is recorded beside connections and exchanges while it happens: the columns of rows, filled in as they become
known. `writer.CaptureWriter` writes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.capture.model import EvidenceRow, ForwardRow, TlsRow

if TYPE_CHECKING:
    from inspectd.capture.records import ExchangeRecord

EVIDENCE_COLUMNS: Final = EvidenceRow.__struct_fields__
TLS_COLUMNS: Final = TlsRow.__struct_fields__
FORWARD_COLUMNS: Final = ForwardRow.__struct_fields__


class EvidenceRecord:
    """What a client does with a crafted answer, as far as it is known: the columns of a row."""

    __slots__ = (*EVIDENCE_COLUMNS, "changed")

    exchange: int
    rule: str
    planned: int | None
    sent: int
    acked: int | None
    reused: bool
    attempt: int
    previous: int | None
    gap_ns: int | None
    ended_by: str | None
    how: str | None
    after_ns: int | None

    def __init__(self, exchange: int, rule: str, planned: int | None, *, reused: bool) -> None:
        self.exchange = exchange
        self.rule = rule
        self.planned = planned
        self.reused = reused
        self.sent = 0
        self.attempt = 1
        self.acked = self.previous = self.gap_ns = self.ended_by = self.how = self.after_ns = None
        self.changed = False


class TlsRecord:
    """How a connection is being encrypted, as far as it is known: the columns of a row."""

    __slots__ = (*TLS_COLUMNS, "changed")

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

    def __init__(self, connection: int) -> None:
        self.connection = connection
        self.hello = b""
        self.sni = self.alpn = self.version = self.cipher = self.certificate = None
        self.shaken_ns = self.alert = self.sentence = self.shown = None
        self.changed = False


class ForwardRecord:
    """What becomes of an exchange at a server, as far as it is known: the columns of a row."""

    __slots__ = (*FORWARD_COLUMNS, "changed", "runs")

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

    def __init__(self, exchange: ExchangeRecord, origin: str, begun_ns: int) -> None:
        self.exchange = exchange.id
        self.upstream = self.resolve_ns = self.connect_ns = self.tls_ns = None
        self.origin = origin
        self.begun_ns = begun_ns
        self.sent_ns = self.whole_ns = self.came_ns = self.done_ns = None
        self.req_offset = self.res_offset = None
        self.req_page = self.req_at = self.req_run = self.req_len = 0
        self.res_page = self.res_at = self.res_run = self.res_len = 0
        self.changes = self.res_changes = self.failure = None
        self.changed = False
        self.runs = exchange.req_run > 0
        """Its first bytes need no segments: retention finds the page of the exchange, and no page of its is older."""

    @property
    def request_run(self) -> tuple[int, int, int, int]:
        """Page, place, length and time of the first bytes that were sent."""
        return self.req_page, self.req_at, self.req_run, self.sent_ns or 0

    def unsent(self) -> None:
        """Nothing of the request has been sent after all."""
        self.req_offset = self.sent_ns = self.whole_ns = None
        self.req_page = self.req_at = self.req_run = self.req_len = 0
