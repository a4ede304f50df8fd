"""Host: one, and a host with a port (RFC 9112 §3.2, RFC 9110 §7.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import of_name, of_value, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject
    from inspectd.wire import Field

# Host = uri-host [ ":" port ]                                           ; RFC 9110 §7.2
_HOST: Final = re.compile(rb"(\[[0-9A-Fa-f:.%\w~-]++\]|[A-Za-z0-9._~!$&'()*+;=%-]*+)(?::([^:]*+))?+\Z")
_PORT: Final = re.compile(rb"[0-9]{0,5}\Z")
_FORWARDED_HOST: Final = re.compile(rb"(?i:(?:\A|[;,])[ \t]*+host=\"?)([^\";,]++)")
_OTHER_HOSTS: Final = (b"x-forwarded-host", b"x-host", b"x-original-host")
_LARGEST_PORT: Final = 65535


def host(subject: Subject) -> Iterator[Finding]:
    """Whether Host is there once, first, and a host."""
    head = subject.head
    fields = subject.fields.get(b"host", [])
    if not fields:
        if head.complete and subject.version[:7] == b"HTTP/1." and subject.version != b"HTTP/1.0":
            yield Finding("host-missing", *head.start_line)
        return
    for field in fields[1:]:
        yield of_value("host-duplicate", field, quoted(field.value_bytes))
    if head.fields[0] is not fields[0]:
        yield of_name("host-not-first", fields[0])
    found = ""
    for field in fields:
        found = _fault(field.value_bytes)
        if found:
            yield of_value(found, field, quoted(field.value_bytes))
    if not found and len(fields) == 1 and subject.target[:1] in {b"/", b"*"}:
        yield of_value("host-agrees", fields[0])


def _fault(value: bytes) -> str:
    """The id of what is wrong with the value of a Host field, or nothing."""
    if not value:
        return "host-empty"
    if b"," in value:
        return "host-list"
    if b"@" in value:
        return "host-userinfo"
    if b"/" in value or b"?" in value or b"#" in value:
        return "host-path"
    found = _HOST.match(value)
    if found is None:
        return "host-bad-char"
    port = found[2]
    if port is not None and (not _PORT.match(port) or int(port or b"0") > _LARGEST_PORT):
        return "host-bad-port"
    return ""


def other_hosts(subject: Subject) -> Iterator[Finding]:
    """Fields that name another host than Host does: whoever trusts them goes elsewhere."""
    own = subject.first(b"host")
    if own is None:
        return
    for name in _OTHER_HOSTS:
        for field in subject.fields.get(name, ()):
            yield from _differs(field, field.value_bytes, own)
    for field in subject.fields.get(b"forwarded", ()):
        for found in _FORWARDED_HOST.finditer(field.value_bytes):
            yield from _differs(field, found[1], own)


def _differs(field: Field, named: bytes, own: Field) -> Iterator[Finding]:
    if named.strip().lower() != own.value_bytes.lower():
        yield of_value("host-forwarded-conflict", field, quoted(named))


SETTLED: Final = (host, other_hosts)
