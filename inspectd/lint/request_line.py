"""The request line: method, target, version, and what stands between them (RFC 9112 §2.3, §3)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import of_value, quoted
from inspectd.wire import Role
from inspectd.wire.framing import FramingStep
from inspectd.wire.head import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject

_TOKEN: Final = re.compile(TOKEN + rb"\Z")
_VERSION: Final = re.compile(rb"HTTP/([0-9])\.([0-9])\Z")
_MANY_DIGITS: Final = re.compile(rb"HTTP/[0-9]++\.[0-9]++\Z")
_VERSION_INSIDE: Final = re.compile(rb"[ \t]HTTP/[0-9]")
_OTHER_SPACE: Final = re.compile(rb"[\t\x0b\x0c\r]")
LONGEST_METHOD: Final = 20  # UPDATEREDIRECTREF has 17 letters
LONG_LINE: Final = 8000
_OVERRIDES: Final = (b"x-http-method-override", b"x-http-method", b"x-method-override")


def words(subject: Subject) -> Iterator[Finding]:
    """method SP request-target SP HTTP-version: all three, and one SP between them."""
    head, data = subject.head, subject.data
    start, end = head.start_line
    if end == start or subject.framing.step is FramingStep.SIMPLE_REQUEST or end >= subject.written > start:
        return
    if head.method is None:
        yield Finding("method-empty", *(head.target or head.version or head.start_line))
    elif not _TOKEN.match(subject.method):
        yield Finding("method-bad-char", *head.method, quoted(subject.method))
    target = subject.target
    if head.target is None:
        yield Finding("reqline-missing-target", start, end)
    elif _VERSION_INSIDE.search(target):
        yield Finding("reqline-extra-words", *head.target, quoted(target))
    else:
        if b" " in target or b"\t" in target:
            yield Finding("reqline-sp-in-target", *head.target)
        if head.version is None and head.method is not None:
            yield Finding("version-missing", start, end)
    yield from _spaces(subject, data)


def _spaces(subject: Subject, data: bytes) -> Iterator[Finding]:
    stop = subject.head.start_line[1]
    for span in subject.message.spans:
        if span.start >= stop:
            break
        if span.role is not Role.SP:
            continue
        if span.end == stop:
            yield Finding("reqline-trailing-ws", span.start, span.end)
        elif _OTHER_SPACE.search(data, span.start, span.end):
            yield Finding("reqline-other-ws", span.start, span.end, quoted(data[span.start : span.end]))
        elif span.end - span.start > 1:
            yield Finding("reqline-multiple-sp", span.start, span.end)


def method(subject: Subject) -> Iterator[Finding]:
    """Methods that are tokens and still odd."""
    where, name = subject.head.method, subject.method
    if where is None or not _TOKEN.match(name):
        return
    if subject.head.target is None and not subject.head.complete:
        return  # the first letters of a word that nobody knows
    if len(name) > LONGEST_METHOD:
        yield Finding("method-too-long", *where, f"{len(name):,} bytes")
    elif name not in _methods():
        if name.upper() in _methods():
            yield Finding("method-lowercase", *where)
        else:
            yield Finding("method-unregistered", *where)
    for override in _OVERRIDES:
        field = subject.first(override)
        if field is not None and field.value_bytes.upper() != name:
            yield of_value("method-override-field", field, quoted(field.value_bytes))


@lru_cache(maxsize=1)
def _methods() -> frozenset[bytes]:
    """The methods of IANA's registry."""
    from inspectd.explain.registry import entries

    return frozenset(
        name.upper().encode() for name, entry in entries("methods").items() if "RFC" in entry.source
    )


def length(subject: Subject) -> Iterator[Finding]:
    """Request lines longer than what everybody is asked to support."""
    start, end = subject.head.start_line
    if end - start > LONG_LINE:
        yield Finding("reqline-too-long", start, end, f"{end - start:,} bytes")


def version(subject: Subject) -> Iterator[Finding]:
    """HTTP-version = "HTTP" "/" DIGIT "." DIGIT"""
    where, text = subject.head.version, subject.version
    if where is None:
        return
    found = _VERSION.match(text)
    if found is None:
        yield Finding(_malformed(text), *where, quoted(text))
    elif found[1] != b"1":
        yield Finding("version-unsupported-major", *where, quoted(text))
    elif found[2] == b"0":
        yield Finding("version-10", *where)
    elif found[2] != b"1":
        yield Finding("version-unknown-minor", *where, quoted(text))


def _malformed(text: bytes) -> str:
    if b" " in text or b"\t" in text:
        return "version-whitespace"
    if _VERSION.match(text.upper()):
        return "version-case"
    if _MANY_DIGITS.match(text):
        return "version-extra-digits"
    return "version-malformed"


SYNTAX: Final = (words,)
MEANING: Final = (method, length, version)
