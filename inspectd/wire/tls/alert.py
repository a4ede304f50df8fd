"""TLS alerts: two bytes, the level and the description (RFC 8446 §6)."""

from __future__ import annotations

from typing import Final, NamedTuple

from inspectd.wire.tls.records import ALERT, records

LEVELS: Final = {1: "warning", 2: "fatal"}

# AlertDescription, with what older versions and later extensions of the protocol have in it (IANA, TLS Alerts)
DESCRIPTIONS: Final = {
    0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed", 22: "record_overflow",
    30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate", 42: "bad_certificate",
    43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired", 46: "certificate_unknown",
    47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied", 50: "decode_error", 51: "decrypt_error",
    52: "too_many_cids_requested", 60: "export_restriction", 70: "protocol_version", 71: "insufficient_security",
    80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation",
    109: "missing_extension", 110: "unsupported_extension", 111: "certificate_unobtainable",
    112: "unrecognized_name", 113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
    115: "unknown_psk_identity", 116: "certificate_required", 117: "general_error", 120: "no_application_protocol",
    121: "ech_required",
}  # fmt: skip


class Alert(NamedTuple):
    """An alert in clear text, at `start` of its stream."""

    start: int
    level: int
    description: int

    @property
    def level_name(self) -> str:
        """`warning`, `fatal`, or the number of an unknown level."""
        return LEVELS.get(self.level, str(self.level))

    @property
    def name(self) -> str:
        """`handshake_failure`; the number when it is in no registry."""
        return DESCRIPTIONS.get(self.description, str(self.description))


def alerts(data: bytes) -> list[Alert]:
    """The alerts in clear text among the records that a stream begins with; encrypted ones can't be told."""
    return [
        Alert(record.start, data[record.body], data[record.body + 1])
        for record in records(data)
        if record.content_type == ALERT and record.size == 2 and record.complete
    ]
