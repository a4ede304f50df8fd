"""Set-Cookie: names, attributes, prefixes, sizes, and what browsers throw away (RFC 6265bis §4.1, §5)."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from inspectd.lint.caching import seconds
from inspectd.lint.forms import date_form
from inspectd.lint.response_framing import asked
from inspectd.lint.subject import of_value, quoted
from inspectd.wire.head import TOKEN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.model import Finding
    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

MOST_OF_A_PAIR: Final = 4096
"""Bytes that a name and its value may have together; browsers drop larger cookies."""

_MOST_OF_AN_ATTRIBUTE: Final = 1024
_MOST_ATTRIBUTES: Final = 40
_NAME: Final = re.compile(TOKEN + rb"\Z")
# cookie-octet = %x21 / %x23-2B / %x2D-3A / %x3C-5B / %x5D-7E            ; RFC 6265 §4.1.1
_VALUE: Final = re.compile(rb"(?:\"[!#-+\--:<-\[\]-~]*+\"|[!#-+\--:<-\[\]-~]*+)\Z")
_SECOND_COOKIE: Final = re.compile(rb",[ \t]*+" + TOKEN + rb"=")
_AGE: Final = re.compile(rb"-?[0-9]++\Z")
# The parts of a date that every browser finds                          ; RFC 6265bis §5.1.1
_SOME_DATE: Final = re.compile(
    rb"(?i:(?=.*\b[0-9]{1,2}:[0-9]{2}:[0-9]{2})(?=.*(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec))(?=.*\b[0-9]{2,4}\b))"
)
_SAME_SITE: Final = frozenset({b"strict", b"lax", b"none"})
_HOST_PREFIXES: Final = (b"__host-http-", b"__host-")
_HTTP_PREFIXES: Final = (b"__host-http-", b"__http-")
_SECURE_PREFIXES: Final = (b"__host-http-", b"__host-", b"__http-", b"__secure-")


class Cookie(NamedTuple):
    """One Set-Cookie line. Attributes are in lower case; the last of a name counts, as it does for browsers."""

    field: Field
    name: bytes
    value: bytes
    paired: bool
    attributes: dict[bytes, bytes]

    @property
    def secure(self) -> bool:
        """Whether it has the attribute Secure."""
        return b"secure" in self.attributes


def cookies_of(subject: Subject) -> list[Cookie]:
    """The cookies that a response sets."""
    return [_cookie(field) for field in subject.fields.get(b"set-cookie", ())]


def _cookie(field: Field) -> Cookie:
    pair, *rest = field.value_bytes.split(b";", _MOST_ATTRIBUTES)
    name, equals, value = pair.partition(b"=")
    attributes: dict[bytes, bytes] = {}
    for piece in rest:
        key, _, said = piece.partition(b"=")
        if key.strip(b" \t"):
            attributes[key.strip(b" \t").lower()] = said.strip(b" \t")
    if not equals:
        name, value = b"", pair
    return Cookie(field, name.strip(b" \t"), value.strip(b" \t"), bool(equals), attributes)


def pairs(subject: Subject) -> Iterator[Finding]:
    """Name and value."""
    for cookie in cookies_of(subject):
        field = cookie.field
        if not cookie.name:
            yield of_value("resp-cookie-no-name", field, "no =" if not cookie.paired else "nothing before =")
        if _SECOND_COOKIE.search(field.value_bytes):
            yield of_value("resp-cookie-folded", field)
        elif (cookie.name and not _NAME.match(cookie.name)) or not _VALUE.match(cookie.value):
            yield of_value("set-cookie-bad-char", field, quoted(cookie.name + b"=" + cookie.value))
        if len(cookie.name) + len(cookie.value) > MOST_OF_A_PAIR:
            yield of_value("set-cookie-large", field, f"{len(cookie.name) + len(cookie.value):,} bytes")
        elif any(len(said) > _MOST_OF_AN_ATTRIBUTE for said in cookie.attributes.values()):
            yield of_value("set-cookie-large", field, "an attribute is ignored")


def attributes(subject: Subject) -> Iterator[Finding]:
    """Attributes and their values."""
    date = subject.first(b"date")
    now = seconds(date.value_bytes) if date is not None else None
    for cookie in cookies_of(subject):
        field, said = cookie.field, cookie.attributes
        unknown = [name for name in said if name not in _known()]
        if unknown:
            yield of_value("set-cookie-attribute-unknown", field, quoted(unknown[0]))
        if (site := said.get(b"samesite")) is not None and site.lower() not in _SAME_SITE:
            yield of_value("set-cookie-samesite-bad", field, quoted(site))
        elif site is None and cookie.name:
            yield of_value("set-cookie-samesite-missing", field)
        if (path := said.get(b"path")) is not None and path[:1] != b"/":
            yield of_value("set-cookie-path-bad", field, quoted(path))
        yield from _lifetime(cookie, now)


def _lifetime(cookie: Cookie, now: int | None) -> Iterator[Finding]:
    age, expires = cookie.attributes.get(b"max-age"), cookie.attributes.get(b"expires")
    if age is not None and not _AGE.match(age):
        yield of_value("set-cookie-expiry-bad", cookie.field, f"Max-Age is {quoted(age)}")
        age = None
    if expires is not None and date_form(expires) == "none" and not _SOME_DATE.match(expires[:100]):
        yield of_value("set-cookie-expiry-bad", cookie.field, f"Expires is {quoted(expires)}")
        expires = None
    if age is not None:
        gone = age.startswith(b"-") or not age.strip(b"0")
    else:
        end = seconds(expires) if expires is not None else None
        gone = end is not None and (end <= 0 if now is None else end <= now)
    if gone:
        yield of_value("set-cookie-deleted", cookie.field)


@lru_cache(maxsize=1)
def _known() -> frozenset[bytes]:
    from inspectd.explain.registry import vocabulary

    return frozenset(name.encode() for name in vocabulary("cookie-attributes").entries)


def promises(subject: Subject) -> Iterator[Finding]:
    """Prefixes and attributes that need others: browsers drop the cookie without them."""
    context = subject.context
    for cookie in cookies_of(subject):
        broken = _broken_promise(cookie)
        if broken:
            yield of_value("resp-cookie-prefix", cookie.field, broken)
        elif cookie.secure and context.tls is False and not context.loopback:
            yield of_value("set-cookie-secure-clear", cookie.field)


def _broken_promise(cookie: Cookie) -> str:
    """What a cookie lacks of what its name or attributes promise, or nothing."""
    # A cookie without a name is judged by its value              ; RFC 6265bis §5.7
    name = (cookie.name or cookie.value).lower()
    said = cookie.attributes
    if name.startswith(_SECURE_PREFIXES) and not cookie.secure:
        return f"{quoted(cookie.name or cookie.value)} without Secure"
    if name.startswith(_HOST_PREFIXES):
        if said.get(b"domain"):
            return "__Host- with Domain"
        if said.get(b"path") != b"/":
            return "__Host- without Path=/"
    if name.startswith(_HTTP_PREFIXES) and b"httponly" not in said:
        return f"{quoted(cookie.name or cookie.value)} without HttpOnly"
    if said.get(b"samesite", b"").lower() == b"none" and not cookie.secure:
        return "SameSite=None without Secure"
    if b"partitioned" in said and not cookie.secure:
        return "Partitioned without Secure"
    return ""


def places(subject: Subject) -> Iterator[Finding]:
    """Domains that aren't the server's, and cookies that are set twice."""
    found = cookies_of(subject)
    if not found:
        return
    request = asked(subject)
    host = request.first(b"host") if request is not None else None
    name = _host_name(host.value_bytes) if host is not None else b""
    times: Counter[tuple[bytes, bytes, bytes]] = Counter()
    for cookie in found:
        domain = cookie.attributes.get(b"domain", b"").lower().removeprefix(b".")
        if domain and name and name != domain and not name.endswith(b"." + domain):
            yield of_value("set-cookie-domain-foreign", cookie.field, f"{quoted(domain)} from {quoted(name)}")
        key = (cookie.name, domain, cookie.attributes.get(b"path", b""))
        times[key] += 1
        if times[key] > 1:
            yield of_value("set-cookie-twice", cookie.field, quoted(cookie.name))


def _host_name(host: bytes) -> bytes:
    """The host of a Host field in lower case, without its port."""
    name, _, port = host.rpartition(b":")
    return (name if name and port.isdigit() else host).lower()


MEANING: Final = (pairs, attributes, promises, places)
