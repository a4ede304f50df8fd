"""Content-Length: a number in ASCII digits, once (RFC 9110 §8.6, RFC 9112 §6.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import of_value, quoted, value_range
from inspectd.wire.framing import LARGEST_LENGTH, FramingStep, count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject

HUGE: Final = 100_000_000
_SPELLINGS: Final = (
    ("cl-minus-zero", re.compile(rb"-0++\Z")),
    ("cl-minus", re.compile(rb"-[0-9]")),
    ("cl-plus", re.compile(rb"\+[0-9]")),
    ("cl-hex", re.compile(rb"0[xX]")),
    ("cl-underscore", re.compile(rb"[0-9_]++\Z")),
    ("cl-inner-space", re.compile(rb"[0-9][0-9 \t]++\Z")),
    ("cl-decimal-exp", re.compile(rb"[0-9]*+[.eE]")),
)


def spelling(subject: Subject) -> Iterator[Finding]:
    """Each number on its own: digits, and how parsers get something else out of it."""
    for field in subject.fields.get(b"content-length", ()):
        value = field.value_bytes
        if not value:
            yield of_value("cl-empty", field)
            continue
        for member in dict.fromkeys(member.strip(b" \t") for member in value.split(b",")):
            found = _spelled(member)
            if found:
                yield of_value(found, field, quoted(member))


def _spelled(member: bytes) -> str:
    """The id for a number that isn't spelled as everybody spells it, or nothing."""
    if member.isdigit():
        if len(member) > 1 and member[:1] == b"0":
            return "cl-octal-like"
        return "cl-overflow" if count(member) == LARGEST_LENGTH else ""
    for name, rule in _SPELLINGS:
        if rule.match(member):
            return name
    text = member.decode("utf-8", "replace")
    return "cl-non-ascii-digit" if not text.isascii() and text.isdigit() else "cl-not-digits"


def repeated(subject: Subject) -> Iterator[Finding]:
    """More than one number, on several lines or on one."""
    fields = subject.fields.get(b"content-length", [])
    if not fields:
        return
    for field in fields[1:]:
        same = field.value_bytes == fields[0].value_bytes
        yield Finding(
            "cl-duplicate-same" if same else "cl-duplicate-differ",
            *value_range(field),
            f"{quoted(fields[0].value_bytes)}, then {quoted(field.value_bytes)}",
            (value_range(fields[0]),),
        )
    for field in fields:
        if b"," in field.value_bytes:
            numbers = {member.strip(b" \t") for member in field.value_bytes.split(b",")}
            yield of_value("cl-list-same" if len(numbers) == 1 else "cl-list-differ", field)


def content(subject: Subject) -> Iterator[Finding]:
    """The number, and the bytes that are there."""
    field = subject.first(b"content-length")
    if field is None or subject.framing.step is not FramingStep.CONTENT_LENGTH or not subject.framing.length:
        return
    length, there = subject.framing.length, subject.message.content_length
    if length >= HUGE and not there:
        yield of_value("cl-huge-idle", field, f"{length:,} bytes announced, none there")
    if subject.whole and not subject.message.complete:
        yield of_value("cl-body-short", field, f"{there:,} of {length:,} bytes")


CHECKERS: Final = (spelling, repeated, content)
