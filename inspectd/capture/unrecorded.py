"""A sink that keeps nothing, for traffic that is nobody's evidence: the control API's, and what is left out by wish."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inspectd.capture.beside import EvidenceRecord, ForwardRecord, TlsRecord
    from inspectd.capture.records import ConnectionRecord, ExchangeRecord, Segment


class Unrecorded:
    """Satisfies `capture.writer.Sink` and forgets everything."""

    page = 0
    gathered = 0
    newest_exchange = 0

    def put(self, data: bytes) -> int:  # noqa: ARG002
        """Forget `data`."""
        return 0

    def save(self, exchange: ExchangeRecord) -> None:
        """Forget the exchange."""

    def save_connection(self, connection: ConnectionRecord) -> None:
        """Forget the connection."""

    def save_evidence(self, evidence: EvidenceRecord) -> None:
        """Forget what a client did."""

    def save_tls(self, tls: TlsRecord) -> None:
        """Forget how it is encrypted."""

    def save_forward(self, forward: ForwardRecord) -> None:
        """Forget what became of it elsewhere."""

    def segment(self, row: Segment) -> None:
        """Forget the segment."""

    def flush(self, now: int) -> None:
        """Nothing waits to be written."""
