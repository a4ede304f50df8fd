"""Credentials as they are sent: a scheme, and what follows it (RFC 9110 §11.4). Every function is total."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_to_bytes

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]
_CREDENTIALS: Final = re.compile(rb"(" + _TOKEN + rb")(?: ++([^\r\n]*+))?")
# auth-param = token BWS "=" BWS ( token / quoted-string )
_PARAM: Final = re.compile(
    rb"[ \t,]*+(" + _TOKEN + rb')[ \t]*+=[ \t]*+(?:"((?:[^"\\]|\\.)*+)"|(' + _TOKEN + rb"))[ \t]*+(?=,|\Z)"
)
_END: Final = re.compile(rb"[ \t,]*+\Z")
_PAIR: Final = re.compile(rb"\\(.)")
# ext-value = charset "'" [ language ] "'" value-chars                         ; RFC 8187 §3.2.1
_EXTENDED: Final = re.compile(rb"(?i:utf-8)'[A-Za-z0-9\-]*+'([!#$&+\-.^_`|~0-9A-Za-z%]*+)")


def split(value: bytes) -> tuple[bytes, bytes] | None:
    """The scheme in lower case, and what follows it; None when it has no scheme."""
    read = _CREDENTIALS.fullmatch(value.strip(b" \t"))
    return None if read is None else (read[1].lower(), (read[2] or b"").strip(b" \t"))


def parameters(data: bytes) -> dict[bytes, bytes] | None:
    """Parameters by their names in lower case; None when they are malformed, or one is there twice."""
    found: dict[bytes, bytes] = {}
    at = 0
    while not _END.match(data, at):
        read = _PARAM.match(data, at)
        name = read[1].lower() if read is not None else b""
        if read is None or name in found:
            return None
        found[name] = _PAIR.sub(rb"\1", read[2]) if read[2] is not None else read[3]
        at = read.end()
    return found


def extended(value: bytes) -> bytes | None:
    """The bytes of an extended value, such as `UTF-8''J%C3%A4s`; None when it is none."""
    read = _EXTENDED.fullmatch(value)
    return None if read is None else unquote_to_bytes(read[1])


def quoted(text: str) -> bytes:
    """Text as a quoted-string (RFC 9110 §5.6.4)."""
    return b'"' + text.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
