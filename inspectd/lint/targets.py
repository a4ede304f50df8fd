"""Request targets: their characters, escapes, and whether their form fits the method (RFC 9112 §3.2, RFC 3986)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import quoted
from inspectd.wire import Role
from inspectd.wire.framing import FramingStep

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Range, Subject

# pchar / "/" / "?" / ":" / "@" of RFC 3986 §3.3 without escapes: most targets hold nothing else
_HARMLESS: Final = re.compile(
    rb"/(?:(?<!/)/|[A-Za-z0-9_~!$&'()*+,=:@-]|(?<!/)\.)*+(?<!\.)(?:\?[!$&-;=?-Z_a-z~]*+)?+\Z"
)
_CHARACTERS: Final = (
    ("target-control-char", re.compile(rb"[\x00-\x08\x0a-\x0c\x0e-\x1f\x7f]++")),
    ("target-non-ascii", re.compile(rb"[\x80-\xff]++")),
    ("target-fragment", re.compile(rb"#.*+", re.DOTALL)),
)
# What browsers escape, and what they send as it is, differs between path and query (WHATWG URL §1.3).
_PATH_CHARACTERS: Final = (
    ("target-unsafe-char", re.compile(rb"[\"<>^`{}]++")),
    ("target-backslash", re.compile(rb"\\++")),
    ("target-raw-char", re.compile(rb"\|++")),
)
_QUERY_CHARACTERS: Final = (
    ("target-unsafe-char", re.compile(rb"[\"<>]++")),
    ("target-raw-char", re.compile(rb"[\\^`{|}]++")),
)
_ESCAPES: Final = (
    ("target-bad-percent", re.compile(rb"%(?![0-9A-Fa-f]{2}).?.?", re.DOTALL)),
    ("target-percent-nul", re.compile(rb"%00")),
    ("target-overlong-utf8", re.compile(rb"(?i:%c[01]|%e0%[89]|%f0%8)[0-9A-Fa-f]?")),
)
_LINE_END: Final = re.compile(rb"(?i:%0d|%0a)")
# Forms escape the colon, too: one that isn't was put behind the line end by hand.
_FIELD_LINE: Final = re.compile(rb"(?i:%0d|%0a)(?=[A-Za-z0-9-]++:)")
_PATH: Final = (
    ("target-encoded-separator", re.compile(rb"(?i:%(?:2f|5c|2e|3b|25[0-9a-f]{2}))")),
    ("target-dot-segments", re.compile(rb"(?:(?<=/)|\A)\.\.?(?=/|\Z)")),
    ("target-path-params", re.compile(rb";|//|(?<=[^./])\.(?=/|\Z)")),
)
# authority-form = uri-host ":" port                                     ; RFC 9112 §3.2.3
_HOST_PORT: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._~!$&'()*+,;=%-]++):([0-9]++)\Z")
_HTTP: Final = frozenset({b"http", b"https", b"ws", b"wss"})
_LARGEST_PORT: Final = 65535
_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443", b"ws": b":80", b"wss": b":443"}


def characters(subject: Subject) -> Iterator[Finding]:
    """Bytes that no URI may hold, or that readers change."""
    where = subject.head.target
    if where is None:
        return
    target = subject.target
    query = len(target.partition(b"?")[0])
    for rules, start, end in (
        (_CHARACTERS, 0, len(target)),
        (_PATH_CHARACTERS, 0, query),
        (_QUERY_CHARACTERS, query, len(target)),
    ):
        for name, rule in rules:
            if found := rule.search(target, start, end):
                yield Finding(name, where[0] + found.start(), where[0] + found.end(), quoted(found[0]))


def escapes(subject: Subject) -> Iterator[Finding]:
    """Escapes and path segments that one hop decodes or resolves and another doesn't."""
    target, where = subject.target, subject.head.target
    if where is None or _HARMLESS.match(target):
        return
    if b"%" in target:
        for name, rule in _ESCAPES:
            if found := rule.search(target):
                yield Finding(name, where[0] + found.start(), where[0] + found.end(), quoted(found[0]))
        if found := _LINE_END.search(target):
            line = found if b"?" not in target[: found.start()] else _FIELD_LINE.search(target)
            name = "query-percent-crlf" if line is None else "target-percent-crlf"
            found = line or found
            yield Finding(name, where[0] + found.start(), where[0] + found.end(), quoted(found[0]))
    path = part(subject, Role.PATH)
    if path is None or subject.method == b"CONNECT":
        return
    text = subject.data[path[0] : path[1]]
    for name, rule in _PATH:
        if found := rule.search(text):
            yield Finding(name, path[0] + found.start(), path[0] + found.end(), quoted(found[0]))


def form(subject: Subject) -> Iterator[Finding]:
    """origin-form, absolute-form, authority-form or asterisk-form, as the method wants it."""
    target, where = subject.target, subject.head.target
    if where is None:
        return
    if subject.method == b"CONNECT":
        port = _HOST_PORT.match(target)
        if port is None or len(port[1]) > 5 or not 0 < int(port[1]) <= _LARGEST_PORT:
            yield Finding("connect-target-invalid", *where, quoted(target))
        return
    if target.startswith(b"/"):
        return
    if target == b"*":
        if subject.method != b"OPTIONS":
            yield Finding("target-asterisk-not-options", *where)
        return
    scheme, authority = part(subject, Role.SCHEME), part(subject, Role.AUTHORITY)
    if scheme is not None:
        yield from _absolute(subject, scheme, authority, where)
    elif authority is not None:
        yield Finding("target-authority-not-connect", *where, quoted(target))
    elif subject.framing.step is not FramingStep.SIMPLE_REQUEST or subject.head.method is not None:
        yield Finding("target-relative", *where, quoted(target))


def _absolute(subject: Subject, scheme: Range, authority: Range | None, where: Range) -> Iterator[Finding]:
    name = subject.data[scheme[0] : scheme[1]].lower()
    if name not in _HTTP:
        yield Finding("target-unknown-scheme", *scheme, quoted(name))
    else:
        yield Finding("target-absolute-form", *where)
    if authority is None:
        return
    text = subject.data[authority[0] : authority[1]]
    if b"@" in text:
        yield Finding("target-userinfo", authority[0], authority[0] + text.rindex(b"@") + 1)
    host = subject.first(b"host")
    default = _DEFAULT_PORTS.get(name, b"")
    named = text.rpartition(b"@")[2].lower().removesuffix(default)
    if host is not None and host.value_bytes.lower().removesuffix(default) != named:
        yield Finding(
            "target-absolute-host-mismatch",
            *authority,
            f"not {quoted(host.value_bytes)}",
            (host.name, *host.value),
        )


def part(subject: Subject, role: Role) -> Range | None:
    """Where this part of the target lies, or None."""
    stop = subject.head.start_line[1]
    for span in subject.message.spans:
        if span.start >= stop:
            return None
        if span.role is role:
            return span.start, span.end
    return None


SYNTAX: Final = (characters,)
MEANING: Final = (escapes, form)
