"""What responses tell caches: contradictions, guesses, ages, and answers that differ by who asks (RFC 9111 §4, §5)."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.lint.forms import date_form
from inspectd.lint.model import Finding
from inspectd.lint.response_framing import asked
from inspectd.lint.subject import of_name, of_value, quoted, value_range
from inspectd.wire.framing import count
from inspectd.wire.head import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

# cache-directive = token [ "=" ( token / quoted-string ) ]              ; RFC 9111 §5.2
_DIRECTIVE: Final = re.compile(rb"(" + TOKEN + rb")(?:=(" + TOKEN + rb"|\"(?:[^\"\\]|\\.)*+\"))?+\Z")
# A quoted string may lack its end: then it goes on to the end of the value.
_PIECES: Final = re.compile(rb"(?:[^,\"]++|\"(?:[^\"\\]|\\[\s\S]?+)*+\"?+)++")
_WITH_SECONDS: Final = frozenset({b"max-age", b"s-maxage", b"stale-while-revalidate", b"stale-if-error"})
_WITHOUT_VALUE: Final = frozenset(
    {
        b"immutable",
        b"must-revalidate",
        b"must-understand",
        b"no-store",
        b"no-transform",
        b"proxy-revalidate",
        b"public",
    }
)
# Status codes whose answers a cache may keep without being told        ; RFC 9110 §15.1
_BY_GUESS: Final = frozenset(
    {b"200", b"203", b"204", b"206", b"300", b"301", b"308", b"404", b"405", b"410", b"414", b"501"}
)
_METHODS: Final = frozenset({b"", b"GET", b"HEAD"})
_MOST: Final = 100


class Policy(NamedTuple):
    """Cache-Control: its directives in lower case with their values, in which the first of a name counts."""

    field: Field
    directives: dict[bytes, bytes]

    def seconds(self, name: bytes) -> int | None:
        """The number of a directive, or None."""
        value = self.directives.get(name, b"")
        return count(value) if value.isdigit() else None

    @property
    def lifetime(self) -> int | None:
        """Seconds that the answer stays fresh, as far as the field says so."""
        found = self.seconds(b"max-age")
        return found if found is not None else self.seconds(b"s-maxage")


def _pieces(field: Field) -> list[bytes]:
    return [piece for found in _PIECES.findall(field.value_bytes)[:_MOST] if (piece := found.strip(b" \t"))]


def policy(subject: Subject) -> Policy | None:
    """What Cache-Control says, or None when there is none."""
    fields = subject.fields.get(b"cache-control")
    if not fields:
        return None
    directives: dict[bytes, bytes] = {}
    for field in fields[:_MOST]:
        for piece in _pieces(field):
            name, _, value = piece.partition(b"=")
            directives.setdefault(name.strip(b" \t").lower(), value.strip(b' \t"'))
    return Policy(fields[0], directives)


def directives(subject: Subject) -> Iterator[Finding]:
    """Each directive on its own, and those that come twice."""
    seen: dict[bytes, bytes] = {}
    for field in subject.fields.get(b"cache-control", ()):
        for piece in _pieces(field):
            found = _DIRECTIVE.match(piece)
            if found is None:
                yield of_value("cache-directive-invalid", field, quoted(piece))
                continue
            name, value = found[1].lower(), (found[2] or b"").strip(b'"')
            wrong = (name in _WITH_SECONDS and not value.isdigit()) or (name in _WITHOUT_VALUE and value)
            if wrong:
                yield of_value("cache-directive-invalid", field, quoted(piece))
            elif name not in _known():
                yield of_value("cache-directive-unknown", field, quoted(name))
            if seen.setdefault(name, value) != value:
                yield of_value("resp-cache-conflict", field, f"{quoted(name)} twice")


@lru_cache(maxsize=1)
def _known() -> frozenset[bytes]:
    from inspectd.explain.registry import vocabulary

    return frozenset(name.encode() for name in vocabulary("cache-directives").entries)


def conflicts(subject: Subject) -> Iterator[Finding]:
    """Directives that can't both be meant."""
    found = policy(subject)
    if found is None:
        return
    said = found.directives
    # private="Set-Cookie" is about that field alone.
    private = said.get(b"private", b"x") == b""
    if b"no-store" in said:
        others = [name for name in _WITH_SECONDS if (found.seconds(name) or 0) > 0]
        others += [name for name in (b"immutable", b"public") if name in said]
        if others:
            yield of_value("resp-cache-conflict", found.field, f'"no-store" with {quoted(min(others))}')
    if private and b"public" in said:
        yield of_value("resp-cache-conflict", found.field, '"private" with "public"')
    elif private and b"s-maxage" in said:
        yield of_value("resp-cache-conflict", found.field, '"private" with "s-maxage"')
    if b"immutable" in said and not found.seconds(b"max-age"):
        yield of_value("cache-immutable-alone", found.field)
    if (b"no-cache" in said or b"must-revalidate" in said) and b"no-store" not in said:
        validators = b"etag" in subject.fields or b"last-modified" in subject.fields
        if subject.head.complete and not validators and said.get(b"no-cache", b"") == b"" and _kept(subject):
            yield of_value("cache-no-validator", found.field)


def _kept(subject: Subject) -> bool:
    """Whether a cache may have a use for this answer at all."""
    return subject.method in _METHODS and subject.status in _BY_GUESS


def expiry(subject: Subject) -> Iterator[Finding]:
    """Expires, Age, Pragma, and what they say beside Cache-Control."""
    found = policy(subject)
    for field in subject.fields.get(b"expires", ()):
        if date_form(field.value_bytes) == "none":
            yield of_value("cache-expires-invalid", field, quoted(field.value_bytes))
        elif found is not None and found.seconds(b"max-age") is not None:
            yield from _two_lifetimes(subject, field, found)
    for field in subject.fields.get(b"age", ()):
        if not field.value_bytes.isdigit():
            yield of_value("cache-age-invalid", field, quoted(field.value_bytes))
        elif found is not None and found.lifetime is not None:
            age = count(field.value_bytes)
            if age > max(found.lifetime, found.seconds(b"s-maxage") or 0):
                detail = f"{age:,} seconds old, fresh for {found.lifetime:,}"
                yield Finding("cache-stale", *value_range(field), detail, (value_range(found.field),))
    for field in subject.fields.get(b"pragma", ()):
        yield of_name("cache-pragma", field)


def _two_lifetimes(subject: Subject, expires: Field, found: Policy) -> Iterator[Finding]:
    date = subject.first(b"date")
    begin, end = (seconds(date.value_bytes) if date is not None else None), seconds(expires.value_bytes)
    if begin is None or end is None:
        return
    other = max(0, end - begin)
    lifetime = found.seconds(b"max-age") or 0
    if abs(other - lifetime) > 1:
        detail = f"max-age says {lifetime:,} seconds, Expires {other:,}"
        yield Finding("cache-two-lifetimes", *value_range(expires), detail, (value_range(found.field),))


def seconds(value: bytes) -> int | None:
    """A date as seconds since 1970, or None when it is none."""
    if date_form(value) != "current":
        return None
    try:
        return int(parsedate_to_datetime(value.decode("ascii")).astimezone(UTC).timestamp())
    except (ValueError, OverflowError):
        return None


def modified(subject: Subject) -> Iterator[Finding]:
    """Last-Modified isn't later than Date (RFC 9110 §8.8.2.1)."""
    date, field = subject.first(b"date"), subject.first(b"last-modified")
    if date is None or field is None:
        return
    now, then = seconds(date.value_bytes), seconds(field.value_bytes)
    if now is not None and then is not None and then > now:
        yield of_value("last-modified-future", field, f"{then - now:,} seconds after Date")


def lifetimes(subject: Subject) -> Iterator[Finding]:
    """Whether it is said how long the answer may be kept."""
    if not subject.head.complete or subject.head.status is None or not _kept(subject):
        return
    found = policy(subject)
    if found is not None and not found.directives.keys().isdisjoint(
        {b"no-store", b"no-cache", b"max-age", b"s-maxage"}
    ):
        yield of_value("cache-said", found.field)
    elif b"expires" not in subject.fields and subject.status not in {b"204", b"206"}:
        where = subject.first(b"last-modified")
        if where is not None:
            yield of_value("cache-heuristic", where)
        else:
            yield Finding("cache-heuristic", *subject.head.status)


def variants(subject: Subject) -> Iterator[Finding]:
    """Vary, and answers that depend on the request without saying so."""
    for field in subject.fields.get(b"vary", ()):
        if any(member.strip(b" \t") == b"*" for member in field.value_bytes.split(b",")):
            yield of_value("resp-vary-star", field)
    if not subject.head.complete:
        return
    found = policy(subject)
    coding = subject.first(b"content-encoding")
    vary = subject.tokens(b"vary")
    if coding is not None and _shared(subject, found) and vary.isdisjoint({b"accept-encoding", b"*"}):
        request = asked(subject)
        if request is None or b"accept-encoding" in request.fields:
            yield of_name("cache-vary-encoding", coding)
    cookie = subject.first(b"set-cookie")
    said = found.directives if found is not None else {}
    public = b"public" in said or bool(found is not None and found.seconds(b"s-maxage"))
    if cookie is not None and public and said.keys().isdisjoint({b"no-store", b"private", b"no-cache"}):
        yield of_name("cache-shared-cookie", cookie)


def _shared(subject: Subject, found: Policy | None) -> bool:
    """Whether a cache that serves many may keep this answer."""
    said = found.directives if found is not None else {}
    return _kept(subject) and said.keys().isdisjoint({b"no-store", b"private"})


MEANING: Final = (directives, modified)
SETTLED: Final = (conflicts, expiry, lifetimes, variants)
