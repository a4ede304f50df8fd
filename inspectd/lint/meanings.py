"""What requests ask for: ranges, conditions, preferences, cookies, credentials, Fetch Metadata (RFC 9110 §12)."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from inspectd.lint.forms import ENTITY_TAG, date_form, is_structured
from inspectd.lint.model import Finding
from inspectd.lint.subject import of_name, of_value, quoted, value_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.forms import Shape
    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

_DATES: Final = (b"date", b"if-modified-since", b"if-unmodified-since", b"accept-datetime")
_TAGS: Final = (b"if-match", b"if-none-match")
_TAG_LIST: Final = re.compile(
    rb"(?:\*|[ \t,]*+"
    + ENTITY_TAG.pattern
    + rb"(?:[ \t]*+,[ \t,]*+(?:"
    + ENTITY_TAG.pattern
    + rb")?+)*+)[ \t]*+\Z"
)
# ranges-specifier = range-unit "=" range-set                            ; RFC 9110 §14.1.1
_RANGES: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++)=([^=]++)\Z")
_RANGE: Final = re.compile(rb"([0-9]*+)-([0-9]*+)\Z")
MANY_RANGES: Final = 5
_WITH_WEIGHTS: Final = (b"accept", b"accept-charset", b"accept-encoding", b"accept-language", b"te")
_WEIGHT: Final = re.compile(rb"(?i:;[ \t]*+q[ \t]*+=)[ \t]*+([^,;]*+)")
_GOOD_WEIGHT: Final = re.compile(rb"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*+\Z")
# cookie-pair = cookie-name "=" cookie-value                             ; RFC 6265 §4.1.1
_COOKIE_PAIR: Final = re.compile(
    rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++=(?:\"[!#-+\--:<-\[\]-~]*+\"|[!#-+\--:<-\[\]-~]*+)\Z"
)
# What browsers send of the cookies they took: whatever a site has set but control bytes, and a value without a name.
_COOKIE_SENT: Final = re.compile(rb"[^=\x00-\x08\x0a-\x1f\x7f][^\x00-\x08\x0a-\x1f\x7f]*+\Z")
_BAD_REFERER: Final = re.compile(rb"[^#]*+#|[A-Za-z][A-Za-z0-9+\-.]*+://[^/?#]*?@")
_STRUCTURED: Final[dict[bytes, Shape]] = {
    b"priority": "dictionary", b"sec-ch-ua": "list",
    b"sec-ch-ua-full-version-list": "list", b"sec-ch-ua-mobile": "item",
    b"sec-ch-ua-platform": "item", b"sec-ch-ua-platform-version": "item", b"sec-ch-ua-arch": "item",
    b"sec-ch-ua-bitness": "item", b"sec-ch-ua-model": "item", b"sec-fetch-dest": "item", b"sec-fetch-mode": "item",
    b"sec-fetch-site": "item", b"sec-fetch-user": "item", b"sec-gpc": "item", b"signature": "dictionary",
    b"signature-input": "dictionary", b"content-digest": "dictionary", b"repr-digest": "dictionary",
    b"want-content-digest": "dictionary", b"cache-status": "list", b"sec-purpose": "item",
}  # fmt: skip
_NAVIGATED: Final = frozenset(
    {b"document", b"iframe", b"frame", b"embed", b"object", b"fencedframe", b"webidentity", b"empty"}
)
_NEVER_CORS: Final = frozenset({b"document", b"iframe", b"frame", b"fencedframe"})


def ranges(subject: Subject) -> Iterator[Finding]:
    """Range: which parts are wanted."""
    for field in subject.fields.get(b"range", ()):
        found = _RANGES.match(field.value_bytes)
        if found is None:
            yield of_value("range-invalid", field, "no unit and ranges")
        elif found[1].lower() != b"bytes":
            yield of_value("range-invalid", field, f"the unit {quoted(found[1])}")
        else:
            yield from _byte_ranges(subject, field, found[2])


def _byte_ranges(subject: Subject, field: Field, text: bytes) -> Iterator[Finding]:
    members = [member.strip(b" \t") for member in text.split(b",")]
    spans: list[tuple[int, float]] = []
    for member in filter(None, members):
        found = _RANGE.match(member)
        if found is None or not (found[1] or found[2]) or len(member) > 40:
            yield of_value("range-invalid", field, quoted(member))
            return
        first = int(found[1] or b"-1")
        last = float(found[2]) if found[2] else float("inf")
        if found[1] and last < first:
            yield of_value("range-invalid", field, f"{quoted(member)} runs backwards")
            return
        if found[1]:
            spans.append((first, last))
    spans.sort()
    overlap = any(before[1] >= after[0] for before, after in pairwise(spans))
    if len(members) > MANY_RANGES or overlap:
        yield of_value("range-many", field, "they overlap" if overlap else f"{len(members):,} ranges")
    elif subject.method != b"GET":
        yield of_value("range-invalid", field, "only GET has ranges")


def conditions(subject: Subject) -> Iterator[Finding]:
    """Dates and entity tags of conditional requests."""
    for name in _DATES:
        for field in subject.fields.get(name, ()):
            yield from _date(field)
    for name in _TAGS:
        for field in subject.fields.get(name, ()):
            if not _TAG_LIST.match(field.value_bytes):
                yield of_value("etag-unquoted", field, quoted(field.value_bytes))
    for field in subject.fields.get(b"if-range", ()):
        value = field.value_bytes
        if not ENTITY_TAG.fullmatch(value):
            if any(byte in value for byte in b",: "):
                yield from _date(field)
            else:
                yield of_value("etag-unquoted", field, quoted(value))


def _date(field: Field) -> Iterator[Finding]:
    form = date_form(field.value_bytes)
    if form == "obsolete":
        yield of_value("date-obsolete", field)
    elif form == "none":
        yield of_value("date-invalid", field, quoted(field.value_bytes))


def weights(subject: Subject) -> Iterator[Finding]:
    """q: from 0 to 1, with three decimals at most."""
    for name in _WITH_WEIGHTS:
        for field in subject.fields.get(name, ()):
            for found in _WEIGHT.finditer(field.value_bytes):
                if not _GOOD_WEIGHT.match(found[1]):
                    yield of_value("list-bad-q", field, quoted(found[1]))
                    break


def cookies(subject: Subject) -> Iterator[Finding]:
    """Cookie: one line of pairs."""
    fields = subject.fields.get(b"cookie", [])
    for field in fields[1:]:
        yield of_name("cookie-multiple", field)
    for field in fields:
        told: set[str] = set()
        for piece in field.value_bytes.split(b";"):
            pair = piece.strip(b" ")
            if not _COOKIE_PAIR.match(pair):
                name = "cookie-odd-pair" if _COOKIE_SENT.match(pair) else "cookie-bad-pair"
                if name not in told:
                    told.add(name)
                    yield of_value(name, field, quoted(pair))


def structured(subject: Subject) -> Iterator[Finding]:
    """Structured fields that can't be parsed: they are ignored as a whole."""
    for name, fields in subject.fields.items():
        shape = _STRUCTURED.get(name)
        if shape is not None:
            value = b", ".join([field.value_bytes for field in fields])
            if not is_structured(value, shape):
                yield of_value("structured-field-invalid", fields[0], quoted(value))


def secrets(subject: Subject) -> Iterator[Finding]:
    """Credentials where others may read them."""
    authorization = subject.first(b"authorization")
    secret = authorization or subject.first(b"cookie")
    if subject.method == b"TRACE" and secret is not None:
        yield of_name("trace-sensitive", secret)
    context = subject.context
    if authorization is not None and context.tls is False and not context.loopback:
        scheme = authorization.value_bytes.partition(b" ")[0].lower()
        if scheme in {b"basic", b"bearer"}:
            yield of_value("credentials-clear", authorization, scheme.decode())
    for field in subject.fields.get(b"referer", ()):
        if _BAD_REFERER.match(field.value_bytes):
            yield of_value("referer-bad", field, "a fragment" if b"#" in field.value_bytes else "credentials")


def fetch_metadata(subject: Subject) -> Iterator[Finding]:
    """Sec-Fetch-*: what no browser sends together (Fetch, Fetch Metadata §2)."""
    mode, dest = subject.first(b"sec-fetch-mode"), subject.first(b"sec-fetch-dest")
    user, site = subject.first(b"sec-fetch-user"), subject.first(b"sec-fetch-site")
    if mode is not None and dest is not None:
        pair = (mode.value_bytes, dest.value_bytes)
        impossible = (
            (pair[0] == b"navigate" and pair[1] not in _NAVIGATED)
            or (pair[0] == b"websocket" and pair[1] not in {b"websocket", b"empty"})
            or (pair[0] == b"cors" and pair[1] in _NEVER_CORS)
        )  # fmt: skip
        if impossible:
            detail = f"{quoted(pair[0])} with {quoted(pair[1])}"
            yield Finding("fetch-mode-dest", *value_range(dest), detail, (value_range(mode),))
    if user is not None and (mode is None or mode.value_bytes != b"navigate"):
        yield of_name("fetch-user-without-navigation", user)
    if (mode is None) != (site is None):
        only = mode or site
        if only is not None:
            yield of_name("fetch-metadata-partial", only)


def preflights(subject: Subject) -> Iterator[Finding]:
    """CORS preflights: OPTIONS, with Origin, and never with credentials (Fetch, CORS-preflight fetch)."""
    asked = subject.first(b"access-control-request-method")
    if asked is None:
        headers = subject.first(b"access-control-request-headers")
        if headers is not None:
            yield of_name("preflight-incomplete", headers, "no Access-Control-Request-Method")
        return
    if subject.method != b"OPTIONS":
        yield of_name("preflight-incomplete", asked, "the method isn't OPTIONS")
    elif b"origin" not in subject.fields:
        yield of_name("preflight-incomplete", asked, "no Origin")
    secret = subject.first(b"cookie") or subject.first(b"authorization")
    if secret is not None and subject.method == b"OPTIONS":
        yield of_name("preflight-with-credentials", secret)


MEANING: Final = (ranges, conditions, weights, cookies, structured, secrets)
SETTLED: Final = (fetch_metadata, preflights)
