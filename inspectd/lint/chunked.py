"""The chunked transfer coding: sizes, extensions, line ends, trailers (RFC 9112 §7.1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import line_end, of_name, quoted
from inspectd.wire import Role
from inspectd.wire.framing import list_members
from inspectd.wire.head import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import ChunkLine, Subject

_TOKEN: Final = re.compile(TOKEN + rb"\Z")
_QUOTED: Final = re.compile(rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*+"\Z')
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BARE_SEMICOLON: Final = re.compile(rb";[ \t]*+(?=;|\Z)")
_SIZE_LINE: Final = re.compile(rb"[0-9A-Fa-f]++[ \t]*+(?:;[^\r\n]*+)?+\r?\n")
# Size lines that spell no size, most telling first.
_NO_SIZES: Final = (
    ("chunk-size-empty", re.compile(rb"[ \t]*+(?:;|\r?\n|\Z)")),
    ("chunk-ext-bare-cr", re.compile(rb"[ \t]*+[0-9A-Fa-f]++[ \t]*+;[^\r\n]*+\r(?!\n)")),
    ("chunk-line-bare-cr", re.compile(rb"[ \t]*+[0-9A-Fa-f]++[ \t]*+\r(?!\n)")),
    ("chunk-size-hex-prefix", re.compile(rb"[ \t]*+0[xX]")),
    ("chunk-size-sign", re.compile(rb"[ \t]*+[+-]")),
    ("chunk-size-underscore", re.compile(rb"[ \t]*+[0-9A-Fa-f]*+_")),
)
_HEX_DIGITS: Final = 16
_LONG_EXTENSIONS: Final = 4096
_MANY_TINY: Final = 8
_TINY: Final = 2

FORBIDDEN_TRAILERS: Final = frozenset({
    b"age", b"authorization", b"cache-control", b"connection", b"content-encoding", b"content-length",
    b"content-range", b"content-type", b"cookie", b"date", b"expect", b"expires", b"host", b"if-match",
    b"if-modified-since", b"if-none-match", b"if-range", b"if-unmodified-since", b"location", b"max-forwards",
    b"pragma", b"proxy-authenticate", b"proxy-authorization", b"range", b"retry-after", b"set-cookie", b"te",
    b"trailer", b"transfer-encoding", b"upgrade", b"vary", b"www-authenticate",
})  # fmt: skip
"""Fields that have to be known before the content: for framing, routing, authentication, or to process it."""


def size_lines(subject: Subject) -> Iterator[Finding]:
    """The lines that spell a size."""
    data = subject.data
    extensions = 0
    for line in subject.chunk_lines:
        if line.size is None:
            continue
        start, end = line.size
        digits = data[start:end]
        if line.start < start:
            yield Finding("chunk-size-leading-ws", line.start, start)
        if len(digits) > 1 and digits[:1] == b"0":
            yield Finding("chunk-size-leading-zeros", start, end)
        if len(digits.lstrip(b"0")) > _HEX_DIGITS:
            yield Finding("chunk-size-overflow", start, end, f"{len(digits):,} digits")
        rest = data[end : line.stop]
        if rest and not rest.strip(b" \t"):
            yield Finding("chunk-size-trailing-ws", end, line.stop)
        elif rest:
            extensions += len(rest)
            yield from _extensions(line, data, rest)
        if data[line.stop : line.end] == b"\n":
            with_extension = bool(rest.strip(b" \t"))
            yield Finding(
                "chunk-ext-bare-lf" if with_extension else "chunk-line-bare-lf", line.stop, line.end
            )
    if extensions > _LONG_EXTENSIONS:
        first = next(line for line in subject.chunk_lines if line.extensions)
        yield Finding(
            "chunk-ext-long",
            first.extensions[0].start,
            first.extensions[-1].end,
            f"{extensions:,} bytes in all",
        )


def _extensions(line: ChunkLine, data: bytes, rest: bytes) -> Iterator[Finding]:
    start = line.stop - len(rest)
    yield Finding("chunk-ext-present", start, line.stop, quoted(rest))
    if b"\r" in rest:
        at = start + rest.index(b"\r")
        yield Finding("chunk-ext-bare-cr", at, at + 1)
    if found := _BARE_SEMICOLON.search(rest):
        yield Finding("chunk-ext-bare-semicolon", start + found.start(), start + found.start() + 1)
    if found := _CONTROL.search(rest):
        yield Finding("chunk-ext-control", start + found.start(), start + found.end(), quoted(found[0]))
        return
    for span in line.extensions:
        text = data[span.start : span.end]
        if span.role is Role.CHUNK_EXT_NAME:
            good = _TOKEN.match(text) is not None
        elif span.role is Role.CHUNK_EXT_VALUE:
            good = _TOKEN.match(text) is not None or _QUOTED.match(text) is not None
        else:
            good = span.role is not Role.GARBAGE or b"\r" in text
        if not good:
            yield Finding("chunk-ext-bad-token", span.start, span.end, quoted(text))
            return


def chunk_ends(subject: Subject) -> Iterator[Finding]:
    """Line ends behind chunk data, and where chunks stop being chunks."""
    data = subject.data
    if not subject.framing.chunked:
        return
    before: Role | None = None
    for span in subject.message.spans:
        if span.role is Role.LF and before is Role.CHUNK_DATA:
            yield Finding("chunk-data-bare-lf", span.start, span.end)
        elif (
            span.role is Role.EMPTY_LINE
            and span.start >= subject.head_end
            and data[span.start : span.end] == b"\n"
        ):
            yield Finding("chunk-line-bare-lf", span.start, span.end)
        before = span.role
    at = subject.broken_off
    if at is None:
        return
    stop = line_end(data, at)
    if before is Role.CHUNK_DATA:
        spilled = _SIZE_LINE.match(data, at) is None
        yield Finding(
            "chunk-data-spill" if spilled else "chunk-data-no-crlf", at, stop, quoted(data[at : at + 2])
        )
        return
    for name, rule in _NO_SIZES:
        if rule.match(data, at, stop):
            yield Finding(name, at, stop, quoted(data[at:stop]))
            return
    yield Finding("chunk-size-bad-char", at, stop, quoted(data[at:stop]))


def ends(subject: Subject) -> Iterator[Finding]:
    """Chunks that nobody closes, and chunks so small that they are mostly framing."""
    if not subject.framing.chunked:
        return
    data, lines = subject.data, subject.chunk_lines
    if not subject.message.complete and subject.whole and subject.broken_off is None:
        last = lines[-1].size if lines else None
        closed = last is not None and not data[last[0] : last[1]].strip(b"0")
        yield Finding("chunk-final-crlf-missing" if closed else "chunk-no-last", subject.end, subject.end)
    chunks = len(lines) - 1
    if chunks >= _MANY_TINY and subject.message.content_length <= chunks * _TINY:
        yield Finding("chunk-tiny", lines[0].start, lines[0].end, f"{chunks:,} chunks")


def trailers(subject: Subject) -> Iterator[Finding]:
    """Fields behind the content (RFC 9110 §6.5)."""
    if not subject.framing.chunked:
        return
    announced = {member.lower() for member in subject.members(b"trailer")}
    came = set()
    for field in subject.message.trailers:
        lower = field.name_bytes.lower()
        came.add(lower)
        if not _TOKEN.match(lower) or subject.data[field.name[1] : field.name[1] + 1] != b":":
            yield Finding("trailer-bad-line", field.start, field.end, quoted(field.name_bytes))
        elif lower in FORBIDDEN_TRAILERS:
            yield of_name("trailer-forbidden", field)
        else:
            yield of_name("trailer-present", field)
            if lower not in announced:
                yield of_name("trailer-undeclared", field)
    for span in subject.message.spans:
        if span.role is Role.GARBAGE and span.start > subject.head_end and _in_trailers(subject, span.start):
            yield Finding(
                "trailer-bad-line", span.start, span.end, quoted(subject.data[span.start : span.end])
            )
    if subject.message.complete:
        for field in subject.fields.get(b"trailer", ()):
            for member in list_members([field.value_bytes]):
                if member.lower() not in came:
                    yield of_name("trailer-missing", field, quoted(member))


def _in_trailers(subject: Subject, at: int) -> bool:
    lines = subject.chunk_lines
    return bool(lines) and at >= lines[-1].end and subject.message.complete


CHECKERS: Final = (size_lines, chunk_ends, ends, trailers)
