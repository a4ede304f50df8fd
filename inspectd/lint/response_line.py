"""Status lines: version, status code, reason phrase, and what stands before them (RFC 9112 §4, RFC 9110 §15)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import line_end, quoted
from inspectd.wire.framing import FramingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject, Surroundings

# HTTP-version = HTTP-name "/" DIGIT "." DIGIT                            ; RFC 9112 §2.3
_VERSION: Final = re.compile(rb"HTTP/([0-9])\.([0-9])\Z")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]++")
_UNREGISTERED: Final = "not registered"
_DIGITS: Final = 3
_SPACES: Final = b" \t\x0b\x0c"


def around(around: Surroundings) -> Iterator[Finding]:
    """Streams without a response, and what stands before status lines or is none."""
    data = around.stream.data
    if not data:
        if around.whole:
            yield Finding("resp-nothing", 0, 0)
        return
    at = 0
    before: Subject | None = None
    for subject in around.subjects:
        yield from _before(subject, before, at)
        at, before = subject.end, subject
        if subject.framing.step is FramingStep.UNFINISHED_HEAD and around.whole:
            yield Finding("resp-head-truncated", subject.head_end, subject.head_end)
    if before is None:
        yield Finding("resp-nothing", 0, len(data), "blank lines")


def _before(subject: Subject, before: Subject | None, at: int) -> Iterator[Finding]:
    """What lies between the end of one message, or the beginning, and the status line that follows."""
    head = subject.head
    if subject.framing.step is FramingStep.SIMPLE_RESPONSE:
        request = subject.request
        old = request is not None and request.framing.step is FramingStep.SIMPLE_REQUEST
        if before is None and not old:  # HTTP/0.9 is answered so
            end = min(line_end(subject.data, subject.start), subject.end)
            yield Finding(
                "status-line-missing", subject.start, end, quoted(subject.data[subject.start : end])
            )
        return
    begin = (head.version or head.status or head.reason or head.start_line)[0]
    if begin > at and (before is None or before.message.interim):
        yield Finding("resp-leading-junk", at, begin, quoted(subject.data[at:begin]))


def versions(subject: Subject) -> Iterator[Finding]:
    """HTTP/1.1, or what stands there instead."""
    head = subject.head
    if not _settled(subject):
        return
    where = head.version
    if where is None:
        begin = head.status or head.reason or head.start_line
        yield Finding("status-version-bad", *begin, "no version")
        return
    version = subject.version
    found = _VERSION.match(version)
    if found is None:
        if version.upper() == b"ICY":
            yield Finding("status-icy", *where)
        elif _VERSION.match(version.upper()):
            yield Finding("status-version-case", *where, quoted(version))
        elif subject.previous is None or version[:5].upper() == b"HTTP/":
            # Behind another response such bytes are left over from it, which is told there.
            yield Finding("status-version-bad", *where, quoted(version))
    elif found[1] > b"1":
        yield Finding("status-version-exceeds", *where, quoted(version))
    elif version not in {b"HTTP/1.1", b"HTTP/1.0"}:
        yield Finding("status-version-unknown", *where, quoted(version))


def codes(subject: Subject) -> Iterator[Finding]:
    """Three digits from 100 to 599."""
    head = subject.head
    if not _settled(subject):
        return
    where, code = head.status, subject.status
    if where is None:
        rest = head.reason or ((head.version or head.start_line)[1], head.start_line[1])
        yield Finding("status-code-not-3-digits", *rest, "no digits")
    elif len(code) != _DIGITS:
        yield Finding("status-code-not-3-digits", *where, quoted(code))
    elif not b"100" <= code <= b"599":
        yield Finding("status-code-range", *where, code.decode("ascii", "replace"))
    elif code not in _phrases():
        yield Finding("status-code-unregistered", *where, code.decode("ascii", "replace"))


def spaces(subject: Subject) -> Iterator[Finding]:
    """One SP between the parts, and one behind the code even where no reason follows."""
    head, data = subject.head, subject.data
    if head.status is None or not _settled(subject):
        return
    end = head.start_line[1]
    if head.version is not None:
        gap = head.version[1], head.status[0]
        if data[slice(*gap)] != b" ":
            yield Finding("status-multiple-sp", *gap, quoted(data[slice(*gap)]))
    if head.status[1] >= end:
        yield Finding("status-no-space", *head.status)
        return
    after = head.status[1]
    while after < end and data[after] in _SPACES:
        after += 1
    if data[head.status[1] : after] != b" ":
        yield Finding("status-multiple-sp", head.status[1], after, quoted(data[head.status[1] : after]))


def reasons(subject: Subject) -> Iterator[Finding]:
    """The reason phrase, which nobody has to read."""
    head = subject.head
    if head.status is None or not _settled(subject):
        return
    if head.reason is None:
        if head.status[1] < head.start_line[1]:
            yield Finding("status-reason-empty", *head.status)
        return
    reason = head.text(head.reason)
    control = _CONTROL.search(reason)
    if control is not None:
        start = head.reason[0]
        yield Finding(
            "status-reason-bad-char", start + control.start(), start + control.end(), quoted(control[0])
        )
        return
    usual = _phrases().get(subject.status)
    if usual is not None and usual != reason and not _same_words(usual, reason):
        yield Finding("status-reason-mismatch", *head.reason, f"usually {quoted(usual)}")


def _same_words(usual: bytes, reason: bytes) -> bool:
    """Whether the phrases differ in case alone, or are older names of the same code."""
    return usual.lower() == reason.strip(b" ").lower() or reason in _OLDER.get(usual, ())


_OLDER: Final = {
    b"OK": (b"Connection established", b"Connection Established"),  # of proxies, since the first of them
    b"Content Too Large": (b"Payload Too Large", b"Request Entity Too Large"),
    b"URI Too Long": (b"Request-URI Too Long", b"Request-URI Too Large"),
    b"Range Not Satisfiable": (b"Requested Range Not Satisfiable",),
    b"Unprocessable Content": (b"Unprocessable Entity",),
    b"Found": (b"Moved Temporarily",),
    b"Service Unavailable": (b"Service Temporarily Unavailable",),
    b"Gateway Timeout": (b"Gateway Time-out",),
    b"Request Timeout": (b"Request Time-out",),
}
"""Phrases of earlier editions, and of servers that everybody meets."""


@lru_cache(maxsize=1)
def _phrases() -> dict[bytes, bytes]:
    """The registered codes with their phrases."""
    from inspectd.explain.registry import entries

    known = entries("status").items()
    return {
        code.encode(): each.title.encode()
        for code, each in known
        if not each.source.startswith(_UNREGISTERED)
    }


def _settled(subject: Subject) -> bool:
    """Whether there is a status line, and none of it is still to come."""
    if subject.framing.step is FramingStep.SIMPLE_RESPONSE:
        return False
    return subject.whole or subject.head.complete or subject.head.start_line[1] < subject.written


STREAM: Final = (around,)
SYNTAX: Final = (versions,)
MEANING: Final = (codes, spaces, reasons)
