"""Interim responses, upgrades, and what becomes of the connection (RFC 9110 §7.6, §7.8, §15.2, RFC 6455 §4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from inspectd.lint.connections import END_TO_END
from inspectd.lint.model import Finding
from inspectd.lint.response_framing import asked
from inspectd.lint.subject import of_name, of_value, quoted
from inspectd.wire.facts import is_http_1_0
from inspectd.wire.websocket.accept import accept_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.lint.subject import Subject, Surroundings

_END_TO_END: Final = END_TO_END | {
    b"age", b"date", b"etag", b"expires", b"last-modified", b"location", b"server", b"vary", b"www-authenticate",
}  # fmt: skip
_HOP_FIELDS: Final = (b"proxy-connection", b"te")


def interim(subject: Subject) -> Iterator[Finding]:
    """1xx: to whom they may be sent."""
    head, request = subject.head, asked(subject)
    if head.status is None or subject.status[:1] != b"1" or len(subject.status) != 3 or request is None:
        return
    if is_http_1_0(request.version):
        yield Finding("resp-1xx-to-10", *head.status)
    elif subject.status == b"100" and b"100-continue" not in request.tokens(b"expect"):
        yield Finding("resp-100-unasked", *head.status)


def final(around: Surroundings) -> Iterator[Finding]:
    """Interim responses are followed by a final one, and a connection is closed with a word."""
    last = around.subjects[-1] if around.subjects else None
    if last is None or not around.whole:
        return
    if last.message.interim and last.head.complete:
        yield Finding("resp-100-no-final", last.end, last.end)
    elif around.context.closed and last.message.complete and last.message.keep_alive:
        if "keep-alive" in {token.decode("latin-1") for token in last.tokens(b"connection")}:
            yield of_value("resp-connection-conflict", last.fields[b"connection"][0], "then it was closed")
        else:
            yield Finding("resp-close-not-sent", last.end, last.end)


def upgrades(subject: Subject) -> Iterator[Finding]:
    """101 and 426 name a protocol; 101 one that the client offered."""
    head = subject.head
    if head.status is None or not head.complete:
        return
    field = subject.first(b"upgrade")
    if subject.status == b"426" and field is None:
        yield Finding("resp-426-no-upgrade", *head.status)
    if subject.status != b"101":
        return
    if field is None:
        yield Finding("resp-101-no-upgrade", *head.status)
    elif b"upgrade" not in subject.tokens(b"connection"):
        yield of_name("resp-101-no-option", field)
    request = asked(subject)
    if request is None:
        return
    offered = {member.partition(b"/")[0] for member in request.tokens(b"upgrade")}
    chosen = {member.partition(b"/")[0] for member in subject.tokens(b"upgrade")}
    if not chosen <= offered or not offered:
        where = head.status if field is None else field.value[0] if field.value else field.name
        yield Finding("resp-101-unasked", *where, "the client offered none" if not offered else "")
    if b"websocket" in chosen & offered:
        yield from _websocket(subject, request)


def _websocket(subject: Subject, request: Subject) -> Iterator[Finding]:
    """RFC 6455 §4.1: the accept value, and nothing that wasn't offered."""
    key, accept = request.first(b"sec-websocket-key"), subject.first(b"sec-websocket-accept")
    if key is not None and subject.head.status is not None:
        right = accept_of(key.value_bytes)
        if accept is None:
            yield Finding("resp-ws-accept-wrong", *subject.head.status, "there is none")
        elif accept.value_bytes != right:
            yield of_value("resp-ws-accept-wrong", accept, f"it would be {quoted(right)}")
        else:
            yield of_value("ws-accept-right", accept)
    for name in (b"sec-websocket-protocol", b"sec-websocket-extensions"):
        offered = {_name(member) for member in request.members(name)}
        for field in subject.fields.get(name, ()):
            if any(_name(member) not in offered for member in field.value_bytes.split(b",")):
                yield of_value("resp-ws-not-offered", field, quoted(field.value_bytes))


def _name(member: bytes) -> bytes:
    return member.partition(b";")[0].strip(b" \t")


def options(subject: Subject) -> Iterator[Finding]:
    """What Connection says, and fields that only it may let through."""
    fields = subject.fields.get(b"connection", [])
    tokens = subject.tokens(b"connection")
    if {b"close", b"keep-alive"} <= tokens:
        yield of_value("resp-connection-conflict", fields[-1])
    named = sorted(tokens & _END_TO_END)
    if named:
        yield of_value("resp-hop-field", fields[0], quoted(b", ".join(named)))
    for field in subject.fields.get(b"keep-alive", ()):
        if b"keep-alive" not in tokens:
            yield of_name("resp-hop-field", field, "Connection doesn't name it")
    for name in _HOP_FIELDS:
        for field in subject.fields.get(name, ()):
            yield of_name("resp-hop-field", field, "it has no meaning in a response")


STREAM: Final = (final,)
MEANING: Final = (interim,)
SETTLED: Final = (upgrades, options)
