"""Field values: bytes that have no place in them, and white space around them (RFC 9110 §5.5, §5.6.3)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import of_name, of_value, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

_ODD: Final = re.compile(rb"[^\t -~\r\n]")
_NUL: Final = re.compile(rb"\x00++")
_CONTROL: Final = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]++")
_OBS_TEXT: Final = re.compile(rb"[\x80-\xff]++")
# What Python's str.strip and Java's trim take for white space, and HTTP doesn't: VT, FF, FS to US, NEL, NBSP
_EXOTIC: Final = rb"(?:[\x0b\x0c\x1c-\x1f]|(?<![\xc3-\xff])\xc2?+[\x85\xa0])++"
_EXOTIC_START: Final = re.compile(_EXOTIC)
_EXOTIC_END: Final = re.compile(_EXOTIC + rb"\Z")
_EDGE: Final = 16  # bytes of a value's end that are searched
_LINE_END_WRITTEN: Final = re.compile(rb"(?i:%0d%0a|\\r\\n)")
# What pages and sites escape in addresses and cookies, several lines of text among it: there it takes a field line
# behind it, with a colon that nobody escaped.
_ESCAPED: Final = frozenset({b"referer", b"cookie", b"set-cookie", b"location", b"content-location", b"link"})
_FIELD_LINE: Final = re.compile(rb"(?i:%0d%0a)(?=[A-Za-z0-9-]++:)")
_MAY_BE_EMPTY: Final = frozenset(
    {
        b"accept-encoding",
        b"content-length",
        b"cookie",
        b"host",
        b"referer",
        b"te",
        b"transfer-encoding",
        b"user-agent",
    }
)
_ODD_WHITE_SPACE: Final = re.compile(rb":(?! [^ \t\r\n])|[ \t]\r?\n")


def odd_bytes(subject: Subject) -> Iterator[Finding]:
    """Controls and bytes beyond ASCII in values."""
    if not _ODD.search(subject.data, subject.head.start_line[1], subject.written):
        return
    for field in subject.head.fields:
        if field.end > subject.written:
            break
        for start, end in field.value:
            if _ODD.search(subject.data, start, end):
                yield from _odd_bytes(subject.data[start:end], start, field)


def _odd_bytes(value: bytes, start: int, field: Field) -> Iterator[Finding]:
    name = quoted(field.name_bytes)
    found = (_EXOTIC_START.match(value), _EXOTIC_END.search(value, max(0, len(value) - _EDGE)))
    edges = list(dict.fromkeys(edge.span() for edge in found if edge is not None))
    for edge in edges:
        yield Finding("value-exotic-ws", start + edge[0], start + edge[1], name)
    for id_of, rule in (("value-nul", _NUL), ("value-control", _CONTROL), ("value-obs-text", _OBS_TEXT)):
        for hit in rule.finditer(value):
            if hit.span() not in edges:
                yield Finding(id_of, start + hit.start(), start + hit.end(), name)
                break


def empty(subject: Subject) -> Iterator[Finding]:
    """Known fields that say nothing."""
    for lower, fields in subject.fields.items():
        for field in fields:
            if not field.value and lower not in _MAY_BE_EMPTY and lower in _known():
                yield of_name("value-empty", field)


@lru_cache(maxsize=1)
def _known() -> frozenset[bytes]:
    from inspectd.explain.registry import fields

    return frozenset(name.encode() for name in fields())


def white_space(subject: Subject) -> Iterator[Finding]:
    """White space around values other than one SP before them."""
    data, written = subject.data, subject.written
    if not _ODD_WHITE_SPACE.search(data, subject.head.start_line[1], written):
        return
    for field in subject.head.fields:
        if field.end > written:
            break
        if not field.value or field.name[0] == field.name[1]:
            continue
        start, end = field.value[0][0], field.value[-1][1]
        colon = data.find(b":", field.name[1])
        if data[colon + 1 : start] != b" ":
            where = (colon + 1, start) if start > colon + 1 else (colon, colon + 1)
            yield Finding("value-ows-odd", *where, "before the value")
        after = end
        while after < field.end and data[after] in b" \t":
            after += 1
        if after > end:
            yield Finding("value-ows-odd", end, after, "behind the value")


def line_ends_written_out(subject: Subject) -> Iterator[Finding]:
    """Line ends spelled with an escape: harmless here, another header line where somebody decodes them."""
    raw = subject.head.data
    if not _LINE_END_WRITTEN.search(raw, subject.head.start_line[1] - subject.start):
        return
    for name, fields in subject.fields.items():
        rule = _FIELD_LINE if name in _ESCAPED else _LINE_END_WRITTEN
        for field in fields:
            if found := rule.search(field.value_bytes):
                yield of_value("value-crlf-literal", field, quoted(found[0]))


SYNTAX: Final = (odd_bytes,)
MEANING: Final = (empty, white_space, line_ends_written_out)
