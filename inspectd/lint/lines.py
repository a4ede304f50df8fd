"""Line ends: CRLF, and what stands in for it (RFC 9112 §2.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.wire import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject

# The looks behind keep a mile of CRs from being searched once for each of them.
_CRS: Final = re.compile(rb"(?<!\r)\r++(?!\n)")
_CRCRLF: Final = re.compile(rb"(?<!\r)\r\r++\n")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_CRLF: Final = re.compile(rb"\r\n")
_VERSION_CR: Final = re.compile(rb"HTTP/[0-9]\.[0-9](\r)(?!\r*+\n)")


def bare_line_feeds(subject: Subject) -> Iterator[Finding]:
    """Lines that end with LF alone, and heads that mix both ways."""
    start, stop = subject.start, subject.written
    line_end = subject.head.start_line[1]
    first: tuple[int, int] | None = None
    for found in _BARE_LF.finditer(subject.data, start, stop):
        first = first or found.span()
        in_start_line = found.start() == line_end
        yield Finding("eol-bare-lf-start-line" if in_start_line else "eol-bare-lf-field", *found.span())
    if first is not None and _CRLF.search(subject.data, start, stop):
        yield Finding("eol-mixed", *first)


def extra_carriage_returns(subject: Subject) -> Iterator[Finding]:
    """CR that no LF follows, and more than one before the LF."""
    data, start, stop = subject.data, subject.start, subject.written
    in_place_of_crlf = None
    if subject.kind == "request":
        in_place_of_crlf = _VERSION_CR.search(data, start, min(stop, subject.head.start_line[1]))
    if in_place_of_crlf is not None:
        yield Finding("eol-cr-only", *in_place_of_crlf.span(1))
    for found in _CRCRLF.finditer(data, start, stop):
        yield Finding("eol-crcrlf", found.start(), found.end() - 2)
    for found in _CRS.finditer(data, start, stop):
        if found.end() == stop == len(data):
            continue  # its LF may yet arrive, and what is cut off has a finding of its own
        if found.start() >= subject.head.start_line[1]:
            yield Finding("eol-bare-cr-value", *found.span())
        elif in_place_of_crlf is None:
            yield Finding("eol-bare-cr-start-line", *found.span())


def white_space_lines(subject: Subject) -> Iterator[Finding]:
    """Lines that begin with white space: folds, lines of blanks, and those with nothing before them to go on."""
    data = subject.data
    spans = subject.message.spans
    for number, span in enumerate(spans):
        if span.end > subject.written:
            break
        if span.role is Role.OBS_FOLD:
            after = spans[number + 1] if number + 1 < len(spans) else None
            blank = after is None or after.role in {Role.CRLF, Role.LF, Role.OBS_FOLD}
            yield Finding("field-ws-only-line" if blank else "field-obs-fold", span.start, span.end)
        elif (
            span.role is Role.GARBAGE
            and span.start > subject.head.start_line[1]
            and data[span.start] in b" \t"
        ):
            blank = not data[span.start : span.end].strip(b" \t")
            yield Finding("field-ws-only-line" if blank else "field-ws-before-first", span.start, span.end)


CHECKERS: Final = (bare_line_feeds, extra_carriage_returns, white_space_lines)
