"""CORS: what a server lets other origins do, beside what was asked (WHATWG Fetch §3.3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.caching import policy
from inspectd.lint.model import Finding
from inspectd.lint.response_framing import asked
from inspectd.lint.subject import of_name, of_value, quoted, value_range
from inspectd.wire.framing import count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

# serialized-origin = scheme "://" host [ ":" port ]                     ; RFC 6454 §6.2
_ORIGIN: Final = re.compile(rb"[a-z][a-z0-9+\-.]*+://(?:[a-z0-9\-._~%]++|\[[0-9a-f:.]++\])(?::[0-9]++)?+\Z")
_ALLOW_ORIGIN: Final = b"access-control-allow-origin"
_ALLOW_CREDENTIALS: Final = b"access-control-allow-credentials"
_SIMPLE_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST"})
_WILDCARDS: Final = (
    b"access-control-allow-headers", b"access-control-allow-methods", b"access-control-expose-headers",
)  # fmt: skip
_LONGEST: Final = 7200
"""Seconds that Chromium believes an answer to a preflight; Firefox goes up to a day."""

_NETWORKS: Final = (b"local", b"private")


def origins(subject: Subject) -> Iterator[Finding]:
    """Access-Control-Allow-Origin: one origin, null, or *."""
    field = subject.first(_ALLOW_ORIGIN)
    if field is None:
        return
    value = field.value_bytes
    credentials = _with_credentials(subject)
    if value == b"*":
        if credentials is not None:
            yield Finding("resp-cors-star-credentials", *value_range(field), "", (value_range(credentials),))
    elif value == b"null":
        yield of_value("cors-origin-null", field)
    elif not _ORIGIN.match(value):
        yield of_value("cors-origin-bad", field, quoted(value))
    request = asked(subject)
    origin = request.first(b"origin") if request is not None else None
    if request is None or origin is None:
        return
    wanted = origin.value_bytes
    if value == wanted and value != b"*":
        yield from _reflected(subject, request, field)
    if value not in {b"*", wanted}:
        yield of_value("cors-origin-other", field, f"the page is from {quoted(wanted)}")
    elif value != b"*" or credentials is None:
        yield of_value("cors-agreed", field)


def _reflected(subject: Subject, request: Subject, field: Field) -> Iterator[Finding]:
    """An answer for this very origin: caches have to know that it isn't for others."""
    said = policy(subject)
    kept = said is None or b"no-store" not in said.directives
    varies = not subject.tokens(b"vary").isdisjoint({b"origin", b"*"})
    if request.method in {b"GET", b"HEAD"} and kept and not varies and subject.head.complete:
        yield of_value("cors-vary-missing", field)


def _with_credentials(subject: Subject) -> Field | None:
    field = subject.first(_ALLOW_CREDENTIALS)
    return field if field is not None and field.value_bytes == b"true" else None


def credentials(subject: Subject) -> Iterator[Finding]:
    """Access-Control-Allow-Credentials is true or absent, and turns wildcards into names."""
    for field in subject.fields.get(_ALLOW_CREDENTIALS, ()):
        if field.value_bytes != b"true":
            yield of_value("cors-credentials-not-true", field, quoted(field.value_bytes))
    if _with_credentials(subject) is not None:
        for name in _WILDCARDS:
            if b"*" in subject.tokens(name):
                yield of_value("cors-wildcard-name", subject.fields[name][0])


def unanswered(subject: Subject) -> Iterator[Finding]:
    """A page of another origin asked, and the answer doesn't speak of CORS."""
    request, head = asked(subject), subject.head
    if request is None or not head.complete or head.status is None or subject.message.interim:
        return
    modes, sites = request.values(b"sec-fetch-mode"), request.values(b"sec-fetch-site")
    across = modes == [b"cors"] and sites in ([b"cross-site"], [b"same-site"])
    if (
        across
        and b"origin" in request.fields
        and _ALLOW_ORIGIN not in subject.fields
        and not _preflight(request)
    ):
        yield Finding("cors-unanswered", *head.status)


def _preflight(request: Subject) -> bool:
    return (
        request.method == b"OPTIONS"
        and b"origin" in request.fields
        and b"access-control-request-method" in request.fields
    )


def preflights(subject: Subject) -> Iterator[Finding]:
    """Answers to preflights: whether they allow what was asked (Fetch §4.8)."""
    request, head = asked(subject), subject.head
    if request is None or not _preflight(request) or not head.complete or head.status is None:
        return
    if subject.message.interim:
        return
    field = subject.first(_ALLOW_ORIGIN)
    if field is None or subject.status[:1] != b"2":
        lack = (
            "no Access-Control-Allow-Origin"
            if field is None
            else f"the status is {subject.status.decode('ascii', 'replace')}"
        )
        yield Finding("preflight-refused", *head.status, lack)
        return
    refused = [*_refused(subject, request)]
    for name, wanted in refused:
        where = subject.first(b"access-control-allow-" + name)
        place = head.status if where is None else value_range(where)
        yield Finding("preflight-lacks", *place, f"{quoted(wanted)} isn't allowed")
    if not refused and field.value_bytes in {b"*", request.fields[b"origin"][0].value_bytes}:
        yield of_value("preflight-allows", field)
    for age in subject.fields.get(b"access-control-max-age", ()):
        if not age.value_bytes.removeprefix(b"-").isdigit():
            yield of_value("preflight-max-age-bad", age, quoted(age.value_bytes))
        elif not age.value_bytes.startswith(b"-") and count(age.value_bytes) > _LONGEST:
            yield of_value("preflight-max-age-long", age)


def _refused(subject: Subject, request: Subject) -> Iterator[tuple[bytes, bytes]]:
    """What a preflight asks for and isn't given: `methods` or `headers`, and its name."""
    star = _with_credentials(subject) is None
    method = request.fields[b"access-control-request-method"][0].value_bytes
    methods = subject.members(b"access-control-allow-methods")
    if method not in _SIMPLE_METHODS and method not in methods and not (star and b"*" in methods):
        yield b"methods", method
    names = subject.tokens(b"access-control-allow-headers")
    for name in dict.fromkeys(
        member.lower() for member in request.members(b"access-control-request-headers")
    ):
        # A wildcard never stands for Authorization                     ; Fetch §3.3.3
        if name not in names and not (star and b"*" in names and name != b"authorization"):
            yield b"headers", name
            break
    for network in _NETWORKS:
        wanted = b"access-control-request-" + network + b"-network"
        given = subject.values(b"access-control-allow-" + network + b"-network")
        if request.values(wanted) == [b"true"] and given != [b"true"]:
            yield network + b"-network", network + b" network"


def stray(subject: Subject) -> Iterator[Finding]:
    """Fields of a preflight's answer on another answer."""
    request = asked(subject)
    if request is None or request.method == b"OPTIONS":
        return
    for name in (b"access-control-allow-methods", b"access-control-max-age"):
        if name in subject.fields:
            yield of_name("cors-preflight-field", subject.fields[name][0])
            return


SETTLED: Final = (origins, credentials, unanswered, preflights, stray)
