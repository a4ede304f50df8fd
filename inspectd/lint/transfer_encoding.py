"""Transfer-Encoding: the codings, and what isn't quite one (RFC 9112 §6.1, §7)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import of_name, of_value, quoted, value_range
from inspectd.wire.facts import is_http_1_0

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

_KNOWN: Final = frozenset(
    {b"chunked", b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"}
)
_COMPRESSION: Final = frozenset({b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"})
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]++")
_QUOTES: Final = b"\"'`"


def codings(subject: Subject) -> Iterator[Finding]:
    """The list of codings, over all lines of the field."""
    fields = subject.fields.get(b"transfer-encoding", [])
    if not fields:
        return
    names = [
        member.partition(b";")[0].strip(b" \t").lower() for member in subject.members(b"transfer-encoding")
    ]
    length = subject.first(b"content-length")
    if length is not None:
        yield Finding("te-with-cl", *value_range(fields[0]), "", (value_range(length),))
    if len(fields) > 1:
        yield Finding(
            "te-multiple-lines", *fields[1].name, "", tuple(field.name for field in fields[:1] + fields[2:8])
        )
    if names.count(b"chunked") > 1:
        yield of_value("te-chunked-twice", fields[-1])
    if subject.kind == "request":
        if names and names[-1] != b"chunked" and names != [b"identity"]:
            yield of_value("te-not-final-chunked", fields[-1], quoted(names[-1]))
        if is_http_1_0(subject.version):
            yield of_name("te-http10", fields[0])
    if len(names) > 1 and names[-1] == b"chunked" and not _COMPRESSION.isdisjoint(names):
        yield of_value("te-compression", fields[0])


def spelling(subject: Subject) -> Iterator[Finding]:
    """Each line of the field on its own."""
    for field in subject.fields.get(b"transfer-encoding", ()):
        value = field.value_bytes
        if not value:
            yield of_value("te-empty", field)
            continue
        yield from _list(field, value)
        if len(field.value) > 1 or subject.data.find(b"\n", field.start, value_range(field)[0]) >= 0:
            yield of_value("te-folded", field)
        yield from _white_space(subject, field)


def _list(field: Field, value: bytes) -> Iterator[Finding]:
    members = [member.strip(b" \t") for member in value.split(b",")]
    if not members[-1]:
        yield of_value("te-trailing-comma", field)
    if not all(members[:-1]):
        yield of_value("te-empty-element", field)
    for member in dict.fromkeys(filter(None, members)):
        coding, _, parameters = member.partition(b";")
        coding = coding.strip(b" \t")
        name = coding.lower()
        if _CONTROL.search(coding):
            yield of_value("te-control", field, quoted(coding))
        elif coding.strip(_QUOTES) != coding:
            yield of_value("te-quoted", field, quoted(coding))
        elif name not in _KNOWN:
            yield of_value("te-unknown", field, quoted(coding))
        elif name == b"identity":
            yield of_value("te-identity", field)
        elif name == b"chunked" and coding != name:
            yield of_value("te-case", field, quoted(coding))
        if name == b"chunked" and parameters:
            yield of_value("te-params", field, quoted(parameters))


def _white_space(subject: Subject, field: Field) -> Iterator[Finding]:
    start, end = value_range(field)
    before = subject.data[subject.data.find(b":", field.name[1]) + 1 : start]
    after = subject.data[end : end + 1]
    if b"\n" not in before and before not in (b" ", b""):
        yield Finding("te-odd-ws", start - len(before), start, quoted(before))
    elif after and after in b" \t":
        yield Finding("te-odd-ws", end, end + 1, quoted(after))


def mixed_up(subject: Subject) -> Iterator[Finding]:
    """The chunked coding where content codings stand."""
    for field in subject.fields.get(b"content-encoding", ()):
        if b"chunked" in field.value_bytes.lower():
            yield of_value("te-content-encoding-mixup", field)


CHECKERS: Final = (codings, spelling, mixed_up)
