"""Content of responses and what describes it: types, charsets, codings, names, event streams (RFC 9110 §8)."""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.response_framing import asked
from inspectd.lint.subject import of_name, of_value, quoted
from inspectd.text.coding import decode_content
from inspectd.text.safe import safe
from inspectd.wire.head import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

_EXAMINED: Final = 256 * 1024  # bytes of content before and after its codings are taken off
_QUOTED_STRING: Final = rb'"(?:[^"\\]|\\.)*+"'
# media-type = type "/" subtype parameters                               ; RFC 9110 §8.3.1
_MEDIA_TYPE: Final = re.compile(
    TOKEN
    + rb"/"
    + TOKEN
    + rb"(?:[ \t]*+;[ \t]*+(?:"
    + TOKEN
    + rb"=(?:"
    + TOKEN
    + rb"|"
    + _QUOTED_STRING
    + rb"))?+)*+[ \t]*+\Z"
)
_CHARSET: Final = re.compile(rb"(?i:;[ \t]*+charset=)(?:\"([^\"]*+)\"|([^ \t;\"]*+))")
_TEXT_OF_PAGES: Final = frozenset({b"text/html", b"text/plain", b"text/css", b"text/xml"})
_EVENT_STREAM: Final = b"text/event-stream"
# content-disposition = disposition-type *( ";" disposition-parm )       ; RFC 6266 §4.1
_DISPOSITION: Final = re.compile(
    TOKEN
    + rb"(?:[ \t]*+;[ \t]*+("
    + TOKEN
    + rb")[ \t]*+=[ \t]*+("
    + TOKEN
    + rb"|"
    + _QUOTED_STRING
    + rb"))*+[ \t]*+\Z"
)
_FILENAME: Final = re.compile(
    rb"(?i:;[ \t]*+filename\*?+[ \t]*+=[ \t]*+)(\"(?:[^\"\\]|\\[\s\S]?+)*+\"?+|[^;]*+)"
)
_PATH: Final = re.compile(rb"[/\\]|%2[fF]|%5[cC]|\.\.")
# link-value = "<" URI-Reference ">" *( OWS ";" OWS [ link-param ] )     ; RFC 8288 §3
_LINK: Final = re.compile(rb"[ \t,]*+<[^<>]*+>")
# server-timing-metric = metric-name *( OWS ";" OWS server-timing-param ) ; Server Timing §4
_METRIC: Final = re.compile(
    rb"[ \t]*+"
    + TOKEN
    + rb"(?:[ \t]*+;[ \t]*+"
    + TOKEN
    + rb"(?:[ \t]*+=[ \t]*+(?:"
    + TOKEN
    + rb"|"
    + _QUOTED_STRING
    + rb"))?+)*+[ \t]*+(?:,|\Z)"
)
_CODINGS: Final = frozenset({b"gzip", b"x-gzip", b"deflate", b"br", b"zstd", b"compress", b"x-compress"})


def media_type(subject: Subject) -> bytes:
    """Type and subtype of the content in lower case, or nothing."""
    field = subject.first(b"content-type")
    return field.value_bytes.partition(b";")[0].strip(b" \t").lower() if field is not None else b""


def types(subject: Subject) -> Iterator[Finding]:
    """Content-Type."""
    field, head = subject.first(b"content-type"), subject.head
    if field is None:
        if head.complete and head.status is not None and subject.message.content_length:
            yield Finding("resp-content-type-missing", *head.status)
        return
    value = field.value_bytes
    if not _MEDIA_TYPE.match(value):
        yield of_value("resp-content-type-bad", field, quoted(value))
        return
    declared = _CHARSET.search(value)
    name = (declared[1] or declared[2] or b"") if declared is not None else b""
    if declared is None:
        if media_type(subject) in _TEXT_OF_PAGES and subject.message.content_length:
            yield of_value("resp-charset-missing", field)
    elif not _charset(name):
        yield of_value("resp-charset-mismatch", field, f"no charset is called {quoted(name)}")
    else:
        yield from _in_charset(subject, name)


@lru_cache(maxsize=64)
def _charset(name: bytes) -> str:
    """The one name of a charset, or nothing when it is none that text can be in."""
    try:
        b"".decode(name.decode("ascii"))
        return codecs.lookup(name.decode("ascii")).name
    except (LookupError, ValueError):
        return ""


def _in_charset(subject: Subject, name: bytes) -> Iterator[Finding]:
    message, charset = subject.message, _charset(name)
    if charset not in {"utf-8", "ascii"}:
        return  # any bytes are characters of most others
    if not message.content or b"content-encoding" in subject.fields or message.content_length > _EXAMINED:
        return
    try:
        codecs.getincrementaldecoder(charset)().decode(subject.content, final=message.complete)
    except UnicodeError:
        where = (message.content[0][0], message.content[-1][1])
        yield Finding("resp-charset-mismatch", *where, f"not {quoted(name)}")


def codings(subject: Subject) -> Iterator[Finding]:
    """Content-Encoding: one that the client reads, and that the content has."""
    field, message = subject.first(b"content-encoding"), subject.message
    if field is None:
        return
    names = subject.members(b"content-encoding")
    request = asked(subject)
    if request is not None and b"accept-encoding" in request.fields:
        refused = [name for name in names if not _accepted(name.lower(), request)]
        if refused and subject.status not in {b"304", b"415"}:
            yield of_value("resp-encoding-unrequested", field, quoted(refused[0]))
    if not message.content or not message.complete or message.content_length > _EXAMINED:
        return
    known = all(name.lower() in _CODINGS for name in names)
    decoded = decode_content(subject.content, b",".join(names), limit=_EXAMINED)
    if known and decoded.error and not decoded.truncated:
        where = (message.content[0][0], message.content[-1][1])
        yield Finding("resp-encoding-mismatch", *where, safe(decoded.error).removesuffix("."))


def _accepted(name: bytes, request: Subject) -> bool:
    """Whether Accept-Encoding lets this coding through (RFC 9110 §12.5.3)."""
    if name == b"identity":
        return True
    weights: dict[bytes, bool] = {}
    for member in request.members(b"accept-encoding"):
        coding, _, parameters = member.partition(b";")
        weights[coding.strip(b" \t").lower().removeprefix(b"x-")] = not _ZERO.match(parameters.strip(b" \t"))
    return weights.get(name.removeprefix(b"x-"), weights.get(b"*", False))


_ZERO: Final = re.compile(rb"[qQ][ \t]*+=[ \t]*+0(?:\.0*+)?+\Z")


def event_streams(subject: Subject) -> Iterator[Finding]:
    """text/event-stream: it goes on, uncoded, in UTF-8, past every cache (HTML §9.2)."""
    field = subject.first(b"content-type")
    if field is None or media_type(subject) != _EVENT_STREAM or not subject.head.complete:
        return
    length, coding = subject.first(b"content-length"), subject.first(b"content-encoding")
    if length is not None and subject.status == b"200" and subject.method != b"HEAD":
        yield of_name("event-stream-length", length)
    if coding is not None:
        yield of_value("event-stream-coded", coding, quoted(coding.value_bytes))
    charset = _CHARSET.search(field.value_bytes)
    if charset is not None and (charset[1] or charset[2] or b"").lower() not in {b"utf-8", b"utf8"}:
        yield of_value("event-stream-charset", field)
    if subject.tokens(b"cache-control").isdisjoint({b"no-cache", b"no-store"}):
        yield of_value("event-stream-cached", field)
    if subject.head.status is not None and subject.status not in {b"200", b"304"}:
        yield Finding("event-stream-status", *subject.head.status)


def names(subject: Subject) -> Iterator[Finding]:
    """Content-Disposition: a type and a file name, never a path."""
    for field in subject.fields.get(b"content-disposition", ()):
        value = field.value_bytes
        if not _DISPOSITION.match(value):
            yield of_value("disposition-bad", field, quoted(value))
        for found in _FILENAME.finditer(value):
            # A charset and a language stand before an extended value: filename*=UTF-8''a.txt
            if _PATH.search(found[1]):
                yield of_value("disposition-path", field, quoted(found[1]))
                break


def lists(subject: Subject) -> Iterator[Finding]:
    """Link and Server-Timing."""
    for field in subject.fields.get(b"link", ()):
        if field.value and not _LINK.match(field.value_bytes):
            yield of_value("link-bad", field, quoted(field.value_bytes))
    for field in subject.fields.get(b"server-timing", ()):
        if not _is_timing(field):
            yield of_value("server-timing-bad", field, quoted(field.value_bytes))


def _is_timing(field: Field) -> bool:
    value = field.value_bytes
    at = 0
    while at < len(value):
        found = _METRIC.match(value, at)
        if found is None:
            return False
        at = found.end()
    return bool(value)


MEANING: Final = (names, lists)
SETTLED: Final = (types, codings, event_streams)
