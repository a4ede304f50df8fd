"""Byte ranges (RFC 9110 §14): which bytes a Range field asks for, and the answer that holds them.

A field that is malformed, names another unit, or asks for what only an attacker would (very many ranges, more bytes
than there are) is ignored, as the specification allows: the whole content is sent. Several ranges become
multipart/byteranges in the order in which they were asked for; of large content only a single range is served, so
that memory stays flat.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from inspectd.rules.answer import read_slice
from inspectd.rules.draft import FileSlice

MOST_RANGES: Final = 16
"""Ranges of one request that are served."""

LARGEST_PARTS: Final = 1 << 20
"""Bytes of all parts of a multipart answer together."""

# ranges-specifier = range-unit "=" 1#( int-range / suffix-range )            ; RFC 9110 §14.1.1
_SPECIFIER: Final = re.compile(rb"(?i:bytes)=([0-9\-, \t]*+)")
# int-range = first-pos "-" [ last-pos ] ; suffix-range = "-" suffix-length
_SPEC: Final = re.compile(rb"([0-9]*+)-([0-9]*+)")
_HUGE: Final = 10**18


class Span(NamedTuple):
    """The bytes from `first` to before `end` of a content."""

    first: int
    end: int


def asked_for(value: bytes, size: int) -> list[Span] | None:
    """The ranges of `size` bytes that a Range field asks for, in its order.

    None when the field is to be ignored; an empty list when nothing of what it asks for exists (416).
    """
    specifier = _SPECIFIER.fullmatch(value)
    if specifier is None:
        return None
    # Empty elements of a list don't count                                    ; RFC 9110 §5.6.1.2
    specs = [spec.strip(b" \t") for spec in specifier[1].split(b",", MOST_RANGES * 4)]
    found: list[Span] = []
    written = 0
    for spec in specs:
        if not spec:
            continue
        written += 1
        read = _SPEC.fullmatch(spec)
        if read is None or not (read[1] or read[2]):
            return None
        first, last = _number(read[1]), _number(read[2])
        if first is None:
            span = Span(max(0, size - (last or 0)), size)
            if not size and last:
                return None  # the whole of nothing, for which there is no Content-Range
        elif last is None or last >= first:
            span = Span(first, size if last is None else min(last + 1, size))
        else:
            return None
        if span.first < span.end:
            found.append(span)
    if not written or written > MOST_RANGES or sum(span.end - span.first for span in found) > max(size, 1):
        return None
    return found


def _number(digits: bytes) -> int | None:
    """A position, None when there is none. Python refuses to read numbers of thousands of digits."""
    digits = digits.lstrip(b"0") or digits[:1]
    if not digits:
        return None
    return int(digits) if len(digits) <= 18 else _HUGE


def cut(content: bytes | FileSlice, span: Span) -> bytes | FileSlice:
    """These bytes of a content; a file is not read."""
    if isinstance(content, bytes):
        return content[span.first : span.end]
    return FileSlice(content.path, content.offset + span.first, span.end - span.first)


def multipart(
    content: bytes | FileSlice, parts: list[tuple[Span, bytes | None]], content_type: bytes | None
) -> tuple[bytes, bytes]:
    """The boundary and the bytes of multipart/byteranges (RFC 9110 §14.6). Raises `AnswerError` for a lost file.

    Each part has its bytes and its Content-Range, or None to leave that out.
    """
    pieces = [(_bytes(cut(content, span)), said) for span, said in parts]
    boundary = hashlib.sha256(b"".join(data for data, _ in pieces)).hexdigest()[:24].encode()
    while any(boundary in data for data, _ in pieces):
        boundary = hashlib.sha256(boundary).hexdigest()[:24].encode()
    lines: list[bytes] = []
    for data, said in pieces:
        fields = [b"--" + boundary]
        if content_type is not None:
            fields.append(b"Content-Type: " + content_type)
        if said is not None:
            fields.append(b"Content-Range: " + said)
        lines += [*fields, b"", data]
    lines.append(b"--" + boundary + b"--")
    return boundary, b"\r\n".join(lines) + b"\r\n"


def _bytes(content: bytes | FileSlice) -> bytes:
    return content if isinstance(content, bytes) else read_slice(content.path, content.offset, content.length)
