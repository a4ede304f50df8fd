"""TLS in clear text: what a client says in its ClientHello, and alerts. Lossless, without I/O, for any bytes."""

from __future__ import annotations

from inspectd.wire.tls.alert import Alert, alerts
from inspectd.wire.tls.fingerprint import ja3, ja4
from inspectd.wire.tls.grease import is_grease, is_grease_mode, is_grease_name
from inspectd.wire.tls.hello import (
    ClientHello,
    Incomplete,
    begins_tls,
    begins_with_alert,
    client_hello,
    pieces,
    tls_spans,
)
from inspectd.wire.tls.message import Extension
from inspectd.wire.tls.records import Part, Piece, Unit, units

__all__ = [
    "Alert",
    "ClientHello",
    "Extension",
    "Incomplete",
    "Part",
    "Piece",
    "Unit",
    "alerts",
    "begins_tls",
    "begins_with_alert",
    "client_hello",
    "is_grease",
    "is_grease_mode",
    "is_grease_name",
    "ja3",
    "ja4",
    "pieces",
    "tls_spans",
    "units",
]
