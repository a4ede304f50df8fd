"""What a status requires of the fields, and dates, tags and references in them (RFC 9110 §8, §10, §15)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.forms import ENTITY_TAG, date_form, is_structured
from inspectd.lint.model import Finding
from inspectd.lint.response_framing import asked
from inspectd.lint.subject import of_name, of_value, quoted
from inspectd.wire.framing import count
from inspectd.wire.head import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.forms import Shape
    from inspectd.lint.subject import Subject

_WITH_DATE: Final = (b"2", b"3", b"4")
_DATES: Final = (b"date", b"last-modified")
_REDIRECTS: Final = frozenset({b"301", b"302", b"303", b"307", b"308"})
# URI-reference: characters of RFC 3986 §2 and whole escapes
_REFERENCE: Final = re.compile(rb"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+\Z")
# challenge = auth-scheme [ 1*SP ( token68 / #auth-param ) ]             ; RFC 9110 §11.3
_CHALLENGE: Final = re.compile(TOKEN + rb"(?:\Z|[ ]++[^ ]|[ \t]*+,)")
# Content-Range = range-unit SP ( range-resp / unsatisfied-range )       ; RFC 9110 §14.4
_CONTENT_RANGE: Final = re.compile(rb"(?i:bytes) (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)\Z")
_SECONDS: Final = re.compile(rb"[0-9]++\Z")
_OF_THE_CONTENT: Final = (b"content-encoding", b"content-language", b"content-range", b"content-type")
_CONDITIONS: Final = (
    b"if-none-match",
    b"if-modified-since",
    b"if-range",
    b"if-match",
    b"if-unmodified-since",
)
_COMPARED: Final = (b"content-length", b"content-type", b"etag", b"last-modified", b"content-encoding")
_STRUCTURED: Final[dict[bytes, Shape]] = {
    b"accept-ch": "list", b"cache-status": "list", b"cdn-cache-control": "dictionary", b"content-digest": "dictionary",
    b"critical-ch": "list", b"cross-origin-embedder-policy": "item", b"cross-origin-opener-policy": "item",
    b"deprecation": "item", b"document-policy": "dictionary", b"integrity-policy": "dictionary",
    b"no-vary-search": "dictionary", b"origin-agent-cluster": "item", b"permissions-policy": "dictionary",
    b"priority": "dictionary", b"proxy-status": "list", b"reporting-endpoints": "dictionary",
    b"repr-digest": "dictionary", b"set-login": "item", b"signature": "dictionary", b"signature-input": "dictionary",
    b"speculation-rules": "list", b"supports-loading-mode": "list", b"use-as-dictionary": "dictionary",
}  # fmt: skip


def dates(subject: Subject) -> Iterator[Finding]:
    """Date and Last-Modified."""
    head = subject.head
    if (
        head.complete
        and head.status is not None
        and subject.status[:1] in _WITH_DATE
        and b"date" not in subject.fields
        and not subject.framing.tunnel  # a proxy's word on CONNECT is no origin server's
    ):
        yield Finding("resp-date-missing", *head.status)
    for name in _DATES:
        for field in subject.fields.get(name, ()):
            form = date_form(field.value_bytes)
            if form != "current":
                yield of_value(
                    "resp-date-bad",
                    field,
                    "an obsolete form" if form == "obsolete" else quoted(field.value_bytes),
                )


def required(subject: Subject) -> Iterator[Finding]:
    """Fields that a status can't do without."""
    head, code = subject.head, subject.status
    if not head.complete or head.status is None:
        return
    if code in _REDIRECTS and b"location" not in subject.fields:
        yield Finding("resp-location-missing", *head.status, code.decode("ascii", "replace"))
    elif code == b"405" and b"allow" not in subject.fields:
        yield Finding("resp-allow-missing", *head.status)
    elif code in {b"401", b"407"}:
        name = b"www-authenticate" if code == b"401" else b"proxy-authenticate"
        if name not in subject.fields:
            yield Finding("resp-authenticate-missing", *head.status, code.decode("ascii", "replace"))
    elif code == b"416" and b"content-range" not in subject.fields:
        yield Finding("resp-416-no-range", *head.status)


def references(subject: Subject) -> Iterator[Finding]:
    """Location and Content-Location are URI references; challenges begin with a scheme."""
    for name in (b"location", b"content-location"):
        for field in subject.fields.get(name, ()):
            if not _REFERENCE.match(field.value_bytes):
                yield of_value("resp-location-bad", field, quoted(field.value_bytes))
    for name in (b"www-authenticate", b"proxy-authenticate"):
        for field in subject.fields.get(name, ()):
            if not _CHALLENGE.match(field.value_bytes):
                yield of_value("resp-challenge-bad", field, quoted(field.value_bytes))


def parts(subject: Subject) -> Iterator[Finding]:
    """206 and Content-Range (RFC 9110 §14.4, §15.3.7)."""
    head, request, field = subject.head, asked(subject), subject.first(b"content-range")
    if head.complete and head.status is not None and subject.status == b"206":
        types = b",".join(subject.values(b"content-type")).lower()
        if field is None and not types.startswith(b"multipart/byteranges"):
            yield Finding("resp-206-bad", *head.status, "no Content-Range")
        elif request is not None and b"range" not in request.fields:
            yield Finding("resp-206-bad", *head.status, "no range was asked for")
    if field is None:
        return
    found = _CONTENT_RANGE.match(field.value_bytes)
    if found is None:
        if field.value_bytes[:5].lower() == b"bytes" or b" " not in field.value_bytes:
            yield of_value("resp-content-range-bad", field, quoted(field.value_bytes))
        return
    if found[1] is None:
        return
    first, last = int(found[1]), int(found[2])
    if last < first or (found[3] != b"*" and last >= int(found[3])):
        yield of_value("resp-content-range-bad", field, "it ends before it begins or behind the whole")
        return
    size = last - first + 1
    told = [count(value) for value in subject.values(b"content-length") if value.isdigit()]
    if subject.status == b"206" and told and told[0] != size:
        yield of_value("resp-content-range-bad", field, f"{size:,} bytes, but Content-Length is {told[0]:,}")


def not_modified(subject: Subject) -> Iterator[Finding]:
    """304: to a conditional request, with what caches need, and nothing of the content."""
    head, request = subject.head, asked(subject)
    if subject.status != b"304" or not head.complete or head.status is None:
        return
    named = [subject.fields[name][0] for name in _OF_THE_CONTENT if name in subject.fields]
    if named:
        yield of_name("resp-304-fields", named[0], "it describes content that isn't there")
    if request is None:
        return
    if not any(name in request.fields for name in _CONDITIONS):
        yield Finding("resp-304-unasked", *head.status)
    elif b"if-none-match" in request.fields and b"etag" not in subject.fields:
        yield Finding("resp-304-fields", *head.status, "no ETag, though the request has If-None-Match")


def like_get(subject: Subject) -> Iterator[Finding]:
    """The answer to HEAD beside that to GET before it, on the same connection (RFC 9110 §9.3.2)."""
    request, before = asked(subject), subject.previous
    other = asked(before) if before is not None else None
    if request is None or before is None or other is None or not subject.head.complete:
        return
    pair = (request.method, other.method)
    if {*pair} != {b"GET", b"HEAD"} or request.target != other.target or subject.status != before.status:
        return
    for name in _COMPARED:
        mine, theirs = subject.values(name), before.values(name)
        if mine and theirs and mine != theirs:
            field = subject.fields[name][0]
            yield of_value("resp-head-differs", field, f"{quoted(mine[0])}, {quoted(theirs[0])} before")


def forms(subject: Subject) -> Iterator[Finding]:
    """Entity tags, Retry-After, and structured fields."""
    for field in subject.fields.get(b"etag", ()):
        if not ENTITY_TAG.fullmatch(field.value_bytes):
            yield of_value("resp-etag-bad", field, quoted(field.value_bytes))
    for field in subject.fields.get(b"retry-after", ()):
        value = field.value_bytes
        if not _SECONDS.match(value) and date_form(value) == "none":
            yield of_value("resp-retry-after-bad", field, quoted(value))
    for name, fields in subject.fields.items():
        shape = _STRUCTURED.get(name)
        if shape is not None:
            value = b", ".join([field.value_bytes for field in fields])
            if not is_structured(value, shape):
                yield of_value("resp-structured-invalid", fields[0], quoted(value))


MEANING: Final = (references, forms)
SETTLED: Final = (dates, required, parts, not_modified, like_get)
