"""What lies around requests and between them: other protocols, blank lines, requests in a row (RFC 9112 §2.2, §9)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import line_end, quoted
from inspectd.wire import Role, sniff
from inspectd.wire.framing import FramingStep
from inspectd.wire.head import TOKEN
from inspectd.wire.sniff import Sniff

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject, Surroundings

SLOW: Final = 10.0
"""Seconds after which a head that hasn't arrived is slow."""

REQUEST_LINE: Final = re.compile(TOKEN + rb"[ \t]++[^ \t\r\n]++[ \t]++HTTP/[0-9]")
"""What the beginning of a request looks like, leniently."""

_WITH_CONTENT: Final = frozenset({b"POST", b"PUT", b"PATCH"})


def foreign(around: Surroundings) -> Iterator[Finding]:
    """Nothing at all, or another protocol than HTTP/1."""
    data = around.stream.data
    if not data:
        if around.whole:
            yield Finding("stream-empty", 0, 0)
        return
    if around.subjects:
        return
    found = sniff(data, eof=around.whole)
    if not isinstance(found, Sniff):
        return
    end = min(line_end(data, 0), len(data))
    if found.protocol.startswith("tls"):
        yield Finding("stream-tls-hello", 0, 3)
    elif found.role is Role.HTTP2:
        yield Finding("stream-h2-preface", 0, end)
    elif found.protocol.startswith("proxy-v"):
        yield Finding("stream-proxy-protocol", 0, end, found.protocol.removeprefix("proxy-"))
    else:
        yield Finding("stream-other-protocol", 0, len(data), found.protocol)


def between(around: Surroundings) -> Iterator[Finding]:
    """Blank lines and junk before a request line, and line ends behind content."""
    data = around.stream.data
    at = 0
    before: Subject | None = None
    for subject in around.subjects:
        yield from _gap(around, before, at, subject.start)
        begin = subject.head.method or subject.head.target or subject.head.version or subject.head.start_line
        junk = data[subject.start : begin[0]]
        if junk.strip(b" \t"):
            yield Finding("stream-leading-junk", subject.start, begin[0], quoted(junk))
        elif junk:
            yield Finding("reqline-leading-ws", subject.start, begin[0])
        at, before = subject.end, subject
    spans = around.stream.spans
    if spans and at < len(data):
        blank = next((number for number in range(len(spans), 0, -1) if spans[number - 1].start < at), 0)
        end = at
        while blank < len(spans) and spans[blank].role in {Role.BLANK_LINE, Role.GARBAGE}:
            end = spans[blank].end
            blank += 1
        if end > at:
            yield from _gap(around, before, at, end)


def _gap(around: Surroundings, before: Subject | None, start: int, end: int) -> Iterator[Finding]:
    gap = around.stream.data[start:end]
    if not gap.strip(b"\r\n"):
        if gap:
            after_content = before is not None and bool(before.message.content)
            yield Finding("stream-trailing-crlf" if after_content else "stream-leading-crlf", start, end)
    elif not gap.strip(b" \t\r\n\x0b\x0c"):
        yield Finding("stream-leading-junk", start, end, quoted(gap))


def unfinished(around: Surroundings) -> Iterator[Finding]:
    """Heads that end before their empty line, come too slowly, or are those of HTTP/0.9."""
    for number, subject in enumerate(around.subjects):
        step = subject.framing.step
        if step is FramingStep.SIMPLE_REQUEST:
            yield Finding("stream-http09", subject.start, subject.head.start_line[1])
        elif step is FramingStep.UNFINISHED_HEAD and around.whole:
            yield Finding("head-truncated", subject.head_end, subject.head_end)
        seconds = around.context.seconds
        if number == 0 and seconds is not None and seconds > SLOW:
            rate = (subject.head_end - subject.start) / seconds
            yield Finding(
                "head-slow",
                subject.start,
                subject.head_end,
                f"{seconds:,.0f} seconds, {rate:,.0f} bytes a second",
            )


def in_a_row(around: Surroundings) -> Iterator[Finding]:
    """Requests that came before the one ahead of them was answered, and bytes after the last one of a connection."""
    data = around.stream.data
    answered = around.context.answered
    for number, (before, subject) in enumerate(zip(around.subjects, around.subjects[1:], strict=False)):
        line = data[subject.start : subject.start + 64]
        may_have_content = (
            before.method in _WITH_CONTENT and before.framing.step is FramingStep.NO_BODY_REQUEST
        )
        if may_have_content and not REQUEST_LINE.match(line):
            yield Finding("body-no-length", *subject.head.start_line, quoted(line))
        elif answered is None or number >= len(answered) or answered[number] > subject.start:
            yield Finding("stream-pipelined", *subject.head.start_line)
    last = around.subjects[-1] if around.subjects else None
    if last is None or last.message.keep_alive or not last.message.complete or last.framing.tunnel:
        return
    behind = next((span for span in reversed(around.stream.spans) if span.role is Role.UNFRAMED), None)
    if behind is not None and behind.start >= last.end:
        yield Finding("stream-bytes-after-close", behind.start, behind.end)


CHECKERS: Final = (foreign, between, unfinished, in_a_row)
