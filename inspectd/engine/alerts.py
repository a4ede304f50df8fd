"""TLS alerts in words: who ended a handshake, why, and what a person can do about it (RFC 8446 §6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import ssl

FATAL: Final = 2
_ALERT_RECORD: Final = 21
_ALERT_SIZE: Final = 7

# OpenSSL's reason for an alert that the peer sent: SSLV3_ALERT_BAD_CERTIFICATE, TLSV1_ALERT_UNKNOWN_CA
_RECEIVED: Final = re.compile(r"(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?(\w+)")

NUMBERS: Final = {
    "close_notify": 0, "unexpected_message": 10, "bad_record_mac": 20, "record_overflow": 22, "handshake_failure": 40,
    "bad_certificate": 42, "unsupported_certificate": 43, "certificate_revoked": 44, "certificate_expired": 45,
    "certificate_unknown": 46, "illegal_parameter": 47, "unknown_ca": 48, "access_denied": 49, "decode_error": 50,
    "decrypt_error": 51, "protocol_version": 70, "insufficient_security": 71, "internal_error": 80,
    "inappropriate_fallback": 86, "user_canceled": 90, "no_renegotiation": 100, "missing_extension": 109,
    "unsupported_extension": 110, "unrecognized_name": 112, "bad_certificate_status_response": 113,
    "unknown_psk_identity": 115, "certificate_required": 116, "no_application_protocol": 120,
}  # fmt: skip
_NAMES: Final = {number: name for name, number in NUMBERS.items()}

ABOUT_THE_CERTIFICATE: Final = {
    "bad_certificate": "it found something wrong with it",
    "unsupported_certificate": "it doesn't support its kind",
    "certificate_revoked": "it takes it for revoked",
    "certificate_expired": "by its clock it isn't valid now",
    "certificate_unknown": "it doesn't accept it and doesn't say why",
    "unknown_ca": "it doesn't know whoever signed it",
    "access_denied": "it won't go on with it",
    "bad_certificate_status_response": "it misses a proof that it isn't revoked",
}
"""Alerts with which a client refuses what it was shown, and what each of them says."""


class Failure(NamedTuple):
    """Why TLS failed: the alert's name if there was one, whether it was the client's, and OpenSSL's words."""

    alert: str | None
    by_client: bool
    reason: str


def failure(problem: ssl.SSLError, sent: bytes) -> Failure:
    """What an error of the TLS library means; `sent` is what it wanted to send at last."""
    reason = problem.reason or ""
    received = _RECEIVED.fullmatch(reason)
    if received is not None and (name := received[1].lower()) in NUMBERS:
        return Failure(name, by_client=True, reason=reason)
    words = reason.replace("_", " ").lower() or str(problem)
    return Failure(_alert_in(sent), by_client=False, reason=words)


def _alert_in(sent: bytes) -> str | None:
    """The name of the alert that ends these records, while they are in clear text."""
    record = sent[-_ALERT_SIZE:]
    if len(record) == _ALERT_SIZE and record[0] == _ALERT_RECORD and record[3:5] == b"\x00\x02":
        return _NAMES.get(record[6])
    return None


def fatal(name: str) -> bytes:
    """An alert as a record in clear text."""
    return bytes((_ALERT_RECORD, 3, 1, 0, 2, FATAL, NUMBERS[name]))
