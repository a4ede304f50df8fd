"""Content of requests: where it has none, what it is, what else it may be; where messages end (RFC 9112 §6, §11)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from inspectd.lint.model import Finding
from inspectd.lint.stream import REQUEST_LINE
from inspectd.lint.subject import of_value, value_range
from inspectd.wire import Role
from inspectd.wire.framing import FramingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject
    from inspectd.wire import Field
    from inspectd.wire.framing import Alternative

_NO_CONTENT: Final = {
    b"GET": "body-on-get",
    b"HEAD": "body-on-head",
    b"DELETE": "body-on-delete",
    b"TRACE": "body-on-trace",
    b"CONNECT": "connect-with-body",
}
"""Methods whose content means nothing, and what is said of it."""

_BOUNDARY: Final = re.compile(rb"(?i:;[ \t]*+boundary=)(?:\"([^\"]++)\"|([^ \t;\"]++))")
_HEX_DIGITS: Final = 16
_ODD_ENDS: Final = frozenset({Role.LF, Role.GARBAGE})
_EXAMINED: Final = 1024 * 1024


def presence(subject: Subject) -> Iterator[Finding]:
    """Content with methods that have none."""
    field = framing_field(subject)
    if field is None or not subject.head.complete or not _announced(subject):
        return
    name = _NO_CONTENT.get(subject.method)
    if name is not None:
        yield of_value(name, field)
    elif b"content-type" not in subject.fields:
        options = subject.method == b"OPTIONS"
        yield of_value("body-on-options-no-type" if options else "body-no-content-type", field)


def framing_field(subject: Subject) -> Field | None:
    """The field that decides where the content ends, or None."""
    return subject.first(b"transfer-encoding") or subject.first(b"content-length")


def _announced(subject: Subject) -> bool:
    """Whether the head says that content follows."""
    if b"transfer-encoding" in subject.fields:
        return True
    if subject.framing.tunnel:
        return any(value.strip(b"0 ") for value in subject.values(b"content-length"))
    return bool(subject.framing.length) or subject.framing.lost


def as_declared(subject: Subject) -> Iterator[Finding]:
    """Content that isn't what Content-Type calls it."""
    field = subject.first(b"content-type")
    if field is None or not subject.message.complete or not subject.message.content:
        return
    if b"content-encoding" in subject.fields or subject.message.content_length > _EXAMINED:
        return
    media_type = field.value_bytes.partition(b";")[0].strip(b" \t").lower()
    where = (subject.message.content[0][0], subject.message.content[-1][1])
    if media_type == b"application/json" or media_type.endswith(b"+json"):
        try:
            msgspec.json.decode(subject.content)
        except (msgspec.DecodeError, RecursionError, ValueError):
            yield Finding("body-type-mismatch", *where, "no JSON")
    elif media_type.startswith(b"multipart/"):
        boundary = _BOUNDARY.search(field.value_bytes)
        if boundary is None:
            yield of_value("body-type-mismatch", field, "no boundary")
        elif b"--" + (boundary[1] or boundary[2]) not in subject.content:
            yield Finding("body-type-mismatch", *where, "the boundary isn't in it")


def smuggled(subject: Subject) -> Iterator[Finding]:
    """Content that begins like a request, or does so where another reader ends the one before."""
    data = subject.data
    ends = {subject.head_end: "the content"} if subject.message.content else {}
    others = _other_ends(subject)
    for other in others:
        if other.length is not None:
            ends.setdefault(subject.head_end + other.length, other.reader)
    if others and subject.message.complete:
        ends.setdefault(subject.end, "what follows")
    for at, reader in sorted(ends.items()):
        if at < len(data) and REQUEST_LINE.match(data, at):
            end = data.find(b"\n", at, at + 4096)
            yield Finding("body-embedded-request", at, end if end >= 0 else min(len(data), at + 4096), reader)


def _other_ends(subject: Subject) -> list[Alternative]:
    """The readers that find another end of the message, or may: nobody knows that before it is complete."""
    return [
        other
        for other in subject.framing.alternatives
        if not subject.message.complete
        or other.length is None
        or subject.head_end + other.length != subject.end
    ]


def two_ends(subject: Subject) -> Iterator[Finding]:
    """Whether everybody finds the same end (RFC 9112 §6.3)."""
    framing = subject.framing
    field = framing_field(subject)
    if not subject.head.complete or framing.step is FramingStep.SIMPLE_REQUEST or subject.message.interim:
        return
    if framing.alternatives:
        others = _other_ends(subject)
        if not others:
            return
        where = value_range(field) if field is not None else (subject.start, subject.head_end)
        readers = "; ".join(
            f"{other.reader}: {'another framing' if other.length is None else f'{other.length:,} bytes'}"
            for other in others[:4]
        )
        yield Finding("body-ambiguous-end", *where, readers)
    elif _agreed(subject):
        where = value_range(field) if field is not None else (subject.head_end, subject.head_end)
        yield Finding("length-agreed", *where, framing.sentence)


def _agreed(subject: Subject) -> bool:
    """Whether nothing in head and chunks gives a reader reason to find another end."""
    if (
        subject.framing.lost
        or subject.framing.until_close
        or not subject.plain
        or (subject.kind == "request" and subject.method in _NO_CONTENT and subject.message.content)
    ):
        return False
    if not subject.framing.chunked:
        return True
    return (
        subject.message.complete
        and all(
            line.size == (line.start, line.stop)
            and line.end - line.stop == 2
            and line.stop - line.start <= _HEX_DIGITS
            for line in subject.chunk_lines
        )
        and not any(span.role in _ODD_ENDS for span in subject.message.spans)
    )


CHECKERS: Final = (presence, as_declared, smuggled, two_ends)
