"""What single fields of requests declare: origins, credentials, flags, media types, cookies (RFC 9110, Fetch)."""

from __future__ import annotations

import binascii
import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import of_name, of_value, quoted, value_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# media-type = type "/" subtype parameters                               ; RFC 9110 §8.3.1
_MEDIA_TYPE: Final = re.compile(
    _TOKEN
    + rb"/"
    + _TOKEN
    + rb"(?:[ \t]*+;[ \t]*+(?:"
    + _TOKEN
    + rb"=(?:"
    + _TOKEN
    + rb"|\"[^\"\\]*+\"))?+)*+\Z"
)
# origin = "null" / scheme "://" host [ ":" port ]                       ; RFC 6454 §7.1
_ORIGIN: Final = re.compile(
    rb"(?:null|[a-z][a-z0-9+\-.]*+://(?:\[[0-9A-Fa-f:.]++\]|[^/?#@\[\]:, ]++)(?::[0-9]++)?+)\Z"
)
_CREDENTIALS: Final = re.compile(_TOKEN + rb"(?: ++[!-~][ -~]*+)?+\Z")
_DIGITS: Final = re.compile(rb"[0-9]++\Z")

_FLAGS: Final = {
    b"dnt": frozenset({b"0", b"1", b"null"}),
    b"early-data": frozenset({b"1"}),
    b"save-data": frozenset({b"on"}),
    b"sec-fetch-user": frozenset({b"?1"}),
    b"sec-gpc": frozenset({b"1"}),
    b"upgrade-insecure-requests": frozenset({b"1"}),
}
"""Fields that say one thing by being there, and how they say it."""

_METADATA: Final = (b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")
LARGE_COOKIE: Final = 4096
_EXAMINED: Final = 64 * 1024


def media_type(subject: Subject) -> Iterator[Finding]:
    """Content-Type is one media type."""
    for field in subject.fields.get(b"content-type", ()):
        if not _MEDIA_TYPE.match(field.value_bytes):
            yield of_value("content-type-invalid", field, quoted(field.value_bytes))


def origin(subject: Subject) -> Iterator[Finding]:
    """Origin is null or an origin, and Sec-Fetch-Site agrees with it."""
    for field in subject.fields.get(b"origin", ()):
        if not _ORIGIN.match(field.value_bytes):
            yield of_value("origin-invalid", field, quoted(field.value_bytes))
    own, site, host = (subject.first(name) for name in (b"origin", b"sec-fetch-site", b"host"))
    if own is None or site is None or host is None or site.value_bytes != b"same-origin":
        return
    named = own.value_bytes.partition(b"://")[2].lower()
    if named and named != host.value_bytes.lower():
        detail = f"{quoted(own.value_bytes)} is not {quoted(host.value_bytes)}"
        yield Finding("fetch-site-origin", *value_range(site), detail, (value_range(own), value_range(host)))


def credentials(subject: Subject) -> Iterator[Finding]:
    """credentials = auth-scheme [ 1*SP ( token68 / #auth-param ) ]          ; RFC 9110 §11.4"""
    for name in (b"authorization", b"proxy-authorization"):
        for field in subject.fields.get(name, ()):
            scheme, _, value = field.value_bytes.partition(b" ")
            if not _CREDENTIALS.match(field.value_bytes):
                yield of_value("authorization-invalid", field, "no scheme")
            elif scheme.lower() == b"basic" and not _is_basic(value.strip(b" ")):
                yield of_value(
                    "authorization-invalid", field, "Basic without a name and a password in base64"
                )


def _is_basic(value: bytes) -> bool:
    try:
        return b":" in binascii.a2b_base64(value, strict_mode=True)
    except binascii.Error:
        return False


def flags(subject: Subject) -> Iterator[Finding]:
    """Fields with one meaning, and values that have none."""
    for name, values in _FLAGS.items():
        for field in subject.fields.get(name, ()):
            if field.value_bytes not in values:
                yield of_value("flag-invalid", field, quoted(field.value_bytes))


def hops(subject: Subject) -> Iterator[Finding]:
    """Max-Forwards is a number, and If-Range needs the Range it is about."""
    for field in subject.fields.get(b"max-forwards", ()):
        if not _DIGITS.match(field.value_bytes):
            yield of_value("max-forwards-invalid", field, quoted(field.value_bytes))
    if_range = subject.first(b"if-range")
    if if_range is not None and b"range" not in subject.fields:
        yield of_name("if-range-alone", if_range)


def cookies(subject: Subject) -> Iterator[Finding]:
    """Cookies larger than what browsers keep."""
    for field in subject.fields.get(b"cookie", ()):
        value = field.value_bytes
        if len(value) > LARGE_COOKIE:
            largest = max(map(len, value.split(b";")))
            if largest > LARGE_COOKIE:
                yield of_value("cookie-large", field, f"{largest:,} bytes")


def metadata(subject: Subject) -> Iterator[Finding]:
    """Values of Fetch Metadata that no specification has, and how browsers spell preflights."""
    for name in _METADATA:
        for field in subject.fields.get(name, ()):
            known = _known(name)
            if known and field.value_bytes not in known:
                yield of_value("fetch-value-unknown", field, quoted(field.value_bytes))
    asked = subject.first(b"access-control-request-headers")
    if asked is not None:
        members = subject.members(b"access-control-request-headers")
        if members != sorted({member.lower() for member in members}):
            yield of_value("preflight-headers-odd", asked)


@lru_cache(maxsize=8)
def _known(name: bytes) -> frozenset[bytes]:
    from inspectd.explain.registry import fields, vocabulary

    entry = fields().get(name.decode())
    return (
        frozenset(key.encode() for key in vocabulary(entry.values).entries)
        if entry is not None
        else frozenset()
    )


def duplicate_keys(subject: Subject) -> Iterator[Finding]:
    """JSON in which one object says the same name twice (RFC 8259 §4)."""
    message = subject.message
    if not message.content or message.content_length > _EXAMINED or b"content-encoding" in subject.fields:
        return
    kinds = [value.partition(b";")[0].strip().lower() for value in subject.values(b"content-type")[:1]]
    if not any(kind == b"application/json" or kind.endswith(b"+json") for kind in kinds):
        return
    twice: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                twice.append(key)
            seen.add(key)

    try:
        json.loads(subject.content, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return
    if twice:
        where = (message.content[0][0], message.content[-1][1])
        yield Finding("body-json-duplicate-key", *where, quoted(twice[0].encode("utf-8", "replace")))


MEANING: Final = (media_type, credentials, flags, cookies, metadata)
SETTLED: Final = (origin, hops, duplicate_keys)
