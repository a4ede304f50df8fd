"""Fields with which a server protects its pages, and redirects: what browsers ignore of them, and why."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.response_framing import asked
from inspectd.lint.subject import of_name, of_value, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

_CSP_FIELDS: Final = (b"content-security-policy", b"content-security-policy-report-only")
_KEYWORDS: Final = frozenset({
    b"none", b"self", b"strict-dynamic", b"unsafe-inline", b"unsafe-eval", b"unsafe-hashes", b"report-sample",
    b"wasm-unsafe-eval",
})  # fmt: skip
_HASH_OR_NONCE: Final = re.compile(rb"(?i:sha(?:256|384|512)|nonce)-[A-Za-z0-9+/=_-]++\Z")
_QUOTED_HASH: Final = re.compile(rb"(?i:'(?:sha(?:256|384|512)|nonce)-[A-Za-z0-9+/_-]++={0,2}')\Z")
_MOST_PIECES: Final = 200
_MAX_AGE: Final = re.compile(rb"(?i:max-age)[ \t]*+=[ \t]*+(?:[0-9]++|\"[0-9]++\")\Z")
_OBSOLETE: Final = frozenset({
    b"expect-ct", b"feature-policy", b"p3p", b"public-key-pins", b"public-key-pins-report-only", b"warning",
    b"x-content-security-policy", b"x-webkit-csp", b"x-xss-protection",
})  # fmt: skip
_ISOLATION: Final = {
    b"cross-origin-resource-policy": "corp",
    b"cross-origin-opener-policy": "coop",
    b"cross-origin-embedder-policy": "coep",
}
"""Fields of one token, and the vocabulary that holds their values."""

_CLEAR_SITE_DATA: Final = re.compile(rb"\"[^\"]*+\"\Z")
_CHANGED: Final = frozenset({b"301", b"302"})


def csp(subject: Subject) -> Iterator[Finding]:
    """Content-Security-Policy: directives, and sources without their quotation marks."""
    for name in _CSP_FIELDS:
        for field in subject.fields.get(name, ()):
            for one in field.value_bytes.split(b",")[:_MOST_PIECES]:
                yield from _policy(field, one)


def _policy(field: Field, text: bytes) -> Iterator[Finding]:
    seen: set[bytes] = set()
    for piece in text.split(b";")[:_MOST_PIECES]:
        words = piece.split()
        if not words:
            continue
        name, sources = words[0].lower(), words[1:]
        if name in seen:
            yield of_value("csp-twice", field, quoted(name))
            continue
        seen.add(name)
        if name.rstrip(b":") not in _vocabulary("csp-directives"):
            yield of_value("csp-unknown", field, quoted(words[0]))
        elif name.endswith(
            (b"-src", b"-src-elem", b"-src-attr", b"form-action", b"frame-ancestors", b"base-uri")
        ):
            yield from _sources(field, name, sources)


def _sources(field: Field, name: bytes, sources: list[bytes]) -> Iterator[Finding]:
    lower = [source.lower() for source in sources]
    for source in lower:
        bare = source in _KEYWORDS or _HASH_OR_NONCE.match(source)
        typographic = (
            source[:1] == b"'" and source.strip(b"'") not in _KEYWORDS and not _QUOTED_HASH.match(source)
        )
        if bare or typographic:
            yield of_value("csp-source-bad", field, f"{quoted(source)} in {quoted(name)}")
            break
    if b"'none'" in lower and len(lower) > 1:
        yield of_value("csp-none-and-more", field, quoted(name))
    scripts = name in {b"script-src", b"default-src"}
    strict = any(_QUOTED_HASH.match(source) or source == b"'strict-dynamic'" for source in lower)
    if scripts and b"'unsafe-inline'" in lower and not strict:
        yield of_value("csp-inline", field, quoted(name))


@lru_cache(maxsize=8)
def _vocabulary(name: str) -> frozenset[bytes]:
    from inspectd.explain.registry import vocabulary

    return frozenset(key.encode() for key in vocabulary(name).entries)


def transport(subject: Subject) -> Iterator[Finding]:
    """Strict-Transport-Security (RFC 6797 §6.1, §8.1)."""
    context = subject.context
    for field in subject.fields.get(b"strict-transport-security", ()):
        pieces = [piece.strip(b" \t") for piece in field.value_bytes.split(b";")]
        if sum(1 for piece in pieces if _MAX_AGE.match(piece)) != 1:
            yield of_value("hsts-bad", field, quoted(field.value_bytes))
        if context.tls is False and not context.loopback:
            yield of_name("resp-hsts-clear", field)


def tokens(subject: Subject) -> Iterator[Finding]:
    """Fields of a few fixed words."""
    for field in subject.fields.get(b"x-content-type-options", ()):
        if field.value_bytes.partition(b",")[0].strip(b" \t").lower() != b"nosniff":
            yield of_value("resp-nosniff-bad", field, quoted(field.value_bytes))
    frames = subject.fields.get(b"x-frame-options", [])
    allowed = subject.tokens(b"x-frame-options")
    if frames and (len(allowed) != 1 or not allowed <= {b"deny", b"sameorigin"}):
        yield of_value("frame-options-bad", frames[0], quoted(b", ".join(sorted(allowed))))
    policies = subject.fields.get(b"referrer-policy", [])
    if policies and not any(
        token in _vocabulary("referrer-policies") for token in subject.tokens(b"referrer-policy")
    ):
        yield of_value("referrer-policy-unknown", policies[0], quoted(policies[0].value_bytes))
    for name, words in _ISOLATION.items():
        for field in subject.fields.get(name, ()):
            if field.value_bytes.partition(b";")[0].strip(b" \t").lower() not in _vocabulary(words):
                yield of_value("isolation-unknown", field, quoted(field.value_bytes))
    for field in subject.fields.get(b"clear-site-data", ()):
        if not all(_CLEAR_SITE_DATA.match(piece.strip(b" \t")) for piece in field.value_bytes.split(b",")):
            yield of_value("clear-site-data-bad", field, quoted(field.value_bytes))
    for name in _OBSOLETE & subject.fields.keys():
        yield of_name("policy-obsolete", subject.fields[name][0])


def hints(subject: Subject) -> Iterator[Finding]:
    """Critical-CH is a part of Accept-CH."""
    critical = subject.fields.get(b"critical-ch", [])
    missing = sorted(subject.tokens(b"critical-ch") - subject.tokens(b"accept-ch"))
    if critical and missing:
        yield of_value("critical-hint-unasked", critical[0], quoted(missing[0]))


def redirects(subject: Subject) -> Iterator[Finding]:
    """Where Location leads, and as what (RFC 9110 §15.4)."""
    field, request, head = subject.first(b"location"), asked(subject), subject.head
    if field is None or head.status is None or subject.status[:1] != b"3":
        return
    target = field.value_bytes
    method = request.method if request is not None else b""
    if subject.status in _CHANGED and method not in {b"", b"GET", b"HEAD"}:
        changed = "POST becomes GET" if method == b"POST" else f"{quoted(method)}: clients differ"
        yield Finding("redirect-method", *head.status, changed)
    if subject.context.tls and target[:7].lower() == b"http://":
        yield of_value("redirect-clear", field)
    if request is None or method not in {b"GET", b"HEAD"} or b"set-cookie" in subject.fields:
        return
    host = request.first(b"host")
    own = b"//" + host.value_bytes + request.target if host is not None else b""
    if target.partition(b"#")[0] == request.target or (
        own and target.partition(b":")[2] == own and _same(subject, target)
    ):
        yield of_value("redirect-itself", field)


def _same(subject: Subject, target: bytes) -> bool:
    """Whether a target has the scheme that the request came with, as far as that is known."""
    tls = subject.context.tls
    return tls is not None and target.partition(b":")[0].lower() == (b"https" if tls else b"http")


MEANING: Final = (csp, transport)
SETTLED: Final = (tokens, hints, redirects)
