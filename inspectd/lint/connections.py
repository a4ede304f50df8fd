"""Connection and what goes with it: options, upgrades, expectations (RFC 9110 §7.6, §7.8, §10.1)."""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Final

from inspectd.lint.model import Finding
from inspectd.lint.subject import of_name, of_value, quoted
from inspectd.lint.targets import part
from inspectd.wire import Role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject

END_TO_END: Final = frozenset({
    b"accept", b"authorization", b"cache-control", b"content-encoding", b"content-length", b"content-range",
    b"content-type", b"cookie", b"expect", b"forwarded", b"host", b"origin", b"range", b"referer", b"set-cookie",
    b"user-agent", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip",
})  # fmt: skip
"""Fields that no hop may take away, so that Connection may not name them."""

_PSEUDONYM: Final = b"inspectd"
_KEY_BYTES: Final = 16
_KEY_LENGTH: Final = 24


def options(subject: Subject) -> Iterator[Finding]:
    """What Connection names."""
    fields = subject.fields.get(b"connection")
    if not fields:
        return
    tokens = subject.tokens(b"connection")
    named = sorted(tokens & END_TO_END)
    if named:
        yield of_value("connection-lists-end-to-end", fields[0], quoted(b", ".join(named)))
    if {b"close", b"keep-alive"} <= tokens:
        yield of_value("connection-conflict", fields[-1])
    if subject.version == b"HTTP/1.0" and b"keep-alive" in tokens:
        yield of_value("connection-keepalive-10", fields[0])


def te(subject: Subject) -> Iterator[Finding]:
    """TE is for the next hop, which only Connection can say."""
    for field in subject.fields.get(b"te", ()):
        if b"te" not in subject.tokens(b"connection"):
            yield of_name("te-field-no-option", field)
        members = {member.partition(b";")[0].strip().lower() for member in field.value_bytes.split(b",")}
        if b"chunked" in members:
            yield of_value("te-field-chunked", field)


def upgrade(subject: Subject) -> Iterator[Finding]:
    """Offers to change the protocol."""
    field = subject.first(b"upgrade")
    if field is None:
        return
    offered = subject.tokens(b"upgrade")
    if subject.version == b"HTTP/1.0":
        yield of_name("upgrade-http10", field)
    elif b"upgrade" not in subject.tokens(b"connection"):
        yield of_name("upgrade-no-option", field)
    if b"h2c" in offered:
        yield of_value("upgrade-h2c", field)
    if subject.framing.length or subject.framing.chunked:
        yield of_name("upgrade-with-body", field)
    if b"websocket" in offered:
        yield from _websocket(subject)


def _websocket(subject: Subject) -> Iterator[Finding]:
    """RFC 6455 §4.1: GET, version 13, and a key of 16 bytes in base64."""
    upgrade_field = subject.fields[b"upgrade"][0]
    if subject.method != b"GET" and subject.head.method is not None:
        yield Finding("ws-handshake-invalid", *subject.head.method, "not GET")
    version, key = subject.first(b"sec-websocket-version"), subject.first(b"sec-websocket-key")
    if version is None or version.value_bytes != b"13":
        where = upgrade_field if version is None else version
        yield of_value(
            "ws-handshake-invalid", where, "no version" if version is None else "the version isn't 13"
        )
    if key is None or not _is_key(key.value_bytes):
        where = upgrade_field if key is None else key
        yield of_value(
            "ws-handshake-invalid", where, "no key" if key is None else "the key isn't 16 bytes in base64"
        )


def _is_key(value: bytes) -> bool:
    try:
        return len(value) == _KEY_LENGTH and len(binascii.a2b_base64(value, strict_mode=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def expect(subject: Subject) -> Iterator[Finding]:
    """Expect has one value."""
    for field in subject.fields.get(b"expect", ()):
        value = field.value_bytes.lower()
        if value != b"100-continue":
            nearly = b"100-continue" in value
            yield of_value("expect-obfuscated" if nearly else "expect-unknown", field, quoted(value))
        elif subject.framing.length == 0 and not subject.framing.tunnel:
            yield of_value("expect-100-no-body", field)
        else:
            yield of_value("expect-100", field)


def for_this_hop(subject: Subject) -> Iterator[Finding]:
    """Fields for one hop that came further than they should, and requests that come round again."""
    to_a_proxy = subject.method == b"CONNECT" or part(subject, Role.SCHEME) is not None
    if not to_a_proxy:
        for name in (b"keep-alive", b"proxy-connection", b"proxy-authorization"):
            for field in subject.fields.get(name, ()):
                yield of_name("hop-field-forwarded", field)
    for field in subject.fields.get(b"via", ()):
        if any(member.split()[1:2] == [_PSEUDONYM] for member in field.value_bytes.lower().split(b",")):
            yield of_value("via-loop", field)


MEANING: Final = (options, for_this_hop)
SETTLED: Final = (te, upgrade, expect)
