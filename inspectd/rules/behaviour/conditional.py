"""Conditional requests and ranges: 304, 412, 206 and 416 by themselves (RFC 9110 §13, §14).

Preconditions are looked at in the order of §13.2.2, and only when the answer without them would be a success. An
entity tag is compared weakly for If-None-Match and strongly for If-Match and If-Range. With `wrong` one thing is
wrong and the rest is right.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import UNSET

from inspectd.rules.answer import AnswerError, file_state, imf_fixdate, status_code
from inspectd.rules.behaviour import asked, ranges, saying
from inspectd.rules.draft import CraftError, FileSlice
from inspectd.rules.media_types import media_type
from inspectd.rules.tables import ConditionalTable

if TYPE_CHECKING:
    from inspectd.rules.draft import Call, Draft, Step
    from inspectd.rules.tables import AnswerTable

# entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE                                   ; RFC 9110 §8.8.3
_ENTITY_TAG: Final = rb'(W/)?"([!#-~\x80-\xff]*+)"'
_TAG: Final = re.compile(_ENTITY_TAG)
_TAGS: Final = re.compile(rb"[ \t,]*+(?:" + _ENTITY_TAG + rb"(?:[ \t]*+(?:,[ \t,]*+|\Z)))")
_TAG_LIST: Final = 1000

# IMF-fixdate / rfc850-date / asctime-date                                     ; RFC 9110 §5.6.7
_DATES: Final = (
    re.compile(
        r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), (?P<day>[0-9]{2}) (?P<month>[A-Z][a-z]{2}) (?P<year>[0-9]{4})"
        r" (?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) GMT"
    ),
    re.compile(
        r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>[0-9]{2})-(?P<month>[A-Z][a-z]{2})-(?P<year>[0-9]{2})"
        r" (?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) GMT"
    ),
    re.compile(
        r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?P<month>[A-Z][a-z]{2}) (?P<day>[ 0-9][0-9])"
        r" (?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2}) (?P<year>[0-9]{4})"
    ),
)
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# What a 304 doesn't say: the client has it (RFC 9110 §15.4.5). A 412 and a 416 have another content, or none.
_OF_CONTENT: Final = frozenset(
    {
        b"content-type", b"content-length", b"content-encoding", b"content-language", b"content-range",
        b"transfer-encoding", b"trailer", b"accept-ranges",
    }
)  # fmt: skip


class Validators(NamedTuple):
    """What a client can compare: the entity tag as it is sent, and the time in whole seconds since the epoch."""

    etag: bytes | None
    modified: int | None


def step(table: AnswerTable) -> Step:
    """The step that answers preconditions and ranges. Raises `CraftError`."""
    words = table.conditional if isinstance(table.conditional, ConditionalTable) else _ORDINARY
    etag = None if words.etag is None else saying.one_line("conditional.etag", words.etag)
    modified = (
        None
        if words.last_modified is None
        else saying.one_line("conditional.last-modified", words.last_modified)
    )
    if modified not in {None, b"auto"} and http_date(modified or b"", 0) is None:
        raise CraftError(
            "conditional.last-modified",
            f"not an HTTP date: {words.last_modified!r}",
            'Write "Sun, 06 Nov 1994 08:49:37 GMT", or "auto".',
        )
    # The range of a coded content would be one of bytes that are made only later.
    served = words.ranges and table.coding is None
    kind = _kind(table)

    def conditional(call: Call, draft: Draft) -> Draft:
        code = status_code(draft.status_line)
        if code is None or not 200 <= code < 300:
            return draft
        try:
            validators = _validators(call, draft, etag, modified)
        except AnswerError:
            return draft  # the file is gone: whoever sends it will say so
        if (refused := _precondition(call, draft, validators, words)) is not None:
            return refused
        return _range(call, draft, validators, words, kind) if served and code == 200 else draft

    return conditional


def _kind(table: AnswerTable) -> bytes | None:
    """The media type that the content gets when no field says one: the parts of a multipart answer need it."""
    if table.body is not None:
        return b"text/plain; charset=utf-8"
    if table.json is not UNSET:
        return b"application/json"
    return None if table.body_file is None else media_type(PurePath(table.body_file)).encode()


_ORDINARY: Final = ConditionalTable(etag="auto", last_modified="auto")


def _validators(call: Call, draft: Draft, etag: bytes | None, modified: bytes | None) -> Validators:
    """Put the validators into the draft. Fields that the rule gives itself count as well."""
    content = draft.content
    if etag is not None and draft.get(b"etag") is None:
        tag = _made(content) if etag == b"auto" else etag
        if tag is not None:
            saying.add(draft, b"ETag: " + tag)
    if modified is not None and draft.get(b"last-modified") is None:
        if modified != b"auto":
            saying.add(draft, b"Last-Modified: " + modified)
        elif isinstance(content, FileSlice):
            # never later than Date                                            ; RFC 9110 §8.8.2.1
            changed = min(file_state(content.path)[0] / 1e9, call.now)
            saying.add(draft, f"Last-Modified: {imf_fixdate(changed)}".encode())
    return Validators(draft.get(b"etag"), http_date(draft.get(b"last-modified") or b"", call.now))


def _made(content: object) -> bytes | None:
    """An entity tag for a content; None for one whose bytes nobody knows beforehand."""
    if isinstance(content, bytes):
        return b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()
    if isinstance(content, FileSlice):
        changed, size, number = file_state(content.path)
        return f'"{changed:x}-{size:x}-{number:x}"'.encode()
    return None


def _precondition(call: Call, draft: Draft, own: Validators, words: ConditionalTable) -> Draft | None:
    """The refusal that a precondition leads to, in the order of RFC 9110 §13.2.2; None to go on."""
    request = call.request
    reading = request.head.method in {b"GET", b"HEAD"}
    if words.wrong == "always-304" and reading:
        return _not_modified(draft)
    if request.head.method in {b"CONNECT", b"OPTIONS", b"TRACE"}:
        return None
    if_match = _joined(call, b"if-match")
    unmodified_since = _date(call, b"if-unmodified-since")
    if if_match is not None:
        if not matches(if_match, own.etag, weakly=False):
            return _failed(draft)
    elif unmodified_since is not None and own.modified is not None and own.modified > unmodified_since:
        return _failed(draft)
    if_none_match = _joined(call, b"if-none-match")
    modified_since = _date(call, b"if-modified-since")
    if if_none_match is not None:
        if matches(if_none_match, own.etag, weakly=True):
            return _not_modified(draft) if reading else _failed(draft)
    elif (
        reading and modified_since is not None and own.modified is not None and own.modified <= modified_since
    ):
        return _not_modified(draft)
    return None


def matches(value: bytes, own: bytes | None, *, weakly: bool) -> bool:
    """Whether a list of entity tags, or `*`, holds this one (RFC 9110 §8.8.3.2). Malformed tags hold nothing."""
    if value.strip(b" \t") == b"*":
        return True
    mine = _TAG.fullmatch(own or b"")
    if mine is None or (mine[1] and not weakly):
        return False
    at = 0
    for _ in range(_TAG_LIST):
        tag = _TAGS.match(value, at)
        if tag is None:
            break
        if tag[2] == mine[2] and (weakly or not tag[1]):
            return True
        at = tag.end()
    return False


def _not_modified(draft: Draft) -> Draft:
    saying.without(draft, _OF_CONTENT if draft.get(b"etag") is None else _OF_CONTENT | {b"last-modified"})
    return _said(draft, b"304 Not Modified")


def _failed(draft: Draft) -> Draft:
    saying.without(draft, _OF_CONTENT)
    return _said(draft, b"412 Precondition Failed")


def _said(draft: Draft, status: bytes) -> Draft:
    """The draft with this status, in the version of the rule's own, and no content."""
    version, space, _ = draft.status_line.partition(b" ")
    draft.status_line = (version if space else b"HTTP/1.1") + b" " + status
    draft.content = b""
    draft.final = True
    return draft


def _range(call: Call, draft: Draft, own: Validators, words: ConditionalTable, kind: bytes | None) -> Draft:
    """The part of the content that is asked for, or all of it."""
    content = draft.content
    method = call.request.head.method
    if not isinstance(content, (bytes, FileSlice)) or method not in {b"GET", b"HEAD"}:
        return draft
    if draft.get(b"accept-ranges") is None:
        saying.add(draft, b"Accept-Ranges: bytes")
    asked_range = asked.value(call.request, b"range")
    if method != b"GET" or asked_range is None or words.wrong == "ignore-range":
        return draft
    if not _if_range(call, own):
        return draft
    size = len(content) if isinstance(content, bytes) else content.length
    spans = ranges.asked_for(asked_range, size)
    if spans is None:
        return draft
    if not spans:
        saying.without(draft, _OF_CONTENT)
        if words.wrong != "no-content-range":
            saying.add(draft, b"Content-Range: bytes */%d" % size)
        return _said(draft, b"416 Range Not Satisfiable")
    if len(spans) > 1 and sum(span.end - span.first for span in spans) > ranges.LARGEST_PARTS:
        return draft
    final = _said(draft, b"206 Partial Content")
    parts = [(span, _content_range(span, size, words)) for span in spans]
    if len(parts) == 1:
        span, said = parts[0]
        if said is not None:
            saying.add(final, b"Content-Range: " + said)
        final.content = ranges.cut(content, span)
        return final
    said_kind = draft.get(b"content-type") or (kind if "content-type" in draft.auto else None)
    boundary, final.content = ranges.multipart(content, parts, said_kind)
    saying.without(final, frozenset({b"content-type"}))
    saying.add(final, b"Content-Type: multipart/byteranges; boundary=" + boundary)
    return final


def _content_range(span: ranges.Span, size: int, words: ConditionalTable) -> bytes | None:
    """The value of Content-Range (RFC 9110 §14.4), or what is wrong about it."""
    first, last = span.first, span.end - 1
    match words.wrong:
        case "no-content-range":
            return None
        case "content-range-off-by-one":
            first, last = first + 1, last + 1
        case "content-range-other-total":
            size += 1
        case _:
            pass
    return b"bytes %d-%d/%d" % (first, last, size)


def _if_range(call: Call, own: Validators) -> bool:
    """Whether a range may be served, as far as If-Range has a say (RFC 9110 §13.1.5)."""
    values = asked.values(call.request, b"if-range")
    if not values:
        return True
    if len(values) > 1:
        return False
    if _TAG.fullmatch(values[0]):
        return matches(values[0], own.etag, weakly=False)
    when = http_date(values[0], call.now)
    # a date is strong enough only when it isn't of this very second               ; RFC 9110 §8.8.2.2
    return when is not None and when == own.modified and when < int(call.now)


def _joined(call: Call, name: bytes) -> bytes | None:
    values = asked.values(call.request, name)
    return b", ".join(values) if values else None


def _date(call: Call, name: bytes) -> int | None:
    return http_date(asked.value(call.request, name) or b"", call.now)


def http_date(value: bytes, now: float) -> int | None:
    """Seconds since the epoch that an HTTP date means, in one of its three forms; None when it is none.

    A year of two digits that would be more than 50 years after `now` is one of the century before.
    """
    text = value.decode("latin-1")
    read = next((found for form in _DATES if (found := form.fullmatch(text))), None)
    if read is None or read["month"] not in _MONTHS:
        return None
    year = int(read["year"])
    if len(read["year"]) == 2:
        this_year = (_EPOCH + timedelta(seconds=now)).year
        year += this_year // 100 * 100
        if year > this_year + 50:
            year -= 100
    try:
        day = datetime(year, _MONTHS.index(read["month"]) + 1, int(read["day"]), tzinfo=UTC)
    except ValueError:
        return None
    hour, minute, second = int(read["hour"]), int(read["minute"]), int(read["second"])
    if hour > 23 or minute > 59 or second > 60:
        return None
    return int((day - _EPOCH).total_seconds()) + hour * 3600 + minute * 60 + second
