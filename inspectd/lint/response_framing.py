"""Where responses end: lengths that mean nothing, content where there is none, bytes behind the end (RFC 9112 §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from inspectd.lint.model import Finding
from inspectd.lint.subject import line_end, of_name, of_value, quoted
from inspectd.wire import Role
from inspectd.wire.facts import is_http_1_0
from inspectd.wire.framing import FramingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject, Surroundings

_FRAMING_FIELDS: Final = (b"content-length", b"transfer-encoding")
_HEAD_ALONE: Final = frozenset({FramingStep.NO_BODY_BY_STATUS, FramingStep.NO_BODY_BY_METHOD})
_NAME: Final = b"HTTP/"
_SHORTEST: Final = 3  # shorter lines turn up by chance
_EXAMINED: Final = 64 * 1024
_MOST_PIECES: Final = 50


def asked(subject: Subject) -> Subject | None:
    """The request that a response answers, when its fields are known."""
    request = subject.request
    return request if request is not None and request.head.complete else None


def codings(subject: Subject) -> Iterator[Finding]:
    """Transfer-Encoding as responses may have it."""
    field = subject.first(b"transfer-encoding")
    if field is None:
        return
    request = asked(subject)
    if subject.framing.step is FramingStep.TRANSFER_UNTIL_CLOSE:
        yield of_value("resp-te-not-final", field)
    if is_http_1_0(subject.version):
        yield of_name("resp-te-http10", field, "the response is HTTP/1.0")
    elif request is not None and is_http_1_0(request.version):
        yield of_name("resp-te-http10", field, "the request is HTTP/1.0")
    if request is not None:
        names = [_coding(member) for member in subject.members(b"transfer-encoding")]
        wanted = {_coding(member) for member in request.members(b"te")}
        others = [name for name in names if name not in {b"chunked", b"identity"} and name not in wanted]
        if others:
            yield of_value("resp-te-unrequested", field, quoted(others[0]))


def _coding(member: bytes) -> bytes:
    return member.partition(b";")[0].strip(b" \t").lower()


def lengths(subject: Subject) -> Iterator[Finding]:
    """Framing fields where there can be no content."""
    step = subject.framing.step
    code = subject.status
    if step is FramingStep.CONNECT:
        name = "resp-length-on-connect"
    elif step is FramingStep.SWITCHED or (step is FramingStep.NO_BODY_BY_STATUS and code != b"304"):
        name = "resp-length-on-1xx-204"
    else:
        return
    for wanted in _FRAMING_FIELDS:
        for field in subject.fields.get(wanted, ()):
            yield Finding(
                name, *field.name, f"{code.decode('ascii', 'replace')} with {quoted(field.name_bytes)}"
            )


def content(subject: Subject) -> Iterator[Finding]:
    """205 has no content; what has no length ends with the connection."""
    message, head = subject.message, subject.head
    if subject.status == b"205" and message.content and head.status is not None:
        yield Finding("resp-body-on-205", *head.status, f"{message.content_length:,} bytes")
    endless = subject.fields.get(b"content-type", ())  # such a stream ends when somebody leaves
    if any(field.value_bytes.lower().startswith(b"text/event-stream") for field in endless):
        return
    if subject.framing.step is FramingStep.UNTIL_CLOSE and head.complete:
        yield Finding("resp-close-delimited", subject.head_end, subject.head_end)


def early(subject: Subject) -> Iterator[Finding]:
    """A final response while the request is still on its way."""
    request, head = asked(subject), subject.head
    if request is None or request.message.complete or request.framing.tunnel or head.status is None:
        return
    # Of a long request whoever asks may have given a part alone.
    if not subject.message.interim and subject.status != b"101" and len(request.data) < _EXAMINED:
        there = f"{request.message.content_length:,} bytes of its content had arrived"
        yield Finding("resp-early", *head.status, there)


def behind(around: Surroundings) -> Iterator[Finding]:
    """Bytes behind a response that belong to none, and responses that nobody asked for."""
    for before, subject in zip(around.subjects, around.subjects[1:], strict=False):
        if _is_response(subject):
            unasked = before.request is not None and not before.message.interim and subject.request is None
            if unasked:
                yield Finding("resp-unsolicited", *subject.head.start_line)
        else:
            if around.whole or not _may_become_one(subject):
                yield _left_over(before, subject.start, len(around.stream.data))
            return
    last = around.subjects[-1] if around.subjects else None
    if last is None or not last.message.complete or last.framing.tunnel or last.framing.until_close:
        return
    spans = around.stream.spans
    if last.end < len(around.stream.data) and spans[-1].role is Role.UNFRAMED:
        yield _left_over(last, last.end, len(around.stream.data))


def _is_response(subject: Subject) -> bool:
    """Whether a message behind another one begins like a response."""
    return subject.data[subject.start : subject.start + len(_NAME)].upper() == _NAME


def _may_become_one(subject: Subject) -> bool:
    """Whether so few bytes are there that a response may still begin with them."""
    return _NAME.startswith(subject.data[subject.start :][: len(_NAME)].upper())


def _left_over(before: Subject, start: int, end: int) -> Finding:
    alone = before.framing.step in _HEAD_ALONE
    shown = quoted(before.data[start : start + 40])
    return Finding("resp-body-on-bodyless" if alone else "resp-extra-bytes", start, end, shown)


def split(subject: Subject) -> Iterator[Finding]:
    """A line of the head that was written in the request, behind a line end."""
    request = asked(subject)
    if request is None or not subject.head.complete:
        return
    lines = set(_lines_within(request.target)) | set(_lines_within(request.content[:_EXAMINED]))
    if not lines:
        return
    for fields in subject.fields.values():
        for field in fields:
            line = subject.data[field.start : line_end(subject.data, field.start)].strip(b"\r\n")
            if line in lines:
                yield Finding("resp-splitting", field.start, field.end, quoted(line))


def _lines_within(text: bytes) -> list[bytes]:
    """The lines that begin behind a line end in this text once its escapes are read."""
    if b"\n" not in text and b"%0a" not in text.lower() and b"%0d" not in text.lower():
        return []
    plain = unquote_to_bytes(text.replace(b"+", b" "))
    pieces = plain.replace(b"\r", b"\n").split(b"\n", _MOST_PIECES)[1:]
    return [piece for piece in pieces if b":" in piece and len(piece) > _SHORTEST]


STREAM: Final = (behind,)
MEANING: Final = (codings, lengths)
SETTLED: Final = (content, early, split)
