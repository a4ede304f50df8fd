"""The expressions and field names that heads of requests and responses share on the arrival path."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from inspectd.wire.framing import has_option

if TYPE_CHECKING:
    from inspectd.wire.head import Head

Facts: TypeAlias = list[tuple[bytes, bytes]]
"""Names and values of the fields that decide framing and persistence."""

# The fields that decide framing and persistence, found in one pass over a plain head.
FACTS: Final = re.compile(
    rb"(?i:\n(content-length|transfer-encoding|connection|expect|upgrade)):[\t ]*+([\t -~]*+)"
)
FACT_NAMES: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"})


def facts_of(head: Head) -> Facts:
    """The fields of a head that decide framing and persistence: lower-case name, value."""
    return [
        (name, field.value_bytes) for field in head.fields if (name := field.name_bytes.lower()) in FACT_NAMES
    ]


def framing_values(facts: Facts) -> tuple[list[bytes], list[bytes]]:
    """The values of Transfer-Encoding and those of Content-Length."""
    return (
        [value for name, value in facts if name == b"transfer-encoding"],
        [value for name, value in facts if name == b"content-length"],
    )


def is_http_1_0(version: bytes) -> bool:
    """Whether this version is HTTP/1.0 or 0.9, whose connections close after a message unless told otherwise."""
    return version.upper() in {b"HTTP/1.0", b"HTTP/0.9"}


def persists(version: bytes, connection_values: list[bytes]) -> bool:
    """Whether the connection stays open after this message (RFC 9112 §9.3)."""
    if not connection_values:
        return not is_http_1_0(version)
    if has_option(connection_values, b"close"):
        return False
    return not is_http_1_0(version) or has_option(connection_values, b"keep-alive")
